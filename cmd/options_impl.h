/* The tables of the options that commands share, for their parsing. */
#ifndef OPTIONS_IMPL_H
#define OPTIONS_IMPL_H

#include "cmd/options.h"

typedef struct {
    unsigned takes; /* the bits that add it; 0: always */
    const mv_param *table;
    const char *group;
} options_table;

/* The i-th table from 0 on, in the order of help; NULL past the last. */
const options_table *options_table_at(int i);

/* True if the table's options only change pages. */
bool options_table_of_pages(const options_table *t);

extern const mv_param options_model[]; /* its first row is --model */

#endif
