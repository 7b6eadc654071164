/* The gradient of the mixer's depthwise convolution over three tokens with SiLU, both halves at once.
 *
 *   op                formula                                     launch                       bytes moved
 *   conv1d_silu_back  a_t = w0 x_{t-1} + w1 x_t + w2 x_{t+1}      a thread 16 bytes of STEP    xz, dx, dxz, half of dyz
 *                     da_t = dout_t act'(a_t), or dout_t g(a_t)   tokens, taps in registers
 *                     dx_t = w2 da_{t-1} + w1 da_t + w0 da_{t+1}
 *
 * Layouts as in conv1d.cu; the gradients of the left half are dx (N T E), those of the right half lie in dyz (N T 2E).
 * a is computed again, and so is da at the ends of a thread's tokens.
 */
#include <algorithm>
#include <climits>

#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { BLOCK = 128, STEP = 4 };

struct conv1d_back_of {
    const float *wx, *wz;
    unsigned threads;
    int tokens, e;
    bool held;
    divider packs, runs; /* of a row; of STEP tokens of a window */
};

/* What SiLU multiplies by: g = 1 / (1 + exp(-a)), or the derivative */
__device__ inline float silu_slope(float a, bool held)
{
    float g = reciprocal(1.0f + exp2_fast(-LOG2E * a));
    return held ? g : g + a * g * (1.0f - g);
}

template <class T, int N>
__global__ void __launch_bounds__(BLOCK)
    conv1d_back_kernel(T *dxz, const T *dx, const T *dyz, const T *xz, conv1d_back_of j)
{
    unsigned i = blockIdx.x * BLOCK + threadIdx.x;
    bool real = i < j.threads;
    i = real ? i : 0;
    unsigned run = j.packs.quotient(i), window = j.runs.quotient(run);
    int c = static_cast<int>(i - run * j.packs.by) * N, first = static_cast<int>(run - window * j.runs.by) * STEP;
    bool right = c >= j.e;
    int own = right ? c - j.e : c, width = 2 * j.e, stride = right ? width : j.e;
    float w[N * MV_TAPS];
    load_vector<N * MV_TAPS>(w, (right ? j.wz : j.wx) + own * MV_TAPS);
    wait_for_inputs();
    if (!real)
        return;

    size_t token = static_cast<size_t>(window) * static_cast<size_t>(j.tokens) + static_cast<size_t>(first);
    const T *from = xz + token * static_cast<size_t>(width) + c,
            *dout = (right ? dyz + j.e : dx) + token * static_cast<size_t>(stride) + own;
    pack<T, N> row[STEP + 4], grad[STEP + 2]; /* from the second and from the first token before the thread's own on */
#pragma unroll
    for (int t = 0; t < STEP + 4; t++) {
        int at = first + t - 2;
        row[t] = pack<T, N>{};
        if (at >= 0 && at < j.tokens)
            row[t] = load<T, N>(from + (t - 2) * width);
    }
#pragma unroll
    for (int t = 0; t < STEP + 2; t++) {
        int at = first + t - 1;
        grad[t] = pack<T, N>{};
        if (at >= 0 && at < j.tokens)
            grad[t] = load<T, N>(dout + (t - 1) * stride);
    }
    float da[STEP + 2][N];
#pragma unroll
    for (int t = 0; t < STEP + 2; t++) {
        int at = first + t - 1;
        bool there = at >= 0 && at < j.tokens;
#pragma unroll
        for (int k = 0; k < N; k++) {
            float a = w[k * MV_TAPS] * to_float(row[t].v[k]) + w[k * MV_TAPS + 1] * to_float(row[t + 1].v[k]) +
                      w[k * MV_TAPS + 2] * to_float(row[t + 2].v[k]);
            da[t][k] = there ? to_float(grad[t].v[k]) * silu_slope(a, j.held) : 0.0f;
        }
    }
    T *to = dxz + token * static_cast<size_t>(width) + c;
#pragma unroll
    for (int t = 0; t < STEP; t++) {
        pack<T, N> out;
#pragma unroll
        for (int k = 0; k < N; k++)
            out.v[k] = from_float<T>(w[k * MV_TAPS + 2] * da[t][k] + w[k * MV_TAPS + 1] * da[t + 1][k] +
                                     w[k * MV_TAPS] * da[t + 2][k]);
        if (first + t < j.tokens)
            store_global<T, N>(to + t * width, out);
    }
}

}  // namespace

/* So many windows a launch that threads are counted in 31 bits */
void launch_conv1d_silu_back(const conv1d_back_job &j, cudaStream_t stream)
{
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        const int lanes = lanes_of<T>(j.e, {j.dxz, j.dx, j.dyz, j.xz, j.wx, j.wz}), packs = 2 * j.e / lanes,
                  runs = blocks_for(static_cast<size_t>(j.tokens), STEP), each = INT_MAX / 2 / (runs * packs);
        const size_t rows = static_cast<size_t>(j.tokens) * static_cast<size_t>(j.e);
        for (int first = 0; first < j.windows; first += each) {
            unsigned threads = static_cast<unsigned>(std::min(each, j.windows - first) * runs * packs);
            size_t at = static_cast<size_t>(first) * rows;
            mv_launch(lanes == 1 ? conv1d_back_kernel<T, 1> : conv1d_back_kernel<T, N>,
                      dim3(static_cast<unsigned>(blocks_for(threads, BLOCK))), dim3(BLOCK), 0, stream,
                      static_cast<T *>(j.dxz) + 2 * at, static_cast<const T *>(j.dx) + at,
                      static_cast<const T *>(j.dyz) + 2 * at, static_cast<const T *>(j.xz) + 2 * at,
                      conv1d_back_of{j.wx, j.wz, threads, j.tokens, j.e, j.held, divider(packs), divider(runs)});
        }
    });
}

}  // namespace mv
