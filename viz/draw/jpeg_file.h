/* Photos of SVG and PDF pages as JPEG, by libjpeg-turbo: a fifth of their size as PNG, with differences that no one
 * sees.
 */
#ifndef MV_JPEG_FILE_H
#define MV_JPEG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"

/* Compresses w x h RGB pixels: quality 92, colours at full resolution, so that those of maps over a photo stay true.
 * The bytes are the caller's to free(). MV_EINPUT for more than 65500 pixels a side, MV_ENOMEM. */
mv_status mv_jpeg_encode(const uint8_t *rgb, int w, int h, uint8_t **bytes, size_t *size, mv_error *e);

#endif
