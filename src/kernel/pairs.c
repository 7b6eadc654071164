/* The tiles of products of pairs: a function for each number of rows and vectors, so that the sums stay in registers.
 */
#include "src/kernel/pairs.h"

/* A loop over a constant number of registers. */
#define EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < (n); i++)

INLINE void tile_of(float *out, size_t out_step, const uint16_t *a, size_t a_step, const float *b, size_t b_step,
                    int pairs, bool onto, int rows, int vectors)
{
    vf sum[PAIR_ROWS][PAIR_VECTORS];
    EACH(r, rows)
    EACH(v, vectors)
    sum[r][v] = v_all(0);
    for (int i = 0; i < pairs; i++, a += 2, b += b_step) {
        vi column[PAIR_VECTORS];
        EACH(v, vectors)
        column[v] = (vi)v_load(b + v * LANES);
        EACH(r, rows)
        {
            int32_t pair;
            memcpy(&pair, a + (size_t)r * a_step, sizeof pair);
            EACH(v, vectors)
            sum[r][v] = v_dot(sum[r][v], pair - (vi){0}, column[v]);
        }
    }
    EACH(r, rows)
    EACH(v, vectors)
    {
        float *to = out + (size_t)r * out_step + v * LANES;
        v_store(to, onto ? v_load(to) + sum[r][v] : sum[r][v]);
    }
}

/* tile_6x4 and the others */
#define SIZES(X) ROW(X, 1) ROW(X, 2) ROW(X, 3) ROW(X, 4) ROW(X, 5) ROW(X, 6)
#if defined(__AVX512F__)
#define ROW(X, r) X(r, 1) X(r, 2) X(r, 3) X(r, 4)
#else
#define ROW(X, r) X(r, 1) X(r, 2)
#endif
#define TILE(r, v)                                                                                                     \
    static void tile_##r##x##v(float *out, size_t out_step, const uint16_t *a, size_t a_step, const float *b,          \
                               size_t b_step, int pairs, bool onto)                                                    \
    {                                                                                                                  \
        tile_of(out, out_step, a, a_step, b, b_step, pairs, onto, r, v);                                               \
    }
SIZES(TILE)
#undef TILE
#define TILE(r, v) [r - 1][v - 1] = tile_##r##x##v,

static void (*const tiles[PAIR_ROWS][PAIR_VECTORS])(float *, size_t, const uint16_t *, size_t, const float *, size_t,
                                                    int, bool) = {SIZES(TILE)};

void KERNEL(tile)(float *out, size_t out_step, const uint16_t *a, size_t a_step, const float *b, size_t b_step,
                  int pairs, int rows, int vectors, bool onto)
{
    tiles[rows - 1][vectors - 1](out, out_step, a, a_step, b, b_step, pairs, onto);
}
