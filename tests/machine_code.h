/* The table tests/data/machine_code: what nvcc made of each kernel of the GPU device (tests/machine_code.awk). */
#ifndef MACHINE_CODE_H
#define MACHINE_CODE_H

#include <stdint.h>

typedef struct {
    char name[96];
    double registers, loop, path, alone, round, products, powers, loads, before, beside, beside_round;
} machine_code;

/* NULL if the kernel is not in the table. */
const machine_code *machine_code_of(const char *kernel);

/* Blocks that an SM of compute capability 9.0 holds at once */
double machine_code_resident(const machine_code *m, uint64_t threads, uint64_t shared_bytes);

#endif
