/* The logits of changed inputs of one picture. Asks of one method for several classes share them, so the passes run
 * once for all classes; where they are too many to keep, they run again for each.
 */
#ifndef MV_EXPLAIN_REPLIES_H
#define MV_EXPLAIN_REPLIES_H

#include <stdint.h>

#include "src/explain/method.h"

typedef struct {
    uint64_t key; /* of the picture whose logits are kept; 0: none */
    float *logits;
    size_t room; /* values */
} mv_replies;    /* starts as zeros */

void mv_replies_free(mv_replies *r);

/* A number by which what was computed of a picture is found again; never 0. */
uint64_t mv_replies_key(const mv_subject *s);

/* Hands the logits of the n inputs that `make` makes from s->planes to `take`, in order: as mv_passes_run. What `make`
 * writes must depend on nothing but the planes and what is the same in all calls with this mv_replies. */
mv_status mv_replies_run(mv_replies *r, const mv_subject *s, int n, mv_pass_make *make, mv_pass_take *take,
                         void *context, mv_error *e);

/* The probability of the subject's class, less that of the second class if there is one. */
double mv_probability_of(const mv_subject *s, const float *logits);

#endif
