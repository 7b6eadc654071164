/* The photo that a picture's input was cut from: kept where it cannot be read again, decoded again otherwise.
 *
 *     c->wants_photo = true;                                  in check
 *     whole_photo p;
 *     mv_status s = photo_open(&p, c, t, &e);                 in picture
 *     draw(p.image);
 *     photo_close(&p);                                        also after a failure
 *
 * Few photos are in memory at the same time: photo_open waits for those of other threads.
 */
#ifndef PHOTO_H
#define PHOTO_H

#include "cmd/command.h"
#include "src/picture/decode.h"

/* How a call's options have a picture decoded. */
mv_picture_options photo_options(const call *c);

typedef struct {
    const mv_image *image; /* borrowed; NULL for a ready input, which has no photo */
    mv_image read;
    size_t pixels; /* of `read`, which others wait for */
} whole_photo;

/* Fails if the file cannot be read any more, or has other sizes than when the network saw it. */
mv_status photo_open(whole_photo *p, const call *c, const shot *t, mv_error *e);
void photo_close(whole_photo *p);

#endif
