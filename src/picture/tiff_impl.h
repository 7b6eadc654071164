/* A page of a TIFF while libtiff reads it: what tiff.c found in its tags, and where tiff_pixels.c puts its pixels. */
#ifndef MV_TIFF_H
#define MV_TIFF_H

#include <tiffio.h>

#include "src/picture/codec_impl.h"

enum { MV_TIFF_SAMPLES = 32 };

typedef struct {
    const mv_encoded *f;
    TIFF *tiff;
    uint64_t at;    /* of libtiff's reads */
    char said[200]; /* libtiff's first complaint */
    bool cut;       /* a JPEG inside ends early */

    uint32_t w, h;
    uint16_t bits, samples, format, photometric;
    int used;             /* samples of a pixel that are looked at: its colours, and an alpha that was multiplied in */
    bool premultiplied;   /* the last of `used` is an alpha */
    bool separate, tiled; /* samples in planes of their own; tiles, not strips */
    bool by_libtiff;      /* colours that libtiff converts */
    bool wide;            /* numbers that no byte holds */
    double low, high;     /* of them: the range that was found */
    double scale, round;  /* a byte is number * scale + round, cut off */
    unsigned greatest;    /* of 16-bit grey: the greatest value */
    uint16_t *palette[3];

    uint8_t *planes; /* of a separate picture: (h, w, used) */
    uint8_t *rgb;    /* (h, w, 3) */
} mv_tiff;

/* "NAME: is cut short or damaged, says libtiff: ..." */
mv_status mv_tiff_damaged(const mv_tiff *p, mv_error *e);

/* Decodes the page to p->rgb. */
mv_status mv_tiff_pixels(mv_tiff *p, mv_error *e);

#endif
