/* For fuzzers: any bytes as a picture are decoded, or refused with a sentence. */
#ifndef MV_TESTS_FUZZ_PICTURE_H
#define MV_TESTS_FUZZ_PICTURE_H

#include "src/picture/decode.h"
#include "tests/fuzz.h"

static inline void fuzz_picture(const uint8_t *data, size_t size)
{
    mv_warnings w = {0};
    mv_picture_options o = {.max_pixels = 1 << 14, .warnings = &w};
    mv_image image;
    mv_error e = {0};
    if (fuzz_refused(mv_picture_decode(&image, data, size, "input", &o, &e), &e))
        fuzz_expect(!image.rgb);
    else {
        size_t n = (size_t)image.w * (size_t)image.h;
        volatile uint8_t last = image.rgb[n * 3 - 1];
        fuzz_expect(n <= o.max_pixels);
        (void)last;
    }
    mv_image_free(&image);
}

/* The same, with a signature before bytes that do not begin with it. */
static inline void fuzz_picture_as(const uint8_t *data, size_t size, const char *signature, size_t length)
{
    if (size >= length && memcmp(data, signature, length) == 0) {
        fuzz_picture(data, size);
        return;
    }
    uint8_t *file = malloc(length + size);
    if (!file)
        return;
    memcpy(file, signature, length);
    memcpy(file + length, data, size);
    fuzz_picture(file, length + size);
    free(file);
}

#endif
