/* The mixer's depthwise convolution over three tokens with SiLU, both halves at once.
 *
 *   op           formula                                     launch                                   bytes moved
 *   conv1d_silu  silu(taps . x_{t-1..t+1}), both halves      a thread 16 bytes of STEP tokens,        xz, x, half of yz
 *                                                            its taps in registers
 *
 * Layouts: xz and yz (N T 2E: y left, z right), x (N T E). The taps (E 3) do not depend on earlier work: they are on
 * their way while the predecessor ends.
 */
#include <algorithm>
#include <climits>

#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { BLOCK = 128 };

struct conv1d_job {
    const float *wx, *wz;
    unsigned threads;
    int tokens, e;
    divider packs, runs; /* of a row; of STEP tokens of a window, the last one shorter if not EVEN */
};

template <class T, int N, int STEP, bool EVEN>
__global__ void __launch_bounds__(BLOCK) conv1d_kernel(T *x, T *yz, const T *xz, conv1d_job j)
{
    unsigned i = blockIdx.x * BLOCK + threadIdx.x;
    bool real = i < j.threads;
    i = real ? i : 0;
    unsigned run = j.packs.quotient(i), window = j.runs.quotient(run);
    int c = static_cast<int>(i - run * j.packs.by) * N, first = static_cast<int>(run - window * j.runs.by) * STEP;
    bool right = c >= j.e;
    int own = right ? c - j.e : c, width = 2 * j.e;
    float w[N * MV_TAPS];
    load_vector<N * MV_TAPS>(w, (right ? j.wz : j.wx) + own * MV_TAPS);
    wait_for_inputs();
    if (!real)
        return;

    size_t token = static_cast<size_t>(window) * static_cast<size_t>(j.tokens) + static_cast<size_t>(first);
    const T *from = xz + token * static_cast<size_t>(width) + c;
    int left = j.tokens - first;
    pack<T, N> row[STEP + 2];
#pragma unroll
    for (int t = 0; t < STEP + 2; t++) {
        bool there = t == 0 ? first > 0 : EVEN && t <= STEP ? true : t - 1 < left;
        row[t] = pack<T, N>{};
        if (there)
            row[t] = load<T, N>(from + (t - 1) * width);
    }
    int stride = right ? width : j.e;
    T *to = (right ? yz + j.e : x) + token * static_cast<size_t>(stride) + own;
#pragma unroll
    for (int t = 0; t < STEP; t++) {
        pack<T, N> out;
#pragma unroll
        for (int k = 0; k < N; k++)
            out.v[k] = from_float<T>(silu(w[k * MV_TAPS] * to_float(row[t].v[k]) +
                                          w[k * MV_TAPS + 1] * to_float(row[t + 1].v[k]) +
                                          w[k * MV_TAPS + 2] * to_float(row[t + 2].v[k])));
        if (EVEN || t < left)
            store_global<T, N>(to + t * stride, out);
    }
}

}  // namespace

void launch_conv1d_silu(mv_dtype type, void *x, void *yz, const void *xz, const float *wx, const float *wz, int windows,
                        int tokens, int e, cudaStream_t stream)
{
    of_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        int lanes = lanes_of<T>(e, {x, yz, xz, wx, wz}), packs = 2 * e / lanes;
        auto go = [&](auto kernel, int step) {
            /* so many windows a launch that threads are counted in 31 bits */
            int runs = blocks_for(static_cast<size_t>(tokens), step), each = INT_MAX / 2 / (runs * packs);
            size_t rows = static_cast<size_t>(tokens) * static_cast<size_t>(e);
            for (int first = 0; first < windows; first += each) {
                unsigned threads = static_cast<unsigned>(std::min(each, windows - first) * runs * packs);
                size_t at = static_cast<size_t>(first) * rows;
                mv_launch(kernel, dim3(static_cast<unsigned>(blocks_for(threads, BLOCK))), dim3(BLOCK), 0, stream,
                          static_cast<T *>(x) + at, static_cast<T *>(yz) + 2 * at, static_cast<const T *>(xz) + 2 * at,
                          conv1d_job{wx, wz, threads, tokens, e, divider(packs), divider(runs)});
            }
        };
        /* a card that would not be busy with long runs of tokens gets short ones */
        bool few = static_cast<size_t>(windows) * static_cast<size_t>(tokens) * static_cast<size_t>(packs) < 1 << 17;
        if (lanes == 1)
            go(conv1d_kernel<T, 1, 2, false>, 2);
        else if (few && tokens % 2 == 0)
            go(conv1d_kernel<T, N, 2, true>, 2);
        else if (few)
            go(conv1d_kernel<T, N, 2, false>, 2);
        else if (tokens % 7 == 0)
            go(conv1d_kernel<T, N, 7, true>, 7);
        else if (tokens % 8 == 0)
            go(conv1d_kernel<T, N, 8, true>, 8);
        else
            go(conv1d_kernel<T, N, 8, false>, 8);
    });
}

}  // namespace mv
