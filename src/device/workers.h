/* The CPU device's own worker threads. Work is handed out piece by piece, so that a busy neighbour on one core does not
 * hold up the others; idle workers spin for some microseconds, then sleep.
 */
#ifndef MV_CPU_POOL_H
#define MV_CPU_POOL_H

#include "src/base/status.h"

typedef struct mv_pool mv_pool;

/* Does piece i of a job; worker is 0 to threads - 1, and no two pieces run under one number at a time. */
typedef void mv_pool_task(void *job, int i, int worker);

/* `threads` workers, the caller of mv_pool_run among them. NULL when threads cannot be had. */
mv_pool *mv_pool_new(int threads, mv_error *e);
void mv_pool_free(mv_pool *p); /* fine on NULL */
int mv_pool_threads(const mv_pool *p);

/* Runs task(job, i, worker) for all i below n and returns when all are done. One caller at a time. */
void mv_pool_run(mv_pool *p, mv_pool_task *task, void *job, int n);

#endif
