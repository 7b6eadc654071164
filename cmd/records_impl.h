/* What the writing (records.c) and the reading (records_read.c) of records share. */
#ifndef RECORDS_IMPL_H
#define RECORDS_IMPL_H

#include <sys/types.h>

#include "cmd/records.h"

enum { RECORDS_ROWS = 256 }; /* names of maps at most */

/* A file while it is read. */
typedef struct {
    const char *path;
    int number; /* of the line */
    json_t *head;
    int failed;
    bool ended, unread;
} records_reading;

/* Adds a record; takes what it owns, also on failure. */
mv_status records_keep(records *r, record *one, mv_error *e);

/* The order of the list, for qsort. */
int records_order(const void *a, const void *b);

/* Reads a file from its start. *size: bytes of the whole lines before the last line of a run that has ended. */
mv_status records_read(records *r, records_reading *f, FILE *in, off_t *size, mv_error *e);

#endif
