/* Grad-CAM and its family: maps from the values a and the gradients g of a site, with channels k and cells p:
 *
 *     Grad-CAM     sum_k mean_p(g_k) a_k(p)                        Selvaraju et al. 2017, arXiv 1610.02391
 *     Grad-CAM++   sum_k w_k a_k(p), w_k = sum_p max(g, 0) / (2 + S_k max(g, 0)), S_k = max(sum_p a_k, 0)
 *                                                                  Chattopadhay et al. 2018, arXiv 1710.11063, eq. 19
 *     HiResCAM     sum_k g_k(p) a_k(p)                             Draelos & Carin 2020, arXiv 2011.08891
 *     LayerCAM     sum_k max(g_k(p), 0) a_k(p)                     Jiang et al. 2021, TIP
 *     XGrad-CAM    sum_k w_k a_k(p), w_k = sum_p g a / sum_p a     Fu et al. 2020, arXiv 2008.02312
 *
 * Maps keep their sign: the papers' last step, max(map, 0), is one for drawing, and leaves nothing of a map that is
 * negative everywhere. Features here are signed, which the papers do not expect: S_k is cut at 0 as above, so that its
 * denominator stays positive, and where sum a_k is less than 1 % of sum |a_k| its quotient says nothing, and mean g
 * takes its place.
 */
#include <math.h>
#include <stdlib.h>

#include "src/explain/gradient.h"

/* weight (channels): what channel k is multiplied by in every cell */
typedef void weigh(double *weight, const mv_flow *f);

static void mean_gradient(double *weight, const mv_flow *f)
{
    for (size_t p = 0; p < f->cells; p++)
        for (size_t k = 0; k < f->channels; k++)
            weight[k] += (double)f->grad[p * f->channels + k] / (double)f->cells;
}

static void positive_gradient(double *weight, const mv_flow *f)
{
    for (size_t k = 0; k < f->channels; k++) {
        double sum = 0;
        for (size_t p = 0; p < f->cells; p++)
            sum += (double)f->value[p * f->channels + k];
        sum = fmax(sum, 0);
        for (size_t p = 0; p < f->cells; p++) {
            double up = fmax((double)f->grad[p * f->channels + k], 0);
            weight[k] += up / (2 + sum * up);
        }
    }
}

static void quotient(double *weight, const mv_flow *f)
{
    static const double least = 0.01;
    for (size_t k = 0; k < f->channels; k++) {
        double a = 0, size = 0, ga = 0, g = 0;
        for (size_t p = 0; p < f->cells; p++) {
            double value = (double)f->value[p * f->channels + k], grad = (double)f->grad[p * f->channels + k];
            a += value;
            size += fabs(value);
            ga += grad * value;
            g += grad;
        }
        weight[k] = size > 0 && fabs(a) >= least * size ? ga / a : g / (double)f->cells;
    }
}

/* Grad-CAM, Grad-CAM++ and XGrad-CAM: one weight for each channel. */
static mv_status weighted(mv_map *map, const mv_flow *f, weigh *weights, mv_error *e)
{
    double *weight = calloc(f->channels, sizeof *weight);
    if (!weight)
        return mv_fail_memory(e, map->method);
    weights(weight, f);
    for (size_t p = 0; p < f->cells; p++) {
        double sum = 0;
        for (size_t k = 0; k < f->channels; k++)
            sum += weight[k] * (double)f->value[p * f->channels + k];
        map->v[p] = (float)sum;
    }
    free(weight);
    return MV_OK;
}

/* HiResCAM; LayerCAM: only gradients that are positive. */
static void products(mv_map *map, const mv_flow *f, bool positive)
{
    for (size_t p = 0; p < f->cells; p++)
        map->v[p] = (float)mv_flow_product(f, p, positive);
}

static void finish(mv_map *map, const mv_subject *s, bool linear)
{
    double sum = 0;
    for (int p = 0; p < map->h * map->w; p++)
        sum += (double)map->v[p];
    mv_gradient_sums(map, s, sum, NAN);
    if (linear && mv_gradient_is_cam(s) && !s->target.probability)
        mv_gradient_say_cam(map, s);
    mv_map_range(map);
}

/* weights NULL: gradient times value, cell by cell */
static mv_status explain_by(const mv_subject *s, const char *method, weigh *weights, bool positive, mv_maps *out,
                            mv_error *e)
{
    mv_flow f;
    if (mv_flow_read(&f, s, e))
        return e->code;
    mv_map *map = mv_maps_add(out, e);
    mv_status status = map ? mv_gradient_map(map, s, method, e) : e->code;
    if (!status && weights)
        status = weighted(map, &f, weights, e);
    else if (!status)
        products(map, &f, positive);
    if (!status)
        finish(map, s, weights != positive_gradient && !positive);
    mv_flow_free(&f);
    return status;
}

static mv_status gradcam(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    return explain_by(s, "gradcam", mean_gradient, false, out, e);
}

static mv_status gradcam_pp(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    return explain_by(s, "gradcam++", positive_gradient, false, out, e);
}

static mv_status xgradcam(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    return explain_by(s, "xgradcam", quotient, false, out, e);
}

static mv_status hirescam(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    return explain_by(s, "hirescam", NULL, false, out, e);
}

static mv_status layercam(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    return explain_by(s, "layercam", NULL, true, out, e);
}

static const mv_param at_level_2[] = {
    MV_GRADIENT_SITE("levels.2"), MV_SHARED_RULES(offsetof(mv_gradient_params, rules)), {0}};
static const mv_param at_level_1[] = {
    MV_GRADIENT_SITE("levels.1"), MV_SHARED_RULES(offsetof(mv_gradient_params, rules)), {0}};

#define SHARED                                                                                                         \
    .cost = "one forward pass, and one backward pass to the site",                                                     \
    .takes = MV_TAKES_CLASS | MV_TAKES_AGAINST | MV_TAKES_GRADIENT, .size = sizeof(mv_gradient_params),                \
    .rules = mv_gradient_rules, .open = mv_gradient_open, .probe = mv_gradient_probe, .close = mv_gradient_close

const mv_method mv_method_gradcam = {
    .name = "gradcam",
    .title = "Grad-CAM",
    .summary = "the channels of a site, each weighted by the mean of its gradient",
    .source = "Selvaraju et al. 2017, arXiv 1610.02391",
    .measured = "deletion 0.28, insertion 0.65; beats random cells and the blob at both",
    .params = at_level_2,
    .explain = gradcam,
    SHARED,
};

const mv_method mv_method_gradcam_pp = {
    .name = "gradcam++",
    .title = "Grad-CAM++",
    .summary = "the channels of a site, each weighted by its positive gradients",
    .source = "Chattopadhay et al. 2018, arXiv 1710.11063",
    .measured = "deletion 0.30, insertion 0.65; beats random cells and the blob at both",
    .params = at_level_2,
    .explain = gradcam_pp,
    SHARED,
};

const mv_method mv_method_hirescam = {
    .name = "hirescam",
    .title = "HiResCAM",
    .summary = "the values of a site times their gradients, cell by cell",
    .source = "Draelos & Carin 2020, arXiv 2011.08891",
    .measured = "deletion 0.30, insertion 0.64; beats random cells and the blob at both",
    .params = at_level_1,
    .explain = hirescam,
    SHARED,
};

const mv_method mv_method_layercam = {
    .name = "layercam",
    .title = "LayerCAM",
    .summary = "the values of a site times their positive gradients, cell by cell",
    .source = "Jiang et al. 2021, IEEE TIP 30, 5875-5888",
    .measured = "deletion 0.31, insertion 0.63; beats random cells and the blob at both",
    .params = at_level_2,
    .explain = layercam,
    SHARED,
};

const mv_method mv_method_xgradcam = {
    .name = "xgradcam",
    .title = "XGrad-CAM",
    .summary = "the channels of a site, each weighted by its gradients times its share of the value",
    .source = "Fu et al. 2020, arXiv 2008.02312",
    .measured = "deletion 0.31, insertion 0.62; beats random cells and the blob at both",
    .params = at_level_2,
    .explain = xgradcam,
    SHARED,
};
