/* Self-attention of a window by the tensor cores: out = softmax(q k^T / sqrt d) v in 16 bits; the rows of the softmax
 * are stored only if they are watched.
 *
 *   op                      launch                                                     bytes moved
 *   attention, 16 bits      4 warps by 16 queries; tensor cores; keys in tiles of 64    qkv + out (+ rows)
 *
 * Layouts: qkv (N T 3C) packed (3, heads, d), out (N T C), rows (N heads T T, fp32). Statistics, products' sums and the
 * softmax are fp32. Maximum and sum are updated key by key (Milakov & Gimelshein 2018), so a window of any size needs
 * no memory for its scores; rows are computed in a second pass over the keys, when maximum and sum are known.
 */
#include "cuda/attention_impl.h"

namespace mv
{

namespace
{

enum { KEYS = 64, QUERIES = 16, WARPS = ATTENTION_WARPS, GAP = 8 };

/* Calls put(key, x, values) for a tile of keys or values, N dimensions at a time, zeros where there are none; the whole
 * block takes part. */
template <class T, int WIDTH, int N, class F>
__device__ void each_of(const T *from, size_t stride, int count, int d, F put)
{
    for (int i = static_cast<int>(threadIdx.x); i < KEYS * WIDTH / N; i += WARPS * 32) {
        int key = i / (WIDTH / N), x = i % (WIDTH / N) * N;
        pack<T, N> p = {};
        if (key < count && x < d)
            p = load<T, N>(from + static_cast<size_t>(key) * stride + x);
        put(key, x, p);
    }
}

/* A tile of keys as they lie, d padded to WIDTH */
template <class T, int WIDTH> __device__ void load_keys(T *to, const T *from, size_t stride, int count, int d)
{
    if (d % 8 == 0) /* then every head begins at 16 bytes */
        each_of<T, WIDTH, 8>(from, stride, count, d, [&](int key, int x, const pack<T, 8> &p) {
            store<T, 8>(to + key * (WIDTH + GAP) + x, p);
        });
    else
        each_of<T, WIDTH, 1>(from, stride, count, d,
                             [&](int key, int x, const pack<T, 1> &p) { to[key * (WIDTH + GAP) + x] = p.v[0]; });
}

/* A tile of values, turned: a row of keys for each dimension */
template <class T, int WIDTH> __device__ void load_values(T *to, const T *from, size_t stride, int count, int d)
{
    if (d % 8 == 0)
        each_of<T, WIDTH, 8>(from, stride, count, d, [&](int key, int x, const pack<T, 8> &p) {
#pragma unroll
            for (int k = 0; k < 8; k++)
                to[(x + k) * (KEYS + GAP) + key] = p.v[k];
        });
    else
        each_of<T, WIDTH, 1>(from, stride, count, d,
                             [&](int key, int x, const pack<T, 1> &p) { to[x * (KEYS + GAP) + key] = p.v[0]; });
}

template <class T> __device__ unsigned word(const T *p)
{
    unsigned u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* Scores of a warp's 16 queries against a tile's keys, in units of log2; keys past the last are -infinity. */
template <class T, int WIDTH>
__device__ void scores_of(float (&s)[KEYS / 8][4], const unsigned (&q)[WIDTH / 16][4], const T *keys, int count,
                          float scale, int g, int t)
{
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) {
        s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
        const T *row = keys + (n * 8 + g) * (WIDTH + GAP) + 2 * t;
#pragma unroll
        for (int k = 0; k < WIDTH / 16; k++) {
            unsigned b[2] = {word(row + k * 16), word(row + k * 16 + 8)};
            mma(s[n], q[k], b, T{});
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
            s[n][i] = n * 8 + 2 * t + i % 2 < count ? s[n][i] * scale : -INFINITY;
    }
}

/* The greatest and the sum over the four lanes that share a row */
__device__ float quad_max(float x)
{
    x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
    return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}

__device__ float quad_sum(float x)
{
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}

template <class T, int WIDTH> __global__ void __launch_bounds__(WARPS * 32, 3) tensor_kernel(attention_job j)
{
    wait_for_inputs();
    MV_SHARED(T, keys); /* KEYS x (WIDTH + GAP), then WIDTH x (KEYS + GAP) */
    T *values = keys + KEYS * (WIDTH + GAP);
    head<T> h = head_of<T>(j, blockIdx.x);
    int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4,
        first = (static_cast<int>(blockIdx.y) * WARPS + static_cast<int>(threadIdx.x) / 32) * QUERIES;
    float scale = LOG2E * rsqrtf(static_cast<float>(j.d));

    unsigned q[WIDTH / 16][4];
#pragma unroll
    for (int k = 0; k < WIDTH / 16; k++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int row = first + g + 8 * (i % 2), x = k * 16 + 2 * t + 8 * (i / 2);
            pack<T, 2> p = {{from_float<T>(0.0f), from_float<T>(0.0f)}};
            const T *from = h.q + static_cast<size_t>(row) * h.stride + x;
            if (row < j.tokens && x < j.d)
                p.v[0] = from[0];
            if (row < j.tokens && x + 1 < j.d)
                p.v[1] = from[1];
            memcpy(&q[k][i], &p, sizeof p);
        }

    float most[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0}, out[WIDTH / 8][4] = {};
    for (int from = 0; from < j.tokens; from += KEYS) {
        int count = j.tokens - from < KEYS ? j.tokens - from : KEYS;
        __syncthreads();
        load_keys<T, WIDTH>(keys, h.k + static_cast<size_t>(from) * h.stride, h.stride, count, j.d);
        load_values<T, WIDTH>(values, h.v + static_cast<size_t>(from) * h.stride, h.stride, count, j.d);
        __syncthreads();
        float s[KEYS / 8][4];
        scores_of<T, WIDTH>(s, q, keys, count, scale, g, t);
#pragma unroll
        for (int r = 0; r < 2; r++) { /* rows g and g + 8 */
            float top = most[r];
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
                top = fmaxf(top, fmaxf(s[n][2 * r], s[n][2 * r + 1]));
            top = quad_max(top);
            float shrink = exp2f(most[r] - top), part = 0;
            most[r] = top;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int i = 2 * r; i < 2 * r + 2; i++)
                    part += s[n][i] = exp2f(s[n][i] - top);
            sum[r] = sum[r] * shrink + quad_sum(part);
#pragma unroll
            for (int n = 0; n < WIDTH / 8; n++)
                out[n][2 * r] *= shrink, out[n][2 * r + 1] *= shrink;
        }
#pragma unroll
        for (int k = 0; k < KEYS / 16; k++) {
            unsigned p[4] = {paired<T>(s[2 * k][0], s[2 * k][1]), paired<T>(s[2 * k][2], s[2 * k][3]),
                             paired<T>(s[2 * k + 1][0], s[2 * k + 1][1]), paired<T>(s[2 * k + 1][2], s[2 * k + 1][3])};
#pragma unroll
            for (int n = 0; n < WIDTH / 8; n++) {
                const T *column = values + (n * 8 + g) * (KEYS + GAP) + k * 16 + 2 * t;
                unsigned b[2] = {word(column), word(column + 8)};
                mma(out[n], p, b, T{});
            }
        }
    }
#pragma unroll
    for (int n = 0; n < WIDTH / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            int row = first + g + 8 * (i / 2), x = n * 8 + 2 * t + i % 2;
            if (row < j.tokens && x < j.d)
                h.out[static_cast<size_t>(row) * h.out_stride + static_cast<size_t>(x)] =
                    from_float<T>(out[n][i] / sum[i / 2]);
        }
    if (!h.rows)
        return;
    for (int from = 0; from < j.tokens; from += KEYS) {
        int count = j.tokens - from < KEYS ? j.tokens - from : KEYS;
        __syncthreads();
        load_keys<T, WIDTH>(keys, h.k + static_cast<size_t>(from) * h.stride, h.stride, count, j.d);
        __syncthreads();
        float s[KEYS / 8][4];
        scores_of<T, WIDTH>(s, q, keys, count, scale, g, t);
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int row = first + g + 8 * (i / 2), key = n * 8 + 2 * t + i % 2;
                if (row < j.tokens && key < count)
                    h.rows[static_cast<size_t>(row) * static_cast<size_t>(j.tokens) + static_cast<size_t>(from + key)] =
                        exp2f(s[n][i] - most[i / 2]) / sum[i / 2];
            }
    }
}

template <class T, int WIDTH> void launch_tensor(const attention_job &j, cudaStream_t stream)
{
    mv_launch(tensor_kernel<T, WIDTH>, grid_of(j, WARPS * QUERIES), dim3(WARPS * 32),
              (KEYS * (WIDTH + GAP) + WIDTH * (KEYS + GAP)) * sizeof(T), stream, j);
}

}  // namespace

bool launch_attention_mma(const attention_job &j, cudaStream_t stream)
{
    bool fits = j.type != MV_F32 && j.d <= 64;
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        if constexpr (sizeof(T) == 2) {
            if (j.d <= 32)
                launch_tensor<T, 32>(j, stream);
            else if (j.d <= 48)
                launch_tensor<T, 48>(j, stream);
            else if (j.d <= 64)
                launch_tensor<T, 64>(j, stream);
        }
    });
    return fits;
}

}  // namespace mv
