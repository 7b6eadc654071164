/* numpy's .npy format: one array after a small text header. The reader accepts versions 1 to 3 and little-endian
 * f2 f4 f8 i4 i8 u1 in C order; it parses the header and never evaluates it.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
#ifndef MV_NPY_H
#define MV_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"
#include "src/base/tensor.h"

/* A view of the array in the bytes of a file, which stay the caller's. `data` may lie at any alignment, so read it by
 * mv_safetensors_read. A 0-dimensional array has nd 0 and one element. MV_EINPUT names `name` and what was found: a
 * file cut short or too long, another version, type, byte order or memory order, a shape too large. On failure *out is
 * unchanged. */
mv_status mv_npy_of(mv_tensor *out, const void *bytes, size_t size, const char *name, mv_error *e);

enum { MV_NPY_PREFIX = 12 + (1 << 16) }; /* bytes that hold the longest header that is read */

/* Reads the header alone, from the first n bytes of an array of `size` bytes; n is `size` or at least MV_NPY_PREFIX.
 * out->data is NULL, and *start receives the offset of the data. Errors as above. */
mv_status mv_npy_peek(mv_tensor *out, size_t *start, const void *bytes, size_t n, uint64_t size, const char *name,
                      mv_error *e);

/* Writes a tensor (see output.h). BF16, which numpy lacks, is written as f4. */
mv_status mv_npy_write(const char *path, mv_tensor t, mv_error *e);

enum { MV_NPY_HEADER = 128 };

/* Makes the MV_NPY_HEADER bytes that precede the data, for a writer that streams the data. */
void mv_npy_header(char out[MV_NPY_HEADER], mv_dtype type, int nd, const int *dim);

#endif
