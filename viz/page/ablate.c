/* The picture with its answers, the evidence, then a section for each grid. Places stand side by side, three or (on a
 * narrow page) two in a line; a grid is as wide as its cells need.
 *
 *     Picture      Probability      Logits               Each head set to zero         Each block skipped
 *     [picture]    [bars]           church  +4.4 +1.2          0    1    2                   0     1
 *     Before       After            Change               2.4  [+]  [-]  [+]          level 0 [-]
 *     [overlay]    [overlay]        [overlay]            bar                         bar
 */
#include "viz/page/ablate.h"

#include <math.h>

#include "viz/page/page_impl.h"
#include "viz/panel/chart.h"

enum {
    MOST_CLASSES = 12,
    MOST_EVIDENCE = 3,
    MOST_GRIDS = 12,
    MOST_COLUMNS = 1024,
    GUTTER = 32,
    WIDE_PAGE = 900, /* px of content: three places side by side */
    CELL = 60,       /* px a cell of a grid likes */
    NAMES = 110,     /* px of its row names */
    LEAST_GRID = 320,
    BAR = 320,
    PHOTO = 320,   /* px of the picture where nothing stands for it below */
    NUMBER = 62,   /* px of a number of the table */
    LOW_CELL = 17, /* px a cell of many rows is tall that still holds its number */
    LOW_ROWS = 64  /* more rows than this have no numbers */
};

static mv_status check(const void *content, mv_error *e)
{
    const mv_ablate_content *c = content;
    mv_status s = mv_page_check_picture(c->picture, "the picture", e);
    if (s == MV_OK)
        s = mv_page_check_count(c->class_count, 0, MOST_CLASSES, "classes", e);
    if (s == MV_OK)
        s = mv_page_check_maps(c->evidence, c->evidence_count, MOST_EVIDENCE, "maps", "a map of evidence", e);
    if (s == MV_OK)
        s = mv_page_check_count(c->grid_count, 0, MOST_GRIDS, "grids", e);
    for (int i = 0; s == MV_OK && i < c->grid_count; i++) {
        const mv_ablate_grid *g = &c->grids[i];
        if (g->map)
            s = mv_page_check_map(g->map, "the map of a grid", e);
        else
            s = mv_page_check_count(g->columns, 1, MOST_COLUMNS, "columns", e);
        if (s == MV_OK && !g->map)
            s = mv_page_check_count(g->rows, 1, MOST_COLUMNS, "rows", e);
    }
    return s;
}

/* ---- places side by side */

enum { MOST_PLACES = 3 };

typedef struct {
    int n;
    mv_panel *place[MOST_PLACES];
} places;

static void add_place(places *to, mv_panel *p)
{
    if (p && to->n < MOST_PLACES)
        to->place[to->n++] = p;
}

static void add_lines(mv_page *p, mv_panel *column, const places *of)
{
    mv_layout *l = p->layout;
    int columns = p->inner >= WIDE_PAGE ? 3 : 2;
    for (int from = 0; from < of->n; from += columns) {
        mv_panel *row = mv_panel_row(l, GUTTER, MV_TOP);
        for (int i = from; i < from + columns; i++)
            mv_panel_add(row, i < of->n ? of->place[i] : mv_panel_space(l, 0));
        if (from > 0)
            mv_panel_add(column, mv_panel_space(l, 24));
        mv_panel_add(column, row);
    }
}

static mv_panel *titled(mv_page *p, const char *title, mv_panel *body)
{
    return mv_page_titled(p, title, 2, 8, body);
}

/* ---- the answers */

static mv_panel *probabilities(mv_page *p, const mv_ablate_content *c)
{
    mv_bar_row *rows = mv_layout_memory(p->layout, (size_t)c->class_count * sizeof *rows);
    for (int i = 0; rows && i < c->class_count; i++)
        rows[i] = (mv_bar_row){c->classes[i].name, {c->classes[i].probability[0], c->classes[i].probability[1]}};
    mv_bars chart = {.row = rows,
                     .rows = rows ? c->class_count : 0,
                     .series = 2,
                     .name = {"before", "after"},
                     .across = {.hi = 1},
                     .pitch = 26};
    return titled(p, "Probability", mv_panel_bars(p->layout, &chart));
}

static void add_number(mv_layout *l, mv_panel *row, mv_voice voice, double value)
{
    char text[32];
    const char *words = mv_layout_text(l, "%s", mv_number_text(text, value, 2, true));
    mv_panel_add(row, mv_panel_wide(mv_panel_label_right(l, MV_TYPE_TEXT, voice, words), NUMBER));
}

static mv_panel *logits(mv_page *p, const mv_ablate_content *c)
{
    static const char *const heads[] = {"before", "after", "change"};
    mv_layout *l = p->layout;
    mv_panel *table = mv_panel_column(l), *row = mv_panel_row(l, 8, MV_BASELINE);
    mv_panel_add(row, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, "class", 1));
    for (int i = 0; i < 3; i++)
        mv_panel_add(row, mv_panel_wide(mv_panel_label_right(l, MV_TYPE_SMALL, MV_SECOND, heads[i]), NUMBER));
    mv_panel_add(table, row);
    for (int i = 0; i < c->class_count; i++) {
        const mv_ablate_class *k = &c->classes[i];
        row = mv_panel_row(l, 8, MV_BASELINE);
        mv_panel_add(row, mv_panel_label(l, MV_TYPE_TEXT, MV_INK, k->name, 1));
        add_number(l, row, MV_SECOND, k->logit[0]);
        add_number(l, row, MV_SECOND, k->logit[1]);
        add_number(l, row, MV_INK, k->logit[1] - k->logit[0]);
        mv_panel_add(table, mv_panel_space(l, 4));
        mv_panel_add(table, row);
    }
    return titled(p, "Logits", table);
}

/* One answer alone: a small picture with its classes. */
static void add_answer(mv_page *p, mv_panel *column, const mv_ablate_content *c)
{
    mv_layout *l = p->layout;
    mv_panel *row = mv_panel_row(l, GUTTER, MV_TOP);
    mv_class_bar *bars = mv_layout_memory(l, (size_t)c->class_count * sizeof *bars);
    for (int i = 0; bars && i < c->class_count; i++)
        bars[i] = (mv_class_bar){c->classes[i].name, c->classes[i].probability[0]};
    mv_panel_add(row, mv_panel_wide(mv_panel_picture(l, c->picture), fmin(PHOTO, (p->inner - GUTTER) / 2)));
    if (bars && c->class_count > 0)
        mv_panel_add(row, mv_panel_wide(mv_panel_class_bars(l, bars, c->class_count),
                                        fmin(480, p->inner - GUTTER - fmin(PHOTO, (p->inner - GUTTER) / 2))));
    mv_panel_add(column, row);
}

static void add_answers(mv_page *p, mv_panel *column, const mv_ablate_content *c)
{
    if (!c->edited) {
        add_answer(p, column, c);
        return;
    }
    places answers = {0};
    add_place(&answers, titled(p, "Picture", mv_panel_picture(p->layout, c->picture)));
    bool wide = p->inner >= WIDE_PAGE;
    mv_panel *table = c->class_count > 0 ? logits(p, c) : NULL;
    if (c->class_count > 0)
        add_place(&answers, probabilities(p, c));
    if (wide)
        add_place(&answers, table);
    add_lines(p, column, &answers);
    if (wide || !table)
        return;
    mv_panel_add(column, mv_panel_space(p->layout, 24)); /* its names need the whole width */
    mv_panel_add(column, table);
}

/* ---- the evidence */

static mv_panel *caption(mv_page *p, const mv_map *map, const mv_colouring *k)
{
    mv_layout *l = p->layout;
    mv_extent own = {0};
    char range[80];
    mv_extent_add(&own, map);
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_space(l, 12));
    mv_panel_add(column, mv_panel_colour_bar(l, k, false, MV_BAR_OVERLAY));
    mv_range_text(range, own.lo, own.hi, true);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, mv_layout_text(l, "%s  %s", range, map->unit), 0));
    if (*map->proof)
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_INK, map->proof, 0));
    mv_page_add_odd(p, column, own.odd);
    return column;
}

static void add_evidence(mv_page *p, mv_panel *column, const mv_ablate_content *c)
{
    mv_layout *l = p->layout;
    mv_extent all = {0};
    places maps = {0};
    for (int i = 0; i < c->evidence_count; i++)
        mv_extent_add(&all, &c->evidence[i]);
    mv_colouring k = mv_page_colouring(p, &all);
    for (int i = 0; i < c->evidence_count; i++) {
        const mv_map *map = &c->evidence[i];
        mv_colouring own = mv_page_colouring_of(k, map);
        mv_panel *place = titled(p, map->title, mv_panel_overlay(l, map, c->picture, &own));
        mv_panel_add(place, caption(p, map, &k));
        add_place(&maps, place);
    }
    mv_panel_add(column, mv_panel_space(l, 32));
    add_lines(p, column, &maps);
}

/* ---- the grids */

static mv_extent extent_of(const mv_ablate_grid *g)
{
    mv_extent x = {.maps = 1, .diverging = true};
    if (g->map) {
        x = (mv_extent){0};
        mv_extent_add(&x, g->map);
        return x;
    }
    for (int r = 0; r < g->rows; r++)
        for (int i = 0; i < (g->length ? g->length[r] : g->columns); i++) {
            double v = g->value[(size_t)r * (size_t)g->columns + (size_t)i];
            if (!isfinite(v))
                x.odd++;
            else
                x.lo = fmin(x.lo, v), x.hi = fmax(x.hi, v);
        }
    return x;
}

/* Two decimals, or more where all changes are small. */
static int digits_for(const mv_extent *x)
{
    double most = fmax(fabs(x->lo), fabs(x->hi));
    return most >= 10 ? 1 : most >= 0.1 || most == 0 ? 2 : most >= 0.01 ? 3 : 4;
}

static void add_words(mv_page *p, mv_panel *column, const mv_ablate_grid *g)
{
    mv_layout *l = p->layout;
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_SECTION, MV_INK, g->title, 0));
    if (g->finding && *g->finding)
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_INK, g->finding, 0));
    if (g->note && *g->note)
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, g->note, 0));
    mv_panel_add(column, mv_panel_space(l, 12));
}

/* The bar of a grid, its range and its unit. `fades`: of an overlay. */
static void add_bar(mv_page *p, mv_panel *column, const mv_colouring *k, const mv_extent *x, const char *unit,
                    bool fades, double width)
{
    mv_layout *l = p->layout;
    char range[80];
    mv_panel *bar = mv_panel_column(l), *row = mv_panel_row(l, 0, MV_TOP);
    mv_panel_add(bar, mv_panel_colour_bar(l, k, false, fades ? MV_BAR_OVERLAY : MV_BAR_PLAIN));
    mv_range_text(range, x->lo, x->hi, true);
    mv_panel_add(bar, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, mv_layout_text(l, "%s  %s", range, unit), 0));
    mv_panel_add(column, mv_panel_space(l, 12));
    mv_panel_add(row, mv_panel_wide(bar, fmin(BAR, width)));
    mv_panel_add(column, row);
    mv_page_add_odd(p, column, x->odd);
}

static double width_of(const mv_page *p, const mv_ablate_grid *g)
{
    return fmin(fmax((g->row ? NAMES : 0) + g->columns * CELL, LEAST_GRID), p->inner);
}

static mv_panel *cells(mv_page *p, const mv_ablate_content *c, const mv_ablate_grid *g)
{
    mv_layout *l = p->layout;
    mv_extent x = extent_of(g);
    mv_colouring k = mv_page_colouring(p, &x);
    mv_panel *column = mv_panel_column(l);
    mv_heat heat = {.row = g->row,
                    .rows = g->rows,
                    .column = g->column,
                    .columns = g->columns,
                    .length = g->length,
                    .value = g->value,
                    .k = k,
                    .digits = digits_for(&x),
                    .sign = true,
                    .title = g->across,
                    .cell = g->rows > 16 && g->rows <= LOW_ROWS ? LOW_CELL : 0};
    add_words(p, column, g);
    mv_panel_add(column, mv_panel_heat(l, &heat));
    add_bar(p, column, &k, &x, c->unit, false, width_of(p, g));
    return column;
}

/* Over the picture, and as cells beside it. */
static void add_map(mv_page *p, mv_panel *column, const mv_ablate_content *c, const mv_ablate_grid *g)
{
    mv_layout *l = p->layout;
    mv_extent x = extent_of(g);
    mv_colouring k = mv_page_colouring_of(mv_page_colouring(p, &x), g->map);
    places two = {0};
    mv_panel *overlay = mv_panel_column(l), *plain = mv_panel_column(l);
    mv_panel_add(overlay, mv_panel_overlay(l, g->map, c->picture, &k));
    mv_panel_add(plain, mv_panel_cells(l, g->map, c->picture, &k));
    add_bar(p, overlay, &k, &x, c->unit, true, BAR);
    add_words(p, column, g);
    add_place(&two, overlay);
    add_place(&two, plain);
    add_lines(p, column, &two);
}

/* Grids of cells one after the other, as many in a line as there is room for. */
static void add_grids(mv_page *p, mv_panel *column, const mv_ablate_content *c)
{
    mv_layout *l = p->layout;
    mv_panel *row = NULL;
    double left = 0;
    for (int i = 0; i < c->grid_count; i++) {
        const mv_ablate_grid *g = &c->grids[i];
        double width = width_of(p, g);
        if (g->map) {
            mv_panel_add(column, mv_panel_space(l, 40));
            add_map(p, column, c, g);
            row = NULL;
            continue;
        }
        if (!row || width > left) {
            mv_panel_add(column, mv_panel_space(l, 40));
            row = mv_panel_add(column, mv_panel_row(l, GUTTER, MV_TOP));
            left = p->inner;
        }
        mv_panel_add(row, mv_panel_wide(cells(p, c, g), width));
        left -= width + GUTTER;
    }
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_ablate_content *c = content;
    mv_panel *column = mv_panel_column(p->layout);
    add_answers(p, column, c);
    if (c->evidence_count > 0)
        add_evidence(p, column, c);
    add_grids(p, column, c);
    return column;
}

const mv_page_kind mv_page_ablate = {"ablate", 1600, check, body, .diverging = true};
