/* What the charts share: a plot with its two axes, legends, and marks. */
#ifndef MV_CHART_IMPL_H
#define MV_CHART_IMPL_H

#include "viz/panel/chart.h"
#include "viz/panel/panel_impl.h"

enum { CHART_LINE = 16, CHART_TICK = 4, CHART_GAP = 8 }; /* px: a line of small text, a tick, text beside a plot */

/* The widest share of a chart that the names of its rows may take. */
#define CHART_NAMES 0.4

/* The range of values that are drawn. Start with {0}. */
typedef struct {
    double lo, hi;
    bool any;
} mv_span;

void mv_span_add(mv_span *s, double value); /* one that is not finite is left out */

/* Fills in the range of an axis that has none, a little wider than the values, and includes its line. */
void mv_axis_fit(mv_axis *a, mv_span s);

/* The place of a value along its axis, 0 to 1, clamped. */
double mv_axis_place(const mv_axis *a, double value);

/* px that the words beside an upright axis need: ticks of a plot `length` px tall. */
double mv_axis_width(mv_layout *layout, const mv_axis *a, double length);

/* px above the plot for the title of an upright axis, and below it for the ticks and the title of one across. */
double mv_axis_above(const mv_axis *up);
double mv_axis_below(const mv_axis *across);

/* The area of a plot, px of the page; its axes have ranges. */
typedef struct {
    double x, y, w, h;
    const mv_axis *across, *up; /* NULL: not drawn */
} mv_plot;

/* Draws lines, ticks and titles; `left`: px of the words beside it. */
void mv_plot_draw(mv_layout *layout, mv_canvas *c, const mv_plot *p, double left);

/* px a plot is tall that says nothing about it. */
double mv_plot_height(double asked, double width);

/* px from row to row: as asked, or 22, or less where there are many rows, but at least `least`. */
double mv_row_pitch(double asked, int rows, double least);

mv_rgb mv_hue_of(const mv_layout *layout, int hue);

/* px of the dash of a line. */
double mv_dash_of(int dash);

/* A mark with its middle at (x, y). */
void mv_mark_draw(mv_layout *layout, mv_canvas *c, mv_mark mark, double x, double y, mv_rgb colour);

/* One entry of a legend: a line, or a mark, and its name. */
typedef struct {
    const char *name; /* NULL: none */
    int hue, dash;
    bool line;
    int mark; /* below 0: none */
} mv_key;

/* Draws a legend within `width` px from (x, y) on; returns its height. Without a canvas it is only measured. */
double mv_legend(mv_layout *layout, mv_canvas *c, const mv_key *key, int n, double x, double y, double width);

#endif
