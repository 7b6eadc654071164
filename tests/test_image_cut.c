/* Pictures that end early, of every format; and JPEGs and PNGs of the kinds that corpora of damaged files hold, made
 * here from good ones. */
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

/* In a buffer of exactly its size, so that a sanitizer sees a read beyond it. *text is the refusal or the first
 * warning.
 */
static mv_status decoded(mv_image *out, const uint8_t *bytes, size_t size, char text[512])
{
    uint8_t *exact = malloc(size ? size : 1);
    mv_error e = {0};
    mv_warnings w = {0};
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    mv_status s =
        mv_picture_decode(out, exact, size, "pic", &(mv_picture_options){.max_pixels = 1 << 16, .warnings = &w}, &e);
    free(exact);
    assert_true(s == MV_OK || (s == MV_EINPUT && !out->rgb && strncmp(e.text, "pic: ", 5) == 0));
    snprintf(text, 512, "%s", s ? e.text : w.n ? w.text[0] : "");
    return s;
}

static bool same(const mv_image *a, const mv_image *b)
{
    return a->w == b->w && a->h == b->h && memcmp(a->rgb, b->rgb, (size_t)a->w * (size_t)a->h * 3) == 0;
}

/* ---- every beginning */

/* A beginning is refused, or it holds all pixels. Where the decoder says so it may also be a part: `part`. */
static void cut_everywhere(const char *path, const char *part)
{
    size_t size;
    uint8_t *file = reference_file(path, &size);
    mv_image whole, image;
    char text[512];
    assert_int_equal(decoded(&whole, file, size, text), MV_OK);
    for (size_t n = 1; n < size; n++) {
        if (decoded(&image, file, n, text) != MV_OK)
            continue;
        if (!same(&image, &whole) && !(part && strstr(text, part)))
            fail_msg("%s: the first %zu of %zu bytes are a picture, another one: '%s'", path, n, size, text);
        mv_image_free(&image);
    }
    mv_image_free(&whole);
    free(file);
}

static void test_every_beginning(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "lossy.webp",      "lossless-alpha.webp", "lossy-alpha.webp", "moving.webp",    "xmp-8.webp",
        "strips.tif",      "tiles-lzw.tif",       "big8.tif",         "f32.tif",        "pages.tif",
        "bits-group4.tif", "palette13.tif",       "grey16-be.tif",    "separate.tif",   "rgbap.tif",
        "grey2.tif",       "moving.gif",          "through.gif",      "gif/inside.gif", "rgba.bmp",
        "bmp/rle8.bmp",    "thirteen.bmp",        "alpha.tga",        "shades.tga",     "tga/p-start.tga",
        "upright.png",     "orient-6.png",        "halved.jpg",       "orient-5.jpg",   "cmyk.jpg"};
    char path[128];
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(path, sizeof path, DATA "%s", paths[i]);
        cut_everywhere(path, NULL);
    }
    cut_everywhere(DATA "coarse.jpg", "before its last scans");
    cut_everywhere(DATA "progressive.jpg", "before its last scans");
    cut_everywhere(DATA "jpeg-ycbcr.tif", NULL);
    cut_everywhere(DATA "tiles-jpeg.tif", NULL);
#ifdef MV_HEIF
    static const char *const heif[] = {"photo.heic", "turned.heic", "orient-7.avif"};
    for (size_t i = 0; i < sizeof heif / sizeof *heif; i++) {
        size_t size;
        mv_image image;
        char text[512];
        snprintf(path, sizeof path, DATA "%s", heif[i]);
        uint8_t *file = reference_file(path, &size);
        if (decoded(&image, file, size, text) == MV_OK) { /* the library is there, and its decoder */
            mv_image_free(&image);
            for (size_t n = 1; n < size; n += 1 + n / 64)
                if (decoded(&image, file, n, text) == MV_OK)
                    fail_msg("%s: the first %zu of %zu bytes are a picture", path, n, size);
        }
        free(file);
    }
#endif
}

/* ---- data that end early before a proper end */

/* The first frame's blocks of data are cut to n bytes, and end. */
static void test_gif_of_fewer_codes(void **state)
{
    (void)state;
    size_t size, left = 0;
    uint8_t *gif = reference_file(DATA "thirteen.gif", &size), *cut = malloc(size + 4);
    mv_image image;
    char text[512];
    size_t at = 13 + ((size_t)6 << (gif[10] & 7));
    assert_non_null(cut);
    while (gif[at] != ',')
        at++;
    at += 11;
    left = gif[at]; /* one block */
    assert_int_equal(gif[at + 1 + left], 0);
    for (size_t n = 1; n < left - 1; n++) {
        memcpy(cut, gif, at + 1 + n);
        cut[at] = (uint8_t)n;
        memcpy(cut + at + 1 + n, "\0;", 2);
        if (decoded(&image, cut, at + n + 3, text) == MV_OK)
            fail_msg("%zu of %zu bytes of codes are a picture", n, left);
    }
    free(cut);
    free(gif);
}

static size_t marker_at(const uint8_t *jpeg, size_t size, int marker)
{
    for (size_t i = 2; i + 1 < size; i++)
        if (jpeg[i] == 0xFF && jpeg[i + 1] == marker)
            return i;
    fail_msg("no marker %x", marker);
    return 0;
}

/* A scan that ends early, then an end marker: libjpeg makes up the rest of the data. */
static void test_jpeg_of_less_data(void **state)
{
    (void)state;
    static const char *const paths[] = {DATA "colour.jpg", DATA "grey.jpg", DATA "restart.jpg", DATA "cmyk.jpg"};
    for (size_t k = 0; k < sizeof paths / sizeof *paths; k++) {
        size_t size;
        uint8_t *jpeg = reference_file(paths[k], &size), *cut = malloc(size);
        mv_image image, whole;
        char text[512];
        size_t scan = marker_at(jpeg, size, 0xDA);
        assert_non_null(cut);
        assert_int_equal(decoded(&whole, jpeg, size, text), MV_OK);
        for (size_t n = scan + 14; n < size - 2; n++) {
            memcpy(cut, jpeg, n);
            memcpy(cut + n, "\xFF\xD9", 2);
            if (decoded(&image, cut, n + 2, text) != MV_OK)
                continue;
            if (!same(&image, &whole) && n < size - 4) /* the last bits may be padding */
                fail_msg("%s: %zu of %zu bytes are another picture: '%s'", paths[k], n, size, text);
            mv_image_free(&image);
        }
        mv_image_free(&whole);
        free(cut);
        free(jpeg);
    }
}

/* ---- segments */

/* The picture with a segment of n bytes behind its first marker; the caller's to free. */
static uint8_t *with_segment(const char *path, int marker, const uint8_t *data, size_t n, size_t *size)
{
    uint8_t *jpeg = reference_file(path, size), *out = malloc(*size + n + 4);
    assert_non_null(out);
    memcpy(out, jpeg, 2);
    memcpy(out + 2, (uint8_t[]){0xFF, (uint8_t)marker, (uint8_t)((n + 2) >> 8), (uint8_t)(n + 2)}, 4);
    memcpy(out + 6, data, n);
    memcpy(out + 6 + n, jpeg + 2, *size - 2);
    *size += n + 4;
    free(jpeg);
    return out;
}

/* What a segment says changes no pixel. */
static void harmless(int marker, const uint8_t *data, size_t n)
{
    size_t size;
    mv_image image, whole;
    char text[512];
    uint8_t *plain = reference_file(DATA "colour.jpg", &size);
    assert_int_equal(decoded(&whole, plain, size, text), MV_OK);
    free(plain);
    uint8_t *jpeg = with_segment(DATA "colour.jpg", marker, data, n, &size);
    if (decoded(&image, jpeg, size, text) != MV_OK)
        fail_msg("segment %x of %zu bytes: '%s'", marker, n, text);
    assert_true(same(&image, &whole));
    mv_image_free(&image);
    mv_image_free(&whole);
    free(jpeg);
}

/* Circles in EXIF's directories, counts and offsets beyond the segment; profiles that announce what they have not. */
static void test_segments_that_lie(void **state)
{
    (void)state;
    static const uint8_t exif[] = "Exif\0\0MM\0*\0\0\0\x08";
    uint8_t data[600] = {0};
    static const struct {
        uint8_t directory[24];
        size_t n;
    } lies[] = {
        {{0, 0, 0, 0, 0, 8}, 6},                                         /* the next directory is this one */
        {{0xFF, 0xFF}, 2},                                               /* 65535 entries */
        {{0, 1, 0x87, 0x69, 0, 4, 0, 0, 0, 1, 0, 0, 0, 8}, 18},          /* an EXIF directory that is this one */
        {{0, 1, 1, 0x12, 0, 3, 0xFF, 0xFF, 0xFF, 0xFF, 0, 6}, 18},       /* an orientation 2^32 - 1 times */
        {{0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 9}, 18},                   /* orientation 9 */
        {{0, 1, 1, 0x12, 0, 2, 0, 0, 0, 5, 0xFF, 0xFF, 0xFF, 0xF0}, 18}, /* text far away */
        {{0, 1, 1, 0x12, 0, 77, 0, 0, 0, 1, 0, 6}, 18},                  /* of no type */
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(data, exif, 14);
        memcpy(data + 14, lies[i].directory, lies[i].n);
        harmless(0xE1, data, 14 + lies[i].n);
    }
    memcpy(data, exif, 14);
    memset(data + 10, 0xFF, 4); /* the first directory is beyond the end */
    harmless(0xE1, data, 40);
    harmless(0xE1, data, 6);
    harmless(0xE1, data, 0);

    memcpy(data, "ICC_PROFILE\0\1\xFF", 14); /* one of 255 parts, the length of all 2^32 - 1 */
    memset(data + 14, 0xFF, 100);
    harmless(0xE2, data, 114);
    memcpy(data, "ICC_PROFILE\0\0\0", 14); /* part 0 of none */
    harmless(0xE2, data, 114);
    harmless(0xEE, (const uint8_t *)"Adobe", 5); /* cut short */
    harmless(0xFE, data, 500);
}

/* ---- tables and frames */

/* The picture with bytes at a marker changed: refused, or a picture of the same size. */
static void test_frames_and_tables(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int marker;
        size_t at;
        uint8_t bytes[4];
        size_t n;
        const char *says; /* NULL: no matter */
    } cases[] = {
        {"colour.jpg", 0xC0, 1, {0xC1}, 1, NULL},                           /* extended, 8 bits: the same */
        {"colour.jpg", 0xC0, 1, {0xC1, 0, 17, 12}, 4, "data precision 12"}, /* 12 bits */
        {"colour.jpg", 0xC0, 1, {0xC5}, 1, "Unsupported JPEG process"},     /* hierarchical */
        {"colour.jpg", 0xC0, 1, {0xC9}, 1, NULL},                           /* arithmetic codes, which these are not */
        {"colour.jpg", 0xC0, 1, {0xCB}, 1, "Unsupported JPEG process"},     /* lossless, arithmetic */
        {"colour.jpg", 0xC0, 1, {0xC2}, 1, NULL},                           /* progressive, which it is not */
        {"progressive.jpg", 0xC2, 1, {0xC0}, 1, NULL},                      /* and the other way round */
        {"progressive.jpg", 0xC2, 1, {0xCA}, 1, NULL},                      /* progressive, arithmetic */
        {"colour.jpg", 0xC4, 5, {0, 0, 0, 0}, 4, NULL},          /* a table of Huffman codes without the short */
        {"colour.jpg", 0xC4, 4, {0x7F}, 1, "cannot be decoded"}, /* table 15 */
        {"colour.jpg", 0xC4, 2, {0, 2}, 2, NULL},                /* an empty segment */
        {"colour.jpg", 0xDB, 4, {0xF0}, 1, NULL},                /* 16 bits, which are 8 */
        {"colour.jpg", 0xDA, 6, {0xFF}, 1, NULL},                /* tables that there are not */
        {"colour.jpg", 0xC0, 5, {0xFF, 0xFF, 0xFF, 0xFF}, 4, "Maximum supported image dimension"}, /* 65535 x 65535 */
        {"colour.jpg", 0xC0, 7, {0, 0}, 2, "Empty JPEG image"},                                    /* no width */
        {"colour.jpg", 0xC0, 9, {0}, 1, "cannot be decoded"},                                      /* no components */
        {"colour.jpg", 0xC0, 9, {255}, 1, "cannot be decoded"},
        {"cmyk.jpg", 0xEE, 15, {7}, 1, NULL},      /* an unknown transform of inks */
        {"restart.jpg", 0xDD, 4, {0, 1}, 2, NULL}, /* an interval that is not kept */
        {"restart.jpg", 0xDD, 4, {0, 0}, 2, NULL},
        {"restart.jpg", 0xDD, 2, {0, 2}, 2, "cannot be decoded"},
        {"restart.jpg", 0xD0, 1, {0xD8}, 1, NULL},         /* a picture that begins inside */
        {"restart.jpg", 0xD0, 1, {0xD9}, 1, "is damaged"}, /* or ends */
        {"restart.jpg", 0xD0, 1, {0x00}, 1, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128], text[512];
        size_t size;
        mv_image image;
        snprintf(path, sizeof path, DATA "%s", cases[i].path);
        uint8_t *jpeg = reference_file(path, &size);
        memcpy(jpeg + marker_at(jpeg, size, cases[i].marker) + cases[i].at, cases[i].bytes, cases[i].n);
        mv_status s = decoded(&image, jpeg, size, text);
        if (cases[i].says && (s == MV_OK || !strstr(text, cases[i].says)))
            fail_msg("case %zu: '%s', expected '%s'", i, text, cases[i].says);
        mv_image_free(&image);
        free(jpeg);
    }
}

/* ---- PNG: rows of passes, and sizes */

static void put32(uint8_t *to, size_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void seal(uint8_t *chunk, size_t n)
{
    uint32_t c = 0xFFFFFFFF;
    put32(chunk, n);
    for (size_t i = 0; i < n + 4; i++) {
        c ^= chunk[4 + i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xEDB88320 ^ c >> 1 : c >> 1;
    }
    put32(chunk + 8 + n, ~c);
}

/* Whatever the header claims of the same data (depths, colours, passes, sizes), a sentence or a picture follows. */
static void test_png_of_every_header(void **state)
{
    (void)state;
    static const uint8_t depths[] = {0, 1, 2, 3, 4, 8, 16, 32}, sides[] = {0, 1, 7, 20, 255};
    size_t size;
    uint8_t *png = reference_file(DATA "small.png", &size);
    int read = 0, refused = 0;
    for (size_t d = 0; d < sizeof depths; d++)
        for (int colour = 0; colour < 8; colour++)
            for (int passes = 0; passes < 3; passes++)
                for (size_t k = 0; k < sizeof sides * sizeof sides; k++) {
                    mv_image image;
                    char text[512];
                    put32(png + 16, sides[k / sizeof sides]);
                    put32(png + 20, sides[k % sizeof sides]);
                    png[24] = depths[d], png[25] = (uint8_t)colour, png[28] = (uint8_t)passes;
                    seal(png + 8, 13);
                    *(decoded(&image, png, size, text) == MV_OK ? &read : &refused) += 1;
                    mv_image_free(&image);
                }
    assert_true(read > 10 && refused > 1000);
    free(png);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_beginning),   cmocka_unit_test(test_gif_of_fewer_codes),
        cmocka_unit_test(test_jpeg_of_less_data), cmocka_unit_test(test_segments_that_lie),
        cmocka_unit_test(test_frames_and_tables), cmocka_unit_test(test_png_of_every_header),
    };
    return cmocka_run_group_tests_name("image cut", tests, NULL, NULL);
}
