/* A folder of dumped arrays that appears whole or not at all: what output.h is to one file.
 *
 * It is filled under a hidden name beside the target and renamed at the end. A folder that is there already is
 * replaced only if it is empty, or its manifest.json says that it is an earlier dump ("format": MV_FOLDER_FORMAT) and
 * lists every other file in it ("files"); whatever else it holds, nothing in it is touched.
 */
#ifndef MV_FOLDER_H
#define MV_FOLDER_H

#include <stddef.h>

#include "src/base/status.h"

#define MV_FOLDER_MANIFEST "manifest.json"
#define MV_FOLDER_FORMAT   "mvscope-dump"

typedef struct mv_folder mv_folder;

/* NULL with `e` filled: a missing or read-only parent, a file of that name, or something that must not be replaced
 * (MV_EINPUT, naming it). Ended by exactly one of mv_folder_commit and mv_folder_discard. */
mv_folder *mv_folder_open(const char *path, mv_error *e);

/* Appends n bytes to file `name` in the folder, which begins empty. Holds nothing open in between. */
mv_status mv_folder_append(mv_folder *f, const char *name, const void *bytes, size_t n, mv_error *e);

/* Brings all files to the disk and the folder to its name; removes the dump that was there. Frees `f`, also on
 * failure. The caller has written MV_FOLDER_MANIFEST. */
mv_status mv_folder_commit(mv_folder *f, mv_error *e);

void mv_folder_discard(mv_folder *f); /* fine on NULL */

#endif
