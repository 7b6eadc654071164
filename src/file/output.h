/* An output file that appears whole or not at all.
 *
 * The bytes go to a nameless (or hidden) file in the target's folder; mv_output_commit gives it the
 * target's name in one step. Until then, and after any failure, what was there before is untouched
 * and nothing else is left behind. A symbolic link keeps pointing where it did: the file behind it is
 * replaced. A new file's mode follows the umask, a replaced file's mode stays. What is not a regular
 * file (a pipe, /dev/stdout, /dev/full) is written directly, front to back.
 *
 * The first failure sticks: later writes do nothing, and mv_output_commit reports it.
 */
#ifndef MV_OUTPUT_H
#define MV_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct mv_output mv_output;

/* Starts the file `path`. NULL with `e` filled when it could not be written in the end: an empty name, a
 * missing or read-only folder, a folder or a read-only file of that name. The caller ends it with exactly one of
 * mv_output_commit and mv_output_discard. */
mv_output *mv_output_open(const char *path, mv_error *e);

/* Appends n bytes. */
mv_status mv_output_write(mv_output *o, const void *bytes, size_t n);

/* Puts n bytes at `offset` from the start and leaves the place where mv_output_write goes on behind them. Written
 * directly (see above), a file takes only an offset that continues it; another one is a failure, MV_EIO. */
mv_status mv_output_pwrite(mv_output *o, const void *bytes, size_t n, uint64_t offset);

/* The failure that sticks, code MV_OK while there is none; o's. */
const mv_error *mv_output_error(const mv_output *o);

/* The descriptor that is written, for a library that wants one and starts at offset 0; still o's. */
int mv_output_fd(const mv_output *o);

/* Brings the bytes to the disk and the file to its name. Frees `o`, also on failure. */
mv_status mv_output_commit(mv_output *o, mv_error *e);

/* Drops what was written and frees `o`; fine on NULL. */
void mv_output_discard(mv_output *o);

enum { MV_OUTPUT_TEMPORARY = 32 };

/* A hidden file name that nobody else uses, for what is to be renamed later: ".mvscope-" and 16 hex digits. */
void mv_output_temporary(char name[MV_OUTPUT_TEMPORARY]);

#endif
