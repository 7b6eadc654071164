/* What all canvases share: the first failure is kept, notes are UTF-8, sizes are within bounds. */
#include "viz/draw/canvas.h"

#include <glib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "viz/draw/surface.h"

/* The largest image side of cairo, and the largest page side of PDF in units. */
#define LARGEST_PIXELS 32767
#define LARGEST_UNITS  14400

mv_status mv_canvas_kind_of(mv_canvas_kind *out, const char *path, mv_error *e)
{
    static const char *const endings[] = {[MV_CANVAS_PNG] = ".png", [MV_CANVAS_SVG] = ".svg", [MV_CANVAS_PDF] = ".pdf"};
    size_t n = path ? strlen(path) : 0;
    for (int i = 0; i < 3; i++)
        if (n > 4 && strcasecmp(path + n - 4, endings[i]) == 0) {
            *out = (mv_canvas_kind)i;
            return MV_OK;
        }
    return mv_fail(e, MV_EINPUT, "%.200s: found no known ending, expected .png, .svg or .pdf", n ? path : "output");
}

static bool copy_notes(mv_canvas *c)
{
    int n = c->to.note_count;
    c->notes = calloc((size_t)n + 1, sizeof *c->notes);
    if (!c->notes) {
        mv_fail_memory(&c->error, "canvas");
        return false;
    }
    for (int i = 0; i < n; i++) {
        const char *key = c->to.notes[i].key, *value = c->to.notes[i].value;
        size_t length = key ? strlen(key) : 0;
        if (length < 1 || length > 79) {
            mv_fail(&c->error, MV_EMISUSE, "canvas: found a note whose key has %zu characters, expected 1 to 79",
                    length);
            return false;
        }
        c->notes[i].key = key;
        c->notes[i].value = g_utf8_make_valid(value ? value : "", -1);
    }
    c->to.notes = c->notes;
    c->title = c->to.title ? g_utf8_make_valid(c->to.title, -1) : NULL;
    return true;
}

mv_canvas *mv_canvas_new(const mv_canvas_target *to, double w, double h, double zoom, mv_rgb paper, mv_error *e)
{
    mv_canvas *c = calloc(1, sizeof *c);
    if (!c) {
        mv_fail_memory(e, "canvas");
        return NULL;
    }
    c->to = *to;
    c->w = ceil(w);
    c->h = ceil(h);
    c->zoom = zoom;
    double largest = to->kind == MV_CANVAS_PNG ? LARGEST_PIXELS : LARGEST_UNITS;
    double scale = to->points > 0 && to->kind != MV_CANVAS_PNG ? to->points / c->w : zoom;
    bool fits = zoom > 0 && w > 0 && h > 0 && c->w * scale <= largest && c->h * scale <= largest;
    if (to->kind == MV_CANVAS_JPEG)
        mv_fail(&c->error, MV_EMISUSE, "canvas: found a JPEG, expected a PNG, an SVG or a PDF");
    else if (!fits)
        mv_fail(&c->error, MV_EINPUT, "canvas: found a page of %.0f x %.0f px at zoom %g, expected at most %.0f a side",
                w, h, zoom, largest);
    if (c->error.code || !copy_notes(c) ||
        !(to->kind == MV_CANVAS_SVG ? mv_surface_svg(c, paper) : mv_surface_cairo(c, paper))) {
        mv_fail(e, c->error.code, "%s", c->error.text);
        mv_canvas_free(c);
        return NULL;
    }
    return c;
}

mv_status mv_canvas_finish(mv_canvas *c, mv_error *e)
{
    if (c->error.code == MV_OK)
        c->kind->finish(c);
    mv_status s = c->error.code;
    if (s != MV_OK)
        mv_fail(e, s, "%s", c->error.text);
    mv_canvas_free(c);
    return s;
}

void mv_canvas_free(mv_canvas *c)
{
    if (!c)
        return;
    mv_fail(&c->error, MV_EMISUSE, "canvas: freed"); /* what cairo still writes while closing is dropped */
    if (c->own)
        c->kind->free(c);
    for (int i = 0; c->notes && i < c->to.note_count; i++)
        g_free((char *)(uintptr_t)c->notes[i].value);
    free(c->notes);
    g_free(c->title);
    free(c);
}

double mv_canvas_density(const mv_canvas *c)
{
    return c->to.kind == MV_CANVAS_PNG ? c->zoom : 2;
}

bool mv_canvas_is_raster(const mv_canvas *c)
{
    return c->to.kind == MV_CANVAS_PNG;
}

bool mv_canvas_put(mv_canvas *c, const void *bytes, size_t n)
{
    if (c->error.code != MV_OK)
        return false;
    mv_status s = c->to.write(c->to.ctx, bytes, n);
    if (s != MV_OK)
        mv_fail(&c->error, s, "canvas: the file cannot be written");
    return s == MV_OK;
}

void mv_canvas_rect(mv_canvas *c, double x, double y, double w, double h, double radius, mv_rgb colour)
{
    if (c->error.code == MV_OK && w > 0 && h > 0)
        c->kind->rect(c, x, y, w, h, fmin(radius, fmin(w, h) / 2), colour);
}

void mv_canvas_image(mv_canvas *c, double x, double y, double w, double h, int pw, int ph, const uint8_t *rgb,
                     bool smooth)
{
    if (c->error.code == MV_OK && w > 0 && h > 0 && pw > 0 && ph > 0)
        c->kind->image(c, x, y, w, h, pw, ph, rgb, smooth);
}

void mv_canvas_line(mv_canvas *c, const mv_point *p, int n, double width, double dash, mv_rgb colour)
{
    if (c->error.code == MV_OK && n > 1 && width > 0)
        c->kind->line(c, p, n, width, dash, colour);
}

void mv_canvas_area(mv_canvas *c, const mv_point *p, int n, double opacity, mv_rgb colour)
{
    if (c->error.code == MV_OK && n > 2 && opacity > 0)
        c->kind->area(c, p, n, fmin(opacity, 1), colour);
}

void mv_canvas_text(mv_canvas *c, double x, double y, const mv_text *text, mv_rgb colour)
{
    if (c->error.code == MV_OK && text)
        c->kind->text(c, x, y, text, colour);
}
