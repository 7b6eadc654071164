/* Inside the mixers: a section for each level, with a row for each block and a column for each kind of map:
 *
 *     [picture]   what each column shows
 *
 *     Level 2     step size     |B|      ...   hidden attention
 *                 colour bar    bar            bar
 *     Block 0     [cells]       [cells]        [overlay]
 *     Block 1     [cells]       [cells]        [overlay]
 *     The scan: Block 0  [24 of 196 tokens] [49 of 196] ...
 *     Hidden attention, token by token: [matrix] [matrix]
 *
 * The maps of a column share one scale over the blocks of a level; each has its own range under it. A page that is too
 * narrow for all columns continues with the rest of them below.
 */
#ifndef MV_PAGE_MIXER_H
#define MV_PAGE_MIXER_H

#include "viz/page/page.h"

/* How the maps of a column are drawn. */
typedef enum {
    MV_MIXER_CELLS, /* as cells, viridis, from the least to the greatest value */
    MV_MIXER_LOG2,  /* as cells around 0, which stands for a ratio of 1 */
    MV_MIXER_EVEN,  /* over the picture: multiples of an even spread, from 1 on, with lines at 2, 4 and 8 */
    MV_MIXER_SIGNED /* over the picture, around 0 */
} mv_mixer_look;

typedef struct {
    const char *title;   /* "step size" */
    const char *summary; /* what it is: beside the picture; NULL: nothing */
    const char *unit;    /* "tokens" */
    mv_mixer_look look;
} mv_mixer_column;

typedef struct {
    int level, block;
    const mv_map *map[12];   /* one for each column; NULL: none */
    const char *note;        /* under the block's name; may hold several lines */
    double scan_share;       /* 0 to 1; NaN: not shown */
    const mv_map *state;     /* for the film; NULL: none */
    const mv_map *matrix[2]; /* T x T, for two sections; NULL: none */
} mv_mixer_row;

/* Numbers in cells, -1 or 0 to 1: a section at the end of the page. */
typedef struct {
    const char *title;
    const char *const *row;
    const char *const *column;
    int rows, columns;
    const double *value;
    bool around_zero; /* else from 0 on */
} mv_mixer_grid;

typedef struct {
    const mv_image *picture;
    const char *picture_title;
    const mv_mixer_column *columns;
    int column_count; /* 1 to 12 */
    const mv_mixer_row *rows;
    int row_count; /* 1 to 512, the blocks of a level one after the other */
    int film;      /* pictures of the scan of each block; 0: none */
    const char *matrix_title[2];
    const char *grids_title, *grids_note; /* NULL without grids */
    const mv_mixer_grid *grids;
    int grid_count; /* 0 to 8, two side by side */
} mv_mixer_content;

extern const mv_page_kind mv_page_mixer;

#endif
