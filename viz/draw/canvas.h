/* A sheet to draw on that becomes a PNG, an SVG or a PDF.
 *
 * Lengths are px of the page, of which an A4 sheet is 1600 long; `zoom` is device pixels to one of them
 * in a PNG (print: 2 or 3), and enlarges the page of an SVG or PDF. The
 * first failure sticks in the canvas, later calls do nothing, and mv_canvas_finish tells it. PNG is
 * encoded straight from the pixels, with the recipe in its text chunks. PDF and SVG keep text as
 * text and pictures at their own resolution. The same drawing gives the same bytes.
 */
#ifndef MV_CANVAS_H
#define MV_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"
#include "viz/draw/colour.h"
#include "viz/draw/fonts.h"

typedef enum { MV_CANVAS_PNG, MV_CANVAS_SVG, MV_CANVAS_PDF } mv_canvas_kind;

/* By the ending of the output's name: .png, .svg, .pdf, in any case. MV_EINPUT, which names the three, otherwise. */
mv_status mv_canvas_kind_of(mv_canvas_kind *out, const char *path, mv_error *e);

/* One line of the recipe: a PNG text chunk, a line of the SVG's <metadata>, of the PDF's keywords.
 * Both are UTF-8; the key is 1 to 79 characters ("Software", "Command", "Model hash", "Method", "Range"). */
typedef struct {
    const char *key, *value;
} mv_note;

/* Where the file goes. All of it is the caller's and must outlive the call it is given to. */
typedef struct {
    mv_canvas_kind kind;
    /* Takes the next n bytes. Anything but MV_OK ends the drawing with that code; let the hook put
     * its own sentence into the mv_error it shares with the page, the first one stays. */
    mv_status (*write)(void *ctx, const void *bytes, size_t n);
    void *ctx;
    const mv_note *notes;
    int note_count;
    const char *date; /* "2026-01-31T12:00:00Z" for SOURCE_DATE_EPOCH; NULL: no date is written */
} mv_canvas_target;

typedef struct mv_canvas mv_canvas;

/* A blank canvas of w x h px in one colour. NULL on failure: no memory, or more than 32767 device
 * pixels (PNG) or 14400 units (PDF) a side. What `to` points at is borrowed. Close with mv_canvas_finish. */
mv_canvas *mv_canvas_new(const mv_canvas_target *to, double w, double h, double zoom, mv_rgb paper, mv_error *e);

/* Writes the file and frees the canvas. Returns the first failure since mv_canvas_new. */
mv_status mv_canvas_finish(mv_canvas *c, mv_error *e);

/* Frees a canvas that shall not be written. */
void mv_canvas_free(mv_canvas *c);

/* Pixels for one page px at which a picture drawn on this canvas should be sampled: a PNG's zoom;
 * 2 for SVG and PDF, which scale. */
double mv_canvas_density(const mv_canvas *c);

/* True for PNG: drawing is sampled on device pixels, and edges are best put on them. */
bool mv_canvas_is_raster(const mv_canvas *c);

/* A filled rectangle with rounded corners, radius 0: sharp ones. */
void mv_canvas_rect(mv_canvas *c, double x, double y, double w, double h, double radius, mv_rgb colour);

/* w x h RGB pixels over the box. `smooth`: interpolated where sizes differ; otherwise every pixel a flat cell. */
void mv_canvas_image(mv_canvas *c, double x, double y, double w, double h, int pw, int ph, const uint8_t *rgb,
                     bool smooth);

/* Set text, its box's left top corner at (x, y). */
void mv_canvas_text(mv_canvas *c, double x, double y, const mv_text *text, mv_rgb colour);

#endif
