#include "tests/machine_code.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KERNELS = 200 };

static machine_code table[KERNELS];
static int count;

static void read_table(void)
{
    char line[400];
    FILE *f = fopen("tests/data/machine_code", "r");
    while (f && count < KERNELS && fgets(line, sizeof line, f)) {
        machine_code *m = &table[count];
        if (sscanf(line, "%95s %lf %*s %*s %*s %lf %*s %*s %lf %lf %lf %lf %lf %lf %lf %lf %lf", m->name, &m->registers,
                   &m->loop, &m->path, &m->alone, &m->round, &m->products, &m->powers, &m->loads, &m->before,
                   &m->beside, &m->beside_round) == 12)
            count++;
    }
    if (f)
        fclose(f);
}

const machine_code *machine_code_of(const char *kernel)
{
    if (count == 0)
        read_table();
    for (int i = 0; i < count; i++)
        if (strcmp(table[i].name, kernel) == 0)
            return &table[i];
    return NULL;
}

double machine_code_resident(const machine_code *m, uint64_t threads, uint64_t shared_bytes)
{
    double warps = ceil((double)threads / 32), registers = ceil(m->registers * 32 / 256) * 256,
           by_registers = floor(floor(65536 / registers) / warps), by_warps = floor(64 / warps),
           by_shared = floor(228 * 1024 / ((double)shared_bytes + 1024)),
           blocks = fmin(fmin(by_registers, by_warps), fmin(by_shared, 32));
    return blocks > 1 ? blocks : 1;
}
