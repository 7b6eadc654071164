/* The program: a table of commands, and how it ends.
 *
 * stdout carries results, stderr talks. Exit 0: done; 1: failed; 2: misuse. Only cmd/ prints, exits and reads the
 * environment.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <popt.h>
#include <stdbool.h>

#include "status.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_MISUSE = 2 };

typedef struct {
    const char *name, *operands, *summary;
    const struct poptOption *options;        /* the command's own and the tables it shares; NULL: none */
    const char *const *examples;             /* ended by NULL */
    int (*run)(int argc, const char **argv); /* operands alone; options are parsed already */
} command;

/* All commands, in the order of help; NULL past the last. */
const command *command_at(int i);

/* "mvscope: TEXT" on stderr, unless -q asked for silence about what is no error. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Complains of *e and exits: 1, or 2 where the caller's words were at fault. */
void die_of(const mv_error *e) __attribute__((noreturn));
void die(int status, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Ends the results: flushes stdout and fails if it took not all (a full disk, a closed pipe). */
int finish(int status);

extern const command cmd_classify, cmd_attention, cmd_dump, cmd_sites, cmd_info, cmd_devices, cmd_completion;

#endif
