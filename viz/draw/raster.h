/* Pictures and maps as pixels.
 *
 * A map on its own is drawn as cells. Over the picture in grey it is interpolated bilinearly along the colour scale: a
 * cell's centre has its own colour, and the colours in between lie between centres; windows are not mixed. Opacity
 * follows the value, so that the picture shows where nothing happens (colouring.h). Values that are not finite are
 * hatched. A map of three channels has its own colours, and one opacity.
 */
#ifndef MV_RASTER_H
#define MV_RASTER_H

#include <stdbool.h>

#include "src/base/image.h"
#include "src/base/map.h"
#include "viz/draw/colouring.h"

/* What may be chosen of an overlay. {0} is the overlay as designed. */
typedef struct {
    double alpha;     /* the strongest opacity, up to 1; 0: as designed */
    bool photo;       /* the picture keeps its colours */
    const bool *keep; /* for each cell of the map, whether it is drawn; NULL: all are */
} mv_overlay_look;

/* Where a map lies on an image: what its cells cover, in px of the image. It may reach beyond the image. */
typedef struct {
    double x, y, w, h;
} mv_frame;

/* The picture in w x h pixels: averaged where it shrinks, bicubic where it grows. out->rgb is the caller's to free().
 * MV_ENOMEM. */
mv_status mv_raster_picture(mv_image *out, const mv_image *in, int w, int h, mv_error *e);

/* Paints the map's cells over a whole existing image. */
mv_status mv_raster_cells(mv_image *out, const mv_map *map, const mv_colouring *k, mv_error *e);

/* Turns an existing image grey and paints the map over it. */
mv_status mv_raster_overlay(mv_image *out, const mv_map *map, const mv_colouring *k, mv_error *e);

/* The same within `frame` alone: the rest of the image stays as it is. A pixel is within if its centre is. */
mv_status mv_raster_overlay_in(mv_image *out, mv_frame frame, const mv_map *map, const mv_colouring *k,
                               const mv_overlay_look *look, mv_error *e);

/* Which cells of a map hold a share of its mass: the strongest ones, taken by falling magnitude until they hold
 * `share` (above 0, up to 1) of the sum of all magnitudes; equal cells are all taken (what DINO's
 * visualize_attention.py does with --threshold). keep (h, w). Cells that are not finite count as none. Of a map of
 * three channels all are kept. MV_ENOMEM. */
mv_status mv_raster_strongest(bool *keep, const mv_map *map, double share, mv_error *e);

/* Draws the lines of the map's values and the outline of the query's cell over an overlay that exists: white within
 * black, `width` pixels of white, antialiased. `keep`: of the overlay; where a cell is left out no line is drawn. Pages
 * have them as lines of their canvas instead. */
mv_status mv_raster_lines(mv_image *out, mv_frame frame, const mv_map *map, const mv_colouring *k, const bool *keep,
                          double width, mv_error *e);

/* The width of lines that suits a frame: about 1/420 of its larger side, and at least 1. */
double mv_raster_line_width(mv_frame frame);

/* Turns an existing image grey. */
void mv_raster_grey(mv_image *out);

/* Paints the cells that a scan has passed over an existing image: the first `scanned` tokens of every window, row by
 * row, as all windows are scanned at the same time. The cell that was scanned last is outlined in each window, unless
 * the window is complete. A map without windows is one window. */
mv_status mv_raster_scan(mv_image *out, const mv_map *map, const mv_colouring *k, int scanned, mv_error *e);

#endif
