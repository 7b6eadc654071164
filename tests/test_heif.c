/* HEIF files whose images are made of others: what is decoded, and what is refused before libheif sees it. libheif
 * 1.15 overflows the stack, reads beyond its memory, aborts or works for years at nearly every file that is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/picture/decode.h"
#include "tests/heif_file.h"

#ifdef MV_HEIF
enum { TILE = 64 };

#define CODED .type = "hvc1"
#define GRID  .type = "grid"
#define IDEN  .type = "iden"
#define IOVL  .type = "iovl"
#define DIMG  .type = "dimg"

static void decode(mv_image *out, const heif_made *m)
{
    size_t size;
    uint8_t *file = heif_file(m, &size);
    mv_warnings w = {0};
    mv_error e = {0};
    if (mv_picture_decode(out, file, size, "x", &(mv_picture_options){.warnings = &w}, &e))
        fail_msg("%s", e.text);
    free(file);
}

static void refused_bytes(const uint8_t *file, size_t size, const char *part)
{
    mv_image image;
    mv_error e = {0};
    mv_status code = mv_picture_decode(&image, file, size, "x", NULL, &e);
    if (code != MV_EINPUT || !strstr(e.text, part) || strchr(e.text, '\n'))
        fail_msg("code %d '%s', expected '%s'", (int)code, e.text, part);
    assert_null(image.rgb);
}

static void refused(const heif_made *m, const char *part)
{
    size_t size;
    uint8_t *file = heif_file(m, &size);
    refused_bytes(file, size, part);
    free(file);
}

/* The pixels of `image` from (x, y) are those of the tile, as far as they are on it, to within `off` of a value. */
static void has_tile(const mv_image *image, int x, int y, int off)
{
    mv_image tile;
    decode(&tile, &(heif_made){.item = {{CODED}}});
    assert_true(tile.w == TILE && tile.h == TILE);
    for (int v = 0; v < TILE && y + v < image->h; v++)
        for (int u = 0; u < 3 * TILE && 3 * x + u < 3 * image->w; u++) {
            int found = image->rgb[3 * ((y + v) * image->w + x) + u], wanted = tile.rgb[3 * v * TILE + u];
            if (abs(found - wanted) > off)
                fail_msg("found %d at (%d, %d), expected %d", found, x + u / 3, y + v, wanted);
        }
    mv_image_free(&tile);
}

/* As many tiles as phones have; the last ones are cut. */
static void reads_grids(void **state)
{
    (void)state;
    enum { ROWS = 6, COLUMNS = 8, W = 500, H = 380 };
    heif_made m = {.item = {{GRID, .w = W, .h = H, .rows = ROWS, .columns = COLUMNS}},
                   .reference = {{DIMG, .from = 1, .to = 2, .n = ROWS * COLUMNS, .step = 1}}};
    for (int i = 1; i <= ROWS * COLUMNS; i++)
        m.item[i].type = "hvc1";
    for (m.version = 0; m.version < 2; m.version++)
        for (int step = 0; step < 2; step++) { /* all the same item, or each another */
            m.reference[0].step = (unsigned)step;
            mv_image image;
            decode(&image, &m);
            assert_true(image.w == W && image.h == H);
            for (int i = 0; i < ROWS * COLUMNS; i++)
                has_tile(&image, i % COLUMNS * TILE, i / COLUMNS * TILE, 0);
            mv_image_free(&image);
        }
}

/* Images that others are made of, an alpha, a thumbnail, a gain map that is auxiliary to a part of another image, and
 * metadata: what real files hold. libheif 1.23 converts the parts of overlays to RGB in floating point and other images
 * in integers, which are the same to within 1. */
static void reads_what_others_make(void **state)
{
    (void)state;
    static const heif_made good[] = {
        {.item = {{IDEN}, {CODED}}, .reference = {{DIMG, 1, 2}}},
        {.item = {{IOVL, .offsets = 2}, {CODED}, {CODED}}, .reference = {{DIMG, 1, 2, .n = 2, .step = 1}}},
        {.item = {{IOVL, .offsets = 1}, {IDEN}, {GRID}, {CODED}},
         .reference = {{DIMG, 1, 2}, {DIMG, 2, 3}, {DIMG, 3, 4}}},
        {.item = {{CODED}, {CODED, .alpha = true}}, .reference = {{"auxl", 2, 1}, {"prem", 1, 2}}},
        {.item = {{GRID}, {CODED}, {CODED, .alpha = true}}, .reference = {{DIMG, 1, 2}, {"auxl", 3, 1}}},
        {.item = {{CODED}, {CODED}, {"Exif"}}, .reference = {{"thmb", 2, 1}, {"cdsc", 3, 1}}},
        {.item = {{GRID}, {CODED}, {CODED}, {"tmap"}},
         .reference = {{DIMG, 1, 2}, {DIMG, 4, 1, .n = 2, .step = 2}, {"cdsc", 4, 1}}},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        mv_image image;
        decode(&image, &good[i]);
        assert_true(image.w == TILE && image.h == TILE);
        has_tile(&image, 0, 0, !strcmp(good[i].item[0].type, "iovl"));
        mv_image_free(&image);
    }
}

static void refuses_circles(void **state)
{
    (void)state;
    static const heif_made circle[] = {
        {.item = {{IDEN}}, .reference = {{DIMG, 1, 1}}},
        {.item = {{GRID}}, .reference = {{DIMG, 1, 1}}},
        {.item = {{IOVL, .offsets = 1}}, .reference = {{DIMG, 1, 1}}},
        {.item = {{IDEN}}, .reference = {{DIMG, 1, 1}}, .version = 1},
        {.item = {{GRID}, {GRID}}, .reference = {{DIMG, 1, 2}, {DIMG, 2, 1}}},
        {.item = {{GRID}, {GRID}}, .reference = {{DIMG, 1, 2}, {DIMG, 2, 1}}, .version = 1},
        {.item = {{IDEN}, {GRID}, {IOVL, .offsets = 1}}, .reference = {{DIMG, 1, 2}, {DIMG, 2, 3}, {DIMG, 3, 1}}},
        {.item = {{CODED, .alpha = true}, {CODED, .alpha = true}}, .reference = {{"auxl", 1, 2}, {"auxl", 2, 1}}},
        {.item = {{CODED}, {GRID, .alpha = true}}, .reference = {{"auxl", 2, 1}, {DIMG, 2, 1}}},
        {.item = {{CODED}, {CODED}, {IDEN}}, .reference = {{DIMG, 3, 3}}},
    };
    for (size_t i = 0; i < sizeof circle / sizeof *circle; i++)
        refused(&circle[i], "of the HEIF, which is made of itself, or of images of images on more than 8 levels");
}

static void refuses_chains(void **state)
{
    (void)state;
    for (int levels = 8; levels < 60; levels += levels < 9 ? 1 : 50) {
        heif_made m = {.item = {{CODED}}};
        for (int i = 0; i < levels; i++) {
            m.item[i].type = "iden";
            m.reference[i] = (heif_reference){DIMG, .from = (unsigned)i + 1, .to = (unsigned)i + 2};
        }
        m.item[levels].type = "hvc1";
        if (levels > 8) {
            refused(&m, "on more than 8 levels, expected fewer");
            continue;
        }
        mv_image image;
        decode(&image, &m);
        has_tile(&image, 0, 0, 0);
        mv_image_free(&image);
    }
}

/* Six overlays, each of 64 times the next, are the tile 2^36 times, in a file of 5 KB. */
static void refuses_more_than_can_be_decoded(void **state)
{
    (void)state;
    enum { LEVELS = 6 };
    heif_made m = {.item = {{CODED}}};
    for (int i = 0; i < LEVELS; i++) {
        m.item[i] = (heif_item){IOVL, .offsets = 64};
        m.reference[i] = (heif_reference){DIMG, .from = (unsigned)i + 1, .to = (unsigned)i + 2, .n = 64};
    }
    m.item[LEVELS].type = "hvc1";
    refused(&m, "for which more than 270 images are decoded");
    m = (heif_made){.item = {{CODED}}, .repeat = 32, .padding = 40000};
    mv_image image;
    decode(&image, &m); /* 1.3 MB of data in a file of 41 KB are within the limit */
    mv_image_free(&image);
    for (int i = 1; i < 30; i++)
        m.item[i].type = "hvc1";
    refused(&m, "expected at most 16");
}

static void refuses_parts_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        heif_made made;
        const char *part;
    } bad[] = {
        {{.item = {{IDEN}}, .reference = {{DIMG, 1, 9}}}, "image 1 of the HEIF is made of item 9, which is not there"},
        {{.item = {{IOVL, .offsets = 1}, {"Exif"}}, .reference = {{DIMG, 1, 2}}}, "is made of item 2"},
        {{.item = {{GRID, .w = 65536, .h = 65536}, {CODED}}, .reference = {{DIMG, 1, 2}}},
         "found a grid or an overlay of 65536 x 65536 pixels in the HEIF, expected at most 64000000 pixels"},
        {{.item = {{CODED}, {GRID, .w = 30000, .h = 30000}}, .reference = {{DIMG, 2, 1}}}, "30000 x 30000 pixels"},
        {{.item = {{IOVL, .w = 4000, .h = 4000, .offsets = 1, .x = -40}, {CODED}}, .reference = {{DIMG, 1, 2}}},
         "found an overlay in the HEIF, a part of which begins outside of its canvas"},
        {{.item = {{IOVL, .w = 4000, .h = 4000, .offsets = 1, .y = -1}, {CODED}}, .reference = {{DIMG, 1, 2}}},
         "a part of which begins outside"},
        {{.item = {{GRID, .w = 4096, .h = 4096},
                   {GRID, .w = 4096, .h = 4096},
                   {CODED},
                   {CODED, .alpha = true, .w = 4096, .h = 4096}},
          .reference = {{DIMG, 1, 2}, {DIMG, 2, 3}, {"auxl", 4, 2}}},
         "found image 2 of the HEIF, a part of image 1, with an alpha of its own"},
        {{.item = {{CODED}, {CODED}}, .twice = 2}, "found two items 2 in the HEIF"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(&bad[i].made, bad[i].part);
}

/* The files from which fuzzers begin are such files, too. */
static void reads_the_seeds(void **state)
{
    (void)state;
    static const char *const seed[][2] = {{"grid", NULL},
                                          {"overlay", NULL},
                                          {"alpha", NULL},
                                          {"itself", "is made of itself"},
                                          {"circle", "is made of itself"},
                                          {"alphas", "is made of itself"},
                                          {"fan", "more than 270 images"},
                                          {"left", "outside of its canvas"},
                                          {"tile-alpha", "an alpha of its own"}};
    for (size_t i = 0; i < sizeof seed / sizeof *seed; i++) {
        char path[100];
        snprintf(path, sizeof path, "tests/data/image/heif/%s.heic", seed[i][0]);
        mv_image image;
        mv_warnings w = {0};
        mv_error e = {0};
        mv_status s = mv_picture_load(&image, path, &(mv_picture_options){.warnings = &w}, &e);
        if (seed[i][1] ? s != MV_EINPUT || !strstr(e.text, seed[i][1]) : s != MV_OK)
            fail_msg("%s: code %d '%s'", path, (int)s, e.text);
        mv_image_free(&image);
    }
}

static void set(uint8_t *at, unsigned width, uint32_t value)
{
    for (unsigned i = 0; i < width; i++)
        at[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

/* Two readers could see two files in these. `at` is counted from the type of the box. */
static void refuses_what_can_be_read_in_two_ways(void **state)
{
    (void)state;
    static const struct {
        const char *box;
        int at;
        unsigned width;
        uint32_t value;
        const char *part;
    } change[] = {
        {"dimg", 6, 2, 0, "found a box iref of the HEIF whose sizes or counts"},
        {"dimg", 6, 2, 2, "found a box iref of the HEIF"},
        {"dimg", -4, 4, 0, "found a box iref of the HEIF"},
        {"dimg", -4, 4, 8, "found a box iref of the HEIF"},
        {"iref", 4, 1, 1, "found a box iref of the HEIF"},
        {"iref", 4, 1, 2, "found a box iref of the HEIF"},
        {"iref", -4, 4, 0, "found a box meta of the HEIF"},
        {"iref", -4, 4, 1000, "found a box meta of the HEIF"},
        {"hdlr", -4, 4, 7, "found a box meta of the HEIF"},
        {"ipma", 0, 4, 0x69726566, "unchanged"}, /* inside of iprp it is no iref of meta */
        {"pitm", 0, 4, 0x69726566, "found two boxes iref in the HEIF, expected one"},
        {"iprp", 0, 4, 0x69696E66, "found two boxes iinf in the HEIF"},
        {"iprp", 0, 4, 0x696C6F63, "found two boxes iloc in the HEIF"},
        {"iprp", 0, 4, 0x69646174, "found two boxes idat in the HEIF"},
        {"mdat", 0, 4, 0x6D657461, "found two boxes meta in the HEIF"},
        {"iinf", 8, 2, 1, "found a box iinf of the HEIF"},
        {"iinf", 8, 2, 3, "found a box iinf of the HEIF"},
        {"infe", 4, 1, 4, "found a box infe of the HEIF"},
        {"iloc", 4, 1, 3, "found a box iloc of the HEIF"},
        {"iloc", 8, 2, 0x4401, "found a box iloc of the HEIF"},
        {"iloc", 8, 2, 0x3300, "found a box iloc of the HEIF"},
        {"iloc", 10, 2, 1000, "found a box iloc of the HEIF"},
        {"iloc", 24, 4, 100000, "is cut short or damaged: found a grid or an overlay in the HEIF whose data are not"},
        {"iloc", 24, 4, 6, "is damaged: found a grid or an overlay in the HEIF without its size"},
        {"meta", -4, 4, 100000, "is cut short: the HEIF ends inside one of its boxes"},
    };
    const heif_made m = {.item = {{GRID}, {CODED}}, .reference = {{DIMG, 1, 2}}};
    for (size_t i = 0; i < sizeof change / sizeof *change; i++) {
        size_t size;
        uint8_t *file = heif_file(&m, &size);
        set(heif_box(file, size, change[i].box) + change[i].at, change[i].width, change[i].value);
        if (strcmp(change[i].part, "unchanged") != 0)
            refused_bytes(file, size, change[i].part);
        else
            refused_bytes(file, size, "says libheif");
        free(file);
    }
}

/* The boxes are whole, and the data that they tell of are cut off. */
static void refuses_what_is_cut_short(void **state)
{
    (void)state;
    const heif_made m = {.item = {{GRID}, {CODED}}, .reference = {{DIMG, 1, 2}}};
    size_t size;
    uint8_t *file = heif_file(&m, &size);
    size_t data = (size_t)(heif_box(file, size, "mdat") - file) + 4;
    const size_t cut[] = {size - 1, (data + size) / 2, data};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
        refused_bytes(file, cut[i], "x: is cut short or damaged, says libheif: ");
    free(file);
}

/* Every byte of the boxes, changed: nothing but an image or a sentence. */
static void survives_any_byte(void **state)
{
    (void)state;
    static const heif_made m = {.item = {{GRID}, {IDEN}, {CODED}, {CODED, .alpha = true}},
                                .reference = {{DIMG, 1, 2}, {DIMG, 2, 3}, {"auxl", 4, 1}}};
    size_t size;
    uint8_t *file = heif_file(&m, &size);
    size_t boxes = (size_t)(heif_box(file, size, "mdat") - file), codec = (size_t)(heif_box(file, size, "hvcC") - file);
    for (size_t i = 20; i < boxes; i++)
        for (int k = 0; k < 4 && (i < codec + 4 || i > codec + 114); k++) { /* of hvcC, libde265 prints what is wrong */
            uint8_t was = file[i];
            file[i] = (uint8_t)(k == 0 ? 0 : k == 1 ? 255 : k == 2 ? was + 1 : was - 1);
            mv_image image;
            mv_error e = {0};
            mv_warnings w = {0};
            mv_status s = mv_picture_decode(&image, file, size, "x", &(mv_picture_options){.warnings = &w}, &e);
            assert_true(s ? s == MV_EINPUT && !image.rgb && e.text[0] : image.rgb != NULL);
            mv_image_free(&image);
            file[i] = was;
        }
    free(file);
}
#else
static void needs_libheif(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef MV_HEIF
        cmocka_unit_test(reads_grids),
        cmocka_unit_test(reads_what_others_make),
        cmocka_unit_test(refuses_circles),
        cmocka_unit_test(refuses_chains),
        cmocka_unit_test(refuses_more_than_can_be_decoded),
        cmocka_unit_test(refuses_parts_that_do_not_fit),
        cmocka_unit_test(reads_the_seeds),
        cmocka_unit_test(refuses_what_can_be_read_in_two_ways),
        cmocka_unit_test(refuses_what_is_cut_short),
        cmocka_unit_test(survives_any_byte),
#else
        cmocka_unit_test(needs_libheif),
#endif
    };
    return cmocka_run_group_tests_name("heif", tests, NULL, NULL);
}
