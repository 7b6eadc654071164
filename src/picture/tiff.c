#include "src/picture/tiff_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/base/text.h"
#include "src/file/kind.h"
#include "src/picture/decode.h"
#include "src/picture/orient_impl.h"

/* TIFF by libtiff: the first page. Samples are looked at as Pillow's convert("RGB") does, with three exceptions: 16-bit
 * grey keeps its upper 8 bits, as in a PNG (Pillow cuts at 255); floats between 0 and 1 are scaled to 255, with a
 * warning (Pillow shows black); and what Pillow does not read is read if libtiff can.
 *
 * libtiff sees the file's bytes as a mapped file and opens nothing. What it takes at once is limited to what an honest
 * directory and picture need; rows are decoded one at a time, tiles are limited to the allowed pixels, and the codecs
 * are those whose memory is bounded: a JPEG strip or tile takes at most 100 MB, zstd a window of 128 MB. */

/* ---- what libtiff reads and says */

static tmsize_t read_bytes(thandle_t of, void *to, tmsize_t n)
{
    mv_tiff *p = of;
    uint64_t left = p->at < p->f->size ? p->f->size - p->at : 0;
    if (n < 0 || (uint64_t)n > left)
        n = (tmsize_t)left;
    memcpy(to, p->f->bytes + p->at, (size_t)n);
    p->at += (uint64_t)n;
    return n;
}

static tmsize_t write_nothing(thandle_t of, void *from, tmsize_t n)
{
    (void)of, (void)from, (void)n;
    return -1;
}

static toff_t seek(thandle_t of, toff_t to, int whence)
{
    mv_tiff *p = of;
    p->at = whence == SEEK_CUR ? p->at + to : whence == SEEK_END ? p->f->size + to : to;
    if (p->at > p->f->size)
        p->at = p->f->size;
    return p->at;
}

static int close_nothing(thandle_t of)
{
    (void)of;
    return 0;
}

static toff_t size_of(thandle_t of)
{
    return ((mv_tiff *)of)->f->size;
}

/* libtiff does not write to what it maps for reading. */
static int map(thandle_t of, void **base, toff_t *size)
{
    const mv_tiff *p = of;
    memcpy(base, &(const void *){p->f->bytes}, sizeof *base);
    *size = p->f->size;
    return 1;
}

static void unmap(thandle_t of, void *base, toff_t size)
{
    (void)of, (void)base, (void)size;
}

static int heed(TIFF *tiff, void *of, const char *module, const char *format, va_list values)
{
    mv_tiff *p = of;
    (void)tiff, (void)module;
    if (!*p->said)
        vsnprintf(p->said, sizeof p->said, format, values);
    return 1; /* nobody else hears of it */
}

/* Warnings: unknown tags, mostly; but also of data that end early. */
static int heed_warning(TIFF *tiff, void *of, const char *module, const char *format, va_list values)
{
    mv_tiff *p = of;
    char text[sizeof p->said];
    (void)tiff;
    bool data =
        strncmp(module, "JPEGLib", 7) == 0 || strncmp(module, "Fax", 3) == 0 || strncmp(module, "PackBits", 8) == 0;
    vsnprintf(text, sizeof text, format, values);
    p->cut = p->cut || strstr(text, "Premature end of JPEG file");
    if (data && !*p->said)
        memcpy(p->said, text, sizeof text);
    return 1;
}

mv_status mv_tiff_damaged(const mv_tiff *p, mv_error *e)
{
    const char *said = *p->said ? p->said : "its data cannot be decoded";
    return mv_fail(e, MV_EINPUT, "%s: is cut short or damaged, says libtiff: %.*s", p->f->name, mv_text_said(said),
                   said);
}

static mv_status open_page(mv_tiff *p, const mv_encoded *f, size_t pixels, mv_error *e)
{
    *p = (mv_tiff){.f = f, .scale = 1, .low = HUGE_VAL, .high = -HUGE_VAL};
    TIFFOpenOptions *o = TIFFOpenOptionsAlloc();
    if (!o)
        return mv_fail_memory(e, f->name);
    TIFFSetErrorHandler(NULL); /* two messages of libtiff 4.5 do not ask the options */
    TIFFSetWarningHandler(NULL);
    TIFFOpenOptionsSetErrorHandlerExtR(o, heed, p);
    TIFFOpenOptionsSetWarningHandlerExtR(o, heed_warning, p);
    TIFFOpenOptionsSetMaxSingleMemAlloc(o, (tmsize_t)(4 * f->size + 16 * pixels + (1 << 20)));
    p->tiff = TIFFClientOpenExt("TIFF", "r", p, read_bytes, write_nothing, seek, close_nothing, size_of, map, unmap, o);
    TIFFOpenOptionsFree(o);
    return p->tiff ? MV_OK : mv_tiff_damaged(p, e);
}

static void close_page(mv_tiff *p)
{
    if (p->tiff)
        TIFFClose(p->tiff);
    free(p->planes);
}

/* ---- which pictures are read */

static bool is_tiff(const uint8_t *b, size_t n)
{
    return mv_kind_of(b, n) == MV_KIND_TIFF;
}

static mv_status unknown(const mv_tiff *p, mv_error *e, const char *what, unsigned number)
{
    return mv_fail(e, MV_EINPUT,
                   "%s: found a TIFF with %s %u, which is not read; convert it, for example by tiffcp -c lzw",
                   p->f->name, what, number);
}

static mv_status check_compression(const mv_tiff *p, mv_error *e)
{
    static const uint16_t known[] = {COMPRESSION_NONE,      COMPRESSION_CCITTRLE,      COMPRESSION_CCITTFAX3,
                                     COMPRESSION_CCITTFAX4, COMPRESSION_CCITTRLEW,     COMPRESSION_LZW,
                                     COMPRESSION_JPEG,      COMPRESSION_ADOBE_DEFLATE, COMPRESSION_DEFLATE,
                                     COMPRESSION_PACKBITS,  COMPRESSION_ZSTD,          COMPRESSION_WEBP};
    uint16_t c = COMPRESSION_NONE;
    TIFFGetFieldDefaulted(p->tiff, TIFFTAG_COMPRESSION, &c);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == c && TIFFIsCODECConfigured(c))
            return MV_OK;
    const TIFFCodec *codec = TIFFFindCODEC(c);
    return codec ? mv_fail(e, MV_EINPUT,
                           "%s: found a TIFF compressed by %s, which is not read; convert it, for example by "
                           "tiffcp -c lzw",
                           p->f->name, codec->name)
                 : unknown(p, e, "the compression", c);
}

/* Colours of a pixel, and who converts them. */
static mv_status check_colours(mv_tiff *p, mv_error *e)
{
    uint16_t compression = COMPRESSION_NONE, ink_set = INKSET_CMYK;
    TIFFGetFieldDefaulted(p->tiff, TIFFTAG_COMPRESSION, &compression);
    switch (p->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK: p->used = 1; return MV_OK;
    case PHOTOMETRIC_RGB: p->used = 3; return MV_OK;
    case PHOTOMETRIC_PALETTE:
        p->used = 1;
        if (p->bits > 8 || p->format != SAMPLEFORMAT_UINT)
            return unknown(p, e, "a palette and bits", p->bits);
        if (!TIFFGetField(p->tiff, TIFFTAG_COLORMAP, &p->palette[0], &p->palette[1], &p->palette[2]))
            return mv_fail(e, MV_EINPUT, "%s: is damaged: the TIFF has no palette", p->f->name);
        return MV_OK;
    case PHOTOMETRIC_SEPARATED:
        p->used = 4;
        TIFFGetFieldDefaulted(p->tiff, TIFFTAG_INKSET, &ink_set);
        return ink_set == INKSET_CMYK ? MV_OK : unknown(p, e, "inks of the set", ink_set);
    case PHOTOMETRIC_YCBCR:
        p->used = p->samples >= 3 ? 3 : 1;
        if (compression == COMPRESSION_JPEG && !p->separate)
            TIFFSetField(p->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        else
            p->by_libtiff = p->used == 3;
        return MV_OK;
    case PHOTOMETRIC_CIELAB:
        p->used = 3;
        p->by_libtiff = true;
        return MV_OK;
    case PHOTOMETRIC_CFA:
    case 34892: /* linear raw of DNG */
        return mv_fail(e, MV_EINPUT,
                       "%s: found a camera's raw file, expected a picture; develop it, or take the JPEG beside it",
                       p->f->name);
    default: return unknown(p, e, "the photometric interpretation", p->photometric);
    }
}

static bool bits_are_read(const mv_tiff *p)
{
    if (p->by_libtiff)
        return p->bits == 8 && p->format == SAMPLEFORMAT_UINT;
    switch (p->format) {
    case SAMPLEFORMAT_UINT:
    case SAMPLEFORMAT_VOID:
        return p->bits == 1 || p->bits == 2 || p->bits == 4 || p->bits == 8 || p->bits == 12 || p->bits == 16 ||
               p->bits == 32;
    case SAMPLEFORMAT_INT: return p->bits == 8 || p->bits == 16 || p->bits == 32;
    case SAMPLEFORMAT_IEEEFP: return p->bits == 32 || p->bits == 64;
    default: return false;
    }
}

/* Reads the tags that say how samples lie. */
static mv_status layout(mv_tiff *p, mv_error *e)
{
    uint16_t planar = PLANARCONFIG_CONTIG, extras = 0, *extra = NULL;
    p->bits = p->samples = 1;
    p->format = SAMPLEFORMAT_UINT;
    TIFFGetFieldDefaulted(p->tiff, TIFFTAG_BITSPERSAMPLE, &p->bits);
    TIFFGetFieldDefaulted(p->tiff, TIFFTAG_SAMPLESPERPIXEL, &p->samples);
    TIFFGetFieldDefaulted(p->tiff, TIFFTAG_SAMPLEFORMAT, &p->format);
    TIFFGetFieldDefaulted(p->tiff, TIFFTAG_PLANARCONFIG, &planar);
    if (!TIFFGetField(p->tiff, TIFFTAG_PHOTOMETRIC, &p->photometric))
        p->photometric = p->samples >= 3 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK;
    p->separate = planar == PLANARCONFIG_SEPARATE && p->samples > 1;
    p->tiled = TIFFIsTiled(p->tiff);
    if (p->samples > MV_TIFF_SAMPLES)
        return mv_fail(e, MV_EINPUT, "%s: found %u samples a pixel in the TIFF, expected at most %d", p->f->name,
                       p->samples, MV_TIFF_SAMPLES);
    mv_status s = check_compression(p, e);
    if (!s)
        s = check_colours(p, e);
    if (s)
        return s;
    if (!bits_are_read(p))
        return mv_fail(
            e, MV_EINPUT,
            "%s: found a TIFF with samples of %u bits, format %u, which is not read; expected 1, 2, 4, 8, 12, 16 or "
            "32 bits, or floats of 32 or 64",
            p->f->name, p->bits, p->format);
    if (p->samples < p->used)
        return mv_fail(e, MV_EINPUT, "%s: found %u samples a pixel in the TIFF, expected at least %d", p->f->name,
                       p->samples, p->used);
    p->wide = p->format == SAMPLEFORMAT_IEEEFP || p->bits == 32 || (p->bits == 16 && p->format == SAMPLEFORMAT_INT);
    TIFFGetFieldDefaulted(p->tiff, TIFFTAG_EXTRASAMPLES, &extras, &extra);
    p->premultiplied = (p->used == 1 || p->used == 3) && !p->palette[0] && !p->wide && p->samples > p->used &&
                       extras > 0 && extra[0] == EXTRASAMPLE_ASSOCALPHA;
    p->used += p->premultiplied;
    return MV_OK;
}

/* A tile may be larger than the picture, but not than the pictures that are allowed. */
static mv_status check_tiles(const mv_tiff *p, mv_error *e)
{
    enum { SMALL_TILE = 1 << 20 };
    uint32_t w = 0, h = 0;
    if (!p->tiled)
        return MV_OK;
    TIFFGetField(p->tiff, TIFFTAG_TILEWIDTH, &w);
    TIFFGetField(p->tiff, TIFFTAG_TILELENGTH, &h);
    if (!w || !h || ((uint64_t)w * h > SMALL_TILE && (uint64_t)w * h > p->f->max_pixels))
        return mv_fail(e, MV_EINPUT, "%s: found tiles of %u x %u pixels in the TIFF, expected at most %zu pixels",
                       p->f->name, (unsigned)w, (unsigned)h, p->f->max_pixels);
    return MV_OK;
}

/* Bytes besides those of the picture's pixels: of a tile that is larger, and of a library behind libtiff. */
static size_t extra_of(const mv_tiff *p)
{
    enum { JPEG_MEMORY = 100 << 20, ZSTD_MEMORY = 128 << 20 };
    uint32_t w = 0, h = 0;
    uint16_t compression = COMPRESSION_NONE;
    TIFFGetField(p->tiff, TIFFTAG_COMPRESSION, &compression);
    if (p->tiled) {
        TIFFGetField(p->tiff, TIFFTAG_TILEWIDTH, &w);
        TIFFGetField(p->tiff, TIFFTAG_TILELENGTH, &h);
    }
    size_t library = compression == COMPRESSION_JPEG ? JPEG_MEMORY : compression == COMPRESSION_ZSTD ? ZSTD_MEMORY : 0;
    size_t tile = (size_t)w * h, whole = (size_t)p->w * p->h;
    return (tile > whole ? tile - whole : 0) * MV_PICTURE_PIXEL + library;
}

static void orient(mv_encoded *f, TIFF *tiff)
{
    uint16_t o;
    uint32_t n;
    const void *xmp;
    if (TIFFGetField(tiff, TIFFTAG_ORIENTATION, &o))
        f->exif = o >= 1 && o <= 8 ? o : 1;
    if (TIFFGetField(tiff, TIFFTAG_XMLPACKET, &n, &xmp))
        mv_orient_by_xmp(f, xmp, n);
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    mv_tiff p;
    uint32_t subfile = 0;
    mv_status s = open_page(&p, f, 0, e);
    if (s)
        return s;
    if (!TIFFGetField(p.tiff, TIFFTAG_IMAGEWIDTH, &p.w) || !TIFFGetField(p.tiff, TIFFTAG_IMAGELENGTH, &p.h))
        s = mv_fail(e, MV_EINPUT, "%s: is damaged: the TIFF does not say how large its picture is", f->name);
    if (!s)
        s = mv_encoded_set_size(f, p.w, p.h, e);
    if (!s)
        s = layout(&p, e);
    if (!s)
        s = check_tiles(&p, e);
    if (!s) {
        orient(f, p.tiff);
        f->extra = extra_of(&p);
        TIFFGetField(p.tiff, TIFFTAG_SUBFILETYPE, &subfile);
        if (!TIFFLastDirectory(p.tiff))
            mv_warn(f->warnings, "%s: found several pages; the first is read%s", f->name,
                    subfile & FILETYPE_REDUCEDIMAGE ? ", which is a thumbnail of another" : "");
    }
    close_page(&p);
    return s;
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    mv_tiff p;
    mv_status s = mv_image_new(out, f->w, f->h, e);
    if (s)
        return s;
    s = open_page(&p, f, (size_t)f->w * (size_t)f->h, e);
    p.w = (uint32_t)f->w, p.h = (uint32_t)f->h, p.rgb = out->rgb;
    if (!s)
        s = layout(&p, e);
    *p.said = 0; /* of the directory, which `check` accepted */
    if (!s)
        s = mv_tiff_pixels(&p, e);
    if (!s && p.cut)
        s = mv_encoded_short(f, "a JPEG in the TIFF ends early", e);
    if (!s && *p.said)
        mv_warn(f->warnings, "%s: is damaged, says libtiff: %s; it is read as far as possible", f->name, p.said);
    if (!s && p.greatest && p.photometric == PHOTOMETRIC_MINISBLACK)
        mv_encoded_warn_dark(f, p.greatest);
    close_page(&p);
    if (s)
        mv_image_free(out);
    return s;
}

const mv_codec mv_codec_tiff = {
    .name = "TIFF", .endings = {".tif", ".tiff"}, .is = is_tiff, .check = check, .decode = decode};
