#ifndef MV_INFER_IMPL_H
#define MV_INFER_IMPL_H

#include "src/model/infer.h"

/* Sets classes, head, head_no_bias and no_norm from the tensors. k->dim is known. MV_EINPUT for a head that is not one
 * Linear, with the names of what there is. */
mv_status mv_infer_head(mv_config *k, const mv_shapes *from, mv_warnings *warnings, mv_error *e);

#endif
