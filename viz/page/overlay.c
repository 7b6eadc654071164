#include "viz/page/overlay.h"

#include <math.h>
#include <stdlib.h>

#include "viz/page/page_impl.h"

static mv_status check(const void *content, mv_error *e)
{
    const mv_overlay_content *c = content;
    mv_status s = mv_page_check_picture(c->picture, "the picture under the map", e);
    return s == MV_OK ? mv_page_check_map(c->map, "a map", e) : s;
}

static mv_status paint(const mv_page *p, const void *content, const mv_canvas_target *to, mv_error *e)
{
    const mv_overlay_content *c = content;
    const mv_rgb paper = {255, 255, 255};
    const double w = c->picture->w, h = c->picture->h;
    mv_extent range = {0};
    mv_image pixels = {0};
    mv_extent_add(&range, c->map);
    mv_colouring k = mv_page_colouring_of(mv_page_colouring(p, &range), c->map);
    mv_canvas *canvas = mv_canvas_new(to, w, h, p->style.zoom, paper, e);
    mv_status s = canvas ? MV_OK : e ? e->code : MV_ENOMEM;
    double density = canvas ? mv_canvas_density(canvas) : 1;
    if (s == MV_OK)
        s = mv_raster_picture(&pixels, c->picture, (int)fmax(1, ceil(w * density)), (int)fmax(1, ceil(h * density)), e);
    if (s == MV_OK)
        s = mv_raster_overlay(&pixels, c->map, &k, e);
    mv_frame all = {0, 0, pixels.w, pixels.h};
    if (s == MV_OK)
        s = mv_raster_lines(&pixels, all, c->map, &k, NULL, mv_raster_line_width(all), e);
    if (s == MV_OK)
        mv_canvas_image(canvas, 0, 0, w, h, pixels.w, pixels.h, pixels.rgb, false);
    free(pixels.rgb);
    if (s == MV_OK)
        return mv_canvas_finish(canvas, e);
    mv_canvas_free(canvas);
    return s;
}

const mv_page_kind mv_page_overlay = {
    .name = "overlay", .check = check, .sequential = true, .diverging = true, .paint = paint};
