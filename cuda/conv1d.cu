/* The mixer's depthwise convolution over three tokens with SiLU, both halves at once.
 *
 *   op           formula                                     launch              bytes moved
 *   conv1d_silu  silu(taps . x_{t-1..t+1}), both halves      a thread 16 bytes   xz, x, half of yz
 *
 * Layouts: xz and yz (N T 2E: y left, z right), x (N T E).
 */
#include "cuda/launch.h"

namespace mv
{

namespace
{

template <class T, int N>
__global__ void conv1d_kernel(T *x, T *yz, const T *xz, const float *wx, const float *wz, size_t n, int tokens, int e)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t width = 2 * static_cast<size_t>(e), packs = width / N, token = i / packs, c = i % packs * N;
    int t = static_cast<int>(token % static_cast<size_t>(tokens));
    const T *from = xz + token * width + c;
    pack<T, N> before = {}, here = load<T, N>(from), after = {}, out;
    if (t > 0)
        before = load<T, N>(from - width);
    if (t + 1 < tokens)
        after = load<T, N>(from + width);
    bool right = c >= static_cast<size_t>(e);
    size_t own = right ? c - static_cast<size_t>(e) : c;
    const float *w = (right ? wz : wx) + own * MV_TAPS;
#pragma unroll
    for (int k = 0; k < N; k++)
        out.v[k] =
            from_float<T>(silu(w[k * MV_TAPS] * to_float(before.v[k]) + w[k * MV_TAPS + 1] * to_float(here.v[k]) +
                               w[k * MV_TAPS + 2] * to_float(after.v[k])));
    if (right)
        store<T, N>(yz + token * width + c, out);
    else
        store<T, N>(x + token * static_cast<size_t>(e) + own, out);
}

}  // namespace

void launch_conv1d_silu(mv_dtype type, void *x, void *yz, const void *xz, const float *wx, const float *wz, int windows,
                        int tokens, int e, cudaStream_t stream)
{
    const int block = 256;
    of_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        auto go = [&](auto kernel, int lanes) {
            size_t n = static_cast<size_t>(windows) * static_cast<size_t>(tokens) * static_cast<size_t>(2 * e / lanes);
            mv_launch(kernel, dim3(static_cast<unsigned>(blocks_for(n, block))), dim3(block), 0, stream,
                      static_cast<T *>(x), static_cast<T *>(yz), static_cast<const T *>(xz), wx, wz, n, tokens, e);
        };
        if (lanes_of<T>(e, {x, yz, xz}) == N)
            go(conv1d_kernel<T, N>, N);
        else
            go(conv1d_kernel<T, 1>, 1);
    });
}

}  // namespace mv
