/* Threads that draw, write files and format results, behind the thread that computes. Jobs are worked on at the same
 * time; what they print appears in the order in which they were put. The queue is bounded, so memory does not grow.
 */
#ifndef WRITERS_H
#define WRITERS_H

#include <stdbool.h>
#include <stdio.h>

#include "src/base/status.h"

struct mv_fonts;
typedef struct writers writers;

/* Works on one job: prints results to `out`, and returns a failure, which is complained of in its turn. *fonts is the
 * thread's own, NULL at first; the job may open it. Frees the job. */
typedef mv_status writer_work(void *context, void *job, FILE *out, struct mv_fonts **fonts, mv_error *e);

/* `threads` of them, at least one where the system gives it; without any, writers_put works itself. Ends the program
 * without memory. */
writers *writers_new(int threads, writer_work *work, void *context);

/* Hands a job over; waits while the queue is full. */
void writers_put(writers *w, void *job);

/* Prints a complaint in the turn of a job. */
void writers_complain(writers *w, const char *text);

/* Waits for all jobs and frees. *failed receives the jobs that failed, complaints not counted. */
void writers_end(writers *w, int *failed);

#endif
