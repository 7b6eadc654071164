/* One execution of a network: scratch memory, the name path, probes, costs and the sticky error.
 *
 * A run is made for a picture size and a number of pictures a pass; its scratch is one block, sized by a dry run on the
 * null device. A run is used by one thread at a time; several runs may share a model if each has its own thread's turn.
 */
#ifndef MV_RUN_H
#define MV_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "probe.h"

struct mv_run {  /* read by probes and ops; written by run.c and ops.c alone */
    const mv_model *model;
    mv_backend *b;
    mv_error error;          /* the first failure; later ops do nothing */
    mv_probe *probes;
    int h, w;                /* pixels of the input */
    int capacity;            /* pictures a pass */
    int pictures, first;     /* of the current pass */
    char path[64];           /* "levels.2.blocks.0" */
    char *base;              /* scratch */
    size_t size, used, peak; /* bytes */
    int part;                /* MV_PART_ that costs go to */
    uint64_t macs[MV_PARTS];            /* multiply-adds of the last pass, without those of the next line */
    uint64_t attention_macs[MV_PARTS];  /* q k^T and rows v: published counts leave them out */
};

/* Pictures of h x w pixels (at least 32 a side), at most `capacity` a pass. The probes are borrowed; the chain and what it
 * wants must stay as they are while the run lives. NULL on failure. */
mv_run *mv_run_new(const mv_model *model, int h, int w, int capacity, mv_probe *probes, mv_error *e);
void mv_run_free(mv_run *r);  /* fine on NULL */

/* planes (pictures, 3, h, w), normalised fp32, any number of pictures: split into passes. logits (pictures, classes)
 * may be NULL. */
mv_status mv_run_forward(mv_run *r, const float *planes, int pictures, float *logits, mv_error *e);

/* Bytes of scratch. */
size_t mv_run_memory(const mv_run *r);

/* ---- for probes, during `sees` */

/* The value as dense row-major fp32 in its public shape, and back. host holds mv_view_count(v) elements. False after a failure,
 * which is then the run's. */
bool mv_run_read(mv_run *r, mv_view v, float *host);
bool mv_run_write(mv_run *r, mv_view v, const float *host);
int mv_run_first(const mv_run *r);     /* the first picture of this pass, counted over the whole forward */
int mv_run_pictures(const mv_run *r);  /* pictures of this pass */

/* Stops the run with this failure. */
void mv_run_fail(mv_run *r, mv_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
