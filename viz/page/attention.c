/* The picture once, then the maps in columns, each beside its overlay:
 *
 *     [picture]   words
 *
 *     Level 2, block 3              Level 2, block 4
 *     [cells]   [overlay]           [cells]   [overlay]
 *     colour bar                    colour bar
 *     words                         words
 *
 * A wide picture has the overlay below the cells.
 */
#include "viz/page/attention.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "viz/page/page_impl.h"

enum {
    GUTTER = 32, /* px between columns */
    GAP = 12,    /* px between a map and its overlay */
    LINE = 40,   /* px between lines of maps */
    FEW = 6,     /* maps that are drawn large */
    MANY = 24,   /* more are drawn small */
    MOST_ROWS = 256,
    PICTURE = 240, /* px of the picture */
    WORDS = 260    /* px of the words beside a wide one */
};

/* px that a map needs beside its overlay: where there are few, many and very many. */
enum { LEAST_OF_FEW = 200, LEAST_OF_MANY = 128, LEAST_OF_MOST = 104 };

/* Width over height of a picture that gets the whole column. */
#define WIDE 2.5

static mv_status check(const void *content, mv_error *e)
{
    const mv_attention_content *c = content;
    mv_status s = mv_page_check_picture(c->picture, "the picture", e);
    if (s == MV_OK)
        s = mv_page_check_count(c->map_count, 1, MOST_ROWS, "maps", e);
    for (int i = 0; s == MV_OK && i < c->map_count; i++)
        s = mv_page_check_map(&c->maps[i], "a map of attention", e);
    return s;
}

/* Columns of the page, and what is in one. */
typedef struct {
    int columns;
    double column, map; /* px */
    bool wide;          /* the overlay stands below the map */
} division;

static division divide(const mv_page *p, const mv_attention_content *c)
{
    division v = {.wide = c->picture->w >= WIDE * c->picture->h};
    bool few = c->map_count <= FEW && p->points <= 0;
    double least = few ? LEAST_OF_FEW : c->map_count <= MANY && p->points <= 0 ? LEAST_OF_MANY : LEAST_OF_MOST;
    int fit = (int)((p->inner + GUTTER) / (2 * least + GAP + GUTTER));
    v.columns = (int)fmax(fmin(fmin(fit, c->map_count), few ? 2 : 4), 1);
    v.column = (p->inner - (v.columns - 1) * GUTTER) / v.columns;
    if (v.columns == 1 && c->map_count <= 2 && !v.wide)
        v.column = fmin(v.column, 1000);
    v.map = v.wide ? v.column : (v.column - GAP) / 2;
    return v;
}

/* The lines of the map's caption up to the empty one on one line, those after it on the next. */
static void add_caption(mv_page *p, mv_panel *column, const mv_map *map)
{
    mv_layout *l = p->layout;
    char line[96];
    mv_panel *flow = mv_panel_add(column, mv_panel_flow(l, 16));
    for (int i = 0; mv_map_caption(map, i, line); i++)
        if (*line)
            mv_panel_add(flow, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, mv_layout_text(l, "%s", line), 0));
        else
            flow = mv_panel_add(column, mv_panel_flow(l, 16));
}

static mv_panel *map_panel(mv_page *p, const mv_attention_content *c, const division *v, const mv_map *map,
                           const mv_extent *shared)
{
    mv_layout *l = p->layout;
    mv_extent own = {0};
    mv_extent_add(&own, map);
    mv_colouring k = mv_page_colouring_of(mv_page_colouring_even(p, shared ? shared : &own), map);
    mv_panel *column = mv_panel_column(l), *pair = v->wide ? mv_panel_column(l) : mv_panel_row(l, GAP, MV_TOP);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, map->title, 0));
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column, pair);
    mv_panel_add(pair, mv_panel_cells(l, map, c->picture, &k));
    if (v->wide)
        mv_panel_add(pair, mv_panel_space(l, 8));
    mv_panel_add(pair, mv_panel_overlay(l, map, c->picture, &k));
    mv_panel_add(column, mv_panel_space(l, 8));
    if (!shared)
        mv_panel_add(column, mv_panel_colour_bar(l, &k, true, MV_BAR_BOTH));
    add_caption(p, column, map);
    mv_page_add_odd(p, column, own.odd);
    return mv_panel_wide(column, v->column);
}

/* The picture, and beside it how to read the maps. */
static mv_panel *head(mv_page *p, const mv_attention_content *c, const division *v, const mv_extent *shared)
{
    mv_layout *l = p->layout;
    mv_panel *row = mv_panel_row(l, GUTTER, MV_TOP), *words = mv_panel_column(l);
    mv_panel_add(row, mv_panel_wide(mv_panel_picture_queries(l, c->picture, c->maps, c->map_count),
                                    v->wide ? fmin(v->column, p->inner - WORDS) : fmin(v->map, PICTURE)));
    mv_panel_add(words, mv_page_picture_words(p, c->picture,
                                              v->wide ? "Each map as cells, and below over the picture."
                                                      : "Each map as cells, and beside over the picture."));
    if (shared) {
        mv_colouring k = mv_page_colouring_even(p, shared);
        mv_panel_add(words, mv_panel_space(l, 12));
        mv_panel_add(words, mv_panel_colour_bar(l, &k, true, MV_BAR_BOTH));
    }
    mv_panel_add(row, words);
    return row;
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_attention_content *c = content;
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_extent all = {0};
    for (int i = 0; i < c->map_count; i++)
        mv_extent_add(&all, &c->maps[i]);
    const mv_extent *shared = c->shared_scale ? &all : NULL;
    division v = divide(p, c);
    mv_panel_add(column, head(p, c, &v, shared));
    for (int from = 0; from < c->map_count; from += v.columns) {
        mv_panel *row = mv_panel_row(l, GUTTER, MV_TOP);
        for (int i = from; i < from + v.columns && i < c->map_count; i++)
            mv_panel_add(row, map_panel(p, c, &v, &c->maps[i], shared));
        mv_panel_add(column, mv_panel_space(l, LINE));
        mv_panel_add(column, row);
    }
    return column;
}

const mv_page_kind mv_page_attention = {"attention", 1362, check, body, .sequential = true, .diverging = true};
