/* Keeps what every cell looks at, in every block of the levels with windows: the attention rows of each head, and the
 * hidden attention of each mixer, in 8 bits a value (base/coded.h). For pages that answer when a reader points at a
 * cell.
 *
 *     mv_rows_keep *k = mv_rows_keep_new(&config, 6 << 20, &e);
 *     mv_run *r = mv_run_new(model, h, w, capacity, mv_rows_keep_probe(k), &e);
 *     mv_run_forward(r, planes, pictures, logits, &e);
 *     mv_rows_keep_take(k, picture, &blocks, &n, &e);
 *
 * Both are against an even spread. A row of attention is multiplied by the number of tokens of its window. Row i of the
 * hidden attention |M| (Ali, Zimerman & Wolf 2024, arXiv 2403.01590; mean over channels) is divided by its sum and
 * multiplied by i + 1, the number of tokens scanned so far; its sum is kept beside it.
 *
 * If all of it would be larger than the budget, the largest level is coarsened until it fits: first 2 x 2 cells share a
 * query, then only the mean of the heads is kept, then 2 x 2, 4 x 4, ... cells share a query of it. The blocks say what
 * was done (heads, group).
 */
#ifndef MV_EXPLAIN_ROWS_KEEP_H
#define MV_EXPLAIN_ROWS_KEEP_H

#include "src/base/coded.h"
#include "src/model/grid.h"
#include "src/run/probe.h"

typedef struct mv_rows_keep mv_rows_keep;

/* `budget`: bytes of the codes of one picture. The config is borrowed. NULL without memory; MV_EINPUT for a network
 * without blocks in levels 2 and 3. */
mv_rows_keep *mv_rows_keep_new(const mv_config *config, size_t budget, mv_error *e);
void mv_rows_keep_free(mv_rows_keep *k); /* accepts NULL; call it after the run that uses the probe is freed */

mv_probe *mv_rows_keep_probe(mv_rows_keep *k); /* borrowed; set its `next` to continue the chain */

/* The blocks of a picture of the last forward, in network order: the caller's to mv_rows_keep_drop. A picture can be
 * taken once. MV_EMISUSE if it was not seen. */
mv_status mv_rows_keep_take(mv_rows_keep *k, int picture, mv_coded **blocks, int *n, mv_error *e);
void mv_rows_keep_drop(mv_coded *blocks, int n); /* NULL is fine */

#endif
