/* How often a network is right, how well it is calibrated, and how true its maps are:
 *
 *     Calibration        Confusion
 *     [reliability]      [cells]
 *     Is it true?
 *     [deletion]  [insertion]  [ROAD] ...      a row for each method, with its interval; the line is chance
 *     Re-drawn parameters
 *     [rank correlation by stage]
 *
 * Parts without content are left out.
 */
#ifndef MV_PAGE_EVAL_H
#define MV_PAGE_EVAL_H

#include "viz/page/page.h"
#include "viz/panel/chart.h"

enum { MV_EVAL_CLASSES = 24, MV_EVAL_FIGURES = 6, MV_EVAL_METHODS = 32, MV_EVAL_STAGES = 256 };

/* One figure of all methods. */
typedef struct {
    const char *title; /* "Insertion, large is good" */
    const char *note;  /* what the line is; NULL: no line */
    double at;         /* where the line is */
    int rows;          /* 1 to MV_EVAL_METHODS */
    const mv_interval_row *row;
} mv_eval_figure;

typedef struct {
    /* ---- calibration: bins that have answers, by rising confidence */
    int bins;
    const double *confidence, *accuracy;
    const char *calibration_note;
    /* ---- confusion */
    int classes; /* 0 to MV_EVAL_CLASSES */
    const char *const *class_name;
    const double
        *confusion; /* classes x classes: row, the true one; share of its pictures that got this answer; NaN: none */
    const char *confusion_note;
    /* ---- maps */
    int figures;
    const mv_eval_figure *figure;
    const char *figures_note;
    /* ---- re-drawn parameters: a line for each method */
    int stages, lines;
    const char *const *stage_name;
    const mv_series *line;
} mv_eval_content;

extern const mv_page_kind mv_page_eval;

#endif
