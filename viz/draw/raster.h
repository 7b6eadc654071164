/* Pictures and maps as pixels.
 *
 * A map on its own is drawn as cells. Over the picture in grey it is interpolated bilinearly along the colour scale: a
 * cell's centre has its own colour, and the colours in between lie between centres. Opacity follows the value, so that
 * the picture shows where nothing happens. The cell of a query is outlined. Values that are not finite are hatched. A
 * map of three channels has its own colours, and one opacity.
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
    int window; /* cells a side of a window, where lines between windows are drawn; 0: none */
} mv_colouring;

/* How much of the picture an overlay hides at this place of its scale, 0 to 1. */
double mv_colouring_opacity(const mv_colouring *k, double place);

/* The picture in w x h pixels: averaged where it shrinks, bicubic where it grows. out->rgb is the caller's to free().
 * MV_ENOMEM. */
mv_status mv_raster_picture(mv_image *out, const mv_image *in, int w, int h, mv_error *e);

/* Paints the map's cells over a whole existing image. */
mv_status mv_raster_cells(mv_image *out, const mv_map *map, const mv_colouring *k, mv_error *e);

/* Turns an existing image grey and paints the map over it. */
mv_status mv_raster_overlay(mv_image *out, const mv_map *map, const mv_colouring *k, mv_error *e);

/* Turns an existing image grey. */
void mv_raster_grey(mv_image *out);

/* Paints the cells that a scan has passed over an existing image: the first `scanned` tokens of every window, row by
 * row, as all windows are scanned at the same time. The cell that was scanned last is outlined in each window, unless
 * the window is complete. A map without windows is one window. */
mv_status mv_raster_scan(mv_image *out, const mv_map *map, const mv_colouring *k, int scanned, mv_error *e);

#endif
