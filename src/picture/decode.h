/* Decodes the user's picture files: PNG (8 and 16 bit, grey, palette, alpha), JPEG (by libjpeg-turbo; grey,
 * colour, CMYK), WebP, TIFF, BMP, PNM, TGA and GIF; of an animation, the first frame. The table of formats is in
 * codec.c.
 *
 * The format is recognised by a file's bytes, never by its name. Alpha is dropped, not blended; 16-bit samples keep
 * their upper 8 bits; palettes are looked up. Every file is checked before it is decoded, so that a damaged or hostile
 * one is an error, and memory stays within a small multiple of the picture's size.
 */
#ifndef MV_DECODE_H
#define MV_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/image.h"
#include "src/base/warnings.h"

enum {
    MV_PICTURE_MAX_PIXELS = 64 * 1000 * 1000, /* unless the options say otherwise */
    MV_PICTURE_MAX_SIDE = 1000 * 1000,
    MV_PICTURE_PIXEL = 16,     /* bytes of memory that decoding takes a pixel at most, the image's 3 among them */
    MV_PICTURE_BASE = 1 << 20, /* and besides pixels and the file */
    MV_PICTURE_FORMATS = 128   /* bytes of the list of formats */
};

/* Memory that several threads share. Both are called by the thread that decodes: `take` waits until so many bytes are
 * free, `give` frees them. */
typedef struct {
    void *context;
    void (*take)(void *context, size_t bytes);
    void (*give)(void *context, size_t bytes);
} mv_picture_share;

typedef struct {
    size_t max_pixels;             /* a larger picture is refused before it is decoded; 0: MV_PICTURE_MAX_PIXELS */
    size_t max_memory;             /* a picture that may take more bytes to decode is refused before it is; 0: any */
    const mv_picture_share *share; /* what decoding may take is taken from there; NULL: from nowhere */
    mv_warnings *warnings;         /* where warnings go; NULL: nowhere */
    bool ignore_exif;              /* leave the image as stored, whatever its EXIF orientation says */
} mv_picture_options;

/* Decodes a file. `path` "-" reads standard input to its end. Regular files and pipes are read, directories and devices
 * are refused, and so is a file of more than 8 bytes per allowed pixel, or of more than the allowed memory. The image
 * is the caller's to mv_image_free; it is empty on failure. Errors name `path`: MV_EIO if it cannot be read, MV_EINPUT
 * if it is empty, cut short, damaged, of no known format or too large, MV_ENOMEM. `o` NULL: the defaults. */
mv_status mv_picture_load(mv_image *out, const char *path, const mv_picture_options *o, mv_error *e);

/* The same from memory; errors name `name`. */
mv_status mv_picture_decode(mv_image *out, const void *bytes, size_t size, const char *name,
                            const mv_picture_options *o, mv_error *e);

/* True if the name of a file ends as a picture's does: ".png", ".JPG". */
bool mv_picture_has_ending(const char *path);

/* "PNG, JPEG, GIF": the formats that can be decoded, for messages. Returns text. */
const char *mv_picture_formats(char text[MV_PICTURE_FORMATS]);

#endif
