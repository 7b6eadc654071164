#include "src/base/map.h"
#include "src/base/number.h"

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

/* Least and greatest finite value of all channels, 0 without any; returns how many cells have a value that is not. */
static int range(const float *v, size_t cells, size_t channels, float *least, float *greatest)
{
    float lo = INFINITY, hi = -INFINITY;
    int odd = 0;
    for (size_t i = 0; i < cells; i++) {
        bool finite = true;
        for (size_t c = 0; c < channels; c++, v++)
            if (isfinite(*v)) {
                lo = fminf(lo, *v);
                hi = fmaxf(hi, *v);
            } else
                finite = false;
        odd += !finite;
    }
    *least = lo <= hi ? lo : 0;
    *greatest = lo <= hi ? hi : 0;
    return odd;
}

int mv_map_range(mv_map *map)
{
    size_t cells = (size_t)map->h * (size_t)map->w;
    if (map->raw)
        range(map->raw, cells, values(map) / cells, &map->raw_lo, &map->raw_hi);
    return range(map->v, cells, values(map) / cells, &map->lo, &map->hi);
}

int mv_map_extent(const mv_map *map, double *lo, double *hi)
{
    size_t cells = (size_t)map->h * (size_t)map->w;
    float least, greatest;
    int odd = range(map->v, cells, values(map) / cells, &least, &greatest);
    *lo = (double)least;
    *hi = (double)greatest;
    return odd;
}

double mv_map_mean(const mv_map *map)
{
    double sum = 0;
    size_t n = values(map);
    for (size_t i = 0; i < n; i++)
        sum += (double)map->v[i];
    return sum / (double)n;
}

/* A copy of `from`, a map's v or raw; NULL if that is NULL. */
static mv_status copy_values(float **out, const float *from, const mv_map *map, mv_error *e)
{
    size_t bytes = values(map) * sizeof **out;
    *out = from ? malloc(bytes) : NULL;
    if (from && !*out)
        return mv_fail_memory(e, "map");
    if (from)
        memcpy(*out, from, bytes);
    return MV_OK;
}

mv_status mv_map_copy(mv_map *out, const mv_map *from, mv_error *e)
{
    mv_map copy = *from;
    copy.raw = NULL;
    mv_status s = copy_values(&copy.v, from->v, from, e);
    if (!s)
        s = copy_values(&copy.raw, from->raw, from, e);
    if (s) {
        free(copy.v);
        return s;
    }
    *out = copy;
    return MV_OK;
}

mv_status mv_map_keep_raw(mv_map *map, mv_error *e)
{
    memcpy(map->raw_unit, map->unit, sizeof map->raw_unit);
    return copy_values(&map->raw, map->v, map, e);
}

float *mv_map_raw(const mv_map *map)
{
    return map->raw ? map->raw : map->v;
}

mv_status mv_map_less_mean(mv_map *map, const mv_map *mean, mv_error *e)
{
    mv_status s = mv_map_keep_raw(map, e);
    if (s)
        return s;
    for (size_t i = 0; i < values(map); i++)
        map->v[i] -= mean->v[i];
    map->less_mean = true;
    mv_map_range(map);
    return MV_OK;
}

const float *mv_map_compared(const mv_map *map)
{
    return map->less_mean && map->raw ? map->raw : map->v;
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
    const float *x = mv_map_compared(a), *y = mv_map_compared(b);
    for (size_t i = 0; i < values(a); i++)
        v[i] = x[i] - y[i];
    words.v = v;
    words.raw = NULL;
    words.less_mean = false;
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

double mv_map_figure_value(const mv_map *map, const char *key)
{
    for (int i = 0; i < map->figures; i++)
        if (strcmp(map->figure[i].key, key) == 0)
            return map->figure[i].value;
    return (double)NAN;
}

enum { LINE = 96 };

const char *mv_map_words(const mv_map *m, mv_map_part part, char text[LINE])
{
    char count[48];
    *text = '\0';
    switch (part) {
    case MV_MAP_HEADS:
        if (m->heads && m->head >= 0)
            snprintf(text, LINE, "head %d of %d", m->head, m->heads);
        else if (m->heads)
            snprintf(text, LINE, "%s", mv_count_text(count, m->heads, "head"));
        break;
    case MV_MAP_CELLS:
        if (m->cell == 1)
            snprintf(text, LINE, "%d \xc3\x97 %d px", m->h, m->w);
        else if (m->cell)
            snprintf(text, LINE, "%d \xc3\x97 %d cells of %d px", m->h, m->w, m->cell);
        break;
    case MV_MAP_WINDOWS:
        if (m->down * m->across > 1)
            snprintf(text, LINE, "%d \xc3\x97 %d windows", m->down, m->across);
        else if (m->window)
            snprintf(text, LINE, "one window");
        break;
    case MV_MAP_PADDING:
        if (m->padding > 0)
            snprintf(text, LINE, "%.0f %% padding", 100 * m->padding);
        else if (m->window)
            snprintf(text, LINE, "no padding");
        break;
    }
    return text;
}

/* The caption's lines on the geometry, one after the other: a window that is the whole map takes one line. */
static bool geometry_line(const mv_map *m, int i, char text[LINE], int *lines)
{
    bool whole = m->down * m->across <= 1 && m->padding <= 0;
    *lines = 0;
    for (mv_map_part part = MV_MAP_HEADS; part <= MV_MAP_PADDING; part++) {
        if (!*mv_map_words(m, part, text) || (whole && part == MV_MAP_PADDING) || i != (*lines)++)
            continue;
        if (whole && part == MV_MAP_WINDOWS)
            snprintf(text, LINE, "one window, no padding");
        return true;
    }
    return false;
}

/* The number of figures that have a value; *f receives number i of them. */
static int defined_figures(const mv_map *map, int i, const mv_figure **f)
{
    int n = 0;
    for (int k = 0; k < map->figures; k++)
        if (isfinite(map->figure[k].value) && n++ == i && f)
            *f = &map->figure[k];
    return n;
}

bool mv_map_figure_text(const mv_map *map, int i, char text[LINE])
{
    const mv_figure *f = NULL;
    if (i < 0 || i >= defined_figures(map, i, &f))
        return false;
    /* Where the values themselves are small, zeros would say that they cancel out. */
    bool small = fmaxf(fabsf(map->lo), fabsf(map->hi)) < 1e-3F && mv_number_vanishes(f->value, f->digits);
    char number[32];
    if (small)
        mv_power_text(number, f->value, false);
    else
        mv_number_text(number, f->value, f->digits, false);
    snprintf(text, LINE, "%s  %s%s%s", f->name, number, *f->unit ? " " : "", f->unit);
    return true;
}

bool mv_map_caption(const mv_map *map, int i, char text[LINE])
{
    int lines;
    if (geometry_line(map, i, text, &lines))
        return true;
    if (i == lines) {
        *text = '\0';
        return map->figures || map->padding > 0 || map->window;
    }
    i -= lines + 1;
    if (i == defined_figures(map, 0, NULL) && map->padding > 0) {
        snprintf(text, LINE, "%.1f %% falls on padding", 100 * map->on_padding);
        return true;
    }
    return mv_map_figure_text(map, i, text);
}

const char *mv_map_name(const mv_map *m, char text[MV_MAP_NAME])
{
    char block[24] = "", head[24] = "", class_[40] = "";
    const char *what = m->what ? m->what : "";
    if (m->block == MV_MAP_ALL)
        snprintf(block, sizeof block, ".rollout");
    else if (m->block != MV_MAP_NONE)
        snprintf(block, sizeof block, ".blocks.%d", m->block);
    if (m->head == MV_MAP_MEAN && m->block != MV_MAP_ALL)
        snprintf(head, sizeof head, ".mean");
    else if (m->head >= 0)
        snprintf(head, sizeof head, ".head.%d", m->head);
    if (m->class_ != MV_MAP_NONE && m->against != MV_MAP_NONE)
        snprintf(class_, sizeof class_, m->others ? ".class.%d.over.%d.and.%d.more" : ".class.%d.over.%d", m->class_,
                 m->against, m->others);
    else if (m->class_ != MV_MAP_NONE)
        snprintf(class_, sizeof class_, ".class.%d", m->class_);
    if (*block)
        snprintf(text, MV_MAP_NAME, "levels.%d%s%s%s%.24s%s", m->level, block, head, *what ? "." : "", what, class_);
    else
        snprintf(text, MV_MAP_NAME, "%.40s%s%s%.24s%s", m->method ? m->method : "map", head, *what ? "." : "", what,
                 class_);
    return text;
}
