/* The lens: what the head would answer after each block (nostalgebraist 2020, "interpreting GPT: the logit lens"). The
 * features of a block go through the final norm, the mean over space and the head, all of them affine, so that the
 * logit is the mean of what each cell says, as for the exact CAM:
 *
 *     level 3   lens_c(p) = sum_k W_ck norm(x_l(p))_k + b_c
 *     level 2   the same after the downsampling to level 3, whose blocks are skipped
 *
 * The last block's is the exact CAM. What the head makes of earlier features is an extrapolation: it was not trained on
 * them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/kept.h"
#include "src/explain/method.h"
#include "src/explain/params.h"
#include "src/model/grid.h"
#include "src/run/ops.h"

typedef struct {
    mv_param_list level, block;
} params;

#define AT(member) offsetof(params, member)
static const mv_param param[] = {
    MV_SHARED_LEVELS(AT(level)), MV_SHARED_BLOCKS(AT(block), "blocks to show, counted from 0; all by default"), {0}};

/* The normed features of one block, (pictures, channels, h, w) of level 3. */
typedef struct {
    int level, block;
    mv_kept kept;
} depth;

typedef struct {
    mv_probe probe;
    int n, h, w, channels; /* of level 3 */
    depth *depth;          /* in network order */
} state;

/* ---- the probe */

static depth *depth_of(const state *s, const char *site)
{
    int level, block, used = 0;
    if (sscanf(site, "levels.%d.blocks.%d%n", &level, &block, &used) == 2 && !site[used])
        for (int i = 0; i < s->n; i++)
            if (s->depth[i].level == level && s->depth[i].block == block)
                return &s->depth[i];
    return NULL;
}

static bool wants(mv_probe *p, const char *site)
{
    return depth_of((const state *)p, site) != NULL;
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    const depth *d = depth_of((const state *)p, site->name);
    size_t mark = mv_scratch_mark(r);
    mv_tensor tokens = mv_tensor_of(value.data, value.type, 3, value.dim[0], value.dim[1], value.dim[2]);
    mv_run_keep(r, p, site->name, 0, mv_view_planes(mv_rest(r, tokens, d->level)));
    mv_scratch_rewind(r, mark);
    return false;
}

static void kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    (void)part;
    const state *s = (const state *)p;
    mv_kept_take(&depth_of(s, site)->kept, r, site, value, (size_t)s->channels * (size_t)s->h * (size_t)s->w);
}

/* ---- the method's state */

static bool has(const mv_param_list *list, int value)
{
    bool found = list->n == 0;
    for (int i = 0; i < list->n; i++)
        found |= list->v[i] == value || list->v[i] < 0; /* a word: all */
    return found;
}

static void close_state(void *own)
{
    state *s = own;
    for (int i = 0; i < s->n; i++)
        free(s->depth[i].kept.value);
    free(s->depth);
    free(s);
}

static mv_status choose_blocks(state *s, const params *p, const mv_config *config, mv_error *e)
{
    for (int level = 2; level < MV_LEVELS; level++)
        for (int block = 0; block < config->depth[level]; block++)
            if (has(&p->level, level) && has(&p->block, block))
                s->depth[s->n++] = (depth){.level = level, .block = block};
    for (int i = 0; i < p->block.n; i++) {
        bool known = false;
        for (int k = 0; k < s->n; k++)
            known |= s->depth[k].block == p->block.v[i];
        if (!known)
            return mv_fail(e, MV_EINPUT,
                           "lens: block: found %d, expected a block of the levels shown: level 2 has 0 to "
                           "%d, level 3 has 0 to %d",
                           p->block.v[i], config->depth[2] - 1, config->depth[3] - 1);
    }
    return MV_OK;
}

static mv_status open_state(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    mv_grid g = mv_grid_of(config, MV_LEVELS - 1, h, w);
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "lens");
    *s = (state){.probe = {.wants = wants, .sees = sees, .kept = kept},
                 .h = g.h,
                 .w = g.w,
                 .channels = config->dim << (MV_LEVELS - 1),
                 .depth = calloc((size_t)(config->depth[2] + config->depth[3]), sizeof *s->depth)};
    if (s->depth ? choose_blocks(s, p, config, e) : mv_fail_memory(e, "lens")) {
        close_state(s);
        return e->code;
    }
    *own = s;
    return MV_OK;
}

static mv_probe *probe_of(void *own)
{
    return &((state *)own)->probe;
}

static int count_maps(const void *own, const void *p)
{
    (void)p;
    return ((const state *)own)->n;
}

/* ---- maps */

/* out[p] = W_c x(p) + b_c; returns its mean, the logit */
static double evidence(double *out, const mv_subject *s, const state *own, const float *x, int c)
{
    size_t channels = (size_t)own->channels, cells = (size_t)own->h * (size_t)own->w;
    const float *weight = s->model->head_weight + (size_t)c * channels;
    double sum = 0;
    for (size_t p = 0; p < cells; p++)
        out[p] = (double)s->model->head_bias[c];
    for (size_t k = 0; k < channels; k++)
        for (size_t p = 0; p < cells; p++)
            out[p] += (double)weight[k] * (double)x[k * cells + p];
    for (size_t p = 0; p < cells; p++)
        sum += out[p];
    return sum / (double)cells;
}

/* The place of class c among all by their logits here, from 1. mean: the features' means over cells. */
static int rank_of(const mv_subject *s, const double *mean, size_t channels, int c)
{
    int rank = 1, classes = s->model->config.classes;
    double mine = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = pass ? 0 : c; i < (pass ? classes : c + 1); i++) {
            const float *weight = s->model->head_weight + (size_t)i * channels;
            double logit = (double)s->model->head_bias[i];
            for (size_t k = 0; k < channels; k++)
                logit += (double)weight[k] * mean[k];
            if (!pass)
                mine = logit;
            else
                rank += i != c && (logit > mine || (logit >= mine && i < c));
        }
    return rank;
}

static void describe(mv_map *map, const mv_subject *s, const depth *d, double logit, double other, int rank)
{
    map->diverging = true;
    map->method = "lens";
    map->level = d->level;
    map->block = d->block;
    map->cell = 4 << (MV_LEVELS - 1);
    mv_subject_title(s, map);
    snprintf(map->unit, sizeof map->unit, "logit per cell");
    mv_map_figure(map, "logit", "logit", "", 2, logit);
    mv_map_figure(map, "rank", "rank", "", 0, rank);
    if (s->against != MV_MAP_NONE)
        mv_map_figure(map, "margin", "margin", "", 2, logit - other);
    if (d->level < MV_LEVELS - 1)
        snprintf(map->proof, sizeof map->proof, "level 3 skipped");
    mv_map_range(map);
}

/* As the exact CAM, a map is drawn less the mean of those of all classes (cam.c). */
static mv_status draw_relative(mv_map *map, const mv_subject *s, const state *own, const float *x, mv_error *e)
{
    size_t channels = (size_t)own->channels, cells = (size_t)own->h * (size_t)own->w;
    mv_map mean = {0};
    double *weight = malloc((channels + 1) * sizeof *weight), *sum = calloc(cells, sizeof *sum);
    mv_status status = weight && sum ? mv_map_new(&mean, own->h, own->w, e) : mv_fail_memory(e, "lens");
    if (!status)
        mv_model_head_mean(weight, s->model, 0, s->model->config.classes);
    for (size_t k = 0; k < channels && !status; k++)
        for (size_t p = 0; p < cells; p++)
            sum[p] += weight[k] * (double)x[k * cells + p];
    for (size_t p = 0; p < cells && !status; p++)
        mean.v[p] = (float)(sum[p] + weight[channels]);
    if (!status)
        status = mv_map_less_mean(map, &mean, e);
    mv_map_free(&mean);
    free(weight);
    free(sum);
    return status;
}

static mv_status explain_depth(const mv_subject *s, const state *own, const depth *d, double *work, mv_map *map,
                               mv_error *e)
{
    size_t channels = (size_t)own->channels, cells = (size_t)own->h * (size_t)own->w;
    const float *x = mv_kept_at(&d->kept, s->picture, channels * cells);
    if (!x)
        return mv_fail(e, MV_EMISUSE, "lens: picture %d was not seen", s->picture);
    double *mean = work, *mine = mean + channels, *other = mine + cells, second = 0;
    for (size_t k = 0; k < channels; k++) {
        mean[k] = 0;
        for (size_t p = 0; p < cells; p++)
            mean[k] += (double)x[k * cells + p] / (double)cells;
    }
    if (mv_map_new(map, own->h, own->w, e))
        return e->code;
    double first = evidence(mine, s, own, x, s->class_);
    memset(other, 0, cells * sizeof *other);
    if (s->against != MV_MAP_NONE)
        second = evidence(other, s, own, x, s->against);
    for (size_t p = 0; p < cells; p++)
        map->v[p] = (float)(mine[p] - other[p]);
    describe(map, s, d, first, second, rank_of(s, mean, channels, s->class_));
    bool alone = s->against != MV_MAP_NONE || s->model->config.classes < 2;
    return alone ? MV_OK : draw_relative(map, s, own, x, e);
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    const state *own = s->own;
    double *work = malloc(((size_t)own->channels + 2 * (size_t)own->h * (size_t)own->w) * sizeof *work);
    mv_status status = work ? MV_OK : mv_fail_memory(e, "lens");
    for (int i = 0; i < own->n && !status; i++) {
        mv_map *map = mv_maps_add(out, e);
        status = map ? explain_depth(s, own, &own->depth[i], work, map, e) : MV_ENOMEM;
    }
    free(work);
    return status;
}

const mv_method mv_method_lens = {
    .name = "lens",
    .title = "Lens",
    .summary = "what the head would answer after each block of levels 2 and 3, cell by cell",
    .source = "nostalgebraist 2020, the logit lens; norm and head as in the exact CAM",
    .cost = "one forward pass",
    .measured =
        "level 2, last block: deletion 0.27, insertion 0.65; beats random cells and the blob at both; better than cam",
    .takes = MV_TAKES_CLASS | MV_TAKES_AGAINST,
    .params = param,
    .size = sizeof(params),
    .open = open_state,
    .probe = probe_of,
    .close = close_state,
    .count = count_maps,
    .explain = explain,
};
