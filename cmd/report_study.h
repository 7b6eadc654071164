/* What `report` computes of a picture by further forward passes: the network without each head, without each mixer's
 * scan or local branch; deletion and insertion in the order of the evidence and of random maps; and the picture
 * mirrored and upside down. Parts can be left out.
 */
#ifndef REPORT_STUDY_H
#define REPORT_STUDY_H

#include "cmd/command.h"
#include "src/base/param.h"
#include "src/explain/audit.h"
#include "src/explain/faith.h"
#include "src/explain/sweep.h"

/* Words of --without. */
enum { REPORT_HEADS, REPORT_BRANCHES, REPORT_FAITH, REPORT_MIRROR, REPORT_PARTS };

typedef struct {
    bool without[REPORT_PARTS];
    int steps, seeds; /* of deletion and insertion */
} report_ask;

enum { REPORT_NAME = 32 };

/* One kind of sweep: the change of the top class's logit. */
typedef struct {
    int rows, columns;        /* 0: not computed */
    char (*row)[REPORT_NAME]; /* "2.4" */
    int *length;              /* cells of each row */
    double *change;           /* (rows, columns) */
} report_sweep;

typedef struct {
    report_sweep heads, mixers; /* mixers: columns as in MV_SWEEP_MIXERS */
    int steps, seeds;           /* steps 0: deletion and insertion were not computed */
    mv_faith_score map, random, spread;
    mv_audit *audit; /* NULL: not computed */
} report_result;

void report_result_free(void *of); /* for command.drop */

typedef struct report_study report_study;

/* `view`: the mixer block whose states are compared. It, `ask` and the call are borrowed. NULL on failure. */
report_study *report_study_new(call *c, const report_ask *ask, const mv_inside_params *view, mv_error *e);
void report_study_free(report_study *r); /* NULL is fine; when no picture runs any more */

/* Of one picture. `evidence` of its top class gives the order of deletion and insertion; `cam` is the exact CAM of that
 * class, and `inside` the maps of `view`. *out is the caller's to report_result_free, also on failure. */
mv_status report_study_run(report_study *r, const study *s, const mv_map *evidence, const mv_map *cam,
                           const mv_maps *inside, report_result **out, mv_error *e);

#endif
