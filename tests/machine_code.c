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

/* Rounds of a loop by each warp, from what was counted of all and what the loop has of it */
static double rounds_of(double counted, double in_loop, double warps)
{
    double rounds = in_loop > 0 ? counted / in_loop / warps : 1;
    return rounds > 1 ? rounds : 1;
}

machine_warp machine_code_warp(const machine_code *m, const kernel_counts *c)
{
    double warps = ceil((double)c->threads / 32) * (double)c->executed, powers = (double)c->met[4];
    double rounds = m->products > 0 ? rounds_of((double)c->met[3], m->products, warps)
                    : m->powers > 0 && powers > 0
                        ? rounds_of(powers, m->powers, warps)
                        : rounds_of((double)c->read.requests - m->before * warps, m->loads, warps);
    machine_warp w = {m->path + (rounds - 1) * m->loop, m->alone + (rounds - 1) * m->round};
    if (m->beside > 0) { /* half of the warps do each */
        double others = rounds_of(powers, m->powers, warps);
        w.instructions += (others - 1) * m->beside;
        w.cycles = m->alone + 2 * fmax(rounds * m->round, others * m->beside_round);
    }
    return w;
}
