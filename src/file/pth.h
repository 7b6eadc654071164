/* PyTorch's checkpoints, as torch.save writes them since version 1.6: a .zip archive with a pickle, ROOT/data.pkl, that
 * describes the tensors, and their storages, ROOT/data/KEY, which stay where they are in the file.
 * https://docs.pytorch.org/docs/stable/notes/serialization.html
 *
 * Nothing in it is run (pickle.h). A tensor's name is the keys that lead to it, joined by dots: what {"state_dict":
 * {"head.weight": ...}} holds is "state_dict.head.weight"; in a list the key is the place. Tensors may be views:
 * transposed, expanded, parts of one storage; Parameters are tensors. Each is checked at opening: its storage is in the
 * archive, is as long as it says, and holds all that the view shows. Checksums are not compared, because PyTorch can be
 * told to leave them out.
 */
#ifndef MV_PTH_H
#define MV_PTH_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/status.h"
#include "src/base/tensor.h"

enum {
    MV_PTH_TENSORS = 1 << 18, /* limits: tensors in a file */
    MV_PTH_NAME = 500,        /* letters of a name */
    MV_PTH_DEEPEST = 32,      /* dicts and lists inside one another, below which nothing is looked for */
    MV_PTH_EXPANDED = 1 << 26 /* elements of all tensors that show an element of their storage more than once */
};

typedef struct mv_pth mv_pth;

/* Bytes of the whole file, which stay the caller's until the close. `mapped`: pages that were read may be released.
 * NULL on failure: it is no such archive, or something in it is refused, by name. */
mv_pth *mv_pth_of(const void *bytes, size_t size, bool mapped, const char *name, mv_error *e);
void mv_pth_close(mv_pth *p); /* NULL is fine */

/* Tensors sorted by name (bytewise), 0 <= i < count, including those whose type mv_dtype lacks. */
int mv_pth_count(const mv_pth *p);
const char *mv_pth_name_at(const mv_pth *p, int i);
int mv_pth_index(const mv_pth *p, const char *name); /* -1 where there is none */

/* Type and shape of tensor i; out->data is NULL. MV_EINPUT where its type is not read. */
mv_status mv_pth_shape(const mv_pth *p, int i, mv_tensor *out, mv_error *e);

/* Converts all elements of tensor i, of a float type, to fp32 in row-major order. Storages that somebody compressed are
 * unpacked and kept, at most 2 GiB of them. */
mv_status mv_pth_read(mv_pth *p, int i, float *out, mv_error *e);

#endif
