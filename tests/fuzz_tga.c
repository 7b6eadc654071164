/* Any bytes as a TGA, which has no signature: the head's kind of picture and depth are made ones that exist.
 *
 * Covers: src/picture/tga.c src/picture/stb.c src/picture/orient.c
 */
#include "tests/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t kinds[] = {1, 2, 3, 9, 10, 11}, depths[] = {8, 15, 16, 24, 32};
    enum { HEAD = 18 };
    if (size < HEAD)
        return 0;
    uint8_t *file = malloc(size);
    if (!file)
        return 0;
    memcpy(file, data, size);
    file[1] &= 1;
    file[2] = kinds[data[2] % sizeof kinds];
    file[13] = file[15] = 0;
    file[16] = depths[data[16] % sizeof depths];
    fuzz_picture(file, size);
    free(file);
    return 0;
}
