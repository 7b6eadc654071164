/* The page of `report` from what is known of a picture, and its words. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include "cmd/page_file.h"
#include "cmd/report_study.h"
#include "src/explain/inside.h"
#include "viz/page/report.h"

/* Which answers of the asks are what: numbers of asks, or -1. */
enum { REPORT_LENSES = 3 };
typedef struct {
    int cam;                 /* exact CAM of the first class, less the mean of all */
    int top, second, margin; /* evidence for the first and the second class, and for the first over the second */
    int attention;           /* every head and their mean, of the pooled query */
    int rollout;
    int raw;               /* exact CAM of the first class, not less the mean */
    int inside[MV_LEVELS]; /* of one mixer of each level */
    int lens[REPORT_LENSES];
} report_asks;

/* What is found, in words and numbers: for the page, the table and JSON. */
enum { REPORT_TOP = 6, REPORT_CHECKS = 6, REPORT_WORDS = 320 };
typedef struct {
    int n, class_[REPORT_TOP]; /* by falling logit */
    double logit[REPORT_TOP], probability[REPORT_TOP];
    char name[REPORT_TOP][64]; /* up to the first comma */
    int checks;
    const char *check[REPORT_CHECKS];          /* "Padding"; static */
    char finding[REPORT_CHECKS][REPORT_WORDS]; /* "no padded tokens ..." */
    char title[96], subtitle[400];
} report_findings;

/* r: NULL where nothing was studied. */
void report_find(report_findings *f, const call *c, const shot *t, const report_asks *asks, const report_result *r);

mv_status report_draw(const call *c, const shot *t, const report_asks *asks, const report_findings *f,
                      const report_result *r, mv_error *e);

#endif
