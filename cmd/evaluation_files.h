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

/* Refuses what would replace a file. `l`: the pictures, once they are known with the model; NULL before. */
void evaluation_files_check(const call *c, const evaluation_files *f, const operands *l);

#endif
