#include "src/kernel/kernels.h"

/* The tables that the Makefile compiles: those of fuzzers have none for AVX-512. */
extern const mv_kernels mv_kernels_plain;
#if defined(__x86_64__)
extern const mv_kernels mv_kernels_avx2;
#if !defined(MV_NO_AVX512)
extern const mv_kernels mv_kernels_avx512, mv_kernels_avx512bf16;
#endif
#endif

const mv_kernels *mv_kernels_at(int i)
{
    const mv_kernels *here[4];
    int n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
#if !defined(MV_NO_AVX512)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        if (__builtin_cpu_supports("avx512bf16"))
            here[n++] = &mv_kernels_avx512bf16;
        here[n++] = &mv_kernels_avx512;
    }
#endif
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
