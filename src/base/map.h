/* A scalar field over the picture: what every explanation yields. Values stay raw; scaling is
 * a matter of drawing. The field covers the whole network input, cell (0, 0) top left.
 */
#ifndef MV_MAP_H
#define MV_MAP_H

#include <stdbool.h>

#include "src/base/status.h"

typedef struct {
    int h, w;       /* cells */
    float *v;       /* h * w values, row by row */
    float lo, hi;   /* least and greatest finite value */
    bool diverging; /* signed evidence: 0 is the middle */
    char title[96]; /* "For parachute" */
    char unit[32];  /* "logit per cell", "x even" */
} mv_map;

/* h x w zeros. The map is the caller's to mv_map_free. */
mv_status mv_map_new(mv_map *out, int h, int w, mv_error *e);
void mv_map_free(mv_map *map);

/* Sets lo and hi from the values; both 0 when none is finite. */
void mv_map_range(mv_map *map);

double mv_map_mean(const mv_map *map);

/* Bilinear, half-pixel centres, clamped at the border (methods.py `upsample`); keeps title and unit. */
mv_status mv_map_resize(mv_map *out, const mv_map *in, int h, int w, mv_error *e);

/* out = a - b; the shapes must be equal (MV_EMISUSE). */
mv_status mv_map_subtract(mv_map *out, const mv_map *a, const mv_map *b, mv_error *e);

/* Value at (y, x) in cells, bilinear with half-pixel centres, clamped: what the drawing samples. */
float mv_map_sample(const mv_map *map, float y, float x);

#endif
