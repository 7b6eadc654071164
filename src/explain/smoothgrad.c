/* SmoothGrad and VarGrad: the gradient of the picture x over n noisy copies of it,
 *
 *     g_i = d target / d input at x + s N_i,   s = spread (max x - min x),   N_i of the standard normal distribution
 *
 *     SmoothGrad   max over channels of |mean_i g_i|                          Smilkov et al. 2017, arXiv 1706.03825
 *     VarGrad      max over channels of  mean_i (g_i - mean_k g_k)^2          Adebayo et al. 2018, arXiv 1810.03292
 *
 * Maximum and minimum are over all values of the picture. The channels are joined as by saliency (Simonyan et al. 2013,
 * arXiv 1312.6034); both papers leave that to the drawing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "src/base/random.h"
#include "src/base/text.h"
#include "src/explain/gradient.h"
#include "src/explain/mean_gradient.h"

typedef struct {
    int n, seed, rules;
    double spread;
} params;

#define AT(member) offsetof(params, member)
#define DRAWS(fewest)                                                                                                  \
    {                                                                                                                  \
        .name = "n", .kind = MV_PARAM_INTEGER, .offset = AT(n), .least = fewest, .most = 100000, .otherwise = "50",    \
        .argument = "N", .help = "number of noisy copies"                                                              \
    }
#define SPREAD                                                                                                         \
    {                                                                                                                  \
        .name = "spread", .kind = MV_PARAM_NUMBER, .offset = AT(spread), .least = 0.0001, .most = 10,                  \
        .otherwise = "0.15", .argument = "SHARE",                                                                      \
        .help = "standard deviation of the noise, as a share of the range of the picture's values"                     \
    }
#define SEED                                                                                                           \
    {                                                                                                                  \
        .name = "seed", .kind = MV_PARAM_INTEGER, .offset = AT(seed), .most = 2147483647, .otherwise = "0",            \
        .argument = "N", .help = "which noise: the same seed gives the same map"                                       \
    }
static const mv_param smoothgrad_param[] = {DRAWS(1), SPREAD, SEED, MV_SHARED_RULES(AT(rules)), {0}};
static const mv_param vargrad_param[] = {DRAWS(2), SPREAD, SEED, MV_SHARED_RULES(AT(rules)), {0}};

static mv_rules rules_of(const void *p)
{
    return (mv_rules)((const params *)p)->rules;
}

static mv_status open_smoothgrad(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    (void)p, (void)config;
    *own = mv_mean_gradient_new(h, w, false, e);
    return *own ? MV_OK : e->code;
}

static mv_status open_vargrad(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    (void)p, (void)config;
    *own = mv_mean_gradient_new(h, w, true, e);
    return *own ? MV_OK : e->code;
}

static void close_own(void *own)
{
    mv_mean_gradient_free(own);
}

/* ---- noise */

typedef struct {
    const mv_subject *s;
    uint64_t seed;
    double deviation; /* of the noise */
} noise;

/* In [0, 1), in steps of 2^-24. */
static double next_uniform(uint64_t *state)
{
    return (double)(mv_random_next(state) >> 40) / 16777216;
}

/* The two streams of a draw depend on its number and the seed only. */
static void make(void *context, int i, float *planes)
{
    const noise *k = context;
    size_t n = (size_t)3 * (size_t)k->s->h * (size_t)k->s->w;
    uint64_t state[2];
    for (int j = 0; j < 2; j++) {
        char name[32];
        snprintf(name, sizeof name, "smoothgrad.%d.%c", i, 'a' + j);
        state[j] = mv_text_hash(name) + k->seed;
    }
    for (size_t p = 0; p < n; p++) {
        double u = 1 - next_uniform(&state[0]), v = next_uniform(&state[1]);
        planes[p] = (float)((double)k->s->planes[p] + k->deviation * mv_random_normal(u, v));
    }
}

static double range_of(const mv_subject *s)
{
    size_t n = (size_t)3 * (size_t)s->h * (size_t)s->w;
    double lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        lo = fmin(lo, (double)s->planes[i]);
        hi = fmax(hi, (double)s->planes[i]);
    }
    return hi - lo;
}

/* ---- the maps */

static mv_status run(const mv_subject *s, const params *o, double deviation, mv_error *e)
{
    noise k = {s, (uint64_t)o->seed, deviation};
    double *weight = malloc((size_t)o->n * sizeof *weight);
    if (!weight)
        return mv_fail_memory(e, "noise");
    for (int i = 0; i < o->n; i++)
        weight[i] = 1;
    mv_mean_inputs in = {.n = o->n, .make = make, .weight = weight, .context = &k};
    mv_status status = mv_mean_gradient_run(s->own, s, &in, e);
    free(weight);
    return status;
}

/* The largest of the three channels of a pixel; returns their sum over the pixels. */
static double join_channels(mv_map *map, const double *of)
{
    size_t pixels = (size_t)map->h * (size_t)map->w;
    double sum = 0;
    for (size_t i = 0; i < pixels; i++) {
        double most = fmax(fmax(fabs(of[i]), fabs(of[pixels + i])), fabs(of[2 * pixels + i]));
        map->v[i] = (float)most;
        sum += most;
    }
    return sum;
}

static mv_status explain(const mv_subject *s, const params *o, bool variance, mv_maps *out, mv_error *e)
{
    double deviation = o->spread * range_of(s);
    mv_map *map = mv_maps_add(out, e);
    mv_status status = map ? mv_map_new(map, s->h, s->w, e) : e->code;
    if (!status)
        status = run(s, o, deviation, e);
    if (status)
        return status;
    double sum = join_channels(map, variance ? mv_mean_gradient_variance(s->own, s) : mv_mean_gradient_mean(s->own, s));
    map->method = variance ? "vargrad" : "smoothgrad";
    map->cell = 1;
    mv_subject_title(s, map);
    snprintf(map->unit, sizeof map->unit, variance ? "variance of d%s" : "|d%s| per unit",
             s->target.probability ? "probability" : "logit");
    mv_gradient_sums(map, s, sum, NAN);
    mv_map_figure(map, "noise", "noise", "", 3, deviation);
    mv_map_figure(map, "passes", "passes", "", 0, o->n);
    mv_map_range(map);
    return MV_OK;
}

static mv_status smoothgrad(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    return explain(s, p, false, out, e);
}

static mv_status vargrad(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    return explain(s, p, true, out, e);
}

#define SHARED                                                                                                         \
    .cost = "a forward and a backward pass for each noisy copy: 50",                                                   \
    .takes = MV_TAKES_CLASS | MV_TAKES_AGAINST | MV_TAKES_PASSES | MV_TAKES_GRADIENT, .size = sizeof(params),          \
    .rules = rules_of, .close = close_own

const mv_method mv_method_smoothgrad = {
    .name = "smoothgrad",
    .title = "SmoothGrad",
    .summary = "the size of the gradient at each pixel, averaged over noisy copies of the picture",
    .source = "Smilkov et al. 2017, arXiv 1706.03825",
    .measured = "10 copies: deletion 0.33, insertion 0.60; beats random cells at both, the blob at neither",
    .params = smoothgrad_param,
    .open = open_smoothgrad,
    .explain = smoothgrad,
    SHARED,
};

const mv_method mv_method_vargrad = {
    .name = "vargrad",
    .title = "VarGrad",
    .summary = "the variance of the gradient at each pixel over noisy copies of the picture",
    .source = "Adebayo et al. 2018, arXiv 1810.03292",
    .measured = "10 copies: deletion 0.34, insertion 0.60; beats random cells at both, the blob at neither",
    .params = vargrad_param,
    .open = open_vargrad,
    .explain = vargrad,
    SHARED,
};
