#include "src/explain/inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/params.h"

/* ---- parameters */

#define AT(member) offsetof(mv_inside_params, member)
const mv_param mv_inside_param[] = {
    MV_SHARED_LEVELS(AT(level)),
    MV_SHARED_BLOCKS(AT(block), "blocks to show, counted from 0; all that have a mixer by default"),
    MV_SHARED_QUERY(
        AT(query), "pooled",
        "whose hidden attention: the mean over all cells (pooled), one cell (Y,X), or what each cell receives"),
    {.name = "signed",
     .kind = MV_PARAM_FLAG,
     .offset = AT(with_sign),
     .help = "hidden attention with its sign: the mean over channels of M, not of |M|"},
    {.name = "channel",
     .kind = MV_PARAM_INTEGER,
     .offset = AT(channel),
     .most = 65535,
     .argument = "N",
     .help = "show one scanned channel, counted from 0; all by default"},
    {0}};

static mv_status options_of(mv_mixer_options *o, const mv_inside_params *p, mv_error *e)
{
    *o = (mv_mixer_options){
        .wants = p->wants, .matrices = p->matrices, .channel = p->channel, .with_sign = p->with_sign};
    mv_shared_levels(o->level, &p->level);
    o->blocks = p->block.n;
    memcpy(o->block, p->block.v, sizeof o->block);
    return mv_shared_query(&o->query, o->cell, o->level, p->query, "query", e);
}

static mv_status open_maps(void **own, const void *params, const mv_config *config, int h, int w, mv_error *e)
{
    mv_mixer_options o;
    if (options_of(&o, params, e))
        return e->code;
    *own = mv_mixer_maps_new(&o, config, h, w, e);
    return *own ? MV_OK : e->code;
}

static mv_probe *probe_of(void *own)
{
    return mv_mixer_maps_probe(own);
}

static void close_maps(void *own)
{
    mv_mixer_maps_free(own);
}

/* ---- maps */

static mv_status view_ratio(mv_map *map, mv_error *e)
{
    if (mv_map_keep_raw(map, e))
        return MV_ENOMEM;
    for (size_t i = 0; i < (size_t)map->h * (size_t)map->w; i++)
        map->v[i] = log2f(map->raw[i]);
    map->diverging = true;
    snprintf(map->unit, sizeof map->unit, "log2 |y| / |z|");
    return MV_OK;
}

/* 1 is what every token gets, padding included, if the same sum is spread evenly over the windows of the query. */
static mv_status view_even(mv_map *map, const mv_mixer_map *from, const mv_mixer_block *b, mv_error *e)
{
    if (mv_map_keep_raw(map, e))
        return MV_ENOMEM;
    size_t n = (size_t)map->h * (size_t)map->w;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)map->raw[i];
    double tokens = (double)b->grid.tokens * (b->query.kind == MV_QUERY_CELL ? 1 : b->grid.windows),
           all = from->padding < 1 ? sum / (1 - from->padding) : 0;
    for (size_t i = 0; i < n; i++)
        map->v[i] = all > 0 ? (float)((double)map->raw[i] * tokens / all) : 0;
    snprintf(map->unit, sizeof map->unit, "\xc3\x97 even");
    return MV_OK;
}

static mv_status add_map(const mv_subject *s, int i, mv_mixer_kind kind, const mv_inside_params *p, mv_maps *out,
                         mv_error *e)
{
    const mv_mixer_block b = mv_mixer_maps_block_at(s->own, i);
    const mv_mixer_map *seen = mv_mixer_maps_lookup(s->own, s->picture, i, kind);
    if (!seen)
        return mv_fail(e, MV_EMISUSE, "mixer: level %d, block %d: %s was not seen", b.level, b.block,
                       mv_mixer_key(kind));
    mv_map *map = mv_maps_add(out, e);
    mv_status status = map ? mv_map_copy(map, &seen->map, e) : MV_ENOMEM;
    if (!status && kind == MV_MIXER_RATIO)
        status = view_ratio(map, e);
    else if (!status && kind == MV_MIXER_HIDDEN && p->with_sign)
        map->diverging = true;
    else if (!status && (MV_MIXER_BIT(kind) & MV_MIXER_MATRICES))
        status = view_even(map, seen, &b, e);
    if (status)
        return status;
    if (kind == MV_MIXER_CONTRIBUTIONS)
        mv_map_figure(map, "scan", "scan_share", "of 1", 2, mv_mixer_maps_scan_share(s->own, s->picture, i));
    mv_map_range(map);
    return MV_OK;
}

static mv_status add_matrix(const mv_subject *s, int i, mv_mixer_kind kind, mv_maps *out, mv_error *e)
{
    static const char *const names[] = {"hidden_matrix", "contributions_matrix"};
    const mv_mixer_block b = mv_mixer_maps_block_at(s->own, i);
    const float *matrix = mv_mixer_maps_matrix(s->own, s->picture, i, kind);
    if (!matrix)
        return mv_fail(e, MV_EMISUSE, "mixer: level %d, block %d: the matrix of %s was not seen", b.level, b.block,
                       mv_mixer_key(kind));
    int rows = b.grid.windows * b.grid.tokens;
    mv_map *map = mv_maps_add(out, e);
    if (!map || mv_map_new(map, rows, b.grid.tokens, e))
        return e->code;
    memcpy(map->v, matrix, (size_t)rows * (size_t)b.grid.tokens * sizeof *map->v);
    mv_grid_describe(map, &b.grid);
    map->cell = 0; /* its rows and columns are tokens */
    map->method = "mixer";
    map->what = names[kind != MV_MIXER_HIDDEN];
    map->block = b.block;
    snprintf(map->title, sizeof map->title, "Level %d, block %d", b.level, b.block);
    mv_map_range(map);
    map->diverging = map->lo < 0;
    return MV_OK;
}

static int count_bits(unsigned bits)
{
    int n = 0;
    for (; bits; bits &= bits - 1)
        n++;
    return n;
}

static int count_maps(const void *own, const void *params)
{
    const mv_inside_params *p = params;
    return mv_mixer_maps_count(own) * (count_bits(p->wants) + count_bits(p->matrices));
}

static mv_status explain(const mv_subject *s, const void *params, mv_maps *out, mv_error *e)
{
    const mv_inside_params *p = params;
    mv_status status = MV_OK;
    for (int i = 0; i < mv_mixer_maps_count(s->own) && !status; i++) {
        for (int k = 0; k < MV_MIXER_KINDS && !status; k++)
            if (p->wants & MV_MIXER_BIT(k))
                status = add_map(s, i, (mv_mixer_kind)k, p, out, e);
        for (int k = MV_MIXER_HIDDEN; k < MV_MIXER_KINDS && !status; k++)
            if (p->matrices & MV_MIXER_BIT(k))
                status = add_matrix(s, i, (mv_mixer_kind)k, out, e);
    }
    return status;
}

const mv_method mv_method_inside = {
    .name = "inside",
    .title = "Inside the mixers",
    .summary = "the state, hidden attention and contributions of mixer blocks",
    .source = "Hatamizadeh & Kautz 2024, arXiv 2407.08083; Ali, Zimerman & Wolf 2024, arXiv 2403.01590",
    .cost = "one forward pass",
    .takes = MV_TAKES_CELL,
    .params = mv_inside_param,
    .size = sizeof(mv_inside_params),
    .open = open_maps,
    .probe = probe_of,
    .close = close_maps,
    .count = count_maps,
    .explain = explain,
};

const mv_map *mv_inside_lookup(const mv_maps *maps, int level, int block, const char *what)
{
    for (int i = 0; i < maps->n; i++) {
        const mv_map *m = &maps->map[i];
        if (m->level == level && m->block == block && m->what && strcmp(m->what, what) == 0)
            return m;
    }
    return NULL;
}
