/* Any bytes as a GIF: what does not begin as one gets the signature.
 *
 * Covers: src/picture/gif.c
 */
#include "tests/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_picture_as(data, size, "GIF89a", 6);
    return 0;
}
