/* The state of one execution of a network: scratch memory, the name path, probes, costs and the sticky error. It is
 * made and driven by execute.h; ops.h works on it, and probes reach the values through it.
 */
#ifndef MV_RUN_H
#define MV_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "src/model/weights.h"
#include "src/run/probe.h"

/* A value on its way to a probe: where in the tray it lies. */
typedef struct {
    mv_probe *probe; /* NULL: the logits */
    char *site;
    int part;
    mv_tensor value; /* its shape */
    size_t at;
} mv_parcel;

/* Full passes take turns in two lanes, so that what one brings over is handed on while the next one runs; a pass of
 * fewer pictures has a third, so that it spoils no recording. */
enum { MV_LANES = 3 };
typedef struct {
    mv_tray tray;
    size_t used, asked; /* bytes of it; and that would have been kept, had there been room */
    int n, room;
    mv_parcel *parcel;
    void *pass; /* the device's recording of it, or NULL */
    bool sent;  /* parcels are on their way: of the pass of `pictures` from `first` on */
    int first, pictures;
    float *logits; /* where this pass's go; or NULL */
} mv_lane;

struct mv_run { /* read by probes; written by execute.c, delivery.c and ops.c alone */
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
    mv_lane lane[MV_LANES], *way;      /* way: of the current pass */
    size_t wanted, most;               /* bytes that a pass asks for at most; that a tray may have */
    int done;                          /* pictures of the last pass that was not a replay */
    float *piece;                      /* a value that is handed on at once */
    size_t piece_room;                 /* bytes */
};

/* ---- for probes, during `sees` */

/* The value as dense row-major fp32 in its public shape, and back. host holds mv_view_count(v) elements. False after a
 * failure, which is then the run's. */
bool mv_run_read(mv_run *r, mv_view v, float *host);
bool mv_run_write(mv_run *r, mv_view v, const float *host);
/* Has the value brought to p->kept as dense fp32: at once, or, on a device that works behind, after the pass. */
void mv_run_keep(mv_run *r, mv_probe *p, const char *site, int part, mv_view v);
int mv_run_first(const mv_run *r);    /* the first picture of this pass, counted over the whole forward */
int mv_run_pictures(const mv_run *r); /* pictures of this pass */

/* Stops the run with this failure. */
void mv_run_fail(mv_run *r, mv_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
