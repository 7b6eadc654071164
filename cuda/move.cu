/* Changes of layout: pictures, windows, the columns of a convolution.
 *
 *   op        formula                                            launch                bytes moved
 *   picture   out (B H W 3) = planes (B 3 H W)                   a thread a pixel      12 in, 3 values out, a pixel
 *   bytes     out (B H W 3) = table[c][bytes (B H W 3)]          a thread a value      1 in, 1 value out
 *   windows   tokens (N s s C) <-> picture (B H W C)             a thread 16 bytes     both
 *   columns   rows of what a 3x3 convolution sees                a thread 16 bytes     9 times x over stride^2
 *   fold      w (n k) scale[n]                                   a thread a value      both
 */
#include <algorithm>
#include <climits>

#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { BLOCK = 256 };

dim3 grid_of(size_t n)
{
    return dim3(static_cast<unsigned>(blocks_for(n, BLOCK)));
}

__device__ size_t element()
{
    return static_cast<size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

template <class T> __global__ void picture_kernel(T *out, const float *planes, size_t pixels, size_t plane)
{
    wait_for_inputs();
    size_t i = element();
    if (i >= pixels)
        return;
    const float *from = planes + i / plane * 3 * plane + i % plane;
    for (int c = 0; c < 3; c++)
        out[i * 3 + static_cast<size_t>(c)] = from_float<T>(from[static_cast<size_t>(c) * plane]);
}

template <class T> __global__ void bytes_kernel(T *out, const unsigned char *bytes, const float *table, size_t n)
{
    wait_for_inputs();
    size_t i = element();
    if (i < n)
        out[i] = from_float<T>(table[static_cast<unsigned>(i % 3) * 256 + bytes[i]]);
}

/* Windows of s x s tokens, `across` x `down` on a picture of h x w cells */
struct windows_job {
    unsigned n; /* packs of the output */
    int h, w, c, s, down, across;
    divider packs, side, cells, columns, rows; /* packs of a token; MERGE: s, -, w, h, else s, s s, across, down */
};

/* A thread writes a pack: of a token, zeros on padding; if MERGE of a cell. */
template <class T, int N, bool MERGE>
__global__ void __launch_bounds__(BLOCK) windows_kernel(T *out, const T *x, windows_job j)
{
    unsigned i = blockIdx.x * BLOCK + threadIdx.x, at = j.packs.quotient(i), k = i - at * j.packs.by, from;
    bool real = true;
    if constexpr (MERGE) {
        unsigned line = j.columns.quotient(at), across = at - line * j.columns.by, b = j.rows.quotient(line),
                 down = line - b * j.rows.by, row = j.side.quotient(down), column = j.side.quotient(across);
        from = ((b * static_cast<unsigned>(j.down) + row) * static_cast<unsigned>(j.across) + column) * j.side.by;
        from = (from + down - row * j.side.by) * j.side.by + across - column * j.side.by;
    } else {
        unsigned window = j.cells.quotient(at), in = at - window * j.cells.by, y = j.side.quotient(in),
                 line = j.columns.quotient(window), b = j.rows.quotient(line),
                 down = (line - b * j.rows.by) * j.side.by + y,
                 across = (window - line * j.columns.by) * j.side.by + in - y * j.side.by;
        real = down < static_cast<unsigned>(j.h) && across < static_cast<unsigned>(j.w);
        from = (b * static_cast<unsigned>(j.h) + down) * static_cast<unsigned>(j.w) + across;
    }
    wait_for_inputs();
    if (i >= j.n)
        return;
    pack<T, N> p = {};
    if (real)
        p = load<T, N>(x + static_cast<size_t>(from) * static_cast<size_t>(j.c) + k * N);
    store_global<T, N>(out + static_cast<size_t>(i) * N, p);
}

struct columns_shape {
    unsigned n, first; /* packs; the first row, counted from the beginning of a picture */
    int h, w, c, stride;
    divider packs, taps, across, down; /* packs of a row; c; columns and rows of the output */
};

template <class T, int N> __global__ void __launch_bounds__(BLOCK) columns_kernel(T *out, const T *x, columns_shape j)
{
    unsigned i = blockIdx.x * BLOCK + threadIdx.x, row = j.packs.quotient(i), k = (i - row * j.packs.by) * N,
             tap = j.taps.quotient(k), line = j.across.quotient(row + j.first), b = j.down.quotient(line);
    int ky = static_cast<int>(tap * 11 >> 5), /* tap / 3 */
        y = static_cast<int>(line - b * j.down.by) * j.stride + ky - 1,
        x0 = static_cast<int>(row + j.first - line * j.across.by) * j.stride + static_cast<int>(tap) - 3 * ky - 1;
    wait_for_inputs();
    if (i >= j.n)
        return;
    pack<T, N> p = {};
    if (tap < 9 && y >= 0 && y < j.h && x0 >= 0 && x0 < j.w) {
        unsigned cell = (b * static_cast<unsigned>(j.h) + static_cast<unsigned>(y)) * static_cast<unsigned>(j.w) +
                        static_cast<unsigned>(x0);
        p = load<T, N>(x + static_cast<size_t>(cell) * static_cast<size_t>(j.c) + (k - tap * j.taps.by));
    }
    store_global<T, N>(out + static_cast<size_t>(i) * N, p);
}

template <class T> __global__ void fold_kernel(T *out, const T *w, const float *scale, size_t n, int k)
{
    wait_for_inputs();
    size_t i = element();
    if (i < n)
        out[i] = from_float<T>(to_float(w[i]) * scale[i / static_cast<size_t>(k)]);
}

}  // namespace

void launch_picture(mv_dtype type, void *out, mv_dtype from, const void *pixels, const float *table, int pictures,
                    int h, int w, cudaStream_t stream)
{
    size_t plane = static_cast<size_t>(h) * static_cast<size_t>(w), n = plane * static_cast<size_t>(pictures);
    of_type(type, [&](auto t) {
        using T = decltype(t);
        if (from == MV_U8)
            mv_launch(bytes_kernel<T>, grid_of(3 * n), dim3(BLOCK), 0, stream, static_cast<T *>(out),
                      static_cast<const unsigned char *>(pixels), table, 3 * n);
        else
            mv_launch(picture_kernel<T>, grid_of(n), dim3(BLOCK), 0, stream, static_cast<T *>(out),
                      static_cast<const float *>(pixels), n, plane);
    });
}

void launch_windows(mv_dtype type, void *out, const void *x, int pictures, int h, int w, int c, int window, bool merge,
                    cudaStream_t stream)
{
    const int down = (h + window - 1) / window, across = (w + window - 1) / window;
    const size_t cells = static_cast<size_t>(h) * static_cast<size_t>(w),
                 tokens = static_cast<size_t>(down * across) * static_cast<size_t>(window * window),
                 to = merge ? cells : tokens, from = merge ? tokens : cells;
    of_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        auto go = [&](auto kernel, int lanes) {
            /* so many pictures a launch that packs are counted in 31 bits */
            const size_t width = static_cast<size_t>(c), packs = width / static_cast<size_t>(lanes);
            const int each = static_cast<int>(std::max<size_t>(1, INT_MAX / (tokens * packs)));
            windows_job j = {0, h, w, c, window, down, across, divider(c / lanes), divider(window), {}, {}, {}};
            if (merge)
                j.columns = divider(w), j.rows = divider(h);
            else
                j.cells = divider(window * window), j.columns = divider(across), j.rows = divider(down);
            for (int first = 0; first < pictures; first += each) {
                j.n = static_cast<unsigned>(static_cast<size_t>(std::min(each, pictures - first)) * to * packs);
                mv_launch(kernel, grid_of(j.n), dim3(BLOCK), 0, stream,
                          static_cast<T *>(out) + static_cast<size_t>(first) * to * width,
                          static_cast<const T *>(x) + static_cast<size_t>(first) * from * width, j);
            }
        };
        bool wide = lanes_of<T>(c, {out, x}) == N;
        if (merge)
            wide ? go(windows_kernel<T, N, true>, N) : go(windows_kernel<T, 1, true>, 1);
        else
            wide ? go(windows_kernel<T, N, false>, N) : go(windows_kernel<T, 1, false>, 1);
    });
}

/* j.rows times j.width, of a chunk, are less than 2^31. */
void launch_columns(const columns_job &j, cudaStream_t stream)
{
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        const size_t rows = static_cast<size_t>(j.oh) * static_cast<size_t>(j.ow), picture = j.first / rows;
        const T *x = static_cast<const T *>(j.x) +
                     picture * static_cast<size_t>(j.h) * static_cast<size_t>(j.w) * static_cast<size_t>(j.c);
        auto go = [&](auto kernel, int lanes) {
            columns_shape s = {static_cast<unsigned>(j.rows * static_cast<size_t>(j.width / lanes)),
                               static_cast<unsigned>(j.first - picture * rows),
                               j.h,
                               j.w,
                               j.c,
                               j.stride,
                               divider(j.width / lanes),
                               divider(j.c),
                               divider(j.ow),
                               divider(j.oh)};
            mv_launch(kernel, grid_of(s.n), dim3(BLOCK), 0, stream, static_cast<T *>(j.out), x, s);
        };
        if (lanes_of<T>(j.c, {j.out, j.x}) == N && j.width % N == 0)
            go(columns_kernel<T, N>, N);
        else
            go(columns_kernel<T, 1>, 1);
    });
}

void launch_fold(mv_dtype type, void *out, const void *w, const float *scale, int n, int k, cudaStream_t stream)
{
    size_t count = static_cast<size_t>(n) * static_cast<size_t>(k);
    of_type(type, [&](auto t) {
        using T = decltype(t);
        mv_launch(fold_kernel<T>, grid_of(count), dim3(BLOCK), 0, stream, static_cast<T *>(out),
                  static_cast<const T *>(w), scale, count, k);
    });
}

}  // namespace mv
