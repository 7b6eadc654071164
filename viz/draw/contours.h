/* Lines of equal value over a map that is interpolated as an overlay is (raster.h).
 *
 * The interpolation is bilinear, so its lines are curves; they are followed on a grid that is finer than the cells. A
 * window is not mixed with its neighbours, and a square with a value that is not finite has no line.
 */
#ifndef MV_CONTOURS_H
#define MV_CONTOURS_H

#include "src/base/map.h"
#include "viz/draw/canvas.h"
#include "viz/draw/colouring.h"

typedef struct {
    int first, n; /* its points */
    double value;
} mv_contour;

typedef struct {
    int lines, points;
    mv_contour *line;
    mv_point *point; /* x and y are shares of the picture's width and height */
} mv_contours;

/* The lines of `levels` values; *out is the caller's to mv_contours_free. Nothing for a map of three channels.
 * MV_ENOMEM. */
mv_status mv_contours_of(mv_contours *out, const mv_map *map, const mv_colouring *k, const double *level, int levels,
                         mv_error *e);

/* The borders of cells that are above a value, and of those below a negative one: for a map that is drawn as cells. */
mv_status mv_contours_of_cells(mv_contours *out, const mv_map *map, const double *level, int levels, mv_error *e);

void mv_contours_free(mv_contours *c); /* an empty one is fine */

/* The query's cell as a closed line of five points; false if the map has none. */
bool mv_query_outline(mv_point out[5], const mv_map *map);

/* --- interpolation, also of the overlay itself */

/* Where a point lies between two cell centres: both cells, and the share of the second. */
typedef struct {
    int a, b;
    float f;
} mv_between;

/* `at`: in cells, 0 at the first cell's centre. Cells of two windows are not mixed; window 0: there are none. */
mv_between mv_between_cells(float at, int cells, int window);

#endif
