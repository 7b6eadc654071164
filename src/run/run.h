/* Runs a network: makes the state for a picture size, plans its scratch by a dry run on the null device, and drives
 * the passes.
 *
 * A run is used by one thread at a time; several runs may share a model if each has its own thread's turn.
 */
#ifndef MV_EXECUTE_H
#define MV_EXECUTE_H

#include "src/run/state.h"

/* Pictures of h x w pixels (at least 32 a side), at most `capacity` a pass; fewer where the device's memory does not
 * suffice for so many. The probes are borrowed; the chain and what
 * it wants must stay as they are while the run lives. NULL on failure. */
mv_run *mv_run_new(const mv_model *model, int h, int w, int capacity, mv_probe *probes, mv_error *e);
void mv_run_free(mv_run *r); /* fine on NULL */

/* planes (pictures, 3, h, w), normalised fp32, any number of pictures: split into passes. logits (pictures, classes)
 * may be NULL. */
mv_status mv_run_forward(mv_run *r, const float *planes, int pictures, float *logits, mv_error *e);

/* The same in two halves, for what can be done meanwhile: on a device that works behind, the last pass may still run
 * when feed returns (planes may be changed then), and its logits and kept values come with settle, which must follow
 * before the next feed. After a failure of feed there is nothing to settle. */
mv_status mv_run_feed(mv_run *r, const float *planes, int pictures, float *logits, mv_error *e);
bool mv_run_pending(const mv_run *r); /* whether settle would wait */
mv_status mv_run_settle(mv_run *r, mv_error *e);

/* Bytes of scratch. */
size_t mv_run_memory(const mv_run *r);

#endif
