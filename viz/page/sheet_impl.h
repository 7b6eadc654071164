/* What the files of the sheet page share: runs of items, their words (sheet_words.c), and the parts that a sheet is put
 * together from (sheet_parts.c). */
#ifndef MV_PAGE_SHEET_IMPL_H
#define MV_PAGE_SHEET_IMPL_H

#include "viz/page/page_impl.h"
#include "viz/page/sheet.h"

/* Items that share a heading or a scale: every `step`-th from `first` on. */
typedef struct {
    const mv_sheet_item *first;
    int n, step;
} mv_sheet_run;

/* May be NULL. */
const mv_map *mv_sheet_run_map(mv_sheet_run r, int i);

/* The first map there is; NULL in a run of empty places. */
const mv_map *mv_sheet_run_first(mv_sheet_run r);

/* True if two neighbours belong to one section. */
bool mv_sheet_same_section(mv_sheet_sections by, const mv_map *a, const mv_map *b);

/* What differs among the maps of a run. */
typedef struct {
    bool method, level, block, head, class_;
} mv_sheet_difference;

mv_sheet_difference mv_sheet_differences(mv_sheet_run r);

/* "Level 2, block 3, head 1": the words that differ; the title where the class differs or nothing does. */
const char *mv_sheet_label(mv_layout *l, const mv_map *map, mv_sheet_difference d);

/* "Level 2", "Level 2, block 3", "cam". */
const char *mv_sheet_section_title(mv_layout *l, mv_sheet_sections by, const mv_map *map);

/* "14 x 14 cells of 16 px, one window, no padding" where that is true of all maps of the run; else empty. */
const char *mv_sheet_geometry(mv_layout *l, mv_sheet_run r);

/* --- parts ------------------------------------------------------------------------------------- */

const mv_image *mv_sheet_picture(const mv_sheet_content *c, const mv_sheet_item *item);

/* The colours of a run of maps, and what their bar says. */
typedef struct {
    mv_colouring k;
    mv_extent x;      /* of maps that have a scale */
    int odd;          /* cells that are not finite, of all maps */
    const char *unit; /* NULL: no map has a scale */
    bool even;        /* multiples of an even spread */
} mv_sheet_domain;

mv_sheet_domain mv_sheet_domain_of(const mv_page *p, mv_sheet_run r);

/* The bar with its range and unit, `width` px wide; NULL where no map has a scale. */
mv_panel *mv_sheet_bar(mv_page *p, const mv_sheet_content *c, const mv_sheet_domain *d, double width);

/* Title, geometry and warning to the left, the bar to the right, or below where there is no room beside; NULL if there
 * is nothing to say. */
mv_panel *mv_sheet_heading(mv_page *p, const mv_sheet_content *c, const char *title, const char *note,
                           const mv_sheet_domain *d, double width);

/* How maps are set in one part of the page. */
typedef struct {
    mv_page *p;
    const mv_sheet_content *c;
    double map; /* px that a map is wide */
    mv_sheet_difference d;
    const mv_sheet_domain *shared; /* NULL: each map has its own scale */
} mv_sheet_setting;

/* True if maps are wide enough for words under them. */
bool mv_sheet_has_room(const mv_sheet_setting *s);

/* A line of places: names above, pictures with their captions below. */
typedef struct {
    mv_panel *names, *pictures;
} mv_sheet_line;

mv_sheet_line mv_sheet_line_new(mv_layout *l, double gap);
void mv_sheet_add_line(mv_layout *l, mv_panel *column, const mv_sheet_line *of, bool first);

/* The name above a place; NULL: a space, where a heading of the column says it. */
mv_panel *mv_sheet_name(const mv_sheet_setting *s, const char *name);

/* Append one place to a line; file_name stands under the picture and may be NULL. */
void mv_sheet_add_blank(mv_layout *l, const mv_sheet_line *to);
void mv_sheet_add_map(const mv_sheet_setting *s, const mv_sheet_line *to, const mv_sheet_item *item, const char *name,
                      const char *file_name);
void mv_sheet_add_picture(const mv_sheet_setting *s, const mv_sheet_line *to, const mv_image *picture, const char *name,
                          const char *file_name);

#endif
