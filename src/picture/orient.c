#include "src/picture/orient_impl.h"

/* An orientation that makes no sense is named all the same: the image stays as it is, and no other source is asked. */
static int sensible(uint32_t v)
{
    return v >= 1 && v <= 8 ? (int)v : 1;
}

/* TIFF 6.0: a byte order, 42, the offset of the first directory; there a count and entries of 12 bytes, which are tag,
 * type, count and, if it fits into four bytes, the value, else its offset. As in Pillow, 42 may have the other byte
 * order, the first entry of a tag counts, and of several values the first; BYTE is text, not a number. */
void mv_orient_by_exif(mv_encoded *f, const uint8_t *block, size_t size)
{
    enum { ORIENTATION = 0x0112, SHORT = 3, LONG = 4, SBYTE = 6, SSHORT = 8, SLONG = 9 };
    static const uint8_t bytes_of[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8};
    while (mv_starts_with(block, size, "Exif\0", 6)) {
        block += 6;
        size -= 6;
    }
    bool little = mv_starts_with(block, size, "II", 2), big = mv_starts_with(block, size, "MM", 2);
    if (size < 8 || !(little || big) || (memcmp(block + 2, "*", 2) != 0 && memcmp(block + 2, "\0*", 2) != 0))
        return;
    uint32_t (*get16)(const uint8_t *) = little ? mv_le16 : mv_be16,
                                    (*get32)(const uint8_t *) = little ? mv_le32 : mv_be32;
    size_t at = get32(block + 4);
    if (at > size || size - at < 2)
        return;
    size_t n = get16(block + at), room = (size - at - 2) / 12;
    const uint8_t *entry = block + at + 2;
    for (size_t i = 0; i < n && i < room; i++, entry += 12) {
        uint32_t type = get16(entry + 2);
        uint64_t length = type < sizeof bytes_of ? (uint64_t)bytes_of[type] * get32(entry + 4) : 0;
        size_t from = length > 4 ? get32(entry + 8) : (size_t)(entry + 8 - block);
        if (get16(entry) != ORIENTATION || !length || from > size || size - from < length)
            continue;
        const uint8_t *value = block + from;
        f->exif = sensible(type == SHORT || type == SSHORT ? get16(value)
                           : type == LONG || type == SLONG ? get32(value)
                           : type == SBYTE                 ? *value
                                                           : 0);
        return;
    }
}

/* tiff:Orientation="6", or <tiff:Orientation>6</tiff:Orientation> */
void mv_orient_by_xmp(mv_encoded *f, const uint8_t *packet, size_t size)
{
    static const char name[] = "tiff:Orientation";
    const uint8_t *end = packet + size, *p = packet;
    while ((p = memmem(p, (size_t)(end - p), name, sizeof name - 1))) {
        p += sizeof name - 1;
        bool quoted = end - p > 2 && p[0] == '=' && (p[1] == '"' || p[1] == '\'');
        const uint8_t *digit = p + (quoted ? 2 : 1);
        if ((quoted || (end - p > 1 && *p == '>')) && *digit >= '0' && *digit <= '9') {
            f->xmp = sensible((uint32_t)(*digit - '0'));
            return;
        }
    }
}

/* Orientation o says where the stored row 0 and column 0 lie: 1 top left, 2 top right, 3 bottom right, 4 bottom left,
 * 5 left top, 6 right top, 7 right bottom, 8 left bottom. */
static mv_status turn(mv_image *image, int o, const char *name, mv_error *e)
{
    if (o == 1)
        return MV_OK;
    int w = image->w, h = image->h;
    bool swap = o >= 5;
    bool from_right = o == 2 || o == 3 || o == 7 || o == 8; /* stored columns are walked from the last */
    bool from_bottom = o == 3 || o == 4 || o == 6 || o == 7;
    mv_image turned;
    if (mv_image_new(&turned, swap ? h : w, swap ? w : h, NULL) != MV_OK)
        return mv_fail_memory(e, name);
    ptrdiff_t across = from_right ? -3 : 3, down = (ptrdiff_t)w * (from_bottom ? -3 : 3);
    const uint8_t *corner =
        image->rgb + 3 * (size_t)(from_right ? w - 1 : 0) + 3 * (size_t)w * (size_t)(from_bottom ? h - 1 : 0);
    ptrdiff_t step = swap ? down : across, next = swap ? across : down;
    uint8_t *out = turned.rgb;
    for (int y = 0; y < turned.h; y++) {
        const uint8_t *in = corner + y * next;
        for (int x = 0; x < turned.w; x++, in += step, out += 3)
            memcpy(out, in, 3);
    }
    mv_image_free(image);
    *image = turned;
    return MV_OK;
}

mv_status mv_orient(mv_image *image, const mv_encoded *f, mv_error *e)
{
    return turn(image, f->exif ? f->exif : f->xmp ? f->xmp : 1, f->name, e);
}
