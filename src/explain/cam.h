/* The exact class activation map (Zhou et al. 2016, arXiv 1512.04150). The network ends with a batch norm, the mean
 * over space and a linear layer, all of them affine, so that a logit is the mean of what each cell says for its class:
 * no gradient, no approximation.
 *
 *     CAM_c(p) = sum_k W_ck norm_k(p) + b_c        logit_c = mean over p of CAM_c(p)
 */
#ifndef MV_EXPLAIN_CAM_H
#define MV_EXPLAIN_CAM_H

#include "src/base/map.h"
#include "src/model/weights.h"

/* The evidence for class `c` in each cell of level 3, for one picture of `norm` (B, C, h, w), fp32: what the site
 * "norm" holds. Sums are taken in double. The map has unit "logit per cell", diverges at 0 and has no title yet; it is
 * the caller's to mv_map_free. MV_EINPUT names the number of classes when `c` is none of them; a picture or a shape
 * that does not fit the model is MV_EMISUSE. The difference of two classes is mv_map_subtract. */
mv_status mv_cam(mv_map *out, const mv_model *model, mv_tensor norm, int picture, int c, mv_error *e);

#endif
