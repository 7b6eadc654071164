/* One map over its picture in grey and nothing else, at the picture's own size: for people who compose a figure of
 * their own. A pixel of the picture is a page px, so `zoom` enlarges it.
 */
#ifndef MV_PAGE_OVERLAY_H
#define MV_PAGE_OVERLAY_H

#include "viz/page/page.h"

typedef struct {
    const mv_image *picture;
    const mv_map *map;
} mv_overlay_content;

extern const mv_page_kind mv_page_overlay;

#endif
