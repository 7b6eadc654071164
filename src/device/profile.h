/* A device that times the operations of another: each operation at each shape, with its work.
 *
 *     mv_profile *p = mv_profile_new(model->backend, &e);
 *     mv_model timed = *model;
 *     timed.backend = mv_profile_device(p);
 *     mv_run *r = mv_run_new(&timed, h, w, batch, NULL, &e);
 *     for (...) {
 *         mv_run_forward(r, planes, batch, logits, &e);
 *         mv_profile_pass(p);
 *     }
 *
 * Where the device records nothing, each call is timed, and a row has the median of its sums over the passes. Where
 * it records, calls return before they are done: an operation that meets a shape for the first time is recorded many
 * times into one graph, whose replay is timed. So no launch of the host is in the time, and inputs that fit into the
 * device's cache are in it, as they mostly are in a pass; one pass is enough.
 *
 * The device has the operations of a pass that no probe watches, and no others.
 */
#ifndef MV_PROFILE_H
#define MV_PROFILE_H

#include "src/base/backend.h"

typedef struct mv_profile mv_profile;

typedef struct {
    char op[16], shape[72]; /* "linear", "6272 x 320 -> 640 gelu" */
    char site[64];          /* where it was called first: "levels.2.blocks.0"; "" for the layers around the levels */
    double flops, bytes;    /* of one call: inputs and weights read once, the output written once */
    double seconds;         /* of all its calls in a pass */
    int calls;              /* in a pass */
} mv_profile_row;

/* `device` is borrowed and must outlive the profile. NULL on failure. */
mv_profile *mv_profile_new(mv_backend *device, mv_error *e);
void mv_profile_free(mv_profile *p); /* after the runs that use its device; accepts NULL */
mv_backend *mv_profile_device(mv_profile *p);

void mv_profile_pass(mv_profile *p); /* a pass is over */

/* The rows of the passes so far, the longest first; *n is their number. Valid until the next pass or free. */
const mv_profile_row *mv_profile_rows(mv_profile *p, int *n);
int mv_profile_left_out(const mv_profile *p); /* calls that are in no row, because there are too many shapes */

#endif
