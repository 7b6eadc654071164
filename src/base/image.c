#include "src/base/image.h"

#include <stdlib.h>

mv_status mv_image_new(mv_image *out, int w, int h, mv_error *e)
{
    *out = (mv_image){0};
    if (w < 1 || h < 1)
        return mv_fail(e, MV_EMISUSE, "image: found %d x %d pixels, expected at least one", w, h);
    out->rgb = malloc((size_t)w * (size_t)h * 3);
    if (!out->rgb)
        return mv_fail_memory(e, "image");
    out->w = w;
    out->h = h;
    return MV_OK;
}

void mv_image_free(mv_image *image)
{
    free(image->rgb);
    *image = (mv_image){0};
}
