/* PNG, canvas and text: read back by libpng and libjpeg. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h> /* needs stdio.h */

#include "viz/draw/canvas.h"
#include "viz/draw/fonts.h"
#include "viz/draw/jpeg_file.h"
#include "viz/draw/png_file.h"

static uint32_t random_state = 1;

static double uniform(void)
{
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 8) / 16777216.0;
}

/* --- packing and PNG ----------------------------------------------------------------------------- */

typedef struct {
    uint8_t *bytes;
    size_t size, room;
    int left; /* writes until failure; -1: never */
} buffer;

static mv_status keep(void *ctx, const void *bytes, size_t n)
{
    buffer *b = ctx;
    if (b->left == 0)
        return MV_EIO;
    b->left -= b->left > 0;
    if (b->size + n > b->room) {
        b->room = 2 * (b->size + n);
        b->bytes = realloc(b->bytes, b->room);
        assert_non_null(b->bytes);
    }
    memcpy(b->bytes + b->size, bytes, n);
    b->size += n;
    return MV_OK;
}

static void read_from(png_structp png, png_bytep out, size_t n)
{
    buffer *b = png_get_io_ptr(png);
    if (n > b->size - b->room) /* room: how far it was read */
        png_error(png, "cut");
    memcpy(out, b->bytes + b->room, n);
    b->room += n;
}

/* The value of a text chunk, copied; NULL if there is none. And the pixels as RGB. */
static void read_png(buffer *b, int w, int h, uint8_t *rgb, const char *key, char *value, size_t room)
{
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    b->room = 0;
    *value = 0;
    if (setjmp(png_jmpbuf(png)))
        fail_msg("libpng refuses the file");
    png_set_read_fn(png, b, read_from);
    png_read_info(png, info);
    assert_int_equal(png_get_image_width(png, info), w);
    assert_int_equal(png_get_image_height(png, info), h);
    for (int y = 0; y < h; y++)
        png_read_row(png, rgb + (size_t)y * (size_t)w * 3, NULL);
    png_read_end(png, info);
    png_textp text;
    int n = png_get_text(png, info, &text, NULL);
    for (int i = 0; i < n; i++)
        if (strcmp(text[i].key, key) == 0)
            snprintf(value, room, "%s", text[i].text);
    png_destroy_read_struct(&png, &info, NULL);
}

static void png_reads_back(void **state)
{
    (void)state;
    static const int sizes[][2] = {{1, 1}, {5, 3}, {16, 16}, {17, 40}, {333, 257}, {3000, 90}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int w = sizes[k][0], h = sizes[k][1];
        size_t n = (size_t)w * (size_t)h * 3;
        uint8_t *in = malloc(n), *back = malloc(n);
        for (size_t i = 0; i < n; i++) {
            int x = (int)(i / 3) % w, y = (int)(i / 3) / w;
            in[i] = (uint8_t)(y % 7 == 0 ? 255 : 128 + 100 * sin(x * 0.05 + y * 0.03) + 20 * uniform());
        }
        buffer b = {.left = -1}, again = {.left = -1};
        mv_note notes[] = {{"Command", "mvscope classify \xe5\x86\x99\xe7\x9c\x9f.jpg"},
                           {"Range", "\xe2\x88\x92"
                                     "4.5"}};
        mv_canvas_target to = {.kind = MV_CANVAS_PNG,
                               .write = keep,
                               .ctx = &b,
                               .notes = notes,
                               .note_count = 2,
                               .date = "2026-01-31T12:00:00Z"};
        mv_pixels pixels = {.w = w, .h = h, .bytes = in, .stride = (size_t)w * 3, .per_metre = 5000};
        assert_int_equal(mv_png_write(&pixels, &to, NULL), MV_OK);
        to.ctx = &again;
        assert_int_equal(mv_png_write(&pixels, &to, NULL), MV_OK);
        assert_int_equal(b.size, again.size);
        assert_memory_equal(b.bytes, again.bytes, b.size);
        char value[80];
        read_png(&b, w, h, back, "Command", value, sizeof value);
        assert_memory_equal(back, in, n);
        assert_string_equal(value, notes[0].value);
        read_png(&b, w, h, back, "Creation Time", value, sizeof value);
        assert_string_equal(value, to.date);
        free(again.bytes);
        free(b.bytes);
        free(back);
        free(in);
    }
}

/* --- JPEG ---------------------------------------------------------------------------------------- */

/* The largest difference from w x h pixels; counts the comments into *comments, and the bytes of the longest. */
static int read_jpeg(const buffer *b, int w, int h, const uint8_t *in, int *comments, unsigned *longest)
{
    struct jpeg_error_mgr errors; /* a failure ends the test */
    struct jpeg_decompress_struct j = {.err = jpeg_std_error(&errors)};
    uint8_t *row = malloc((size_t)w * 3);
    int most = 0;
    jpeg_create_decompress(&j);
    jpeg_mem_src(&j, b->bytes, b->size);
    jpeg_save_markers(&j, JPEG_COM, 0xffff);
    jpeg_read_header(&j, TRUE);
    assert_int_equal(j.image_width, w);
    assert_int_equal(j.image_height, h);
    assert_int_equal(j.comp_info[0].h_samp_factor * j.comp_info[0].v_samp_factor, 1);
    *comments = 0, *longest = 0;
    for (jpeg_saved_marker_ptr m = j.marker_list; m; m = m->next, ++*comments)
        *longest = m->data_length > *longest ? m->data_length : *longest;
    assert_memory_equal(j.marker_list->data, "Command: mvscope", 16);
    jpeg_start_decompress(&j);
    for (int y = 0; y < h; y++) {
        jpeg_read_scanlines(&j, &row, 1);
        for (int i = 0; i < 3 * w; i++)
            most = (int)fmax(most, abs(row[i] - in[3 * w * y + i]));
    }
    jpeg_finish_decompress(&j);
    jpeg_destroy_decompress(&j);
    free(row);
    return most;
}

static void jpeg_reads_back(void **state)
{
    (void)state;
    enum { W = 67, H = 45 };
    static uint8_t in[W * H * 3];
    for (int i = 0; i < W * H * 3; i++)
        in[i] = (uint8_t)(128 + 100 * sin((i / 3 % W) * 0.08 + i % 3) * cos((i / 3 / W) * 0.05));
    static char text[70001];
    memset(text, 'x', sizeof text - 1);
    buffer b = {.left = -1}, again = {.left = -1}, full = {.left = 0};
    mv_note notes[] = {{"Command", "mvscope classify \xe5\x86\x99\xe7\x9c\x9f.jpg"}, {"Range", NULL}, {"Model", text}};
    mv_canvas_target to = {.kind = MV_CANVAS_JPEG,
                           .write = keep,
                           .ctx = &b,
                           .notes = notes,
                           .note_count = 3,
                           .date = "2026-01-31T12:00:00Z"};
    mv_pixels pixels = {.w = W, .h = H, .bytes = in, .stride = W * 3};
    assert_int_equal(mv_jpeg_write(&pixels, &to, NULL), MV_OK);
    to.ctx = &again;
    assert_int_equal(mv_jpeg_write(&pixels, &to, NULL), MV_OK);
    assert_int_equal(b.size, again.size);
    assert_memory_equal(b.bytes, again.bytes, b.size);
    int comments;
    unsigned longest;
    assert_in_range(read_jpeg(&b, W, H, in, &comments, &longest), 0, 8);
    assert_int_equal(comments, 4);
    assert_int_equal(longest, 65533);
    to.ctx = &full;
    assert_int_equal(mv_jpeg_write(&pixels, &to, NULL), MV_EIO);
    pixels.w = MV_JPEG_MOST + 1;
    assert_int_equal(mv_jpeg_write(&pixels, &to, NULL), MV_EINPUT);
    assert_null(mv_canvas_new(&to, 10, 10, 1, (mv_rgb){0}, NULL));
    free(again.bytes);
    free(b.bytes);
}

/* --- canvas ------------------------------------------------------------------------------------ */

static void canvas_kinds_are_known_by_name(void **state)
{
    (void)state;
    mv_canvas_kind kind;
    assert_int_equal(mv_canvas_kind_of(&kind, "a.b/c.PNG", NULL), MV_OK);
    assert_int_equal(kind, MV_CANVAS_PNG);
    assert_int_equal(mv_canvas_kind_of(&kind, "x.svg", NULL), MV_OK);
    assert_int_equal(kind, MV_CANVAS_SVG);
    assert_int_equal(mv_canvas_kind_of(&kind, "x.pdf", NULL), MV_OK);
    assert_int_equal(kind, MV_CANVAS_PDF);
    static const char *const wrong[] = {"", ".png", "png", "a.jpg", "a.png.gz", NULL};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(mv_canvas_kind_of(&kind, wrong[i], NULL), MV_EINPUT);
}

static void canvas_shows_what_was_drawn(void **state)
{
    (void)state;
    enum { W = 40, H = 20, ZOOM = 2 };
    buffer b = {.left = -1};
    mv_note notes[] = {{"Title", "broken \xff utf8"}};
    mv_canvas_target to = {.kind = MV_CANVAS_PNG, .write = keep, .ctx = &b, .notes = notes, .note_count = 1};
    mv_canvas *c = mv_canvas_new(&to, W, H, ZOOM, (mv_rgb){1, 2, 3}, NULL);
    assert_non_null(c);
    assert_true(mv_canvas_is_raster(c) && mv_canvas_density(c) == ZOOM);
    mv_canvas_rect(c, 10, 5, 4, 3, 0, (mv_rgb){200, 100, 50});
    uint8_t exact[6 * 4 * 3];
    for (size_t i = 0; i < sizeof exact; i++)
        exact[i] = (uint8_t)(i * 3);
    mv_canvas_image(c, 20, 10, 3, 2, 6, 4, exact, true);
    uint8_t two[6] = {255, 0, 0, 0, 0, 255};
    mv_canvas_image(c, 30, 2, 4, 2, 2, 1, two, false);
    assert_int_equal(mv_canvas_finish(c, NULL), MV_OK);

    uint8_t rgb[W * H * ZOOM * ZOOM * 3];
    char value[40];
    read_png(&b, W * ZOOM, H * ZOOM, rgb, "Title", value, sizeof value);
    assert_string_equal(value, "broken \xef\xbf\xbd utf8");
    for (int y = 0; y < H * ZOOM; y++)
        for (int x = 0; x < W * ZOOM; x++) {
            const uint8_t *p = rgb + (y * W * ZOOM + x) * 3;
            uint8_t paper[3] = {1, 2, 3}, box[3] = {200, 100, 50};
            const uint8_t *want = paper;
            if (x >= 20 && x < 28 && y >= 10 && y < 16)
                want = box;
            if (x >= 40 && x < 46 && y >= 20 && y < 24)
                want = exact + ((y - 20) * 6 + x - 40) * 3;
            if (x >= 60 && x < 68 && y >= 4 && y < 8)
                want = two + (x >= 64 ? 3 : 0);
            assert_memory_equal(p, want, 3);
        }
    free(b.bytes);
}

/* Smooth colours with some noise, as photos have them. */
static void fill_photo(uint8_t *rgb, int w, int h)
{
    for (int i = 0; i < w * h; i++) {
        int x = i % w, y = i / w, noise = (int)(8 * uniform());
        rgb[3 * i] = (uint8_t)(120 + 90 * sin(x * 0.07) + noise);
        rgb[3 * i + 1] = (uint8_t)(120 + 90 * cos(y * 0.05) + noise);
        rgb[3 * i + 2] = (uint8_t)(60 + x / 2 + noise);
    }
}

/* The pixels of the first JPEG in an SVG. The caller's to free(). */
static uint8_t *jpeg_in(const buffer *b, int w, int h)
{
    static const char before[] = "data:image/jpeg;base64,";
    const char *start = strstr((char *)b->bytes, before), *end = start ? strchr(start, '"') : NULL;
    assert_non_null(end);
    char *coded = strndup(start + sizeof before - 1, (size_t)(end - start) - sizeof before + 1);
    gsize n;
    guchar *bytes = g_base64_decode(coded, &n);
    struct jpeg_decompress_struct j;
    struct jpeg_error_mgr errors;
    j.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&j);
    jpeg_mem_src(&j, bytes, n);
    jpeg_read_header(&j, TRUE);
    jpeg_start_decompress(&j);
    assert_int_equal(j.output_width, w);
    assert_int_equal(j.output_height, h);
    uint8_t *rgb = malloc((size_t)w * (size_t)h * 3);
    while (j.output_scanline < j.output_height) {
        JSAMPROW row = rgb + (size_t)j.output_scanline * (size_t)w * 3;
        jpeg_read_scanlines(&j, &row, 1);
    }
    jpeg_finish_decompress(&j);
    jpeg_destroy_decompress(&j);
    g_free(bytes);
    free(coded);
    return rgb;
}

static void photos_are_jpeg_and_cells_are_exact(void **state)
{
    (void)state;
    enum { W = 150, H = 90 };
    static uint8_t photo[W * H * 3];
    fill_photo(photo, W, H);
    for (int smooth = 0; smooth < 2; smooth++) {
        buffer b = {.left = -1}, pdf = {.left = -1};
        mv_canvas_target to = {.kind = MV_CANVAS_SVG, .write = keep, .ctx = &b, .title = "a \xff & b"};
        mv_canvas *c = mv_canvas_new(&to, 200, 200, 1, (mv_rgb){255, 255, 255}, NULL);
        mv_canvas_image(c, 0, 0, W, H, W, H, photo, smooth);
        assert_int_equal(mv_canvas_finish(c, NULL), MV_OK);
        assert_non_null(strstr((char *)b.bytes, "<title>a \xef\xbf\xbd &amp; b</title>"));
        assert_int_equal(strstr((char *)b.bytes, "image/jpeg") != NULL, smooth);
        if (smooth) {
            uint8_t *seen = jpeg_in(&b, W, H);
            double sum = 0;
            for (size_t i = 0; i < sizeof photo; i++)
                sum += abs(seen[i] - photo[i]);
            assert_true(sum / sizeof photo < 2);
            free(seen);
        }
        to.kind = MV_CANVAS_PDF;
        to.ctx = &pdf;
        c = mv_canvas_new(&to, 200, 200, 1, (mv_rgb){255, 255, 255}, NULL);
        mv_canvas_image(c, 0, 0, W, H, W, H, photo, smooth);
        assert_int_equal(mv_canvas_finish(c, NULL), MV_OK);
        assert_int_equal(memmem(pdf.bytes, pdf.size, "DCTDecode", 9) != NULL, smooth);
        free(pdf.bytes);
        free(b.bytes);
    }
}

static void canvas_refuses_what_cannot_be(void **state)
{
    (void)state;
    buffer b = {.left = -1};
    mv_canvas_target to = {.kind = MV_CANVAS_PNG, .write = keep, .ctx = &b};
    mv_error e = {0};
    assert_null(mv_canvas_new(&to, 40000, 10, 1, (mv_rgb){0, 0, 0}, &e));
    assert_int_equal(e.code, MV_EINPUT);
    assert_null(mv_canvas_new(&to, 0, 10, 1, (mv_rgb){0, 0, 0}, NULL));
    assert_null(mv_canvas_new(&to, 10, 10, 0, (mv_rgb){0, 0, 0}, NULL));
    assert_null(mv_canvas_new(&to, NAN, 10, 1, (mv_rgb){0, 0, 0}, NULL));
    mv_note nameless = {"", "value"};
    to.notes = &nameless;
    to.note_count = 1;
    assert_null(mv_canvas_new(&to, 10, 10, 1, (mv_rgb){0, 0, 0}, NULL));
    to.note_count = 0;
    for (int kind = MV_CANVAS_PNG; kind <= MV_CANVAS_PDF; kind++) {
        to.kind = (mv_canvas_kind)kind;
        mv_canvas_free(mv_canvas_new(&to, 10, 10, 1, (mv_rgb){0, 0, 0}, NULL)); /* nothing is written */
    }
    mv_canvas_free(NULL);
    free(b.bytes);
}

/* --- text -------------------------------------------------------------------------------------- */

static void text_keeps_its_width_and_lines(void **state)
{
    (void)state;
    mv_fonts *f = mv_fonts_new(NULL);
    assert_non_null(f);
    mv_text *one = mv_text_new(f, MV_TYPE_TEXT, "0", 0, 0, NULL),
            *ten = mv_text_new(f, MV_TYPE_TEXT, "1234567890", 0, 0, NULL);
    assert_true(fabs(mv_text_width(ten) - 10 * mv_text_width(one)) < 0.05); /* figures of one width */
    mv_text_free(ten);
    mv_text_free(one);
    one = mv_text_new(f, MV_TYPE_RECIPE, "i", 0, 0, NULL);
    ten = mv_text_new(f, MV_TYPE_RECIPE, "--WWiill.,", 0, 0, NULL);
    assert_true(fabs(mv_text_width(ten) - 10 * mv_text_width(one)) < 0.05); /* monospaced, no ligatures */
    mv_text_free(ten);
    mv_text_free(one);

    static const char words[] = "black-and-tan coonhound, Arabian camel, dromedary, Camelus dromedarius";
    for (int type = 0; type < MV_TYPES; type++)
        for (int lines = 0; lines < 4; lines++)
            for (double width = 30; width < 900; width *= 1.7) {
                mv_text *t = mv_text_new(f, (mv_type)type, words, width, lines, NULL);
                assert_true(mv_text_width(t) <= width + 0.01);
                double line = 2 * (mv_text_baseline(t) > 0 ? 1 : 0), height = mv_text_height(t);
                assert_true(line > 0 && fmod(height, 4) == 0 && mv_text_baseline(t) < height);
                mv_text *first = mv_text_new(f, (mv_type)type, "x", 0, 0, NULL);
                if (lines)
                    assert_true(height <= lines * mv_text_height(first));
                mv_text_free(first);
                mv_text_free(t);
            }
    static const char *const odd[] = {"", "\xff\xfe", "a\nb\tc", "\xe9\x99\x8d\xe8\x90\xbd\xe4\xbc\x9e", NULL};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        mv_error e = {0};
        mv_text *t = mv_text_new(f, MV_TYPE_TEXT, odd[i], 200, 1, &e);
        assert_non_null(t);
        assert_int_equal(e.code, MV_OK);
        assert_true(mv_text_height(t) == 20);
        mv_text_free(t);
    }
    mv_text_free(NULL);
    mv_fonts_free(f);
    mv_fonts_free(NULL);
}

static void characters_that_no_font_has_are_told(void **state)
{
    (void)state;
    static const char strange[] = "photo \xf4\x8f\xbf\xbd.jpg"; /* U+10FFFD: private use */
    mv_fonts *fonts = mv_fonts_new(NULL);
    mv_text_free(mv_text_new(fonts, MV_TYPE_TEXT, "photo \xc3\xa9\xe2\x88\x92.jpg", 0, 0, NULL));
    assert_null(mv_fonts_missing(fonts));
    mv_text_free(mv_text_new(fonts, MV_TYPE_TEXT, strange, 0, 0, NULL));
    mv_text_free(mv_text_new(fonts, MV_TYPE_TEXT, "another \xf4\x8f\xbf\xbc", 0, 0, NULL));
    assert_string_equal(mv_fonts_missing(fonts), strange);
    mv_fonts_free(fonts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_reads_back),
        cmocka_unit_test(jpeg_reads_back),
        cmocka_unit_test(canvas_kinds_are_known_by_name),
        cmocka_unit_test(canvas_shows_what_was_drawn),
        cmocka_unit_test(photos_are_jpeg_and_cells_are_exact),
        cmocka_unit_test(canvas_refuses_what_cannot_be),
        cmocka_unit_test(text_keeps_its_width_and_lines),
        cmocka_unit_test(characters_that_no_font_has_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
