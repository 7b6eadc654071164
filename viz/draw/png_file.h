/* Writes PNG files: libpng frames the chunks, libdeflate compresses the pixels, text goes into iTXt chunks. A file of
 * several frames is an animated PNG (APNG, in the third edition of the PNG specification): a viewer that does not know
 * it shows the first frame.
 */
#ifndef MV_PNG_FILE_H
#define MV_PNG_FILE_H

#include "viz/draw/canvas.h"

/* Writes the whole file to the target's hook, with its notes and date. Returns MV_ENOMEM, or what the hook returned.
 * The same picture and notes give the same bytes. */
mv_status mv_png_write(const mv_pixels *pixels, const mv_canvas_target *to, mv_error *e);

/* ---- frame by frame */

typedef struct mv_png mv_png;

/* The part of a frame that differs from the frame before. */
typedef struct {
    int x, y, w, h; /* px */
} mv_part;

/* Starts a file of `frames` frames of w x h px, and writes all that stands before the pixels. Two or more loop for
 * ever. `to` is borrowed until the end. NULL on failure. */
mv_png *mv_png_open(int w, int h, double per_metre, int frames, const mv_canvas_target *to, mv_error *e);

/* Writes the next frame, of which only `part` is new, and in it only the pixels that are not the same as before: the
 * others are transparent, as zeros take little room. same (h, w). All of the first frame is new. It is shown for
 * `milliseconds`, up to 65535. */
mv_status mv_png_frame(mv_png *f, const mv_pixels *pixels, mv_part part, const bool *same, int milliseconds,
                       mv_error *e);

/* Writes the end and frees the file, also on failure. MV_EMISUSE if frames are missing. */
mv_status mv_png_finish(mv_png *f, mv_error *e);

/* Frees it without an end; NULL is fine. */
void mv_png_free(mv_png *f);

#endif
