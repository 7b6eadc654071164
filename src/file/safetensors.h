/* The .safetensors format: named tensors behind a JSON header. A mapped reader that believes nothing, and
 * an atomic writer. https://huggingface.co/docs/safetensors
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

/* Maps the file and checks all of its header: every tensor handed out later lies within the file and has the size
 * its shape and type say. NULL with `e` filled otherwise; the error names the file and the tensor. Types that
 * mv_dtype lacks (BOOL, I8, F8_E4M3, ...) are let in but cannot be looked up. */
mv_safetensors *mv_safetensors_open(const char *path, mv_error *e);

/* The same over bytes that stay the caller's and must outlive it; `name` stands in errors. */
mv_safetensors *mv_safetensors_of(const void *bytes, size_t size, const char *name, mv_error *e);

void mv_safetensors_close(mv_safetensors *st); /* fine on NULL */

const char *mv_safetensors_file(const mv_safetensors *st); /* the name given at opening */
size_t mv_safetensors_size(const mv_safetensors *st);      /* bytes of the whole file */

/* Tensors in the order of their names (bytewise), 0 <= i < count, those of unknown type included. */
int mv_safetensors_count(const mv_safetensors *st);
const char *mv_safetensors_name_at(const mv_safetensors *st, int i);

/* A view of the tensor inside the file, read only whatever its type says; a scalar has nd 0 and one element. False,
 * and *out untouched, when there is none of that name or its type is unknown. O(log count). */
bool mv_safetensors_lookup(const mv_safetensors *st, const char *name, mv_tensor *out);

/* The same where the tensor must be there: MV_EINPUT, saying which of the two it was. */
mv_status mv_safetensors_find(const mv_safetensors *st, const char *name, mv_tensor *out, mv_error *e);

/* The text of "__metadata__" under `key`, NULL when there is none. */
const char *mv_safetensors_metadata(const mv_safetensors *st, const char *key);

/* All elements of a tensor that was looked up, as fp32; out holds mv_tensor_count(t). Copes with any alignment. */
void mv_safetensors_read(float *out, mv_tensor t);

/* Lets go of the tensor's memory pages once it was converted, so that a checkpoint of gigabytes does not stay
 * resident. The data stay readable. Does nothing over borrowed bytes. */
void mv_safetensors_forget(const mv_safetensors *st, mv_tensor t);

/* SHA-256 of the whole file in lower-case hex. */
void mv_safetensors_sha256(const mv_safetensors *st, char hex[65]);

/* Writes n tensors in the given order, and n_meta pairs of metadata, as one file (see output.h).
 * MV_EINPUT for a name or text that is not UTF-8, a name that repeats or is "__metadata__". */
mv_status mv_safetensors_write(const char *path, int n, const char *const names[], const mv_tensor tensors[],
                               int n_meta, const char *const keys[], const char *const values[], mv_error *e);

/* The part of such a file before the data (a multiple of 8 bytes), for a writer that fills in the data later: tensor
 * i's data follow those of tensor i - 1; tensors[i].data is not read. `place` stands in errors. The caller frees
 * *header. */
mv_status mv_safetensors_header(char **header, size_t *size, const char *place, int n, const char *const names[],
                                const mv_tensor tensors[], int n_meta, const char *const keys[],
                                const char *const values[], mv_error *e);

#endif
