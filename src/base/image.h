/* An image in memory: 8-bit RGB, row by row, without padding. */
#ifndef MV_IMAGE_H
#define MV_IMAGE_H

#include <stdint.h>

#include "src/base/status.h"

typedef struct {
    int w, h;     /* pixels */
    uint8_t *rgb; /* h * w * 3 bytes; NULL when empty */
} mv_image;

/* An uninitialised image of w x h pixels, both at least 1 (MV_EMISUSE otherwise). The image is the caller's to
 * mv_image_free; it is empty on failure. */
mv_status mv_image_new(mv_image *out, int w, int h, mv_error *e);
void mv_image_free(mv_image *image); /* an empty image is fine; the image is empty afterwards */

#endif
