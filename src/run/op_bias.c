/* What biases hold, on the way back (back.h). */
#include <stdio.h>
#include <stdlib.h>

#include "src/run/op_impl.h"
#include "src/run/tape_impl.h"

/* "bias.levels.2.blocks.0.mlp.fc1"; NULL for a layer without one. */
static const char *bias_name(const mv_run *r, const void *w, char text[96])
{
    char layer[64];
    const char *name = mv_layer_name(r->model, w, layer);
    snprintf(text, 96, "bias.%s", name ? name : "");
    return name ? text : NULL;
}

bool mv_tape_wants_bias(const mv_run *r, const void *w)
{
    char name[96];
    return mv_tape_shows_biases(r) && !r->error.code && bias_name(r, w, name) && mv_probes_want(r, name);
}

mv_tensor mv_tape_zeros_like(mv_run *r, mv_tensor like)
{
    mv_tensor t = mv_scratch_like(r, like);
    float *host = calloc(mv_tensor_count(t), sizeof *host);
    if (!host)
        mv_run_fail(r, MV_ENOMEM, "%s: out of memory", r->path);
    else
        mv_run_write(r, mv_view_of(t), host);
    free(host);
    return t;
}

mv_tensor mv_tape_zeros(mv_run *r, int nd, int channels)
{
    mv_tensor like = {.type = r->b->act, .nd = nd, .dim = {1, 1, 1, 1}};
    like.dim[nd - 1] = channels;
    return mv_tape_zeros_like(r, like);
}

void mv_tape_bias(mv_run *r, const void *w, mv_tensor dy, mv_tensor bias)
{
    char name[96];
    const mv_site_info site = {.name = bias_name(r, w, name),
                               .axes = dy.nd == 4   ? "BHW"
                                       : dy.nd == 3 ? "NT"
                                                    : "B",
                               .diagnostic = true};
    mv_tensor held = mv_dot(r, dy, bias, false);
    mv_tape_show_now(r, &site, mv_view_of(held));
}
