#include "src/explain/distance.h"

#include <math.h>

void mv_distance_add(mv_distance *d, const float *a, const float *b, size_t n)
{
    double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0, dd = 0;
    for (size_t i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i], apart = y - x;
        if (!isfinite(apart)) {
            d->odd++;
            continue;
        }
        sa += x;
        sb += y;
        aa += x * x;
        bb += y * y;
        ab += x * y;
        dd += apart * apart;
        if (fabs(apart) > d->largest) {
            d->largest = fabs(apart);
            d->at = d->n + i;
            d->a_there = x;
            d->b_there = y;
        }
    }
    d->a += sa;
    d->b += sb;
    d->aa += aa;
    d->bb += bb;
    d->ab += ab;
    d->dd += dd;
    d->n += n;
}

double mv_distance_relative(const mv_distance *d)
{
    if (d->odd || (d->aa <= 0 && d->dd > 0))
        return (double)INFINITY;
    return d->dd > 0 ? sqrt(d->dd / d->aa) : 0;
}

double mv_distance_cosine(const mv_distance *d)
{
    if (d->odd == d->n && d->n > 0) /* no pair is finite */
        return (double)NAN;
    if (d->aa <= 0 || d->bb <= 0)
        return d->aa <= 0 && d->bb <= 0 ? 1 : (double)NAN;
    return fmax(-1, fmin(1, d->ab / (sqrt(d->aa) * sqrt(d->bb))));
}

double mv_distance_correlation(const mv_distance *d)
{
    double n = (double)(d->n - d->odd), va = d->aa - d->a * d->a / n, vb = d->bb - d->b * d->b / n;
    double least_a = 1e-12 * d->aa, least_b = 1e-12 * d->bb; /* rounding of a constant */
    if (!d->odd && d->dd <= 0)
        return 1;
    if (!(va > least_a && vb > least_b))
        return (double)NAN;
    return fmax(-1, fmin(1, (d->ab - d->a * d->b / n) / (sqrt(va) * sqrt(vb))));
}

mv_status mv_distance_of_maps(mv_distance *out, const mv_map *a, const mv_map *b, mv_error *e)
{
    *out = (mv_distance){0};
    if (a->h != b->h || a->w != b->w || a->channels != b->channels)
        return mv_fail(e, MV_EMISUSE, "distance: found maps of %dx%d and %dx%d cells, expected one shape", a->h, a->w,
                       b->h, b->w);
    mv_distance_add(out, mv_map_compared(a), mv_map_compared(b),
                    (size_t)a->h * (size_t)a->w * (size_t)(a->channels > 1 ? a->channels : 1));
    return MV_OK;
}
