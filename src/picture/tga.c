#include "src/picture/codec_impl.h"

/* Truevision TGA. It has no signature, so a file is recognised by a header that makes sense. */

static bool is_tga(const uint8_t *b, size_t n)
{
    if (n < 18 || b[1] > 1)
        return false;
    bool palette = b[1] == 1;
    int type = b[2] & ~8, depth = b[16];
    bool known = palette ? type == 1 && (depth == 8 || depth == 16)
                         : (type == 2 && (depth == 15 || depth == 16 || depth == 24 || depth == 32)) ||
                               (type == 3 && (depth == 8 || depth == 16));
    return known && b[2] <= 11 && mv_le16(b + 12) && mv_le16(b + 14) && !(b[17] & 0xC0);
}

/* Where the pixels begin, which is behind the comment and the palette. */
static size_t pixels_at(const uint8_t *b)
{
    return 18 + (size_t)b[0] + (b[1] ? mv_le16(b + 5) * (size_t)((b[7] + 7) / 8) : 0);
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    mv_status s = mv_encoded_set_size(f, mv_le16(b + 12), mv_le16(b + 14), e);
    if (s)
        return s;
    unsigned bits = b[7];
    if (b[1] && (!mv_le16(b + 5) || (bits != 8 && bits != 15 && bits != 16 && bits != 24 && bits != 32)))
        return mv_fail(e, MV_EINPUT, "%s: a TGA palette of %u colours of %u bits, expected 8, 15, 16, 24 or 32 bits",
                       f->name, mv_le16(b + 5), bits);
    size_t pixel = (size_t)(b[16] + 7) / 8, at = pixels_at(b), left = (size_t)f->w * (size_t)f->h;
    bool runs = b[2] & 8;
    while (runs && left && at < f->size) {
        size_t n = (size_t)(b[at] & 127) + 1;
        at += 1 + pixel * (b[at] & 128 ? 1 : n);
        left -= n < left ? n : left;
    }
    if (runs ? left || at > f->size : at > f->size || (f->size - at) / pixel < left)
        return mv_encoded_short(f, "read as a TGA picture, it has fewer pixels than its size says", e);
    return MV_OK;
}

/* A colour of so many bits: grey (and alpha), five bits each, or blue, green, red (and alpha). */
static void rgb_of(const uint8_t *p, int bits, bool grey, uint8_t *rgb)
{
    for (int c = 0; c < 3; c++)
        rgb[c] = grey || bits == 8 ? p[0]
                 : bits <= 16      ? (uint8_t)((mv_le16(p) >> (10 - 5 * c) & 31) * 255 / 31)
                                   : p[2 - c];
}

/* A pixel as RGB. A colour that the palette lacks is black. */
static void pixel_of(const uint8_t *b, const uint8_t *p, uint8_t *rgb)
{
    if (!b[1]) {
        rgb_of(p, b[16], (b[2] & 7) == 3, rgb);
        return;
    }
    uint32_t first = mv_le16(b + 3), n = mv_le16(b + 5), v = b[16] == 8 ? p[0] : mv_le16(p);
    if (v >= first && v - first < n)
        rgb_of(b + 18 + b[0] + (v - first) * (size_t)((b[7] + 7) / 8), b[7], false, rgb);
    else
        memset(rgb, 0, 3);
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    const uint8_t *b = f->bytes, *p = b + pixels_at(b);
    mv_status s = mv_image_new(out, f->w, f->h, e);
    size_t each = (size_t)(b[16] + 7) / 8, left = 0; /* pixels of the packet that are still to come */
    bool runs = b[2] & 8, same = false, from_right = b[17] & 0x10, top_down = b[17] & 0x20;
    for (int y = 0; y < f->h && !s; y++)
        for (int x = 0; x < f->w; x++) {
            if (runs && !left) {
                left = (size_t)(*p & 127) + 1;
                same = *p++ & 128;
            }
            int column = from_right ? f->w - 1 - x : x, row = top_down ? y : f->h - 1 - y;
            pixel_of(b, p, out->rgb + 3 * ((size_t)row * (size_t)f->w + (size_t)column));
            left -= runs;
            p += same && left ? 0 : each;
        }
    return s;
}

const mv_codec mv_codec_tga = {.name = "TGA", .endings = {".tga"}, .is = is_tga, .check = check, .decode = decode};
