/* What the answer depends on: the answer before and after an edit, with the evidence for a class, and grids of how the
 * class changes when each part of the network is edited in turn. */
#ifndef MV_PAGE_ABLATE_H
#define MV_PAGE_ABLATE_H

#include "viz/page/page.h"

/* A class before and after the edit; after is NaN where there is none. */
typedef struct {
    const char *name;
    double probability[2], logit[2];
} mv_ablate_class;

/* The changes of one kind of edit, in cells or (map) over the picture. */
typedef struct {
    const char *title;                      /* "Each head set to zero" */
    const char *note;                       /* "rows are level.block"; NULL: none */
    const char *finding;                    /* "most: head 3 of level 2 block 4, -1.42"; NULL: none */
    const char *across;                     /* what the columns count: "head"; NULL: none */
    const char *const *row, *const *column; /* names; NULL: none */
    int rows, columns;
    const int *length;   /* cells of each row; NULL: all */
    const double *value; /* rows x columns; not finite: the network does not survive the edit */
    const mv_map *map;   /* the values over the picture, instead; diverging. NULL: cells */
} mv_ablate_grid;

typedef struct {
    const mv_image *picture;
    const mv_ablate_class *classes; /* 0 to 12, in the order that is shown */
    int class_count;
    bool edited;            /* the classes have values after an edit */
    const mv_map *evidence; /* 0 to 3 maps on one scale: before, after, the change */
    int evidence_count;
    const mv_ablate_grid *grids; /* 0 to 12, each on its own scale */
    int grid_count;
    const char *unit; /* of the grids: "logit" */
} mv_ablate_content;

extern const mv_page_kind mv_page_ablate;

#endif
