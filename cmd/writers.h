/* Threads that draw, write files and format results while the main thread computes. Several jobs are in work at a time;
 * their results are printed in the order in which the jobs were added. The queue is bounded, so memory does not grow.
 */
#ifndef WRITERS_H
#define WRITERS_H

#include <stdbool.h>
#include <stdio.h>

#include "src/base/status.h"

struct mv_fonts;
typedef struct writers writers;

/* Works on one job: prints results to `out`, and returns a failure, which is reported in picture order. *fonts is the
 * thread's own, NULL at first; the job may open it. Frees the job. */
typedef mv_status writer_work(void *context, void *job, FILE *out, struct mv_fonts **fonts, mv_error *e);

/* `threads` of them, at least one where the system gives it; without any, writers_put works itself. Ends the program
 * without memory. */
writers *writers_new(int threads, writer_work *work, void *context);

/* Adds a job; waits while the queue is full. */
void writers_put(writers *w, void *job);

/* Reports a failure that has no job, in its place in the order. */
void writers_complain(writers *w, const char *text);

/* Waits for all jobs and frees. *failed receives the number of jobs that failed. */
void writers_end(writers *w, int *failed);

#endif
