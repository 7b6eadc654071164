/* Named arrays that any program wrote, for reading: what a PyTorch hook or numpy saved. The path says what it is:
 *
 *     x.safetensors   its tensors
 *     x.npz           NAME.npy for each array, stored or compressed (numpy.savez, numpy.savez_compressed)
 *     x.npy           one array, called after the file
 *     a folder        NAME.npy for each array
 *
 * Nothing is trusted: an array is checked when it is asked for, so that one that cannot be read does not hide the
 * others. Memory: at most one array, and only of a compressed or archived one.
 */
#ifndef MV_ARRAYS_H
#define MV_ARRAYS_H

#include "src/base/status.h"
#include "src/base/tensor.h"

typedef struct mv_arrays mv_arrays;

/* NULL on failure: there is no such file or folder, it is none of these, or it is damaged. */
mv_arrays *mv_arrays_open(const char *path, mv_error *e);
void mv_arrays_close(mv_arrays *a); /* NULL is fine */

/* Names sorted bytewise, 0 <= i < count: anybody's bytes, to be escaped before they are printed. */
int mv_arrays_count(const mv_arrays *a);
const char *mv_arrays_name_at(const mv_arrays *a, int i);

/* The index of a name; -1 where there is none. */
int mv_arrays_lookup(const mv_arrays *a, const char *name);

/* True for a lone .npy: its name says nothing of what is in it. */
bool mv_arrays_is_one(const mv_arrays *a);

/* Type and shape of array i; out->data is NULL. MV_EINPUT, which names it, for one that cannot be read. */
mv_status mv_arrays_shape(mv_arrays *a, int i, mv_tensor *out, mv_error *e);

/* Elements `from` to from + n of array i as fp32. MV_EMISUSE where it has fewer. */
mv_status mv_arrays_read(mv_arrays *a, int i, size_t from, size_t n, float *out, mv_error *e);

#endif
