/* Maps of cells brought to the pixels of the input: bilinear between the centres of cells, constant beyond the
 * outermost centres. In one dimension, with n cells over N pixels, pixel i lies at cell (i + 1/2) n / N - 1/2.
 */
#ifndef MV_EXPLAIN_UPSAMPLE_H
#define MV_EXPLAIN_UPSAMPLE_H

#include "src/base/status.h"

typedef struct mv_upsample mv_upsample;

/* From (a, b) cells to the h x w px of an input, or any part of a larger one. NULL without memory. */
mv_upsample *mv_upsample_new(int a, int b, int h, int w, mv_error *e);
void mv_upsample_free(mv_upsample *u); /* accepts NULL */

/* The h x w px whose top left one is (top, left) of the upsampled map: 0 to h - rows, 0 to w - columns. out (rows,
 * columns); from (a, b). */
void mv_upsample_part(const mv_upsample *u, float *out, const float *from, int top, int left, int rows, int columns);

/* All of it: out (h, w). */
void mv_upsample_run(const mv_upsample *u, float *out, const float *from);

/* (a, b) cells to out (h, w) in double, for where the order of the pixels counts. */
void mv_upsample_exact(double *out, int h, int w, const float *from, int a, int b);

#endif
