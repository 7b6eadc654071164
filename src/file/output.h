/* An output file that appears whole or not at all.
 *
 * The bytes go to a temporary file in the target's folder, which has no name where the file system allows that.
 * mv_output_commit gives it the target's name in one step. Until then, and after a failure, an existing target is
 * untouched and no other file is left. If the target is a symbolic link, the link stays and the file it points to is
 * replaced; one that points to nothing, or that another user planted in a sticky folder, is refused. A new file gets
 * its mode from the umask; a replaced file keeps its rights, and nobody else reads what replaces it before it has them.
 * A target that is not a regular file (a pipe, /dev/stdout, /dev/full) is written directly, from front to back; a
 * descriptor of this process that is open for reading only is refused.
 *
 * The first failure sticks: later writes do nothing, and mv_output_commit reports it.
 */
#ifndef MV_OUTPUT_H
#define MV_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct mv_output mv_output;

/* Starts the file `path`. Returns NULL and fills `e` if the file could not be written in the end: the name is empty,
 * the folder is missing or read-only, or a folder or a read-only file has the name. End it with exactly one of
 * mv_output_commit and mv_output_discard. */
mv_output *mv_output_open(const char *path, mv_error *e);

/* Checks that `path` can be written, before any work is done: reports what mv_output_open would report, and leaves
 * nothing behind. It also removes temporaries that killed processes left in that folder; as this lists the folder, call
 * it once per run and folder. */
mv_status mv_output_check(const char *path, mv_error *e);

/* Removes temporaries that killed processes left in the folder of `path`, if that is there; no failure is reported. */
void mv_output_clean(const char *path);

/* True if the folder of `path`, or the nearest one above it that is there, takes names that differ in upper and lower
 * case alone for one. Makes a temporary file to see it. */
bool mv_output_folds_case(const char *path);

/* Makes every folder that `path` lies in; those that exist are fine. */
mv_status mv_output_make_parents(const char *path, mv_error *e);

/* Appends n bytes. */
mv_status mv_output_write(mv_output *o, const void *bytes, size_t n);

/* Writes n bytes at `offset` from the start; mv_output_write then continues after them. A file that is written directly
 * (see above) accepts only the offset that continues it; another offset is MV_EIO. */
mv_status mv_output_pwrite(mv_output *o, const void *bytes, size_t n, uint64_t offset);

/* Moves n bytes that were written from offset `from` to offset `to`; the ranges may overlap. The bytes left behind are
 * undefined. MV_EIO if the file is written directly. */
mv_status mv_output_move(mv_output *o, uint64_t to, uint64_t from, uint64_t n);

/* Sets the size of the file. MV_EIO if the file is written directly. */
mv_status mv_output_resize(mv_output *o, uint64_t size);

/* The first failure; its code is MV_OK while there is none. Owned by `o`. */
const mv_error *mv_output_error(const mv_output *o);

/* Brings the bytes to the disk and gives the file its name. Frees `o`, also on failure. */
mv_status mv_output_commit(mv_output *o, mv_error *e);

/* Drops what was written and frees `o`; NULL is fine. */
void mv_output_discard(mv_output *o);

/* Removes every temporary file and folder of this process that has a name, for a process that ends while outputs are
 * open. Outputs that are still open must then not be committed.
 *
 * The function is async-signal-safe: it makes system calls only and allocates nothing. Limits: it knows up to 256
 * temporaries; a thread that still writes may create a file in a folder while it is being removed; a folder that is
 * being given its final name at that moment is left alone. What remains is removed by a later run (mv_output_check). */
void mv_output_discard_all(void);

#endif
