#include "viz/draw/animation.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "viz/draw/gif_file.h"

enum { LARGEST = 65535 };

struct mv_animation {
    const mv_canvas_target *to;
    int w, h, frames, done;
    mv_png *png; /* or gif, from the first frame on */
    mv_gif *gif;
    mv_palette *palette; /* of a GIF */
    bool looked;
    uint8_t *shown; /* the pixels of the last frame, R G B */
    bool *same;     /* which of them the frame before had, too */
    uint8_t *row;
};

mv_status mv_animation_kind_of(mv_animation_kind *out, const char *path, mv_error *e)
{
    static const char *const endings[] = {[MV_ANIMATION_PNG] = ".png", [MV_ANIMATION_GIF] = ".gif"};
    size_t n = path ? strlen(path) : 0;
    for (int i = 0; i < 2; i++)
        if (n > 4 && strcasecmp(path + n - 4, endings[i]) == 0) {
            *out = (mv_animation_kind)i;
            return MV_OK;
        }
    return mv_fail(e, MV_EINPUT, "%.200s: found no known ending, expected .png or .gif", n ? path : "output");
}

mv_animation *mv_animation_new(mv_animation_kind kind, const mv_canvas_target *to, int w, int h, int frames,
                               mv_error *e)
{
    if (w < 1 || h < 1 || w > LARGEST || h > LARGEST || frames < 1 || frames > LARGEST) {
        mv_fail(e, MV_EINPUT, "animation: found %d frames of %d x %d px, expected 1 to %d each", frames, w, h, LARGEST);
        return NULL;
    }
    mv_animation *a = calloc(1, sizeof *a);
    if (!a) {
        mv_fail_memory(e, "animation");
        return NULL;
    }
    *a = (mv_animation){.to = to,
                        .w = w,
                        .h = h,
                        .frames = frames,
                        .shown = malloc((size_t)w * (size_t)h * 3),
                        .row = malloc((size_t)w * 3),
                        .same = calloc((size_t)w * (size_t)h, sizeof *a->same),
                        .palette = kind == MV_ANIMATION_GIF ? mv_palette_new(e) : NULL};
    if (a->shown && a->row && a->same && (kind == MV_ANIMATION_PNG || a->palette))
        return a;
    mv_fail_memory(e, "animation");
    mv_animation_free(a);
    return NULL;
}

void mv_animation_free(mv_animation *a)
{
    if (!a)
        return;
    mv_png_free(a->png);
    mv_gif_free(a->gif);
    mv_palette_free(a->palette);
    free(a->shown);
    free(a->same);
    free(a->row);
    free(a);
}

static mv_status check_size(const mv_animation *a, const mv_pixels *p, mv_error *e)
{
    if (p->w == a->w && p->h == a->h)
        return MV_OK;
    return mv_fail(e, MV_EMISUSE, "animation: found a frame of %d x %d px, expected %d x %d", p->w, p->h, a->w, a->h);
}

mv_status mv_animation_look(mv_animation *a, const mv_pixels *p, mv_error *e)
{
    if (check_size(a, p, e))
        return MV_EMISUSE;
    if (a->palette)
        mv_palette_count(a->palette, p, a->row);
    a->looked = true;
    return MV_OK;
}

/* Starts the file: what stands before the first frame. */
static mv_status start(mv_animation *a, const mv_pixels *p, mv_error *e)
{
    mv_error own = {0};
    if (!a->palette) {
        a->png = mv_png_open(a->w, a->h, 0, a->frames, a->to, &own);
    } else {
        if (!a->looked)
            mv_animation_look(a, p, &own);
        mv_palette_choose(a->palette);
        a->gif = mv_gif_open(a->w, a->h, a->palette, a->to, &own);
    }
    return a->png || a->gif ? MV_OK : mv_fail(e, own.code, "%s", own.text);
}

/* Takes over the frame, and returns the rectangle in which it differs from what was shown: all of the first frame, one
 * pixel if nowhere. */
static mv_part take_frame(mv_animation *a, const mv_pixels *p)
{
    int left = a->w, right = -1, top = a->h, bottom = -1;
    for (int y = 0; y < a->h; y++) {
        uint8_t *was = a->shown + (size_t)y * (size_t)a->w * 3;
        bool *same = a->same + (size_t)y * (size_t)a->w;
        mv_pixels_row(p, 0, y, a->w, a->row);
        for (int x = 0; x < a->w; x++) {
            same[x] = a->done > 0 && memcmp(was + 3 * x, a->row + 3 * x, 3) == 0;
            if (same[x])
                continue;
            left = x < left ? x : left;
            right = x > right ? x : right;
            top = y < top ? y : top;
            bottom = y;
        }
        memcpy(was, a->row, (size_t)a->w * 3);
    }
    return bottom < 0 ? (mv_part){0, 0, 1, 1} : (mv_part){left, top, right - left + 1, bottom - top + 1};
}

mv_status mv_animation_add(mv_animation *a, const mv_pixels *p, int milliseconds, mv_error *e)
{
    if (check_size(a, p, e))
        return MV_EMISUSE;
    if (a->done == a->frames)
        return mv_fail(e, MV_EMISUSE, "animation: found more than the %d frames it has", a->frames);
    mv_status status = a->done ? MV_OK : start(a, p, e);
    mv_part part = take_frame(a, p);
    a->done++;
    if (status)
        return status;
    return a->png ? mv_png_frame(a->png, p, part, a->same, milliseconds, e)
                  : mv_gif_frame(a->gif, p, part, a->same, milliseconds, e);
}

mv_status mv_animation_finish(mv_animation *a, mv_error *e)
{
    mv_status status = a->done == a->frames
                           ? MV_OK
                           : mv_fail(e, MV_EMISUSE, "animation: found %d frames, expected %d", a->done, a->frames);
    if (!status && a->png)
        status = mv_png_finish(a->png, e);
    else if (!status)
        status = mv_gif_finish(a->gif, e);
    if (a->done == a->frames)
        a->png = NULL, a->gif = NULL;
    mv_animation_free(a);
    return status;
}
