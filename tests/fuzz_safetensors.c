/* libFuzzer: whatever the bytes, opening them is safe, and so is reading every tensor of what opens.
 *
 * Covers: src/file/safetensors.c
 */
#include "src/file/safetensors.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    mv_error e = {0};
    mv_safetensors *st = mv_safetensors_of(bytes, size, "fuzz", &e);
    if (!st) {
        fuzz_expect(fuzz_refused(e.code, &e));
        return 0;
    }
    for (int i = 0; i < mv_safetensors_count(st); i++) {
        const char *name = mv_safetensors_name_at(st, i);
        mv_tensor t;
        if (mv_safetensors_find(st, name, &t, NULL) != MV_OK)
            continue;
        float *values = malloc((mv_tensor_count(t) + 1) * sizeof *values);
        if (values)
            mv_safetensors_read(values, t);
        free(values);
    }
    char hex[65];
    mv_safetensors_sha256(st, hex);
    mv_safetensors_metadata(st, "format");
    mv_safetensors_close(st);
    return 0;
}
