/* Resizing of 8-bit RGB, byte for byte as Pillow's Image.resize with BICUBIC or BILINEAR: separable, antialiased (the
 * filter widens when the image shrinks), with weights in 22-bit fixed point, width before height and 8 bits in between
 * (src/libImaging/Resample.c of Pillow up to 12). Only an area of the resized image is computed.
 */
#ifndef MV_RESAMPLE_H
#define MV_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/image.h"
#include "src/base/status.h"

typedef enum {
    MV_RESAMPLE_BICUBIC, /* Keys' cubic convolution, a = -0.5 */
    MV_RESAMPLE_BILINEAR
} mv_resample_filter;

typedef struct {
    int64_t scaled_w, scaled_h; /* the whole image's new size; may be far larger than memory */
    int64_t left, top;          /* the area's corner in it */
    int w, h;                   /* the area's size; it lies inside the resized image, and may be empty */
} mv_resample_area;

/* Writes area->h rows of area->w pixels to rgb, `stride` bytes apart. Takes a few MB of memory and 40 bytes per row and
 * column of the area. The width is resized before the height, so a tall, narrow picture that becomes wide has many more
 * pixels in between: more than 2^29, some ten seconds of work, are MV_EINPUT. MV_ENOMEM. */
mv_status mv_resample(const mv_image *in, mv_resample_filter with, const mv_resample_area *area, uint8_t *rgb,
                      size_t stride, mv_error *e);

#endif
