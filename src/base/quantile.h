/* Quantiles of a list of numbers. */
#ifndef MV_QUANTILE_H
#define MV_QUANTILE_H

#include <stddef.h>

/* Sorts n values, the least first. None may be NaN. */
void mv_sort(double *v, size_t n);

/* The value below which a share (0 to 1) of the n >= 1 sorted values lies, linear between neighbours. */
double mv_quantile(const double *sorted, size_t n, double share);

#endif
