/* What the emulation counts of a kernel: bytes, sectors, bank conflicts, barriers, shuffles.
 *
 * In objects that are compiled with SIMT_COUNT, the compiler's hooks for a race detector (-fsanitize=thread) report
 * each read and write of memory to tests/simt_count.cc, which puts those of a warp's lanes together. Everywhere else
 * these functions only check that a wide access is aligned, as a GPU does.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace simt
{

enum meeting { BARRIER, SYNC, SHUFFLE, PRODUCT, POWER, MEETINGS };

inline void expect_aligned(const void *p, size_t bytes)
{
    if (reinterpret_cast<uintptr_t>(p) % bytes == 0)
        return;
    fprintf(stderr, "simt: %zu bytes are moved at %p, which is not a multiple of them\n", bytes, p);
    abort();
}

#ifdef SIMT_COUNT
/* One access of `bytes` by this thread. For emulated instructions that move memory: the place of the call is the
 * instruction, so these are called from functions that are always inlined. */
void load(void *to, const void *from, size_t bytes);   /* a register from memory */
void store(void *to, const void *from, size_t bytes);  /* memory from a register */
void touched(const void *p, size_t bytes, bool write); /* counts only */

void counting(bool); /* this is the code of a kernel, and not of the emulation */
void met(meeting);
void settle(unsigned from, unsigned to); /* these threads, at most a warp, wait together */
/* A grid of x times yz blocks; false: it need not be executed. */
bool launched(const void *kernel, unsigned x, unsigned yz, unsigned threads, size_t shared);
void block_over();
void ended();
size_t most_blocks(); /* so many of a grid are executed, evenly spread */
/* A product of `rows` x k by k x n of a library, with k = 9 c in a convolution, and the bytes that it must move. */
void multiplied(const char *what, size_t rows, int n, int k, size_t bytes);
bool samples(); /* memory need not be filled */
#else
inline void load(void *to, const void *from, size_t bytes)
{
    expect_aligned(from, bytes);
    memcpy(to, from, bytes);
}
inline void store(void *to, const void *from, size_t bytes)
{
    expect_aligned(to, bytes);
    memcpy(to, from, bytes);
}
inline void touched(const void *, size_t, bool)
{
}
inline void counting(bool)
{
}
inline void met(meeting)
{
}
inline void settle(unsigned, unsigned)
{
}
inline bool launched(const void *, unsigned, unsigned, unsigned, size_t)
{
    return true;
}
inline void block_over()
{
}
inline void ended()
{
}
inline size_t most_blocks()
{
    return SIZE_MAX;
}
#endif

}  // namespace simt
