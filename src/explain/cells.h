/* The values of one site as features of cells, for methods that take any site: a probe that keeps the site's value of
 * the last batch, and reads a picture of it as a matrix with a row for each cell, row by row of the grid. Windows of
 * tokens are put together and padding is left out.
 */
#ifndef MV_EXPLAIN_CELLS_H
#define MV_EXPLAIN_CELLS_H

#include "src/model/grid.h"
#include "src/run/probe.h"

typedef struct mv_cells mv_cells;

/* For inputs of h x w px. The site has values for cells: "BCHW", or tokens of windows ("NTC", "NTE", "NTS"). NULL on
 * failure. MV_EINPUT "PLACE: ..." for a name that is no site (with the nearest), and for one that has no cells. */
mv_cells *mv_cells_new(const char *place, const char *site, const mv_config *config, int h, int w, mv_error *e);
void mv_cells_free(mv_cells *c); /* accepts NULL; call it after the run that uses the probe is freed */

mv_probe *mv_cells_probe(mv_cells *c); /* borrowed */

/* Keeps the gradient of each backward pass too. Before the run is made. MV_EINPUT "PLACE: ..." for a site on which
 * nothing depends. */
mv_status mv_cells_differentiate(mv_cells *c, const char *place, mv_error *e);

/* ---- known before a run; all borrowed */

const char *mv_cells_site(const mv_cells *c);
int mv_cells_height(const mv_cells *c); /* in cells */
int mv_cells_width(const mv_cells *c);
int mv_cells_channels(const mv_cells *c);
size_t mv_cells_rows(const mv_cells *c); /* values of one channel of a picture, padding included */

/* MV_EINPUT "PLACE: ..." for a cell outside the grid. */
mv_status mv_cells_check(const mv_cells *c, const char *place, int y, int x, mv_error *e);

/* Makes an empty map of the site's grid, with its geometry, level and block. The map is the caller's to mv_map_free. */
mv_status mv_cells_map(mv_map *out, const mv_cells *c, const char *method, mv_error *e);

/* ---- results of the last forward */

/* The features (cells, channels) of a picture; the caller's to free. NULL on failure: MV_EMISUSE for a picture that was
 * not seen. */
float *mv_cells_read(const mv_cells *c, int picture, mv_error *e);

/* The gradient of a backward pass, of the same shape. */
float *mv_cells_read_gradient(const mv_cells *c, int picture, int pass, mv_error *e);

/* Both with padding: all values of the site, (rows, channels) in the order of the run for tokens; NULL if it was not
 * seen. Borrowed until the next forward. pass -1: the value. */
const float *mv_cells_whole(const mv_cells *c, int picture, int pass);

#endif
