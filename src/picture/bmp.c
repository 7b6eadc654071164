#include "src/picture/codec_impl.h"

#include <stdlib.h>

/* Windows and OS/2 bitmaps, with headers of 12 to 124 bytes: palettes of 1, 4 and 8 bits, also run-length encoded, and
 * colours of 16, 24 and 32 bits by any masks. */

enum { FILE_HEADER = 14, OLD = 12, OS2 = 64, RGB = 0, RLE8 = 1, RLE4 = 2, MASKS = 3, ALPHA_MASKS = 6 };

typedef struct {
    bool top_down;
    unsigned bits, packing;
    uint32_t mask[3];     /* red, green, blue */
    const uint8_t *table; /* blue, green, red of each colour, and perhaps a fourth byte */
    unsigned colours, colour_size;
    size_t pixels; /* where they begin */
    size_t pitch;  /* bytes of a row that is not run-length encoded */
} layout;

static bool is_bmp(const uint8_t *b, size_t n)
{
    if (!mv_starts_with(b, n, "BM", 2) || n < FILE_HEADER + 4)
        return false;
    uint32_t header = mv_le32(b + FILE_HEADER);
    return header == OLD || (header >= 40 && header <= 124 && header % 4 == 0);
}

/* The masks of a colour, which are in the header or behind it. */
static void read_masks(const mv_encoded *f, layout *l)
{
    bool given = (l->packing == MASKS || l->packing == ALPHA_MASKS) && f->size >= FILE_HEADER + 40 + 12;
    for (int c = 0; c < 3; c++)
        l->mask[c] = given ? mv_le32(f->bytes + FILE_HEADER + 40 + 4 * c) : 0;
    if (l->mask[0] | l->mask[1] | l->mask[2])
        return;
    for (int c = 0; c < 3; c++)
        l->mask[c] = l->bits == 16 ? 0x7C00U >> 5 * c : 0xFF0000U >> 8 * c;
}

/* The colours of a palette. In some files the pixels begin, by the header, where the palette does: they follow it. */
static void read_palette(const mv_encoded *f, size_t start, layout *l)
{
    const uint8_t *b = f->bytes;
    unsigned announced = l->colour_size == 3 ? 0 : mv_le32(b + FILE_HEADER + 32), most = 1U << l->bits;
    l->colours = announced && announced < most ? announced : most;
    if (l->pixels == start)
        l->pixels += (size_t)l->colours * l->colour_size;
    else if ((l->pixels - start) / l->colour_size < l->colours)
        l->colours = (unsigned)((l->pixels - start) / l->colour_size);
    l->table = b + start;
}

/* Sets the size, too. */
static mv_status read_layout(mv_encoded *f, layout *l, mv_error *e)
{
    const uint8_t *b = f->bytes;
    uint32_t offset = mv_le32(b + 10), header = mv_le32(b + FILE_HEADER);
    if (f->size < FILE_HEADER + (uint64_t)header)
        return mv_encoded_short(f, "the BMP ends in its header", e);
    bool old = header == OLD;
    uint32_t rows = old ? mv_le16(b + 20) : mv_le32(b + 22);
    *l = (layout){.top_down = rows >> 31,
                  .bits = mv_le16(b + (old ? 24 : 28)),
                  .packing = old ? RGB : mv_le32(b + 30),
                  .colour_size = old ? 3 : 4,
                  .pixels = offset};
    mv_status s = mv_encoded_set_size(f, old ? mv_le16(b + 18) : mv_le32(b + 18), l->top_down ? 0U - rows : rows, e);
    if (s)
        return s;
    bool masks =
        (l->packing == MASKS || l->packing == ALPHA_MASKS) && header != OS2 && (l->bits == 16 || l->bits == 32);
    if (l->packing != RGB && !masks && !(l->packing == RLE8 && l->bits == 8) && !(l->packing == RLE4 && l->bits == 4))
        return mv_fail(e, MV_EINPUT, "%s: found a BMP of kind %u with %u bits a pixel, which is not read", f->name,
                       l->packing, l->bits);
    if (l->bits != 1 && l->bits != 4 && l->bits != 8 && l->bits != 16 && l->bits != 24 && l->bits != 32)
        return mv_fail(e, MV_EINPUT, "%s: a BMP of %u bits a pixel, expected 1, 4, 8, 16, 24 or 32", f->name, l->bits);
    size_t start = FILE_HEADER + (size_t)header + (masks && header == 40 ? 12 : 0);
    if (offset < start || offset > INT32_MAX)
        return mv_fail(e, MV_EINPUT, "%s: is damaged: BMP pixels start at byte %u, inside the header", f->name, offset);
    read_masks(f, l);
    if (l->bits <= 8)
        read_palette(f, start, l);
    l->pitch = ((size_t)f->w * l->bits + 31) / 32 * 4;
    uint64_t last = ((uint64_t)f->w * l->bits + 7) / 8, rest = l->pitch * (uint64_t)(f->h - 1);
    bool runs = l->packing == RLE8 || l->packing == RLE4;
    if (l->pixels > f->size || (!runs && l->pixels + rest + last > f->size))
        return mv_encoded_short(f, "the BMP has fewer pixels than its size says", e);
    return MV_OK;
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    layout l;
    return read_layout(f, &l, e);
}

/* ---- palettes */

/* Unpacks a run-length encoded picture, one index a byte, in the order of the file. Returns how many there are. */
static size_t unpack_runs(const mv_encoded *f, const layout *l, uint8_t *out, bool *odd)
{
    size_t n = 0, all = (size_t)f->w * (size_t)f->h, w = (size_t)f->w, x = 0; /* x: where the row is */
    const uint8_t *p = f->bytes + l->pixels, *end = f->bytes + f->size;
    bool four = l->packing == RLE4;
    while (n < all && end - p >= 2) {
        size_t count = p[0], what = p[1], take;
        p += 2;
        if (count) { /* a run of one colour, or of two in turn */
            take = count < w - x ? count : w - x;
            for (size_t i = 0; i < take && n < all; i++)
                out[n++] = (uint8_t)(!four ? what : i % 2 ? what & 15 : what >> 4);
            *odd = *odd || take < count;
            x += take;
        } else if (what == 0) { /* the end of a row */
            while (n % w && n < all)
                out[n++] = 0;
            x = 0;
        } else if (what == 1) { /* the end of the picture */
            break;
        } else if (what == 2) { /* a step to the right and up */
            if (end - p < 2)
                break;
            take = p[0] + p[1] * w;
            p += 2;
            *odd = true;
            take = take < all - n ? take : all - n;
            memset(out + n, 0, take);
            n += take;
            x = n % w;
        } else { /* as many pixels as they are */
            take = what < all - n ? what : all - n;
            size_t bytes = four ? (take + 1) / 2 : take;
            if ((size_t)(end - p) < bytes)
                break;
            for (size_t i = 0; i < take; i++)
                out[n++] = four ? (uint8_t)(i % 2 ? p[i / 2] & 15 : p[i / 2] >> 4) : p[i];
            *odd = *odd || what > w - x;
            p += bytes;
            p += (p - f->bytes) % 2 && p < end; /* on a boundary of 16 bits */
            x = what < w - x ? x + what : w;
        }
    }
    return n;
}

/* The indices of a picture that is not run-length encoded. */
static void unpack_rows(const mv_encoded *f, const layout *l, uint8_t *out)
{
    const uint8_t *row = f->bytes + l->pixels;
    unsigned mask = (1U << l->bits) - 1;
    for (int y = 0; y < f->h; y++, row += l->pitch)
        for (size_t x = 0; x < (size_t)f->w; x++)
            *out++ = (uint8_t)(row[x * l->bits / 8] >> (8 - l->bits - x * l->bits % 8) & mask);
}

static uint8_t *row_at(const mv_image *out, const layout *l, int y)
{
    return out->rgb + 3 * (size_t)out->w * (size_t)(l->top_down ? y : out->h - 1 - y);
}

static mv_status decode_palette(const mv_encoded *f, const layout *l, const mv_image *out, mv_error *e)
{
    size_t all = (size_t)f->w * (size_t)f->h;
    bool odd = false, cut = false;
    uint8_t *indices = malloc(all), *p = indices;
    if (!indices)
        return mv_fail_memory(e, f->name);
    if (l->packing == RGB)
        unpack_rows(f, l, indices);
    else
        cut = unpack_runs(f, l, indices, &odd) < all;
    unsigned most = 0;
    for (size_t i = 0; i < all && !cut; i++)
        most = indices[i] > most ? indices[i] : most;
    for (int y = 0; y < f->h && !cut && most < l->colours; y++) {
        uint8_t *to = row_at(out, l, y);
        for (int x = 0; x < f->w; x++, p++)
            for (int c = 0; c < 3; c++)
                *to++ = l->table[*p * l->colour_size + 2 - (unsigned)c];
    }
    free(indices);
    if (cut)
        return mv_encoded_short(f, "the BMP has fewer pixels than its size says", e);
    if (most >= l->colours)
        return mv_fail(e, MV_EINPUT, "%s: is damaged: BMP pixels use colour %u of a palette of %u", f->name, most,
                       l->colours);
    if (odd)
        mv_warn(f->warnings, "%s: part of the picture may be wrong: the BMP leaves pixels out or runs past a row",
                f->name);
    return MV_OK;
}

/* ---- colours */

/* A sample as 8 bits: value * 255 / greatest, rounded down, as Pillow does. */
static uint8_t sample(uint32_t pixel, uint32_t mask)
{
    if (!mask)
        return 0;
    uint32_t low = mask & -mask, most = mask / low;
    return (uint8_t)((uint64_t)((pixel & mask) / low) * 255 / most);
}

static void decode_colours(const mv_encoded *f, const layout *l, const mv_image *out)
{
    bool plain = l->mask[0] == 0xFF0000 && l->mask[1] == 0xFF00 && l->mask[2] == 0xFF;
    size_t each = l->bits / 8;
    for (int y = 0; y < f->h; y++) {
        const uint8_t *from = f->bytes + l->pixels + (size_t)y * l->pitch;
        uint8_t *to = row_at(out, l, y);
        for (int x = 0; x < f->w; x++, from += each, to += 3) {
            uint32_t pixel = plain ? 0 : each == 2 ? mv_le16(from) : mv_le32(from);
            for (int c = 0; c < 3; c++)
                to[c] = plain ? from[2 - c] : sample(pixel, l->mask[c]);
        }
    }
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    layout l;
    mv_encoded again = *f;
    mv_status s = read_layout(&again, &l, e);
    if (!s)
        s = mv_image_new(out, f->w, f->h, e);
    if (!s && l.bits <= 8)
        s = decode_palette(f, &l, out, e);
    else if (!s)
        decode_colours(f, &l, out);
    if (s)
        mv_image_free(out);
    return s;
}

const mv_codec mv_codec_bmp = {.name = "BMP", .endings = {".bmp"}, .is = is_bmp, .check = check, .decode = decode};
