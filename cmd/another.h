/* A network apart from the stream of pictures, which explains or shows its values, one input at a time: a side of a
 * comparison, a model with other parameters, a picture that was made of several. Several may share a session; they are
 * not used at the same time.
 */
#ifndef ANOTHER_H
#define ANOTHER_H

#include "cmd/command.h"
#include "src/run/run.h"

/* Zeroed before another_open. It must not move while it is open, as the explainer points into it. */
typedef struct {
    const session *session; /* borrowed, as is the model */
    const mv_model *model;
    int asks;
    mv_ask ask[CALL_ASKS]; /* their classes may be set until another_explain */
    mv_explainer *explainer;
    mv_passes *passes; /* NULL: no ask makes any */
    mv_run *run;
} another;

/* For inputs of h x w px on this model of the session's sizes, with n asks (0: nothing is explained), through `probes`
 * as well (borrowed; NULL: none). MV_EINPUT where the parameters of an ask do not fit the network. After a failure
 * there is nothing to close. */
mv_status another_open(another *x, const session *s, const mv_model *model, const mv_ask *asks, int n, mv_probe *probes,
                       int h, int w, int batch, mv_error *e);
void another_close(another *x); /* a zeroed one is fine; it is zeroed afterwards */

/* Runs one input, planes (3, h, w); logits receives those of all classes, finite or not. */
mv_status another_run(another *x, const float *planes, float *logits, mv_error *e);

/* Appends the maps of every ask, of the input that ran last, to maps[asks]. */
mv_status another_explain(another *x, const float *planes, const float *logits, mv_maps *maps, mv_error *e);

#endif
