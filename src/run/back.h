/* Backward passes of a run: after each batch, d(target)/d(value) at any site, shown to the probes under the site's name
 * with "grad." before it. The target is one number of each picture, a function of its logits.
 *
 *     mv_back back = {.passes = 1, .seed = mv_seed_top};
 *     mv_run *r = mv_run_new_back(model, h, w, capacity, probes, &back, &e);
 *     mv_run_forward(r, planes, pictures, logits, &e);      probes receive SITE and grad.SITE
 *
 * Under MV_RULES_HELD the network is an affine map of the value at any site that all paths cross (input, patch_embed,
 * the levels, their downsamples and blocks, norm, avgpool, head): the target is the sum of value times gradient there,
 * plus what the biases behind it hold. With its bit of `biases`, a pass shows what each bias holds as a diagnostic site
 * bias.MODULE: for each cell the sum over channels of bias times gradient, fp32, "BHW", "NT" or "B". A pass under
 * MV_RULES_GRADIENT shows them too, but there the sum is not the target.
 *
 * A pass keeps the input of each block, or of each half of one, and computes it once more before it goes backwards
 * through it (Chen et al. 2016, arXiv 1604.06174); in fp32, products that are small and slow to compute are kept, too.
 * It ends when the last site that a probe wants is reached, and keeps nothing before it.
 *
 * A probe before it in the network may edit values: gradients are those of the edited network. One that edits a value
 * which the way back passes fails the run, because no gradient flows through a value that was replaced.
 */
#ifndef MV_BACK_H
#define MV_BACK_H

#include "src/run/run.h"

/* What counts as a constant on the way back: nothing (GRADIENT); or the factors that backend.h lists under `held`, so
 * that the network is an affine map of the picture (HELD). */
typedef enum { MV_RULES_GRADIENT, MV_RULES_HELD } mv_rules;

/* Called for each batch and pass: reads the logits (pictures, classes) and writes d(target)/d(logits) to seed, which
 * has the same shape and holds zeros. `first` is the number of the batch's first picture, counted over the whole
 * forward. A failure stops the run. */
typedef mv_status mv_seed(void *context, int pass, int first, int pictures, int classes, const float *logits,
                          float *seed, mv_error *e);

enum { MV_BACK_PASSES = 16 };

typedef struct {
    int passes;            /* for each batch: 1 to MV_BACK_PASSES */
    const mv_rules *rules; /* of each pass; NULL: gradients */
    mv_seed *seed;
    void *context;
    unsigned biases; /* bit k: pass k shows what the biases hold, too: see above */
    bool keep;       /* every value is kept, and no block is computed again: more memory, less time, the same bits */
} mv_back;

/* As mv_run_new; `back` is copied, what it points to is borrowed; NULL: no backward passes. MV_EDEVICE if the device
 * has no backward operations, MV_EMISUSE if the network has no head. Batches are never replayed from a recording. */
mv_run *mv_run_new_back(const mv_model *model, int h, int w, int capacity, mv_probe *probes, const mv_back *back,
                        mv_error *e);

/* ---- for probes, in `sees` of grad.SITE */

int mv_run_pass(const mv_run *r);       /* number of the backward pass; 0 during the forward pass */
mv_view mv_run_value(const mv_run *r);  /* the value whose gradient is shown: same shape */
mv_rules mv_run_rules(const mv_run *r); /* of the pass */

/* As mv_run_read, for the gradient that is shown and what is computed from it: gradients of fp16 are computed times a
 * power of two. mv_run_keep does the same. */
bool mv_run_read_gradient(mv_run *r, mv_view v, float *host);

#endif
