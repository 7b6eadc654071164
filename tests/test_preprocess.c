/* Resizing, cropping and normalising against what Pillow and NumPy give, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/picture/decode.h"
#include "src/picture/preprocess.h"
#include "tests/reference_png.h"

static const mv_preprocess imagenet = {.h = 224,
                                       .w = 224,
                                       .crop_pct = 1,
                                       .mode = MV_CROP_CENTER,
                                       .mean = {0.485F, 0.456F, 0.406F},
                                       .std = {0.229F, 0.224F, 0.225F}};

static mv_preprocess sized(int h, int w, double pct, mv_crop_mode mode)
{
    mv_preprocess pp = imagenet;
    pp.h = h;
    pp.w = w;
    pp.crop_pct = pct;
    pp.mode = mode;
    return pp;
}

/* A picture of bytes that look like none of their neighbours. */
static mv_image noise(int w, int h, uint32_t seed)
{
    mv_image image;
    assert_int_equal(mv_image_new(&image, w, h, NULL), MV_OK);
    for (size_t i = 0; i < (size_t)w * (size_t)h * 3; i++) {
        seed = seed * 1664525 + 1013904223;
        image.rgb[i] = (uint8_t)(seed >> 24);
    }
    return image;
}

static mv_image cropped(const mv_preprocess *pp, const mv_image *in)
{
    mv_image out;
    mv_error e = {0};
    if (mv_preprocess_crop(pp, in, &out, &e) != MV_OK)
        fail_msg("%s", e.text);
    assert_int_equal(out.w, pp->w);
    assert_int_equal(out.h, pp->h);
    return out;
}

/* --- Pillow's ---------------------------------------------------------------------------------------------- */

struct made {
    const char *picture;
    int h, w;
    const char *pct, *mode; /* as in the file's name */
};

static int differing(const char *expected, const struct made *m, mv_resample_filter filter)
{
    char path[160];
    snprintf(path, sizeof path, "tests/data/preprocess/%s.png", m->picture);
    mv_image in, want = reference_png(expected);
    mv_error e = {0};
    if (mv_picture_load(&in, path, NULL, &e) != MV_OK)
        fail_msg("%s", e.text);
    mv_image reference = reference_png(path);
    assert_int_equal(in.w, reference.w);
    assert_int_equal(in.h, reference.h);
    assert_memory_equal(in.rgb, reference.rgb, (size_t)in.w * (size_t)in.h * 3);

    mv_crop_mode mode;
    assert_true(mv_crop_mode_of(m->mode, &mode));
    mv_preprocess pp = sized(m->h, m->w, strtod(m->pct, NULL), mode);
    pp.filter = filter;
    mv_image out = cropped(&pp, &in);
    int n = 0;
    for (size_t i = 0; i < (size_t)out.w * (size_t)out.h * 3; i++)
        n += out.rgb[i] != want.rgb[i];
    if (n)
        print_error("%s: %d bytes differ\n", expected, n);
    mv_image_free(&in);
    mv_image_free(&out);
    mv_image_free(&want);
    mv_image_free(&reference);
    return n;
}

static void test_the_published_pipeline(void **state)
{
    (void)state;
    static const struct made made[] = {{"wide", 224, 224, "1.0", "center"},     {"wide", 224, 224, "0.98", "center"},
                                       {"wide", 224, 224, "0.93", "center"},    {"wide", 256, 256, "1.0", "center"},
                                       {"wide", 512, 512, "0.93", "squash"},    {"tall", 224, 224, "1.0", "center"},
                                       {"tall", 224, 224, "0.875", "center"},   {"tall", 224, 224, "1.0", "squash"},
                                       {"tall", 224, 224, "1.0", "border"},     {"small", 224, 224, "1.0", "center"},
                                       {"grey", 224, 224, "1.0", "center"},     {"alpha", 224, 224, "1.0", "center"},
                                       {"palette", 224, 224, "0.93", "center"}, {"exact", 224, 224, "1.0", "center"},
                                       {"odd", 223, 223, "0.9", "center"}};
    int n = 0;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char path[160];
        snprintf(path, sizeof path, "tests/data/preprocess/%s-%d-%s-%s.png", made[i].picture, made[i].h, made[i].pct,
                 made[i].mode);
        n += differing(path, &made[i], MV_RESAMPLE_BICUBIC);
    }
    assert_int_equal(n, 0);
}

static void test_bilinear(void **state)
{
    (void)state;
    static const struct made made[] = {{"wide", 64, 64, "0.875", "center"},   {"tall", 96, 96, "1.0", "squash"},
                                       {"small", 160, 160, "1.0", "center"},  {"odd", 63, 63, "0.9", "center"},
                                       {"needle", 32, 32, "0.875", "squash"}, {"plank", 32, 32, "1.0", "center"}};
    int n = 0;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char path[160];
        snprintf(path, sizeof path, "tests/data/preprocess/%s-%d-%s-%s-bilinear.png", made[i].picture, made[i].h,
                 made[i].pct, made[i].mode);
        n += differing(path, &made[i], MV_RESAMPLE_BILINEAR);
    }
    assert_int_equal(n, 0);
}

static void test_other_proportions(void **state)
{
    (void)state;
    static const struct made made[] = {
        {"plain", 48, 80, "1.0", "center"},  {"plain", 80, 48, "0.9", "center"},  {"plain", 48, 80, "0.9", "squash"},
        {"plain", 64, 40, "0.95", "border"}, {"plain", 7, 5, "1.0", "center"},    {"plain", 50, 50, "1.25", "center"},
        {"plain", 33, 33, "0.6", "border"},  {"plain", 97, 61, "1.0", "squash"},  {"pixel", 16, 16, "0.9", "center"},
        {"pixel", 5, 9, "1.0", "border"},    {"needle", 32, 32, "1.0", "center"}, {"needle", 32, 32, "0.875", "squash"},
        {"plank", 32, 32, "1.0", "center"},  {"plank", 24, 32, "1.0", "squash"}};
    int n = 0;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        char path[160];
        snprintf(path, sizeof path, "tests/data/preprocess/%s-%dx%d-%s-%s.png", made[i].picture, made[i].h, made[i].w,
                 made[i].pct, made[i].mode);
        n += differing(path, &made[i], MV_RESAMPLE_BICUBIC);
    }
    assert_int_equal(n, 0);
}

/* --- a slow second way ----------------------------------------------------------------------------------------- */

static double bicubic(double x)
{
    x = fabs(x);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

/* One side of a whole picture to `to` pixels: `count` lines of `from` pixels, pixels `step` apart, lines `line`. */
static void resize_side(const uint8_t *in, uint8_t *out, int from, int to, int count, size_t step, size_t line,
                        size_t out_line)
{
    double scale = (double)from / to, wide = scale < 1 ? 1 : scale;
    for (int i = 0; i < to; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int lo = (int)fmax(centre - 2 * wide + 0.5, 0), hi = (int)fmin(centre + 2 * wide + 0.5, from);
        for (int x = lo; x < hi; x++)
            sum += bicubic((x - centre + 0.5) * (1 / wide));
        for (int l = 0; l < count; l++)
            for (size_t c = 0; c < 3; c++) {
                int64_t total = 1 << 21;
                for (int x = lo; x < hi; x++) {
                    double w = bicubic((x - centre + 0.5) * (1 / wide)) / sum * (1 << 22);
                    total += (int64_t)(w < 0 ? w - 0.5 : w + 0.5) * in[(size_t)l * line + (size_t)x * step + c];
                }
                total >>= 22;
                out[(size_t)l * out_line + (size_t)i * step + c] = (uint8_t)(total < 0 ? 0 : total > 255 ? 255 : total);
            }
    }
}

/* Squashing shows the whole resized picture, so any window of it can be checked. */
static void test_against_a_plain_resize(void **state)
{
    (void)state;
    static const int sizes[][4] = {{1, 1, 3, 2},      {5, 1, 1, 9},     {200, 3, 7, 40},
                                   {33, 65, 31, 32},  {64, 64, 64, 64}, {300, 40, 1, 1},
                                   {17, 130, 260, 5}, {9000, 2, 11, 3}, {3, 5000, 4, 6}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int w = sizes[k][0], h = sizes[k][1], tw = sizes[k][2], th = sizes[k][3];
        mv_image in = noise(w, h, (uint32_t)k), middle, want;
        assert_int_equal(mv_image_new(&middle, tw, h, NULL), MV_OK);
        assert_int_equal(mv_image_new(&want, tw, th, NULL), MV_OK);
        resize_side(in.rgb, middle.rgb, w, tw, h, 3, (size_t)w * 3, (size_t)tw * 3);
        resize_side(middle.rgb, want.rgb, h, th, tw, (size_t)tw * 3, 3, 3);
        mv_preprocess pp = sized(th, tw, 1, MV_CROP_SQUASH);
        mv_image out = cropped(&pp, &in);
        assert_memory_equal(out.rgb, want.rgb, (size_t)tw * (size_t)th * 3);
        mv_image_free(&in);
        mv_image_free(&middle);
        mv_image_free(&want);
        mv_image_free(&out);
    }
}

/* A crop is a window of the larger crop of the same resize, wherever the buffers slide. */
static void test_a_window_of_a_window(void **state)
{
    (void)state;
    mv_image in = noise(6000, 130, 4);
    mv_preprocess whole = sized(400, 400, 1, MV_CROP_SQUASH), part = sized(100, 100, 0.25, MV_CROP_SQUASH);
    mv_image a = cropped(&whole, &in), b = cropped(&part, &in);
    for (int y = 0; y < 100; y++)
        assert_memory_equal(b.rgb + y * 300, a.rgb + (y + 150) * 1200 + 450, 300);
    mv_image_free(&in);
    mv_image_free(&a);
    mv_image_free(&b);
}

static void test_a_flat_picture_stays_flat(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 60000}, {60000, 1}, {1, 1}, {70000, 30}, {37, 41}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int mode = MV_CROP_CENTER; mode <= MV_CROP_SQUASH; mode++) {
            mv_image in;
            assert_int_equal(mv_image_new(&in, sizes[k][0], sizes[k][1], NULL), MV_OK);
            memset(in.rgb, 201, (size_t)in.w * (size_t)in.h * 3);
            mv_preprocess pp = sized(224, 224, 0.9, (mv_crop_mode)mode);
            mv_image out = cropped(&pp, &in);
            for (size_t i = 0; i < 224 * 224 * 3; i++)
                assert_int_equal(out.rgb[i], 201);
            mv_image_free(&in);
            mv_image_free(&out);
        }
}

/* Border: a line as long as the crop, one pixel high at least, in the mean colour. */
static void test_a_needle_in_a_border(void **state)
{
    (void)state;
    mv_image in;
    assert_int_equal(mv_image_new(&in, 5000, 1, NULL), MV_OK);
    memset(in.rgb, 9, 15000);
    mv_preprocess pp = sized(32, 32, 1, MV_CROP_BORDER);
    mv_image out = cropped(&pp, &in);
    static const uint8_t mean[3] = {124, 116, 104}; /* 255 * 0.485, 0.456, 0.406 */
    for (int y = 0; y < 32; y++)
        for (int i = 0; i < 96; i++)
            assert_int_equal(out.rgb[y * 96 + i], y == 15 ? 9 : mean[i % 3]);
    mv_image_free(&in);
    mv_image_free(&out);
}

/* --- normalising ------------------------------------------------------------------------------------------------ */

static void test_normalise(void **state)
{
    (void)state;
    mv_image in;
    assert_int_equal(mv_image_new(&in, 256, 1, NULL), MV_OK);
    for (int i = 0; i < 256; i++)
        memset(in.rgb + 3 * i, i, 3);
    in.rgb[0] = 7; /* so that the channels' order shows */
    float chw[3 * 256];
    mv_preprocess_normalise(&imagenet, &in, chw);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 256; i++) {
            volatile float x = (float)(c == 0 && i == 0 ? 7 : i); /* rounded after every step */
            x = x / 255.0F;
            x = x - imagenet.mean[c];
            x = x / imagenet.std[c];
            assert_memory_equal(&chw[c * 256 + i], &(float){x}, sizeof x);
        }
    /* from NumPy: (np.float32(200) / 255 - mean) / std, as bits */
    static const uint32_t numpy[3] = {0x3fa74d4f, 0x3fbb9b9c, 0x3fd737ef};
    for (int c = 0; c < 3; c++)
        assert_memory_equal(&chw[c * 256 + 200], &numpy[c], 4);
    mv_image_free(&in);
}

/* --- geometry ------------------------------------------------------------------------------------------------- */

/* --- what is refused -------------------------------------------------------------------------------------------- */

static void refused(mv_preprocess pp, const char *part)
{
    mv_image in = noise(4, 4, 1), out = {1, 1, NULL};
    mv_error e = {0};
    assert_int_equal(mv_preprocess_crop(&pp, &in, &out, &e), MV_EINPUT);
    assert_null(out.rgb);
    if (!strstr(e.text, part))
        fail_msg("'%s' does not say '%s'", e.text, part);
    mv_image_free(&in);
}

static void test_refusals(void **state)
{
    (void)state;
    refused(sized(0, 224, 1, MV_CROP_CENTER), "size 0x224");
    refused(sized(224, -1, 1, MV_CROP_CENTER), "size 224x-1");
    refused(sized(224, 1 << 30, 1, MV_CROP_CENTER), "size 224x1073741824");
    refused(sized(224, 224, 0, MV_CROP_CENTER), "crop share 0");
    refused(sized(224, 224, (double)NAN, MV_CROP_CENTER), "crop share nan");
    refused(sized(224, 224, 1e9, MV_CROP_CENTER), "crop share 1e+09");
    refused(sized(224, 224, 1, (mv_crop_mode)7), "crop mode 7");
    mv_preprocess nearest = imagenet;
    nearest.filter = (mv_resample_filter)2;
    refused(nearest, "interpolation 2");
    mv_preprocess pp = imagenet;
    pp.std[1] = 0;
    refused(pp, "channel 1");
    pp = imagenet;
    pp.mean[2] = (float)INFINITY;
    refused(pp, "channel 2");

    mv_image empty = {0}, out;
    assert_int_equal(mv_preprocess_crop(&imagenet, &empty, &out, NULL), MV_EMISUSE);
}

/* The part that is seen: cut evenly from the longer side, all of a squashed picture, and a share of both sides. */
static void test_the_part_that_is_seen(void **state)
{
    (void)state;
    mv_preprocess pp = {.h = 224, .w = 224, .crop_pct = 1, .mode = MV_CROP_CENTER};
    double a[4];
    assert_true(mv_preprocess_area(&pp, 640, 480, a));
    assert_true(fabs(a[0] - 80) < 2 && fabs(a[1]) < 1e-9 && fabs(a[2] - 480) < 2 && fabs(a[3] - 480) < 1e-9);
    assert_false(mv_preprocess_area(&pp, 300, 300, a));
    assert_true(fabs(a[2] - 300) < 1e-9 && fabs(a[3] - 300) < 1e-9);
    pp.crop_pct = 0.5;
    assert_true(mv_preprocess_area(&pp, 200, 400, a));
    assert_true(fabs(a[0] - 50) < 1 && fabs(a[1] - 150) < 1 && fabs(a[2] - 100) < 1 && fabs(a[3] - 100) < 1);
    pp.crop_pct = 1;
    pp.mode = MV_CROP_SQUASH;
    assert_false(mv_preprocess_area(&pp, 640, 480, a));
    pp.mode = MV_CROP_BORDER;
    assert_false(mv_preprocess_area(&pp, 640, 480, a));
    assert_true(fabs(a[2] - 640) < 1e-9 && fabs(a[3] - 480) < 1e-9);
}

/* The frame of the input: its part on the picture is what is seen, it has the input's proportions where those of the
 * picture are kept, and one of its pixels is as wide as the picture was shrunk. */
static void test_the_frame_of_the_input(void **state)
{
    (void)state;
    for (int mode = 0; mode < 3; mode++)
        for (double pct = 0.4; pct < 1.7; pct += 0.3)
            for (int w = 40; w < 3000; w = w * 3 + 7)
                for (int h = 31; h < 3000; h = h * 4 + 5) {
                    mv_preprocess pp = {.h = 224, .w = 160, .crop_pct = pct, .mode = (mv_crop_mode)mode};
                    double f[4], a[4];
                    mv_preprocess_frame(&pp, w, h, f);
                    mv_preprocess_area(&pp, w, h, a);
                    assert_true(fabs(fmax(f[0], 0) - a[0]) < 1e-6 && fabs(fmax(f[1], 0) - a[1]) < 1e-6);
                    assert_true(fabs(fmin(f[0] + f[2], w) - (a[0] + a[2])) < 1e-6);
                    assert_true(fabs(fmin(f[1] + f[3], h) - (a[1] + a[3])) < 1e-6);
                    if (mode != MV_CROP_SQUASH && w > 300 && h > 300) /* of a small side, rounding is a large share */
                        assert_true(fabs(f[2] / f[3] * 224 / 160 - 1) < 0.03);
                }
}

static void test_names(void **state)
{
    (void)state;
    for (int m = MV_CROP_CENTER; m <= MV_CROP_BORDER; m++) {
        mv_crop_mode back;
        assert_true(mv_crop_mode_of(mv_crop_mode_name((mv_crop_mode)m), &back));
        assert_int_equal(back, m);
    }
    mv_crop_mode untouched = MV_CROP_SQUASH;
    assert_false(mv_crop_mode_of("centre", &untouched));
    assert_false(mv_crop_mode_of("", &untouched));
    mv_resample_filter filter = MV_RESAMPLE_BICUBIC;
    assert_true(mv_interpolation_of(mv_interpolation_name(MV_RESAMPLE_BILINEAR), &filter));
    assert_int_equal(filter, MV_RESAMPLE_BILINEAR);
    assert_false(mv_interpolation_of("nearest", &filter));
    assert_int_equal(untouched, MV_CROP_SQUASH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_pipeline),
        cmocka_unit_test(test_bilinear),
        cmocka_unit_test(test_other_proportions),
        cmocka_unit_test(test_against_a_plain_resize),
        cmocka_unit_test(test_a_window_of_a_window),
        cmocka_unit_test(test_a_flat_picture_stays_flat),
        cmocka_unit_test(test_a_needle_in_a_border),
        cmocka_unit_test(test_normalise),
        cmocka_unit_test(test_the_part_that_is_seen),
        cmocka_unit_test(test_the_frame_of_the_input),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("preprocess", tests, NULL, NULL);
}
