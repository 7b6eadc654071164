/* Charts with two axes: lines with their bands, and points in groups. */
#include <math.h>
#include <stdlib.h>

#include "viz/panel/chart_impl.h"

/* The widest share of a chart that names at the ends of its lines may take. */
#define WIDEST_NAMES 0.34

#define BAND 0.16 /* opacity */

enum { KEYS = 16 };

typedef struct {
    mv_panel panel;
    mv_curves of;
    double names; /* px at the right for the names of lines; 0: there is a legend */
} curves;

/* Where the parts of a chart stand in its box. */
typedef struct {
    double legend, left;
    mv_plot plot;
} frame;

static double x_of(const mv_curves *k, int i)
{
    return k->x ? k->x[i] : i;
}

static int curve_keys(const mv_curves *k, mv_key key[KEYS])
{
    int n = 0;
    for (int i = 0; i < k->count && n < KEYS; i++)
        key[n++] = (mv_key){k->series[i].name, k->series[i].hue, k->series[i].dash, true,
                            k->series[i].marks ? MV_MARK_DOT : -1};
    return n;
}

static double end_of(const mv_curves *k, const mv_series *s)
{
    for (int i = k->n - 1; i >= 0; i--)
        if (isfinite(s->y[i]))
            return s->y[i];
    return NAN;
}

/* px that the names take at the ends of the lines; 0 where they do not fit or there are none. */
static double name_room(mv_layout *layout, const mv_curves *k, double width, double height)
{
    double widest = 0;
    int named = 0;
    for (int i = 0; i < k->count; i++) {
        const mv_series *s = &k->series[i];
        if (!s->name || !*s->name)
            continue;
        widest = fmax(widest, mv_line_room(layout, s->name) + CHART_GAP);
        named++;
    }
    return named * CHART_LINE > height || widest > WIDEST_NAMES * width ? 0 : widest;
}

static frame frame_of(mv_layout *layout, const mv_axis *across, const mv_axis *up, const mv_key *key, int keys,
                      double right, double asked, double width)
{
    frame f = {.plot = {.across = across, .up = up}};
    f.plot.h = mv_plot_height(asked, width);
    f.legend = keys ? mv_legend(layout, NULL, key, keys, 0, 0, width) : 0;
    f.left = mv_axis_width(layout, up, f.plot.h);
    f.plot.x = f.left;
    f.plot.y = mv_axis_above(up) + (f.legend > 0 ? f.legend + 4 : 0);
    f.plot.w = fmax(width - f.left - right, 8);
    return f;
}

static double frame_height(const frame *f)
{
    return ceil((f->plot.y + f->plot.h + mv_axis_below(f->plot.across)) / 4) * 4;
}

/* Moves the frame to its place on the page and draws it, and the legend above the title of the upright axis. */
static void frame_draw(mv_layout *layout, mv_canvas *c, frame *f, const mv_panel *p, const mv_key *key, int keys)
{
    f->plot.x += p->x;
    f->plot.y += p->y;
    if (keys)
        mv_legend(layout, c, key, keys, p->x, p->y, p->w);
    mv_plot_draw(layout, c, &f->plot, f->left);
}

static mv_point place(const mv_plot *p, double x, double y)
{
    return (mv_point){p->x + mv_axis_place(p->across, x) * p->w, p->y + (1 - mv_axis_place(p->up, y)) * p->h};
}

/* --- lines ------------------------------------------------------------------------------------- */

static frame curves_frame(mv_layout *layout, curves *q, double width, mv_key key[KEYS], int *keys)
{
    q->names = name_room(layout, &q->of, width, mv_plot_height(q->of.height, width));
    *keys = q->names > 0 ? 0 : curve_keys(&q->of, key);
    return frame_of(layout, &q->of.across, &q->of.up, key, *keys, q->names, q->of.height, width);
}

static double curves_height(mv_layout *layout, mv_panel *p, double width)
{
    mv_key key[KEYS];
    int keys;
    frame f = curves_frame(layout, (curves *)p, width, key, &keys);
    return frame_height(&f);
}

/* Draws a line through each run of finite values, or the band around it. */
static void draw_runs(mv_canvas *c, const mv_plot *p, const mv_curves *k, const mv_series *s, bool band,
                      mv_point *point, mv_rgb colour)
{
    for (int from = 0, to; from < k->n; from = to + 1) {
        int n = 0;
        for (to = from; to < k->n; to++) {
            if (!(band ? isfinite(s->lo[to]) && isfinite(s->hi[to]) : isfinite(s->y[to])))
                break;
            point[n++] = place(p, x_of(k, to), band ? s->lo[to] : s->y[to]);
        }
        for (int i = to - 1; band && i >= from; i--)
            point[n++] = place(p, x_of(k, i), s->hi[i]);
        if (band)
            mv_canvas_area(c, point, n, BAND, colour);
        else
            mv_canvas_line(c, point, n, 1.75, mv_dash_of(s->dash), colour);
    }
}

typedef struct {
    const mv_series *series;
    double y;
} end;

static int by_height(const void *a, const void *b)
{
    double x = ((const end *)a)->y, y = ((const end *)b)->y;
    return (x > y) - (x < y);
}

/* Names at the ends of lines, moved apart where they would touch. */
static void draw_ends(mv_layout *layout, mv_canvas *c, const mv_plot *p, const curves *q)
{
    end ends[KEYS];
    int n = 0;
    for (int i = 0; i < q->of.count && n < KEYS; i++) {
        const mv_series *s = &q->of.series[i];
        double y = end_of(&q->of, s);
        if (s->name && *s->name && isfinite(y))
            ends[n++] = (end){s, place(p, 0, y).y - CHART_LINE / 2.0};
    }
    qsort(ends, (size_t)n, sizeof *ends, by_height);
    double lowest = p->y + p->h - CHART_LINE / 2.0;
    for (int i = 0; i < n; i++)
        ends[i].y = fmax(ends[i].y, i ? ends[i - 1].y + CHART_LINE : p->y - CHART_LINE / 2.0);
    for (int i = n - 1; i >= 0; i--, lowest -= CHART_LINE)
        ends[i].y = fmin(ends[i].y, lowest);
    for (int i = 0; i < n; i++)
        mv_line_draw(layout, c, MV_TYPE_SMALL, mv_hue_of(layout, ends[i].series->hue), ends[i].series->name,
                     p->x + p->w + CHART_GAP, ends[i].y, q->names - CHART_GAP, 0);
}

static void curves_draw(mv_layout *layout, mv_panel *panel, mv_canvas *c)
{
    curves *q = (curves *)panel;
    const mv_curves *k = &q->of;
    mv_key key[KEYS];
    int keys;
    frame f = curves_frame(layout, q, panel->w, key, &keys);
    mv_point *point = malloc(2 * (size_t)(k->n + 1) * sizeof *point);
    if (!point) {
        mv_fail_memory(mv_layout_error(layout), "drawing");
        return;
    }
    frame_draw(layout, c, &f, panel, key, keys);
    for (int i = 0; i < k->count; i++)
        if (k->series[i].lo && k->series[i].hi)
            draw_runs(c, &f.plot, k, &k->series[i], true, point, mv_hue_of(layout, k->series[i].hue));
    for (int i = k->count - 1; i >= 0; i--) { /* the first one on top */
        const mv_series *s = &k->series[i];
        mv_rgb colour = mv_hue_of(layout, s->hue);
        draw_runs(c, &f.plot, k, s, false, point, colour);
        for (int j = 0; s->marks && j < k->n; j++)
            if (isfinite(s->y[j])) {
                mv_point at = place(&f.plot, x_of(k, j), s->y[j]);
                mv_canvas_rect(c, at.x - 2.5, at.y - 2.5, 5, 5, 2.5, colour);
            }
    }
    if (q->names > 0)
        draw_ends(layout, c, &f.plot, q);
    free(point);
}

mv_panel *mv_panel_curves(mv_layout *layout, const mv_curves *chart)
{
    static const mv_panel_kind kind = {.height = curves_height, .draw = curves_draw};
    curves *q = mv_panel_new(layout, sizeof *q, &kind);
    if (!q)
        return NULL;
    q->of = *chart;
    mv_span x = {0}, y = {0};
    for (int i = 0; i < chart->n; i++)
        mv_span_add(&x, x_of(chart, i));
    for (int s = 0; s < chart->count; s++)
        for (int i = 0; i < chart->n; i++) {
            mv_span_add(&y, chart->series[s].y[i]);
            if (chart->series[s].lo && chart->series[s].hi) {
                mv_span_add(&y, chart->series[s].lo[i]);
                mv_span_add(&y, chart->series[s].hi[i]);
            }
        }
    if (!q->of.across.names && !(q->of.across.lo < q->of.across.hi) && x.hi > x.lo) { /* lines reach both ends */
        q->of.across.lo = x.lo;
        q->of.across.hi = x.hi;
    }
    mv_axis_fit(&q->of.across, x);
    mv_axis_fit(&q->of.up, y);
    return &q->panel;
}

/* --- points ------------------------------------------------------------------------------------ */

typedef struct {
    mv_panel panel;
    mv_scatter of;
} scatter;

static frame scatter_frame(mv_layout *layout, const scatter *q, double width, mv_key key[KEYS], int *keys)
{
    *keys = 0;
    for (int i = 0; i < q->of.count && *keys < KEYS; i++)
        key[(*keys)++] = (mv_key){q->of.group[i].name, q->of.group[i].hue, 0, false, (int)q->of.group[i].mark};
    return frame_of(layout, &q->of.across, &q->of.up, key, *keys, 0, q->of.height, width);
}

static double scatter_height(mv_layout *layout, mv_panel *p, double width)
{
    mv_key key[KEYS];
    int keys;
    frame f = scatter_frame(layout, (scatter *)p, width, key, &keys);
    return frame_height(&f);
}

static void scatter_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const scatter *q = (const scatter *)p;
    mv_key key[KEYS];
    int keys;
    frame f = scatter_frame(layout, q, p->w, key, &keys);
    frame_draw(layout, c, &f, p, key, keys);
    for (int g = 0; g < q->of.count; g++)
        for (int i = 0; i < q->of.group[g].n; i++) {
            mv_point at = q->of.group[g].point[i];
            if (!isfinite(at.x) || !isfinite(at.y))
                continue;
            at = place(&f.plot, at.x, at.y);
            mv_mark_draw(layout, c, q->of.group[g].mark, at.x, at.y, mv_hue_of(layout, q->of.group[g].hue));
        }
}

mv_panel *mv_panel_scatter(mv_layout *layout, const mv_scatter *chart)
{
    static const mv_panel_kind kind = {.height = scatter_height, .draw = scatter_draw};
    scatter *q = mv_panel_new(layout, sizeof *q, &kind);
    if (!q)
        return NULL;
    q->of = *chart;
    mv_span x = {0}, y = {0};
    for (int g = 0; g < chart->count; g++)
        for (int i = 0; i < chart->group[g].n; i++) {
            mv_span_add(&x, chart->group[g].point[i].x);
            mv_span_add(&y, chart->group[g].point[i].y);
        }
    mv_axis_fit(&q->of.across, x);
    mv_axis_fit(&q->of.up, y);
    return &q->panel;
}
