/* Score-CAM (Wang et al. 2020, arXiv 1910.01279): a channel of a site's features counts as much as the picture seen
 * through it speaks for the class. With channel A_k (cells), and up() to the pixels of the input:
 *
 *     H_k = (up(A_k) - min) / (max - min)                       0 where a channel is constant
 *     w   = softmax_k(p_c(X . H_k) - p_c(0))                    p_c: softmax probability
 *     S   = max(0, sum_k w_k A_k)
 *
 * p_c(0) is the same for all k, and the softmax does not change with it, so that pass is not made.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/explain/cells.h"
#include "src/explain/method.h"
#include "src/explain/params.h"
#include "src/explain/replies.h"
#include "src/explain/upsample.h"

typedef struct {
    const char *site;
    int channels;
} params;

#define AT(member) offsetof(params, member)
static const mv_param param[] = {MV_SHARED_SITE(AT(site), "the features to use"),
                                 {.name = "channels",
                                  .kind = MV_PARAM_INTEGER,
                                  .offset = AT(channels),
                                  .most = 1000000,
                                  .argument = "N",
                                  .help = "use the N channels of largest variance only; 0, the default, uses all"},
                                 {0}};

typedef struct {
    mv_cells *cells;
    mv_upsample *up;
    mv_replies replies;
    float *mask;    /* (h, w) */
    float *feature; /* (channels, cells): of the picture at hand, channels in the order of use */
    double *weight;
    int n; /* channels used */
} state;

static void close_state(void *own)
{
    state *s = own;
    mv_cells_free(s->cells);
    mv_upsample_free(s->up);
    mv_replies_free(&s->replies);
    free(s->mask);
    free(s->feature);
    free(s->weight);
    free(s);
}

static mv_status open_state(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    const params *o = p;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "scorecam");
    mv_status status = MV_OK;
    s->cells = mv_cells_new("scorecam: site", o->site, config, h, w, e);
    if (s->cells) {
        int rows = mv_cells_height(s->cells), columns = mv_cells_width(s->cells);
        size_t all = (size_t)mv_cells_channels(s->cells), cells = (size_t)rows * (size_t)columns;
        s->n = o->channels && (size_t)o->channels < all ? o->channels : (int)all;
        s->mask = malloc((size_t)h * (size_t)w * sizeof *s->mask);
        s->feature = malloc(all * cells * sizeof *s->feature);
        s->weight = malloc(all * sizeof *s->weight);
        s->up = mv_upsample_new(rows, columns, h, w, e);
        if (!s->up || !s->mask || !s->feature || !s->weight)
            status = mv_fail_memory(e, "scorecam");
    } else
        status = e->code;
    if (status) {
        close_state(s);
        return status;
    }
    *own = s;
    return MV_OK;
}

static mv_probe *probe_of(void *own)
{
    return mv_cells_probe(((state *)own)->cells);
}

/* ---- channels */

static double variance(const float *x, size_t cells, size_t channels, size_t c)
{
    double mean = 0, sum = 0;
    for (size_t i = 0; i < cells; i++)
        mean += (double)x[i * channels + c];
    mean /= (double)cells;
    for (size_t i = 0; i < cells; i++)
        sum += ((double)x[i * channels + c] - mean) * ((double)x[i * channels + c] - mean);
    return sum;
}

typedef struct {
    double variance;
    int channel;
} ranked;

/* Larger variance first; equal ones in the order of channels. */
static int by_variance(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->variance != y->variance ? (x->variance < y->variance) - (x->variance > y->variance)
                                      : (x->channel > y->channel) - (x->channel < y->channel);
}

/* Chooses the channels and lays out the features of each. */
static mv_status choose(state *own, const float *x, mv_error *e)
{
    size_t channels = (size_t)mv_cells_channels(own->cells),
           cells = (size_t)mv_cells_height(own->cells) * (size_t)mv_cells_width(own->cells);
    ranked *all = malloc(channels * sizeof *all);
    if (!all)
        return mv_fail_memory(e, "scorecam");
    for (size_t c = 0; c < channels; c++)
        all[c] = (ranked){(size_t)own->n < channels ? variance(x, cells, channels, c) : 0, (int)c};
    qsort(all, channels, sizeof *all, by_variance);
    for (int k = 0; k < own->n; k++)
        for (size_t i = 0; i < cells; i++)
            own->feature[(size_t)k * cells + i] = x[i * channels + (size_t)all[k].channel];
    free(all);
    return MV_OK;
}

/* ---- passes */

typedef struct {
    const mv_subject *s;
    state *own;
    size_t cells;
} work;

static void make(void *context, int i, float *planes)
{
    const work *k = context;
    float *mask = k->own->mask, lo = INFINITY, hi = -INFINITY;
    const float *from = k->s->planes;
    size_t pixels = (size_t)k->s->h * (size_t)k->s->w;
    mv_upsample_run(k->own->up, mask, k->own->feature + (size_t)i * k->cells);
    for (size_t p = 0; p < pixels; p++) {
        lo = fminf(lo, mask[p]);
        hi = fmaxf(hi, mask[p]);
    }
    float scale = hi > lo ? 1 / (hi - lo) : 0;
    for (size_t p = 0; p < pixels; p++)
        mask[p] = (mask[p] - lo) * scale;
    for (int c = 0; c < 3; c++)
        for (size_t p = 0; p < pixels; p++)
            *planes++ = *from++ * mask[p];
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    (void)e;
    const work *k = context;
    k->own->weight[i] = mv_probability_of(k->s, logits);
    return MV_OK;
}

/* Weights by softmax, and what they make of the channels. */
static void combine(const work *k, mv_map *map)
{
    const state *own = k->own;
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < own->n; i++)
        most = fmax(most, own->weight[i]);
    for (int i = 0; i < own->n; i++)
        sum += own->weight[i] = exp(own->weight[i] - most);
    for (size_t p = 0; p < k->cells; p++) {
        double value = 0;
        for (int i = 0; i < own->n; i++)
            value += own->weight[i] / sum * (double)own->feature[(size_t)i * k->cells + p];
        map->v[p] = (float)fmax(value, 0);
    }
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    work k = {s, s->own, 0};
    k.cells = (size_t)mv_cells_height(k.own->cells) * (size_t)mv_cells_width(k.own->cells);
    float *x = mv_cells_read(k.own->cells, s->picture, e);
    mv_status status = x ? choose(k.own, x, e) : e->code;
    mv_map *map = status ? NULL : mv_maps_add(out, e);
    status = map ? mv_cells_map(map, k.own->cells, "scorecam", e) : e->code;
    if (!status)
        status = mv_replies_run(&k.own->replies, s, k.own->n, make, take, &k, e);
    if (!status) {
        combine(&k, map);
        mv_subject_title(s, map);
        snprintf(map->unit, sizeof map->unit, "weighted activation");
        mv_map_figure(map, "channels", "channels", "", 0, k.own->n);
        mv_map_range(map);
        if (map->hi <= 0 && !*map->proof)
            snprintf(map->proof, sizeof map->proof, "the weighted sum is nowhere positive: nothing is left of it");
    }
    free(x);
    return status;
}

const mv_method mv_method_scorecam = {
    .name = "scorecam",
    .title = "Score-CAM",
    .summary = "channels of a site, weighted by how the picture seen through them speaks for the class",
    .source = "Wang et al. 2020, arXiv 1910.01279",
    .cost = "a forward pass for each channel: 640 for T",
    .measured = "deletion 0.36, insertion 0.54; beats random cells at both, the blob at neither",
    .takes = MV_TAKES_CLASS | MV_TAKES_PASSES,
    .params = param,
    .size = sizeof(params),
    .open = open_state,
    .probe = probe_of,
    .close = close_state,
    .explain = explain,
};
