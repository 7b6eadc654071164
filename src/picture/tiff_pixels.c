#include <stdlib.h>

#include "src/picture/tiff_impl.h"

/* ---- samples */

/* Sample i of a row, as stored. */
static unsigned whole(const mv_tiff *p, const uint8_t *row, size_t i)
{
    uint16_t two;
    switch (p->bits) {
    case 8: return row[i];
    case 16: memcpy(&two, row + 2 * i, 2); return two;
    case 12:
        return i & 1 ? (row[i / 2 * 3 + 1] & 15U) << 8 | row[i / 2 * 3 + 2]
                     : (unsigned)row[i / 2 * 3] << 4 | row[i / 2 * 3 + 1] >> 4;
    default: return (unsigned)row[i * p->bits / 8] >> (8 - p->bits - i * p->bits % 8) & ((1U << p->bits) - 1);
    }
}

/* Sample i of a row of wide numbers. */
static double number(const mv_tiff *p, const uint8_t *row, size_t i)
{
    union {
        int16_t i16;
        int32_t i32;
        uint32_t u32;
        float f32;
        double f64;
    } v;
    memcpy(&v, row + i * (p->bits / 8U), p->bits / 8U);
    switch (p->format) {
    case SAMPLEFORMAT_IEEEFP: return p->bits == 32 ? (double)v.f32 : v.f64;
    case SAMPLEFORMAT_INT: return p->bits == 16 ? v.i16 : v.i32;
    default: return v.u32;
    }
}

/* Sample i as a byte: the upper 8 bits, or all of fewer bits spread over 0..255; of a palette the index. */
static uint8_t byte_of(const mv_tiff *p, const uint8_t *row, size_t i)
{
    if (p->wide) {
        double v = number(p, row, i) * p->scale + p->round;
        return v >= 255 ? 255 : v > 0 ? (uint8_t)v : 0;
    }
    unsigned v = whole(p, row, i);
    if (p->bits < 8)
        return (uint8_t)(p->palette[0] ? v : v * (255U / ((1U << p->bits) - 1)));
    return (uint8_t)(v >> (p->bits - 8));
}

/* A colour without the alpha that it was multiplied by, as Pillow's "RGBa". */
static uint8_t undo(uint8_t v, uint8_t alpha)
{
    unsigned u = alpha ? v * 255U / alpha : 0;
    return u < 255 ? (uint8_t)u : 255;
}

/* One pixel from its `used` bytes. */
static void put_pixel(const mv_tiff *p, const uint8_t *in, uint8_t *rgb)
{
    int colours = p->used - p->premultiplied;
    for (int c = 0; c < 3; c++) {
        uint8_t v = in[colours == 1 ? 0 : c];
        if (p->palette[0])
            v = (uint8_t)(p->palette[c][v] >> 8);
        else if (colours == 4) { /* inks, as Pillow's CMYK */
            unsigned paper = 255U - in[3], t = v * paper + 128;
            v = (uint8_t)(paper - (((t >> 8) + t) >> 8));
        }
        if (p->premultiplied)
            v = undo(v, in[colours]);
        rgb[c] = p->photometric == PHOTOMETRIC_MINISWHITE ? (uint8_t)~v : v;
    }
}

/* ---- rows */

/* n pixels of row y from x on: all samples of them (plane -1), or one. */
typedef void visitor(mv_tiff *p, const uint8_t *row, uint32_t x, uint32_t y, uint32_t n, int plane);

static void find_range(mv_tiff *p, const uint8_t *row, uint32_t x, uint32_t y, uint32_t n, int plane)
{
    size_t each = plane < 0 ? p->samples : 1, looked = plane < 0 ? (size_t)p->used : 1;
    (void)x, (void)y;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < looked; c++) {
            double v = number(p, row, i * each + c);
            p->low = v < p->low ? v : p->low;
            p->high = v > p->high ? v : p->high;
        }
}

static void put_row(mv_tiff *p, const uint8_t *row, uint32_t x, uint32_t y, uint32_t n, int plane)
{
    size_t at = (size_t)y * p->w + x, used = (size_t)p->used;
    uint8_t pixel[MV_TIFF_SAMPLES];
    for (size_t i = 0; i < n; i++) {
        if (p->bits == 16 && used == 1 && !p->wide) {
            unsigned v = whole(p, row, i * (plane < 0 ? p->samples : 1));
            p->greatest = v > p->greatest ? v : p->greatest;
        }
        if (plane >= 0) {
            p->planes[(at + i) * used + (size_t)plane] = byte_of(p, row, i);
            continue;
        }
        for (size_t c = 0; c < used; c++)
            pixel[c] = byte_of(p, row, i * p->samples + c);
        put_pixel(p, pixel, p->rgb + 3 * (at + i));
    }
}

static bool visit_tiles(mv_tiff *p, visitor *visit, uint8_t *buffer, int plane)
{
    uint32_t tw = 0, th = 0;
    size_t pitch = (size_t)TIFFTileRowSize(p->tiff);
    TIFFGetField(p->tiff, TIFFTAG_TILEWIDTH, &tw);
    TIFFGetField(p->tiff, TIFFTAG_TILELENGTH, &th);
    for (uint32_t y = 0; y < p->h; y += th)
        for (uint32_t x = 0; x < p->w; x += tw) {
            if (TIFFReadTile(p->tiff, buffer, x, y, 0, (uint16_t)(plane < 0 ? 0 : plane)) < 0)
                return false;
            for (uint32_t r = 0; r < th && y + r < p->h; r++)
                visit(p, buffer + r * pitch, x, y + r, p->w - x < tw ? p->w - x : tw, plane);
        }
    return true;
}

static bool visit_strips(mv_tiff *p, visitor *visit, uint8_t *buffer, int plane)
{
    for (uint32_t y = 0; y < p->h; y++) {
        if (TIFFReadScanline(p->tiff, buffer, y, (uint16_t)(plane < 0 ? 0 : plane)) < 0)
            return false;
        visit(p, buffer, 0, y, p->w, plane);
    }
    return true;
}

static mv_status visit_all(mv_tiff *p, visitor *visit, mv_error *e)
{
    /* what each pixel takes: libtiff's own sum, but never less than what is looked at */
    uint32_t wide = p->w;
    if (p->tiled)
        TIFFGetField(p->tiff, TIFFTAG_TILEWIDTH, &wide);
    tmsize_t size = p->tiled ? TIFFTileSize(p->tiff) : TIFFScanlineSize(p->tiff);
    size_t row = ((size_t)wide * (p->separate ? 1 : p->samples) * p->bits + 7) / 8;
    if (size <= 0 || (size_t)(p->tiled ? TIFFTileRowSize(p->tiff) : size) < row)
        return mv_tiff_damaged(p, e);
    uint8_t *buffer = calloc(1, (size_t)size);
    if (!buffer)
        return mv_fail_memory(e, p->f->name);
    bool fine = true;
    for (int plane = p->separate ? 0 : -1; fine && plane < (p->separate ? p->used : 0); plane++)
        fine = p->tiled ? visit_tiles(p, visit, buffer, plane) : visit_strips(p, visit, buffer, plane);
    free(buffer);
    return fine ? MV_OK : mv_tiff_damaged(p, e);
}

/* ---- decoding */

/* Numbers that no byte holds: cut to 0..255 as Pillow does, or scaled if they are floats between 0 and 1. */
static mv_status choose_scale(mv_tiff *p, mv_error *e)
{
    mv_status s = visit_all(p, find_range, e);
    if (s)
        return s;
    bool unit = p->format == SAMPLEFORMAT_IEEEFP && p->low >= 0 && p->high <= 1;
    p->scale = unit ? 255 : 1;
    p->round = unit ? 0.5 : 0;
    if (unit || p->low < 0 || p->high > 255)
        mv_warn(p->f->warnings, "%s: found samples of %u bits from %g to %g; they are %s", p->f->name, p->bits, p->low,
                p->high, unit ? "multiplied by 255" : "cut to 0 to 255");
    return MV_OK;
}

static mv_status decode_by_libtiff(mv_tiff *p, mv_error *e)
{
    size_t n = (size_t)p->w * p->h;
    uint16_t o = ORIENTATION_TOPLEFT;
    uint32_t *abgr = calloc(n, sizeof *abgr);
    if (!abgr)
        return mv_fail_memory(e, p->f->name);
    TIFFGetFieldDefaulted(p->tiff, TIFFTAG_ORIENTATION, &o);
    mv_status s = TIFFReadRGBAImageOriented(p->tiff, p->w, p->h, abgr, o, 1) ? MV_OK : mv_tiff_damaged(p, e);
    for (size_t i = 0; !s && i < n; i++) {
        p->rgb[3 * i] = (uint8_t)TIFFGetR(abgr[i]);
        p->rgb[3 * i + 1] = (uint8_t)TIFFGetG(abgr[i]);
        p->rgb[3 * i + 2] = (uint8_t)TIFFGetB(abgr[i]);
    }
    free(abgr);
    return s;
}

static mv_status decode_samples(mv_tiff *p, mv_error *e)
{
    size_t n = (size_t)p->w * p->h;
    if (p->separate && !(p->planes = malloc(n * (size_t)p->used)))
        return mv_fail_memory(e, p->f->name);
    mv_status s = p->wide ? choose_scale(p, e) : MV_OK;
    if (!s)
        s = visit_all(p, put_row, e);
    for (size_t i = 0; !s && p->separate && i < n; i++)
        put_pixel(p, p->planes + i * (size_t)p->used, p->rgb + 3 * i);
    return s;
}

mv_status mv_tiff_pixels(mv_tiff *p, mv_error *e)
{
    return p->by_libtiff ? decode_by_libtiff(p, e) : decode_samples(p, e);
}
