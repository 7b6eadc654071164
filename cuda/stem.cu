/* The first convolution of the stem, 3x3 with stride 2 from three channels, in one kernel from the pixels as they came.
 *
 *   out (B H/2 W/2 n) = act(conv(picture))   a block 4 x 128 pixels, or 1 x 128 of few    pixels + out
 *
 * The picture is fp32 planes, bytes that a table translates, or the values that launch_picture made of either: all
 * three give the same bits, as every value is rounded to the type of the device before it is used.
 *
 *   16 bits, n = 32 or 64   tensor cores: a row of 9 values (kx, c) is padded to 10, so that no pair of neighbours
 *                           crosses rows, and 3 rows to 32. Weights stay in registers. Channels are permuted such that
 *                           a thread ends with 8 neighbours, which it stores at once
 *   else                    a thread a value, sums in fp32
 */
#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { WARPS = 4, PIXELS = 128, SPAN = 2 * PIXELS + 1, PITCH = 3 * SPAN + 5 /* even, and room for the tenth value */ };
enum { ROW = 10, DEPTH = 32, MANY = 264 /* blocks that fill a card */ };

enum source { PLANES, BYTES, PICTURE };

/* The input of a tile: SPAN columns from `left` on of rows `top` to top + ROWS, zeros outside of the picture; every row
 * has PITCH values. */
template <class T, source FROM, int ROWS>
__device__ void load_tile(T *tile, const stem_job &j, int b, int top, int left, int warp, int lane)
{
    if constexpr (FROM == PLANES) {
        const size_t plane = static_cast<size_t>(j.h) * static_cast<size_t>(j.w);
        constexpr int TURNS = (SPAN + 31) / 32;
        for (int i = warp; i < 3 * ROWS; i += WARPS) {
            const int r = i / 3, c = i % 3, y = top + r;
            const bool inside = y >= 0 && y < j.h;
            const float *from = static_cast<const float *>(j.x) + static_cast<size_t>(b * 3 + c) * plane +
                                (inside ? static_cast<size_t>(y) * static_cast<size_t>(j.w) : 0) + left;
            T *to = tile + r * PITCH + c;
            float v[TURNS];
#pragma unroll
            for (int k = 0; k < TURNS; k++) {
                const int x = k * 32 + lane;
                v[k] = inside && left + x >= 0 && left + x < j.w ? from[x] : 0.0f;
            }
#pragma unroll
            for (int k = 0; k < TURNS; k++)
                if (k * 32 + lane < SPAN)
                    to[(k * 32 + lane) * 3] = from_float<T>(v[k]);
        }
    } else {
        constexpr int TURNS = (3 * SPAN + 31) / 32;
        for (int r = warp; r < ROWS; r += WARPS) {
            const int y = top + r, first = 3 * left, last = 3 * j.w;
            const bool inside = y >= 0 && y < j.h;
            const size_t row =
                (static_cast<size_t>(b) * static_cast<size_t>(j.h) + static_cast<size_t>(inside ? y : 0)) *
                static_cast<size_t>(last);
#pragma unroll 5
            for (int k = 0; k < TURNS; k++) {
                const int i = k * 32 + lane, x = first + i;
                T v = from_float<T>(0.0f);
                if (inside && x >= 0 && x < last) {
                    if constexpr (FROM == PICTURE)
                        v = (static_cast<const T *>(j.x) + row)[x];
                    else
                        v = from_float<T>(j.table[i % 3 * 256 + (static_cast<const unsigned char *>(j.x) + row)[x]]);
                }
                if (i < 3 * SPAN)
                    tile[r * PITCH + i] = v;
            }
        }
    }
    __syncthreads();
}

__device__ inline float raised(float x, float least)
{
    return x < least ? least : x; /* NaN passes */
}

/* Where a block works: rows [y, y + R) and columns [x, x + PIXELS) of the output of picture b */
struct tile {
    int b, y, x;
};

template <int R> __device__ tile tile_of(const stem_job &j)
{
    int across = (j.ow + PIXELS - 1) / PIXELS, down = (j.oh + R - 1) / R, i = static_cast<int>(blockIdx.x);
    return {i / across / down, i / across % down * R, i % across * PIXELS};
}

/* The number of a tile's first pixel in the output */
__device__ inline size_t first_of(const stem_job &j, const tile &at)
{
    return (static_cast<size_t>(at.b) * static_cast<size_t>(j.oh) + static_cast<size_t>(at.y)) *
               static_cast<size_t>(j.ow) +
           static_cast<size_t>(at.x);
}

/* What a lane has of the weights and biases, as the product's second factor and its first sums. N: blocks of 8 output
 * channels. In block k, columns 2t and 2t + 1 of the product are channels 32 (k / 4) + 8t + 2 (k % 4) and the next. */
template <int N> struct filters {
    unsigned weight[2][N][2];
    float bias[N][2];

    template <class T> __device__ void load(const T *weights, const T *biases, int g, int t)
    {
#pragma unroll
        for (int k = 0; k < N; k++) {
            const int block = k / 4 * 32 + k % 4 * 2;
            const T *from = weights + (block + g / 2 * 8 + g % 2) * DEPTH + 2 * t, *of = biases + block + t * 8;
#pragma unroll
            for (int i = 0; i < 4; i++) {
                pack<T, 2> pair = load_early<T, 2>(from + i * 8);
                memcpy(&weight[i / 2][k][i % 2], &pair, sizeof pair);
            }
            pack<T, 2> pair = load_early<T, 2>(of);
            bias[k][0] = to_float(pair.v[0]);
            bias[k][1] = to_float(pair.v[1]);
        }
    }
};

/* Where the pairs of values lie that a lane has of every pixel, and which of them are padding */
struct lane_taps {
    int offset[4];
    unsigned mask[4];

    __device__ explicit lane_taps(int t)
    {
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int k = i * 8 + 2 * t;
            offset[i] = k < 3 * ROW ? k / ROW * PITCH + k % ROW : 0;
            mask[i] = k >= 3 * ROW ? 0u : k % ROW == ROW - 2 ? 0xffffu : ~0u;
        }
    }
};

/* N: blocks of 8 output channels */
template <class T, source FROM, int R, int N>
__global__ void __launch_bounds__(WARPS * 32) stem_kernel(T *out, stem_job j)
{
    MV_SHARED(T, rows); /* 2 R + 1 by PITCH */
    const unsigned thread = threadIdx.x;
    const int warp = static_cast<int>(thread / 32), lane = static_cast<int>(thread % 32),
              g = static_cast<int>(thread % 32 / 4), t = static_cast<int>(thread % 4);
    filters<N> w;
    w.load(static_cast<const T *>(j.weights), static_cast<const T *>(j.bias), g, t);
    const lane_taps taps(t);
    wait_for_inputs();
    const tile at = tile_of<R>(j);
    load_tile<T, FROM, 2 * R + 1>(rows, j, at.b, 2 * at.y - 1, 2 * at.x - 1, warp, lane);
    out += first_of(j, at) * (N * 8) + static_cast<size_t>(t * 8);
    const int strips = ((j.ow - at.x < PIXELS ? j.ow - at.x : PIXELS) + 15) / 16;
    for (int i = warp; i < R * strips; i += WARPS) {
        const int row = static_cast<int>(static_cast<unsigned>(i) % R),
                  strip = static_cast<int>(static_cast<unsigned>(i) / R) * 16;
        if (at.y + row >= j.oh)
            continue;
        const T *from = rows + 2 * row * PITCH + (strip + g) * 6;
        float sum[N][4];
#pragma unroll
        for (int k = 0; k < N; k++)
#pragma unroll
            for (int v = 0; v < 4; v++)
                sum[k][v] = w.bias[k][v % 2];
#pragma unroll
        for (int s = 0; s < 2; s++) {
            unsigned a[4]; /* rows g and g + 8 by the first and the second half of the depth */
#pragma unroll
            for (int v = 0; v < 4; v++) {
                pack<T, 2> pair = load<T, 2>(from + v % 2 * 48 + taps.offset[2 * s + v / 2]);
                memcpy(&a[v], &pair, sizeof pair);
                a[v] &= taps.mask[2 * s + v / 2];
            }
#pragma unroll
            for (int k = 0; k < N; k++)
                mma(sum[k], a, w.weight[s][k], T{});
        }
        T *to = out + row * j.ow * (N * 8);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int x = strip + g + half * 8;
#pragma unroll
            for (int part = 0; part < N / 4; part++) {
                pack<T, 8> p;
#pragma unroll
                for (int v = 0; v < 8; v++)
                    p.v[v] = from_float<T>(raised(sum[part * 4 + v / 2][half * 2 + v % 2], j.least));
                if (at.x + x < j.ow)
                    store_global<T, 8>(to + x * (N * 8) + part * 32, p);
            }
        }
    }
}

/* Weights (9 taps 3, n) */
template <class T, source FROM> __global__ void __launch_bounds__(WARPS * 32) stem_plain(T *out, stem_job j)
{
    MV_SHARED(T, rows);
    wait_for_inputs();
    const tile at = tile_of<1>(j);
    load_tile<T, FROM, 3>(rows, j, at.b, 2 * at.y - 1, 2 * at.x - 1, static_cast<int>(threadIdx.x) / 32,
                          static_cast<int>(threadIdx.x) % 32);
    const int width = j.ow - at.x < PIXELS ? j.ow - at.x : PIXELS;
    const T *weights = static_cast<const T *>(j.weights), *bias = static_cast<const T *>(j.bias);
    out += first_of(j, at) * static_cast<size_t>(j.n);
    for (int i = static_cast<int>(threadIdx.x); i < width * j.n; i += WARPS * 32) {
        const int x = i / j.n, o = i % j.n;
        float sum = to_float(bias[o]);
#pragma unroll
        for (int k = 0; k < 27; k++)
            sum += to_float(rows[k / 9 * PITCH + x * 6 + k % 9]) * to_float(weights[k * j.n + o]);
        out[i] = from_float<T>(raised(sum, j.least));
    }
}

template <class T, source FROM> void launch_from(const stem_job &j, cudaStream_t stream)
{
    auto blocks = [&](int rows) {
        return static_cast<size_t>(j.pictures) * static_cast<size_t>(blocks_for(static_cast<size_t>(j.oh), rows)) *
               static_cast<size_t>(blocks_for(static_cast<size_t>(j.ow), PIXELS));
    };
    auto go = [&](auto kernel, int rows) {
        mv_launch(kernel, dim3(static_cast<unsigned>(blocks(rows))), dim3(WARPS * 32),
                  static_cast<size_t>((2 * rows + 1) * PITCH) * sizeof(T), stream, static_cast<T *>(j.out), j);
    };
    if constexpr (sizeof(T) == 2)
        if (stem_on_tensor_cores(j.type, j.n)) {
            if constexpr (FROM != PICTURE) /* a picture exists only if it is watched: not worth kernels of 4 rows */
                if (blocks(4) >= MANY)
                    return j.n == 32 ? go(stem_kernel<T, FROM, 4, 4>, 4) : go(stem_kernel<T, FROM, 4, 8>, 4);
            return j.n == 32 ? go(stem_kernel<T, FROM, 1, 4>, 1) : go(stem_kernel<T, FROM, 1, 8>, 1);
        }
    go(stem_plain<T, FROM>, 1);
}

}  // namespace

bool stem_on_tensor_cores(mv_dtype type, int n)
{
    return type != MV_F32 && (n == 32 || n == 64);
}

size_t stem_weights(mv_dtype type, int n, float *to, const float *w)
{
    const bool padded = stem_on_tensor_cores(type, n);
    const size_t rows = static_cast<size_t>(n), size = rows * (padded ? DEPTH : 27);
    for (size_t i = 0; to && i < size; i++)
        to[i] = 0;
    for (size_t o = 0; to && o < rows; o++)
        for (size_t c = 0; c < 3; c++)
            for (size_t k = 0; k < 9; k++) {
                size_t in_row = k % 3 * 3 + c;
                to[padded ? o * DEPTH + k / 3 * ROW + in_row : (k / 3 * 9 + in_row) * rows + o] =
                    w[(o * 3 + c) * 9 + k];
            }
    return size;
}

void launch_stem(const stem_job &j, cudaStream_t stream)
{
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        j.planes  ? launch_from<T, PLANES>(j, stream)
        : j.table ? launch_from<T, BYTES>(j, stream)
                  : launch_from<T, PICTURE>(j, stream);
    });
}

}  // namespace mv
