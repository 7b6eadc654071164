/* Pictures in memory: 8-bit RGB, row by row, no padding. Reads PNG (8 and 16 bit, grey, palette,
 * alpha), JPEG (baseline and progressive; grey, colour, CMYK), GIF (first frame), BMP, TGA and PNM.
 *
 * What a file is, is told by its bytes, never by its name. Alpha is dropped, not blended; 16 bits
 * keep the upper 8; a palette is looked up. Every file is looked over before it is decoded
 * (image_form.h), so that a damaged or hostile one is an error, and memory stays within a
 * small multiple of the picture's size.
 */
#ifndef MV_IMAGE_H
#define MV_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

typedef struct {
    int w, h;     /* pixels */
    uint8_t *rgb; /* h * w * 3 bytes; NULL when empty */
} mv_image;

typedef struct {
    size_t max_pixels; /* a larger picture is refused before it is decoded; 0: MV_IMAGE_MAX_PIXELS */
    bool ignore_exif;  /* leave the picture as stored, whatever its EXIF orientation */
} mv_image_options;

enum { MV_IMAGE_MAX_PIXELS = 64 * 1000 * 1000, MV_IMAGE_MAX_SIDE = 1000 * 1000 };

/* Decodes a file; `path` "-" reads standard input to its end. Files and pipes are read, directories and
 * devices are not; a file of more than 8 bytes for every allowed pixel is refused. The picture is the
 * caller's to mv_image_free. Errors name `path`: MV_EIO when it cannot be read, MV_EINPUT when it is
 * empty, cut short, damaged, of no known kind or too large, MV_ENOMEM. On failure *out is empty.
 * `o` may be NULL for the defaults. */
mv_status mv_image_load(mv_image *out, const char *path, const mv_image_options *o, mv_error *e);

/* The same from memory; `name` is used in errors. */
mv_status mv_image_decode(mv_image *out, const void *bytes, size_t size, const char *name, const mv_image_options *o,
                          mv_error *e);

/* An uninitialised picture of w x h pixels, both at least 1; MV_ENOMEM when it cannot be had. */
mv_status mv_image_new(mv_image *out, int w, int h, mv_error *e);

void mv_image_free(mv_image *image); /* leaves it empty; fine on an empty one */

#endif
