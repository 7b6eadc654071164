/* How the program talks and ends. stdout carries results, stderr talks. Exit 0: done; 1: failed; 2: misuse. */
#ifndef TALK_H
#define TALK_H

#include <stdbool.h>

#include "src/base/status.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_MISUSE = 2 };

extern int talk_quiet; /* -q: no warnings */

/* "mvscope: TEXT" on stderr, unless -q asked for silence about what is no error. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Complains of *e and exits: 1, or 2 where the caller's words were at fault. */
void die_of(const mv_error *e) __attribute__((noreturn));
void die(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* p, which is what an allocation gave; ends the program where that was NULL. */
void *must(void *p);

/* Ends the results: flushes stdout and fails if it took not all (a full disk, a closed pipe). */
int finish(int status);

#endif
