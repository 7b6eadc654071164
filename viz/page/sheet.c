/* The layout of a sheet: sections of maps, tables, and the words around them. */
#include <math.h>
#include <string.h>

#include "viz/page/sheet_impl.h"

enum {
    MOST_ITEMS = 512,
    MOST_COLUMNS = 12,
    GAP = 24,             /* px between maps */
    NARROW_GAP = 12,      /* px between thumbnails */
    LEAST_MAP = 64,       /* px that a map needs at all */
    LEAST_WITH_BAR = 120, /* px that it needs with a bar of its own */
    LEAST_SECTION = 200   /* px that a section needs for its heading */
};

/* Pictures that are wider get half the columns. */
#define WIDE 1.5

/* --- galleries --------------------------------------------------------------------------------- */

/* The picture of all items; NULL where there are several. */
static const mv_image *common_picture(const mv_sheet_content *c)
{
    const mv_image *picture = mv_sheet_picture(c, c->items);
    for (int i = 1; i < c->item_count; i++)
        if (mv_sheet_picture(c, &c->items[i]) != picture)
            return NULL;
    return picture;
}

static bool all_wide(const mv_sheet_content *c)
{
    for (int i = 0; i < c->item_count; i++) {
        const mv_image *picture = mv_sheet_picture(c, &c->items[i]);
        if (picture->w < WIDE * picture->h)
            return false;
    }
    return true;
}

/* The section that follows `r`; false after the last. Start with {0}. */
static bool next_section(const mv_sheet_content *c, mv_sheet_run *r)
{
    const mv_sheet_item *end = c->items + c->item_count, *from = r->first ? r->first + r->n : c->items;
    *r = (mv_sheet_run){from, 0, 1};
    while (from + r->n < end && mv_sheet_same_section(c->sections, from->map, from[r->n].map))
        r->n++;
    return r->n > 0;
}

/* How a gallery is divided: a grid of columns, of which a section takes as many as it has maps. */
typedef struct {
    int columns;
    double gap, map;  /* px */
    double narrowest; /* px of the narrowest section: the headings of all are set alike */
} division;

static division divided(const mv_page *p, int columns)
{
    double gap = p->inner / columns > 240 ? GAP : NARROW_GAP;
    return (division){columns, gap, (p->inner - (columns - 1) * gap) / columns, p->inner};
}

static double width_of(const division *v, int places)
{
    return places * v->map + (places - 1) * v->gap;
}

/* Columns that a section of n places takes. */
static int columns_of(const mv_sheet_content *c, const division *v, int n)
{
    if (c->sections == MV_SHEET_PLAIN)
        return v->columns;
    while (n < v->columns && width_of(v, n) < LEAST_SECTION)
        n++;
    return n < v->columns ? n : v->columns;
}

static int places_of(const mv_sheet_content *c, mv_sheet_run r)
{
    return r.n + (r.first == c->items && common_picture(c));
}

/* The share of the places that stay empty. */
static double waste(const mv_sheet_content *c, const division *v)
{
    int lines = 0, used = 0, left = 0;
    for (mv_sheet_run r = {0}; next_section(c, &r);) {
        int n = places_of(c, r), take = columns_of(c, v, n);
        if (take > left) {
            lines += (n + take - 1) / take;
            left = v->columns;
        }
        left -= take;
        used += n;
    }
    return 1 - (double)used / (lines * v->columns);
}

/* As many columns as suit the number of maps, or somewhat fewer where that leaves less empty. */
static division divide(const mv_page *p, const mv_sheet_content *c)
{
    int n = c->item_count + (common_picture(c) != NULL);
    int fit = n <= 4 ? (n < 2 ? 2 : n) : n <= 6 ? 3 : n <= 12 ? 4 : n <= 40 ? 8 : 12;
    if (all_wide(c))
        fit = (fit + 1) / 2;
    fit = (int)fmax(2, round(fit * (p->slide ? 2 : p->paper ? 1 : fmin(p->width / mv_page_sheet.width, 1.5))));
    fit = c->columns ? c->columns : fit < MOST_COLUMNS ? fit : MOST_COLUMNS;
    double least = c->scale == MV_SHEET_SCALE_OWN ? LEAST_WITH_BAR : LEAST_MAP;
    while (fit > 1 && divided(p, fit).map < least)
        fit--;
    division best = divided(p, fit);
    for (int columns = fit - 1; !c->columns && columns >= 2 && 4 * columns >= 3 * fit; columns--) {
        division v = divided(p, columns);
        if (waste(c, &v) + 0.01 * (best.columns - columns) < waste(c, &best))
            best = v;
    }
    for (mv_sheet_run r = {0}; next_section(c, &r);)
        best.narrowest = fmin(best.narrowest, width_of(&best, columns_of(c, &best, places_of(c, r))));
    return best;
}

static mv_panel *section(mv_page *p, const mv_sheet_content *c, mv_sheet_run r, const division *v,
                         const mv_sheet_domain *all)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_sheet_domain own = mv_sheet_domain_of(p, r);
    bool grouped = c->scale == MV_SHEET_SCALE_GROUP;
    mv_sheet_setting s = {p, c, v->map, mv_sheet_differences(r), grouped ? &own : all};
    const mv_image *common = common_picture(c), *picture = r.first == c->items ? common : NULL;
    int extra = picture != NULL, count = r.n + extra, places = columns_of(c, v, count);
    if (c->sections != MV_SHEET_PLAIN) {
        mv_sheet_domain shown = grouped ? own : (mv_sheet_domain){0};
        shown.odd = mv_sheet_has_room(&s) ? 0 : own.odd;
        mv_panel_add(column, mv_panel_hairline(l));
        mv_panel_add(column, mv_panel_space(l, 8));
        mv_panel_add(column, mv_sheet_heading(p, c, mv_sheet_section_title(l, c->sections, mv_sheet_run_first(r)),
                                              mv_sheet_geometry(l, r), &shown, v->narrowest));
        mv_panel_add(column, mv_panel_space(l, 12));
    }
    for (int from = 0; from < count; from += places) {
        mv_sheet_line to = mv_sheet_line_new(l, v->gap);
        for (int i = from; i < from + places; i++) {
            const mv_sheet_item *item = &r.first[i < extra ? 0 : i - extra];
            if (i < extra)
                mv_sheet_add_picture(&s, &to, picture, "Picture", NULL);
            else if (i < count)
                mv_sheet_add_map(&s, &to, item, mv_sheet_label(l, item->map, s.d), common ? NULL : item->name);
            else
                mv_sheet_add_blank(l, &to);
        }
        mv_sheet_add_line(l, column, &to, from == 0);
    }
    return mv_panel_wide(column, width_of(v, places));
}

/* What stands above all maps: their geometry, if it is one, and the bar of a shared scale. `counted`: cells that are
 * not finite are counted elsewhere. */
static void add_head(mv_page *p, const mv_sheet_content *c, mv_panel *column, const char *note,
                     const mv_sheet_domain *all, bool counted)
{
    bool one = c->scale == MV_SHEET_SCALE_ALL ||
               (c->scale == MV_SHEET_SCALE_GROUP && !c->table && c->sections == MV_SHEET_PLAIN);
    mv_sheet_domain shown = one ? *all : (mv_sheet_domain){0};
    shown.odd = counted ? 0 : all->odd;
    mv_panel *head = mv_sheet_heading(p, c, "", note, &shown, p->inner);
    if (!head)
        return;
    mv_panel_add(mv_panel_add(column, mv_panel_row(p->layout, 0, MV_TOP)), head);
    mv_panel_add(column, mv_panel_space(p->layout, 24));
}

static mv_panel *gallery(mv_page *p, const mv_sheet_content *c)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l), *row = NULL;
    division v = divide(p, c);
    const mv_sheet_run everything = {c->items, c->item_count, 1};
    mv_sheet_domain all = mv_sheet_domain_of(p, everything);
    bool plain = c->sections == MV_SHEET_PLAIN;
    if (plain || c->scale == MV_SHEET_SCALE_ALL)
        add_head(p, c, column, plain ? mv_sheet_geometry(l, everything) : "", &all,
                 !plain || mv_sheet_has_room(&(mv_sheet_setting){.map = v.map}));
    int left = 0;
    for (mv_sheet_run r = {0}; next_section(c, &r);) {
        int take = columns_of(c, &v, places_of(c, r));
        if (take > left) {
            mv_panel_add(column, mv_panel_space(l, row ? 32 : 0));
            row = mv_panel_add(column, mv_panel_row(l, v.gap, MV_TOP));
            left = v.columns;
        }
        left -= take;
        mv_panel_add(row, section(p, c, r, &v, c->scale == MV_SHEET_SCALE_ALL ? &all : NULL));
    }
    return column;
}

/* --- tables ------------------------------------------------------------------------------------ */

static mv_sheet_run column_of(const mv_sheet_content *c, int i)
{
    return (mv_sheet_run){c->items + i, c->item_count / c->columns, c->columns};
}

/* What all maps of a column are called; NULL where they differ: then each has its own name. */
static const char *column_name(mv_layout *l, mv_sheet_run column, mv_sheet_difference d)
{
    const char *name = NULL;
    for (int i = 0; i < column.n; i++) {
        const mv_map *m = mv_sheet_run_map(column, i);
        if (m && name && strcmp(name, mv_sheet_label(l, m, d)) != 0)
            return NULL;
        if (m && !name)
            name = mv_sheet_label(l, m, d);
    }
    return name ? name : "";
}

/* Columns `from` to `to` of a table, all rows. */
typedef struct {
    int from, to, places; /* places: columns of the page, with the picture's */
    double gap;
} band;

static void add_band(const mv_sheet_setting *given, mv_panel *column, const band *b)
{
    const mv_sheet_content *c = given->c;
    mv_layout *l = given->p->layout;
    const char *name[MOST_COLUMNS];
    mv_sheet_domain own[MOST_COLUMNS];
    mv_panel *names = mv_panel_row(l, b->gap, MV_BOTTOM), *bars = mv_panel_row(l, b->gap, MV_TOP);
    mv_panel_add(names, mv_sheet_name(given, "Picture"));
    mv_panel_add(bars, mv_panel_space(l, 0));
    for (int i = b->from; i < b->from + b->places - 1; i++) {
        bool blank = i >= b->to;
        if (!blank) {
            name[i] = column_name(l, column_of(c, i), given->d);
            own[i] = mv_sheet_domain_of(given->p, column_of(c, i));
        }
        mv_panel *scale = blank ? NULL : mv_sheet_bar(given->p, c, &own[i], given->map);
        mv_panel_add(names, blank || !name[i] ? mv_panel_space(l, 0) : mv_sheet_name(given, name[i]));
        mv_panel_add(bars, scale ? scale : mv_panel_space(l, 0));
    }
    mv_panel_add(column, names);
    mv_panel_add(column, mv_panel_space(l, 4));
    if (c->scale == MV_SHEET_SCALE_GROUP) {
        mv_panel_add(column, bars);
        mv_panel_add(column, mv_panel_space(l, 8));
    }
    for (int row = 0; row < c->item_count / c->columns; row++) {
        const mv_sheet_item *items = c->items + row * c->columns;
        mv_sheet_line to = mv_sheet_line_new(l, b->gap);
        mv_sheet_add_picture(given, &to, mv_sheet_picture(c, items), NULL, items->name);
        for (int i = b->from; i < b->from + b->places - 1; i++) {
            mv_sheet_setting s = *given;
            if (c->scale == MV_SHEET_SCALE_GROUP && i < b->to)
                s.shared = &own[i];
            if (i < b->to)
                mv_sheet_add_map(&s, &to, &items[i],
                                 name[i] || !items[i].map ? NULL : mv_sheet_label(l, items[i].map, given->d), NULL);
            else
                mv_sheet_add_blank(l, &to);
        }
        mv_sheet_add_line(l, column, &to, row == 0);
    }
}

static mv_panel *table(mv_page *p, const mv_sheet_content *c)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_sheet_domain all = mv_sheet_domain_of(p, (mv_sheet_run){c->items, c->item_count, 1});
    bool one = c->scale == MV_SHEET_SCALE_ALL;
    double least = one ? LEAST_MAP : LEAST_WITH_BAR;
    int places = c->columns + 1 < 3 ? 3 : c->columns + 1;
    while (places > 2 && (p->inner - (places - 1) * NARROW_GAP) / places < least)
        places--;
    double gap = p->inner / places > 240 ? GAP : NARROW_GAP;
    mv_sheet_setting s = {p, c, (p->inner - (places - 1) * gap) / places,
                          mv_sheet_differences((mv_sheet_run){c->items, c->columns, 1}), one ? &all : NULL};
    add_head(p, c, column, mv_sheet_geometry(l, (mv_sheet_run){c->items, c->item_count, 1}), &all,
             mv_sheet_has_room(&s));
    for (int from = 0; from < c->columns; from += places - 1) {
        int to = from + places - 1 < c->columns ? from + places - 1 : c->columns;
        mv_panel_add(column, mv_panel_space(l, from ? 40 : 0));
        add_band(&s, column, &(band){from, to, places, gap});
    }
    return column;
}

/* --- the page ---------------------------------------------------------------------------------- */

/* Colours of one scale must mean one thing. */
static mv_status check_unit(mv_sheet_run r, mv_error *e)
{
    const mv_map *a = NULL;
    for (int i = 0; i < r.n; i++) {
        const mv_map *b = mv_sheet_run_map(r, i);
        if (!b || b->channels == 3)
            continue;
        if (a && strcmp(a->unit, b->unit) != 0)
            return mv_fail(e, MV_EINPUT, "sheet page: found maps in '%s' and in '%s' on one scale, expected one unit",
                           a->unit, b->unit);
        a = b;
    }
    return MV_OK;
}

static mv_status check_scales(const mv_sheet_content *c, mv_error *e)
{
    mv_status s = MV_OK;
    if (c->scale == MV_SHEET_SCALE_OWN)
        return MV_OK;
    if (c->scale == MV_SHEET_SCALE_ALL || (!c->table && c->sections == MV_SHEET_PLAIN))
        return check_unit((mv_sheet_run){c->items, c->item_count, 1}, e);
    for (int i = 0; s == MV_OK && c->table && i < c->columns; i++)
        s = check_unit(column_of(c, i), e);
    for (mv_sheet_run r = {0}; s == MV_OK && !c->table && next_section(c, &r);)
        s = check_unit(r, e);
    return s;
}

static mv_status check(const void *content, mv_error *e)
{
    const mv_sheet_content *c = content;
    mv_status s = mv_page_check_count(c->item_count, 1, MOST_ITEMS, "maps", e);
    if (s == MV_OK)
        s = mv_page_check_count(c->columns, c->table, MOST_COLUMNS, "columns", e);
    if (s == MV_OK && c->table && c->item_count % c->columns)
        s = mv_fail(e, MV_EMISUSE, "sheet page: found %d maps in rows of %d, expected whole rows", c->item_count,
                    c->columns);
    for (int i = 0; s == MV_OK && i < c->item_count; i++) {
        const mv_map *map = c->items[i].map;
        s = mv_page_check_picture(mv_sheet_picture(c, &c->items[i]), "the picture under a map", e);
        if (s == MV_OK && (map || !c->table))
            s = mv_page_check_map(map, "a map", e);
        if (s == MV_OK && map && map->channels != 3 && map->channels > 1)
            s = mv_fail(e, MV_EMISUSE, "sheet page: found a map of %d channels, expected 1 or 3", map->channels);
    }
    return s == MV_OK ? check_scales(c, e) : s;
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_sheet_content *c = content;
    return c->table ? table(p, c) : gallery(p, c);
}

const mv_page_kind mv_page_sheet = {"sheet", 1600, check, body, .sequential = true, .diverging = true};
