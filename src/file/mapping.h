/* A file for reading as bytes in memory: mapped, without a copy, or read.
 *
 * A mapped file can change under its reader. If it is cut, or its disk fails, the kernel sends SIGBUS to the thread
 * that reads the lost page. The program's handler of that signal calls mv_mapping_mend, which puts zeros in place of
 * the rest of the file and lets the thread go on, in any library and without a jump; whoever took something from the
 * mapping then asks mv_mapping_check whether it was the file. Replacing a file by rename is no change: the mapping
 * stays whole.
 */
#ifndef MV_MAPPING_H
#define MV_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "src/base/status.h"

typedef struct {
    const unsigned char *bytes; /* NULL when the file is empty */
    size_t size;
    /* for mapping.c; all zero of bytes that were read */
    int slot; /* in the list of mappings, counted from 1 */
    uint64_t device, inode;
    struct timespec changed;
} mv_mapping;

/* Maps a file. Fails if it is missing, not readable or not regular; the error names `path`. Close with
 * mv_mapping_close. */
mv_status mv_mapping_open(mv_mapping *out, const char *path, mv_error *e);

/* The same for a text of at most `most` bytes, which is read: it cannot change. MV_EINPUT for a longer one. */
mv_status mv_mapping_load(mv_mapping *out, const char *path, size_t most, mv_error *e);

void mv_mapping_close(mv_mapping *m); /* leaves it empty; an empty mapping is fine */

/* MV_EIO if the file was cut or written since it was mapped, or a part of it could not be read: then what was taken
 * from the mapping is not what the file held. `path` is that of the open, and begins the error. */
mv_status mv_mapping_check(const mv_mapping *m, const char *path, mv_error *e);

/* The status of work on a mapping that ended with *why: if the mapping is not whole, that is the cause, and *why, an
 * error or none, is only its consequence. */
mv_status mv_mapping_finish(const mv_mapping *m, const char *path, const mv_error *why, mv_error *e);

/* Reads what a mapping holds into `context`. */
typedef mv_status mv_mapping_reader(void *context, const mv_mapping *m, mv_error *e);

/* mv_mapping_open, `read` and mv_mapping_finish. Also after a failure the mapping is the caller's to close, when
 * nothing points into it any more. */
mv_status mv_mapping_read(mv_mapping *out, const char *path, mv_mapping_reader *read, void *context, mv_error *e);

/* For a handler of SIGBUS, with si_addr: replaces the lost pages by zeros. False for an address in no mapping. */
bool mv_mapping_mend(const void *address);

/* Releases the whole pages of a mapping between two places, so that a file of gigabytes does not stay resident. The
 * bytes stay readable: a later read loads them again. */
void mv_mapping_forget(const void *begin, const void *end);

/* SHA-256 of bytes in lower-case hex; `forget`: they are a mapping, whose pages are released on the way. */
void mv_mapping_sha256(const void *bytes, size_t size, bool forget, char hex[65]);

#endif
