/* Figure 5 of the paper: picture | map | overlay, a row for each map, its title and caption to the left. */
#ifndef MV_PAGE_ATTENTION_H
#define MV_PAGE_ATTENTION_H

#include "viz/page/page.h"

typedef struct {
    const mv_image *picture;
    const mv_map *maps; /* multiples of an even spread: 1 is what every cell gets if all get the same */
    int map_count;      /* 1 to 256: the page grows */
    bool shared_scale;  /* one scale for all rows; otherwise each has its own, as its bar shows */
} mv_attention_content;

extern const mv_page_kind mv_page_attention;

#endif
