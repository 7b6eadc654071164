/* How the CPU device hands a job to its workers. */
#include <stdlib.h>

#include "src/device/cpu_impl.h"

float *mv_cpu_bench(mv_cpu *c, int worker, int which, size_t floats)
{
    mv_bench *b = &c->bench[2 * worker + which];
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

mv_status mv_cpu_run(mv_cpu *c, mv_pool_task *task, void *job, int n, mv_error *e)
{
    for (int i = 0; i < c->threads; i++)
        c->error[i].code = MV_OK;
    mv_pool_run(c->pool, task, job, n);
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
