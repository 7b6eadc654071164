#include "src/base/tensor.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[MV_DTYPES] = {
    [MV_F32] = {"F32", 4}, [MV_F16] = {"F16", 2}, [MV_BF16] = {"BF16", 2}, [MV_F64] = {"F64", 8},
    [MV_I64] = {"I64", 8}, [MV_I32] = {"I32", 4}, [MV_U8] = {"U8", 1},
};

size_t mv_dtype_size(mv_dtype type)
{
    return dtypes[type].size;
}

const char *mv_dtype_name(mv_dtype type)
{
    return dtypes[type].name;
}

mv_tensor mv_tensor_of(void *data, mv_dtype type, int nd, ...)
{
    mv_tensor t = {.data = data, .type = type, .nd = nd};
    va_list dims;
    va_start(dims, nd);
    for (int i = 0; i < nd; i++)
        t.dim[i] = va_arg(dims, int);
    va_end(dims);
    return t;
}

static size_t product(int nd, const int *dim)
{
    size_t n = 1;
    for (int i = 0; i < nd; i++)
        n *= (size_t)dim[i];
    return n;
}

size_t mv_tensor_count(mv_tensor t)
{
    return product(t.nd, t.dim);
}

size_t mv_tensor_bytes(mv_tensor t)
{
    return mv_tensor_count(t) * mv_dtype_size(t.type);
}

bool mv_tensor_same_shape(mv_tensor a, mv_tensor b)
{
    if (a.nd != b.nd)
        return false;
    for (int i = 0; i < a.nd; i++)
        if (a.dim[i] != b.dim[i])
            return false;
    return true;
}

mv_view mv_view_of(mv_tensor t)
{
    mv_view v = {.data = t.data, .type = t.type, .nd = t.nd};
    ptrdiff_t step = 1;
    for (int i = t.nd - 1; i >= 0; i--) {
        v.dim[i] = t.dim[i];
        v.stride[i] = step;
        step *= t.dim[i];
    }
    return v;
}

size_t mv_view_count(mv_view v)
{
    return product(v.nd, v.dim);
}

const char *mv_shape_text(char text[64], int nd, const int *dim)
{
    size_t at = 0;
    text[0] = 0;
    for (int i = 0; i < nd && at < 52; i++)
        at += (size_t)snprintf(text + at, 64 - at, i ? "x%d" : "%d", dim[i]);
    if (nd == 0)
        snprintf(text, 64, "scalar");
    return text;
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* Without a branch, so that loops over it run in vectors: the exponent is moved by a product, which is exact for
 * subnormals too. */
static inline float widen_f16(uint16_t h)
{
    uint32_t a = (uint32_t)(h & 0x7fff) << 13, special = (h & 0x7c00) == 0x7c00 ? 0x7f800000 : 0;
    return float_of((bits_of(float_of(a) * 0x1p112f) & (special ? 0x007fffff : 0xffffffff)) | special |
                    (uint32_t)(h & 0x8000) << 16);
}

float mv_f16_to_f32(uint16_t h)
{
    return widen_f16(h);
}

uint16_t mv_f32_to_f16(float f)
{
    uint32_t u = bits_of(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (a >= 0x477ff000) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (a < 0x38800000) { /* subnormal: adding 0.5 lets the FPU round at the right bit */
        float r = float_of(a) + 0.5f;
        return (uint16_t)(sign | (bits_of(r) - 0x3f000000));
    }
    a += 0xc8000fff + (a >> 13 & 1);
    return (uint16_t)(sign | a >> 13);
}

float mv_e4m3_to_f32(uint8_t b)
{
    uint32_t a = b & 0x7f, sign = (uint32_t)(b & 0x80) << 24;
    if (a == 0x7f)
        return float_of(sign | 0x7fc00000);
    if (a < 8)
        return float_of(bits_of((float)a * 0x1p-9f) | sign);
    return float_of(((a << 20) + 0x3c000000) | sign);
}

uint8_t mv_f32_to_e4m3(float f)
{
    uint32_t u = bits_of(f), sign = u >> 24 & 0x80, a = u & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint8_t)(sign | 0x7f);
    if (a >= 0x43e00000)
        return (uint8_t)(sign | 0x7e);
    if (a < 0x3c800000) { /* subnormal, as above */
        float r = float_of(a) + 0x1p14f;
        return (uint8_t)(sign | (bits_of(r) - 0x46800000));
    }
    a += 0x7ffff + (a >> 20 & 1);
    return (uint8_t)(sign | ((a >> 20) - 0x3c0));
}

float mv_bf16_to_f32(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

uint16_t mv_f32_to_bf16(float f)
{
    uint32_t u = bits_of(f);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

size_t mv_first_not_finite(const float *x, size_t n)
{
    enum { EXPONENT = 0x7f800000 };
    uint32_t found = 0; /* of whole numbers, so that the loop runs in vectors */
    for (size_t i = 0; i < n; i++)
        found |= (bits_of(x[i]) & EXPONENT) == EXPONENT;
    for (size_t i = 0; i < n && found; i++)
        if (!isfinite(x[i]))
            return i;
    return n;
}

void mv_to_f32(float *out, const void *in, mv_dtype type, size_t n)
{
    const uint16_t *half = in;
    switch (type) {
    case MV_F32: memcpy(out, in, n * sizeof *out); break;
    case MV_F16:
        for (size_t i = 0; i < n; i++)
            out[i] = widen_f16(half[i]);
        break;
    case MV_BF16:
        for (size_t i = 0; i < n; i++)
            out[i] = mv_bf16_to_f32(half[i]);
        break;
    case MV_F64:
        for (size_t i = 0; i < n; i++)
            out[i] = (float)((const double *)in)[i];
        break;
    case MV_I64:
        for (size_t i = 0; i < n; i++)
            out[i] = (float)((const int64_t *)in)[i];
        break;
    case MV_I32:
        for (size_t i = 0; i < n; i++)
            out[i] = (float)((const int32_t *)in)[i];
        break;
    case MV_U8:
        for (size_t i = 0; i < n; i++)
            out[i] = ((const uint8_t *)in)[i];
        break;
    case MV_DTYPES: break;
    }
}

void mv_from_f32(void *out, mv_dtype type, const float *in, size_t n)
{
    uint16_t *half = out;
    switch (type) {
    case MV_F32: memcpy(out, in, n * sizeof *in); break;
    case MV_F16:
        for (size_t i = 0; i < n; i++)
            half[i] = mv_f32_to_f16(in[i]);
        break;
    case MV_BF16:
        for (size_t i = 0; i < n; i++)
            half[i] = mv_f32_to_bf16(in[i]);
        break;
    case MV_F64:
        for (size_t i = 0; i < n; i++)
            ((double *)out)[i] = in[i];
        break;
    case MV_I64:
        for (size_t i = 0; i < n; i++)
            ((int64_t *)out)[i] = (int64_t)in[i];
        break;
    case MV_I32:
        for (size_t i = 0; i < n; i++)
            ((int32_t *)out)[i] = (int32_t)in[i];
        break;
    case MV_U8:
        for (size_t i = 0; i < n; i++)
            ((uint8_t *)out)[i] = (uint8_t)in[i];
        break;
    case MV_DTYPES: break;
    }
}
