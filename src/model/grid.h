/* The geometry of a level: its cells on the picture, and how windows of tokens cover them.
 *
 * Levels 2 and 3 are cut into square windows. At the right and below, tokens of zeros complete the windows: the
 * padding, which is scanned and attended to like any token (arXiv 2407.08083). Values of windows leave the network as
 * (windows, tokens): window n is at row n / across and column n % across of the windows, token t at row t / window and
 * column t % window of its window.
 */
#ifndef MV_GRID_H
#define MV_GRID_H

#include <stdbool.h>

#include "src/base/map.h"
#include "src/model/config.h"

typedef struct {
    int level;
    int picture_h, picture_w; /* px of the network's input */
    int h, w;                 /* cells */
    int cell;                 /* px per side of a cell: 4 << level. The last row and column may extend past the input */
    int window;               /* cells per side of a window. Levels 0 and 1 have no windows: this and the rest are 0 */
    int down, across;         /* windows */
    int windows;              /* down * across */
    int tokens;               /* of a window: window * window */
    double padding;           /* share of the windows' tokens that are padding, 0 to 1 */
} mv_grid;

/* The geometry of level 0 to 3 for an input of h x w px. Each convolution of stride 2 halves and rounds up: there are
 * two in the stem, and one before each further level. */
mv_grid mv_grid_of(const mv_config *config, int level, int h, int w);

/* ---- levels with windows */

/* The cell of token t of window n. False, with *y and *x unchanged, if the token is padding. */
bool mv_grid_cell(const mv_grid *g, int n, int t, int *y, int *x);

/* The window and the token of a cell of the grid. */
void mv_grid_token(const mv_grid *g, int y, int x, int *n, int *t);

/* The part of window n that is not padding: its top left `rows` x `columns` tokens, at least 1 x 1. */
void mv_grid_extent(const mv_grid *g, int n, int *rows, int *columns);

/* Makes a map of h x w cells from one picture's values (windows, tokens), without the padding. The map is the caller's
 * to mv_map_free; its range is set. */
mv_status mv_grid_stitch(mv_map *out, const mv_grid *g, const double *tokens, mv_error *e);

/* Gives a map the level, cells, windows and padding of its grid. */
void mv_grid_describe(mv_map *map, const mv_grid *g);

#endif
