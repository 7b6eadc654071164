#include <limits.h>
#include <stdlib.h>

#include "src/picture/codec_impl.h"

/* BMP, TGA and PNM by stb_image. The check of each format has found a size within the limits and all pixels in the
 * file; then stb_image takes at most 7 bytes a pixel, and a palette.
 *
 * Of what is known to be wrong in stb_image up to 2.28, the readers of GIF and PIC are not compiled (CVE-2023-43898,
 * -45661, -45662, -45664, -45666, -45667; tests/run_rooms.sh looks), and a TGA whose palette or pixels the file lacks,
 * for which stb_image takes what is in memory (CVE-2023-45663), is refused by its check (tests/test_image_cut.c). */
#define STBI_ASSERT(x) ((void)sizeof(x))
#define STBI_NO_STDIO
#define STBI_NO_SIMD
#define STBI_ONLY_BMP
#define STBI_ONLY_TGA
#define STBI_ONLY_PNM
#define STBI_ONLY_PSD /* never given; stb_image 2.28 leaves out a function that PNM calls without it */
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>

mv_status mv_stb_decode(const mv_encoded *f, mv_image *out, mv_error *e)
{
    int channels;
    bool small = f->size <= INT_MAX;
    out->rgb = small ? stbi_load_from_memory(f->bytes, (int)f->size, &out->w, &out->h, &channels, 3) : NULL;
    if (out->rgb)
        return MV_OK;
    const char *why = small ? stbi_failure_reason() : "too large";
    if (strcmp(why, "outofmem") == 0)
        return mv_fail_memory(e, f->name);
    return mv_fail(e, MV_EINPUT, "%s: this %s cannot be decoded: %s", f->name, f->codec->name, why);
}
