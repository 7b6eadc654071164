/* What the files of the report share: its parts (report_parts.c) and their arrangement (report.c). */
#ifndef MV_PAGE_REPORT_IMPL_H
#define MV_PAGE_REPORT_IMPL_H

#include "viz/page/page_impl.h"
#include "viz/page/report.h"

/* A report while it is laid out. */
typedef struct {
    mv_page *p;
    mv_layout *l;
    const mv_report_content *c;
    double tall;         /* px that a picture is tall at most */
    bool wide;           /* four columns; otherwise parts are stacked */
    mv_colouring signs;  /* of the evidence */
    mv_colouring even;   /* of attention, one scale for all blocks */
    mv_colouring rolled; /* of the rollout */
    double aspect;       /* of what the network saw: width over height */
} mv_report;

enum { REPORT_GUTTER = 24, REPORT_PICTURE = 192, REPORT_LEAST = 144, REPORT_THUMBS = 16 };

/* Each returns NULL where there is no data. `width`: px of its place. */
mv_panel *mv_report_picture(const mv_report *r, double width);
mv_panel *mv_report_answer(const mv_report *r);
mv_panel *mv_report_evidence(const mv_report *r, double width);
mv_panel *mv_report_lens_chart(const mv_report *r);
mv_panel *mv_report_rollout(const mv_report *r, double width);
mv_panel *mv_report_thumbnails(const mv_report *r, double width, double height);
mv_panel *mv_report_scatter(const mv_report *r);
mv_panel *mv_report_heads(const mv_report *r);
mv_panel *mv_report_mixers(const mv_report *r, double width);
mv_panel *mv_report_matrices(const mv_report *r, double width);
mv_panel *mv_report_branch_bars(const mv_report *r);
mv_panel *mv_report_faith_charts(const mv_report *r);
mv_panel *mv_report_checks(const mv_report *r, int columns);

/* How many blocks of attention there are, and how many are drawn. */
const char *mv_report_attention_words(const mv_report *r);
const char *mv_report_mixer_words(const mv_report *r);

#endif
