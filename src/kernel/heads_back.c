/* The gradient of attention, one head: A = softmax(q k^T s), dv = A^T do, dA = do v^T, dZ = A (dA - rowsum(A dA)),
 * dq = dZ k s, dk = dZ^T q s. STRIP rows of queries are worked on together: their rows of A and dZ are made as the
 * forward pass makes rows, and their parts of dv and dk are added to sums of all keys, in the order of the queries.
 */
#include "src/kernel/heads_impl.h"

enum { STRIP = 2 * ROWS };

/* The parts of the scratch: keys and values in columns (d T), keys (T d), sums (T d); rows of a strip: of q and do (d),
 * of A and dA (T); the sums of PIECE columns of ROWS rows. Rows are padded to whole vectors. */
typedef struct {
    float *kt, *vt, *k, *dv, *dk, *q, *dout, *a, *da, *piece;
    size_t wide, deep;
} parts;

size_t KERNEL(attention_back_scratch)(int tokens, int d)
{
    size_t wide = up(tokens), deep = up(d);
    return 2 * (size_t)d * wide + 3 * (size_t)tokens * deep + 2 * STRIP * (wide + deep) + ROWS * PIECE;
}

static parts parts_of(const mv_attention_back_job *j)
{
    parts p = {.wide = up(j->tokens), .deep = up(j->d)};
    size_t columns = (size_t)j->d * p.wide, keys = (size_t)j->tokens * p.deep;
    p.kt = j->scratch;
    p.vt = p.kt + columns;
    p.k = p.vt + columns;
    p.dv = p.k + keys;
    p.dk = p.dv + keys;
    p.q = p.dk + keys;
    p.dout = p.q + STRIP * p.deep;
    p.a = p.dout + STRIP * p.deep;
    p.da = p.a + STRIP * p.wide;
    p.piece = p.da + STRIP * p.wide;
    return p;
}

/* `rows` rows of a b, ROWS of them together where there are so many */
INLINE void strip_product(float *out, size_t wide, const float *a, size_t deep, const float *b, int d, int rows)
{
    for (int r = 0; r < rows; r += ROWS)
        product_rows(out + (size_t)r * wide, wide, a + (size_t)r * deep, deep, b, wide, d,
                     rows - r < ROWS ? rows - r : ROWS, wide);
}

/* sum[t][c] += sum over r < rows of a[r][t] b[r][c]; `rows` is a constant. */
INLINE void add_strip(float *sum, const float *a, size_t wide, const float *b, size_t deep, int tokens, int rows)
{
    for (size_t t = 0; t < (size_t)tokens; t++) {
        float *to = sum + t * deep;
        vf x[STRIP];
        for (int r = 0; r < rows; r++)
            x[r] = v_all(a[(size_t)r * wide + t]);
        for (size_t c = 0; c < deep; c += LANES) {
            vf v = v_load(to + c);
            for (int r = 0; r < rows; r++)
                v += x[r] * v_load(b + (size_t)r * deep + c);
            v_store(to + c, v);
        }
    }
}

INLINE void add_rows(float *sum, const float *a, size_t wide, const float *b, size_t deep, int tokens, int rows)
{
    if (rows == STRIP)
        add_strip(sum, a, wide, b, deep, tokens, STRIP);
    else
        for (int r = 0; r < rows; r++)
            add_strip(sum, a + (size_t)r * wide, wide, b + (size_t)r * deep, deep, tokens, 1);
}

/* da = a (da - sum of a da) scale: one row of dZ in place of dA */
INLINE void softmax_back(float *da, const float *a, int n, float scale)
{
    vf sum = {0};
    OVER(n, { sum += GET(a, (size_t)i, MV_F32) * GET(da, (size_t)i, MV_F32); });
    const float most = v_sum(sum);
    OVER(n, { PUT(da, (size_t)i, MV_F32, GET(a, (size_t)i, MV_F32) * (GET(da, (size_t)i, MV_F32) - most) * scale); });
}

/* Rows [from, from + rows) of queries */
INLINE void strip_back(const mv_attention_back_job *j, const parts *p, int from, int rows, mv_dtype type)
{
    const size_t wide = p->wide, deep = p->deep;
    rows_in(p->q, row_of(j->q, (size_t)from, j->stride, type), j->stride, rows, j->d, type);
    rows_in(p->dout, row_of(j->dout, (size_t)from, j->dout_stride, type), j->dout_stride, rows, j->d, type);
    strip_product(p->a, wide, p->q, deep, p->kt, j->d, rows);
    for (int r = 0; r < rows; r++)
        softmax(p->a + (size_t)r * wide, j->tokens, j->scale, MV_F32);
    add_rows(p->dv, p->a, wide, p->dout, deep, j->tokens, rows);
    if (j->drows || !j->held)
        strip_product(p->da, wide, p->dout, deep, p->vt, j->d, rows);
    for (int r = 0; j->drows && r < rows; r++)
        memcpy(j->drows + (size_t)(from + r) * (size_t)j->tokens, p->da + (size_t)r * wide,
               (size_t)j->tokens * sizeof *p->da);
    if (j->held)
        return;
    for (int r = 0; r < rows; r++)
        softmax_back(p->da + (size_t)r * wide, p->a + (size_t)r * wide, j->tokens, j->scale);
    add_rows(p->dk, p->da, wide, p->q, deep, j->tokens, rows);
    for (int r = 0; r < rows; r += ROWS)
        put_product(row_to(j->dq, (size_t)(from + r), j->stride, type), j->stride, j->d, type, p->da + (size_t)r * wide,
                    wide, p->k, j->tokens, rows - r < ROWS ? rows - r : ROWS, p->piece);
}

/* Sums of all keys, rounded; zeros if `sum` is NULL */
INLINE void put_sums(void *to, int stride, int tokens, int d, const float *sum, mv_dtype type)
{
    for (size_t t = 0; t < (size_t)tokens; t++)
        for (size_t c = 0; c < up(d); c += LANES)
            put_columns(row_to(to, t, stride, type), c, d, type, sum ? v_load(sum + t * up(d) + c) : v_all(0));
}

INLINE void back_typed(const mv_attention_back_job *j, mv_dtype type)
{
    const parts p = parts_of(j);
    columns_in(p.kt, j->k, j->stride, j->tokens, j->d, type);
    if (j->drows || !j->held)
        columns_in(p.vt, j->v, j->stride, j->tokens, j->d, type);
    if (!j->held)
        rows_in(p.k, j->k, j->stride, j->tokens, j->d, type);
    memset(p.dv, 0, (size_t)(2 * j->tokens) * p.deep * sizeof *p.dv); /* and dk, which lies behind it */
    for (int from = 0; from < j->tokens; from += STRIP)
        strip_back(j, &p, from, j->tokens - from < STRIP ? j->tokens - from : STRIP, type);
    put_sums(j->dv, j->stride, j->tokens, j->d, p.dv, type);
    put_sums(j->dk, j->stride, j->tokens, j->d, j->held ? NULL : p.dk, type);
    if (j->held)
        put_sums(j->dq, j->stride, j->tokens, j->d, NULL, type);
}

void KERNEL(attention_back)(const mv_attention_back_job *j)
{
    TYPED(back_typed, j->type, j);
}
