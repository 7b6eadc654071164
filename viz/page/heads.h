/* Every head as a thumbnail: a section for each level, whose heads share one scale, and a group for each block. */
#ifndef MV_PAGE_HEADS_H
#define MV_PAGE_HEADS_H

#include "viz/page/page.h"

typedef struct {
    const mv_image *picture;
    const mv_map *maps; /* multiples of an even spread, in the order of the network: by level, block and head */
    int map_count;      /* 1 to 4096; at most 8 levels of 64 blocks of 64 heads */
} mv_heads_content;

extern const mv_page_kind mv_page_heads;

#endif
