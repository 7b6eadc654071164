/* Self-attention of a window by the tensor cores: out = softmax(q k^T / sqrt d) v in 16 bits; the rows of the softmax
 * are stored only if they are watched.
 *
 *   op                   launch                                                               bytes moved
 *   attention, 16 bits   a warp 32 queries (16 where there are few), a block up to 4 warps;   q + out + (k + v) blocks
 *                        keys in tiles of 64, of which the next one is on its way             of a head (+ rows)
 *
 * Layouts: qkv (N T 3C) packed (3, heads, d), out (N T C), rows (N heads T T, fp32). Statistics, products' sums and the
 * softmax are fp32. Maximum and sum are updated 32 keys at a time (Milakov & Gimelshein 2018), so a window of any size
 * needs no memory for its scores; rows are computed in a second pass over the keys, when maximum and sum are known.
 */
#include "cuda/attention_tiles_impl.h"

namespace mv
{

namespace
{

/* A warp takes 32 queries where that makes at least so many warps: 2 for each scheduler of the largest cards. Tests use
 * a smaller number, to reach both kernels with little work; test_cost, which predicts times, uses that of the cards. */
inline size_t many()
{
#ifdef __CUDACC__
    return 1024;
#elif defined(SIMT_COUNT)
    return simt::samples() ? 1024 : 16;
#else
    return 16;
#endif
}

/* Keys from `count` on get no weight. */
template <int M, int N> __device__ void mask(float (&s)[M][N][4], int count, int lane)
{
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (n * 8 + lane % 4 * 2 + i % 2 >= count)
                    s[m][n][i] = -INFINITY;
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

/* The softmax of a warp's queries so far: of rows g + 8r of 16m.., the greatest score, the lane's part of the sum of
 * 2^(scale (score - greatest)), and the sum of values with these weights. */
template <int WIDTH, int M> struct softmax {
    float most[M][2], sum[M][2], out[M][WIDTH / 8][4];

    __device__ softmax() : sum{}, out{}
    {
#pragma unroll
        for (int m = 0; m < M; m++)
            most[m][0] = most[m][1] = -INFINITY;
    }

    /* Scores become weights. */
    template <int N> __device__ void add(float (&s)[M][N][4], float scale)
    {
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float top = most[m][r];
#pragma unroll
                for (int n = 0; n < N; n++)
                    top = fmaxf(top, fmaxf(s[m][n][2 * r], s[m][n][2 * r + 1]));
                top = quad_max(top);
                float shrink = exp2_fast((most[m][r] - top) * scale), base = -top * scale;
                most[m][r] = top;
                sum[m][r] *= shrink;
#pragma unroll
                for (int n = 0; n < N; n++)
#pragma unroll
                    for (int i = 2 * r; i < 2 * r + 2; i++)
                        sum[m][r] += s[m][n][i] = exp2_fast(fmaf(s[m][n][i], scale, base));
#pragma unroll
                for (int n = 0; n < WIDTH / 8; n++) {
                    out[m][n][2 * r] *= shrink;
                    out[m][n][2 * r + 1] *= shrink;
                }
            }
    }

    /* Scores become rows of the softmax, once it is finished. */
    template <int N> __device__ void apply(float (&s)[M][N][4], float scale) const
    {
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int n = 0; n < N; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    s[m][n][i] = exp2_fast(fmaf(s[m][n][i], scale, most[m][i / 2])) * sum[m][i / 2];
    }

    /* Turns sums into factors, and scores' maxima into what is added to scale * score. */
    __device__ void finish(float scale)
    {
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
                sum[m][r] = reciprocal(quad_sum(sum[m][r]));
                most[m][r] *= -scale;
            }
    }
};

/* Eight of a row's values to where the head's are */
template <class T, reach REACH> __device__ void put(T *to, const T *from, int x, span s)
{
    pack<T, 8> p = load<T, 8>(from);
    if (REACH == WHOLE ? x < s.to : REACH == SHIFTED && x >= s.from && x + 8 <= s.to)
        store<T, 8>(to, p);
    else if (REACH != WHOLE)
#pragma unroll
        for (int k = 0; k < 8; k++)
            if (x + k >= s.from && x + k < s.to)
                to[k] = p.v[k];
}

/* Stores a warp's sums by way of shared memory, which is no longer read, so that each store is 16 bytes wide */
template <class T, int WIDTH, reach REACH, int M>
__device__ void put_out(const attention_job &j, const head h, const softmax<WIDTH, M> &x, T *room)
{
    constexpr int PITCH = form<WIDTH>::PITCH, VECTORS = form<WIDTH>::VECTORS;
    const int thread = thread_again(), lane = thread % 32, mine = thread / 32 * 16 * M, first = h.first + mine;
    T *rows = room + mine * PITCH, *out = static_cast<T *>(j.out) + h.out;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n++)
#pragma unroll
            for (int r = 0; r < 2; r++)
                store<T, 2>(rows + (m * 16 + lane / 4 + 8 * r) * PITCH + n * 8 + lane % 4 * 2,
                            {{from_float<T>(x.out[m][n][2 * r] * x.sum[m][r]),
                              from_float<T>(x.out[m][n][2 * r + 1] * x.sum[m][r])}});
    __syncwarp();
#pragma unroll 1
    for (int i = lane; i < 16 * M * VECTORS; i += 32) {
        int row = i / VECTORS, column = i % VECTORS * 8;
        if (first + row < j.tokens)
            put<T, REACH>(of_row(out, first + row, j.heads * j.d, column), rows + row * PITCH + column, column, h.in);
    }
}

/* The weights of N keys for a warp's queries, of which `queries` are there, and if MASKED only `keys` keys. PAIRS: rows
 * are aligned to 8 bytes. */
template <bool PAIRS, bool MASKED, int M, int N>
__device__ void put_rows(float *to, int tokens, const float (&p)[M][N][4], int queries, int keys)
{
    int lane = thread_again() % 32, row = lane / 4, column = lane % 4 * 2;
    to += static_cast<size_t>(row) * static_cast<size_t>(tokens) + static_cast<size_t>(column);
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int r = 0; r < 2; r++, to += 8 * static_cast<size_t>(tokens)) {
            if (m * 16 + r * 8 + row >= queries)
                continue;
#pragma unroll
            for (int n = 0; n < N; n++) {
                pack<float, 2> pair = {{p[m][n][2 * r], p[m][n][2 * r + 1]}};
                if (PAIRS && (!MASKED || n * 8 + column < keys))
                    store<float, 2>(to + n * 8, pair);
#pragma unroll
                for (int i = 0; i < 2 && !PAIRS; i++)
                    if (!MASKED || n * 8 + column + i < keys)
                        to[n * 8 + i] = pair.v[i];
            }
        }
}

/* The most threads of a block, and blocks that should be resident */
template <int WIDTH, int M> struct launch_of {
    static constexpr int WARPS = 4, BLOCKS = M == 1 ? 4 : 3;
};

template <class T, int WIDTH, reach REACH, int M>
__global__ void __launch_bounds__(launch_of<WIDTH, M>::WARPS * 32, launch_of<WIDTH, M>::BLOCKS)
    tensor_kernel(attention_job j, int blocks, float scale)
{
    constexpr int PITCH = form<WIDTH>::PITCH, QUERIES = 16 * M;
    MV_SHARED(head, kept); /* then QUERIES of each warp, then the ring: keys, values (twice) */
    T *queries = reinterpret_cast<T *>(kept + 1);
    int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32,
        count = static_cast<int>(blockDim.x) / 32 * QUERIES;
    T *ring = queries + count * PITCH;
    const head h = head_of<REACH == SHIFTED>(j, blocks, count);
    if (threadIdx.x == 0)
        *kept = h;
    wait_for_inputs();
    const T *q_rows = static_cast<const T *>(j.qkv) + h.q;
    each_of<WIDTH>(count, [&](int row, int x) {
        fetch<T, REACH>(queries + row * PITCH + x, of_row(q_rows, h.first + row, 3 * j.heads * j.d, x), x, h.in,
                        h.first + row < j.tokens);
    });
    const stream<T, WIDTH, REACH, true> both{j, kept, ring};
    const stream<T, WIDTH, REACH, false> again{j, kept, ring};
    bool twice = j.rows && j.tokens > TILE; /* else the keys are still there when the rows are stored */
    both.begin(h, 0);
    if constexpr (REACH == SHIFTED) {
        copy_wait<0>();
        clear<T, WIDTH>(queries, count, h.in);
    }
    both.land(&h, 0);
    if (__all_sync(~0u, h.first + warp * QUERIES >= j.tokens)) { /* without queries it only takes part in the copies */
        both.each([](auto...) {});
        __syncthreads();
        if (twice)
            again.restart(), again.each([](auto...) {});
        return;
    }
    const lanes<T, WIDTH> l(queries + warp * QUERIES * PITCH, ring, lane);
    const queries_of<WIDTH, M> q(l);
    softmax<WIDTH, M> x;
    both.each([&](int from, int at, auto n, auto masked) {
        constexpr int N = decltype(n)::value;
        float p[M][N / 8][4];
        scores_of<T, WIDTH, M, N>(p, q, l, at);
        if constexpr (decltype(masked)::value)
            mask(p, j.tokens - from, thread_again() % 32);
        x.add(p, scale);
        add_values<T, WIDTH, M, N>(x.out, p, l, at);
    });
    x.finish(scale);
    __syncthreads();
    put_out<T, WIDTH, REACH, M>(j, *kept, x, ring + form<WIDTH>::TILE_SIZE);
    if (!j.rows)
        return;

    if (twice)
        again.restart();
    bool pairs = j.tokens % 2 == 0 && reinterpret_cast<uintptr_t>(j.rows) % 8 == 0;
    again.each([&](int from, int at, auto n, auto masked) {
        constexpr int N = decltype(n)::value;
        constexpr bool MASKED = decltype(masked)::value;
        float p[M][N / 8][4];
        scores_of<T, WIDTH, M, N>(p, q, l, at);
        x.apply(p, scale);
        int query = kept->first + thread_again() / 32 * QUERIES;
        float *to = j.rows + kept->rows + static_cast<size_t>(query) * static_cast<size_t>(j.tokens) +
                    static_cast<size_t>(from);
        if (pairs)
            put_rows<true, MASKED>(to, j.tokens, p, j.tokens - query, j.tokens - from);
        else
            put_rows<false, MASKED>(to, j.tokens, p, j.tokens - query, j.tokens - from);
    });
}

template <class T, int WIDTH, reach REACH, int M> void launch_as(const attention_job &j, cudaStream_t stream)
{
    const int most = launch_of<WIDTH, M>::WARPS, all = blocks_of(j, 16 * M), blocks = all > most ? (all + 3) / 4 : 1,
              warps = all > most ? 4 : all, rings = j.tokens > TILE ? 2 : 1;
    size_t rows = static_cast<size_t>(warps * 16 * M + rings * 2 * TILE);
    mv_launch(tensor_kernel<T, WIDTH, REACH, M>, grid_of(j, blocks), dim3(static_cast<unsigned>(warps) * 32),
              sizeof(head) + rows * form<WIDTH>::PITCH * sizeof(T), stream, j, blocks,
              LOG2E / std::sqrt(static_cast<float>(j.d)));
}

/* Few queries: the time of a block counts, and shorter ones are more. */
template <class T, int WIDTH, reach REACH> void launch_tensor(const attention_job &j, cudaStream_t stream)
{
    if (REACH == SINGLE ||
        static_cast<size_t>(j.windows) * static_cast<size_t>(j.heads) * static_cast<size_t>(blocks_of(j, 32)) < many())
        launch_as<T, WIDTH, REACH, 1>(j, stream);
    else
        launch_as<T, WIDTH, REACH, REACH == SINGLE ? 1 : 2>(j, stream);
}

/* The columns that a head may need in rows of whole accesses */
int width_of(const attention_job &j)
{
    int most = 0;
    for (int h = 0; h < j.heads && h < 8; h++)
        most = std::max(most, (h * j.d % 8 + j.d + 7) / 8 * 8);
    return most;
}

bool is_aligned(const attention_job &j)
{
    return j.heads * j.d % 8 == 0 && reinterpret_cast<uintptr_t>(j.qkv) % 16 == 0 &&
           reinterpret_cast<uintptr_t>(j.out) % 16 == 0;
}

}  // namespace

bool launch_attention_mma(const attention_job &j, cudaStream_t stream)
{
    if (j.type == MV_F32 || j.d > 64 ||
        static_cast<size_t>(j.tokens) * 3 * static_cast<size_t>(j.heads * j.d) > static_cast<size_t>(INT32_MAX))
        return false;
    const int width = width_of(j);
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        if constexpr (sizeof(T) == 2) {
            if (!is_aligned(j) || width > 64 || (width > 56 && j.d % 8))
                launch_tensor<T, 64, SINGLE>(j, stream);
            else if (j.d % 8 || width == 56)
                launch_tensor<T, 56, SHIFTED>(j, stream);
            else if (width <= 32)
                launch_tensor<T, 32, WHOLE>(j, stream);
            else if (width == 40)
                launch_tensor<T, 40, WHOLE>(j, stream);
            else if (width == 48)
                launch_tensor<T, 48, WHOLE>(j, stream);
            else
                launch_tensor<T, 64, WHOLE>(j, stream);
        }
    });
    return true;
}

}  // namespace mv
