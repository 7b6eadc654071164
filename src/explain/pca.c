#include "src/explain/pca.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/quantile.h"
#include "src/explain/cells.h"
#include "src/explain/method.h"
#include "src/explain/params.h"
#include "src/explain/principal.h"

/* ---- colours */

/* The 2nd and 98th percentile of component k of n cells. */
static void range_of(double range[2], const double *score, size_t n, int k, double *sorted)
{
    for (size_t i = 0; i < n; i++)
        sorted[i] = score[i * MV_PCA_COLOURS + (size_t)k];
    mv_sort(sorted, n);
    range[0] = mv_quantile(sorted, n, 0.02);
    range[1] = mv_quantile(sorted, n, 0.98);
}

/* Gives a map its colours and raw values from its cells' projections. */
static mv_status colour(mv_map *map, const double *score, double range[MV_PCA_COLOURS][2], mv_error *e)
{
    size_t values = (size_t)map->h * (size_t)map->w * MV_PCA_COLOURS;
    float *v = malloc(values * sizeof *v), *raw = malloc(values * sizeof *raw);
    if (!v || !raw) {
        free(v);
        free(raw);
        return mv_fail_memory(e, "pca");
    }
    for (size_t i = 0; i < values; i++) {
        const double *r = range[i % MV_PCA_COLOURS];
        double t = r[1] > r[0] ? (score[i] - r[0]) / (r[1] - r[0]) : 0.5;
        v[i] = (float)fmin(fmax(t, 0), 1);
        raw[i] = (float)score[i];
    }
    free(map->v);
    free(map->raw);
    map->v = v;
    map->raw = raw;
    map->channels = MV_PCA_COLOURS;
    mv_map_range(map);
    return MV_OK;
}

static void add_shares(mv_map *map, const double share[MV_PCA_COLOURS])
{
    static const char *const names[] = {"red", "green", "blue"}, *const keys[] = {"red_share", "green_share",
                                                                                  "blue_share"};
    map->figures = 0;
    for (int k = 0; k < MV_PCA_COLOURS; k++)
        mv_map_figure(map, names[k], keys[k], "of 1", 2, share[k]);
}

mv_status mv_pca_colour(mv_map *const maps[], const float *const features[], int n, int channels, mv_error *e)
{
    size_t cells = 0, width = (size_t)channels;
    for (int i = 0; i < n; i++)
        cells += (size_t)maps[i]->h * (size_t)maps[i]->w;
    float *x = malloc(cells * width * sizeof *x), *to = x;
    double *score = malloc(cells * MV_PCA_COLOURS * sizeof *score), *sorted = malloc(cells * sizeof *sorted),
           share[MV_PCA_COLOURS], range[MV_PCA_COLOURS][2];
    mv_status s = x && score && sorted ? MV_OK : mv_fail_memory(e, "pca");
    for (int i = 0; i < n && !s; i++) {
        size_t values = (size_t)maps[i]->h * (size_t)maps[i]->w * width;
        memcpy(to, features[i], values * sizeof *to);
        to += values;
    }
    if (!s)
        s = mv_principal(score, share, x, cells, width, MV_PCA_COLOURS, e);
    for (int k = 0; k < MV_PCA_COLOURS && !s; k++)
        range_of(range[k], score, cells, k, sorted);
    const double *from = score;
    for (int i = 0; i < n && !s; i++) {
        s = colour(maps[i], from, range, e);
        from += (size_t)maps[i]->h * (size_t)maps[i]->w * MV_PCA_COLOURS;
        add_shares(maps[i], share);
    }
    free(x);
    free(score);
    free(sorted);
    return s;
}

/* ---- the method */

typedef struct {
    const char *site;
} params;

static const mv_param param[] = {MV_SHARED_SITE(offsetof(params, site), "the features to use"), {0}};

static mv_status open_cells(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    *own = mv_cells_new("pca: site", ((const params *)p)->site, config, h, w, e);
    return *own ? MV_OK : e->code;
}

static mv_probe *probe_of(void *own)
{
    return mv_cells_probe(own);
}

static void close_cells(void *own)
{
    mv_cells_free(own);
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    const mv_cells *c = s->own;
    float *x = mv_cells_read(c, s->picture, e);
    mv_map *map = x ? mv_maps_add(out, e) : NULL;
    mv_status status = map ? mv_cells_map(map, c, "pca", e) : e->code;
    if (!status) {
        snprintf(map->title, sizeof map->title, "Features of %.60s", mv_cells_site(c));
        snprintf(map->unit, sizeof map->unit, "2nd to 98th percentile");
        snprintf(map->raw_unit, sizeof map->raw_unit, "along the direction");
        snprintf(map->proof, sizeof map->proof, "three values as one colour: needs colour, in print and to the eye");
        status = mv_pca_colour(&map, (const float *const *)&x, 1, mv_cells_channels(c), e);
    }
    free(x);
    return status;
}

const mv_method mv_method_pca = {
    .name = "pca",
    .title = "Principal components as colours",
    .summary = "which cells have similar features: the first three principal components as red, green and blue",
    .source = "Oquab et al. 2023, arXiv 2304.07193",
    .measured = "not measured: colours have no order",
    .cost = "one forward pass",
    .params = param,
    .size = sizeof(params),
    .open = open_cells,
    .probe = probe_of,
    .close = close_cells,
    .explain = explain,
};
