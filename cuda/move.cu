/* Changes of layout: pictures, windows, strided values for probes, the columns of a convolution.
 *
 *   op        formula                                            launch                bytes moved
 *   picture   out (B H W 3) = planes (B 3 H W)                   a thread a pixel      12 in, 3 values out, a pixel
 *   bytes     out (B H W 3) = table[c][bytes (B H W 3)]          a thread a value      1 in, 1 value out
 *   windows   tokens (N s s C) <-> picture (B H W C)             a thread 16 bytes     both
 *   gather    out (dense fp32) = a strided value; scatter back   a thread a value      both
 *   planes    out (B C H W fp32) = picture (B H W C)             32 x 32 tiles         both
 *   columns   rows of what a 3x3 convolution sees                a thread 16 bytes     9 times x over stride^2
 *   fold      w (n k) scale[n]                                   a thread a value      both
 */
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

/* One pack of one token: i counts packs of all tokens, padding among them. */
template <class T, int N>
__global__ void windows_kernel(T *out, const T *x, size_t n, int h, int w, int c, int s, int down, int across,
                               bool merge)
{
    wait_for_inputs();
    size_t i = element();
    if (i >= n)
        return;
    size_t packs = static_cast<size_t>(c / N), token = i / packs, k = i % packs * N;
    int in = static_cast<int>(token % static_cast<size_t>(s * s));
    size_t window = token / static_cast<size_t>(s * s);
    int column = static_cast<int>(window % static_cast<size_t>(across)),
        row = static_cast<int>(window / static_cast<size_t>(across) % static_cast<size_t>(down));
    size_t b = window / static_cast<size_t>(across * down);
    int y = row * s + in / s, x0 = column * s + in % s;
    bool real = y < h && x0 < w;
    size_t cell = ((b * static_cast<size_t>(h) + static_cast<size_t>(y)) * static_cast<size_t>(w) +
                   static_cast<size_t>(x0)) *
                      static_cast<size_t>(c) +
                  k,
           at = token * static_cast<size_t>(c) + k;
    if (merge) {
        if (real)
            store<T, N>(out + cell, load<T, N>(x + at));
    } else
        store<T, N>(out + at, real ? load<T, N>(x + cell) : pack<T, N>{});
}

struct strides {
    int nd, dim[MV_MAX_DIMS];
    ptrdiff_t stride[MV_MAX_DIMS];
};

__device__ ptrdiff_t offset_of(size_t i, const strides &s)
{
    ptrdiff_t at = 0;
    for (int d = s.nd - 1; d >= 0; d--) {
        at += static_cast<ptrdiff_t>(i % static_cast<size_t>(s.dim[d])) * s.stride[d];
        i /= static_cast<size_t>(s.dim[d]);
    }
    return at;
}

/* Channels last, through a tile, so that both sides are accessed in order. */
enum { TILE = 32, TILE_ROWS = 8 };

template <class T> __global__ void planes_kernel(float *out, const T *x, int pixels, int c)
{
    wait_for_inputs();
    MV_SHARED(float, tile); /* TILE x (TILE + 1) */
    int pixel = static_cast<int>(blockIdx.x) * TILE, channel = static_cast<int>(blockIdx.y) * TILE,
        lane = static_cast<int>(threadIdx.x), row = static_cast<int>(threadIdx.y);
    size_t first = static_cast<size_t>(blockIdx.z) * static_cast<size_t>(pixels) * static_cast<size_t>(c);
    for (int i = row; i < TILE; i += TILE_ROWS)
        if (pixel + i < pixels && channel + lane < c)
            tile[i * (TILE + 1) + lane] = to_float(x[first + static_cast<size_t>(pixel + i) * static_cast<size_t>(c) +
                                                     static_cast<size_t>(channel + lane)]);
    __syncthreads();
    for (int i = row; i < TILE; i += TILE_ROWS)
        if (channel + i < c && pixel + lane < pixels)
            out[first + static_cast<size_t>(channel + i) * static_cast<size_t>(pixels) +
                static_cast<size_t>(pixel + lane)] = tile[lane * (TILE + 1) + i];
}

/* True for a picture viewed as planes. */
bool is_planes(const mv_view &v)
{
    const ptrdiff_t c = v.nd == 4 ? v.dim[1] : 0, w = v.nd == 4 ? v.dim[3] : 0;
    return c > 1 && v.dim[0] < 65536 && v.stride[1] == 1 && v.stride[3] == c && v.stride[2] == w * c &&
           v.stride[0] == v.dim[2] * w * c;
}

template <class T> __global__ void gather_kernel(float *out, const T *x, strides s, size_t n)
{
    wait_for_inputs();
    size_t i = element();
    if (i < n)
        out[i] = to_float(x[offset_of(i, s)]);
}

template <class T> __global__ void scatter_kernel(T *out, const float *x, strides s, size_t n)
{
    wait_for_inputs();
    size_t i = element();
    if (i < n)
        out[offset_of(i, s)] = from_float<T>(x[i]);
}

template <class T, int N> __global__ void columns_kernel(T *out, const T *x, columns_job j)
{
    wait_for_inputs();
    size_t packs = static_cast<size_t>(j.width / N), i = element();
    if (i >= j.rows * packs)
        return;
    size_t row = j.first + i / packs;
    int k = static_cast<int>(i % packs) * N, tap = k / j.c, c = k % j.c;
    int ox = static_cast<int>(row % static_cast<size_t>(j.ow)),
        oy = static_cast<int>(row / static_cast<size_t>(j.ow) % static_cast<size_t>(j.oh));
    size_t b = row / static_cast<size_t>(j.ow) / static_cast<size_t>(j.oh);
    int y = oy * j.stride + tap / 3 - 1, x0 = ox * j.stride + tap % 3 - 1;
    pack<T, N> p = {};
    if (tap < 9 && y >= 0 && y < j.h && x0 >= 0 && x0 < j.w)
        p = load<T, N>(x +
                       ((b * static_cast<size_t>(j.h) + static_cast<size_t>(y)) * static_cast<size_t>(j.w) +
                        static_cast<size_t>(x0)) *
                           static_cast<size_t>(j.c) +
                       static_cast<size_t>(c));
    store<T, N>(out + i * N, p);
}

template <class T> __global__ void fold_kernel(T *out, const T *w, const float *scale, size_t n, int k)
{
    wait_for_inputs();
    size_t i = element();
    if (i < n)
        out[i] = from_float<T>(to_float(w[i]) * scale[i / static_cast<size_t>(k)]);
}

strides strides_of(const mv_view &v)
{
    strides s = {v.nd, {}, {}};
    for (int i = 0; i < v.nd; i++)
        s.dim[i] = v.dim[i], s.stride[i] = v.stride[i];
    return s;
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
    int down = (h + window - 1) / window, across = (w + window - 1) / window;
    size_t tokens =
        static_cast<size_t>(pictures) * static_cast<size_t>(down * across) * static_cast<size_t>(window * window);
    of_type(type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        auto go = [&](auto kernel, int lanes) {
            size_t n = tokens * static_cast<size_t>(c / lanes);
            mv_launch(kernel, grid_of(n), dim3(BLOCK), 0, stream, static_cast<T *>(out), static_cast<const T *>(x), n,
                      h, w, c, window, down, across, merge);
        };
        if (lanes_of<T>(c, {out, x}) == N)
            go(windows_kernel<T, N>, N);
        else
            go(windows_kernel<T, 1>, 1);
    });
}

void launch_gather(float *out, const mv_view &v, cudaStream_t stream)
{
    size_t n = mv_view_count(v);
    of_type(v.type, [&](auto t) {
        using T = decltype(t);
        if (is_planes(v)) {
            int pixels = v.dim[2] * v.dim[3], c = v.dim[1];
            mv_launch(planes_kernel<T>,
                      dim3(static_cast<unsigned>(blocks_for(static_cast<size_t>(pixels), TILE)),
                           static_cast<unsigned>(blocks_for(static_cast<size_t>(c), TILE)),
                           static_cast<unsigned>(v.dim[0])),
                      dim3(TILE, TILE_ROWS), TILE * (TILE + 1) * sizeof(float), stream, out,
                      static_cast<const T *>(v.data), pixels, c);
            return;
        }
        mv_launch(gather_kernel<T>, grid_of(n), dim3(BLOCK), 0, stream, out, static_cast<const T *>(v.data),
                  strides_of(v), n);
    });
}

void launch_scatter(const mv_view &v, const float *in, cudaStream_t stream)
{
    size_t n = mv_view_count(v);
    of_type(v.type, [&](auto t) {
        using T = decltype(t);
        mv_launch(scatter_kernel<T>, grid_of(n), dim3(BLOCK), 0, stream, static_cast<T *>(v.data), in, strides_of(v),
                  n);
    });
}

void launch_columns(const columns_job &j, cudaStream_t stream)
{
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
        auto go = [&](auto kernel, int lanes) {
            mv_launch(kernel, grid_of(j.rows * static_cast<size_t>(j.width / lanes)), dim3(BLOCK), 0, stream,
                      static_cast<T *>(j.out), static_cast<const T *>(j.x), j);
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
