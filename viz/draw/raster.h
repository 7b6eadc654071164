/* Pictures and maps as pixels: what image panels paint.
 *
 * A map drawn as such is cells. Laid over the photo in grey it is bilinear, in places along the
 * colour scale: at a cell's centre its own colour, between centres the colours in between. Its opacity follows the
 * value, so that where nothing happens the photo shows. Values that are not finite are hatched.
 */
#ifndef MV_RASTER_H
#define MV_RASTER_H

#include <stdbool.h>

#include "src/base/image.h"
#include "src/base/map.h"
#include "viz/draw/colour.h"

/* How a map is coloured. */
typedef struct {
    const mv_colour_table *table;
    mv_scale scale;
    bool grid;  /* lines between cells */
    int window; /* side of a window in cells: lines between windows where there are several; 0: none */
} mv_colouring;

/* How much of the photo an overlay hides where the map lies at this place of its scale: 0..1. */
double mv_colouring_opacity(const mv_colouring *k, double place);

/* The picture in w x h pixels: averaged where it shrinks, bicubic where it grows. The result is the
 * caller's to free (its rgb by free()). MV_ENOMEM. */
mv_status mv_raster_picture(mv_image *out, const mv_image *in, int w, int h, mv_error *e);

/* Paints the map's cells over all of an image that is there. */
mv_status mv_raster_cells(mv_image *out, const mv_map *map, const mv_colouring *k, mv_error *e);

/* Turns a photo that is there into grey and paints the map over it. */
mv_status mv_raster_overlay(mv_image *photo, const mv_map *map, const mv_colouring *k, mv_error *e);

#endif
