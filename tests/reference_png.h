/* PNG read and written by libpng, which the library's own decoder is held against. */
#ifndef REFERENCE_PNG_H
#define REFERENCE_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/image.h"

/* An 8-bit picture with its alpha dropped; fails the test when it cannot be read. mv_image_free. */
mv_image reference_png(const char *path);

/* `samples`: h rows of w * channels values of 0 .. 2^depth - 1. A palette (colour type 3) is 3 * 2^depth bytes.
 * The file is the caller's to free. */
uint8_t *reference_png_write(int w, int h, int depth, int colour, int interlaced, const uint16_t *samples,
                             const uint8_t *palette, size_t *size);

/* A whole file, free() it. Fails the test when there is none. */
uint8_t *reference_file(const char *path, size_t *size);

#endif
