/* libFuzzer: whatever the bytes, opening an archive is safe, and so is reading every entry of what opens; and every
 * tensor, where it is a checkpoint.
 *
 * Covers: src/file/zip_read.c src/file/tensors.c src/file/pth.c src/file/pth_collect.c
 */
#include "src/file/tensors.h"
#include "src/file/zip_read.h"
#include "tests/fuzz.h"

static void read_tensors(const uint8_t *bytes, size_t size)
{
    enum { MOST = 1 << 16 };
    static float values[MOST];
    mv_error e = {0};
    mv_tensors *t = mv_tensors_of(bytes, size, "fuzz", &e);
    fuzz_expect(t || fuzz_refused(e.code, &e));
    for (int i = 0; t && i < mv_tensors_count(t); i++) {
        mv_tensor shape;
        const char *name = mv_tensors_name_at(t, i);
        if (mv_tensors_lookup(t, name, &shape) && shape.type <= MV_F64 && mv_tensor_count(shape) <= MOST)
            mv_tensors_read(t, name, values, NULL);
    }
    mv_tensors_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    enum { MOST = 1 << 20 };
    mv_error e = {0};
    mv_zip *z = mv_zip_of(bytes, size, "fuzz", &e);
    if (!z) {
        fuzz_expect(fuzz_refused(e.code, &e));
        return 0;
    }
    for (int i = 0; i < mv_zip_count(z); i++) {
        if (mv_zip_lookup(z, mv_zip_name_at(z, i)) != i)
            abort();
        uint64_t n = mv_zip_size_at(z, i);
        unsigned char *out = malloc(n < MOST ? n + 1 : MOST);
        mv_error mine = {0};
        if (out)
            fuzz_refused(mv_zip_read(z, i, out, n < MOST ? n : MOST, "fuzz", &mine), &mine);
        free(out);
        if (mv_zip_stored(z, i))
            mv_zip_check(z, i, "fuzz", NULL);
    }
    mv_zip_close(z);
    read_tensors(bytes, size);
    return 0;
}
