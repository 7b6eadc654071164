/* Maps of the picture's own gradient dx, with channels k and pixels p:
 *
 *     saliency          max_k |dx_k(p)|           Simonyan et al. 2013, arXiv 1312.6034
 *     input x gradient  sum_k x_k(p) dx_k(p)      Shrikumar et al. 2016, arXiv 1605.01713
 *
 * x is normalised: 0 is the mean colour of the pictures that the network was trained on, so the second is nothing where
 * a pixel has that colour. Saliency has no sign, and is much the same for every class.
 */
#include <math.h>
#include <stdio.h>

#include "src/explain/gradient.h"

static double largest(const mv_flow *f, size_t pixel)
{
    double most = 0;
    for (size_t k = 0; k < f->channels; k++)
        most = fmax(most, fabs((double)f->grad[pixel * f->channels + k]));
    return most;
}

/* with_sign: input x gradient */
static mv_status explain(const mv_subject *s, const char *method, bool with_sign, mv_maps *out, mv_error *e)
{
    mv_flow f;
    if (mv_flow_read(&f, s, e))
        return e->code;
    mv_map *map = mv_maps_add(out, e);
    mv_status status = map ? mv_gradient_map(map, s, method, e) : e->code;
    double sum = 0;
    for (size_t p = 0; p < f.cells && !status; p++) {
        double pixel = with_sign ? mv_flow_product(&f, p, false) : largest(&f, p);
        map->v[p] = (float)pixel;
        sum += pixel;
    }
    mv_flow_free(&f);
    if (status)
        return status;
    map->diverging = with_sign;
    if (!with_sign)
        snprintf(map->unit, sizeof map->unit, "|d%s| per unit", s->target.probability ? "probability" : "logit");
    mv_gradient_sums(map, s, with_sign ? sum : (double)NAN, NAN);
    mv_map_range(map);
    return MV_OK;
}

static mv_status saliency(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    return explain(s, "saliency", false, out, e);
}

static mv_status input_x_gradient(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    return explain(s, "input-x-gradient", true, out, e);
}

static const mv_param param[] = {MV_SHARED_RULES(offsetof(mv_gradient_params, rules)), {0}};

#define SHARED                                                                                                         \
    .cost = "one forward pass, and one backward pass to the picture",                                                  \
    .takes = MV_TAKES_CLASS | MV_TAKES_AGAINST | MV_TAKES_GRADIENT, .params = param,                                   \
    .size = sizeof(mv_gradient_params), .rules = mv_gradient_rules, .open = mv_gradient_open_input,                    \
    .probe = mv_gradient_probe, .close = mv_gradient_close

const mv_method mv_method_saliency = {
    .name = "saliency",
    .title = "Saliency",
    .summary = "how much the logit changes with each pixel: the largest gradient of its channels, without sign",
    .source = "Simonyan et al. 2013, arXiv 1312.6034",
    .measured = "deletion 0.38, insertion 0.56; beats random cells at both, the blob at neither",
    .explain = saliency,
    SHARED,
};

const mv_method mv_method_input_x_gradient = {
    .name = "input-x-gradient",
    .title = "Input x gradient",
    .summary = "the values of each pixel times their gradients",
    .source = "Shrikumar et al. 2016, arXiv 1605.01713",
    .measured = "deletion 0.36, insertion 0.59; beats random cells at both, the blob at neither",
    .explain = input_x_gradient,
    SHARED,
};
