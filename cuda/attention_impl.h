/* What the two kernels of attention share: where a head lies, and how the grid covers it. */
#pragma once

#include "cuda/launch.h"

namespace mv
{

enum { ATTENTION_WARPS = 4 }; /* of a block */

constexpr float LOG2E = 1.44269504088896341f;

/* One head of one window: where it lies. */
template <class T> struct head {
    const T *q, *k, *v;
    T *out;
    float *rows;
    size_t stride, out_stride;
};

template <class T> __device__ head<T> head_of(const attention_job &j, size_t which)
{
    size_t n = which / static_cast<size_t>(j.heads), h = which % static_cast<size_t>(j.heads),
           d = static_cast<size_t>(j.d), c = static_cast<size_t>(j.heads) * d, t = static_cast<size_t>(j.tokens);
    const T *q = static_cast<const T *>(j.qkv) + n * t * 3 * c + h * d;
    return {
        q,     q + c, q + 2 * c, static_cast<T *>(j.out) + n * t * c + h * d, j.rows ? j.rows + which * t * t : nullptr,
        3 * c, c};
}

inline dim3 grid_of(const attention_job &j, int queries)
{
    return dim3(static_cast<unsigned>(j.windows * j.heads),
                static_cast<unsigned>(blocks_for(static_cast<size_t>(j.tokens), queries)));
}

/* attention_mma.cu: 16 bits, heads of at most 64 values. False if the job is none for it. */
bool launch_attention_mma(const attention_job &, cudaStream_t);

}  // namespace mv
