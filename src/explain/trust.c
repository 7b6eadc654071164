#include "src/explain/trust.h"

#include <math.h>
#include <stdlib.h>

#include "src/base/quantile.h"
#include "src/base/random.h"

mv_status mv_bootstrap(mv_estimate *out, const double *values, int n, uint64_t seed, mv_error *e)
{
    *out = (mv_estimate){0, NAN, NAN, NAN};
    double *v = malloc(((size_t)n + 1) * sizeof *v), means[MV_RESAMPLES], sum = 0;
    if (!v)
        return mv_fail_memory(e, "bootstrap");
    for (int i = 0; i < n; i++)
        if (!isnan(values[i])) {
            v[out->n++] = values[i];
            sum += values[i];
        }
    if (out->n) {
        out->mean = sum / out->n;
        for (int k = 0; k < MV_RESAMPLES; k++) {
            means[k] = 0;
            for (int i = 0; i < out->n; i++) /* the high half of a product with n: an index without a division */
                means[k] += v[(mv_random_next(&seed) >> 32) * (uint64_t)out->n >> 32];
            means[k] /= out->n;
        }
        mv_sort(means, MV_RESAMPLES);
        out->low = mv_quantile(means, MV_RESAMPLES, 0.025);
        out->high = mv_quantile(means, MV_RESAMPLES, 0.975);
    }
    free(v);
    return MV_OK;
}

void mv_calibrate(mv_calibration *out, const double *p, const double *right, int n)
{
    *out = (mv_calibration){.n = n};
    for (int i = 0; i < n; i++) {
        int k = (int)ceil(p[i] * MV_CALIBRATION_BINS) - 1;
        mv_calibration_bin *b = &out->bin[k < 0 ? 0 : k >= MV_CALIBRATION_BINS ? MV_CALIBRATION_BINS - 1 : k];
        b->n++;
        b->confidence += p[i];
        b->accuracy += right[i];
        out->confidence += p[i] / n;
    }
    for (int k = 0; k < MV_CALIBRATION_BINS; k++) {
        mv_calibration_bin *b = &out->bin[k];
        if (b->n == 0)
            continue;
        b->confidence /= b->n;
        b->accuracy /= b->n;
        out->error += fabs(b->accuracy - b->confidence) * b->n / n;
    }
}
