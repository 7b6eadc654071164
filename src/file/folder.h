/* A folder of dumped arrays that appears whole or not at all: output.h for folders.
 *
 * The folder is filled under a temporary name beside the target and renamed at the end. An existing folder is replaced
 * only if it is empty, or if its manifest.json says that it is an earlier dump ("format": MV_FOLDER_FORMAT) and lists
 * every other file in it ("files"), each of which is an array, NAME.npy. Otherwise nothing in it is touched: a manifest
 * may be a stranger's. The new folder and its files keep the rights of those they replace, and nobody else looks into
 * it before it has them.
 */
#ifndef MV_FOLDER_H
#define MV_FOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

#define MV_FOLDER_MANIFEST "manifest.json"
#define MV_FOLDER_FORMAT   "mvscope-dump"

typedef struct mv_folder mv_folder;

/* Returns NULL and fills `e` if the parent is missing or read-only, a file has the name, or the folder must not be
 * replaced (MV_EINPUT, which names what it holds). Removes stale temporaries from the parent. End it with exactly one
 * of mv_folder_commit and mv_folder_discard. */
mv_folder *mv_folder_open(const char *path, mv_error *e);

/* Writes n bytes at `offset` of file `name` in the folder, which is created if needed. Keeps no file open. */
mv_status mv_folder_write(mv_folder *f, const char *name, const void *bytes, size_t n, uint64_t offset, mv_error *e);

/* Brings all files to the disk, gives the folder its name, and removes the dump it replaces. Frees `f`, also on
 * failure. The caller has written MV_FOLDER_MANIFEST. */
mv_status mv_folder_commit(mv_folder *f, mv_error *e);

void mv_folder_discard(mv_folder *f); /* NULL is fine */

#endif
