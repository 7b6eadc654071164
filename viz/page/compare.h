/* Two sides beside each other:
 *
 *     Picture      A            B            B less A     a row for each pair of maps: A and B on one scale, the signed
 *     [picture]    [overlay]    [overlay]    [overlay]    difference on its own
 *     answers      colour bar   colour bar   colour bar, relative L2, cosine, largest difference
 *
 *     Picture A    Picture B    answers                   above three columns, where the sides have two pictures
 *
 *     CKA of the blocks           words
 *     [cells]
 *
 *     Relative L2 of the values by site, in order of the network
 *
 * Parts without content are left out.
 */
#ifndef MV_PAGE_COMPARE_H
#define MV_PAGE_COMPARE_H

#include "viz/page/page.h"
#include "viz/panel/panel.h"

typedef struct {
    const char *name;        /* what tells it from the other side: "church.jpg", "T2", "bf16", "hook.npz" */
    const char *who;         /* the same without a class: whose answer it is */
    const mv_image *picture; /* both sides may have the same one; NULL: none */
    const mv_class_bar *top; /* 0 to 20 classes, most probable first */
    int top_count;
} mv_compare_side;

/* Maps of one shape and unit. */
typedef struct {
    const mv_map *a, *b, *difference;
    const char *figures; /* under the difference: "relative L2 0.42, cosine 0.91" */
    const char *largest; /* "largest +3.21 in row 5, column 3" */
} mv_compare_pair;

typedef struct {
    const double *value;                    /* rows x columns, 0 to 1; NaN: none */
    int rows, columns;                      /* blocks of A and of B, 1 to 128 each */
    const char *const *row, *const *column; /* "2.3" */
    const char *note;                       /* what the samples are */
} mv_compare_grid;

typedef struct {
    const char *name, *relative, *cosine, *largest; /* as texts; the last with its place */
    double distance;                                /* relative L2; infinite values are drawn at the upper end */
    bool stands_out;                                /* it is beyond the tolerance */
} mv_compare_site;

typedef struct {
    mv_compare_side side[2];
    const mv_compare_pair *pairs;
    int pair_count;              /* 0 to 64 */
    const mv_compare_grid *grid; /* NULL: none */
    const mv_compare_site *sites;
    int site_count;   /* 0 to 4096 */
    double tolerance; /* drawn as a line among the sites */
} mv_compare_content;

extern const mv_page_kind mv_page_compare;

#endif
