/* Any bytes as a picture: they are decoded or refused with a sentence. A PNG is tried as it is and with correct
 * checksums, without which the fuzzer would not reach what follows them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz_picture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void repair_png(uint8_t *png, size_t size)
{
    for (size_t at = 8; size - at >= 12 && be32(png + at) <= size - at - 12; at += 12 + be32(png + at)) {
        size_t n = be32(png + at) + 4;
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
    fuzz_picture(data, size);
    if (size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0) {
        uint8_t *png = malloc(size);
        if (png) {
            memcpy(png, data, size);
            repair_png(png, size);
            fuzz_picture(png, size);
        }
        free(png);
    }
    return 0;
}
