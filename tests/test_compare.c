/* Comparisons: distances against their definitions, and CKA by its identities (1 for itself, also rotated and scaled;
 * small for unrelated features), by the direct formula over channels, and over a whole network with padding.
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

#include "src/explain/cka.h"
#include "src/explain/distance.h"
#include "tests/network.h"

enum { N = 300, P = 37, Q = 70 };

/* ---- distances */

static void distances_are_those_of_the_definition(void **state)
{
    (void)state;
    const float a[] = {3, 0, 4, 0, 0}, b[] = {3, 1, 4, -2, 2};
    mv_distance whole = {0}, pieces = {0};
    mv_distance_add(&whole, a, b, 5);
    mv_distance_add(&pieces, a, b, 2);
    mv_distance_add(&pieces, a + 2, b + 2, 3);
    assert_true(fabs(mv_distance_relative(&whole) - 3.0 / 5) < 1e-15); /* |0 1 0 -2 2| / |3 4| */
    assert_true(fabs(mv_distance_cosine(&whole) - 25 / (5 * sqrt(34))) < 1e-15);
    /* centred: 1.6 -1.4 2.6 -1.4 -1.4 and 1.4 -0.6 2.4 -3.6 0.4 */
    assert_true(fabs(mv_distance_correlation(&whole) - 13.8 / sqrt(15.2 * 21.2)) < 1e-14);
    assert_true(fabs(whole.largest - 2) < 1e-15);
    assert_int_equal(whole.at, 3);
    assert_memory_equal(&whole, &pieces, sizeof whole);
}

static void distances_at_the_edges(void **state)
{
    (void)state;
    const float zero[] = {0, 0}, one[] = {1, 0}, two[] = {2, 0}, odd[] = {NAN, 0};
    mv_distance d = {0};
    mv_distance_add(&d, zero, zero, 2);
    assert_true(mv_distance_relative(&d) <= 0 && mv_distance_cosine(&d) >= 1);
    d = (mv_distance){0};
    mv_distance_add(&d, zero, one, 2);
    assert_true(isinf(mv_distance_relative(&d)) && isnan(mv_distance_cosine(&d)));
    d = (mv_distance){0};
    mv_distance_add(&d, one, two, 2);
    assert_true(fabs(mv_distance_relative(&d) - 1) < 1e-15 && mv_distance_cosine(&d) >= 1);
    const float moved[] = {11, 10}, flat[] = {3, 3};
    d = (mv_distance){0};
    mv_distance_add(&d, one, moved, 2);
    assert_true(fabs(mv_distance_correlation(&d) - 1) < 1e-12);
    d = (mv_distance){0};
    mv_distance_add(&d, one, flat, 2);
    assert_true(isnan(mv_distance_correlation(&d)));
    d = (mv_distance){0};
    mv_distance_add(&d, one, odd, 2);
    assert_true(isinf(mv_distance_relative(&d)));
    assert_int_equal(d.odd, 1);
    d = (mv_distance){0};
    mv_distance_add(&d, one, odd, 1); /* not one pair of numbers */
    assert_true(isinf(mv_distance_relative(&d)) && isnan(mv_distance_cosine(&d)));
}

static void maps_of_two_shapes_have_no_distance(void **state)
{
    (void)state;
    mv_map a, b;
    mv_distance d;
    mv_error e = {0};
    assert_int_equal(mv_map_new(&a, 2, 3, &e), MV_OK);
    assert_int_equal(mv_map_new(&b, 3, 2, &e), MV_OK);
    assert_int_equal(mv_distance_of_maps(&d, &a, &b, &e), MV_EMISUSE);
    a.v[4] = 1;
    assert_int_equal(mv_distance_of_maps(&d, &a, &a, NULL), MV_OK);
    assert_int_equal(d.n, 6);
    mv_map_free(&a);
    mv_map_free(&b);
}

/* ---- CKA */

static float *features(int p, uint64_t seed)
{
    float *x = malloc((size_t)p * N * sizeof *x);
    assert_non_null(x);
    weights_uniform(x, "features", (size_t)p * N, seed);
    for (int k = 0; k < p; k++)
        for (int i = 0; i < N; i++)
            x[k * N + i] += 0.3F * (float)k; /* a mean, which centring takes out */
    return x;
}

static double cka(const float *x, int p, const float *y, int q)
{
    double out = -1;
    mv_error e = {0};
    mv_cka(&out, x, p, y, q, N, &e);
    expect_ok(&e);
    return out;
}

/* |Y^T X|^2 over centred channels */
static double cross(const float *x, int p, const float *y, int q)
{
    double all = 0;
    for (int k = 0; k < p; k++)
        for (int l = 0; l < q; l++) {
            double mx = 0, my = 0, xy = 0;
            for (int i = 0; i < N; i++) {
                mx += (double)x[k * N + i] / N;
                my += (double)y[l * N + i] / N;
            }
            for (int i = 0; i < N; i++)
                xy += ((double)x[k * N + i] - mx) * ((double)y[l * N + i] - my);
            all += xy * xy;
        }
    return all;
}

static void cka_is_the_direct_formula(void **state)
{
    (void)state;
    float *x = features(P, 1), *y = features(Q, 2);
    for (int k = 0; k < P; k++) /* half of y follows x */
        for (int i = 0; i < N; i++)
            y[k * N + i] += 2 * x[(P - 1 - k) * N + i];
    double direct = cross(x, P, y, Q) / sqrt(cross(x, P, x, P) * cross(y, Q, y, Q)), got = cka(x, P, y, Q);
    print_message("cka %.9f, directly %.9f\n", got, direct);
    assert_true(direct > 0.3 && direct < 0.97);
    assert_true(fabs(got - direct) < 1e-6);
    assert_true(fabs(cka(y, Q, x, P) - got) < 1e-9);
    free(x);
    free(y);
}

static void cka_is_one_for_itself_rotated_and_scaled(void **state)
{
    (void)state;
    float *x = features(P, 3), *y = features(P, 3);
    assert_true(fabs(cka(x, P, x, P) - 1) < 1e-9);
    for (int times = 0; times < 500; times++) { /* rotations of pairs of channels */
        int a = times % P, b = (times * 7 + 1) % P;
        double angle = 0.1 * times, c = cos(angle), s = sin(angle);
        for (int i = 0; i < N && a != b; i++) {
            double u = (double)y[a * N + i], v = (double)y[b * N + i];
            y[a * N + i] = (float)(c * u - s * v);
            y[b * N + i] = (float)(s * u + c * v);
        }
    }
    for (int i = 0; i < P * N; i++)
        y[i] = 17 * y[i] + 5;
    double turned = cka(x, P, y, P);
    print_message("rotated, scaled and moved: 1 - %.2g\n", 1 - turned);
    assert_true(fabs(turned - 1) < 1e-5);
    for (int i = 0; i < N; i++) /* no isotropic scaling */
        y[i] *= 100;
    assert_true(cka(x, P, y, P) < 0.9);
    free(x);
    free(y);
}

static void cka_of_a_constant_is_not_defined(void **state)
{
    (void)state;
    float *x = features(P, 4), *y = calloc((size_t)P * N, sizeof *y);
    assert_non_null(y);
    assert_true(isnan(cka(x, P, y, P)));
    free(x);
    free(y);
}

/* ---- CKA of networks */

typedef struct {
    network net;
    mv_features *cells;
} subject;

static subject subject_of(const mv_config *c, uint64_t seed, int h, int w, int pictures)
{
    mv_error e = {0};
    subject s = {.net = network_of(c, MV_F32, 1, seed)};
    s.cells = mv_features_new(c, h, w, pictures, &e);
    expect_ok(&e);
    mv_run *r = mv_run_new(s.net.model, h, w, 1, mv_features_probe(s.cells), &e);
    expect_ok(&e);
    for (int i = 0; i < pictures; i++) {
        float *planes = network_input(1, h, w, (uint64_t)i + 5);
        mv_run_forward(r, planes, 1, NULL, &e);
        expect_ok(&e);
        free(planes);
    }
    mv_run_free(r);
    return s;
}

static void subject_free(subject *s)
{
    mv_features_free(s->cells);
    network_free(&s->net);
}

/* 5 pictures of 200 x 232 px: 13 x 15 cells in level 2 and 7 x 8 in level 3, in several windows with padding. */
static void a_network_is_like_itself(void **state)
{
    (void)state;
    enum { PICTURES = 5 };
    mv_config c = small_config(), wide = small_config();
    wide.depth[2]++;
    subject a = subject_of(&c, 11, 200, 232, PICTURES), b = subject_of(&wide, 12, 200, 232, PICTURES);
    int n = mv_features_blocks(a.cells), m = mv_features_blocks(b.cells), level;
    double *grid = malloc((size_t)(n * m) * sizeof *grid), *itself = malloc((size_t)(n * n) * sizeof *itself);
    mv_error e = {0};
    assert_true(grid && itself && m == n + 1);
    mv_cka_grid(grid, a.cells, b.cells, &e);
    mv_cka_grid(itself, a.cells, a.cells, &e);
    expect_ok(&e);
    assert_string_equal(mv_features_block_at(a.cells, n - 1, &level), "levels.3.blocks.1");
    assert_int_equal(level, 3);
    assert_int_equal(mv_features_samples(a.cells, 0, 2), MV_CKA_MOST / PICTURES * PICTURES);
    assert_int_equal(mv_features_samples(a.cells, 3, 2), 7 * 8 * PICTURES);
    for (int i = 0; i < n; i++) {
        assert_true(fabs(itself[i * n + i] - 1) < 1e-9);
        for (int j = 0; j < n; j++)
            assert_true(fabs(itself[i * n + j] - itself[j * n + i]) < 1e-9);
        for (int j = 0; j < m; j++)
            assert_true(grid[i * m + j] >= 0 && grid[i * m + j] < 1);
    }
    free(grid);
    free(itself);
    subject_free(&a);
    subject_free(&b);
}

typedef struct {
    mv_probe probe;
    float *kept[2];
    size_t n[2];
} catcher;

static bool catch_wants(mv_probe *p, const char *site)
{
    (void)p;
    return strcmp(site, "levels.1.blocks.0") == 0 || strcmp(site, "levels.3.blocks.1") == 0;
}

static bool catch_sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    mv_run_keep(r, p, site->name, 0, v);
    return false;
}

static void catch_kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor v)
{
    (void)r, (void)part;
    catcher *c = (catcher *)p;
    int i = site[7] == '3';
    c->n[i] = mv_tensor_count(v);
    c->kept[i] = malloc(c->n[i] * sizeof(float));
    assert_non_null(c->kept[i]);
    memcpy(c->kept[i], v.data, c->n[i] * sizeof(float));
}

/* Level 1 against level 3, cell by cell from the values themselves: 4 x 4 cells of the finer one are averaged, and
 * padding is left out. */
static void the_grid_compares_cells_of_the_picture(void **state)
{
    (void)state;
    enum { H = 456, W = 488 }; /* 15 x 16 cells of 32 px, 57 x 61 of 8 px */
    mv_config c = small_config();
    subject a = subject_of(&c, 11, H, W, 1);
    mv_error e = {0};
    catcher got = {.probe = {.wants = catch_wants, .sees = catch_sees, .kept = catch_kept}};
    mv_run *r = mv_run_new(a.net.model, H, W, 1, &got.probe, &e);
    float *planes = network_input(1, H, W, 5);
    mv_run_forward(r, planes, 1, NULL, &e);
    expect_ok(&e);
    mv_grid g = mv_grid_of(&c, 3, H, W), fine = mv_grid_of(&c, 1, H, W);
    int p = c.dim << 1, q = c.dim << 3, n = g.h * g.w, blocks = mv_features_blocks(a.cells), one = c.depth[0];
    assert_true(n >= MV_CKA_LEAST && n <= MV_CKA_MOST && g.windows > 1 && g.padding > 0);
    float *x = calloc((size_t)(p * n), sizeof *x), *y = calloc((size_t)(q * n), sizeof *y);
    assert_true(x && y);
    for (int i = 0; i < n; i++) {
        int window, token, cells = 0;
        mv_grid_token(&g, i / g.w, i % g.w, &window, &token);
        for (int k = 0; k < q; k++)
            y[k * n + i] = got.kept[1][(window * g.tokens + token) * q + k];
        for (int v = i / g.w * 4; v < i / g.w * 4 + 4; v++)
            for (int u = i % g.w * 4; u < i % g.w * 4 + 4; u++) {
                if (v >= fine.h || u >= fine.w)
                    continue;
                cells++;
                for (int k = 0; k < p; k++)
                    x[k * n + i] += got.kept[0][(k * fine.h + v) * fine.w + u];
            }
        for (int k = 0; k < p; k++)
            x[k * n + i] /= (float)cells;
    }
    double expected, *grid = malloc((size_t)(blocks * blocks) * sizeof *grid);
    assert_non_null(grid);
    mv_cka(&expected, x, p, y, q, n, &e);
    mv_cka_grid(grid, a.cells, a.cells, &e);
    expect_ok(&e);
    print_message("level 1 against level 3: %.9f, from the values %.9f\n", grid[one * blocks + blocks - 1], expected);
    assert_true(fabs(grid[one * blocks + blocks - 1] - expected) < 1e-6);
    free(grid);
    free(x);
    free(y);
    free(planes);
    free(got.kept[0]);
    free(got.kept[1]);
    mv_run_free(r);
    subject_free(&a);
}

static void few_cells_have_no_value(void **state)
{
    (void)state;
    mv_config c = small_config();
    subject a = subject_of(&c, 11, 224, 224, 1);
    int n = mv_features_blocks(a.cells);
    double *grid = malloc((size_t)(n * n) * sizeof *grid);
    mv_error e = {0};
    assert_non_null(grid);
    mv_cka_grid(grid, a.cells, a.cells, &e);
    expect_ok(&e);
    assert_true(fabs(grid[0] - 1) < 1e-9); /* 196 cells */
    assert_true(isnan(grid[n * n - 1]));   /* 49 cells */
    assert_null(mv_features_new(&c, 224, 224, MV_CKA_MOST + 1, &e));
    assert_int_equal(e.code, MV_EINPUT);
    free(grid);
    subject_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distances_are_those_of_the_definition),
        cmocka_unit_test(distances_at_the_edges),
        cmocka_unit_test(maps_of_two_shapes_have_no_distance),
        cmocka_unit_test(cka_is_the_direct_formula),
        cmocka_unit_test(cka_is_one_for_itself_rotated_and_scaled),
        cmocka_unit_test(cka_of_a_constant_is_not_defined),
        cmocka_unit_test(a_network_is_like_itself),
        cmocka_unit_test(the_grid_compares_cells_of_the_picture),
        cmocka_unit_test(few_cells_have_no_value),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
