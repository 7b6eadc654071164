#include "src/kernel/kernels.h"

/* The tables that the Makefile compiles: of fuzzers only the plain one. */
extern const mv_kernels mv_kernels_plain;
#if defined(__x86_64__) && !defined(MV_KERNELS_PLAIN)
extern const mv_kernels mv_kernels_avx2, mv_kernels_avx512, mv_kernels_avx512bf16;
#endif

const mv_kernels *mv_kernels_at(int i)
{
    const mv_kernels *here[4];
    int n = 0;
#if defined(__x86_64__) && !defined(MV_KERNELS_PLAIN)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        if (__builtin_cpu_supports("avx512bf16"))
            here[n++] = &mv_kernels_avx512bf16;
        here[n++] = &mv_kernels_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        here[n++] = &mv_kernels_avx2;
#endif
    here[n++] = &mv_kernels_plain;
    return i >= 0 && i < n ? here[i] : (const mv_kernels *)0;
}

const mv_kernels *mv_kernels_best(void)
{
    return mv_kernels_at(0);
}
