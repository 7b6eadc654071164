/* Finished pixels, as a canvas hands them to what encodes them. */
#ifndef MV_PIXELS_H
#define MV_PIXELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int w, h;
    const uint8_t *bytes;
    size_t stride;    /* bytes from row to row */
    bool words;       /* pixels are native 32-bit words 0x00RRGGBB (cairo's RGB24); otherwise bytes R, G, B */
    double per_metre; /* pixels per metre in print; 0: not given */
} mv_pixels;

/* `n` pixels of row y from column x on, as bytes R, G, B. */
void mv_pixels_row(const mv_pixels *p, int x, int y, int n, uint8_t *out);

#endif
