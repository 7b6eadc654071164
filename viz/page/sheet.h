/* Many maps on one page, labelled and grouped by their own words.
 *
 * A gallery puts maps one after the other, in sections where asked: by level, block or method. A table has a row for
 * each picture and a column for each method or class.
 *
 *     gallery   Picture     Block 3     Block 4          table    Picture     cam         gradcam
 *               [picture]   [overlay]   [overlay]                 [picture]   [overlay]   [overlay]
 *               Block 5     Block 6                               church.jpg
 *               [overlay]   [overlay]                             [picture]   [overlay]   [overlay]
 *
 * A label says what differs among its neighbours: level, block, head or method; else it is the map's title. Under a map
 * stand its range, its proof and its figures where there is room for them. Maps of three channels are drawn in their
 * own colours.
 */
#ifndef MV_PAGE_SHEET_H
#define MV_PAGE_SHEET_H

#include "viz/page/page.h"

typedef enum {
    MV_SHEET_SCALE_ALL,   /* one colour scale for all maps */
    MV_SHEET_SCALE_GROUP, /* one for each section of a gallery, or each column of a table */
    MV_SHEET_SCALE_OWN    /* each map has its own */
} mv_sheet_scale;

typedef enum { MV_SHEET_PLAIN, MV_SHEET_BY_LEVEL, MV_SHEET_BY_BLOCK, MV_SHEET_BY_METHOD } mv_sheet_sections;

typedef struct {
    const mv_map *map;       /* NULL: an empty place of a table */
    const mv_image *picture; /* NULL: the page's */
    const char *name;        /* of the picture; NULL: none */
} mv_sheet_item;

typedef struct {
    const mv_image *picture; /* of the items that have none; drawn first if it is the picture of all. NULL: none */
    const mv_sheet_item *items;
    int item_count; /* 1 to 512 */
    int columns;    /* 1 to 12 maps side by side; 0: as many as suit. A gallery takes fewer where they would be too
                       narrow; a table that is too wide for the page goes on below */
    bool table;     /* items are rows of `columns` maps; a row's picture is that of its first item */
    mv_sheet_sections sections; /* of a gallery: neighbours that agree are a section */
    mv_sheet_scale scale;
    bool cells; /* draw the maps as cells, not over the picture */
} mv_sheet_content;

/* Maps that share a scale must have one unit, and must not mix multiples of an even spread with others (MV_EINPUT). */
extern const mv_page_kind mv_page_sheet;

#endif
