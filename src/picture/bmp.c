#include "src/picture/codec_impl.h"

#include <stdlib.h>

/* Windows and OS/2 bitmaps, with headers of 12 to 124 bytes: palettes of 1, 4 and 8 bits, also run-length encoded, and
 * colours of 16, 24 and 32 bits by any masks. stb_image reads none with runs, and some others not as Pillow does: those
 * are written anew as it reads them right. */

enum { FILE_HEADER = 14, OLD = 12, PLAIN = 40, OS2 = 64, RGB = 0, RLE8 = 1, RLE4 = 2, MASKS = 3, ALPHA_MASKS = 6 };

typedef struct {
    bool top_down, runs;
    bool plain; /* stb_image reads it right as it is */
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
    bool masks = (l->packing == MASKS || l->packing == ALPHA_MASKS) && header != OS2 && l->bits % 16 == 0;
    l->runs = (l->packing == RLE8 && l->bits == 8) || (l->packing == RLE4 && l->bits == 4);
    if (l->packing != RGB && !masks && !l->runs)
        return mv_fail(e, MV_EINPUT, "%s: found a BMP of kind %u with %u bits a pixel, which is not read", f->name,
                       l->packing, l->bits);
    if (l->bits != 1 && l->bits != 4 && l->bits != 8 && l->bits != 16 && l->bits != 24 && l->bits != 32)
        return mv_fail(e, MV_EINPUT, "%s: a BMP of %u bits a pixel, expected 1, 4, 8, 16, 24 or 32", f->name, l->bits);
    size_t start = FILE_HEADER + (size_t)header + (masks && header == PLAIN ? 12 : 0);
    if (offset < start || offset > INT32_MAX)
        return mv_fail(e, MV_EINPUT, "%s: is damaged: BMP pixels start at byte %u, inside the header", f->name, offset);
    read_masks(f, l);
    if (l->bits <= 8)
        read_palette(f, start, l);
    l->pitch = ((size_t)f->w * l->bits + 31) / 32 * 4;
    uint64_t last = ((uint64_t)f->w * l->bits + 7) / 8, rest = l->pitch * (uint64_t)(f->h - 1);
    l->plain = header == PLAIN && l->packing == RGB && l->bits != 16 && mv_le16(b + 26) == 1 /* plane */ &&
               offset == start + 4 * (size_t)l->colours;
    if (l->pixels > f->size || (!l->runs && l->pixels + rest + last > f->size))
        return mv_encoded_short(f, "the BMP has fewer pixels than its size says", e);
    return MV_OK;
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    layout l;
    return read_layout(f, &l, e);
}

/* Unpacks a run-length encoded picture, one index a byte, in the order of the file. */
static mv_status unpack_runs(const mv_encoded *f, const layout *l, uint8_t *out, mv_error *e)
{
    size_t n = 0, all = (size_t)f->w * (size_t)f->h, w = (size_t)f->w, x = 0; /* x: where the row is */
    const uint8_t *p = f->bytes + l->pixels, *end = f->bytes + f->size;
    bool four = l->bits == 4, odd = false;
    while (n < all && end - p >= 2) {
        bool run = p[0]; /* of one colour, or of two in turn; else as many pixels as they are, or a command */
        size_t count = p[run ? 0 : 1], room = w - x, left = all - n;
        const uint8_t *from = run ? p + 1 : p + 2;
        p += 2;
        if (!run && count <= 2) { /* the ends of a row and of the picture, a step to the right and up */
            if (count == 1 || (count == 2 && end - p < 2))
                break;
            size_t skip = count == 2 ? p[0] + p[1] * w : (w - n % w) % w;
            n += skip < left ? skip : left; /* `out` is 0 */
            odd = odd || count == 2;
            p += count;
            x = n % w;
            continue;
        }
        size_t take = run && count > room ? room : count;
        take = take < left ? take : left;
        size_t bytes = run ? 0 : four ? (take + 1) / 2 : take;
        if ((size_t)(end - p) < bytes)
            break;
        for (size_t i = 0; i < take; i++) {
            uint8_t v = from[run ? 0 : four ? i / 2 : i];
            out[n++] = !four ? v : i % 2 ? v & 15 : v >> 4;
        }
        p += bytes;
        p += !run && (p - f->bytes) % 2 && p < end; /* on a boundary of 16 bits */
        odd = odd || count > room;
        x = count < room ? x + count : w;
    }
    if (n < all)
        return mv_encoded_short(f, "the BMP has fewer pixels than its size says", e);
    if (odd)
        mv_warn(f->warnings, "%s: part of the picture may be wrong: the BMP leaves pixels out or runs past a row",
                f->name);
    return MV_OK;
}

/* Blue, green and red of a row by their masks: value * 255 / greatest, rounded down, as Pillow does. */
static void unmask(const layout *l, const uint8_t *from, uint8_t *to, size_t w)
{
    for (size_t x = 0; x < w; x++, from += l->bits / 8)
        for (int c = 2; c >= 0; c--) {
            uint32_t pixel = l->bits == 16 ? mv_le16(from) : mv_le32(from), mask = l->mask[c], low = mask & -mask;
            *to++ = (uint8_t)(mask ? (uint64_t)((pixel & mask) / low) * 255 / (mask / low) : 0);
        }
}

/* Writes the BMP anew as a plain one: runs are unpacked to 8 bits a pixel, masks to 24. The bytes of *f are then the
 * caller's to free, also after a failure. */
static mv_status rewrite(mv_encoded *f, layout *l, mv_error *e)
{
    const mv_encoded old = *f;
    bool masks = l->bits == 16 || l->bits == 32;
    uint32_t bits = l->runs ? 8 : masks ? 24 : l->bits, w = (uint32_t)f->w, h = (uint32_t)f->h;
    size_t start = FILE_HEADER + PLAIN + 4 * (size_t)l->colours, pitch = ((size_t)w * bits + 31) / 32 * 4;
    uint32_t header[] = {(uint32_t)start, PLAIN, w, l->top_down ? 0U - h : h, 1 | bits << 16};
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the machine's byte order is the file's");
    f->size = start + pitch * h;
    uint8_t *to = calloc(1, f->size);
    f->bytes = to;
    if (!to)
        return mv_fail_memory(e, f->name);
    memcpy(to, "BM", 2);
    memcpy(to + 10, header, sizeof header);
    for (size_t i = 0; i < l->colours; i++)
        memcpy(to + FILE_HEADER + PLAIN + 4 * i, l->table + i * l->colour_size, 3);
    to += start;
    mv_status s = l->runs ? unpack_runs(&old, l, to, e) : MV_OK;
    for (size_t y = h; y-- > 0 && !s;) { /* from the last, because unpacked rows have no gaps between them */
        const uint8_t *from = l->runs ? to + y * w : old.bytes + l->pixels + y * l->pitch;
        if (masks)
            unmask(l, from, to + y * pitch, w);
        else
            memmove(to + y * pitch, from, ((size_t)w * bits + 7) / 8);
    }
    l->bits = bits;
    l->pitch = pitch;
    l->pixels = start;
    return s;
}

/* A palette need not hold all colours that the bits of a pixel can name. */
static mv_status check_indices(const mv_encoded *f, const layout *l, mv_error *e)
{
    const uint8_t *row = f->bytes + l->pixels;
    unsigned most = 0, mask = (1U << l->bits) - 1;
    for (int y = 0; y < f->h; y++, row += l->pitch)
        for (size_t x = 0; x < (size_t)f->w; x++) {
            unsigned v = (unsigned)row[x * l->bits / 8] >> (8 - l->bits - x * l->bits % 8) & mask;
            most = v > most ? v : most;
        }
    if (most < l->colours)
        return MV_OK;
    return mv_fail(e, MV_EINPUT, "%s: is damaged: BMP pixels use colour %u of a palette of %u", f->name, most,
                   l->colours);
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    layout l;
    mv_encoded plain = *f;
    mv_status s = read_layout(&plain, &l, e);
    if (!s && !l.plain)
        s = rewrite(&plain, &l, e);
    if (!s && l.bits <= 8)
        s = check_indices(&plain, &l, e);
    if (!s)
        s = mv_stb_decode(&plain, out, e);
    if (plain.bytes != f->bytes)
        free((void *)plain.bytes);
    return s;
}

const mv_codec mv_codec_bmp = {.name = "BMP", .endings = {".bmp"}, .is = is_bmp, .check = check, .decode = decode};
