/* Where an output goes: its folder, held open, and its name in there.
 *
 * Links are followed by hand, each through a descriptor, so that what is looked at is what is followed. In a sticky
 * folder that all may write, such as /tmp, anybody can plant a link: as with the kernel's fs.protected_symlinks, which
 * may be off, only the user's own links and those of the folder's owner are followed there. As cp does, a link to
 * nothing is refused: whoever made it chose a place that the user did not name.
 */
#ifndef MV_PLACE_IMPL_H
#define MV_PLACE_IMPL_H

#include <stdbool.h>

#include "src/base/status.h"

typedef struct {
    char *path;       /* with the links of the last component resolved */
    const char *name; /* the last component of `path`; empty if that ends in a slash */
    int folder;       /* O_PATH; -1: not open */
    bool proc;        /* a name in /proc, such as that of a descriptor, which is not followed further */
} mv_place;

/* The name need not exist. `told`: the path as the user gave it, for errors. On failure the place is closed. */
mv_status mv_place_find(mv_place *p, const char *path, const char *told, mv_error *e);

void mv_place_close(mv_place *p); /* also one that is {.folder = -1} */

#endif
