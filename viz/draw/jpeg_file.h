/* Photos as JPEG, by libjpeg-turbo: in SVG and PDF pages, and as files of their own. A fifth of their size as PNG, with
 * differences that no one sees.
 */
#ifndef MV_JPEG_FILE_H
#define MV_JPEG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "viz/draw/canvas.h"

enum { MV_JPEG_MOST = 65500 }; /* px a side */

enum { MV_JPEG_LEAST = 24 }; /* px a side of a photo; smaller pictures are bars of colours and stay exact */

/* Compresses w x h RGB pixels: quality 92, colours at full resolution, so that those of maps over a photo stay true.
 * The bytes are the caller's to free(). MV_EINPUT for more than MV_JPEG_MOST pixels a side, MV_ENOMEM. */
mv_status mv_jpeg_encode(const uint8_t *rgb, int w, int h, uint8_t **bytes, size_t *size, mv_error *e);

/* Writes the whole file to the target's hook. Its notes and its date are comments, as in a GIF; a longer one than the
 * 65533 bytes of a comment is cut. MV_EINPUT for a picture that is too large, MV_ENOMEM, or what the hook returned. The
 * same picture and notes give the same bytes. */
mv_status mv_jpeg_write(const mv_pixels *pixels, const mv_canvas_target *to, mv_error *e);

#endif
