/* Principal directions of features: the leading right singular vectors of a matrix whose columns have mean 0. They are
 * found by subspace iteration with Rayleigh-Ritz on the smaller Gram matrix, in double.
 */
#ifndef MV_EXPLAIN_PRINCIPAL_H
#define MV_EXPLAIN_PRINCIPAL_H

#include <stddef.h>

#include "src/base/status.h"

enum { MV_PRINCIPAL_MOST = 8 };

/* The projections of n rows x (n, channels) on the first `k` principal directions of the rows less their mean: out (n,
 * k), columns by falling variance. The sign of a column is such that its value of largest magnitude is positive; of two
 * of equal magnitude and unlike sign, the positive one counts. Columns without variance are 0. share[i] receives the
 * part of the total variance that column i has, 0 to 1; NULL: not wanted. k is 1 to MV_PRINCIPAL_MOST. Only MV_ENOMEM.
 */
mv_status mv_principal(double *out, double *share, const float *x, size_t n, size_t channels, int k, mv_error *e);

#endif
