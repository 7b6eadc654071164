#include "src/picture/codec_impl.h"

#include <stdio.h>

#include "src/base/text.h"
#include "src/file/kind.h"
#include "src/picture/decode.h"

/* Every format the program reads, in the order in which files are tried: TGA has no signature and comes last. */
#ifdef MV_HEIF
#define HEIF(X) X(heif)
#else
#define HEIF(X)
#endif
#define CODECS(X) X(png) X(jpeg) X(gif) X(webp) X(tiff) HEIF(X) X(bmp) X(pnm) X(tga)

#define DECLARE(name) extern const mv_codec mv_codec_##name;
#define LIST(name)    &mv_codec_##name,
CODECS(DECLARE)
static const mv_codec *const codecs[] = {CODECS(LIST)};

enum { COUNT = sizeof codecs / sizeof *codecs };

const mv_codec *mv_codec_of(const uint8_t *bytes, size_t size)
{
    for (int i = 0; i < COUNT; i++)
        if (codecs[i]->is(bytes, size))
            return codecs[i];
    return NULL;
}

bool mv_picture_has_ending(const char *path)
{
    for (int i = 0; i < COUNT; i++)
        for (const char *const *ending = codecs[i]->endings; *ending; ending++)
            if (mv_text_ends_in(path, *ending))
                return true;
    return false;
}

const char *mv_picture_formats(char text[MV_PICTURE_FORMATS])
{
    *text = 0;
    for (int i = 0; i < COUNT; i++) {
        size_t n = strlen(text);
        snprintf(text + n, MV_PICTURE_FORMATS - n, "%s%s", i ? ", " : "", codecs[i]->name);
    }
    return text;
}

mv_status mv_encoded_check(mv_encoded *f, mv_error *e)
{
    if (f->size == 0)
        return mv_fail(e, MV_EINPUT, "%s: is empty, expected a picture", f->name);
    f->codec = mv_codec_of(f->bytes, f->size);
    if (f->codec)
        return f->codec->check(f, e);
    if (mv_kind_of(f->bytes, f->size) != MV_KIND_UNKNOWN)
        return mv_kind_refuse(e, f->name, f->bytes, f->size, MV_KIND_AS_PICTURE, "a picture");
    char formats[MV_PICTURE_FORMATS];
    return mv_fail(e, MV_EINPUT, "%s: is no picture of a known format, expected %s", f->name,
                   mv_picture_formats(formats));
}

mv_status mv_encoded_set_size(mv_encoded *f, uint64_t w, uint64_t h, mv_error *e)
{
    unsigned long long wide = w, high = h;
    if (w == 0 || h == 0)
        return mv_fail(e, MV_EINPUT, "%s: found a picture of %llu x %llu pixels, expected at least one", f->name, wide,
                       high);
    if (w > MV_PICTURE_MAX_SIDE || h > MV_PICTURE_MAX_SIDE)
        return mv_fail(e, MV_EINPUT, "%s: found %llu x %llu pixels, expected sides of at most %d", f->name, wide, high,
                       MV_PICTURE_MAX_SIDE);
    if (w * h > f->max_pixels)
        return mv_fail(e, MV_EINPUT, "%s: found %llu x %llu = %llu pixels, expected at most %zu (--max-pixels)",
                       f->name, wide, high, wide * high, f->max_pixels);
    f->w = (int)w;
    f->h = (int)h;
    return MV_OK;
}

void mv_encoded_warn_dark(const mv_encoded *f, unsigned greatest)
{
    if (greatest < 1 << 12)
        mv_warn(f->warnings,
                "%s: the 16-bit values use 12 bits or fewer: the picture looks black; multiply them, so that the "
                "greatest comes near 65535",
                f->name);
}

mv_status mv_encoded_short(const mv_encoded *f, const char *what, mv_error *e)
{
    return mv_fail(e, MV_EINPUT, "%s: is cut short: %s", f->name, what);
}
