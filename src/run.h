/* The state of one execution of a network: scratch memory, the name path, probes, costs and the sticky error. It is
 * made and driven by execute.h; ops.h works on it, and probes reach the values through it.
 */
#ifndef MV_RUN_H
#define MV_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "probe.h"

struct mv_run { /* read by probes; written by execute.c and ops.c alone */
    const mv_model *model;
    mv_backend *b;
    mv_error error; /* the first failure; later ops do nothing */
    mv_probe *probes;
    int h, w;                          /* pixels of the input */
    int capacity;                      /* pictures a pass */
    int pictures, first;               /* of the current pass */
    char path[64];                     /* "levels.2.blocks.0" */
    char *base;                        /* scratch */
    size_t size, used, peak;           /* bytes */
    int part;                          /* MV_PART_ that costs go to */
    uint64_t macs[MV_PARTS];           /* multiply-adds of the last pass, without those of the next line */
    uint64_t attention_macs[MV_PARTS]; /* q k^T and rows v: published counts leave them out */
    void *pass;                        /* the device's recording of a pass of `repeats` pictures, or NULL */
    int repeats, done;                 /* done: pictures of the last pass that was not a replay */
    mv_tensor logits;                  /* of that pass */
};

/* ---- for probes, during `sees` */

/* The value as dense row-major fp32 in its public shape, and back. host holds mv_view_count(v) elements. False after a
 * failure, which is then the run's. */
bool mv_run_read(mv_run *r, mv_view v, float *host);
bool mv_run_write(mv_run *r, mv_view v, const float *host);
int mv_run_first(const mv_run *r);    /* the first picture of this pass, counted over the whole forward */
int mv_run_pictures(const mv_run *r); /* pictures of this pass */

/* Stops the run with this failure. */
void mv_run_fail(mv_run *r, mv_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
