/* Inside the CPU device: what its rooms share. cpu.c makes the device, its memory and weights; cpu_products.c does
 * convolutions and products; cpu_tokens.c the mixer, attention, windows and the head; cpu_jobs.c hands pieces out.
 *
 * Every op is cut into pieces that the pool's workers take: a piece of a convolution is a picture or a band of its
 * rows, of a product a block of rows that stays in cache for its epilogue, of the mixer a window or some of its
 * channels, of attention some rows of a head.
 */
#ifndef MV_CPU_DEVICE_H
#define MV_CPU_DEVICE_H

#include "src/base/backend.h"
#include "src/device/dnnl.h"
#include "src/device/workers.h"
#include "src/kernel/kernels.h"

/* A worker's own memory, grown as needed: a product before its epilogue, a head's keys and values. */
typedef struct {
    float *data;
    size_t size; /* floats */
} mv_bench;

typedef struct {
    mv_backend base;
    mv_pool *pool;
    mv_dnnl *dnnl;
    const mv_kernels *k;
    bool widens; /* bf16 without bf16 instructions: products are made in fp32 */
    int threads;
    mv_bench *bench; /* 2 a worker */
    mv_error *error; /* one a worker, for the job at hand */
} mv_cpu;

static inline mv_cpu *mv_cpu_of(mv_backend *b)
{
    return (mv_cpu *)b;
}

/* The ops of a room, put into the device's table. */
void mv_cpu_offer_products(mv_backend *b); /* picture, conv2d, linear, add */
void mv_cpu_offer_tokens(mv_backend *b);   /* layernorm and all from conv1d_silu to pool */

/* Runs pieces 0 to n - 1 of a job and tells of the first worker that failed. */
mv_status mv_cpu_run(mv_cpu *c, mv_pool_task *task, void *job, int n, mv_error *e);

/* One of a worker's two benches, at least so large; NULL, and the worker's error is set, when there is no memory. */
float *mv_cpu_bench(mv_cpu *c, int worker, int which, size_t floats);

/* As many pieces as give every worker the same number of blocks of rows. */
int mv_cpu_pieces(const mv_cpu *c, int rows, int block);

/* The type that oneDNN is given for activations. */
static inline mv_dtype mv_cpu_product_type(const mv_cpu *c)
{
    return c->widens ? MV_F32 : c->base.act;
}

enum { MV_CPU_BLOCK = 112 }; /* rows whose product stays in a core's cache for the epilogue */

static inline int mv_least(int a, int b)
{
    return a < b ? a : b;
}

/* [*from, *to) of piece i when n things are cut into `pieces` that differ by one at most */
static inline void mv_share(int n, int pieces, int i, int *from, int *to)
{
    *from = (int)((long)n * i / pieces);
    *to = (int)((long)n * (i + 1) / pieces);
}

static inline char *mv_at(mv_tensor t, size_t element)
{
    return (char *)t.data + element * mv_dtype_size(t.type);
}

/* Rows of a value, as its last dimension cuts it */
static inline int mv_rows_in(mv_tensor x)
{
    return (int)(mv_tensor_count(x) / (size_t)x.dim[x.nd - 1]);
}

#endif
