/* Moving pictures: an animated PNG or a GIF, written frame by frame, so that memory holds two frames whatever their
 * number. A frame stores the rectangle in which it differs from the one before. Both kinds loop for ever. The same
 * frames give the same bytes.
 *
 *     mv_animation *a = mv_animation_new(MV_ANIMATION_GIF, &to, 640, 480, 100, &e);
 *     mv_animation_look(a, &last, &e);              a GIF's palette is made from the frames that were looked at
 *     for (i = 0; i < 100; i++) mv_animation_add(a, &frame, 60, &e);
 *     mv_animation_finish(a, &e);
 */
#ifndef MV_ANIMATION_H
#define MV_ANIMATION_H

#include "viz/draw/canvas.h"

typedef enum { MV_ANIMATION_PNG, MV_ANIMATION_GIF } mv_animation_kind;

/* Chooses by the ending of the output's name: .png or .gif, in upper or lower case. MV_EINPUT for any other name. */
mv_status mv_animation_kind_of(mv_animation_kind *out, const char *path, mv_error *e);

typedef struct mv_animation mv_animation;

/* A file of `frames` frames of w x h px; bytes go to to->write, with to->notes and to->date (in a GIF as comments).
 * `to` is borrowed. NULL on failure; MV_EINPUT for more than 65535 px a side or 65535 frames. */
mv_animation *mv_animation_new(mv_animation_kind kind, const mv_canvas_target *to, int w, int h, int frames,
                               mv_error *e);

/* Counts the colours of a picture of the same size, before the first frame: a GIF has 255 of them in all, chosen by
 * median cut (Heckbert 1982). Without any look the first frame is looked at. A PNG keeps every colour. */
mv_status mv_animation_look(mv_animation *a, const mv_pixels *p, mv_error *e);

/* Appends a frame that is shown for `milliseconds`; a GIF rounds to hundredths of a second. */
mv_status mv_animation_add(mv_animation *a, const mv_pixels *p, int milliseconds, mv_error *e);

/* Writes the end and frees the animation, also on failure. MV_EMISUSE if frames are missing. */
mv_status mv_animation_finish(mv_animation *a, mv_error *e);

/* Frees it without an end; NULL is fine. */
void mv_animation_free(mv_animation *a);

#endif
