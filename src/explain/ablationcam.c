/* Ablation-CAM (Ramaswamy & Desai 2020, "Ablation-CAM: Visual Explanations for Deep Convolutional Network via
 * Gradient-free Localization", WACV): a channel of a site's features counts as much as the class's logit y loses when
 * the channel is zero everywhere. With channel A_k, and y^k the logit without it:
 *
 *     w_k = (y - y^k) / y        S = max(0, sum_k w_k A_k)
 *
 * After level 3 the network is affine, so that y - y^k is known without a pass: W_ck mean(A_k) for the output of
 * the final norm, and W_ck s_k mean(A_k) for that of level 3, where s_k is the norm's scale. For other sites each
 * channel takes a pass.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/cells.h"
#include "src/explain/method.h"
#include "src/explain/params.h"
#include "src/explain/replies.h"
#include "src/run/run.h"

typedef struct {
    const char *site;
} params;

static const mv_param param[] = {
    MV_SHARED_SITE(offsetof(params, site), "the features to use; levels.3 and norm need no further pass"), {0}};

/* A probe that sets one channel to zero: channel number i in pass i. */
typedef struct {
    mv_probe probe;
    const char *site;
    int first;   /* the pass of the first picture of a batch */
    float *zero; /* as many as a picture has values of one channel */
} eraser;

typedef struct {
    mv_cells *cells;
    bool closed; /* known without passes */
    eraser eraser;
    mv_passes *passes; /* through the eraser; made by the first picture */
    mv_replies replies;
    double *weight; /* for each channel */
} state;

/* ---- passes with a channel erased */

static bool wants(mv_probe *p, const char *site)
{
    return strcmp(((const eraser *)p)->site, site) == 0;
}

/* Channel c of the pictures' rows `first` to `first + rows - 1`: maps (B C H W), or windows of tokens (N T C) */
static mv_view channel_of(mv_view v, int first, int rows, int c)
{
    int d = v.nd == 4 ? 1 : 2;
    v.data = (char *)v.data + (first * v.stride[0] + c * v.stride[d]) * (ptrdiff_t)mv_dtype_size(v.type);
    v.dim[0] = rows;
    v.dim[d] = 1;
    return v;
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    (void)site;
    const eraser *a = (const eraser *)p;
    int pictures = mv_run_pictures(r), rows = value.dim[0] / pictures, channels = value.dim[value.nd == 4 ? 1 : 2];
    for (int i = 0; i < pictures; i++) {
        int c = (a->first + mv_run_first(r) + i) % channels; /* the dry run asks for a whole batch */
        if (!mv_run_write(r, channel_of(value, i * rows, rows, c), a->zero))
            return false;
    }
    return true;
}

typedef struct {
    const mv_subject *s;
    state *own;
} work;

static void make(void *context, int i, float *planes)
{
    const work *k = context;
    int batch = mv_passes_batch(k->s->passes);
    k->own->eraser.first = i / batch * batch;
    memcpy(planes, k->s->planes, (size_t)3 * (size_t)k->s->h * (size_t)k->s->w * sizeof *planes);
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    (void)e;
    const work *k = context;
    k->own->weight[i] = (double)k->s->logits[k->s->class_] - (double)logits[k->s->class_];
    return MV_OK;
}

static mv_status run_passes(work *k, mv_error *e)
{
    state *own = k->own;
    mv_subject through = *k->s;
    if (!own->passes)
        own->passes = mv_passes_through(k->s->passes, &own->eraser.probe, NULL, e);
    if (!own->passes)
        return e->code;
    through.passes = own->passes;
    return mv_replies_run(&own->replies, &through, mv_cells_channels(own->cells), make, take, k, e);
}

/* ---- after level 3 */

/* y - y^k of each channel */
static mv_status close_form(const work *k, const float *x, mv_error *e)
{
    const mv_model *m = k->s->model;
    state *own = k->own;
    size_t channels = (size_t)mv_cells_channels(own->cells),
           cells = (size_t)mv_cells_height(own->cells) * (size_t)mv_cells_width(own->cells);
    const float *row = m->head_weight + (size_t)k->s->class_ * channels;
    bool normed = strcmp(mv_cells_site(own->cells), "norm") == 0;
    float *scale = normed ? NULL : malloc(channels * sizeof *scale);
    if (!normed && !scale)
        return mv_fail_memory(e, "ablationcam");
    mv_view v = mv_view_of(mv_tensor_of(m->norm_scale.data, MV_F32, 1, (int)channels));
    mv_status s = normed ? MV_OK : m->backend->read(m->backend, scale, v, e);
    for (size_t c = 0; c < channels && !s; c++) {
        double mean = 0;
        for (size_t i = 0; i < cells; i++)
            mean += (double)x[i * channels + c];
        own->weight[c] = (double)row[c] * (normed ? 1 : (double)scale[c]) * mean / (double)cells;
    }
    free(scale);
    return s;
}

/* ---- the method */

static void close_state(void *own)
{
    state *s = own;
    mv_passes_free(s->passes);
    mv_cells_free(s->cells);
    mv_replies_free(&s->replies);
    free(s->eraser.zero);
    free(s->weight);
    free(s);
}

static mv_status open_state(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    const char *site = ((const params *)p)->site;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "ablationcam");
    s->closed = strcmp(site, "levels.3") == 0 || strcmp(site, "norm") == 0;
    s->cells = mv_cells_new("ablationcam: site", site, config, h, w, e);
    if (!s->cells) {
        close_state(s);
        return e->code;
    }
    s->eraser = (eraser){.probe = {.wants = wants, .sees = sees},
                         .site = mv_cells_site(s->cells),
                         .zero = calloc(mv_cells_rows(s->cells), sizeof(float))};
    s->weight = malloc((size_t)mv_cells_channels(s->cells) * sizeof *s->weight);
    if (!s->eraser.zero || !s->weight) {
        close_state(s);
        return mv_fail_memory(e, "ablationcam");
    }
    *own = s;
    return MV_OK;
}

static mv_probe *probe_of(void *own)
{
    return mv_cells_probe(((state *)own)->cells);
}

static void combine(const work *k, const float *x, mv_map *map)
{
    size_t channels = (size_t)mv_cells_channels(k->own->cells);
    double y = (double)k->s->logits[k->s->class_];
    for (size_t i = 0; i < (size_t)map->h * (size_t)map->w; i++) {
        double value = 0;
        for (size_t c = 0; c < channels; c++)
            value += k->own->weight[c] / y * (double)x[i * channels + c];
        map->v[i] = (float)fmax(value, 0);
    }
    mv_map_figure(map, "logit", "logit", "", 2, y);
    if (y < 0)
        snprintf(map->proof, sizeof map->proof, "its logit is negative, which turns the sign of the published weights");
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    work k = {s, s->own};
    float *x = mv_cells_read(k.own->cells, s->picture, e);
    mv_map *map = x ? mv_maps_add(out, e) : NULL;
    mv_status status = map ? mv_cells_map(map, k.own->cells, "ablationcam", e) : e->code;
    if (!status && !(s->logits[s->class_] < 0 || s->logits[s->class_] > 0))
        status = mv_fail(e, MV_EINPUT, "ablationcam: found the logit 0 of class %d, by which the weights are divided",
                         s->class_);
    if (!status)
        status = k.own->closed ? close_form(&k, x, e) : run_passes(&k, e);
    if (!status) {
        combine(&k, x, map);
        mv_subject_title(s, map);
        snprintf(map->unit, sizeof map->unit, "weighted activation");
        mv_map_range(map);
        if (map->hi <= 0 && !*map->proof)
            snprintf(map->proof, sizeof map->proof, "the weighted sum is nowhere positive: nothing is left of it");
    }
    free(x);
    return status;
}

const mv_method mv_method_ablationcam = {
    .name = "ablationcam",
    .title = "Ablation-CAM",
    .summary = "channels of a site, weighted by what the logit loses without them",
    .source = "Ramaswamy & Desai 2020, WACV, doi 10.1109/WACV45572.2020.9093360",
    .cost = "one forward pass at levels.3 and norm; elsewhere also one for each channel",
    .measured = "deletion 0.40, insertion 0.53; beats random cells at deletion, the blob at neither",
    .takes = MV_TAKES_CLASS | MV_TAKES_PASSES,
    .params = param,
    .size = sizeof(params),
    .open = open_state,
    .probe = probe_of,
    .close = close_state,
    .explain = explain,
};
