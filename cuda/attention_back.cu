/* The gradient of self-attention of a window, for any type and any head, in fp32: rows A are computed again.
 *
 *   op                       launch                                                     bytes moved
 *   attention_back, queries  4 warps by 8 or 4 queries; keys in tiles of 32, twice      qkv, dout, dq, work (+ drows)
 *   attention_back, keys     4 warps by 8 or 4 keys; queries in tiles of 32             qkv, dout, work, dk, dv
 *
 *   dA = do v^T       dZ = A (dA - rowsum(A dA))       dq = dZ k / sqrt d       dk = dZ^T q / sqrt d       dv = A^T do
 *
 * Layouts as in attention_mma.cu. A lane is a row of the tile for the products of rows, and a dimension for the sums.
 * The first kernel leaves three values of each query in `work`, which the second one needs: the largest score, 1 / the
 * row's sum, and rowsum(A dA), in fp32 because it cancels where a row has one large value. Sums go over the tiles in
 * their order.
 */
#include "cuda/attention_impl.h"

namespace mv
{

namespace
{

enum { TILE = 32, WARPS = 4, THREADS = WARPS * 32, KEPT = 3 };

/* Rows [first, first + TILE) of a matrix of d columns, those behind the last one zero, times `scale`, as fp32 */
template <class T>
__device__ void take_rows(float *to, int pitch, int count, const T *from, size_t stride, int rows, int first, int d,
                          float scale, bool wide)
{
    constexpr int N = static_cast<int>(16 / sizeof(T));
    if (wide) {
        const int packs = d / N;
        for (int i = static_cast<int>(threadIdx.x); i < count * packs; i += THREADS) {
            const int row = i / packs, x = i % packs * N;
            pack<T, N> p = {};
            if (first + row < rows)
                p = load<T, N>(from + static_cast<size_t>(first + row) * stride + x);
#pragma unroll
            for (int k = 0; k < N; k++)
                to[row * pitch + x + k] = to_float(p.v[k]) * scale;
        }
    } else
        for (int i = static_cast<int>(threadIdx.x); i < count * d; i += THREADS) {
            const int row = i / d, x = i % d;
            to[row * pitch + x] =
                first + row < rows
                    ? to_float(from[static_cast<size_t>(first + row) * stride + static_cast<size_t>(x)]) * scale
                    : 0.0f;
        }
}

/* For a warp's ROWS own rows and the lane's row of the tile: s = products of the first matrices, g = of the second */
template <int ROWS>
__device__ void both_products(float (&s)[ROWS], float (&g)[ROWS], const float *own_1, const float *own_2,
                              const float *row_1, const float *row_2, int d, int own_pitch)
{
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        s[r] = g[r] = 0;
    for (int x = 0; x < d; x += 4) { /* own rows are padded with zeros, and so are those of the tile */
        float one[4], two[4];
#pragma unroll
        for (int k = 0; k < 4; k++)
            one[k] = row_1[x + k], two[k] = row_2[x + k];
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            pack<float, 4> p = load<float, 4>(own_1 + r * own_pitch + x), q = load<float, 4>(own_2 + r * own_pitch + x);
#pragma unroll
            for (int k = 0; k < 4; k++) {
                s[r] += p.v[k] * one[k];
                g[r] += q.v[k] * two[k];
            }
        }
    }
}

/* out[r][k] += p[r] of lane i times dimension lane + 32 k of row i of the tile; `shared`: TILE x ROWS of the warp */
template <int ROWS, int COLUMNS>
__device__ void add_rows(float (&out)[ROWS][COLUMNS], const float (&p)[ROWS], float *shared, const float *tile,
                         int pitch, int count, int d, int lane)
{
    __syncwarp();
#pragma unroll
    for (int r = 0; r < ROWS; r += 4)
        store<float, 4>(shared + lane * ROWS + r, {{p[r], p[r + 1], p[r + 2], p[r + 3]}});
    __syncwarp();
    for (int i = 0; i < count; i++) {
        float v[COLUMNS];
#pragma unroll
        for (int k = 0; k < COLUMNS; k++)
            v[k] = lane + 32 * k < d ? tile[i * pitch + lane + 32 * k] : 0.0f;
#pragma unroll
        for (int r = 0; r < ROWS; r += 4) {
            pack<float, 4> by = load<float, 4>(shared + i * ROWS + r);
#pragma unroll
            for (int n = 0; n < 4; n++)
#pragma unroll
                for (int k = 0; k < COLUMNS; k++)
                    out[r + n][k] += by.v[n] * v[k];
        }
    }
}

/* The warp's rows from `first` on, times `scale`; to: column 0 of the head in row 0 */
template <class T, int ROWS, int COLUMNS>
__device__ void put_rows(T *to, size_t stride, const float (&v)[ROWS][COLUMNS], int first, int rows, int d, float scale,
                         int lane)
{
#pragma unroll
    for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int k = 0; k < COLUMNS; k++)
            if (first + r < rows && lane + 32 * k < d)
                to[static_cast<size_t>(first + r) * stride + static_cast<size_t>(lane + 32 * k)] =
                    from_float<T>(v[r][k] * scale);
}

/* Where a block's matrices are in shared memory: OWN rows of a pitch that is a multiple of 4, then TILE rows of a pitch
 * that is odd, so that 32 rows lie in 32 banks, the dimensions behind d being zero; before all of them what a warp's
 * lanes tell each other. */
template <int OWN> struct room {
    int own_pitch, pitch, floats;

    __host__ __device__ explicit room(int d)
        : own_pitch((d + 3) / 4 * 4), pitch(own_pitch + 1), floats((2 * own_pitch + TILE) * OWN + 2 * TILE * pitch)
    {
    }
};

/* What the two kernels begin with */
template <int OWN> struct place_of_head {
    float *own_1, *own_2, *tile_1, *tile_2, *told;
    int pitch, own_pitch, d, tokens, first, lane, warp;
    size_t c, qkv, out, rows, kept; /* the head's first elements */

    __device__ place_of_head(const attention_back_job &j, int blocks, float *memory)
    {
        const room<OWN> at(j.d);
        attention_job shape = {};
        shape.tokens = j.tokens;
        shape.heads = j.heads;
        shape.d = j.d;
        const head h = head_of<false>(shape, blocks, OWN);
        warp = static_cast<int>(threadIdx.x) / 32;
        told = memory + warp * (TILE * OWN / WARPS); /* first, as it is read 16 bytes at a time */
        own_1 = memory + TILE * OWN;
        own_2 = own_1 + OWN * at.own_pitch;
        tile_1 = own_2 + OWN * at.own_pitch;
        tile_2 = tile_1 + TILE * at.pitch;
        pitch = at.pitch;
        own_pitch = at.own_pitch;
        d = j.d;
        tokens = j.tokens;
        first = h.first;
        lane = static_cast<int>(threadIdx.x) % 32;
        c = static_cast<size_t>(j.heads) * static_cast<size_t>(d);
        qkv = h.q;
        out = h.out;
        rows = h.rows;
        kept = rows / static_cast<size_t>(tokens) * KEPT;
        for (int i = static_cast<int>(threadIdx.x); i < at.floats; i += THREADS)
            memory[i] = 0; /* the dimensions behind d stay so */
        __syncthreads();
    }
};

/* ROWS: queries of a warp; COLUMNS: dimensions of a lane */
template <class T, int ROWS, int COLUMNS>
__global__ void __launch_bounds__(THREADS, 2) queries_kernel(attention_back_job j, int blocks, bool wide)
{
    wait_for_inputs();
    MV_SHARED(float, memory);
    constexpr int OWN = WARPS * ROWS;
    const place_of_head<OWN> h(j, blocks, memory);
    const size_t stride = 3 * h.c;
    const T *qs = static_cast<const T *>(j.qkv) + h.qkv, *ks = qs + h.c, *vs = ks + h.c,
            *dos = static_cast<const T *>(j.dout) + h.out;
    const int d = h.d, first = h.first + h.warp * ROWS;
    const float root = rsqrtf(static_cast<float>(d));
    take_rows(h.own_1, h.own_pitch, OWN, qs, stride, h.tokens, h.first, d, LOG2E * root, wide);
    take_rows(h.own_2, h.own_pitch, OWN, dos, h.c, h.tokens, h.first, d, 1.0f, wide);
    const float *own_1 = h.own_1 + h.warp * ROWS * h.own_pitch, *own_2 = h.own_2 + h.warp * ROWS * h.own_pitch;
    float most[ROWS], sum[ROWS] = {}, turn[ROWS] = {}, dq[ROWS][COLUMNS] = {}, s[ROWS], g[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        most[r] = -INFINITY;
    for (int pass = 0; pass < (j.held ? 1 : 2); pass++)
        for (int from = 0; from < h.tokens; from += TILE) {
            const int count = h.tokens - from < TILE ? h.tokens - from : TILE;
            __syncthreads();
            take_rows(h.tile_1, h.pitch, TILE, ks, stride, h.tokens, from, d, 1.0f, wide);
            take_rows(h.tile_2, h.pitch, TILE, vs, stride, h.tokens, from, d, 1.0f, wide);
            __syncthreads();
            both_products(s, g, own_1, own_2, h.tile_1 + h.lane * h.pitch, h.tile_2 + h.lane * h.pitch, d, h.own_pitch);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                if (pass) { /* dZ */
                    s[r] = h.lane < count ? exp2_fast(s[r] - most[r]) * sum[r] * (g[r] - turn[r]) : 0.0f;
                    continue;
                }
                if (j.drows && first + r < h.tokens && h.lane < count)
                    j.drows[h.rows + static_cast<size_t>(first + r) * static_cast<size_t>(h.tokens) +
                            static_cast<size_t>(from + h.lane)] = g[r];
                if (h.lane >= count)
                    s[r] = -INFINITY;
                float top = fmaxf(most[r], warp_max(s[r])), shrink = exp2_fast(most[r] - top);
                most[r] = top;
                s[r] = exp2_fast(s[r] - top);
                sum[r] = sum[r] * shrink + warp_sum(s[r]);
                turn[r] = turn[r] * shrink + warp_sum(h.lane < count ? s[r] * g[r] : 0.0f);
            }
            if (pass)
                add_rows(dq, s, h.told, h.tile_1, h.pitch, count, d, h.lane);
            else if (from + TILE >= h.tokens)
#pragma unroll
                for (int r = 0; r < ROWS; r++) {
                    sum[r] = 1.0f / sum[r];
                    turn[r] *= sum[r];
                    if (h.lane == 0 && first + r < h.tokens) {
                        float *to = j.work + h.kept + static_cast<size_t>(first + r) * KEPT;
                        to[0] = most[r];
                        to[1] = sum[r];
                        to[2] = turn[r];
                    }
                }
        }
    put_rows(static_cast<T *>(j.dqkv) + h.qkv, stride, dq, first, h.tokens, d, root, h.lane);
}

/* The same with keys for queries */
template <class T, int ROWS, int COLUMNS>
__global__ void __launch_bounds__(THREADS, COLUMNS == 2 ? 3 : 2)
    keys_kernel(attention_back_job j, int blocks, bool wide)
{
    wait_for_inputs();
    MV_SHARED(float, memory);
    constexpr int OWN = WARPS * ROWS;
    const place_of_head<OWN> h(j, blocks, memory);
    const size_t stride = 3 * h.c;
    const T *qs = static_cast<const T *>(j.qkv) + h.qkv, *ks = qs + h.c, *vs = ks + h.c,
            *dos = static_cast<const T *>(j.dout) + h.out;
    const int d = h.d, first = h.first + h.warp * ROWS;
    const float root = rsqrtf(static_cast<float>(d));
    take_rows(h.own_1, h.own_pitch, OWN, ks, stride, h.tokens, h.first, d, LOG2E * root, wide);
    take_rows(h.own_2, h.own_pitch, OWN, vs, stride, h.tokens, h.first, d, 1.0f, wide);
    const float *own_1 = h.own_1 + h.warp * ROWS * h.own_pitch, *own_2 = h.own_2 + h.warp * ROWS * h.own_pitch;
    float dk[ROWS][COLUMNS] = {}, dv[ROWS][COLUMNS] = {}, s[ROWS], g[ROWS];
    for (int from = 0; from < h.tokens; from += TILE) {
        const int count = h.tokens - from < TILE ? h.tokens - from : TILE;
        __syncthreads();
        take_rows(h.tile_1, h.pitch, TILE, qs, stride, h.tokens, from, d, 1.0f, wide);
        take_rows(h.tile_2, h.pitch, TILE, dos, h.c, h.tokens, from, d, 1.0f, wide);
        const bool there = h.lane < count;
        const float *kept = j.work + h.kept + static_cast<size_t>(from + (there ? h.lane : 0)) * KEPT;
        const float most = kept[0], share = kept[1], turn = kept[2];
        __syncthreads();
        both_products(s, g, own_1, own_2, h.tile_1 + h.lane * h.pitch, h.tile_2 + h.lane * h.pitch, d, h.own_pitch);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            s[r] = there ? exp2_fast(s[r] - most) * share : 0.0f;
            g[r] = there ? s[r] * (g[r] - turn) : 0.0f;
        }
        add_rows(dv, s, h.told, h.tile_2, h.pitch, count, d, h.lane);
        if (!j.held)
            add_rows(dk, g, h.told, h.tile_1, h.pitch, count, d, h.lane);
    }
    T *to = static_cast<T *>(j.dqkv) + h.qkv + h.c;
    put_rows(to, stride, dk, first, h.tokens, d, root, h.lane);
    put_rows(to + h.c, stride, dv, first, h.tokens, d, 1.0f, h.lane);
}

}  // namespace

void launch_attention_back(const attention_back_job &j, cudaStream_t stream)
{
    of_type(j.type, [&](auto t) {
        using T = decltype(t);
        const bool wide = lanes_of<T>(j.d, {j.qkv, j.dout}) == static_cast<int>(16 / sizeof(T));
        auto go = [&](auto kernel, auto own) {
            constexpr int OWN = decltype(own)::value;
            const int blocks = blocks_for(static_cast<size_t>(j.tokens), OWN);
            const size_t heads = static_cast<size_t>(j.windows) * static_cast<size_t>(j.heads);
            mv_launch(kernel, dim3(static_cast<unsigned>(heads * static_cast<size_t>(blocks))), dim3(THREADS),
                      static_cast<size_t>(room<OWN>(j.d).floats) * sizeof(float), stream, j, blocks, wide);
        };
        using few = std::integral_constant<int, WARPS * 4>;
        using many = std::integral_constant<int, WARPS * 8>;
        if (j.d <= 64) {
            go(queries_kernel<T, 8, 2>, many{});
            go(keys_kernel<T, 8, 2>, many{});
        } else {
            go(queries_kernel<T, 4, MOST_HEAD / 32>, few{});
            go(keys_kernel<T, 4, MOST_HEAD / 32>, few{});
        }
    });
}

}  // namespace mv
