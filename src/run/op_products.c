/* Convolutions and linear layers. */
#include "src/run/op_impl.h"

static const mv_tensor none;

mv_tensor mv_picture(mv_run *r)
{
    mv_tensor out = mv_scratch_new(r, r->b->act, 4, r->pictures, r->h, r->w, 3);
    if (mv_op_ready(r))
        MV_OP_RUN(r, picture, out, r->pixels, r->table);
    return out;
}

static void count_conv(mv_run *r, mv_tensor out, const mv_conv *w)
{
    r->costs.macs[r->part] += mv_op_rows(out) * (uint64_t)mv_conv_macs(w);
}

mv_tensor mv_conv2d(mv_run *r, mv_tensor x, const mv_conv *w, mv_act act)
{
    int s = w->stride;
    mv_tensor out = mv_scratch_new(r, r->b->act, 4, x.dim[0], (x.dim[1] + s - 1) / s, (x.dim[2] + s - 1) / s, w->out);
    if (mv_op_expect(r, x.nd == 4 && x.dim[3] == w->in, "conv2d", x, out)) {
        MV_OP_RUN(r, conv2d, out, x, w, act, none);
        count_conv(r, out, w);
    }
    return out;
}

mv_tensor mv_stem(mv_run *r, const mv_conv *w, mv_act act)
{
    mv_tensor out = mv_scratch_new(r, r->b->act, 4, r->pictures, (r->h + 1) / 2, (r->w + 1) / 2, w->out);
    if (mv_op_expect(r, w->in == 3 && w->stride == 2, "stem", r->pixels, out)) {
        MV_OP_RUN(r, stem, out, r->pixels, r->table, w, act);
        count_conv(r, out, w);
    }
    return out;
}

void mv_conv2d_onto(mv_run *r, mv_tensor x, mv_tensor y, const mv_conv *w)
{
    if (!mv_op_expect(r, mv_tensor_same_shape(x, y) && y.dim[3] == w->in && w->in == w->out && w->stride == 1,
                      "conv2d_onto", x, y))
        return;
    MV_OP_RUN(r, conv2d, x, y, w, MV_ACT_NONE, x);
    count_conv(r, x, w);
}

static mv_tensor linear(mv_run *r, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act)
{
    if (mv_op_expect(r, x.dim[x.nd - 1] == w->in && out.dim[out.nd - 1] == w->out && mv_op_rows(x) == mv_op_rows(out),
                     "linear", x, out)) {
        MV_OP_RUN(r, linear, out, x, w, act, (mv_vector){0}, none);
        r->costs.macs[r->part] += mv_op_rows(x) * (uint64_t)mv_dense_macs(w);
    }
    return out;
}

mv_tensor mv_linear(mv_run *r, mv_tensor x, const mv_dense *w, mv_act act, mv_dtype type)
{
    return linear(r, mv_op_columns(r, x, w->out, type), x, w, act);
}

mv_tensor mv_linear_into(mv_run *r, mv_tensor out, mv_tensor x, const mv_dense *w)
{
    return linear(r, out.nd ? out : mv_op_columns(r, x, w->out, MV_F32), x, w, MV_ACT_NONE);
}

void mv_linear_onto(mv_run *r, mv_tensor x, mv_tensor y, const mv_dense *w, mv_vector gamma)
{
    if (!mv_op_expect(r, y.dim[y.nd - 1] == w->in && x.dim[x.nd - 1] == w->out && mv_op_rows(x) == mv_op_rows(y),
                      "linear_onto", x, y))
        return;
    MV_OP_RUN(r, linear, x, y, w, MV_ACT_NONE, gamma, x);
    r->costs.macs[r->part] += mv_op_rows(y) * (uint64_t)mv_dense_macs(w);
}

void mv_add_onto(mv_run *r, mv_tensor x, mv_tensor y, mv_vector gamma)
{
    if (mv_op_expect(r, mv_tensor_same_shape(x, y), "add", x, y))
        MV_OP_RUN(r, add, x, y, gamma, x);
}
