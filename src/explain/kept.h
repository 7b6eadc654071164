/* The kept values of one site, for all pictures of a forward: what a probe's `kept` receives batch by batch is put
 * where its pictures belong. The memory is used again by the next forward.
 */
#ifndef MV_EXPLAIN_KEPT_H
#define MV_EXPLAIN_KEPT_H

#include "src/run/probe.h"

typedef struct {
    float *value; /* (pictures, each), the caller's to free */
    size_t room;  /* values */
    int pictures; /* that were seen by the last forward */
} mv_kept;        /* starts as zeros */

/* Takes the value of one batch, `each` numbers a picture. A failure is that of the run. */
void mv_kept_take(mv_kept *k, mv_run *r, const char *site, mv_tensor value, size_t each);

/* The numbers of one picture of the last forward; NULL if it was not seen. Borrowed until the next forward. */
const float *mv_kept_at(const mv_kept *k, int picture, size_t each);

#endif
