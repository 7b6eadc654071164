/* What an earlier run has printed, for --resume: its JSON lines in the file that standard output is appended to (>>).
 */
#ifndef RESUME_H
#define RESUME_H

#include <stdbool.h>
#include <stdint.h>

/* The pictures that lines were printed for, as hashes of their names. */
typedef struct {
    int n;
    uint64_t *hash; /* sorted */
    bool kept;      /* standard output is a file that keeps results */
} results;

/* Reads the lines that are there, and cuts off one that was not finished. Does nothing where standard output is no file
 * or empty. Ends the program with status 2 where the file holds anything else than results. */
void results_read(results *r);
void results_free(results *r);

bool results_known(const results *r, const char *name);

/* True if standard output is a file, whose lines say what was answered; else the files of pictures do. */
bool results_are_kept(const results *r);

#endif
