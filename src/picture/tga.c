#include <stdlib.h>

#include "src/picture/codec_impl.h"
#include "src/picture/orient_impl.h"

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

/* stb_image skips bytes if a palette does not begin at 0, and takes its first colour for those that it lacks, which are
 * black. Such a palette is written anew, from 0 on and whole. The bytes of *f are then the caller's to free. */
static mv_status fill_palette(mv_encoded *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    size_t first = mv_le16(b + 3), n = mv_le16(b + 5), all = b[16] == 8 ? 256 : 65535;
    if (!b[1] || (first == 0 && n >= all))
        return MV_OK;
    first = first < all ? first : all;
    n = n < all - first ? n : all - first;
    size_t colour = (size_t)(b[7] + 7) / 8, at = pixels_at(b), left = f->size - at;
    f->size = 18 + all * colour + left;
    uint8_t *to = calloc(1, f->size);
    f->bytes = to;
    if (!to)
        return mv_fail_memory(e, f->name);
    memcpy(to + 1, b + 1, 17);
    memset(to + 3, 0, 2);
    memcpy(to + 5, (uint8_t[]){(uint8_t)all, (uint8_t)(all >> 8)}, 2);
    memcpy(to + 18 + first * colour, b + 18 + b[0], n * colour);
    memcpy(to + 18 + all * colour, b + at, left);
    return MV_OK;
}

static mv_status decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    enum { FROM_RIGHT = 0x10 }; /* which stb_image does not know: EXIF's orientation 2 */
    mv_encoded whole = *f;
    mv_status s = fill_palette(&whole, e);
    if (!s)
        s = mv_stb_decode(&whole, out, e);
    whole.exif = f->bytes[17] & FROM_RIGHT ? 2 : 0;
    if (!s)
        s = mv_orient(out, &whole, e);
    if (whole.bytes != f->bytes)
        free((void *)whole.bytes);
    return s;
}

const mv_codec mv_codec_tga = {.name = "TGA", .endings = {".tga"}, .is = is_tga, .check = check, .decode = decode};
