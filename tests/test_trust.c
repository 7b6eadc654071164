/* The coverage of bootstrap intervals on a known distribution, calibration of toys whose error is known, pointing and
 * quarters of made maps, and re-drawn parameters.
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

#include "src/explain/pointing.h"
#include "src/explain/redraw.h"
#include "src/explain/trust.h"
#include "tests/network.h"

static void intervals_cover_the_mean(void **state)
{
    (void)state;
    enum { SETS = 200, N = 60 };
    int covered = 0;
    double width = 0;
    for (int k = 0; k < SETS; k++) {
        float u[N];
        double v[N];
        mv_estimate i;
        mv_error e = {0};
        weights_uniform(u, "values", N, (uint64_t)k * 1000);
        for (int j = 0; j < N; j++)
            v[j] = (double)u[j] + 5; /* mean 5, deviation 1 / sqrt 3 */
        mv_bootstrap(&i, v, N, 7, &e);
        expect_ok(&e);
        assert_true(i.n == N && i.low < i.mean && i.mean < i.high);
        covered += i.low <= 5 && 5 <= i.high;
        width += (i.high - i.low) / SETS;
    }
    print_message("%d of %d intervals hold the mean, width %.4f\n", covered, SETS, width);
    assert_true(covered >= 178 && covered <= 199); /* 95 % less a little: 190 +- 3.9 deviations */
    assert_true(fabs(width / (2 * 1.96 / sqrt(3.0 * N)) - 1) < 0.05);
}

static void intervals_of_few_values(void **state)
{
    (void)state;
    const double v[] = {NAN, 0.25, NAN}, two[] = {1, 0};
    mv_estimate i, again;
    mv_error e = {0};
    mv_bootstrap(&i, v, 3, 1, &e);
    assert_true(i.n == 1 && i.mean == 0.25 && i.low == 0.25 && i.high == 0.25);
    mv_bootstrap(&i, v, 1, 1, &e);
    assert_true(i.n == 0 && isnan(i.mean) && isnan(i.low));
    mv_bootstrap(&i, two, 2, 1, &e);
    mv_bootstrap(&again, two, 2, 1, &e);
    assert_true(i.low == 0 && i.high == 1 && i.mean == 0.5);
    assert_true(i.low == again.low && i.high == again.high && i.mean == again.mean);
}

static void calibration_of_toys(void **state)
{
    (void)state;
    enum { N = 1000 };
    double p[N], right[N];
    mv_calibration c;
    for (int i = 0; i < N; i++) { /* 0.7 sure, right in 7 of 10 */
        p[i] = 0.7;
        right[i] = i % 10 < 7;
    }
    mv_calibrate(&c, p, right, N);
    assert_true(c.error < 1e-12 && fabs(c.confidence - 0.7) < 1e-12);
    assert_int_equal(c.bin[10].n, N); /* above 10/15, up to 11/15 */
    for (int i = 0; i < N; i++)       /* half of them sure and never right, the others as before */
        if (i % 2)
            p[i] = 1, right[i] = 0;
    mv_calibrate(&c, p, right, N);
    assert_true(fabs(c.error - 0.5 * 1 - 0.5 * fabs(0.8 - 0.7)) < 1e-12); /* 0 2 4 6 of 0 2 4 6 8 */
    p[0] = 0;
    mv_calibrate(&c, p, right, 1);
    assert_int_equal(c.bin[0].n, 1);
}

static mv_map map_of(int h, int w, const float *v)
{
    mv_map m;
    mv_error e = {0};
    mv_map_new(&m, h, w, &e);
    expect_ok(&e);
    memcpy(m.v, v, (size_t)(h * w) * sizeof *v);
    return m;
}

static void maps_point(void **state)
{
    (void)state;
    enum { H = 8, W = 12 };
    const float v[] = {4, -1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
    mv_map m = map_of(3, 4, v);
    bool inside[H * W] = {0}, hit;
    double energy;
    mv_error e = {0};
    mv_pointing(&m, inside, H, W, &hit, &energy, &e);
    assert_true(!hit && energy == 0);
    for (int i = 0; i < H * W; i++)
        inside[i] = i / W < 4;
    mv_pointing(&m, inside, H, W, &hit, &energy, &e);
    assert_true(hit && energy > 0.7 && energy < 0.9); /* 4 of 5, and a little that flows over */
    memset(inside, 1, sizeof inside);
    mv_pointing(&m, inside, H, W, &hit, &energy, &e);
    assert_true(hit && energy == 1);
    double sum = 0, share;
    for (int q = 0; q < 4; q++) {
        mv_quarters_share(&m, q, H, W, &share, &e);
        sum += share;
        assert_true(q != 0 || share > 0.6);
    }
    assert_true(fabs(sum - 1) < 1e-12);
    for (int i = 0; i < 12; i++)
        m.v[i] = 2;
    mv_quarters_share(&m, 3, H, W, &share, &e);
    assert_true(fabs(share - 0.25) < 1e-12);
    for (int i = 0; i < 12; i++)
        m.v[i] = -2;
    mv_pointing(&m, inside, H, W, &hit, &energy, &e);
    assert_true(hit && isnan(energy));
    expect_ok(&e);
    m.channels = 3;
    assert_int_equal(mv_pointing(&m, inside, H, W, &hit, &energy, &e), MV_EMISUSE);
    mv_map_free(&m);
}

static void quarters_keep_the_mean(void **state)
{
    (void)state;
    enum { H = 37, W = 50, N = H * W };
    float *in[4], *out = malloc(3 * N * sizeof *out);
    const float *list[4];
    mv_error e = {0};
    assert_non_null(out);
    for (int q = 0; q < 4; q++)
        list[q] = in[q] = network_input(1, H, W, (uint64_t)q);
    mv_quarters_make(out, list, H, W, &e);
    expect_ok(&e);
    for (int q = 0; q < 4; q++)
        for (int c = 0; c < 3; c++) {
            double before = 0, after = 0;
            int n = 0;
            for (int i = 0; i < N; i++)
                before += (double)in[q][c * N + i] / N;
            for (int y = q / 2 * (H / 2); y < (q / 2 ? H : H / 2); y++)
                for (int x = q % 2 * (W / 2); x < (q % 2 ? W : W / 2); x++, n++)
                    after += (double)out[c * N + y * W + x];
            assert_true(fabs(before - after / n) < 1e-6);
        }
    for (int q = 0; q < 4; q++)
        free(in[q]);
    free(out);
}

/* ---- re-drawn parameters */

static void stages_have_names(void **state)
{
    (void)state;
    mv_config c = small_config();
    char text[48];
    assert_int_equal(mv_redraw_stages(&c), 2 + 1 + 1 + 3 + 2);
    assert_string_equal(mv_redraw_name(&c, 0, text), "head");
    assert_string_equal(mv_redraw_name(&c, 1, text), "levels.3.blocks.1");
    assert_string_equal(mv_redraw_name(&c, 3, text), "levels.2.blocks.2");
    assert_string_equal(mv_redraw_name(&c, 7, text), "levels.0.blocks.0");
    assert_string_equal(mv_redraw_name(&c, 8, text), "patch_embed");
}

static int by_value(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void redrawn_tensors_keep_their_values(void **state)
{
    (void)state;
    enum { N = 64 };
    static const struct {
        const char *name;
        int stage; /* the first number of stages that re-draws it */
    } tensors[] = {{"head.weight", 1},
                   {"norm.running_var", 1},
                   {"levels.3.blocks.1.mixer.qkv.weight", 2},
                   {"levels.3.blocks.0.mlp.fc1.weight", 3},
                   {"levels.2.downsample.reduction.0.weight", 4},
                   {"levels.2.blocks.2.mlp.fc1.weight", 4},
                   {"levels.2.blocks.0.mixer.A_log", 6},
                   {"levels.0.blocks.0.conv1.weight", 8},
                   {"patch_embed.conv_down.0.weight", 9}};
    mv_config c = small_config();
    weights w;
    mv_source *from = weights_source(&w, 3);
    mv_redraw r, again;
    const int dim[] = {N};
    for (size_t t = 0; t < sizeof tensors / sizeof *tensors; t++)
        for (int stages = 0; stages <= mv_redraw_stages(&c); stages++) {
            float was[N], is[N], twice[N];
            bool found;
            from->read(from, tensors[t].name, 1, dim, was, &found, NULL);
            mv_source *s = mv_redraw_source(&r, from, &c, stages, 5),
                      *same = mv_redraw_source(&again, from, &c, stages, 5);
            assert_int_equal(s->read(s, tensors[t].name, 1, dim, is, &found, NULL), MV_OK);
            same->read(same, tensors[t].name, 1, dim, twice, &found, NULL);
            assert_true(found);
            assert_memory_equal(is, twice, sizeof is);
            bool changed = false;
            for (int i = 0; i < N; i++)
                changed |= was[i] != is[i];
            assert_int_equal(changed, stages >= tensors[t].stage);
            qsort(was, N, sizeof *was, by_value);
            qsort(is, N, sizeof *is, by_value);
            assert_memory_equal(was, is, sizeof is);
        }
}

static void a_redrawn_network_answers_otherwise(void **state)
{
    (void)state;
    mv_config c = small_config();
    network net = network_of(&c, MV_F32, 1, 3);
    float *planes = network_input(1, 64, 64, 1), was[10], is[10];
    double last = 0;
    for (int stages = 0; stages <= mv_redraw_stages(&c); stages += 3) {
        mv_error e = {0};
        mv_redraw r;
        mv_model *m = mv_model_new(&c, net.backend, mv_redraw_source(&r, &net.w.source, &c, stages, 5), &e);
        expect_ok(&e);
        mv_run *run = mv_run_new(m, 64, 64, 1, NULL, &e);
        expect_ok(&e);
        mv_run_forward(run, planes, 1, stages ? is : was, &e);
        expect_ok(&e);
        last = stages ? relative_l2(is, was, 10) : 0;
        assert_true(stages == 0 || last > 0.1);
        mv_run_free(run);
        mv_model_free(m);
    }
    free(planes);
    network_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_cover_the_mean),
        cmocka_unit_test(intervals_of_few_values),
        cmocka_unit_test(calibration_of_toys),
        cmocka_unit_test(maps_point),
        cmocka_unit_test(quarters_keep_the_mean),
        cmocka_unit_test(stages_have_names),
        cmocka_unit_test(redrawn_tensors_keep_their_values),
        cmocka_unit_test(a_redrawn_network_answers_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
