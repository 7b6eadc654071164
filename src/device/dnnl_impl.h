/* What the files that use oneDNN share: dnnl.c compiles and runs convolutions, dnnl_weights.c has the layouts of
 * weights, dnnl_act.c activations. */
#ifndef MV_CPU_DNNL_IMPL_H
#define MV_CPU_DNNL_IMPL_H

#include <pthread.h>

#include "src/device/dnnl.h"
#include "src/device/dnnl_api.h"

/* One compiled operation, and what each worker calls it with. */
typedef struct mv_dnnl_plan {
    mv_dnnl_shape shape;
    dnnl_primitive_desc_t about; /* describes the layout of the weights */
    dnnl_primitive_t primitive;
    size_t scratch;        /* bytes that a worker needs */
    dnnl_memory_t *memory; /* per worker: from, to, scratch */
    struct mv_dnnl_plan *next;
} mv_dnnl_plan;

enum { MV_DNNL_BUCKETS = 256, MV_DNNL_PER_WORKER = 3, MV_DNNL_WIDTHS = 64 };

struct mv_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t *stream; /* one for each worker */
    int workers;
    bool half;
    pthread_mutex_t lock; /* of the table, and of growing scratch */
    mv_dnnl_plan *table[MV_DNNL_BUCKETS];
    struct {
        int in, out, layout;
    } width[MV_DNNL_WIDTHS]; /* the layout for products of this width */
    int widths;
    mv_dnnl_plan *activation; /* GELU in its tanh form */
    struct {
        void *data;
        size_t size;
    } * scratch; /* one for each worker */
};

struct mv_dnnl_weights {
    mv_dnnl_shape typical; /* which they were made for */
    dnnl_memory_t *weight; /* the same values in one layout, or in several if plans differ */
    int layouts;
    dnnl_memory_t bias;
    mv_dnnl_weights *back; /* those of the transpose, after the first call for them */
};

mv_status mv_dnnl_checked(dnnl_status_t s, const char *what, mv_error *e);
/* A primitive descriptor for these weights, or for the layout if `weights` is NULL. */
mv_status mv_dnnl_describe(const mv_dnnl *d, const mv_dnnl_shape *c, borrowed weights, dnnl_format_tag_t layout,
                           dnnl_primitive_desc_t *out, mv_error *e);
/* True for one of oneDNN's plain loops, which are a hundred times slower. */
bool mv_dnnl_is_plain(dnnl_primitive_desc_t pd);
mv_dnnl_plan *mv_dnnl_plan_new(mv_dnnl *d, mv_error *e);
void mv_dnnl_plan_free(mv_dnnl *d, mv_dnnl_plan *p); /* accepts NULL */
/* The primitive, and the memories of each worker, of p->about. */
dnnl_status_t mv_dnnl_plan_fill(mv_dnnl *d, mv_dnnl_plan *p);
/* The weights in the layout of a plan. Called under the lock. */
dnnl_memory_t mv_dnnl_weight_for(mv_dnnl *d, int worker, const mv_dnnl_plan *p, mv_dnnl_weights *w, mv_error *e);

#endif
