/* What the scan and the step sizes share: how a block works, the weights of the step's product, copies of proj, and the
 * product itself.
 *
 * A block has CHANNELS channels, and goes down the tokens in tiles of TOKENS. The product's weights W are fp32; in 16
 * bits W is the sum of TERMS values of the type of r, 2 of fp16 or 3 of bf16, so that the tensor cores' product is as
 * exact as that of fp32.
 */
#pragma once

#include <type_traits>

#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { STATES = MV_STATES, SCANNERS = 64, MOST_RANK = 256 };

/* How a block works, and where its things are in shared memory: byte offsets, each a multiple of 16. LANES threads of a
 * channel scan. */
template <class T, int LANES> struct layout {
    static constexpr int CHANNELS = SCANNERS / LANES, TOKENS = LANES < STATES ? 16 : 32, EACH = STATES / LANES,
                         SIZE = static_cast<int>(sizeof(T));
    static constexpr int TOGETHER = LANES < STATES ? 4 : 8; /* tokens that the scan unrolls */
    static constexpr int AHEAD = TOKENS * 2;                /* threads that work ahead: a warp for 16 tokens */
    static constexpr int TILES = CHANNELS / 8;              /* of products of 16 tokens and 8 channels */
    static constexpr int TERMS = SIZE == 4 ? 1 : std::is_same<T, half_t>::value ? 2 : 3;
    /* Rows of tiles in shared memory, such that the rows that a warp reads or writes at once lie in other banks: of
     * pairs of a step and step times u, and of each lane's part of y */
    static constexpr int STEP_ROW = 2 * (CHANNELS + (CHANNELS % 16 ? 0 : 8)), Y_ROW = SCANNERS + 4;
    static constexpr int X_BYTES = TOKENS * CHANNELS * SIZE, Y_BYTES = TOKENS * Y_ROW * 4,
                         BOTH_BYTES = TOKENS * 2 * STATES * 4, STEP_BYTES = TOKENS * STEP_ROW * 4;

    int bias, proj, x, y, both, step, proj_bytes, bytes; /* 4 of x; 2 of proj, y, both, step: for tiles in turn */

    __host__ __device__ explicit layout(int rank)
    {
        int ranks = SIZE == 4 ? rank : (rank + 15) / 16 * 16;
        bias = ranks * CHANNELS * TERMS * SIZE;
        proj = bias + CHANNELS * 4;
        proj_bytes = (TOKENS * (rank + 2 * STATES) * SIZE + 15 + 15) / 16 * 16;
        x = proj + 2 * proj_bytes;
        y = x + 4 * X_BYTES;
        both = y + 2 * Y_BYTES;
        step = both + 2 * BOTH_BYTES;
        bytes = step + 2 * STEP_BYTES;
    }
};

/* f(i) for i in [0, TOTAL), shared by the workers; unrolled */
template <int TOTAL, int WORKERS, class F> __device__ void each_of(int worker, F f)
{
#pragma unroll
    for (int n = 0; n < TOTAL; n += WORKERS)
        if (TOTAL % WORKERS == 0 || n + worker < TOTAL)
            f(n + worker);
}

/* W and the bias, zeros behind the last rank and channel; in 16 bits as fragments of mma: [16 ranks][8
 * channels][term][lane]. Called by a whole block. */
template <class T, int LANES, int THREADS>
__device__ void put_weights(unsigned char *memory, const scan_job &j, int first)
{
    using L = layout<T, LANES>;
    const int tid = static_cast<int>(threadIdx.x);
    if constexpr (L::SIZE == 4) {
        float *to = reinterpret_cast<float *>(memory);
        for (int i = tid; i < j.rank * L::CHANNELS; i += THREADS) {
            int r = i / L::CHANNELS, c = first + i % L::CHANNELS;
            to[i] = c < j.channels ? j.dt_weight[r * j.channels + c] : 0.0f;
        }
    } else {
        const int lane = tid % 32, tiles = (j.rank + 15) / 16 * L::TILES;
        unsigned *to = reinterpret_cast<unsigned *>(memory) + lane * 2;
#pragma unroll 2
        for (int tile = tid / 32; tile < tiles; tile += THREADS / 32) {
            int r = tile / L::TILES * 16 + lane % 4 * 2, c = first + tile % L::TILES * 8 + lane / 4;
            const float *from = j.dt_weight + (r * j.channels + c);
            float w[4];
#pragma unroll
            for (int k = 0; k < 4; k++) {
                const int down = k % 2 + k / 2 * 8;
                w[k] = r + down < j.rank && c < j.channels ? from[down * j.channels] : 0.0f;
            }
#pragma unroll
            for (int term = 0; term < L::TERMS; term++) {
                const pack<unsigned, 2> p = {{paired<T>(w[0], w[1]), paired<T>(w[2], w[3])}};
                store_early<unsigned, 2>(to + (tile * L::TERMS + term) * 64, p);
                pack<T, 4> values;
                memcpy(&values, &p, sizeof p);
#pragma unroll
                for (int k = 0; k < 4; k++)
                    w[k] -= to_float(values.v[k]);
            }
        }
    }
    float *bias = reinterpret_cast<float *>(memory + layout<T, LANES>(j.rank).bias);
    if (tid < L::CHANNELS)
        bias[tid] = first + tid < j.channels ? j.dt_bias[first + tid] : 0.0f;
}

/* Rows of proj have any width, and begin anywhere: whole 16 bytes are copied, from the ones that hold the first value
 * to the ones that hold the last. They lie in memory of the same allocation, because all are aligned. */
template <class T> __device__ int skipped(const T *p)
{
    return static_cast<int>(reinterpret_cast<uintptr_t>(p) % 16);
}

/* p: the first value, less the skipped bytes */
__device__ inline void begin_rows(unsigned char *to, const unsigned char *p, int bytes, int worker, int workers)
{
#pragma unroll 1
    for (int at = worker * 16; at < bytes; at += workers * 16)
        copy_async(to + at, p + at);
}

/* Two ranks of proj as a register of mma; if some are MISSING, zeros from `left` on: B follows, and may be NaN. */
template <class T, bool EVEN, bool MISSING> __device__ unsigned ranks_at(const T *p, int left)
{
    if (EVEN)
        return !MISSING || left > 0 ? load<unsigned, 1>(reinterpret_cast<const unsigned *>(p)).v[0] : 0;
    unsigned low = 0, high = 0;
    if (!MISSING || left > 0)
        low = load<uint16_t, 1>(reinterpret_cast<const uint16_t *>(p)).v[0];
    if (!MISSING || left > 1)
        high = load<uint16_t, 1>(reinterpret_cast<const uint16_t *>(p + 1)).v[0];
    return low | high << 16;
}

/* step += r W^T, for a warp's 16 tokens; row: that of the lane's first token. For 16 bits;
 * KS: the number of 16 ranks, or 0: any. */
template <class T, int LANES, bool EVEN, int KS>
__device__ void add_product(float (&step)[layout<T, LANES>::TILES][4], const T *row, int width, int rank,
                            const unsigned char *weights, int lane)
{
    using L = layout<T, LANES>;
    constexpr int WORDS = L::TILES * L::TERMS * 64; /* of the weights of 16 ranks */
    const unsigned *w = reinterpret_cast<const unsigned *>(weights) + lane * 2;
    row += lane % 4 * 2;
    const T *below = row + 8 * width;
    auto add = [&](int n, int left, auto missing) {
        constexpr bool MISSING = decltype(missing)::value;
        left -= lane % 4 * 2;
        const unsigned a[4] = {ranks_at<T, EVEN, MISSING>(row + n * 16, left),
                               ranks_at<T, EVEN, MISSING>(below + n * 16, left),
                               ranks_at<T, EVEN, MISSING>(row + n * 16 + 8, left - 8),
                               ranks_at<T, EVEN, MISSING>(below + n * 16 + 8, left - 8)};
#pragma unroll
        for (int term = L::TERMS - 1; term >= 0; term--) /* the smallest first */
#pragma unroll
            for (int o = 0; o < L::TILES; o++) {
                pack<unsigned, 2> p = load<unsigned, 2>(w + n * WORDS + (o * L::TERMS + term) * 64);
                mma(step[o], a, p.v, T{});
            }
    };
    if constexpr (KS > 0) {
#pragma unroll
        for (int n = 0; n + 1 < KS; n++)
            add(n, 16, std::false_type{});
        add(KS - 1, rank - 16 * (KS - 1), std::true_type{});
    } else {
#pragma unroll 1
        for (; rank > 0; rank -= 16, row += 16, below += 16, w += WORDS)
            add(0, rank, std::true_type{});
    }
}

/* The same in fp32 */
template <int LANES>
__device__ void add_product(float (&step)[layout<float, LANES>::TILES][4], const float *row, int width, int rank,
                            const unsigned char *weights, int lane)
{
    using L = layout<float, LANES>;
    const float *w = reinterpret_cast<const float *>(weights) + lane % 4 * 2;
#pragma unroll 4
    for (int k = 0; k < rank; k++, w += L::CHANNELS)
#pragma unroll
        for (int o = 0; o < L::TILES; o++) {
            pack<float, 2> p = load<float, 2>(w + o * 8);
#pragma unroll
            for (int i = 0; i < 4; i++)
                step[o][i] += row[i / 2 * 8 * width + k] * p.v[i % 2];
        }
}

/* The steps of the first `count` tokens of a tile, by a warp for 16 of them: calls emit(token, channel, steps of it and
 * of the next channel) once for each pair, and for up to 7 tokens more. */
template <class T, int LANES, class F>
__device__ void steps_of(const unsigned char *memory, const T *proj, int rank, bool even, int count, int worker, F emit)
{
    using L = layout<T, LANES>;
    const int lane = worker % 32, top = worker / 32 * 16, width = rank + 2 * STATES;
    const T *row = proj + (top + lane / 4) * width;
    const float *bias = reinterpret_cast<const float *>(memory + layout<T, LANES>(rank).bias) + lane % 4 * 2;
    if (top >= count)
        return;
    float step[L::TILES][4];
#pragma unroll
    for (int o = 0; o < L::TILES; o++) {
        pack<float, 2> b = load<float, 2>(bias + o * 8);
#pragma unroll
        for (int i = 0; i < 4; i++)
            step[o][i] = b.v[i % 2];
    }
    if constexpr (L::SIZE == 4)
        add_product<LANES>(step, row, width, rank, memory, lane);
    else if (!even)
        add_product<T, LANES, false, 0>(step, row, width, rank, memory, lane);
    else if (rank > 16 && rank <= 32) /* the ranks of levels of T and S, and of B */
        add_product<T, LANES, true, 2>(step, row, width, rank, memory, lane);
    else if (rank > 32 && rank <= 48)
        add_product<T, LANES, true, 3>(step, row, width, rank, memory, lane);
    else
        add_product<T, LANES, true, 0>(step, row, width, rank, memory, lane);
#pragma unroll
    for (int i = 0; i < 4; i += 2)
        if (top + i / 2 * 8 < count)
#pragma unroll
            for (int o = 0; o < L::TILES; o++)
                emit(top + lane / 4 + i / 2 * 8, o * 8 + lane % 4 * 2, softplus(step[o][i]), softplus(step[o][i + 1]));
}

/* The step of a channel from a row of proj, for ranks above MOST_RANK */
template <class T> __device__ float plain_step(const scan_job &j, const T *row, int e)
{
    const float *w = j.dt_weight + e;
    float v = j.dt_bias[e];
    for (int r = 0; r < j.rank; r++, w += j.channels)
        v += to_float(row[r]) * *w;
    return softplus(v);
}

inline unsigned blocks_of(int n, int each)
{
    return static_cast<unsigned>(blocks_for(static_cast<size_t>(n), each));
}

/* Two ranks can be read at a time. */
inline bool has_even_rows(const scan_job &j)
{
    return j.rank % 2 == 0 && reinterpret_cast<uintptr_t>(j.proj) % (2 * mv_dtype_size(j.type)) == 0;
}

}  // namespace

}  // namespace mv
