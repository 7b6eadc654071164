/* Any bytes as a WebP: the container's lengths are made to fit the bytes, without which the fuzzer would not reach what
 * follows them.
 *
 * Covers: src/picture/webp.c
 */
#include "tests/fuzz_picture.h"

static void put32(uint8_t *p, size_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { HEAD = 12 };
    uint8_t *file = malloc(size + HEAD);
    if (!file)
        return 0;
    bool whole = size >= HEAD && !memcmp(data, "RIFF", 4) && !memcmp(data + 8, "WEBP", 4);
    size_t n = whole ? size : size + HEAD;
    memcpy(file, "RIFF....WEBP", HEAD);
    if (n > HEAD)
        memcpy(file + HEAD, data + (whole ? HEAD : 0), n - HEAD);
    put32(file + 4, n - 8);
    fuzz_picture(file, n);
    free(file);
    return 0;
}
