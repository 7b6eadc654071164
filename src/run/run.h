/* Runs a network: makes the state for one picture size, plans all memory by a dry run on the null device, and computes
 * batches.
 *
 *     mv_run *r = mv_run_new(model, h, w, capacity, probes, &e);
 *     mv_run_forward(r, planes, pictures, logits, &e);
 *     mv_run_free(r);
 *
 * One thread at a time may use a run. Several runs may share a model if no two of them are used at the same time.
 */
#ifndef MV_RUN_H
#define MV_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "src/model/weights.h"
#include "src/run/probe.h"

/* For pictures of h x w pixels (32 or more a side), at most `capacity` in a batch; the capacity is halved until the
 * memory of the device suffices. The probes are borrowed; the chain and what it wants must not change while the run
 * exists. NULL on failure. */
mv_run *mv_run_new(const mv_model *model, int h, int w, int capacity, mv_probe *probes, mv_error *e);
void mv_run_free(mv_run *r); /* accepts NULL */

/* Pictures: normalised fp32 planes (n, 3, h, w), table NULL; or bytes (n, h, w, 3), of which v in channel c stands for
 * table[256 c + v]. */
typedef struct {
    const void *data;
    const float *table;
} mv_pictures;

/* planes (pictures, 3, h, w), normalised fp32, any number of pictures: they are split into batches. logits (pictures,
 * classes) may be NULL: then they stay on the device. planes NULL: what the last batch computed is computed again, for
 * measurements. */
mv_status mv_run_forward(mv_run *r, const float *planes, int pictures, float *logits, mv_error *e);

/* The same in two steps. On an asynchronous device the last batch may still run when feed returns (planes may be
 * reused then); its logits and kept values are delivered by settle, which must be called before the next feed. If feed
 * fails, settle must not be called. */
mv_status mv_run_feed(mv_run *r, const float *planes, int pictures, float *logits, mv_error *e);
/* The same for pictures as bytes, a quarter of the memory and of the copying. */
mv_status mv_run_feed_pictures(mv_run *r, mv_pictures p, int pictures, float *logits, mv_error *e);
bool mv_run_pending(const mv_run *r); /* true if settle would wait */
mv_status mv_run_settle(mv_run *r, mv_error *e);

/* Ends a batch early: `asked` is called before every operation, and if it is true the run fails with MV_EIO. */
void mv_run_stop_when(mv_run *r, bool (*asked)(void));

int mv_run_height(const mv_run *r); /* px of the input */
int mv_run_width(const mv_run *r);
int mv_run_capacity(const mv_run *r);  /* pictures in a batch */
size_t mv_run_memory(const mv_run *r); /* bytes of device memory */

/* Multiply-adds of the last batch by part of the network. q k^T and rows v are counted apart, because published counts
 * leave them out. */
typedef struct {
    uint64_t macs[MV_PARTS], attention_macs[MV_PARTS];
} mv_costs;
mv_costs mv_run_costs(const mv_run *r);

/* ---- for probes */

/* Copies a value to dense row-major fp32 in its public shape, and back; host holds mv_view_count(v) elements. False
 * after a failure, which then is the failure of the run. Only during `sees`. */
bool mv_run_read(mv_run *r, mv_view v, float *host);
bool mv_run_write(mv_run *r, mv_view v, const float *host);

/* Delivers the value to p->kept as dense fp32: at once, or after the batch on an asynchronous device. The first
 * dimension must count pictures or their windows. Only during `sees`. */
void mv_run_keep(mv_run *r, mv_probe *p, const char *site, int part, mv_view v);

/* The values (rows, columns), fp32, in device memory. They are copied there when the run is made, and identified by the
 * pointer: the memory must not change or be freed while the run exists. Only during `sees` of a probe that keeps. */
mv_tensor mv_run_constant(mv_run *r, const float *values, int rows, int columns);

int mv_run_first(const mv_run *r);    /* number of the first picture of the batch, counted over the whole forward */
int mv_run_pictures(const mv_run *r); /* pictures in the batch */

/* Stops the run with this failure. Only the first one is reported. */
void mv_run_fail(mv_run *r, mv_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
