/* The gradients of the GPU device's operations, except convolutions (convolution_back.cu): backend.h on top of the
 * kernels and the libraries.
 *
 *   operation     computed by
 *   linear_back   a product with the weights as they lie, residual included. fp32 gradients of a 16-bit device are
 *                 rounded first. There is none for fp8 weights
 *   the rest      own kernels: see the tables at the head of rows_back.cu, conv1d_back.cu, scan_back.cu and
 *                 attention_back.cu
 */
#include "cuda/gpu.h"

namespace mv
{

namespace
{

mv_status device_copy(mv_backend *b, mv_tensor out, mv_tensor x, mv_error *e)
{
    return library_across(device_of(b)->lib, out.data, x.data, mv_tensor_bytes(x), e);
}

/* ---- rows */

mv_status device_dot(mv_backend *b, mv_tensor out, mv_tensor x, mv_tensor y, bool positive, mv_error *e)
{
    device *d = device_of(b);
    const bool one = mv_tensor_count(y) < mv_tensor_count(x);
    launch_dot(
        {x.type, y.type, static_cast<float *>(out.data), x.data, y.data, one, positive, rows_in(x), x.dim[x.nd - 1]},
        d->stream);
    return launched(d, "dot", e);
}

mv_status device_activate(mv_backend *b, mv_tensor out, mv_tensor x, mv_act act, mv_error *e)
{
    device *d = device_of(b);
    launch_rows(
        {out.type, x.type, out.type, out.data, x.data, nullptr, nullptr, nullptr, act, rows_in(x), x.dim[x.nd - 1]},
        d->stream);
    return launched(d, "activate", e);
}

mv_status device_activate_back(mv_backend *b, mv_tensor dx, mv_tensor dy, mv_tensor x, mv_act act, bool held,
                               mv_error *e)
{
    device *d = device_of(b);
    launch_activate_back(x.type, dx.data, dy.data, x.data, act, held, mv_tensor_count(x), d->stream);
    return launched(d, "activate_back", e);
}

mv_status device_layernorm_back(mv_backend *b, mv_tensor dx, mv_tensor dy, mv_tensor x, mv_vector weight, float eps,
                                bool held, mv_tensor residual, mv_error *e)
{
    device *d = device_of(b);
    launch_layernorm_back({x.type, dx.data, dy.data, x.data, residual.nd ? residual.data : nullptr, weight.data, eps,
                           held, static_cast<int>(rows_in(x)), x.dim[x.nd - 1]},
                          d->stream);
    return launched(d, "layernorm_back", e);
}

mv_status device_mean_pool_back(mv_backend *b, mv_tensor dx, mv_tensor dy, mv_vector scale, mv_error *e)
{
    device *d = device_of(b);
    launch_mean_pool_back(dx.type, dx.data, dy.data, scale.data, dx.dim[0], dx.dim[1] * dx.dim[2], dx.dim[3],
                          d->stream);
    return launched(d, "mean_pool_back", e);
}

/* ---- products */

mv_status device_linear_back(mv_backend *b, mv_tensor dx, mv_tensor dy, const mv_dense *w, mv_tensor residual,
                             mv_error *e)
{
    device *d = device_of(b);
    const dense_weights *own = static_cast<const dense_weights *>(w->w);
    const mv_dtype act = d->base.act;
    const void *from = dy.data;
    if (own->scale)
        return mv_fail(e, MV_EDEVICE, "%s: found fp8 weights, which gradients do not go through; use -p fp16", d->name);
    if (dy.type != act) {
        void *narrow = device_scratch(d, mv_tensor_count(dy) * mv_dtype_size(act), e);
        if (!narrow)
            return MV_ENOMEM;
        launch_rows({act, dy.type, act, narrow, dy.data, nullptr, nullptr, nullptr, MV_ACT_NONE, rows_in(dy), w->out},
                    d->stream);
        mv_status s = launched(d, "linear_back", e);
        if (s)
            return s;
        from = narrow;
    }
    product p = {
        act,     act,        rows_in(dy), w->in, w->out, from, own->w, nullptr, residual.nd ? residual.data : nullptr,
        dx.data, MV_ACT_NONE};
    p.turned = true;
    return library_product(d->lib, p, e);
}

/* ---- tokens */

mv_status device_conv1d_silu_back(mv_backend *b, mv_tensor dxz, mv_tensor dx, mv_tensor dyz, mv_tensor xz, mv_vector wx,
                                  mv_vector wz, bool held, mv_error *e)
{
    device *d = device_of(b);
    launch_conv1d_silu_back(
        {xz.type, dxz.data, dx.data, dyz.data, xz.data, wx.data, wz.data, held, dx.dim[0], dx.dim[1], dx.dim[2]},
        d->stream);
    return launched(d, "conv1d_silu_back", e);
}

mv_status device_step_back(mv_backend *b, mv_tensor dproj, mv_tensor ddt, mv_tensor dt, const mv_ssm *w, mv_error *e)
{
    device *d = device_of(b);
    launch_step_back({dproj.type, dproj.data, static_cast<const float *>(ddt.data), static_cast<const float *>(dt.data),
                      w->dt_weight.data, rows_in(dt), w->channels, w->rank},
                     d->stream);
    return launched(d, "step_back", e);
}

template <class T> T *data_of(mv_tensor t)
{
    return t.nd ? static_cast<T *>(t.data) : nullptr;
}

mv_status device_scan_back(mv_backend *b, mv_tensor dx, mv_tensor dproj, mv_tensor ddt, mv_tensor dh, mv_tensor dyz,
                           mv_tensor x, mv_tensor proj, mv_tensor dt, mv_tensor h, const mv_ssm *w, mv_error *e)
{
    device *d = device_of(b);
    scan_back_job j = {};
    j.type = dx.type;
    j.dx = dx.data;
    j.dproj = data_of<void>(dproj);
    j.ddt = data_of<float>(ddt);
    j.dh = data_of<float>(dh);
    j.dyz = dyz.data;
    j.x = data_of<void>(x);
    j.proj = proj.data;
    j.dt = static_cast<const float *>(dt.data);
    j.h = data_of<float>(h);
    j.A = w->A.data;
    j.D = w->D.data;
    j.windows = dx.dim[0];
    j.tokens = dx.dim[1];
    j.channels = w->channels;
    j.rank = w->rank;
    const size_t bytes = scan_back_scratch(j);
    float *scratch = bytes ? static_cast<float *>(device_scratch(d, bytes, e)) : nullptr;
    if (bytes && !scratch)
        return MV_ENOMEM;
    launch_scan_back(j, scratch, d->stream);
    return launched(d, "scan_back", e);
}

mv_status device_attention_back(mv_backend *b, mv_tensor dqkv, mv_tensor drows, mv_tensor dout, mv_tensor qkv,
                                int heads, bool held, mv_tensor work, mv_error *e)
{
    device *d = device_of(b);
    attention_back_job j = {};
    j.type = qkv.type;
    j.dqkv = dqkv.data;
    j.drows = data_of<float>(drows);
    j.work = static_cast<float *>(work.data);
    j.dout = dout.data;
    j.qkv = qkv.data;
    j.windows = dout.dim[0];
    j.tokens = dout.dim[1];
    j.heads = heads;
    j.d = dout.dim[2] / heads;
    j.held = held;
    if (j.d > MOST_HEAD)
        return mv_fail(e, MV_EDEVICE, "%s: attention heads of %d values, expected at most %d; -d cpu has no such limit",
                       d->name, j.d, MOST_HEAD);
    launch_attention_back(j, d->stream);
    return launched(d, "attention_back", e);
}

}  // namespace

void device_offer_back(mv_backend *b)
{
    b->copy = device_copy;
    b->dot = device_dot;
    b->activate = device_activate;
    b->activate_back = device_activate_back;
    b->linear_back = device_linear_back;
    b->layernorm_back = device_layernorm_back;
    b->conv1d_silu_back = device_conv1d_silu_back;
    b->step_back = device_step_back;
    b->scan_back = device_scan_back;
    b->attention_back = device_attention_back;
    b->mean_pool_back = device_mean_pool_back;
}

}  // namespace mv
