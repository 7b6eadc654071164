/* One picture's whole story on one page: A4 landscape at 1600 px, and narrower down to 640 px, where it grows in
 * length. What there is no data for is not drawn; where there is more than a page holds, a few are drawn and the words
 * say how many there are.
 *
 *     Picture and crop | answer | evidence for the first, the second, their difference | the answer through depth
 *     Self-attention: rollout, then every block                 | heads: entropy, distance | change without a head
 *     Inside the mixers: step size, state, half-life, hidden attention; token by token     | without scan or local
 *     Is it true?  deletion | insertion | what was checked
 */
#ifndef MV_PAGE_REPORT_H
#define MV_PAGE_REPORT_H

#include "viz/page/page.h"
#include "viz/panel/chart.h"

/* A head of an attention block: how evenly and how far it looks. */
typedef struct {
    int level, block, head;
    double entropy;  /* mean of its queries: 0 all on one token, 1 even */
    double distance; /* mean, px */
} mv_report_head;

/* A mixer block. Maps without values (v NULL) are not drawn. */
typedef struct {
    int level, block;
    mv_map dt, state, half_life; /* step size, state norm, half-life */
    mv_map hidden;               /* hidden attention of the pooled query, multiples of an even spread */
    const float *matrix;         /* (tokens, tokens): hidden attention of the first window; NULL: none */
    int tokens;
    double scan_share; /* of the contributions, the rest being local; NaN: not computed */
} mv_report_mixer;

/* The first classes after each block, as if the network ended there. */
typedef struct {
    const char *const *block; /* `blocks` names: "2.0" */
    int blocks;
    const char *const *class_name; /* `classes` names */
    int classes;
    const double *value; /* (classes, blocks) */
    const char *unit;    /* "logit" */
    const char *note;    /* below it: what is special about it; NULL: none */
} mv_report_lens;

/* What the class's logit loses when a head is set to zero; a row for each attention block. */
typedef struct {
    const char *const *block; /* `rows` names: "2.3" */
    int rows, columns;        /* columns: of the block with most heads */
    const int *heads;         /* of each block */
    const double *value;      /* (rows, columns): logit without the head, less the logit with it */
    const char *note;
} mv_report_ablation;

/* What the class's logit loses without a mixer's scan, and without its local branch. */
typedef struct {
    const mv_bar_row *row;
    int rows;
    const char *note;
} mv_report_branches;

/* Deletion or insertion in the order of the map, beside random orders: probabilities at n shares of the pixels. */
typedef struct {
    const double *map, *random; /* random: the mean of the seeds */
    const double *low, *high;   /* its band; NULL: none */
    double area, random_area;
} mv_report_curve;

typedef struct {
    int n;               /* 0: not measured */
    const double *share; /* of the pixels, 0 to 1 */
    mv_report_curve deletion, insertion;
    const char *map;  /* "exact CAM": what the order is taken from */
    const char *note; /* "25 steps, 3 random orders: mean and range" */
} mv_report_faith;

/* A line of what was checked: "padding" | "no padded tokens in either level". */
typedef struct {
    const char *name, *finding;
} mv_report_check;

typedef struct {
    const mv_image *photo;    /* the whole file; NULL: what the network saw is all there is */
    double crop[4];           /* left, top, width, height of what the network saw, in px of the photo */
    const char *photo_words;  /* "640 × 480 px, the centre to 224 × 224" */
    const mv_image *picture;  /* what the network saw */
    const mv_class_bar *top;  /* most probable first */
    int top_count;            /* 1 to 20 */
    const char *answer_words; /* "logits +4.37, +0.21, −0.03" */

    const mv_map *evidence; /* for the first class, the second, and their difference; with title and proof */
    int evidence_count;     /* 0 to 3 */
    const mv_map *rollout;  /* multiples of an even spread; NULL: none */

    const mv_map *attention; /* one for each attention block: pooled query, mean of heads, multiples of even */
    int attention_count;
    const mv_report_head *head;
    int head_count;

    const mv_report_mixer *mixer; /* in the order of the network */
    int mixer_count;

    mv_report_lens lens;
    mv_report_ablation ablation;
    mv_report_branches branches;
    mv_report_faith faith;
    const mv_report_check *check;
    int check_count;
} mv_report_content;

extern const mv_page_kind mv_page_report;

#endif
