/* Kernels on rows of channels: layer norm, epilogues of products, conversions, norms. */
#include <math.h>

#include "src/kernel/kernel_impl.h"

/* Two passes over a row, which stays in the cache: the mean first, then the variance around it. */
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

void KERNEL(layernorm)(void *out, const void *x, const float *weight, const float *bias, float eps, size_t rows, int c,
                       mv_dtype type)
{
    TYPED(layernorm_typed, type, out, x, weight, bias, eps, rows, c);
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

void KERNEL(epilogue)(void *out, mv_dtype out_type, const float *acc, const float *gamma, const void *residual,
                      mv_dtype residual_type, mv_act act, size_t rows, int c)
{
    if (out_type == MV_F32 && residual_type == MV_F32)
        epilogue_typed(out, MV_F32, acc, gamma, residual, MV_F32, act, rows, c);
    else if (out_type == MV_F32)
        epilogue_typed(out, MV_F32, acc, gamma, residual, MV_BF16, act, rows, c);
    else
        epilogue_typed(out, MV_BF16, acc, gamma, residual, MV_BF16, act, rows, c);
}

void KERNEL(widen)(float *out, const void *in, mv_dtype type, size_t n)
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

void KERNEL(narrow)(void *out, mv_dtype type, const float *in, size_t n)
{
    if (type == MV_F32) {
        memcpy(out, in, n * sizeof *in);
        return;
    }
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) { /* with denormals */
        vh h = v_halves(v_load(in + i));
        memcpy((uint16_t *)out + i, &h, sizeof h);
    }
    for (; i < n; i++)
        ((uint16_t *)out)[i] = mv_f32_to_bf16(in[i]);
}

void KERNEL(norm)(float *out, const float *x, size_t rows, size_t n)
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
