/* Deletion and insertion against a float64 oracle (tests/data/explain/faith.safetensors: a network of several windows
 * with padding, generated weights, a CAM); ROAD's filled pixels against its equations; random maps; rank correlation.
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

#include "src/explain/faith.h"
#include "src/explain/road.h"
#include "src/explain/upsample.h"
#include "tests/golden.h"

/* ---- the oracle's */

static float *load(const mv_safetensors *file, const char *name, mv_tensor *t)
{
    mv_error e = {0};
    mv_safetensors_find(file, name, t, &e);
    expect_ok(&e);
    float *v = calloc(mv_tensor_count(*t) + 1, sizeof *v);
    assert_non_null(v);
    mv_safetensors_read(v, *t);
    return v;
}

typedef struct {
    mv_safetensors *file;
    network net;
    float *planes;
    int h, w, classes, class_;
    mv_map map;
    mv_passes *passes;
} stage;

static stage stage_new(void)
{
    mv_error e = {0};
    mv_tensor t;
    stage s = {.file = mv_safetensors_open("tests/data/explain/faith.safetensors", &e)};
    expect_ok(&e);
    mv_config c = golden_config(s.file);
    s.net = network_of(&c, MV_F32, 2, 23);
    s.planes = load(s.file, "input", &t);
    s.h = t.dim[2], s.w = t.dim[3];
    float *class_ = load(s.file, "class", &t);
    s.class_ = (int)*class_;
    s.classes = c.classes;
    free(class_);
    float *map = load(s.file, "map", &t);
    mv_map_new(&s.map, t.dim[1], t.dim[2], &e);
    expect_ok(&e);
    memcpy(s.map.v, map, mv_tensor_count(t) * sizeof *map);
    free(map);
    s.passes = mv_passes_new(s.net.model, s.h, s.w, 8, NULL, &e);
    expect_ok(&e);
    return s;
}

static void stage_free(stage *s)
{
    mv_passes_free(s->passes);
    mv_map_free(&s->map);
    free(s->planes);
    network_free(&s->net);
    mv_safetensors_close(s->file);
}

static mv_faith *faith_of(const stage *s, mv_faith_options o)
{
    mv_error e = {0};
    mv_faith *f = mv_faith_new(&o, s->passes, s->planes, s->h, s->w, s->classes, s->class_, &e);
    expect_ok(&e);
    return f;
}

static void expect_curve(const stage *s, const char *name, const double *curve, double area)
{
    mv_tensor t;
    char other[48];
    float *want = load(s->file, name, &t), got[MV_FAITH_POINTS];
    for (int i = 0; i < t.dim[0]; i++)
        got[i] = (float)curve[i];
    double far = relative_l2(got, want, (size_t)t.dim[0]);
    print_message("%s: %.1e\n", name, far);
    assert_true(far <= 1e-5);
    free(want);
    const char *dot = strchr(name, '.');
    snprintf(other, sizeof other, "%.*s_area%s", dot ? (int)(dot - name) : 40, name, dot ? dot : "");
    want = load(s->file, other, &t);
    assert_true(fabs(*want - area) <= 1e-5 * area);
    free(want);
}

static void curves_are_the_oracle_s(void **state)
{
    (void)state;
    stage s = stage_new();
    mv_error e = {0};
    mv_faith_score score;
    mv_faith *f = faith_of(&s, (mv_faith_options){0});
    mv_faith_map(f, &s.map, &score, &e);
    expect_ok(&e);
    expect_curve(&s, "deletion", score.deletion, score.deletion_area);
    expect_curve(&s, "insertion", score.insertion, score.insertion_area);
    assert_true(isnan(score.road) && isnan(score.road_first[0]));
    mv_faith_free(f);
    f = faith_of(&s, (mv_faith_options){.steps = 7}); /* halves of a pixel */
    mv_faith_map(f, &s.map, &score, &e);
    expect_ok(&e);
    expect_curve(&s, "deletion.7", score.deletion, score.deletion_area);
    expect_curve(&s, "insertion.7", score.insertion, score.insertion_area);
    mv_faith_free(f);
    stage_free(&s);
}

static void upsampling_is_the_oracle_s(void **state)
{
    (void)state;
    stage s = stage_new();
    mv_tensor t;
    float *want = load(s.file, "up", &t);
    double *up = calloc((size_t)(s.h * s.w), sizeof *up);
    assert_non_null(up);
    mv_upsample_exact(up, s.h, s.w, s.map.v, s.map.h, s.map.w);
    for (int y = 0; y < t.dim[1]; y++)
        for (int x = 0; x < t.dim[2]; x++)
            assert_true(fabs(up[7 * y * s.w + 5 * x] - (double)want[y * t.dim[2] + x]) < 1e-5);
    const float one = 3;
    mv_upsample_exact(up, 5, 4, &one, 1, 1);
    for (int i = 0; i < 20; i++)
        assert_true(up[i] == 3);
    free(up);
    free(want);
    stage_free(&s);
}

/* ---- identities */

static void the_ends_of_the_curves(void **state)
{
    (void)state;
    stage s = stage_new();
    mv_error e = {0};
    mv_faith_score a, b, again;
    mv_faith *f = faith_of(&s, (mv_faith_options){.steps = 10, .road = true, .seed = 4});
    mv_faith_map(f, &s.map, &a, &e);
    expect_ok(&e);
    /* All of the picture, all of the mean colour; insertion ends where deletion begins. */
    assert_true(fabs(a.deletion[0] - a.insertion[10]) < 1e-7);
    mv_map turned = s.map;
    turned.v = malloc((size_t)(s.map.h * s.map.w) * sizeof(float));
    assert_non_null(turned.v);
    for (int i = 0; i < s.map.h * s.map.w; i++)
        turned.v[i] = -s.map.v[i];
    mv_faith_map(f, &turned, &b, &e);
    expect_ok(&e);
    assert_true(fabs(a.deletion[10] - b.deletion[10]) < 1e-7 && fabs(a.insertion[0] - b.insertion[0]) < 1e-7);
    /* The map turned over removes last what the other removes first: ROAD changes its sign, but for the noise. */
    for (int i = 0; i < MV_FAITH_SHARES; i++)
        assert_true(fabs(a.road_first[i] - b.road_last[i]) < 5e-3 && fabs(a.road_last[i] - b.road_first[i]) < 5e-3);
    assert_true(fabs(a.road + b.road) < 5e-3 && fabs(a.road) <= 0.5);
    /* An increasing function of a map is the same order, and so the same score to the bit. */
    for (int i = 0; i < s.map.h * s.map.w; i++)
        turned.v[i] = 4 * s.map.v[i];
    mv_faith_map(f, &turned, &again, &e);
    expect_ok(&e);
    assert_memory_equal(&a, &again, sizeof a);
    free(turned.v);
    mv_faith_free(f);
    stage_free(&s);
}

static void random_maps_are_reproduced(void **state)
{
    (void)state;
    stage s = stage_new();
    mv_error e = {0};
    const mv_faith_baseline *r, *twice, *cells;
    const mv_faith_score *centre, *same;
    const mv_faith_options coarse = {.steps = 5, .seeds = 4, .seed = 1, .grain_h = 2, .grain_w = 3};
    mv_faith *f = faith_of(&s, (mv_faith_options){.steps = 5, .seeds = 4, .seed = 1, .grain_h = 5, .grain_w = 4}),
             *g = faith_of(&s, coarse), *h = faith_of(&s, coarse);
    mv_faith_random(f, &r, &e);
    mv_faith_centre(f, &centre, &e);
    expect_ok(&e);
    long before = mv_passes_count(s.passes);
    mv_faith_random(f, &twice, &e);
    mv_faith_centre(f, &same, &e);
    assert_ptr_equal(r, twice);
    assert_ptr_equal(centre, same);
    assert_true(mv_passes_count(s.passes) == before); /* computed once */
    mv_faith_random(g, &cells, &e);
    expect_ok(&e);
    assert_true(mv_passes_count(s.passes) == before + 4 * 12);
    mv_faith_centre(h, &same, &e); /* the order of questions changes nothing */
    mv_faith_random(h, &twice, &e);
    expect_ok(&e);
    assert_memory_equal(cells, twice, sizeof *cells);
    assert_true(r->seeds == 4 && r->spread.deletion_area > 0 && r->mean.deletion_area > 0);
    assert_true(r->spread.deletion[0] < 1e-7 && r->spread.deletion[5] < 1e-7); /* nothing and everything removed */
    assert_true(cells->mean.deletion_area != r->mean.deletion_area);
    mv_faith_free(h);
    mv_faith_free(g);
    mv_faith_free(f);
    stage_free(&s);
}

/* Cells of any size keep their area's share: the mean stays, and a plane falls to the means of its parts. */
static void maps_are_averaged_by_area(void **state)
{
    (void)state;
    enum { H = 7, W = 10 };
    float v[H * W], out[H * W];
    double sum = 0;
    for (int i = 0; i < H * W; i++) {
        v[i] = (float)(i / W * 3 + i % W);
        sum += (double)v[i];
    }
    mv_coarsen(out, H, W, v, H, W);
    assert_memory_equal(out, v, sizeof v);
    mv_coarsen(out, 1, 1, v, H, W);
    assert_true(fabs((double)out[0] - sum / (H * W)) < 1e-5);
    mv_coarsen(out, 7, 5, v, H, W);
    assert_true(fabs((double)out[0] - 0.5) < 1e-6 && fabs((double)out[34] - 26.5) < 1e-5);
    mv_coarsen(out, 3, 4, v, H, W); /* 7 / 3 rows and 10 / 4 columns: halves and thirds of cells */
    double mean = 0;
    for (int i = 0; i < 12; i++)
        mean += (double)out[i] / 12;
    assert_true(fabs(mean - sum / (H * W)) < 1e-5);
    double rows = (0 * 1 + 3 * 1 + 6 / 3.0) / (7 / 3.0), columns = (0 + 1 + 2 * 0.5) / 2.5;
    assert_true(fabs((double)out[0] - rows - columns) < 1e-5);
}

/* A map finer than the grain scores what its averages score; one as coarse stays as it is. Nobody has to ask for a
 * grain: maps of all sizes are compared at cells of the last level, and random maps with them. */
static void maps_are_compared_at_one_grain(void **state)
{
    (void)state;
    stage s = stage_new();
    mv_error e = {0};
    mv_faith_score fine, coarse, own, whole, blob;
    const mv_faith_score *middle;
    const mv_faith_baseline *random, *asked;
    int cells[2];
    mv_map m, averaged;
    mv_faith_grain(s.h, s.w, cells);
    assert_true(cells[0] == (s.h + 31) / 32 && cells[1] == (s.w + 31) / 32 && cells[0] > 1 && cells[1] > 1);
    assert_int_equal(mv_map_new(&m, s.h, s.w, &e), MV_OK);
    assert_int_equal(mv_map_new(&averaged, cells[0], cells[1], &e), MV_OK);
    for (int i = 0; i < s.h * s.w; i++)
        m.v[i] = (float)(i * 37 % 101);
    mv_coarsen(averaged.v, cells[0], cells[1], m.v, s.h, s.w);
    mv_faith *f = faith_of(&s, (mv_faith_options){.steps = 5, .seeds = 2}),
             *g = faith_of(&s, (mv_faith_options){.steps = 5, .seeds = 2, .grain_h = cells[0], .grain_w = cells[1]}),
             *pixels = faith_of(&s, (mv_faith_options){.steps = 5, .grain_h = s.h, .grain_w = s.w});
    mv_faith_map(f, &m, &fine, &e);
    mv_faith_map(f, &averaged, &coarse, &e);
    mv_faith_map(pixels, &averaged, &own, &e);
    mv_faith_map(pixels, &m, &whole, &e);
    mv_faith_random(f, &random, &e);
    mv_faith_random(g, &asked, &e);
    expect_ok(&e);
    assert_memory_equal(fine.deletion, coarse.deletion, sizeof fine.deletion);
    assert_memory_equal(coarse.insertion, own.insertion, sizeof own.insertion);
    assert_memory_equal(random, asked, sizeof *random);
    assert_true(whole.deletion_area != fine.deletion_area);
    for (int i = 0; i < s.h * s.w; i++) { /* the blob is any map that falls with the distance from the middle */
        double y = (i / s.w + 0.5) / s.h - 0.5, x = (i % s.w + 0.5) / s.w - 0.5;
        m.v[i] = (float)exp(-8 * (y * y + x * x));
    }
    mv_faith_centre(pixels, &middle, &e);
    mv_faith_map(pixels, &m, &blob, &e);
    expect_ok(&e);
    assert_memory_equal(middle->insertion, blob.insertion, sizeof blob.insertion);
    mv_map_free(&m);
    mv_map_free(&averaged);
    mv_faith_free(f);
    mv_faith_free(g);
    mv_faith_free(pixels);
    stage_free(&s);
}

static void refusals(void **state)
{
    (void)state;
    stage s = stage_new();
    const mv_faith_options bad[] = {
        {.steps = 51}, {.steps = -1}, {.seeds = 101}, {.grain_h = -1}, {.grain_w = s.w + 1}};
    mv_error e = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_null(mv_faith_new(&bad[i], s.passes, s.planes, s.h, s.w, s.classes, 0, &e));
    assert_null(mv_faith_new(&(mv_faith_options){0}, s.passes, s.planes, s.h, s.w, s.classes, s.classes, &e));
    assert_null(mv_faith_new(&(mv_faith_options){0}, s.passes, s.planes, s.h + 1, s.w, s.classes, 0, &e));
    assert_int_equal(e.code, MV_EMISUSE);
    mv_faith *f = faith_of(&s, (mv_faith_options){.steps = 2});
    mv_map colours = s.map;
    colours.channels = 3;
    mv_faith_score score;
    assert_int_equal(mv_faith_map(f, &colours, &score, NULL), MV_EMISUSE);
    s.map.v[0] = NAN; /* the lowest */
    e = (mv_error){0};
    mv_faith_map(f, &s.map, &score, &e);
    expect_ok(&e);
    mv_faith_free(f);
    stage_free(&s);
}

/* ---- ROAD */

static void filled_pixels_solve_the_equations(void **state)
{
    (void)state;
    enum { H = 19, W = 26, N = H * W };
    mv_error e = {0};
    mv_road *r = mv_road_new(H, W, &e);
    float *planes = network_input(1, H, W, 3), out[3 * N], noisy[3 * N];
    bool removed[N];
    expect_ok(&e);
    for (int share = 0; share < 3; share++) {
        for (int i = 0; i < N; i++) /* a hole that reaches two edges; scattered pixels; all but one */
            removed[i] = share == 0 ? i / W > 6 && i % W > 9 : share == 1 ? i * 7919 % 100 < 80 : i != N / 2;
        int took = mv_road_fill(r, out, planes, removed, 0, 1);
        print_message("ROAD: %d iterations\n", took);
        for (int i = 0; i < 3 * N; i++) {
            int c = i / N, y = i % N / W, x = i % W;
            double sum = 0, whole = 0;
            if (!removed[i % N]) {
                assert_true(out[i] == planes[i]);
                continue;
            }
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++) {
                    double weight = !dy && !dx ? 0 : dy && dx ? 1 / 12.0 : 1 / 6.0;
                    if (y + dy < 0 || y + dy >= H || x + dx < 0 || x + dx >= W)
                        continue;
                    whole += weight;
                    sum += weight * (double)out[c * N + (y + dy) * W + x + dx];
                }
            assert_true(fabs(whole * (double)out[i] - sum) < 2e-4);
            if (share == 2) /* the only value there is */
                assert_true(fabs((double)out[i] - (double)planes[c * N + N / 2]) < 1e-4);
        }
    }
    mv_road_fill(r, noisy, planes, removed, 0.01, 1);
    double squares = 0;
    for (int i = 0; i < 3 * N; i++)
        squares += (double)((noisy[i] - out[i]) * (noisy[i] - out[i]));
    assert_true(fabs(sqrt(squares / (3 * N - 3)) - 0.01) < 1e-3);
    memset(removed, 1, sizeof removed); /* nothing is left: zeros, the mean colour */
    assert_int_equal(mv_road_fill(r, out, planes, removed, 0, 1), 0);
    assert_true(out[0] == 0 && out[3 * N - 1] == 0);
    free(planes);
    mv_road_free(r);
}

/* ---- rank correlation */

static void ranks_correlate(void **state)
{
    (void)state;
    const float a[] = {1, 2, 3, 4, 5}, up[] = {0, 1, 10, 11, 100}, down[] = {5, 4, 3, 2, 1}, flat[] = {2, 2, 2, 2, 2},
                tied[] = {1, 1, 2, 3, 3};
    assert_true(fabs(mv_rank_correlation(a, up, 5) - 1) < 1e-12);
    assert_true(fabs(mv_rank_correlation(a, down, 5) + 1) < 1e-12);
    assert_true(mv_rank_correlation(a, flat, 5) == 0);
    /* ranks -2 -1 0 1 2 and -1.5 -1.5 0 1.5 1.5 */
    assert_true(fabs(mv_rank_correlation(a, tied, 5) - 9 / sqrt(10 * 9.0)) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curves_are_the_oracle_s),
        cmocka_unit_test(upsampling_is_the_oracle_s),
        cmocka_unit_test(the_ends_of_the_curves),
        cmocka_unit_test(random_maps_are_reproduced),
        cmocka_unit_test(maps_are_averaged_by_area),
        cmocka_unit_test(maps_are_compared_at_one_grain),
        cmocka_unit_test(refusals),
        cmocka_unit_test(filled_pixels_solve_the_equations),
        cmocka_unit_test(ranks_correlate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
