/* libFuzzer: whatever the bytes, decoding them is safe, and what decodes has all of its data.
 *
 * Covers: src/file/npy.c
 */
#include "src/file/npy.h"
#include "src/file/safetensors.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    mv_error e = {0};
    mv_tensor t;
    if (fuzz_refused(mv_npy_of(&t, bytes, size, "fuzz", &e), &e))
        return 0;
    float *values = malloc((mv_tensor_count(t) + 1) * sizeof *values);
    if (values)
        mv_safetensors_read(values, t);
    free(values);
    return 0;
}
