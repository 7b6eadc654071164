/* PATH.partial: the rows of a resumable store (store.h) until it is committed.
 *
 *     NAME.raw   the values of an array
 *     journal    ["mvscope-partial",1,"FINGERPRINT"]     one JSON value per line
 *                ["arrays",["NAME",...]]
 *                [[BYTES,...],"NOTE"]                     one per checkpoint: the size of each .raw file, and a note
 *
 * Values are written first and the journal line after them, so after a kill the files hold at least what the last whole
 * line says. Nobody else may look into the folder, or put one there. Opening cuts a torn line and values that no line
 * counts. If the files hold less (power was lost), it goes back to the last line that they satisfy. The journal is
 * locked while a process has it open.
 */
#ifndef MV_PARTIAL_IMPL_H
#define MV_PARTIAL_IMPL_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct mv_partial mv_partial;

/* `path` is the store's. See mv_store_open_resumable for the errors. */
mv_partial *mv_partial_open(const char *path, const char *fingerprint, mv_error *e);

int mv_partial_note_count(const mv_partial *p);
const char *mv_partial_note_at(const mv_partial *p, int i);

/* Adds an array, before the first mv_partial_begin. In a continued folder it must be the i-th that is there. */
mv_status mv_partial_declare(mv_partial *p, const char *name, mv_error *e);

/* Bytes of array i that the continued folder holds. */
uint64_t mv_partial_size(const mv_partial *p, int i);

/* Writes down which arrays there are. */
mv_status mv_partial_begin(mv_partial *p, mv_error *e);

mv_status mv_partial_append(mv_partial *p, int i, const void *bytes, size_t n, mv_error *e);
mv_status mv_partial_checkpoint(mv_partial *p, const char *note, mv_error *e);

/* Opens array i for reading, from its start; a descriptor for the caller to close, or -1. */
int mv_partial_read(const mv_partial *p, int i, mv_error *e);

/* Removes the folder and frees `p`. MV_EIO if it cannot be removed. */
mv_status mv_partial_remove(mv_partial *p, mv_error *e);

/* Keeps the folder if it has a checkpoint, else removes it. Frees `p`; NULL is fine. */
void mv_partial_close(mv_partial *p);

#endif
