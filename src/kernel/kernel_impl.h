/* What the kernels share: loops over vectors, typed rows, and the names under which they are compiled.
 *
 * Every file of this room but dispatch.c is compiled once per instruction set, with MV_ISA as its name. KERNEL(scan) is
 * the function `scan` of that instruction set; table.c collects them in mv_kernels_plain, mv_kernels_avx2, ...
 */
#ifndef MV_KERNEL_IMPL_H
#define MV_KERNEL_IMPL_H

#include "src/kernel/kernels.h"
#include "src/kernel/vector.h"

/* ---- the table: its entries, each a function of mv_kernels' type */

/* clang-format off */
#define KERNELS(X)                                                                                                     \
    X(layernorm) X(epilogue) X(widen) X(narrow) X(norm)                                                                \
    X(conv1d_silu) X(step) X(scan) X(readout)                                                                          \
    X(layernorm_back) X(conv1d_silu_back) X(step_back) X(scan_back)                                                    \
    X(hidden_blocks) X(hidden_scratch) X(hidden) X(half_life) X(half_life_scratch)                                     \
    X(spread_scratch) X(spread) X(roll)                                                                                \
    X(packed) X(scores) X(pack) X(attention) X(attend)                                                                 \
    X(attention_back_scratch) X(attention_back)                                                                        \
    X(activate) X(activate_back) X(dot) X(gather) X(mean_back)                                                         \
    X(bicubic)
/* clang-format on */

#define JOIN2(a, b)  a##b
#define JOIN(a, b)   JOIN2(a, b)
#define KERNEL(name) JOIN(mv_kernel_##name##_, MV_ISA)

#define DECLARE(name) __typeof__(*((mv_kernels *)NULL)->name) KERNEL(name);
KERNELS(DECLARE)
#undef DECLARE

/* ---- element types */

/* Calls f(..., type) with a constant type, so that f is compiled for each type without a branch in its loops. */
#define TYPED(f, type, ...) ((type) == MV_F32 ? f(__VA_ARGS__, MV_F32) : f(__VA_ARGS__, MV_BF16))

INLINE float scalar(const void *p, size_t i, mv_dtype type)
{
    return type == MV_F32 ? ((const float *)p)[i] : mv_bf16_to_f32(((const uint16_t *)p)[i]);
}

INLINE const void *row_of(const void *p, size_t row, int c, mv_dtype type)
{
    return (const char *)p + row * (size_t)c * (type == MV_F32 ? 4 : 2);
}

INLINE void *row_to(void *p, size_t row, int c, mv_dtype type)
{
    return (char *)p + row * (size_t)c * (type == MV_F32 ? 4 : 2);
}

/* n elements as fp32. `to` has room for a multiple of LANES, and gets zeros behind them. */
INLINE void widen_to(float *to, const void *from, size_t at, int n, mv_dtype type)
{
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(to + i, v_get(from, at + (size_t)i, type));
    if (i < n)
        v_store(to + i, v_get_part(from, at + (size_t)i, type, n - i));
}

/* ---- weights */

/* One tap of `count` channels. In memory the three taps of a channel are adjacent (E 1 3). */
INLINE vf tap_of(const float *w, int channel, int tap, int count)
{
    vf v = {0};
    for (int k = 0; k < count; k++)
        v[k] = w[(channel + k) * MV_TAPS + tap];
    return v;
}

/* ---- loops */

/* Runs its body for every vector of n elements. The body sees the index `i` of the first element, the number `count` of
 * elements (LANES, but fewer in the last vector) and `whole`, which is a constant, as is `count` where it is 1. */
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

#endif
