/* The random masks of RISE (Petsiuk, Das & Saenko 2018, arXiv 1806.07421, section 3.2 and its published code): a grid
 * of s x s cells, each 1 with probability p and else 0, is upsampled bilinearly to (s + 1) C_h x (s + 1) C_w px, where
 * C_h = ceil(h / s) and C_w = ceil(w / s), and h x w px are cut out at an offset of 0 to C_h - 1 rows and 0 to C_w - 1
 * columns.
 *
 * Mask i of a seed is stream i of random.h: cell k, row by row, is 1 if uniform number k is below p; number s s chooses
 * the row of the offset, and number s s + 1 the column. So mask i is the same in every batch.
 */
#ifndef MV_EXPLAIN_RISE_H
#define MV_EXPLAIN_RISE_H

#include <stdint.h>

#include "src/explain/upsample.h"

enum { MV_RISE_CELLS = 64 }; /* most cells a side */

typedef struct {
    int h, w, cells; /* px; s */
    double keep;     /* p */
    uint64_t seed;
    mv_upsample *up;
} mv_rise;

/* The masks for h x w px. */
mv_status mv_rise_new(mv_rise *m, int h, int w, int cells, double keep, uint64_t seed, mv_error *e);
void mv_rise_free(mv_rise *m);

/* Mask i: out (h, w), values in [0, 1]. */
void mv_rise_mask(const mv_rise *m, int i, float *out);

#endif
