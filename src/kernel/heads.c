/* Attention of one head: softmax(q k^T scale) v. `pack` transposes k and lays the rows of v side by side, both padded
 * to whole vectors by zeros; then ROWS rows of q are worked on together, two vectors of columns at a time.
 */
#include <math.h>

#include "src/kernel/kernel_impl.h"

enum {
    ROWS = MV_ATTENTION_ROWS,
    QUERY = 256,      /* channels of q that are converted at a time; heads have 40 to 64, so all of them */
    PIECE = 2 * LANES /* channels of the output that are summed at a time */
};

/* n rounded up to whole vectors. */
INLINE size_t up(int n)
{
    return ((size_t)n + LANES - 1) / LANES * LANES;
}

size_t KERNEL(packed)(int tokens, int d)
{
    return (size_t)d * up(tokens) + (size_t)tokens * up(d);
}

size_t KERNEL(scores)(int tokens)
{
    return ROWS * (up(tokens) + PIECE);
}

INLINE void pack_typed(const mv_attention_job *j, mv_dtype type)
{
    size_t wide = up(j->tokens), deep = up(j->d);
    float *kt = j->packed, *v = kt + (size_t)j->d * wide;
    for (size_t t = 0; t < (size_t)j->tokens; t++) {
        size_t at = t * (size_t)j->stride;
        for (size_t c = 0; c < (size_t)j->d; c++)
            kt[c * wide + t] = scalar(j->k, at + c, type);
        widen_to(v + t * deep, j->v, at, j->d, type);
    }
    for (size_t c = 0; c < (size_t)j->d; c++)
        for (size_t t = (size_t)j->tokens; t < wide; t++)
            kt[c * wide + t] = 0;
}

void KERNEL(pack)(const mv_attention_job *j)
{
    TYPED(pack_typed, j->type, j);
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

/* In place, the softmax of one row of n scores times `scale`. */
INLINE void softmax(float *s, int n, float scale)
{
    vf top = v_all(-INFINITY), sum = {0};
    float most = -INFINITY, total;
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        top = v_max(top, v_load(s + i));
    for (int k = 0; k < LANES; k++)
        most = top[k] > most ? top[k] : most;
    for (; i < n; i++)
        most = s[i] > most ? s[i] : most;
    for (i = 0; i + LANES <= n; i += LANES) {
        vf v = v_exp((v_load(s + i) - most) * scale);
        sum += v;
        v_store(s + i, v);
    }
    total = v_sum(sum);
    if (i < n) {
        vf v = v_exp((v_get_part(s, (size_t)i, MV_F32, n - i) - most) * scale);
        v_put_part(s, (size_t)i, MV_F32, n - i, v);
        for (int k = 0; k < n - i; k++)
            total += v[k];
    }
    const float share = 1 / total;
    for (i = 0; i + LANES <= n; i += LANES)
        v_store(s + i, v_load(s + i) * share);
    for (; i < n; i++)
        s[i] *= share;
}

/* out = s v for `rows` rows of scores from row `from` on; `piece` receives the sums of PIECE channels at a time. */
INLINE void gather_values(const mv_attention_job *j, const float *s, size_t s_step, int from, int rows, float *piece)
{
    size_t wide = up(j->tokens), deep = up(j->d);
    const float *v = j->packed + (size_t)j->d * wide;
    for (size_t c = 0; c < deep; c += PIECE) {
        size_t columns = deep - c < PIECE ? deep - c : PIECE;
        product_rows(piece, PIECE, s, s_step, v + c, deep, j->tokens, rows, columns);
        for (int r = 0; r < rows; r++) {
            void *to = row_to(j->out, (size_t)(from + r), j->out_stride, j->type);
            for (size_t k = 0; k < columns; k += LANES) {
                size_t left = (size_t)j->d > c + k ? (size_t)j->d - c - k : 0;
                vf x = v_load(piece + (size_t)r * PIECE + k);
                if (left >= LANES)
                    v_put(to, c + k, j->type, x);
                else
                    v_put_part(to, c + k, j->type, (int)left, x);
            }
        }
    }
}

void KERNEL(attention)(const mv_attention_job *j)
{
    size_t wide = up(j->tokens);
    float *s = j->scores, q[ROWS * QUERY];
    for (int from = j->from; from < j->to; from += ROWS) {
        int rows = j->to - from < ROWS ? j->to - from : ROWS;
        for (int done = 0; done < j->d; done += QUERY) {
            int part = j->d - done < QUERY ? j->d - done : QUERY;
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < part; c++)
                    q[r * QUERY + c] =
                        scalar(j->q, (size_t)(from + r) * (size_t)j->stride + (size_t)(done + c), j->type);
            if (done == 0)
                product_rows(s, wide, q, QUERY, j->packed, wide, part, rows, wide);
            else
                for (int r = 0; r < rows; r++)
                    for (int c = 0; c < part; c++)
                        for (size_t t = 0; t < wide; t++)
                            s[(size_t)r * wide + t] += q[r * QUERY + c] * j->packed[(size_t)(done + c) * wide + t];
        }
        for (int r = 0; r < rows; r++) {
            softmax(s + (size_t)r * wide, j->tokens, j->scale);
            if (j->rows)
                memcpy(j->rows + (size_t)(from + r) * (size_t)j->tokens, s + (size_t)r * wide,
                       (size_t)j->tokens * sizeof *s);
        }
        gather_values(j, s, wide, from, rows, s + ROWS * wide);
    }
}

void KERNEL(attend)(const mv_attention_job *j)
{
    for (int from = j->from; from < j->to; from += ROWS) {
        int rows = j->to - from < ROWS ? j->to - from : ROWS;
        gather_values(j, j->rows + (size_t)from * (size_t)j->tokens, (size_t)j->tokens, from, rows, j->scores);
    }
}
