#include "viz/page/attention.h"

#include <math.h>

#include "viz/page/page_impl.h"

enum { GUTTER = 28, SIDE = 178, BAR = 60, MOST_ROWS = 256 };

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

static mv_panel *side(mv_page *p, const mv_map *map, int odd)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    char line[96];
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, map->title, 0));
    mv_panel_add(column, mv_panel_space(l, 4));
    for (int i = 0; mv_map_caption(map, i, line); i++)
        mv_panel_add(column, *line ? mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, mv_layout_text(l, "%s", line), 0)
                                   : mv_panel_space(l, 16));
    mv_page_add_odd(p, column, odd);
    return column;
}

static mv_panel *headings(mv_layout *l)
{
    static const char *const names[] = {"Picture", "Attention", "Overlay"};
    mv_panel *row = mv_panel_row(l, GUTTER, MV_TOP);
    mv_panel_add(row, mv_panel_wide(mv_panel_space(l, 0), SIDE));
    for (int i = 0; i < 3; i++)
        mv_panel_add(row, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, names[i], 1));
    mv_panel_add(row, mv_panel_wide(mv_panel_space(l, 0), BAR));
    return row;
}

static mv_panel *map_row(mv_page *p, const mv_attention_content *c, const mv_map *map, const mv_extent *shared)
{
    mv_layout *l = p->layout;
    mv_extent own = {0};
    mv_extent_add(&own, map);
    mv_colouring k = mv_page_colouring_of(mv_page_colouring_even(p, c->shared_scale ? shared : &own), map);
    mv_panel *row = mv_panel_row(l, GUTTER, MV_TOP);
    mv_panel_add(row, mv_panel_wide(side(p, map, own.odd), SIDE));
    mv_panel_add(row, mv_panel_picture(l, c->picture));
    mv_panel_add(row, mv_panel_cells(l, map, c->picture, &k));
    mv_panel *overlay = mv_panel_add(row, mv_panel_overlay(l, map, c->picture, &k));
    mv_panel_add(row, mv_panel_wide(mv_panel_colour_bar_standing(l, &k, true, overlay), BAR));
    return row;
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_attention_content *c = content;
    mv_panel *column = mv_panel_column(p->layout);
    mv_extent all = {0};
    for (int i = 0; i < c->map_count; i++)
        mv_extent_add(&all, &c->maps[i]);
    mv_panel_add(column, headings(p->layout));
    for (int i = 0; i < c->map_count; i++) {
        mv_panel_add(column, mv_panel_space(p->layout, i ? 32 : 8));
        mv_panel_add(column, map_row(p, c, &c->maps[i], &all));
    }
    return column;
}

const mv_page_kind mv_page_attention = {"attention", 1362, check, body, .sequential = true};
