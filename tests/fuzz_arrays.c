/* Any bytes as a file of arrays, or as one of a folder of them: opening it is safe, and so is reading every array.
 *
 * Covers: src/file/arrays.c src/file/npy.c src/file/zip_read.c src/file/safetensors.c
 */
#include "src/file/arrays.h"
#include "tests/fuzz.h"

enum { MOST = 1 << 14 };

static void read_one(mv_arrays *a, int i)
{
    static float values[MOST];
    mv_tensor t;
    mv_error e = {0};
    fuzz_expect(mv_arrays_lookup(a, mv_arrays_name_at(a, i)) >= 0);
    if (fuzz_refused(mv_arrays_shape(a, i, &t, &e), &e))
        return;
    size_t n = mv_tensor_count(t), some = n < MOST ? n : MOST;
    fuzz_refused(mv_arrays_read(a, i, 0, some, values, &e), &e);
    fuzz_refused(mv_arrays_read(a, i, n - some, some, values, &e), &e);
    mv_error f = {0};
    fuzz_expect(fuzz_refused(mv_arrays_read(a, i, n, 1, values, &f), &f));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const as[] = {"x.npy", "x.npz", "x.safetensors", "folder/one.npy"};
    char path[PATH_MAX];
    mv_error e = {0};
    if (size == 0)
        return 0;
    unsigned kind = data[0] & 3;
    fuzz_path(path, kind == 3 ? "folder" : as[kind]);
    if (kind == 3)
        mkdir(path, 0700);
    fuzz_file(as[kind], data + 1, size - 1);
    mv_arrays *a = mv_arrays_open(path, &e);
    fuzz_expect(a ? !e.code : fuzz_refused(e.code, &e));
    for (int i = 0; a && i < mv_arrays_count(a) && i < 256; i++)
        read_one(a, i);
    mv_arrays_close(a);
    return 0;
}
