/* System calls as this room needs them: one that a signal interrupts is made again, and one that does a part is
 * continued. An open is not made again: it only waits for the other end of a pipe, and then a signal should end the
 * wait.
 */
#ifndef MV_SYSTEM_IMPL_H
#define MV_SYSTEM_IMPL_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "src/base/status.h"

/* True for "." and "..". Async-signal-safe. */
bool mv_system_is_dots(const char *name);

/* The next entry of a folder, without "." and "..". NULL at its end, where errno is 0, and when the folder cannot be
 * read. */
struct dirent *mv_system_entry(DIR *folder);

/* As read, fsync, ftruncate. Some of the bytes may be read. */
ssize_t mv_system_read(int fd, void *bytes, size_t n);
int mv_system_sync(int fd);
int mv_system_resize(int fd, off_t size);

/* As close. On Linux an interrupted one has closed the file: this is no failure. */
int mv_system_close(int fd);

/* Writes all n bytes at `offset`; at the end of what is written so far if it is negative. `place` is for errors. */
mv_status mv_system_write(int fd, const void *bytes, size_t n, off_t offset, const char *place, mv_error *e);

#endif
