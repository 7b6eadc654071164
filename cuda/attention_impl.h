/* What the kernels of attention share: where a head lies, and how the grid covers it. */
#pragma once

#include "cuda/launch.h"

namespace mv
{

/* Columns [from, to) of rows of values */
struct span {
    int from, to;
};

/* One head of one window: its first element in q (k and v are C and 2C behind), out and rows, and the block's first
 * query. Its values are the columns `in` of rows. */
struct alignas(16) head {
    size_t q, out, rows;
    int first;
    span in;
};

/* Blocks of a head are neighbours, so that they find its keys and values in the cache. blocks, queries: how many blocks
 * a head has, and a block queries. ALIGNED: rows begin at 16 bytes, up to 7 values before the head's. */
template <bool ALIGNED> __device__ head head_of(const attention_job &j, int blocks, int queries)
{
    unsigned which = blockIdx.x / static_cast<unsigned>(blocks), heads = static_cast<unsigned>(j.heads),
             n = which / heads, h = which - n * heads, d = static_cast<unsigned>(j.d), shift = ALIGNED ? h * d % 8 : 0;
    size_t t = static_cast<size_t>(j.tokens), rows = n * t, in = h * d - shift;
    return {rows * (3 * heads * d) + in,
            rows * (heads * d) + in,
            which * t * t,
            static_cast<int>(blockIdx.x - which * static_cast<unsigned>(blocks)) * queries,
            {static_cast<int>(shift), static_cast<int>(shift + d)}};
}

inline int blocks_of(const attention_job &j, int queries)
{
    return blocks_for(static_cast<size_t>(j.tokens), queries);
}

inline dim3 grid_of(const attention_job &j, int blocks)
{
    return dim3(static_cast<unsigned>(j.windows) * static_cast<unsigned>(j.heads) * static_cast<unsigned>(blocks));
}

/* attention_mma.cu: 16 bits, heads of at most 64 values. False if the job is none for it. */
bool launch_attention_mma(const attention_job &, cudaStream_t);

}  // namespace mv
