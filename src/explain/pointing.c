#include "src/explain/pointing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/upsample.h"

static mv_status at_pixels(double **out, const mv_map *map, int h, int w, mv_error *e)
{
    *out = NULL;
    if (map->channels > 1 || map->h < 1 || map->w < 1)
        return mv_fail(e, MV_EMISUSE, "pointing: found a map of %d channels, expected one", map->channels);
    *out = malloc((size_t)h * (size_t)w * sizeof **out);
    if (!*out)
        return mv_fail_memory(e, "pointing");
    mv_upsample_exact(*out, h, w, mv_map_raw(map), map->h, map->w);
    return MV_OK;
}

mv_status mv_pointing(const mv_map *map, const bool *inside, int h, int w, bool *hit, double *energy, mv_error *e)
{
    double *up, all = 0, in = 0;
    mv_status s = at_pixels(&up, map, h, w, e);
    if (s)
        return s;
    size_t best = 0, n = (size_t)h * (size_t)w;
    for (size_t i = 0; i < n; i++) {
        double v = up[i] > 0 ? up[i] : 0;
        all += v;
        in += inside[i] ? v : 0;
        if (up[i] > up[best] || isnan(up[best]))
            best = i;
    }
    *hit = inside[best];
    *energy = all > 0 ? in / all : NAN;
    free(up);
    return MV_OK;
}

/* The share of pixel `from` of n that output pixel `to` of `size` covers. */
static double covers(int to, int size, int from, int n)
{
    double a = (double)to * n / size, b = (double)(to + 1) * n / size;
    return fmax(0, fmin(b, from + 1) - fmax(a, from)) * size / n;
}

/* (n lines of `count` values, `step` apart) to `size` lines. */
static void shrink(double *out, int size, const double *in, int n, size_t count, size_t line, size_t step,
                   size_t out_line)
{
    for (int to = 0; to < size; to++)
        for (size_t k = 0; k < count; k++) {
            double sum = 0;
            for (int from = to * n / size; from < n && from < (to + 1.0) * n / size; from++)
                sum += covers(to, size, from, n) * in[(size_t)from * line + k * step];
            out[(size_t)to * out_line + k * step] = sum;
        }
}

mv_status mv_quarters_make(float *out, const float *const in[4], int h, int w, mv_error *e)
{
    size_t W = (size_t)w, pixels = (size_t)h * W;
    double *plane = malloc(3 * pixels * sizeof *plane);
    if (!plane)
        return mv_fail_memory(e, "quarters");
    double *rows = plane + pixels, *small = rows + pixels;
    for (int q = 0; q < 4; q++) {
        int top = q / 2 ? h / 2 : 0, left = q % 2 ? w / 2 : 0, qh = q / 2 ? h - h / 2 : h / 2,
            qw = q % 2 ? w - w / 2 : w / 2;
        for (size_t c = 0; c < 3; c++) {
            for (size_t i = 0; i < pixels; i++)
                plane[i] = (double)in[q][c * pixels + i];
            shrink(rows, qh, plane, h, W, W, 1, W);
            shrink(small, qw, rows, w, (size_t)qh, 1, W, 1);
            for (int y = 0; y < qh; y++)
                for (int x = 0; x < qw; x++)
                    out[c * pixels + (size_t)(top + y) * W + (size_t)(left + x)] =
                        (float)small[(size_t)y * W + (size_t)x];
        }
    }
    free(plane);
    return MV_OK;
}

mv_status mv_quarters_share(const mv_map *map, int quarter, int h, int w, double *share, mv_error *e)
{
    bool *inside = malloc((size_t)h * (size_t)w * sizeof *inside), hit;
    if (!inside)
        return mv_fail_memory(e, "quarters");
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            inside[(size_t)y * (size_t)w + (size_t)x] = (y >= h / 2) * 2 + (x >= w / 2) == quarter;
    mv_status s = mv_pointing(map, inside, h, w, &hit, share, e);
    free(inside);
    return s;
}
