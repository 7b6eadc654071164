/* The hidden attention of a scan (arXiv 2403.01590): M[i,j] = C_i exp(sum of dt A from j+1 to i) dt_j B_j.
 *
 * LANES columns j lie side by side, and i runs down the tokens: g_n = dt_j B_j[n] at i = j, then g_n *= exp(dt_i A_n)
 * per row, and M[i,j] = C_i . g, of which the absolute value or the value is summed. The factors are the same for every
 * column, so exp is computed T E S times in all. They are made for GROUP channels at a time, during which a block's
 * sums stay in cache.
 */
#include "src/kernel/kernel_impl.h"

enum {
    GROUP = 8, /* channels whose factors are in the scratch at a time */
    STRIDE = 8 /* rows between two checks for values that have faded */
};
#define FADED 0x1p-80f

INLINE int blocks_of(int tokens)
{
    return (tokens + LANES - 1) / LANES;
}

int KERNEL(hidden_blocks)(int tokens)
{
    return blocks_of(tokens);
}

/* The most blocks of columns that one of `every` calls has. */
INLINE size_t blocks_each(int tokens, int every)
{
    return ((size_t)blocks_of(tokens) + (size_t)every - 1) / (size_t)every;
}

/* Of factors (GROUP T S), C (T S) and sums (blocks T LANES). */
size_t KERNEL(hidden_scratch)(int tokens, int every)
{
    return (size_t)tokens * ((GROUP + 1) * MV_STATES + blocks_each(tokens, every) * LANES) + LANES;
}

/* exp(dt A) = 2^(dt A log2 e) of `channels` channels from `from` on. */
INLINE void hidden_factors(const mv_hidden_job *j, float *factor, int from, int channels)
{
    const size_t tokens = (size_t)j->tokens, all = tokens * MV_STATES;
    for (int k = 0; k < channels; k++, factor += all) {
        const float *a = j->A + (size_t)(from + k) * MV_STATES, *dt = j->dt + from + k;
        for (size_t t = 0; t < tokens; t++, dt += j->channels)
            for (size_t n = 0; n < MV_STATES; n++)
                factor[t * MV_STATES + n] = *dt * (a[n] * MV_LOG2E);
        OVER((int)all, { PUT(factor, (size_t)i, MV_F32, v_exp2(GET(factor, (size_t)i, MV_F32))); });
    }
}

INLINE vf hidden_value(const vf g[MV_STATES], const float *c, bool with_sign)
{
    vf m = g[0] * c[0];
    for (int n = 1; n < MV_STATES; n++)
        m += g[n] * c[n];
    return with_sign ? m : v_abs(m);
}

/* Sets values below FADED to zero before they become denormal, which is slow. False if all are zero. NaN stays. */
INLINE bool hidden_lasts(vf g[MV_STATES])
{
    vi left = {0};
    for (int n = 0; n < MV_STATES; n++) {
        vi here = ~(v_abs(g[n]) < FADED);
        g[n] = (vf)((vi)g[n] & here);
        left |= here;
    }
    int32_t any = 0;
    for (int k = 0; k < LANES; k++)
        any |= left[k];
    return any;
}

/* Adds one channel's |M| or M to sum (T LANES), for the LANES columns from `first` on. */
INLINE void hidden_column(const mv_hidden_job *j, float *sum, int first, const float *factor, const float *c,
                          const float *dt, mv_dtype type, bool with_sign)
{
    const size_t width = (size_t)j->rank + 2 * MV_STATES;
    vf g[MV_STATES];
    vi lane;
    for (int k = 0; k < LANES; k++)
        lane[k] = k;
    for (int n = 0; n < MV_STATES; n++)
        g[n] = v_all(0);
    int i = first;
    for (; i < j->tokens && i < first + LANES; i++) { /* the columns begin one by one; until then a lane is 0 */
        const vi begins = lane == i - first, begun = lane <= i - first;
        const float *f = factor + (size_t)i * MV_STATES, step = dt[(size_t)i * (size_t)j->channels];
        for (int n = 0; n < MV_STATES; n++) {
            vf u = v_all(step * scalar(j->proj, (size_t)i * width + (size_t)(j->rank + n), type));
            g[n] = (vf)((begins & (vi)u) | (~begins & (vi)(g[n] * f[n])));
        }
        vf m = (vf)(begun & (vi)hidden_value(g, c + (size_t)i * MV_STATES, with_sign));
        v_store(sum + (size_t)i * LANES, v_load(sum + (size_t)i * LANES) + m);
    }
    while (i < j->tokens && hidden_lasts(g))
        for (int end = i + STRIDE < j->tokens ? i + STRIDE : j->tokens; i < end; i++) {
            const float *f = factor + (size_t)i * MV_STATES;
            for (int n = 0; n < MV_STATES; n++)
                g[n] *= f[n];
            v_store(sum + (size_t)i * LANES,
                    v_load(sum + (size_t)i * LANES) + hidden_value(g, c + (size_t)i * MV_STATES, with_sign));
        }
}

INLINE void hidden_as(const mv_hidden_job *j, bool with_sign, mv_dtype type)
{
    const size_t tokens = (size_t)j->tokens, each = tokens * LANES, width = (size_t)j->rank + 2 * MV_STATES;
    const int blocks = blocks_of(j->tokens);
    float *factor = j->scratch, *c = factor + GROUP * tokens * MV_STATES, *sums = c + tokens * MV_STATES;
    for (size_t t = 0; t < tokens; t++)
        for (size_t n = 0; n < MV_STATES; n++)
            c[t * MV_STATES + n] = scalar(j->proj, t * width + (size_t)j->rank + MV_STATES + n, type);
    memset(sums, 0, blocks_each(j->tokens, j->every) * each * sizeof *sums);
    for (int from = j->from; from < j->to; from += GROUP) {
        int count = j->to - from < GROUP ? j->to - from : GROUP;
        hidden_factors(j, factor, from, count);
        float *sum = sums;
        for (int block = j->first; block < blocks; block += j->every, sum += each)
            for (int k = 0; k < count; k++)
                hidden_column(j, sum, block * LANES, factor + (size_t)k * tokens * MV_STATES, c, j->dt + from + k, type,
                              with_sign);
    }
    const float share = 1 / (float)(j->to - j->from);
    for (int block = j->first; block < blocks; block += j->every, sums += each) {
        size_t first = (size_t)block * LANES, columns = tokens - first < LANES ? tokens - first : LANES;
        for (size_t t = 0; t < tokens; t++)
            for (size_t k = 0; k < columns; k++)
                j->out[t * tokens + first + k] = sums[t * LANES + k] * share;
    }
}

void KERNEL(hidden)(const mv_hidden_job *j)
{
    if (j->with_sign)
        TYPED(hidden_as, j->type, j, true);
    else
        TYPED(hidden_as, j->type, j, false);
}
