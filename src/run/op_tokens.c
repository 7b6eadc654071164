/* Norms, windows of tokens, and the pooling before the head. */
#include "src/run/op_impl.h"

mv_tensor mv_layernorm(mv_run *r, mv_tensor x, const mv_vector norm[2])
{
    mv_tensor out = mv_op_columns(r, x, x.dim[x.nd - 1], r->b->act);
    if (mv_op_expect(r, norm[0].n == x.dim[x.nd - 1], "layernorm", x, out))
        MV_OP_RUN(r, layernorm, out, x, norm[0], norm[1], 1e-5f);
    return out;
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
    return out;
}

mv_tensor mv_merge(mv_run *r, mv_tensor x, int window, int h, int w)
{
    int c = x.dim[2];
    if (h == window && w == window)
        return mv_tensor_of(x.data, x.type, 4, x.dim[0], h, w, c);
    mv_tensor out = mv_scratch_new(r, x.type, 4, r->pictures, h, w, c);
    if (mv_op_ready(r))
        MV_OP_RUN(r, merge, out, x, window);
    return out;
}

mv_tensor mv_affine(mv_run *r, mv_tensor x, mv_vector scale, mv_vector shift)
{
    mv_tensor out = mv_scratch_new(r, x.type, 4, x.dim[0], x.dim[1], x.dim[2], x.dim[3]);
    if (mv_op_expect(r, scale.n == x.dim[3] && shift.n == scale.n, "affine", x, out))
        MV_OP_RUN(r, affine, out, x, scale, shift);
    return out;
}

mv_tensor mv_mean_pool(mv_run *r, mv_tensor x, mv_vector scale, mv_vector shift)
{
    mv_tensor out = mv_scratch_new(r, r->b->act, 2, x.dim[0], x.dim[3]);
    if (mv_op_ready(r))
        MV_OP_RUN(r, mean_pool, out, x, scale, shift);
    return out;
}
