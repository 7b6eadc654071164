/* A file or folder of values of many pictures, stacked along the batch (file/store.h), as a command writes it: with a
 * manifest that says what it is made from, and with --resume able to go on after an interruption.
 */
#ifndef VALUE_FILE_H
#define VALUE_FILE_H

#include "cmd/command.h"
#include "src/file/store.h"
#include "src/run/sites.h"

typedef struct value_file value_file;

/* Opens c->store for the values of the sites that fit `patterns`, for all pictures of c->list. All are borrowed until
 * it is closed. NULL on failure. */
value_file *value_file_open(call *c, const char *patterns, const mv_sites *sites, mv_error *e);

mv_store *value_file_store(value_file *v); /* borrowed; the command appends the rows of each batch */
int value_file_sites(const value_file *v);
int value_file_pictures(const value_file *v); /* that are in it, those of an earlier run included */

/* True for a picture that an earlier run has written, as often as it has. */
bool value_file_take(value_file *v, const char *name);

/* The rows of these pictures, a whole batch, were appended to every site. */
mv_status value_file_add(value_file *v, const shot *shots, int n, mv_error *e);

/* Ends and frees it; NULL is fine. After a run that was stopped or is broken (call.stopped, call.broken), and where no
 * picture came, nothing is written; with --resume what is there stays for the next run. *written: the output is there.
 */
mv_status value_file_close(value_file *v, bool *written, mv_error *e);

#endif
