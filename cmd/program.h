/* The program: a table of commands. Only cmd/ prints, exits and reads the environment. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <popt.h>
#include <stdbool.h>

#include "cmd/talk.h"

typedef struct {
    const char *name, *operands, *summary;
    const struct poptOption *options;        /* the command's own and the tables it shares; NULL: none */
    const char *const *examples;             /* ended by NULL */
    int (*run)(int argc, const char **argv); /* operands alone; options are parsed already */
} command;

/* All commands, in the order of help; NULL past the last. */
const command *command_at(int i);

extern const command cmd_classify, cmd_attention, cmd_dump, cmd_sites, cmd_info, cmd_devices, cmd_completion;

#endif
