#include "src/explain/rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int cells_in(const mv_grid *g, int n)
{
    int rows, columns;
    mv_grid_extent(g, n, &rows, &columns);
    return rows * columns;
}

/* ---- queries */

bool mv_cell_parse(const char *text, int *y, int *x)
{
    int used = 0;
    return sscanf(text, "%5d,%5d%n", y, x, &used) == 2 && !text[used];
}

mv_status mv_query_parse(mv_query *out, const char *text, const char *place, mv_error *e)
{
    int y, x;
    if (strcmp(text, "pooled") == 0)
        *out = (mv_query){.kind = MV_QUERY_POOLED};
    else if (strcmp(text, "received") == 0)
        *out = (mv_query){.kind = MV_QUERY_RECEIVED};
    else if (mv_cell_parse(text, &y, &x))
        *out = (mv_query){MV_QUERY_CELL, y, x};
    else
        return mv_fail(e, MV_EINPUT, "%s: found '%.60s', expected pooled, received or a cell as Y,X", place, text);
    return MV_OK;
}

mv_status mv_query_check(mv_query q, const mv_grid *g, mv_error *e)
{
    if (q.kind != MV_QUERY_CELL || (q.y >= 0 && q.x >= 0 && q.y < g->h && q.x < g->w))
        return MV_OK;
    return mv_fail(e, MV_EINPUT, "query %d,%d: outside of level %d's %d x %d cells, expected Y,X from 0,0 to %d,%d",
                   q.y, q.x, g->level, g->h, g->w, g->h - 1, g->w - 1);
}

void mv_query_describe(mv_map *map, mv_query q)
{
    static const char *const words[] = {
        [MV_QUERY_POOLED] = "pooled", [MV_QUERY_RECEIVED] = "received", [MV_QUERY_CELL] = "cell"};
    map->query = words[q.kind];
    map->query_y = q.y;
    map->query_x = q.x;
}

/* Weight of each real cell of window n, unless the query is one cell. */
static double weight_in(mv_query q, const mv_grid *g, int n)
{
    return q.kind == MV_QUERY_POOLED ? 1 / ((double)g->h * g->w) : 1.0 / cells_in(g, n);
}

void mv_query_weights(double *weight, mv_query q, const mv_grid *g)
{
    size_t tokens = (size_t)g->tokens;
    memset(weight, 0, (size_t)g->windows * tokens * sizeof *weight);
    if (q.kind == MV_QUERY_CELL) {
        int n, t;
        mv_grid_token(g, q.y, q.x, &n, &t);
        weight[(size_t)n * tokens + (size_t)t] = 1;
        return;
    }
    for (int n = 0; n < g->windows; n++) {
        double each = weight_in(q, g, n);
        for (int t = 0, y, x; t < g->tokens; t++)
            if (mv_grid_cell(g, n, t, &y, &x))
                weight[(size_t)n * tokens + (size_t)t] = each;
    }
}

float *mv_query_constant(mv_query q, const mv_grid *g)
{
    size_t n = (size_t)g->windows * (size_t)g->tokens;
    double *weight = malloc(n * sizeof *weight);
    float *out = weight ? malloc(n * sizeof *out) : NULL;
    if (out)
        mv_query_weights(weight, q, g);
    for (size_t i = 0; out && i < n; i++)
        out[i] = (float)weight[i];
    free(weight);
    return out;
}

/* The sum of the weights in window n. */
static double mass_in(mv_query q, const mv_grid *g, int n)
{
    if (q.kind != MV_QUERY_CELL)
        return weight_in(q, g, n) * cells_in(g, n);
    int of, t;
    mv_grid_token(g, q.y, q.x, &of, &t);
    return n == of;
}

/* ---- figures */

static double most_entropy(const mv_grid *g)
{
    return g->tokens > 1 ? log(g->tokens) : 1; /* one token alone has no entropy to divide */
}

static void average(mv_rows_stats *s, double entropy, double distance, double padding)
{
    s->rows++;
    s->entropy += (entropy - s->entropy) / s->rows;
    s->distance += (distance - s->distance) / s->rows;
    s->padding += (padding - s->padding) / s->rows;
}

void mv_rows_average(mv_rows_stats *s, const mv_grid *g, int n, const float *figures)
{
    int rows, columns;
    mv_grid_extent(g, n, &rows, &columns);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            const float *f = figures + ((size_t)y * (size_t)g->window + (size_t)x) * 3;
            average(s, (double)f[0] / most_entropy(g), g->cell * (double)f[1], (double)f[2]);
        }
}

/* The point from which distances are measured, in cells: the query's cell, or the centre of mass. */
static void centre_of(const mv_map *map, mv_query q, double sum, double *y, double *x)
{
    *y = q.y;
    *x = q.x;
    if (q.kind == MV_QUERY_CELL)
        return;
    *y = *x = 0;
    for (int i = 0; i < map->h * map->w; i++) {
        *y += (double)map->v[i] / sum * (i / map->w);
        *x += (double)map->v[i] / sum * (i % map->w);
    }
}

/* The cells that can get a share of the query's attention. */
static int cells_of(mv_query q, const mv_grid *g)
{
    int n, t;
    if (q.kind != MV_QUERY_CELL)
        return g->h * g->w;
    mv_grid_token(g, q.y, q.x, &n, &t);
    return cells_in(g, n);
}

void mv_rows_figures(mv_map *map, const mv_grid *g, mv_query q)
{
    const bool cell = q.kind == MV_QUERY_CELL;
    int cells = cells_of(q, g);
    double sum = 0, entropy = 0, distance = 0, y, x;
    for (int i = 0; i < map->h * map->w; i++)
        sum += (double)map->v[i];
    if (isfinite(sum) && sum > 0) {
        centre_of(map, q, sum, &y, &x);
        for (int i = 0; i < map->h * map->w; i++) {
            double p = (double)map->v[i] / sum;
            entropy -= p > 0 ? p * log(p) : 0;
            distance += p * hypot(i / map->w - y, i % map->w - x);
        }
    } else
        entropy = distance = (double)NAN;
    mv_map_figure(map, "entropy", "entropy", "of 1", 2, cells > 1 ? entropy / log(cells) : (double)NAN);
    mv_map_figure(map, cell ? "reach" : "spread", cell ? "reach_px" : "spread_px", "px", 0, g->cell * distance);
}

/* ---- maps */

mv_status mv_rows_map(mv_map *out, double *padding, const double *share, const mv_grid *g, mv_error *e)
{
    mv_status s = mv_grid_stitch(out, g, share, e);
    if (s)
        return s;
    double all = 0, lost = 0;
    for (int n = 0; n < g->windows; n++)
        for (int t = 0, y, x; t < g->tokens; t++) {
            double v = share[(size_t)n * (size_t)g->tokens + (size_t)t];
            all += v;
            lost += mv_grid_cell(g, n, t, &y, &x) ? 0 : v;
        }
    *padding = all > 0 ? lost / all : 0;
    snprintf(out->unit, sizeof out->unit, "share");
    return MV_OK;
}

mv_status mv_rows_against_even(mv_map *out, const mv_map *share, mv_query q, const mv_grid *g, mv_error *e)
{
    *out = (mv_map){0};
    if (share->h != g->h || share->w != g->w)
        return mv_fail(e, MV_EMISUSE, "attention: a map of %dx%d cells, expected the grid's %dx%d", share->h, share->w,
                       g->h, g->w);
    mv_status s = mv_query_check(q, g, e);
    if (!s)
        s = mv_map_new(out, g->h, g->w, e);
    if (s)
        return s;
    for (int y = 0; y < g->h; y++)
        for (int x = 0; x < g->w; x++) {
            size_t p = (size_t)y * (size_t)g->w + (size_t)x;
            int n, t;
            mv_grid_token(g, y, x, &n, &t);
            double mass = mass_in(q, g, n);
            out->v[p] = mass > 0 ? (float)((double)share->v[p] * g->tokens / mass) : 0;
        }
    memcpy(out->title, share->title, sizeof out->title);
    snprintf(out->unit, sizeof out->unit, "× even");
    mv_map_range(out);
    return MV_OK;
}
