/* The gradient of a target with respect to the picture, averaged over further inputs that a method makes of it: noisy
 * copies, or steps to it. With the inputs x_i, their weights w_i, and g_i = d target(x_i) / d x_i:
 *
 *     mean = sum_i w_i g_i / sum_i w_i        variance = sum_i w_i (g_i - mean)^2 / sum_i w_i
 *
 * The inputs go forwards and backwards through the network in batches, and each gradient is added as it arrives, in
 * double: memory does not grow with their number, and the size of a batch changes no bit. All targets that are asked
 * for share the forward passes. A target is that of the picture itself: its class, and the weights of the classes
 * against it, are not chosen anew for an input.
 *
 *     mv_mean_gradient *m = mv_mean_gradient_new(h, w, false, &e);                                in `open`
 *     mv_mean_gradient_run(m, s, &(mv_mean_inputs){.n = 50, .make = make, .weight = weight, .context = k}, &e);
 *     const double *mean = mv_mean_gradient_mean(m, s);
 *     mv_mean_gradient_free(m);                                                                   in `close`
 */
#ifndef MV_MEAN_GRADIENT_H
#define MV_MEAN_GRADIENT_H

#include "src/explain/method.h"

typedef struct mv_mean_gradient mv_mean_gradient;

/* For inputs of h x w pixels; the variance is computed only where it is asked for. NULL without memory. */
mv_mean_gradient *mv_mean_gradient_new(int h, int w, bool variance, mv_error *e);
void mv_mean_gradient_free(mv_mean_gradient *m); /* accepts NULL */

/* n inputs. What `make` writes must depend on nothing but the picture and what is the same in all calls with this
 * mv_mean_gradient. An input of weight 0 counts only for its target. */
typedef struct {
    int n;
    mv_pass_make *make;
    const double *weight; /* n values */
    void *context;        /* for `make` */
} mv_mean_inputs;

/* Runs the inputs, unless those of this picture and these targets were the last ones. */
mv_status mv_mean_gradient_run(mv_mean_gradient *m, const mv_subject *s, const mv_mean_inputs *in, mv_error *e);

/* Of the subject's target, after mv_mean_gradient_run: (3, h, w), borrowed until the next run. */
const double *mv_mean_gradient_mean(const mv_mean_gradient *m, const mv_subject *s);
const double *mv_mean_gradient_variance(const mv_mean_gradient *m, const mv_subject *s);

/* The subject's target at input i, of weight 0 or not. */
double mv_mean_gradient_target(const mv_mean_gradient *m, const mv_subject *s, int i);

#endif
