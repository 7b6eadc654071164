/* Charts: their places read back from SVG, their pixels from PNG. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/drawing.h"
#include "viz/panel/chart.h"

static mv_colouring signed_colours(double most)
{
    return (mv_colouring){.table = mv_colour_table_lookup("blue-red", NULL),
                          .scale = mv_scale_of(MV_SCALE_LINEAR, -most, most, true)};
}

static mv_colouring heat_colours(double most)
{
    return (mv_colouring){.table = mv_colour_table_lookup("inferno", NULL),
                          .scale = mv_scale_of(MV_SCALE_LINEAR, 0, most, false)};
}

/* Draws one panel within margins of 56 px. */
static void write_panel(drawing_buffer *b, mv_canvas_kind kind, mv_layout *l, mv_panel *p, double width)
{
    mv_canvas_target to = {.kind = kind, .write = drawing_keep, .ctx = b};
    mv_error e = {0};
    b->size = 0;
    assert_non_null(p);
    if (mv_layout_write(l, mv_panel_inset(l, 56, 56, 56, 56, p), width, 1, &to, &e) != MV_OK)
        fail_msg("%s", e.text);
}

/* --- what is drawn ------------------------------------------------------------------------------ */

enum { POINTS = 41, SERIES = 5, BLOCKS = 20, HEADS = 32, TOKENS = 64 };

typedef struct {
    double x[POINTS], y[SERIES][POINTS], lo[POINTS], hi[POINTS];
    mv_series series[SERIES];
    mv_point point[2][40];
    mv_group group[2];
    double cell[BLOCKS * HEADS];
    int length[BLOCKS];
    char name[HEADS][24];
    const char *names[HEADS];
    mv_bar_row bar[BLOCKS];
    mv_interval_row interval[6];
    float matrix[TOKENS * TOKENS];
} stock;

static void make_stock(stock *s)
{
    static const char *const names[SERIES] = {"parachute", "church", "a class with a long name", "gas pump",
                                              "golf ball"};
    memset(s, 0, sizeof *s);
    for (int i = 0; i < POINTS; i++) {
        s->x[i] = i / (POINTS - 1.0);
        for (int k = 0; k < SERIES; k++)
            s->y[k][i] = 0.5 + 0.4 * cos(3 * s->x[i] + 0.2 * k) * (1 - s->x[i]);
        s->lo[i] = s->y[0][i] - 0.1;
        s->hi[i] = s->y[0][i] + 0.1;
    }
    s->y[1][10] = NAN;
    for (int k = 0; k < SERIES; k++)
        s->series[k] = (mv_series){.name = names[k], .y = s->y[k], .hue = k, .dash = k / 2};
    s->series[0].lo = s->lo;
    s->series[0].hi = s->hi;
    for (int g = 0; g < 2; g++) {
        for (int i = 0; i < 40; i++)
            s->point[g][i] = (mv_point){160 * drawing_uniform(), drawing_uniform()};
        s->group[g] = (mv_group){g ? "level 3" : "level 2", s->point[g], 40, g, g ? MV_MARK_TRIANGLE : MV_MARK_DOT};
    }
    for (int i = 0; i < BLOCKS * HEADS; i++)
        s->cell[i] = drawing_uniform() - 0.5;
    for (int i = 0; i < HEADS; i++) {
        snprintf(s->name[i], sizeof *s->name, "%d.%d", 2 + i / 10, i % 10);
        s->names[i] = s->name[i];
    }
    for (int i = 0; i < BLOCKS; i++) {
        s->length[i] = i < BLOCKS / 2 ? 8 : 16;
        s->bar[i] = (mv_bar_row){s->names[i], {drawing_uniform() - 0.7, drawing_uniform() - 0.7}};
    }
    for (int i = 0; i < 6; i++) {
        double v = drawing_uniform();
        s->interval[i] = (mv_interval_row){names[i % SERIES], v, v - 0.1, v + 0.05, i ? 0 : 2};
    }
    for (int i = 0; i < TOKENS * TOKENS; i++)
        s->matrix[i] = i % TOKENS <= i / TOKENS ? (float)exp((i % TOKENS - i / TOKENS) / 8.0) : 0;
}

/* All charts in two columns. */
static mv_panel *all_charts(mv_layout *l, const stock *s, int series, int rows, int columns)
{
    mv_curves lines = {.x = s->x,
                       .n = POINTS,
                       .series = s->series,
                       .count = series,
                       .across = {.title = "share of pixels"},
                       .up = {.title = "probability", .hi = 1}};
    mv_curves depth = {.n = columns,
                       .series = s->series,
                       .count = series,
                       .across = {.title = "block", .names = s->names, .name_count = columns},
                       .up = {.title = "logit", .line = true, .at = 0.5}};
    mv_scatter scatter = {s->group, 2, {.title = "mean distance, px"}, {.title = "entropy", .hi = 1}, 0};
    mv_heat heat = {.row = s->names,
                    .rows = rows,
                    .column = s->names,
                    .columns = columns,
                    .length = columns == 16 ? s->length : NULL,
                    .value = s->cell,
                    .k = signed_colours(0.5),
                    .digits = 2,
                    .sign = true,
                    .title = "head"};
    mv_bars bars = {.row = s->bar,
                    .rows = rows,
                    .series = 2,
                    .name = {"scan", "local"},
                    .across = {.title = "change of the logit"}};
    mv_intervals intervals = {s->interval, 6, {.title = "area", .line = true, .at = 0.5}, 2};
    mv_matrix matrix = {s->matrix, TOKENS, TOKENS, heat_colours(1), "from token", "to token"};
    mv_panel *column = mv_panel_column(l),
             *p[] = {mv_panel_curves(l, &lines),  mv_panel_curves(l, &depth), mv_panel_scatter(l, &scatter),
                     mv_panel_heat(l, &heat),     mv_panel_bars(l, &bars),    mv_panel_intervals(l, &intervals),
                     mv_panel_matrix(l, &matrix), mv_panel_space(l, 0)};
    for (int i = 0; i < 8; i += 2) {
        mv_panel *row = mv_panel_add(column, mv_panel_row(l, 32, MV_TOP));
        mv_panel_add(row, p[i]);
        mv_panel_add(row, p[i + 1]);
        mv_panel_add(column, mv_panel_space(l, 24));
    }
    return column;
}

static void charts_hold_their_words(void **state)
{
    static drawing_layout read;
    stock *s = malloc(sizeof *s);
    drawing_buffer b = {.left = -1};
    make_stock(s);
    static const int series[] = {1, 3, SERIES}, rows[] = {1, 4, BLOCKS}, columns[] = {2, 16, HEADS};
    static const double widths[] = {640, 1000, 1600};
    for (int i = 0; i < 27; i++) {
        mv_layout *l = mv_layout_new(i % 2 ? MV_DARK : MV_LIGHT, *state, NULL);
        write_panel(&b, MV_CANVAS_SVG, l, all_charts(l, s, series[i % 3], rows[i / 3 % 3], columns[i / 9]),
                    widths[(i + i / 3) % 3]);
        drawing_check_layout(&read, &b);
        mv_layout_free(l);
    }
    free(b.bytes);
    free(s);
}

/* --- identities --------------------------------------------------------------------------------- */

/* The n-th element of a kind in an SVG, counted from 0; NULL past the last. */
static const char *element(const char *svg, const char *name, int n)
{
    char open[24];
    snprintf(open, sizeof open, "<%s ", name);
    for (const char *p = svg; (p = strstr(p, open)); p++)
        if (n-- == 0)
            return p;
    return NULL;
}

static double attribute(const char *of, const char *name)
{
    char pattern[40];
    snprintf(pattern, sizeof pattern, " %s=\"", name);
    const char *at = strstr(of, pattern);
    assert_true(at && at < strchr(of, '>'));
    return strtod(at + strlen(pattern), NULL);
}

/* Reads the points of a line or an area; returns how many. */
static int read_points(const char *of, mv_point *p, int most)
{
    char *at = strstr(of, "points=\"") + 8;
    int n = 0;
    for (; *at != '"' && n < most; n++) {
        p[n].x = strtod(at, &at);
        p[n].y = strtod(at + 1, &at);
    }
    return n;
}

/* Lines are drawn where their values are: the last one first, gaps left out, values beyond the axis at its end. */
static void lines_follow_their_values(void **state)
{
    static const double x[] = {0, 1, 2, 4, 8}, a[] = {0, 1, 0.5, 0.25, 3}, b[] = {0.5, NAN, 0.25, 0.75, 1},
                        lo[] = {0, 0, 0, 0, 0}, hi[] = {1, 1, 1, 1, 1};
    mv_series series[] = {{.y = a, .lo = lo, .hi = hi}, {.y = b, .dash = 1}};
    mv_curves chart = {.x = x, .n = 5, .series = series, .count = 2, .up = {.lo = 0, .hi = 1}, .height = 100};
    mv_layout *l = mv_layout_new(MV_LIGHT, *state, NULL);
    drawing_buffer b1 = {.left = -1};
    write_panel(&b1, MV_CANVAS_SVG, l, mv_panel_curves(l, &chart), 1000);
    mv_point band[16], second[16], first[16];
    assert_int_equal(read_points(element(b1.bytes, "polygon", 0), band, 16), 10);
    assert_int_equal(read_points(element(b1.bytes, "polyline", 0), second, 16), 3); /* a single point is no line */
    assert_int_equal(read_points(element(b1.bytes, "polyline", 1), first, 16), 5);
    assert_null(element(b1.bytes, "polyline", 2));
    double left = band[0].x, bottom = band[0].y, top = band[9].y, w = band[4].x - left;
    assert_true(fabs(bottom - top - 100) < 0.01 && fabs(left + w - (1000 - 56)) < 0.01);
    for (int i = 0; i < 5; i++) {
        assert_true(fabs(first[i].x - (left + w * x[i] / 8)) < 0.01);
        assert_true(fabs(first[i].y - (bottom - 100 * fmin(a[i], 1))) < 0.01);
    }
    for (int i = 0; i < 3; i++)
        assert_true(fabs(second[i].y - (bottom - 100 * b[i + 2])) < 0.01);
    mv_layout_free(l);
    free(b1.bytes);
}

/* Bars are as long as their values, and start at zero. */
static void bars_are_as_long_as_their_values(void **state)
{
    mv_bar_row row[] = {{"a", {1, -2}}, {"b", {NAN, 4}}};
    mv_bars chart = {.row = row, .rows = 2, .series = 2, .across = {.lo = -4, .hi = 4}, .pitch = 20};
    mv_layout *l = mv_layout_new(MV_LIGHT, *state, NULL);
    drawing_buffer b = {.left = -1};
    write_panel(&b, MV_CANVAS_SVG, l, mv_panel_bars(l, &chart), 1000);
    double zero = attribute(element(b.bytes, "rect", 1), "x"), one = attribute(element(b.bytes, "rect", 1), "width");
    assert_true(fabs(attribute(element(b.bytes, "rect", 2), "width") - 2 * one) < 0.01);
    assert_true(fabs(attribute(element(b.bytes, "rect", 2), "x") - (zero - 2 * one)) < 0.01);
    assert_true(fabs(attribute(element(b.bytes, "rect", 4), "width") - 4 * one) < 0.01); /* 3: the inside of 2 */
    assert_true(fabs(attribute(element(b.bytes, "rect", 4), "x") - zero) < 0.01);
    mv_layout_free(l);
    free(b.bytes);
}

/* The least contrast of the ink on a cell, (lighter + 0.05) / (darker + 0.05), WCAG 2. */
static double contrast(unsigned a, unsigned b)
{
    double y[2] = {0, 0};
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) {
            static const double part[] = {0.0722, 0.7152, 0.2126};
            double v = ((i ? b : a) >> 8 * k & 255) / 255.0;
            y[i] += part[k] * (v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4));
        }
    return (fmax(y[0], y[1]) + 0.05) / (fmin(y[0], y[1]) + 0.05);
}

static unsigned fill_of(const char *of)
{
    return (unsigned)strtoul(strstr(of, "fill=\"#") + 7, NULL, 16);
}

/* A row has its own length; numbers stand on their cells with contrast, or on none. */
static void cells_are_ragged_and_legible(void **state)
{
    enum { N = 24 };
    double value[2 * N];
    int length[] = {N, 5};
    for (int i = 0; i < 2 * N; i++)
        value[i] = i % N / (N - 1.0) - 0.5;
    mv_heat chart = {
        .rows = 2, .columns = N, .length = length, .value = value, .k = signed_colours(0.5), .digits = 1, .sign = true};
    mv_layout *l = mv_layout_new(MV_LIGHT, *state, NULL);
    drawing_buffer b = {.left = -1};
    write_panel(&b, MV_CANVAS_SVG, l, mv_panel_heat(l, &chart), 1600);
    const char *cell = NULL;
    for (int i = 0; i < N + 5; i++) {
        assert_non_null(cell = element(b.bytes, "rect", 1 + i));
        assert_true(contrast(fill_of(cell), fill_of(strstr(cell, "<text "))) > 4.5);
    }
    assert_null(element(b.bytes, "rect", 1 + N + 5));
    mv_layout_free(l);
    l = mv_layout_new(MV_LIGHT, *state, NULL);
    write_panel(&b, MV_CANVAS_SVG, l, mv_panel_heat(l, &chart), 640);
    assert_non_null(element(b.bytes, "rect", N + 5));
    assert_null(element(b.bytes, "text", 0));
    mv_layout_free(l);
    free(b.bytes);
}

/* A value that is not there leaves its cell blank; one that is not finite is still hatched. */
static void cells_have_gaps(void **state)
{
    static const double value[] = {0.5, NAN, INFINITY};
    mv_layout *l = mv_layout_new(MV_LIGHT, *state, NULL);
    drawing_buffer b = {.left = -1};
    for (int gaps = 0; gaps < 2; gaps++) {
        mv_heat chart = {.rows = 1, .columns = 3, .value = value, .k = heat_colours(1), .digits = 2, .gaps = gaps != 0};
        write_panel(&b, MV_CANVAS_SVG, l, mv_panel_heat(l, &chart), 640);
        const char *cell = element(b.bytes, "rect", 2), *next = element(b.bytes, "rect", 3);
        assert_true(cell && next && !element(b.bytes, "rect", 4) && !element(b.bytes, "text", 1));
        assert_int_equal(fill_of(cell), fill_of(next));
        const char *stroke = strstr(cell, "<p");
        assert_non_null(stroke);
        assert_int_equal(stroke > next, gaps);
        assert_non_null(strstr(next, "<p"));
    }
    mv_layout_free(l);
    free(b.bytes);
}

/* A matrix with more values than pixels is averaged: single pixels of a fine pattern are all its mean. */
static void matrices_are_averaged(void **state)
{
    enum { N = 3000 };
    float *v = malloc((size_t)N * N * sizeof *v);
    for (int i = 0; i < N * N; i++)
        v[i] = (float)((i % N + i / N) % 2);
    mv_matrix chart = {v, N, N, heat_colours(1), NULL, NULL};
    mv_layout *l = mv_layout_new(MV_LIGHT, *state, NULL);
    uint8_t *rgb;
    int w, h;
    drawing_buffer b = {.left = -1};
    write_panel(&b, MV_CANVAS_PNG, l, mv_panel_matrix(l, &chart), 400);
    rgb = drawing_read(&b, &w, &h);
    mv_rgb mean = mv_colour_at(chart.k.table, 0.5);
    for (int y = 150; y < 250; y += 7)
        for (int x = 150; x < 250; x += 3) {
            const uint8_t *p = rgb + ((size_t)y * (size_t)w + (size_t)x) * 3;
            assert_true(abs(p[0] - mean.r) < 12 && abs(p[1] - mean.g) < 12 && abs(p[2] - mean.b) < 12);
        }
    mv_layout_free(l);
    free(rgb);
    free(b.bytes);
    free(v);
}

/* The polylines of an SVG: how many, how many are dashed, and that all their points are on one vertical line each, at
 * one of `n` places. */
static int upright_lines(const drawing_buffer *b, const double *x, int n, int *dashed)
{
    int lines = 0;
    *dashed = 0;
    for (const char *at; (at = element(b->bytes, "polyline", lines)); lines++) {
        mv_point p[64] = {{0}};
        int points = read_points(at, p, 64);
        bool known = false;
        *dashed += memmem(at, (size_t)(strchr(at, '>') - at), "dasharray", 9) != NULL;
        assert_true(points >= 2 && points <= 64);
        for (int i = 0; i < points; i++)
            assert_true(fabs(p[i].x - p[0].x) < 0.06 && p[i].y >= 55.9 && p[i].y <= 96.1);
        for (int i = 0; i < n; i++)
            known |= fabs(p[0].x - x[i]) < 0.06;
        assert_true(known);
    }
    return lines;
}

/* Contours of a ramp are straight lines where the ramp has the values; dashed below 0. Cells have them at borders. */
static void contours_lie_where_the_values_are(void **state)
{
    enum { W = 9, H = 4 };
    float v[W * H];
    for (int i = 0; i < W * H; i++)
        v[i] = (float)(i % W - 4); /* 0 in the middle of the picture */
    mv_map map = {.h = H, .w = W, .v = v, .lo = -4, .hi = 4, .diverging = true};
    mv_image picture = drawing_scene(90, 40);
    mv_colouring k = signed_colours(4.4); /* lines at whole numbers up to 4 would be at 2 and 4 */
    const double smooth[] = {56 + 45 + 20, 56 + 45 - 20, 56 + 45 + 40, 56 + 45 - 40};
    const double cells[] = {56 + 70, 56 + 20}; /* above 2, and below -2; nothing is above 4 */
    mv_layout *l = mv_layout_new(MV_LIGHT, *state, NULL);
    drawing_buffer b = {.left = -1};
    int dashed;
    write_panel(&b, MV_CANVAS_SVG, l, mv_panel_overlay(l, &map, &picture, &k), 112 + 90);
    int n = upright_lines(&b, smooth, 2, &dashed);
    assert_true(n == 4 && dashed == 2); /* black and white; 4 is nowhere exceeded */
    write_panel(&b, MV_CANVAS_SVG, l, mv_panel_cells(l, &map, &picture, &k), 112 + 90);
    n = upright_lines(&b, cells, 2, &dashed);
    assert_true(n == 4 && dashed == 2);
    v[0] = NAN;
    write_panel(&b, MV_CANVAS_SVG, l, mv_panel_overlay(l, &map, &picture, &k), 112 + 90);
    n = upright_lines(&b, smooth, 2, &dashed);
    assert_true(n == 4 && dashed == 2);
    mv_layout_free(l);
    free(picture.rgb);
    free(b.bytes);
}

/* Multiples of an even spread have lines at 2, 4 and 8 in every colour scale, and a bar has them where its ticks are.
 */
static void multiples_of_even_have_lines_at_2_4_and_8(void **state)
{
    float v[7] = {1, 2, 4, 8, 16, 4, 1};
    mv_map map = {.h = 1, .w = 7, .v = v, .lo = 1, .hi = 16};
    mv_image picture = drawing_scene(140, 20);
    for (int kind = MV_SCALE_AUTO; kind <= MV_SCALE_LOG; kind++) {
        mv_colouring k = {.table = mv_colour_table_lookup("inferno", NULL),
                          .cells = mv_colour_table_lookup("blue-red", NULL),
                          .scale = mv_scale_even((mv_scale_kind)kind, 1, 16)};
        const double rising[] = {56 + 30, 56 + 50, 56 + 70};
        mv_layout *l = mv_layout_new(MV_LIGHT, *state, NULL);
        drawing_buffer b = {.left = -1};
        write_panel(&b, MV_CANVAS_SVG, l, mv_panel_overlay(l, &map, &picture, &k), 112 + 140);
        int lines = 0, where[3] = {0};
        for (const char *at; (at = element(b.bytes, "polyline", lines)); lines++) {
            mv_point p[64] = {{0}};
            read_points(at, p, 64);
            for (int i = 0; i < 3; i++)
                where[i] += fabs(p[0].x - rising[i]) < 0.06;
        }
        assert_int_equal(lines, 2 * 2 * 3); /* black and white, at both sides of the peak */
        for (int i = 0; i < 3; i++)
            assert_int_equal(where[i], 2);
        mv_layout_free(l);
        free(b.bytes);
    }
    free(picture.rgb);
}

/* Lines and areas cover the same pixels in PNG as their geometry says. */
static void lines_and_areas_are_ink(void **state)
{
    (void)state;
    drawing_buffer b = {.left = -1};
    mv_canvas_target to = {.kind = MV_CANVAS_PNG, .write = drawing_keep, .ctx = &b};
    mv_rgb white = {255, 255, 255}, red = {255, 0, 0};
    mv_canvas *c = mv_canvas_new(&to, 40, 40, 1, white, NULL);
    const mv_point line[] = {{0, 10}, {40, 10}}, area[] = {{10, 20}, {30, 20}, {30, 40}, {10, 40}};
    mv_canvas_line(c, line, 2, 2, 0, red);
    mv_canvas_line(c, line, 1, 2, 0, red); /* nothing */
    mv_canvas_area(c, area, 4, 0.5, red);
    assert_int_equal(mv_canvas_finish(c, NULL), MV_OK);
    int w, h;
    uint8_t *rgb = drawing_read(&b, &w, &h);
    for (int y = 0; y < 40; y++)
        for (int x = 0; x < 40; x++) {
            int want = y == 9 || y == 10 ? 0 : y >= 20 && x >= 10 && x < 30 ? 127 : 255;
            assert_true(abs(rgb[(y * w + x) * 3 + 1] - want) <= 1 && rgb[(y * w + x) * 3] == 255);
        }
    free(rgb);
    free(b.bytes);
}

/* Nothing to draw, and nothing finite, still is a chart. */
static void empty_charts_are_charts(void **state)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY};
    mv_series series = {.name = "odd", .y = odd};
    mv_curves lines = {.n = 3, .series = &series, .count = 1}, none = {0};
    mv_scatter scatter = {0};
    mv_heat heat = {.row = NULL, .rows = 1, .columns = 3, .value = odd, .k = signed_colours(1)}, no_heat = {.rows = 0};
    mv_bar_row row = {NULL, {NAN, NAN}};
    mv_bars bars = {.row = &row, .rows = 1, .series = 2};
    mv_interval_row point = {"a", NAN, NAN, NAN, 0};
    mv_intervals intervals = {.row = &point, .rows = 1};
    mv_layout *l = mv_layout_new(MV_LIGHT, *state, NULL);
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_curves(l, &lines));
    mv_panel_add(column, mv_panel_curves(l, &none));
    mv_panel_add(column, mv_panel_scatter(l, &scatter));
    mv_panel_add(column, mv_panel_heat(l, &heat));
    mv_panel_add(column, mv_panel_heat(l, &no_heat));
    mv_panel_add(column, mv_panel_bars(l, &bars));
    mv_panel_add(column, mv_panel_intervals(l, &intervals));
    drawing_buffer b = {.left = -1};
    write_panel(&b, MV_CANVAS_SVG, l, column, 640);
    assert_null(strstr(b.bytes, "nan"));
    assert_null(strstr(b.bytes, "inf\""));
    mv_layout_free(l);
    free(b.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charts_hold_their_words),
        cmocka_unit_test(lines_follow_their_values),
        cmocka_unit_test(bars_are_as_long_as_their_values),
        cmocka_unit_test(cells_are_ragged_and_legible),
        cmocka_unit_test(cells_have_gaps),
        cmocka_unit_test(matrices_are_averaged),
        cmocka_unit_test(lines_and_areas_are_ink),
        cmocka_unit_test(contours_lie_where_the_values_are),
        cmocka_unit_test(multiples_of_even_have_lines_at_2_4_and_8),
        cmocka_unit_test(empty_charts_are_charts),
    };
    return cmocka_run_group_tests_name("charts", tests, drawing_open_fonts, drawing_close_fonts);
}
