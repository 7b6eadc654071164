/* Gradients of a block's small operations: the layer norm, the short convolution and the step size. */
#include <math.h>

#include "src/kernel/kernel_impl.h"

/* d without its lanes past `count`, which would count in a sum. */
INLINE vf counted(vf d, int count)
{
    for (int k = count; k < LANES; k++)
        d[k] = 0;
    return d;
}

/* With e = weight dy and d = x - mean, and since the mean of d is 0: dx = r (e - mean e - d r^2 mean((e - mean e) d)).
 * The mean of e is made in two steps, so that dx is exactly 0 where all e are equal. */
INLINE void layernorm_back_typed(void *dx, const void *dy, const void *x, const float *weight, float eps, bool held,
                                 const void *residual, size_t rows, int c, mv_dtype type)
{
    for (size_t r = 0; r < rows; r++) {
        const void *in = row_of(x, r, c, type), *from = row_of(dy, r, c, type),
                   *before = residual ? row_of(residual, r, c, type) : NULL;
        void *to = row_to(dx, r, c, type);
        vf sum = {0}, sum_e = {0}, square = {0}, left = {0}, product = {0};
        OVER(c, {
            sum += GET(in, (size_t)i, type);
            sum_e += GET(from, (size_t)i, type) * GET(weight, (size_t)i, MV_F32);
        });
        const float mean = v_sum(sum) / (float)c, mean_e = v_sum(sum_e) / (float)c;
        OVER(c, {
            vf d = GET(in, (size_t)i, type) - mean;
            vf e = GET(from, (size_t)i, type) * GET(weight, (size_t)i, MV_F32) - mean_e;
            if (!whole) {
                d = counted(d, count);
                e = counted(e, count);
            }
            square += d * d;
            left += e;
            product += d * e;
        });
        const float scale = 1 / sqrtf(v_sum(square) / (float)c + eps), rest = v_sum(left) / (float)c,
                    tilt = v_sum(product) / (float)c * scale * scale;
        OVER(c, {
            vf v = GET(from, (size_t)i, type) * GET(weight, (size_t)i, MV_F32) - mean_e - rest;
            if (!held)
                v -= (GET(in, (size_t)i, type) - mean) * tilt;
            v *= scale;
            if (before)
                v += GET(before, (size_t)i, type);
            PUT(to, (size_t)i, type, v);
        });
    }
}

void KERNEL(layernorm_back)(void *dx, const void *dy, const void *x, const float *weight, float eps, bool held,
                            const void *residual, size_t rows, int c, mv_dtype type)
{
    TYPED(layernorm_back_typed, type, dx, dy, x, weight, eps, held, residual, rows, c);
}

/* da = dy k(a): k = g + a g (1 - g), or g if held */
INLINE vf silu_back(vf dy, vf a, bool held)
{
    vf g = v_sigmoid(a);
    return dy * (held ? g : g + a * g * (1.0f - g));
}

/* With da = 0 outside the window, dx_t = w2 da_{t-1} + w1 da_t + w0 da_{t+1}: each da is made once, one token ahead. */
INLINE void conv1d_back_typed(void *dxz, const void *dx, const void *dyz, const void *xz, const float *wx,
                              const float *wz, bool held, int tokens, int e, int from, int to, mv_dtype type)
{
    for (int half = 0; half < 2; half++) {
        const float *w = half ? wz : wx;
        OVER(e, {
            vf w0 = tap_of(w, i, 0, count), w1 = tap_of(w, i, 1, count), w2 = tap_of(w, i, 2, count);
            size_t column = (size_t)(half * e + i), step = 2 * (size_t)e;
            int first = from > 0 ? from - 1 : 0;
            vf x0 = first > 0 ? GET(xz, (size_t)(first - 1) * step + column, type) : v_all(0),
               x1 = GET(xz, (size_t)first * step + column, type), d0 = v_all(0), d1 = v_all(0);
            for (int t = first; t <= to; t++) { /* da of t, then dx of t - 1 */
                vf d2 = v_all(0);
                if (t < tokens) {
                    vf x2 = t + 1 < tokens ? GET(xz, (size_t)(t + 1) * step + column, type) : v_all(0);
                    vf dy = half ? GET(dyz, (size_t)t * step + column, type)
                                 : GET(dx, (size_t)t * (size_t)e + (size_t)i, type);
                    d2 = silu_back(dy, x0 * w0 + x1 * w1 + x2 * w2, held);
                    x0 = x1;
                    x1 = x2;
                }
                if (t > from)
                    PUT(dxz, (size_t)(t - 1) * step + column, type, w2 * d0 + w1 * d1 + w0 * d2);
                d0 = d1;
                d1 = d2;
            }
        });
    }
}

void KERNEL(conv1d_silu_back)(void *dxz, const void *dx, const void *dyz, const void *xz, const float *wx,
                              const float *wz, bool held, int tokens, int e, int from, int to, mv_dtype type)
{
    if (held)
        TYPED(conv1d_back_typed, type, dxz, dx, dyz, xz, wx, wz, true, tokens, e, from, to);
    else
        TYPED(conv1d_back_typed, type, dxz, dx, dyz, xz, wx, wz, false, tokens, e, from, to);
}

enum { RANKS = 4 }; /* whose sums are made together, so that s is read once for them */

/* dr = sum over channels of s W of `n` ranks from the `first` on; n is a constant. */
INLINE void step_back_sums(float *sum, const float *s, const float *weight, int first, int n, int e)
{
    vf v[RANKS] = {{0}};
    OVER(e, {
        vf d = GET(s, (size_t)i, MV_F32);
        for (int k = 0; k < n; k++)
            v[k] += d * GET(weight, (size_t)(first + k) * (size_t)e + (size_t)i, MV_F32);
    });
    for (int k = 0; k < n; k++)
        sum[k] = v_sum(v[k]);
}

/* s = ddt (1 - exp(-dt)): the derivative of softplus at a is sigma(a) = 1 - exp(-dt) */
INLINE void step_back_typed(void *dproj, const float *ddt, const float *dt, const float *weight, size_t tokens, int e,
                            int rank, float *s, mv_dtype type)
{
    for (size_t t = 0; t < tokens; t++) {
        OVER(e, {
            size_t at = t * (size_t)e + (size_t)i;
            PUT(s, (size_t)i, MV_F32, GET(ddt, at, MV_F32) * -v_expm1(-GET(dt, at, MV_F32)));
        });
        void *to = row_to(dproj, t, rank + 2 * MV_STATES, type);
        float sum[RANKS];
        for (int r = 0; r < rank; r += RANKS) {
            int n = rank - r < RANKS ? rank - r : RANKS;
            if (n == RANKS)
                step_back_sums(sum, s, weight, r, RANKS, e);
            else
                for (int k = 0; k < n; k++)
                    step_back_sums(sum + k, s, weight, r + k, 1, e);
            KERNEL(narrow)(row_to(to, (size_t)r, 1, type), type, sum, (size_t)n);
        }
    }
}

void KERNEL(step_back)(void *dproj, const float *ddt, const float *dt, const float *weight, size_t tokens, int e,
                       int rank, mv_dtype type, float *scratch)
{
    TYPED(step_back_typed, type, dproj, ddt, dt, weight, tokens, e, rank, scratch);
}
