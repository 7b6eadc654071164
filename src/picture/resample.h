/* Bicubic resizing of 8-bit RGB, byte for byte as Pillow's Image.resize(BICUBIC): separable,
 * antialiased (the filter widens when the picture shrinks), weights in 22-bit fixed point, width
 * before height with 8 bits in between (src/libImaging/Resample.c of Pillow up to 12).
 * Only a window of the resized picture is computed.
 */
#ifndef MV_RESAMPLE_H
#define MV_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/image.h"
#include "src/base/status.h"

typedef struct {
    int64_t scaled_w, scaled_h; /* the whole picture's new size; may be far larger than memory */
    int64_t left, top;          /* the window's corner in it */
    int w, h;                   /* the window; it lies inside the resized picture, and may be empty */
} mv_window;

/* Writes win->h rows of win->w pixels to rgb, `stride` bytes apart. Extra memory is a few MB plus
 * 40 bytes per row and column of the window. MV_ENOMEM. */
mv_status mv_resample(const mv_image *in, const mv_window *win, uint8_t *rgb, size_t stride, mv_error *e);

#endif
