/* Further forward passes of a network, for methods that change the picture: the inputs are made one by one and go
 * through the network in batches, so memory does not grow with their number.
 *
 *     mv_passes *p = mv_passes_new(model, h, w, 8, NULL, &e);
 *     mv_passes_run(p, 4000, make, take, context, &e);
 *     mv_passes_free(p);
 *
 * The run is made by the first call of mv_passes_run and kept for the next ones. One thread at a time may use it, and
 * not while another run of the same model is at work.
 */
#ifndef MV_PASSES_H
#define MV_PASSES_H

#include "src/model/weights.h"
#include "src/run/back.h"

typedef struct mv_passes mv_passes;

/* For inputs of h x w px, at most `batch` at a time. `probe`: the chain that these passes go through, borrowed; NULL:
 * none. The model is borrowed. NULL without memory. */
mv_passes *mv_passes_new(const mv_model *model, int h, int w, int batch, mv_probe *probe, mv_error *e);
void mv_passes_free(mv_passes *p); /* accepts NULL */

/* The same with backward passes after each batch (back.h); NULL: none. `back` is copied, what it points to is borrowed.
 */
mv_passes *mv_passes_new_back(const mv_model *model, int h, int w, int batch, mv_probe *probe, const mv_back *back,
                              mv_error *e);

/* The same as `p`, also when it stops and who watches it, through another chain of probes and with these backward
 * passes (NULL: none). NULL without memory. */
mv_passes *mv_passes_through(const mv_passes *p, mv_probe *probe, const mv_back *back, mv_error *e);

/* Ends the passes early: `asked` is called before every operation, and if it is true they fail with MV_EIO. */
void mv_passes_stop_when(mv_passes *p, bool (*asked)(void));

/* Calls `passed` after every batch: `done` of the `of` inputs of this call of mv_passes_run are through. */
void mv_passes_watch(mv_passes *p, void (*passed)(void *context, int done, int of), void *context);

/* Writes input i: (3, h, w), normalised. Called in order of i; a batch is made before any of it is taken. */
typedef void mv_pass_make(void *context, int i, float *planes);

/* Receives the logits of input i, one for each class; they are invalid after the call. Called in order of i. A failure
 * ends the passes. */
typedef mv_status mv_pass_take(void *context, int i, const float *logits, mv_error *e);

/* Runs n inputs. */
mv_status mv_passes_run(mv_passes *p, int n, mv_pass_make *make, mv_pass_take *take, void *context, mv_error *e);

int mv_passes_batch(const mv_passes *p); /* inputs at a time */
int mv_passes_height(const mv_passes *p);
int mv_passes_width(const mv_passes *p);

/* All inputs that went through since mv_passes_new: for tables of costs. */
long mv_passes_count(const mv_passes *p);

#endif
