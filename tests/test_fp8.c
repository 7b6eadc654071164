/* fp8: the 8-bit format, its products against those of the same rounded values, and how far a network's answers move.
 * In emulation, or on a card like test_backend.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/device/yardstick.h"
#include "tests/card.h"
#include "tests/network.h"
#include "tests/op_reference.h"
#include "tests/short.h"

/* ---- the format */

static void codes_are_those_of_the_format(void **s)
{
    (void)s;
    for (int b = 0; b < 256; b++) { /* 1 sign, 4 exponent, 3 mantissa bits; no infinities, one NaN */
        int e = b >> 3 & 15, m = b & 7;
        double want = e ? ldexp(8 + m, e - 10) : ldexp(m, -9);
        float got = mv_e4m3_to_f32((uint8_t)b);
        if ((b & 127) == 127) {
            assert_true(isnan(got));
            assert_int_equal(mv_f32_to_e4m3(got) & 127, 127);
            continue;
        }
        assert_true((double)got == (b & 128 ? -want : want));
        assert_int_equal(mv_f32_to_e4m3(got), b);
    }
}

static void values_become_the_nearest_code(void **s)
{
    (void)s;
    uint32_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        seed = seed * 1664525 + 1013904223;
        float x = ldexpf((float)(int32_t)seed * 0x1p-31f, (int)(seed >> 3 & 31) - 20), least = INFINITY;
        for (int b = 0; b < 127; b++)
            least = fminf(least, fabsf(fabsf(x) - mv_e4m3_to_f32((uint8_t)b)));
        assert_true(fabsf(mv_e4m3_to_f32(mv_f32_to_e4m3(x)) - x) == least);
    }
    const float ties[][2] = {{0x1p-10f, 0}, {0x1.8p-9f, 0x1p-8f}, {17, 16}, {19, 20}, {0x1.fp-7f, 0x1p-6f}};
    for (size_t i = 0; i < sizeof ties / sizeof *ties; i++) /* to even */
        assert_true(mv_e4m3_to_f32(mv_f32_to_e4m3(ties[i][0])) == ties[i][1]);
    assert_int_equal(mv_f32_to_e4m3(449), 0x7e);
    assert_int_equal(mv_f32_to_e4m3(-INFINITY), 0xfe);
    assert_int_equal(mv_f32_to_e4m3(NAN) & 127, 127);
}

/* ---- products */

/* The values of a row as E4M3, brought below 448 by a power of two */
static void rounded_row(float *out, const float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    float scale = 0x1p-60f;
    while (most > 448 * scale)
        scale *= 2;
    for (size_t i = 0; i < n; i++)
        out[i] = mv_e4m3_to_f32(mv_f32_to_e4m3(x[i] / scale)) * scale;
}

typedef struct {
    int rows, in, out;
    mv_act act;
    bool gamma, onto, fp32;
} product_case;

static mv_tensor on_device(mv_backend *b, const float *values, mv_dtype type, int rows, int columns)
{
    mv_error e = {0};
    mv_tensor t = mv_tensor_of(NULL, type, 2, rows, columns);
    t.data = b->alloc(b, mv_tensor_bytes(t));
    assert_non_null(t.data);
    b->write(b, mv_view_of(t), values, &e);
    expect_ok(&e);
    return t;
}

static float *random_values(const char *name, size_t n, float spread)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    weights_uniform(x, name, n, 7);
    for (size_t i = 0; i < n; i++)
        x[i] = mv_f16_to_f32(mv_f32_to_f16(x[i] * spread));
    return x;
}

/* Rows of very different sizes, one of them zeros; weights likewise. The reference multiplies the rounded values in
 * double, so only the rounding of the output, and of GELU's form, is left. */
static void product_equals_that_of_rounded_values(const product_case *c)
{
    mv_backend *b = card_open_fp8();
    mv_error e = {0};
    size_t rows = (size_t)c->rows, in = (size_t)c->in, out = (size_t)c->out, n = rows * out;
    float *x = random_values("x", rows * in, 1), *w = random_values("w", out * in, 0.1f),
          *bias = random_values("bias", out, 1), *gamma = random_values("gamma", out, 1),
          *onto = random_values("onto", n, 1), *xr = malloc(rows * in * sizeof *xr),
          *wr = malloc(out * in * sizeof *wr), *got = malloc(n * sizeof *got);
    double *want = malloc(n * sizeof *want);
    assert_true(xr && wr && got && want);
    for (size_t i = 0; i < rows * in; i++)
        x[i] = mv_f16_to_f32(mv_f32_to_f16(x[i] * (i / in % 4 == 3 ? 0 : i / in % 4 == 2 ? 1e-4f : 20)));
    for (size_t i = 0; i < rows; i++)
        rounded_row(xr + i * in, x + i * in, in);
    for (size_t i = 0; i < out; i++)
        rounded_row(wr + i * in, w + i * in, in);
    ref_linear(want, xr, rows, c->in, c->out, wr, bias, c->act, c->gamma ? gamma : NULL, c->onto ? onto : NULL);

    mv_dense dense = {0};
    mv_vector scale = {0};
    b->dense_new(b, &dense, c->in, c->out, w, bias, &e);
    b->vector_new(b, &scale, c->out, gamma, &e);
    expect_ok(&e);
    mv_tensor from = on_device(b, x, MV_F16, c->rows, c->in),
              to = on_device(b, onto, c->fp32 ? MV_F32 : MV_F16, c->rows, c->out);
    b->linear(b, to, from, &dense, c->act, c->gamma ? scale : (mv_vector){0}, c->onto ? to : (mv_tensor){0}, &e);
    b->read(b, got, mv_view_of(to), &e);
    expect_ok(&e);
    double bound = c->fp32 ? 2e-6 : 1.5e-3, largest = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)got[i] - want[i]));
        size = fmax(size, fabs(want[i]));
    }
    if (!(largest <= bound * size))
        fail_msg("%d x %d x %d: differs by %.3g of %.3g", c->rows, c->in, c->out, largest, size);
    b->release(b, from.data);
    b->release(b, to.data);
    b->dense_free(b, &dense);
    b->vector_free(b, &scale);
    b->free(b);
    for (float **p = (float *[]){x, w, bias, gamma, onto, xr, wr, got, NULL}; *p; p++)
        free(*p);
    free(want);
}

static void products_are_those_of_rounded_values(void **s)
{
    (void)s;
    static const product_case cases[] = {
        {7, 256, 768, MV_ACT_NONE, false, false, false}, {1, 320, 1280, MV_ACT_GELU, false, false, false},
        {5, 256, 768, MV_ACT_NONE, true, true, false},   {5, 256, 768, MV_ACT_GELU, true, true, false},
        {5, 256, 768, MV_ACT_NONE, false, false, true},  {5, 256, 768, MV_ACT_GELU, true, true, true},
        {3, 4096, 1024, MV_ACT_NONE, true, true, false}, {3, 528, 1600, MV_ACT_NONE, false, false, false},
        {3, 1072, 3216, MV_ACT_NONE, false, true, false}};
    size_t n = sizeof cases / sizeof *cases;
    for (size_t i = 0; i < (test_is_short() ? 6 : n); i++)
        product_equals_that_of_rounded_values(&cases[i]);
}

/* NaN and infinity spoil their row, and no other. */
static void rows_that_are_not_finite_stay_alone(void **s)
{
    (void)s;
    enum { ROWS = 4, IN = 256, OUT = 768 };
    mv_backend *b = card_open_fp8();
    mv_error e = {0};
    float *x = random_values("x", ROWS * IN, 1), *w = random_values("w", OUT * IN, 0.1f), *got = malloc(ROWS * OUT * 4);
    assert_non_null(got);
    x[1 * IN + 37] = NAN;
    x[2 * IN + 255] = -INFINITY;
    mv_dense dense = {0};
    b->dense_new(b, &dense, IN, OUT, w, NULL, &e);
    expect_ok(&e);
    mv_tensor from = on_device(b, x, MV_F16, ROWS, IN), to = on_device(b, got, MV_F16, ROWS, OUT);
    b->linear(b, to, from, &dense, MV_ACT_NONE, (mv_vector){0}, (mv_tensor){0}, &e);
    b->read(b, got, mv_view_of(to), &e);
    expect_ok(&e);
    for (size_t i = 0; i < ROWS * OUT; i++)
        assert_true(isfinite(got[i]) == (i / OUT == 0 || i / OUT == 3));
    b->release(b, from.data);
    b->release(b, to.data);
    b->dense_free(b, &dense);
    b->free(b);
    free(x);
    free(w);
    free(got);
}

/* 8 bits are for values, not for gradients: the product back says so. */
static void gradients_need_fp16(void **s)
{
    (void)s;
    enum { IN = 256, OUT = 768 };
    mv_error e = {0};
    mv_backend *b = card_open_fp8();
    float *w = calloc((size_t)IN * OUT, sizeof *w);
    void *memory = b->alloc(b, OUT * sizeof *w);
    mv_dense d;
    assert_true(w && memory);
    b->dense_new(b, &d, IN, OUT, w, NULL, &e);
    expect_ok(&e);
    mv_tensor dx = mv_tensor_of(memory, MV_F16, 2, 1, IN), dy = mv_tensor_of(memory, MV_F16, 2, 1, OUT);
    assert_int_equal(b->linear_back(b, dx, dy, &d, (mv_tensor){0}, &e), MV_EDEVICE);
    assert_string_equal(e.text, "cuda:0: found fp8 weights, which gradients do not go through; use -p fp16");
    b->dense_free(b, &d);
    b->release(b, memory);
    b->free(b);
    free(w);
}

/* ---- the yardstick */

static mv_dense measured;
static mv_status (*real_linear)(mv_backend *, mv_tensor, mv_tensor, const mv_dense *, mv_act, mv_vector, mv_tensor,
                                mv_error *);

static mv_status watched_linear(mv_backend *b, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act,
                                mv_vector gamma, mv_tensor residual, mv_error *e)
{
    measured = *w;
    return real_linear(b, out, x, w, act, gamma, residual, e);
}

/* What the yardstick of a device with fp8 measures is a product of E4M3: there 1.03 is 1, as in no layer of fp16. */
static void the_yardstick_measures_fp8(void **s)
{
    (void)s;
    mv_backend *b = card_open_fp8();
    mv_error e = {0};
    real_linear = b->linear;
    b->linear = watched_linear;
    mv_yardstick *y = mv_yardstick_new(b, &e);
    expect_ok(&e);
    b->linear = real_linear;
    mv_yardstick_free(y);
    int in = measured.in, out = measured.out;
    size_t n = (size_t)in * (size_t)out;
    float *w = malloc(n * sizeof *w), *x = calloc((size_t)in, sizeof *x), *got = calloc((size_t)out, sizeof *got);
    assert_true(w && x && got);
    for (size_t i = 0; i < n; i++)
        w[i] = i % 2 ? 1.03f : 1.75f; /* of a row, the largest sets the scale */
    x[1] = 1;
    mv_dense dense = {0};
    b->dense_new(b, &dense, in, out, w, NULL, &e);
    mv_tensor from = on_device(b, x, MV_F16, 1, in), to = on_device(b, got, MV_F16, 1, out);
    b->linear(b, to, from, &dense, MV_ACT_NONE, (mv_vector){0}, (mv_tensor){0}, &e);
    b->read(b, got, mv_view_of(to), &e);
    expect_ok(&e);
    assert_true(got[0] == 1.0f && got[out - 1] == 1.0f);
    b->release(b, from.data);
    b->release(b, to.data);
    b->dense_free(b, &dense);
    b->free(b);
    free(w);
    free(x);
    free(got);
}

/* ---- networks */

enum { SIDE = 64, CLASSES = 10, PICTURES = 3 };

/* Wide enough that levels 2 and 3 have fp8 layers */
static mv_config wide_config(void)
{
    mv_config c = small_config();
    c.dim = 64;
    c.depth[2] = 4;
    return c;
}

static void logits_of(const network *n, int first, int pictures, int times, float *logits)
{
    mv_error e = {0};
    float *x = network_input(PICTURES, SIDE, SIDE, 3);
    mv_run *r = mv_run_new(n->model, SIDE, SIDE, pictures, NULL, &e);
    expect_ok(&e);
    for (int i = 0; i < times; i++)
        mv_run_forward(r, x + (size_t)first * 3 * SIDE * SIDE, pictures, logits, &e);
    expect_ok(&e);
    mv_run_free(r);
    free(x);
}

/* fp8 moves the logits by some percent; a picture's do not depend on what else is in its batch, nor on a replay. */
static void answers_move_little(void **s)
{
    (void)s;
    mv_config c = wide_config();
    network half = network_on(&c, card_open(MV_F16), 5), narrow = network_on(&c, card_open_fp8(), 5);
    float want[PICTURES * CLASSES], got[PICTURES * CLASSES], again[PICTURES * CLASSES];
    assert_true(narrow.backend->fp8 && !half.backend->fp8);
    logits_of(&half, 0, PICTURES, 1, want);
    logits_of(&narrow, 0, PICTURES, 1, got);
    double d = relative_l2(got, want, PICTURES * CLASSES);
    print_message("           logits differ from fp16 by %.2g\n", d);
    assert_true(d > 1e-3 && d < 0.08);
    logits_of(&narrow, 0, PICTURES, 4, again);
    assert_memory_equal(again, got, sizeof got);
    for (int i = 0; i < PICTURES; i++) {
        logits_of(&narrow, i, 1, 1, again);
        if (card_emulated)
            assert_memory_equal(again, got + i * CLASSES, CLASSES * sizeof *again);
        else
            assert_true(relative_l2(again, got + i * CLASSES, CLASSES) < 3e-3);
    }
    network_free(&half);
    network_free(&narrow);
}

int main(void)
{
    if (!card_find())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_those_of_the_format),
        cmocka_unit_test(values_become_the_nearest_code),
        cmocka_unit_test(products_are_those_of_rounded_values),
        cmocka_unit_test(rows_that_are_not_finite_stay_alone),
        cmocka_unit_test(gradients_need_fp16),
        cmocka_unit_test(the_yardstick_measures_fp8),
        cmocka_unit_test(answers_move_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
