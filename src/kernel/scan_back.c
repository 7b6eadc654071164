/* The gradient of the selective scan. Lanes are states here, in the order in which they lie in memory: a vector has
 * LANES / 8 channels of 8 states. So states are read and written as they are, dB and dC are sums of whole vectors, and
 * only the sums over the states of a channel go across lanes.
 */
#include "src/kernel/kernel_impl.h"

enum {
    BLOCK = MV_SCAN_BACK_CHANNELS * MV_STATES,                   /* states of a job */
    PARTS = (int)LANES < (int)MV_STATES ? MV_STATES / LANES : 1, /* vectors of a channel */
    VECTORS = MV_STATES                                          /* of LANES channels */
};

/* ---- across lanes */

#if defined(__AVX512F__)
#define EVERY(f, d)                                                                                                    \
    f(0, d), f(1, d), f(2, d), f(3, d), f(4, d), f(5, d), f(6, d), f(7, d), f(8, d), f(9, d), f(10, d), f(11, d),      \
        f(12, d), f(13, d), f(14, d), f(15, d)
#elif defined(__AVX2__)
#define EVERY(f, d) f(0, d), f(1, d), f(2, d), f(3, d), f(4, d), f(5, d), f(6, d), f(7, d)
#else
#define EVERY(f, d) f(0, d), f(1, d), f(2, d), f(3, d)
#endif
#define STAYS(i, d) ((i) & (d) ? (i) + LANES : (i))
#define MOVES(i, d) ((i) & (d) ? ((i) ^ (d)) + LANES : (i) ^ (d))

/* Lanes i and i ^ d added, for a where bit d of i is 0, else for b. */
#define FOLD(a, b, d) (__builtin_shufflevector(a, b, EVERY(STAYS, d)) + __builtin_shufflevector(a, b, EVERY(MOVES, d)))

/* The sums over the states of LANES channels, one in each lane */
INLINE vf sum_states(const vf v[VECTORS])
{
#if defined(__AVX512F__) || defined(__AVX2__)
    vf a = FOLD(v[0], v[4], 4), b = FOLD(v[1], v[5], 4), c = FOLD(v[2], v[6], 4), d = FOLD(v[3], v[7], 4);
#else
    vf a = v[0] + v[1], b = v[2] + v[3], c = v[4] + v[5], d = v[6] + v[7];
#endif
    vf ac = FOLD(a, c, 2), bd = FOLD(b, d, 2), sum = FOLD(ac, bd, 1);
#if defined(__AVX512F__) /* the even channels are in the lower half */
    sum = __builtin_shufflevector(sum, sum, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
#endif
    return sum;
}

/* Values of channels, each in all lanes of its states in vector k */
INLINE vf to_states(const float *channel, int k)
{
#if defined(__AVX512F__)
    typedef int64_t pairs __attribute__((vector_size(LANES * 4)));
    int64_t two;
    memcpy(&two, channel + 2 * k, sizeof two);
    vf v = (vf)(two - (pairs){0});
    return __builtin_shufflevector(v, v, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
#else
    return v_all(channel[k / PARTS]);
#endif
}

/* The same 8 states for every channel, in vectors k % PARTS */
INLINE vf of_states(const float *state, int k)
{
#if defined(__AVX512F__)
    vf v = {0};
    memcpy(&v, state + k % PARTS * LANES, MV_STATES * sizeof *state);
    return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
#else
    return v_load(state + k % PARTS * LANES);
#endif
}

/* Elements of vector k that `count` channels have */
INLINE int states_in(int count, int k)
{
    int left = count * MV_STATES - k * LANES;
    return left < 0 ? 0 : left < LANES ? left : LANES;
}

/* ---- the scan */

/* B and C of a token, and the sums over the channels that are done */
typedef struct {
    vf b[PARTS], c[PARTS], db[PARTS], dc[PARTS];
} back_sums;

typedef struct {
    float A[BLOCK];     /* times log2 e, then zeros */
    float carry[BLOCK]; /* a_{t+1} l_{t+1} */
    back_sums sum;
} back_state;

/* One token of LANES channels from i on: l = dy C + carry, u = sum l B and the rest of backend.h's scan_back. */
INLINE void back_lanes(const mv_scan_back_job *j, back_state *s, size_t t, int i, bool whole, int count, mv_dtype type,
                       bool held)
{
    static const float zeros[LANES * MV_STATES];
    const size_t e = (size_t)j->channels, at = t * e + (size_t)i, first = (size_t)(i - j->from) * MV_STATES;
    const float *h = held ? NULL : j->h + at * MV_STATES, *before = t && h ? h - e * MV_STATES : zeros;
    float *dh = j->dh ? j->dh + at * MV_STATES : NULL, dt[LANES], dy[LANES], dtx[LANES];
    vf step = GET(j->dt, at, MV_F32), x = GET(j->x, at, type), back = GET(j->dyz, at + t * e, type), lb[VECTORS],
       lah[VECTORS];
    back_sums sum = s->sum; /* in registers, which no store below can change */
    v_store(dt, step);
    v_store(dy, back);
    v_store(dtx, step * x);
#pragma GCC unroll 8
    for (int k = 0; k < VECTORS; k++) {
        float *carry = s->carry + first + k * LANES;
        const int n = whole ? LANES : states_in(count, k), part = k % PARTS;
        vf A = v_load(s->A + first + k * LANES), y = to_states(dy, k), l = y * sum.c[part] + v_load(carry),
           al = v_exp2(to_states(dt, k) * A) * l;
        v_store(carry, al);
        lb[k] = l * sum.b[part];
        if (dh) {
            if (whole)
                v_store(dh + k * LANES, l);
            else
                v_put_part(dh, (size_t)(k * LANES), MV_F32, n, l);
        }
        if (held)
            continue;
        lah[k] = A * al * (whole ? v_load(before + k * LANES) : v_get_part(before, (size_t)(k * LANES), MV_F32, n));
        sum.db[part] += to_states(dtx, k) * l;
        sum.dc[part] += y * (whole ? v_load(h + k * LANES) : v_get_part(h, (size_t)(k * LANES), MV_F32, n));
    }
    s->sum = sum;
    vf u = sum_states(lb);
    PUT(j->dx, at, type, step * u + GET(j->D, (size_t)i, MV_F32) * back);
    if (!held) /* the state before the first token is 0, whatever its step size is */
        PUT(j->ddt, at, MV_F32, t ? x * u + sum_states(lah) * (1 / MV_LOG2E) : x * u);
}

/* The sums over all channels: those of a vector are added */
INLINE void put_sums(float *to, const vf sum[PARTS])
{
    for (int n = 0; n < MV_STATES; n++) {
        to[n] = sum[n / LANES % PARTS][n % LANES];
        for (int k = n + MV_STATES; k < LANES; k += MV_STATES)
            to[n] += sum[0][k];
    }
}

INLINE void scan_back_typed(const mv_scan_back_job *j, bool held, mv_dtype type)
{
    const size_t width = (size_t)j->rank + 2 * MV_STATES;
    const int states = (j->to - j->from) * MV_STATES;
    back_state s = {.A = {0}, .carry = {0}};
    for (int n = 0; n < states; n++)
        s.A[n] = j->A[j->from * MV_STATES + n] * MV_LOG2E;
    for (size_t t = (size_t)j->tokens; t-- > 0;) {
        float row[2 * MV_STATES];
        widen_to(row, j->proj, t * width + (size_t)j->rank, 2 * MV_STATES, type);
        for (int k = 0; k < PARTS; k++) {
            s.sum.b[k] = of_states(row, k);
            s.sum.c[k] = of_states(row + MV_STATES, k);
            s.sum.db[k] = s.sum.dc[k] = v_all(0);
        }
        int i = j->from;
        for (; i + LANES <= j->to; i += LANES)
            back_lanes(j, &s, t, i, true, LANES, type, held);
        if (i < j->to)
            back_lanes(j, &s, t, i, false, j->to - i, type, held);
        if (held)
            continue;
        put_sums(j->sums + t * 2 * MV_STATES, s.sum.db);
        put_sums(j->sums + t * 2 * MV_STATES + MV_STATES, s.sum.dc);
    }
}

void KERNEL(scan_back)(const mv_scan_back_job *j)
{
    if (j->ddt)
        TYPED(scan_back_typed, j->type, j, false);
    else
        TYPED(scan_back_typed, j->type, j, true);
}
