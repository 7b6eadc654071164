/* Reduces the attention rows of a block in device memory, so that maps and not tensors are copied to the host: the
 * shares of a query (`follow`), the figures of each row (`measure`), and the rollout through all attention blocks of a
 * level. The results are kept for a probe, which reads them picture by picture when they arrive.
 */
#ifndef MV_EXPLAIN_SHARES_H
#define MV_EXPLAIN_SHARES_H

#include "src/explain/rows.h"
#include "src/run/run.h"

/* What the attention blocks of a level have in common. */
typedef struct {
    mv_grid grid;
    int heads;
    float *query; /* (windows, tokens): the weights of the query */
} mv_shares;

mv_status mv_shares_new(mv_shares *s, const mv_grid *grid, mv_query query, int heads, mv_error *e);
void mv_shares_free(mv_shares *s); /* after the run whose probe used it */

/* ---- during `sees`: rows (N, heads, T, T) of a batch */

/* The `part` of mv_probe.kept, in the order of arrival, and its value: (N, heads, T), (N, heads, T, 3), (N, 1, T). */
enum { MV_SHARES_SHARE, MV_SHARES_FIGURES, MV_SHARES_ROLLED };

/* Keeps the shares of the query, then the figures of all rows, of every head. */
void mv_shares_keep(const mv_shares *s, mv_run *r, mv_probe *p, const char *site, mv_tensor rows);

/* The mean over heads (N, T, T), which is valid until the batch ends: one for each block of a rollout. */
mv_tensor mv_shares_mean(mv_run *r, mv_tensor rows);

/* Keeps q^T A~_last ... A~_first (Abnar & Zuidema 2020, arXiv 2005.00928); mean: of all n blocks, in network order. */
void mv_shares_roll(const mv_shares *s, mv_run *r, mv_probe *p, const char *site, const mv_tensor *mean, int n);

/* ---- during `kept` */

/* The shares (windows, tokens) of one head of a picture of the batch. */
void mv_shares_read(const mv_shares *s, double *share, mv_tensor value, int picture, int head);

/* The figures of one head of a picture, averaged over its cells. */
mv_rows_stats mv_shares_stats(const mv_shares *s, mv_tensor value, int picture, int head);

#endif
