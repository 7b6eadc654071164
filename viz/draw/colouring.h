/* How a map is coloured: the colour and the opacity of a value, and the values at which lines are drawn.
 *
 * Multiples of an even spread are neutral at 1. Over the picture nothing is drawn up to 1; above it colour and opacity
 * grow with log2, and 2 has the same colour on every page. Cells diverge around 1, with a table of their own. Other
 * values are neutral at 0, or at the lower end of their scale.
 *
 * Lines carry the reading where colours do not, in grey print and for eyes that see few of them: at 2, 4 and 8 times an
 * even spread, and else at round values, solid above 0 and dashed below.
 */
#ifndef MV_COLOURING_H
#define MV_COLOURING_H

#include "viz/draw/colour.h"

typedef struct {
    const mv_colour_table *table, *cells; /* cells: a diverging one for cells of multiples of an even spread; or NULL */
    mv_scale scale;
    bool grid;      /* lines between cells */
    int window;     /* cells a side of a window, where lines between windows are drawn; 0: none */
    double opacity; /* of an overlay at the end of the scale, 0 to 1; 0: one that suits the scale */
} mv_colouring;

/* The opacities that suit: the picture stays visible under the strongest value. Maps of attention cover less of it. */
#define MV_OPACITY      0.6
#define MV_OPACITY_EVEN 0.75

/* The colour at a place of the scale, 0 to 1, of an overlay and of a cell. */
mv_rgb mv_colouring_colour(const mv_colouring *k, double place);
mv_rgb mv_colouring_cell(const mv_colouring *k, double place);

/* How much of the picture an overlay hides at this place of its scale, 0 to 1. */
double mv_colouring_opacity(const mv_colouring *k, double place);

enum { MV_LINES_MOST = 8 };

/* The values at which lines are drawn, within the scale, over the picture. Returns their number. */
int mv_colouring_lines(const mv_colouring *k, double value[MV_LINES_MOST]);

/* The same around cells: none where the colours alone rise in lightness from end to end and need no lines. */
int mv_colouring_cell_lines(const mv_colouring *k, double value[MV_LINES_MOST]);

/* The part of the scale that an overlay shows: for octaves, from 1 on. */
mv_colouring mv_colouring_above_even(mv_colouring k);

#endif
