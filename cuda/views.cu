/* Strided values for probes, as dense fp32 and back.
 *
 *   op        formula                                            launch                       bytes moved
 *   gather    out (dense fp32) = a strided value; scatter back   a thread 16 bytes of it      both
 *   planes    out (B C H W fp32) = picture (B H W C)             32 x 32 tiles                both
 */
#include <climits>

#include "cuda/launch.h"

namespace mv
{

namespace
{

enum { BLOCK = 256 };

/* Axes from the last one, which is counted in packs; those that are missing have one place. */
struct places {
    unsigned n; /* packs */
    divider axis[MV_MAX_DIMS - 1];
    ptrdiff_t stride[MV_MAX_DIMS];
};

__device__ ptrdiff_t place_of(unsigned i, const places &p)
{
    ptrdiff_t at = 0;
#pragma unroll
    for (int d = 0; d < MV_MAX_DIMS - 1; d++) {
        unsigned rest = p.axis[d].quotient(i);
        at += static_cast<ptrdiff_t>(i - rest * p.axis[d].by) * p.stride[d];
        i = rest;
    }
    return at + static_cast<ptrdiff_t>(i) * p.stride[MV_MAX_DIMS - 1];
}

template <class T, int N> __global__ void __launch_bounds__(BLOCK) gather_kernel(float *out, const T *x, places p)
{
    unsigned i = blockIdx.x * BLOCK + threadIdx.x;
    const T *from = x + place_of(i, p);
    wait_for_inputs();
    if (i >= p.n)
        return;
    pack<T, N> narrow = load<T, N>(from);
    pack<float, N> wide;
#pragma unroll
    for (int k = 0; k < N; k++)
        wide.v[k] = to_float(narrow.v[k]);
    store_global<float, N>(out + static_cast<size_t>(i) * N, wide);
}

template <class T> __global__ void __launch_bounds__(BLOCK) scatter_kernel(T *out, const float *x, places p)
{
    unsigned i = blockIdx.x * BLOCK + threadIdx.x;
    T *to = out + place_of(i, p);
    wait_for_inputs();
    if (i < p.n)
        *to = from_float<T>(x[i]);
}

/* The same values with fewer axes: neighbours that a single stride reaches are one. */
mv_view joined(const mv_view &v)
{
    mv_view out = v;
    out.nd = 0;
    for (int i = 0; i < v.nd; i++) {
        if (v.dim[i] == 1)
            continue;
        if (out.nd && out.stride[out.nd - 1] == v.stride[i] * v.dim[i])
            out.dim[out.nd - 1] *= v.dim[i];
        else
            out.dim[out.nd++] = v.dim[i];
        out.stride[out.nd - 1] = v.stride[i];
    }
    return out;
}

/* Values in a pack: those of 16 bytes where they lie side by side, dense is aligned, and all packs are. */
template <class T> int lanes_in(const mv_view &v, const float *dense)
{
    const int n = static_cast<int>(16 / sizeof(T));
    if (v.nd == 0 || v.stride[v.nd - 1] != 1 || lanes_of<T>(v.dim[v.nd - 1], {v.data, dense}) == 1)
        return 1;
    for (int i = 0; i < v.nd - 1; i++)
        if (v.stride[i] % n)
            return 1;
    return n;
}

places places_of(const mv_view &v, int lanes)
{
    places p = {};
    p.n = static_cast<unsigned>(mv_view_count(v) / static_cast<size_t>(lanes));
    for (int i = v.nd - 1, d = 0; i >= 0; i--, d++) {
        if (d < MV_MAX_DIMS - 1)
            p.axis[d] = divider(d == 0 ? v.dim[i] / lanes : v.dim[i]);
        p.stride[d] = d == 0 ? v.stride[i] * lanes : v.stride[i];
    }
    return p;
}

/* Calls f with parts of v that have less than 2^31 values, and where each begins in the dense form. */
template <class F> void in_parts(const mv_view &v, size_t begins, F f)
{
    size_t n = mv_view_count(v);
    if (n <= INT_MAX) {
        if (n)
            f(v, begins);
        return;
    }
    mv_view part = v;
    part.nd--;
    for (int i = 1; i < v.nd; i++)
        part.dim[i - 1] = v.dim[i], part.stride[i - 1] = v.stride[i];
    for (int i = 0; i < v.dim[0]; i++) {
        part.data = static_cast<char *>(v.data) + i * v.stride[0] * static_cast<ptrdiff_t>(mv_dtype_size(v.type));
        in_parts(part, begins + static_cast<size_t>(i) * (n / static_cast<size_t>(v.dim[0])), f);
    }
}

dim3 grid_of(unsigned n)
{
    return dim3(static_cast<unsigned>(blocks_for(n, BLOCK)));
}

/* ---- pictures: channels last, through a tile, so that both sides are accessed in order */

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

}  // namespace

void launch_gather(float *out, const mv_view &v, cudaStream_t stream)
{
    of_type(v.type, [&](auto t) {
        using T = decltype(t);
        constexpr int N = static_cast<int>(16 / sizeof(T));
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
        in_parts(v, 0, [&](const mv_view &part, size_t begins) {
            mv_view j = joined(part);
            int lanes = lanes_in<T>(j, out + begins);
            places p = places_of(j, lanes);
            mv_launch(lanes == 1 ? gather_kernel<T, 1> : gather_kernel<T, N>, grid_of(p.n), dim3(BLOCK), 0, stream,
                      out + begins, static_cast<const T *>(j.data), p);
        });
    });
}

void launch_scatter(const mv_view &v, const float *in, cudaStream_t stream)
{
    of_type(v.type, [&](auto t) {
        using T = decltype(t);
        in_parts(v, 0, [&](const mv_view &part, size_t begins) {
            mv_view j = joined(part);
            places p = places_of(j, 1);
            mv_launch(scatter_kernel<T>, grid_of(p.n), dim3(BLOCK), 0, stream, static_cast<T *>(j.data), in + begins,
                      p);
        });
    });
}

}  // namespace mv
