/* Pictures in memory: 8-bit RGB, row by row, no padding. Decoding is by stb_image (PNG, JPEG,
 * BMP, TGA, GIF's first frame, PNM), orientation by libexif.
 */
#ifndef MV_IMAGE_H
#define MV_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct {
    int w, h;      /* pixels */
    uint8_t *rgb;  /* h * w * 3 bytes; NULL when empty */
} mv_image;

typedef struct {
    size_t max_pixels;  /* a larger picture is refused before it is decoded; 0: MV_IMAGE_MAX_PIXELS */
    bool ignore_exif;   /* leave the picture as stored, whatever its EXIF orientation */
} mv_image_options;

enum { MV_IMAGE_MAX_PIXELS = 64 * 1000 * 1000 };

/* Decodes a file; `path` "-" reads standard input to its end (bounded). The picture is the caller's
 * to mv_image_free. Errors name `path`: empty, cut short, of no known kind, too large. On failure
 * *out is empty. `o` may be NULL for the defaults. */
mv_status mv_image_load(mv_image *out, const char *path, const mv_image_options *o, mv_error *e);

/* The same from memory; `name` is used in errors. */
mv_status mv_image_decode(mv_image *out, const void *bytes, size_t size, const char *name,
                          const mv_image_options *o, mv_error *e);

/* An uninitialised picture; MV_ENOMEM when it cannot be had. */
mv_status mv_image_new(mv_image *out, int w, int h, mv_error *e);

void mv_image_free(mv_image *image);  /* leaves it empty; fine on an empty one */

#endif
