/* Axes, legends and marks. Ticks are those of a colour bar with a linear scale. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "viz/panel/chart_impl.h"

enum { SAMPLE = 18, SAMPLE_GAP = 6, KEY_GAP = 12, LOWEST = 80, HIGHEST = 220, ROW = 22, ROWS_TALL = 16 };

#define MARK 3.5 /* px from the middle of a mark to its side */

void mv_span_add(mv_span *s, double value)
{
    if (!isfinite(value))
        return;
    s->lo = s->any ? fmin(s->lo, value) : value;
    s->hi = s->any ? fmax(s->hi, value) : value;
    s->any = true;
}

void mv_axis_fit(mv_axis *a, mv_span s)
{
    if (a->lo < a->hi && isfinite(a->lo) && isfinite(a->hi))
        return;
    if (a->names) {
        a->lo = 0;
        a->hi = fmax(a->name_count - 1, 1);
        return;
    }
    if (a->line)
        mv_span_add(&s, a->at);
    double more = s.hi > s.lo ? 0.04 * (s.hi - s.lo) : fmax(0.5 * fabs(s.hi), 0.5);
    a->lo = s.lo == 0 ? 0 : s.lo - more; /* a zero stays at the end of its axis */
    a->hi = s.hi == 0 && s.lo < 0 ? 0 : s.hi + more;
}

double mv_axis_place(const mv_axis *a, double value)
{
    return fmin(fmax((value - a->lo) / (a->hi - a->lo), 0), 1);
}

/* --- ticks ------------------------------------------------------------------------------------- */

static mv_scale scale_of(const mv_axis *a)
{
    return mv_scale_of(MV_SCALE_LINEAR, a->lo, a->hi, false);
}

/* Whole powers of ten from bottom to top, as many as have room. */
static int powers_of(const mv_axis *a, double length, mv_tick tick[MV_TICKS_MAX])
{
    int n = 0, lo = (int)ceil(a->lo), hi = (int)floor(a->hi), step = 1;
    while ((hi - lo) / step >= MV_TICKS_MAX || length * step < 1.5 * CHART_LINE * (a->hi - a->lo))
        step++;
    for (int power = lo; power <= hi && n < MV_TICKS_MAX; power += step) {
        mv_tick *t = &tick[n++];
        *t = (mv_tick){.value = power, .place = mv_axis_place(a, power)};
        if (power >= -3 && power <= 3)
            snprintf(t->label, sizeof t->label, "%.*f", power < 0 ? -power : 0, pow(10, power));
        else
            snprintf(t->label, sizeof t->label, "1e%s%d", power < 0 ? "\xe2\x88\x92" : "", abs(power));
    }
    return n;
}

static int ticks_upright(const mv_axis *a, double length, mv_tick tick[MV_TICKS_MAX])
{
    mv_scale scale = scale_of(a);
    return a->powers ? powers_of(a, length, tick) : mv_scale_ticks(&scale, length, CHART_LINE, false, tick);
}

double mv_axis_width(mv_layout *layout, const mv_axis *a, double length)
{
    mv_tick tick[MV_TICKS_MAX];
    double widest = 0;
    int n = ticks_upright(a, length, tick);
    for (int i = 0; i < n; i++)
        widest = fmax(widest, mv_line_width(layout, MV_TYPE_SMALL, tick[i].label));
    return ceil(widest) + 1 + CHART_TICK + 4;
}

double mv_axis_above(const mv_axis *up)
{
    return up->title && *up->title ? CHART_LINE + 8 : CHART_LINE / 2;
}

double mv_axis_below(const mv_axis *across)
{
    return CHART_TICK + CHART_LINE + (across->title && *across->title ? CHART_LINE : 0);
}

/* --- drawing ----------------------------------------------------------------------------------- */

static void draw_upright(mv_layout *layout, mv_canvas *c, const mv_plot *p, double left)
{
    const mv_theme *t = mv_layout_theme(layout);
    mv_tick tick[MV_TICKS_MAX];
    int n = ticks_upright(p->up, p->h, tick);
    mv_canvas_rect(c, p->x - 1, p->y, 1, p->h, 0, t->third);
    for (int i = 0; i < n; i++) {
        double y = p->y + (1 - tick[i].place) * p->h;
        mv_canvas_rect(c, p->x - 1 - CHART_TICK, fmin(y, p->y + p->h - 1), CHART_TICK, 1, 0, t->third);
        mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, tick[i].label, p->x - left, y - CHART_LINE / 2.0,
                     left - CHART_TICK - 4, 1);
    }
}

/* Names are thinned evenly until the widest one fits its share, and kept within the plot. */
static void draw_names(mv_layout *layout, mv_canvas *c, const mv_plot *p)
{
    const mv_theme *t = mv_layout_theme(layout);
    const mv_axis *a = p->across;
    double widest = 0, y = p->y + p->h, step = p->w / fmax(a->hi - a->lo, 1), free_from = p->x;
    for (int i = 0; i < a->name_count; i++)
        widest = fmax(widest, mv_line_room(layout, a->names[i]));
    int every = (int)fmax(ceil((fmin(widest, p->w) + 6) / step), 1);
    for (int i = 0; i < a->name_count; i++) {
        double x = p->x + mv_axis_place(a, i) * p->w;
        mv_canvas_rect(c, fmin(x, p->x + p->w - 1), y, 1, i % every ? CHART_TICK / 2.0 : CHART_TICK, 0, t->third);
        if (i % every)
            continue;
        double w = fmin(mv_line_room(layout, a->names[i]), p->w);
        double from = fmin(fmax(x - w / 2, p->x), p->x + p->w - w);
        if (from < free_from)
            continue; /* moved inwards, it would reach into the one before */
        mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, a->names[i], from, y + CHART_TICK, w, 0);
        free_from = from + w + 4;
    }
}

static void draw_across(mv_layout *layout, mv_canvas *c, const mv_plot *p)
{
    const mv_theme *t = mv_layout_theme(layout);
    double y = p->y + p->h, room = CHART_LINE;
    mv_canvas_rect(c, p->x, y, p->w, 1, 0, t->third);
    if (p->across->names) {
        draw_names(layout, c, p);
        return;
    }
    mv_tick tick[MV_TICKS_MAX];
    mv_scale scale = scale_of(p->across);
    int n = mv_ticks_across(layout, &scale, p->w, false, tick, &room);
    for (int i = 0; i < n; i++) {
        double at = tick[i].place * p->w, centre = mv_tick_centre(&tick[i], p->w, room);
        double along = centre < at ? 1 : centre > at ? 0 : 0.5;
        mv_canvas_rect(c, p->x + fmin(at, p->w - 1), y, 1, CHART_TICK, 0, t->third);
        mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, tick[i].label, p->x + centre - room / 2, y + CHART_TICK, room,
                     along);
    }
}

void mv_plot_draw(mv_layout *layout, mv_canvas *c, const mv_plot *p, double left)
{
    const mv_theme *t = mv_layout_theme(layout);
    if (p->up) {
        draw_upright(layout, c, p, left);
        if (p->up->line)
            mv_canvas_rect(c, p->x, p->y + (1 - mv_axis_place(p->up, p->up->at)) * p->h - 0.5, p->w, 1, 0, t->hairline);
        if (p->up->title && *p->up->title)
            mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, p->up->title, p->x - left, p->y - mv_axis_above(p->up),
                         p->w + left, 0);
    }
    if (p->across) {
        draw_across(layout, c, p);
        if (p->across->line)
            mv_canvas_rect(c, p->x + mv_axis_place(p->across, p->across->at) * p->w - 0.5, p->y, 1, p->h, 0, t->third);
        if (p->across->title && *p->across->title)
            mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, p->across->title, p->x - left,
                         p->y + p->h + CHART_TICK + CHART_LINE, p->w + left, 1);
    }
}

double mv_row_pitch(double asked, int rows, double least)
{
    if (asked > 0)
        return asked;
    return rows <= ROWS_TALL ? ROW : fmax(floor((double)ROW * ROWS_TALL / rows), least);
}

double mv_plot_height(double asked, double width)
{
    return asked > 0 ? asked : fmin(fmax(round(0.5 * width / 4) * 4, LOWEST), HIGHEST);
}

/* --- ink --------------------------------------------------------------------------------------- */

mv_rgb mv_hue_of(const mv_layout *layout, int hue)
{
    const mv_theme *t = mv_layout_theme(layout);
    const mv_rgb hues[] = {t->accent, t->counter, t->second, t->ink};
    return hues[hue < 0 ? 0 : hue % 4];
}

double mv_dash_of(int dash)
{
    return dash == 0 ? 0 : dash % 2 ? 5 : 2;
}

void mv_mark_draw(mv_layout *layout, mv_canvas *c, mv_mark mark, double x, double y, mv_rgb colour)
{
    const double r = MARK, far = 1.25 * r;
    const mv_point triangle[] = {{x, y - far}, {x + far, y + r}, {x - far, y + r}};
    const mv_point diamond[] = {{x, y - far}, {x + far, y}, {x, y + far}, {x - far, y}};
    const mv_point cross[2][2] = {{{x - r, y - r}, {x + r, y + r}}, {{x - r, y + r}, {x + r, y - r}}};
    switch (mark) {
    case MV_MARK_SQUARE: mv_canvas_rect(c, x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r, 0, colour); break;
    case MV_MARK_FRAME:
        mv_canvas_rect(c, x - r, y - r, 2 * r, 2 * r, 0, colour);
        mv_canvas_rect(c, x - r + 1.5, y - r + 1.5, 2 * r - 3, 2 * r - 3, 0, mv_layout_theme(layout)->paper);
        break;
    case MV_MARK_TRIANGLE: mv_canvas_area(c, triangle, 3, 1, colour); break;
    case MV_MARK_DIAMOND: mv_canvas_area(c, diamond, 4, 1, colour); break;
    case MV_MARK_CROSS:
        mv_canvas_line(c, cross[0], 2, 1.75, 0, colour);
        mv_canvas_line(c, cross[1], 2, 1.75, 0, colour);
        break;
    case MV_MARK_RING:
    case MV_MARK_DOT:
        mv_canvas_rect(c, x - r, y - r, 2 * r, 2 * r, r, colour);
        if (mark == MV_MARK_RING)
            mv_canvas_rect(c, x - r + 1.5, y - r + 1.5, 2 * r - 3, 2 * r - 3, r, mv_layout_theme(layout)->paper);
        break;
    }
}

double mv_legend(mv_layout *layout, mv_canvas *c, const mv_key *key, int n, double x, double y, double width)
{
    double at = 0, top = 0;
    bool any = false;
    for (int i = 0; i < n; i++) {
        if (!key[i].name || !*key[i].name)
            continue;
        double words = fmin(ceil(mv_line_width(layout, MV_TYPE_SMALL, key[i].name)) + 1, width - SAMPLE - SAMPLE_GAP);
        double w = SAMPLE + SAMPLE_GAP + fmax(words, 1);
        if (at > 0 && at + w > width) {
            at = 0;
            top += CHART_LINE;
        }
        if (c) {
            double middle = y + top + CHART_LINE / 2.0;
            mv_rgb colour = mv_hue_of(layout, key[i].hue);
            const mv_point sample[] = {{x + at, middle}, {x + at + SAMPLE, middle}};
            if (key[i].line)
                mv_canvas_line(c, sample, 2, 2, mv_dash_of(key[i].dash), colour);
            if (key[i].mark >= 0)
                mv_mark_draw(layout, c, (mv_mark)key[i].mark, x + at + SAMPLE / 2.0, middle, colour);
            mv_line_draw(layout, c, MV_TYPE_SMALL, mv_layout_theme(layout)->second, key[i].name,
                         x + at + SAMPLE + SAMPLE_GAP, y + top, fmax(words, 1), 0);
        }
        at += w + KEY_GAP;
        any = true;
    }
    return any ? top + CHART_LINE : 0;
}
