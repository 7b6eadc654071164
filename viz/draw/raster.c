/* Cells and overlays, pixel by pixel. */
#include "viz/draw/raster.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/quantile.h"
#include "viz/draw/contours.h"

enum { SHADES = 1024, HATCH = 3 }; /* HATCH: half the pitch of the hatching, pixels */

#define COLOUR_OPACITY 0.7

/* --- lines and hatching ------------------------------------------------------------------------ */

static mv_rgb hatch_at(int x, int y)
{
    return (x + y) / HATCH % 2 ? (mv_rgb){0x8e, 0x94, 0x9b} : (mv_rgb){0xb4, 0xb9, 0xbf};
}

static void tint(mv_image *out, int x, int y, int towards, int share)
{
    if (x < 0 || y < 0 || x >= out->w || y >= out->h)
        return;
    uint8_t *pixel = out->rgb + ((size_t)y * (size_t)out->w + (size_t)x) * 3;
    for (int i = 0; i < 3; i++)
        pixel[i] = (uint8_t)(pixel[i] + (towards - pixel[i]) * share / 256);
}

/* --- where a map lies --------------------------------------------------------------------------- */

static mv_frame whole(const mv_image *image)
{
    return (mv_frame){0, 0, image->w, image->h};
}

/* The pixels of an image whose centres lie within a frame: columns x0 to x1, rows y0 to y1, ends excluded. */
typedef struct {
    int x0, x1, y0, y1;
} area;

static int clamped(double at, int most)
{
    return at <= 0 ? 0 : at >= most ? most : (int)at;
}

static area area_of(const mv_image *image, mv_frame f)
{
    return (area){clamped(ceil(f.x - 0.5), image->w), clamped(ceil(f.x + f.w - 0.5), image->w),
                  clamped(ceil(f.y - 0.5), image->h), clamped(ceil(f.y + f.h - 0.5), image->h)};
}

/* The pixel at which cell number `cell` of `cells` begins. */
static int edge(int cell, double from, double length, int cells)
{
    return (int)floor(from + cell * length / cells + 0.5);
}

/* Lines between every `step` cells: a dark strand and a light one of `thick` pixels each, so that they show on any
 * colour. Their strengths are shares of 256. */
static void draw_lines(mv_image *out, mv_frame f, const mv_map *map, int step, int thick, int dark, int light)
{
    area a = area_of(out, f);
    for (int c = step; c < map->w; c += step)
        for (int y = a.y0, x = edge(c, f.x, f.w, map->w); y < a.y1; y++)
            for (int i = 0; i < thick; i++) {
                tint(out, x - 1 - i, y, 0, dark);
                tint(out, x + i, y, 255, light);
            }
    for (int c = step; c < map->h; c += step)
        for (int x = a.x0, y = edge(c, f.y, f.h, map->h); x < a.x1; x++)
            for (int i = 0; i < thick; i++) {
                tint(out, x, y - 1 - i, 0, dark);
                tint(out, x, y + i, 255, light);
            }
}

/* White within black, so that it stands on any colour. */
static void outline(mv_image *out, mv_frame f, const mv_map *map, int row, int column)
{
    int x0 = edge(column, f.x, f.w, map->w), x1 = edge(column + 1, f.x, f.w, map->w), y0 = edge(row, f.y, f.h, map->h),
        y1 = edge(row + 1, f.y, f.h, map->h), side = x1 - x0 < y1 - y0 ? x1 - x0 : y1 - y0;
    int white = side >= 24 ? 2 : 1, black = white;
    for (int y = y0 - black; y < y1 + black; y++)
        for (int x = x0 - black; x < x1 + black; x++) {
            bool outside = x < x0 || x >= x1 || y < y0 || y >= y1;
            bool inside = x >= x0 + white && x < x1 - white && y >= y0 + white && y < y1 - white;
            if (!inside)
                tint(out, x, y, outside ? 0 : 255, 256);
        }
}

/* Lines between cells and windows where they are asked for. */
static void draw_grid(mv_image *out, mv_frame f, const mv_map *map, const mv_colouring *k)
{
    int thick = f.w >= 640 ? (int)(f.w / 640) + 1 : 1;
    thick = thick < 8 ? thick : 8;
    if (k->grid && f.w / map->w >= 4 && f.h / map->h >= 4)
        draw_lines(out, f, map, 1, thick, 50, 70);
    if (k->window > 0 && (k->window < map->w || k->window < map->h))
        draw_lines(out, f, map, k->window, thick, 140, 190);
}

/* --- cells ------------------------------------------------------------------------------------- */

static uint8_t byte_of(float share)
{
    return (uint8_t)(fminf(fmaxf(share, 0), 1) * 255 + 0.5f);
}

/* The colour of cell i; false if it has a value that is not finite. */
static bool cell_colour(const mv_map *map, const mv_colouring *k, size_t i, mv_rgb *out)
{
    if (map->channels == 3) {
        const float *v = map->v + 3 * i;
        *out = (mv_rgb){byte_of(v[0]), byte_of(v[1]), byte_of(v[2])};
        return isfinite(v[0]) && isfinite(v[1]) && isfinite(v[2]);
    }
    *out = mv_colouring_cell(k, mv_scale_place(&k->scale, map->v[i]));
    return isfinite(map->v[i]);
}

/* Sets the colours of row `y` of the map. */
static void row_colours(const mv_map *map, const mv_colouring *k, int y, mv_rgb *colour, bool *finite)
{
    for (int c = 0; c < map->w; c++)
        finite[c] = cell_colour(map, k, (size_t)y * (size_t)map->w + (size_t)c, &colour[c]);
}

/* The token of a cell in its window, row by row. */
static int token_of(const mv_map *map, int y, int x)
{
    int side = map->window > 0 ? map->window : map->w;
    return map->window > 0 ? y % side * side + x % side : y * side + x;
}

/* Paints the cells of the first `scanned` tokens of each window. */
static mv_status draw_cells(mv_image *out, const mv_map *map, const mv_colouring *k, int scanned, mv_error *e)
{
    mv_rgb *colour = malloc((size_t)map->w * sizeof *colour);
    bool *finite = malloc((size_t)map->w * sizeof *finite);
    for (int y = 0, row = -1; colour && finite && y < out->h; y++) {
        int now = (int)((y + 0.5) * map->h / out->h);
        if (now != row)
            row_colours(map, k, now, colour, finite);
        row = now;
        uint8_t *to = out->rgb + (size_t)y * (size_t)out->w * 3;
        for (int x = 0; x < out->w; x++, to += 3) {
            int c = (int)((x + 0.5) * map->w / out->w);
            mv_rgb p = finite[c] ? colour[c] : hatch_at(x, y);
            if (token_of(map, now, c) < scanned)
                memcpy(to, &p, 3);
        }
    }
    mv_status s = colour && finite ? MV_OK : mv_fail_memory(e, "drawing");
    free(finite);
    free(colour);
    if (s == MV_OK)
        draw_grid(out, whole(out), map, k);
    return s;
}

mv_status mv_raster_cells(mv_image *out, const mv_map *map, const mv_colouring *k, mv_error *e)
{
    return draw_cells(out, map, k, INT_MAX, e);
}

/* --- a scan ------------------------------------------------------------------------------------ */

static int tokens_of(const mv_map *map)
{
    return map->window > 0 ? map->window * map->window : map->w * map->h;
}

mv_status mv_raster_scan(mv_image *out, const mv_map *map, const mv_colouring *k, int scanned, mv_error *e)
{
    mv_status s = draw_cells(out, map, k, scanned, e);
    for (int y = 0; s == MV_OK && y < map->h && scanned < tokens_of(map); y++)
        for (int x = 0; x < map->w; x++)
            if (token_of(map, y, x) == scanned - 1)
                outline(out, whole(out), map, y, x);
    return s;
}

/* --- overlay ----------------------------------------------------------------------------------- */

/* A colour times its opacity, and the share that is left for the picture, in 1/256. */
typedef struct {
    uint16_t r, g, b, rest;
} shade;

/* alpha: the strongest opacity; 0: that of the colouring. */
static void make_shades(shade table[SHADES + 1], const mv_colouring *k, double alpha)
{
    double factor = alpha > 0 ? alpha / mv_colouring_opacity(k, 1) : 1;
    for (int i = 0; i <= SHADES; i++) {
        double place = (double)i / SHADES, opacity = factor * mv_colouring_opacity(k, place);
        mv_rgb c = mv_colouring_colour(k, place);
        table[i] = (shade){(uint16_t)(c.r * opacity * 256 + 0.5), (uint16_t)(c.g * opacity * 256 + 0.5),
                           (uint16_t)(c.b * opacity * 256 + 0.5), (uint16_t)((1 - opacity) * 256 + 0.5)};
    }
}

/* The middle of a pixel, on `cells` cells over `length` pixels from `from` on. */
static mv_between between_cells(int pixel, double from, double length, int cells, int window)
{
    return mv_between_cells((float)((pixel + 0.5 - from) * cells / length - 0.5), cells, window);
}

/* The cell that holds the middle of a pixel. */
static int nearest_of(mv_between b)
{
    return b.f >= 0.5f ? b.b : b.a;
}

/* Luma of Rec. 601. */
static unsigned grey_of(const uint8_t *rgb)
{
    return (rgb[0] * 77U + rgb[1] * 150U + rgb[2] * 29U + 128U) >> 8;
}

void mv_raster_grey(mv_image *out)
{
    uint8_t *p = out->rgb;
    for (size_t n = (size_t)out->w * (size_t)out->h; n; n--, p += 3)
        p[0] = p[1] = p[2] = (uint8_t)grey_of(p);
}

/* The picture under a pixel, in its colours or in grey. */
static void photo_at(const uint8_t *rgb, bool colours, unsigned out[3])
{
    unsigned grey = colours ? 0 : grey_of(rgb);
    for (int i = 0; i < 3; i++)
        out[i] = colours ? rgb[i] : grey;
}

/* An overlay while it is painted. */
typedef struct {
    mv_image *out;
    const mv_map *map;
    const mv_colouring *k;
    const mv_overlay_look *look;
    area area;
    mv_frame frame;
    float *place;       /* of each cell; NaN where it is not finite */
    mv_between *column; /* of each pixel of a line */
    shade *shades;
} overlay;

/* False for a cell that is left out; then the picture alone is put there. */
static bool is_kept(const overlay *o, mv_between u, mv_between v, uint8_t *to)
{
    if (!o->look->keep || o->look->keep[(size_t)nearest_of(v) * (size_t)o->map->w + (size_t)nearest_of(u)])
        return true;
    unsigned photo[3];
    photo_at(to, o->look->photo, photo);
    for (int i = 0; i < 3; i++)
        to[i] = (uint8_t)photo[i];
    return false;
}

/* Paints a pixel. Places are NaN where the map is not finite: such neighbours do not count, and a pixel whose nearest
 * cell is one of them is hatched. */
static void overlay_pixel(const overlay *o, int x, int y, mv_between u, mv_between v, uint8_t *to)
{
    const float *up = o->place + (size_t)v.a * (size_t)o->map->w, *down = o->place + (size_t)v.b * (size_t)o->map->w;
    float p[4] = {up[u.a], up[u.b], down[u.a], down[u.b]};
    float place = (1 - v.f) * ((1 - u.f) * p[0] + u.f * p[1]) + v.f * ((1 - u.f) * p[2] + u.f * p[3]);
    if (isnan(place)) {
        float weight[4] = {(1 - v.f) * (1 - u.f), (1 - v.f) * u.f, v.f * (1 - u.f), v.f * u.f}, sum = 0, all = 0;
        for (int i = 0; i < 4; i++)
            if (!isnan(p[i])) {
                sum += weight[i] * p[i];
                all += weight[i];
            }
        if (isnan(p[(v.f >= 0.5f ? 2 : 0) + (u.f >= 0.5f ? 1 : 0)]) || all <= 0) {
            mv_rgb c = hatch_at(x, y);
            memcpy(to, &c, 3);
            return;
        }
        place = sum / all;
    }
    shade s = o->shades[(int)(place * SHADES + 0.5f)];
    unsigned photo[3];
    photo_at(to, o->look->photo, photo);
    to[0] = (uint8_t)((s.r + s.rest * photo[0] + 128U) >> 8);
    to[1] = (uint8_t)((s.g + s.rest * photo[1] + 128U) >> 8);
    to[2] = (uint8_t)((s.b + s.rest * photo[2] + 128U) >> 8);
}

/* A map of colours is laid over the picture at one opacity. Cells that are not finite are hatched, and do not count for
 * their neighbours. */
static void colour_pixel(const overlay *o, int x, int y, mv_between u, mv_between v, uint8_t *to)
{
    const mv_map *map = o->map;
    const float opacity = (float)(o->look->alpha > 0 ? o->look->alpha : COLOUR_OPACITY);
    const int cell[4] = {v.a * map->w + u.a, v.a * map->w + u.b, v.b * map->w + u.a, v.b * map->w + u.b};
    const float weight[4] = {(1 - v.f) * (1 - u.f), (1 - v.f) * u.f, v.f * (1 - u.f), v.f * u.f};
    int nearest = (v.f >= 0.5f ? 2 : 0) + (u.f >= 0.5f ? 1 : 0);
    float sum[3] = {0}, all = 0;
    bool hatched = false;
    for (int i = 0; i < 4; i++) {
        const float *c = map->v + 3 * (size_t)cell[i];
        bool finite = isfinite(c[0]) && isfinite(c[1]) && isfinite(c[2]);
        hatched = hatched || (i == nearest && !finite);
        for (int n = 0; n < 3 && finite; n++)
            sum[n] += weight[i] * c[n];
        all += finite ? weight[i] : 0;
    }
    mv_rgb h = hatch_at(x, y);
    unsigned photo[3];
    photo_at(to, o->look->photo, photo);
    if (hatched || all <= 0)
        memcpy(to, &h, 3);
    else
        for (int n = 0; n < 3; n++)
            to[n] = byte_of(opacity * fminf(fmaxf(sum[n] / all, 0), 1) + (1 - opacity) * (float)photo[n] / 255);
}

static void paint_overlay(const overlay *o)
{
    for (int y = o->area.y0; y < o->area.y1; y++) {
        mv_between v = between_cells(y, o->frame.y, o->frame.h, o->map->h, o->k->window);
        uint8_t *to = o->out->rgb + ((size_t)y * (size_t)o->out->w + (size_t)o->area.x0) * 3;
        for (int x = o->area.x0; x < o->area.x1; x++, to += 3)
            if (!is_kept(o, o->column[x], v, to))
                continue;
            else if (o->map->channels == 3)
                colour_pixel(o, x, y, o->column[x], v, to);
            else
                overlay_pixel(o, x, y, o->column[x], v, to);
    }
}

mv_status mv_raster_overlay_in(mv_image *out, mv_frame frame, const mv_map *map, const mv_colouring *k,
                               const mv_overlay_look *look, mv_error *e)
{
    size_t cells = (size_t)map->h * (size_t)map->w;
    overlay o = {.out = out, .map = map, .k = k, .look = look, .frame = frame, .area = area_of(out, frame)};
    o.place = malloc(cells * sizeof *o.place);
    o.column = malloc((size_t)out->w * sizeof *o.column);
    o.shades = malloc((SHADES + 1) * sizeof *o.shades);
    mv_status s = o.place && o.column && o.shades ? MV_OK : mv_fail_memory(e, "drawing");
    if (s == MV_OK) {
        for (int x = o.area.x0; x < o.area.x1; x++)
            o.column[x] = between_cells(x, frame.x, frame.w, map->w, k->window);
        for (size_t i = 0; i < cells && map->channels != 3; i++)
            o.place[i] = isfinite(map->v[i]) ? (float)mv_scale_place(&k->scale, map->v[i]) : NAN;
        if (map->channels != 3)
            make_shades(o.shades, k, look->alpha);
        paint_overlay(&o);
        draw_grid(out, frame, map, k);
    }
    free(o.shades);
    free(o.column);
    free(o.place);
    return s;
}

mv_status mv_raster_overlay(mv_image *out, const mv_map *map, const mv_colouring *k, mv_error *e)
{
    return mv_raster_overlay_in(out, whole(out), map, k, &(mv_overlay_look){0}, e);
}

/* --- the strongest cells ------------------------------------------------------------------------ */

static double magnitude(const mv_map *map, size_t i)
{
    return isfinite(map->v[i]) ? fabs((double)map->v[i]) : 0;
}

mv_status mv_raster_strongest(bool *keep, const mv_map *map, double share, mv_error *e)
{
    size_t n = (size_t)map->h * (size_t)map->w;
    double *sorted = malloc(n * sizeof *sorted), sum = 0, held = 0, least = INFINITY;
    if (!sorted)
        return mv_fail_memory(e, "drawing");
    for (size_t i = 0; i < n && map->channels != 3; i++)
        sum += sorted[i] = magnitude(map, i);
    if (map->channels != 3)
        mv_sort(sorted, n);
    for (size_t i = n; map->channels != 3 && i-- > 0 && held < share * sum;) {
        held += sorted[i];
        least = sorted[i];
    }
    for (size_t i = 0; i < n; i++)
        keep[i] = map->channels == 3 || (magnitude(map, i) >= least && isfinite(map->v[i]));
    free(sorted);
    return MV_OK;
}
