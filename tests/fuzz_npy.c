/* libFuzzer: whatever the bytes, decoding them is safe, and what decodes has all of its data. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "src/file/npy.h"
#include "src/file/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A refusal comes with its reason. */
static int told(const mv_error *e)
{
    if (e->code == MV_OK || !e->text[0])
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    mv_error e = {0};
    mv_tensor t;
    if (mv_npy_of(&t, bytes, size, "fuzz", &e) != MV_OK)
        return told(&e);
    float *values = malloc((mv_tensor_count(t) + 1) * sizeof *values);
    if (values)
        mv_safetensors_read(values, t);
    free(values);
    return 0;
}
