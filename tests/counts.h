/* What the emulation counted of a kernel (tests/simt_count.cc). */
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

typedef struct {
    char label[32], name[96];
    const void *address;
    uint64_t launches, blocks, warps;
    memory_counts read, written;
    shared_counts shared;
    uint64_t met[4]; /* barriers of a block; by warps: __syncwarp, shuffles, products of the tensor cores */
} kernel_counts;

#ifdef __cplusplus
extern "C" {
#endif
/* Kernels that are launched from now on are counted under this name. */
void counts_label(const char *text);
/* The i-th kernel that was counted, by label and address; NULL after the last. */
const kernel_counts *counts_at(size_t i);
#ifdef __cplusplus
}
#endif

#endif
