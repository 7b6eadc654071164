/* Self-attention of a window for any type and any head: fp32 arithmetic, a lane a key for the scores, a lane a
 * dimension for the sums; and the product of given rows with the values.
 *
 *   op                      launch                                                     bytes moved
 *   attention, others       4 warps by 8 queries; keys in tiles of 32                   qkv + out (+ rows)
 *   attend                  a warp a query                                             rows + v + out
 *
 * Layouts and the order of the sums as in attention_mma.cu, which takes what it can.
 */
#include "cuda/attention_impl.h"

namespace mv
{

namespace
{

enum { PLAIN_KEYS = 32, PLAIN_QUERIES = 8, WARPS = 4, ATTEND_ROWS = 8 };

/* The softmax of a warp's queries so far: scores in s, a lane a key of the tile; maxima, sums and the weighted sums of
 * values, COLUMNS dimensions a lane: 32 COLUMNS >= d. */
template <int COLUMNS> struct plain_softmax {
    float s[PLAIN_QUERIES], most[PLAIN_QUERIES], sum[PLAIN_QUERIES] = {}, out[PLAIN_QUERIES][COLUMNS] = {};

    /* Scores of the tile's keys, as exponents of 2; -INFINITY behind the last key */
    __device__ void score(const float *q, const float *key, int d, bool there)
    {
#pragma unroll
        for (int r = 0; r < PLAIN_QUERIES; r++)
            s[r] = 0;
        for (int x = 0; x < d; x++) {
            float k = key[x];
#pragma unroll
            for (int r = 0; r < PLAIN_QUERIES; r++)
                s[r] += q[r * d + x] * k;
        }
#pragma unroll
        for (int r = 0; r < PLAIN_QUERIES; r++)
            if (!there)
                s[r] = -INFINITY;
    }

    /* Scores become weights; what was summed before is scaled to the new maximum. */
    __device__ void weigh()
    {
#pragma unroll
        for (int r = 0; r < PLAIN_QUERIES; r++) {
            float top = fmaxf(most[r], warp_max(s[r])), shrink = exp2_fast(most[r] - top);
            most[r] = top;
            s[r] = exp2_fast(s[r] - top);
            sum[r] = sum[r] * shrink + warp_sum(s[r]);
#pragma unroll
            for (int k = 0; k < COLUMNS; k++)
                out[r][k] *= shrink;
        }
    }

    __device__ void add(const float *values, int pitch, int d, int count, int lane)
    {
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

    /* The rows of the softmax, once maxima and sums are those of all keys. to: the first query's, at the lane's key */
    __device__ void put_rows(float *to, int tokens, int queries) const
    {
#pragma unroll
        for (int r = 0; r < PLAIN_QUERIES; r++)
            if (r < queries)
                to[at(r) * at(tokens)] = exp2_fast(s[r] - most[r]) * reciprocal(sum[r]);
    }
};

/* PLAIN_KEYS keys and values from `from` on to shared memory, zeros behind the last one, by a whole block */
template <class T>
__device__ void load_keys(float *keys, float *values, int pitch, const T *ks, const T *vs, size_t stride, int d,
                          int from, int count)
{
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < PLAIN_KEYS * d; i += WARPS * 32) {
        int key = i / d, x = i % d;
        size_t at = static_cast<size_t>(from + key) * stride + static_cast<size_t>(x);
        keys[key * pitch + x] = key < count ? to_float(ks[at]) : 0.0f;
        values[key * pitch + x] = key < count ? to_float(vs[at]) : 0.0f;
    }
    __syncthreads();
}

template <class T, int COLUMNS>
__global__ void __launch_bounds__(WARPS * 32, COLUMNS == 2 ? 5 : 3) plain_kernel(attention_job j, int blocks)
{
    wait_for_inputs();
    MV_SHARED(float, memory);
    int d = j.d, pitch = d | 1; /* odd, so that 32 keys lie in 32 banks */
    float *keys = memory, *values = keys + PLAIN_KEYS * pitch, *queries = values + PLAIN_KEYS * pitch;
    const head h = head_of<false>(j, blocks, WARPS * PLAIN_QUERIES);
    const size_t c = static_cast<size_t>(j.heads) * static_cast<size_t>(d), stride = 3 * c;
    const T *qs = static_cast<const T *>(j.qkv) + h.q, *ks = qs + c, *vs = ks + c;
    T *to = static_cast<T *>(j.out) + h.out;
    float *rows = j.rows ? j.rows + h.rows : nullptr;
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32, block = h.first,
        first = block + warp * PLAIN_QUERIES;
    float scale = LOG2E * rsqrtf(static_cast<float>(d));
    for (int i = static_cast<int>(threadIdx.x); i < WARPS * PLAIN_QUERIES * d; i += WARPS * 32)
        queries[i] =
            block + i / d < j.tokens
                ? to_float(qs[static_cast<size_t>(block + i / d) * stride + static_cast<size_t>(i % d)]) * scale
                : 0.0f;
    const float *q = queries + warp * PLAIN_QUERIES * d;
    plain_softmax<COLUMNS> m;
    for (int r = 0; r < PLAIN_QUERIES; r++)
        m.most[r] = -INFINITY;
    for (int pass = 0; pass < (j.rows ? 2 : 1); pass++)
        for (int from = 0; from < j.tokens; from += PLAIN_KEYS) {
            int count = j.tokens - from < PLAIN_KEYS ? j.tokens - from : PLAIN_KEYS;
            load_keys(keys, values, pitch, ks, vs, stride, d, from, count);
            m.score(q, keys + lane * pitch, d, lane < count);
            if (pass) {
                if (lane < count)
                    m.put_rows(rows + at(first) * at(j.tokens) + at(from + lane), j.tokens, j.tokens - first);
                continue;
            }
            m.weigh();
            m.add(values, pitch, d, count, lane);
        }
    for (int r = 0; r < PLAIN_QUERIES; r++)
#pragma unroll
        for (int k = 0; k < COLUMNS; k++)
            if (first + r < j.tokens && lane + 32 * k < d)
                to[at(first + r) * c + at(lane + 32 * k)] = from_float<T>(m.out[r][k] * reciprocal(m.sum[r]));
}

template <class T> __global__ void attend_kernel(attention_job j, int blocks)
{
    wait_for_inputs();
    const head h = head_of<false>(j, blocks, ATTEND_ROWS);
    int lane = static_cast<int>(threadIdx.x), row = h.first + static_cast<int>(threadIdx.y);
    if (row >= j.tokens)
        return;
    const size_t c = static_cast<size_t>(j.heads) * static_cast<size_t>(j.d), at = static_cast<size_t>(row);
    const float *p = j.rows + h.rows + at * static_cast<size_t>(j.tokens);
    const T *values = static_cast<const T *>(j.qkv) + h.q + 2 * c;
    const unsigned stride = static_cast<unsigned>(3 * j.heads * j.d);
    for (int x = lane; x < j.d; x += 32) {
        unsigned from = static_cast<unsigned>(x);
        float sum = 0;
        for (int key = 0; key < j.tokens; key++, from += stride)
            sum += p[key] * to_float(values[from]);
        static_cast<T *>(j.out)[h.out + at * c + static_cast<size_t>(x)] = from_float<T>(sum);
    }
}

template <class T, int COLUMNS> void launch_plain(const attention_job &j, cudaStream_t stream)
{
    size_t floats = static_cast<size_t>(2 * PLAIN_KEYS * (j.d | 1) + WARPS * PLAIN_QUERIES * j.d);
    int blocks = blocks_of(j, WARPS * PLAIN_QUERIES);
    mv_launch(plain_kernel<T, COLUMNS>, grid_of(j, blocks), dim3(WARPS * 32), floats * sizeof(float), stream, j,
              blocks);
}

}  // namespace

void launch_attention(const attention_job &j, cudaStream_t stream)
{
    if (launch_attention_mma(j, stream))
        return;
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        if (j.d <= 64)
            launch_plain<T, 2>(j, stream);
        else
            launch_plain<T, MOST_HEAD / 32>(j, stream);
    });
}

void launch_attend(const attention_job &j, cudaStream_t stream)
{
    int blocks = blocks_of(j, ATTEND_ROWS);
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        mv_launch(attend_kernel<T>, grid_of(j, blocks), dim3(32, ATTEND_ROWS), 0, stream, j, blocks);
    });
}

}  // namespace mv
