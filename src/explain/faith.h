/* Does a map tell the truth? What the network answers when pixels are taken away, or given back, in the order of a map:
 *
 *     deletion    the pixels go to the mean colour, highest value first (Petsiuk et al. 2018, arXiv 1806.07421): the
 *                 probability of the class should fall soon, so a small area is good
 *     insertion   they come back over the blurred picture: it should rise soon, so a large area is good
 *     ROAD        removed pixels are filled in from their neighbours (Rong et al. 2022, arXiv 2202.00449), so that the
 *                 mask itself tells nothing: the probability with the least relevant pixels removed, less that with the
 *                 most relevant ones removed
 *
 * and the same for random maps, which every area must be read against, and for a blob in the middle: photos are
 * centred. Coarse maps take away larger holes than fine ones, and single pixels at random would shred the picture, so
 * only areas of one grain can be compared: all maps are averaged to the same cells.
 *
 *     mv_faith *f = mv_faith_new(&options, passes, planes, h, w, classes, class, &e);
 *     mv_faith_map(f, map, &score, &e);             as many maps as there are
 *     mv_faith_random(f, &random, &e);              computed at the first call
 *     mv_faith_centre(f, &centre, &e);              the same
 *     mv_faith_free(f);
 *
 * A map or the blob takes 2 (steps + 1) forward passes, and 8 more with ROAD; random maps 2 (steps + 1) for each seed.
 */
#ifndef MV_FAITH_H
#define MV_FAITH_H

#include <stdbool.h>
#include <stdint.h>

#include "src/base/map.h"
#include "src/explain/passes.h"

enum {
    MV_FAITH_STEPS = 50,
    MV_FAITH_POINTS = MV_FAITH_STEPS + 1,
    MV_FAITH_SHARES = 4, /* shares of the pixels that ROAD removes: 0.2, 0.4, 0.6, 0.8 */
    MV_FAITH_SEEDS = 100,
    MV_FAITH_CELL = 32 /* px a side: the cells of the last level, the coarsest that maps have */
};

typedef struct {
    int steps;            /* even steps of deletion and insertion, 1 to MV_FAITH_STEPS; 0: MV_FAITH_STEPS */
    int seeds;            /* random maps, 1 to MV_FAITH_SEEDS; 0: 10 */
    bool road;            /* ROAD, too; without it its values are NaN */
    int grain_h, grain_w; /* cells that each map is averaged to; 0: cells of MV_FAITH_CELL */
    uint64_t seed;        /* of the random maps and of ROAD's noise */
} mv_faith_options;

/* Probabilities of the class, all 0 to 1; point k of a curve is at the share k / steps of the pixels, points past the
 * last are 0. Only doubles, so that means and deviations can be taken of all of it. */
typedef struct {
    double deletion[MV_FAITH_POINTS], insertion[MV_FAITH_POINTS];
    double deletion_area, insertion_area; /* trapezoid over the share of the pixels */
    double road_first[MV_FAITH_SHARES];   /* the most relevant pixels removed */
    double road_last[MV_FAITH_SHARES];    /* the least relevant ones removed */
    double road;                          /* mean of (last - first) / 2: -0.5 to 0.5, above 0 is good */
} mv_faith_score;

typedef struct {
    int seeds;
    mv_faith_score mean, spread; /* spread: sample standard deviation over the seeds; 0 for one seed. Of ROAD only the
                                    mean is given: it is 0, as an order and its reverse are equally probable */
} mv_faith_baseline;

typedef struct mv_faith mv_faith;

/* For one picture, planes (3, h, w) normalised, and one class of `classes`. The passes must be for h x w; both are
 * borrowed, and must outlive it. NULL on failure: MV_EMISUSE for an option or class out of range. */
mv_faith *mv_faith_new(const mv_faith_options *o, mv_passes *passes, const float *planes, int h, int w, int classes,
                       int class_, mv_error *e);
void mv_faith_free(mv_faith *f); /* NULL is fine */

/* The cells of MV_FAITH_CELL of an input of h x w: down, across. */
void mv_faith_grain(int h, int w, int grain[2]);

/* A map of values has an order; one of colours has none. */
bool mv_faith_has_order(const mv_map *map);

/* The score of one map over the whole picture, of one channel (MV_EMISUSE otherwise). Its values are averaged to the
 * grain, by the area of each cell (a map of fewer cells keeps its own), then brought to the input's size bilinearly
 * with half-pixel centres; pixels of equal value go by their index; a value that is not finite counts as the lowest. */
mv_status mv_faith_map(mv_faith *f, const mv_map *map, mv_faith_score *out, mv_error *e);

/* The scores of random maps: a random value for each cell of the grain, brought to the input's size like a map. As
 * coarse as the maps that are measured, so it does not differ from them by its texture. Borrowed until f is freed;
 * computed once. */
mv_status mv_faith_random(mv_faith *f, const mv_faith_baseline **out, mv_error *e);

/* The score of a map that knows nothing of the picture: a Gaussian in its middle, of a quarter of each side, on the
 * cells of the grain. Borrowed until f is freed; computed once. */
mv_status mv_faith_centre(mv_faith *f, const mv_faith_score **out, mv_error *e);

/* ---- of use alone */

/* The mean of the values v (h, w) over each cell of an (a, b) grid, a <= h and b <= w, by area: out (a, b). */
void mv_coarsen(float *out, int a, int b, const float *v, int h, int w);

/* Spearman's rank correlation of n values, equal values at their mean rank; 0 where all values of one are equal. NaN
 * without memory. */
double mv_rank_correlation(const float *a, const float *b, int n);

#endif
