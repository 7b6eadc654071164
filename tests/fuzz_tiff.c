/* Any bytes as a TIFF, of either byte order or BigTIFF by the first of them; the directory lies where the bytes say.
 *
 * Covers: src/picture/tiff.c src/picture/tiff_pixels.c
 */
#include "tests/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const marks[] = {"II*\0", "MM\0*", "II+\0\x08\0\0\0", "MM\0+\0\x08\0\0"};
    if (size < 9)
        return 0;
    uint8_t *file = malloc(size);
    if (!file)
        return 0;
    memcpy(file, data, size);
    int kind = data[0] & 3;
    if (memcmp(data, "II", 2) && memcmp(data, "MM", 2))
        memcpy(file, marks[kind], kind < 2 ? 4 : 8);
    fuzz_picture(file, size);
    free(file);
    return 0;
}
