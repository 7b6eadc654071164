/* Charts: panels that show numbers as lines, points, bars, intervals and coloured cells.
 *
 * A chart is a struct of plain numbers and words. The struct is copied; arrays and strings in it are borrowed until the
 * layout is freed. Every chart is as wide as its place and knows its height there. Nothing overlaps: ticks are thinned,
 * names too long for their column end in an ellipsis, numbers that do not fit a cell are left out.
 *
 *     mv_series lines[] = {{.name = "exact CAM", .y = deletion}, {.name = "random", .y = mean, .lo = low, .hi = high,
 *                                                                 .hue = 2, .dash = 1}};
 *     mv_curves chart = {.x = share, .n = 51, .series = lines, .count = 2,
 *                        .across = {.title = "share of pixels"}, .up = {.title = "probability", .hi = 1}};
 *     mv_panel_add(column, mv_panel_curves(l, &chart));
 *
 * Hues are 0 accent, 1 counterpart, 2 second voice, 3 ink; a larger number starts again. Since colours may be printed
 * in grey, lines also differ by their dash (0 solid, 1 dashed, 2 dotted) and points by their mark. Numbers that are not
 * finite are gaps in lines and, unless a chart says otherwise, hatched in cells.
 */
#ifndef MV_CHART_H
#define MV_CHART_H

#include "viz/panel/panel.h"

/* An axis. {0} runs over the values that are drawn. */
typedef struct {
    const char *title;        /* with its unit: "mean distance, px"; above an upright axis, below one across */
    double lo, hi;            /* lo >= hi: the range of the values, a little wider */
    const char *const *names; /* instead of numbers: names[i] at the value i, thinned where they would touch */
    int name_count;
    bool powers; /* of an upright axis: values are powers of ten, -3 is labelled 0.001; lo and hi are given */
    bool line;   /* a thin line across the chart at the value `at`: a zero, an even spread, a chance level */
    double at;
} mv_axis;

/* --- lines over one axis ------------------------------------------------------------------------- */

typedef struct {
    const char *name;      /* at the end of its line, or in a legend where there is no room; NULL: none */
    const double *y;       /* n values */
    const double *lo, *hi; /* a band around it, n values each; NULL: none */
    int hue, dash;
    bool marks; /* a dot at each value: for few values, such as blocks */
} mv_series;

typedef struct {
    const double *x; /* n rising values that all series share; NULL: 0, 1, 2, ... */
    int n;
    const mv_series *series;
    int count;
    mv_axis across, up;
    double height; /* px of the plot without its words; 0: as suits its width */
} mv_curves;

mv_panel *mv_panel_curves(mv_layout *layout, const mv_curves *chart);

/* --- points in groups ---------------------------------------------------------------------------- */

typedef enum {
    MV_MARK_DOT,
    MV_MARK_SQUARE,
    MV_MARK_TRIANGLE,
    MV_MARK_DIAMOND,
    MV_MARK_RING,
    MV_MARK_CROSS,
    MV_MARK_FRAME
} mv_mark;

typedef struct {
    const char *name; /* in the legend; NULL: none */
    const mv_point *point;
    int n;
    int hue;
    mv_mark mark;
} mv_group;

typedef struct {
    const mv_group *group;
    int count;
    mv_axis across, up;
    double height; /* as above */
} mv_scatter;

mv_panel *mv_panel_scatter(mv_layout *layout, const mv_scatter *chart);

/* --- rows of coloured cells ---------------------------------------------------------------------- */

typedef struct {
    const char *const *row; /* names at the left; NULL: none */
    int rows;
    const char *const *column; /* names above; NULL: none. Thinned where they would touch */
    int columns;
    const int *length;   /* the cells that each row has, at most `columns`; NULL: all */
    const double *value; /* rows x columns */
    mv_colouring k;      /* of which the table and the scale are used */
    int digits;          /* after the point, of the numbers in the cells; below 0: no numbers */
    bool sign;           /* numbers have a sign: "+0.3" */
    const char *title;   /* of the columns, above them: "head"; NULL: none */
    double cell;         /* px a row is tall; 0: 22, less for many rows */
    bool gaps;           /* NaN is a value that is not there: its cell is left blank, not hatched */
} mv_heat;

mv_panel *mv_panel_heat(mv_layout *layout, const mv_heat *chart);

/* --- bars from a zero line ----------------------------------------------------------------------- */

typedef struct {
    const char *name;
    double value[2]; /* NaN: no bar */
} mv_bar_row;

/* What stands beside a row; NULL: nothing. Neither is ever cut: names make room for them. */
typedef struct {
    const char *detail; /* after the name: "fp32  cpu  batch 1" */
    const char *number; /* at the right */
} mv_bar_words;

typedef struct {
    const mv_bar_row *row;
    int rows;
    int series;                /* bars in each row: 1 or 2; the second is hollow */
    const char *name[2];       /* of the series, in the legend; NULL: none */
    mv_axis across;            /* always includes 0 */
    double pitch;              /* px from row to row; 0: 22, less for many rows */
    const mv_bar_words *words; /* for each row; NULL: none */
} mv_bars;

mv_panel *mv_panel_bars(mv_layout *layout, const mv_bars *chart);

/* --- points with their intervals ----------------------------------------------------------------- */

typedef struct {
    const char *name;
    double value, low, high;
    int hue;
} mv_interval_row;

typedef struct {
    const mv_interval_row *row;
    int rows;
    mv_axis across; /* its line is the reference: chance, random order */
    int digits;     /* after the point, of the numbers at the right; below 0: none */
} mv_intervals;

mv_panel *mv_panel_intervals(mv_layout *layout, const mv_intervals *chart);

/* --- a matrix as a picture ----------------------------------------------------------------------- */

typedef struct {
    const float *v; /* rows x columns; averaged over areas where it has more values than the picture has pixels */
    int rows, columns;
    mv_colouring k;            /* of which the table and the scale are used */
    const char *across, *down; /* titles of the axes: "from token", "to token" */
} mv_matrix;

mv_panel *mv_panel_matrix(mv_layout *layout, const mv_matrix *chart);

#endif
