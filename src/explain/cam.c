/* The exact class activation map (Zhou et al. 2016, arXiv 1512.04150). The network ends with a batch norm, the mean
 * over space and a linear layer. All of them are affine, so a logit is the mean of what each cell contributes to its
 * class, without a gradient and without an approximation:
 *
 *     CAM_c(p) = sum_k W_ck norm_k(p) + b_c        logit_c = mean over p of CAM_c(p)
 *
 * All logits share an offset that does not change the softmax, and with it every cell of every map would look as if it
 * spoke for its class. A map is therefore drawn less the mean of the maps of all classes; its raw values are CAM_c.
 */
#include "src/explain/cam.h"

#include <stdio.h>
#include <stdlib.h>

#include "src/base/number.h"
#include "src/explain/method.h"

static mv_status check(const mv_model *model, mv_tensor norm, int picture, mv_error *e)
{
    int channels = model->config.dim << (MV_LEVELS - 1);
    if (model->head_weight && norm.type == MV_F32 && norm.nd == 4 && norm.dim[1] == channels && picture >= 0 &&
        picture < norm.dim[0])
        return MV_OK;
    char shape[64];
    return mv_fail(e, MV_EMISUSE, "cam: found picture %d of %s, expected one of Bx%dxHxW and a model with weights",
                   picture, mv_shape_text(shape, norm.nd, norm.dim), channels);
}

/* The map of one row of the head. */
static mv_status make(mv_map *out, mv_tensor norm, int picture, const double *weight, double bias, mv_error *e)
{
    size_t cells = (size_t)norm.dim[2] * (size_t)norm.dim[3], channels = (size_t)norm.dim[1];
    double *sum = malloc(cells * sizeof *sum);
    if (!sum)
        return mv_fail_memory(e, "cam");
    mv_status s = mv_map_new(out, norm.dim[2], norm.dim[3], e);
    if (!s) {
        const float *x = (const float *)norm.data + (size_t)picture * channels * cells;
        for (size_t p = 0; p < cells; p++)
            sum[p] = bias;
        for (size_t k = 0; k < channels; k++, x += cells)
            for (size_t p = 0; p < cells; p++)
                sum[p] += weight[k] * (double)x[p];
        for (size_t p = 0; p < cells; p++)
            out->v[p] = (float)sum[p];
        out->diverging = true;
        out->method = "cam";
        out->level = MV_LEVELS - 1;
        out->cell = 4 << (MV_LEVELS - 1);
        snprintf(out->unit, sizeof out->unit, "logit per cell");
        mv_map_range(out);
    }
    free(sum);
    return s;
}

/* The mean of rows first .. last - 1 of the head. */
static mv_status make_mean(mv_map *out, const mv_model *model, mv_tensor norm, int picture, int first, int last,
                           mv_error *e)
{
    size_t channels = (size_t)norm.dim[1];
    double *weight = malloc((channels + 1) * sizeof *weight);
    if (!weight)
        return mv_fail_memory(e, "cam");
    mv_model_head_mean(weight, model, first, last);
    mv_status s = make(out, norm, picture, weight, weight[channels], e);
    free(weight);
    return s;
}

mv_status mv_cam(mv_map *out, const mv_model *model, mv_tensor norm, int picture, int c, mv_error *e)
{
    int classes = model->config.classes;
    *out = (mv_map){0};
    mv_status s = check(model, norm, picture, e);
    if (s)
        return s;
    if (c < 0 || c >= classes)
        return mv_fail(e, MV_EINPUT, "class %d: the model has %d classes, expected 0 to %d", c, classes, classes - 1);
    s = make_mean(out, model, norm, picture, c, c + 1, e);
    out->class_ = c;
    return s;
}

/* The mean of the evidence for all classes. Logits share an offset, so a map less this one shows what speaks for its
 * class and not for any other. */
static mv_status mean_of_all(mv_map *out, const mv_model *model, mv_tensor norm, int picture, mv_error *e)
{
    *out = (mv_map){0};
    mv_status s = check(model, norm, picture, e);
    return s ? s : make_mean(out, model, norm, picture, 0, model->config.classes, e);
}

/* ---- the method */

typedef struct {
    bool relative;
} params;

static const mv_param param[] = {{.name = "relative",
                                  .kind = MV_PARAM_FLAG,
                                  .offset = offsetof(params, relative),
                                  .help = "the numbers too are less the mean of all classes"},
                                 {0}};

static void prove(mv_map *map, const char *what, double expected)
{
    char mean[32], value[32], cells[48];
    snprintf(map->proof, sizeof map->proof, "mean of %s  %s  =  %s  %s", mv_count_text(cells, map->h * map->w, "cell"),
             mv_number_text(mean, mv_map_mean(map), 3, true), what, mv_number_text(value, expected, 3, true));
}

static double mean_logit(const mv_subject *s)
{
    double sum = 0;
    for (int c = 0; c < s->model->config.classes; c++)
        sum += (double)s->logits[c];
    return sum / s->model->config.classes;
}

/* `numbers`: the raw values too are less the mean. A class alone has no mean to compare with. */
static mv_status explain_class(const mv_subject *s, mv_tensor norm, bool numbers, mv_map *out, mv_error *e)
{
    bool alone = s->model->config.classes < 2;
    mv_map mean = {0};
    mv_status status = mv_cam(out, s->model, norm, s->picture, s->class_, e);
    if (!status && !alone)
        status = mean_of_all(&mean, s->model, norm, s->picture, e);
    if (!status && !alone)
        status = mv_map_less_mean(out, &mean, e);
    mv_map_free(&mean);
    if (status)
        return status;
    if (numbers && !alone) {
        free(out->raw);
        out->raw = NULL;
        out->less_mean = false;
    }
    mv_subject_title(s, out);
    double logit = (double)s->logits[s->class_];
    if (alone)
        prove(out, "its logit", logit);
    else
        prove(out, "its logit less the mean logit", logit - mean_logit(s));
    return MV_OK;
}

static mv_status explain_difference(const mv_subject *s, mv_tensor norm, mv_map *out, mv_error *e)
{
    mv_map a = {0}, b = {0};
    mv_status status = mv_cam(&a, s->model, norm, s->picture, s->class_, e);
    if (!status)
        status = mv_cam(&b, s->model, norm, s->picture, s->against, e);
    if (!status)
        status = mv_map_subtract(out, &a, &b, e);
    mv_map_free(&a);
    mv_map_free(&b);
    if (status)
        return status;
    mv_subject_title(s, out);
    prove(out, "the margin", (double)s->logits[s->class_] - (double)s->logits[s->against]);
    return MV_OK;
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    const params *o = p;
    mv_tensor norm;
    mv_status status = mv_subject_value(s, "norm", &norm, e);
    if (status)
        return status;
    mv_map *map = mv_maps_add(out, e);
    if (!map)
        return MV_ENOMEM;
    bool relative = o && o->relative;
    if (s->against != MV_MAP_NONE && relative)
        return mv_fail(e, MV_EINPUT,
                       "cam: relative: has no effect on the difference of two classes, which both hold "
                       "the mean");
    if (s->against != MV_MAP_NONE)
        return explain_difference(s, norm, map, e);
    return explain_class(s, norm, relative, map, e);
}

const mv_method mv_method_cam = {
    .name = "cam",
    .title = "Exact class activation map",
    .summary = "what each cell contributes to the class; the mean over cells is the logit",
    .source = "Zhou et al. 2016, arXiv 1512.04150",
    .cost = "one forward pass",
    .measured = "deletion 0.30, insertion 0.64; beats random cells and the blob at both",
    .takes = MV_TAKES_CLASS | MV_TAKES_AGAINST,
    .keeps = "norm",
    .params = param,
    .size = sizeof(params),
    .explain = explain,
};
