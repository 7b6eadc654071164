/* What the logits of one picture say: the order of the classes, and their probabilities. Equal logits are in the order
 * of the classes.
 */
#ifndef MV_EXPLAIN_LOGITS_H
#define MV_EXPLAIN_LOGITS_H

#include "src/base/map.h"
#include "src/base/status.h"

/* Classes that are known only after the forward pass. */
#define MV_CLASS_RANK(k) (-100 - (k)) /* number k by its logit, from 0; past the last class: no map */
enum { MV_CLASS_TOP = MV_CLASS_RANK(0), MV_CLASS_SECOND = MV_CLASS_RANK(1) };

/* The class that follows `before` by its logit; MV_MAP_NONE as `before`: the first. MV_MAP_NONE past the last. */
int mv_class_next(const float *logits, int classes, int before);

/* The number of a class that may be given as MV_CLASS_RANK(k): MV_MAP_NONE past the last; other values as they are. */
int mv_class_of(int wanted, const float *logits, int classes);

/* The softmax probability of class c, in double; of a single class, whose softmax is always 1, the sigmoid. */
double mv_probability(const float *logits, int classes, int c);

/* MV_EINPUT, at `place`, where a logit is not finite. */
mv_status mv_logits_check(const float *logits, int classes, const char *place, mv_error *e);

#endif
