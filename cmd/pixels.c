#include "cmd/pixels.h"

#include <stdlib.h>
#include <string.h>

static size_t values_of(const pixels *p)
{
    return (size_t)3 * (size_t)p->h * (size_t)p->w;
}

void pixels_new(pixels *p, const mv_preprocess *preprocess, int room)
{
    *p = (pixels){.preprocess = preprocess, .room = room};
    mv_preprocess_table(preprocess, p->table);
}

void pixels_free(pixels *p)
{
    free(p->bytes);
    free(p->planes);
    p->bytes = NULL;
    p->planes = NULL;
}

mv_status pixels_clear(pixels *p, int h, int w, mv_error *e)
{
    p->ready = false;
    if (p->bytes && p->h == h && p->w == w)
        return MV_OK;
    pixels_free(p);
    p->h = h, p->w = w;
    p->bytes = malloc((size_t)p->room * values_of(p));
    return p->bytes ? MV_OK : mv_fail_memory(e, "batch");
}

/* Makes planes of the first n pictures. */
static mv_status become_ready(pixels *p, int n, mv_error *e)
{
    if (!p->planes)
        p->planes = malloc((size_t)p->room * values_of(p) * sizeof *p->planes);
    if (!p->planes)
        return mv_fail_memory(e, "batch");
    for (int i = 0; i < n; i++)
        pixels_planes(p, i, p->planes + (size_t)i * values_of(p));
    p->ready = true;
    return MV_OK;
}

mv_status pixels_put(pixels *p, int i, const input *in, int index, mv_error *e)
{
    size_t n = values_of(p);
    if (in->planes && !p->ready && become_ready(p, i, e))
        return e->code;
    if (in->planes)
        memcpy(p->planes + (size_t)i * n, in->planes + (size_t)index * n, n * sizeof *p->planes);
    else if (p->ready)
        mv_preprocess_normalise(p->preprocess, &in->image, p->planes + (size_t)i * n);
    else
        memcpy(p->bytes + (size_t)i * n, in->image.rgb, n);
    return MV_OK;
}

void pixels_planes(const pixels *p, int i, float *out)
{
    size_t n = values_of(p);
    const mv_image image = {.w = p->w, .h = p->h, .rgb = p->bytes + (size_t)i * n};
    if (p->ready)
        memcpy(out, p->planes + (size_t)i * n, n * sizeof *out);
    else
        mv_preprocess_normalise(p->preprocess, &image, out);
}

mv_pictures pixels_of(const pixels *p)
{
    return (mv_pictures){p->ready ? (const void *)p->planes : p->bytes, p->ready ? NULL : p->table};
}
