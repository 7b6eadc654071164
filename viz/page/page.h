/* What the pages have in common: the frame, the checks, how a map is coloured. */
#ifndef MV_PAGE_H
#define MV_PAGE_H

#include "viz/page/pages.h"
#include "viz/panel/panel.h"

/* A page on its way: a sheet, and what the style comes to. */
typedef struct {
    mv_layout *sheet;
    mv_page_style style;
    const mv_colour_table *sequential, *diverging;
    mv_fonts *fonts; /* opened for this page, or NULL */
    double width;
} mv_page;

/* Checks the style and opens the sheet. `width`: as the page is designed. */
mv_status mv_page_open(mv_page *p, const mv_page_style *style, double width, mv_fonts *fonts, mv_error *e);

/* Title and subtitle above `body`, hairline and recipe below it, margins around; writes the file, and
 * frees all that mv_page_open made. `body` NULL: only frees. */
mv_status mv_page_close(mv_page *p, const char *title, const char *subtitle, mv_panel *body, const mv_recipe *recipe,
                        const mv_canvas_target *to, mv_error *e);

/* How maps of values lo..hi are coloured on this page: a scale of the style's kind, or else `kind`. */
mv_colouring mv_page_colouring(const mv_page *p, mv_scale_kind kind, double lo, double hi, bool diverging, int window);

/* MV_EMISUSE for an empty one; `what` names it. */
mv_status mv_page_check_picture(const mv_image *picture, const char *what, mv_error *e);
mv_status mv_page_check_map(const mv_map *map, const char *what, mv_error *e);
mv_status mv_page_check_count(int count, int least, int most, const char *what, mv_error *e);

/* "3 cells are not finite" for a count above 0; NULL for 0. */
const char *mv_page_odd_text(mv_page *p, int odd);

#endif
