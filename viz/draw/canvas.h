/* A canvas to draw on that becomes a PNG, an SVG or a PDF.
 *
 * Lengths are px of the page; A4 paper is 1600 px long, unless the target says how wide the page is. `zoom` is the
 * number of device pixels per page px in a PNG (2 or 3 for print), and enlarges the page of an SVG or PDF. The first
 * failure is kept in the canvas, later calls do nothing, and mv_canvas_finish returns it. A PNG is encoded directly
 * from the pixels, with the recipe in its text chunks. PDF and SVG keep text as text and pictures at their own
 * resolution. The same drawing gives the same bytes.
 */
#ifndef MV_CANVAS_H
#define MV_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"
#include "viz/draw/colour.h"
#include "viz/draw/fonts.h"
#include "viz/draw/pixels.h"

typedef enum {
    MV_CANVAS_PNG,
    MV_CANVAS_SVG,
    MV_CANVAS_PDF,
    MV_CANVAS_JPEG /* of pictures without a page (page.h, paint); a canvas is none */
} mv_canvas_kind;

/* Chooses by the ending of the output's name: .png, .svg or .pdf, in upper or lower case. MV_EINPUT for any other name.
 */
mv_status mv_canvas_kind_of(mv_canvas_kind *out, const char *path, mv_error *e);

/* One line of the recipe. It becomes a text chunk of a PNG, a line of an SVG's <metadata>, one of a PDF's keywords, or
 * a comment of a JPEG. Both strings are UTF-8; the key has 1 to 79 characters ("Software", "Command", "Model hash",
 * "Method", "Range"). */
typedef struct {
    const char *key, *value;
} mv_note;

/* Where the file goes. Everything pointed at stays the caller's and must outlive the canvas. */
typedef struct {
    mv_canvas_kind kind;
    /* Receives the next n bytes. Any result but MV_OK ends the drawing with that code. The hook may put its own
     * sentence into the mv_error that the page was given: the first one is kept. */
    mv_status (*write)(void *ctx, const void *bytes, size_t n);
    /* Of a PNG: receives the finished pixels instead of a file that encodes them; NULL: the file is written. */
    mv_status (*pixels)(void *ctx, const mv_pixels *pixels, mv_error *e);
    void *ctx;
    const char *title; /* what the page says, for <title> of an SVG and the title of a PDF; NULL: none */
    const mv_note *notes;
    int note_count;
    double points;    /* width of the page in points, 1/72 inch; 0: 1600 px of the page are as long as A4 paper */
    const char *date; /* "2026-01-31T12:00:00Z" for SOURCE_DATE_EPOCH; NULL: none is written */
} mv_canvas_target;

typedef struct mv_canvas mv_canvas;

/* A blank canvas of w x h px in one colour. `to` is borrowed. The canvas is the caller's to mv_canvas_finish or
 * mv_canvas_free. NULL without memory, or for more than 32767 device pixels (PNG) or 14400 units (SVG, PDF) a side. */
mv_canvas *mv_canvas_new(const mv_canvas_target *to, double w, double h, double zoom, mv_rgb paper, mv_error *e);

/* Writes the file and frees the canvas. Returns the first failure since mv_canvas_new. */
mv_status mv_canvas_finish(mv_canvas *c, mv_error *e);

/* Frees a canvas without writing the file. NULL is fine. */
void mv_canvas_free(mv_canvas *c);

/* The resolution at which pictures for this canvas should be sampled, in pixels per page px: the zoom of a PNG; 2 for
 * SVG and PDF, which scale. */
double mv_canvas_density(const mv_canvas *c);

/* True for PNG, where edges should fall on device pixels. */
bool mv_canvas_is_raster(const mv_canvas *c);

/* A filled rectangle with rounded corners; radius 0 gives sharp ones. */
void mv_canvas_rect(mv_canvas *c, double x, double y, double w, double h, double radius, mv_rgb colour);

/* Draws pw x ph RGB pixels over the box. `smooth` interpolates where sizes differ; otherwise every pixel is a flat
 * cell. */
void mv_canvas_image(mv_canvas *c, double x, double y, double w, double h, int pw, int ph, const uint8_t *rgb,
                     bool smooth);

typedef struct {
    double x, y;
} mv_point;

/* A line through n points, `width` px thick, with round joins; dash: px of each dash and of the gap after it, 0: solid.
 * Fewer than two points draw nothing. */
void mv_canvas_line(mv_canvas *c, const mv_point *p, int n, double width, double dash, mv_rgb colour);

/* The area within n points, filled; opacity 0 to 1. Fewer than three points draw nothing. */
void mv_canvas_area(mv_canvas *c, const mv_point *p, int n, double opacity, mv_rgb colour);

/* Draws text whose box has its top left corner at (x, y). */
void mv_canvas_text(mv_canvas *c, double x, double y, const mv_text *text, mv_rgb colour);

#endif
