/* Any bytes as a PNG: as they are, and with correct checksums, without which the fuzzer would not reach what follows
 * them. What does not begin as a PNG gets the signature.
 *
 * Covers: src/picture/png.c
 */
#include "src/picture/codec_impl.h"
#include "tests/fuzz_picture.h"

static const char signature[] = "\x89PNG\r\n\x1a\n";

static void repair_png(uint8_t *png, size_t size)
{
    for (size_t at = 8; size - at >= 12 && mv_be32(png + at) <= size - at - 12; at += 12 + mv_be32(png + at)) {
        size_t n = mv_be32(png + at) + 4;
        uint32_t c = 0xFFFFFFFF;
        for (size_t i = 0; i < n; i++) {
            c ^= png[at + 4 + i];
            for (int k = 0; k < 8; k++)
                c = c & 1 ? 0xEDB88320 ^ c >> 1 : c >> 1;
        }
        for (int k = 0; k < 4; k++)
            png[at + 4 + n + (size_t)k] = (uint8_t)(~c >> (24 - 8 * k));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_picture_as(data, size, signature, 8);
    bool whole = size >= 8 && memcmp(data, signature, 8) == 0;
    size_t n = whole ? size : size + 8;
    uint8_t *png = malloc(n);
    if (!png)
        return 0;
    memcpy(png, signature, 8);
    memcpy(png + n - size, data, size);
    repair_png(png, n);
    fuzz_picture(png, n);
    free(png);
    return 0;
}
