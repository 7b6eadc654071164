/* Writes PNG files: libpng frames the chunks, deflate.h compresses the pixels, text goes into iTXt chunks. */
#ifndef MV_PNG_FILE_H
#define MV_PNG_FILE_H

#include "viz/draw/canvas.h"

typedef struct {
    int w, h;
    const uint8_t *bytes;
    size_t stride;    /* bytes from row to row */
    bool words;       /* pixels are native 32-bit words 0x00RRGGBB (cairo's RGB24); otherwise bytes R, G, B */
    double per_metre; /* pixels per metre in print; 0: not given */
} mv_png_pixels;

/* Writes the whole file to the target's hook, with its notes and date. Returns MV_ENOMEM, or what the hook returned.
 * The same picture and notes give the same bytes. */
mv_status mv_png_write(const mv_png_pixels *pixels, const mv_canvas_target *to, mv_error *e);

#endif
