/* Lines over a map as antialiased pixels, for pictures that have no canvas to draw on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "viz/draw/contours.h"
#include "viz/draw/raster.h"

enum { BAND = 128 }; /* rows that are covered at a time, so that little memory is enough for large pictures */

typedef struct {
    float x0, y0, x1, y1;
} stroke;

typedef struct {
    stroke *of;
    int n, room;
    bool failed;
} strokes;

static void add(strokes *s, double x0, double y0, double x1, double y1)
{
    if (s->n == s->room) {
        int room = s->room ? 2 * s->room : 256;
        stroke *more = s->failed ? NULL : realloc(s->of, (size_t)room * sizeof *more);
        s->failed = s->failed || !more;
        if (s->failed)
            return;
        s->of = more;
        s->room = room;
    }
    s->of[s->n++] = (stroke){(float)x0, (float)y0, (float)x1, (float)y1};
}

/* Where lines are drawn: a map over a frame of the image, and its cells that are not left out. */
typedef struct {
    mv_frame frame;
    const mv_map *map;
    const bool *keep;
} ground;

static bool is_kept(const ground *g, double x, double y)
{
    int column = (int)fmin(fmax(x * g->map->w, 0), g->map->w - 1),
        row = (int)fmin(fmax(y * g->map->h, 0), g->map->h - 1);
    return !g->keep || g->keep[(size_t)row * (size_t)g->map->w + (size_t)column];
}

/* The strokes of a line through n points in shares of the frame; dash: pixels of each dash and gap, 0: solid. */
static void add_line(strokes *s, const ground *g, const mv_point *p, int n, double dash)
{
    const mv_frame *f = &g->frame;
    double along = 0; /* pixels from the start of the line */
    for (int i = 1; i < n; i++) {
        double x = f->x + p[i - 1].x * f->w, y = f->y + p[i - 1].y * f->h;
        double dx = (p[i].x - p[i - 1].x) * f->w, dy = (p[i].y - p[i - 1].y) * f->h, all = hypot(dx, dy);
        bool kept = is_kept(g, (p[i - 1].x + p[i].x) / 2, (p[i - 1].y + p[i].y) / 2);
        for (double at = 0; at < all;) {
            double end = dash > 0 ? fmin(all, at + dash - fmod(along, dash) + 1e-6) : all;
            if (kept && (!(dash > 0) || (long)(along / dash) % 2 == 0))
                add(s, x + dx * at / all, y + dy * at / all, x + dx * end / all, y + dy * end / all);
            along += end - at;
            at = end;
        }
    }
}

/* Raises the coverage of the pixels within `radius` of a stroke; `rows` of them from row `top` on. */
static void cover(uint8_t *to, int w, int top, int rows, const stroke *s, float radius)
{
    float reach = radius + 0.5f, dx = s->x1 - s->x0, dy = s->y1 - s->y0, length = dx * dx + dy * dy;
    int y0 = (int)fmaxf(floorf(fminf(s->y0, s->y1) - reach) - (float)top, 0),
        y1 = (int)fminf(ceilf(fmaxf(s->y0, s->y1) + reach) - (float)top, (float)rows),
        x0 = (int)fmaxf(floorf(fminf(s->x0, s->x1) - reach), 0),
        x1 = (int)fminf(ceilf(fmaxf(s->x0, s->x1) + reach), (float)w);
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            float px = (float)x + 0.5f - s->x0, py = (float)(y + top) + 0.5f - s->y0;
            float t = length > 0 ? fminf(fmaxf((px * dx + py * dy) / length, 0), 1) : 0;
            float in = fminf(fmaxf(reach - hypotf(px - t * dx, py - t * dy), 0), fminf(1, 2 * radius));
            uint8_t c = (uint8_t)(in * 255 + 0.5f), *old = to + (size_t)y * (size_t)w + (size_t)x;
            *old = c > *old ? c : *old;
        }
}

static void blend(uint8_t *rgb, const uint8_t *covered, size_t n, int ink)
{
    for (size_t i = 0; i < n; i++)
        for (int c = 0; covered[i] && c < 3; c++)
            rgb[3 * i + (size_t)c] =
                (uint8_t)(rgb[3 * i + (size_t)c] + (ink - rgb[3 * i + (size_t)c]) * covered[i] / 255);
}

/* White in the middle of black, which shows on any colour. */
static mv_status draw(mv_image *out, const strokes *s, double width, mv_error *e)
{
    uint8_t *covered = malloc((size_t)out->w * BAND);
    if (!covered)
        return mv_fail_memory(e, "drawing");
    for (int top = 0; top < out->h; top += BAND) {
        int rows = out->h - top < BAND ? out->h - top : BAND;
        for (int white = 0; white < 2; white++) {
            memset(covered, 0, (size_t)out->w * BAND);
            for (int i = 0; i < s->n; i++)
                cover(covered, out->w, top, rows, &s->of[i], (float)(white ? width / 2 : width));
            blend(out->rgb + (size_t)top * (size_t)out->w * 3, covered, (size_t)rows * (size_t)out->w, white ? 255 : 0);
        }
    }
    free(covered);
    return MV_OK;
}

mv_status mv_raster_lines(mv_image *out, mv_frame frame, const mv_map *map, const mv_colouring *k, const bool *keep,
                          double width, mv_error *e)
{
    const ground g = {frame, map, keep}, all = {frame, map, NULL};
    double level[MV_LINES_MOST];
    mv_contours c;
    mv_status s = mv_contours_of(&c, map, k, level, mv_colouring_lines(k, level), e);
    if (s)
        return s;
    strokes thin = {0}, thick = {0};
    for (int i = 0; i < c.lines; i++)
        add_line(&thin, &g, c.point + c.line[i].first, c.line[i].n, c.line[i].value < 0 ? 5 * width : 0);
    mv_point box[5];
    if (mv_query_outline(box, map))
        add_line(&thick, &all, box, 5, 0);
    mv_contours_free(&c);
    s = thin.failed || thick.failed ? mv_fail_memory(e, "drawing") : draw(out, &thin, width, e);
    if (!s)
        s = draw(out, &thick, 1.6 * width, e);
    free(thin.of);
    free(thick.of);
    return s;
}

double mv_raster_line_width(mv_frame frame)
{
    return fmax(1, fmax(frame.w, frame.h) / 420);
}
