/* Cells and overlays, pixel by pixel. */
#include "viz/draw/raster.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHADES = 1024, HATCH = 3 }; /* HATCH: half the pitch of the hatching, pixels */

double mv_colouring_opacity(const mv_colouring *k, double place)
{
    if (k->scale.diverging) {
        double arm = fabs(2 * place - 1);
        return 0.92 * arm * (2 - arm);
    }
    double t = fmin(1, 1.1 * place);
    return 0.92 * t * t * (3 - 2 * t);
}

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

/* Lines between the cells that are a multiple of `step`: a dark strand and a light one, `thick` pixels
 * each, so that they show on anything. Shares of 256. */
static void draw_lines(mv_image *out, const mv_map *map, int step, int thick, int dark, int light)
{
    for (int c = step; c < map->w; c += step)
        for (int y = 0, x = (int)((double)c * out->w / map->w + 0.5); y < out->h; y++)
            for (int i = 0; i < thick; i++) {
                tint(out, x - 1 - i, y, 0, dark);
                tint(out, x + i, y, 255, light);
            }
    for (int c = step; c < map->h; c += step)
        for (int x = 0, y = (int)((double)c * out->h / map->h + 0.5); x < out->w; x++)
            for (int i = 0; i < thick; i++) {
                tint(out, x, y - 1 - i, 0, dark);
                tint(out, x, y + i, 255, light);
            }
}

static void draw_grid(mv_image *out, const mv_map *map, const mv_colouring *k)
{
    int thick = out->w >= 640 ? 2 : 1;
    if (k->grid && out->w / map->w >= 4 && out->h / map->h >= 4)
        draw_lines(out, map, 1, thick, 50, 70);
    if (k->window > 0 && (k->window < map->w || k->window < map->h))
        draw_lines(out, map, k->window, thick, 140, 190);
}

/* --- cells ------------------------------------------------------------------------------------- */

mv_status mv_raster_cells(mv_image *out, const mv_map *map, const mv_colouring *k, mv_error *e)
{
    int *column = malloc((size_t)out->w * sizeof *column);
    if (!column)
        return mv_fail_memory(e, "drawing");
    for (int x = 0; x < out->w; x++)
        column[x] = (int)((x + 0.5) * map->w / out->w);
    int painted = -1;
    for (int y = 0; y < out->h; y++) {
        int row = (int)((y + 0.5) * map->h / out->h);
        uint8_t *to = out->rgb + (size_t)y * (size_t)out->w * 3;
        if (row == painted) { /* as the line above, but that hatching goes on */
            memcpy(to, to - (size_t)out->w * 3, (size_t)out->w * 3);
        }
        mv_rgb colour = {0, 0, 0};
        for (int x = 0, cell = -1; x < out->w; x++) {
            float v = map->v[(size_t)row * (size_t)map->w + (size_t)column[x]];
            if (row == painted && isfinite(v))
                continue;
            if (column[x] != cell && isfinite(v))
                colour = mv_colour_at(k->table, mv_scale_place(&k->scale, v));
            cell = column[x];
            mv_rgb c = isfinite(v) ? colour : hatch_at(x, y);
            memcpy(to + 3 * x, &c, 3);
        }
        painted = row;
    }
    free(column);
    draw_grid(out, map, k);
    return MV_OK;
}

/* --- overlay ----------------------------------------------------------------------------------- */

/* A colour times its opacity, and what is left for the photo, in 1/256. */
typedef struct {
    uint16_t r, g, b, rest;
} shade;

static void make_shades(shade table[SHADES + 1], const mv_colouring *k)
{
    for (int i = 0; i <= SHADES; i++) {
        double place = (double)i / SHADES, opacity = mv_colouring_opacity(k, place);
        mv_rgb c = mv_colour_at(k->table, place);
        table[i] = (shade){(uint16_t)(c.r * opacity * 256 + 0.5), (uint16_t)(c.g * opacity * 256 + 0.5),
                           (uint16_t)(c.b * opacity * 256 + 0.5), (uint16_t)((1 - opacity) * 256 + 0.5)};
    }
}

/* Where a pixel lies between cell centres: the cell before, and how far on to the next. */
typedef struct {
    int a, b;
    float f;
} between;

static between between_cells(int pixel, int pixels, int cells)
{
    float at = ((float)pixel + 0.5f) * (float)cells / (float)pixels - 0.5f;
    at = at < 0 ? 0 : at > (float)(cells - 1) ? (float)(cells - 1) : at;
    int a = (int)at;
    return (between){a, a + 1 < cells ? a + 1 : a, at - (float)a};
}

/* One line of places, then colours. `place` has NaN where the map is not finite: such neighbours do
 * not count, and where the nearest cell is one of them the line is hatched. */
static void overlay_line(uint8_t *to, int y, int w, const float *up, const float *down, between v,
                         const between *column, const shade *shades)
{
    for (int x = 0; x < w; x++, to += 3) {
        between u = column[x];
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
                continue;
            }
            place = sum / all;
        }
        shade s = shades[(int)(place * SHADES + 0.5f)];
        /* luma of Rec. 601 */
        unsigned grey = (to[0] * 77U + to[1] * 150U + to[2] * 29U + 128U) >> 8;
        to[0] = (uint8_t)((s.r + s.rest * grey + 128U) >> 8);
        to[1] = (uint8_t)((s.g + s.rest * grey + 128U) >> 8);
        to[2] = (uint8_t)((s.b + s.rest * grey + 128U) >> 8);
    }
}

mv_status mv_raster_overlay(mv_image *photo, const mv_map *map, const mv_colouring *k, mv_error *e)
{
    size_t cells = (size_t)map->h * (size_t)map->w;
    float *place = malloc(cells * sizeof *place);
    between *column = malloc((size_t)photo->w * sizeof *column);
    shade *shades = malloc((SHADES + 1) * sizeof *shades);
    if (place && column && shades) {
        for (size_t i = 0; i < cells; i++)
            place[i] = isfinite(map->v[i]) ? (float)mv_scale_place(&k->scale, map->v[i]) : NAN;
        for (int x = 0; x < photo->w; x++)
            column[x] = between_cells(x, photo->w, map->w);
        make_shades(shades, k);
        for (int y = 0; y < photo->h; y++) {
            between v = between_cells(y, photo->h, map->h);
            overlay_line(photo->rgb + (size_t)y * (size_t)photo->w * 3, y, photo->w, place + v.a * map->w,
                         place + v.b * map->w, v, column, shades);
        }
        draw_grid(photo, map, k);
    } else {
        mv_fail_memory(e, "drawing");
    }
    bool done = place && column && shades;
    free(shades);
    free(column);
    free(place);
    return done ? MV_OK : MV_ENOMEM;
}
