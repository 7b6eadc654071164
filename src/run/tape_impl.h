/* The tape of a run: what was computed, in order, so that the backward pass can walk it in reverse. Operations append
 * themselves, each with a function that adds its share to the gradients of what it read (op_*.c). Values on the tape
 * are identified by their address, so the scratch is not rewound while operations are on the tape.
 *
 * A segment is a part of the network whose inner values are not kept (the stem, a block): it is on the tape as one
 * entry, which holds a copy of its input. On the way back it is computed once more with its operations on the tape,
 * walked, and forgotten.
 *
 * An operation of ops.h that the gradient goes through ends with
 *
 *     mv_node *n = mv_tape_add(r, NAME_back, out);
 *     if (n)
 *         *n = (mv_node){.back = n->back, .in = {x}, .out = out, ...};      what NAME_back reads
 *
 * and NAME_back takes the gradient of n->out by mv_grad_of, finds where that of n->in[0] goes by mv_grad_sum, and calls
 * the device's NAME_back by MV_OP_RUN. Gradients have the shape and type of their values.
 */
#ifndef MV_TAPE_IMPL_H
#define MV_TAPE_IMPL_H

#include "src/run/back.h"
#include "src/run/run_impl.h"

typedef struct mv_node mv_node;
typedef void mv_node_back(mv_run *r, const mv_node *n);
typedef mv_tensor mv_segment(mv_run *r, const void *weights, mv_tensor x);

/* An operation: `back` reads the gradient of `out` and adds to those of `in`. A segment: `again` is set, and in[0] is
 * the copy of its input, unless it is unread. A place where a value is shown: neither is set. */
struct mv_node {
    mv_node_back *back;
    mv_segment *again;
    mv_tensor in[3], out;
    mv_tensor inner;   /* a value between them, which may be shown; nd 0: none */
    bool inner_wanted; /* of a segment, inner is the value that it keeps */
    bool unread;       /* of a segment: in[0] has no values */
    /* Of an operation: its weights, borrowed from the model, and parameters. A segment: w is what it is called with. */
    const void *w;
    mv_vector vector[2];
    mv_act act;
    int n; /* heads, or the side of a window */
    /* Of a place where a value is shown. */
    mv_view view;
    const char *axes;
    int part;      /* of a segment: MV_PART_ */
    char site[96]; /* where a value is shown: its name; a segment: its path */
};

/* Appends an operation if operations are appended now, and returns it with `back` and `out` set; else NULL. */
mv_node *mv_tape_add(mv_run *r, mv_node_back *back, mv_tensor out);
bool mv_tape_on(const mv_run *r);
bool mv_tape_again(const mv_run *r);     /* a segment is computed once more: values were shown before */
bool mv_tape_switch(mv_run *r, bool on); /* whether operations append themselves from now on; returns what was */
bool mv_tape_held(const mv_run *r);      /* the rules of the pass hold factors constant */

/* The gradient of a value; nd 0 if nothing has flowed into it. */
mv_tensor mv_grad_of(mv_run *r, mv_tensor value);
/* Where the gradient of a value is written, which is not zeroed, and what is added to it: what has flowed into the
 * value before, which may be `out` itself, or nd 0. */
typedef struct {
    mv_tensor out, residual;
} mv_sum;
mv_sum mv_grad_sum(mv_run *r, mv_tensor value);
/* The gradient of `value` begins as `grad`. `borrowed`: others read it afterwards, so nothing is added in place. */
void mv_grad_set(mv_run *r, mv_tensor value, mv_tensor grad, bool borrowed);
/* `grad`, which nobody else reads afterwards, is added to the gradient of `value`. */
void mv_grad_pass(mv_run *r, mv_tensor value, mv_tensor grad);

/* x goes through a segment: at once, and again on the way back. `reads`: then it reads the values of x; else x is not
 * kept, and has none on the way back. */
mv_tensor mv_tape_segment(mv_run *r, mv_segment *segment, const void *weights, mv_tensor x, bool reads);
/* True if the next segment is computed once more, and may keep a value before an activation: of fp32 only, because one
 * of 16 bits would be rounded there, and the values be others than those of a forward pass. */
bool mv_tape_may_keep(const mv_run *r);
/* For one value of a segment that is kept from the first time to the second, because it would be slow to compute again:
 * its memory, from its shape and type. True the first time, when it is to be computed. */
bool mv_tape_keep(mv_run *r, mv_tensor *value);
/* Before the last operations of a segment. While the segment is computed again, attention, activations and sums from
 * here on are skipped, because the way back does not read their values. Nothing is skipped if a probe wants one of the
 * sites that follow in the segment, because the value is shown with its gradient: a and b (NULL: the block's output).
 */
void mv_tape_last(mv_run *r, const char *a, const char *b);
bool mv_tape_skips(const mv_run *r);

/* A probe has edited values of the forward pass: fails the run if the way back goes through them, because no gradient
 * flows through a value that was replaced. `values`: their site, for the message. */
void mv_tape_refuse(mv_run *r, const char *values);
void mv_tape_pass(mv_run *r, const char *site); /* the forward pass has shown this site */

/* ---- what biases hold (op_bias.c) */

bool mv_tape_shows_biases(const mv_run *r); /* this pass shows them */
/* True if a probe wants to see what the bias of a layer holds (back.h); w: its address in the model. */
bool mv_tape_wants_bias(const mv_run *r, const void *w);
/* Shows it: dy is the gradient of the layer's output, and bias (1, ..., channels) what the layer makes of zeros. */
void mv_tape_bias(mv_run *r, const void *w, mv_tensor dy, mv_tensor bias);
/* Zeros (1, ..., channels) of the type of activations. */
mv_tensor mv_tape_zeros(mv_run *r, int nd, int channels);
mv_tensor mv_tape_zeros_like(mv_run *r, mv_tensor like);
/* Shows a gradient, or a value that is computed from some. */
void mv_tape_show_now(mv_run *r, const mv_site_info *site, mv_view v);

/* ---- for ops.c: places where values are shown */

/* True in the dry run that shows nothing, but finds out which gradients are wanted: it notes this site. */
bool mv_tape_finding(const mv_run *r);
bool mv_tape_finds(mv_run *r, const char *site);
/* The gradient of this value will be shown if it is wanted. */
void mv_tape_show(mv_run *r, const char *site, const char *axes, mv_view v);
bool mv_tape_wants(const mv_run *r, const char *site);

/* ---- for run.c and keep.c */

/* `finding`: a dry run that only finds out which gradients are wanted, and writes it to the plan. */
mv_status mv_tape_begin(mv_run *r, const mv_back *back, bool finding, mv_error *e);
void mv_tape_rewind(mv_run *r); /* before a batch */
/* All backward passes of a batch. */
void mv_tape_back(mv_run *r, mv_tensor logits);
void mv_tape_end(mv_run *r);
/* What a value that is shown now is multiplied by when it is delivered: gradients of fp16 are computed times a power of
 * two. */
float mv_tape_unscale(const mv_run *r);

#endif
