#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "src/picture/budget_impl.h"
#include "src/picture/codec_impl.h"
#include "src/picture/decode.h"

#define STBI_MALLOC(size)     mv_budget_alloc(size)
#define STBI_REALLOC(p, size) mv_budget_realloc(p, size)
#define STBI_FREE(p)          mv_budget_free(p)
#define STBI_ASSERT(x)        ((void)sizeof(x))
#define STBI_MAX_DIMENSIONS   MV_PICTURE_MAX_SIDE
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_ONLY_TGA
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION

/* stb_image is exempt from the undefined-behaviour sanitizer: on a damaged JPEG the version of 2022 adds and shifts
 * past the width of an int, whose only effect is wrong pixels in a picture that is wrong anyway. Clang exempts a
 * stretch of code, gcc only functions. The headers that stb_image includes must be included before. */
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("undefined"))), apply_to = function)
#include <stb/stb_image.h>
#pragma clang attribute pop
#else
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"
#define static static __attribute__((no_sanitize("undefined"), unused))
#define stbi_set_unpremultiply_on_load_thread                                                                          \
    stbi__unpremultiply_on_load_thread /* declared under one name, defined under the other */
#include <stb/stb_image.h>
#undef static
#pragma GCC diagnostic pop
#endif

/* The most that decoding an honest file takes. Per pixel: 24 bytes for a 16-bit RGBA PNG, 12 for a GIF, 15 for a
 * progressive JPEG of four components, whose sides are rounded up to whole blocks. The file counts twice, for data that
 * are joined. */
static size_t fair_budget(const mv_encoded *f, size_t size)
{
    enum { BYTES_PER_PIXEL = 32, FIXED = 1 << 20 };
    size_t fill = f->codec->block > 1 ? (size_t)f->codec->block - 1 : 0;
    return ((size_t)f->w + fill) * ((size_t)f->h + fill) * BYTES_PER_PIXEL + 2 * size + FIXED;
}

mv_status mv_stb_decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    const uint8_t *bytes = f->clean ? f->clean : f->bytes;
    size_t size = f->clean ? f->clean_size : f->size;
    if (size > INT_MAX)
        return mv_fail(e, MV_EINPUT, "%s: found %zu bytes, expected at most %d", f->name, size, INT_MAX);

    mv_budget_set(fair_budget(f, size));
    int w = 0, h = 0, channels;
    uint8_t *rgb = stbi_load_from_memory(bytes, (int)size, &w, &h, &channels, 3);
    if (rgb && w == f->w && h == f->h) {
        out->rgb = rgb;
        out->w = w;
        out->h = h;
        return MV_OK;
    }
    free(rgb);
    if (mv_budget_failed())
        return mv_fail_memory(e, f->name);
    if (mv_budget_exceeded())
        return mv_fail(e, MV_EINPUT, "%s: is damaged: its data unpack to more than %d x %d pixels need", f->name, f->w,
                       f->h);
    return mv_fail(e, MV_EINPUT, "%s: this %s cannot be decoded: %s", f->name, f->codec->name,
                   rgb ? "its size is not what its header says" : stbi_failure_reason());
}
