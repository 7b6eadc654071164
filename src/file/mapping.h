/* A file mapped for reading: its bytes without a copy. If another program truncates the file while it is mapped, the
 * kernel ends this process with SIGBUS; replacing the file by rename is safe. */
#ifndef MV_MAPPING_H
#define MV_MAPPING_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"

typedef struct {
    const unsigned char *bytes; /* NULL when the file is empty */
    size_t size;
} mv_mapping;

/* Fails if the file is missing, not readable or not regular; the error names `path`. Close with mv_mapping_close. */
mv_status mv_mapping_open(mv_mapping *out, const char *path, mv_error *e);
void mv_mapping_close(mv_mapping *m); /* leaves it empty; an empty mapping is fine */

/* Releases the whole pages of a mapping between two places, so that a file of gigabytes does not stay resident. The
 * bytes stay readable: a later read loads them again. */
void mv_mapping_forget(const void *begin, const void *end);

/* SHA-256 of bytes in lower-case hex; `forget`: they are a mapping, whose pages are released on the way. */
void mv_mapping_sha256(const void *bytes, size_t size, bool forget, char hex[65]);

#endif
