/* Named fp32 arrays written as they come, in memory that does not grow with them: what `dump` writes.
 *
 * All arrays are declared first; then each is filled along its first dimension, in any number of pieces, the
 * arrays in any order; then the store is committed. Like a single file (output.h) it appears whole or not at all. The
 * path's ending says what it becomes:
 *
 *     x.safetensors  tensors in the order declared; every text of mv_store_meta under "__metadata__"
 *     x.npz          NAME.npy for each, uncompressed, for numpy.load without pickle; and manifest.json
 *     x.npy          exactly one array; its name and all metadata are dropped
 *     x/ or x        a folder of NAME.npy, and manifest.json
 *
 * manifest.json is the object given as "manifest" with "format": "mvscope-dump", "files": [...] and the other texts
 * of mv_store_meta added. An existing folder is replaced if it is empty or holds an earlier dump and nothing else.
 */
#ifndef MV_STORE_H
#define MV_STORE_H

#include "src/base/status.h"

typedef struct mv_store mv_store;

/* NULL with `e` filled when it could not be written in the end; see mv_output_open. A folder that holds anything but an
 * earlier dump is MV_EINPUT, naming what is in the way. Ended by exactly one of mv_store_commit and mv_store_discard.
 */
mv_store *mv_store_open(const char *path, mv_error *e);

/* Announces an array of `nd` (1..5) dimensions, the first of which mv_store_append fills. The name is up to 200
 * characters of printable ASCII, no '/', no '.' in front: MV_EINPUT. A repeated name, a second
 * array in a .npy and a call after the first mv_store_append are MV_EMISUSE. */
mv_status mv_store_declare(mv_store *s, const char *name, int nd, const int *dim, mv_error *e);

/* A text to go with the arrays; before the first mv_store_append, else MV_EMISUSE. "manifest" must be a JSON object. */
mv_status mv_store_meta(mv_store *s, const char *key, const char *text, mv_error *e);

/* The next `rows` rows of array `name`: rows * dim[1] * ... * dim[nd - 1] values. Undeclared names and more rows
 * than declared are MV_EMISUSE. */
mv_status mv_store_append(mv_store *s, const char *name, const float *values, int rows, mv_error *e);

/* Finishes the store; MV_EMISUSE naming an array that is not filled. Frees `s`, also on failure: after a failure here
 * or in any call above, nothing is left behind. */
mv_status mv_store_commit(mv_store *s, mv_error *e);

void mv_store_discard(mv_store *s); /* drops everything and frees; fine on NULL */

#endif
