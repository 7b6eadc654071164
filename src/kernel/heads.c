/* Attention of one head: softmax(q k^T scale) v. `pack` transposes k and lays the rows of v side by side, both padded
 * to whole vectors by zeros; then ROWS rows of q are worked on together, two vectors of columns at a time.
 */
#include "src/kernel/heads_impl.h"

enum { QUERY = 256 }; /* channels of q that are converted at a time; heads have 40 to 64, so all of them */

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
    columns_in(j->packed, j->k, j->stride, j->tokens, j->d, type);
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
