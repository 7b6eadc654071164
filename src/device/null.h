/* A device that computes nothing. A forward over it gives site names, shapes, MACs and peak memory, and a model loaded
 * on it counts parameters or validates a checkpoint. Memory it hands out is never touched and costs nothing.
 */
#ifndef MV_NULL_H
#define MV_NULL_H

#include "src/base/backend.h"

/* act: the type the dry run plans for. NULL on failure. */
mv_backend *mv_null_new(mv_dtype act, mv_error *e);

#endif
