/* A file mapped for reading: its bytes without a copy. Should another program cut the file short while it
 * is mapped, the kernel ends us with SIGBUS; replacing it by rename is safe. */
#ifndef MV_MAPPING_H
#define MV_MAPPING_H

#include <stddef.h>

#include "src/base/status.h"

typedef struct {
    const unsigned char *bytes; /* NULL when the file is empty */
    size_t size;
} mv_mapping;

/* Errors name `path`: not there, not readable, not a regular file. To be closed by mv_mapping_close. */
mv_status mv_mapping_open(mv_mapping *out, const char *path, mv_error *e);
void mv_mapping_close(mv_mapping *m); /* leaves it empty; fine on an empty one */

#endif
