/* Work on rows of channels: epilogues, sums, layer norm, the mean over cells.
 *
 *   op         formula                                        launch                            bytes moved
 *   rows       act(x) scale + shift + residual                a thread 16 bytes of x            x + out + residual
 *   layernorm  (x - mean) / sqrt(var + eps) weight + bias     8, 16 or 32 lanes a row, which    x + out
 *                                                             they hold; several rows in turn
 *   mean_pool  mean over cells, scale + shift                 8 warps by 32 times 16 bytes      x
 *
 * Layouts: rows of c values, c the last dimension. Statistics are fp32, two passes over what the registers hold.
 * Vectors of weights do not depend on earlier work: they are on their way while the predecessor ends.
 */
#include <algorithm>
#include <climits>
#include <type_traits>

#include "cuda/rows_impl.h"

namespace mv
{

namespace
{

/* ---- rows */

enum { BLOCK = 256 };

/* What a use of `rows` has besides x. */
enum { SCALE = 1, SHIFT = 2, RESIDUAL = 4 };

template <class T, class X> struct rows_of {
    T *out;
    const X *x;
    const T *residual;
    const float *scale, *shift;
    unsigned packs;
    divider columns; /* packs of a row */
};

template <class T, class X, int ACT, int HAS> __global__ void __launch_bounds__(BLOCK) rows_kernel(rows_of<T, X> j)
{
    constexpr int N = static_cast<int>(16 / sizeof(X));
    unsigned i = blockIdx.x * BLOCK + threadIdx.x;
    bool real = i < j.packs;
    i = real ? i : 0;
    int c = static_cast<int>(i - j.columns.quotient(i) * j.columns.by) * N;
    float scale[N], shift[N];
    if constexpr (HAS & SCALE)
        load_vector<N>(scale, j.scale + c);
    if constexpr (HAS & SHIFT)
        load_vector<N>(shift, j.shift + c);
    wait_for_inputs();
    if (!real)
        return;
    size_t at = static_cast<size_t>(i) * N;
    pack<X, N> from = load<X, N>(j.x + at);
    pack<T, N> onto, to;
    if constexpr (HAS & RESIDUAL)
        onto = load<T, N>(j.residual + at);
#pragma unroll
    for (int k = 0; k < N; k++) {
        float v = activated(to_float(from.v[k]), static_cast<mv_act>(ACT));
        if constexpr (HAS & SCALE)
            v *= scale[k];
        if constexpr (HAS & SHIFT)
            v += shift[k];
        if constexpr (HAS & RESIDUAL)
            v += to_float(onto.v[k]);
        to.v[k] = from_float<T>(v);
    }
    store_global<T, N>(j.out + at, to);
}

/* Everything else: any types, widths and addresses. */
__global__ void __launch_bounds__(BLOCK) rows_any(row_job j)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * BLOCK + threadIdx.x, columns = static_cast<size_t>(j.c);
    if (i >= j.rows * columns)
        return;
    float v = activated(value_at(j.x_type, j.x, i), j.act);
    if (j.scale)
        v *= j.scale[i % columns];
    if (j.shift)
        v += j.shift[i % columns];
    if (j.residual)
        v += value_at(j.residual_type, j.residual, i);
    if (j.out_type == MV_F32)
        static_cast<float *>(j.out)[i] = v;
    else if (j.out_type == MV_F16)
        static_cast<half_t *>(j.out)[i] = from_float<half_t>(v);
    else
        static_cast<bf16_t *>(j.out)[i] = from_float<bf16_t>(v);
}

/* In launches of less than 2^31 packs */
template <class T, class X, int ACT, int HAS> void launch_wide(const row_job &j, cudaStream_t stream)
{
    const int columns = j.c / static_cast<int>(16 / sizeof(X));
    const size_t most = INT_MAX / static_cast<size_t>(columns);
    for (size_t first = 0; first < j.rows; first += most) {
        size_t rows = std::min(most, j.rows - first), at = first * static_cast<size_t>(j.c);
        unsigned packs = static_cast<unsigned>(rows) * static_cast<unsigned>(columns);
        mv_launch(rows_kernel<T, X, ACT, HAS>, dim3(static_cast<unsigned>(blocks_for(packs, BLOCK))), dim3(BLOCK), 0,
                  stream,
                  rows_of<T, X>{static_cast<T *>(j.out) + at, static_cast<const X *>(j.x) + at,
                                HAS & RESIDUAL ? static_cast<const T *>(j.residual) + at : nullptr, j.scale, j.shift,
                                packs, divider(columns)});
    }
}

/* The uses that the network has, if j is one of them. */
template <class T> bool launch_use(const row_job &j, cudaStream_t stream)
{
    if (j.residual) {
        if (j.act != MV_ACT_NONE || j.shift)
            return false;
        j.scale ? launch_wide<T, T, MV_ACT_NONE, SCALE | RESIDUAL>(j, stream)
                : launch_wide<T, T, MV_ACT_NONE, RESIDUAL>(j, stream);
    } else if (j.scale && j.shift && j.act == MV_ACT_NONE)
        launch_wide<T, T, MV_ACT_NONE, SCALE | SHIFT>(j, stream);
    else if (j.scale || j.shift)
        return false;
    else if (j.act == MV_ACT_RELU)
        launch_wide<T, T, MV_ACT_RELU, 0>(j, stream);
    else if (j.act == MV_ACT_GELU)
        launch_wide<T, T, MV_ACT_GELU, 0>(j, stream);
    else if (j.act == MV_ACT_GELU_TANH)
        launch_wide<T, T, MV_ACT_GELU_TANH, 0>(j, stream);
    else
        return false;
    return true;
}

/* ---- layer norm */

/* LANES hold a row, each PACKS of it: LANES PACKS N >= c, equal if WHOLE. */
template <class T, int LANES, int PACKS, bool WHOLE>
__global__ void __launch_bounds__(WARPS * 32, blocks_at_once(PACKS, 16 / sizeof(T)))
    layernorm_kernel(T *out, const T *x, const float *weight, const float *bias, float eps, float share, int rows,
                     int c)
{
    constexpr int N = static_cast<int>(16 / sizeof(T)), GROUPS = 32 / LANES;
    int lane = static_cast<int>(threadIdx.x) % LANES, group = static_cast<int>(threadIdx.x) / LANES;
    float w[PACKS][N], b[PACKS][N];
#pragma unroll
    for (int k = 0; k < PACKS; k++) {
        int at = (k * LANES + lane) * N;
        if (WHOLE || at < c) {
            load_vector<N>(w[k], weight + at);
            load_vector<N>(b[k], bias + at);
        }
    }
    wait_for_inputs();
    int step = static_cast<int>(gridDim.x) * WARPS * GROUPS;
    for (int first = static_cast<int>(blockIdx.x * WARPS + threadIdx.y) * GROUPS; first < rows; first += step) {
        int row = first + group;
        bool real = row < rows;
        size_t start =
            static_cast<size_t>(real ? row : rows - 1) * static_cast<size_t>(c); /* whole warps at the sums */
        float v[PACKS][N], sum = 0, square = 0;
#pragma unroll
        for (int k = 0; k < PACKS; k++) {
            int at = (k * LANES + lane) * N;
            pack<T, N> p = {};
            if (WHOLE || at < c)
                p = load<T, N>(x + start + at);
#pragma unroll
            for (int i = 0; i < N; i++)
                sum += v[k][i] = to_float(p.v[i]);
        }
        float mean = warp_sum<LANES>(sum) * share;
#pragma unroll
        for (int k = 0; k < PACKS; k++)
            if (WHOLE || (k * LANES + lane) * N < c)
#pragma unroll
                for (int i = 0; i < N; i++) {
                    v[k][i] -= mean;
                    square += v[k][i] * v[k][i];
                }
        float scale = rsqrtf(warp_sum<LANES>(square) * share + eps);
        if (!real)
            continue;
#pragma unroll
        for (int k = 0; k < PACKS; k++) {
            int at = (k * LANES + lane) * N;
            pack<T, N> p;
#pragma unroll
            for (int i = 0; i < N; i++)
                p.v[i] = from_float<T>(v[k][i] * scale * w[k][i] + b[k][i]);
            if (WHOLE || at < c)
                store_global<T, N>(out + start + at, p);
        }
    }
}

/* Rows too long for registers, or of odd widths, are read three times. */
template <class T>
__global__ void layernorm_long(T *out, const T *x, const float *weight, const float *bias, float eps, int rows, int c)
{
    wait_for_inputs();
    int row = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y), lane = static_cast<int>(threadIdx.x);
    bool real = row < rows;
    if (!real)
        row = rows - 1;
    x += static_cast<size_t>(row) * static_cast<size_t>(c);
    float sum = 0, square = 0;
    for (int i = lane; i < c; i += 32)
        sum += to_float(x[i]);
    float mean = warp_sum(sum) / static_cast<float>(c);
    for (int i = lane; i < c; i += 32)
        square += (to_float(x[i]) - mean) * (to_float(x[i]) - mean);
    float scale = rsqrtf(warp_sum(square) / static_cast<float>(c) + eps);
    for (int i = lane; real && i < c; i += 32)
        out[static_cast<size_t>(row) * static_cast<size_t>(c) + static_cast<size_t>(i)] =
            from_float<T>((to_float(x[i]) - mean) * scale * weight[i] + bias[i]);
}

struct layernorm_job {
    void *out;
    const void *x;
    const float *weight, *bias;
    float eps;
    int rows, c;
};

/* If the rows of j fit so many lanes and packs */
template <class T, int LANES, int PACKS, bool WHOLE> bool launch_held(const layernorm_job &j, cudaStream_t stream)
{
    constexpr int N = static_cast<int>(16 / sizeof(T)), MOST = LANES * PACKS * N;
    if (WHOLE ? j.c != MOST : j.c > MOST)
        return false;
    mv_launch(layernorm_kernel<T, LANES, PACKS, WHOLE>, blocks_in_turns<LANES, PACKS, N>(j.rows), dim3(32, WARPS), 0,
              stream, static_cast<T *>(j.out), static_cast<const T *>(j.x), j.weight, j.bias, j.eps,
              1.0f / static_cast<float>(j.c), j.rows, j.c);
    return true;
}

/* The widths of the variants exactly, others in the next larger one */
template <class T> bool launch_width(const layernorm_job &j, cudaStream_t stream)
{
    if constexpr (sizeof(T) == 2)
        return launch_held<T, 8, 5, true>(j, stream) ||   /* 320: T */
               launch_held<T, 16, 5, true>(j, stream) ||  /* 640 */
               launch_held<T, 16, 3, true>(j, stream) ||  /* 384: S */
               launch_held<T, 32, 3, true>(j, stream) ||  /* 768 */
               launch_held<T, 16, 4, true>(j, stream) ||  /* 512: B */
               launch_held<T, 32, 4, true>(j, stream) ||  /* 1024: B, L3 */
               launch_held<T, 32, 8, true>(j, stream) ||  /* 2048: L3 */
               launch_held<T, 32, 2, false>(j, stream) || /* to 512 */
               launch_held<T, 32, 4, false>(j, stream) || /* to 1024: 784 of L */
               launch_held<T, 32, 7, false>(j, stream);   /* to 1792: 1568 of L */
    else
        return launch_held<T, 16, 5, true>(j, stream) || launch_held<T, 32, 5, true>(j, stream) ||
               launch_held<T, 32, 4, false>(j, stream) || launch_held<T, 32, 8, false>(j, stream) ||
               launch_held<T, 32, 16, false>(j, stream);
}

/* ---- the mean over cells */

enum { POOL_ROWS = 8 };

template <class T, int N>
__global__ void __launch_bounds__(POOL_ROWS * 32)
    mean_pool_kernel(T *out, const T *x, const float *scale, const float *shift, float share, int cells, int c)
{
    MV_SHARED(float, part); /* POOL_ROWS x N x 32 */
    wait_for_inputs();
    int lane = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y),
        column = (static_cast<int>(blockIdx.y) * 32 + lane) * N;
    const T *from = x + static_cast<size_t>(blockIdx.x) * static_cast<size_t>(cells) * static_cast<size_t>(c) + column;
    float sum[N] = {};
    if (column < c)
#pragma unroll 4
        for (int i = y; i < cells; i += POOL_ROWS) {
            pack<T, N> p = load<T, N>(from + i * c);
#pragma unroll
            for (int k = 0; k < N; k++)
                sum[k] += to_float(p.v[k]);
        }
#pragma unroll
    for (int k = 0; k < N; k++)
        part[(y * N + k) * 32 + lane] = sum[k];
    __syncthreads();
    if (y >= N || column >= c)
        return;
    column += y; /* N <= POOL_ROWS: a warp for each value of a pack */
    float all = 0;
#pragma unroll
    for (int i = 0; i < POOL_ROWS; i++)
        all += part[(i * N + y) * 32 + lane];
    all *= share;
    if (scale)
        all = all * scale[column] + shift[column];
    out[static_cast<size_t>(blockIdx.x) * static_cast<size_t>(c) + static_cast<size_t>(column)] = from_float<T>(all);
}

}  // namespace

void launch_rows(const row_job &j, cudaStream_t stream)
{
    bool done = false;
    of_type(j.x_type, [&](auto x) {
        using X = decltype(x);
        bool same = j.out_type == j.x_type && (!j.residual || j.residual_type == j.x_type),
             plain = j.act == MV_ACT_NONE && !j.scale && !j.shift && !j.residual;
        if (lanes_of<X>(j.c, {j.out, j.x, j.residual, j.scale, j.shift}) == 1)
            return;
        if (same)
            done = launch_use<X>(j, stream);
        else if (plain && j.out_type == MV_F32) {
            launch_wide<float, X, MV_ACT_NONE, 0>(j, stream);
            done = true;
        }
    });
    if (!done)
        mv_launch(rows_any, dim3(static_cast<unsigned>(blocks_for(j.rows * static_cast<size_t>(j.c), BLOCK))),
                  dim3(BLOCK), 0, stream, j);
}

void launch_layernorm(mv_dtype type, void *out, const void *x, const float *weight, const float *bias, float eps,
                      int rows, int c, cudaStream_t stream)
{
    of_type(type, [&](auto t) {
        using T = decltype(t);
        if (lanes_of<T>(c, {out, x, weight, bias}) == 1 ||
            !launch_width<T>({out, x, weight, bias, eps, rows, c}, stream))
            mv_launch(layernorm_long<T>, dim3(static_cast<unsigned>(blocks_for(static_cast<size_t>(rows), WARPS))),
                      dim3(32, WARPS), 0, stream, static_cast<T *>(out), static_cast<const T *>(x), weight, bias, eps,
                      rows, c);
    });
}

void launch_mean_pool(mv_dtype type, void *out, const void *x, const float *scale, const float *shift, int pictures,
                      int cells, int c, cudaStream_t stream)
{
    of_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        auto go = [&](auto kernel, int n) {
            dim3 grid(static_cast<unsigned>(pictures),
                      static_cast<unsigned>(blocks_for(static_cast<size_t>(c), 32 * n)));
            mv_launch(kernel, grid, dim3(32, POOL_ROWS), static_cast<size_t>(POOL_ROWS * 32 * n) * sizeof(float),
                      stream, static_cast<T *>(out), static_cast<const T *>(x), scale, shift,
                      1.0f / static_cast<float>(cells), cells, c);
        };
        if (lanes_of<T>(c, {x}) == N)
            go(mean_pool_kernel<T, N>, N);
        else
            go(mean_pool_kernel<T, 1>, 1);
    });
}

}  // namespace mv
