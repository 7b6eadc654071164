/* The number that a backward pass begins with: a function of the logits of one picture.
 *
 *     z_c                          the logit of a class
 *     z_c - sum_k w_k z_k          against other classes: w is the softmax of their logits among themselves
 *     p_c                          the probability of a class: the softmax, or the sigmoid of a single logit
 *
 * The weights w count as constants; Finer-CAM (arXiv 2501.11309) lets the gradient run through its weights. Gradients
 * of p_c vanish as it goes to 1.
 */
#ifndef MV_EXPLAIN_TARGET_H
#define MV_EXPLAIN_TARGET_H

#include <stdbool.h>

#include "src/explain/logits.h"

enum { MV_TARGET_AGAINST = 16 };

typedef struct {
    int class_;                        /* a number, or MV_CLASS_RANK(k) */
    int n, against[MV_TARGET_AGAINST]; /* the others, of which each counts once; n 0: none */
    bool probability;                  /* then n is 0 */
} mv_target;

/* True if both are the same number of every picture. */
bool mv_target_same(const mv_target *a, const mv_target *b);

/* Above this probability, gradients of the probability are mostly rounding. */
#define MV_TARGET_SURE 0.999

/* Writes d(target)/d(logits) to seed (classes) and returns the target of logits (classes). For a class that does not
 * exist (a runner-up in a network of one class), the seed is zeros and the target 0. */
double mv_target_seed(const mv_target *t, const float *logits, int classes, float *seed);

/* sum_k seed_k logits_k: the target at another picture, whose logits these are, with the class and the weights of the
 * picture that the seed is of. A probability is no such sum; for its seed, this is the sum of the logits by its
 * gradient. */
double mv_target_of(const float *seed, const float *logits, int classes);

#endif
