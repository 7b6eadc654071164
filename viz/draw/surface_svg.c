/* SVG, written without cairo, which would turn text into outlines.
 *
 * Every line is a <text> with the width that it was set in. Subsets of the typefaces with the characters that the page
 * uses are embedded. A program that ignores them falls back to an installed Inter or another sans.
 */
#include <glib.h>
#include <hb-subset.h>
#include <pango/pango.h>
#include <stdlib.h>
#include <string.h>

#include "assets/assets.h"
#include "viz/draw/jpeg_file.h"
#include "viz/draw/png_file.h"
#include "viz/draw/surface.h"
#include "viz/draw/text.h"

typedef struct {
    GString *body;
    hb_set_t *used[MV_TYPES]; /* characters set in each type */
} svg;

static const char *number_text(char text[G_ASCII_DTOSTR_BUF_SIZE], double value)
{
    g_ascii_formatd(text, G_ASCII_DTOSTR_BUF_SIZE, "%.3f", value);
    if (strchr(text, '.')) {
        char *end = text + strlen(text);
        while (end[-1] == '0')
            *--end = 0;
        if (end[-1] == '.')
            end[-1] = 0;
    }
    return text;
}

static void number(GString *out, const char *name, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append_printf(out, " %s=\"%s\"", name, number_text(text, value));
}

static void fill(GString *out, mv_rgb k)
{
    g_string_append_printf(out, " fill=\"#%02x%02x%02x\"", k.r, k.g, k.b);
}

static void escaped(GString *out, const char *text)
{
    char *safe = g_markup_escape_text(text, -1);
    g_string_append(out, safe);
    g_free(safe);
}

static void rect(mv_canvas *c, double x, double y, double w, double h, double radius, mv_rgb colour)
{
    GString *out = ((svg *)c->own)->body;
    g_string_append(out, "<rect");
    number(out, "x", x);
    number(out, "y", y);
    number(out, "width", w);
    number(out, "height", h);
    if (radius > 0)
        number(out, "rx", radius);
    fill(out, colour);
    g_string_append(out, "/>\n");
}

static void points(GString *out, const mv_point *p, int n)
{
    char x[G_ASCII_DTOSTR_BUF_SIZE], y[G_ASCII_DTOSTR_BUF_SIZE];
    g_string_append(out, " points=\"");
    for (int i = 0; i < n; i++)
        g_string_append_printf(out, "%s%s,%s", i ? " " : "", number_text(x, p[i].x), number_text(y, p[i].y));
    g_string_append_c(out, '"');
}

static void line(mv_canvas *c, const mv_point *p, int n, double width, double dash, mv_rgb k)
{
    GString *out = ((svg *)c->own)->body;
    g_string_append(out, "<polyline");
    points(out, p, n);
    g_string_append_printf(out, " fill=\"none\" stroke=\"#%02x%02x%02x\" stroke-linejoin=\"round\"", k.r, k.g, k.b);
    number(out, "stroke-width", width);
    if (dash > 0)
        number(out, "stroke-dasharray", dash);
    g_string_append(out, "/>\n");
}

static void area(mv_canvas *c, const mv_point *p, int n, double opacity, mv_rgb colour)
{
    GString *out = ((svg *)c->own)->body;
    g_string_append(out, "<polygon");
    points(out, p, n);
    fill(out, colour);
    if (opacity < 1)
        number(out, "fill-opacity", opacity);
    g_string_append(out, "/>\n");
}

/* --- pictures ---------------------------------------------------------------------------------- */

static mv_status append(void *ctx, const void *bytes, size_t n)
{
    g_byte_array_append(ctx, bytes, (guint)n);
    return MV_OK;
}

static void put_base64(GString *out, const uint8_t *bytes, size_t n)
{
    gchar text[2048];
    gint state = 0, save = 0;
    for (size_t part; n > 0; bytes += part, n -= part) {
        part = n < 1024 ? n : 1024;
        g_string_append_len(out, text, (gssize)g_base64_encode_step(bytes, part, FALSE, text, &state, &save));
    }
    g_string_append_len(out, text, (gssize)g_base64_encode_close(FALSE, text, &state, &save));
}

/* A photo as JPEG where that is smaller; cells are exact. */
static void put_picture(mv_canvas *c, GString *out, int w, int h, const uint8_t *rgb, bool smooth)
{
    GByteArray *png = g_byte_array_new();
    uint8_t *jpeg = NULL;
    size_t size = 0;
    mv_canvas_target to = {.kind = MV_CANVAS_PNG, .write = append, .ctx = png};
    mv_pixels pixels = {.w = w, .h = h, .bytes = rgb, .stride = (size_t)w * 3};
    mv_png_write(&pixels, &to, &c->error);
    if (smooth && w >= MV_JPEG_LEAST && h >= MV_JPEG_LEAST && c->error.code == MV_OK)
        mv_jpeg_encode(rgb, w, h, &jpeg, &size, &c->error);
    bool smaller = jpeg && size < png->len;
    g_string_append_printf(out, "data:image/%s;base64,", smaller ? "jpeg" : "png");
    put_base64(out, smaller ? jpeg : png->data, smaller ? size : png->len);
    free(jpeg);
    g_byte_array_free(png, TRUE);
}

static void image(mv_canvas *c, double x, double y, double w, double h, int pw, int ph, const uint8_t *rgb, bool smooth)
{
    GString *out = ((svg *)c->own)->body;
    g_string_append(out, "<image");
    number(out, "x", x);
    number(out, "y", y);
    number(out, "width", w);
    number(out, "height", h);
    g_string_append_printf(out, " preserveAspectRatio=\"none\"%s xlink:href=\"",
                           smooth ? "" : " style=\"image-rendering:pixelated\"");
    put_picture(c, out, pw, ph, rgb, smooth);
    g_string_append(out, "\"/>\n");
}

/* --- text -------------------------------------------------------------------------------------- */

static void text(mv_canvas *c, double x, double y, const mv_text *t, mv_rgb colour)
{
    svg *s = c->own;
    for (int i = 0; i < t->lines; i++) {
        char *seen = mv_text_line(t, i);
        PangoRectangle box;
        mv_fonts_lock();
        pango_layout_line_get_extents(pango_layout_get_line_readonly(t->layout, i), NULL, &box);
        mv_fonts_unlock();
        if (*seen) {
            g_string_append_printf(s->body, "<text class=\"t%d\"", (int)t->type);
            number(s->body, "x", x);
            number(s->body, "y", y + t->baseline + i * t->line);
            number(s->body, "textLength", pango_units_to_double(box.width));
            fill(s->body, colour);
            g_string_append(s->body, ">");
            escaped(s->body, seen);
            g_string_append(s->body, "</text>\n");
        }
        for (const char *p = seen; *p; p = g_utf8_next_char(p))
            hb_set_add(s->used[t->type], g_utf8_get_char(p));
        g_free(seen);
    }
}

/* --- typefaces --------------------------------------------------------------------------------- */

static mv_asset face_of(mv_type_css css)
{
    return css.mono            ? MV_ASSET(jetbrains_mono)
           : css.weight >= 600 ? MV_ASSET(inter_semibold)
           : css.weight >= 500 ? MV_ASSET(inter_medium)
                               : MV_ASSET(inter_regular);
}

/* The subset of a typeface with the characters of `used`, kerning, and tabular figures. NULL without memory. */
static hb_blob_t *subset(mv_asset asset, const hb_set_t *used)
{
    hb_blob_t *whole =
        hb_blob_create((const char *)asset.bytes, (unsigned)asset.size, HB_MEMORY_MODE_READONLY, NULL, NULL);
    hb_face_t *face = hb_face_create(whole, 0), *part = NULL;
    hb_subset_input_t *input = hb_subset_input_create_or_fail();
    hb_blob_t *bytes = NULL;
    if (input) {
        hb_set_union(hb_subset_input_unicode_set(input), used);
        hb_set_t *features = hb_subset_input_set(input, HB_SUBSET_SETS_LAYOUT_FEATURE_TAG);
        hb_set_clear(features);
        hb_set_add(features, HB_TAG('k', 'e', 'r', 'n'));
        hb_set_add(features, HB_TAG('t', 'n', 'u', 'm'));
        hb_set_add(features, HB_TAG('c', 'a', 'l', 't'));
        hb_set_add(features, HB_TAG('c', 'c', 'm', 'p'));
        part = hb_subset_or_fail(face, input);
        hb_subset_input_destroy(input);
    }
    if (part) {
        bytes = hb_face_reference_blob(part);
        hb_face_destroy(part);
    }
    hb_face_destroy(face);
    hb_blob_destroy(whole);
    return bytes;
}

/* One @font-face for all types that share a typeface, with the first of them. */
static void put_face(mv_canvas *c, GString *out, mv_type type)
{
    svg *s = c->own;
    mv_type_css css = mv_type_css_of(type);
    hb_set_t *used = hb_set_create();
    for (int t = 0; t < MV_TYPES; t++)
        if (face_of(mv_type_css_of((mv_type)t)).bytes == face_of(css).bytes) {
            if (t < (int)type) { /* written with that one */
                hb_set_destroy(used);
                return;
            }
            hb_set_union(used, s->used[t]);
        }
    hb_blob_t *bytes = hb_set_is_empty(used) ? NULL : subset(face_of(css), used);
    if (bytes) {
        unsigned n;
        const char *data = hb_blob_get_data(bytes, &n);
        char *coded = g_base64_encode((const guchar *)data, n);
        g_string_append_printf(out, "@font-face{font-family:%s;font-weight:%d;src:url(data:font/otf;base64,%s)}\n",
                               css.mono ? "'JetBrains Mono'" : "Inter", css.weight, coded);
        g_free(coded);
        hb_blob_destroy(bytes);
    }
    hb_set_destroy(used);
}

static void put_styles(mv_canvas *c, GString *out)
{
    svg *s = c->own;
    g_string_append(out, "<style>\ntext{white-space:pre}\n");
    for (int t = 0; t < MV_TYPES; t++) {
        if (hb_set_is_empty(s->used[t]))
            continue;
        mv_type_css css = mv_type_css_of((mv_type)t);
        char size[G_ASCII_DTOSTR_BUF_SIZE];
        g_string_append_printf(out, ".t%d{font:%d %spx %s%s}\n", t, css.weight,
                               g_ascii_formatd(size, sizeof size, "%g", css.size), css.families,
                               css.mono      ? ";font-variant-ligatures:none"
                               : css.tabular ? ";font-variant-numeric:tabular-nums"
                                             : "");
    }
    for (int t = 0; t < MV_TYPES; t++)
        put_face(c, out, (mv_type)t);
    g_string_append(out, "</style>\n");
}

/* --- the file ---------------------------------------------------------------------------------- */

/* A side of the page: in points where the target says how wide it is. */
static void length(GString *out, const char *name, const mv_canvas *c, double px)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    bool points = c->to.points > 0;
    g_string_append_printf(out, " %s=\"%s%s\"", name,
                           number_text(text, points ? px * c->to.points / c->w : px * c->zoom), points ? "pt" : "");
}

static void finish(mv_canvas *c)
{
    svg *s = c->own;
    GString *head = g_string_new("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                                 "<svg xmlns=\"http://www.w3.org/2000/svg\" "
                                 "xmlns:xlink=\"http://www.w3.org/1999/xlink\"");
    length(head, "width", c, c->w);
    length(head, "height", c, c->h);
    g_string_append_printf(head, " viewBox=\"0 0 %.0f %.0f\" xml:space=\"preserve\" role=\"img\">\n", c->w, c->h);
    if (c->to.title) { /* what a screen reader says */
        g_string_append(head, "<title>");
        escaped(head, c->title);
        g_string_append(head, "</title>\n");
    }
    g_string_append(head, "<metadata>\n");
    for (int i = 0; i < c->to.note_count; i++) {
        escaped(head, c->notes[i].key);
        g_string_append(head, ": ");
        escaped(head, c->notes[i].value);
        g_string_append_c(head, '\n');
    }
    if (c->to.date) {
        g_string_append(head, "Date: ");
        escaped(head, c->to.date);
        g_string_append_c(head, '\n');
    }
    g_string_append(head, "</metadata>\n");
    put_styles(c, head);
    g_string_append(s->body, "</svg>\n");
    if (mv_canvas_put(c, head->str, head->len))
        mv_canvas_put(c, s->body->str, s->body->len);
    g_string_free(head, TRUE);
}

static void free_surface(mv_canvas *c)
{
    svg *s = c->own;
    g_string_free(s->body, TRUE);
    for (int t = 0; t < MV_TYPES; t++)
        hb_set_destroy(s->used[t]);
    free(s);
}

bool mv_surface_svg(mv_canvas *c, mv_rgb paper)
{
    static const mv_surface_kind kind = {rect, image, line, area, text, finish, free_surface};
    svg *s = calloc(1, sizeof *s);
    if (!s) {
        mv_fail_memory(&c->error, "canvas");
        return false;
    }
    s->body = g_string_new(NULL);
    for (int t = 0; t < MV_TYPES; t++)
        s->used[t] = hb_set_create();
    c->kind = &kind;
    c->own = s;
    rect(c, 0, 0, c->w, c->h, 0, paper);
    return true;
}
