#include "src/picture/codec_impl.h"
#include "src/picture/orient_impl.h"

#include <stdlib.h>

/* PNG specification, third edition: a signature, then chunks of length, type, data and CRC. The decoder receives a copy
 * with IHDR, a PLTE of 256 entries (so an index past the palette is black), one IDAT and IEND. tRNS is left out because
 * alpha is dropped, everything else because the decoder does not use it. */

enum { SIGNATURE = 8, FRAME = 12, IHDR = 13, PALETTE = 3 * 256 };

static bool is_png(const uint8_t *b, size_t n)
{
    return mv_starts_with(b, n, "\x89PNG\r\n\x1a\n", SIGNATURE);
}

static void crc_table(uint32_t table[256])
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t c = n;
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xEDB88320 ^ c >> 1 : c >> 1;
        table[n] = c;
    }
}

static uint32_t crc(const uint32_t table[256], const uint8_t *p, size_t n)
{
    uint32_t c = 0xFFFFFFFF;
    for (size_t i = 0; i < n; i++)
        c = table[(c ^ p[i]) & 255] ^ c >> 8;
    return ~c;
}

/* A chunk's type for an error message: four letters, with a dot for every byte that is none. */
static const char *type_text(char text[5], const uint8_t *type)
{
    for (int i = 0; i < 4; i++) {
        bool letter = (type[i] >= 'A' && type[i] <= 'Z') || (type[i] >= 'a' && type[i] <= 'z');
        text[i] = letter ? (char)type[i] : '.';
    }
    text[4] = 0;
    return text;
}

static bool type_is(const uint8_t *type, const char *name)
{
    return memcmp(type, name, 4) == 0;
}

/* p: the data of IHDR. */
static mv_status check_header(mv_encoded *f, const uint8_t *p, mv_error *e)
{
    int depth = p[8], colour = p[9];
    /* bit d of an entry: depth d is allowed; table 11.1 */
    static const uint32_t depths[7] = {[0] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 16,
                                       [2] = 1 << 8 | 1 << 16,
                                       [3] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8,
                                       [4] = 1 << 8 | 1 << 16,
                                       [6] = 1 << 8 | 1 << 16};
    if (colour > 6 || !depths[colour])
        return mv_fail(e, MV_EINPUT, "%s: found PNG colour type %d, expected 0, 2, 3, 4 or 6", f->name, colour);
    if (depth > 16 || !(depths[colour] >> depth & 1))
        return mv_fail(e, MV_EINPUT, "%s: found PNG bit depth %d, which colour type %d does not allow", f->name, depth,
                       colour);
    if (p[10] || p[11] || p[12] > 1)
        return mv_fail(e, MV_EINPUT, "%s: found PNG compression %d, filter %d, interlace %d, expected 0, 0 and 0 or 1",
                       f->name, p[10], p[11], p[12]);
    return mv_encoded_set_size(f, mv_be32(p), mv_be32(p + 4), e);
}

static uint8_t *put_chunk(uint8_t *out, const char *type, size_t length)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(length >> (24 - 8 * i));
    memcpy(out + 4, type, 4);
    return out + 8;
}

/* Makes the copy for the decoder. Its CRCs stay zero: the decoder does not read them. */
static mv_status make_clean(mv_encoded *f, const uint8_t *palette, size_t palette_size, size_t data, mv_error *e)
{
    const uint8_t *b = f->bytes;
    f->clean_size = SIGNATURE + FRAME + IHDR + FRAME + PALETTE + FRAME + data + FRAME;
    uint8_t *out = f->clean = calloc(f->clean_size, 1);
    if (!out)
        return mv_fail_memory(e, f->name);
    memcpy(out, b, SIGNATURE + FRAME + IHDR);
    out += SIGNATURE + FRAME + IHDR;
    out = put_chunk(out, "PLTE", PALETTE);
    if (palette_size)
        memcpy(out, palette, palette_size);
    out = put_chunk(out + PALETTE + 4, "IDAT", data);
    for (size_t at = SIGNATURE; !type_is(b + at + 4, "IEND"); at += FRAME + mv_be32(b + at))
        if (type_is(b + at + 4, "IDAT")) {
            memcpy(out, b + at + 8, mv_be32(b + at));
            out += mv_be32(b + at);
        }
    put_chunk(out + 4, "IEND", 0);
    return MV_OK;
}

static mv_status check(mv_encoded *f, mv_error *e)
{
    const uint8_t *b = f->bytes, *palette = NULL;
    uint32_t table[256];
    size_t palette_size = 0, data = 0, length;
    char text[5];
    crc_table(table);
    for (size_t at = SIGNATURE;; at += FRAME + length) {
        const uint8_t *type = b + at + 4;
        if (f->size - at < FRAME)
            return mv_encoded_short(f, data ? "the PNG's end chunk IEND is missing" : "the PNG ends before its data",
                                    e);
        length = mv_be32(b + at);
        if (length > f->size - at - FRAME)
            return mv_fail(e, MV_EINPUT,
                           "%s: is cut short: PNG chunk %s at byte %zu is %zu bytes long, the file has %zu more",
                           f->name, type_text(text, type), at, length, f->size - at - FRAME);
        uint32_t stored = mv_be32(b + at + 8 + length), found = crc(table, type, length + 4);
        if (stored != found)
            return mv_fail(e, MV_EINPUT, "%s: is damaged: PNG chunk %s at byte %zu has checksum %08x, expected %08x",
                           f->name, type_text(text, type), at, (unsigned)found, (unsigned)stored);
        if ((at == SIGNATURE) != type_is(type, "IHDR") || (at == SIGNATURE && length != IHDR))
            return mv_fail(e, MV_EINPUT,
                           "%s: found PNG chunk %s of %zu bytes at byte %zu, expected IHDR first and only there",
                           f->name, type_text(text, type), length, at);
        const uint8_t *p = b + at + 8;
        if (type_is(type, "IHDR")) {
            mv_status s = check_header(f, p, e);
            if (s)
                return s;
        } else if (type_is(type, "PLTE")) {
            if (palette || data || length == 0 || length % 3 || length > PALETTE)
                return mv_fail(e, MV_EINPUT,
                               "%s: found a PNG palette of %zu bytes at byte %zu, expected one of 1 to 256 "
                               "colours before the data",
                               f->name, length, at);
            palette = p;
            palette_size = length;
        } else if (type_is(type, "IDAT")) {
            data += length;
        } else if (type_is(type, "eXIf")) {
            mv_orient_by_exif(f, p, length);
        } else if (type_is(type, "IEND")) {
            break;
        } else if (!(type[0] & 0x20)) { /* a critical chunk of an unknown type */
            return mv_fail(e, MV_EINPUT, "%s: PNG chunk %s at byte %zu is of an unknown type that a decoder must know",
                           f->name, type_text(text, type), at);
        }
    }
    if (data == 0)
        return mv_fail(e, MV_EINPUT, "%s: the PNG has no data (IDAT)", f->name);
    if (b[SIGNATURE + 8 + 9] == 3 && !palette)
        return mv_fail(e, MV_EINPUT, "%s: the PNG has no palette (PLTE), which its colour type 3 needs", f->name);
    return make_clean(f, palette, palette_size, data, e);
}

const mv_codec mv_codec_png = {
    .name = "PNG", .endings = {".png"}, .is = is_png, .check = check, .decode = mv_stb_decode};
