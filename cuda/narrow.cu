/* The inputs of fp8 products: E4M3 with a scale for each row.
 *
 *   op       formula                                          launch                         bytes moved
 *   narrow   s, power of two: max |x / s| in (224, 448]       a warp a row, registers        2 in, 1 out, a value
 *
 * out = x / s. Each row has a scale of its own, so that a token's result does not depend on what else is in the batch.
 * Rows too long for registers are read twice. A row of zeros has scale 0; NaN stays NaN, and a row with an infinity has
 * that for its scale.
 */
#include "cuda/launch.h"

namespace mv
{

namespace
{

constexpr int N = 8, WARPS = 4;

__device__ float largest(const pack<half_t, N> &p, float most)
{
#pragma unroll
    for (int k = 0; k < N; k++)
        most = fmaxf(most, fabsf(to_float(p.v[k])));
    return most;
}

__device__ pack<unsigned short, N / 2> narrowed(const pack<half_t, N> &p, float by)
{
    pack<unsigned short, N / 2> out;
#pragma unroll
    for (int k = 0; k < N; k += 2)
        out.v[k / 2] = to_e4m3(to_float(p.v[k]) * by, to_float(p.v[k + 1]) * by);
    return out;
}

/* K packs of a row are held by each lane: 32 N K >= k; K = 0: none, the row is read again. */
template <int K> __global__ void narrow_kernel(unsigned short *out, float *scale, const half_t *x, int rows, int k)
{
    wait_for_inputs();
    int row = static_cast<int>(blockIdx.x * blockDim.y + threadIdx.y), lane = static_cast<int>(threadIdx.x);
    if (row >= rows)
        return; /* whole warps */
    x += static_cast<size_t>(row) * static_cast<size_t>(k);
    out += static_cast<size_t>(row) * static_cast<size_t>(k) / 2;
    constexpr int HELD = K ? K : 1;
    pack<half_t, N> held[HELD];
    float most = 0;
    if constexpr (K > 0) {
#pragma unroll
        for (int i = 0; i < K; i++) {
            int at = (i * 32 + lane) * N;
            if (at < k) {
                held[i] = load<half_t, N>(x + at);
                most = largest(held[i], most);
            }
        }
    } else
        for (int at = lane * N; at < k; at += 32 * N)
            most = largest(load<half_t, N>(x + at), most);
    most = warp_max(most);
    float by = e4m3_range(most);
    if constexpr (K > 0) {
#pragma unroll
        for (int i = 0; i < K; i++) {
            int at = (i * 32 + lane) * N;
            if (at < k)
                store<unsigned short, N / 2>(out + at / 2, narrowed(held[i], by));
        }
    } else
        for (int at = lane * N; at < k; at += 32 * N)
            store<unsigned short, N / 2>(out + at / 2, narrowed(load<half_t, N>(x + at), by));
    if (lane == 0)
        scale[row] = by > 0 ? inverse_power(by) : most;
}

}  // namespace

void launch_narrow(unsigned char *out, float *scale, const void *x, int rows, int k, cudaStream_t stream)
{
    auto go = [&](auto kernel) {
        mv_launch(kernel, dim3(static_cast<unsigned>(blocks_for(static_cast<size_t>(rows), WARPS))), dim3(32, WARPS), 0,
                  stream, reinterpret_cast<unsigned short *>(out), scale, static_cast<const half_t *>(x), rows, k);
    };
    if (k <= 32 * N * 2)
        go(narrow_kernel<2>);
    else if (k <= 32 * N * 4)
        go(narrow_kernel<4>);
    else if (k <= 32 * N * 8)
        go(narrow_kernel<8>);
    else
        go(narrow_kernel<0>);
}

}  // namespace mv
