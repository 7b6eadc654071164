/* The method "attention": the network's own softmax rows, reduced to one map per block and head, or per level with
 * rollout (Abnar & Zuidema 2020, arXiv 2005.00928). The rows are reduced while they pass (attention.h), because they
 * are too large to keep.
 *
 * A map is drawn against an even spread: 1 is what every cell gets if all get the same. Its raw values are the shares.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/attention.h"
#include "src/explain/attention_method.h"
#include "src/explain/method.h"
#include "src/explain/params.h"

/* ---- parameters */

static const char *const head_words[] = {"mean", "all", NULL};

/* The words of --head are -1 and -2 in a list, which are MV_HEAD_MEAN and MV_HEAD_EACH. */
_Static_assert(MV_HEAD_MEAN == -1 && MV_HEAD_EACH == -2, "the words of --head");

#define AT(member) offsetof(mv_attention_params, member)
const mv_param mv_attention_param[] = {
    MV_SHARED_LEVELS(AT(level)),
    MV_SHARED_BLOCKS(AT(block), "blocks to show, counted from 0; all that attend by default"),
    {.name = "head",
     .kind = MV_PARAM_LIST,
     .offset = AT(head),
     .most = 8191,
     .words = head_words,
     .argument = "N|mean|all",
     .help = "heads to show, counted from 0; all, or their mean, the default"},
    MV_SHARED_QUERY(AT(query), "pooled",
                    "whose attention: the mean over all cells (pooled), one cell (Y,X), or what each cell receives"),
    {.name = "rollout",
     .kind = MV_PARAM_FLAG,
     .offset = AT(rollout),
     .help = "combine all attention blocks of a level (attention rollout)"},
    {0}};

static mv_status fill_lists(mv_attention_options *o, const mv_attention_params *p, mv_error *e)
{
    mv_shared_levels(o->level, &p->level);
    o->blocks = p->block.n;
    memcpy(o->block, p->block.v, sizeof o->block);
    o->heads = p->head.n ? p->head.n : 1;
    memcpy(o->head, p->head.v, sizeof o->head);
    if (p->head.n == 0)
        o->head[0] = MV_HEAD_MEAN;
    for (int i = 0; i < p->head.n; i++)
        if (p->rollout && p->head.v[i] != MV_HEAD_MEAN)
            return mv_fail(e, MV_EINPUT, "rollout: follows the mean of the heads, found a choice of heads");
    if (p->rollout && p->block.n)
        return mv_fail(e, MV_EINPUT, "rollout: goes through all blocks of a level, found a choice of blocks");
    o->rollout = p->rollout;
    return MV_OK;
}

static mv_status options_of(mv_attention_options *o, const mv_attention_params *p, mv_error *e)
{
    *o = (mv_attention_options){0};
    mv_status s = fill_lists(o, p, e);
    return s ? s : mv_shared_query(&o->query, o->cell, o->level, p->query, "query", e);
}

/* ---- the probe */

typedef struct {
    mv_attention_maps *maps;
    bool rollout;
} state;

static mv_status open_maps(void **own, const void *params, const mv_config *config, int h, int w, mv_error *e)
{
    const mv_attention_params *p = params;
    mv_attention_options o;
    if (options_of(&o, p, e))
        return e->code;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "attention");
    s->rollout = p->rollout;
    s->maps = mv_attention_maps_new(&o, config, h, w, e);
    if (!s->maps) {
        free(s);
        return e->code;
    }
    *own = s;
    return MV_OK;
}

static mv_probe *probe_of(void *own)
{
    return mv_attention_maps_probe(((state *)own)->maps);
}

static void close_maps(void *own)
{
    state *s = own;
    mv_attention_maps_free(s->maps);
    free(s);
}

/* ---- maps */

static void describe(mv_map *map, const mv_attention_block *b, int head, const mv_attention_map *seen)
{
    bool rollout = b->block == MV_BLOCK_ROLLOUT;
    mv_grid_describe(map, &b->grid);
    mv_query_describe(map, b->query);
    map->method = "attention";
    map->block = rollout ? MV_MAP_ALL : b->block;
    map->head = head;
    map->heads = b->heads;
    map->on_padding = seen->padding;
    if (rollout)
        snprintf(map->title, sizeof map->title, "Level %d, rollout", b->level);
    else
        snprintf(map->title, sizeof map->title, "Level %d, block %d", b->level, b->block);
    mv_rows_figures(map, &b->grid, b->query);
    /* How each row looks, whatever the query of the map is; a rollout has no rows. */
    bool mean = head == MV_HEAD_MEAN;
    mv_map_figure(map, mean ? "each query and head alone: entropy" : "each query alone: entropy", "each_query_entropy",
                  "of 1", 2, rollout ? (double)NAN : seen->stats.entropy);
    mv_map_figure(map, mean ? "each query and head alone: reach" : "each query alone: reach", "each_query_reach_px",
                  "px", 0, rollout ? (double)NAN : seen->stats.distance);
}

static mv_status add_map(const mv_subject *s, int i, int head, mv_maps *out, mv_error *e)
{
    const mv_attention_maps *maps = ((const state *)s->own)->maps;
    mv_attention_block b = mv_attention_maps_block_at(maps, i);
    const mv_attention_map *seen = mv_attention_maps_lookup(maps, s->picture, i, head);
    if (!seen)
        return mv_fail(e, MV_EMISUSE, "attention: level %d, block %d, head %d was not seen", b.level, b.block, head);
    mv_map *map = mv_maps_add(out, e);
    mv_status status = map ? mv_rows_against_even(map, &seen->map, b.query, &b.grid, e) : MV_ENOMEM;
    if (status)
        return status;
    size_t n = (size_t)map->h * (size_t)map->w;
    map->raw = malloc(n * sizeof *map->raw);
    if (!map->raw)
        return mv_fail_memory(e, "attention");
    memcpy(map->raw, seen->map.v, n * sizeof *map->raw);
    snprintf(map->raw_unit, sizeof map->raw_unit, "share of the query's attention");
    describe(map, &b, head, seen);
    mv_map_range(map);
    return MV_OK;
}

/* The k-th head of a block that is shown, in the order they were asked for; a head that is among "all" is shown once.
 * False past the last. */
static bool head_at(const mv_attention_params *p, const mv_attention_block *b, int k, int *head)
{
    bool all = false;
    for (int i = 0; i < p->head.n; i++)
        all |= p->head.v[i] == MV_HEAD_EACH;
    *head = MV_HEAD_MEAN;
    if (p->head.n == 0 || b->block == MV_BLOCK_ROLLOUT)
        return k == 0;
    for (int i = 0; i < p->head.n; i++) {
        int n = p->head.v[i] == MV_HEAD_EACH ? b->heads : all && p->head.v[i] >= 0 ? 0 : 1;
        *head = n == 1 && p->head.v[i] != MV_HEAD_EACH ? p->head.v[i] : k;
        if (k < n)
            return true;
        k -= n;
    }
    return false;
}

static int count_maps(const void *own, const void *params)
{
    const state *s = own;
    int n = 0, head;
    for (int i = 0; i < mv_attention_maps_count(s->maps); i++) {
        mv_attention_block b = mv_attention_maps_block_at(s->maps, i);
        for (int k = 0; (b.block == MV_BLOCK_ROLLOUT) == s->rollout && head_at(params, &b, k, &head); k++)
            n++;
    }
    return n;
}

static mv_status explain(const mv_subject *s, const void *params, mv_maps *out, mv_error *e)
{
    const state *own = s->own;
    mv_status status = MV_OK;
    for (int i = 0; i < mv_attention_maps_count(own->maps) && !status; i++) {
        mv_attention_block b = mv_attention_maps_block_at(own->maps, i);
        int head;
        for (int k = 0; (b.block == MV_BLOCK_ROLLOUT) == own->rollout && head_at(params, &b, k, &head) && !status; k++)
            status = add_map(s, i, head, out, e);
    }
    return status;
}

const mv_method mv_method_attention = {
    .name = "attention",
    .title = "Attention rows",
    .summary = "where the queries of self-attention look, per level, block and head, against an even spread",
    .source = "Vaswani et al. 2017, arXiv 1706.03762; rollout: Abnar & Zuidema 2020, arXiv 2005.00928",
    .cost = "one forward pass",
    .measured = "level 3: deletion 0.45, insertion 0.50; beats random cells and the blob at neither",
    .takes = MV_TAKES_CELL,
    .params = mv_attention_param,
    .size = sizeof(mv_attention_params),
    .open = open_maps,
    .probe = probe_of,
    .close = close_maps,
    .count = count_maps,
    .explain = explain,
};
