/* Writes animated GIF files, by giflib. */
#ifndef MV_GIF_FILE_H
#define MV_GIF_FILE_H

#include "viz/draw/palette.h"
#include "viz/draw/png_file.h"

typedef struct mv_gif mv_gif;

/* Starts a file of w x h px that loops for ever. `to` and `palette` are borrowed until the end. NULL on failure. */
mv_gif *mv_gif_open(int w, int h, mv_palette *palette, const mv_canvas_target *to, mv_error *e);

/* Writes the next frame, of which only `part` is new, and in it only the pixels that are not the same as before: the
 * others are transparent, as long runs of one number take little room. same (h, w). */
mv_status mv_gif_frame(mv_gif *f, const mv_pixels *pixels, mv_part part, const bool *same, int milliseconds,
                       mv_error *e);

/* Writes the end and frees the file, also on failure. */
mv_status mv_gif_finish(mv_gif *f, mv_error *e);

/* Frees it without an end; NULL is fine. */
void mv_gif_free(mv_gif *f);

#endif
