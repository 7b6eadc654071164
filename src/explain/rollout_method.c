/* The method "rollout": what a level's output looks at in its input through all of its attention blocks. A map is drawn
 * against an even spread; its raw values are the shares q^T R.
 */
#include <stdlib.h>

#include "src/explain/method.h"
#include "src/explain/rollout.h"

typedef struct {
    int level;
    const char *query;
} params;

static mv_status check_query(const char *value, const char *place, mv_error *e)
{
    mv_query q;
    return mv_query_parse(&q, value, place, e);
}

static const char *const query_words[] = {"pooled", "received", NULL};

static const mv_param param[] = {
    {.name = "level",
     .kind = MV_PARAM_INTEGER,
     .offset = offsetof(params, level),
     .least = 2,
     .most = 3,
     .otherwise = "3",
     .argument = "LEVEL",
     .help = "the level whose attention blocks are combined"},
    {.name = "query",
     .kind = MV_PARAM_TEXT,
     .offset = offsetof(params, query),
     .otherwise = "pooled",
     .check = check_query,
     .words = query_words,
     .argument = "pooled|Y,X|received",
     .help = "whose attention: the mean over all cells (pooled), one cell (Y,X), or what each cell receives"},
    {0}};

typedef struct {
    mv_rollout *rollout;
    mv_query query;
} state;

static void close_state(void *own)
{
    state *s = own;
    mv_rollout_free(s->rollout);
    free(s);
}

static mv_status open_state(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    const params *given = p;
    mv_rollout_options o = {.attention = true};
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "rollout");
    o.level[given->level] = true;
    s->rollout = mv_rollout_new(&o, config, h, w, e);
    if (!s->rollout || mv_query_parse(&s->query, given->query, "rollout: query", e) ||
        mv_query_check(s->query, mv_rollout_grid(s->rollout, given->level), e)) {
        close_state(s);
        return e->code;
    }
    *own = s;
    return MV_OK;
}

static mv_probe *probe_of(void *own)
{
    return mv_rollout_probe(((state *)own)->rollout);
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    const state *own = s->own;
    mv_map *map = mv_maps_add(out, e);
    return map ? mv_rollout_map(map, own->rollout, s->picture, ((const params *)p)->level, own->query, "rollout",
                                "Attention rollout", e)
               : MV_ENOMEM;
}

const mv_method mv_method_rollout = {
    .name = "rollout",
    .title = "Attention rollout",
    .summary = "what a level looks at through all of its attention blocks, against an even spread",
    .source = "Abnar & Zuidema 2020, arXiv 2005.00928",
    .cost = "one forward pass",
    .takes = MV_TAKES_CELL,
    .params = param,
    .size = sizeof(params),
    .open = open_state,
    .probe = probe_of,
    .close = close_state,
    .explain = explain,
};
