/* Charts of coloured cells: rows of cells with numbers, and a matrix as a picture. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "viz/panel/chart_impl.h"

enum {
    LEAST_CELL = 6,     /* px a row is tall, of many */
    WIDEST_CELL = 64,   /* px */
    NAME_GAP = 10,      /* px between names and cells */
    MATRIX_PIXELS = 512 /* a side, in SVG and PDF */
};

typedef struct {
    mv_panel panel;
    mv_heat of;
} heat;

static double cell_height(const mv_heat *k)
{
    return mv_row_pitch(k->cell, k->rows, LEAST_CELL);
}

/* The title and the names of the columns, px above the cells. */
static double heat_head(const mv_heat *k)
{
    return (k->title && *k->title ? CHART_LINE : 0) + (k->column ? CHART_LINE : 0) + (k->title || k->column ? 4 : 0);
}

static double heat_height(mv_layout *layout, mv_panel *p, double width)
{
    (void)layout;
    (void)width;
    const mv_heat *k = &((heat *)p)->of;
    return ceil((heat_head(k) + k->rows * cell_height(k)) / 4) * 4;
}

static int length_of(const mv_heat *k, int row)
{
    return k->length ? (int)fmin(fmax(k->length[row], 0), k->columns) : k->columns;
}

static double names_width(mv_layout *layout, const char *const *name, int n)
{
    double widest = 0;
    for (int i = 0; name && i < n; i++)
        widest = fmax(widest, mv_line_room(layout, name[i]));
    return widest;
}

/* True if every number fits its cell of w x h px. */
static bool numbers_fit(mv_layout *layout, const mv_heat *k, double w, double h)
{
    char text[32];
    if (k->digits < 0 || h < CHART_LINE)
        return false;
    for (int r = 0; r < k->rows; r++)
        for (int i = 0; i < length_of(k, r); i++) {
            double value = k->value[(size_t)r * (size_t)k->columns + (size_t)i];
            if (isfinite(value) &&
                mv_line_width(layout, MV_TYPE_SMALL, mv_number_text(text, value, k->digits, k->sign)) > w - 5)
                return false;
        }
    return true;
}

static double linear_of(uint8_t v)
{
    return v <= 10 ? v / 255.0 / 12.92 : pow((v / 255.0 + 0.055) / 1.055, 2.4);
}

/* Black or white, whichever stands out more on a colour: the contrast is 4.58 at least (WCAG 2). */
static mv_rgb ink_on(mv_rgb k)
{
    double luminance = 0.2126 * linear_of(k.r) + 0.7152 * linear_of(k.g) + 0.0722 * linear_of(k.b);
    return luminance > 0.1791 ? (mv_rgb){0, 0, 0} : (mv_rgb){0xff, 0xff, 0xff};
}

/* A cell whose value is not finite: a stroke from corner to corner, or nothing if the value is not there. */
static void draw_odd(mv_layout *layout, mv_canvas *c, bool blank, double x, double y, double w, double h)
{
    const mv_theme *t = mv_layout_theme(layout);
    const mv_point stroke[] = {{x + 2, y + h - 2}, {x + w - 2, y + 2}};
    mv_canvas_rect(c, x, y, w, h, 0, t->track);
    if (!blank)
        mv_canvas_line(c, stroke, 2, 1, 0, t->third);
}

static void draw_cells(mv_layout *layout, mv_canvas *c, const mv_heat *k, double x, double y, double w, double h)
{
    bool numbers = numbers_fit(layout, k, w, h);
    double gap = w >= 8 && h >= 8 ? 1 : 0;
    char text[32];
    for (int r = 0; r < k->rows; r++)
        for (int i = 0; i < length_of(k, r); i++) {
            double value = k->value[(size_t)r * (size_t)k->columns + (size_t)i], left = x + i * w, top = y + r * h;
            if (!isfinite(value)) {
                draw_odd(layout, c, k->gaps && isnan(value), left, top, w - gap, h - gap);
                continue;
            }
            mv_rgb colour = mv_colouring_cell(&k->k, mv_scale_place(&k->k.scale, value));
            mv_canvas_rect(c, left, top, w - gap, h - gap, 0, colour);
            if (numbers)
                mv_line_draw(layout, c, MV_TYPE_SMALL, ink_on(colour), mv_number_text(text, value, k->digits, k->sign),
                             left, top + (h - gap - CHART_LINE) / 2, w - gap, 0.5);
        }
}

static void heat_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const mv_heat *k = &((heat *)p)->of;
    mv_rgb second = mv_layout_theme(layout)->second;
    double names = fmin(names_width(layout, k->row, k->rows), CHART_NAMES * p->w), head = heat_head(k);
    double left = names > 0 ? names + NAME_GAP : 0, h = cell_height(k);
    double w = k->columns > 0 ? fmin((p->w - left) / k->columns, WIDEST_CELL) : 0;
    if (k->title && *k->title)
        mv_line_draw(layout, c, MV_TYPE_SMALL, second, k->title, p->x + left, p->y, p->w - left, 0);
    double widest = names_width(layout, k->column, k->columns);
    int every = k->column && w > 0 ? (int)fmax(ceil((widest + 4) / w), 1) : 1;
    for (int i = 0; k->column && i < k->columns; i += every) {
        double room = every == 1 ? w : fmin(widest, p->x + p->w - (p->x + left + i * w));
        mv_line_draw(layout, c, MV_TYPE_SMALL, second, k->column[i], p->x + left + i * w, p->y + head - CHART_LINE - 4,
                     room, every == 1 ? 0.5 : 0);
    }
    every = (int)ceil(CHART_LINE / h);
    for (int r = 0; names > 0 && r < k->rows; r += every)
        if (k->row[r] && *k->row[r])
            mv_line_draw(layout, c, MV_TYPE_SMALL, second, k->row[r], p->x,
                         p->y + head + r * h + (every == 1 ? (h - 1 - CHART_LINE) / 2 : 0), names, 0);
    draw_cells(layout, c, k, p->x + left, p->y + head, w, h);
}

mv_panel *mv_panel_heat(mv_layout *layout, const mv_heat *chart)
{
    static const mv_panel_kind kind = {.height = heat_height, .draw = heat_draw};
    heat *q = mv_panel_new(layout, sizeof *q, &kind);
    if (!q)
        return NULL;
    q->of = *chart;
    return &q->panel;
}

/* --- a matrix ---------------------------------------------------------------------------------- */

typedef struct {
    mv_panel panel;
    mv_matrix of;
    char last[2][16]; /* the numbers at the ends of the axes */
} matrix;

/* The picture's box within the panel. */
static void matrix_box(mv_layout *layout, const matrix *q, double width, double *left, double *top, double *w,
                       double *h)
{
    *left = mv_line_room(layout, q->last[1]) + CHART_TICK + 4;
    *top = q->of.down && *q->of.down ? CHART_LINE + 4 : 0;
    *w = fmax(width - *left, 8);
    *h = fmax(round(*w * q->of.rows / q->of.columns), 1);
}

static double matrix_below(const matrix *q)
{
    return CHART_TICK + CHART_LINE + (q->of.across && *q->of.across ? CHART_LINE : 0);
}

static double matrix_height(mv_layout *layout, mv_panel *p, double width)
{
    double left, top, w, h;
    matrix_box(layout, (matrix *)p, width, &left, &top, &w, &h);
    return ceil((top + h + matrix_below((matrix *)p)) / 4) * 4;
}

/* The mean of the values within an area, in which those at its border count in part. */
static double area_mean(const mv_matrix *k, double x0, double x1, double y0, double y1)
{
    double sum = 0, all = 0;
    for (int y = (int)y0; y < k->rows && y < y1; y++)
        for (int x = (int)x0; x < k->columns && x < x1; x++) {
            double part = (fmin(x + 1, x1) - fmax(x, x0)) * (fmin(y + 1, y1) - fmax(y, y0));
            sum += part * (double)k->v[(size_t)y * (size_t)k->columns + (size_t)x];
            all += part;
        }
    return sum / all;
}

static void paint_matrix(const mv_matrix *k, uint8_t *rgb, int pw, int ph)
{
    double sx = (double)k->columns / pw, sy = (double)k->rows / ph;
    for (int y = 0; y < ph; y++)
        for (int x = 0; x < pw; x++, rgb += 3) {
            int cx = (int)((x + 0.5) * sx), cy = (int)((y + 0.5) * sy);
            double v = sx > 1 || sy > 1 ? area_mean(k, x * sx, (x + 1) * sx, y * sy, (y + 1) * sy)
                                        : (double)k->v[(size_t)cy * (size_t)k->columns + (size_t)cx];
            mv_rgb colour = isfinite(v)       ? mv_colouring_cell(&k->k, mv_scale_place(&k->k.scale, v))
                            : (x + y) % 6 < 2 ? (mv_rgb){140, 140, 140}
                                              : (mv_rgb){180, 180, 180};
            memcpy(rgb, &colour, 3);
        }
}

static void draw_matrix_axes(mv_layout *layout, mv_canvas *c, const matrix *q, double x, double y, double w, double h,
                             double left)
{
    const mv_theme *t = mv_layout_theme(layout);
    double below = y + h + CHART_TICK;
    for (int end = 0; end < 2; end++) {
        mv_canvas_rect(c, x + end * (w - 1), y + h, 1, CHART_TICK, 0, t->third);
        mv_canvas_rect(c, x - CHART_TICK, y + end * (h - 1), CHART_TICK, 1, 0, t->third);
        mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, end ? q->last[0] : "0", x + end * w / 2, below, w / 2, end);
        if (h >= 2 * CHART_LINE || !end)
            mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, end ? q->last[1] : "0", x - left,
                         end ? y + h - CHART_LINE : y, left - CHART_TICK - 4, 1);
    }
    if (q->of.down && *q->of.down)
        mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, q->of.down, x - left, y - CHART_LINE - 4, w + left, 0);
    if (q->of.across && *q->of.across)
        mv_line_draw(layout, c, MV_TYPE_SMALL, t->second, q->of.across, x, below + CHART_LINE, w, 1);
}

static void matrix_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const matrix *q = (const matrix *)p;
    double left, top, w, h, density = mv_canvas_density(c);
    matrix_box(layout, q, p->w, &left, &top, &w, &h);
    double x = p->x + left, y = p->y + top, most = mv_canvas_is_raster(c) ? INFINITY : MATRIX_PIXELS;
    int pw = (int)fmax(round(w * density), 1), ph = (int)fmax(round(h * density), 1);
    if (!mv_canvas_is_raster(c)) { /* at its own resolution, up to a limit; small ones in larger cells, to stay sharp */
        int larger = q->of.columns > q->of.rows ? q->of.columns : q->of.rows;
        double scale = larger > most ? most / larger : fmax(floor(most / larger), 1);
        pw = (int)fmax(round(q->of.columns * scale), 1);
        ph = (int)fmax(round(q->of.rows * scale), 1);
    } else {
        x = round(x * density) / density;
        y = round(y * density) / density;
        w = pw / density;
        h = ph / density;
    }
    uint8_t *rgb = malloc((size_t)pw * (size_t)ph * 3);
    if (!rgb) {
        mv_fail_memory(mv_layout_error(layout), "drawing");
        return;
    }
    paint_matrix(&q->of, rgb, pw, ph);
    mv_canvas_image(c, x, y, w, h, pw, ph, rgb, false);
    free(rgb);
    draw_matrix_axes(layout, c, q, x, y, w, h, left);
}

mv_panel *mv_panel_matrix(mv_layout *layout, const mv_matrix *chart)
{
    static const mv_panel_kind kind = {.height = matrix_height, .draw = matrix_draw};
    matrix *q = mv_panel_new(layout, sizeof *q, &kind);
    if (!q)
        return NULL;
    q->of = *chart;
    snprintf(q->last[0], sizeof q->last[0], "%d", chart->columns - 1);
    snprintf(q->last[1], sizeof q->last[1], "%d", chart->rows - 1);
    return &q->panel;
}
