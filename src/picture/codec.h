/* A picture file is looked over before a decoder sees it. stb_image, which decodes, ignores
 * checksums, fills up what is missing with zeros and trusts some lengths; so the structure of a file is
 * checked here first: every block lies inside the file, nothing is missing, the size is allowed.
 * Where it is simple the decoder is given a cleaned copy with just the blocks it needs.
 */
#ifndef MV_IMAGE_FORM_H
#define MV_IMAGE_FORM_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/status.h"
#include "src/picture/decode.h"

typedef enum {
    MV_FORM_NONE,
    MV_FORM_PNG,
    MV_FORM_JPEG,
    MV_FORM_GIF,
    MV_FORM_BMP,
    MV_FORM_TGA,
    MV_FORM_PNM
} mv_form_kind;

/* The file, and what looking it over found. */
typedef struct {
    const uint8_t *bytes;
    size_t size;
    const char *name; /* for errors */
    size_t max_pixels;

    mv_form_kind kind;
    int w, h;            /* as stored */
    const uint8_t *exif; /* EXIF's TIFF block inside bytes, or NULL */
    size_t exif_size;
    uint8_t *clean; /* what to decode instead of the file; NULL: the file. The caller's to free */
    size_t clean_size;
} mv_form;

/* The kind by the first bytes; NONE when they are no picture's. TGA has no mark of its own and is asked last. */
mv_form_kind mv_form_kind_of(const uint8_t *bytes, size_t size);

/* Fills the second half of *f from the first. MV_EINPUT when the file is empty, of no known kind, cut short,
 * damaged or larger than allowed; MV_ENOMEM. Nothing is left to free on failure. */
mv_status mv_form_look(mv_form *f, mv_error *e);

/* --- of the kinds; each is called by mv_form_look alone ------------------------------------------------ */

mv_status mv_png_look(mv_form *f, mv_error *e);
mv_status mv_jpeg_look(mv_form *f, mv_error *e);
mv_status mv_gif_look(mv_form *f, mv_error *e);
mv_status mv_bmp_look(mv_form *f, mv_error *e);
mv_status mv_tga_look(mv_form *f, mv_error *e);
mv_status mv_pnm_look(mv_form *f, mv_error *e);

/* PNM is decoded here (stb_image knows two of its six forms, and no maxval but 255); after mv_pnm_look. */
mv_status mv_pnm_decode(const mv_form *f, mv_image *out, mv_error *e);

/* Sets the size; fails when it is none, or more than the limits. */
mv_status mv_form_size(mv_form *f, uint64_t w, uint64_t h, mv_error *e);

/* "NAME: is cut short: WHAT" */
mv_status mv_form_short(const mv_form *f, const char *what, mv_error *e);

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
