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

static mv_status check(mv_encoded *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    mv_status s = mv_encoded_set_size(f, mv_le16(b + 12), mv_le16(b + 14), e);
    if (s)
        return s;
    size_t pixel = (size_t)(b[16] + 7) / 8, at = 18 + (size_t)b[0];
    if (b[1]) {
        unsigned bits = b[7];
        if (!mv_le16(b + 5) || (bits != 8 && bits != 15 && bits != 16 && bits != 24 && bits != 32))
            return mv_fail(e, MV_EINPUT,
                           "%s: a TGA palette of %u colours of %u bits, expected 8, 15, 16, 24 or 32 bits", f->name,
                           mv_le16(b + 5), bits);
        /* the decoder skips as many bytes as the first index says */
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
        return mv_encoded_short(f, "read as a TGA picture, it has fewer pixels than its size says", e);
    return MV_OK;
}

const mv_codec mv_codec_tga = {
    .name = "TGA", .endings = {".tga"}, .is = is_tga, .check = check, .decode = mv_stb_decode};
