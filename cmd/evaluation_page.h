/* The page of eval's results. */
#ifndef EVALUATION_PAGE_H
#define EVALUATION_PAGE_H

#include "cmd/command.h"
#include "cmd/evaluation.h"

/* Writes the page to `path` ("-" for standard output). c->operand[0] is named as its source. */
mv_status evaluation_page(const call *c, const evaluation *v, const char *path, mv_error *e);

#endif
