/* What the kernels on rows share: values of any type, and how layer norms share rows among warps. */
#pragma once

#include "cuda/launch.h"

namespace mv
{

namespace
{

__device__ inline float value_at(mv_dtype type, const void *p, size_t i)
{
    if (type == MV_F32)
        return static_cast<const float *>(p)[i];
    return type == MV_F16 ? to_float(static_cast<const half_t *>(p)[i]) : to_float(static_cast<const bf16_t *>(p)[i]);
}

/* WARPS of a block; so many multiprocessors have the cards that this is laid out for */
enum { WARPS = 4, MULTIPROCESSORS = 132 };

/* Blocks of a multiprocessor, for kernels that hold so many packs a lane: three values each in fp32 */
constexpr int blocks_at_once(int packs, int n)
{
    return packs * n * 3 <= 96 ? 4 : packs * n * 3 <= 120 ? 3 : 2;
}

/* The grid of a layer norm: every warp has as many turns as all need when no more of them run than a card has room for.
 */
template <int LANES, int PACKS, int N> dim3 blocks_in_turns(int rows)
{
    int warps = blocks_for(static_cast<size_t>(rows), 32 / LANES),
        turns = blocks_for(static_cast<size_t>(warps), MULTIPROCESSORS * WARPS * blocks_at_once(PACKS, N));
    return dim3(static_cast<unsigned>(blocks_for(static_cast<size_t>(warps), turns * WARPS)));
}

}  // namespace

}  // namespace mv
