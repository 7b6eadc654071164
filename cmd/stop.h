/* Signals that end the program: Ctrl-C, a termination, a hang-up; Ctrl-\, a limit on processor time and others. Of the
 * first three, the first one asks the loop over pictures to stop at the next picture, so that outputs are whole; a
 * second one, and any other, ends the program at once. Either way nothing hidden stays behind.
 */
#ifndef STOP_H
#define STOP_H

#include <pthread.h>
#include <stdbool.h>

/* From here on SIGINT, SIGTERM and SIGHUP ask first, and a write to a reader that has left is an error instead of the
 * end. With `reader`, the run is for the reader of standard output: if that is a pipe and he leaves, the run stops,
 * though nothing may have been written yet. */
void stop_watch(bool reader);

/* True after a signal, or after stop_results. */
bool stop_asked(void);

/* Stops as a signal does: a write of results failed with this errno. EPIPE: their reader has left. */
void stop_results(int error);
int stop_results_error(void); /* 0: none failed */

/* At the start of the program. From here on these signals (unless the caller of the program had them ignored) remove
 * temporary files before they end it, and a file that grows beyond the limit of its size (ulimit -f) is an error
 * instead of the end. A fault ends the program without leaving temporary files. If memory is short, that is the cause:
 * oneDNN 2.6 crashes and GLib traps where they get none; it is a sentence and status 1. A mapped file that was cut is
 * no fault: its reader goes on, and finds out (src/file/mapping.h). This holds for every thread, also for those that
 * libraries start: this file's pthread_create is theirs, too. */
void stop_guard(void);

/* Starts a thread that gets no signals but those of its own faults: the others are for the thread that computes. False:
 * it cannot be started. */
bool stop_new_thread(pthread_t *thread, void *(*work)(void *of), void *of);

/* After a failed write of a page to standard output: stops as stop_results(EPIPE) does if the reader has left. */
void stop_if_reader_left(void);

/* Ends the process by the signal that was caught, or by SIGPIPE where the reader has left, so that its parent sees why.
 * Returns otherwise. */
void stop_end(void);

#endif
