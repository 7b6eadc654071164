/* Contributions of tokens to a mixer's output, before W_o (backend.h): for the query i, the tokens j <= i are walked
 * backwards, with w_n = C_i[n] exp(sum of dt A_n from j+1 to i) of LANES channels, which lie side by side in every
 * value. M[i,j] = dt_j sum_n w_n B_j[n]; a token's row needs M of three neighbours, because the short convolution reads
 * them. The factors exp(dt A) and the gates are computed once for all queries.
 */
#include "src/kernel/kernel_impl.h"

enum { STRIDE = 8 /* tokens between two checks for weights that have faded */ };
#define FADED 0x1p-80f

/* Of factors (T S LANES), gates (T LANES), B and C (T 2S). */
size_t KERNEL(spread_scratch)(int tokens)
{
    return (size_t)tokens * ((MV_STATES + 1) * LANES + 2 * MV_STATES);
}

/* LANES channels from `from` on, of which `count` are real: what all queries share. */
typedef struct {
    const mv_spread_job *j;
    int from, count;
    float *factor, *gate, *states;
    vf wx[MV_TAPS], wz[MV_TAPS], D;
} spread_group;

INLINE vf at_channels(const spread_group *g, const void *p, size_t i, mv_dtype type)
{
    return g->count == LANES ? v_get(p, i, type) : v_get_part(p, i, type, g->count);
}

INLINE void to_channels(const spread_group *g, void *p, size_t i, mv_dtype type, vf v)
{
    if (g->count == LANES)
        v_put(p, i, type, v);
    else
        v_put_part(p, i, type, g->count, v);
}

/* Column `from` of token t of xz: of its left half, or of its right one. */
INLINE size_t place(const spread_group *g, int t, bool right)
{
    size_t e = (size_t)g->j->channels;
    return (size_t)t * 2 * e + (right ? e : 0) + (size_t)g->from;
}

INLINE vf conv_gate(const spread_group *g, int t, bool right, mv_dtype type)
{
    const vf *w = right ? g->wz : g->wx;
    vf a = w[1] * at_channels(g, g->j->xz, place(g, t, right), type);
    if (t > 0)
        a += w[0] * at_channels(g, g->j->xz, place(g, t - 1, right), type);
    if (t + 1 < g->j->tokens)
        a += w[2] * at_channels(g, g->j->xz, place(g, t + 1, right), type);
    return v_sigmoid(a);
}

INLINE void spread_prepare(spread_group *g, mv_dtype type)
{
    const mv_spread_job *j = g->j;
    vf a[MV_STATES];
    g->D = v_get_part(j->D, (size_t)g->from, MV_F32, g->count);
    for (int k = 0; k < MV_TAPS; k++)
        g->wx[k] = g->wz[k] = v_all(0);
    for (int n = 0; n < MV_STATES; n++)
        a[n] = v_all(0);
    for (int l = 0; l < g->count; l++) {
        for (int k = 0; k < MV_TAPS; k++) {
            g->wx[k][l] = j->wx[(g->from + l) * MV_TAPS + k];
            g->wz[k][l] = j->wz[(g->from + l) * MV_TAPS + k];
        }
        for (int n = 0; n < MV_STATES; n++)
            a[n][l] = j->A[(g->from + l) * MV_STATES + n] * MV_LOG2E;
    }
    for (int t = 0; t < j->tokens; t++) {
        vf dt = at_channels(g, j->dt, (size_t)t * (size_t)j->channels + (size_t)g->from, MV_F32);
        for (int n = 0; n < MV_STATES; n++)
            v_store(g->factor + ((size_t)t * MV_STATES + (size_t)n) * LANES, v_exp2(dt * a[n]));
        v_store(g->gate + (size_t)t * LANES, conv_gate(g, t, false, type));
    }
}

/* Row `row` of the job: the left half is v times the token's x0 or z0, or the right one; the other half is 0. */
INLINE void put_row(const spread_group *g, size_t row, int token, vf v, bool right, mv_dtype type)
{
    size_t e = (size_t)g->j->channels, at = row * 2 * e + (size_t)g->from;
    v *= at_channels(g, g->j->xz, place(g, token, right), type);
    to_channels(g, g->j->rows, at + (right ? e : 0), type, v);
    to_channels(g, g->j->rows, at + (right ? 0 : e), type, v_all(0));
}

INLINE void put_zeros(const spread_group *g, size_t row, mv_dtype type)
{
    size_t e = (size_t)g->j->channels, at = row * 2 * e + (size_t)g->from;
    to_channels(g, g->j->rows, at, type, v_all(0));
    to_channels(g, g->j->rows, at + e, type, v_all(0));
}

/* False if all weights are so small that they are as good as 0. NaN stays. */
INLINE bool lasts(const vf w[MV_STATES])
{
    vi left = {0};
    for (int n = 0; n < MV_STATES; n++)
        left |= ~(v_abs(w[n]) < FADED);
    int32_t any = 0;
    for (int k = 0; k < LANES; k++)
        any |= left[k];
    return any;
}

/* Rows of the tokens 0 to min(i + 1, T - 1), which begin at `row`. Returns how many. */
INLINE size_t spread_query(const spread_group *g, int i, size_t row, mv_dtype type)
{
    const mv_spread_job *job = g->j;
    vf w[MV_STATES], m1 = v_all(0), m2 = v_all(0); /* of the tokens j + 1 and j + 2 */
    for (int n = 0; n < MV_STATES; n++)
        w[n] = v_all(g->states[(size_t)i * 2 * MV_STATES + MV_STATES + (size_t)n]);
    int j = i;
    for (bool more = true; more && j >= 0; j--) {
        const float *b = g->states + (size_t)j * 2 * MV_STATES, *f = g->factor + (size_t)j * MV_STATES * LANES;
        vf m = w[0] * b[0];
        for (int n = 1; n < MV_STATES; n++)
            m += w[n] * b[n];
        m *= at_channels(g, job->dt, (size_t)j * (size_t)job->channels + (size_t)g->from, MV_F32);
        m += i == j ? g->D : v_all(0);
        m *= v_load(g->gate + (size_t)j * LANES);
        for (int n = 0; n < MV_STATES; n++)
            w[n] *= v_load(f + (size_t)n * LANES);
        if (j + 1 < job->tokens)
            put_row(g, row + (size_t)j + 1, j + 1, m2 * g->wx[0] + m1 * g->wx[1] + m * g->wx[2], false, type);
        m2 = m1;
        m1 = m;
        more = (i - j) % STRIDE != STRIDE - 1 || lasts(w);
    }
    /* From token j on, M is 0. */
    for (; j >= -1; j--) {
        put_row(g, row + (size_t)j + 1, j + 1, m2 * g->wx[0] + m1 * g->wx[1], false, type);
        m2 = m1;
        m1 = v_all(0);
    }
    return (size_t)(i + 2 < job->tokens ? i + 2 : job->tokens);
}

INLINE void spread_local(const spread_group *g, int i, size_t row, mv_dtype type)
{
    vf gate = conv_gate(g, i, true, type);
    for (int o = 0; o < MV_TAPS; o++) {
        int token = i + o - 1;
        if (token >= 0 && token < g->j->tokens)
            put_row(g, row + (size_t)o, token, gate * g->wz[o], true, type);
        else
            put_zeros(g, row + (size_t)o, type);
    }
}

INLINE void spread_typed(const mv_spread_job *j, mv_dtype type)
{
    const size_t tokens = (size_t)j->tokens, width = (size_t)j->rank + 2 * MV_STATES;
    spread_group g = {.j = j,
                      .factor = j->scratch,
                      .gate = j->scratch + tokens * MV_STATES * LANES,
                      .states = j->scratch + tokens * (MV_STATES + 1) * LANES};
    for (size_t t = 0; t < tokens; t++)
        for (size_t n = 0; n < 2 * MV_STATES; n++)
            g.states[t * 2 * MV_STATES + n] = scalar(j->proj, t * width + (size_t)j->rank + n, type);
    for (g.from = j->from; g.from < j->to; g.from += LANES) {
        g.count = j->to - g.from < LANES ? j->to - g.from : LANES;
        spread_prepare(&g, type);
        size_t row = 0;
        for (int i = j->first; i < j->first + j->queries; i++) {
            row += spread_query(&g, i, row, type);
            spread_local(&g, i, row, type);
            row += MV_TAPS;
        }
    }
}

void KERNEL(spread)(const mv_spread_job *j)
{
    TYPED(spread_typed, j->type, j);
}
