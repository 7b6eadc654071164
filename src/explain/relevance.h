/* What tokens give through attention, and through scans, to first order: a probe that reduces gradients while they pass
 * (the rows of L3 at 512 px and their gradients would be 1.4 GB).
 *
 *     relevance of a pair of tokens in head k     dA_k[i,j] A_k[i,j]        A the rows, dA = d(target)/dA
 *
 * Summed over a head it is the head's first-order effect, the same as sum v dv.
 *
 * `heads` sums each head over its rows i. `chain` follows Chefer, Gur & Wolf 2021 (arXiv 2103.15679, eq. 5 and 6)
 * through the blocks of a level,
 *
 *     R = (I + P_last) ... (I + P_first)        P[i,j] = mean over heads of max(0, dA A)
 *
 * and keeps q^T (R - I) with q 1 on cells and 0 on padding: there is no class token, whose row of R the paper reads,
 * and dA holds how much the rows count. The way back visits the last block first, so that R itself is never needed.
 * With `mixers`, a mixer is one of the blocks: M is its hidden attention with D on the diagonal (mixer.h), and
 *
 *     P[i,j] = mean over channels e of max(0, M_e[i,j] dy_ie x_je)
 */
#ifndef MV_EXPLAIN_RELEVANCE_H
#define MV_EXPLAIN_RELEVANCE_H

#include "src/model/grid.h"
#include "src/run/back.h"

typedef struct {
    bool level[MV_LEVELS]; /* which levels: 2, 3 */
    bool heads;            /* of their attention blocks */
    bool chain, mixers;
} mv_relevance_options;

typedef struct mv_relevance mv_relevance;

/* For inputs of h x w px. The probe needs a run with backward passes (back.h). NULL without memory. */
mv_relevance *mv_relevance_new(const mv_relevance_options *options, const mv_config *config, int h, int w, mv_error *e);
void mv_relevance_free(mv_relevance *r); /* accepts NULL; call it after the run that uses the probe is freed */

mv_probe *mv_relevance_probe(mv_relevance *r); /* borrowed */

const mv_grid *mv_relevance_grid(const mv_relevance *r, int level); /* borrowed */

/* ---- results of the last forward: of its backward pass number `pass`, which must be one of MV_RULES_GRADIENT */

/* (windows, heads, T) of an attention block, padding included. Borrowed; NULL if it was not seen. */
const double *mv_relevance_heads(const mv_relevance *r, int picture, int pass, int level, int block);

/* (windows, T): q^T (R - I) of a level. Borrowed; NULL if no block of it was seen. */
const double *mv_relevance_chain(const mv_relevance *r, int picture, int pass, int level);

#endif
