#include "src/picture/codec.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* GIF, BMP and TGA: short headers in front of pixels. */

/* --- GIF (Compuserve, GIF89a) ----------------------------------------------------------------------------- */

/* Past a chain of sub-blocks (a length and as many bytes, until length 0); 0 when the file ends first. */
static size_t past_blocks(const mv_form *f, size_t at)
{
    while (at < f->size && f->bytes[at])
        at += 1 + (size_t)f->bytes[at];
    return at < f->size ? at + 1 : 0;
}

static size_t colours(uint8_t flags)
{
    return flags & 0x80 ? (size_t)6 << (flags & 7) : 0;
}

/* The copy for the decoder: header, colours and the first frame. Without the extensions no colour is
 * transparent, so every pixel gets its own. */
static mv_status clean_gif(mv_form *f, size_t head, size_t frame, size_t end, mv_error *e)
{
    f->clean_size = head + (end - frame) + 1;
    f->clean = malloc(f->clean_size);
    if (!f->clean)
        return mv_fail_memory(e, f->name);
    memcpy(f->clean, f->bytes, head);
    memcpy(f->clean + head, f->bytes + frame, end - frame);
    f->clean[f->clean_size - 1] = ';';
    return MV_OK;
}

mv_status mv_gif_look(mv_form *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    if (f->size < 13)
        return mv_form_short(f, "the GIF ends in its header", e);
    mv_status s = mv_form_size(f, mv_le16(b + 6), mv_le16(b + 8), e);
    if (s != MV_OK)
        return s;
    size_t head = 13 + colours(b[10]);
    for (size_t at = head; at < f->size;) {
        size_t frame = at;
        if (b[at] == ';')
            return mv_fail(e, MV_EINPUT, "%s: the GIF holds no picture", f->name);
        if (b[at] == '!') {
            at = past_blocks(f, at + 2);
            if (!at)
                break;
            continue;
        }
        if (b[at] != ',')
            return mv_fail(e, MV_EINPUT,
                           "%s: is damaged: GIF block %02x at byte %zu, expected a picture or an extension", f->name,
                           b[at], at);
        if (f->size - at < 11)
            break;
        if (!colours(b[10]) && !colours(b[at + 9]))
            return mv_fail(e, MV_EINPUT, "%s: the GIF has no colour table", f->name);
        at = past_blocks(f, at + 11 + colours(b[at + 9]));
        if (!at)
            break;
        return clean_gif(f, head, frame, at, e);
    }
    return mv_form_short(f, "the GIF ends inside its first frame", e);
}

/* --- BMP (Windows bitmap, headers of 12 to 124 bytes) -------------------------------------------------------- */

/* The highest palette index in the pixels; rows are `pitch` bytes apart. */
static unsigned highest_index(const uint8_t *p, int w, int h, size_t pitch, unsigned bits)
{
    unsigned most = 0, mask = (1U << bits) - 1;
    for (int y = 0; y < h; y++, p += pitch)
        for (size_t x = 0; x < (size_t)w; x++) {
            unsigned shift = 8 - bits - (unsigned)(x * bits % 8), v = (unsigned)p[x * bits / 8] >> shift & mask;
            most = v > most ? v : most;
        }
    return most;
}

mv_status mv_bmp_look(mv_form *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    uint32_t offset = mv_le32(b + 10), header = mv_le32(b + 14);
    if (f->size < 14 + (uint64_t)header)
        return mv_form_short(f, "the BMP ends in its header", e);
    bool old = header == 12;
    uint32_t rows = old ? mv_le16(b + 20) : mv_le32(b + 22);
    unsigned bits = mv_le16(b + (old ? 24 : 28)), packing = old ? 0 : mv_le32(b + 30);
    if (rows >> 31) /* negative: top row first */
        rows = -rows;
    mv_status s = mv_form_size(f, old ? mv_le16(b + 18) : mv_le32(b + 18), rows, e);
    if (s != MV_OK)
        return s;
    if (packing != 0 && packing != 3)
        return mv_fail(e, MV_EINPUT, "%s: a compressed BMP (kind %u), expected an uncompressed one", f->name, packing);
    if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32)
        return mv_fail(e, MV_EINPUT, "%s: a BMP of %u bits a pixel, expected 1, 4, 8, 16, 24 or 32", f->name, bits);

    uint64_t start = 14 + (uint64_t)header + (packing == 3 && header == 40 ? 12 : 0);
    uint64_t pitch = ((uint64_t)f->w * bits + 31) / 32 * 4, last = ((uint64_t)f->w * bits + 7) / 8;
    if (offset < start || offset > INT32_MAX)
        return mv_fail(e, MV_EINPUT, "%s: is damaged: BMP pixels start at byte %u, inside the header", f->name, offset);
    if (offset + pitch * (uint64_t)(f->h - 1) + last > f->size)
        return mv_form_short(f, "the BMP has fewer pixels than its size says", e);
    if (bits <= 8) {
        uint64_t palette = (offset - start) / (old ? 3 : 4);
        unsigned most = highest_index(b + offset, f->w, f->h, (size_t)pitch, bits);
        if (most >= palette)
            return mv_fail(e, MV_EINPUT, "%s: is damaged: BMP pixels use colour %u of a palette of %u", f->name, most,
                           (unsigned)palette);
    }
    return MV_OK;
}

/* --- TGA (Truevision) ---------------------------------------------------------------------------------------- */

mv_status mv_tga_look(mv_form *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    mv_status s = mv_form_size(f, mv_le16(b + 12), mv_le16(b + 14), e);
    if (s != MV_OK)
        return s;
    size_t pixel = (size_t)(b[16] + 7) / 8, at = 18 + (size_t)b[0];
    if (b[1]) {
        unsigned bits = b[7];
        if (!mv_le16(b + 5) || (bits != 8 && bits != 15 && bits != 16 && bits != 24 && bits != 32))
            return mv_fail(e, MV_EINPUT,
                           "%s: a TGA palette of %u colours of %u bits, expected 8, 15, 16, 24 or 32 bits", f->name,
                           mv_le16(b + 5), bits);
        /* the decoder skips the first index as bytes */
        at += mv_le16(b + 3) + mv_le16(b + 5) * (size_t)((bits + 7) / 8);
    }
    size_t left = (size_t)f->w * (size_t)f->h;
    bool runs = b[2] & 8;
    while (runs && left && at < f->size) {
        size_t n = (size_t)(b[at] & 127) + 1;
        at += 1 + pixel * (b[at] & 128 ? 1 : n);
        left -= n < left ? n : left;
    }
    if (runs ? left || at > f->size : at > f->size || (f->size - at) / pixel < left)
        return mv_form_short(f, "read as a TGA picture, it has fewer pixels than its size says", e);
    return MV_OK;
}
