#include "viz/page/mixer.h"

#include <math.h>
#include <string.h>

#include "viz/page/page_impl.h"
#include "viz/panel/chart.h"

enum {
    MOST_COLUMNS = 12,
    MOST_ROWS = 512,
    MOST_FILM = 64,
    MOST_GRIDS = 8,
    SIDE = 178,          /* px of the words beside a row of maps */
    ROOM_FOR_SIDE = 900, /* px of a page that has them beside, not above */
    GAP = 16,
    LEAST_MAP = 88,   /* px of a map with its bar */
    LEAST_FRAME = 84, /* px of a picture of the film */
    LEAST_MATRIX = 200,
    PICTURE = 280
};

static mv_status check(const void *content, mv_error *e)
{
    const mv_mixer_content *c = content;
    mv_status s = mv_page_check_picture(c->picture, "the picture", e);
    if (!s)
        s = mv_page_check_count(c->column_count, 1, MOST_COLUMNS, "columns", e);
    if (!s)
        s = mv_page_check_count(c->row_count, 1, MOST_ROWS, "blocks", e);
    if (!s)
        s = mv_page_check_count(c->film, 0, MOST_FILM, "pictures of a film", e);
    if (!s)
        s = mv_page_check_count(c->grid_count, 0, MOST_GRIDS, "grids", e);
    for (int i = 0; i < c->row_count && !s; i++)
        for (int k = 0; k < c->column_count && !s; k++)
            if (c->rows[i].map[k])
                s = mv_page_check_map(c->rows[i].map[k], "a map of a mixer", e);
    return s;
}

/* --- scales ------------------------------------------------------------------------------------ */

/* The blocks of a level: neighbours in the list. */
typedef struct {
    const mv_mixer_row *row;
    int n;
} level;

static bool next_level(const mv_mixer_content *c, level *l)
{
    const mv_mixer_row *end = c->rows + c->row_count;
    l->row = l->row ? l->row + l->n : c->rows;
    for (l->n = 0; l->row + l->n < end && l->row[l->n].level == l->row->level; l->n++)
        ;
    return l->n > 0;
}

static const mv_map *first_map(level l, int column)
{
    for (int i = 0; i < l.n; i++)
        if (l.row[i].map[column])
            return l.row[i].map[column];
    return NULL;
}

static const mv_map *any_map(const mv_mixer_content *c, level l)
{
    const mv_map *any = NULL;
    for (int i = 0; i < c->column_count && !any; i++)
        any = first_map(l, i);
    return any;
}

static mv_colouring colouring(const mv_page *p, mv_mixer_look look, const mv_extent *x)
{
    mv_extent around = *x;
    around.diverging = true;
    switch (look) {
    case MV_MIXER_CELLS: return mv_page_colouring_states(p, x);
    case MV_MIXER_EVEN: return mv_page_colouring_even(p, x);
    default: return mv_page_colouring(p, &around);
    }
}

static mv_colouring column_colouring(const mv_page *p, const mv_mixer_content *c, level l, int column)
{
    mv_extent x = {0};
    for (int i = 0; i < l.n; i++)
        if (l.row[i].map[column])
            mv_extent_add(&x, l.row[i].map[column]);
    return mv_page_colouring_of(colouring(p, c->columns[column].look, &x), first_map(l, column));
}

/* "0.31 to 2.90x": both ends with the decimals that the smaller one needs, as 0.31x is as far from 1x as 3.2x is. */
static const char *ratio_words(mv_layout *l, double lo, double hi)
{
    int decimals = lo >= 10 ? 0 : lo >= 1 ? 1 : lo >= 0.1 ? 2 : 3;
    if (lo < 0.01 || hi >= 1000)
        return mv_layout_text(l, "%.1e to %.1e\xc3\x97", lo, hi);
    return mv_layout_text(l, "%.*f to %.*f\xc3\x97", decimals, lo, decimals, hi);
}

static const char *range_words(mv_layout *l, mv_mixer_look look, const mv_extent *x)
{
    char text[80];
    if (look == MV_MIXER_LOG2)
        return ratio_words(l, exp2(x->lo), exp2(x->hi));
    mv_range_text(text, x->lo, x->hi, look == MV_MIXER_SIGNED);
    return mv_layout_text(l, "%s%s", text, look == MV_MIXER_EVEN ? "\xc3\x97" : "");
}

/* --- rows of maps ------------------------------------------------------------------------------ */

static mv_panel *tile(mv_page *p, const mv_mixer_content *c, const mv_map *map, int column, mv_colouring k)
{
    mv_layout *l = p->layout;
    mv_mixer_look look = c->columns[column].look;
    if (!map)
        return mv_panel_space(l, 0);
    mv_extent own = {0};
    mv_extent_add(&own, map);
    mv_panel *place = mv_panel_column(l);
    mv_panel *drawn = look == MV_MIXER_EVEN || look == MV_MIXER_SIGNED ? mv_panel_overlay(l, map, c->picture, &k)
                                                                       : mv_panel_cells(l, map, c->picture, &k);
    mv_panel_add(place, drawn);
    mv_panel_add(place, mv_panel_space(l, 2));
    mv_panel_add(place, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, range_words(l, look, &own), 0));
    mv_page_add_odd(p, place, own.odd);
    return place;
}

static mv_panel *words_of(mv_page *p, const mv_mixer_row *row)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, mv_layout_text(l, "Block %d", row->block), 0));
    for (const char *line = row->note; line && *line;) {
        int n = (int)strcspn(line, "\n");
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, mv_layout_text(l, "%.*s", n, line), 0));
        line += line[n] ? n + 1 : n;
    }
    if (isfinite(row->scan_share)) {
        double percent = 100 * row->scan_share;
        mv_panel_add(column, mv_panel_space(l, 8));
        mv_panel_add(column, mv_panel_split(l, row->scan_share, mv_layout_text(l, "scan %.0f %%", percent),
                                            mv_layout_text(l, "local %.0f %%", 100 - percent)));
    }
    return column;
}

static bool has_side(const mv_page *p)
{
    return p->inner >= ROOM_FOR_SIDE;
}

static mv_panel *new_row(mv_page *p, mv_align align)
{
    return mv_panel_row(p->layout, GAP, align);
}

/* Columns `from` to `to` of a level, in `places` places. */
static void add_band(mv_page *p, const mv_mixer_content *c, level lv, int from, int to, int places, mv_panel *column)
{
    mv_layout *l = p->layout;
    mv_colouring k[MOST_COLUMNS];
    mv_panel *names = new_row(p, MV_BOTTOM), *bars = new_row(p, MV_TOP);
    if (has_side(p)) {
        mv_panel_add(names, mv_panel_wide(mv_panel_space(l, 0), SIDE));
        mv_panel_add(bars, mv_panel_wide(mv_panel_space(l, 0), SIDE));
    }
    for (int i = from; i < from + places; i++) {
        bool shown = i < to && first_map(lv, i);
        const mv_mixer_column *of = &c->columns[i < to ? i : 0];
        bool overlay = of->look == MV_MIXER_EVEN || of->look == MV_MIXER_SIGNED;
        if (shown)
            k[i] = column_colouring(p, c, lv, i);
        mv_panel *bar = shown ? mv_panel_column(l) : mv_panel_space(l, 0);
        if (shown) {
            mv_panel_add(
                bar, mv_panel_colour_bar(l, &k[i], of->look == MV_MIXER_EVEN, overlay ? MV_BAR_OVERLAY : MV_BAR_CELLS));
            const char *unit = of->look == MV_MIXER_EVEN ? mv_layout_text(l, "%s; lines: 2, 4, 8", of->unit) : of->unit;
            mv_panel_add(bar, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, unit, 0));
        }
        mv_panel_add(names, shown
                                ? mv_panel_label(l, has_side(p) ? MV_TYPE_PANEL : MV_TYPE_STRONG, MV_INK, of->title, 2)
                                : mv_panel_space(l, 0));
        mv_panel_add(bars, bar);
    }
    mv_panel_add(column, names);
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column, bars);
    for (int b = 0; b < lv.n; b++) {
        mv_panel *row = new_row(p, MV_TOP);
        mv_panel_add(column, mv_panel_space(l, b ? 20 : 8));
        if (has_side(p))
            mv_panel_add(row, mv_panel_wide(from ? mv_panel_space(l, 0) : words_of(p, &lv.row[b]), SIDE));
        else
            mv_panel_add(column, from ? mv_panel_label(l, MV_TYPE_STRONG, MV_INK,
                                                       mv_layout_text(l, "Block %d", lv.row[b].block), 1)
                                      : words_of(p, &lv.row[b]));
        mv_panel_add(column, mv_panel_space(l, has_side(p) ? 0 : 4));
        for (int i = from; i < from + places; i++)
            mv_panel_add(row,
                         i < to && first_map(lv, i) ? tile(p, c, lv.row[b].map[i], i, k[i]) : mv_panel_space(l, 0));
        mv_panel_add(column, row);
    }
}

/* --- the film ---------------------------------------------------------------------------------- */

static void add_film(mv_page *p, const mv_mixer_content *c, level lv, mv_panel *column)
{
    mv_layout *l = p->layout;
    mv_extent x = {0};
    for (int i = 0; i < lv.n; i++)
        if (lv.row[i].state)
            mv_extent_add(&x, lv.row[i].state);
    if (c->film == 0 || x.maps == 0)
        return;
    double room = p->inner - (has_side(p) ? SIDE + GAP : 0);
    int line = (int)fmax(1, floor((room + GAP) / (LEAST_FRAME + GAP))), lines = (c->film + line - 1) / line;
    line = (c->film + lines - 1) / lines;
    const mv_map *any = lv.row->state;
    bool several = any && any->down * any->across > 1;
    mv_panel_add(column, mv_panel_space(l, 28));
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_PANEL, MV_INK,
                                        several ? "The state norm as the scan passes: all windows at the same time, "
                                                  "each from an empty state, row by row"
                                                : "The state norm as the scan passes, row by row",
                                        0));
    for (int b = 0; b < lv.n; b++) {
        const mv_mixer_row *of = &lv.row[b];
        if (!of->state)
            continue;
        mv_colouring k = mv_page_colouring_of(mv_page_colouring_states(p, &x), of->state);
        int tokens = mv_page_tokens(of->state);
        for (int from = 0; from < c->film; from += line) {
            mv_panel *row = new_row(p, MV_TOP);
            mv_panel *name = mv_panel_label(l, MV_TYPE_STRONG, MV_INK, mv_layout_text(l, "Block %d", of->block), 1);
            mv_panel_add(column, mv_panel_space(l, 12));
            if (has_side(p))
                mv_panel_add(row, mv_panel_wide(from ? mv_panel_space(l, 0) : name, SIDE));
            else if (from == 0)
                mv_panel_add(column, name);
            for (int i = from; i < from + line; i++) {
                mv_panel *place = mv_panel_column(l);
                int scanned = (int)lround((double)(i + 1) * tokens / c->film);
                mv_panel_add(row, i < c->film ? place : mv_panel_space(l, 0));
                if (i >= c->film)
                    continue;
                mv_panel_add(place, mv_panel_scan(l, of->state, c->picture, &k, scanned, false));
                mv_panel_add(place, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND,
                                                   mv_layout_text(l, "%d of %d", scanned, tokens), 1));
            }
            mv_panel_add(column, row);
        }
    }
}

/* --- matrices ---------------------------------------------------------------------------------- */

static void add_matrices(mv_page *p, const mv_mixer_content *c, level lv, int which, mv_panel *column)
{
    mv_layout *l = p->layout;
    mv_extent x = {0};
    int n = 0;
    for (int i = 0; i < lv.n; i++)
        if (lv.row[i].matrix[which]) {
            mv_extent_add(&x, lv.row[i].matrix[which]);
            n++;
        }
    if (n == 0)
        return;
    mv_scale_kind kind = p->style.scale == MV_SCALE_AUTO ? x.diverging ? MV_SCALE_SQRT : MV_SCALE_LOG : p->style.scale;
    mv_colouring k = {.table = x.diverging ? p->diverging : p->sequential,
                      .scale = mv_scale_of(kind, x.lo, x.hi, x.diverging)};
    int line = (int)fmin(4, fmax(1, floor((p->inner + 2 * GAP) / (LEAST_MATRIX + 2 * GAP))));
    mv_panel *head = mv_panel_row(l, 2 * GAP, MV_TOP);
    const mv_map *any = any_map(c, lv);
    int windows = any ? any->down * any->across : 1;
    const char *title = c->matrix_title[which] ? c->matrix_title[which] : "";
    if (windows > 1)
        title = mv_layout_text(l, "%s, mean of %d windows", title, windows);
    mv_panel_add(head, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, title, 0));
    mv_panel_add(head,
                 mv_panel_wide(mv_panel_colour_bar(l, &k, false, MV_BAR_PLAIN), p->inner >= ROOM_FOR_SIDE ? 320 : 200));
    mv_panel_add(column, mv_panel_space(l, 28));
    mv_panel_add(column, head);
    mv_panel *row = NULL;
    int used = 0;
    for (int i = 0; i < lv.n; i++) {
        const mv_mixer_row *of = &lv.row[i];
        if (!of->matrix[which])
            continue;
        if (used++ % line == 0) {
            mv_panel_add(column, mv_panel_space(l, 12));
            row = mv_panel_add(column, mv_panel_row(l, 2 * GAP, MV_TOP));
        }
        mv_panel *place = mv_panel_add(row, mv_panel_column(l));
        mv_matrix m = {.v = of->matrix[which]->v,
                       .rows = of->matrix[which]->h,
                       .columns = of->matrix[which]->w,
                       .k = k,
                       .across = "from token",
                       .down = "to token"};
        mv_panel_add(place, mv_panel_label(l, MV_TYPE_STRONG, MV_INK, mv_layout_text(l, "Block %d", of->block), 1));
        mv_panel_add(place, mv_panel_matrix(l, &m));
    }
    for (; used % line; used++)
        mv_panel_add(row, mv_panel_space(l, 0));
}

/* --- sections ---------------------------------------------------------------------------------- */

/* "14 x 14 cells of 16 px, one window, no padding" */
static const char *geometry(mv_layout *l, const mv_map *map)
{
    char cells[96], windows[96], padding[96];
    if (!map)
        return "";
    mv_map_words(map, MV_MAP_CELLS, cells);
    mv_map_words(map, MV_MAP_WINDOWS, windows);
    mv_map_words(map, MV_MAP_PADDING, padding);
    return mv_layout_text(l, "%s, %s, %s", cells, windows, padding);
}

static mv_panel *level_panel(mv_page *p, const mv_mixer_content *c, level lv)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l), *heading = mv_panel_row(l, 20, MV_BASELINE);
    const mv_map *any = any_map(c, lv);
    mv_panel_add(column, mv_panel_hairline(l));
    mv_panel_add(column, mv_panel_space(l, 12));
    mv_panel_add(heading, mv_panel_wide(mv_panel_label(l, MV_TYPE_SECTION, MV_INK,
                                                       mv_layout_text(l, "Level %d", lv.row->level), 1),
                                        MV_NATURAL));
    mv_panel_add(heading, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, geometry(l, any), 0));
    mv_panel_add(column, heading);
    double room = p->inner - (has_side(p) ? SIDE + GAP : 0);
    int places = (int)fmax(1, floor((room + GAP) / (LEAST_MAP + GAP)));
    int bands = (c->column_count + places - 1) / places;
    places = (c->column_count + bands - 1) / bands;
    for (int from = 0; from < c->column_count; from += places) {
        int to = from + places < c->column_count ? from + places : c->column_count;
        mv_panel_add(column, mv_panel_space(l, from ? 28 : 12));
        add_band(p, c, lv, from, to, places, column);
    }
    add_film(p, c, lv, column);
    add_matrices(p, c, lv, 0, column);
    add_matrices(p, c, lv, 1, column);
    return column;
}

static mv_panel *definition(mv_page *p, const mv_mixer_column *of)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_STRONG, MV_INK, of->title, 0));
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, of->summary, 0));
    mv_panel_add(column, mv_panel_space(l, 12));
    return column;
}

/* The picture, and beside it what the columns show. */
static mv_panel *head(mv_page *p, const mv_mixer_content *c)
{
    mv_layout *l = p->layout;
    mv_panel *row = mv_panel_row(l, 32, MV_TOP), *left = mv_panel_column(l);
    double wide = c->picture->w >= 1.5 * c->picture->h ? 1.5 * PICTURE : PICTURE;
    mv_panel_add(left, mv_panel_picture(l, c->picture));
    if (c->picture_title)
        mv_panel_add(left, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, c->picture_title, 0));
    mv_panel_add(row, mv_panel_wide(left, fmin(wide, p->inner / 2)));
    int columns = p->inner >= 1200 ? 3 : p->inner >= 800 ? 2 : 1, shown = 0, each;
    for (int i = 0; i < c->column_count; i++)
        shown += c->columns[i].summary != NULL;
    each = (shown + columns - 1) / columns;
    mv_panel *at = NULL;
    for (int i = 0, k = 0; i < c->column_count; i++) {
        if (!c->columns[i].summary)
            continue;
        if (k++ % each == 0)
            at = mv_panel_add(row, mv_panel_column(l));
        mv_panel_add(at, definition(p, &c->columns[i]));
    }
    return row;
}

static mv_panel *grid(mv_page *p, const mv_mixer_grid *g)
{
    mv_colouring k = {.table = g->around_zero ? p->diverging : mv_page_table_of_states(p),
                      .scale = mv_scale_of(MV_SCALE_LINEAR, g->around_zero ? -1 : 0, 1, g->around_zero)};
    mv_heat heat = {.row = g->row,
                    .rows = g->rows,
                    .column = g->column,
                    .columns = g->columns,
                    .value = g->value,
                    .k = k,
                    .digits = 2};
    return mv_page_titled(p, g->title, 0, 4, mv_panel_heat(p->layout, &heat));
}

static void add_grids(mv_page *p, const mv_mixer_content *c, mv_panel *column)
{
    mv_layout *l = p->layout;
    if (c->grid_count == 0)
        return;
    mv_panel_add(column, mv_panel_space(l, 32));
    mv_panel_add(column, mv_page_section(p, c->grids_title ? c->grids_title : "", 12));
    if (c->grids_note)
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, c->grids_note, 0));
    int line = has_side(p) ? 2 : 1;
    mv_panel *row = NULL;
    for (int i = 0; i < c->grid_count; i++) {
        if (i % line == 0) {
            mv_panel_add(column, mv_panel_space(l, 16));
            row = mv_panel_add(column, mv_panel_row(l, 40, MV_TOP));
        }
        mv_panel_add(row, grid(p, &c->grids[i]));
    }
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_mixer_content *c = content;
    mv_panel *column = mv_panel_column(p->layout);
    mv_panel_add(column, head(p, c));
    for (level lv = {0}; next_level(c, &lv);) {
        mv_panel_add(column, mv_panel_space(p->layout, 24));
        mv_panel_add(column, level_panel(p, c, lv));
    }
    add_grids(p, c, column);
    return column;
}

const mv_page_kind mv_page_mixer = {"mixer", 1600, check, body, .sequential = true, .diverging = true};
