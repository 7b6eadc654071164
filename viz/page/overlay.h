/* One map over a whole photo and nothing else, at the photo's own size, as a PNG or a JPEG: for people who compose a
 * figure of their own. Outside the part that the network saw the photo is as it was. Zoom and width of the style have
 * no effect.
 */
#ifndef MV_PAGE_OVERLAY_H
#define MV_PAGE_OVERLAY_H

#include "viz/draw/raster.h"
#include "viz/page/page.h"

typedef struct {
    const mv_image *photo;
    mv_frame frame; /* what the network's input covers, in px of the photo; it may reach beyond */
    const mv_map *map;
    double alpha;     /* the strongest opacity, up to 1; 0: as on pages */
    double threshold; /* the strongest cells that hold this share are drawn (mv_raster_strongest); 0: all */
    bool colours;     /* the photo keeps its colours under the map; else it is grey there */
} mv_overlay_content;

extern const mv_page_kind mv_page_overlay;

#endif
