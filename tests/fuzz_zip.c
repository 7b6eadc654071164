/* libFuzzer: whatever the bytes, opening an archive is safe, and so is reading every entry of what opens; and every
 * tensor, where it is a checkpoint. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "src/file/tensors.h"
#include "src/file/zip_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A refusal comes with its reason. */
static int told(const mv_error *e)
{
    if (e->code == MV_OK || !e->text[0])
        abort();
    return 0;
}

static void read_tensors(const uint8_t *bytes, size_t size)
{
    enum { MOST = 1 << 16 };
    static float values[MOST];
    mv_error e = {0};
    mv_tensors *t = mv_tensors_of(bytes, size, "fuzz", &e);
    if (!t)
        told(&e);
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
    if (!z)
        return told(&e);
    for (int i = 0; i < mv_zip_count(z); i++) {
        if (mv_zip_lookup(z, mv_zip_name_at(z, i)) != i)
            abort();
        uint64_t n = mv_zip_size_at(z, i);
        unsigned char *out = malloc(n < MOST ? n + 1 : MOST);
        mv_error mine = {0};
        if (out && mv_zip_read(z, i, out, n < MOST ? n : MOST, "fuzz", &mine))
            told(&mine);
        free(out);
        if (mv_zip_stored(z, i))
            mv_zip_check(z, i, "fuzz", NULL);
    }
    mv_zip_close(z);
    read_tensors(bytes, size);
    return 0;
}
