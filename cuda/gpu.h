/* Inside the GPU device: what its rooms share. gpu.cu makes it, its memory and recorded passes; gpu_weights.cu
 * the weights; gpu_ops.cu the operations, by the kernels and the libraries.
 */
#pragma once

#include <vector>

#include "cuda/kernels.h"
#include "cuda/library.h"

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
    int weights;               /* that live in them */
    void *scratch;
    size_t scratch_size;
    float *planes; /* of the picture, as it came up */
    size_t planes_size;
};

/* A 3x3 convolution: weights (out, width) with taps (ky, kx, in), zero-padded to whole 16-byte rows. */
struct conv_weights {
    void *w, *bias;
    int width;
};

struct dense_weights {
    void *w, *bias;
    float *bias_fp32;   /* for fp32 results of a 16-bit product; `bias` itself in fp32 */
    const float *gamma; /* what `folded` was made with */
    void *folded, *folded_bias;
};

/* The backend as a device, its card made this thread's. */
device *device_of(mv_backend *b);

/* Puts the functions of a room into the table. */
void device_offer_weights(mv_backend *b);
void device_offer_ops(mv_backend *b);

/* The device's own scratch, at least so large; it is used and done with inside one op. NULL: out of memory, told in *e.
 */
void *device_scratch(device *d, size_t bytes, mv_error *e);

/* Room in the blocks of weights, till all weights are gone; NULL likewise. May throw std::bad_alloc. */
void *device_room(device *d, size_t bytes, mv_error *e);

/* Pictures (or NULL: those that are there) to d->planes. */
mv_status device_upload(device *d, const float *planes, size_t bytes, mv_error *e);

mv_status device_no_memory(device *d, size_t bytes, mv_error *e);

/* C++ tells of no memory by an exception; the table's callers are told by a status. */
template <class F> mv_status guarded(device *d, mv_error *e, F f)
{
    try {
        return f();
    } catch (const std::bad_alloc &) {
        return mv_fail(e, MV_ENOMEM, "%s: out of memory", d->name);
    }
}

inline mv_status launched(device *d, const char *op, mv_error *e)
{
    return library_launched(d->lib, op, e);
}
