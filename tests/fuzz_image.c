/* Any bytes as a picture: they are decoded or refused with a sentence. A PNG is tried as it is and with correct
 * checksums, without which the fuzzer would not reach what follows them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "src/picture/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try(const uint8_t *data, size_t size)
{
    mv_picture_options o = {.max_pixels = 1 << 14};
    mv_image image;
    mv_error e = {0};
    if (mv_picture_decode(&image, data, size, "input", &o, &e) == MV_OK) {
        if ((size_t)image.w * (size_t)image.h > o.max_pixels || !image.rgb)
            abort();
        volatile uint8_t last = image.rgb[(size_t)image.w * (size_t)image.h * 3 - 1];
        (void)last;
    } else if (!e.text[0] || image.rgb)
        abort();
    mv_image_free(&image);
}

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
    try(data, size);
    if (size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0) {
        uint8_t *png = malloc(size);
        if (png) {
            memcpy(png, data, size);
            repair_png(png, size);
            try(png, size);
        }
        free(png);
    }
    return 0;
}
