/* What an earlier run has printed, for --resume: its JSON lines in the file that standard output is appended to (>>).
 */
#ifndef RESUME_H
#define RESUME_H

#include <stdbool.h>

#include "src/base/name_set.h"

typedef struct {
    mv_name_set names; /* pictures that lines were printed for */
    bool kept;         /* standard output is a file, which keeps results: its lines say what was answered */
} results;

/* True if standard output is a regular file. Ends the program with status 1 if that cannot be found out. */
bool results_are_kept(void);

/* Reads the lines that are there, and cuts off one of ours that was not finished. Each must have the member `key` and
 * name this model. Does nothing where standard output is no file. Ends the program with status 2, and changes nothing,
 * where the file holds anything else. */
void results_read(results *r, const char *key, const char *model);
void results_free(results *r);

/* True for a picture with a line, as often as it has one. */
bool results_take(results *r, const char *name);

#endif
