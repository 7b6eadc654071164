/* What a sheet is put together from: scales with their bars, headings, and maps with their captions. */
#include <math.h>
#include <string.h>

#include "viz/page/sheet_impl.h"

enum {
    BAR = 320,           /* px of a bar beside a heading */
    ROOM_FOR_BAR = 800,  /* px of a heading that has its bar beside it */
    ROOM_FOR_UNIT = 240, /* px that a range and a unit need side by side */
    ROOM_FOR_WORDS = 150 /* px that a map needs for a caption under it */
};

const mv_image *mv_sheet_picture(const mv_sheet_content *c, const mv_sheet_item *item)
{
    return item->picture ? item->picture : c->picture;
}

static bool is_even(const mv_map *map)
{
    return strcmp(map->unit, MV_UNIT_EVEN) == 0;
}

/* --- scales ------------------------------------------------------------------------------------ */

mv_sheet_domain mv_sheet_domain_of(const mv_page *p, mv_sheet_run r)
{
    mv_sheet_domain d = {0};
    for (int i = 0; i < r.n; i++) {
        const mv_map *m = mv_sheet_run_map(r, i);
        mv_extent colours = {0};
        if (!m)
            continue;
        if (m->channels == 3) {
            mv_extent_add(&colours, m);
            d.odd += colours.odd;
            continue;
        }
        d.unit = m->unit;
        d.even = is_even(m);
        mv_extent_add(&d.x, m);
    }
    d.odd += d.x.odd;
    d.k = d.even ? mv_page_colouring_even(p, &d.x) : mv_page_colouring(p, &d.x);
    return d;
}

mv_panel *mv_sheet_bar(mv_page *p, const mv_sheet_content *c, const mv_sheet_domain *d, double width)
{
    mv_layout *l = p->layout;
    char range[80];
    if (!d->unit)
        return NULL;
    mv_panel *column = mv_panel_column(l), *words = column;
    mv_range_text(range, d->x.lo, d->x.hi, d->k.scale.diverging);
    mv_panel_add(column, mv_panel_colour_bar(l, &d->k, d->even, c->cells ? MV_BAR_CELLS : MV_BAR_OVERLAY));
    if (width >= ROOM_FOR_UNIT)
        words = mv_panel_add(column, mv_panel_row(l, 12, MV_BASELINE));
    mv_panel_add(words, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, mv_layout_text(l, "%s", range), 0));
    mv_panel_add(words,
                 mv_panel_wide(width >= ROOM_FOR_UNIT ? mv_panel_label_right(l, MV_TYPE_SMALL, MV_SECOND, d->unit)
                                                      : mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, d->unit, 0),
                               MV_NATURAL));
    return column;
}

mv_panel *mv_sheet_heading(mv_page *p, const mv_sheet_content *c, const char *title, const char *note,
                           const mv_sheet_domain *d, double width)
{
    mv_layout *l = p->layout;
    mv_panel *words = mv_panel_column(l), *scale = d ? mv_sheet_bar(p, c, d, fmin(BAR, width)) : NULL;
    bool says = *title || *note || (d && d->odd);
    if (*title)
        mv_panel_add(words, mv_panel_label(l, MV_TYPE_SECTION, MV_INK, title, 0));
    if (*note)
        mv_panel_add(words, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, note, 0));
    if (d)
        mv_page_add_odd(p, words, d->odd);
    if (!scale || !says)
        return scale ? mv_panel_wide(scale, fmin(BAR, width)) : says ? words : NULL;
    if (width < ROOM_FOR_BAR) {
        mv_panel_add(words, mv_panel_space(l, 8));
        mv_panel_add(mv_panel_add(words, mv_panel_row(l, 0, MV_TOP)), mv_panel_wide(scale, fmin(BAR, width)));
        return words;
    }
    mv_panel *row = mv_panel_row(l, 32, MV_TOP);
    mv_panel_add(row, words);
    mv_panel_add(row, mv_panel_wide(scale, BAR));
    return row;
}

/* --- places ------------------------------------------------------------------------------------ */

bool mv_sheet_has_room(const mv_sheet_setting *s)
{
    return s->map >= ROOM_FOR_WORDS;
}

static mv_panel *map_panel(const mv_sheet_setting *s, const mv_sheet_item *item, const mv_sheet_domain *d)
{
    mv_colouring k = mv_page_colouring_of(d->k, item->map);
    const mv_image *picture = mv_sheet_picture(s->c, item);
    return s->c->cells ? mv_panel_cells(s->p->layout, item->map, picture, &k)
                       : mv_panel_overlay(s->p->layout, item->map, picture, &k);
}

/* What stands under a map: its own bar, its range and figures, its proof. */
static void add_caption(const mv_sheet_setting *s, mv_panel *column, const mv_map *m, const mv_sheet_domain *d)
{
    mv_layout *l = s->p->layout;
    if (!s->shared && d->unit) {
        mv_panel_add(column, mv_panel_space(l, 8));
        mv_panel_add(column, mv_sheet_bar(s->p, s->c, d, s->map));
    }
    if (!mv_sheet_has_room(s))
        return;
    mv_extent own = {0};
    char text[96];
    mv_extent_add(&own, m);
    mv_panel *figures = mv_panel_flow(l, 16);
    if (s->shared && m->channels != 3) {
        mv_range_text(text, own.lo, own.hi, m->diverging);
        const char *range = mv_layout_text(l, "%s%s", text, d->even ? "\xc3\x97" : "");
        mv_panel_add(figures, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, range, 0));
    }
    for (int i = 0; mv_map_figure_text(m, i, text); i++)
        mv_panel_add(figures, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, mv_layout_text(l, "%s", text), 0));
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column, figures);
    if (*m->proof)
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_INK, m->proof, 0));
    mv_page_add_odd(s->p, column, own.odd);
}

mv_sheet_line mv_sheet_line_new(mv_layout *l, double gap)
{
    return (mv_sheet_line){mv_panel_row(l, gap, MV_BOTTOM), mv_panel_row(l, gap, MV_TOP)};
}

void mv_sheet_add_line(mv_layout *l, mv_panel *column, const mv_sheet_line *of, bool first)
{
    mv_panel_add(column, mv_panel_space(l, first ? 0 : 24));
    mv_panel_add(column, of->names);
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column, of->pictures);
}

void mv_sheet_add_blank(mv_layout *l, const mv_sheet_line *to)
{
    mv_panel_add(to->names, mv_panel_space(l, 0));
    mv_panel_add(to->pictures, mv_panel_space(l, 0));
}

mv_panel *mv_sheet_name(const mv_sheet_setting *s, const char *name)
{
    if (!name)
        return mv_panel_space(s->p->layout, 0);
    return mv_sheet_has_room(s) ? mv_panel_label(s->p->layout, MV_TYPE_PANEL, MV_INK, name, 0)
                                : mv_panel_label(s->p->layout, MV_TYPE_SMALL, MV_SECOND, name, 0);
}

static void add_file_name(mv_layout *l, mv_panel *column, const char *name)
{
    if (!name || !*name)
        return;
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, name, 0));
}

void mv_sheet_add_map(const mv_sheet_setting *s, const mv_sheet_line *to, const mv_sheet_item *item, const char *name,
                      const char *file_name)
{
    mv_layout *l = s->p->layout;
    if (!item->map) {
        mv_sheet_add_blank(l, to);
        return;
    }
    mv_sheet_domain own = s->shared ? *s->shared : mv_sheet_domain_of(s->p, (mv_sheet_run){item, 1, 1});
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, map_panel(s, item, &own));
    add_file_name(l, column, file_name);
    add_caption(s, column, item->map, &own);
    mv_panel_add(to->names, mv_sheet_name(s, name));
    mv_panel_add(to->pictures, column);
}

void mv_sheet_add_picture(const mv_sheet_setting *s, const mv_sheet_line *to, const mv_image *picture, const char *name,
                          const char *file_name)
{
    mv_layout *l = s->p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_picture(l, picture));
    add_file_name(l, column, file_name);
    mv_panel_add(to->names, mv_sheet_name(s, name));
    mv_panel_add(to->pictures, column);
}
