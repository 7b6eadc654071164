#include "tests/drawing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <png.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "viz/draw/fonts.h"

int drawing_open_fonts(void **state)
{
    *state = mv_fonts_new(NULL);
    return *state ? 0 : -1;
}

int drawing_close_fonts(void **state)
{
    mv_fonts_free(*state);
    return 0;
}

static uint32_t random_state;

double drawing_uniform(void)
{
    random_state = random_state * 1664525U + 1013904223U;
    return (random_state >> 8) / 16777216.0;
}

/* A disc before a sky that fades: something to recognise in a reference. */
mv_image drawing_scene(int w, int h)
{
    mv_image i = {w, h, malloc((size_t)(w * h * 3))};
    double r = 0.3 * (w < h ? w : h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double d = hypot(x - 0.5 * w, y - 0.45 * h) - r, in = fmin(fmax(0.5 - d / 2, 0), 1), sky = (double)y / h;
            uint8_t *p = i.rgb + (y * w + x) * 3;
            p[0] = (uint8_t)(in * 214 + (1 - in) * (70 + 110 * sky));
            p[1] = (uint8_t)(in * 120 + (1 - in) * (120 + 80 * sky));
            p[2] = (uint8_t)(in * 40 + (1 - in) * (190 + 30 * sky));
        }
    return i;
}

mv_map drawing_signed_map(int h, int w, int seed)
{
    mv_map m = {.h = h, .w = w, .v = calloc((size_t)(h * w), sizeof *m.v), .diverging = true, .unit = "logit per cell"};
    for (int i = 0; i < h * w; i++)
        m.v[i] = (float)(8 * sin(i % w * 0.7 + seed) * cos(i / w * 0.5 + seed * 0.3));
    return m;
}

mv_map drawing_even_map(int h, int w, int seed)
{
    mv_map m = {.h = h, .w = w, .v = calloc((size_t)(h * w), sizeof *m.v), .unit = "x even"};
    double sum = 0;
    random_state = (uint32_t)seed * 7919 + 1;
    for (int i = 0; i < h * w; i++)
        sum += m.v[i] = (float)pow(drawing_uniform(), 12);
    for (int i = 0; i < h * w; i++)
        m.v[i] *= (float)(h * w / sum);
    return m;
}

mv_status drawing_keep(void *ctx, const void *bytes, size_t n)
{
    drawing_buffer *b = ctx;
    if (b->left == 0)
        return MV_EIO;
    b->left -= b->left > 0;
    if (b->size + n + 1 > b->room) {
        b->room = 2 * (b->size + n + 1);
        b->bytes = realloc(b->bytes, b->room);
        assert_non_null(b->bytes);
    }
    memcpy(b->bytes + b->size, bytes, n);
    b->size += n;
    b->bytes[b->size] = 0;
    return MV_OK;
}

/* --- pictures against references --- */

static uint8_t *read_rgb(png_image *image)
{
    image->format = PNG_FORMAT_RGB;
    uint8_t *rgb = malloc(PNG_IMAGE_SIZE(*image));
    assert_int_not_equal(png_image_finish_read(image, NULL, rgb, 0, NULL), 0);
    return rgb;
}

uint8_t *drawing_read(const drawing_buffer *b, int *w, int *h)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_int_not_equal(png_image_begin_read_from_memory(&image, b->bytes, b->size), 0);
    *w = (int)image.width;
    *h = (int)image.height;
    return read_rgb(&image);
}

static void write_rgb(const char *path, const png_image *like, const uint8_t *rgb)
{
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = like->width, .height = like->height, .format = PNG_FORMAT_RGB};
    png_image_write_to_file(&image, path, 0, rgb, 0, NULL);
}

/* The largest difference between the means of blocks of 8 x 8 pixels, over the three channels. */
static double worst_block(const uint8_t *a, const uint8_t *b, unsigned w, unsigned h)
{
    double worst = 0;
    for (unsigned y = 0; y + 8 <= h; y += 8)
        for (unsigned x = 0; x + 8 <= w; x += 8)
            for (unsigned c = 0; c < 3; c++) {
                int sum = 0;
                for (unsigned i = 0; i < 64; i++) {
                    size_t at = ((size_t)(y + i / 8) * w + x + i % 8) * 3 + c;
                    sum += a[at] - b[at];
                }
                worst = fmax(worst, abs(sum) / 64.0);
            }
    return worst;
}

/* Versions of cairo, FreeType and Inter draw letters a little otherwise and elsewhere, which blocks of 8 x 8 hardly see
 * (16 of 255 between Debian 12 and 13, where a word that is missing makes 30 and more); the mean of all may differ
 * by 2. */
void drawing_compare(const char *name, const drawing_buffer *b)
{
    char path[256];
    snprintf(path, sizeof path, "tests/ref/%s.png", name);
    if (getenv("MV_UPDATE_REF")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(b->bytes, 1, b->size, f), b->size);
        fclose(f);
        return;
    }
    png_image ref = {.version = PNG_IMAGE_VERSION}, out = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&ref, path))
        fail_msg("%s: %s", path, ref.message);
    assert_int_not_equal(png_image_begin_read_from_memory(&out, b->bytes, b->size), 0);
    bool same_size = ref.width == out.width && ref.height == out.height;
    uint8_t *x = read_rgb(&out), *y = read_rgb(&ref);
    size_t n = PNG_IMAGE_SIZE(out);
    uint8_t *diff = calloc(n, 1);
    double sum = 0, worst = same_size ? worst_block(x, y, out.width, out.height) : 255;
    for (size_t i = 0; same_size && i < n; i++) {
        int d = abs(x[i] - y[i]);
        sum += d;
        diff[i] = (uint8_t)(d > 63 ? 255 : 4 * d);
    }
    bool good = same_size && sum / (double)n < 2 && worst < 24;
    if (!good) {
        mkdir("build", 0777);
        mkdir("build/pictures", 0777);
        snprintf(path, sizeof path, "build/pictures/%s-out.png", name);
        write_rgb(path, &out, x);
        snprintf(path, sizeof path, "build/pictures/%s-diff.png", name);
        if (same_size)
            write_rgb(path, &out, diff);
    }
    free(diff);
    free(x);
    free(y);
    if (!same_size)
        fail_msg("%s: %u x %u pixels, the reference has %u x %u", name, out.width, out.height, ref.width, ref.height);
    if (!good)
        fail_msg("%s: mean difference %.3f, worst block %.1f: see build/pictures/", name, sum / (double)n, worst);
}

/* --- layout, read back from SVG --- */

static double attribute(const char *element, const char *name)
{
    char pattern[40];
    snprintf(pattern, sizeof pattern, " %s=\"", name);
    const char *at = strstr(element, pattern), *end = strchr(element, '>');
    return at && at < end ? strtod(at + strlen(pattern), NULL) : 0;
}

/* Boxes of all texts (from ascender to descender) and images. */
static void read_layout(drawing_layout *l, const char *svg)
{
    static const double size[MV_TYPES] = {27, 17, 15, 14, 13, 13, 11.5, 11.5};
    l->texts = l->images = 0;
    const char *root = strstr(svg, "<svg ");
    assert_int_equal(sscanf(strstr(root, "viewBox=\""), "viewBox=\"0 0 %lf %lf", &l->w, &l->h), 2);
    const char *width = strstr(root, " width=\"");
    char *unit;
    l->points = strtod(width + strlen(" width=\""), &unit);
    l->points = strncmp(unit, "pt\"", 3) == 0 ? l->points : 0;
    const char *p = root;
    while ((p = strchr(p + 1, '<'))) {
        if (strncmp(p, "<text class=\"t", 14) == 0) {
            double em = size[p[14] - '0'];
            assert_true(l->texts < DRAWING_BOXES);
            l->text[l->texts++] =
                (drawing_box){attribute(p, "x"), attribute(p, "y") - 0.75 * em, attribute(p, "textLength"), 0.97 * em};
        } else if (strncmp(p, "<image ", 7) == 0) {
            assert_true(l->images < DRAWING_BOXES);
            l->image[l->images++] =
                (drawing_box){attribute(p, "x"), attribute(p, "y"), attribute(p, "width"), attribute(p, "height")};
        }
    }
}

static bool overlap(drawing_box a, drawing_box b)
{
    return a.x + a.w > b.x + 0.01 && b.x + b.w > a.x + 0.01 && a.y + a.h > b.y + 0.01 && b.y + b.h > a.y + 0.01;
}

static void check_inside(const drawing_layout *l, drawing_box b)
{
    bool figure = l->points > 0 && l->points < 900; /* of a paper, whose margins it stands in */
    double margin = figure ? -0.6 : fmin(fmax(0.035 * l->w, 24), 56) - 0.6, edge = figure ? -0.6 : 20;
    assert_true(b.x >= margin && b.y >= edge && b.x + b.w <= l->w - margin && b.y + b.h <= l->h - edge);
}

void drawing_check_layout(drawing_layout *l, const drawing_buffer *b)
{
    drawing_check_texts(l, b);
    assert_true(l->images > 0);
}

void drawing_check_texts(drawing_layout *l, const drawing_buffer *b)
{
    read_layout(l, b->bytes);
    assert_true(l->texts > 4);
    for (int i = 0; i < l->texts; i++) {
        check_inside(l, l->text[i]);
        for (int j = 0; j < i; j++)
            assert_false(overlap(l->text[i], l->text[j]));
        for (int j = 0; j < l->images; j++)
            assert_false(overlap(l->text[i], l->image[j]));
    }
    for (int i = 0; i < l->images; i++) {
        check_inside(l, l->image[i]);
        for (int j = 0; j < i; j++)
            assert_false(overlap(l->image[i], l->image[j]));
    }
}
