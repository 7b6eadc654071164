/* Rows of one block in 8 bits a value: what every cell of the picture looks at, small enough to keep and to send.
 *
 * A row belongs to a query and holds a number for every real cell of the query's window, in multiples of an even
 * spread: 1 is what each cell gets if all get the same. Its largest value is kept exactly, the others as the square
 * root of their share of it, so that an error is at most 0.4 % of the row's largest value:
 *
 *     value = most (code / 255)^2
 *
 * Order: windows of the picture, row by row; in a window its heads; in a head its queries; in a query its cells, all
 * row by row. Tokens of padding are neither queries nor cells; `lost` says how much of a row fell on them. With group
 * g, a query is the mean of g x g neighbouring cells, clipped to the window.
 */
#ifndef MV_CODED_H
#define MV_CODED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct {
    int level, block;  /* counted from 0 */
    bool scan;         /* hidden attention of a mixer: a cell sees those before it, in raster order */
    int heads, of;     /* heads kept, and heads of the block. 1 of several: their mean */
    int h, w, cell;    /* cells of the level, px a side of a cell */
    int window;        /* cells a side */
    int down, across;  /* windows */
    int group;         /* cells a side that share a query: 1, 2, 4, ... */
    size_t rows;       /* of all windows and heads */
    size_t codes;      /* values of all rows */
    uint8_t *code;     /* codes */
    float *most;       /* for each row the largest value, in multiples of an even spread; NaN: it was not finite */
    float *lost;       /* for each row its share on padding, 0 to 1; NULL: the level has no padding */
    float *total;      /* scan: for each row the sum of its raw values; NULL otherwise */
    double padding;    /* share of the windows' tokens that are padding */
    double entropy;    /* mean of all rows: 0 all on one cell, 1 even */
    double reach;      /* mean distance, px */
    double on_padding; /* mean share on padding, 0 to 1 */
    double largest;    /* of all rows, multiples of an even spread */
} mv_coded;

/* The real part of window n, and its queries: rows x columns of each. */
typedef struct {
    int top, left;       /* the first cell */
    int rows, columns;   /* cells */
    int qrows, qcolumns; /* queries */
} mv_coded_window;

mv_coded_window mv_coded_window_at(const mv_coded *c, int n);

/* Sets `rows` and `codes` from the geometry and heads. */
void mv_coded_count(mv_coded *c);

/* The same, and allocates the arrays, zeroed. The caller frees them by mv_coded_free, also on failure. */
mv_status mv_coded_new(mv_coded *c, mv_error *e);
void mv_coded_free(mv_coded *c); /* NULL and an empty one are fine; it is empty afterwards */

/* Codes n values; a negative one counts as 0. Returns the largest; NaN, and codes of 0, if a value is not finite. */
float mv_coded_row(uint8_t *code, const float *v, size_t n);

/* The value of a code in a row. */
float mv_coded_value(uint8_t code, float most);

/* Signed values, linear, 127 for the largest magnitude, which is returned: value = most code / 127. NaN as above. */
float mv_coded_signed(int8_t *code, const float *v, size_t n);

#endif
