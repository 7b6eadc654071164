/* The methods "chefer" and "chefer-hybrid": what each cell gives to the target through the attention of a level, as a
 * key, to first order and its positive parts only (Chefer, Gur & Wolf 2021, arXiv 2103.15679; relevance.h has the
 * equations). The hybrid goes through the hidden attention of mixers too.
 *
 * The network has no class token, whose row of R the paper reads. The map of a level is the sum over the rows of all
 * its cells of R - I. That of both levels is on the grid of level 2: the map of level 3, carried down through the
 * convolution of stride 2 evenly over its taps (rollout.h), plus that of level 2. (With I left in, what is carried down
 * is the pattern of the convolution, whatever the weights are.)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/gradient.h"
#include "src/explain/relevance.h"
#include "src/explain/rollout.h"

enum { LEVEL_2, LEVEL_3, BOTH };
static const char *const level_words[] = {"2", "3", "both", NULL};

typedef struct {
    int level; /* an index of the words */
} params;

static const mv_param param[] = {{.name = "level",
                                  .letter = 'l',
                                  .kind = MV_PARAM_WORD,
                                  .offset = offsetof(params, level),
                                  .words = level_words,
                                  .otherwise = "both",
                                  .argument = "LEVEL",
                                  .help = "the level whose blocks are followed"},
                                 {0}};

static bool has_blocks(const mv_config *c, int level, bool mixers)
{
    return mixers ? c->depth[level] > 0 : c->depth[level] > 1; /* the last half attends, rounded down */
}

static mv_status open_chain(void **own, const char *method, const params *p, const mv_config *config, int h, int w,
                            mv_error *e)
{
    bool mixers = strcmp(method, "chefer-hybrid") == 0;
    mv_relevance_options o = {.chain = true, .mixers = mixers};
    o.level[2] = p->level != LEVEL_3;
    o.level[3] = p->level != LEVEL_2;
    for (int i = 2; i < MV_LEVELS; i++)
        if (o.level[i] && p->level != BOTH && !has_blocks(config, i, mixers))
            return mv_fail(e, MV_EINPUT, "%s: level: found %d, which has no %s, expected a level that has", method, i,
                           mixers ? "block" : "attention");
    if (!has_blocks(config, 2, mixers) && !has_blocks(config, 3, mixers))
        return mv_fail(e, MV_EINPUT, "%s: found no %s block, expected a network that has some", method,
                       mixers ? "attention or mixer" : "attention");
    *own = mv_relevance_new(&o, config, h, w, e);
    return *own ? MV_OK : e->code;
}

static mv_status open_attention(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    return open_chain(own, "chefer", p, config, h, w, e);
}

static mv_status open_hybrid(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    return open_chain(own, "chefer-hybrid", p, config, h, w, e);
}

static mv_probe *probe_of(void *own)
{
    return mv_relevance_probe(own);
}

static void close_chain(void *own)
{
    mv_relevance_free(own);
}

/* token (windows, T of the grid) += the relevance of a level, carried down if the grid is that of a level below. */
static mv_status add_level(double *token, const mv_subject *s, int level, const mv_grid *g, const char *method,
                           mv_error *e)
{
    const double *chain = mv_relevance_chain(s->own, s->picture, s->pass, level);
    size_t n = (size_t)g->windows * (size_t)g->tokens;
    if (!chain) /* no block of the level */
        return MV_OK;
    double *down = level == g->level ? NULL : malloc(n * sizeof *down);
    if (level != g->level && !down)
        return mv_fail_memory(e, method);
    if (down)
        mv_rollout_bridge(down, g, chain, mv_relevance_grid(s->own, level));
    for (size_t i = 0; i < n; i++)
        token[i] += down ? down[i] : chain[i];
    free(down);
    return MV_OK;
}

static mv_status draw(mv_map *map, const mv_subject *s, const double *token, const mv_grid *g, const char *method,
                      mv_error *e)
{
    double all = 0, sum = 0;
    if (mv_grid_stitch(map, g, token, e))
        return e->code;
    for (size_t i = 0; i < (size_t)g->windows * (size_t)g->tokens; i++)
        all += token[i];
    for (int i = 0; i < map->h * map->w; i++)
        sum += (double)map->v[i];
    mv_grid_describe(map, g);
    mv_subject_title(s, map);
    map->method = method;
    map->on_padding = all > 0 ? fmax(0, 1 - sum / all) : 0;
    mv_gradient_unit(map, s, g->cell);
    mv_gradient_sums(map, s, sum, NAN);
    mv_map_range(map);
    return MV_OK;
}

static mv_status explain(const mv_subject *s, const params *p, const char *method, mv_maps *out, mv_error *e)
{
    const mv_grid *g = mv_relevance_grid(s->own, p->level == LEVEL_3 ? 3 : 2);
    double *token = calloc((size_t)g->windows * (size_t)g->tokens, sizeof *token);
    mv_map *map = token ? mv_maps_add(out, e) : NULL;
    mv_status status = !token ? mv_fail_memory(e, method) : map ? MV_OK : e->code;
    for (int level = MV_LEVELS - 1; level >= 2 && !status; level--)
        if (p->level == BOTH || level == g->level)
            status = add_level(token, s, level, g, method, e);
    if (!status)
        status = draw(map, s, token, g, method, e);
    free(token);
    return status;
}

static mv_status explain_attention(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    return explain(s, p, "chefer", out, e);
}

static mv_status explain_hybrid(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    return explain(s, p, "chefer-hybrid", out, e);
}

#define SHARED                                                                                                         \
    .takes = MV_TAKES_CLASS | MV_TAKES_AGAINST | MV_TAKES_GRADIENT, .params = param, .size = sizeof(params),           \
    .probe = probe_of, .close = close_chain

const mv_method mv_method_chefer = {
    .name = "chefer",
    .title = "Attention relevance",
    .summary = "what each cell gives through the attention of levels 3 and 2: positive parts of rows times gradients",
    .source = "Chefer, Gur & Wolf 2021, arXiv 2103.15679",
    .measured = "deletion 0.35, insertion 0.58; beats random cells at both, the blob at neither",
    .cost = "one forward pass, and one backward pass to level 2",
    .open = open_attention,
    .explain = explain_attention,
    SHARED,
};

const mv_method mv_method_chefer_hybrid = {
    .name = "chefer-hybrid",
    .title = "Attention and scan relevance",
    .summary = "as chefer, through the hidden attention of mixers too",
    .source = "after Chefer, Gur & Wolf 2021, arXiv 2103.15679, and Ali, Zimerman & Wolf 2024, arXiv 2403.01590",
    .measured = "deletion 0.35, insertion 0.58; beats random cells at both, the blob at neither",
    .cost = "one forward pass, one backward pass to level 2, and several times the work of the mixers",
    .open = open_hybrid,
    .explain = explain_hybrid,
    SHARED,
};
