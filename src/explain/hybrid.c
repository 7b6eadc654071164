/* The method "hybrid": a rollout through every block of levels 3 and 2, on the grid of level 2. Attention blocks enter
 * with their rows, mixer blocks with the norms of their tokens' contributions (mixer.h), and the convolution of stride
 * 2 between the levels with its taps, evenly:
 *
 *     map = q^T R3 U R2        R = A~_last ... A~_first        A~ = (A / its row sums + I) / 2
 *
 * q is the same for all cells of level 3 (the network pools them), or, for a class, the positive part of its exact
 * evidence, scaled to sum 1. The raw values are shares of q; what falls on padding in either level is left out. Drawn
 * is the share times the number of cells: 1 is an even share.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/cam.h"
#include "src/explain/method.h"
#include "src/explain/rollout.h"

static void close_rollout(void *own)
{
    mv_rollout_free(own);
}

static mv_status open_rollout(void **own, const void *params, const mv_config *config, int h, int w, mv_error *e)
{
    (void)params;
    mv_rollout_options o = {.level = {[2] = true, [3] = true}, .attention = true, .mixers = true};
    *own = mv_rollout_new(&o, config, h, w, e);
    return *own ? MV_OK : e->code;
}

static mv_probe *probe_of(void *own)
{
    return mv_rollout_probe(own);
}

/* The weights (windows, T) of a class; *sum: of the positive evidence, 0 if no cell has any. */
static mv_status weigh_class(double *weight, double *sum, const mv_subject *s, const mv_grid *g, mv_error *e)
{
    mv_tensor norm;
    mv_map cam = {0};
    mv_status status = mv_subject_value(s, "norm", &norm, e);
    if (!status)
        status = mv_cam(&cam, s->model, norm, s->picture, s->class_, e);
    if (status)
        return status;
    *sum = 0;
    memset(weight, 0, (size_t)g->windows * (size_t)g->tokens * sizeof *weight);
    for (int i = 0; i < g->h * g->w; i++)
        *sum += fmax((double)cam.v[i], 0);
    const bool any = *sum > 0;
    for (int i = 0; any && i < g->h * g->w; i++) {
        int n, t;
        mv_grid_token(g, i / g->w, i % g->w, &n, &t);
        weight[(size_t)n * (size_t)g->tokens + (size_t)t] = fmax((double)cam.v[i], 0) / *sum;
    }
    mv_map_free(&cam);
    return MV_OK;
}

/* share (windows, T of level 2) of weights of level 3, which are overwritten. */
static mv_status go_down(double *share, double *weight, const mv_subject *s, mv_error *e)
{
    const mv_rollout *r = s->own;
    const mv_grid *g2 = mv_rollout_grid(r, 2), *g3 = mv_rollout_grid(r, 3);
    size_t all2 = (size_t)g2->windows * (size_t)g2->tokens, all3 = (size_t)g3->windows * (size_t)g3->tokens;
    double *through = malloc((all2 + all3) * sizeof *through);
    if (!through)
        return mv_fail_memory(e, "hybrid");
    mv_status status = mv_rollout_follow(through, r, s->picture, 3, weight, e);
    if (!status) {
        mv_rollout_bridge(through + all3, g2, through, g3);
        status = mv_rollout_follow(share, r, s->picture, 2, through + all3, e);
    }
    free(through);
    return status;
}

static mv_status draw(mv_map *map, const mv_subject *s, const double *share, mv_error *e)
{
    const mv_grid *g = mv_rollout_grid(s->own, 2);
    double ignored, kept = 0;
    mv_status status = mv_rows_map(map, &ignored, share, g, e);
    size_t n = (size_t)g->h * (size_t)g->w;
    if (!status)
        status = mv_map_keep_raw(map, e);
    if (status)
        return status;
    for (size_t i = 0; i < n; i++) {
        kept += (double)map->v[i];
        map->v[i] *= (float)n;
    }
    snprintf(map->unit, sizeof map->unit, "× even");
    map->query = "pooled";
    mv_rollout_describe(map, "hybrid", g, kept > 0 ? fmax(0, 1 - kept) : 0);
    mv_rows_figures(map, g, (mv_query){.kind = MV_QUERY_POOLED});
    return MV_OK;
}

static mv_status explain(const mv_subject *s, const void *params, mv_maps *out, mv_error *e)
{
    (void)params;
    const mv_grid *g2 = mv_rollout_grid(s->own, 2), *g3 = mv_rollout_grid(s->own, 3);
    size_t all2 = (size_t)g2->windows * (size_t)g2->tokens, all3 = (size_t)g3->windows * (size_t)g3->tokens;
    bool of_class = s->class_ != MV_MAP_NONE;
    double *weight = malloc((all2 + all3) * sizeof *weight), sum = 1;
    mv_map *map = weight ? mv_maps_add(out, e) : NULL;
    mv_status status = weight ? MV_OK : mv_fail_memory(e, "hybrid");
    if (!status && !map)
        status = MV_ENOMEM;
    if (!status && of_class)
        status = weigh_class(weight, &sum, s, g3, e);
    else if (!status)
        mv_query_weights(weight, (mv_query){.kind = MV_QUERY_POOLED}, g3);
    if (!status)
        status = go_down(weight + all3, weight, s, e);
    if (!status)
        status = draw(map, s, weight + all3, e);
    free(weight);
    if (status)
        return status;
    if (of_class) {
        mv_subject_title(s, map);
        if (sum <= 0)
            snprintf(map->proof, sizeof map->proof, "no cell has positive evidence for the class: the map is empty");
    } else
        snprintf(map->title, sizeof map->title, "Hybrid rollout");
    return MV_OK;
}

const mv_method mv_method_hybrid = {
    .name = "hybrid",
    .title = "Hybrid rollout",
    .summary = "what the pooled output, or the evidence for a class, looks at through all blocks of levels 3 and 2",
    .source = "rollout: Abnar & Zuidema 2020, arXiv 2005.00928; contributions after LaTIM 2025, arXiv 2502.15612",
    .cost = "one forward pass, and several times the work of the mixers",
    .measured = "deletion 0.38, insertion 0.55; beats random cells at both, the blob at neither",
    .takes = MV_MAY_TAKE_CLASS,
    .keeps = "norm",
    .open = open_rollout,
    .probe = probe_of,
    .close = close_rollout,
    .explain = explain,
};
