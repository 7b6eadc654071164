#include "src/base/map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t values(const mv_map *map)
{
    return (size_t)map->h * (size_t)map->w * (size_t)(map->channels > 1 ? map->channels : 1);
}

mv_status mv_map_new(mv_map *out, int h, int w, mv_error *e)
{
    *out = (mv_map){.h = h,
                    .w = w,
                    .channels = 1,
                    .level = MV_MAP_NONE,
                    .block = MV_MAP_NONE,
                    .head = MV_MAP_NONE,
                    .class_ = MV_MAP_NONE,
                    .against = MV_MAP_NONE};
    if (h < 1 || w < 1)
        return mv_fail(e, MV_EMISUSE, "map: found a size of %dx%d, expected at least 1x1", h, w);
    out->v = calloc((size_t)h * (size_t)w, sizeof *out->v);
    return out->v ? MV_OK : mv_fail_memory(e, "map");
}

void mv_map_free(mv_map *map)
{
    if (!map)
        return;
    free(map->v);
    free(map->raw);
    map->v = map->raw = NULL;
}

mv_map *mv_maps_add(mv_maps *maps, mv_error *e)
{
    if (maps->n == maps->room) {
        int room = maps->room ? 2 * maps->room : 8;
        mv_map *more = realloc(maps->map, (size_t)room * sizeof *more);
        if (!more) {
            mv_fail_memory(e, "maps");
            return NULL;
        }
        maps->map = more;
        maps->room = room;
    }
    mv_map *map = &maps->map[maps->n++];
    *map = (mv_map){0};
    return map;
}

void mv_maps_free(mv_maps *maps)
{
    for (int i = 0; i < maps->n; i++)
        mv_map_free(&maps->map[i]);
    free(maps->map);
    *maps = (mv_maps){0};
}

static int range(const float *v, size_t n, float *least, float *greatest)
{
    float lo = INFINITY, hi = -INFINITY;
    int odd = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(v[i])) {
            lo = fminf(lo, v[i]);
            hi = fmaxf(hi, v[i]);
        } else
            odd++;
    *least = lo <= hi ? lo : 0;
    *greatest = lo <= hi ? hi : 0;
    return odd;
}

int mv_map_range(mv_map *map)
{
    if (map->raw)
        range(map->raw, values(map), &map->raw_lo, &map->raw_hi);
    return range(map->v, values(map), &map->lo, &map->hi);
}

double mv_map_mean(const mv_map *map)
{
    double sum = 0;
    size_t n = values(map);
    for (size_t i = 0; i < n; i++)
        sum += (double)map->v[i];
    return sum / (double)n;
}

mv_status mv_map_subtract(mv_map *out, const mv_map *a, const mv_map *b, mv_error *e)
{
    if (a->h != b->h || a->w != b->w || values(a) != values(b))
        return mv_fail(e, MV_EMISUSE, "map: found maps of %dx%d and %dx%d cells to subtract, expected one shape", a->h,
                       a->w, b->h, b->w);
    mv_map words = *a;
    float *v = malloc(values(a) * sizeof *v);
    if (!v)
        return mv_fail_memory(e, "map");
    for (size_t i = 0; i < values(a); i++)
        v[i] = a->v[i] - b->v[i];
    words.v = v;
    words.raw = NULL;
    words.diverging = true;
    words.figures = 0;
    words.title[0] = words.proof[0] = '\0';
    words.class_ = words.against = MV_MAP_NONE;
    *out = words;
    mv_map_range(out);
    return MV_OK;
}

/* ---- words */

void mv_map_figure(mv_map *map, const char *name, const char *key, const char *unit, int digits, double value)
{
    if (map->figures < MV_MAP_FIGURES)
        map->figure[map->figures++] = (mv_figure){name, key, unit, digits, value};
}

enum { LINE = 96 };

/* Fills `text` with line `i` of the heads and the geometry; false past the last one, with their number in *n. */
static bool geometry_line(const mv_map *m, int i, char text[LINE], int *n)
{
    bool windows = m->window > 0, plain = m->down * m->across == 1 && m->padding <= 0;
    *n = 0;
    if (m->heads && i == (*n)++) {
        if (m->head == MV_MAP_MEAN)
            snprintf(text, LINE, "%d heads", m->heads);
        else
            snprintf(text, LINE, "head %d of %d", m->head, m->heads);
        return true;
    }
    if (m->cell && i == (*n)++) {
        snprintf(text, LINE, "%d \xc3\x97 %d cells of %d px", m->h, m->w, m->cell);
        return true;
    }
    if (windows && plain && i == (*n)++) {
        snprintf(text, LINE, "one window, no padding");
        return true;
    }
    if (windows && !plain && i == (*n)++) {
        if (m->down * m->across > 1)
            snprintf(text, LINE, "%d \xc3\x97 %d windows", m->down, m->across);
        else
            snprintf(text, LINE, "one window");
        return true;
    }
    if (windows && !plain && i == (*n)++) {
        if (m->padding > 0)
            snprintf(text, LINE, "%.0f %% padding", 100 * m->padding);
        else
            snprintf(text, LINE, "no padding");
        return true;
    }
    return false;
}

bool mv_map_caption(const mv_map *map, int i, char text[LINE])
{
    int n;
    if (geometry_line(map, i, text, &n))
        return true;
    if (i == n) {
        *text = '\0';
        return map->figures || map->padding > 0 || map->window;
    }
    i -= n + 1;
    if (i < map->figures) {
        const mv_figure *f = &map->figure[i];
        snprintf(text, LINE, "%s  %.*f%s%s", f->name, f->digits, f->value, *f->unit ? " " : "", f->unit);
        return true;
    }
    if (i == map->figures && map->padding > 0) {
        snprintf(text, LINE, "%.1f %% falls on padding", 100 * map->on_padding);
        return true;
    }
    return false;
}

const char *mv_map_name(const mv_map *m, char text[64])
{
    char block[24] = "", head[24] = "", class_[40] = "";
    if (m->block == MV_MAP_ALL)
        snprintf(block, sizeof block, ".rollout");
    else if (m->block != MV_MAP_NONE)
        snprintf(block, sizeof block, ".blocks.%d", m->block);
    if (m->head == MV_MAP_MEAN && m->block != MV_MAP_ALL)
        snprintf(head, sizeof head, ".mean");
    else if (m->head >= 0)
        snprintf(head, sizeof head, ".head.%d", m->head);
    if (m->class_ != MV_MAP_NONE && m->against != MV_MAP_NONE)
        snprintf(class_, sizeof class_, ".class.%d.over.%d", m->class_, m->against);
    else if (m->class_ != MV_MAP_NONE)
        snprintf(class_, sizeof class_, ".class.%d", m->class_);
    if (*block)
        snprintf(text, 64, "levels.%d%s%s%s", m->level, block, head, class_);
    else
        snprintf(text, 64, "%s%s%s", m->method ? m->method : "map", head, class_);
    return text;
}
