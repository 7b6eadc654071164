/* Charts with a row for each name: bars from a zero line, and points with their intervals. */
#include <math.h>

#include "viz/panel/chart_impl.h"

enum { LEAST_PITCH = 8, NUMBER_GAP = 12, LEAST_NAME = 24 };

/* The widest share of a chart that names and the details after them may take. */
#define CHART_WORDS 0.6

/* Names every few rows where they would touch. */
static void draw_name(mv_layout *layout, mv_canvas *c, const char *name, int i, double pitch, double x, double middle,
                      double w)
{
    int every = (int)ceil(CHART_LINE / pitch);
    if (name && *name && i % every == 0)
        mv_line_draw(layout, c, MV_TYPE_SMALL, mv_layout_theme(layout)->second, name, x, middle - CHART_LINE / 2.0, w,
                     0);
}

/* --- bars -------------------------------------------------------------------------------------- */

typedef struct {
    mv_panel panel;
    mv_bars of;
} bars;

static int bar_keys(const mv_bars *k, mv_key key[2])
{
    for (int i = 0; i < 2; i++)
        key[i] = (mv_key){k->name[i], i, 0, false, i ? MV_MARK_FRAME : MV_MARK_SQUARE};
    return k->series < 2 ? 1 : 2;
}

static double bars_legend(mv_layout *layout, mv_canvas *c, const mv_bars *k, double x, double y, double width)
{
    mv_key key[2];
    double h = mv_legend(layout, c, key, bar_keys(k, key), x, y, width);
    return h > 0 ? h + 4 : 0;
}

static double bars_height(mv_layout *layout, mv_panel *p, double width)
{
    const mv_bars *k = &((bars *)p)->of;
    double h = bars_legend(layout, NULL, k, 0, 0, width) + k->rows * mv_row_pitch(k->pitch, k->rows, LEAST_PITCH);
    return ceil((h + mv_axis_below(&k->across)) / 4) * 4;
}

/* The second series is hollow where there is room, to differ from the first in grey. */
static void draw_bar(mv_layout *layout, mv_canvas *c, double x, double y, double w, double h, int series)
{
    mv_canvas_rect(c, x, y, w, h, 0, mv_hue_of(layout, series));
    if (series == 1 && w >= 4 && h >= 4)
        mv_canvas_rect(c, x + 1.25, y + 1.25, w - 2.5, h - 2.5, 0, mv_layout_theme(layout)->paper);
}

/* px of the columns of words, without the gaps after and before them. */
typedef struct {
    double name, detail, number;
} columns;

static columns columns_of(mv_layout *layout, const mv_bars *k, double width)
{
    columns c = {0};
    for (int i = 0; i < k->rows; i++) {
        c.name = fmax(c.name, mv_line_room(layout, k->row[i].name));
        if (k->words) {
            c.detail = fmax(c.detail, mv_line_room(layout, k->words[i].detail));
            c.number = fmax(c.number, mv_line_room(layout, k->words[i].number));
        }
    }
    double most = c.detail > 0 ? fmax(CHART_WORDS * width - c.detail - NUMBER_GAP, LEAST_NAME) : CHART_NAMES * width;
    c.name = fmin(c.name, most);
    return c;
}

static double with_gap(double px)
{
    return px > 0 ? px + NUMBER_GAP : 0;
}

static void draw_words(mv_layout *layout, const mv_panel *p, mv_canvas *c, const mv_bar_words *words, columns room,
                       double y)
{
    const mv_theme *t = mv_layout_theme(layout);
    if (words->detail && *words->detail)
        mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, words->detail, p->x + with_gap(room.name), y, room.detail, 0);
    if (words->number && *words->number)
        mv_line_draw(layout, c, MV_TYPE_SMALL, t->ink, words->number, p->x + p->w - room.number, y, room.number, 1);
}

static void bars_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const mv_bars *k = &((bars *)p)->of;
    double pitch = mv_row_pitch(k->pitch, k->rows, LEAST_PITCH), legend = bars_legend(layout, c, k, p->x, p->y, p->w);
    columns room = columns_of(layout, k, p->w);
    double left = with_gap(room.name) + with_gap(room.detail), right = with_gap(room.number);
    mv_plot plot = {p->x + left, p->y + legend, fmax(p->w - left - right, 8), k->rows * pitch, &k->across, NULL};
    double thick = floor(fmin(0.72 * pitch / k->series, 9)), zero = plot.x + mv_axis_place(&k->across, 0) * plot.w;
    for (int i = 0; i < k->rows; i++) {
        double middle = plot.y + (i + 0.5) * pitch;
        draw_name(layout, c, k->row[i].name, i, pitch, p->x, middle, room.name);
        if (k->words && pitch >= CHART_LINE)
            draw_words(layout, p, c, &k->words[i], room, middle - CHART_LINE / 2.0);
        for (int s = 0; s < k->series; s++) {
            double value = k->row[i].value[s], y = middle + (s - k->series / 2.0) * thick;
            if (!isfinite(value))
                continue;
            double end = plot.x + mv_axis_place(&k->across, value) * plot.w;
            draw_bar(layout, c, fmin(zero, end), y, fmax(fabs(end - zero), 1), fmax(thick, 1), s);
        }
    }
    mv_plot_draw(layout, c, &plot, left);
}

mv_panel *mv_panel_bars(mv_layout *layout, const mv_bars *chart)
{
    static const mv_panel_kind kind = {.height = bars_height, .draw = bars_draw};
    bars *q = mv_panel_new(layout, sizeof *q, &kind);
    if (!q)
        return NULL;
    q->of = *chart;
    q->of.series = chart->series < 2 ? 1 : 2;
    mv_span s = {0};
    mv_span_add(&s, 0);
    for (int i = 0; i < chart->rows; i++)
        for (int j = 0; j < q->of.series; j++)
            mv_span_add(&s, chart->row[i].value[j]);
    q->of.across.lo = fmin(q->of.across.lo, 0);
    q->of.across.hi = fmax(q->of.across.hi, 0);
    q->of.across.line = true;
    q->of.across.at = 0;
    mv_axis_fit(&q->of.across, s);
    return &q->panel;
}

/* --- intervals --------------------------------------------------------------------------------- */

typedef struct {
    mv_panel panel;
    mv_intervals of;
} intervals;

static double intervals_height(mv_layout *layout, mv_panel *p, double width)
{
    (void)layout;
    (void)width;
    const mv_intervals *k = &((intervals *)p)->of;
    return ceil((k->rows * mv_row_pitch(0, k->rows, LEAST_PITCH) + mv_axis_below(&k->across)) / 4) * 4;
}

static void draw_interval(mv_layout *layout, mv_canvas *c, const mv_plot *plot, const mv_interval_row *row,
                          double middle)
{
    mv_rgb colour = mv_hue_of(layout, row->hue);
    double at = plot->x + mv_axis_place(plot->across, row->value) * plot->w;
    if (isfinite(row->low) && isfinite(row->high)) {
        double lo = plot->x + mv_axis_place(plot->across, row->low) * plot->w,
               hi = plot->x + mv_axis_place(plot->across, row->high) * plot->w;
        mv_canvas_rect(c, lo, middle - 1, fmax(hi - lo, 1), 2, 0, colour);
    }
    if (isfinite(row->value))
        mv_mark_draw(layout, c, MV_MARK_DOT, at, middle, colour);
}

static void intervals_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const mv_intervals *k = &((intervals *)p)->of;
    double names = 0, numbers = 0, pitch = mv_row_pitch(0, k->rows, LEAST_PITCH);
    char text[32];
    for (int i = 0; i < k->rows; i++) {
        names = fmax(names, mv_line_room(layout, k->row[i].name));
        if (k->digits >= 0 && pitch >= CHART_LINE)
            numbers = fmax(numbers, mv_line_room(layout, mv_number_text(text, k->row[i].value, k->digits, false)));
    }
    names = fmin(names, CHART_NAMES * p->w);
    double left = names > 0 ? names + NUMBER_GAP : 0, right = numbers > 0 ? numbers + NUMBER_GAP : 0;
    mv_plot plot = {p->x + left, p->y, fmax(p->w - left - right, 8), k->rows * pitch, &k->across, NULL};
    mv_plot_draw(layout, c, &plot, left);
    for (int i = 0; i < k->rows; i++) {
        double middle = plot.y + (i + 0.5) * pitch;
        draw_name(layout, c, k->row[i].name, i, pitch, p->x, middle, names);
        draw_interval(layout, c, &plot, &k->row[i], middle);
        if (numbers > 0)
            mv_line_draw(layout, c, MV_TYPE_SMALL, mv_layout_theme(layout)->ink,
                         mv_number_text(text, k->row[i].value, k->digits, false), plot.x + plot.w + NUMBER_GAP,
                         middle - CHART_LINE / 2.0, numbers, 1);
    }
}

mv_panel *mv_panel_intervals(mv_layout *layout, const mv_intervals *chart)
{
    static const mv_panel_kind kind = {.height = intervals_height, .draw = intervals_draw};
    intervals *q = mv_panel_new(layout, sizeof *q, &kind);
    if (!q)
        return NULL;
    q->of = *chart;
    mv_span s = {0};
    for (int i = 0; i < chart->rows; i++) {
        mv_span_add(&s, chart->row[i].value);
        mv_span_add(&s, chart->row[i].low);
        mv_span_add(&s, chart->row[i].high);
    }
    mv_axis_fit(&q->of.across, s);
    return &q->panel;
}
