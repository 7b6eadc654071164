/* WebP, TIFF and HEIF, which libraries decode: the pixels that Pillow gives, and what is said of damaged files.
 * Expected pixels are PNG files that Pillow 13 wrote: ImageOps.exif_transpose(Image.open(FILE)).convert("RGB"). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/picture/decode.h"
#include "tests/reference_png.h"

#define DATA "tests/data/image/"

/* DATA/NAME.ENDING, with all its warnings, is within `within` of DATA/NAME-ENDING.png. */
static void same(const char *name, const char *ending, int within, mv_warnings *warnings)
{
    char path[100];
    mv_error e = {0};
    mv_image image;
    snprintf(path, sizeof path, DATA "%s.%s", name, ending);
    *warnings = (mv_warnings){0};
    if (mv_picture_load(&image, path, &(mv_picture_options){.warnings = warnings}, &e))
        fail_msg("%s", e.text);
    snprintf(path, sizeof path, DATA "%s-%s.png", name, ending);
    mv_image want = reference_png(path);
    int most = 0;
    if (image.w != want.w || image.h != want.h)
        fail_msg("%s: is %d x %d, expected %d x %d", path, image.w, image.h, want.w, want.h);
    for (size_t i = 0; i < (size_t)want.w * (size_t)want.h * 3; i++) {
        int d = abs(image.rgb[i] - want.rgb[i]);
        most = d > most ? d : most;
    }
    if (most > within)
        fail_msg("%s: differs by %d, expected at most %d", path, most, within);
    mv_image_free(&image);
    mv_image_free(&want);
}

static void refused(const uint8_t *bytes, size_t size, const char *part)
{
    mv_image image;
    mv_error e = {0};
    assert_int_equal(mv_picture_decode(&image, bytes, size, "x", NULL, &e), MV_EINPUT);
    assert_null(image.rgb);
    if (!strstr(e.text, part))
        fail_msg("'%s' does not say '%s'", e.text, part);
}

static void test_webp(void **state)
{
    (void)state;
    static const char *const name[] = {"lossy", "lossy-alpha", "lossless-alpha", "orient-6", "xmp-8"};
    mv_warnings w;
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        same(name[i], "webp", 0, &w);
        assert_int_equal(w.n, 0);
    }
    same("moving", "webp", 0, &w); /* the first frame lies inside the canvas */
    assert_int_equal(w.n, 1);
    assert_string_equal(w.text[0], DATA "moving.webp: found an animation of 2 frames; the first is read");
}

static void test_damaged_webp(void **state)
{
    (void)state;
    size_t size;
    uint8_t *file = reference_file(DATA "lossless-alpha.webp", &size);
    for (size_t cut = 12; cut < size; cut += cut < 64 ? 1 : 97)
        refused(file, cut, "x: is cut short: the WebP ");
    for (size_t at = 12; at < 24; at++) { /* a chunk's name, its length, the signature and the size */
        uint8_t kept = file[at];
        file[at] ^= 0x40;
        mv_image image = {0};
        mv_error e = {0};
        if (mv_picture_decode(&image, file, size, "x", NULL, &e))
            assert_null(image.rgb);
        mv_image_free(&image);
        file[at] = kept;
    }
    free(file);
    file = reference_file(DATA "lossy.webp", &size);
    mv_error e = {0};
    mv_image image;
    mv_picture_options small = {.max_pixels = 61 * 43 - 1};
    assert_int_equal(mv_picture_decode(&image, file, size, "x", &small, &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "x: found 61 x 43 = 2623 pixels, expected at most 2622"));
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_webp),
        cmocka_unit_test(test_damaged_webp),
    };
    return cmocka_run_group_tests_name("formats", tests, NULL, NULL);
}
