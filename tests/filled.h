/* A device that stores maps and ranks with spare channels (channel_multiple) gives what it gives without them. */
#ifndef FILLED_H
#define FILLED_H

#include "src/base/backend.h"

/* Compares a network of odd sizes on two devices that `open` makes: every site, the logits watched and not, edits, NaN
 * and the costs. `multiple` 0: what the device prefers by itself. Values may differ by `bound`, relative L2. */
void filled_equals_bare(mv_backend *(*open)(mv_dtype), mv_dtype act, int multiple, double bound);

#endif
