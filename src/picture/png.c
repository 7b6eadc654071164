#include "src/picture/codec.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* PNG specification (third edition): signature, then chunks of length, type, data and CRC. The decoder is
 * given a copy with IHDR, PLTE filled up to 256 entries (an index past the palette is then black), one IDAT
 * and IEND: tRNS is left out because alpha is dropped, everything else because nobody looks at it. */

enum { SIGNATURE = 8, FRAME = 12, IHDR = 13, PALETTE = 3 * 256 };

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

/* A chunk's type for an error: four letters, or dots for what is none. */
static const char *type_text(char text[5], const uint8_t *type)
{
    for (int i = 0; i < 4; i++) {
        bool letter = (type[i] >= 'A' && type[i] <= 'Z') || (type[i] >= 'a' && type[i] <= 'z');
        text[i] = letter ? (char)type[i] : '.';
    }
    text[4] = 0;
    return text;
}

static bool is(const uint8_t *type, const char *name)
{
    return memcmp(type, name, 4) == 0;
}

/* The header's data at p. */
static mv_status look_at_header(mv_form *f, const uint8_t *p, mv_error *e)
{
    int depth = p[8], colour = p[9];
    /* bit d of an entry: depth d is allowed; table 11.1 */
    static const uint32_t depths[7] = {[0] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8 | 1 << 16,
                                       [2] = 1 << 8 | 1 << 16,
                                       [3] = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 8,
                                       [4] = 1 << 8 | 1 << 16,
                                       [6] = 1 << 8 | 1 << 16};
    if (colour > 6 || !depths[colour])
        return mv_fail(e, MV_EINPUT, "%s: PNG colour type %d, expected 0, 2, 3, 4 or 6", f->name, colour);
    if (depth > 16 || !(depths[colour] >> depth & 1))
        return mv_fail(e, MV_EINPUT, "%s: PNG bit depth %d does not go with colour type %d", f->name, depth, colour);
    if (p[10] || p[11] || p[12] > 1)
        return mv_fail(e, MV_EINPUT, "%s: PNG compression %d, filter %d, interlace %d, expected 0, 0 and 0 or 1",
                       f->name, p[10], p[11], p[12]);
    return mv_form_size(f, mv_be32(p), mv_be32(p + 4), e);
}

static uint8_t *put_chunk(uint8_t *out, const char *type, size_t length)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(length >> (24 - 8 * i));
    memcpy(out + 4, type, 4);
    return out + 8;
}

/* The copy for the decoder, which does not read the CRCs: they stay zero. */
static mv_status clean(mv_form *f, const uint8_t *palette, size_t palette_size, size_t data, mv_error *e)
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
    for (size_t at = SIGNATURE; !is(b + at + 4, "IEND"); at += FRAME + mv_be32(b + at))
        if (is(b + at + 4, "IDAT")) {
            memcpy(out, b + at + 8, mv_be32(b + at));
            out += mv_be32(b + at);
        }
    put_chunk(out + 4, "IEND", 0);
    return MV_OK;
}

mv_status mv_png_look(mv_form *f, mv_error *e)
{
    const uint8_t *b = f->bytes, *palette = NULL;
    uint32_t table[256];
    size_t palette_size = 0, data = 0, length;
    char text[5];
    crc_table(table);
    for (size_t at = SIGNATURE;; at += FRAME + length) {
        const uint8_t *type = b + at + 4;
        if (f->size - at < FRAME)
            return mv_form_short(f, data ? "the PNG's end chunk IEND is missing" : "the PNG ends before its data", e);
        length = mv_be32(b + at);
        if (length > f->size - at - FRAME)
            return mv_fail(e, MV_EINPUT,
                           "%s: is cut short: PNG chunk %s at byte %zu is %zu bytes long, the file has %zu more",
                           f->name, type_text(text, type), at, length, f->size - at - FRAME);
        uint32_t told = mv_be32(b + at + 8 + length), found = crc(table, type, length + 4);
        if (told != found)
            return mv_fail(e, MV_EINPUT, "%s: is damaged: PNG chunk %s at byte %zu has checksum %08x, expected %08x",
                           f->name, type_text(text, type), at, (unsigned)found, (unsigned)told);
        if ((at == SIGNATURE) != is(type, "IHDR") || (at == SIGNATURE && length != IHDR))
            return mv_fail(e, MV_EINPUT,
                           "%s: PNG chunk %s of %zu bytes at byte %zu, expected IHDR first and only there", f->name,
                           type_text(text, type), length, at);
        const uint8_t *p = b + at + 8;
        if (is(type, "IHDR")) {
            mv_status s = look_at_header(f, p, e);
            if (s != MV_OK)
                return s;
        } else if (is(type, "PLTE")) {
            if (palette || data || length == 0 || length % 3 || length > PALETTE)
                return mv_fail(e, MV_EINPUT,
                               "%s: a PNG palette of %zu bytes at byte %zu, expected one of 1 to 256 "
                               "colours before the data",
                               f->name, length, at);
            palette = p;
            palette_size = length;
        } else if (is(type, "IDAT")) {
            data += length;
        } else if (is(type, "eXIf")) {
            f->exif = p;
            f->exif_size = length;
        } else if (is(type, "IEND")) {
            break;
        } else if (!(type[0] & 0x20)) { /* critical, and not ours */
            return mv_fail(e, MV_EINPUT, "%s: PNG chunk %s at byte %zu is needed to show it, and not known", f->name,
                           type_text(text, type), at);
        }
    }
    if (data == 0)
        return mv_fail(e, MV_EINPUT, "%s: the PNG has no data (IDAT)", f->name);
    if (b[SIGNATURE + 8 + 9] == 3 && !palette)
        return mv_fail(e, MV_EINPUT, "%s: the PNG has no palette (PLTE), which its colour type 3 needs", f->name);
    return clean(f, palette, palette_size, data, e);
}
