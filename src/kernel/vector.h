/* Vectors of floats in GCC's portable notation, and the functions the network needs of them. Included by
 * the kernels alone, once per instruction set: LANES is how many floats a register of the set holds.
 */
#ifndef MV_VECTOR_H
#define MV_VECTOR_H

#include <stdint.h>
#include <string.h>

#include "src/base/tensor.h"

#if defined(__AVX2__)
#include <immintrin.h> /* for what the portable notation does not say, or compilers do not recognise */
#endif

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef uint32_t vu __attribute__((vector_size(LANES * 4)));
typedef uint16_t vh __attribute__((vector_size(LANES * 2)));

#define MV_LOG2E 1.44269504088896341f /* log2(e) */

#define INLINE static inline __attribute__((always_inline))

INLINE vf v_all(float x)
{
    return x - (vf){0};
}

INLINE vf v_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void v_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

/* LANES elements of a typed row at index i */
INLINE vf v_get(const void *p, size_t i, mv_dtype type)
{
    if (type == MV_F32)
        return v_load((const float *)p + i);
    vh h;
    memcpy(&h, (const uint16_t *)p + i, sizeof h);
    return (vf)(__builtin_convertvector(h, vu) << 16);
}

/* All bits set in every lane that is NaN. */
INLINE vi v_nan(vf x)
{
    return ((vi)x & 0x7fffffff) > 0x7f800000;
}

/* To bf16: to nearest, ties to even; rounding must not turn a NaN into infinity. */
INLINE vh v_halves(vf v)
{
    vu u = (vu)v;
    vu rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
#if defined(__AVX512F__)
    const __mmask16 nans = _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);
    __m512i h = _mm512_mask_set1_epi32((__m512i)rounded, nans, 0x7fc0);
    return (vh)_mm512_cvtepi32_epi16(h);
#else
    vu nan = (vu)v_nan(v);
    return __builtin_convertvector((rounded & ~nan) | ((u >> 16 | 0x40) & nan), vh);
#endif
}

/* The same by one instruction, where there is one: it rounds denormals, below 2^-126, to 0. */
INLINE vh v_near(vf v)
{
#if defined(__AVX512BF16__)
    return (vh)_mm512_cvtneps_pbh((__m512)v);
#else
    return v_halves(v);
#endif
}

INLINE void v_put(void *p, size_t i, mv_dtype type, vf v)
{
    if (type == MV_F32) {
        v_store((float *)p + i, v);
        return;
    }
    vh h = v_near(v);
    memcpy((uint16_t *)p + i, &h, sizeof h);
}

/* The same for the last n < LANES elements of a row; the lanes past them read as 0. */
INLINE vf v_get_part(const void *p, size_t i, mv_dtype type, int n)
{
#if defined(__AVX512F__)
    const __mmask16 these = (__mmask16)((1u << n) - 1);
    if (type == MV_F32)
        return (vf)_mm512_maskz_loadu_ps(these, (const float *)p + i);
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(these, (const uint16_t *)p + i)), 16);
#else
    vf v = {0};
    for (int k = 0; k < n && k < LANES; k++) /* GCC 14 does not see that n is less */
        v[k] =
            type == MV_F32 ? ((const float *)p)[i + (size_t)k] : mv_bf16_to_f32(((const uint16_t *)p)[i + (size_t)k]);
    return v;
#endif
}

INLINE void v_put_part(void *p, size_t i, mv_dtype type, int n, vf v)
{
#if defined(__AVX512F__)
    const __mmask16 these = (__mmask16)((1u << n) - 1);
    if (type == MV_F32)
        _mm512_mask_storeu_ps((float *)p + i, these, (__m512)v);
    else
        _mm256_mask_storeu_epi16((uint16_t *)p + i, these, (__m256i)v_near(v));
#else
    for (int k = 0; k < n && k < LANES; k++)
        if (type == MV_F32)
            ((float *)p)[i + (size_t)k] = v[k];
        else
            ((uint16_t *)p)[i + (size_t)k] = mv_f32_to_bf16(v[k]);
#endif
}

/* sum + a.low b.low + a.high b.high: each lane of a and b holds two bf16. The instruction takes denormals as 0. */
INLINE vf v_dot(vf sum, vi a, vi b)
{
#if defined(__AVX512BF16__)
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
    const vi high = (vi){0} + (int32_t)0xffff0000;
    return sum + (vf)(a << 16) * (vf)(b << 16) + (vf)(a & high) * (vf)(b & high);
#endif
}

INLINE float v_sum(vf v)
{
#if defined(__AVX512F__)
    return _mm512_reduce_add_ps((__m512)v); /* pairwise too */
#else
    for (int half = LANES / 2; half; half /= 2) /* pairwise */
        for (int k = 0; k < half; k++)
            v[k] += v[k + half];
    return v[0];
#endif
}

/* b if either is NaN. */
INLINE vf v_max(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    vi m = a > b;
    return (vf)((m & (vi)a) | (~m & (vi)b));
#endif
}

/* The largest lane; any number if one is NaN. */
INLINE float v_top(vf v)
{
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps((__m512)v);
#else
    for (int half = LANES / 2; half; half /= 2)
        for (int k = 0; k < half; k++)
            v[k] = v[k] > v[k + half] ? v[k] : v[k + half];
    return v[0];
#endif
}

INLINE vf v_min(vf a, vf b)
{
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
    vi m = a < b;
    return (vf)((m & (vi)a) | (~m & (vi)b));
#endif
}

INLINE vf v_abs(vf a)
{
    return (vf)((vi)a & 0x7fffffff);
}

/* p 2^n for a whole number n in [-126, 127] and p in [0.5, 2], NaN where `nan` is set. `bits` is n + `magic`: its last
 * bits are those of n. */
INLINE vf v_scale(vf p, vf n, vf bits, vf magic, vi nan)
{
#if defined(__AVX512F__)
    (void)bits, (void)magic, (void)nan;
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    (void)n;
    return (vf)(((vi)p + (((vi)bits - (vi)magic) << 23)) | nan);
#endif
}

/* 2^x for x in [-126, 127]; below, 2^-126; NaN stays NaN. Minimax polynomial of degree 6 on [-0.5, 0.5]: within 1.5
 * ulp. */
INLINE vf v_exp2(vf x)
{
    const vf magic = v_all(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number */
    vi nan = v_nan(x);
    x = v_max(v_all(-126.0f), v_min(v_all(127.0f), x)); /* in this order NaN stays */
    vf t = x + magic, n = t - magic, f = x - n;
    vf p = v_all(1.535336188319500e-4f);
    p = p * f + 1.339887440266574e-3f;
    p = p * f + 9.618437357674640e-3f;
    p = p * f + 5.550332471162809e-2f;
    p = p * f + 2.402264791363012e-1f;
    p = p * f + 6.931472028550421e-1f;
    p = p * f + 1.0f;
    return v_scale(p, n, t, magic, nan);
}

/* e^x = 2^n (1 + r): a whole number n, also as v_scale's `bits`, and r = e^f - 1 with |f| <= ln 2 / 2. x is clamped to
 * [-87, 88], and reduced by ln 2 in two parts, so that large |x| keep their digits. */
typedef struct {
    vf n, bits, magic, r;
} reduced_exp;

INLINE reduced_exp v_exp_reduced(vf x)
{
    const vf magic = v_all(12582912.0f);
    x = v_max(v_all(-87.0f), v_min(v_all(88.0f), x));
    vf t = x * MV_LOG2E + magic;
    vf n = t - magic;
    vf f = x - n * 0.693359375f;
    f = f - n * -2.12194440e-4f;
    vf p = v_all(1.9875691500e-4f);
    p = p * f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    return (reduced_exp){n, t, magic, p * f * f + f};
}

/* e^x */
INLINE vf v_exp(vf x)
{
    reduced_exp e = v_exp_reduced(x);
    return v_scale(e.r + 1.0f, e.n, e.bits, e.magic, v_nan(x));
}

/* e^x - 1, which keeps its digits where x is small; NaN stays NaN, because r is */
INLINE vf v_expm1(vf x)
{
    reduced_exp e = v_exp_reduced(x);
    vf scale = v_scale(v_all(1), e.n, e.bits, e.magic, (vi){0});
    return e.r * scale + (scale - 1.0f);
}

/* The factor g of silu(x) = x g */
INLINE vf v_sigmoid(vf x)
{
    return 1.0f / (1.0f + v_exp(-x));
}

INLINE vf v_silu(vf x)
{
    return x / (1.0f + v_exp(-x));
}

/* ln(1 + e^x) = max(x, 0) + ln(1 + u), u = e^-|x|; ln(1 + u) = 2 atanh(u / (2 + u)), whose argument is at most 1/3 */
INLINE vf v_softplus(vf x)
{
    vf u = v_exp(-v_abs(x)), s = u / (2.0f + u), z = s * s;
    vf p = v_all(1.0f / 15);
    p = p * z + 1.0f / 13;
    p = p * z + 1.0f / 11;
    p = p * z + 1.0f / 9;
    p = p * z + 1.0f / 7;
    p = p * z + 1.0f / 5;
    p = p * z + 1.0f / 3;
    p = p * z * s + s;
    return v_max(v_all(0), x) + 2.0f * p;
}

/* erf as an odd rational function on [-4, 4], and 1 beyond; the error is at most 3e-7. */
INLINE vf v_erf(vf x)
{
    x = v_max(v_all(-4.0f), v_min(v_all(4.0f), x)); /* in this order NaN stays */
    vf z = x * x;
    vf p = v_all(-2.72614225801306e-10f);
    p = p * z + 2.77068142495902e-08f;
    p = p * z + -2.10102402082508e-06f;
    p = p * z + -5.69250639462346e-05f;
    p = p * z + -7.34990630326855e-04f;
    p = p * z + -2.95459980854025e-03f;
    p = p * z + -1.60960333262415e-02f;
    vf q = v_all(-1.45660718464996e-05f);
    q = q * z + -2.13374055278905e-04f;
    q = q * z + -1.68282697438203e-03f;
    q = q * z + -7.37332916720468e-03f;
    q = q * z + -1.42647390514189e-02f;
    return x * p / q;
}

INLINE vf v_gelu(vf x)
{
    return 0.5f * x * (1.0f + v_erf(x * 0.70710678118654752f));
}

#endif
