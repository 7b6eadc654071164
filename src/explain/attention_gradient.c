/* The method "attention-x-gradient": what each cell gives to the target through a head, as a key, to first order. With
 * the rows A of the head and their gradient dA = d(target)/dA,
 *
 *     map(j) = sum over rows i of dA[i,j] A[i,j]
 *
 * with its sign. Summed over all tokens, padding included, it is the head's first-order effect on the target, sum v dv.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/attention.h"
#include "src/explain/gradient.h"
#include "src/explain/params.h"
#include "src/explain/relevance.h"

static const char *const head_words[] = {"mean", "all", NULL};

typedef struct {
    mv_param_list level, block, head;
} params;

static const mv_param param[] = {
    MV_SHARED_LEVELS(offsetof(params, level)),
    MV_SHARED_BLOCKS(offsetof(params, block), "blocks to show, counted from 0; all that attend by default"),
    {.name = "head",
     .kind = MV_PARAM_LIST,
     .offset = offsetof(params, head),
     .most = 8191,
     .words = head_words,
     .argument = "N|mean|all",
     .help = "heads to show, counted from 0, or their mean; all by default"},
    {0}};

typedef struct {
    mv_attention_maps *shown; /* for its list of blocks */
    mv_relevance *relevance;
} state;

static void close_state(void *own)
{
    state *s = own;
    mv_attention_maps_free(s->shown);
    mv_relevance_free(s->relevance);
    free(s);
}

static mv_status open_state(void **own, const void *given, const mv_config *config, int h, int w, mv_error *e)
{
    const params *p = given;
    mv_attention_options o = {.blocks = p->block.n, .heads = p->head.n, .query = MV_QUERY_POOLED};
    mv_relevance_options r = {.heads = true};
    mv_shared_levels(o.level, &p->level);
    memcpy(o.block, p->block.v, sizeof o.block);
    memcpy(o.head, p->head.v, sizeof o.head);
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "attention-x-gradient");
    s->shown = mv_attention_maps_new(&o, config, h, w, e);
    for (int i = 0; s->shown && i < mv_attention_maps_count(s->shown); i++)
        r.level[mv_attention_maps_block_at(s->shown, i).level] = true;
    if (s->shown)
        s->relevance = mv_relevance_new(&r, config, h, w, e);
    if (!s->relevance) {
        close_state(s);
        return e->code;
    }
    *own = s;
    return MV_OK;
}

static mv_probe *probe_of(void *own)
{
    return mv_relevance_probe(((state *)own)->relevance);
}

/* Head k of a block that is shown: heads in their order, then their mean. False past the last. */
static bool head_at(const params *p, int heads, int k, int *head)
{
    bool all = p->head.n == 0, mean = false;
    for (int i = 0; i < p->head.n; i++) {
        all |= p->head.v[i] == MV_HEAD_EACH;
        mean |= p->head.v[i] == MV_HEAD_MEAN;
    }
    for (int i = 0; i < heads; i++) {
        bool shown = all;
        for (int j = 0; j < p->head.n; j++)
            shown |= p->head.v[j] == i;
        *head = i;
        if (shown && k-- == 0)
            return true;
    }
    *head = MV_HEAD_MEAN;
    return mean && k == 0;
}

static int count_maps(const void *own, const void *given)
{
    const state *s = own;
    int n = 0, head;
    for (int i = 0; i < mv_attention_maps_count(s->shown); i++)
        for (int k = 0; head_at(given, mv_attention_maps_block_at(s->shown, i).heads, k, &head); k++)
            n++;
    return n;
}

/* token (windows, T) = the relevance of a head, or the mean of all; returns its sum. */
static double gather(double *token, const double *heads, const mv_attention_block *b, int head)
{
    size_t tokens = (size_t)b->grid.tokens, of = (size_t)b->heads;
    double sum = 0;
    for (size_t i = 0; i < (size_t)b->grid.windows * tokens; i++) {
        const double *from = heads + i / tokens * of * tokens + i % tokens;
        token[i] = head == MV_HEAD_MEAN ? 0 : from[(size_t)head * tokens];
        for (size_t k = 0; k < of && head == MV_HEAD_MEAN; k++)
            token[i] += from[k * tokens] / (double)of;
        sum += token[i];
    }
    return sum;
}

static void describe(mv_map *map, const mv_subject *s, const mv_attention_block *b, int head, double all)
{
    char class_[96];
    double sum = 0;
    mv_grid_describe(map, &b->grid);
    mv_subject_title(s, map);
    snprintf(class_, sizeof class_, "%s", map->title);
    if (strncmp(class_, "For ", 4) == 0)
        class_[0] = 'f';
    snprintf(map->title, sizeof map->title, "Level %d, block %d, %.60s", b->level, b->block, class_);
    map->method = "attention-x-gradient";
    map->block = b->block;
    map->head = head;
    map->heads = b->heads;
    map->diverging = true;
    mv_gradient_unit(map, s, b->grid.cell);
    for (int i = 0; i < map->h * map->w; i++)
        sum += (double)map->v[i];
    mv_gradient_sums(map, s, sum, NAN);
    if (b->grid.padding > 0)
        mv_map_figure(map, "padding", "padding_sum", "", 3, all - sum);
    mv_map_range(map);
}

static mv_status add_map(const mv_subject *s, int i, int head, mv_maps *out, mv_error *e)
{
    const state *own = s->own;
    mv_attention_block b = mv_attention_maps_block_at(own->shown, i);
    const double *heads = mv_relevance_heads(own->relevance, s->picture, s->pass, b.level, b.block);
    if (!heads)
        return mv_fail(e, MV_EMISUSE, "attention-x-gradient: level %d, block %d was not seen", b.level, b.block);
    double *token = malloc((size_t)b.grid.windows * (size_t)b.grid.tokens * sizeof *token), all = 0;
    mv_map *map = token ? mv_maps_add(out, e) : NULL;
    mv_status status = !token ? mv_fail_memory(e, "attention-x-gradient") : map ? MV_OK : e->code;
    if (!status) {
        all = gather(token, heads, &b, head);
        status = mv_grid_stitch(map, &b.grid, token, e);
    }
    if (!status)
        describe(map, s, &b, head, all);
    free(token);
    return status;
}

static mv_status explain(const mv_subject *s, const void *given, mv_maps *out, mv_error *e)
{
    const state *own = s->own;
    mv_status status = MV_OK;
    for (int i = 0; i < mv_attention_maps_count(own->shown) && !status; i++) {
        int head, heads = mv_attention_maps_block_at(own->shown, i).heads;
        for (int k = 0; !status && head_at(given, heads, k, &head); k++)
            status = add_map(s, i, head, out, e);
    }
    return status;
}

const mv_method mv_method_attention_x_gradient = {
    .name = "attention-x-gradient",
    .title = "Attention x gradient",
    .summary = "what each cell gives to the logit through a head, with its sign: rows times their gradients",
    .source = "after Chefer, Gur & Wolf 2021, arXiv 2103.15679",
    .measured = "level 2, last block, mean of heads: deletion 0.35, insertion 0.58; beats random cells at both, the "
                "blob at neither",
    .cost = "one forward pass, and one backward pass to the first block that attends",
    .takes = MV_TAKES_CLASS | MV_TAKES_AGAINST | MV_TAKES_GRADIENT,
    .params = param,
    .size = sizeof(params),
    .open = open_state,
    .probe = probe_of,
    .close = close_state,
    .count = count_maps,
    .explain = explain,
};
