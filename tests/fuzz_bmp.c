/* Any bytes as a BMP: what does not begin as one gets the signature.
 *
 * Covers: src/picture/bmp.c src/picture/stb.c
 */
#include "tests/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_picture_as(data, size, "BM", 2);
    return 0;
}
