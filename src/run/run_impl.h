/* The state of one execution, for the files of this room: run.c creates it and computes batches, keep.c delivers kept
 * values, the ops work on it.
 */
#ifndef MV_RUN_IMPL_H
#define MV_RUN_IMPL_H

#include "src/run/run.h"

/* A value that a probe keeps. */
typedef struct {
    mv_probe *probe; /* NULL: the logits */
    char *site;
    int part;
    mv_tensor shape; /* for a full batch */
    size_t at;       /* byte in the staging buffer */
    float scale;     /* it is multiplied by this when it is delivered */
} mv_kept_value;

typedef struct {
    const float *values;
    size_t n, at; /* byte behind the scratch */
} mv_constant;

/* What the dry run found: everything that a full batch needs. */
typedef struct {
    size_t scratch;        /* bytes */
    size_t constant_bytes; /* behind it */
    size_t transfer;       /* bytes of a staging buffer */
    int constants, kept;
    int wanted, first_segment; /* gradients; and where the way back ends (tape_impl.h) */
    char first_site[96];       /* there */
    mv_constant *constant;
    mv_kept_value *value; /* in the order of the calls, the logits last */
} mv_plan;

/* Double buffering: full batches alternate between two slots, so that the results of one are delivered while the next
 * one runs. A short batch uses the third slot, because a recording fits one batch size only. */
enum { MV_SLOTS = 3 };
typedef struct {
    mv_transfer transfer;
    void *recording;     /* of the device, or NULL */
    mv_tensor reads;     /* the pixels that it was recorded with */
    bool answers;        /* it puts the logits into the staging buffer */
    bool sent;           /* the results of the batch that follows are on their way */
    int first, pictures; /* its pictures */
    float *logits;       /* where its logits go; or NULL */
} mv_slot;

struct mv_run {
    const mv_model *model;
    mv_backend *b;
    mv_error error; /* the first failure; operations do nothing after it */
    mv_probe *probes;
    int h, w, capacity;
    int pictures, first; /* of the current batch */
    char path[64];       /* prefix of site names: "levels.2.blocks.0" */
    int part;            /* MV_PART_ that costs are added to */
    mv_costs costs;
    const struct mv_mixer_values *mixer; /* while a mixer is computed */
    struct mv_tape *tape;                /* NULL: there are no backward passes */

    char *memory;            /* scratch, then the constants, then what is uploaded */
    size_t used, held, peak; /* bytes of scratch: from the front, until rewound; from the back, until the batch ends */
    bool planning;           /* this is the dry run: it writes the plan */
    mv_plan plan;

    /* Where the device reads the pictures of the batch; see pixels.c. */
    mv_tensor pixels;
    mv_vector table;
    void *upload[2];      /* of the device; NULL where its memory is the host's */
    char *uploaded[2];    /* their memory */
    int turn;             /* the one that the last pictures are in */
    float *table_written; /* what the device's table holds; NULL: nothing yet */

    bool deferred;  /* kept values go through staging buffers, and are delivered after the batch */
    unsigned feeds; /* that have begun */
    int next_kept;  /* index into plan.value */
    bool (*stop_asked)(void);
    mv_slot slot[MV_SLOTS], *current;
    int pictures_last; /* of the last batch that was not a replay; 0 if it failed */
    float *host_value; /* memory for a value that is delivered at once */
    size_t host_bytes;
};

/* ---- pixels.c */

/* Bytes of device memory for the pictures of two batches. */
size_t mv_pixels_bytes(const mv_run *r);
/* memory: so many bytes of the device. */
mv_status mv_pixels_begin(mv_run *r, char *memory, mv_error *e);
/* Brings the pictures of the batch to the device; data NULL: those of the last batch are computed once more. */
void mv_pixels_load(mv_run *r, mv_pictures p);
/* The work that reads them has been started. */
void mv_pixels_over(mv_run *r);
void mv_pixels_end(mv_run *r);

/* ---- keep.c */

/* Creates the staging buffers, and decides whether kept values are deferred. */
void mv_keep_begin(mv_run *r);
/* Before every feed: tries it again where there was no memory, at the feeds number 2, 3, 5, 9 and so on. */
void mv_keep_again(mv_run *r);
void mv_keep_logits(mv_run *r, mv_tensor logits);
/* Where the staging buffer of the batch has room for its logits; nd 0 if they do not go there. */
mv_tensor mv_keep_logits_room(const mv_run *r);
void mv_slot_send(mv_run *r, mv_slot *s);
void mv_slot_deliver(mv_run *r, mv_slot *s); /* hands on what was sent and has not been delivered yet */
void mv_keep_end(mv_run *r);
void mv_plan_free(mv_plan *plan);
void mv_scale(float *values, size_t n, float scale);

#endif
