/* The CPU device: oneDNN for convolutions and products, own loops for the rest. fp32 is the reference that every other
 * precision and device is held to. bf16 stores activations and weights of products as bf16 and accumulates in fp32.
 */
#ifndef MV_CPU_H
#define MV_CPU_H

#include "src/base/backend.h"

/* act: MV_F32 or MV_BF16 (else MV_EDEVICE). threads: 0 means one a core that this process may use.
 * NULL on failure. Freed by backend->free. */
mv_backend *mv_cpu_new(mv_dtype act, int threads, mv_error *e);

/* Whether the processor multiplies bf16 itself. Where it does not, a bf16 device still answers, by widening to fp32
 * before each product: right to the bit pattern's meaning, and slower than fp32. */
bool mv_cpu_has_bf16(void);

/* "AVX-512", "AVX2", "plain": the instruction set the loops run with. */
const char *mv_cpu_isa(void);

#endif
