/* Changes of layout for the transpose of a convolution.
 *
 *   op        formula                                                launch                bytes moved
 *   gather    dx = residual + the sum of a value's 9 columns         a thread 16 bytes     columns, residual, dx
 *   turn      to (c 2-u 2-v n) = w (n u v c)                         a thread a value      both
 *
 * Columns are those of move.cu, in fp32: each value of dx is rounded once. The taps are summed in their order.
 */
#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { BLOCK = 256, TAPS = MV_TAPS * MV_TAPS };

dim3 grid_of(size_t n)
{
    return dim3(static_cast<unsigned>(blocks_for(n, BLOCK)));
}

struct gather_shape {
    unsigned n;                  /* packs */
    divider packs, across, down; /* packs of a cell; columns and rows of dx */
};

template <class T, int N> __global__ void __launch_bounds__(BLOCK) gather_columns_kernel(gather_job j, gather_shape s)
{
    constexpr int WIDE = N % 4 ? 1 : 4;
    unsigned i = blockIdx.x * BLOCK + threadIdx.x, cell = s.packs.quotient(i), line = s.across.quotient(cell),
             b = s.down.quotient(line);
    const int c = static_cast<int>(i - cell * s.packs.by) * N, x = static_cast<int>(cell - line * s.across.by),
              y = j.top + static_cast<int>(line - b * s.down.by);
    wait_for_inputs();
    if (i >= s.n)
        return;
    const size_t at =
        ((static_cast<size_t>(b) * static_cast<size_t>(j.h) + static_cast<size_t>(y)) * static_cast<size_t>(j.w) +
         static_cast<size_t>(x)) *
            static_cast<size_t>(j.c) +
        static_cast<size_t>(c);
    float sum[N] = {};
    if (j.residual) {
        pack<T, N> p = load<T, N>(static_cast<const T *>(j.residual) + at);
#pragma unroll
        for (int k = 0; k < N; k++)
            sum[k] = to_float(p.v[k]);
    }
#pragma unroll
    for (int tap = 0; tap < TAPS; tap++) {
        const int down = y + 1 - tap / MV_TAPS, across = x + 1 - tap % MV_TAPS, oy = down / j.stride,
                  ox = across / j.stride;
        if (down < 0 || across < 0 || oy * j.stride != down || ox * j.stride != across || oy >= j.to || ox >= j.ow)
            continue;
        const size_t row =
            (static_cast<size_t>(b) * static_cast<size_t>(j.to - j.from) + static_cast<size_t>(oy - j.from)) *
                static_cast<size_t>(j.ow) +
            static_cast<size_t>(ox);
        const float *from = j.columns + row * static_cast<size_t>(j.width) + (tap * j.c + c);
#pragma unroll
        for (int k = 0; k < N; k += WIDE) {
            pack<float, WIDE> p = load<float, WIDE>(from + k);
#pragma unroll
            for (int n = 0; n < WIDE; n++)
                sum[k + n] += p.v[n];
        }
    }
    pack<T, N> out;
#pragma unroll
    for (int k = 0; k < N; k++)
        out.v[k] = from_float<T>(sum[k]);
    store_global<T, N>(static_cast<T *>(j.dx) + at, out);
}

template <class T> __global__ void turn_kernel(T *to, const T *w, unsigned values, divider out, int channels)
{
    wait_for_inputs();
    unsigned i = blockIdx.x * BLOCK + threadIdx.x, row = out.quotient(i), o = i - row * out.by, c = row / TAPS,
             tap = row % TAPS;
    if (i < values)
        to[i] = w[(o * TAPS + TAPS - 1 - tap) * static_cast<unsigned>(channels) + c];
}

}  // namespace

/* j.columns has less than 2^31 values. */
void launch_gather_columns(const gather_job &j, cudaStream_t stream)
{
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        const int lanes = j.width % 4 ? 1 : lanes_of<T>(j.c, {j.dx, j.residual, j.columns}), packs = j.c / lanes;
        const unsigned n = static_cast<unsigned>(j.pictures) * static_cast<unsigned>(j.rows) *
                           static_cast<unsigned>(j.w) * static_cast<unsigned>(packs);
        mv_launch(lanes == 1 ? gather_columns_kernel<T, 1> : gather_columns_kernel<T, N>, grid_of(n), dim3(BLOCK), 0,
                  stream, j, gather_shape{n, divider(packs), divider(j.w), divider(j.rows)});
    });
}

void launch_turn(mv_dtype type, void *to, const void *w, int n, int c, cudaStream_t stream)
{
    const unsigned values = static_cast<unsigned>(n) * static_cast<unsigned>(c) * TAPS;
    of_type(type, [&](auto t) {
        using T = decltype(t);
        mv_launch(turn_kernel<T>, grid_of(values), dim3(BLOCK), 0, stream, static_cast<T *>(to),
                  static_cast<const T *>(w), values, divider(n), c);
    });
}

}  // namespace mv
