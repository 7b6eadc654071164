/* How the program talks and ends. stdout carries results, stderr carries messages and, on a terminal, one line of
 * progress. Exit status 0: done; 1: something failed; 2: misuse of the command line.
 *
 * All functions may be called by several threads; what one of them writes stays together, and the line of progress is
 * cleared before anything else is written.
 */
#ifndef TALK_H
#define TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"
#include "src/base/warnings.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_MISUSE = 2 };

extern bool talk_quiet; /* -q: no warnings, no progress */

/* Called first: what is printed is whole also where standard output does not wait for its reader (O_NONBLOCK). */
void talk_begin(void);

/* "mvscope: TEXT" on stderr; `warn` only without -q. Bytes that are not safe to print are escaped. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Warns of each of them, and of how many more there were. */
void warn_each(const mv_warnings *warnings);

/* Complains and ends the program. Never called while an output is open. */
void die(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* The same with the text of *e: status 2 for MV_EINPUT where `words` says that an option was at fault, else 1. */
void die_of(const mv_error *e, bool words) __attribute__((noreturn));

/* The status for an option that was refused: 2, but 1 if it could not be examined for want of memory. */
int misuse_of(const mv_error *e);

/* Returns p, the result of an allocation; ends the program if it is NULL. Never called while an output is open. */
void *must(void *p);

/* Writes n bytes of results to stdout at once. False after a failure, which is in errno. */
bool talk_results(const char *text, size_t n);

/* Sends the results that stdio holds, where more may take a while. finish reports a failure. */
void flush_results(void);

/* Ends the results of a command that prints by stdio: flushes stdout. A full disk is a failure; if the reader has left,
 * the process ends as it does by SIGPIPE. Returns the exit status. */
int finish(int status);

/* ---- progress, on a terminal and without -q alone */

/* Shows `what` ("loading T") in the progress line until the next call; the string must stay valid. The line appears
 * after half a second and is redrawn at most ten times a second. */
void progress_begin(const char *what);

/* `done` of `all` pictures; the rate counts from the first call. */
void progress_count(int done, int all);

/* `done` of `all` forward passes of the picture at hand: for mv_passes_watch, without a context. */
void progress_passes(void *unused, int done, int all);

/* `done` of `all` bytes of a download; the rate counts from the first call, and from one that goes back. */
void progress_bytes(uint64_t done, uint64_t all);

/* Clears the line and ends its thread. */
void progress_end(void);

#endif
