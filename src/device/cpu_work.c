/* Runs the jobs of the CPU device on its workers. */
#include <stdlib.h>

#include "src/device/cpu_impl.h"

float *mv_cpu_scratch(mv_cpu *c, int worker, int which, size_t floats)
{
    mv_cpu_scratch_block *b = &c->scratch[2 * worker + which];
    if (b->size < floats) {
        free(b->data);
        b->size = 0;
        b->data = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
        if (!b->data) {
            mv_fail_memory(&c->error[worker], "cpu");
            return NULL;
        }
        b->size = floats;
    }
    return b->data;
}

mv_status mv_cpu_run(mv_cpu *c, mv_workers_task *task, void *job, int n, mv_error *e)
{
    for (int i = 0; i < c->threads; i++)
        c->error[i].code = MV_OK;
    mv_workers_run(c->workers, task, job, n);
    for (int i = 0; i < c->threads; i++)
        if (c->error[i].code)
            return mv_fail(e, c->error[i].code, "%s", c->error[i].text);
    return MV_OK;
}

int mv_cpu_pieces(const mv_cpu *c, int rows, int block)
{
    int rounds = (rows + block * c->threads - 1) / (block * c->threads);
    return mv_least(rows, rounds * c->threads);
}

int mv_cpu_window_pieces(const mv_cpu *c, int windows, int most)
{
    return windows % c->threads == 0 || windows > 8 * c->threads ? 1 : mv_least(c->threads, most);
}
