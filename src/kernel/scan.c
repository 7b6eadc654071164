/* Kernels of the mixer: the short convolution, the step size, the selective scan (arXiv 2312.00752) and its output. */
#include "src/kernel/kernel_impl.h"

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

void KERNEL(conv1d_silu)(void *x, void *yz, const void *xz, const float *wx, const float *wz, int tokens, int e,
                         int from, int to, mv_dtype type)
{
    TYPED(conv1d_typed, type, x, yz, xz, wx, wz, tokens, e, from, to);
}

/* Elements of proj that are widened together, a multiple of LANES: as scalars they cost more than what is done with
 * them. */
enum { CHUNK = 64 };

/* sum + W r for n ranks from the `first` on */
INLINE vf step_sum(vf sum, const float *r, int n, const float *weight, int first, int e, int i, bool whole, int count)
{
    for (int k = 0; k < n; k++)
        sum += r[k] * GET(weight, (size_t)(first + k) * (size_t)e + (size_t)i, MV_F32);
    return sum;
}

/* softplus(W r + 2b) of one token, for the channels from i on; its row of proj begins at `row`. */
INLINE vf step_at(const void *proj, size_t row, const float *weight, const float *bias, int e, int rank, int i,
                  bool whole, int count, mv_dtype type)
{
    vf sum = GET(bias, (size_t)i, MV_F32);
    if (type == MV_F32)
        return v_softplus(step_sum(sum, (const float *)proj + row, rank, weight, 0, e, i, whole, count));
    for (int from = 0; from < rank; from += CHUNK) {
        float room[CHUNK];
        int n = rank - from < CHUNK ? rank - from : CHUNK;
        widen_to(room, proj, row + (size_t)from, n, type);
        sum = step_sum(sum, room, n, weight, from, e, i, whole, count);
    }
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

void KERNEL(step)(float *dt, const void *proj, const float *weight, const float *bias, size_t tokens, int e, int rank,
                  mv_dtype type)
{
    TYPED(step_typed, type, dt, proj, weight, bias, tokens, e, rank);
}

/* y = C . h + D x */
INLINE vf read_states(const vf h[MV_STATES], const float *c, vf d, vf x)
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
            a[n][k] = j->A[(at + (size_t)k) * MV_STATES + (size_t)n] * MV_LOG2E;
    }
    for (size_t t = 0; t < (size_t)j->tokens; t++) {
        float b[CHUNK], *c = b + MV_STATES;
        widen_to(b, j->proj, t * width + (size_t)j->rank, 2 * MV_STATES, type);
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

void KERNEL(scan)(const mv_scan_job *j)
{
    TYPED(scan_typed, j->type, j);
}

/* One state of `count` channels, whose states are MV_STATES elements apart. */
INLINE vf state_of(const float *h, int count)
{
    vf v = v_all(0);
    for (int k = 0; k < count; k++)
        v[k] = h[(size_t)k * MV_STATES];
    return v;
}

void KERNEL(readout)(void *yz, const void *x, const void *proj, const float *h, const float *D, size_t tokens, int e,
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
