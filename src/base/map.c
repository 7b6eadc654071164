#include "src/base/map.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

mv_status mv_map_new(mv_map *out, int h, int w, mv_error *e)
{
    *out = (mv_map){.h = h, .w = w};
    if (h < 1 || w < 1)
        return mv_fail(e, MV_EMISUSE, "map: a size of %dx%d, expected at least 1x1", h, w);
    out->v = calloc((size_t)h * (size_t)w, sizeof *out->v);
    return out->v ? MV_OK : mv_fail_memory(e, "map");
}

void mv_map_free(mv_map *map)
{
    if (!map)
        return;
    free(map->v);
    map->v = NULL;
}

void mv_map_range(mv_map *map)
{
    float lo = INFINITY, hi = -INFINITY;
    for (int i = 0; i < map->h * map->w; i++)
        if (isfinite(map->v[i])) {
            lo = fminf(lo, map->v[i]);
            hi = fmaxf(hi, map->v[i]);
        }
    map->lo = lo <= hi ? lo : 0;
    map->hi = lo <= hi ? hi : 0;
}

double mv_map_mean(const mv_map *map)
{
    double sum = 0;
    int n = map->h * map->w;
    for (int i = 0; i < n; i++)
        sum += (double)map->v[i];
    return sum / n;
}

/* The two cells around `at` (in cells, half-pixel centres) and the share of the second. */
static float neighbours(float at, int n, int *first, int *second)
{
    float t = fminf(fmaxf(at - 0.5f, 0), (float)(n - 1));
    int i = (int)t;
    if (i > n - 2)
        i = n > 1 ? n - 2 : 0;
    *first = i;
    *second = i + 1 < n ? i + 1 : n - 1;
    return t - (float)i;
}

float mv_map_sample(const mv_map *map, float y, float x)
{
    int y0, y1, x0, x1;
    float fy = neighbours(y, map->h, &y0, &y1), fx = neighbours(x, map->w, &x0, &x1);
    const float *a = map->v + (size_t)y0 * (size_t)map->w, *b = map->v + (size_t)y1 * (size_t)map->w;
    float left = a[x0] * (1 - fy) + b[x0] * fy, right = a[x1] * (1 - fy) + b[x1] * fy;
    return left * (1 - fx) + right * fx;
}

mv_status mv_map_resize(mv_map *out, const mv_map *in, int h, int w, mv_error *e)
{
    mv_status s = mv_map_new(out, h, w, e);
    if (s)
        return s;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            out->v[y * w + x] = mv_map_sample(in, ((float)y + 0.5f) * (float)in->h / (float)h,
                                              ((float)x + 0.5f) * (float)in->w / (float)w);
    out->diverging = in->diverging;
    memcpy(out->title, in->title, sizeof out->title);
    memcpy(out->unit, in->unit, sizeof out->unit);
    mv_map_range(out);
    return MV_OK;
}

mv_status mv_map_subtract(mv_map *out, const mv_map *a, const mv_map *b, mv_error *e)
{
    if (a->h != b->h || a->w != b->w)
        return mv_fail(e, MV_EMISUSE, "map: %dx%d cells less %dx%d, expected one shape", a->h, a->w, b->h, b->w);
    mv_status s = mv_map_new(out, a->h, a->w, e);
    if (s)
        return s;
    for (int i = 0; i < a->h * a->w; i++)
        out->v[i] = a->v[i] - b->v[i];
    out->diverging = true;
    memcpy(out->unit, a->unit, sizeof out->unit);
    mv_map_range(out);
    return MV_OK;
}
