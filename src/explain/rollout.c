#include "src/explain/rollout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/ops.h"

typedef struct {
    mv_grid grid;
    int blocks, first, last; /* that the rollout goes through; 0: the level was not chosen */
    mv_tensor held[2], rows; /* of the current batch: two matrices in turn, and the one with the product so far */
    int seen;                /* pictures that `matrix` has entries for */
    float **matrix;          /* (windows, T, T) of each picture, or NULL */
} stage;

struct mv_rollout {
    mv_probe probe;
    mv_rollout_options options;
    mv_config config;
    stage level[MV_LEVELS];
};

/* ---- the probe */

/* True if the rollout goes through the block. */
static bool passes(const mv_rollout *r, int level, int block)
{
    const mv_config *c = &r->config;
    if (level < 2 || level >= MV_LEVELS || !r->options.level[level] || block < 0 || block >= c->depth[level])
        return false;
    return mv_config_attends(c->depth[level], block) ? r->options.attention : r->options.mixers;
}

/* The level and block of a site that has rows; false for any other site. */
static bool block_of(const mv_rollout *r, const char *site, int *level, int *block)
{
    int used = 0;
    if (sscanf(site, "levels.%d.blocks.%d.mixer.%n", level, block, &used) != 2 || !used || !passes(r, *level, *block))
        return false;
    bool attends = mv_config_attends(r->config.depth[*level], *block);
    return strcmp(site + used, attends ? "attn" : "contributions") == 0;
}

static bool wants(mv_probe *p, const char *site)
{
    int level, block;
    return block_of((mv_rollout *)p, site, &level, &block);
}

static bool sees(mv_probe *p, mv_run *run, const mv_site_info *site, mv_view v)
{
    mv_rollout *r = (mv_rollout *)p;
    int level = 0, block = 0;
    block_of(r, site->name, &level, &block);
    stage *s = &r->level[level];
    int n = mv_run_pictures(run) * s->grid.windows, t = s->grid.tokens;
    if (v.dim[0] != n || v.dim[v.nd - 1] != t) {
        char found[64];
        mv_run_fail(run, MV_EMISUSE, "%s: found rows of %s, expected %d windows of %d tokens", site->name,
                    mv_shape_text(found, v.nd, v.dim), n, t);
        return false;
    }
    if (block == s->first)
        for (int i = 0; i < 2; i++)
            s->held[i] = mv_scratch_hold(run, MV_F32, 3, n, t, t);
    mv_tensor before = {0}, rows = mv_tensor_of(v.data, MV_F32, 3, n, t, t);
    if (block != s->first)
        before = s->rows;
    s->rows = s->held[before.data == s->held[0].data && before.nd];
    if (v.nd == 4) {
        rows = mv_scratch_new(run, MV_F32, 3, n, t, t);
        mv_mean_heads(run, rows, mv_tensor_of(v.data, MV_F32, 4, n, v.dim[1], t, t));
    }
    mv_roll(run, s->rows, rows, before);
    if (block == s->last)
        mv_run_keep(run, p, site->name, 0, mv_view_of(s->rows));
    return false;
}

static void clear(stage *s)
{
    for (int i = 0; i < s->seen; i++)
        free(s->matrix[i]);
    free(s->matrix);
    s->matrix = NULL;
    s->seen = 0;
}

static mv_status take(stage *s, int first, int pictures, const float *rows, mv_error *e)
{
    size_t each = (size_t)s->grid.windows * (size_t)s->grid.tokens * (size_t)s->grid.tokens;
    if (first == 0)
        clear(s); /* a new forward */
    float **more = realloc(s->matrix, (size_t)(first + pictures) * sizeof *more);
    if (!more)
        return mv_fail_memory(e, "rollout");
    s->matrix = more;
    for (; s->seen < first + pictures; s->seen++)
        more[s->seen] = NULL;
    for (int i = first; i < first + pictures; i++, rows += each) {
        free(more[i]);
        more[i] = malloc(each * sizeof *rows);
        if (!more[i])
            return mv_fail_memory(e, "rollout");
        memcpy(more[i], rows, each * sizeof *rows);
    }
    return MV_OK;
}

static void kept(mv_probe *p, mv_run *run, const char *site, int part, mv_tensor value)
{
    mv_rollout *r = (mv_rollout *)p;
    mv_error e = {0};
    int level = 0, block = 0;
    (void)part;
    block_of(r, site, &level, &block);
    if (take(&r->level[level], mv_run_first(run), mv_run_pictures(run), value.data, &e))
        mv_run_fail(run, e.code, "%s", e.text);
}

/* ---- the object */

static mv_status prepare(mv_rollout *r, int h, int w, mv_error *e)
{
    const mv_rollout_options *o = &r->options;
    for (int i = 0; i < MV_LEVELS; i++) {
        stage *s = &r->level[i];
        s->grid = mv_grid_of(&r->config, i, h, w);
        for (int j = 0; j < r->config.depth[i]; j++)
            if (passes(r, i, j)) {
                s->first = s->blocks++ ? s->first : j;
                s->last = j;
            }
        if (o->level[i] && !s->blocks)
            return mv_fail(e, MV_EINPUT, "rollout: found no %s block in level %d, expected at least one",
                           !o->mixers      ? "attention"
                           : !o->attention ? "mixer"
                                           : "attention or mixer",
                           i);
    }
    return MV_OK;
}

mv_rollout *mv_rollout_new(const mv_rollout_options *options, const mv_config *config, int h, int w, mv_error *e)
{
    mv_rollout *r = calloc(1, sizeof *r);
    if (!r) {
        mv_fail_memory(e, "rollout");
        return NULL;
    }
    *r = (mv_rollout){.probe = {.wants = wants, .sees = sees, .kept = kept}, .options = *options, .config = *config};
    if (prepare(r, h, w, e)) {
        mv_rollout_free(r);
        return NULL;
    }
    return r;
}

void mv_rollout_free(mv_rollout *r)
{
    if (!r)
        return;
    for (int i = 0; i < MV_LEVELS; i++)
        clear(&r->level[i]);
    free(r);
}

mv_probe *mv_rollout_probe(mv_rollout *r)
{
    return &r->probe;
}

const mv_grid *mv_rollout_grid(const mv_rollout *r, int level)
{
    return &r->level[level].grid;
}

/* ---- results */

const float *mv_rollout_rows(const mv_rollout *r, int picture, int level)
{
    if (level < 0 || level >= MV_LEVELS || picture < 0 || picture >= r->level[level].seen)
        return NULL;
    return r->level[level].matrix[picture];
}

mv_status mv_rollout_follow(double *to, const mv_rollout *r, int picture, int level, const double *weight, mv_error *e)
{
    const float *row = mv_rollout_rows(r, picture, level);
    if (!row)
        return mv_fail(e, MV_EMISUSE, "rollout: level %d of picture %d was not seen", level, picture);
    const mv_grid *g = mv_rollout_grid(r, level);
    size_t tokens = (size_t)g->tokens, all = (size_t)g->windows * tokens;
    memset(to, 0, all * sizeof *to);
    for (size_t i = 0; i < all; i++, row += tokens)
        for (size_t k = 0; k < tokens && weight[i] != 0; k++)
            to[i / tokens * tokens + k] += weight[i] * (double)row[k];
    return MV_OK;
}

/* The indices 2 i - 1 to 2 i + 1 that are at least 0 and less than n. */
static void taps(int i, int n, int *from, int *to)
{
    *from = i > 0 ? 2 * i - 1 : 0;
    *to = 2 * i + 2 < n ? 2 * i + 2 : n;
}

void mv_rollout_bridge(double *to, const mv_grid *level2, const double *from, const mv_grid *level3)
{
    memset(to, 0, (size_t)level2->windows * (size_t)level2->tokens * sizeof *to);
    for (int y = 0; y < level3->h; y++)
        for (int x = 0; x < level3->w; x++) {
            int n, t, top, bottom, left, right;
            mv_grid_token(level3, y, x, &n, &t);
            taps(y, level2->h, &top, &bottom);
            taps(x, level2->w, &left, &right);
            double each = from[(size_t)n * (size_t)level3->tokens + (size_t)t] / ((bottom - top) * (right - left));
            for (int v = top; v < bottom; v++)
                for (int u = left; u < right; u++) {
                    mv_grid_token(level2, v, u, &n, &t);
                    to[(size_t)n * (size_t)level2->tokens + (size_t)t] += each;
                }
        }
}

/* ---- maps */

void mv_rollout_describe(mv_map *map, const char *method, const mv_grid *g, double on_padding)
{
    mv_grid_describe(map, g);
    map->method = method;
    map->on_padding = on_padding;
    snprintf(map->raw_unit, sizeof map->raw_unit, "share of the query");
    mv_map_range(map);
}

mv_status mv_rollout_map(mv_map *out, const mv_rollout *r, int picture, int level, mv_query query, const char *method,
                         const char *title, mv_error *e)
{
    const mv_grid *g = mv_rollout_grid(r, level);
    size_t all = (size_t)g->windows * (size_t)g->tokens;
    double *weight = malloc(2 * all * sizeof *weight), on_padding = 0;
    mv_map share = {0};
    *out = (mv_map){0};
    if (!weight)
        return mv_fail_memory(e, "rollout");
    mv_query_weights(weight, query, g);
    mv_status s = mv_rollout_follow(weight + all, r, picture, level, weight, e);
    if (!s)
        s = mv_rows_map(&share, &on_padding, weight + all, g, e);
    if (!s)
        s = mv_rows_against_even(out, &share, query, g, e);
    free(weight);
    if (s) {
        mv_map_free(&share);
        return s;
    }
    out->raw = share.v;
    mv_query_describe(out, query);
    snprintf(out->title, sizeof out->title, "%.60s, level %d", title, level);
    mv_rollout_describe(out, method, g, on_padding);
    mv_rows_figures(out, g, query);
    return MV_OK;
}
