/* PNG and PDF by cairo: pixels for png_file.h, or a page that keeps text as text. */
#include <cairo-pdf.h>
#include <cairo.h>
#include <math.h>
#include <pango/pangocairo.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "viz/draw/jpeg_file.h"
#include "viz/draw/png_file.h"
#include "viz/draw/surface.h"
#include "viz/draw/text.h"

/* A page of 1600 px is as wide as an A4 page is long. */
#define UNITS_PER_PX (841.89 / 1600)
#define PX_PER_METRE (1600 / 0.297)

#define POINTS_PER_METRE (72 / 0.0254)

static bool works(mv_canvas *c, cairo_status_t status)
{
    if (status == CAIRO_STATUS_NO_MEMORY)
        mv_fail_memory(&c->error, "canvas");
    else if (status != CAIRO_STATUS_SUCCESS)
        mv_fail(&c->error, MV_EIO, "canvas: %s", cairo_status_to_string(status));
    return c->error.code == MV_OK;
}

static void set_colour(cairo_t *cr, mv_rgb k)
{
    cairo_set_source_rgb(cr, k.r / 255.0, k.g / 255.0, k.b / 255.0);
}

static void rect(mv_canvas *c, double x, double y, double w, double h, double radius, mv_rgb colour)
{
    cairo_t *cr = c->own;
    set_colour(cr, colour);
    if (radius > 0) {
        cairo_new_sub_path(cr);
        cairo_arc(cr, x + w - radius, y + radius, radius, -G_PI_2, 0);
        cairo_arc(cr, x + w - radius, y + h - radius, radius, 0, G_PI_2);
        cairo_arc(cr, x + radius, y + h - radius, radius, G_PI_2, G_PI);
        cairo_arc(cr, x + radius, y + radius, radius, G_PI, 3 * G_PI_2);
        cairo_close_path(cr);
    } else {
        cairo_rectangle(cr, x, y, w, h);
    }
    cairo_fill(cr);
    works(c, cairo_status(cr));
}

static void set_path(cairo_t *cr, const mv_point *p, int n)
{
    cairo_new_path(cr);
    for (int i = 0; i < n; i++)
        cairo_line_to(cr, p[i].x, p[i].y);
}

static void line(mv_canvas *c, const mv_point *p, int n, double width, double dash, mv_rgb colour)
{
    cairo_t *cr = c->own;
    set_colour(cr, colour);
    set_path(cr, p, n);
    cairo_set_line_width(cr, width);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_BUTT);
    cairo_set_dash(cr, &dash, dash > 0 ? 1 : 0, 0);
    cairo_stroke(cr);
    works(c, cairo_status(cr));
}

static void area(mv_canvas *c, const mv_point *p, int n, double opacity, mv_rgb colour)
{
    cairo_t *cr = c->own;
    cairo_set_source_rgba(cr, colour.r / 255.0, colour.g / 255.0, colour.b / 255.0, opacity);
    set_path(cr, p, n);
    cairo_close_path(cr);
    cairo_fill(cr);
    works(c, cairo_status(cr));
}

/* --- pictures ---------------------------------------------------------------------------------- */

static uint32_t word_of(const uint8_t *rgb)
{
    return (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
}

/* Copies a picture that has exactly the pixels it covers; false for any other. */
static bool copy_pixels(mv_canvas *c, double x, double y, double w, double h, int pw, int ph, const uint8_t *rgb)
{
    cairo_surface_t *surface = cairo_get_target(c->own);
    double left = x * c->zoom, top = y * c->zoom;
    int x0 = (int)lround(left), y0 = (int)lround(top);
    if (fabs(left - x0) > 0.01 || fabs(top - y0) > 0.01 || fabs(w * c->zoom - pw) > 0.01 ||
        fabs(h * c->zoom - ph) > 0.01)
        return false;
    if (x0 < 0 || y0 < 0 || x0 + pw > cairo_image_surface_get_width(surface) ||
        y0 + ph > cairo_image_surface_get_height(surface))
        return false;
    cairo_surface_flush(surface);
    int stride = cairo_image_surface_get_stride(surface);
    unsigned char *data = cairo_image_surface_get_data(surface);
    for (int row = 0; row < ph; row++) {
        uint32_t *out = (uint32_t *)(void *)(data + (ptrdiff_t)(y0 + row) * stride) + x0;
        const uint8_t *in = rgb + (size_t)row * (size_t)pw * 3;
        for (int i = 0; i < pw; i++)
            out[i] = word_of(in + 3 * i);
    }
    cairo_surface_mark_dirty_rectangle(surface, x0, y0, pw, ph);
    return true;
}

/* A PDF takes a photo as JPEG where that is smaller. */
static void attach_jpeg(mv_canvas *c, cairo_surface_t *picture, const uint8_t *rgb, int w, int h)
{
    uint8_t *jpeg;
    size_t size;
    if (w < MV_JPEG_LEAST || h < MV_JPEG_LEAST || mv_jpeg_encode(rgb, w, h, &jpeg, &size, &c->error) != MV_OK)
        return;
    uLong room = compressBound((uLong)w * (uLong)h * 3), exact = room;
    Bytef *flate = malloc(room);
    if (flate)
        compress2(flate, &exact, rgb, (uLong)w * (uLong)h * 3, Z_BEST_SPEED);
    free(flate);
    if (size >= exact || !works(c, cairo_surface_set_mime_data(picture, CAIRO_MIME_TYPE_JPEG, jpeg, size, free, jpeg)))
        free(jpeg);
}

static void image(mv_canvas *c, double x, double y, double w, double h, int pw, int ph, const uint8_t *rgb, bool smooth)
{
    cairo_t *cr = c->own;
    if (c->to.kind == MV_CANVAS_PNG && copy_pixels(c, x, y, w, h, pw, ph, rgb))
        return;
    cairo_surface_t *picture = cairo_image_surface_create(CAIRO_FORMAT_RGB24, pw, ph);
    if (works(c, cairo_surface_status(picture))) {
        int stride = cairo_image_surface_get_stride(picture);
        unsigned char *data = cairo_image_surface_get_data(picture);
        for (int row = 0; row < ph; row++) {
            uint32_t *out = (uint32_t *)(void *)(data + (ptrdiff_t)row * stride);
            for (int i = 0; i < pw; i++)
                out[i] = word_of(rgb + ((size_t)row * (size_t)pw + (size_t)i) * 3);
        }
        cairo_surface_mark_dirty(picture);
        if (c->to.kind == MV_CANVAS_PDF && smooth)
            attach_jpeg(c, picture, rgb, pw, ph);
        cairo_save(cr);
        cairo_translate(cr, x, y);
        cairo_scale(cr, w / pw, h / ph);
        cairo_set_source_surface(cr, picture, 0, 0);
        cairo_pattern_set_filter(cairo_get_source(cr), smooth ? CAIRO_FILTER_BILINEAR : CAIRO_FILTER_NEAREST);
        /* so that no edge fades into the paper; a PDF would get a border of pixels, and no JPEG */
        if (c->to.kind == MV_CANVAS_PNG)
            cairo_pattern_set_extend(cairo_get_source(cr), CAIRO_EXTEND_PAD);
        cairo_rectangle(cr, 0, 0, pw, ph);
        cairo_fill(cr);
        cairo_restore(cr);
        works(c, cairo_status(cr));
    }
    cairo_surface_destroy(picture);
}

/* --- text -------------------------------------------------------------------------------------- */

static void text(mv_canvas *c, double x, double y, const mv_text *t, mv_rgb colour)
{
    cairo_t *cr = c->own;
    set_colour(cr, colour);
    mv_fonts_lock();
    for (int i = 0; i < t->lines; i++) {
        PangoLayoutLine *line = pango_layout_get_line_readonly(t->layout, i);
        cairo_move_to(cr, x, y + t->baseline + i * t->line);
        if (c->to.kind == MV_CANVAS_PNG) {
            /* as outlines, so that letters are not moved to whole pixels */
            pango_cairo_layout_line_path(cr, line);
            cairo_fill(cr);
        } else {
            pango_cairo_show_layout_line(cr, line);
        }
    }
    mv_fonts_unlock();
    cairo_new_path(cr);
    works(c, cairo_status(cr));
}

/* --- the file ---------------------------------------------------------------------------------- */

static void finish(mv_canvas *c)
{
    cairo_t *cr = c->own;
    cairo_surface_t *surface = cairo_get_target(cr);
    if (c->to.kind == MV_CANVAS_PDF) {
        mv_fonts_lock(); /* the typefaces are embedded here */
        cairo_show_page(cr);
        cairo_surface_finish(surface);
        mv_fonts_unlock();
        works(c, cairo_surface_status(surface));
        return;
    }
    cairo_surface_flush(surface);
    mv_pixels pixels = {
        .w = cairo_image_surface_get_width(surface),
        .h = cairo_image_surface_get_height(surface),
        .bytes = cairo_image_surface_get_data(surface),
        .stride = (size_t)cairo_image_surface_get_stride(surface),
        .words = true,
        .per_metre = c->to.points > 0 ? c->w * c->zoom / c->to.points * POINTS_PER_METRE : PX_PER_METRE * c->zoom,
    };
    if (c->to.pixels)
        c->to.pixels(c->to.ctx, &pixels, &c->error);
    else
        mv_png_write(&pixels, &c->to, &c->error);
}

static void free_surface(mv_canvas *c)
{
    cairo_t *cr = c->own;
    cairo_surface_t *surface = cairo_surface_reference(cairo_get_target(cr));
    mv_fonts_lock();
    cairo_destroy(cr);
    cairo_surface_finish(surface);
    cairo_surface_destroy(surface);
    mv_fonts_unlock();
}

/* The canvas keeps a failure itself. cairo does not learn of it: 1.18 leaks memory when a write fails. */
static cairo_status_t put(void *canvas, const unsigned char *bytes, unsigned n)
{
    mv_canvas_put(canvas, bytes, n);
    return CAIRO_STATUS_SUCCESS;
}

/* The recipe as keywords, and no date but the caller's. */
static void describe_pdf(mv_canvas *c, cairo_surface_t *surface)
{
    GString *keywords = g_string_new(NULL);
    for (int i = 0; i < c->to.note_count; i++)
        g_string_append_printf(keywords, "%s%s: %s", i ? "; " : "", c->notes[i].key, c->notes[i].value);
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_KEYWORDS, keywords->str);
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATOR, "mvscope");
    if (c->title)
        cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, c->title);
    cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATE_DATE, c->to.date ? c->to.date : "");
    g_string_free(keywords, TRUE);
}

bool mv_surface_cairo(mv_canvas *c, mv_rgb paper)
{
    static const mv_surface_kind kind = {rect, image, line, area, text, finish, free_surface};
    bool pdf = c->to.kind == MV_CANVAS_PDF;
    double scale = !pdf ? c->zoom : c->to.points > 0 ? c->to.points / c->w : UNITS_PER_PX * c->zoom;
    cairo_surface_t *surface =
        pdf ? cairo_pdf_surface_create_for_stream(put, c, c->w * scale, c->h * scale)
            : cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(c->w * scale), (int)ceil(c->h * scale));
    if (pdf && cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS)
        describe_pdf(c, surface);
    cairo_t *cr = cairo_create(surface);
    cairo_surface_destroy(surface);
    c->kind = &kind;
    c->own = cr;
    if (!works(c, cairo_status(cr)))
        return false;
    cairo_set_antialias(cr, CAIRO_ANTIALIAS_GOOD);
    set_colour(cr, paper);
    cairo_paint(cr);
    cairo_scale(cr, scale, scale);
    return works(c, cairo_status(cr));
}
