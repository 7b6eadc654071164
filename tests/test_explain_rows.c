/* What must hold of grids and of attention rows whatever the values: every cell is covered once, even attention is 1
 * everywhere, shares and padding add up to the whole. The rows are reduced by the CPU device.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/device/cpu.h"
#include "src/explain/rows.h"
#include "src/run/sites.h"
#include "tests/network.h"

#define EXPECT(holds, ...)                                                                                             \
    do {                                                                                                               \
        if (!(holds))                                                                                                  \
            fail_msg(__VA_ARGS__);                                                                                     \
    } while (0)

static void *take(size_t bytes)
{
    void *p = calloc(1, bytes);
    assert_non_null(p);
    return p;
}

/* ---- grids */

static mv_config grid_config(int window2, int window3)
{
    mv_config c = small_config();
    c.window[2] = window2;
    c.window[3] = window3;
    return c;
}

/* One padded window, one that fits, and windows with and without padding. */
static const struct {
    int h, w, window2, window3;
} shapes[] = {{224, 224, 14, 7}, {64, 64, 7, 4}, {97, 131, 3, 2}, {96, 64, 2, 1}, {33, 300, 5, 3}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static mv_grid grid_at(int i, int level)
{
    mv_config c = grid_config(shapes[i].window2, shapes[i].window3);
    return mv_grid_of(&c, level, shapes[i].h, shapes[i].w);
}

static const mv_site *site_of(const mv_sites *s, const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->site[i].name, name) == 0)
            return &s->site[i];
    return NULL;
}

/* The dry run says what shapes the network has: another witness of the same geometry. */
static void grids_equal_the_network(void **s)
{
    (void)s;
    for (int k = 0; k < SHAPES; k++) {
        mv_error e = {0};
        mv_sites sites;
        mv_config c = grid_config(shapes[k].window2, shapes[k].window3);
        mv_sites_list(&sites, &c, 3, shapes[k].h, shapes[k].w, &e);
        expect_ok(&e);
        for (int i = 0; i < MV_LEVELS; i++) {
            char name[64];
            mv_grid g = mv_grid_of(&c, i, shapes[k].h, shapes[k].w);
            snprintf(name, sizeof name, "levels.%d", i);
            const mv_site *level = site_of(&sites, name);
            assert_non_null(level);
            assert_int_equal(g.h, level->dim[2]);
            assert_int_equal(g.w, level->dim[3]);
            assert_int_equal(g.cell, 4 << i);
            assert_true((g.h - 1) * g.cell < shapes[k].h && g.h * g.cell >= shapes[k].h);
            snprintf(name, sizeof name, "levels.%d.blocks.%d.mixer.attn", i, c.depth[i] - 1);
            const mv_site *attn = site_of(&sites, name);
            assert_int_equal(attn != NULL, i >= 2);
            if (attn) {
                assert_int_equal(3 * g.windows, attn->dim[0]);
                assert_int_equal(g.tokens, attn->dim[2]);
            }
        }
        mv_sites_free(&sites);
    }
}

static void windows_cover_every_cell_once(void **s)
{
    (void)s;
    for (int k = 0; k < SHAPES; k++)
        for (int level = 2; level < MV_LEVELS; level++) {
            mv_grid g = grid_at(k, level);
            int *hits = take((size_t)(g.h * g.w) * sizeof *hits), padding = 0;
            double *tokens = take((size_t)(g.windows * g.tokens) * sizeof *tokens);
            for (int n = 0; n < g.windows; n++) {
                int rows, columns, cells = 0;
                for (int t = 0; t < g.tokens; t++) {
                    int y = -1, x = -1, n_back, t_back;
                    tokens[n * g.tokens + t] = -1;
                    if (!mv_grid_cell(&g, n, t, &y, &x)) {
                        padding++;
                        assert_int_equal(y, -1);
                        continue;
                    }
                    cells++;
                    hits[y * g.w + x]++;
                    tokens[n * g.tokens + t] = y * g.w + x;
                    mv_grid_token(&g, y, x, &n_back, &t_back);
                    assert_int_equal(n_back, n);
                    assert_int_equal(t_back, t);
                }
                mv_grid_extent(&g, n, &rows, &columns);
                assert_int_equal(rows * columns, cells);
            }
            mv_map map;
            assert_int_equal(mv_grid_stitch(&map, &g, tokens, NULL), MV_OK);
            for (int i = 0; i < g.h * g.w; i++) {
                assert_int_equal(hits[i], 1);
                assert_int_equal((int)map.v[i], i);
            }
            assert_true(fabs(g.padding - (double)padding / (g.windows * g.tokens)) < 1e-12);
            mv_map_free(&map);
            free(tokens);
            free(hits);
        }
}

/* ---- rows */

/* Queries of a grid: pooled, received, its first and its last cell. */
static mv_query query_at(int i, const mv_grid *g)
{
    const mv_query q[] = {{.kind = MV_QUERY_POOLED},
                          {.kind = MV_QUERY_RECEIVED},
                          {.kind = MV_QUERY_CELL},
                          {.kind = MV_QUERY_CELL, .y = g->h - 1, .x = g->w - 1}};
    return q[i];
}

/* Rows that sum to 1: even where `sharp` is 0. */
static void fill_rows(float *rows, int tokens, double sharp, uint64_t seed)
{
    weights_uniform(rows, "rows", (size_t)tokens * (size_t)tokens, seed);
    for (int i = 0; i < tokens; i++) {
        double sum = 0;
        for (int j = 0; j < tokens; j++)
            sum += exp(sharp * (double)rows[i * tokens + j]);
        for (int j = 0; j < tokens; j++)
            rows[i * tokens + j] = (float)(exp(sharp * (double)rows[i * tokens + j]) / sum);
    }
}

typedef struct {
    mv_map share, even;
    double padding, sum;
    mv_rows_stats stats;
} reduced;

/* rows (windows, 1, T, T) and from (windows, T), both on the host, which is the memory of the CPU device. */
static void follow(mv_backend *b, float *to, float *rows, float *from, const mv_grid *g, bool residual)
{
    mv_error e = {0};
    int n = g->windows, t = g->tokens;
    b->follow(b, mv_tensor_of(to, MV_F32, 3, n, 1, t), mv_tensor_of(rows, MV_F32, 4, n, 1, t, t),
              mv_tensor_of(from, MV_F32, 2, n, t), residual ? MV_ROWS_RESIDUAL : MV_ROWS_GIVEN, &e);
    expect_ok(&e);
}

static mv_rows_stats measure(mv_backend *b, float *rows, const mv_grid *g)
{
    mv_error e = {0};
    mv_rows_stats stats = {0};
    int n = g->windows, t = g->tokens;
    float *figures = take((size_t)(n * t) * 3 * sizeof *figures);
    b->measure(b, mv_tensor_of(figures, MV_F32, 4, n, 1, t, 3), mv_tensor_of(rows, MV_F32, 4, n, 1, t, t), g->h, g->w,
               &e);
    expect_ok(&e);
    for (int i = 0; i < n; i++)
        mv_rows_average(&stats, g, i, figures + (size_t)(i * t) * 3);
    free(figures);
    return stats;
}

static mv_backend *device(void)
{
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(MV_F32, 2, NULL, &e);
    expect_ok(&e);
    return b;
}

static void query_floats(float *to, mv_query q, const mv_grid *g)
{
    size_t n = (size_t)(g->windows * g->tokens);
    double *weight = take(n * sizeof *weight);
    mv_query_weights(weight, q, g);
    for (size_t i = 0; i < n; i++)
        to[i] = (float)weight[i];
    free(weight);
}

/* The map of a query for rows of this sharpness, or, with `steps`, through so many residual blocks of them. */
static reduced reduce(const mv_grid *g, mv_query q, double sharp, int steps)
{
    mv_error e = {0};
    mv_backend *b = device();
    reduced r = {0};
    size_t all = (size_t)(g->windows * g->tokens), tokens = (size_t)g->tokens;
    float *from = take(all * sizeof *from), *to = take(all * sizeof *to), *rows = take(all * tokens * sizeof *rows);
    double *share = take(all * sizeof *share);
    query_floats(from, q, g);
    for (int step = 0; step < (steps ? steps : 1); step++) {
        for (int n = 0; n < g->windows; n++)
            fill_rows(rows + (size_t)n * tokens * tokens, g->tokens, sharp, (uint64_t)(n + 100 * step));
        follow(b, to, rows, from, g, steps > 0);
        memcpy(from, to, all * sizeof *to);
    }
    if (!steps)
        r.stats = measure(b, rows, g);
    for (size_t i = 0; i < all; i++)
        share[i] = (double)to[i];
    mv_rows_map(&r.share, &r.padding, share, g, &e);
    mv_rows_against_even(&r.even, &r.share, q, g, &e);
    expect_ok(&e);
    r.sum = mv_map_mean(&r.share) * g->h * g->w;
    free(rows);
    free(from);
    free(to);
    free(share);
    b->free(b);
    return r;
}

static void reduced_free(reduced *r)
{
    mv_map_free(&r->share);
    mv_map_free(&r->even);
}

static void even_attention_is_one_everywhere(void **s)
{
    (void)s;
    for (int k = 0; k < SHAPES; k++)
        for (int i = 0; i < 4; i++) {
            mv_grid g = grid_at(k, 2);
            mv_query q = query_at(i, &g);
            reduced r = reduce(&g, q, 0, 0);
            int of = -1, n, t;
            if (q.kind == MV_QUERY_CELL)
                mv_grid_token(&g, q.y, q.x, &of, &t);
            assert_string_equal(r.even.unit, "× even");
            for (int y = 0; y < g.h; y++)
                for (int x = 0; x < g.w; x++) {
                    mv_grid_token(&g, y, x, &n, &t);
                    double want = of < 0 || n == of, got = (double)r.even.v[y * g.w + x];
                    EXPECT(fabs(got - want) <= 1e-6, "shape %d, query %d, cell %d,%d: %.9g", k, i, y, x, got);
                }
            assert_true(g.tokens == 1 || fabs(r.stats.entropy - 1) <= 1e-6);
            reduced_free(&r);
            if (i < 2 && g.padding == 0) { /* the residual keeps an even query even */
                r = reduce(&g, q, 0, 3);
                assert_true(fabs((double)r.even.lo - 1) <= 1e-6 && fabs((double)r.even.hi - 1) <= 1e-6);
                reduced_free(&r);
            }
        }
}

/* Figures are of the map that is drawn: by their definition, even and all on one cell. */
static void figures_are_of_the_map(void **s)
{
    (void)s;
    for (int k = 0; k < SHAPES; k++)
        for (int i = 0; i < 4; i++)
            for (int sharp = 0; sharp < 2; sharp++) {
                mv_grid g = grid_at(k, 2);
                mv_query q = query_at(i, &g);
                bool cell = q.kind == MV_QUERY_CELL;
                reduced r = reduce(&g, q, 6 * sharp, 0);
                mv_rows_figures(&r.even, &g, q);
                double sum = 0, y = q.y, x = q.x, entropy = 0, away = 0;
                int n, t, of, cells = 0;
                mv_grid_token(&g, q.y, q.x, &of, &t);
                for (int c = 0; c < g.h * g.w; c++) {
                    mv_grid_token(&g, c / g.w, c % g.w, &n, &t);
                    cells += !cell || n == of;
                    sum += (double)r.even.v[c];
                }
                for (int c = 0; c < g.h * g.w && !cell; c++) {
                    y += (double)r.even.v[c] * (c / g.w) / sum - (c == 0 ? q.y : 0);
                    x += (double)r.even.v[c] * (c % g.w) / sum - (c == 0 ? q.x : 0);
                }
                for (int c = 0; c < g.h * g.w; c++) {
                    double p = (double)r.even.v[c] / sum, dy = c / g.w - y, dx = c % g.w - x;
                    entropy -= p > 0 ? p * log(p) / log(cells) : 0;
                    away += g.cell * p * sqrt(dy * dy + dx * dx);
                }
                double got = mv_map_figure_value(&r.even, "entropy");
                EXPECT(cells > 1 ? fabs(got - entropy) <= 1e-9 : isnan(got), "shape %d, query %d: %.9g", k, i, got);
                assert_true(cells < 2 || sharp || fabs(got - 1) <= 1e-6); /* even attention */
                got = mv_map_figure_value(&r.even, cell ? "reach_px" : "spread_px");
                EXPECT(fabs(got - away) <= 1e-6 * (1 + away), "shape %d, query %d: %.9g, %.9g", k, i, got, away);
                memset(r.even.v, 0, (size_t)(g.h * g.w) * sizeof *r.even.v);
                r.even.figures = 0;
                mv_rows_figures(&r.even, &g, q);
                assert_true(isnan(mv_map_figure_value(&r.even, "entropy"))); /* of nothing */
                r.even.v[g.h * g.w - 1] = 2;
                r.even.figures = 0;
                mv_rows_figures(&r.even, &g, (mv_query){MV_QUERY_POOLED, 0, 0});
                if (g.h * g.w > 1)
                    assert_true(fabs(mv_map_figure_value(&r.even, "entropy")) <= 1e-12); /* all on one cell */
                assert_true(fabs(mv_map_figure_value(&r.even, "spread_px")) <= 1e-9);
                reduced_free(&r);
            }
}

static void shares_and_padding_make_the_whole(void **s)
{
    (void)s;
    for (int k = 0; k < SHAPES; k++)
        for (int i = 0; i < 4; i++)
            for (int steps = 0; steps < 3; steps += 2) {
                mv_grid g = grid_at(k, 2);
                mv_query q = query_at(i, &g);
                reduced r = reduce(&g, q, 4, steps);
                double whole = q.kind == MV_QUERY_RECEIVED ? g.windows : 1;
                EXPECT(fabs(r.sum / whole + r.padding - 1) <= 1e-6, "shape %d, query %d: %.9g and %.9g", k, i, r.sum,
                       r.padding);
                if (q.kind == MV_QUERY_POOLED && !steps) /* the mean query is the mean of the queries */
                    assert_true(fabs(r.padding - r.stats.padding) <= 1e-6);
                assert_true(g.padding > 0 || r.padding == 0);
                reduced_free(&r);
            }
}

static void pooled_and_received_differ_by_windows_alone(void **s)
{
    (void)s;
    for (int k = 0; k < SHAPES; k++) {
        mv_grid g = grid_at(k, 2);
        reduced a = reduce(&g, query_at(0, &g), 4, 0), b = reduce(&g, query_at(1, &g), 4, 0);
        size_t cells = (size_t)(g.h * g.w);
        assert_true(relative_l2(a.even.v, b.even.v, cells) <= 1e-6);
        if (g.windows == 1)
            assert_true(relative_l2(a.share.v, b.share.v, cells) <= 1e-6);
        reduced_free(&a);
        reduced_free(&b);
    }
}

/* Rows that keep everything where it is; through a residual also where they do not sum to 1, as after an edit. */
static void unit_rows_change_nothing(void **s)
{
    (void)s;
    mv_grid g = grid_at(2, 2);
    mv_backend *b = device();
    size_t all = (size_t)(g.windows * g.tokens), tokens = (size_t)g.tokens;
    float *rows = take(all * tokens * sizeof *rows), *q = take(all * sizeof *q), *to = take(all * sizeof *to);
    query_floats(q, query_at(0, &g), &g);
    for (int sum = 0; sum <= 3; sum++) {
        for (size_t i = 0; i < all; i++)
            rows[i * tokens + i % tokens] = (float)sum;
        follow(b, to, rows, q, &g, true);
        for (size_t i = 0; i < all; i++)
            assert_true(fabs((double)to[i] - (double)q[i]) <= 1e-9);
        mv_rows_stats stats = measure(b, rows, &g);
        assert_int_equal(stats.rows, g.h * g.w);
        assert_true(sum > 1 || stats.entropy == 0);
        assert_true(stats.distance == 0 && stats.padding == 0);
    }
    free(rows);
    free(q);
    free(to);
    b->free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grids_equal_the_network),
        cmocka_unit_test(windows_cover_every_cell_once),
        cmocka_unit_test(even_attention_is_one_everywhere),
        cmocka_unit_test(figures_are_of_the_map),
        cmocka_unit_test(shares_and_padding_make_the_whole),
        cmocka_unit_test(pooled_and_received_differ_by_windows_alone),
        cmocka_unit_test(unit_rows_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
