/* What the sources of kernels need, from nvcc or from the emulation of the tests (tests/simt.h):
 * launches, shared memory, the 16-bit types as fp32 and back, wide loads, sums over a warp, the tensor cores' product,
 * and copies that do not wait.
 *
 * Kernels get shared memory only by MV_SHARED, reach shuffles with whole warps and barriers with whole blocks, and are
 * launched by mv_launch and begin with wait_for_inputs, so that both builds run the same code.
 */
#pragma once

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <type_traits>

#define MV_SHARED(T, name)                                                                                             \
    extern __shared__ __align__(16) unsigned char mv_shared_memory[];                                                  \
    T *name = reinterpret_cast<T *>(mv_shared_memory)
#define MV_WAITED() ((void)0) /* the emulation checks that wait_for_inputs was called */

/* A kernel may start while the one before it still ends: it calls wait_for_inputs before it reads or writes what others
 * use, and its successor may start from there on. Code for cards before compute capability 9.0 cannot wait, so it is
 * launched when its predecessor has ended; ptxVersion is that of the code that this card runs. */
template <class... P, class... A>
void mv_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream, A... a)
{
    const void *code = reinterpret_cast<const void *>(kernel);
    if (shared > 48 << 10) /* more than every card has by default must be requested */
        cudaFuncSetAttribute(code, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    cudaFuncAttributes compiled = {};
    cudaFuncGetAttributes(&compiled, code);
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t launch = {};
    launch.gridDim = grid;
    launch.blockDim = block;
    launch.dynamicSmemBytes = shared;
    launch.stream = stream;
    launch.attrs = &early;
    launch.numAttrs = compiled.ptxVersion >= 90;
    cudaLaunchKernelEx(&launch, kernel, static_cast<P>(a)...);
}

#else
#include "tests/simt.h"
#endif

extern "C" {
#include "src/base/backend.h"
}

namespace mv
{

/* At the head of every kernel, by all threads: returns when all earlier work of the stream has ended and its results
 * can be read. Before it only indices are computed and weights are read, by load_early. */
#ifdef __CUDACC__
__device__ inline void wait_for_inputs()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
#endif

using half_t = __half;
using bf16_t = __nv_bfloat16;

constexpr float LOG2E = 1.44269504088896341f; /* log2 e: exp(x) = exp2(x log2 e) */

/* A size or an index, for products of them that int does not hold */
__host__ __device__ inline size_t at(int i)
{
    return static_cast<size_t>(i);
}

__device__ inline float to_float(float x)
{
    return x;
}
__device__ inline float to_float(half_t x)
{
    return __half2float(x);
}
__device__ inline float to_float(bf16_t x)
{
    return __bfloat162float(x);
}

template <class T> __device__ T from_float(float x);
template <> __device__ inline float from_float<float>(float x)
{
    return x;
}
template <> __device__ inline half_t from_float<half_t>(float x)
{
    return __float2half_rn(x);
}
template <> __device__ inline bf16_t from_float<bf16_t>(float x)
{
    return __float2bfloat16_rn(x);
}

/* N values moved at once: 16 bytes where N is 16 / sizeof(T) */
template <class T, int N> struct alignas(sizeof(T) * N) pack {
    T v[N];
};

template <class T, int N> __device__ __forceinline__ pack<T, N> load_early(const T *p)
{
#ifdef __CUDACC__
    return *reinterpret_cast<const pack<T, N> *>(p);
#else
    pack<T, N> x;
    simt::load(&x, p, sizeof x);
    return x;
#endif
}
template <class T, int N> __device__ __forceinline__ pack<T, N> load(const T *p)
{
    MV_WAITED();
    return load_early<T, N>(p);
}
/* N values of a vector of weights before wait_for_inputs; aligned to 16 bytes if N is a multiple of 4 */
template <int N> __device__ void load_vector(float (&to)[N], const float *from)
{
    constexpr int WIDE = N % 4 ? 1 : 4;
#pragma unroll
    for (int i = 0; i < N; i += WIDE) {
        pack<float, WIDE> p = load_early<float, WIDE>(from + i);
#pragma unroll
        for (int k = 0; k < WIDE; k++)
            to[i + k] = p.v[k];
    }
}
/* To shared memory before wait_for_inputs */
template <class T, int N> __device__ __forceinline__ void store_early(T *p, const pack<T, N> &x)
{
#ifdef __CUDACC__
    *reinterpret_cast<pack<T, N> *>(p) = x;
#else
    simt::store(p, &x, sizeof x);
#endif
}
template <class T, int N> __device__ __forceinline__ void store(T *p, const pack<T, N> &x)
{
    MV_WAITED();
    store_early<T, N>(p, x);
}
/* To global memory, 16 bytes by one instruction: of a struct whose values come from memory or are computed one by one,
 * nvcc may store each member. */
template <class T, int N> __device__ __forceinline__ void store_global(T *p, const pack<T, N> &x)
{
    if constexpr (sizeof x % 16 == 0) {
        MV_WAITED();
        unsigned w[sizeof x / 4];
        memcpy(w, &x, sizeof x);
#pragma unroll
        for (unsigned i = 0; i < sizeof x / 4; i += 4) {
            unsigned *to = reinterpret_cast<unsigned *>(p) + i;
#ifdef __CUDACC__
            asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(w[i]), "r"(w[i + 1]), "r"(w[i + 2]),
                         "r"(w[i + 3])
                         : "memory");
#else
            simt::store(to, w + i, 16);
#endif
        }
    } else
        store<T, N>(p, x);
}

/* One value of each of LANES neighbours in a warp, combined in pairs: the same result in all of them. Called by whole
 * warps. */
template <int LANES, class T, class F> __device__ T combined(T x, F combine)
{
#pragma unroll
    for (int d = LANES / 2; d; d /= 2)
        x = combine(x, __shfl_xor_sync(~0u, x, d));
    return x;
}
template <int LANES = 32, class T> __device__ T warp_sum(T x)
{
    return combined<LANES>(x, [](T a, T b) { return a + b; });
}
__device__ inline float warp_max(float x)
{
    return combined<32>(x, [](float a, float b) { return fmaxf(a, b); });
}
__device__ inline float warp_min(float x)
{
    return combined<32>(x, [](float a, float b) { return fminf(a, b); });
}

#ifdef __CUDACC__
/* 2^x by one instruction, within 2 units of the last place; a result below 2^-126 is 0 */
__device__ inline float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
/* 1 / x by one instruction, within 1 unit of the last place; a result below 2^-126 is 0 */
__device__ inline float reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#endif

/* x / (1 + exp(-x)) */
__device__ inline float silu(float x)
{
    return x * reciprocal(1.0f + exp2_fast(-LOG2E * x));
}

/* The tanh form of GELU is x / (1 + exp(-2 u)), u the argument of tanh. */
__device__ inline float activated(float x, mv_act act)
{
    switch (act) {
    case MV_ACT_RELU: return x < 0.0f ? 0.0f : x; /* keeps NaN */
    case MV_ACT_GELU: /* Hendrycks & Gimpel 2016: x Phi(x) */ return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case MV_ACT_GELU_TANH: return x * reciprocal(1.0f + exp2_fast(x * (-2.30220819813f - 0.10294324f * x * x)));
    default: return x;
    }
}

/* The power of two by which `most` is in (224, 448], 448 being the largest number of E4M3: a product with it is exact.
 * 0 for 0, and for an infinity. */
__host__ __device__ inline float e4m3_range(float most)
{
    unsigned u;
    memcpy(&u, &most, sizeof u);
    unsigned exponent = u >> 23, at = 262 - exponent - ((u & 0x7fffff) > 0x600000);
    u = exponent == 0 || exponent == 255 ? 0 : at << 23;
    float by;
    memcpy(&by, &u, sizeof by);
    return by;
}

/* 1 / x of a power of two, exactly */
__host__ __device__ inline float inverse_power(float x)
{
    unsigned u;
    memcpy(&u, &x, sizeof u);
    u = (254u << 23) - u;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Two neighbours as E4M3, up to +-448: the first one in the low byte. */
#ifdef __CUDACC__
__device__ inline unsigned short to_e4m3(float first, float second)
{
    return __nv_cvt_float2_to_fp8x2(make_float2(first, second), __NV_SATFINITE, __NV_E4M3);
}
#endif

/* Two neighbours as a register for the tensor cores: the first one in the low half. */
template <class T> __device__ unsigned paired(float first, float second)
{
#ifdef __CUDACC__ /* one instruction */
    if constexpr (sizeof(T) == 2 && !std::is_same<T, bf16_t>::value) {
        __half2 p = __floats2half2_rn(first, second);
        return *reinterpret_cast<unsigned *>(&p);
    } else {
        __nv_bfloat162 p = __floats2bfloat162_rn(first, second);
        return *reinterpret_cast<unsigned *>(&p);
    }
#else
    pack<T, 2> p = {{from_float<T>(first), from_float<T>(second)}};
    unsigned u;
    memcpy(&u, &p, sizeof u);
    return u;
#endif
}

/* The tensor cores. c (16 x 8, fp32) += a (16 x K) b (K x 8) by a warp, K = 16 or 8; fragments as in PTX's
 * mma.m16n8k16: lane 4g + t holds of c rows g and g + 8, columns 2t and 2t + 1; of a the same rows, columns 2t.. and,
 * if K is 16, 2t + 8..; of b rows 2t.. and 2t + 8.., column g. */
#ifdef __CUDACC__
#define MV_MMA(K, TYPE, A, B, ...)                                                                                     \
    asm volatile("mma.sync.aligned.m16n8k" K ".row.col.f32." TYPE "." TYPE ".f32 {%0,%1,%2,%3}, {" A "}, {" B          \
                 "}, {%0,%1,%2,%3};"                                                                                   \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                      \
                 : __VA_ARGS__)
#define MV_MMA_16(TYPE)                                                                                                \
    MV_MMA("16", TYPE, "%4,%5,%6,%7", "%8,%9", "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
#define MV_MMA_8(TYPE) MV_MMA("8", TYPE, "%4,%5", "%6", "r"(a[0]), "r"(a[1]), "r"(b[0]))
__device__ inline void mma(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], half_t)
{
    MV_MMA_16("f16");
}
__device__ inline void mma(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2], bf16_t)
{
    MV_MMA_16("bf16");
}
__device__ inline void mma(float (&c)[4], const unsigned (&a)[2], const unsigned (&b)[1], half_t)
{
    MV_MMA_8("f16");
}
__device__ inline void mma(float (&c)[4], const unsigned (&a)[2], const unsigned (&b)[1], bf16_t)
{
    MV_MMA_8("bf16");
}
#undef MV_MMA_8
#undef MV_MMA_16
#undef MV_MMA
#endif

/* A place in shared memory as the instructions below take it. A loop that computes it from a pointer asks for the
 * start of the block's shared memory each time round; a held one stays in its register. */
#ifdef __CUDACC__
template <class T> struct place {
    unsigned at;

    __device__ place operator+(int n) const
    {
        return {at + static_cast<unsigned>(n) * static_cast<unsigned>(sizeof(T))};
    }
};
template <class T> __device__ place<T> place_of(T *p)
{
    return {static_cast<unsigned>(__cvta_generic_to_shared(p))};
}
template <class T> __device__ place<T> held(place<T> p) /* by whole warps */
{
    return {__shfl_sync(~0u, p.at, static_cast<int>(threadIdx.x % 32))};
}
#else
template <class T> using place = T *;
template <class T> place<T> place_of(T *p)
{
    return p;
}
template <class T> T *held(T *p)
{
    return p;
}
#endif

/* threadIdx.x and blockDim.x, read again: a kernel whose loop needs all registers keeps neither them nor what follows
 * from them. */
#ifdef __CUDACC__
__device__ inline int thread_again()
{
    int x;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(x));
    return x;
}
__device__ inline int threads_again()
{
    int x;
    asm volatile("mov.u32 %0, %%ntid.x;" : "=r"(x));
    return x;
}
#else
inline int thread_again()
{
    return static_cast<int>(threadIdx.x);
}
inline int threads_again()
{
    return static_cast<int>(blockDim.x);
}
#endif

/* Four matrices of 8 x 8 values of 16 bits from shared memory, by a warp: lane i gives the address of row i % 8 of
 * matrix i / 8, aligned to 16 bytes. r[m] is row g, columns 2t and 2t + 1, of matrix m; if TURNED column g, rows 2t and
 * 2t + 1. */
#ifdef __CUDACC__
#define MV_LOAD_MATRICES(FORM)                                                                                         \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4" FORM ".shared.b16 {%0,%1,%2,%3}, [%4];"                               \
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])                                                      \
                 : "r"(row.at)                                                                                         \
                 : "memory")
template <bool TURNED, class T> __device__ void load_matrices(unsigned (&r)[4], place<T> row)
{
    static_assert(sizeof(T) == 2);
    if constexpr (TURNED)
        MV_LOAD_MATRICES(".trans");
    else
        MV_LOAD_MATRICES("");
}
#undef MV_LOAD_MATRICES
#endif

/* Starts to copy 16 bytes from global to shared memory, both aligned to 16, past the registers and the first level of
 * the cache: `bytes` of the source, and zeros behind. What a thread began before a commit is a group; copy_wait<N>
 * waits until N of the thread's groups at most are on their way. A barrier then shows the values to the block. */
#ifdef __CUDACC__
__device__ inline void copy_async(void *shared, const void *global, int bytes)
{
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
        "l"(global), "r"(bytes)
        : "memory");
}
__device__ inline void copy_async(void *shared, const void *global)
{
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
        "l"(global)
        : "memory");
}
__device__ inline void copy_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int N> __device__ void copy_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
#endif

/* log(1 + exp(x)) = max(x, 0) + log1p(e), e = exp(-|x|); of log1p(e) / e the minimax polynomial of degree 8 in [0, 1],
 * within 2e-7 in fp32, so that steps near 0 are as exact as large ones */
__device__ inline float softplus(float x)
{
    float e = exp2_fast(-LOG2E * fabsf(x)), p = 0x1.56e8d4p-8f;
    p = p * e - 0x1.e36854p-6f;
    p = p * e + 0x1.406af2p-4f;
    p = p * e - 0x1.17d41ep-3f;
    p = p * e + 0x1.874baap-3f;
    p = p * e - 0x1.fcc93ep-3f;
    p = p * e + 0x1.55300ep-2f;
    p = p * e - 0x1.fffeacp-2f;
    p = p * e + 0x1.fffffep-1f;
    return p * e + fmaxf(x, 0.0f);
}

/* n / by for n < 2^31 and a divisor that is known at the launch, by a product and a shift (Granlund & Montgomery 1994,
 * "Division by invariant integers using multiplication"): with 2^shift the next power of two, n / by is
 * (n + n magic / 2^32) / 2^shift. */
struct divider {
    unsigned by = 1, magic = 1, shift = 0;

    divider() = default;
    explicit divider(int divisor) : by(static_cast<unsigned>(divisor))
    {
        while ((uint64_t(1) << shift) < by)
            shift++;
        magic = static_cast<unsigned>((((uint64_t(1) << shift) - by) << 32) / by + 1);
    }
    __device__ unsigned quotient(unsigned n) const
    {
        return (n + __umulhi(n, magic)) >> shift;
    }
};

inline int blocks_for(size_t n, int each)
{
    return static_cast<int>((n + static_cast<size_t>(each) - 1) / static_cast<size_t>(each));
}

}  // namespace mv
