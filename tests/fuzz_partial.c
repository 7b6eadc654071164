/* Any bytes as the journal of a store that is continued, beside values of any size: it is refused and left as it is, or
 * goes on from a checkpoint, and what is committed has as many rows as were there and came.
 *
 * Covers: src/file/partial.c src/file/store.c
 */
#include "src/file/arrays.h"
#include "src/file/store.h"
#include "tests/fuzz.h"

enum { ROW = 3, PICTURES = 8 };

/* Writes what is missing and commits. */
static void go_on(mv_store *s, const char *path, int extra)
{
    static const float row[ROW];
    mv_error e = {0};
    mv_tensor t;
    int there = mv_store_note_count(s);
    for (int i = 0; i < there; i++)
        fuzz_expect(mv_store_note_at(s, i) != NULL);
    if (fuzz_refused(mv_store_declare(s, "head", 2, (int[]){PICTURES, ROW}, &e), &e)) {
        mv_store_suspend(s);
        return;
    }
    mv_status code = MV_OK;
    for (int i = 0; !code && i < extra; i++) {
        code = mv_store_append(s, "head", row, 1, &e);
        code = code ? code : mv_store_checkpoint(s, "picture", &e);
    }
    fuzz_refused(code, &e);
    if (code) {
        mv_store_suspend(s);
        return;
    }
    if (fuzz_refused(mv_store_commit(s, &e), &e))
        return;
    mv_arrays *a = mv_arrays_open(path, &e);
    fuzz_expect(a && mv_arrays_shape(a, 0, &t, &e) == MV_OK);
    fuzz_expect(t.nd == 2 && t.dim[0] == PICTURES && t.dim[1] == ROW);
    mv_arrays_close(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zeros[256];
    char path[PATH_MAX], partial[PATH_MAX];
    mv_error e = {0};
    if (size < 2)
        return 0;
    fuzz_empty(fuzz_folder());
    fuzz_expect(mkdir(fuzz_path(partial, "x.npy.partial"), 0700) == 0);
    fuzz_file("x.npy.partial/journal", data + 2, size - 2);
    if (data[0] & 1)
        fuzz_file("x.npy.partial/head.raw", zeros, data[1]);
    if (data[0] & 2)
        fuzz_file("x.npy.partial/notes.txt", "", 0);
    mv_store *s = mv_store_open_resumable(fuzz_path(path, "x.npy"), "model\n", &e);
    fuzz_expect(s || fuzz_refused(e.code, &e));
    if (s)
        go_on(s, path, data[0] >> 2 & 15);
    char notes[PATH_MAX + 16];
    snprintf(notes, sizeof notes, "%s/notes.txt", partial);
    fuzz_expect(!(data[0] & 2) || access(notes, F_OK) == 0);
    return 0;
}
