/* What is it, and why: the picture with its most probable classes, then the evidence for them. */
#ifndef MV_PAGE_CLASSIFY_H
#define MV_PAGE_CLASSIFY_H

#include "viz/page/page.h"
#include "viz/panel/panel.h"

typedef struct {
    const mv_image *picture;
    const char *picture_title; /* NULL: "Picture" */
    const mv_class_bar *top;   /* 0 to 20 classes, most probable first */
    int top_count;
    const mv_map
        *evidence; /* drawn over the picture on one scale, so that colours compare; each with its title and proof */
    int evidence_count; /* 0 to 12; more than 3 start further rows */
} mv_classify_content;

extern const mv_page_kind mv_page_classify;

#endif
