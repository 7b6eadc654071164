/* The worker threads of the CPU device. Workers take the pieces of a job one by one, so that a busy core does not delay
 * the others. Idle workers spin for some microseconds, then sleep.
 */
#ifndef MV_WORKERS_H
#define MV_WORKERS_H

#include "src/base/status.h"

typedef struct mv_workers mv_workers;

/* Computes piece i of a job. worker is 0 to threads - 1; no two pieces run with the same number at the same time. */
typedef void mv_workers_task(void *job, int i, int worker);

/* `threads` workers, one of which is the caller of mv_workers_run. NULL if the threads cannot be started. */
mv_workers *mv_workers_new(int threads, mv_error *e);
void mv_workers_free(mv_workers *p); /* accepts NULL */

/* Calls task(job, i, worker) for all i below n, and returns when all calls have returned. One caller at a time. */
void mv_workers_run(mv_workers *p, mv_workers_task *task, void *job, int n);

#endif
