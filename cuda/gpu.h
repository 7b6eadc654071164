/* Inside the GPU device: what its files share. gpu.cu has the device, its memory and its recordings; gpu_weights.cu the
 * weights; convolution.cu the convolutions; gpu_ops.cu the other operations, which use the kernels and the libraries;
 * convolution_back.cu and gpu_back.cu those of gradients.
 */
#pragma once

#include <vector>

#include "cuda/launch.h"
#include "cuda/library.h"

#ifndef MV_COLUMN_BYTES
#define MV_COLUMN_BYTES (24 << 20) /* tests take less, so that they reach what follows from it */
#endif

namespace mv
{

enum { DEVICE_ALIGN = 256 }; /* bytes to which matrices and vectors are aligned, as cudaMalloc aligns */
constexpr size_t COLUMN_BYTES = MV_COLUMN_BYTES; /* at a time: they stay in the cache until they are multiplied */

struct block {
    char *data;
    size_t size, used;
};

struct device {
    mv_backend base;
    library *lib;
    cudaStream_t stream;
    char name[16];
    std::vector<block> blocks; /* of weights */
    int weights;               /* how many are in them */
    void *scratch;
    size_t scratch_size;
};

/* A 3x3 convolution: weights (out, ky, kx, in) for cuDNN, and `rows` (out, width) for columns: the same values,
 * zero-padded to whole 16 bytes a row; `w` itself where that adds nothing. stem: as stem.cu reads them, if it computes
 * the convolution; else NULL. turned, zeros: weights and bias of the transpose, once it was wanted. */
struct conv_weights {
    void *w, *rows, *bias, *stem;
    int width;
    void *turned, *zeros;
    bool is_turned;
};

struct dense_weights {
    void *w, *bias;
    float *bias_fp32;   /* for fp32 results of a 16-bit product; `bias` itself in fp32 */
    const float *gamma; /* that `folded` was made with */
    void *folded, *folded_bias;
    /* fp8: w is E4M3, row n of it times scale[n]; and times gamma. NULL: w has the device's type. */
    float *scale, *folded_scale;
};

/* The backend as a device; makes its card the current one of this thread. */
device *device_of(mv_backend *b);

/* Set the functions of a file in the table. */
void device_offer_weights(mv_backend *b);
void device_offer_convolutions(mv_backend *b);
void device_offer_ops(mv_backend *b);
void device_offer_convolutions_back(mv_backend *b);
void device_offer_back(mv_backend *b);

/* Scratch of the device, with room for `bytes`; it is free again when the operation ends. NULL if out of memory, with
 * the sentence in *e. */
void *device_scratch(device *d, size_t bytes, mv_error *e);

/* Memory in the blocks of weights, which are freed with the last weight; NULL likewise. May throw std::bad_alloc. */
void *device_room(device *d, size_t bytes, mv_error *e);

mv_status device_no_memory(device *d, size_t bytes, mv_error *e);

/* Turns the exception of C++ for a failed allocation into a status, for the callers of the table. */
template <class F> mv_status guarded(device *d, mv_error *e, F f)
{
    try {
        return f();
    } catch (const std::bad_alloc &) {
        return mv_fail(e, MV_ENOMEM, "%s: out of memory", d->name);
    }
}

/* The next multiple of `to` */
inline size_t rounded_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

inline size_t rows_in(mv_tensor x)
{
    return mv_tensor_count(x) / static_cast<size_t>(x.dim[x.nd - 1]);
}

inline mv_status launched(device *d, const char *op, mv_error *e)
{
    return library_launched(d->lib, op, e);
}

}  // namespace mv
