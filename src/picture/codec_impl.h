/* Picture formats as data. A format is one file with one mv_codec, and one line of the table in codec.c; the formats a
 * message lists, the endings of file names and the recognition of files follow from the table.
 *
 * A hostile file takes bounded memory and time. `check` refuses a size beyond the limit before any memory is taken. A
 * decoder takes at most 16 bytes a pixel, the image's 3 among them, and `extra`; and time that is linear in pixels and
 * bytes. A file whose data end early is refused there; one whose pixels are all there, although something else is
 * missing, is read with a warning.
 */
#ifndef MV_CODEC_H
#define MV_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "src/base/image.h"
#include "src/base/warnings.h"

typedef struct mv_codec mv_codec;

/* A file's bytes, and what its codec found in them. */
typedef struct {
    const uint8_t *bytes;
    size_t size;
    const char *name; /* for errors */
    size_t max_pixels;
    mv_warnings *warnings; /* for warnings; may be NULL */

    const mv_codec *codec;
    int w, h;      /* as stored */
    size_t extra;  /* bytes that decoding may take besides 16 a pixel and the file */
    int exif, xmp; /* the orientation that each of them names, 1 to 8; 0: none (src/picture/orient_impl.h) */
} mv_encoded;

struct mv_codec {
    const char *name;                              /* "PNG" */
    const char *endings[5];                        /* of file names, lower case: ".png"; at most 4, NULL after them */
    bool (*is)(const uint8_t *bytes, size_t size); /* recognises a file by its first bytes */
    /* Sets w and h, by mv_encoded_set_size, and what else follows `codec`. MV_EINPUT if the file is cut short, damaged
     * or too large. */
    mv_status (*check)(mv_encoded *f, mv_error *e);
    /* Decodes what `check` accepted to an image of w x h, which is empty on failure. */
    mv_status (*decode)(const mv_encoded *f, mv_image *out, mv_error *e);
};

/* The format of a file, by its first bytes; NULL if it has none of them. */
const mv_codec *mv_codec_of(const uint8_t *bytes, size_t size);

/* Recognises and checks a file: sets `codec` and what follows it. MV_EINPUT if the file is empty or of no known format,
 * else as mv_codec.check. */
mv_status mv_encoded_check(mv_encoded *f, mv_error *e);

/* ---- for codecs */

/* Sets w and h; MV_EINPUT if a side is 0 or exceeds the limits. */
mv_status mv_encoded_set_size(mv_encoded *f, uint64_t w, uint64_t h, mv_error *e);

/* Warns if the greatest value of 16-bit grey has 12 bits or fewer, as in the files of many cameras and scanners: the
 * upper 8 bits of such values are black. */
void mv_encoded_warn_dark(const mv_encoded *f, unsigned greatest);

/* "NAME: is cut short: WHAT" */
mv_status mv_encoded_short(const mv_encoded *f, const char *what, mv_error *e);

/* Decodes a BMP, TGA or PNM, as mv_codec.decode, by stb_image; src/picture/stb.c says under which conditions. */
mv_status mv_stb_decode(const mv_encoded *f, mv_image *out, mv_error *e);

static inline bool mv_starts_with(const uint8_t *bytes, size_t size, const char *signature, size_t length)
{
    return size >= length && memcmp(bytes, signature, length) == 0;
}

static inline uint32_t mv_be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}
static inline uint32_t mv_be32(const uint8_t *p)
{
    return mv_be16(p) << 16 | mv_be16(p + 2);
}
static inline uint32_t mv_le16(const uint8_t *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}
static inline uint32_t mv_le32(const uint8_t *p)
{
    return mv_le16(p + 2) << 16 | mv_le16(p);
}

#endif
