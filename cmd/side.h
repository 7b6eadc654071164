/* One side of a comparison: a network that explains or shows its values, one picture at a time. Two sides may share a
 * session; they are not used at the same time.
 */
#ifndef SIDE_H
#define SIDE_H

#include "cmd/session.h"
#include "src/explain/methods.h"
#include "src/run/run.h"

/* Zeroed before side_open. It must not move while it is open, as the explainer points into it. */
typedef struct {
    session *session; /* borrowed */
    int h, w;         /* pixels of the inputs */
    mv_ask ask;       /* method NULL: nothing is explained; its classes may be set until side_explain */
    mv_explainer *explainer;
    mv_passes *passes;
    mv_run *run;
} side;

/* For inputs of h x w px, through `probes` as well (borrowed; NULL: none). MV_EINPUT where the parameters of the ask do
 * not fit the network. After a failure there is nothing to close. */
mv_status side_open(side *x, session *s, const mv_ask *ask, mv_probe *probes, int h, int w, int batch, mv_error *e);
void side_close(side *x); /* a zeroed one is fine; it is zeroed afterwards */

/* Runs one input, planes (3, h, w); logits receives those of all classes. MV_EINPUT for one that is not finite. */
mv_status side_run(side *x, const float *planes, float *logits, mv_error *e);

/* Appends the maps of the input that ran last. */
mv_status side_explain(side *x, const float *planes, const float *logits, mv_maps *out, mv_error *e);

#endif
