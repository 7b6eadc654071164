/* Work on rows of channels: epilogues, sums, layer norm, the mean over cells.
 *
 *   op         formula                                        launch                       bytes moved
 *   rows       act(x) scale + shift + residual                a thread 16 bytes            x + out + residual
 *   layernorm  (x - mean) / sqrt(var + eps) weight + bias     a warp a row, registers      x + out
 *   mean_pool  mean over cells, scale + shift                 8 warps by 32 columns        x
 *
 * Layouts: rows of c values, c the last dimension. Statistics are fp32, two passes over what the registers hold.
 */
#include <algorithm>
#include <type_traits>

#include "cuda/launch.h"

namespace mv
{

namespace
{

template <class T, class X, class R, int N>
__global__ void rows_kernel(T *out, const X *x, const R *residual, const float *scale, const float *shift, mv_act act,
                            size_t packs, int columns)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= packs)
        return;
    int c = static_cast<int>(i % static_cast<size_t>(columns)) * N;
    pack<X, N> from = load<X, N>(x + i * N);
    pack<R, N> onto = {};
    pack<T, N> to;
    if (residual)
        onto = load<R, N>(residual + i * N);
#pragma unroll
    for (int k = 0; k < N; k++) {
        float v = activated(to_float(from.v[k]), act);
        if (scale)
            v *= scale[c + k];
        if (shift)
            v += shift[c + k];
        if (residual)
            v += to_float(onto.v[k]);
        to.v[k] = from_float<T>(v);
    }
    store<T, N>(out + i * N, to);
}

template <class T, class X, class R> void launch_typed(const row_job &j, cudaStream_t stream)
{
    const int block = 256;
    size_t n = j.rows * static_cast<size_t>(j.c);
    auto go = [&](auto kernel, int lanes) {
        size_t packs = n / static_cast<size_t>(lanes);
        mv_launch(kernel, dim3(static_cast<unsigned>(blocks_for(packs, block))), dim3(block), 0, stream,
                  static_cast<T *>(j.out), static_cast<const X *>(j.x), static_cast<const R *>(j.residual), j.scale,
                  j.shift, j.act, packs, j.c / lanes);
    };
    constexpr size_t widest = std::max({sizeof(T), sizeof(X), sizeof(R)});
    constexpr int N = static_cast<int>(16 / widest);
    if (lanes_of<T>(j.c, {j.out}) > 1 && lanes_of<X>(j.c, {j.x}) > 1 && lanes_of<R>(j.c, {j.residual}) > 1)
        go(rows_kernel<T, X, R, N>, N);
    else
        go(rows_kernel<T, X, R, 1>, 1);
}

/* False for the two different types of 16 bits, which never meet in one job. */
template <class A, class B>
constexpr bool meet = std::is_same_v<A, B> || std::is_same_v<A, float> || std::is_same_v<B, float>;

/* K packs of a row are held by each lane: 32 N K >= c */
template <class T, int N, int K>
__global__ void layernorm_kernel(T *out, const T *x, const float *weight, const float *bias, float eps, int rows, int c)
{
    wait_for_inputs();
    int row = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y), lane = static_cast<int>(threadIdx.x);
    bool real = row < rows;
    if (!real)
        row = rows - 1; /* whole warps at the sums */
    x += static_cast<size_t>(row) * static_cast<size_t>(c);
    float v[K][N], sum = 0;
#pragma unroll
    for (int k = 0; k < K; k++) {
        int at = (k * 32 + lane) * N;
        if (at < c) {
            pack<T, N> p = load<T, N>(x + at);
#pragma unroll
            for (int i = 0; i < N; i++)
                sum += v[k][i] = to_float(p.v[i]);
        }
    }
    float mean = warp_sum(sum) / static_cast<float>(c), square = 0;
#pragma unroll
    for (int k = 0; k < K; k++)
        if ((k * 32 + lane) * N < c)
#pragma unroll
            for (int i = 0; i < N; i++)
                square += (v[k][i] - mean) * (v[k][i] - mean);
    float scale = rsqrtf(warp_sum(square) / static_cast<float>(c) + eps);
    if (!real)
        return;
    out += static_cast<size_t>(row) * static_cast<size_t>(c);
#pragma unroll
    for (int k = 0; k < K; k++) {
        int at = (k * 32 + lane) * N;
        if (at < c) {
            pack<T, N> p;
#pragma unroll
            for (int i = 0; i < N; i++)
                p.v[i] = from_float<T>((v[k][i] - mean) * scale * weight[at + i] + bias[at + i]);
            store<T, N>(out + at, p);
        }
    }
}

/* Rows too long for registers are read three times. */
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

enum { POOL_ROWS = 8 };

template <class T>
__global__ void mean_pool_kernel(T *out, const T *x, const float *scale, const float *shift, int cells, int c)
{
    wait_for_inputs();
    MV_SHARED(float, part); /* POOL_ROWS x 32 */
    int column = static_cast<int>(blockIdx.x * 32 + threadIdx.x), y = static_cast<int>(threadIdx.y);
    size_t picture = blockIdx.y;
    float sum = 0;
    for (int i = y; column < c && i < cells; i += POOL_ROWS)
        sum += to_float(x[(picture * static_cast<size_t>(cells) + static_cast<size_t>(i)) * static_cast<size_t>(c) +
                          static_cast<size_t>(column)]);
    part[y * 32 + static_cast<int>(threadIdx.x)] = sum;
    __syncthreads();
    if (y || column >= c)
        return;
    sum = 0;
    for (int i = 0; i < POOL_ROWS; i++)
        sum += part[i * 32 + static_cast<int>(threadIdx.x)];
    sum /= static_cast<float>(cells);
    if (scale)
        sum = sum * scale[column] + shift[column];
    out[picture * static_cast<size_t>(c) + static_cast<size_t>(column)] = from_float<T>(sum);
}

}  // namespace

void launch_rows(const row_job &j, cudaStream_t stream)
{
    of_type(j.out_type, [&](auto t) {
        of_type(j.x_type, [&](auto x) {
            of_type(j.residual ? j.residual_type : j.out_type, [&](auto r) {
                using T = decltype(t);
                using X = decltype(x);
                using R = decltype(r);
                if constexpr (meet<T, X> && meet<T, R> && meet<X, R>)
                    launch_typed<T, X, R>(j, stream);
            });
        });
    });
}

void launch_layernorm(mv_dtype type, void *out, const void *x, const float *weight, const float *bias, float eps,
                      int rows, int c, cudaStream_t stream)
{
    const int warps = 4;
    of_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        auto go = [&](auto kernel) {
            mv_launch(kernel, dim3(static_cast<unsigned>(blocks_for(static_cast<size_t>(rows), warps))),
                      dim3(32, warps), 0, stream, static_cast<T *>(out), static_cast<const T *>(x), weight, bias, eps,
                      rows, c);
        };
        if (lanes_of<T>(c, {out, x}) == N && c <= 32 * N)
            go(layernorm_kernel<T, N, 1>);
        else if (lanes_of<T>(c, {out, x}) == N && c <= 64 * N)
            go(layernorm_kernel<T, N, 2>);
        else if (lanes_of<T>(c, {out, x}) == N && c <= 128 * N)
            go(layernorm_kernel<T, N, 4>);
        else if (lanes_of<T>(c, {out, x}) == N && c <= 256 * N)
            go(layernorm_kernel<T, N, 8>);
        else
            go(layernorm_long<T>);
    });
}

void launch_mean_pool(mv_dtype type, void *out, const void *x, const float *scale, const float *shift, int pictures,
                      int cells, int c, cudaStream_t stream)
{
    of_type(type, [&](auto t) {
        using T = decltype(t);
        mv_launch(mean_pool_kernel<T>,
                  dim3(static_cast<unsigned>(blocks_for(static_cast<size_t>(c), 32)), static_cast<unsigned>(pictures)),
                  dim3(32, POOL_ROWS), POOL_ROWS * 32 * sizeof(float), stream, static_cast<T *>(out),
                  static_cast<const T *>(x), scale, shift, cells, c);
    });
}

}  // namespace mv
