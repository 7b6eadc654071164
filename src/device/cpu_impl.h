/* Inside the CPU device: what its files share. cpu.c makes the device, its memory and weights; cpu_products.c computes
 * convolutions and products; cpu_tokens.c the mixer, attention, windows and the head; cpu_mixer.c what is watched of
 * the mixer; cpu_reduce.c reduces attention rows; cpu_back.c is the backward pass of all but norms, mixers and
 * attention, and cpu_mixer_back.c that of these; cpu_work.c distributes the work.
 *
 * Every operation is cut into pieces for the workers: a convolution into pictures or bands of rows, a product into
 * blocks of rows that stay in cache for the epilogue, the mixer into windows or groups of channels, attention into rows
 * of a head.
 */
#ifndef MV_CPU_DEVICE_H
#define MV_CPU_DEVICE_H

#include "src/base/backend.h"
#include "src/device/dnnl.h"
#include "src/device/workers.h"
#include "src/kernel/kernels.h"

/* Scratch of a worker, grown as needed: a product before its epilogue, the keys and values of a head. */
typedef struct {
    float *data;
    size_t size; /* floats */
} mv_cpu_scratch_block;

typedef struct {
    mv_backend base;
    mv_workers *workers;
    mv_dnnl *dnnl;
    const mv_kernels *k;
    bool widens; /* bf16 without bf16 instructions: products are computed in fp32 */
    int threads;
    mv_cpu_scratch_block *scratch; /* 2 for each worker */
    mv_error *error;               /* one for each worker, of the current job */
} mv_cpu;

static inline mv_cpu *mv_cpu_of(mv_backend *b)
{
    return (mv_cpu *)b;
}

/* Set the operations of a file in the table of the device. */
void mv_cpu_offer_products(mv_backend *b);   /* picture, conv2d, linear, add */
void mv_cpu_offer_tokens(mv_backend *b);     /* layernorm and all from conv1d_silu to mean_pool */
void mv_cpu_offer_mixer(mv_backend *b);      /* half_life, spread, weigh */
void mv_cpu_offer_reductions(mv_backend *b); /* follow, roll, mean_heads, measure */
/* copy, dot, activate, activate_back, conv2d_back, linear_back, mean_pool_back */
void mv_cpu_offer_back(mv_backend *b);
/* layernorm_back and all from conv1d_silu_back to attention_back */
void mv_cpu_offer_mixer_back(mv_backend *b);

/* `conv2d` and `linear`; x of `linear` may be fp32. */
mv_status mv_cpu_conv2d(mv_backend *b, mv_tensor out, mv_tensor x, const mv_conv *w, mv_act act, mv_tensor residual,
                        mv_error *e);
mv_status mv_cpu_linear(mv_backend *b, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act, mv_vector gamma,
                        mv_tensor residual, mv_error *e);

/* Runs pieces 0 to n - 1 of a job, and returns the first failure of a worker. */
mv_status mv_cpu_run(mv_cpu *c, mv_workers_task *task, void *job, int n, mv_error *e);

/* One of the two scratch blocks of a worker, with room for `floats`; NULL, with the error of the worker set, if there
 * is no memory. */
float *mv_cpu_scratch(mv_cpu *c, int worker, int which, size_t floats);

/* The number of pieces that gives every worker the same number of blocks of rows. */
int mv_cpu_pieces(const mv_cpu *c, int rows, int block);

/* The type of activations that oneDNN works on. */
static inline mv_dtype mv_cpu_product_type(const mv_cpu *c)
{
    return c->widens ? MV_F32 : c->base.act;
}

/* Pieces of one window, `most` at most: 1 if there are enough windows for all workers */
int mv_cpu_window_pieces(const mv_cpu *c, int windows, int most);

enum { MV_CPU_BLOCK = 112 }; /* rows whose product stays in the cache of a core for the epilogue */

static inline int mv_least(int a, int b)
{
    return a < b ? a : b;
}

/* The range [*from, *to) of piece i if n things are cut into `pieces` of nearly equal size. */
static inline void mv_share(int n, int pieces, int i, int *from, int *to)
{
    *from = (int)((long)n * i / pieces);
    *to = (int)((long)n * (i + 1) / pieces);
}

static inline char *mv_at(mv_tensor t, size_t element)
{
    return (char *)t.data + element * mv_dtype_size(t.type);
}

/* Rows of a value: the product of all dimensions but the last. */
static inline int mv_rows_in(mv_tensor x)
{
    return (int)(mv_tensor_count(x) / (size_t)x.dim[x.nd - 1]);
}

#endif
