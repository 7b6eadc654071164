/* The paper's figure 5: picture | map | overlay, a row for every map, words to its left, its bar to its right. */
#include <math.h>

#include "viz/page/page.h"

/* No bar ends below this: what is even everywhere shall not glow. */
#define LEAST_RANGE 2.0

enum { GUTTER = 28, SIDE = 178, BAR = 60, MOST_ROWS = 256, MOST_LINES = 64 };

static mv_status check(const mv_attention_page *page, mv_error *e)
{
    mv_status s = mv_page_check_count(page->row_count, 1, MOST_ROWS, "rows", e);
    for (int i = 0; s == MV_OK && i < page->row_count; i++) {
        const mv_attention_row *r = &page->rows[i];
        s = mv_page_check_map(r->map, "a map of attention", e);
        if (s == MV_OK)
            s = mv_page_check_picture(r->picture ? r->picture : page->picture, "the picture", e);
        if (s == MV_OK)
            s = mv_page_check_count(r->line_count, 0, MOST_LINES, "lines beside a map", e);
    }
    return s;
}

static mv_panel *side(mv_page *p, const mv_attention_row *r, int odd)
{
    mv_layout *s = p->sheet;
    mv_panel *column = mv_panel_column(s);
    mv_panel_add(column, mv_panel_label(s, MV_TYPE_PANEL, MV_INK, r->title, 0));
    mv_panel_add(column, mv_panel_space(s, 4));
    for (int i = 0; i < r->line_count; i++) {
        const char *line = r->lines[i];
        mv_panel_add(column,
                     line && *line ? mv_panel_label(s, MV_TYPE_TEXT, MV_SECOND, line, 0) : mv_panel_space(s, 16));
    }
    if (odd)
        mv_panel_add(column, mv_panel_label(s, MV_TYPE_TEXT, MV_WARNING, mv_page_odd_text(p, odd), 0));
    return column;
}

static mv_panel *headings(mv_layout *s)
{
    static const char *const names[] = {"Picture", "Attention", "Overlay"};
    mv_panel *row = mv_panel_row(s, GUTTER, MV_TOP);
    mv_panel_add(row, mv_panel_wide(mv_panel_space(s, 0), SIDE));
    for (int i = 0; i < 3; i++)
        mv_panel_add(row, mv_panel_label(s, MV_TYPE_PANEL, MV_INK, names[i], 1));
    mv_panel_add(row, mv_panel_wide(mv_panel_space(s, 0), BAR));
    return row;
}

static mv_panel *body(mv_page *p, const mv_attention_page *page)
{
    mv_layout *s = p->sheet;
    mv_panel *column = mv_panel_column(s);
    double highest = 0;
    for (int i = 0; i < page->row_count; i++) {
        double lo, hi;
        mv_finite_range(page->rows[i].map, &lo, &hi);
        highest = fmax(highest, hi);
    }
    mv_panel_add(column, headings(s));
    for (int i = 0; i < page->row_count; i++) {
        const mv_attention_row *r = &page->rows[i];
        const mv_image *picture = r->picture ? r->picture : page->picture;
        double lo, hi;
        int odd = mv_finite_range(r->map, &lo, &hi);
        mv_colouring k = mv_page_colouring(p, MV_SCALE_SQRT, 0, fmax(page->shared_scale ? highest : hi, LEAST_RANGE),
                                           false, r->window);
        mv_panel_add(column, mv_panel_space(s, i ? 32 : 8));
        mv_panel *row = mv_panel_add(column, mv_panel_row(s, GUTTER, MV_TOP));
        mv_panel_add(row, mv_panel_wide(side(p, r, odd), SIDE));
        mv_panel_add(row, mv_panel_picture(s, picture));
        mv_panel_add(row, mv_panel_cells(s, r->map, picture, &k));
        mv_panel *overlay = mv_panel_add(row, mv_panel_overlay(s, r->map, picture, &k));
        mv_panel_add(row, mv_panel_wide(mv_panel_colour_bar_standing(s, &k, true, overlay), BAR));
    }
    return column;
}

mv_status mv_page_attention(const mv_attention_page *page, const mv_page_style *style, mv_fonts *fonts,
                            const mv_canvas_target *to, mv_error *e)
{
    mv_page p;
    mv_status s = check(page, e);
    if (s == MV_OK)
        s = mv_page_open(&p, style, 1362, fonts, e);
    if (s != MV_OK)
        return s;
    return mv_page_close(&p, page->title, page->subtitle, body(&p, page), &page->recipe, to, e);
}
