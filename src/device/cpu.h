/* The CPU device: oneDNN for convolutions and products, own loops for the rest. Its fp32 results are the reference for
 * every other precision and device. bf16 stores activations and the weights of products as bf16, and accumulates in
 * fp32.
 */
#ifndef MV_CPU_H
#define MV_CPU_H

#include "src/base/backend.h"

/* act: MV_F32 or MV_BF16 (else MV_EDEVICE). threads: 0 for one on each core that this process may use. isa: "plain",
 * "avx2", "avx512" or "avx512bf16" to run the own loops with that instruction set, NULL for the best one; oneDNN
 * chooses for itself. MV_EINPUT lists the instruction sets of this processor if it does not have the one given. NULL on
 * failure. Freed by backend->free. */
mv_backend *mv_cpu_new(mv_dtype act, int threads, const char *isa, mv_error *e);

/* True if the processor has bf16 instructions. Without them a bf16 device widens values to fp32 before each product:
 * the results are right, and slower than fp32. */
bool mv_cpu_has_bf16(void);

/* The best instruction set for the own loops: "AVX-512 with bf16", "AVX-512", "AVX2", "plain". */
const char *mv_cpu_isa(void);

#endif
