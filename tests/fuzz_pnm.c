/* Any bytes as a PNM: what does not begin as one gets a signature.
 *
 * Covers: src/picture/pnm.c src/picture/stb.c
 */
#include "tests/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool whole = size >= 2 && data[0] == 'P' && data[1] >= '1' && data[1] <= '6';
    const char signature[] = {'P', (char)('1' + (size ? data[0] % 6 : 0)), '\n'};
    fuzz_picture_as(data, size, whole ? "P" : signature, whole ? 1 : sizeof signature);
    return 0;
}
