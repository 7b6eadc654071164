/* The interface between the device and CUDA's libraries: memory, copies, products, convolutions, recordings.
 * library*.cu implement it with cudart, cuBLASLt and, if the build found it, cuDNN. The tests put doubles of those
 * below library*.cu (tests/cuda/double.h); tests/ledger.cc is a second implementation, for programs that count.
 *
 * A library belongs to one card and has one stream, which executes all work in order but uploads and transfers. Every
 * function that can fail writes a sentence with the name of the operation to *e.
 */
#pragma once

#include "cuda/kernel.h"

namespace mv
{

struct library;

/* The number of cards that can be used; MV_EDEVICE and the reason if there is none. */
mv_status library_count(int *n, mv_error *e);
/* "NVIDIA H200, compute capability 9.0, 139.7 GiB, cuBLASLt 13.1.0, cuDNN 9.19.0" of card i; MV_EDEVICE if it cannot be
 * used. Makes no context on it. */
mv_status library_describe(int i, char text[160], mv_error *e);
bool library_has_fp8(int i); /* card i has products with scales */

library *library_new(int card, mv_error *e); /* NULL on failure */
void library_free(library *);                /* waits for its work; accepts NULL */
void library_use(library *); /* makes its card the current one of this thread; required before launches */
cudaStream_t library_stream(const library *);

void *library_alloc(library *, size_t bytes); /* NULL: out of memory */
void library_release(library *, void *);      /* waits for the stream; accepts NULL */
/* In stream order; `from` may be reused on return. */
mv_status library_up(library *, void *to, const void *from, size_t bytes, mv_error *e);
mv_status library_down(library *, void *to, const void *from, size_t bytes, mv_error *e);   /* waits */
mv_status library_across(library *, void *to, const void *from, size_t bytes, mv_error *e); /* both on the card */
mv_status library_finish(library *, mv_error *e); /* waits, and reports late failures */
/* Reports whether the last launch was accepted. */
mv_status library_launched(library *, const char *op, mv_error *e);
/* Names the work since the last mark as `op` at `site`, for reports of late failures. */
void library_mark(library *, const char *site, const char *op);

/* Uploads as in backend.h. They have a stream of their own. */
mv_status library_upload_new(library *, void **upload, mv_error *e);
void library_upload_free(library *, void *upload);
mv_status library_upload_send(library *, void *upload, void *to, const void *from, size_t bytes, mv_error *e);
mv_status library_upload_over(library *, void *upload, mv_error *e);

/* Staging buffers as in backend.h. They are sent by a stream of their own, which waits for the work before the send and
 * does not delay the work after it. */
mv_status library_transfer_new(library *, mv_transfer *out, size_t bytes, mv_error *e);
void library_transfer_free(library *, mv_transfer *);
mv_status library_transfer_send(library *, mv_transfer *, size_t bytes, mv_error *e);
mv_status library_transfer_wait(library *, mv_transfer *, mv_error *e);

/* out (rows n) = act(x (rows k) w (n k)^T + bias) + residual; if `turned`, w is (k n). All row-major and dense, x and w
 * of `type`, out and residual of out_type; bias has out_type or is NULL; residual may be out itself, or NULL. act is
 * NONE, RELU or GELU_TANH, without residual where it is not NONE. Sums are fp32; fp32 products are not rounded to tf32.
 * With scales, x and w are E4M3, and sums are multiplied by x_scale[row] w_scale[n]; k and n are multiples of 16. */
struct product {
    mv_dtype type, out_type;
    size_t rows;
    int n, k;
    const void *x, *w, *bias, *residual;
    void *out;
    mv_act act;
    const float *x_scale = nullptr, *w_scale = nullptr;
    bool turned = false;
};
mv_status library_product(library *, const product &, mv_error *e);

/* out (b oh ow n) = act(3x3 convolution of x (b h w c) with w (n 3 3 c), padding 1, + bias + residual), channels last.
 * act is NONE, or RELU or GELU_TANH without residual; residual NULL or out itself.
 * back: the transpose of the convolution alone. The sizes and the weights are still those of the convolution, x has the
 * shape of its output, and out that of its input. */
struct convolution {
    mv_dtype type;
    int pictures, h, w, c, n, stride;
    const void *x, *weights, *bias, *residual;
    void *out;
    mv_act act;
    long batches = 0; /* how often it is expected to be computed */
    bool back = false;
};

inline size_t positions_of(const convolution &c)
{
    return static_cast<size_t>(c.pictures) * static_cast<size_t>((c.h + c.stride - 1) / c.stride) *
           static_cast<size_t>((c.w + c.stride - 1) / c.stride);
}

/* True where a kernel with GELU in it repays the seconds that it takes to compile: without it, another kernel reads and
 * writes all values of an output, 4 bytes each, in every batch. So many values take two seconds at 2.2 TB/s. */
constexpr size_t COMPILE_FROM = size_t(1) << 40;
inline bool repays_compiling(const convolution &c, size_t from = COMPILE_FROM)
{
    size_t batches = c.batches > 0 ? static_cast<size_t>(c.batches) : 1;
    return c.act == MV_ACT_GELU_TANH && positions_of(c) * static_cast<size_t>(c.n) * batches >= from;
}

/* False: the caller must lay out columns and multiply. It may time plans, and then writes to c.out. */
bool library_convolves(const library *, const convolution &c);
mv_status library_convolve(library *, const convolution &, mv_error *e); /* once library_convolves said so */

/* Work between record and recorded is not executed but recorded as a graph, which every replay executes. The graph is
 * the caller's to forget. */
mv_status library_record(library *, mv_error *e);
bool library_records(const library *);
/* Releases memory that a graph may use: not before the last graph is forgotten. */
void library_retire(library *, void *);
mv_status library_recorded(library *, void **graph, mv_error *e);
mv_status library_replay(library *, void *graph, mv_error *e);
void library_forget(library *, void *graph);

}  // namespace mv
