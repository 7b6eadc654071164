/* RISE: the picture is seen through random masks, and a pixel is worth the mean probability of the class where it
 * shows:
 *
 *     S(p) = sum_i f_c(X . M_i) M_i(p) / (N keep)        f_c: softmax probability; hidden pixels get the mean colour, 0
 */
#include "src/explain/rise.h"

#include <stdio.h>
#include <stdlib.h>

#include "src/base/random.h"
#include "src/explain/method.h"
#include "src/explain/replies.h"

/* ---- masks */

mv_status mv_rise_new(mv_rise *m, int h, int w, int cells, double keep, uint64_t seed, mv_error *e)
{
    int down = (h + cells - 1) / cells, across = (w + cells - 1) / cells;
    *m = (mv_rise){h, w, cells, keep, seed, NULL};
    m->up = mv_upsample_new(cells, cells, (cells + 1) * down, (cells + 1) * across, e);
    return m->up ? MV_OK : e->code;
}

void mv_rise_free(mv_rise *m)
{
    mv_upsample_free(m->up);
    m->up = NULL;
}

void mv_rise_mask(const mv_rise *m, int i, float *out)
{
    float grid[MV_RISE_CELLS * MV_RISE_CELLS];
    uint64_t n = (uint64_t)m->cells * (uint64_t)m->cells, stream = (uint64_t)i;
    for (uint64_t k = 0; k < n; k++)
        grid[k] = mv_random_uniform(m->seed, stream, k) < m->keep;
    uint32_t down = (uint32_t)((m->h + m->cells - 1) / m->cells), across = (uint32_t)((m->w + m->cells - 1) / m->cells);
    int top = (int)mv_random_below(m->seed, stream, n, down),
        left = (int)mv_random_below(m->seed, stream, n + 1, across);
    mv_upsample_part(m->up, out, grid, top, left, m->h, m->w);
}

/* ---- the method */

typedef struct {
    int n, cells, seed;
    double keep;
} params;

#define AT(member) offsetof(params, member)
static const mv_param param[] = {{.name = "n",
                                  .kind = MV_PARAM_INTEGER,
                                  .offset = AT(n),
                                  .least = 1,
                                  .most = 1000000,
                                  .otherwise = "4000",
                                  .argument = "N",
                                  .help = "number of masks"},
                                 {.name = "seed",
                                  .kind = MV_PARAM_INTEGER,
                                  .offset = AT(seed),
                                  .most = 2147483647,
                                  .otherwise = "0",
                                  .argument = "N",
                                  .help = "which random masks: the same seed gives the same map"},
                                 {.name = "s",
                                  .kind = MV_PARAM_INTEGER,
                                  .offset = AT(cells),
                                  .least = 2,
                                  .most = MV_RISE_CELLS,
                                  .otherwise = "7",
                                  .argument = "N",
                                  .help = "cells of a mask in each direction"},
                                 {.name = "keep",
                                  .kind = MV_PARAM_NUMBER,
                                  .offset = AT(keep),
                                  .least = 0.01,
                                  .most = 0.99,
                                  .otherwise = "0.5",
                                  .argument = "SHARE",
                                  .help = "probability that a cell of a mask shows the picture"},
                                 {0}};

typedef struct {
    mv_rise masks;
    mv_replies replies;
    float *mask; /* (h, w) */
} state;

static void close_state(void *own)
{
    state *s = own;
    mv_rise_free(&s->masks);
    mv_replies_free(&s->replies);
    free(s->mask);
    free(s);
}

static mv_status open_state(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    (void)config;
    const params *o = p;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "rise");
    s->mask = malloc((size_t)h * (size_t)w * sizeof *s->mask);
    mv_status status =
        s->mask ? mv_rise_new(&s->masks, h, w, o->cells, o->keep, (uint64_t)o->seed, e) : mv_fail_memory(e, "rise");
    if (status) {
        close_state(s);
        return status;
    }
    *own = s;
    return MV_OK;
}

typedef struct {
    const mv_subject *s;
    state *own;
    double *sum;  /* (h, w): of f M */
    double total; /* of f */
} work;

static void make(void *context, int i, float *planes)
{
    const work *k = context;
    const float *mask = k->own->mask, *from = k->s->planes;
    size_t pixels = (size_t)k->s->h * (size_t)k->s->w;
    mv_rise_mask(&k->own->masks, i, k->own->mask);
    for (int c = 0; c < 3; c++)
        for (size_t p = 0; p < pixels; p++)
            *planes++ = *from++ * mask[p];
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    (void)e;
    work *k = context;
    double f = mv_probability_of(k->s, logits);
    size_t pixels = (size_t)k->s->h * (size_t)k->s->w;
    mv_rise_mask(&k->own->masks, i, k->own->mask); /* made again, rather than kept for all inputs of a batch */
    for (size_t p = 0; p < pixels; p++)
        k->sum[p] += f * (double)k->own->mask[p];
    k->total += f;
    return MV_OK;
}

/* The raw values are S. It is drawn less the mean over all masks, which tells what showing the pixel adds. */
static mv_status fill(const work *k, const params *o, mv_map *map, mv_error *e)
{
    size_t pixels = (size_t)map->h * (size_t)map->w;
    map->raw = malloc(pixels * sizeof *map->raw);
    if (!map->raw)
        return mv_fail_memory(e, "rise");
    for (size_t i = 0; i < pixels; i++) {
        double s = k->sum[i] / (o->n * o->keep);
        map->raw[i] = (float)s;
        map->v[i] = (float)(s - k->total / o->n);
    }
    map->diverging = true;
    map->method = "rise";
    map->cell = 1;
    mv_subject_title(k->s, map);
    snprintf(map->unit, sizeof map->unit, "probability, less the mean");
    snprintf(map->raw_unit, sizeof map->raw_unit, "probability");
    mv_map_figure(map, "masks", "masks", "", 0, o->n);
    mv_map_figure(map, "mean", "mean_probability", "", 3, k->total / o->n);
    mv_map_range(map);
    return MV_OK;
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    const params *o = p;
    work k = {s, s->own, calloc((size_t)s->h * (size_t)s->w, sizeof *k.sum), 0};
    mv_map *map = k.sum ? mv_maps_add(out, e) : NULL;
    mv_status status = map ? mv_map_new(map, s->h, s->w, e) : mv_fail_memory(e, "rise");
    if (!status)
        status = mv_replies_run(&k.own->replies, s, o->n, make, take, &k, e);
    if (!status)
        status = fill(&k, o, map, e);
    free(k.sum);
    return status;
}

const mv_method mv_method_rise = {
    .name = "rise",
    .title = "RISE",
    .summary = "the mean probability of the class over random masks that show the pixel, against that over all masks",
    .source = "Petsiuk, Das & Saenko 2018, arXiv 1806.07421",
    .cost = "a forward pass for each mask: 4000",
    .measured = "250 masks: deletion 0.35, insertion 0.64; beats random cells at both, the blob at insertion",
    .takes = MV_TAKES_CLASS | MV_TAKES_AGAINST | MV_TAKES_PASSES,
    .params = param,
    .size = sizeof(params),
    .open = open_state,
    .close = close_state,
    .explain = explain,
};
