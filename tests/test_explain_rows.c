/* What must hold of grids and of rows of attention whatever the values: every cell is covered once, even attention is 1
 * everywhere, shares and padding make the whole.
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
            const mv_site *level = mv_sites_lookup(&sites, name);
            assert_non_null(level);
            assert_int_equal(g.h, level->dim[2]);
            assert_int_equal(g.w, level->dim[3]);
            assert_int_equal(g.cell, 4 << i);
            assert_true((g.h - 1) * g.cell < shapes[k].h && g.h * g.cell >= shapes[k].h);
            snprintf(name, sizeof name, "levels.%d.blocks.%d.mixer.attn", i, c.depth[i] - 1);
            const mv_site *attn = mv_sites_lookup(&sites, name);
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

static void pixels_lie_in_their_cells(void **s)
{
    (void)s;
    mv_grid g = grid_at(2, 3); /* 97 x 131 */
    int y = -1, x = -1;
    mv_error e = {0};
    assert_int_equal(mv_grid_cell_at_pixel(&g, 0, 31, &y, &x, NULL), MV_OK);
    assert_true(y == 0 && x == 0);
    assert_int_equal(mv_grid_cell_at_pixel(&g, 96, 130, &y, &x, NULL), MV_OK);
    assert_true(y == g.h - 1 && x == g.w - 1);
    assert_int_equal(mv_grid_cell_at_pixel(&g, 97, 0, &y, &x, &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "97,131"));
    assert_int_equal(mv_grid_cell_at_pixel(&g, 0, -1, &y, &x, NULL), MV_EINPUT);
    assert_int_equal(mv_grid_cell_at_pixel(&g, 0, 131, &y, &x, NULL), MV_EINPUT);
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

/* A query's map of rows of this sharpness, or with `steps`, of so many residual blocks of them. */
static reduced reduce(const mv_grid *g, mv_query q, double sharp, int steps)
{
    mv_error e = {0};
    reduced r = {0};
    size_t all = (size_t)(g->windows * g->tokens), tokens = (size_t)g->tokens;
    double *from = take(all * sizeof *from), *to = take(all * sizeof *to), *table = take(tokens * sizeof *table);
    float *rows = take(tokens * tokens * sizeof *rows);
    mv_rows_distances(table, g);
    mv_query_weights(from, q, g);
    for (int step = 0; step < (steps ? steps : 1); step++) {
        memset(to, 0, all * sizeof *to);
        for (int n = 0; n < g->windows; n++) {
            fill_rows(rows, g->tokens, sharp, (uint64_t)(n + 100 * step));
            if (steps)
                mv_rows_follow_residual(to + (size_t)n * tokens, from + (size_t)n * tokens, rows, g->tokens);
            else {
                mv_rows_follow(to + (size_t)n * tokens, from + (size_t)n * tokens, rows, g->tokens);
                mv_rows_measure(&r.stats, g, n, rows, table);
            }
        }
        memcpy(from, to, all * sizeof *to);
    }
    mv_rows_map(&r.share, &r.padding, to, g, &e);
    mv_rows_against_even(&r.even, &r.share, q, g, &e);
    expect_ok(&e);
    r.sum = mv_map_mean(&r.share) * g->h * g->w;
    free(rows);
    free(table);
    free(from);
    free(to);
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
    int T = g.tokens;
    size_t all = (size_t)(g.windows * T);
    float *rows = take((size_t)(T * T) * sizeof *rows);
    double *q = take(all * sizeof *q), *to = take(all * sizeof *to), *table = take((size_t)T * sizeof *table);
    mv_query_weights(q, query_at(0, &g), &g);
    mv_rows_distances(table, &g);
    for (int sum = 0; sum <= 3; sum++) {
        mv_rows_stats stats = {0};
        memset(to, 0, all * sizeof *to);
        for (int t = 0; t < T; t++)
            rows[t * T + t] = (float)sum;
        for (int n = 0; n < g.windows; n++) {
            mv_rows_follow_residual(to + n * T, q + n * T, rows, T);
            mv_rows_measure(&stats, &g, n, rows, table);
        }
        for (size_t i = 0; i < all; i++)
            assert_true(fabs(to[i] - q[i]) < 1e-15);
        assert_int_equal(stats.rows, g.h * g.w);
        assert_true(sum > 1 || stats.entropy == 0);
        assert_true(stats.distance == 0 && stats.padding == 0);
    }
    free(table);
    free(rows);
    free(q);
    free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grids_equal_the_network),
        cmocka_unit_test(windows_cover_every_cell_once),
        cmocka_unit_test(pixels_lie_in_their_cells),
        cmocka_unit_test(even_attention_is_one_everywhere),
        cmocka_unit_test(shares_and_padding_make_the_whole),
        cmocka_unit_test(pooled_and_received_differ_by_windows_alone),
        cmocka_unit_test(unit_rows_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
