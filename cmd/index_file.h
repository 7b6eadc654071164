/* index.html beside a folder of pages: a row for each picture with a thumbnail, its class and a link to its page.
 *
 *     index_file_new     when a folder of several pages is written; NULL: no index, and a warning if there is a reason
 *     index_file_add     a picture's page is there
 *     index_file_keep    a picture's page was there before (--resume)
 *     index_file_write   at the end, also of a run that was stopped
 *
 * With --resume, rows of an index that exists are taken over for pages that are still there, also those of parts: with
 * --shard I/N the file is index-I-of-N.html, so that parts that run at the same time do not meet.
 */
#ifndef INDEX_FILE_H
#define INDEX_FILE_H

#include "cmd/command.h"
#include "cmd/destination.h"

typedef struct index_file index_file;

/* Where it is written. The caller's to free; NULL without memory. */
char *index_file_path(const call *c);

index_file *index_file_new(const call *c);
void index_file_free(index_file *x); /* NULL is fine */

/* May be called by several threads. */
mv_status index_file_add(index_file *x, const call *c, const shot *t, mv_error *e);

/* Without memory the row is left out. */
void index_file_keep(index_file *x, const operands *o, const destination *page, int i);

/* Writes the file, whole or not at all. Nothing if there is no row. */
mv_status index_file_write(index_file *x, const call *c, mv_error *e);

#endif
