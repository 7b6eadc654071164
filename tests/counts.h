/* What the emulation counted of a kernel (tests/simt_count.cc). Accesses of warps are put together as a GPU does. */
#ifndef COUNTS_H
#define COUNTS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t requests, bytes, sectors; /* of warps; bytes: each once a request; sectors of 32 bytes */
    uint64_t footprint;                /* bytes in different sectors: what must come from memory at least */
} memory_counts;

typedef struct {
    uint64_t requests, wavefronts, least; /* least: without conflicts of banks */
} shared_counts;

/* A launch of a kernel; or a product of a library: no address, only name, rows, n, k and read.footprint. */
typedef struct {
    char label[64], name[96];
    const void *address;
    uint64_t launches, blocks, threads, shared_bytes; /* launches: 1 */
    uint64_t executed;                                /* blocks; what follows is counted in these alone */
    memory_counts read, written;
    uint64_t cached; /* bytes in different sectors of each block: what the first level of the cache does not have */
    shared_counts shared;
    /* barriers of a block; by warps: __syncwarp, shuffles, products of the tensor cores, powers of 2 */
    uint64_t met[5];
    uint64_t rows; /* of a product: rows x k by k x n; of a convolution: output pixels, k = 9 channels */
    int n, k;
} kernel_counts;

#ifdef __cplusplus
extern "C" {
#endif
/* What is launched from now on has this label. */
void counts_label(const char *text);
/* From now on, so many blocks of a grid are executed, and those of a grid with the same label and shape are not
 * executed again; products of libraries are not executed, and memory is not filled. 0: everything is. */
void counts_sample(size_t blocks);
size_t counts_launches(void);             /* so far, in the order of the launches */
const kernel_counts *counts_at(size_t i); /* valid until the next launch */
#ifdef __cplusplus
}
#endif

#endif
