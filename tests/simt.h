/* Runs the sources of kernels on the CPU, one block at a time; each thread that waits is a fiber. Barriers, shuffles,
 * dynamic shared memory, block and grid indices and the product of the tensor cores behave as on a GPU.
 *
 * It finds wrong indices, a barrier that some threads never reach, shared memory read before it was written (poisoned
 * for every block) or before a copy into it was waited for (delivered late, poisoned until then), a kernel that does
 * not wait for its inputs and, under the address sanitizer, accesses out of bounds. Races between two barriers show
 * when the results change with simt::order, which permutes threads and blocks.
 */
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define SIMT_LEAVE(keep, to, size)   __sanitizer_start_switch_fiber(keep, to, size)
#define SIMT_ENTER(kept, from, size) __sanitizer_finish_switch_fiber(kept, from, size)
#else
#define SIMT_LEAVE(keep, to, size)   ((void)0)
#define SIMT_ENTER(kept, from, size) ((void)0)
#endif

extern "C" {
#include "src/base/tensor.h"
}

#include "tests/simt_count.h"

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c)
    {
    }
};

#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
typedef struct CUstream_st *cudaStream_t;

struct __half {
    uint16_t bits;
};
struct __nv_bfloat16 {
    uint16_t bits;
};
inline float __half2float(__half h)
{
    return mv_f16_to_f32(h.bits);
}
inline float __bfloat162float(__nv_bfloat16 h)
{
    return mv_bf16_to_f32(h.bits);
}
inline __half __float2half_rn(float f)
{
    return {mv_f32_to_f16(f)};
}
inline __nv_bfloat16 __float2bfloat16_rn(float f)
{
    return {mv_f32_to_bf16(f)};
}

namespace simt
{

/* ---- switching stacks. swapcontext makes a system call, which would be most of the time of an emulated barrier. */

#if defined(__x86_64__)
struct context {
    void *sp;
};

extern "C" void simt_swap(void **from, void *to);
#ifdef SIMT_HOME
__asm__(".text\n.globl simt_swap\n.type simt_swap,@function\nsimt_swap:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
        ".size simt_swap,.-simt_swap\n");
#endif

inline void swap(context &from, context &to)
{
    simt_swap(&from.sp, to.sp);
}

inline void make(context &c, char *stack, size_t size, void (*entry)())
{
    void **top = reinterpret_cast<void **>(reinterpret_cast<uintptr_t>(stack + size) & ~uintptr_t(15)) - 1;
    *top = nullptr; /* entry never returns */
    *--top = reinterpret_cast<void *>(entry);
    for (int i = 0; i < 6; i++)
        *--top = nullptr;
    c.sp = top;
}
#else
struct context {
    ucontext_t at;
};

inline void swap(context &from, context &to)
{
    swapcontext(&from.at, &to.at);
}

inline void make(context &c, char *stack, size_t size, void (*entry)())
{
    getcontext(&c.at);
    c.at.uc_stack.ss_sp = stack;
    c.at.uc_stack.ss_size = size;
    c.at.uc_link = nullptr;
    makecontext(&c.at, entry, 0);
}
#endif

/* ---- threads */

enum wait { NEW, RUNS, AT_BLOCK, AT_WARP, DONE };
enum { STACK = 64 << 10, WORDS = 8, MOST = 1024 };

struct index {
    unsigned x, y, z;
};

/* A stack that runs one thread after the other until one waits; then it belongs to that thread. Threads that never wait
 * need no switch. */
struct fiber {
    context at;
    void *fake = nullptr; /* for the address sanitizer, while the fiber is suspended */
    std::unique_ptr<char[]> stack;
};

/* 16 bytes on their way to shared memory */
struct copy {
    void *to;
    const void *from;
    size_t bytes;
};

struct thread {
    wait state = DONE;
    index id = {0, 0, 0};
    fiber *on = nullptr;
    std::vector<copy> begun;               /* since the last commit */
    std::vector<std::vector<copy>> groups; /* committed, not delivered */
    uint32_t slot[WORDS] = {0};            /* its values in shuffles */
    bool waited = false;                   /* for its inputs */
};

inline std::vector<thread> threads;
inline std::vector<std::unique_ptr<fiber>> fibers;
inline std::vector<fiber *> resting;
inline std::vector<unsigned char> shared;
inline context home;
inline void *home_fake;
inline const void *home_stack;
inline size_t home_size;
inline fiber *here;
inline unsigned now, count, started, order = 0;
inline std::function<void()> body;
inline index block_index;
inline dim3 block_dim, grid_dim;

/* Puts work into a stream, which does it when somebody waits for it; see tests/cuda/double.h. */
void enqueue(cudaStream_t, std::function<void()> work);
/* Whether this launch is to fail, for tests of failures. */
bool refused();

/* Odd orders go backwards, and so do their blocks; even ones begin elsewhere. */
inline unsigned permuted(unsigned k)
{
    return ((order % 2 ? count - 1 - k : k) + order / 2 * 37) % count;
}

inline void go_home()
{
    fiber *f = here;
    SIMT_LEAVE(&f->fake, home_stack, home_size);
    swap(f->at, home);
    SIMT_ENTER(f->fake, &home_stack, &home_size);
}

inline void pause(wait w)
{
    unsigned me = now;
    threads[me].state = w;
    threads[me].on = here;
    counting(false);
    go_home();
    counting(true);
    now = me;
}

/* On a card a kernel starts before its predecessor has ended. */
inline void has_waited()
{
    if (threads[now].waited)
        return;
    fprintf(stderr, "simt: a thread of block %u,%u,%u does not wait for the inputs of its kernel\n", block_index.x,
            block_index.y, block_index.z);
    abort();
}

inline void live()
{
    SIMT_ENTER(nullptr, &home_stack, &home_size);
    for (;;) {
        while (started < count) {
            now = permuted(started++);
            threads[now].state = RUNS;
            counting(true);
            body();
            counting(false);
            has_waited();
            threads[now].state = DONE;
        }
        resting.push_back(here);
        go_home();
    }
}

inline void resume(fiber *f)
{
    here = f;
    SIMT_LEAVE(&home_fake, f->stack.get(), STACK);
    swap(home, f->at);
    SIMT_ENTER(home_fake, nullptr, nullptr);
}

inline fiber *rested()
{
    if (resting.empty()) {
        fibers.emplace_back(new fiber);
        fibers.back()->stack.reset(new char[STACK]);
        make(fibers.back()->at, fibers.back()->stack.get(), STACK, live);
        return fibers.back().get();
    }
    fiber *f = resting.back();
    resting.pop_back();
    return f;
}

inline bool all_at(unsigned from, unsigned to, wait w)
{
    for (unsigned i = from; i < to; i++)
        if (threads[i].state != w)
            return false;
    return true;
}

/* What a warp has read and written since it last waited is complete. */
inline void release(unsigned from, unsigned to)
{
    for (unsigned w = from; w < to; w += 32)
        settle(w, std::min(w + 32, to));
    for (unsigned i = from; i < to; i++)
        threads[i].state = RUNS;
}

inline void run_block()
{
    std::fill(shared.begin(), shared.end(), static_cast<unsigned char>(0xff)); /* NaN, as floats and halves */
    for (unsigned i = 0; i < count; i++) {
        threads[i].id = {i % block_dim.x, i / block_dim.x % block_dim.y, i / block_dim.x / block_dim.y};
        threads[i].state = NEW;
        threads[i].begun.clear();
        threads[i].groups.clear();
        threads[i].waited = false;
    }
    for (started = 0; started < count;)
        resume(rested());
    while (!all_at(0, count, DONE)) {
        bool moved = false;
        for (unsigned w = 0; w < count; w += 32)
            if (all_at(w, std::min(w + 32, count), AT_WARP))
                release(w, std::min(w + 32, count)), moved = true;
        if (all_at(0, count, AT_BLOCK))
            release(0, count), moved = true;
        if (!moved) {
            fprintf(stderr, "simt: threads wait at a barrier that others of block %u,%u,%u never reach\n",
                    block_index.x, block_index.y, block_index.z);
            abort();
        }
        for (unsigned k = 0; k < count; k++)
            if (threads[permuted(k)].state == RUNS) {
                now = permuted(k);
                resume(threads[now].on);
            }
    }
    for (unsigned w = 0; w < count; w += 32)
        settle(w, std::min(w + 32, count));
}

inline void run(dim3 grid, dim3 block, size_t shared_bytes)
{
    grid_dim = grid;
    block_dim = block;
    count = block.x * block.y * block.z;
    threads.resize(MOST);
    shared.resize(shared_bytes);
    shared.shrink_to_fit(); /* so that the address sanitizer finds reads past its end */
    size_t all = static_cast<size_t>(grid.x) * grid.y * grid.z, some = std::min(all, most_blocks());
    for (size_t k = 0; k < some; k++) {
        size_t turn = order % 2 ? some - 1 - k : k, i = (2 * turn + 1) * all / (2 * some);
        block_index = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                       static_cast<unsigned>(i / grid.x / grid.y)};
        run_block();
        block_over();
    }
}

/* The value of lane `from` of this warp; its own if there is no such lane. */
template <class T> T exchange(T v, unsigned from)
{
    static_assert(sizeof v <= sizeof thread::slot);
    unsigned me = now, warp = me / 32 * 32;
    met(SHUFFLE);
    memcpy(threads[me].slot, &v, sizeof v);
    pause(AT_WARP);
    T out;
    memcpy(&out, threads[from < 32 && warp + from < count ? warp + from : me].slot, sizeof out);
    pause(AT_WARP);
    return out;
}

}  // namespace simt

template <class... P, class... A>
void mv_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream, A... a)
{
    unsigned count = block.x * block.y * block.z;
    if (count == 0 || count > simt::MOST || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 ||
        grid.z > 65535 || shared_bytes > 99 << 10) {
        fprintf(stderr, "simt: no GPU launches %u x %u x %u blocks of %u threads with %zu bytes\n", grid.x, grid.y,
                grid.z, count, shared_bytes);
        abort();
    }
    if (simt::refused())
        return;
    simt::enqueue(stream, [=] {
        auto call = [=] { kernel(static_cast<P>(a)...); };
        simt::body = std::ref(call);
        if (!simt::launched(reinterpret_cast<const void *>(kernel), grid.x, grid.y * grid.z, count, shared_bytes))
            return;
        simt::run(grid, block, shared_bytes);
        simt::ended();
    });
}

#define threadIdx          (simt::threads[simt::now].id)
#define blockIdx           (simt::block_index)
#define blockDim           (simt::block_dim)
#define gridDim            (simt::grid_dim)
#define MV_SHARED(T, name) T *name = reinterpret_cast<T *>(simt::shared.data())

#define MV_WAITED() simt::has_waited()

namespace mv
{
inline void wait_for_inputs()
{
    simt::threads[simt::now].waited = true;
}
}  // namespace mv

inline void __syncthreads()
{
    simt::met(simt::BARRIER);
    simt::pause(simt::AT_BLOCK);
}
inline void __syncwarp()
{
    simt::met(simt::SYNC);
    simt::pause(simt::AT_WARP);
}
template <class T> T __shfl_sync(unsigned, T v, int lane)
{
    return simt::exchange(v, static_cast<unsigned>(lane));
}
template <class T> T __shfl_xor_sync(unsigned, T v, int mask)
{
    return simt::exchange(v, (simt::now % 32) ^ static_cast<unsigned>(mask));
}
inline unsigned short to_e4m3(float first, float second)
{
    return static_cast<unsigned short>(mv_f32_to_e4m3(first) | mv_f32_to_e4m3(second) << 8);
}
inline int __all_sync(unsigned, int v)
{
    for (unsigned mask = 1; mask < 32; mask *= 2)
        v = __shfl_xor_sync(~0u, v, static_cast<int>(mask)) && v;
    return v;
}
inline float rsqrtf(float x)
{
    return 1.0f / std::sqrt(x);
}
#include "tests/simt_warp.h"
