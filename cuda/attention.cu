/* Self-attention of a window: out = softmax(q k^T / sqrt d) v, the rows of the softmax are stored only if they are
 * watched.
 *
 *   op                      launch                                                     bytes moved
 *   attention, 16 bits      4 warps by 16 queries; tensor cores; keys in tiles of 64    qkv + out (+ rows)
 *   attention, others       4 warps by 8 queries; keys in tiles of 32                   qkv + out (+ rows)
 *   attend                  a warp a query                                             rows + v + out
 *
 * Layouts: qkv (N T 3C) packed (3, heads, d), out (N T C), rows (N heads T T, fp32). Statistics, products' sums and the
 * softmax are fp32. Maximum and sum are updated key by key (Milakov & Gimelshein 2018), so a window of any size needs
 * no memory for its scores; rows are computed in a second pass over the keys, when maximum and sum are known.
 */
#include "cuda/kernels.h"

namespace
{

enum { KEYS = 64, QUERIES = 16, WARPS = 4, GAP = 8 };

constexpr float LOG2E = 1.44269504088896341f;

/* One head of one window: where it lies. */
template <class T> struct head {
    const T *q, *k, *v;
    T *out;
    float *rows;
    size_t stride, out_stride;
};

template <class T> __device__ head<T> head_of(const attention_job &j, size_t which)
{
    size_t n = which / static_cast<size_t>(j.heads), h = which % static_cast<size_t>(j.heads),
           d = static_cast<size_t>(j.d), c = static_cast<size_t>(j.heads) * d, t = static_cast<size_t>(j.tokens);
    const T *q = static_cast<const T *>(j.qkv) + n * t * 3 * c + h * d;
    return {
        q,     q + c, q + 2 * c, static_cast<T *>(j.out) + n * t * c + h * d, j.rows ? j.rows + which * t * t : nullptr,
        3 * c, c};
}

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

/* ---- any type, any head: a lane a key for the scores, a lane a dimension for the sums */

enum { PLAIN_KEYS = 32, PLAIN_QUERIES = 8 };

/* COLUMNS: dimensions a lane holds, 32 COLUMNS >= d */
template <class T, int COLUMNS> __global__ void __launch_bounds__(WARPS * 32) plain_kernel(attention_job j)
{
    MV_SHARED(float, memory);
    int d = j.d, pitch = d | 1; /* odd, so that 32 keys lie in 32 banks */
    float *keys = memory, *values = keys + PLAIN_KEYS * pitch, *queries = values + PLAIN_KEYS * pitch;
    head<T> h = head_of<T>(j, blockIdx.x);
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32,
        block = static_cast<int>(blockIdx.y) * WARPS * PLAIN_QUERIES, first = block + warp * PLAIN_QUERIES;
    float scale = LOG2E * rsqrtf(static_cast<float>(d));
    for (int i = static_cast<int>(threadIdx.x); i < WARPS * PLAIN_QUERIES * d; i += WARPS * 32)
        queries[i] =
            block + i / d < j.tokens
                ? to_float(h.q[static_cast<size_t>(block + i / d) * h.stride + static_cast<size_t>(i % d)]) * scale
                : 0.0f;
    const float *q = queries + warp * PLAIN_QUERIES * d;
    float most[PLAIN_QUERIES], sum[PLAIN_QUERIES] = {}, out[PLAIN_QUERIES][COLUMNS] = {}, s[PLAIN_QUERIES];
    for (int r = 0; r < PLAIN_QUERIES; r++)
        most[r] = -INFINITY;
    for (int pass = 0; pass < (h.rows ? 2 : 1); pass++)
        for (int from = 0; from < j.tokens; from += PLAIN_KEYS) {
            int count = j.tokens - from < PLAIN_KEYS ? j.tokens - from : PLAIN_KEYS;
            __syncthreads();
            for (int i = static_cast<int>(threadIdx.x); i < PLAIN_KEYS * d; i += WARPS * 32) {
                int key = i / d, x = i % d;
                size_t at = static_cast<size_t>(from + key) * h.stride + static_cast<size_t>(x);
                keys[key * pitch + x] = key < count ? to_float(h.k[at]) : 0.0f;
                values[key * pitch + x] = key < count ? to_float(h.v[at]) : 0.0f;
            }
            __syncthreads();
#pragma unroll
            for (int r = 0; r < PLAIN_QUERIES; r++)
                s[r] = 0;
            for (int x = 0; x < d; x++) {
                float k = keys[lane * pitch + x];
#pragma unroll
                for (int r = 0; r < PLAIN_QUERIES; r++)
                    s[r] += q[r * d + x] * k;
            }
#pragma unroll
            for (int r = 0; r < PLAIN_QUERIES; r++) {
                if (lane >= count)
                    s[r] = -INFINITY;
                if (pass) {
                    if (first + r < j.tokens && lane < count)
                        h.rows[static_cast<size_t>(first + r) * static_cast<size_t>(j.tokens) +
                               static_cast<size_t>(from + lane)] = exp2f(s[r] - most[r]) / sum[r];
                    continue;
                }
                float top = fmaxf(most[r], warp_max(s[r])), shrink = exp2f(most[r] - top);
                most[r] = top;
                s[r] = exp2f(s[r] - top);
                sum[r] = sum[r] * shrink + warp_sum(s[r]);
#pragma unroll
                for (int k = 0; k < COLUMNS; k++)
                    out[r][k] *= shrink;
            }
            if (pass)
                continue;
            for (int key = 0; key < count; key++) {
                float v[COLUMNS];
#pragma unroll
                for (int k = 0; k < COLUMNS; k++)
                    v[k] = lane + 32 * k < d ? values[key * pitch + lane + 32 * k] : 0.0f;
#pragma unroll
                for (int r = 0; r < PLAIN_QUERIES; r++) {
                    float p = __shfl_sync(~0u, s[r], key);
#pragma unroll
                    for (int k = 0; k < COLUMNS; k++)
                        out[r][k] += p * v[k];
                }
            }
        }
    for (int r = 0; r < PLAIN_QUERIES; r++)
#pragma unroll
        for (int k = 0; k < COLUMNS; k++)
            if (first + r < j.tokens && lane + 32 * k < d)
                h.out[static_cast<size_t>(first + r) * h.out_stride + static_cast<size_t>(lane + 32 * k)] =
                    from_float<T>(out[r][k] / sum[r]);
}

template <class T> __global__ void attend_kernel(attention_job j)
{
    head<T> h = head_of<T>(j, blockIdx.x);
    int lane = static_cast<int>(threadIdx.x), row = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (row >= j.tokens)
        return;
    const float *p = h.rows + static_cast<size_t>(row) * static_cast<size_t>(j.tokens);
    for (int x = lane; x < j.d; x += 32) {
        float sum = 0;
        for (int key = 0; key < j.tokens; key++)
            sum += p[key] * to_float(h.v[static_cast<size_t>(key) * h.stride + static_cast<size_t>(x)]);
        h.out[static_cast<size_t>(row) * h.out_stride + static_cast<size_t>(x)] = from_float<T>(sum);
    }
}

dim3 grid_of(const attention_job &j, int queries)
{
    return dim3(static_cast<unsigned>(j.windows * j.heads),
                static_cast<unsigned>(blocks_for(static_cast<size_t>(j.tokens), queries)));
}

template <class T, int WIDTH> void launch_tensor(const attention_job &j, cudaStream_t stream)
{
    mv_launch(tensor_kernel<T, WIDTH>, grid_of(j, WARPS * QUERIES), dim3(WARPS * 32),
              (KEYS * (WIDTH + GAP) + WIDTH * (KEYS + GAP)) * sizeof(T), stream, j);
}

template <class T, int COLUMNS> void launch_plain(const attention_job &j, cudaStream_t stream)
{
    size_t floats = static_cast<size_t>(2 * PLAIN_KEYS * (j.d | 1) + WARPS * PLAIN_QUERIES * j.d);
    mv_launch(plain_kernel<T, COLUMNS>, grid_of(j, WARPS * PLAIN_QUERIES), dim3(WARPS * 32), floats * sizeof(float),
              stream, j);
}

}  // namespace

void launch_attention(const attention_job &j, cudaStream_t stream)
{
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        if constexpr (sizeof(T) == 2) {
            if (j.d <= 32)
                return launch_tensor<T, 32>(j, stream);
            if (j.d <= 48)
                return launch_tensor<T, 48>(j, stream);
            if (j.d <= 64)
                return launch_tensor<T, 64>(j, stream);
        }
        if (j.d <= 64)
            launch_plain<T, 2>(j, stream);
        else
            launch_plain<T, MOST_HEAD / 32>(j, stream);
    });
}

void launch_attend(const attention_job &j, cudaStream_t stream)
{
    const unsigned rows = 8;
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        mv_launch(attend_kernel<T>, grid_of(j, static_cast<int>(rows)), dim3(32, rows), 0, stream, j);
    });
}
