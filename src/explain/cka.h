/* How alike the blocks of two networks are: linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414).
 * Rows of X (n, p) and Y (n, q) are the same n samples, here cells of pictures, and columns are centred channels:
 *
 *     CKA(X, Y) = |Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F) = <X X^T, Y Y^T> / (|X X^T|_F |Y Y^T|_F)
 *
 * It is 1 for the same features, also rotated and scaled, and it compares blocks of any widths, so two networks of
 * different widths and depths give a grid. Two blocks are compared on the cells of the coarser one: those of 32 px if
 * one of them is of level 3, else those of 16 px; finer cells are averaged. Padding is left out.
 *
 * Few samples make any two blocks look alike, so a pair with fewer than MV_CKA_LEAST has no value; and more than
 * MV_CKA_MOST are not needed, so cells are then chosen at even steps, the same for all blocks. Memory: MV_CKA_MOST
 * samples of each block, whatever the number of pictures.
 *
 *     mv_features *a = mv_features_new(&config_a, h, w, pictures, &e);         // and b
 *     mv_run *r = mv_run_new(model_a, h, w, 1, mv_features_probe(a), &e);      // and b: the same pictures
 *     for (each picture) mv_run_forward(r, planes, 1, logits, &e);
 *     mv_cka_grid(grid, a, b, &e);
 */
#ifndef MV_EXPLAIN_CKA_H
#define MV_EXPLAIN_CKA_H

#include "src/model/grid.h"
#include "src/run/probe.h"

enum { MV_CKA_LEAST = 192, MV_CKA_MOST = 512 };

/* CKA of x (p, n) and y (q, n): the n samples are side by side in a row for each channel. NaN where one of them is
 * constant. MV_ENOMEM. */
mv_status mv_cka(double *out, const float *x, int p, const float *y, int q, int n, mv_error *e);

/* The features of every block of one network, in cells of pictures that are run one at a time. */
typedef struct mv_features mv_features;

/* For `pictures` of h x w px, at most MV_CKA_MOST (MV_EINPUT otherwise). NULL on failure. */
mv_features *mv_features_new(const mv_config *config, int h, int w, int pictures, mv_error *e);
void mv_features_free(mv_features *c); /* accepts NULL; call it after the run that uses the probe is freed */

mv_probe *mv_features_probe(mv_features *c); /* borrowed; set its `next` to continue the chain */

int mv_features_blocks(const mv_features *c);                              /* of all levels, in network order */
const char *mv_features_block_at(const mv_features *c, int i, int *level); /* "levels.2.blocks.3"; level may be NULL */

/* The samples that blocks are compared in: of 32 px if one of two levels is 3, else of 16 px. */
int mv_features_samples(const mv_features *c, int level_a, int level_b);

/* grid[i * blocks of b + j]: CKA of block i of a and block j of b; NaN for a pair of fewer than MV_CKA_LEAST samples.
 * Both have seen the same pictures, one forward each (MV_EMISUSE otherwise). */
mv_status mv_cka_grid(double *grid, const mv_features *a, const mv_features *b, mv_error *e);

#endif
