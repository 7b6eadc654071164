/* Named fp32 arrays that are written as they arrive, in memory that does not grow with them. `dump` writes one.
 *
 * Declare the arrays; fill each along its first dimension, in any number of pieces and the arrays in any order; commit.
 * The first dimension that is declared is an upper bound: if fewer pictures were written than declared, mv_store_shrink
 * says so before the commit. The bytes are the same as if the arrays had been declared with the rows that came; the
 * data is moved within the file only then. Like a single file (output.h), a store appears whole or not at all. Its path
 * says what it becomes:
 *
 *     x.safetensors   tensors in the order declared; every text of mv_store_meta under "__metadata__"
 *     x.npz           NAME.npy for each array, uncompressed, for numpy.load without pickle; and manifest.json
 *     x.npy           exactly one array; its name and all metadata are dropped
 *     x/, or a folder NAME.npy for each array, and manifest.json
 *
 * manifest.json is the object given as "manifest", with "format": "mvscope-dump", "files": [...] and the other texts of
 * mv_store_meta added. An existing folder is replaced if it is empty or holds nothing but an earlier dump.
 *
 * A resumable store collects its rows in the visible folder PATH.partial, which survives a killed process:
 *
 *     mv_store *s = mv_store_open_resumable(path, "model 1a2b3c\nsites head\n...", &e);
 *     mv_store_declare(s, "head", 2, (int[]){pictures, 1000}, &e);
 *     for (int i = 0; i < mv_store_note_count(s); i++)
 *         skip(mv_store_note_at(s, i));                // these rows are in the store already
 *     while (...) {
 *         mv_store_append(s, "head", logits, n, &e);   // every array, then
 *         mv_store_checkpoint(s, names_of_batch, &e);  // these rows count from now on
 *     }
 *     mv_store_meta(s, "manifest", text, &e);
 *     mv_store_commit(s, &e);                          // or mv_store_suspend(s): continue in a later run
 */
#ifndef MV_STORE_H
#define MV_STORE_H

#include "src/base/status.h"

typedef enum { MV_STORE_SAFETENSORS, MV_STORE_NPZ, MV_STORE_NPY, MV_STORE_FOLDER } mv_store_kind;

typedef struct mv_store mv_store;

/* Says what a path will become: a folder if it ends in '/'; a file if its ending is known (in either case); a folder if
 * it is one. Any other path is MV_EINPUT with a suggestion. `place` begins the error message: "-o". */
mv_status mv_store_kind_of(mv_store_kind *kind, const char *path, const char *place, mv_error *e);

/* Checks that a store can be written to `path`, before any work is done: reports what mv_store_open would report and
 * leaves nothing behind. Also removes temporaries that killed processes left beside `path`. */
mv_status mv_store_check(const char *path, mv_error *e);

/* Returns NULL and fills `e` if `path` could not be written in the end; see mv_store_kind_of, mv_output_open and
 * mv_folder_open. End it with exactly one of mv_store_commit, mv_store_suspend and mv_store_discard. */
mv_store *mv_store_open(const char *path, mv_error *e);

/* Opens a store that collects in PATH.partial, or continues the one that is there. `fingerprint` is UTF-8 text, one
 * setting per line, that says what is written: model, sites, options, pictures. If the folder has another fingerprint,
 * that is MV_EINPUT with the first line that differs; if another process has it open, MV_EIO. What was appended after
 * the last checkpoint of the earlier run is dropped. */
mv_store *mv_store_open_resumable(const char *path, const char *fingerprint, mv_error *e);

/* The notes of the checkpoints of earlier runs, in order, 0 <= i < count. Owned by `s`. None without
 * mv_store_open_resumable. */
int mv_store_note_count(const mv_store *s);
const char *mv_store_note_at(const mv_store *s, int i);

/* Declares an array of `nd` (1..5) dimensions; dim[0] is the most rows that mv_store_append will fill. The name is up
 * to 200 characters of printable ASCII without '/' and without a leading '.', else MV_EINPUT. A repeated name, a second
 * array in a .npy file and a call after the first mv_store_append are MV_EMISUSE. */
mv_status mv_store_declare(mv_store *s, const char *name, int nd, const int *dim, mv_error *e);

/* Sets a text that goes with the arrays, UTF-8, or replaces it. "manifest" must be a JSON object. May be called until
 * the commit. In .safetensors the texts precede the data: texts whose size changes after the first mv_store_append cost
 * one move of the data, so set them before if they are known. */
mv_status mv_store_meta(mv_store *s, const char *key, const char *text, mv_error *e);

/* Appends `rows` rows to array `name`: rows * dim[1] * ... * dim[nd - 1] values. An undeclared name and more rows than
 * declared are MV_EMISUSE. */
mv_status mv_store_append(mv_store *s, const char *name, const float *values, int rows, mv_error *e);

/* Makes the rows appended so far survive the process, with a note of the caller's: UTF-8, any length, for instance the
 * names of the pictures that are done. Does nothing in a store that is not resumable. */
mv_status mv_store_checkpoint(mv_store *s, const char *note, mv_error *e);

/* Says that of the `expected` pictures (> 0) that the arrays were declared for, only `came` arrived: every first
 * dimension becomes dim[0] * came / expected. MV_EMISUSE if that is no whole number. mv_store_commit then checks that
 * every array has exactly these rows. */
mv_status mv_store_shrink(mv_store *s, int expected, int came, mv_error *e);

/* Finishes the store and, if it is resumable, removes PATH.partial. MV_EMISUSE names an array that is not filled. Frees
 * `s`, also on failure. After a failure here or in any call above nothing is left behind, except PATH.partial as
 * mv_store_suspend leaves it. */
mv_status mv_store_commit(mv_store *s, mv_error *e);

/* Frees `s` and keeps PATH.partial up to its last checkpoint; removes it if there is no checkpoint. Drops a store that
 * is not resumable. NULL is fine. */
void mv_store_suspend(mv_store *s);

/* Drops everything, PATH.partial too, and frees `s`; NULL is fine. */
void mv_store_discard(mv_store *s);

#endif
