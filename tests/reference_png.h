/* PNG files read and written by libpng, to compare the library's own decoder with. */
#ifndef REFERENCE_PNG_H
#define REFERENCE_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/image.h"

/* Reads an 8-bit image and drops its alpha; the caller's to mv_image_free. Fails the test if it cannot be read. */
mv_image reference_png(const char *path);

/* `samples`: h rows of w * channels values of 0 .. 2^depth - 1. A palette (colour type 3) is 3 * 2^depth bytes.
 * The file is the caller's to free. */
uint8_t *reference_png_write(int w, int h, int depth, int colour, int interlaced, const uint16_t *samples,
                             const uint8_t *palette, size_t *size);

/* Reads a whole file, the caller's to free. Fails the test if there is none. */
uint8_t *reference_file(const char *path, size_t *size);

#endif
