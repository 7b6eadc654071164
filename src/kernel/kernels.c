#include "src/kernel/kernels.h"

#include <math.h>

#include "src/kernel/vector.h"

#define JOIN2(a, b) a##b
#define JOIN(a, b)  JOIN2(a, b)
#define TABLE(isa)  JOIN(mv_kernels_, isa)
#define TEXT2(x)    #x
#define TEXT(x)     TEXT2(x)

/* A loop over n elements in vectors, the rest as one part: BODY sees i and count (LANES but for the last). */
#define OVER(n, ...)                                                                                                   \
    do {                                                                                                               \
        int i = 0;                                                                                                     \
        for (; i + LANES <= (n); i += LANES) {                                                                         \
            enum { whole = 1, count = LANES };                                                                         \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
        if (i < (n)) {                                                                                                 \
            enum { whole = 0 };                                                                                        \
            const int count = (n)-i;                                                                                   \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    } while (0)
#define GET(p, i, type)    (whole ? v_get(p, i, type) : v_get_part(p, i, type, count))
#define PUT(p, i, type, v) (whole ? v_put(p, i, type, v) : v_put_part(p, i, type, count, v))

/* ---- rows */

INLINE const void *row_of(const void *p, size_t row, int c, mv_dtype type)
{
    return (const char *)p + row * (size_t)c * (type == MV_F32 ? 4 : 2);
}

INLINE void *row_to(void *p, size_t row, int c, mv_dtype type)
{
    return (char *)p + row * (size_t)c * (type == MV_F32 ? 4 : 2);
}

/* Two passes over a row that sits in cache: the mean first, then the spread around it. */
INLINE void layernorm_typed(void *out, const void *x, const float *weight, const float *bias, float eps, size_t rows,
                            int c, mv_dtype type)
{
    for (size_t r = 0; r < rows; r++) {
        const void *in = row_of(x, r, c, type);
        void *to = row_to(out, r, c, type);
        vf sum = {0}, square = {0};
        OVER(c, { sum += GET(in, (size_t)i, type); });
        const float mean = v_sum(sum) / (float)c;
        OVER(c, {
            vf d = GET(in, (size_t)i, type) - mean;
            if (!whole)
                for (int k = count; k < LANES; k++)
                    d[k] = 0;
            square += d * d;
        });
        const float scale = 1 / sqrtf(v_sum(square) / (float)c + eps);
        OVER(c, {
            vf v = (GET(in, (size_t)i, type) - mean) * scale * GET(weight, (size_t)i, MV_F32) +
                   GET(bias, (size_t)i, MV_F32);
            PUT(to, (size_t)i, type, v);
        });
    }
}

static void layernorm(void *out, const void *x, const float *weight, const float *bias, float eps, size_t rows, int c,
                      mv_dtype type)
{
    if (type == MV_F32)
        layernorm_typed(out, x, weight, bias, eps, rows, c, MV_F32);
    else
        layernorm_typed(out, x, weight, bias, eps, rows, c, MV_BF16);
}

INLINE void epilogue_typed(void *out, mv_dtype out_type, const float *acc, const float *gamma, const void *residual,
                           mv_dtype residual_type, mv_act act, size_t rows, int c)
{
    for (size_t r = 0; r < rows; r++) {
        const float *in = acc + r * (size_t)c;
        void *to = row_to(out, r, c, out_type);
        const void *before = residual ? row_of(residual, r, c, residual_type) : NULL;
        OVER(c, {
            vf v = GET(in, (size_t)i, MV_F32);
            if (act == MV_ACT_GELU)
                v = v_gelu(v);
            if (gamma)
                v = v * GET(gamma, (size_t)i, MV_F32);
            if (before)
                v = v + GET(before, (size_t)i, residual_type);
            PUT(to, (size_t)i, out_type, v);
        });
    }
}

static void epilogue(void *out, mv_dtype out_type, const float *acc, const float *gamma, const void *residual,
                     mv_dtype residual_type, mv_act act, size_t rows, int c)
{
    if (out_type == MV_F32 && residual_type == MV_F32)
        epilogue_typed(out, MV_F32, acc, gamma, residual, MV_F32, act, rows, c);
    else if (out_type == MV_F32)
        epilogue_typed(out, MV_F32, acc, gamma, residual, MV_BF16, act, rows, c);
    else
        epilogue_typed(out, MV_BF16, acc, gamma, residual, MV_BF16, act, rows, c);
}

static void widen(float *out, const void *in, mv_dtype type, size_t n)
{
    if (type == MV_F32) {
        memcpy(out, in, n * sizeof *out);
        return;
    }
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(out + i, v_get(in, i, MV_BF16));
    for (; i < n; i++)
        out[i] = mv_bf16_to_f32(((const uint16_t *)in)[i]);
}

static void narrow(void *out, mv_dtype type, const float *in, size_t n)
{
    if (type == MV_F32) {
        memcpy(out, in, n * sizeof *in);
        return;
    }
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_put(out, i, MV_BF16, v_load(in + i));
    for (; i < n; i++)
        ((uint16_t *)out)[i] = mv_f32_to_bf16(in[i]);
}

/* ---- mixer */

/* Three taps a channel lie together (E 1 3); the vectors want them apart. */
INLINE vf tap_of(const float *w, int channel, int tap, int count)
{
    vf v = {0};
    for (int k = 0; k < count; k++)
        v[k] = w[(channel + k) * MV_TAPS + tap];
    return v;
}

INLINE void conv1d_typed(void *x, void *yz, const void *xz, const float *wx, const float *wz, int tokens, int e,
                         int from, int to, mv_dtype type)
{
    for (int half = 0; half < 2; half++) {
        const float *w = half ? wz : wx;
        OVER(e, {
            vf w0 = tap_of(w, i, 0, count), w1 = tap_of(w, i, 1, count), w2 = tap_of(w, i, 2, count);
            size_t column = (size_t)(half * e + i), step = 2 * (size_t)e;
            vf before = from > 0 ? GET(xz, (size_t)(from - 1) * step + column, type) : v_all(0);
            vf here = GET(xz, (size_t)from * step + column, type);
            for (int t = from; t < to; t++) {
                vf after = t + 1 < tokens ? GET(xz, (size_t)(t + 1) * step + column, type) : v_all(0);
                vf v = v_silu(before * w0 + here * w1 + after * w2);
                if (half)
                    PUT(yz, (size_t)t * step + column, type, v);
                else
                    PUT(x, (size_t)t * (size_t)e + (size_t)i, type, v);
                before = here;
                here = after;
            }
        });
    }
}

static void conv1d_silu(void *x, void *yz, const void *xz, const float *wx, const float *wz, int tokens, int e,
                        int from, int to, mv_dtype type)
{
    if (type == MV_F32)
        conv1d_typed(x, yz, xz, wx, wz, tokens, e, from, to, MV_F32);
    else
        conv1d_typed(x, yz, xz, wx, wz, tokens, e, from, to, MV_BF16);
}

INLINE float scalar(const void *p, size_t i, mv_dtype type)
{
    return type == MV_F32 ? ((const float *)p)[i] : mv_bf16_to_f32(((const uint16_t *)p)[i]);
}

/* softplus(W r + 2b) for the channels from i on of one token; proj is its row */
INLINE vf step_at(const void *proj, size_t row, const float *weight, const float *bias, int e, int rank, int i,
                  bool whole, int count, mv_dtype type)
{
    vf sum = GET(bias, (size_t)i, MV_F32);
    for (int k = 0; k < rank; k++)
        sum += scalar(proj, row + (size_t)k, type) * GET(weight, (size_t)k * (size_t)e + (size_t)i, MV_F32);
    return v_softplus(sum);
}

INLINE void step_typed(float *dt, const void *proj, const float *weight, const float *bias, size_t tokens, int e,
                       int rank, mv_dtype type)
{
    size_t width = (size_t)rank + 2 * MV_STATES;
    for (size_t t = 0; t < tokens; t++)
        OVER(e, {
            PUT(dt, t * (size_t)e + (size_t)i, MV_F32,
                step_at(proj, t * width, weight, bias, e, rank, i, whole, count, type));
        });
}

static void step(float *dt, const void *proj, const float *weight, const float *bias, size_t tokens, int e, int rank,
                 mv_dtype type)
{
    if (type == MV_F32)
        step_typed(dt, proj, weight, bias, tokens, e, rank, MV_F32);
    else
        step_typed(dt, proj, weight, bias, tokens, e, rank, MV_BF16);
}

/* y = C . h + D x */
INLINE vf read_states(const vf h[MV_STATES], const float c[MV_STATES], vf d, vf x)
{
    vf y = d * x;
    for (int n = 0; n < MV_STATES; n++)
        y += h[n] * c[n];
    return y;
}

/* h_t = exp(dt A) h_{t-1} + dt B x for LANES channels at once; the states stay in registers, exp is 2^(dt A log2 e). */
INLINE void scan_lanes(const mv_scan_job *j, int i, bool whole, int count, mv_dtype type)
{
    const size_t e = (size_t)j->channels, width = (size_t)j->rank + 2 * MV_STATES, at = (size_t)i;
    vf a[MV_STATES], h[MV_STATES], d = GET(j->D, at, MV_F32);
    for (int n = 0; n < MV_STATES; n++) {
        h[n] = a[n] = v_all(0);
        for (int k = 0; k < count; k++)
            a[n][k] = j->A[(at + (size_t)k) * MV_STATES + (size_t)n] * 1.44269504088896341f;
    }
    for (size_t t = 0; t < (size_t)j->tokens; t++) {
        float b[MV_STATES], c[MV_STATES];
        for (int n = 0; n < MV_STATES; n++) {
            b[n] = scalar(j->proj, t * width + (size_t)(j->rank + n), type);
            c[n] = scalar(j->proj, t * width + (size_t)(j->rank + MV_STATES + n), type);
        }
        vf dt =
            j->dt ? GET(j->dt, t * e + at, MV_F32)
                  : step_at(j->proj, t * width, j->dt_weight, j->dt_bias, j->channels, j->rank, i, whole, count, type);
        vf x = GET(j->x, t * e + at, type), u = dt * x;
        for (int n = 0; n < MV_STATES; n++)
            h[n] = v_exp2(dt * a[n]) * h[n] + u * b[n];
        PUT(j->yz, 2 * t * e + at, type, read_states(h, c, d, x));
        for (int n = 0; j->h && n < MV_STATES; n++)
            for (int k = 0; k < count; k++)
                j->h[(t * e + at + (size_t)k) * MV_STATES + (size_t)n] = h[n][k];
    }
}

INLINE void scan_typed(const mv_scan_job *j, mv_dtype type)
{
    int i = j->from;
    for (; i + LANES <= j->to; i += LANES)
        scan_lanes(j, i, true, LANES, type);
    if (i < j->to)
        scan_lanes(j, i, false, j->to - i, type);
}

static void scan(const mv_scan_job *j)
{
    if (j->type == MV_F32)
        scan_typed(j, MV_F32);
    else
        scan_typed(j, MV_BF16);
}

/* State n of `count` channels, whose states lie MV_STATES apart */
INLINE vf state_of(const float *h, int count)
{
    vf v = v_all(0);
    for (int k = 0; k < count; k++)
        v[k] = h[(size_t)k * MV_STATES];
    return v;
}

static void readout(void *yz, const void *x, const void *proj, const float *h, const float *D, size_t tokens, int e,
                    int rank, mv_dtype type)
{
    size_t width = (size_t)rank + 2 * MV_STATES;
    for (size_t t = 0; t < tokens; t++) {
        float c[MV_STATES];
        for (int n = 0; n < MV_STATES; n++)
            c[n] = scalar(proj, t * width + (size_t)(rank + MV_STATES + n), type);
        OVER(e, {
            vf s[MV_STATES];
            for (int n = 0; n < MV_STATES; n++)
                s[n] = state_of(h + (t * (size_t)e + (size_t)i) * MV_STATES + n, count);
            vf y = read_states(s, c, GET(D, (size_t)i, MV_F32), GET(x, t * (size_t)e + (size_t)i, type));
            PUT(yz, 2 * t * (size_t)e + (size_t)i, type, y);
        });
    }
}

static void norm(float *out, const float *x, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++, x += n) {
        vf sum = {0};
        OVER((int)n, {
            vf v = GET(x, (size_t)i, MV_F32);
            sum += v * v;
        });
        out[r] = sqrtf(v_sum(sum));
    }
}

/* ---- hidden attention. LANES columns j lie side by side, and i runs down the tokens: g_n = dt_j B_j[n] at i = j,
 * g_n *= exp(dt_i A_n) from there on, |M[i,j]| = |C_i . g|. The factors are the same for every column, so that exp is
 * taken T E S times in all; they are made for GROUP channels at a time, and a block's sums are in cache for all of
 * them.
 */

enum { GROUP = 8, REST = 8 }; /* REST: rows between two looks at what has faded */

static int hidden_blocks(int tokens)
{
    return (tokens + LANES - 1) / LANES;
}

static size_t blocks_each(int tokens, int every)
{
    return ((size_t)hidden_blocks(tokens) + (size_t)every - 1) / (size_t)every;
}

/* Factors (GROUP T S), C (T S), sums (blocks T LANES) */
static size_t hidden_scratch(int tokens, int every)
{
    return (size_t)tokens * ((GROUP + 1) * MV_STATES + blocks_each(tokens, every) * LANES) + LANES;
}

/* Of `channels` channels from `from` on: 2^(dt A log2 e) */
INLINE void hidden_factors(const mv_hidden_job *j, float *factor, int from, int channels)
{
    const size_t tokens = (size_t)j->tokens, all = tokens * MV_STATES;
    for (int k = 0; k < channels; k++, factor += all) {
        const float *a = j->A + (size_t)(from + k) * MV_STATES, *dt = j->dt + from + k;
        for (size_t t = 0; t < tokens; t++, dt += j->channels)
            for (size_t n = 0; n < MV_STATES; n++)
                factor[t * MV_STATES + n] = *dt * (a[n] * 1.44269504088896341f);
        OVER((int)all, { PUT(factor, (size_t)i, MV_F32, v_exp2(GET(factor, (size_t)i, MV_F32))); });
    }
}

INLINE vf hidden_value(const vf g[MV_STATES], const float *c)
{
    vf m = g[0] * c[0];
    for (int n = 1; n < MV_STATES; n++)
        m += g[n] * c[n];
    return v_abs(m);
}

/* What has faded below 2^-80 is taken for nothing, lest it fade through denormals, which are slow. False when nothing
 * is left. NaN stays. */
INLINE bool hidden_lasts(vf g[MV_STATES])
{
    vi left = {0};
    for (int n = 0; n < MV_STATES; n++) {
        vi here = ~(v_abs(g[n]) < 0x1p-80f);
        g[n] = (vf)((vi)g[n] & here);
        left |= here;
    }
    int32_t any = 0;
    for (int k = 0; k < LANES; k++)
        any |= left[k];
    return any;
}

/* Adds one channel's |M| for the columns from `first` on to sum (T LANES). */
INLINE void hidden_column(const mv_hidden_job *j, float *sum, int first, const float *factor, const float *c,
                          const float *dt, mv_dtype type)
{
    const size_t width = (size_t)j->rank + 2 * MV_STATES;
    vf g[MV_STATES];
    vi lane;
    for (int k = 0; k < LANES; k++)
        lane[k] = k;
    for (int n = 0; n < MV_STATES; n++)
        g[n] = v_all(0);
    int i = first;
    for (; i < j->tokens && i < first + LANES; i++) { /* the columns begin one by one: before, a lane is 0 */
        const vi begins = lane == i - first, begun = lane <= i - first;
        const float *f = factor + (size_t)i * MV_STATES, step = dt[(size_t)i * (size_t)j->channels];
        for (int n = 0; n < MV_STATES; n++) {
            vf u = v_all(step * scalar(j->proj, (size_t)i * width + (size_t)(j->rank + n), type));
            g[n] = (vf)((begins & (vi)u) | (~begins & (vi)(g[n] * f[n])));
        }
        vf m = (vf)(begun & (vi)hidden_value(g, c + (size_t)i * MV_STATES));
        v_store(sum + (size_t)i * LANES, v_load(sum + (size_t)i * LANES) + m);
    }
    while (i < j->tokens && hidden_lasts(g))
        for (int end = i + REST < j->tokens ? i + REST : j->tokens; i < end; i++) {
            const float *f = factor + (size_t)i * MV_STATES;
            for (int n = 0; n < MV_STATES; n++)
                g[n] *= f[n];
            v_store(sum + (size_t)i * LANES,
                    v_load(sum + (size_t)i * LANES) + hidden_value(g, c + (size_t)i * MV_STATES));
        }
}

INLINE void hidden_typed(const mv_hidden_job *j, mv_dtype type)
{
    const size_t tokens = (size_t)j->tokens, each = tokens * LANES, width = (size_t)j->rank + 2 * MV_STATES;
    const int blocks = hidden_blocks(j->tokens);
    float *factor = j->scratch, *c = factor + GROUP * tokens * MV_STATES, *sums = c + tokens * MV_STATES;
    for (size_t t = 0; t < tokens; t++)
        for (size_t n = 0; n < MV_STATES; n++)
            c[t * MV_STATES + n] = scalar(j->proj, t * width + (size_t)j->rank + MV_STATES + n, type);
    memset(sums, 0, blocks_each(j->tokens, j->every) * each * sizeof *sums);
    for (int from = 0; from < j->channels; from += GROUP) {
        int count = j->channels - from < GROUP ? j->channels - from : GROUP;
        hidden_factors(j, factor, from, count);
        float *sum = sums;
        for (int block = j->first; block < blocks; block += j->every, sum += each)
            for (int k = 0; k < count; k++)
                hidden_column(j, sum, block * LANES, factor + (size_t)k * tokens * MV_STATES, c, j->dt + from + k,
                              type);
    }
    const float share = 1 / (float)j->channels;
    for (int block = j->first; block < blocks; block += j->every, sums += each) {
        size_t first = (size_t)block * LANES, columns = tokens - first < LANES ? tokens - first : LANES;
        for (size_t t = 0; t < tokens; t++)
            for (size_t k = 0; k < columns; k++)
                j->out[t * tokens + first + k] = sums[t * LANES + k] * share;
    }
}

static void hidden(const mv_hidden_job *j)
{
    if (j->type == MV_F32)
        hidden_typed(j, MV_F32);
    else
        hidden_typed(j, MV_BF16);
}

/* ---- attention: k transposed and v side by side, both zero-padded to whole vectors, then products of ROWS x 2 vectors
 */

enum { ROWS = MV_ATTENTION_ROWS };

INLINE size_t up(int n)
{
    return ((size_t)n + LANES - 1) / LANES * LANES;
}

static size_t packed(int tokens, int d)
{
    return (size_t)d * up(tokens) + (size_t)tokens * up(d);
}

static size_t scores(int tokens)
{
    return ROWS * (up(tokens) + 64);
}

static void pack(const mv_attention_job *j)
{
    size_t wide = up(j->tokens), deep = up(j->d);
    float *kt = j->packed, *v = kt + (size_t)j->d * wide;
    for (size_t t = 0; t < (size_t)j->tokens; t++) {
        size_t at = t * (size_t)j->stride;
        for (size_t c = 0; c < (size_t)j->d; c++)
            kt[c * wide + t] = scalar(j->k, at + c, j->type);
        for (size_t c = 0; c < deep; c++)
            v[t * deep + c] = c < (size_t)j->d ? scalar(j->v, at + c, j->type) : 0;
    }
    for (size_t c = 0; c < (size_t)j->d; c++)
        for (size_t t = (size_t)j->tokens; t < wide; t++)
            kt[c * wide + t] = 0;
}

/* out[r][0..16) += sum_k a[r][k] b[k][0..) for `rows` rows and one or two vectors of b: sums stay in registers */
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

/* rows x (vectors of n columns): `rows` is made constant so that the sums stay in registers */
INLINE void product_rows(float *out, size_t out_step, const float *a, size_t a_step, const float *b, size_t b_step,
                         int k, int rows, size_t columns)
{
    size_t c = 0;
#define COLUMNS(R)                                                                                                     \
    for (; c + 2 * LANES <= columns; c += 2 * LANES)                                                                   \
        product(out + c, out_step, a, a_step, b + c, b_step, k, R, 2);                                                 \
    if (c < columns)                                                                                                   \
    product(out + c, out_step, a, a_step, b + c, b_step, k, R, 1)
    if (rows == ROWS) {
        COLUMNS(ROWS);
        return;
    }
    for (int r = 0; r < rows; r++, c = 0) { /* the last few rows, one by one */
        float *const all = out;
        const float *const row = a + (size_t)r * a_step;
        for (; c + 2 * LANES <= columns; c += 2 * LANES)
            product(all + (size_t)r * out_step + c, out_step, row, a_step, b + c, b_step, k, 1, 2);
        if (c < columns)
            product(all + (size_t)r * out_step + c, out_step, row, a_step, b + c, b_step, k, 1, 1);
    }
#undef COLUMNS
}

/* softmax of one row of n scores, which are multiplied by `scale` first */
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

/* rows of scores times v, to the typed output */
INLINE void gather_values(const mv_attention_job *j, const float *s, size_t s_step, int from, int rows, float *piece)
{
    size_t wide = up(j->tokens), deep = up(j->d);
    const float *v = j->packed + (size_t)j->d * wide;
    for (size_t c = 0; c < deep; c += 2 * LANES) { /* two vectors of channels at a time, so that the piece is small */
        size_t columns = deep - c < 2 * LANES ? deep - c : 2 * LANES;
        product_rows(piece, 2 * LANES, s, s_step, v + c, deep, j->tokens, rows, columns);
        for (int r = 0; r < rows; r++) {
            void *to = row_to(j->out, (size_t)(from + r), j->out_stride, j->type);
            for (size_t k = 0; k < columns; k += LANES) {
                size_t left = (size_t)j->d > c + k ? (size_t)j->d - c - k : 0;
                vf x = v_load(piece + (size_t)r * 2 * LANES + k);
                if (left >= LANES)
                    v_put(to, c + k, j->type, x);
                else
                    v_put_part(to, c + k, j->type, (int)left, x);
            }
        }
    }
}

static void attention(const mv_attention_job *j)
{
    size_t wide = up(j->tokens);
    float *s = j->scores, q[ROWS * 256];
    for (int from = j->from; from < j->to; from += ROWS) {
        int rows = j->to - from < ROWS ? j->to - from : ROWS;
        for (int done = 0; done < j->d; done += 256) { /* head_dim is 40 to 64; a larger one comes in pieces */
            int part = j->d - done < 256 ? j->d - done : 256;
            for (int r = 0; r < rows; r++)
                for (int c = 0; c < part; c++)
                    q[r * 256 + c] = scalar(j->q, (size_t)(from + r) * (size_t)j->stride + (size_t)(done + c), j->type);
            if (done == 0)
                product_rows(s, wide, q, 256, j->packed, wide, part, rows, wide);
            else
                for (int r = 0; r < rows; r++)
                    for (int c = 0; c < part; c++)
                        for (size_t t = 0; t < wide; t++)
                            s[(size_t)r * wide + t] += q[r * 256 + c] * j->packed[(size_t)(done + c) * wide + t];
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

static void attend(const mv_attention_job *j)
{
    for (int from = j->from; from < j->to; from += ROWS) {
        int rows = j->to - from < ROWS ? j->to - from : ROWS;
        gather_values(j, j->rows + (size_t)from * (size_t)j->tokens, (size_t)j->tokens, from, rows, j->scores);
    }
}

extern const mv_kernels TABLE(MV_ISA);

const mv_kernels TABLE(MV_ISA) = {
    .name = TEXT(MV_ISA),
    .layernorm = layernorm,
    .epilogue = epilogue,
    .widen = widen,
    .narrow = narrow,
    .conv1d_silu = conv1d_silu,
    .step = step,
    .scan = scan,
    .readout = readout,
    .norm = norm,
    .hidden_blocks = hidden_blocks,
    .hidden_scratch = hidden_scratch,
    .hidden = hidden,
    .packed = packed,
    .scores = scores,
    .pack = pack,
    .attention = attention,
    .attend = attend,
};
