/* Statistics over pictures: bootstrap intervals of a mean, and how well the probabilities of answers are calibrated.
 */
#ifndef MV_TRUST_H
#define MV_TRUST_H

#include <stdint.h>

#include "src/base/status.h"

enum { MV_RESAMPLES = 1000, MV_CALIBRATION_BINS = 15 };

typedef struct {
    int n;                  /* values that are not NaN; only they count */
    double mean, low, high; /* NaN for none */
} mv_estimate;

/* The mean of n values, and the percentile interval of 95 % of MV_RESAMPLES bootstrap means (Efron 1979) from this
 * seed. The same values in the same order give the same interval. */
mv_status mv_bootstrap(mv_estimate *out, const double *values, int n, uint64_t seed, mv_error *e);

/* Answers of one range of probabilities. */
typedef struct {
    int n;
    double confidence, accuracy; /* means; 0 for none */
} mv_calibration_bin;

typedef struct {
    int n;
    mv_calibration_bin bin[MV_CALIBRATION_BINS]; /* bin k: above k / 15, up to (k + 1) / 15 */
    double error;                                /* sum of n_k / n |accuracy_k - confidence_k| */
    double confidence;                           /* mean of all */
} mv_calibration;

/* Expected calibration error with 15 even bins (Guo et al. 2017, arXiv 1706.04599) of answers with probabilities p, and
 * whether each was right (1 or 0). */
void mv_calibrate(mv_calibration *out, const double *p, const double *right, int n);

#endif
