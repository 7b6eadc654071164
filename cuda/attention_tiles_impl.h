/* Attention by the tensor cores, up to its products: how queries, keys and values come to shared memory, and from there
 * to the tensor cores.
 *
 * Queries, keys and values lie in shared memory as in qkv, rows of WIDTH values with an odd number of 16 bytes from one
 * to the next, so that no load of matrices meets a bank twice; values are turned by that load. Keys and values come in
 * tiles, of which the next one is on its way.
 *
 * Heads of 49 values (d % 8 != 0) begin anywhere in the 16 bytes of an access, but at the same place in all tokens. So
 * whole accesses are copied, and what belongs to the neighbours is set to zero among queries and keys; among values it
 * gives columns that are not stored. That costs 7 accesses a row, as many as heads padded to 56 in the weights would,
 * without a seventh more products and activations there.
 */
#pragma once

#include "cuda/attention_impl.h"

namespace mv
{

namespace
{

enum { TILE = 64, STEP = 32 }; /* keys on their way at a time; keys of a softmax update */

/* How a row of a head is reached: by whole accesses of 16 bytes, by those with zeros for what is not the head's, or
 * value by value. */
enum reach { WHOLE, SHIFTED, SINGLE };

template <int WIDTH> struct form {
    static constexpr int VECTORS = WIDTH / 8, PITCH = (VECTORS | 1) * 8, TILE_SIZE = TILE * PITCH;
};

/* Shares rows of WIDTH values among the block's threads: calls f(row, column) for every eight. A thread stays in its
 * column. */
template <int WIDTH, class F> __device__ void each_of(int rows, F f)
{
    constexpr unsigned VECTORS = form<WIDTH>::VECTORS;
    unsigned thread = static_cast<unsigned>(thread_again());
    int step = static_cast<int>(static_cast<unsigned>(threads_again()) / VECTORS),
        row = static_cast<int>(thread / VECTORS), column = static_cast<int>(thread % VECTORS) * 8;
    if (row < step) /* else it is one of those that are left over */
#pragma unroll 1
        for (; row < rows; row += step)
            f(row, column);
}

/* The value `x` of a row; 32-bit arithmetic is enough for a window. */
template <class T> __device__ T *of_row(T *p, int row, int stride, int x)
{
    using byte = std::conditional_t<std::is_const_v<T>, const char, char>;
    return reinterpret_cast<T *>(reinterpret_cast<byte *>(p) + static_cast<unsigned>(row * stride + x) * sizeof(T));
}

/* Begins the copy of eight values of a row, zeros if it is not there. */
template <class T, reach REACH> __device__ void fetch(T *to, const T *from, int x, span s, bool there)
{
    if constexpr (REACH != SINGLE)
        copy_async(to, from, there && x < s.to ? 16 : 0);
    else {
        pack<T, 8> p;
#pragma unroll
        for (int k = 0; k < 8; k++)
            p.v[k] = there && x + k < s.to ? from[k] : from_float<T>(0.0f);
        store<T, 8>(to, p);
    }
}

/* Zeros where other heads' values arrived, by the thread that copied them */
template <class T, int WIDTH> __device__ void clear(T *rows, int count, span s)
{
    each_of<WIDTH>(count, [&](int row, int x) {
        if (x >= s.from && x + 8 <= s.to)
            return;
        T *at = rows + row * form<WIDTH>::PITCH + x;
        pack<T, 8> p = load<T, 8>(at);
#pragma unroll
        for (int k = 0; k < 8; k++)
            if (x + k < s.from || x + k >= s.to)
                p.v[k] = from_float<T>(0.0f);
        store<T, 8>(at, p);
    });
}

/* The keys of a head on their way through shared memory, with or without their values. Two tiles take turns in `ring`,
 * each TILE keys and TILE values. The head waits in shared memory, where it takes no registers. */
template <class T, int WIDTH, reach REACH, bool VALUES> struct stream {
    static constexpr int PITCH = form<WIDTH>::PITCH, SIZE = form<WIDTH>::TILE_SIZE;
    const attention_job &j;
    const head *kept;
    T *ring;

    __device__ T *tile(int from) const
    {
        return ring + from / TILE % 2 * 2 * SIZE;
    }
    __device__ void begin(const head h, int from) const
    {
        T *to = tile(from);
        const int c = j.heads * j.d, tokens = j.tokens;
        const T *k = static_cast<const T *>(j.qkv) + h.q + c, *v = k + c;
        each_of<WIDTH>(TILE, [&](int key, int x) {
            bool there = from + key < tokens;
            fetch<T, REACH>(to + key * PITCH + x, of_row(k, from + key, 3 * c, x), x, h.in, there);
            if constexpr (VALUES)
                fetch<T, REACH>(to + SIZE + key * PITCH + x, of_row(v, from + key, 3 * c, x), x, h.in, there);
        });
        copy_commit();
    }
    __device__ void land(const head *h, int from) const
    {
        copy_wait<0>();
        if constexpr (REACH == SHIFTED)
            clear<T, WIDTH>(tile(from), TILE, h->in);
        __syncthreads();
    }
    __device__ void restart() const
    {
        __syncthreads();
        begin(*kept, 0);
        land(kept, 0);
    }
    /* Calls f(first key, its place in the ring, N, masked) for all keys, in order. In the last call only the first
     * tokens - first key of N rows may be keys: then `masked` is true. The first tile has landed. */
    template <class F> __device__ void each(F f) const
    {
        using half_step = std::integral_constant<int, STEP / 2>;
        using whole_step = std::integral_constant<int, STEP>;
        for (int from = 0; from < j.tokens; from += TILE) {
            const int at = from / TILE % 2 * 2 * SIZE;
            int rest = j.tokens - from, here = rest < TILE ? rest : TILE, whole = here / STEP * STEP;
            if (rest > TILE)
                begin(*kept, from + TILE);
#pragma unroll 1
            for (int key = 0; key < whole; key += STEP)
                f(from + key, at + key * PITCH, whole_step{}, std::false_type{});
            if (here - whole > STEP / 2)
                f(from + whole, at + whole * PITCH, whole_step{}, std::true_type{});
            else if (here > whole)
                f(from + whole, at + whole * PITCH, half_step{}, std::true_type{});
            if (rest > TILE)
                land(kept, from + TILE);
        }
    }
};

/* Where a lane's rows of matrices are: of the warp's queries, of the ring's keys for scores and values for sums, and of
 * the last 8 columns of either */
template <class T, int WIDTH> struct lanes {
    static constexpr int PITCH = form<WIDTH>::PITCH;
    place<T> queries, keys, values, narrow;

    __device__ lanes(T *mine, T *ring, int lane)
        : queries(held(place_of(mine + lane % 16 * PITCH + lane / 16 * 8))),
          keys(held(place_of(ring + (lane / 16 * 8 + lane % 8) * PITCH + lane / 8 % 2 * 8))),
          values(held(place_of(ring + (TILE + lane % 16) * PITCH + lane / 16 * 8))),
          narrow(WIDTH % 16 ? held(place_of(ring + lane * PITCH + WIDTH - 8)) : keys)
    {
    }
};

/* A warp's queries as the tensor cores take them: 16 M rows, 16 columns at a time and, if WIDTH is odd eights, 8 more.
 * Two of the widest are held, the others loaded again each time, for want of registers. */
template <int WIDTH, int M> struct queries_of {
    static constexpr int HELD = M == 2 && WIDTH >= 56 ? 2 : WIDTH / 16;
    unsigned wide[HELD][M][4], narrow[M][2];

    template <class T> __device__ explicit queries_of(const lanes<T, WIDTH> &l)
    {
#pragma unroll
        for (int k = 0; k < HELD; k++)
            load(wide[k], l, k);
        if constexpr (WIDTH % 16 != 0) { /* the second eight columns are behind a row's end */
            unsigned twice[M][4];
            load(twice, l, WIDTH / 16);
#pragma unroll
            for (int m = 0; m < M; m++) {
                narrow[m][0] = twice[m][0];
                narrow[m][1] = twice[m][1];
            }
        }
    }
    template <class T> __device__ static void load(unsigned (&to)[M][4], const lanes<T, WIDTH> &l, int k)
    {
#pragma unroll
        for (int m = 0; m < M; m++)
            load_matrices<false>(to[m], l.queries + (m * 16 * form<WIDTH>::PITCH + k * 16));
    }
};

/* s = the products of a warp's queries with N keys, which begin at `at` of the ring. s[m][n]: the fragment of queries
 * 16m.., keys 8n.. */
template <class T, int WIDTH, int M, int N>
__device__ void scores_of(float (&s)[M][N / 8][4], const queries_of<WIDTH, M> &q, const lanes<T, WIDTH> &l, int at)
{
    constexpr int PITCH = form<WIDTH>::PITCH;
    place<T> keys = l.keys + at;
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int n = 0; n < N / 8; n++)
            s[m][n][0] = s[m][n][1] = s[m][n][2] = s[m][n][3] = 0;
#pragma unroll
    for (int k = 0; k < WIDTH / 16; k++) {
        unsigned again[M][4];
        if (k >= q.HELD)
            q.load(again, l, k);
        const auto &a = k < q.HELD ? q.wide[k < q.HELD ? k : 0] : again;
#pragma unroll
        for (int n = 0; n < N / 16; n++) {
            unsigned b[4];
            load_matrices<false>(b, keys + (n * 16 * PITCH + k * 16));
            const unsigned left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma(s[m][2 * n], a[m], left, T{});
                mma(s[m][2 * n + 1], a[m], right, T{});
            }
        }
    }
    if constexpr (WIDTH % 16 != 0) {
        unsigned b[4];
        load_matrices<false>(b, l.narrow + at);
#pragma unroll
        for (int m = 0; m < M; m++)
#pragma unroll
            for (int n = 0; n < N / 8; n++) {
                const unsigned one[1] = {b[n]};
                mma(s[m][n], q.narrow[m], one, T{});
            }
    }
}

/* out += p times the values of N keys, which begin at `at` of the ring; their rows are turned as they are loaded */
template <class T, int WIDTH, int M, int N>
__device__ void add_values(float (&out)[M][WIDTH / 8][4], const float (&p)[M][N / 8][4], const lanes<T, WIDTH> &l,
                           int at)
{
    constexpr int PITCH = form<WIDTH>::PITCH;
    unsigned a[M][N / 16][4];
#pragma unroll
    for (int m = 0; m < M; m++)
#pragma unroll
        for (int k = 0; k < N / 16; k++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                a[m][k][i] = paired<T>(p[m][2 * k + i / 2][i % 2 * 2], p[m][2 * k + i / 2][i % 2 * 2 + 1]);
    place<T> values = l.values + at;
#pragma unroll
    for (int k = 0; k < N / 16; k++)
#pragma unroll
        for (int n = 0; n < WIDTH / 16; n++) {
            unsigned b[4];
            load_matrices<true>(b, values + (k * 16 * PITCH + n * 16));
            const unsigned left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
            for (int m = 0; m < M; m++) {
                mma(out[m][2 * n], a[m][k], left, T{});
                mma(out[m][2 * n + 1], a[m][k], right, T{});
            }
        }
    if constexpr (WIDTH % 16 != 0) {
        unsigned b[4];
        load_matrices<true>(b, l.narrow + (at + form<WIDTH>::TILE_SIZE));
#pragma unroll
        for (int k = 0; k < N / 16; k++) {
            const unsigned last[2] = {b[2 * k], b[2 * k + 1]};
#pragma unroll
            for (int m = 0; m < M; m++)
                mma(out[m][WIDTH / 8 - 1], a[m][k], last, T{});
        }
    }
}

}  // namespace

}  // namespace mv
