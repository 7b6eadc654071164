/* What attention rows say about a picture: which cells a query looks at, and how far and how evenly a head looks. A row
 * belongs to the token of a query; its T values are the shares of the T tokens of its window, padding included, and sum
 * to 1. Sums are accumulated in double.
 *
 * A query is a weight for each real cell. Its map is q^T A, computed window by window:
 *
 *     pooled    1 / (h w) everywhere: the network has no class token, the mean over space is its query
 *     received  1 / (cells of the window): the column means of a window, what a cell gets from its window's queries
 *     cell      1 at one cell of the level, 0 elsewhere
 *
 * With one window, pooled and received are equal. With several, pooled weights a window by its cells, and its map sums
 * to 1 over the picture; received does not, and its map sums to 1 over each window (both minus the share on padding).
 */
#ifndef MV_EXPLAIN_ROWS_H
#define MV_EXPLAIN_ROWS_H

#include "src/model/grid.h"

typedef enum { MV_QUERY_POOLED, MV_QUERY_RECEIVED, MV_QUERY_CELL } mv_query_kind;

typedef struct {
    mv_query_kind kind;
    int y, x; /* MV_QUERY_CELL: in cells of the level itself */
} mv_query;

/* The cell that a text names, as "Y,X"; false for any other text. */
bool mv_cell_parse(const char *text, int *y, int *x);

/* The query that a text names: "pooled", "received", or a cell as "Y,X". MV_EINPUT for any other. */
mv_status mv_query_parse(mv_query *out, const char *text, const char *place, mv_error *e);

/* MV_EINPUT, with the size of the grid, for a cell outside it. */
mv_status mv_query_check(mv_query q, const mv_grid *g, mv_error *e);

/* Gives a map the words of the query that it answers. */
void mv_query_describe(mv_map *map, mv_query q);

/* The query's weights (windows, tokens), 0 on padding. The query must have passed mv_query_check. */
void mv_query_weights(double *weight, mv_query q, const mv_grid *g);

/* The same in fp32, for the device; the caller's to free. NULL without memory. */
float *mv_query_constant(mv_query q, const mv_grid *g);

/* ---- figures */

/* Means over the rows of real tokens; rows of padding are left out. */
typedef struct {
    double entropy;  /* -sum A ln A / ln T: 0 all on one token, 1 even */
    double distance; /* sum_j A_ij |p_i - p_j|, in px of the network's input, from centre to centre of cells */
    double padding;  /* share on padding */
    int rows;        /* that were averaged */
} mv_rows_stats;

/* Averages the figures (T, 3) of window n, as mv_backend.measure computes them for one head, into *s. *s starts as
 * zeros; after all windows of a picture it holds the means of the picture. */
void mv_rows_average(mv_rows_stats *s, const mv_grid *g, int n, const float *figures);

/* ---- maps */

/* Adds the figures of a map of non-negative values as it is drawn, to be read beside it:
 *
 *     entropy   -sum p ln p / ln n, p = v / sum v: 0 all on one cell, 1 even over the n cells that can get any: all of
 *               the picture, or those of the window of a query's cell
 *     reach     of a query's cell: sum p d, d the distance from it, in px, from centre to centre of cells
 *     spread    else: the same from the centre of mass of the map
 *
 * Both are NaN for a map that is 0 everywhere or has values that are not finite, and the entropy for a single cell. */
void mv_rows_figures(mv_map *map, const mv_grid *g, mv_query q);

/* The shares (windows, tokens) of a query as a map of cells: raw values, unit "share". *padding receives the part of
 * their sum that is on padding, 0 to 1. The map is the caller's to mv_map_free. */
mv_status mv_rows_map(mv_map *out, double *padding, const double *share, const mv_grid *g, mv_error *e);

/* The same relative to an even spread, unit "× even": 1 is what a cell gets from rows that give every token of their
 * window, padding included, the same 1 / T. In a window whose query weights sum to s that is s / T, so
 *
 *     out(p) = share(p) T / s;   s = cells of the window / (h w) pooled, 1 received, 1 or 0 one cell
 *
 * and 0 in windows without the query. Even attention is 1.0 in every cell of the windows of the query, for every query,
 * with and without padding. The residual of a rollout keeps half of each step in place, so even attention rolls out to
 * 1.0 for the pooled and received query if there is no padding, and not for a single cell. The title is copied. */
mv_status mv_rows_against_even(mv_map *out, const mv_map *share, mv_query q, const mv_grid *g, mv_error *e);

#endif
