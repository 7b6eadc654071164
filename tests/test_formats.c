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

/* The picture FILE has the pixels of PNG, and these are its warnings. */
static void same_as(const char *file, const char *png, int within, mv_warnings *warnings)
{
    char path[100];
    mv_error e = {0};
    mv_image image;
    snprintf(path, sizeof path, DATA "%s", file);
    *warnings = (mv_warnings){0};
    if (mv_picture_load(&image, path, &(mv_picture_options){.warnings = warnings}, &e))
        fail_msg("%s", e.text);
    snprintf(path, sizeof path, DATA "%s", png);
    mv_image want = reference_png(path);
    int most = 0;
    if (image.w != want.w || image.h != want.h)
        fail_msg("%s: is %d x %d, expected %d x %d", file, image.w, image.h, want.w, want.h);
    for (size_t i = 0; i < (size_t)want.w * (size_t)want.h * 3; i++) {
        int d = abs(image.rgb[i] - want.rgb[i]);
        most = d > most ? d : most;
    }
    if (most > within)
        fail_msg("%s: differs from %s by %d, expected at most %d", file, png, most, within);
    mv_image_free(&image);
    mv_image_free(&want);
}

/* The same of NAME.ENDING and NAME-ENDING.png. */
static void same(const char *name, const char *ending, int within, mv_warnings *warnings)
{
    char file[60], png[60];
    snprintf(file, sizeof file, "%s.%s", name, ending);
    snprintf(png, sizeof png, "%s-%s.png", name, ending);
    same_as(file, png, within, warnings);
}

static void refused(const uint8_t *bytes, size_t size, const char *part)
{
    mv_image image;
    mv_error e = {0};
    mv_status code = mv_picture_decode(&image, bytes, size, "x", NULL, &e);
    if (code != MV_EINPUT)
        fail_msg("code %d '%s', expected '%s'", (int)code, e.text, part);
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

static void test_tiff(void **state)
{
    (void)state;
    static const struct {
        const char *file, *png;
    } of[] = {
        {"strips.tif", "photo-tif.png"},
        {"tiles-lzw.tif", "photo-tif.png"},
        {"separate.tif", "photo-tif.png"},
        {"separate-rgba.tif", "photo-tif.png"},
        {"big8.tif", "photo-tif.png"}, /* BigTIFF */
        {"rgbx.tif", "photo-tif.png"},
        {"rgba16u-be.tif", "rgba16u-be-tif.png"},
        {"rgbap.tif", "rgbap-tif.png"}, /* alpha that was multiplied in */
        {"rgba16p-be.tif", "rgbap-tif.png"},
        {"cmyk16.tif", "photo-tif.png"},
        {"separate-cmyk.tif", "photo-tif.png"},
        {"palette13.tif", "palette13-tif.png"},
        {"pal1-be.tif", "pal1-be-tif.png"},
        {"white4-be.tif", "white4-be-tif.png"},
        {"white8.tif", "white8-tif.png"},
        {"grey2.tif", "grey2-tif.png"},
        {"bits-group4.tif", "bits-group4-tif.png"},
        {"fill2.tif", "bits-group4-tif.png"},
        {"jpeg-ycbcr.tif", "jpeg-ycbcr-tif.png"},
        {"tiles-jpeg.tif", "tiles-jpeg-tif.png"},
        {"jpeg-grey.tif", "jpeg-grey-tif.png"},
        {"ycc22.tif", "ycc22-tif.png"},
        {"ycc41.tif", "ycc41-tif.png"},
        {"orient-5.tif", "orient-5-tif.png"},
        {"orient-6.tif", "orient-6-tif.png"},
        {"la.tif", "la-tif.png"},
        {"f32.tif", "f32-tif.png"},        /* from 2 to 235: as they are */
        {"grey16-be.tif", "grey-tif.png"}, /* the upper 8 bits, which Pillow does not take */
        {"grey12.tif", "grey-tif.png"},
    };
    mv_warnings w;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        same_as(of[i].file, of[i].png, 0, &w);
        if (w.n)
            fail_msg("%s", w.text[0]);
    }
}

static void test_tiff_with_a_warning(void **state)
{
    (void)state;
    mv_warnings w;
    same_as("pages.tif", "la-tif.png", 0, &w);
    assert_int_equal(w.n, 1);
    assert_string_equal(w.text[0], DATA "pages.tif: found several pages; the first is read");
    same_as("i16-be.tif", "i16-be-tif.png", 0, &w);
    assert_int_equal(w.n, 1);
    assert_non_null(strstr(w.text[0], "i16-be.tif: found samples of 16 bits from "));
    assert_non_null(strstr(w.text[0], "; they are cut to 0 to 255"));
    same_as("f01.tif", "grey-tif.png", 0, &w); /* Pillow shows black */
    assert_non_null(strstr(w.text[0], "; they are multiplied by 255"));
    same_as("grey16-12-bits.tif", "grey-12-bits-tif.png", 0, &w);
    assert_int_equal(w.n, 1);
    assert_non_null(strstr(w.text[0], "grey16-12-bits.tif: "));
    assert_non_null(strstr(w.text[0], "black"));
    same_as("rgbf32.tif", "photo-tif.png", 0, &w); /* Pillow does not read it */
    assert_int_equal(w.n, 1);
}

/* Sets a tag of a little-endian TIFF: entries are tag, type, count and value. */
static void set_tag(uint8_t *tiff, int tag, uint32_t value)
{
    size_t at = (size_t)tiff[4] | (size_t)tiff[5] << 8;
    for (int n = tiff[at] + tiff[at + 1] * 256, i = 0; i < n; i++) {
        uint8_t *entry = tiff + at + 2 + 12 * (size_t)i;
        if (entry[0] + entry[1] * 256 == tag) {
            for (int k = 0; k < 4; k++)
                entry[8 + k] = (uint8_t)(value >> 8 * k);
            return;
        }
    }
    fail_msg("no tag %d", tag);
}

static void tag_refused(const char *name, int tag, uint32_t value, const char *part)
{
    char path[100];
    size_t size;
    snprintf(path, sizeof path, DATA "%s", name);
    uint8_t *file = reference_file(path, &size);
    set_tag(file, tag, value);
    refused(file, size, part);
    free(file);
}

static void test_damaged_tiff(void **state)
{
    (void)state;
    enum {
        WIDTH = 256,
        LENGTH = 257,
        BITS = 258,
        COMPRESSION = 259,
        PHOTOMETRIC = 262,
        STRIPS = 273,
        SAMPLES = 277,
        TILE_WIDTH = 322,
        TILE_LENGTH = 323
    };
    tag_refused("white8.tif", WIDTH, 0, "x: ");
    tag_refused("white8.tif", WIDTH, 2000000, "expected sides of at most");
    tag_refused("white8.tif", LENGTH, 900000, "is cut short or damaged, says libtiff: ");
    tag_refused("white8.tif", BITS, 7, "x: found a TIFF with samples of 7 bits");
    tag_refused("white8.tif", COMPRESSION, 6, "x: found a TIFF compressed by ");
    tag_refused("white8.tif", COMPRESSION, 34925, "x: found a TIFF compressed by LZMA, which is not read");
    tag_refused("white8.tif", COMPRESSION, 4711, "x: found a TIFF with the compression 4711");
    tag_refused("white8.tif", PHOTOMETRIC, 32803, "x: found a camera's raw file");
    tag_refused("white8.tif", PHOTOMETRIC, 9, "x: found a TIFF with the photometric interpretation 9");
    tag_refused("white8.tif", PHOTOMETRIC, 2, "x: found 1 samples a pixel in the TIFF, expected at least 3");
    tag_refused("white8.tif", STRIPS, 1 << 20, "is cut short or damaged");
    size_t tiled;
    uint8_t *tiles = reference_file(DATA "tiles-lzw.tif", &tiled);
    set_tag(tiles, TILE_WIDTH, 65520);
    set_tag(tiles, TILE_LENGTH, 65520);
    refused(tiles, tiled, "x: found tiles of 65520 x 65520 pixels in the TIFF, expected at most 64000000 pixels");
    free(tiles);
    static const char *const cut[] = {"strips.tif", "tiles-jpeg.tif", "jpeg-ycbcr.tif", "fill2.tif",
                                      "ycc22.tif",  "separate.tif",   "big8.tif"};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        char path[100];
        size_t size;
        snprintf(path, sizeof path, DATA "%s", cut[i]);
        uint8_t *file = reference_file(path, &size);
        for (size_t n = 8; n < size; n += 41) { /* some end after the directory, some in the data; none is whole */
            mv_image image;
            mv_error e = {0};
            mv_warnings w = {0};
            if (mv_picture_decode(&image, file, n, "x", &(mv_picture_options){.warnings = &w}, &e) == MV_OK)
                assert_true(w.n > 0 || n + 64 > size);
            mv_image_free(&image);
        }
        free(file);
    }
}

#ifdef MV_HEIF
/* Expected pixels are those of pillow-heif 1.8 and Pillow's AVIF plug-in, whose conversions to RGB round differently.
 */
static void test_heif(void **state)
{
    (void)state;
    mv_warnings w;
    same("lossless", "heic", 0, &w);
    same("photo", "heic", 2, &w);
    same("ten", "heic", 1, &w);
    same("orient-7", "avif", 2, &w);
    assert_int_equal(w.n, 0);
    same("turned", "heic", 2, &w); /* EXIF and the file's own box turn it: once */
    assert_int_equal(w.n, 0);
    same("two", "heic", 2, &w);
    assert_int_equal(w.n, 1);
    assert_string_equal(w.text[0], DATA "two.heic: found 2 pictures; the primary one is read");
}

static void test_damaged_heif(void **state)
{
    (void)state;
    static const char *const of[] = {"photo.heic", "orient-7.avif"};
    for (int k = 0; k < 2; k++) {
        char path[100];
        size_t size;
        snprintf(path, sizeof path, DATA "%s", of[k]);
        uint8_t *file = reference_file(path, &size);
        for (size_t n = 16; n < size; n += 37) {
            mv_image image;
            mv_error e = {0};
            mv_warnings w = {0};
            mv_status s = mv_picture_decode(&image, file, n, "x", &(mv_picture_options){.warnings = &w}, &e);
            assert_true(s ? s == MV_EINPUT && !strncmp(e.text, "x: ", 3) && !image.rgb : image.rgb != NULL);
            mv_image_free(&image);
        }
        mv_image image;
        mv_error e = {0};
        assert_int_equal(mv_picture_decode(&image, file, size, "x", &(mv_picture_options){.max_pixels = 2000}, &e),
                         MV_EINPUT);
        assert_non_null(strstr(e.text, k ? "x: found 44 x 60 = 2640 pixels" : "x: found 60 x 44 = 2640 pixels"));
        free(file);
    }
}
#else
static void test_without_heif(void **state)
{
    (void)state;
    size_t size;
    uint8_t *file = reference_file(DATA "photo.heic", &size);
    refused(
        file, size,
        "x: found a HEIC picture, expected a picture; this build cannot read it: install libheif-dev and build again");
    free(file);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_webp),         cmocka_unit_test(test_damaged_webp),
        cmocka_unit_test(test_tiff),         cmocka_unit_test(test_tiff_with_a_warning),
        cmocka_unit_test(test_damaged_tiff),
#ifdef MV_HEIF
        cmocka_unit_test(test_heif),         cmocka_unit_test(test_damaged_heif),
#else
        cmocka_unit_test(test_without_heif),
#endif
    };
    return cmocka_run_group_tests_name("formats", tests, NULL, NULL);
}
