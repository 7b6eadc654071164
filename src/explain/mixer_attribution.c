/* The method "mixer-attribution": what a level's mixers take from each cell of its input, through their convolutions,
 * scans and z branches:
 *
 *     map = q^T A~_last ... A~_first        A~ = (A / its row sums + I) / 2
 *
 * over the mixer blocks of the level, with A[i,k] = |T[i,k]|, the norm of what token k contributes to the output of
 * token i (mixer.h; after LaTIM, arXiv 2502.15612), and I for the residual (Abnar & Zuidema 2020). Attention blocks are
 * left out. A map is drawn against an even spread; its raw values are the shares.
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
     .help = "the level whose mixer blocks are combined"},
    {.name = "query",
     .kind = MV_PARAM_TEXT,
     .offset = offsetof(params, query),
     .otherwise = "pooled",
     .check = check_query,
     .words = query_words,
     .argument = "pooled|Y,X|received",
     .help = "whose input: the mean over all cells (pooled), one cell (Y,X), or what each cell receives"},
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
    mv_rollout_options o = {.mixers = true};
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "mixer-attribution");
    o.level[given->level] = true;
    s->rollout = mv_rollout_new(&o, config, h, w, e);
    if (!s->rollout || mv_query_parse(&s->query, given->query, "mixer-attribution: query", e) ||
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
    return map ? mv_rollout_map(map, own->rollout, s->picture, ((const params *)p)->level, own->query,
                                "mixer-attribution", "Mixer attribution", e)
               : MV_ENOMEM;
}

const mv_method mv_method_mixer_attribution = {
    .name = "mixer-attribution",
    .title = "Mixer attribution",
    .summary = "what a level's mixers take from each cell, by the contributions of tokens, against an even spread",
    .source = "after LaTIM 2025, arXiv 2502.15612, and Abnar & Zuidema 2020, arXiv 2005.00928",
    .cost = "one forward pass, and several times the work of the level's mixers",
    .takes = MV_TAKES_CELL,
    .params = param,
    .size = sizeof(params),
    .open = open_state,
    .probe = probe_of,
    .close = close_state,
    .explain = explain,
};
