/* numpy's .npy format: one array behind a small text header. The reader takes versions 1 to 3, little endian
 * f2 f4 f8 i4 i8 u1 in C order, and never evaluates the header.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
#ifndef MV_NPY_H
#define MV_NPY_H

#include <stddef.h>

#include "src/base/status.h"
#include "src/base/tensor.h"

/* Reads a file; out->data is the caller's to free(), aligned for every type. A 0-dimensional array has nd 0 and one
 * element. Errors name `path` and what was found: cut short, bytes left over, another version, type, byte order or
 * memory order, a shape too large. On failure *out is untouched. */
mv_status mv_npy_load(mv_tensor *out, const char *path, mv_error *e);

/* The same from memory; `name` stands in errors. */
mv_status mv_npy_decode(mv_tensor *out, const void *bytes, size_t size, const char *name, mv_error *e);

/* Writes a tensor (see output.h). BF16, which numpy lacks, is written as f4. */
mv_status mv_npy_write(const char *path, mv_tensor t, mv_error *e);

enum { MV_NPY_HEADER = 128 };

/* The MV_NPY_HEADER bytes before the data of such an array, for a writer that streams the data. */
void mv_npy_header(char out[MV_NPY_HEADER], mv_dtype type, int nd, const int *dim);

#endif
