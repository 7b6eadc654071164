/* Any bytes as HEIC or AVIF: what does not begin so gets the first box. Without libheif there is nothing to try.
 *
 * Covers: src/picture/heif.c src/picture/heif_items.c
 */
#include "tests/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t first[2][20] = {"\0\0\0\x14"
                                         "ftypheic\0\0\0\0mif1",
                                         "\0\0\0\x14"
                                         "ftypavif\0\0\0\0mif1"};
    if (size >= 12 && !memcmp(data + 4, "ftyp", 4)) {
        fuzz_picture(data, size);
        return 0;
    }
    uint8_t *file = size ? malloc(size + sizeof first[0]) : NULL;
    if (!file)
        return 0;
    memcpy(file, first[data[0] & 1], sizeof first[0]);
    memcpy(file + sizeof first[0], data + 1, size - 1);
    fuzz_picture(file, size - 1 + sizeof first[0]);
    free(file);
    return 0;
}
