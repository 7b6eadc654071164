/* A device that computes nothing. A forward on it yields site names, shapes, multiply-adds and peak memory; a model
 * loaded on it counts parameters or validates a checkpoint. Its memory is never touched and costs nothing.
 */
#ifndef MV_NULL_H
#define MV_NULL_H

#include "src/base/backend.h"

/* act: the type of activations to plan for. NULL on failure. */
mv_backend *mv_null_new(mv_dtype act, mv_error *e);

#endif
