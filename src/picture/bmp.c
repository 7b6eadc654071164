#include "src/picture/codec_impl.h"

/* Windows bitmap, with headers of 12 to 124 bytes. */

static bool is_bmp(const uint8_t *b, size_t n)
{
    if (!mv_starts_with(b, n, "BM", 2) || n < 18)
        return false;
    uint32_t header = mv_le32(b + 14);
    return header == 12 || (header >= 40 && header <= 124 && header % 4 == 0);
}

/* The highest palette index of the pixels; rows are `pitch` bytes apart. */
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

static mv_status check(mv_encoded *f, mv_error *e)
{
    const uint8_t *b = f->bytes;
    uint32_t offset = mv_le32(b + 10), header = mv_le32(b + 14);
    if (f->size < 14 + (uint64_t)header)
        return mv_encoded_short(f, "the BMP ends in its header", e);
    bool old = header == 12;
    uint32_t rows = old ? mv_le16(b + 20) : mv_le32(b + 22);
    unsigned bits = mv_le16(b + (old ? 24 : 28)), packing = old ? 0 : mv_le32(b + 30);
    if (rows >> 31) /* negative: top row first */
        rows = -rows;
    mv_status s = mv_encoded_set_size(f, old ? mv_le16(b + 18) : mv_le32(b + 18), rows, e);
    if (s)
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
        return mv_encoded_short(f, "the BMP has fewer pixels than its size says", e);
    if (bits <= 8) {
        uint64_t palette = (offset - start) / (old ? 3 : 4);
        unsigned most = highest_index(b + offset, f->w, f->h, (size_t)pitch, bits);
        if (most >= palette)
            return mv_fail(e, MV_EINPUT, "%s: is damaged: BMP pixels use colour %u of a palette of %u", f->name, most,
                           (unsigned)palette);
    }
    return MV_OK;
}

const mv_codec mv_codec_bmp = {
    .name = "BMP", .endings = {".bmp"}, .is = is_bmp, .check = check, .decode = mv_stb_decode};
