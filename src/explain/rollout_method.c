/* The methods "rollout" and "mixer-attribution": what a level's output looks at in its input, through all of its
 * attention blocks, or takes from it, through all of its mixer blocks. Blocks of the other kind are left out.
 *
 *     map = q^T A~_last ... A~_first        A~ = (A / its row sums + I) / 2
 *
 * For "rollout", A is the mean of the heads of a block (Abnar & Zuidema 2020). For "mixer-attribution", A[i,k] =
 * |T[i,k]|, the norm of what token k contributes to the output of token i through convolutions, scan and z branch
 * (mixer.h; after LaTIM, arXiv 2502.15612). I stands for the residual. A map is drawn against an even spread; its raw
 * values are the shares.
 */
#include <stdlib.h>

#include "src/explain/method.h"
#include "src/explain/params.h"
#include "src/explain/rollout.h"

extern const mv_method mv_method_rollout, mv_method_mixer_attribution; /* below */

typedef struct {
    int level;
    const char *query;
} params;

/* The methods differ in the words of help only. */
#define PARAMS(LEVEL_HELP, QUERY_HELP)                                                                                 \
    {                                                                                                                  \
        {.name = "level",                                                                                              \
         .kind = MV_PARAM_INTEGER,                                                                                     \
         .offset = offsetof(params, level),                                                                            \
         .least = 2,                                                                                                   \
         .most = 3,                                                                                                    \
         .otherwise = "3",                                                                                             \
         .argument = "LEVEL",                                                                                          \
         .help = LEVEL_HELP},                                                                                          \
            MV_SHARED_QUERY(offsetof(params, query), "pooled", QUERY_HELP),                                            \
        {                                                                                                              \
            0                                                                                                          \
        }                                                                                                              \
    }

static const mv_param attention_param[] =
    PARAMS("the level whose attention blocks are combined",
           "whose attention: the mean over all cells (pooled), one cell (Y,X), or what each cell receives");

static const mv_param mixer_param[] =
    PARAMS("the level whose mixer blocks are combined",
           "whose input: the mean over all cells (pooled), one cell (Y,X), or what each cell receives");

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

static mv_status open_state(void **own, const params *given, mv_rollout_options o, const char *place,
                            const mv_config *config, int h, int w, mv_error *e)
{
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, place);
    o.level[given->level] = true;
    s->rollout = mv_rollout_new(&o, config, h, w, e);
    if (!s->rollout || mv_query_parse(&s->query, given->query, place, e) ||
        mv_query_check(s->query, mv_rollout_grid(s->rollout, given->level), e)) {
        close_state(s);
        return e->code;
    }
    *own = s;
    return MV_OK;
}

static mv_status open_attention(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    return open_state(own, p, (mv_rollout_options){.attention = true}, "rollout: query", config, h, w, e);
}

static mv_status open_mixers(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    return open_state(own, p, (mv_rollout_options){.mixers = true}, "mixer-attribution: query", config, h, w, e);
}

static mv_probe *probe_of(void *own)
{
    return mv_rollout_probe(((state *)own)->rollout);
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, const mv_method *method, mv_error *e)
{
    const state *own = s->own;
    mv_map *map = mv_maps_add(out, e);
    return map ? mv_rollout_map(map, own->rollout, s->picture, ((const params *)p)->level, own->query, method->name,
                                method->title, e)
               : MV_ENOMEM;
}

static mv_status explain_attention(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    return explain(s, p, out, &mv_method_rollout, e);
}

static mv_status explain_mixers(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    return explain(s, p, out, &mv_method_mixer_attribution, e);
}

const mv_method mv_method_rollout = {
    .name = "rollout",
    .title = "Attention rollout",
    .summary = "what a level looks at through all of its attention blocks, against an even spread",
    .source = "Abnar & Zuidema 2020, arXiv 2005.00928",
    .cost = "one forward pass",
    .measured =
        "level 2: deletion 0.38, insertion 0.55; beats random cells at both, the blob at neither; level 3: 0.45, 0.50",
    .takes = MV_TAKES_CELL,
    .params = attention_param,
    .size = sizeof(params),
    .open = open_attention,
    .probe = probe_of,
    .close = close_state,
    .explain = explain_attention,
};

const mv_method mv_method_mixer_attribution = {
    .name = "mixer-attribution",
    .title = "Mixer attribution",
    .summary = "what a level's mixers take from each cell, by the contributions of tokens, against an even spread",
    .source = "after LaTIM 2025, arXiv 2502.15612, and Abnar & Zuidema 2020, arXiv 2005.00928",
    .cost = "one forward pass, and several times the work of the level's mixers",
    .measured = "level 3: deletion 0.39, insertion 0.55; beats random cells at both, the blob at neither",
    .takes = MV_TAKES_CELL,
    .params = mixer_param,
    .size = sizeof(params),
    .open = open_mixers,
    .probe = probe_of,
    .close = close_state,
    .explain = explain_mixers,
};
