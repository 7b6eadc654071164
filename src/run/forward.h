/* MambaVision, top to bottom (Hatamizadeh & Kautz, CVPR 2025, arXiv 2407.08083, figures 2 and 3). */
#ifndef MV_FORWARD_H
#define MV_FORWARD_H

#include "src/run/state.h"

/* One pass over r->pictures pictures; planes (pictures, 3, h, w) normalised. Returns the logits (pictures, classes) in
 * fp32 on the device; after a failure r->error says why. Named values are told to the run's probes. */
mv_tensor mv_forward(mv_run *r, const float *planes);

#endif
