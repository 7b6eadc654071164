/* The kernels of one instruction set. */
#include "src/kernel/kernel_impl.h"

#define TEXT2(x) #x
#define TEXT(x)  TEXT2(x)
#define ENTRY(f) .f = KERNEL(f),

extern const mv_kernels JOIN(mv_kernels_, MV_ISA);

const mv_kernels JOIN(mv_kernels_, MV_ISA) = {.name = TEXT(MV_ISA), KERNELS(ENTRY)};
