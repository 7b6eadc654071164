/* Does a map point at the object? In a region that somebody marked, and in a picture of four pictures.
 *
 * Maps have one channel and cover the whole input; they are brought to its size as mv_upsample_exact does.
 */
#ifndef MV_POINTING_H
#define MV_POINTING_H

#include <stdbool.h>

#include "src/base/map.h"

/* The pointing game (Zhang et al. 2018, arXiv 1608.00507), without a tolerance: is the pixel of the highest value
 * inside (the first of equal ones)? And the energy inside (Wang et al. 2020, arXiv 1910.01279): the share of the sum of
 * all positive values that is inside; NaN where nothing is positive. inside: h * w pixels of the input. */
mv_status mv_pointing(const mv_map *map, const bool *inside, int h, int w, bool *hit, double *energy, mv_error *e);

/* Four inputs (3, h, w) as the quarters of one, each reduced to half its sides by the mean over the area of a pixel: 0
 * and 1 above, 2 and 3 below. The input keeps its size, so that its windows, and what a network mixes in them, are
 * those of a picture. (Grid pointing: Boehle et al. 2021, arXiv 2104.00032, with whole pictures beside each other.) */
mv_status mv_quarters_make(float *out, const float *const in[4], int h, int w, mv_error *e);

/* The share of the positive evidence that is in this quarter; NaN where nothing is positive. An even map has 0.25. */
mv_status mv_quarters_share(const mv_map *map, int quarter, int h, int w, double *share, mv_error *e);

#endif
