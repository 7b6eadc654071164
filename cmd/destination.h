/* Where the files go that are written for each picture: pages (-o) and numbers (--raw). One rule for both, checked
 * before anything runs:
 *
 *     a name with a known ending     that file; for one picture, or one page of all pictures
 *     an existing folder, or NAME/   a file for each picture below that folder, which is made if it is missing
 *     -                              standard output; for one picture, and pages only
 *     anything else                  refused, with a suggestion
 *     left out                       (pages) a file for each picture below the working folder
 *
 * In a folder a file keeps the path below the operand: photos/cat/1.jpg becomes OUT/cat/1-classify.png.
 */
#ifndef DESTINATION_H
#define DESTINATION_H

#include "cmd/claims.h"
#include "cmd/operands.h"

typedef struct destination {
    const char *option;         /* "-o", for messages */
    const char *out;            /* its value; NULL: left out */
    const char *suffix;         /* of names in a folder: "-classify", "" */
    const char *ending;         /* of names in a folder: ".png" */
    const char *const *endings; /* known ones, ended by NULL */
    const char *what;           /* "page", for messages */
    bool may_be_stdout;
    bool several; /* files for each picture in a folder, whose names begin so */
    int together; /* pictures that one file may show; 0: one */
    int sheet;    /* a folder gets numbered files that show so many pictures each; 0: one each */
    /* ---- set by destination_check */
    bool folder, to_stdout;
} destination;

/* All of a call. */
typedef struct {
    destination page, raw, film, overlay;
} destinations;

/* Checks the destination against the rule, and that no two pictures would write one file. `pictures`: of all operands.
 * Ends the program with status 2 for a name that does not fit and 1 for a folder that cannot be written. */
void destination_check(destination *d, const operands *o, int pictures);

/* Names all files of a destination that was checked; of those whose names are not known yet (several), the folders. */
void destination_claim(const destination *d, const operands *o, int pictures, claims *k);

/* The file of picture `index` of `of` of operand i. The caller's to free; NULL without memory. */
char *destination_path(const destination *d, const operands *o, int i, int index, int of);

/* File number k, from 1, of those that show several pictures (sheet): FOLDER/sheet-1.png. The caller's to free; NULL
 * without memory. */
char *destination_sheet(const destination *d, int k);

/* True if the file is there; also for NULL, no file. */
bool destination_exists(const char *path);

/* Makes the folders above a path of destination_path. */
mv_status destination_make_folders(const destination *d, const char *path, mv_error *e);

#endif
