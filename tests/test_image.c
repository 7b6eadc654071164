/* Every kind of picture that is read gives the pixels another decoder gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/picture/decode.h"
#include "tests/reference_png.h"

#define DATA "tests/data/image/"

static mv_image loaded(const char *path, const mv_picture_options *o)
{
    mv_image image;
    mv_error e = {0};
    if (mv_picture_load(&image, path, o, &e) != MV_OK)
        fail_msg("%s", e.text);
    return image;
}

static mv_image decoded(const uint8_t *bytes, size_t size)
{
    mv_image image;
    mv_error e = {0};
    if (mv_picture_decode(&image, bytes, size, "test", NULL, &e) != MV_OK)
        fail_msg("%s", e.text);
    return image;
}

/* The greatest difference of two pictures' bytes; the sizes must be equal. */
static int apart(const mv_image *a, const mv_image *b)
{
    int most = 0;
    assert_int_equal(a->w, b->w);
    assert_int_equal(a->h, b->h);
    for (size_t i = 0; i < (size_t)a->w * (size_t)a->h * 3; i++) {
        int d = abs(a->rgb[i] - b->rgb[i]);
        most = d > most ? d : most;
    }
    return most;
}

static void same(const char *path, const char *png, int within)
{
    mv_image a = loaded(path, NULL), b = reference_png(png);
    int d = apart(&a, &b);
    if (d > within)
        fail_msg("%s is %d from %s", path, d, png);
    mv_image_free(&a);
    mv_image_free(&b);
}

/* --- PNG: every colour type and depth, plain and interlaced ----------------------------------------------------- */

static unsigned to_byte(unsigned v, int depth)
{
    return depth == 16 ? v >> 8 : v * (255U / ((1U << depth) - 1));
}

static void png_of(int depth, int colour, int interlaced)
{
    enum { W = 29, H = 19 };
    static const int channels_of[7] = {1, 0, 3, 1, 2, 0, 4};
    int channels = channels_of[colour];
    uint16_t samples[W * H * 4];
    uint8_t palette[768];
    uint32_t seed = (uint32_t)(depth * 100 + colour);
    for (int i = 0; i < 768; i++)
        palette[i] = (uint8_t)(seed = seed * 1664525 + 1013904223, seed >> 24);
    for (int i = 0; i < W * H * channels; i++)
        samples[i] = (uint16_t)(seed = seed * 1664525 + 1013904223, seed >> (32 - depth));
    size_t size;
    uint8_t *png = reference_png_write(W, H, depth, colour, interlaced, samples, colour == 3 ? palette : NULL, &size);
    mv_image image = decoded(png, size);
    assert_int_equal(image.w, W);
    assert_int_equal(image.h, H);
    for (int i = 0; i < W * H; i++)
        for (int c = 0; c < 3; c++) {
            const uint16_t *s = samples + i * channels;
            unsigned want = colour == 3 ? palette[3 * s[0] + c] : to_byte(s[channels >= 3 ? c : 0], depth);
            if (image.rgb[3 * i + c] != want)
                fail_msg("depth %d, colour type %d, interlaced %d: pixel %d channel %d is %d, expected %u", depth,
                         colour, interlaced, i, c, image.rgb[3 * i + c], want);
        }
    mv_image_free(&image);
    free(png);
}

static void test_png(void **state)
{
    (void)state;
    static const int kinds[][2] = {{1, 0}, {2, 0}, {4, 0}, {8, 0}, {16, 0}, {8, 2}, {16, 2}, {1, 3},
                                   {2, 3}, {4, 3}, {8, 3}, {8, 4}, {16, 4}, {8, 6}, {16, 6}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int interlaced = 0; interlaced < 2; interlaced++)
            png_of(kinds[k][0], kinds[k][1], interlaced);
}

static void test_png_files(void **state)
{
    (void)state;
    static const char *const names[] = {"wide", "tall", "small", "grey", "alpha", "palette", "exact", "odd"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[80];
        snprintf(path, sizeof path, "tests/data/preprocess/%s.png", names[i]);
        same(path, path, 0);
    }
}

/* --- the other kinds, written by Pillow ------------------------------------------------------------------------- */

static void test_without_loss(void **state)
{
    (void)state;
    same(DATA "small.bmp", DATA "small.png", 0);
    same(DATA "rgba.bmp", DATA "small.png", 0);
    same(DATA "thirteen.bmp", DATA "thirteen.png", 0);
    same(DATA "bits.bmp", DATA "bits.png", 0);
    same(DATA "small.tga", DATA "small.png", 0);
    same(DATA "runs.tga", DATA "small.png", 0);
    same(DATA "alpha.tga", DATA "small.png", 0);
    same(DATA "thirteen.tga", DATA "thirteen.png", 0);
    same(DATA "shades.tga", DATA "shades.png", 0);
    same(DATA "shades-alpha.tga", DATA "shades.png", 0);
    same(DATA "thirteen.gif", DATA "thirteen.png", 0);
    same(DATA "through.gif", DATA "thirteen.png", 0); /* a transparent colour is a colour */
    same(DATA "moving.gif", DATA "thirteen.png", 0);  /* the first frame */
}

/* DATA/FORMAT/NAME.FORMAT gives the pixels of NAME.png beside it, which is Pillow 13's convert("RGB"). `names` are
 * separated by blanks. */
static void all_same(const char *format, const char *ending, const char *names)
{
    for (int n; *names; names += n + (names[n] == ' ')) {
        char path[80], png[80];
        n = (int)strcspn(names, " ");
        snprintf(path, sizeof path, DATA "%s/%.*s%s", format, n, names, ending);
        snprintf(png, sizeof png, DATA "%s/%.*s.png", format, n, names);
        same(path, png, 0);
    }
}

static void test_jpeg(void **state)
{
    (void)state;
    same(DATA "colour.jpg", DATA "colour-jpg.png", 0);
    same(DATA "grey.jpg", DATA "grey-jpg.png", 0);
    same(DATA "cmyk.jpg", DATA "cmyk-jpg.png", 0);
    same(DATA "restart.jpg", DATA "restart-jpg.png", 0);
    same(DATA "halved.jpg", DATA "halved-jpg.png", 0);
    same(DATA "progressive.jpg", DATA "progressive-jpg.png", 0);
    all_same("jpeg", ".jpg", "444 422 420 440 411 410 311 mixed reversed grey-420 progressive-420 separate-scans");
    all_same("jpeg", ".jpg", "arithmetic arithmetic-progressive restart-blocks");
    all_same("jpeg", ".jpg", "motion"); /* no Huffman tables */
    all_same("jpeg", ".jpg", "rgb rgb-by-ids adobe-0 cmyk cmyk-adobe cmyk-transform-1 ycck");
}

/* Palettes, masks, headers and runs. */
static void test_bmp(void **state)
{
    (void)state;
    all_same("bmp", ".bmp", "p1 p4-top p4-offset p8-os2 p8-v5 c16 c32 c24-os2 565 m32-1 m32-3 m32a-0");
    all_same("bmp", ".bmp", "rle8 rle8-colors rle8-top rle8-delta rle8-long-run rle8-long-abs rle8-short-rows");
    all_same("bmp", ".bmp", "rle4 rle4-run");
}

/* Where the first frame lies on the screen, and what is around it. */
static void test_gif(void **state)
{
    (void)state;
    all_same("gif", ".gif", "inside inside-trans trans-local outside-trans screen0 none beyond two-controls2");
    all_same("gif", ".gif", "interlaced interlaced3");
}

/* Where the first pixel is, and palettes that do not begin at 0 or lack colours. */
static void test_tga(void **state)
{
    (void)state;
    all_same("tga", ".tga", "c16-10 c24-30 p16 p32 p-start p-few g16");
}

static void bmp_of(int bits, int top_down)
{
    enum { W = 3, H = 2 };
    static const uint8_t rgb[W * H * 3] = {248, 0, 0, 0, 248, 0, 0, 0, 248, 248, 248, 248, 0, 0, 0, 248, 0, 248};
    uint8_t bmp[54 + 32] = "BM";
    int pitch = bits == 16 ? 8 : 12;
    bmp[10] = 54;
    bmp[14] = 40;
    bmp[18] = W;
    bmp[22] = (uint8_t)(top_down ? 256 - H : H);
    if (top_down)
        memset(bmp + 23, 255, 3);
    bmp[26] = 1;
    bmp[28] = (uint8_t)bits;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const uint8_t *p = rgb + 3 * (y * W + x);
            uint8_t *q = bmp + 54 + (top_down ? y : H - 1 - y) * pitch + x * bits / 8;
            if (bits == 16) { /* 5 bits each, the lowest 3 are lost */
                unsigned v = (unsigned)(p[0] >> 3) << 10 | (unsigned)(p[1] >> 3) << 5 | p[2] >> 3;
                q[0] = (uint8_t)v;
                q[1] = (uint8_t)(v >> 8);
            } else {
                q[0] = p[2];
                q[1] = p[1];
                q[2] = p[0];
            }
        }
    mv_image image = decoded(bmp, 54 + (size_t)pitch * H);
    for (int i = 0; i < W * H * 3; i++)
        assert_int_equal(image.rgb[i], bits == 16 ? rgb[i] | rgb[i] >> 5 : rgb[i]);
    mv_image_free(&image);
}

static void test_bmp_layouts(void **state)
{
    (void)state;
    for (int top_down = 0; top_down < 2; top_down++) {
        bmp_of(16, top_down);
        bmp_of(24, top_down);
        bmp_of(32, top_down);
    }
}

static void pnm_of(const char *head, const char *body, size_t size, int w, int h, const uint8_t *rgb)
{
    uint8_t *file = malloc(strlen(head) + size);
    assert_non_null(file);
    memcpy(file, head, strlen(head));
    memcpy(file + strlen(head), body, size);
    mv_image image = decoded(file, strlen(head) + size);
    assert_int_equal(image.w, w);
    assert_int_equal(image.h, h);
    assert_memory_equal(image.rgb, rgb, (size_t)w * (size_t)h * 3);
    mv_image_free(&image);
    free(file);
}

static void test_pnm(void **state)
{
    (void)state;
    static const uint8_t checks[] = {0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255};
    static const uint8_t greys[] = {0, 0, 0, 17, 17, 17, 128, 128, 128, 255, 255, 255};
    static const uint8_t colours[] = {0, 128, 255, 255, 1, 0};
    pnm_of("P1\n# 1 is black\n3 2\n", "101\n0 1 0", 9, 3, 2, checks);
    pnm_of("P4 3 2\n", "\xA0\x40", 2, 3, 2, checks);
    pnm_of("P2 2\t2 # size\n15\n", "0 1 8 15", 8, 2, 2,
           (const uint8_t[]){0, 0, 0, 17, 17, 17, 136, 136, 136, 255, 255, 255});
    pnm_of("P5\n2 2\n255\n", "\x00\x11\x80\xFF", 4, 2, 2, greys);
    pnm_of("P5 # ends\r2 2\r255\r", "\x00\x11\x80\xFF", 4, 2, 2, greys);
    pnm_of("P5\n2 2\n65535\n", "\x00\x00\x11\x11\x80\x00\xFF\xFF", 8, 2, 2, greys);
    pnm_of("P3 2 1 255 ", "0 128 255\n255 1 0\n", 17, 2, 1, colours);
    pnm_of("P6 2 1 255 ", "\x00\x80\xFF\xFF\x01\x00", 6, 2, 1, colours);
    /* above the greatest value there is nothing */
    pnm_of("P5 1 1 100\n", "\xC8", 1, 1, 1, (const uint8_t[]){255, 255, 255});
}

/* --- orientation ---------------------------------------------------------------------------------------------------
 */

/* Eight files hold one picture, each stored another way and saying so. */
static void test_orientation(void **state)
{
    (void)state;
    mv_image upright = reference_png(DATA "upright.png");
    for (int o = 1; o <= 8; o++) {
        char path[80];
        snprintf(path, sizeof path, DATA "orient-%d.jpg", o);
        mv_image seen = loaded(path, NULL);
        assert_in_range(apart(&seen, &upright), 0, 60); /* JPEG's ringing at the edges */
        for (int corner = 0; corner < 4; corner++) {    /* flat there, so nearly exact */
            size_t at = 3 * (size_t)((corner & 1 ? 23 : 0) + (corner & 2 ? 15 * 24 : 0));
            for (size_t c = 0; c < 3; c++)
                assert_in_range(abs(seen.rgb[at + c] - upright.rgb[at + c]), 0, 8);
        }
        mv_image stored = loaded(path, &(mv_picture_options){.ignore_exif = true});
        assert_int_equal(stored.w, o < 5 ? 24 : 16);
        assert_int_equal(stored.h, o < 5 ? 16 : 24);
        mv_image_free(&stored);
        mv_image_free(&seen);
    }
    mv_image_free(&upright);
}

/* Turning moves every byte to its place: the stored pixel (x, y) of an orientation is where EXIF says. */
static void test_orientation_pixel_by_pixel(void **state)
{
    (void)state;
    for (int o = 1; o <= 8; o++) {
        char path[80];
        snprintf(path, sizeof path, DATA "orient-%d.jpg", o);
        mv_image seen = loaded(path, NULL), stored = loaded(path, &(mv_picture_options){.ignore_exif = true});
        for (int y = 0; y < stored.h; y++)
            for (int x = 0; x < stored.w; x++) {
                int right = stored.w - 1 - x, below = stored.h - 1 - y;
                int at[9][2] = {{0, 0}, {x, y},     {right, y},     {right, below}, {x, below},
                                {y, x}, {below, x}, {below, right}, {y, right}};
                assert_memory_equal(stored.rgb + 3 * (y * stored.w + x), seen.rgb + 3 * (at[o][1] * seen.w + at[o][0]),
                                    3);
            }
        mv_image_free(&stored);
        mv_image_free(&seen);
    }
}

static void test_orientation_in_png(void **state)
{
    (void)state;
    same(DATA "orient-6.png", DATA "upright.png", 0);
    static const char *const sources[] = {"exif-long", "text", "ztxt", "itxt", "itxt-packed", "xmp", "xmp-packed"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        char path[80];
        snprintf(path, sizeof path, DATA "turned-%s.png", sources[i]);
        same(path, DATA "upright.png", 0);
    }
    /* a raw profile counts only where there is no EXIF chunk */
    mv_image image = loaded(DATA "not-turned-exif-first.png", NULL);
    assert_int_equal(image.w, 16);
    mv_image_free(&image);
}

/* A tag that makes no sense is no reason to lose the picture. */
static void test_orientation_nonsense(void **state)
{
    (void)state;
    size_t size;
    uint8_t *file = reference_file(DATA "orient-6.jpg", &size);
    uint8_t *tag = memmem(file, size, "\x01\x12\x00\x03", 4); /* big-endian: tag, type SHORT, count, value */
    assert_non_null(tag);
    static const uint8_t values[] = {0, 9, 255};
    for (size_t i = 0; i < sizeof values; i++) {
        tag[9] = values[i];
        mv_image image = decoded(file, size);
        assert_int_equal(image.w, 16); /* as stored */
        mv_image_free(&image);
    }
    memset(tag - 10, 0xFF, 10); /* the block itself damaged */
    mv_image image = decoded(file, size);
    mv_image_free(&image);
    free(file);
}

/* colour.jpg (48 x 32) with segments after its start marker. */
static mv_image with_segments(const char *segments, size_t n)
{
    size_t size;
    uint8_t *jpeg = reference_file(DATA "colour.jpg", &size), *more = malloc(size + n);
    assert_non_null(more);
    memcpy(more, jpeg, 2);
    memcpy(more + 2, segments, n);
    memcpy(more + 2 + n, jpeg + 2, size - 2);
    mv_image image = decoded(more, size + n);
    free(more);
    free(jpeg);
    return image;
}

#define EXIF(order, rest)                                                                                              \
    "\xFF\xE1\0\x22"                                                                                                   \
    "Exif\0\0" order rest
#define XMP(length, words) "\xFF\xE1\0" length "http://ns.adobe.com/xap/1.0/\0" words

/* Where an orientation stands: EXIF of either byte order and of any type of number, and XMP where EXIF has none. As
 * ImageOps.exif_transpose of Pillow 13. */
static void test_orientation_sources(void **state)
{
    (void)state;
#define CASE(turns, text)                                                                                              \
    {                                                                                                                  \
        turns, text, sizeof text - 1                                                                                   \
    }
    static const struct {
        int turned;
        const char *segments;
        size_t n;
    } cases[] = {
        CASE(1, EXIF("MM\0*\0\0\0\x8", "\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0")), /* SHORT */
        CASE(1, EXIF("MM\0*\0\0\0\x8", "\0\1\1\x12\0\4\0\0\0\1\0\0\0\6\0\0\0\0")), /* LONG */
        CASE(1, EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")),
        CASE(1, EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\4\0\1\0\0\0\6\0\0\0\0\0\0\0")),
        CASE(0, EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\1\0\1\0\0\0\6\0\0\0\0\0\0\0")), /* BYTE */
        CASE(1, EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\6\0\1\0\0\0\6\0\0\0\0\0\0\0")), /* SBYTE */
        CASE(1, EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\3\0\2\0\0\0\6\0\1\0\0\0\0\0")), /* two */
        CASE(1, "\xFF\xE1\0\x2A"                                                   /* two, behind the directory */
                "Exif\0\0II*\0\x8\0\0\0\1\0\x12\1\4\0\2\0\0\0\x1A\0\0\0\0\0\0\0\6\0\0\0\1\0\0\0"),
        CASE(0, EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\4\0\2\0\0\0\x16\0\0\0\6\0\0\0")), /* beyond */
        CASE(0, EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\3\0\0\0\0\0\6\0\0\0\0\0\0\0")),   /* none */
        CASE(1, EXIF("II\0*\x8\0\0\0", "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")),
        CASE(0, EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\4\0\1\0\0\0\6\0\1\0\0\0\0\0")), /* 65542 */
        CASE(0, EXIF("II*\0\xF0\xFF\xFF\xFF", "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")),
        CASE(0, EXIF("II+\0\x8\0\0\0", "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")),
        CASE(1, XMP("\x35", "x tiff:Orientation=\"6\"")),
        CASE(1, XMP("\x35", "x tiff:Orientation='8'")),
        CASE(1, XMP("\x48", "<tiff:Orientation>5</tiff:Orientation> ..")),
        CASE(0, XMP("\x35", "x tiff:Orientation=\"x\"")),
        CASE(0, XMP("\x35", "x tiff:Orientation=\"9\"")),
        CASE(0, XMP("\x31", "tiff:Orientation=\"")),
        /* EXIF that names one, if only nonsense, goes first; EXIF without one does not count */
        CASE(0,
             EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\3\0\1\0\0\0\1\0\0\0\0\0\0\0") XMP("\x35", "x tiff:Orientation=\"6\"")),
        CASE(1,
             XMP("\x35", "x tiff:Orientation=\"3\"") EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")),
        /* of two tags the first; a block that goes on in another segment */
        CASE(1, "\xFF\xE1\0\x2A"
                "Exif\0\0II*\0\x8\0\0\0\2\0\x12\1\3\0\1\0\0\0\6\0\0\0\x12\1\3\0\1\0\0\0\1\0\0\0"),
        CASE(1, "\xFF\xE1\0\x14"
                "Exif\0\0II*\0\x8\0\0\0\1\0\x12\1"
                "\xFF\xE1\0\x12"
                "Exif\0\0\3\0\1\0\0\0\6\0\0\0"),
        CASE(0, EXIF("II*\0\x8\0\0\0", "\1\0\x13\1\3\0\1\0\0\0\1\0\0\0\0\0\0\0")
                    EXIF("II*\0\x8\0\0\0", "\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")),
        CASE(1,
             EXIF("II*\0\x8\0\0\0", "\1\0\x13\1\3\0\1\0\0\0\1\0\0\0\0\0\0\0") XMP("\x35", "x tiff:Orientation=\"6\"")),
    };
#undef CASE
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_image image = with_segments(cases[i].segments, cases[i].n);
        if (image.w != (cases[i].turned ? 32 : 48))
            fail_msg("case %zu: found %d x %d pixels", i, image.w, image.h);
        mv_image_free(&image);
    }
}

/* 16-bit grey of 12 bits looks black, and its user is told; of 16 bits it does not. */
static void test_grey_of_12_bits(void **state)
{
    (void)state;
    uint8_t dark[] = "P5 2 1 65535\n\x0F\xFF\x00\x01", bright[] = "P5 2 1 65535\n\x10\x00\x00\x01";
    mv_warnings w = {0};
    mv_picture_options o = {.warnings = &w};
    mv_image image = loaded(DATA "grey-12-bits.png", &o);
    assert_int_equal(w.n, 1);
    assert_string_equal(w.text[0], DATA "grey-12-bits.png: the 16-bit values use 12 bits or fewer: the picture looks "
                                        "black; multiply them, so that the greatest comes near 65535");
    mv_image_free(&image);
    assert_int_equal(mv_picture_decode(&image, bright, sizeof bright - 1, "pic", &o, NULL), MV_OK);
    assert_int_equal(w.n, 1);
    mv_image_free(&image);
    assert_int_equal(mv_picture_decode(&image, dark, sizeof dark - 1, "pic", &o, NULL), MV_OK);
    assert_int_equal(w.n, 2);
    mv_image_free(&image);
}

/* --- the rest --------------------------------------------------------------------------------------------------------
 */

/* What a file is, its bytes say. */
static void test_the_name_does_not_matter(void **state)
{
    (void)state;
    size_t size;
    uint8_t *file = reference_file(DATA "colour.jpg", &size);
    mv_image a, b = loaded(DATA "colour.jpg", NULL);
    assert_int_equal(mv_picture_decode(&a, file, size, "really.png", NULL, NULL), MV_OK);
    assert_int_equal(apart(&a, &b), 0);
    mv_image_free(&a);
    mv_image_free(&b);
    free(file);
}

static void test_the_limit_is_inclusive(void **state)
{
    (void)state;
    mv_image image = loaded(DATA "small.png", &(mv_picture_options){.max_pixels = 20 * 14});
    mv_image_free(&image);
    mv_error e = {0};
    assert_int_equal(mv_picture_load(&image, DATA "small.png", &(mv_picture_options){.max_pixels = 20 * 14 - 1}, &e),
                     MV_EINPUT);
    assert_string_equal(e.text, DATA "small.png: found 20 x 14 = 280 pixels, expected at most 279 (--max-pixels)");
}

static void test_new_and_free(void **state)
{
    (void)state;
    mv_image image;
    mv_error e = {0};
    assert_int_equal(mv_image_new(&image, 0, 3, &e), MV_EMISUSE);
    assert_null(image.rgb);
    assert_int_equal(mv_image_new(&image, 2, 3, NULL), MV_OK);
    memset(image.rgb, 1, 18);
    mv_image_free(&image);
    assert_null(image.rgb);
    mv_image_free(&image);
}

static void *decode_often(void *bytes)
{
    size_t size = 0;
    uint8_t *file = bytes ? reference_file(bytes, &size) : NULL;
    for (int i = 0; file && i < 40; i++) {
        mv_image image;
        if (mv_picture_decode(&image, file, size, "thread", NULL, NULL) != MV_OK) {
            free(file);
            return NULL;
        }
        mv_image_free(&image);
    }
    free(file);
    return bytes;
}

static void test_threads(void **state)
{
    (void)state;
    char paths[3][40] = {DATA "small.png", DATA "progressive.jpg", DATA "moving.gif"};
    pthread_t thread[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, decode_often, paths[i]), 0);
    for (int i = 0; i < 3; i++) {
        void *well;
        assert_int_equal(pthread_join(thread[i], &well), 0);
        assert_non_null(well);
    }
}

/* What a message lists and what the walker of folders takes are the formats of the table. */
static void test_names_and_formats(void **state)
{
    (void)state;
    static const char *const pictures[] = {"a.png", "b/A.JPG", "a.jpeg", "a.gif", "a.bmp",
                                           "a.tga", "a.ppm",   "a.pgm",  "a.pbm", "a.pnm"};
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
        if (!mv_picture_has_ending(pictures[i]))
            fail_msg("%s: found no picture's ending", pictures[i]);
    assert_false(mv_picture_has_ending("a.png.txt"));
    assert_false(mv_picture_has_ending("png"));
    assert_false(mv_picture_has_ending(""));
    char text[MV_PICTURE_FORMATS];
    assert_non_null(strstr(mv_picture_formats(text), "PNG, JPEG, GIF, "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png),
        cmocka_unit_test(test_png_files),
        cmocka_unit_test(test_without_loss),
        cmocka_unit_test(test_jpeg),
        cmocka_unit_test(test_gif),
        cmocka_unit_test(test_tga),
        cmocka_unit_test(test_bmp),
        cmocka_unit_test(test_bmp_layouts),
        cmocka_unit_test(test_pnm),
        cmocka_unit_test(test_orientation),
        cmocka_unit_test(test_orientation_pixel_by_pixel),
        cmocka_unit_test(test_orientation_in_png),
        cmocka_unit_test(test_orientation_nonsense),
        cmocka_unit_test(test_orientation_sources),
        cmocka_unit_test(test_grey_of_12_bits),
        cmocka_unit_test(test_the_name_does_not_matter),
        cmocka_unit_test(test_the_limit_is_inclusive),
        cmocka_unit_test(test_new_and_free),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_names_and_formats),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
