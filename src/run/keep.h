/* How the kept values of a pass come to the probes that asked for them (mv_run_keep), and the logits to the caller: for
 * execute.c alone.
 *
 * A device whose memory is the host's hands them on at once. Others put them into the tray of the pass's lane, send it
 * behind the pass, and they are handed on while the next pass runs. How large a tray must be the first pass tells,
 * which reads at once; so does a run whose values are too many for a tray.
 */
#ifndef MV_DELIVERY_H
#define MV_DELIVERY_H

#include "src/run/state.h"

#define MV_TRAY_MOST ((size_t)1 << 30) /* bytes, of each: they are pinned memory of the host */

/* Empties the lane for a pass, with a tray for what the last one kept. Whether all of that fits. */
bool mv_lane_ready(mv_run *r, mv_lane *l);
void mv_keep_logits(mv_run *r, mv_tensor logits);
void mv_lane_send(mv_run *r, mv_lane *l);
void mv_lane_deliver(mv_run *r, mv_lane *l); /* what was sent and not yet handed on */
void mv_lanes_free(mv_run *r);

#endif
