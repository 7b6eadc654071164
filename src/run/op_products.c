/* Convolutions and linear layers. */
#include "src/run/op_impl.h"
#include "src/run/tape_impl.h"

static const mv_tensor none;

mv_tensor mv_picture(mv_run *r)
{
    mv_tensor out = mv_scratch_new(r, r->b->act, 4, r->pictures, r->h, r->w, 3);
    if (mv_op_ready(r))
        MV_OP_RUN(r, picture, out, r->pixels, r->table);
    return out;
}

/* ---- convolutions */

static void count_conv(mv_run *r, mv_tensor out, const mv_conv *w)
{
    r->costs.macs[r->part] += mv_op_rows(out) * (uint64_t)mv_conv_macs(w);
}

/* Shows what the bias of a convolution holds. */
static void conv2d_bias(mv_run *r, const mv_conv *w, mv_tensor dy)
{
    if (!mv_tape_wants_bias(r, w))
        return;
    mv_tensor zero = mv_tape_zeros(r, 4, w->in), bias = mv_scratch_new(r, r->b->act, 4, 1, 1, 1, w->out);
    if (mv_op_ready(r))
        MV_OP_RUN(r, conv2d, bias, zero, w, MV_ACT_NONE, none);
    mv_tape_bias(r, w, dy, bias);
}

/* dx += conv^T (dy), where dy is read for the last time */
static void conv2d_back(mv_run *r, const mv_node *n)
{
    mv_tensor dy = mv_grad_of(r, n->out);
    if (n->act == MV_ACT_RELU)
        MV_OP_RUN(r, activate_back, dy, dy, n->out, n->act, mv_tape_held(r));
    conv2d_bias(r, n->w, dy);
    mv_sum dx = mv_grad_sum(r, n->in[0]);
    if (mv_op_ready(r))
        MV_OP_RUN(r, conv2d_back, dx.out, dy, n->w, dx.residual);
}

mv_tensor mv_conv2d(mv_run *r, mv_tensor x, const mv_conv *w, mv_act act)
{
    int s = w->stride;
    if (act == MV_ACT_GELU_TANH && mv_tape_on(r))
        return mv_activate(r, mv_conv2d(r, x, w, MV_ACT_NONE), act);
    mv_tensor out = mv_scratch_new(r, r->b->act, 4, x.dim[0], (x.dim[1] + s - 1) / s, (x.dim[2] + s - 1) / s, w->out);
    if (mv_op_expect(r, x.nd == 4 && x.dim[3] == w->in, "conv2d", x, out)) {
        MV_OP_RUN(r, conv2d, out, x, w, act, none);
        count_conv(r, out, w);
    }
    mv_node *n = mv_tape_add(r, conv2d_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x}, .out = out, .w = w, .act = act};
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

mv_tensor mv_conv2d_kept(mv_run *r, mv_tensor x, const mv_conv *w)
{
    mv_tensor out = {.type = r->b->act, .nd = 4, .dim = {x.dim[0], x.dim[1], x.dim[2], w->out}};
    bool first = mv_tape_keep(r, &out);
    if (mv_op_expect(r, x.nd == 4 && x.dim[3] == w->in && w->stride == 1, "conv2d", x, out) && first)
        MV_OP_RUN(r, conv2d, out, x, w, MV_ACT_NONE, none);
    count_conv(r, out, w);
    mv_node *n = mv_tape_add(r, conv2d_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x}, .out = out, .w = w};
    return out;
}

/* act(y), in memory that the caller frees after the next operation */
static mv_tensor acted(mv_run *r, mv_tensor y, mv_act act)
{
    if (act == MV_ACT_NONE)
        return y;
    mv_tensor out = mv_scratch_like(r, y);
    if (mv_op_ready(r))
        MV_OP_RUN(r, activate, out, y, act);
    return out;
}

/* Where the gradient of act(y) goes, on its way to y. */
static mv_sum acted_sum(mv_run *r, mv_tensor y, mv_act act)
{
    return act == MV_ACT_NONE ? mv_grad_sum(r, y) : (mv_sum){.out = mv_scratch_like(r, y)};
}

/* The gradient of act(y), which is in dy, goes on to y. */
static void acted_back(mv_run *r, mv_tensor y, mv_act act, mv_tensor dy)
{
    if (act == MV_ACT_NONE)
        return;
    if (mv_op_ready(r))
        MV_OP_RUN(r, activate_back, dy, dy, y, act, mv_tape_held(r));
    mv_grad_pass(r, y, dy);
}

static void conv2d_onto_back(mv_run *r, const mv_node *n)
{
    mv_tensor d = mv_grad_of(r, n->out);
    conv2d_bias(r, n->w, d);
    mv_sum dy = acted_sum(r, n->in[1], n->act);
    if (mv_op_ready(r))
        MV_OP_RUN(r, conv2d_back, dy.out, d, n->w, dy.residual);
    acted_back(r, n->in[1], n->act, dy.out);
    mv_grad_pass(r, n->in[0], d);
}

mv_tensor mv_conv2d_onto(mv_run *r, mv_tensor x, mv_tensor y, mv_act act, const mv_conv *w)
{
    mv_tensor out = mv_op_onto(r, x);
    size_t mark = r->used;
    if (!mv_op_expect(r, mv_tensor_same_shape(x, y) && y.dim[3] == w->in && w->in == w->out && w->stride == 1,
                      "conv2d_onto", x, y))
        return out;
    if (!mv_tape_skips(r)) {
        mv_tensor a = acted(r, y, act);
        if (mv_op_ready(r))
            MV_OP_RUN(r, conv2d, out, a, w, MV_ACT_NONE, x);
        r->used = mark;
    }
    count_conv(r, x, w);
    mv_node *n = mv_tape_add(r, conv2d_onto_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x, y}, .out = out, .w = w, .act = act};
    return out;
}

/* ---- linear layers */

/* Shows what the bias of a linear layer holds. */
static void linear_bias(mv_run *r, const mv_dense *w, mv_tensor dy)
{
    if (!mv_tape_wants_bias(r, w))
        return;
    mv_tensor zero = mv_tape_zeros(r, 2, w->in), bias = mv_scratch_new(r, dy.type, 2, 1, w->out);
    if (mv_op_ready(r))
        MV_OP_RUN(r, linear, bias, zero, w, MV_ACT_NONE, (mv_vector){0}, none);
    mv_tape_bias(r, w, dy, bias);
}

static void linear_back(mv_run *r, const mv_node *n)
{
    mv_tensor dy = mv_grad_of(r, n->out);
    linear_bias(r, n->w, dy);
    mv_sum dx = mv_grad_sum(r, n->in[0]);
    if (mv_op_ready(r))
        MV_OP_RUN(r, linear_back, dx.out, dy, n->w, dx.residual);
}

/* `compute` is false where `out` has its values already. */
static mv_tensor linear(mv_run *r, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act, bool compute)
{
    if (mv_op_expect(r, x.dim[x.nd - 1] == w->in && out.dim[out.nd - 1] == w->out && mv_op_rows(x) == mv_op_rows(out),
                     "linear", x, out) &&
        compute) {
        MV_OP_RUN(r, linear, out, x, w, act, (mv_vector){0}, none);
        r->costs.macs[r->part] += mv_op_rows(x) * (uint64_t)mv_dense_macs(w);
    }
    mv_node *n = mv_tape_add(r, linear_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x}, .out = out, .w = w};
    return out;
}

mv_tensor mv_linear(mv_run *r, mv_tensor x, const mv_dense *w, mv_act act, mv_dtype type)
{
    if (act != MV_ACT_NONE && mv_tape_on(r))
        return mv_activate(r, mv_linear(r, x, w, MV_ACT_NONE, type), act);
    return linear(r, mv_op_columns(r, x, w->out, type), x, w, act, true);
}

mv_tensor mv_linear_kept(mv_run *r, mv_tensor x, const mv_dense *w)
{
    mv_tensor out = {.type = x.type, .nd = 3, .dim = {x.dim[0], x.dim[1], w->out}};
    bool first = mv_tape_keep(r, &out);
    return linear(r, out, x, w, MV_ACT_NONE, first);
}

mv_tensor mv_linear_into(mv_run *r, mv_tensor out, mv_tensor x, const mv_dense *w)
{
    return linear(r, out.nd ? out : mv_op_columns(r, x, w->out, MV_F32), x, w, MV_ACT_NONE, true);
}

/* gamma * d, or d itself where there is no gamma */
static mv_tensor scaled(mv_run *r, mv_tensor d, mv_vector gamma)
{
    if (!gamma.n)
        return d;
    mv_tensor out = mv_scratch_like(r, d);
    if (mv_op_ready(r))
        MV_OP_RUN(r, affine, out, d, gamma, (mv_vector){0});
    return out;
}

static void linear_onto_back(mv_run *r, const mv_node *n)
{
    mv_tensor d = mv_grad_of(r, n->out), branch = scaled(r, d, n->vector[0]);
    linear_bias(r, n->w, branch);
    mv_sum dy = acted_sum(r, n->in[1], n->act);
    if (mv_op_ready(r))
        MV_OP_RUN(r, linear_back, dy.out, branch, n->w, dy.residual);
    acted_back(r, n->in[1], n->act, dy.out);
    mv_grad_pass(r, n->in[0], d);
}

mv_tensor mv_linear_onto(mv_run *r, mv_tensor x, mv_tensor y, mv_act act, const mv_dense *w, mv_vector gamma)
{
    mv_tensor out = mv_op_onto(r, x);
    size_t mark = r->used;
    if (!mv_op_expect(r, y.dim[y.nd - 1] == w->in && x.dim[x.nd - 1] == w->out && mv_op_rows(x) == mv_op_rows(y),
                      "linear_onto", x, y))
        return out;
    if (!mv_tape_skips(r)) {
        mv_tensor a = acted(r, y, act);
        if (mv_op_ready(r))
            MV_OP_RUN(r, linear, out, a, w, MV_ACT_NONE, gamma, x);
        r->used = mark;
    }
    r->costs.macs[r->part] += mv_op_rows(y) * (uint64_t)mv_dense_macs(w);
    mv_node *n = mv_tape_add(r, linear_onto_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x, y}, .out = out, .w = w, .vector = {gamma}, .act = act};
    return out;
}

static void add_onto_back(mv_run *r, const mv_node *n)
{
    mv_tensor d = mv_grad_of(r, n->out);
    mv_grad_set(r, n->in[1], scaled(r, d, n->vector[0]), !n->vector[0].n);
    mv_grad_pass(r, n->in[0], d);
}

mv_tensor mv_add_onto(mv_run *r, mv_tensor x, mv_tensor y, mv_vector gamma)
{
    mv_tensor out = mv_op_onto(r, x);
    if (mv_op_expect(r, mv_tensor_same_shape(x, y), "add", x, y) && !mv_tape_skips(r))
        MV_OP_RUN(r, add, out, y, gamma, x);
    mv_node *n = mv_tape_add(r, add_onto_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x, y}, .out = out, .vector = {gamma}};
    return out;
}

/* ---- activations */

static void activate_back(mv_run *r, const mv_node *n)
{
    mv_tensor d = mv_grad_of(r, n->out);
    MV_OP_RUN(r, activate_back, d, d, n->in[0], n->act, mv_tape_held(r));
    mv_grad_pass(r, n->in[0], d);
}

mv_tensor mv_activate(mv_run *r, mv_tensor x, mv_act act)
{
    mv_tensor out = mv_scratch_like(r, x);
    if (mv_op_ready(r) && !mv_tape_skips(r))
        MV_OP_RUN(r, activate, out, x, act);
    mv_node *n = mv_tape_add(r, activate_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x}, .out = out, .act = act};
    return out;
}
