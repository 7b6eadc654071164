/* What is it, and why: the picture with its classes, then the evidence, all on one scale.
 *
 *     Picture      For A        For B        A over B
 *     [photo]      [overlay]    [overlay]    [overlay]
 *     bars         colour bar   colour bar   colour bar
 *                  lo to hi     unit         proof
 */
#include <math.h>
#include <stdlib.h>

#include "viz/page/page.h"

enum { GUTTER = 32, MOST_EVIDENCE = 12, MOST_CLASSES = 20 };

/* A wide picture would be a strip in four columns: it gets two. */
#define WIDE 1.5

static mv_status check(const mv_classify_page *page, mv_error *e)
{
    mv_status s = mv_page_check_picture(page->picture, "the picture", e);
    if (s == MV_OK)
        s = mv_page_check_count(page->evidence_count, 0, MOST_EVIDENCE, "maps", e);
    if (s == MV_OK)
        s = mv_page_check_count(page->top_count, 0, MOST_CLASSES, "classes", e);
    for (int i = 0; s == MV_OK && i < page->evidence_count; i++)
        s = mv_page_check_map(page->evidence[i].map, "a map of evidence", e);
    return s;
}

/* One scale for all: it diverges if any map does. */
static mv_colouring shared_colouring(const mv_page *p, const mv_classify_page *page)
{
    double lo = 0, hi = 0;
    bool diverging = false;
    for (int i = 0; i < page->evidence_count; i++) {
        double a, b;
        mv_finite_range(page->evidence[i].map, &a, &b);
        lo = i == 0 || a < lo ? a : lo;
        hi = i == 0 || b > hi ? b : hi;
        diverging = diverging || page->evidence[i].map->diverging;
    }
    return mv_page_colouring(p, MV_SCALE_LINEAR, lo > 0 ? 0 : lo, hi, diverging, 0);
}

static mv_panel *caption(mv_page *p, const mv_evidence *v, const mv_colouring *k)
{
    mv_layout *s = p->sheet;
    double lo, hi;
    char range[80];
    int odd = mv_finite_range(v->map, &lo, &hi);
    mv_panel *column = mv_panel_column(s);
    mv_panel_add(column, mv_panel_colour_bar(s, k, false, k->scale.diverging));
    mv_panel *line = mv_panel_add(column, mv_panel_row(s, 12, MV_BASELINE));
    mv_panel_add(line, mv_panel_label(s, MV_TYPE_TEXT, MV_SECOND,
                                      mv_layout_text(s, "%s", mv_range_text(range, lo, hi, k->scale.diverging)), 1));
    mv_panel_add(line, mv_panel_wide(mv_panel_label_right(s, MV_TYPE_SMALL, MV_THIRD, v->map->unit), MV_NATURAL));
    if (v->proof && *v->proof) {
        mv_panel_add(column, mv_panel_space(s, 4));
        mv_panel_add(column, mv_panel_label(s, MV_TYPE_TEXT, MV_INK, v->proof, 0));
    }
    if (odd)
        mv_panel_add(column, mv_panel_label(s, MV_TYPE_TEXT, MV_WARNING, mv_page_odd_text(p, odd), 0));
    return column;
}

/* Cell i of the page: 0 is the picture, then the evidence. Beyond the last: nothing, but as wide. */
static void add_cell(mv_page *p, const mv_classify_page *page, const mv_colouring *k, int i, mv_panel *titles,
                     mv_panel *pictures, mv_panel *captions)
{
    mv_layout *s = p->sheet;
    if (i > page->evidence_count) {
        mv_panel_add(titles, mv_panel_space(s, 0));
        mv_panel_add(pictures, mv_panel_space(s, 0));
        mv_panel_add(captions, mv_panel_space(s, 0));
    } else if (i == 0) {
        const char *title = page->picture_title ? page->picture_title : "Picture";
        mv_panel_add(titles, mv_panel_label(s, MV_TYPE_PANEL, MV_INK, title, 2));
        mv_panel_add(pictures, mv_panel_picture(s, page->picture));
        mv_panel_add(captions, mv_panel_class_bars(s, page->top, page->top_count));
    } else {
        const mv_evidence *v = &page->evidence[i - 1];
        mv_panel_add(titles, mv_panel_label(s, MV_TYPE_PANEL, MV_INK, v->title ? v->title : v->map->title, 2));
        mv_panel_add(pictures, mv_panel_overlay(s, v->map, page->picture, k));
        mv_panel_add(captions, caption(p, v, k));
    }
}

static int columns_for(const mv_classify_page *page)
{
    int cells = page->evidence_count + 1;
    bool wide = page->picture->w >= WIDE * page->picture->h;
    return cells < 3 || wide ? 2 : cells < 4 ? cells : 4;
}

/* Without evidence the classes stand beside the picture. */
static mv_panel *answer_only(mv_layout *s, const mv_classify_page *page)
{
    mv_panel *row = mv_panel_row(s, GUTTER, MV_TOP);
    mv_panel_add(row, mv_panel_picture(s, page->picture));
    mv_panel_add(row, mv_panel_class_bars(s, page->top, page->top_count));
    return row;
}

static mv_panel *body(mv_page *p, const mv_classify_page *page)
{
    mv_layout *s = p->sheet;
    if (page->evidence_count == 0)
        return answer_only(s, page);
    mv_colouring k = shared_colouring(p, page);
    mv_panel *column = mv_panel_column(s);
    int columns = columns_for(page);
    for (int from = 0; from <= page->evidence_count; from += columns) {
        mv_panel *titles = mv_panel_row(s, GUTTER, MV_BOTTOM), *pictures = mv_panel_row(s, GUTTER, MV_TOP),
                 *captions = mv_panel_row(s, GUTTER, MV_TOP);
        for (int i = from; i < from + columns; i++)
            add_cell(p, page, &k, i, titles, pictures, captions);
        if (from > 0)
            mv_panel_add(column, mv_panel_space(s, 32));
        mv_panel_add(column, titles);
        mv_panel_add(column, mv_panel_space(s, 8));
        mv_panel_add(column, pictures);
        mv_panel_add(column, mv_panel_space(s, 20));
        mv_panel_add(column, captions);
    }
    return column;
}

mv_status mv_page_classify(const mv_classify_page *page, const mv_page_style *style, mv_fonts *fonts,
                           const mv_canvas_target *to, mv_error *e)
{
    mv_page p;
    mv_status s = check(page, e);
    if (s == MV_OK)
        s = mv_page_open(&p, style, 1600, fonts, e);
    if (s != MV_OK)
        return s;
    return mv_page_close(&p, page->title, page->subtitle, body(&p, page), &page->recipe, to, e);
}
