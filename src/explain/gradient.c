#include "src/explain/gradient.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const mv_rules_words[] = {"gradient", "held", NULL};

mv_status mv_gradient_open(void **own, const void *params, const mv_config *config, int h, int w, mv_error *e)
{
    mv_cells *c = mv_cells_new("site", ((const mv_gradient_params *)params)->site, config, h, w, e);
    if (!c || mv_cells_differentiate(c, "site", e)) {
        mv_cells_free(c);
        return e->code;
    }
    *own = c;
    return MV_OK;
}

mv_status mv_gradient_open_input(void **own, const void *params, const mv_config *config, int h, int w, mv_error *e)
{
    (void)params;
    const mv_gradient_params input = {.site = "input"};
    return mv_gradient_open(own, &input, config, h, w, e);
}

mv_probe *mv_gradient_probe(void *own)
{
    return mv_cells_probe(own);
}

void mv_gradient_close(void *own)
{
    mv_cells_free(own);
}

mv_rules mv_gradient_rules(const void *params)
{
    return (mv_rules)((const mv_gradient_params *)params)->rules;
}

mv_status mv_flow_read(mv_flow *out, const mv_subject *s, mv_error *e)
{
    const mv_cells *c = s->own;
    *out = (mv_flow){.value = mv_cells_read(c, s->picture, e),
                     .cells = (size_t)mv_cells_height(c) * (size_t)mv_cells_width(c),
                     .channels = (size_t)mv_cells_channels(c)};
    if (out->value)
        out->grad = mv_cells_read_gradient(c, s->picture, s->pass, e);
    if (out->grad)
        return MV_OK;
    mv_flow_free(out);
    return e->code;
}

void mv_flow_free(mv_flow *f)
{
    free(f->value);
    free(f->grad);
    *f = (mv_flow){0};
}

double mv_flow_product(const mv_flow *f, size_t cell, bool positive)
{
    const float *value = f->value + cell * f->channels, *grad = f->grad + cell * f->channels;
    double sum = 0;
    for (size_t k = 0; k < f->channels; k++) {
        double g = (double)grad[k];
        sum += (positive ? fmax(g, 0) : g) * (double)value[k];
    }
    return sum;
}

void mv_gradient_unit(mv_map *map, const mv_subject *s, int cell)
{
    const char *of = s->target.probability ? "probability" : "logit";
    if (cell == 1)
        snprintf(map->unit, sizeof map->unit, "%s per pixel", of);
    else
        snprintf(map->unit, sizeof map->unit, "%s from a %d px cell", of, cell);
}

mv_status mv_gradient_map(mv_map *out, const mv_subject *s, const char *method, mv_error *e)
{
    if (mv_cells_map(out, s->own, method, e))
        return e->code;
    mv_subject_title(s, out);
    out->diverging = true;
    mv_gradient_unit(out, s, out->cell);
    return MV_OK;
}

void mv_gradient_sums(mv_map *map, const mv_subject *s, double sum, double expected)
{
    if (isfinite(sum))
        mv_map_figure(map, "sum", "sum", "", 3, sum);
    if (isfinite(expected))
        mv_map_figure(map, "expected", "expected", "", 3, expected);
    mv_map_figure(map,
                  s->target.probability ? "probability"
                  : s->target.n         ? "logit difference"
                                        : "logit",
                  "target", "", 3, s->value);
}

bool mv_gradient_is_cam(const mv_subject *s)
{
    const char *site = mv_cells_site(s->own);
    char last[40];
    snprintf(last, sizeof last, "levels.3.blocks.%d", s->model->config.depth[3] - 1);
    return strcmp(site, "norm") == 0 || strcmp(site, "levels.3") == 0 || strcmp(site, last) == 0;
}

void mv_gradient_say_cam(mv_map *map, const mv_subject *s)
{
    size_t used = strlen(map->proof);
    snprintf(map->proof + used, sizeof map->proof - used,
             "%sat %s the logit is linear: the exact CAM, up to a factor "
             "and the bias",
             used ? "; " : "", mv_cells_site(s->own));
}
