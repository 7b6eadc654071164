/* Norms, windows of tokens, and the pooling before the head. */
#include "src/run/op_impl.h"
#include "src/run/tape_impl.h"

static const float norm_eps = 1e-5f;

static void layernorm_back(mv_run *r, const mv_node *n)
{
    const mv_vector *norm = n->w;
    mv_tensor dy = mv_grad_of(r, n->out);
    if (mv_tape_wants_bias(r, norm)) {
        mv_tensor zero = mv_tape_zeros(r, 2, norm->n), bias = mv_scratch_like(r, zero);
        if (mv_op_ready(r))
            MV_OP_RUN(r, layernorm, bias, zero, norm[0], norm[1], norm_eps);
        mv_tape_bias(r, norm, dy, bias);
    }
    mv_sum dx = mv_grad_sum(r, n->in[0]);
    if (mv_op_ready(r))
        MV_OP_RUN(r, layernorm_back, dx.out, dy, n->in[0], norm[0], norm_eps, mv_tape_held(r), dx.residual);
}

mv_tensor mv_layernorm(mv_run *r, mv_tensor x, const mv_vector norm[2])
{
    mv_tensor out = mv_op_columns(r, x, x.dim[x.nd - 1], r->b->act);
    if (mv_op_expect(r, norm[0].n == x.dim[x.nd - 1], "layernorm", x, out))
        MV_OP_RUN(r, layernorm, out, x, norm[0], norm[1], norm_eps);
    mv_node *n = mv_tape_add(r, layernorm_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x}, .out = out, .w = norm};
    return out;
}

/* What flows into the padding is dropped, because it is a constant: 0. */
static void split_back(mv_run *r, const mv_node *n)
{
    mv_tensor dx = mv_grad_sum(r, n->in[0]).out;
    if (mv_op_ready(r))
        MV_OP_RUN(r, merge, dx, mv_grad_of(r, n->out), n->n);
}

mv_tensor mv_split(mv_run *r, mv_tensor x, int window)
{
    int b = x.dim[0], h = x.dim[1], w = x.dim[2], c = x.dim[3];
    if (h == window && w == window)
        return mv_tensor_of(x.data, x.type, 3, b, h * w, c);
    int windows = ((h + window - 1) / window) * ((w + window - 1) / window);
    mv_tensor out = mv_scratch_new(r, x.type, 3, b * windows, window * window, c);
    if (mv_op_ready(r))
        MV_OP_RUN(r, split, out, x, window);
    mv_node *n = mv_tape_add(r, split_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x}, .out = out, .n = window};
    return out;
}

/* Nothing flows into what was cropped. */
static void merge_back(mv_run *r, const mv_node *n)
{
    mv_tensor dx = mv_grad_sum(r, n->in[0]).out;
    if (mv_op_ready(r))
        MV_OP_RUN(r, split, dx, mv_grad_of(r, n->out), n->n);
}

mv_tensor mv_merge(mv_run *r, mv_tensor x, int window, int h, int w)
{
    int c = x.dim[2];
    if (h == window && w == window)
        return mv_tensor_of(x.data, x.type, 4, x.dim[0], h, w, c);
    mv_tensor out = mv_scratch_new(r, x.type, 4, r->pictures, h, w, c);
    if (mv_op_ready(r))
        MV_OP_RUN(r, merge, out, x, window);
    mv_node *n = mv_tape_add(r, merge_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x}, .out = out, .n = window};
    return out;
}

/* Shows what the shift of the final batch norm holds, where dy is the gradient of its output. */
static void norm_bias(mv_run *r, const mv_node *n, mv_tensor dy)
{
    const mv_vector *shift = &r->model->norm_shift;
    if (!n->vector[0].n || !mv_tape_wants_bias(r, shift))
        return;
    mv_tensor zero = mv_tape_zeros(r, 4, shift->n), bias = mv_scratch_like(r, zero);
    if (mv_op_ready(r))
        MV_OP_RUN(r, affine, bias, zero, n->vector[0], n->vector[1]);
    mv_tape_bias(r, shift, dy, bias);
}

static void affine_back(mv_run *r, const mv_node *n)
{
    norm_bias(r, n, mv_grad_of(r, n->out));
    mv_tensor dx = mv_grad_sum(r, n->in[0]).out;
    if (mv_op_ready(r))
        MV_OP_RUN(r, affine, dx, mv_grad_of(r, n->out), n->vector[0], (mv_vector){0});
}

mv_tensor mv_affine(mv_run *r, mv_tensor x, mv_vector scale, mv_vector shift)
{
    mv_tensor out = mv_scratch_new(r, x.type, 4, x.dim[0], x.dim[1], x.dim[2], x.dim[3]);
    if (mv_op_expect(r, scale.n == x.dim[3] && shift.n == scale.n, "affine", x, out))
        MV_OP_RUN(r, affine, out, x, scale, shift);
    mv_node *n = mv_tape_add(r, affine_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x}, .out = out, .vector = {scale, shift}};
    return out;
}

static void mean_pool_back(mv_run *r, const mv_node *n)
{
    norm_bias(r, n, mv_grad_of(r, n->out));
    mv_tensor dx = mv_grad_sum(r, n->in[0]).out;
    if (mv_op_ready(r))
        MV_OP_RUN(r, mean_pool_back, dx, mv_grad_of(r, n->out), n->vector[0]);
}

mv_tensor mv_mean_pool(mv_run *r, mv_tensor x, mv_vector scale, mv_vector shift)
{
    mv_tensor out = mv_scratch_new(r, r->b->act, 2, x.dim[0], x.dim[3]);
    if (mv_op_ready(r))
        MV_OP_RUN(r, mean_pool, out, x, scale, shift);
    mv_node *n = mv_tape_add(r, mean_pool_back, out);
    if (n)
        *n = (mv_node){.back = n->back, .in = {x}, .out = out, .vector = {scale, shift}};
    return out;
}

mv_tensor mv_dot(mv_run *r, mv_tensor x, mv_tensor y, bool positive)
{
    mv_tensor out = x;
    out.type = MV_F32;
    out.nd--;
    out = mv_scratch_like(r, out);
    if (mv_op_expect(r, x.nd > 1 && (mv_tensor_same_shape(x, y) || mv_tensor_count(y) == (size_t)x.dim[x.nd - 1]),
                     "dot", x, y))
        MV_OP_RUN(r, dot, out, x, y, positive);
    return out;
}
