/* What rows of attention say about a picture: which cells a query looks at, how far and how evenly a head looks, and
 * the same through several blocks. A row is a query's token; its T values are its shares of the T tokens of its window,
 * padding among them, and sum to 1. Sums are taken in double.
 *
 * A query is a weight for each real cell. Its map is q^T A, window by window:
 *
 *     pooled    1 / (h w) everywhere: the network has no class token, the mean over space is its query
 *     received  1 / (cells of the window): a window's column means, what a cell gets from the mean query of its window
 *     cell      1 at one cell of the level, 0 elsewhere
 *
 * With one window, pooled and received are the same numbers. With several, pooled weighs a window by its cells, and
 * its map sums to 1 over the picture; received weighs none, and its map sums to 1 over each window (both less what
 * padding holds).
 */
#ifndef MV_EXPLAIN_ROWS_H
#define MV_EXPLAIN_ROWS_H

#include "src/model/grid.h"

typedef enum { MV_QUERY_POOLED, MV_QUERY_RECEIVED, MV_QUERY_CELL } mv_query_kind;

typedef struct {
    mv_query_kind kind;
    int y, x; /* MV_QUERY_CELL: in cells of the level itself; mv_grid_cell_at_pixel converts a pixel */
} mv_query;

/* MV_EINPUT, naming the grid's size, for a cell outside of it. */
mv_status mv_query_check(mv_query q, const mv_grid *g, mv_error *e);

/* The query's weights (windows, tokens), 0 on padding. The query must have passed mv_query_check. */
void mv_query_weights(double *weight, mv_query q, const mv_grid *g);

/* ---- one window: rows (T, T) */

/* to_j += sum_i from_i A_ij */
void mv_rows_follow(double *to, const double *from, const float *rows, int tokens);

/* The same through a block and its residual (Abnar & Zuidema 2020, arXiv 2005.00928): A~ = (A + I) / 2, its rows
 * brought to sum 1. q^T A~_last ... A~_first is a chain of these, last block first. */
void mv_rows_follow_residual(double *to, const double *from, const float *rows, int tokens);

/* Means over the rows of real tokens; those of padding are left out. */
typedef struct {
    double entropy;  /* -sum A ln A / ln T: 0 all on one token, 1 even */
    double distance; /* sum_j A_ij |p_i - p_j|, in px of the network's input, from centre to centre of cells */
    double padding;  /* share that padding gets */
    int rows;        /* that were averaged */
} mv_rows_stats;

/* Distances of tokens that lie dy rows and dx columns apart, at dy * window + dx: `tokens` values, in px. */
void mv_rows_distances(double *table, const mv_grid *g);

/* Window n of a head, averaged into *s, which starts as zeros: after all windows of a picture it holds the picture's
 * means. `table` as mv_rows_distances makes it. */
void mv_rows_measure(mv_rows_stats *s, const mv_grid *g, int n, const float *rows, const double *table);

/* The same from what a device measured (mv_backend.measure) of the window's rows: (T, 3). */
void mv_rows_average(mv_rows_stats *s, const mv_grid *g, int n, const float *figures);

/* ---- maps */

/* What a query's shares (windows, tokens) say in cells: raw values, unit "share". *padding receives what padding holds
 * of their sum, 0 to 1. The map is the caller's to mv_map_free. */
mv_status mv_rows_map(mv_map *out, double *padding, const double *share, const mv_grid *g, mv_error *e);

/* The same against an even spread, unit "× even": 1 is what a cell gets from rows that give every token of their
 * window, padding too, the same 1 / T. In a window whose query weights sum to s that is s / T, so
 *
 *     out(p) = share(p) T / s;   s = cells of the window / (h w) pooled, 1 received, 1 or 0 one cell
 *
 * and 0 in windows that the query is not in. Even attention is 1.0 in every cell of the query's windows, for every
 * query, with padding and without. A rollout's residual keeps half of each step where it is: even attention rolls out
 * to 1.0 for the pooled and received query where there is no padding, and not for a single cell. Keeps the title. */
mv_status mv_rows_against_even(mv_map *out, const mv_map *share, mv_query q, const mv_grid *g, mv_error *e);

#endif
