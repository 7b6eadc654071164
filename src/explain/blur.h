/* The blurred picture: what insertion starts from, and a baseline of integrated gradients. */
#ifndef MV_EXPLAIN_BLUR_H
#define MV_EXPLAIN_BLUR_H

#include "src/base/status.h"

/* planes (3, h, w) through a Gaussian of standard deviation 5 px that is cut at 15 px; the border repeats. */
mv_status mv_blur(float *out, const float *planes, int h, int w, mv_error *e);

#endif
