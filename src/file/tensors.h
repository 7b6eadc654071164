/* The named tensors of a checkpoint, whatever holds them:
 *
 *     x.safetensors                           safetensors.h
 *     x.pth, x.pth.tar, x.pt, x.bin, x.ckpt   PyTorch's, pth.h
 *     x.index.json                            a list of files of either kind, the shards, in the same folder
 *     a folder                                with one of these in it
 *
 * The first bytes of a file say what it is. A folder's model.safetensors is taken first, then
 * model.safetensors.index.json, the only file with the ending .safetensors, pytorch_model.bin,
 * pytorch_model.bin.index.json, and the only file with one of the endings of PyTorch. A name of a shard is never
 * followed out of the folder.
 */
#ifndef MV_TENSORS_H
#define MV_TENSORS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/base/tensor.h"

enum { MV_TENSORS_SHARDS = 1000 }; /* most files of an index */

typedef struct mv_tensors mv_tensors;

/* Opens a file or folder and checks all headers. NULL on failure: e.g. it is something else, which is named, a shard is
 * missing, or a tensor of the index is not in its shard. */
mv_tensors *mv_tensors_open(const char *path, mv_error *e);

/* The same over the bytes of one file, which stay the caller's until the close; `name` begins errors. */
mv_tensors *mv_tensors_of(const void *bytes, size_t size, const char *name, mv_error *e);

void mv_tensors_close(mv_tensors *t); /* NULL is fine */

/* The file that was opened: that in the folder, the index. */
const char *mv_tensors_file(const mv_tensors *t);

/* All files that were opened, 0 <= i: that one, then the shards of an index; NULL after the last. */
const char *mv_tensors_file_at(const mv_tensors *t, int i);

/* Tensors sorted by name (bytewise), 0 <= i < count. Names have no control characters. */
int mv_tensors_count(const mv_tensors *t);
const char *mv_tensors_name_at(const mv_tensors *t, int i);

bool mv_tensors_has(const mv_tensors *t, const char *name); /* of any type */

/* Type and shape of a tensor; out->data is NULL. False if there is none of that name or its type is not read. */
bool mv_tensors_lookup(const mv_tensors *t, const char *name, mv_tensor *out);

/* The same for a tensor that must exist: MV_EINPUT says what is the cause. */
mv_status mv_tensors_find(const mv_tensors *t, const char *name, mv_tensor *out, mv_error *e);

/* Converts a tensor that was found, of a float type, to fp32 in row-major order, and releases its pages. MV_EIO if its
 * file changed or failed since it was opened. */
mv_status mv_tensors_read(mv_tensors *t, const char *name, float *out, mv_error *e);

/* The text that a safetensors file carries under `key`; NULL if there is none. */
const char *mv_tensors_metadata(const mv_tensors *t, const char *key);

/* SHA-256 in lower-case hex: of the file; of shards that of their lines "HASH  NAME\n" by name, as
 * `sha256sum SHARD... | sha256sum` prints it. MV_EIO as mv_tensors_read. */
mv_status mv_tensors_sha256(const mv_tensors *t, char hex[65], mv_error *e);

#endif
