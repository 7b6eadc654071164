/* Orientation: turns an image the way the camera was held. A codec's `check` hands over the metadata blocks that it
 * finds; their bytes are not needed afterwards. As in Pillow's ImageOps.exif_transpose, XMP counts where EXIF does not
 * name an orientation, and an orientation that is none of 1 to 8 leaves the image as stored.
 */
#ifndef MV_ORIENT_H
#define MV_ORIENT_H

#include "src/picture/codec_impl.h"

/* Sets f->exif from tag 0x0112 of an EXIF block: a TIFF header and its first directory, which "Exif\0\0" may precede.
 * A block without the tag, or that ends before it, changes nothing. */
void mv_orient_by_exif(mv_encoded *f, const uint8_t *block, size_t size);

/* Sets f->xmp from tiff:Orientation of an XMP packet in UTF-8, an attribute or an element, if it has one. */
void mv_orient_by_xmp(mv_encoded *f, const uint8_t *packet, size_t size);

/* Turns and mirrors the decoded image as f->exif or f->xmp says. MV_ENOMEM. */
mv_status mv_orient(mv_image *image, const mv_encoded *f, mv_error *e);

#endif
