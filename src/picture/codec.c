#include "src/picture/codec.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static bool starts_with(const uint8_t *b, size_t n, const void *mark, size_t length)
{
    return n >= length && memcmp(b, mark, length) == 0;
}

/* PNG's signature is built to be damaged by what damages binary files, so half of one is worth naming. */
static bool nearly_png(const uint8_t *b, size_t n)
{
    return n >= 16 && (memcmp(b + 1, "PNG", 3) == 0 || memcmp(b + 12, "IHDR", 4) == 0);
}

static bool is_bmp(const uint8_t *b, size_t n)
{
    if (!starts_with(b, n, "BM", 2) || n < 18)
        return false;
    uint32_t header = mv_le32(b + 14);
    return header == 12 || (header >= 40 && header <= 124 && header % 4 == 0);
}

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

mv_form_kind mv_form_kind_of(const uint8_t *b, size_t n)
{
    if (starts_with(b, n, "\x89PNG\r\n\x1a\n", 8))
        return MV_FORM_PNG;
    if (starts_with(b, n, "\xFF\xD8\xFF", 3))
        return MV_FORM_JPEG;
    if (starts_with(b, n, "GIF87a", 6) || starts_with(b, n, "GIF89a", 6))
        return MV_FORM_GIF;
    if (is_bmp(b, n))
        return MV_FORM_BMP;
    if (n >= 3 && b[0] == 'P' && b[1] >= '1' && b[1] <= '6' && (isspace(b[2]) || b[2] == '#'))
        return MV_FORM_PNM;
    return is_tga(b, n) ? MV_FORM_TGA : MV_FORM_NONE;
}

mv_status mv_form_look(mv_form *f, mv_error *e)
{
    static mv_status (*const look[])(mv_form *, mv_error *) = {
        [MV_FORM_PNG] = mv_png_look, [MV_FORM_JPEG] = mv_jpeg_look, [MV_FORM_GIF] = mv_gif_look,
        [MV_FORM_BMP] = mv_bmp_look, [MV_FORM_TGA] = mv_tga_look,   [MV_FORM_PNM] = mv_pnm_look};

    if (f->size == 0)
        return mv_fail(e, MV_EINPUT, "%s: is empty, expected a picture", f->name);
    f->kind = mv_form_kind_of(f->bytes, f->size);
    if (f->kind != MV_FORM_NONE)
        return look[f->kind](f, e);
    if (nearly_png(f->bytes, f->size))
        return mv_fail(e, MV_EINPUT,
                       "%s: the first 8 bytes are not PNG's, though what follows looks like one: "
                       "was it copied as text?",
                       f->name);
    return mv_fail(e, MV_EINPUT, "%s: is no picture of a known kind (PNG, JPEG, GIF, BMP, TGA, PNM)", f->name);
}

mv_status mv_form_size(mv_form *f, uint64_t w, uint64_t h, mv_error *e)
{
    if (w == 0 || h == 0)
        return mv_fail(e, MV_EINPUT, "%s: a picture of %llu x %llu pixels, expected at least one", f->name,
                       (unsigned long long)w, (unsigned long long)h);
    if (w > MV_PICTURE_MAX_SIDE || h > MV_PICTURE_MAX_SIDE)
        return mv_fail(e, MV_EINPUT, "%s: %llu x %llu pixels, expected sides of at most %d", f->name,
                       (unsigned long long)w, (unsigned long long)h, MV_PICTURE_MAX_SIDE);
    if (w * h > f->max_pixels)
        return mv_fail(e, MV_EINPUT, "%s: %llu x %llu pixels are %llu, expected at most %zu", f->name,
                       (unsigned long long)w, (unsigned long long)h, (unsigned long long)(w * h), f->max_pixels);
    f->w = (int)w;
    f->h = (int)h;
    return MV_OK;
}

mv_status mv_form_short(const mv_form *f, const char *what, mv_error *e)
{
    return mv_fail(e, MV_EINPUT, "%s: is cut short: %s", f->name, what);
}
