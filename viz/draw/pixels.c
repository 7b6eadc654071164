#include "viz/draw/pixels.h"

#include <string.h>

void mv_pixels_row(const mv_pixels *p, int x, int y, int n, uint8_t *out)
{
    const uint8_t *row = p->bytes + (size_t)y * p->stride;
    if (!p->words) {
        memcpy(out, row + (size_t)x * 3, (size_t)n * 3);
        return;
    }
    const uint32_t *word = (const uint32_t *)(const void *)row + x;
    for (int i = 0; i < n; i++) {
        *out++ = (uint8_t)(word[i] >> 16);
        *out++ = (uint8_t)(word[i] >> 8);
        *out++ = (uint8_t)word[i];
    }
}
