/* cuda/library.h for programs that count kernels (tests/counts.h): work is done at once, and products and convolutions
 * of libraries are written down, but not computed. Where everything is executed, convolutions whose channels are no
 * whole 16 bytes are columns.
 */
#define SIMT_HOME /* the code that switches stacks is compiled here */
#include "cuda/library.h"

#include <cstdlib>

namespace simt
{

void enqueue(cudaStream_t, std::function<void()> work)
{
    work();
}

bool refused()
{
    return false;
}

}  // namespace simt

namespace mv
{

struct library {
    bool records;
};

/* Where kernels are only sampled, nobody looks at values. */
static mv_status move(void *to, const void *from, size_t bytes)
{
    if (!simt::samples())
        memmove(to, from, bytes);
    return MV_OK;
}

mv_status library_count(int *n, mv_error *)
{
    *n = 1;
    return MV_OK;
}

mv_status library_describe(int, char text[160], mv_error *)
{
    snprintf(text, 160, "counted");
    return MV_OK;
}

bool library_has_fp8(int)
{
    return true;
}

library *library_new(int, mv_error *)
{
    return new library{};
}

void library_free(library *l)
{
    delete l;
}

void library_use(library *)
{
}

cudaStream_t library_stream(const library *)
{
    return nullptr;
}

void *library_alloc(library *, size_t bytes)
{
    void *p = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (p && !simt::samples())
        memset(p, 0, bytes);
    return p;
}

void library_release(library *, void *p)
{
    free(p);
}

mv_status library_up(library *, void *to, const void *from, size_t bytes, mv_error *)
{
    return move(to, from, bytes);
}

mv_status library_down(library *, void *to, const void *from, size_t bytes, mv_error *)
{
    return move(to, from, bytes);
}

mv_status library_across(library *, void *to, const void *from, size_t bytes, mv_error *)
{
    return move(to, from, bytes);
}

mv_status library_finish(library *, mv_error *)
{
    return MV_OK;
}

mv_status library_launched(library *, const char *, mv_error *)
{
    return MV_OK;
}

void library_mark(library *, const char *, const char *)
{
}

mv_status library_upload_new(library *, void **out, mv_error *)
{
    *out = nullptr;
    return MV_OK;
}

void library_upload_free(library *, void *)
{
}

mv_status library_upload_send(library *, void *, void *to, const void *from, size_t bytes, mv_error *)
{
    return move(to, from, bytes);
}

mv_status library_upload_over(library *, void *, mv_error *)
{
    return MV_OK;
}

mv_status library_transfer_new(library *l, mv_transfer *out, size_t bytes, mv_error *)
{
    *out = {bytes, library_alloc(l, bytes), static_cast<float *>(library_alloc(l, bytes)), nullptr};
    return MV_OK;
}

void library_transfer_free(library *, mv_transfer *t)
{
    free(t->device);
    free(t->host);
    *t = {};
}

mv_status library_transfer_send(library *, mv_transfer *t, size_t bytes, mv_error *)
{
    return move(t->host, t->device, bytes);
}

mv_status library_transfer_wait(library *, mv_transfer *, mv_error *)
{
    return MV_OK;
}

mv_status library_product(library *, const product &p, mv_error *)
{
    size_t n = static_cast<size_t>(p.n), k = static_cast<size_t>(p.k), in = p.rows * k + n * k,
           out = p.rows * n * (p.residual ? 2 : 1);
    simt::multiplied("product", p.rows, p.n, p.k, in * mv_dtype_size(p.type) + out * mv_dtype_size(p.out_type));
    return MV_OK;
}

/* As cuDNN, whose convolutions include GELU only where one is compiled for it (library_convolutions.cu). */
bool library_convolves(const library *, const convolution &c)
{
    if (c.act == MV_ACT_GELU_TANH && !repays_compiling(c))
        return false;
    return simt::samples() || c.c % 8 == 0;
}

mv_status library_convolve(library *, const convolution &c, mv_error *)
{
    size_t rows = positions_of(c), n = static_cast<size_t>(c.n),
           values = static_cast<size_t>(c.pictures * c.h) * static_cast<size_t>(c.w * c.c) +
                    n * static_cast<size_t>(9 * c.c) + rows * n * (c.residual ? 2 : 1);
    simt::multiplied("convolution", rows, c.n, 9 * c.c, values * mv_dtype_size(c.type));
    return MV_OK;
}

/* A recording is not kept: these programs run each batch once. */
mv_status library_record(library *l, mv_error *)
{
    l->records = true;
    return MV_OK;
}

bool library_records(const library *l)
{
    return l->records;
}

void library_retire(library *, void *p)
{
    free(p);
}

mv_status library_recorded(library *l, void **graph, mv_error *)
{
    l->records = false;
    *graph = nullptr;
    return MV_OK;
}

mv_status library_replay(library *, void *, mv_error *)
{
    return MV_OK;
}

void library_forget(library *, void *)
{
}

}  // namespace mv
