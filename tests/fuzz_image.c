/* Any bytes as a picture, whose format they say themselves.
 *
 * Covers: src/picture/codec.c src/picture/decode.c
 */
#include "tests/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_picture(data, size);
    return 0;
}
