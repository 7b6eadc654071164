#include "viz/page/overlay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "viz/draw/jpeg_file.h"
#include "viz/draw/png_file.h"
#include "viz/page/page_impl.h"

enum { LEAST_WITH_LINES = 96 }; /* px: lines would hide a smaller photo */

static mv_status check(const void *content, mv_error *e)
{
    const mv_overlay_content *c = content;
    mv_status s = mv_page_check_picture(c->photo, "the photo under the map", e);
    if (s == MV_OK)
        s = mv_page_check_map(c->map, "a map", e);
    if (s == MV_OK && !(c->frame.w > 0 && c->frame.h > 0))
        s = mv_fail(e, MV_EMISUSE, "overlay: found an empty frame, expected a part of the photo");
    if (s == MV_OK && !(c->alpha >= 0 && c->alpha <= 1 && c->threshold >= 0 && c->threshold <= 1))
        s = mv_fail(e, MV_EINPUT, "overlay: found the opacity %g and the share %g, expected 0 to 1", c->alpha,
                    c->threshold);
    return s;
}

/* Paints over a copy of the photo. */
static mv_status paint_over(mv_image *pixels, const mv_page *p, const mv_overlay_content *c, mv_error *e)
{
    mv_extent range = {0};
    mv_extent_add(&range, c->map);
    bool *keep = NULL;
    mv_colouring k = mv_page_colouring_of(mv_page_colouring(p, &range), c->map);
    mv_status s = MV_OK;
    if (c->threshold > 0) {
        keep = malloc((size_t)c->map->h * (size_t)c->map->w * sizeof *keep);
        s = keep ? mv_raster_strongest(keep, c->map, c->threshold, e) : mv_fail_memory(e, "drawing");
    }
    mv_overlay_look look = {.alpha = c->alpha, .photo = c->colours, .keep = keep};
    if (s == MV_OK)
        s = mv_raster_overlay_in(pixels, c->frame, c->map, &k, &look, e);
    if (s == MV_OK && fmin(c->frame.w, c->frame.h) >= LEAST_WITH_LINES)
        s = mv_raster_lines(pixels, c->frame, c->map, &k, keep, mv_raster_line_width(c->frame), e);
    free(keep);
    return s;
}

/* Lines are wide: what they cover outside the frame is the photo again. */
static void restore_outside(mv_image *out, const mv_image *photo, mv_frame f)
{
    int x0 = (int)fmin(fmax(ceil(f.x - 0.5), 0), out->w), x1 = (int)fmin(fmax(ceil(f.x + f.w - 0.5), x0), out->w);
    int y0 = (int)fmin(fmax(ceil(f.y - 0.5), 0), out->h), y1 = (int)fmin(fmax(ceil(f.y + f.h - 0.5), y0), out->h);
    size_t row = 3 * (size_t)out->w;
    for (int y = 0; y < out->h; y++) {
        uint8_t *to = out->rgb + (size_t)y * row;
        const uint8_t *from = photo->rgb + (size_t)y * row;
        bool outside = y < y0 || y >= y1;
        memcpy(to, from, outside ? row : 3 * (size_t)x0);
        memcpy(to + 3 * (size_t)x1, from + 3 * (size_t)x1, row - 3 * (size_t)x1);
    }
}

static mv_status paint(const mv_page *p, const void *content, const mv_canvas_target *to, mv_error *e)
{
    const mv_overlay_content *c = content;
    mv_image pixels;
    mv_status s = mv_image_new(&pixels, c->photo->w, c->photo->h, e);
    if (s != MV_OK)
        return s;
    memcpy(pixels.rgb, c->photo->rgb, 3 * (size_t)c->photo->w * (size_t)c->photo->h);
    s = paint_over(&pixels, p, c, e);
    restore_outside(&pixels, c->photo, c->frame);
    const mv_pixels all = {.w = pixels.w, .h = pixels.h, .bytes = pixels.rgb, .stride = 3 * (size_t)pixels.w};
    if (s == MV_OK)
        s = to->kind == MV_CANVAS_JPEG ? mv_jpeg_write(&all, to, e) : mv_png_write(&all, to, e);
    mv_image_free(&pixels);
    return s;
}

const mv_page_kind mv_page_overlay = {
    .name = "overlay", .check = check, .sequential = true, .diverging = true, .paint = paint};
