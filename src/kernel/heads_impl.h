/* What attention and its gradient share: products of small blocks, whose sums stay in registers, and the softmax. */
#ifndef MV_HEADS_IMPL_H
#define MV_HEADS_IMPL_H

#include <math.h>

#include "src/kernel/kernel_impl.h"

enum {
    ROWS = MV_ATTENTION_ROWS,
    PIECE = 2 * LANES /* columns of a product that are summed at a time before they are rounded */
};

/* n rounded up to whole vectors. */
INLINE size_t up(int n)
{
    return ((size_t)n + LANES - 1) / LANES * LANES;
}

/* `rows` typed rows of d as fp32 rows of up(d) */
INLINE void rows_in(float *to, const void *from, int stride, int rows, int d, mv_dtype type)
{
    for (int r = 0; r < rows; r++)
        widen_to(to + (size_t)r * up(d), from, (size_t)r * (size_t)stride, d, type);
}

/* The same, transposed */
INLINE void columns_in(float *to, const void *from, int stride, int rows, int d, mv_dtype type)
{
    size_t wide = up(rows);
    for (size_t t = 0; t < (size_t)rows; t++)
        for (size_t c = 0; c < (size_t)d; c++)
            to[c * wide + t] = scalar(from, t * (size_t)stride + c, type);
    for (size_t c = 0; c < (size_t)d; c++)
        for (size_t t = (size_t)rows; t < wide; t++)
            to[c * wide + t] = 0;
}

/* out[r][c] = sum over i < k of a[r][i] b[i][c], for `rows` rows and the columns of one or two vectors. `rows` and
 * `vectors` must be constants: the sums then stay in registers. */
INLINE void product(float *out, size_t out_step, const float *a, size_t a_step, const float *b, size_t b_step, int k,
                    int rows, int vectors)
{
    vf sum[ROWS][2] = {{{0}}};
    for (int i = 0; i < k; i++) {
        vf b0 = v_load(b + (size_t)i * b_step), b1 = vectors == 2 ? v_load(b + (size_t)i * b_step + LANES) : b0;
        for (int r = 0; r < ROWS; r++)
            if (r < rows) {
                float x = a[(size_t)r * a_step + (size_t)i];
                sum[r][0] += x * b0;
                if (vectors == 2)
                    sum[r][1] += x * b1;
            }
    }
    for (int r = 0; r < ROWS; r++)
        if (r < rows) {
            v_store(out + (size_t)r * out_step, sum[r][0]);
            if (vectors == 2)
                v_store(out + (size_t)r * out_step + LANES, sum[r][1]);
        }
}

/* The same for any number of whole vectors of columns. */
INLINE void product_columns(float *out, size_t out_step, const float *a, size_t a_step, const float *b, size_t b_step,
                            int k, int rows, size_t columns)
{
    size_t c = 0;
    for (; c + 2 * LANES <= columns; c += 2 * LANES)
        product(out + c, out_step, a, a_step, b + c, b_step, k, rows, 2);
    if (c < columns)
        product(out + c, out_step, a, a_step, b + c, b_step, k, rows, 1);
}

/* The same for any number of rows up to ROWS: all of them together, or the last few of a head one by one. */
INLINE void product_rows(float *out, size_t out_step, const float *a, size_t a_step, const float *b, size_t b_step,
                         int k, int rows, size_t columns)
{
    if (rows == ROWS)
        product_columns(out, out_step, a, a_step, b, b_step, k, ROWS, columns);
    else
        for (int r = 0; r < rows; r++)
            product_columns(out + (size_t)r * out_step, out_step, a + (size_t)r * a_step, a_step, b, b_step, k, 1,
                            columns);
}

/* In place, the softmax of one row of n scores times `scale`; for bf16 by the shorter of two exponentials, which is
 * within 1e-6 of the other where the weight is not tiny. */
INLINE void softmax(float *s, int n, float scale, mv_dtype type)
{
    vf top = v_all(-INFINITY), sum = {0};
    int at = 0;
    for (; at + LANES <= n; at += LANES)
        top = v_max(top, v_load(s + at));
    float most = v_top(top), rest = 0;
    for (; at < n; at++)
        most = s[at] > most ? s[at] : most;
    if (type == MV_BF16)
        scale *= MV_LOG2E;
    OVER(n, {
        vf x = (GET(s, (size_t)i, MV_F32) - most) * scale, v = type == MV_F32 ? v_exp(x) : v_exp2(x);
        PUT(s, (size_t)i, MV_F32, v);
        if (whole)
            sum += v;
        else
            for (int k = 0; k < count; k++)
                rest += v[k];
    });
    const float share = 1 / (v_sum(sum) + rest);
    OVER(n, { PUT(s, (size_t)i, MV_F32, GET(s, (size_t)i, MV_F32) * share); });
}

/* n < d or all LANES elements of a row of d, from c on */
INLINE void put_columns(void *to, size_t c, int d, mv_dtype type, vf x)
{
    size_t left = (size_t)d > c ? (size_t)d - c : 0;
    if (left >= LANES)
        v_put(to, c, type, x);
    else
        v_put_part(to, c, type, (int)left, x);
}

/* The typed rows out = a b, of d columns; b has rows of up(d). `piece` receives the sums of PIECE columns at a time. */
INLINE void put_product(void *out, int out_stride, int d, mv_dtype type, const float *a, size_t a_step, const float *b,
                        int k, int rows, float *piece)
{
    size_t deep = up(d);
    for (size_t c = 0; c < deep; c += PIECE) {
        size_t columns = deep - c < PIECE ? deep - c : PIECE;
        product_rows(piece, PIECE, a, a_step, b + c, deep, k, rows, columns);
        for (int r = 0; r < rows; r++)
            for (size_t i = 0; i < columns; i += LANES)
                put_columns(row_to(out, (size_t)r, out_stride, type), c + i, d, type,
                            v_load(piece + (size_t)r * PIECE + i));
    }
}

#endif
