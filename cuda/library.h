/* The narrow face between the device and CUDA's libraries: memory, copies, products, convolutions, recorded passes.
 * library.cu stands on cudart, cuBLASLt and, where it was found, cuDNN; the tests put plain loops behind the same face.
 *
 * A library belongs to one card and has one stream; all that is asked is done in its order. Every function that can
 * fail writes a sentence that names the op into *e.
 */
#pragma once

#include "cuda/kernel.h"

struct library;

/* Cards that can be used; MV_EDEVICE and the reason where there is none. */
mv_status library_count(int *n, mv_error *e);
/* "NVIDIA H200, compute capability 9.0, 139.7 GiB (138.2 free)" of card i; MV_EDEVICE where it cannot be used. */
mv_status library_describe(int i, char text[160], mv_error *e);

library *library_new(int card, mv_error *e);
void library_free(library *);
void library_use(library *); /* makes its card this thread's: before launches */
cudaStream_t library_stream(const library *);

void *library_alloc(library *, size_t bytes); /* NULL: out of memory */
void library_release(library *, void *);
/* In the stream's order; `from` may be changed on return. */
mv_status library_up(library *, void *to, const void *from, size_t bytes, mv_error *e);
mv_status library_down(library *, void *to, const void *from, size_t bytes, mv_error *e);   /* waits */
mv_status library_across(library *, void *to, const void *from, size_t bytes, mv_error *e); /* both on the card */
mv_status library_finish(library *, mv_error *e);
/* Whether the launch just made was accepted. */
mv_status library_launched(library *, const char *op, mv_error *e);
/* All asked for since the last mark was `op` at `site`: what a failure that shows later is told by. */
void library_mark(library *, const char *site, const char *op);

/* Transfers as in backend.h: sent by a stream of their own, that waits for this one's work and holds none of it up. */
mv_status library_transfer_new(library *, mv_transfer *out, size_t bytes, mv_error *e);
void library_transfer_free(library *, mv_transfer *);
mv_status library_transfer_send(library *, mv_transfer *, size_t bytes, mv_error *e);
mv_status library_transfer_wait(library *, mv_transfer *, mv_error *e);

/* out (rows n) = act(x (rows k) w (n k)^T + bias) + residual. All row-major and dense, x and w of `type`, out and
 * residual of out_type; bias has out_type or is NULL; residual NULL or out itself. act is NONE, RELU or GELU_TANH,
 * without residual where it is not NONE. Sums are fp32; fp32 products are not rounded to tf32. */
struct product {
    mv_dtype type, out_type;
    size_t rows;
    int n, k;
    const void *x, *w, *bias, *residual;
    void *out;
    mv_act act;
};
mv_status library_product(library *, const product &, mv_error *e);

/* out (b oh ow n) = act(3x3 convolution of x (b h w c) with w (n 3 3 c), padding 1, + bias + residual), channels last.
 * act is NONE, or RELU without residual; residual NULL or out itself. */
struct convolution {
    mv_dtype type;
    int pictures, h, w, c, n, stride;
    const void *x, *weights, *bias, *residual;
    void *out;
    mv_act act;
};
bool library_convolves(const library *, const convolution &); /* else the caller lays out columns and multiplies */
mv_status library_convolve(library *, const convolution &, mv_error *e);

/* A pass between record and recorded is not done but kept as a graph, to be done by every replay. */
mv_status library_record(library *, mv_error *e);
bool library_records(const library *);
/* Memory that a graph may use is not released before the last graph is forgotten. */
void library_retire(library *, void *);
mv_status library_recorded(library *, void **graph, mv_error *e);
mv_status library_replay(library *, void *graph, mv_error *e);
void library_forget(library *, void *graph);
