#include "viz/page/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "viz/page/page_impl.h"
#include "viz/panel/chart.h"

enum {
    GUTTER = 32,
    MOST_PAIRS = 64,
    MOST_CLASSES = 20,
    MOST_BLOCKS = 128,
    MOST_SITES = 4096,
    SHOWN_SITES = 16, /* rows of the table below the curve */
    NARROW = 1000,    /* px of the page below which there are three columns, and words stand under the grid of blocks */
    PHOTO = 300       /* px of a picture without maps */
};

/* Distances are drawn from 1e-9 to 10. */
#define LEAST_POWER (-9)
#define MOST_POWER  1

static mv_status check(const void *content, mv_error *e)
{
    const mv_compare_content *c = content;
    mv_status s = mv_page_check_count(c->pair_count, 0, MOST_PAIRS, "pairs of maps", e);
    for (int i = 0; s == MV_OK && i < 2; i++) {
        s = mv_page_check_count(c->side[i].top_count, 0, MOST_CLASSES, "classes", e);
        if (s == MV_OK && (c->side[i].picture || c->pair_count || i == 0))
            s = mv_page_check_picture(c->side[i].picture, "the picture of a side", e);
    }
    for (int i = 0; s == MV_OK && i < c->pair_count; i++) {
        const mv_map *maps[] = {c->pairs[i].a, c->pairs[i].b, c->pairs[i].difference};
        for (int k = 0; s == MV_OK && k < 3; k++)
            s = mv_page_check_map(maps[k], "a map of a pair", e);
        if (s == MV_OK && strcmp(maps[0]->unit, maps[1]->unit) != 0)
            s = mv_fail(e, MV_EINPUT, "compare page: found maps in '%s' and in '%s', expected one unit", maps[0]->unit,
                        maps[1]->unit);
    }
    if (s == MV_OK && c->grid)
        s = mv_page_check_count(c->grid->rows, 1, MOST_BLOCKS, "blocks", e);
    if (s == MV_OK && c->grid)
        s = mv_page_check_count(c->grid->columns, 1, MOST_BLOCKS, "blocks", e);
    return s == MV_OK ? mv_page_check_count(c->site_count, 0, MOST_SITES, "sites", e) : s;
}

/* --- pictures and answers ---------------------------------------------------------------------- */

static mv_panel *picture(mv_page *p, const char *title, const mv_image *image)
{
    return mv_page_titled(p, title, 2, 8, mv_panel_picture(p->layout, image));
}

static mv_panel *answer(mv_page *p, const mv_compare_side *s, bool named)
{
    return mv_page_titled(p, named ? mv_layout_text(p->layout, "Answer of %s", s->who) : "Answer", 2, 8,
                          mv_panel_class_bars(p->layout, s->top, s->top_count));
}

static bool is_one(const mv_compare_content *c)
{
    return !c->side[1].picture || c->side[0].picture == c->side[1].picture;
}

/* The answers, one below the other. */
static mv_panel *answers(mv_page *p, const mv_compare_content *c)
{
    mv_panel *column = mv_panel_column(p->layout);
    bool both = c->side[1].top_count > 0;
    for (int i = 0; i < (both ? 2 : 1); i++) {
        mv_panel_add(column, mv_panel_space(p->layout, i ? 24 : 0));
        mv_panel_add(column, answer(p, &c->side[i], both));
    }
    return column;
}

static void add_answers_beside(mv_page *p, const mv_compare_content *c, mv_panel *row)
{
    bool both = c->side[1].top_count > 0, room = p->inner > NARROW; /* for an empty column, which keeps the grid */
    for (int i = 0; i < (both || room ? 2 : 1); i++)
        mv_panel_add(row, i == 0 || both ? answer(p, &c->side[i], both) : mv_panel_space(p->layout, 0));
}

/* One picture beside its answers, or two pictures. */
static mv_panel *head(mv_page *p, const mv_compare_content *c)
{
    mv_layout *l = p->layout;
    const mv_compare_side *a = &c->side[0], *b = &c->side[1];
    mv_panel *row = mv_panel_row(l, GUTTER, MV_TOP);
    if (is_one(c)) {
        mv_panel_add(row, mv_panel_wide(picture(p, "Picture", a->picture), fmin(PHOTO, floor(p->inner / 2.5))));
        add_answers_beside(p, c, row);
        return row;
    }
    mv_panel_add(row, picture(p, a->name, a->picture));
    mv_panel_add(row, picture(p, b->name, b->picture));
    mv_panel_add(row, answers(p, c));
    return row;
}

/* --- maps -------------------------------------------------------------------------------------- */

static bool is_even(const mv_map *map)
{
    return strcmp(map->unit, MV_UNIT_EVEN) == 0;
}

static mv_panel *caption(mv_page *p, const mv_map *map, const mv_colouring *k, bool times, bool fades)
{
    mv_layout *l = p->layout;
    mv_extent own = {0};
    char range[80];
    mv_panel *column = mv_panel_column(l);
    mv_extent_add(&own, map);
    mv_range_text(range, own.lo, own.hi, k->scale.diverging);
    mv_panel_add(column, mv_panel_colour_bar(l, k, times, fades ? MV_BAR_OVERLAY : MV_BAR_CELLS));
    mv_panel *line = mv_panel_add(column, mv_panel_flow(l, 12));
    mv_panel_add(line, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, mv_layout_text(l, "%s", range), 1));
    mv_panel_add(line, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, map->unit, 1));
    if (k->scale.diverging)
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, "lines: dashed below 0", 0));
    if (*map->proof)
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, map->proof, 0));
    mv_page_add_odd(p, column, own.odd);
    return column;
}

typedef struct {
    mv_panel *titles, *pictures, *captions;
} line;

static void add_place(mv_page *p, const line *to, const char *title, const char *words, mv_panel *map, mv_panel *below)
{
    mv_layout *l = p->layout;
    mv_panel *head = mv_panel_column(l);
    mv_panel_add(head, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, title, 2));
    mv_panel_add(head, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, words, 2));
    mv_panel_add(to->titles, head);
    mv_panel_add(to->pictures, map);
    mv_panel_add(to->captions, below);
}

/* What stands before the maps of a pair: the one picture with its answers, before the first. */
typedef enum { LEAD_NONE, LEAD_PICTURE, LEAD_BLANK } lead;

static void add_lead(mv_page *p, const mv_compare_content *c, const line *to, lead first)
{
    mv_layout *l = p->layout;
    if (first == LEAD_PICTURE)
        add_place(p, to, "Picture", " ", mv_panel_picture(l, c->side[0].picture), answers(p, c));
    else if (first == LEAD_BLANK) {
        mv_panel_add(to->titles, mv_panel_space(l, 0));
        mv_panel_add(to->pictures, mv_panel_space(l, 0));
        mv_panel_add(to->captions, mv_panel_space(l, 0));
    }
}

static void add_pair(mv_page *p, const mv_compare_content *c, const mv_compare_pair *pair, lead first, mv_panel *column)
{
    mv_layout *l = p->layout;
    const mv_compare_side *a = &c->side[0], *b = &c->side[1];
    line to = {mv_panel_row(l, GUTTER, MV_BOTTOM), mv_panel_row(l, GUTTER, MV_TOP), mv_panel_row(l, GUTTER, MV_TOP)};
    mv_extent both = {0}, apart = {0};
    mv_extent_add(&both, pair->a);
    mv_extent_add(&both, pair->b);
    mv_extent_add(&apart, pair->difference);
    bool times = is_even(pair->a);
    mv_colouring k = times ? mv_page_colouring_even(p, &both) : mv_page_colouring(p, &both);
    mv_colouring signed_ = mv_page_colouring(p, &apart);
    mv_colouring ka = mv_page_colouring_of(k, pair->a), kb = mv_page_colouring_of(k, pair->b),
                 kd = mv_page_colouring_of(signed_, pair->difference);
    add_lead(p, c, &to, first);
    add_place(p, &to, a->name, pair->a->title, mv_panel_overlay(l, pair->a, a->picture, &ka),
              caption(p, pair->a, &ka, times, true));
    add_place(p, &to, b->name, pair->b->title, mv_panel_overlay(l, pair->b, b->picture, &kb),
              caption(p, pair->b, &kb, times, true));
    mv_panel *below = caption(p, pair->difference, &kd, false, a->picture == b->picture);
    mv_panel_add(below, mv_panel_space(l, 4));
    mv_panel_add(below, mv_panel_label(l, MV_TYPE_STRONG, MV_INK, pair->figures, 0));
    mv_panel_add(below, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, pair->largest, 0));
    /* Two pictures have no photo in common, so the difference stands alone, in cells. */
    add_place(p, &to, "Difference", mv_layout_text(l, "%s less %s", b->name, a->name),
              a->picture == b->picture ? mv_panel_overlay(l, pair->difference, a->picture, &kd)
                                       : mv_panel_cells(l, pair->difference, a->picture, &kd),
              below);
    mv_panel_add(column, to.titles);
    mv_panel_add(column, mv_panel_space(l, 8));
    mv_panel_add(column, to.pictures);
    mv_panel_add(column, mv_panel_space(l, 16));
    mv_panel_add(column, to.captions);
}

/* --- CKA --------------------------------------------------------------------------------------- */

static mv_panel *grid_words(mv_page *p, const mv_compare_content *c, const mv_colouring *k)
{
    mv_layout *l = p->layout;
    mv_panel *words = mv_panel_column(l);
    mv_panel_add(words, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND,
                                       mv_layout_text(l,
                                                      "Linear CKA: 1 where two blocks hold the same features, also "
                                                      "rotated and scaled. Rows: level.block of %s; columns: of %s.",
                                                      c->side[0].who, c->side[1].who),
                                       0));
    mv_panel_add(words, mv_panel_space(l, 8));
    mv_panel_add(words, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, c->grid->note, 0));
    mv_panel_add(words, mv_panel_space(l, 12));
    mv_panel_add(words, mv_panel_colour_bar(l, k, false, MV_BAR_PLAIN));
    return words;
}

static mv_panel *grid(mv_page *p, const mv_compare_content *c)
{
    mv_layout *l = p->layout;
    const mv_compare_grid *g = c->grid;
    mv_colouring k = {.table = p->sequential, .scale = mv_scale_of(MV_SCALE_LINEAR, 0, 1, false)};
    mv_heat heat = {.row = g->row,
                    .rows = g->rows,
                    .column = g->column,
                    .columns = g->columns,
                    .value = g->value,
                    .k = k,
                    .digits = 2,
                    .title = mv_layout_text(l, "level.block of %s", c->side[1].who)};
    mv_panel *column = mv_page_section(p, "How alike the blocks are", 8);
    mv_panel_add(column, mv_panel_space(l, 12));
    if (p->width < NARROW) {
        mv_panel_add(column, mv_panel_heat(l, &heat));
        mv_panel_add(column, mv_panel_space(l, 12));
        mv_panel_add(column, grid_words(p, c, &k));
        return column;
    }
    mv_panel *row = mv_panel_add(column, mv_panel_row(l, GUTTER, MV_TOP));
    mv_panel_add(row, mv_panel_wide(mv_panel_heat(l, &heat), floor((p->inner - GUTTER) * 0.7)));
    mv_panel_add(row, grid_words(p, c, &k));
    return column;
}

/* --- sites ------------------------------------------------------------------------------------- */

static double power_of(double distance)
{
    double power = distance > 0 ? log10(distance) : LEAST_POWER;
    return fmin(fmax(power, LEAST_POWER), MOST_POWER);
}

/* The curve over the sites. */
static mv_panel *curve(mv_page *p, const mv_compare_content *c)
{
    mv_layout *l = p->layout;
    int n = c->site_count;
    double *y = mv_layout_memory(l, (size_t)n * sizeof *y);
    const char **name = mv_layout_memory(l, (size_t)n * sizeof *name);
    mv_series *series = mv_layout_memory(l, sizeof *series);
    if (!y || !name || !series)
        return NULL;
    double lo = power_of(c->tolerance), hi = lo;
    for (int i = 0; i < n; i++) {
        y[i] = power_of(c->sites[i].distance);
        name[i] = c->sites[i].name;
        lo = fmin(lo, y[i]);
        hi = fmax(hi, y[i]);
    }
    *series = (mv_series){.y = y, .marks = n <= 200};
    mv_curves chart = {.n = n,
                       .series = series,
                       .count = 1,
                       .across = {.names = name, .name_count = n},
                       .up = {.title = "relative L2 of the values; the line is the tolerance",
                              .lo = floor(lo),
                              .hi = fmax(ceil(hi), floor(lo) + 1),
                              .powers = true,
                              .line = true,
                              .at = power_of(c->tolerance)},
                       .height = 300};
    return mv_panel_curves(l, &chart);
}

static void add_row(mv_layout *l, mv_panel *column, mv_voice voice, const char *const text[4])
{
    static const double share[] = {0, 130, 110, 0};
    mv_panel *row = mv_panel_add(column, mv_panel_row(l, 16, MV_BASELINE));
    for (int i = 0; i < 4; i++) {
        mv_panel *cell = mv_panel_label(l, MV_TYPE_TEXT, voice, text[i], 0);
        mv_panel_add(row, share[i] > 0 ? mv_panel_wide(cell, share[i]) : cell);
    }
}

/* The sites that are furthest apart, in order of the network. */
static mv_panel *table(mv_page *p, const mv_compare_content *c)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column,
                 mv_panel_label(l, MV_TYPE_PANEL, MV_INK,
                                c->site_count <= SHOWN_SITES ? "All sites" : "The sites that are furthest apart", 0));
    mv_panel_add(column, mv_panel_space(l, 8));
    add_row(l, column, MV_SECOND, (const char *[]){"site", "relative L2", "cosine", "largest difference, and where"});
    mv_panel_add(column, mv_panel_hairline(l));
    mv_panel_add(column, mv_panel_space(l, 4));
    for (int i = 0; i < c->site_count; i++) {
        const mv_compare_site *t = &c->sites[i];
        int further = 0;
        for (int k = 0; k < c->site_count; k++)
            further += c->sites[k].distance > t->distance || (k < i && !(c->sites[k].distance < t->distance));
        if (further < SHOWN_SITES)
            add_row(l, column, t->stands_out ? MV_INK : MV_SECOND,
                    (const char *[]){t->name, t->relative, t->cosine, t->largest});
    }
    return column;
}

static mv_panel *sites(mv_page *p, const mv_compare_content *c)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_page_section(p, "How far the values are apart", 8);
    mv_panel_add(column, mv_panel_space(l, 12));
    mv_panel_add(column, curve(p, c));
    mv_panel_add(column, mv_panel_space(l, 24));
    mv_panel_add(column, table(p, c));
    return column;
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_compare_content *c = content;
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    bool leads = c->pair_count && is_one(c) && p->width >= NARROW;
    if (!leads)
        mv_panel_add(column, head(p, c));
    for (int i = 0; i < c->pair_count; i++) {
        mv_panel_add(column, mv_panel_space(l, i || !leads ? 36 : 0));
        add_pair(p, c, &c->pairs[i], !leads ? LEAD_NONE : i ? LEAD_BLANK : LEAD_PICTURE, column);
    }
    if (c->grid) {
        mv_panel_add(column, mv_panel_space(l, 36));
        mv_panel_add(column, grid(p, c));
    }
    if (c->site_count) {
        mv_panel_add(column, mv_panel_space(l, 36));
        mv_panel_add(column, sites(p, c));
    }
    return column;
}

const mv_page_kind mv_page_compare = {"compare", 1600, check, body, .sequential = true, .diverging = true};
