/* The step sizes of the scan where they are watched or edited, and the readout of given states.
 *
 *   op        formula                           launch                              bytes moved
 *   step      dt = softplus(r W^T + 2b)         a block 32 channels of 128 tokens   proj, dt
 *   readout   y = C . h + D x from the given h  a thread a channel                  x, proj, h, yz / 2
 *
 * Layouts as in scan.cu; a step has the same bits as inside the scan.
 */
#include "cuda/scan_impl.h"

namespace mv
{

namespace
{

enum { RUN = 128, PLAIN = 64 }; /* tokens of a block; threads of a plain one */

/* The tokens of all windows are those of one. */
template <class T>
__global__ void __launch_bounds__((layout<T, 2>::AHEAD)) step_kernel(float *dt, scan_job j, bool even)
{
    using L = layout<T, 2>;
    MV_SHARED(unsigned char, memory);
    const L at(j.rank);
    const int width = j.rank + 2 * STATES, worker = static_cast<int>(threadIdx.x),
              first = static_cast<int>(blockIdx.x) * L::CHANNELS, above = static_cast<int>(blockIdx.y) * RUN;
    put_weights<T, 2, L::AHEAD>(memory, j, first);
    wait_for_inputs();
    for (int from = above; from < above + RUN && from < j.tokens; from += L::TOKENS) {
        const T *proj = static_cast<const T *>(j.proj) + static_cast<size_t>(from) * static_cast<size_t>(width);
        float *to = dt + static_cast<size_t>(from) * static_cast<size_t>(j.channels) + first;
        int count = j.tokens - from < L::TOKENS ? j.tokens - from : L::TOKENS;
        __syncthreads();
        begin_rows(memory + at.proj, reinterpret_cast<const unsigned char *>(proj) - skipped(proj),
                   skipped(proj) + count * width * L::SIZE, worker, L::AHEAD);
        copy_commit();
        copy_wait<0>();
        __syncthreads();
        steps_of<T, 2>(memory, reinterpret_cast<const T *>(memory + at.proj + skipped(proj)), j.rank, even, count,
                       worker, [&](int k, int c, float one, float two) {
                           if (k < count && first + c < j.channels)
                               to[k * j.channels + c] = one;
                           if (k < count && first + c + 1 < j.channels)
                               to[k * j.channels + c + 1] = two;
                       });
    }
}

template <class T> __global__ void plain_step_kernel(float *dt, scan_job j)
{
    wait_for_inputs();
    int e = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    size_t token = blockIdx.y;
    if (e < j.channels)
        dt[token * static_cast<size_t>(j.channels) + static_cast<size_t>(e)] =
            plain_step(j, static_cast<const T *>(j.proj) + token * static_cast<size_t>(j.rank + 2 * STATES), e);
}

template <class T> __global__ void readout_kernel(scan_job j, size_t n)
{
    wait_for_inputs();
    size_t i = static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    size_t channels = static_cast<size_t>(j.channels), token = i / channels, e = i % channels;
    const T *C = static_cast<const T *>(j.proj) + token * static_cast<size_t>(j.rank + 2 * STATES) +
                 static_cast<size_t>(j.rank + STATES);
    float y = j.D[e] * to_float(static_cast<const T *>(j.x)[i]);
#pragma unroll
    for (int s = 0; s < STATES; s += 4) {
        pack<float, 4> h = load<float, 4>(j.h + i * STATES + s);
#pragma unroll
        for (int k = 0; k < 4; k++)
            y += to_float(C[s + k]) * h.v[k];
    }
    static_cast<T *>(j.yz)[token * 2 * channels + e] = from_float<T>(y);
}

}  // namespace

void launch_step(float *dt, const scan_job &job, cudaStream_t stream)
{
    const int most = 65535; /* tokens or blocks of one grid */
    of_type(job.type, [&](auto t) {
        using T = decltype(t);
        const bool plain = job.rank > MOST_RANK;
        const int each = plain ? most : most * RUN, all = job.windows * job.tokens;
        for (int from = 0; from < all; from += each) {
            scan_job j = job;
            j.windows = 1;
            j.tokens = all - from < each ? all - from : each;
            j.proj =
                static_cast<const T *>(j.proj) + static_cast<size_t>(from) * static_cast<size_t>(j.rank + 2 * STATES);
            float *to = dt + static_cast<size_t>(from) * static_cast<size_t>(j.channels);
            if (plain)
                mv_launch(plain_step_kernel<T>, dim3(blocks_of(j.channels, PLAIN), blocks_of(j.tokens, 1)), dim3(PLAIN),
                          0, stream, to, j);
            else
                mv_launch(step_kernel<T>, dim3(blocks_of(j.channels, layout<T, 2>::CHANNELS), blocks_of(j.tokens, RUN)),
                          dim3(layout<T, 2>::AHEAD), static_cast<size_t>(layout<T, 2>(j.rank).bytes), stream, to, j,
                          has_even_rows(j));
        }
    });
}

void launch_readout(const scan_job &j, cudaStream_t stream)
{
    const int block = 256;
    size_t n = static_cast<size_t>(j.windows) * static_cast<size_t>(j.tokens) * static_cast<size_t>(j.channels);
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        mv_launch(readout_kernel<T>, dim3(static_cast<unsigned>(blocks_for(n, block))), dim3(block), 0, stream, j, n);
    });
}

}  // namespace mv
