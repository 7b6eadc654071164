/* Attention of one head: softmax(q k^T scale) v. `pack` transposes k, in bf16 as pairs of channels, and lays the rows
 * of v side by side in fp32, both padded to whole vectors by zeros; then ROWS rows of q are worked on together. Scores,
 * softmax and its product with v are fp32 for both types.
 */
#include "src/kernel/heads_impl.h"
#include "src/kernel/pairs.h"

enum { QUERY = 256 }; /* channels of q that are copied at a time, an even number; heads have 40 to 64, so all of them */

size_t KERNEL(packed)(int tokens, int d)
{
    return (size_t)d * up(tokens) + (size_t)tokens * up(d);
}

size_t KERNEL(scores)(int tokens)
{
    return ROWS * (up(tokens) + PIECE);
}

/* Pairs of channels of k, a row for each pair and a column for each token. */
static void pairs_in(float *kt, const mv_attention_job *j)
{
    const size_t wide = up(j->tokens), tokens = (size_t)j->tokens, d = (size_t)j->d;
    const uint16_t *k = j->k;
    for (size_t t = 0; t < tokens; t++, k += j->stride) {
        size_t c = 0;
        for (; c + 2 <= d; c += 2)
            memcpy(&kt[c / 2 * wide + t], k + c, sizeof *kt);
        if (c < d)
            memcpy(&kt[c / 2 * wide + t], (const uint16_t[]){k[c], 0}, sizeof *kt);
    }
    for (size_t c = 0; c < (d + 1) / 2; c++)
        memset(kt + c * wide + tokens, 0, (wide - tokens) * sizeof *kt);
}

INLINE void pack_typed(const mv_attention_job *j, mv_dtype type)
{
    if (type == MV_F32)
        columns_in(j->packed, j->k, j->stride, j->tokens, j->d, type);
    else
        pairs_in(j->packed, j);
    rows_in(j->packed + (size_t)j->d * up(j->tokens), j->v, j->stride, j->tokens, j->d, type);
}

void KERNEL(pack)(const mv_attention_job *j)
{
    TYPED(pack_typed, j->type, j);
}

/* out = s v for `rows` rows of scores from row `from` on */
INLINE void gather_values(const mv_attention_job *j, const float *s, size_t s_step, int from, int rows, float *piece)
{
    put_product(row_to(j->out, (size_t)from, j->out_stride, j->type), j->out_stride, j->d, j->type, s, s_step,
                j->packed + (size_t)j->d * up(j->tokens), j->tokens, rows, piece);
}

/* s = q k^T for `rows` rows from row `from` on. */
INLINE void score_floats(const mv_attention_job *j, float *s, int from, int rows)
{
    const size_t wide = up(j->tokens);
    float q[ROWS * QUERY];
    for (int done = 0; done < j->d; done += QUERY) {
        int part = j->d - done < QUERY ? j->d - done : QUERY;
        for (int r = 0; r < rows; r++)
            memcpy(q + r * QUERY, (const float *)j->q + (size_t)(from + r) * (size_t)j->stride + done,
                   (size_t)part * sizeof *q);
        if (done == 0)
            product_rows(s, wide, q, QUERY, j->packed, wide, part, rows, wide);
        else
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < part; c++)
                    for (size_t t = 0; t < wide; t++)
                        s[(size_t)r * wide + t] += q[r * QUERY + c] * j->packed[(size_t)(done + c) * wide + t];
    }
}

INLINE void score_pairs(const mv_attention_job *j, float *s, int from, int rows)
{
    const size_t wide = up(j->tokens);
    uint16_t q[ROWS * QUERY];
    for (int done = 0; done < j->d; done += QUERY) {
        int part = j->d - done < QUERY ? j->d - done : QUERY;
        for (int r = 0; r < rows; r++) {
            memcpy(q + r * QUERY, (const uint16_t *)j->q + (size_t)(from + r) * (size_t)j->stride + done,
                   (size_t)part * sizeof *q);
            if (part % 2)
                q[r * QUERY + part] = 0;
        }
        pairs_product(s, wide, q, QUERY, j->packed + (size_t)(done / 2) * wide, wide, (part + 1) / 2, rows,
                      (int)(wide / LANES), done > 0);
    }
}

void KERNEL(attention)(const mv_attention_job *j)
{
    const size_t wide = up(j->tokens);
    float *s = j->scores;
    for (int from = j->from; from < j->to; from += ROWS) {
        int rows = j->to - from < ROWS ? j->to - from : ROWS;
        if (j->type == MV_F32)
            score_floats(j, s, from, rows);
        else
            score_pairs(j, s, from, rows);
        for (int r = 0; r < rows; r++) {
            TYPED(softmax, j->type, s + (size_t)r * wide, j->tokens, j->scale);
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
