/* The inner loop of resampling, of every table of kernels, beside 64-bit sums; and areas that are empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "src/kernel/kernels.h"
#include "src/picture/resample.h"

enum { MAX_TAPS = 70, GUARD = 0x5A };

static uint32_t random_bits(uint32_t *seed)
{
    return *seed = *seed * 1664525 + 1013904223;
}

/* Weights of taps that add up to 1, with negative ones among them: black and white lines overshoot on both sides. */
static void make_weights(int32_t *weight, int taps, uint32_t *seed)
{
    int32_t left = 1 << MV_BICUBIC_FRACTION;
    for (int t = 0; t < taps - 1; t++) {
        weight[t] = (int32_t)(random_bits(seed) >> 8) % (1 << MV_BICUBIC_FRACTION) / taps * (t % 3 == 1 ? -1 : 1);
        left -= weight[t];
    }
    weight[taps - 1] = left;
}

/* `pieces`: how often the sum is interrupted. */
static void expect_sums(const mv_kernels *k, size_t n, size_t stride, int taps, int pieces, uint32_t *seed)
{
    uint8_t *lines = malloc(stride * MAX_TAPS), *out = malloc(n + 1);
    int32_t *sums = malloc(n * sizeof *sums), weight[MAX_TAPS];
    assert_true(lines && out && sums);
    for (size_t i = 0; i < stride * MAX_TAPS; i++) {
        uint32_t r = random_bits(seed);
        lines[i] = r & 1 << 20 ? (r >> 31 ? 255 : 0) : (uint8_t)(r >> 24);
    }
    make_weights(weight, taps, seed);
    out[n] = GUARD;
    for (int p = 0; p < pieces; p++) {
        int from = taps * p / pieces, to = taps * (p + 1) / pieces;
        k->bicubic(out, sums, n, lines + (size_t)from * stride, stride, weight + from, to - from, p == 0,
                   p == pieces - 1);
    }
    for (size_t l = 0; l < n; l++) {
        int64_t sum = 1 << (MV_BICUBIC_FRACTION - 1);
        for (int t = 0; t < taps; t++)
            sum += (int64_t)weight[t] * lines[(size_t)t * stride + l];
        sum >>= MV_BICUBIC_FRACTION;
        uint8_t due = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
        if (out[l] != due)
            fail_msg("%s: byte %zu of %zu, %d taps in %d pieces: %d, expected %d", k->name, l, n, taps, pieces, out[l],
                     due);
    }
    assert_int_equal(out[n], GUARD);
    free(lines);
    free(out);
    free(sums);
}

static void test_sums_of_every_table(void **state)
{
    (void)state;
    static const size_t widths[] = {MV_BICUBIC_LANES, 3 * MV_BICUBIC_LANES, 21 * MV_BICUBIC_LANES};
    static const int taps[] = {1, 2, 4, 5, 13, MAX_TAPS};
    uint32_t seed = 1;
    int tables = 0;
    for (const mv_kernels *k; (k = mv_kernels_at(tables)); tables++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (size_t t = 0; t < sizeof taps / sizeof *taps; t++)
                for (int pieces = 1; pieces <= 3 && pieces <= taps[t]; pieces++)
                    expect_sums(k, widths[w], widths[w] + (w == 1 ? MV_BICUBIC_LANES : 0), taps[t], pieces, &seed);
    assert_true(tables >= 1);
    assert_string_equal(mv_kernels_at(tables - 1)->name, "plain");
}

/* A narrow picture that becomes wide has its height times the new width in pixels between the passes. */
static void test_more_between_than_allowed(void **state)
{
    (void)state;
    enum { TALL = 1000000, SIDE = 4096 };
    mv_error e = {0};
    mv_image tall = {.w = 1, .h = TALL, .rgb = calloc(TALL, 3)};
    assert_non_null(tall.rgb);
    mv_resample_area squash = {.scaled_w = SIDE, .scaled_h = SIDE, .w = SIDE, .h = SIDE};
    assert_int_equal(mv_resample(&tall, MV_RESAMPLE_BICUBIC, &squash, NULL, 0, &e), MV_EINPUT);
    assert_string_equal(e.text,
                        "resizing 1 x 1000000 pixels to 4096 x 4096 takes 4096 million pixels between width and "
                        "height, expected at most 536 million: crop the picture, or take a smaller --size");
    uint8_t *out = calloc(SIDE, 3 * 8);
    assert_non_null(out);
    squash.h = 8; /* a part of the height alone */
    assert_int_equal(mv_resample(&tall, MV_RESAMPLE_BICUBIC, &squash, out, 3 * SIDE, &e), MV_OK);
    free(out);
    free(tall.rgb);
}

static void test_an_empty_area(void **state)
{
    (void)state;
    uint8_t one[3] = {1, 2, 3};
    mv_image in = {1, 1, one};
    mv_resample_area area = {5, 5, 5, 0, 0, 5};
    assert_int_equal(mv_resample(&in, MV_RESAMPLE_BICUBIC, &area, NULL, 0, NULL), MV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_of_every_table),
        cmocka_unit_test(test_more_between_than_allowed),
        cmocka_unit_test(test_an_empty_area),
    };
    return cmocka_run_group_tests_name("resample", tests, NULL, NULL);
}
