/* How fast networks run: a row for each measurement, then a section for each profile.
 *
 *     Time of a picture
 *     T fp32 cpu, batch 1    ======        measured, and the floor
 *     T, fp32 on cpu, batch 1
 *     By operation      By part            ms of a pass, measured and at the floor
 *     [bars]            [bars]
 *     operation  shape  part  calls  ms  floor  share
 */
#ifndef MV_PAGE_BENCH_H
#define MV_PAGE_BENCH_H

#include "viz/page/page.h"
#include "viz/panel/chart.h"

enum { MV_BENCH_ROWS = 64, MV_BENCH_PROFILES = 8, MV_BENCH_OPERATIONS = 256 };

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
    const mv_bench_operation *operation; /* the longest first */
} mv_bench_profile;

typedef struct {
    int rows;
    const mv_bar_row *row; /* ms of a picture: measured, floor */
    const char *note;
    int profiles;
    const mv_bench_profile *profile;
} mv_bench_content;

extern const mv_page_kind mv_page_bench;

#endif
