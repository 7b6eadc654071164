/* The operations that the network is written in. They check shapes, count multiply-adds and allocate their output in
 * the scratch of the run. After a failure they do nothing, so forward.c reads as equations and checks the error once.
 *
 * Letters as in backend.h. `_onto` is x + gamma * f(y): in place, and it returns x; or, if a backward pass follows that
 * needs the old x, in new memory.
 */
#ifndef MV_OPS_H
#define MV_OPS_H

#include "src/run/run.h"

/* ---- scratch. Values are allocated from the front of one block of memory, and freed together by a rewind to a mark.
 */
size_t mv_scratch_mark(const mv_run *r);
void mv_scratch_rewind(mv_run *r, size_t mark);
mv_tensor mv_scratch_new(mv_run *r, mv_dtype type, int nd, ...);
mv_tensor mv_scratch_like(mv_run *r, mv_tensor t); /* of the same type and shape */
/* From the back of the block: valid until the batch ends, whatever is rewound. */
mv_tensor mv_scratch_hold(mv_run *r, mv_dtype type, int nd, ...);

/* ---- names: a value is shown to the probes as PATH.leaf, or as PATH if leaf is NULL */
void mv_path_enter(mv_run *r, int part, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool mv_probes_want(const mv_run *r, const char *site);
bool mv_wants(const mv_run *r, const char *leaf); /* the value, or its gradient */
bool mv_wants_value(const mv_run *r, const char *leaf);
/* `axes` as in probe.h, one letter for each dimension. True if a probe changed the value. */
bool mv_tap(mv_run *r, const char *leaf, const char *axes, mv_view v);
/* Calls the probes that want the site. */
bool mv_show(mv_run *r, const mv_site_info *site, mv_view v);
/* A diagnostic value: nothing downstream depends on it. */
void mv_tap_diagnostic(mv_run *r, const char *leaf, const char *axes, mv_view v);

mv_view mv_view_planes(mv_tensor x);                        /* B H W C as B C H W */
mv_view mv_view_columns(mv_tensor x, int from, int n);      /* columns of the last dimension */
mv_view mv_view_heads(mv_tensor qkv, int which, int heads); /* N T 3C, packed (3, h, d), as N h T d: q, k or v */

/* ---- products (op_products.c) */
mv_tensor mv_picture(mv_run *r);                                           /* B H W 3 */
mv_tensor mv_conv2d(mv_run *r, mv_tensor x, const mv_conv *w, mv_act act); /* B ceil(H/s) ceil(W/s) O */
mv_tensor mv_stem(mv_run *r, const mv_conv *w, mv_act act); /* mv_conv2d of mv_picture, if the device has `stem` */
mv_tensor mv_conv2d_onto(mv_run *r, mv_tensor x, mv_tensor y, mv_act act, const mv_conv *w); /* x + conv(act(y)) */
mv_tensor mv_linear(mv_run *r, mv_tensor x, const mv_dense *w, mv_act act, mv_dtype out);    /* ... O */
/* Into out, which is the result; or, if that has nd 0, into scratch, as fp32. */
mv_tensor mv_linear_into(mv_run *r, mv_tensor out, mv_tensor x, const mv_dense *w);
mv_tensor mv_linear_onto(mv_run *r, mv_tensor x, mv_tensor y, mv_act act, const mv_dense *w, mv_vector gamma);
/* The products of a segment that are kept for the way back, without an activation (mv_tape_keep). */
mv_tensor mv_conv2d_kept(mv_run *r, mv_tensor x, const mv_conv *w);
mv_tensor mv_linear_kept(mv_run *r, mv_tensor x, const mv_dense *w);
mv_tensor mv_add_onto(mv_run *r, mv_tensor x, mv_tensor y, mv_vector gamma);

mv_tensor mv_activate(mv_run *r, mv_tensor x, mv_act act); /* act(x): the fused form is taken apart on the tape */

/* ---- tokens (op_tokens.c) */
mv_tensor mv_layernorm(mv_run *r, mv_tensor x, const mv_vector norm[2]);
mv_tensor mv_split(mv_run *r, mv_tensor x, int window);               /* N s*s C; a view if the map is one window */
mv_tensor mv_merge(mv_run *r, mv_tensor x, int window, int h, int w); /* B h w C */
mv_tensor mv_affine(mv_run *r, mv_tensor x, mv_vector scale, mv_vector shift);
mv_tensor mv_mean_pool(mv_run *r, mv_tensor x, mv_vector scale, mv_vector shift); /* B C */

/* ---- the mixer (op_mixer.c) */
void mv_conv1d_silu(mv_run *r, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz);
mv_tensor mv_step(mv_run *r, mv_tensor proj, const mv_ssm *w); /* N T E fp32 */
void mv_scan(mv_run *r, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w, mv_tensor h);
void mv_readout(mv_run *r, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w);
mv_tensor mv_state_norm(mv_run *r, mv_tensor h); /* N T fp32 */
/* N T T fp32; channel -1: the mean of all */
mv_tensor mv_hidden(mv_run *r, mv_tensor dt, mv_tensor proj, const mv_ssm *w, int channel, bool with_sign);
mv_tensor mv_half_life(mv_run *r, mv_tensor dt, const mv_ssm *w, int channel); /* N T fp32 */

/* The values of the mixer that is computed, for operations that a probe adds in `sees` of its sites. dt is there (nd)
 * if a probe wants mixer.dt, proj and dt from the site mixer.dt on. NULL outside of mixers. */
typedef struct mv_mixer_values {
    mv_tensor xz, proj, dt;
    const mv_mixer *w;
} mv_mixer_values;
const mv_mixer_values *mv_mixer_now(const mv_run *r);
void mv_mixer_enter(mv_run *r, const mv_mixer_values *v); /* for forward.c; borrowed */

/* The norms of the contributions of each token (N T T fp32) to the mixer's output, and of its parts (N T 2): see
 * backend.h. The memory that this takes is bounded: it is done for some of the queries at a time. */
void mv_contributions(mv_run *r, mv_tensor out, mv_tensor parts, const mv_mixer_values *v);

/* ---- attention (op_attention.c); rows are stored if their nd is not 0 */
void mv_attention_rows(mv_run *r, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows);
void mv_attend(mv_run *r, mv_tensor out, mv_tensor rows, mv_tensor qkv);
/* N h T, from N h T T and W T; fp32 */
mv_tensor mv_follow(mv_run *r, mv_tensor rows, mv_tensor from, mv_rows_form form);
void mv_roll(mv_run *r, mv_tensor out, mv_tensor rows, mv_tensor before); /* N T T each; before: or nd 0 */
void mv_mean_heads(mv_run *r, mv_tensor out, mv_tensor rows);             /* out N T T */
mv_tensor mv_measure(mv_run *r, mv_tensor rows, int h, int w);            /* N h T 3, for maps of h x w cells */

/* Sums over the last dimension of x * y, fp32; y as x, or one row for all: see backend.h. No gradient passes. */
mv_tensor mv_dot(mv_run *r, mv_tensor x, mv_tensor y, bool positive);

/* ---- the rest of the network without its blocks (op_rest.c) */

/* The tokens (N T C) of level 2 or 3 as the head reads them if all later blocks are skipped: windows put together,
 * padding cropped, downsampled to level 3, and normed. B h w C of level 3. */
mv_tensor mv_rest(mv_run *r, mv_tensor tokens, int level);

#endif
