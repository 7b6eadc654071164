#include "src/explain/cam.h"

#include <stdio.h>
#include <stdlib.h>

mv_status mv_cam(mv_map *out, const mv_model *model, mv_tensor norm, int picture, int c, mv_error *e)
{
    int classes = model->config.classes, channels = model->config.dim << (MV_LEVELS - 1);
    *out = (mv_map){0};
    if (!model->head_weight || norm.type != MV_F32 || norm.nd != 4 || norm.dim[1] != channels || picture < 0 ||
        picture >= norm.dim[0]) {
        char shape[64];
        return mv_fail(e, MV_EMISUSE, "cam: picture %d of %s, expected one of Bx%dxHxW and a model with weights",
                       picture, mv_shape_text(shape, norm.nd, norm.dim), channels);
    }
    if (c < 0 || c >= classes)
        return mv_fail(e, MV_EINPUT, "class %d: the model has %d classes, expected 0 to %d", c, classes, classes - 1);

    size_t cells = (size_t)norm.dim[2] * (size_t)norm.dim[3];
    double *sum = malloc(cells * sizeof *sum);
    if (!sum)
        return mv_fail_memory(e, "cam");
    mv_status s = mv_map_new(out, norm.dim[2], norm.dim[3], e);
    if (!s) {
        const float *x = (const float *)norm.data + (size_t)picture * (size_t)channels * cells;
        const float *weight = model->head_weight + (size_t)c * (size_t)channels;
        for (size_t p = 0; p < cells; p++)
            sum[p] = (double)model->head_bias[c];
        for (int k = 0; k < channels; k++, x += cells)
            for (size_t p = 0; p < cells; p++)
                sum[p] += (double)weight[k] * (double)x[p];
        for (size_t p = 0; p < cells; p++)
            out->v[p] = (float)sum[p];
        out->diverging = true;
        snprintf(out->unit, sizeof out->unit, "logit per cell");
        mv_map_range(out);
    }
    free(sum);
    return s;
}
