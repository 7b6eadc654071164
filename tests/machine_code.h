/* The table tests/data/machine_code: what nvcc made of each kernel of the GPU device (tests/machine_code.awk). */
#ifndef MACHINE_CODE_H
#define MACHINE_CODE_H

#include "tests/counts.h"

typedef struct {
    char name[96];
    double registers, loop, path, alone, round, products, powers, loads, before, beside, beside_round;
} machine_code;

/* NULL if the kernel is not in the table. */
const machine_code *machine_code_of(const char *kernel);

/* Instructions that a warp of a launch issues on average, and the cycles that the slowest would take alone: all code
 * once, and further rounds of the hot loop, whose number follows from the counts. */
typedef struct {
    double instructions, cycles;
} machine_warp;
machine_warp machine_code_warp(const machine_code *m, const kernel_counts *c);

/* Blocks that an SM of compute capability 9.0 holds at once */
double machine_code_resident(const machine_code *m, uint64_t threads, uint64_t shared_bytes);

#endif
