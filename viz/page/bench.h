/* How fast networks run: a row for each measurement, then a section for each profile.
 *
 *     Time of a picture
 *     T   fp32  cpu  batch 1    ======   12.3        measured, and the floor; in two columns where there are many
 *     (12 further rows and the profiles of 4 rows are not on this page.)
 *     T, fp32 on cpu, batch 1
 *     By operation      By part            ms of a pass, measured and at the floor
 *     [bars]            [bars]
 *     operation  shape  part  calls  ms  floor  share
 */
#ifndef MV_PAGE_BENCH_H
#define MV_PAGE_BENCH_H

#include "viz/page/page.h"
#include "viz/panel/chart.h"

enum { MV_BENCH_ROWS = 96, MV_BENCH_PROFILES = 8, MV_BENCH_OPERATIONS = 256, MV_BENCH_KINDS = 12 };

typedef struct {
    const char *model, *detail; /* "T", "fp32  cpu  batch 1": a model's name gives way where there is no room */
    double ms, floor;           /* of a picture; NaN: the batch does not fit into the memory */
} mv_bench_row;

typedef struct {
    const char *op, *shape, *part;
    int calls;
    double ms, floor, share; /* of a pass: all its calls; share 0 to 1 */
} mv_bench_operation;

typedef struct {
    const char *title, *note;
    int kinds, parts;
    const mv_bar_row *kind, *part; /* ms of a pass: measured, floor */
    int operations;
    const mv_bench_operation *operation; /* the longest first; the first ones are lines of the table, the rest a sum */
} mv_bench_profile;

typedef struct {
    int rows;
    const mv_bench_row *row;
    const char *note;
    int profiles;
    const mv_bench_profile *profile;
    int more_rows, more_profiles; /* that are not on the page, which says so */
} mv_bench_content;

extern const mv_page_kind mv_page_bench;

#endif
