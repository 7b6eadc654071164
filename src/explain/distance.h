/* How far two sets of values are apart: relative L2, cosine, and the largest difference with its place. Values are
 * added in pieces, and the sums are taken in double.
 */
#ifndef MV_EXPLAIN_DISTANCE_H
#define MV_EXPLAIN_DISTANCE_H

#include <stddef.h>

#include "src/base/map.h"

/* Start with {0}. */
typedef struct {
    double a, b, aa, bb, ab, dd; /* sums of a, b, a^2, b^2, a b and (b - a)^2 */
    double largest;              /* |b - a| */
    size_t at;                   /* its index, counted over all pieces */
    double a_there, b_there;
    size_t n, odd; /* pairs; of these, pairs with a value that is not finite: they are in no sum */
} mv_distance;

void mv_distance_add(mv_distance *d, const float *a, const float *b, size_t n);

/* |b - a| / |a|, Euclidean norms: 0 where b = a; infinite where only a is 0, and where any value is not finite. */
double mv_distance_relative(const mv_distance *d);

/* a . b / (|a| |b|): 1 for b = s a with s > 0. 1 where both are 0, and NaN where one is
 * or no pair is finite. */
double mv_distance_cosine(const mv_distance *d);

/* Pearson's correlation: the cosine of both less their means, which an offset does not change. NaN where one is
 * constant, and 1 where both are the same constant. */
double mv_distance_correlation(const mv_distance *d);

/* The distance of two maps of one shape (MV_EMISUSE otherwise), as they are drawn (mv_map.v). */
mv_status mv_distance_of_maps(mv_distance *out, const mv_map *a, const mv_map *b, mv_error *e);

#endif
