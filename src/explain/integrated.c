/* Integrated gradients (Sundararajan, Taly & Yan 2017, arXiv 1703.01365): the gradient of the picture x, integrated
 * along the line to it from a baseline x' in which there is nothing to see,
 *
 *     map = sum over channels of (x - x') integral from 0 to 1 of d target / d input at x' + t (x - x') dt
 *
 * by the nodes of Gauss and Legendre. Its sum over all pixels is f(x) - f(x'), f the target, but for the error of that
 * quadrature: the completeness gap, which every map states. The baseline is the mean colour, 0 in normalised space, or
 * the blurred picture.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/number.h"
#include "src/explain/blur.h"
#include "src/explain/gradient.h"
#include "src/explain/mean_gradient.h"

enum { MEAN, BLUR };
static const char *const baseline_words[] = {"mean", "blur", NULL};

typedef struct {
    int nodes, baseline, rules;
} params;

#define AT(member) offsetof(params, member)
static const mv_param param[] = {{.name = "nodes",
                                  .kind = MV_PARAM_INTEGER,
                                  .offset = AT(nodes),
                                  .least = 1,
                                  .most = 10000,
                                  .otherwise = "50",
                                  .argument = "N",
                                  .help = "steps from the baseline to the picture"},
                                 {.name = "baseline",
                                  .kind = MV_PARAM_WORD,
                                  .offset = AT(baseline),
                                  .words = baseline_words,
                                  .otherwise = "mean",
                                  .argument = "BASELINE",
                                  .help = "where the way begins: the mean colour, or the blurred picture"},
                                 MV_SHARED_RULES(AT(rules)),
                                 {0}};

/* Input 0 is the baseline itself, whose target is needed and whose gradient is not; then come the nodes. */
typedef struct {
    mv_mean_gradient *mean;
    float *base;           /* (3, h, w) */
    double *node, *weight; /* of inputs */
    const mv_subject *s;   /* that is explained */
} state;

static mv_rules rules_of(const void *p)
{
    return (mv_rules)((const params *)p)->rules;
}

/* ---- nodes */

/* The Legendre polynomial P_n at x, and its derivative, by the recurrence k P_k = (2k - 1) x P_k-1 - (k - 1) P_k-2. */
static double legendre(int n, double x, double *slope)
{
    double p = 1, before = 0;
    for (int k = 1; k <= n; k++) {
        double next = ((2 * k - 1) * x * p - (k - 1) * before) / k;
        before = p;
        p = next;
    }
    *slope = n * (before - x * p) / (1 - x * x);
    return p;
}

/* Nodes and weights on [0, 1]: the zeros x of P_n by Newton's method, weights 2 / ((1 - x^2) P_n'(x)^2), which sum to 2
 * on [-1, 1]. */
static void find_nodes(double *node, double *weight, int n)
{
    static const double pi = 3.141592653589793;
    for (int i = 0; i < n; i++) {
        double x = -cos(pi * (i + 0.75) / (n + 0.5)), slope;
        for (int times = 0; times < 10; times++) {
            double step = legendre(n, x, &slope) / slope;
            x -= step;
            if (fabs(step) < 1e-15)
                break;
        }
        legendre(n, x, &slope);
        node[i] = (x + 1) / 2;
        weight[i] = 1 / ((1 - x * x) * slope * slope);
    }
}

/* ---- the method's state */

static void close_state(void *own)
{
    state *s = own;
    mv_mean_gradient_free(s->mean);
    free(s->base);
    free(s->node);
    free(s->weight);
    free(s);
}

static mv_status open_state(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    (void)config;
    size_t inputs = (size_t)((const params *)p)->nodes + 1;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "integrated");
    s->base = calloc((size_t)3 * (size_t)h * (size_t)w, sizeof *s->base);
    s->node = calloc(inputs, sizeof *s->node);
    s->weight = calloc(inputs, sizeof *s->weight);
    s->mean = mv_mean_gradient_new(h, w, false, e);
    if (!s->base || !s->node || !s->weight || !s->mean) {
        close_state(s);
        return mv_fail_memory(e, "integrated");
    }
    find_nodes(s->node + 1, s->weight + 1, (int)inputs - 1);
    *own = s;
    return MV_OK;
}

/* ---- the map */

static void make(void *context, int i, float *planes)
{
    const state *own = context;
    const float *x = own->s->planes;
    size_t n = (size_t)3 * (size_t)own->s->h * (size_t)own->s->w;
    for (size_t p = 0; p < n; p++) {
        double from = (double)own->base[p];
        planes[p] = (float)(from + own->node[i] * ((double)x[p] - from));
    }
}

static mv_status run(state *own, const mv_subject *s, const params *o, mv_error *e)
{
    mv_mean_inputs in = {.n = o->nodes + 1, .make = make, .weight = own->weight, .context = own};
    if (o->baseline == BLUR && mv_blur(own->base, s->planes, s->h, s->w, e))
        return e->code;
    own->s = s;
    mv_status status = mv_mean_gradient_run(own->mean, s, &in, e);
    own->s = NULL;
    return status;
}

/* Returns the sum. */
static double integrate(mv_map *map, const state *own, const mv_subject *s)
{
    size_t pixels = (size_t)map->h * (size_t)map->w;
    const double *mean = mv_mean_gradient_mean(own->mean, s);
    double sum = 0;
    for (size_t i = 0; i < pixels; i++) {
        double value = 0;
        for (size_t at = i; at < 3 * pixels; at += pixels)
            value += ((double)s->planes[at] - (double)own->base[at]) * mean[at];
        map->v[i] = (float)value;
        sum += value;
    }
    return sum;
}

static void prove(mv_map *map, const params *o, double sum, double expected)
{
    static const double much = 0.05;
    double gap = sum - expected;
    char a[32], b[32], c[32], of[40] = "";
    if (expected != 0)
        snprintf(of, sizeof of, ", %.3g %% of it", 100 * fabs(gap / expected));
    snprintf(map->proof, sizeof map->proof, "sum of pixels  %s, expected  %s: gap  %s%s%s",
             mv_number_text(a, sum, 3, true), mv_number_text(b, expected, 3, true), mv_number_text(c, gap, 3, true), of,
             fabs(gap) <= much * fabs(expected) ? ""
             : o->rules == MV_RULES_HELD        ? "; the held gradient does not integrate to it"
                                                : "; above 5 %: take more nodes or another baseline");
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    const params *o = p;
    state *own = s->own;
    mv_map *map = mv_maps_add(out, e);
    mv_status status = map ? mv_map_new(map, s->h, s->w, e) : e->code;
    if (!status)
        status = run(own, s, o, e);
    if (status)
        return status;
    double sum = integrate(map, own, s), expected = s->value - mv_mean_gradient_target(own->mean, s, 0);
    map->diverging = true;
    map->method = "integrated";
    map->cell = 1;
    mv_subject_title(s, map);
    mv_gradient_unit(map, s, map->cell);
    mv_gradient_sums(map, s, sum, expected);
    mv_map_figure(map, "gap", "gap", "", 3, sum - expected);
    mv_map_figure(map, "passes", "passes", "", 0, o->nodes + 1);
    prove(map, o, sum, expected);
    mv_map_range(map);
    return MV_OK;
}

const mv_method mv_method_integrated = {
    .name = "integrated",
    .title = "Integrated gradients",
    .summary = "what each pixel adds to the logit on the way from a picture without content",
    .source = "Sundararajan, Taly & Yan 2017, arXiv 1703.01365",
    .measured = "10 nodes: deletion 0.30, insertion 0.67; beats random cells and the blob at both; better than cam",
    .cost = "a forward and a backward pass for each step: 50, and one for the baseline",
    .takes = MV_TAKES_CLASS | MV_TAKES_AGAINST | MV_TAKES_PASSES | MV_TAKES_GRADIENT,
    .params = param,
    .size = sizeof(params),
    .rules = rules_of,
    .open = open_state,
    .close = close_state,
    .explain = explain,
};
