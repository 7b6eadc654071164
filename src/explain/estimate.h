/* What the edits of a sweep would change, to first order, from one forward and one backward pass for all of them:
 *
 *     change ~ sum over the edited values of (new - v) dv,   dv = d(target)/dv
 *
 * which for values set to zero is -sum v dv, Taylor importance (Molchanov et al. 2017, arXiv 1611.06440). An edit of a
 * head is one of its v: sum v dv = sum dA A. It is exact where the target depends on a value linearly, as on channels
 * of the last level; elsewhere it misses what the edit changes in other values' gradients. Tokens have no estimate.
 *
 *     mv_estimator *t = mv_estimator_new(model, sweep, h, w, &e);          after the last mv_sweep_add
 *     mv_estimator_run(t, planes, class, MV_MAP_NONE, change, &e);         mv_sweep_count(sweep) values
 *     mv_estimator_free(t);
 */
#ifndef MV_EXPLAIN_ESTIMATE_H
#define MV_EXPLAIN_ESTIMATE_H

#include "src/explain/sweep.h"

typedef struct mv_estimator mv_estimator;

/* The sweep has no edits of every pass, since gradients and edits exclude each other; it and the model are borrowed.
 * NULL on failure. */
mv_estimator *mv_estimator_new(const mv_model *model, const mv_sweep *s, int h, int w, mv_error *e);
void mv_estimator_free(mv_estimator *t); /* accepts NULL; before the sweep */

mv_passes *mv_estimator_passes(mv_estimator *t); /* for mv_passes_stop_when and mv_passes_count. Borrowed */

/* The estimated change of the logit of a class, or (against: not MV_MAP_NONE) of its margin, by each edit; NaN for
 * tokens. planes (3, h, w), normalised. */
mv_status mv_estimator_run(mv_estimator *t, const float *planes, int class_, int against, double *change, mv_error *e);

/* How well estimates agree with the exact changes of items [from, to), where both are finite. */
typedef struct {
    int n, same;        /* items; those whose signs are equal */
    double correlation; /* Pearson's; NaN where either does not vary */
} mv_agreement;
mv_agreement mv_estimate_agreement(const double *exact, const double *estimate, int from, int to);

#endif
