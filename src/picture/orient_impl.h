/* EXIF orientation: turns an image the way the camera was held. */
#ifndef MV_ORIENT_H
#define MV_ORIENT_H

#include "src/picture/codec_impl.h"

/* Turns and mirrors the decoded image as the file's EXIF data say; an image without them stays as it is. MV_ENOMEM. */
mv_status mv_orient(mv_image *image, const mv_encoded *f, mv_error *e);

#endif
