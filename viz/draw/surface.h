/* The inside of a canvas, for canvas.c and the two kinds of surface. */
#ifndef MV_SURFACE_H
#define MV_SURFACE_H

#include "viz/draw/canvas.h"

/* Lengths are px of the page. Failures go into the canvas's error. */
typedef struct {
    void (*rect)(mv_canvas *c, double x, double y, double w, double h, double radius, mv_rgb colour);
    void (*image)(mv_canvas *c, double x, double y, double w, double h, int pw, int ph, const uint8_t *rgb,
                  bool smooth);
    void (*line)(mv_canvas *c, const mv_point *p, int n, double width, double dash, mv_rgb colour);
    void (*area)(mv_canvas *c, const mv_point *p, int n, double opacity, mv_rgb colour);
    void (*text)(mv_canvas *c, double x, double y, const mv_text *text, mv_rgb colour);
    void (*finish)(mv_canvas *c); /* writes the rest of the file */
    void (*free)(mv_canvas *c);   /* frees `own` */
} mv_surface_kind;

struct mv_canvas {
    const mv_surface_kind *kind;
    mv_canvas_target to;
    mv_note *notes; /* copies, valid UTF-8 */
    char *title;    /* a copy, valid UTF-8; NULL: none */
    double w, h, zoom;
    mv_error error;
    void *own; /* the surface's */
};

/* Sets kind and own of a canvas whose other fields are set. False on failure, with the canvas's error set. */
bool mv_surface_cairo(mv_canvas *c, mv_rgb paper);
bool mv_surface_svg(mv_canvas *c, mv_rgb paper);

/* Passes bytes to the target's hook. False once anything has failed. */
bool mv_canvas_put(mv_canvas *c, const void *bytes, size_t n);

#endif
