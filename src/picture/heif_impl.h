/* What a HEIC or AVIF is looked at for before libheif sees it. Old versions of libheif, which are in use, follow the
 * references between the items of a file wherever they lead: an image that is made of itself overflows the stack, and a
 * dozen grids of grids are decoded for years.
 */
#ifndef MV_HEIF_IMPL_H
#define MV_HEIF_IMPL_H

#include "src/picture/codec_impl.h"

enum {
    MV_HEIF_SIDE = 32768,       /* px, of an image: libheif's own limit, above which its arithmetic overflows */
    MV_HEIF_LEVELS = 8,         /* of images that are made of others; phones have 1, of tiles */
    MV_HEIF_REPEATS = 256,      /* images that are decoded again for one picture, besides two for each item */
    MV_HEIF_ITEMS = 20000,      /* libheif's own limit */
    MV_HEIF_REFERENCES = 131072 /* between items; a grid has at most 65535 */
};

/* Reads the items of the file and the references between them. MV_EINPUT if an image is made of itself, of too many
 * levels or too many images, or of what is not there; if a canvas has more than `most` pixels; if the data of items are
 * much more than the file, and if boxes are such that two readers could see different items. Takes memory for
 * MV_HEIF_ITEMS items and MV_HEIF_REFERENCES references, and time that is linear in the file. */
mv_status mv_heif_check_items(const mv_encoded *f, size_t most, mv_error *e);

#endif
