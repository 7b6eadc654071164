/* The picture and the evidence, all on one scale:
 *
 *     Picture      For A        For B        A over B
 *     [picture]    [overlay]    [overlay]    [overlay]
 *     bars         colour bar   colour bar   colour bar
 *                  lo to hi     unit         proof
 */
#include "viz/page/classify.h"

#include "viz/page/page_impl.h"

enum {
    GUTTER = 32,
    LEAST = 230, /* px of a column */
    LEAST_OF_PAPER = 132,
    LEAST_OF_WIDE = 420,
    MOST_COLUMNS = 4,
    MOST_OF_WIDE = 2,
    MOST_EVIDENCE = 12,
    MOST_CLASSES = 20
};

/* A wide picture would be a thin strip in four columns. */
#define WIDE 1.5

static mv_status check(const void *content, mv_error *e)
{
    const mv_classify_content *c = content;
    mv_status s = mv_page_check_picture(c->picture, "the picture", e);
    if (s == MV_OK)
        s = mv_page_check_maps(c->evidence, c->evidence_count, MOST_EVIDENCE, "maps", "a map of evidence", e);
    return s == MV_OK ? mv_page_check_count(c->top_count, 0, MOST_CLASSES, "classes", e) : s;
}

static mv_panel *caption(mv_page *p, const mv_map *map, const mv_colouring *k)
{
    mv_layout *l = p->layout;
    mv_extent own = {0};
    char range[80];
    mv_extent_add(&own, map);
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_colour_bar(l, k, false, MV_BAR_OVERLAY));
    mv_panel *line = mv_panel_add(column, mv_panel_flow(l, 6));
    mv_range_text(range, own.lo, own.hi, k->scale.diverging);
    mv_panel_add(line, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, mv_layout_text(l, "%s", range), 0));
    mv_panel_add(line, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, map->unit, 0));
    if (*map->proof) {
        mv_panel_add(column, mv_panel_space(l, 4));
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_INK, map->proof, 0));
    }
    mv_page_add_odd(p, column, own.odd);
    return column;
}

/* The three parts of one place of the page. */
typedef struct {
    mv_panel *titles, *pictures, *captions;
} line;

/* Place i: 0 is the picture, then the evidence. A place past the last is empty but as wide. */
static void add_place(mv_page *p, const mv_classify_content *c, const mv_colouring *k, int i, const line *to)
{
    mv_layout *l = p->layout;
    if (i > c->evidence_count) {
        mv_panel_add(to->titles, mv_panel_space(l, 0));
        mv_panel_add(to->pictures, mv_panel_space(l, 0));
        mv_panel_add(to->captions, mv_panel_space(l, 0));
    } else if (i == 0) {
        const char *title = c->picture_title ? c->picture_title : "Picture";
        mv_panel_add(to->titles, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, title, 0));
        mv_panel_add(to->pictures, mv_panel_picture(l, c->picture));
        mv_panel_add(to->captions, mv_panel_class_bars(l, c->top, c->top_count));
    } else {
        const mv_map *map = &c->evidence[i - 1];
        mv_panel_add(to->titles, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, map->title, 0));
        mv_panel_add(to->pictures, mv_panel_overlay(l, map, c->picture, k));
        mv_panel_add(to->captions, caption(p, map, k));
    }
}

/* As many as there is room for, all lines as full as they can be. */
static int columns_for(const mv_page *p, const mv_classify_content *c)
{
    bool wide = c->picture->w >= WIDE * c->picture->h;
    int places = c->evidence_count + 1,
        fit = (int)((p->inner + GUTTER) / ((wide       ? LEAST_OF_WIDE
                                            : p->paper ? LEAST_OF_PAPER
                                                       : LEAST) +
                                           GUTTER)),
        most = wide ? MOST_OF_WIDE : MOST_COLUMNS;
    fit = fit < 1 ? 1 : fit > most ? most : fit;
    if (places <= 2)
        return fit < 2 ? fit : 2;
    int lines = (places + fit - 1) / fit;
    return (places + lines - 1) / lines;
}

/* Without evidence the classes stand beside the picture. */
static mv_panel *answer_only(mv_layout *l, const mv_classify_content *c)
{
    mv_panel *row = mv_panel_row(l, GUTTER, MV_TOP);
    mv_panel_add(row, mv_panel_picture(l, c->picture));
    mv_panel_add(row, mv_panel_class_bars(l, c->top, c->top_count));
    return row;
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_classify_content *c = content;
    mv_layout *l = p->layout;
    if (c->evidence_count == 0)
        return answer_only(l, c);
    mv_extent all = {0};
    for (int i = 0; i < c->evidence_count; i++)
        mv_extent_add(&all, &c->evidence[i]);
    mv_colouring k = mv_page_colouring(p, &all);
    mv_panel *column = mv_panel_column(l);
    int columns = columns_for(p, c);
    for (int from = 0; from <= c->evidence_count; from += columns) {
        line to = {mv_panel_row(l, GUTTER, MV_BOTTOM), mv_panel_row(l, GUTTER, MV_TOP),
                   mv_panel_row(l, GUTTER, MV_TOP)};
        for (int i = from; i < from + columns; i++)
            add_place(p, c, &k, i, &to);
        if (from > 0)
            mv_panel_add(column, mv_panel_space(l, 32));
        mv_panel_add(column, to.titles);
        mv_panel_add(column, mv_panel_space(l, 8));
        mv_panel_add(column, to.pictures);
        mv_panel_add(column, mv_panel_space(l, 20));
        mv_panel_add(column, to.captions);
    }
    return column;
}

const mv_page_kind mv_page_classify = {"classify", 1600, check, body, .diverging = true};
