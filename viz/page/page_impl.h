/* What the kinds of pages share: checks, ranges of maps, and how a map is coloured. */
#ifndef MV_PAGE_IMPL_H
#define MV_PAGE_IMPL_H

#include "viz/page/page.h"
#include "viz/panel/panel.h"

/* A page while it is laid out. */
struct mv_page {
    mv_layout *layout;
    mv_page_style style;
    const mv_colour_table *sequential, *diverging;
    mv_fonts *fonts;     /* opened for this page, or NULL */
    double width, inner; /* px, with and without the margins */
    double margin;       /* px */
    double points;       /* width of the page in points; 0: free */
    bool slide, paper;   /* what it is made for: both want more in less room */
    double over;         /* px that a first attempt was too tall for its sheet of paper */
};

/* The width of a page that is `inner` px wide without its margins. */
int mv_page_width_around(double inner);

/* The joint range of several maps. Start with {0}. */
typedef struct {
    int maps, odd; /* odd: cells that are not finite */
    double lo, hi;
    bool diverging; /* at least one map is */
    bool times;     /* all maps are multiples of an even spread */
    bool pixels;    /* all have a value of its own for each pixel */
} mv_extent;

void mv_extent_add(mv_extent *x, const mv_map *map);

/* The unit of maps that are multiples of an even spread: 1 is what every cell gets if all get the same. */
#define MV_UNIT_EVEN "\xc3\x97 even"

/* Colours for maps: around 0 where one is signed, around 1 if all are multiples of an even spread, else from 0 on; the
 * style may choose how values are spread. */
mv_colouring mv_page_colouring(const mv_page *p, const mv_extent *x);

/* Colours for multiples of an even spread (mv_scale_even). */
mv_colouring mv_page_colouring_even(const mv_page *p, const mv_extent *x);

/* Colours for the values of a state, which need not come near 0: from the least to the greatest, in viridis unless the
 * style names a table. */
const mv_colour_table *mv_page_table_of_states(const mv_page *p);
mv_colouring mv_page_colouring_states(const mv_page *p, const mv_extent *x);

/* The same colours for one map: lines between windows are drawn where it has several. */
mv_colouring mv_page_colouring_of(mv_colouring k, const mv_map *map);

/* MV_EMISUSE for an empty one; `what` names it. */
mv_status mv_page_check_picture(const mv_image *picture, const char *what, mv_error *e);
mv_status mv_page_check_map(const mv_map *map, const char *what, mv_error *e);
mv_status mv_page_check_count(int count, int least, int most, const char *what, mv_error *e);
/* The same for up to `most` maps: `many` names all of them, `one` each. */
mv_status mv_page_check_maps(const mv_map *maps, int count, int most, const char *many, const char *one, mv_error *e);

/* A title of a panel on up to `lines` lines (0: any), `gap` px, and what it names. */
mv_panel *mv_page_titled(mv_page *p, const char *title, int lines, double gap, mv_panel *body);

/* What stands beside the picture at the head of a page of multiples of an even spread: its size, and how to read the
 * maps. */
mv_panel *mv_page_picture_words(mv_page *p, const mv_image *picture, const char *how);

/* A column that begins with a hairline and the heading of a section; `gap` px between them. */
mv_panel *mv_page_section(mv_page *p, const char *heading, double gap);

/* The tokens of a map that a scan passes: those of one of its windows, which are scanned at the same time. */
int mv_page_tokens(const mv_map *map);

/* Appends "3 cells are not finite: hatched" for a count above 0. */
void mv_page_add_odd(mv_page *p, mv_panel *column, int odd);

#endif
