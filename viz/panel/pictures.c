/* Panels of pixels: the photo, a map's cells, a map over the photo. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "viz/panel/panel.h"

typedef enum { PHOTO, CELLS, OVERLAY } picture_content;

/* A picture is as tall as it asks at its width; a very tall one is made narrower instead. */
#define TALLEST 1.6

enum { CELL_PIXELS = 16, MAP_PIXELS = 1024 };

typedef struct {
    mv_panel panel;
    picture_content content;
    const mv_image *picture;
    const mv_map *map;
    mv_colouring k;
} picture;

static void fit(const picture *q, double width, double *w, double *h)
{
    double aspect = (double)q->picture->h / q->picture->w;
    *w = fmin(width, width * TALLEST / aspect);
    *h = fmax(*w * aspect, 1);
}

void mv_panel_picture_size(const mv_panel *p, double *w, double *h)
{
    fit((const picture *)p, p->w, w, h);
}

static double picture_height(mv_layout *s, mv_panel *p, double width)
{
    (void)s;
    double w, h;
    fit((const picture *)p, width, &w, &h);
    return ceil(h / 4) * 4;
}

/* How many pixels each cell gets in SVG and PDF: enough that no reader's smoothing blurs them. */
static int cell_pixels(const mv_map *map)
{
    int larger = map->w > map->h ? map->w : map->h;
    int n = MAP_PIXELS / larger;
    return n > CELL_PIXELS ? CELL_PIXELS : n < 1 ? 1 : n;
}

/* The pixels to draw into w x h px of this canvas: a PNG's own, or at the map's or photo's resolution. */
static void pixel_size(const picture *q, const mv_canvas *c, double w, double h, int *pw, int *ph)
{
    double density = mv_canvas_density(c);
    if (!mv_canvas_is_raster(c) && q->content == CELLS) {
        *pw = q->map->w * cell_pixels(q->map);
        *ph = q->map->h * cell_pixels(q->map);
        return;
    }
    *pw = (int)fmax(round(w * density), 1);
    *ph = (int)fmax(round(h * density), 1);
    if (!mv_canvas_is_raster(c) && q->content == PHOTO && q->picture->w < *pw) {
        *pw = q->picture->w;
        *ph = q->picture->h;
    }
}

/* What to draw: borrowed from the sheet, or painted into `own`. NULL on failure, which the sheet tells. */
static const uint8_t *paint(mv_layout *s, const picture *q, mv_image *own, int pw, int ph)
{
    const mv_image *photo = NULL;
    if (q->content != CELLS) {
        photo = mv_layout_picture(s, q->picture, pw, ph);
        if (!photo || q->content == PHOTO)
            return photo ? photo->rgb : NULL;
    }
    size_t size = (size_t)pw * (size_t)ph * 3;
    *own = (mv_image){pw, ph, malloc(size)};
    if (!own->rgb) {
        mv_fail_memory(mv_layout_error(s), "drawing");
        return NULL;
    }
    mv_status done;
    if (photo) {
        memcpy(own->rgb, photo->rgb, size);
        done = mv_raster_overlay(own, q->map, &q->k, mv_layout_error(s));
    } else {
        done = mv_raster_cells(own, q->map, &q->k, mv_layout_error(s));
    }
    return done == MV_OK ? own->rgb : NULL;
}

static void picture_draw(mv_layout *s, mv_panel *p, mv_canvas *c)
{
    const picture *q = (const picture *)p;
    double x = p->x, y = p->y, w, h;
    int pw, ph;
    fit(q, p->w, &w, &h);
    pixel_size(q, c, w, h, &pw, &ph);
    if (mv_canvas_is_raster(c)) { /* on whole pixels, so that none is mixed twice */
        double density = mv_canvas_density(c);
        x = round(x * density) / density;
        y = round(y * density) / density;
        w = pw / density;
        h = ph / density;
    }
    mv_image own = {0, 0, NULL};
    const uint8_t *rgb = paint(s, q, &own, pw, ph);
    if (rgb)
        mv_canvas_image(c, x, y, w, h, pw, ph, rgb, q->content != CELLS);
    free(own.rgb);
}

static mv_panel *new_picture(mv_layout *s, picture_content content, const mv_map *map, const mv_image *photo,
                             const mv_colouring *k)
{
    static const mv_panel_kind kind = {.height = picture_height, .draw = picture_draw};
    picture *q = mv_panel_new(s, sizeof *q, &kind);
    if (!q)
        return NULL;
    q->content = content;
    q->picture = photo;
    q->map = map;
    if (k)
        q->k = *k;
    return &q->panel;
}

mv_panel *mv_panel_picture(mv_layout *s, const mv_image *photo)
{
    return new_picture(s, PHOTO, NULL, photo, NULL);
}

mv_panel *mv_panel_cells(mv_layout *s, const mv_map *map, const mv_image *photo, const mv_colouring *k)
{
    return new_picture(s, CELLS, map, photo, k);
}

mv_panel *mv_panel_overlay(mv_layout *s, const mv_map *map, const mv_image *photo, const mv_colouring *k)
{
    return new_picture(s, OVERLAY, map, photo, k);
}
