/* For fuzzers: any bytes as a picture are decoded, or refused with a sentence. */
#ifndef MV_TESTS_FUZZ_PICTURE_H
#define MV_TESTS_FUZZ_PICTURE_H

#include <stdint.h>
#include <stdlib.h>

#include "src/picture/decode.h"

static inline void fuzz_picture(const uint8_t *data, size_t size)
{
    mv_warnings w = {0};
    mv_picture_options o = {.max_pixels = 1 << 14, .warnings = &w};
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

#endif
