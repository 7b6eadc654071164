/* The files that `eval` reads and writes, by name: no output may be an input or another output. */
#ifndef EVALUATION_FILES_H
#define EVALUATION_FILES_H

#include "cmd/command.h"
#include "cmd/operands.h"

typedef struct {
    const char *classes, *truth, *boxes; /* read; NULL: none */
    const char *page, *csv, *records;    /* written; NULL: none */
    bool merge;                          /* the operands are read, too */
} evaluation_files;

/* Refuses what would replace a file. Before anything runs. */
void evaluation_files_check(const call *c, const evaluation_files *f);

/* Refuses an output that is a file of the model. `path` NULL: none */
void evaluation_files_check_model(const session *s, const char *option, const char *path);

/* Refuses an output that is a picture, or that cannot be written. `path` NULL: none */
void evaluation_files_check_pictures(const operands *l, const char *option, const char *path);

#endif
