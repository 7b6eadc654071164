/* The .safetensors format: named tensors after a JSON header. A mapped reader that checks everything, and an atomic
 * writer. https://huggingface.co/docs/safetensors
 *
 *     8 bytes   N, little endian
 *     N bytes   {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...,
 *                "__metadata__": {"KEY": "text", ...}}, padded with spaces
 *     the rest  the data; offsets count from here; no overlap, no hole
 *
 * The format does not align its data: `data` of a tensor may lie at any byte. Read it by
 * mv_safetensors_read, or check before casting.
 */
#ifndef MV_SAFETENSORS_H
#define MV_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"
#include "src/base/tensor.h"

enum { MV_SAFETENSORS_MAX_HEADER = 100 * 1000 * 1000 }; /* bytes; the reference library's limit too */

typedef struct mv_safetensors mv_safetensors;

/* Maps the file and checks its whole header: every tensor lies within the file and has the size of its shape and type.
 * Otherwise returns NULL and fills `e`, naming the file and the tensor. Types that mv_dtype lacks (BOOL, I8, F8_E4M3,
 * ...) are accepted but cannot be looked up. */
mv_safetensors *mv_safetensors_open(const char *path, mv_error *e);

/* The same over bytes that the caller owns and keeps until the close; errors start with `name`. */
mv_safetensors *mv_safetensors_of(const void *bytes, size_t size, const char *name, mv_error *e);

void mv_safetensors_close(mv_safetensors *st); /* NULL is fine */

const char *mv_safetensors_file(const mv_safetensors *st); /* the name given at opening */

/* Tensors sorted by name (bytewise), 0 <= i < count, including those of unknown type. */
int mv_safetensors_count(const mv_safetensors *st);
const char *mv_safetensors_name_at(const mv_safetensors *st, int i);

/* The index of a name, of any type; -1 where there is none. */
int mv_safetensors_index(const mv_safetensors *st, const char *name);

/* Sets *out to a view of the tensor inside the file, which must not be written; a scalar has nd 0 and one element.
 * Returns false and leaves *out unchanged if there is no such tensor or its type is unknown. O(log count). */
bool mv_safetensors_lookup(const mv_safetensors *st, const char *name, mv_tensor *out);

/* The same for a tensor that must exist: MV_EINPUT says whether the name or the type is the cause. */
mv_status mv_safetensors_find(const mv_safetensors *st, const char *name, mv_tensor *out, mv_error *e);

/* The text of "__metadata__" under `key`; NULL if there is none. */
const char *mv_safetensors_metadata(const mv_safetensors *st, const char *key);

/* Converts all elements of a tensor that was looked up to fp32; out holds mv_tensor_count(t). Any alignment is fine. */
void mv_safetensors_read(float *out, mv_tensor t);

/* MV_EIO if the file changed or failed since it was opened: then values that were read are not the file's. */
mv_status mv_safetensors_check(const mv_safetensors *st, mv_error *e);

/* Releases the memory pages of a tensor that was converted, so that a checkpoint of gigabytes does not stay resident.
 * The data stay readable. Does nothing over borrowed bytes. */
void mv_safetensors_forget(const mv_safetensors *st, mv_tensor t);

/* SHA-256 of the whole file in lower-case hex. */
void mv_safetensors_sha256(const mv_safetensors *st, char hex[65]);

/* Writes n tensors in the given order, and n_meta pairs of metadata, as one file (see output.h).
 * MV_EINPUT for a name or text that is not UTF-8, a name that repeats or is "__metadata__". */
mv_status mv_safetensors_write(const char *path, int n, const char *const names[], const mv_tensor tensors[],
                               int n_meta, const char *const keys[], const char *const values[], mv_error *e);

/* Makes the part of a file before the data (a multiple of 8 bytes), for a writer that fills in the data later: the data
 * of tensor i follow those of tensor i - 1; tensors[i].data is not read. Errors start with `place`. The caller frees
 * *header. */
mv_status mv_safetensors_header(char **header, size_t *size, const char *place, int n, const char *const names[],
                                const mv_tensor tensors[], int n_meta, const char *const keys[],
                                const char *const values[], mv_error *e);

#endif
