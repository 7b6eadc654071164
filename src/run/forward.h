/* MambaVision, top to bottom (Hatamizadeh & Kautz, CVPR 2025, arXiv 2407.08083, figures 2 and 3). */
#ifndef MV_FORWARD_H
#define MV_FORWARD_H

#include "src/run/run_impl.h"

/* Computes a batch: the r->pictures pictures in r->pixels. Returns the logits (pictures, classes) as fp32 on the
 * device, of nd 0 for a network without a head. Named values are shown to the probes of the run. Failures are in
 * r->error. */
mv_tensor mv_forward(mv_run *r);

#endif
