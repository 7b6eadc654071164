/* The operations of the GPU device: backend.h on top of the kernels and the libraries.
 *
 *   operation   16 bits                                            fp32
 *   linear      one product: bias, tanh GELU, gamma folded into    a product, then one kernel for GELU (erf), gamma and
 *               a copy of the weights, residual added in place     residual, so that watching changes no bit
 *               with fp8, of large layers: a kernel makes
 *               E4M3 and a scale a row of x; then the same
 *   the rest    own kernels: see the tables at the head of rows.cu, move.cu, conv1d.cu, scan.cu, step.cu,
 *               attention_*.cu, contributions.cu and reduce.cu
 *
 * Scratch grows to what the first batch needs. Sums, statistics, softmax, states and steps are fp32.
 */
#include <cstring>

#include "cuda/gpu.h"

namespace mv
{

namespace
{

/* ---- products */

/* The weights with gamma folded in, computed by the first call; if the weights are fp8, only their scales. */
mv_status fold(device *d, dense_weights *w, const mv_dense *shape, mv_vector gamma, mv_error *e)
{
    if (w->gamma == gamma.data)
        return MV_OK;
    size_t values = static_cast<size_t>(shape->in) * static_cast<size_t>(shape->out), each = mv_dtype_size(d->base.act);
    void **folded = w->scale ? reinterpret_cast<void **>(&w->folded_scale) : &w->folded;
    size_t bytes = w->scale ? static_cast<size_t>(shape->out) * sizeof(float) : values * each;
    if (!*folded && !(*folded = device_room(d, bytes, e)))
        return MV_ENOMEM;
    if (w->bias && !w->folded_bias && !(w->folded_bias = device_room(d, static_cast<size_t>(shape->out) * each, e)))
        return MV_ENOMEM;
    if (w->scale)
        launch_fold(MV_F32, *folded, w->scale, gamma.data, shape->out, 1, d->stream);
    else
        launch_fold(d->base.act, *folded, w->w, gamma.data, shape->out, shape->in, d->stream);
    if (w->bias)
        launch_fold(d->base.act, w->folded_bias, w->bias, gamma.data, shape->out, 1, d->stream);
    mv_status s = launched(d, "linear", e);
    if (!s)
        w->gamma = gamma.data;
    return s;
}

/* Memory that a product needs besides its operands, one behind the other in scratch. */
struct product_room {
    size_t narrow, scales, out; /* bytes: of x as E4M3, of its scales, of a result that is not the last */
};

/* Takes the scratch. Converts x for fp8 weights. */
mv_status prepare(device *d, product *p, const dense_weights *w, product_room room, mv_error *e)
{
    size_t bytes = room.narrow + room.scales + room.out;
    char *scratch = bytes ? static_cast<char *>(device_scratch(d, bytes, e)) : nullptr;
    if (bytes && !scratch)
        return MV_ENOMEM;
    if (room.out)
        p->out = scratch + room.narrow + room.scales;
    if (!w->scale)
        return MV_OK;
    float *scales = reinterpret_cast<float *>(scratch + room.narrow);
    launch_narrow(reinterpret_cast<unsigned char *>(scratch), scales, p->x, static_cast<int>(p->rows), p->k, d->stream);
    p->x = scratch;
    p->x_scale = scales;
    p->w_scale = w->scale;
    return launched(d, "linear", e);
}

mv_status device_linear(mv_backend *b, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act, mv_vector gamma,
                        mv_tensor residual, mv_error *e)
{
    device *d = device_of(b);
    dense_weights *own = static_cast<dense_weights *>(w->w);
    size_t rows = rows_in(x);
    bool narrow = d->base.act != MV_F32, wide = out.type != d->base.act, in_place = residual.data == out.data;
    product p = {d->base.act, out.type, rows,       w->out, w->in, x.data, own->w, wide ? own->bias_fp32 : own->bias,
                 nullptr,     out.data, MV_ACT_NONE};
    bool fused = narrow && !wide && (act == MV_ACT_NONE || (act == MV_ACT_GELU && !gamma.data && !residual.nd)) &&
                 (!residual.nd || in_place) && (!gamma.data || residual.nd);
    product_room room = {};
    if (own->scale)
        room = {rounded_up(rows * static_cast<size_t>(w->in), DEVICE_ALIGN),
                rounded_up(rows * sizeof(float), DEVICE_ALIGN), 0};
    if (residual.nd && !fused) /* the product goes to other memory, because out may be the residual */
        room.out = rows * static_cast<size_t>(w->out) * sizeof(float);
    mv_status s = prepare(d, &p, own, room, e);
    if (s)
        return s;
    if (fused) {
        if (gamma.data) {
            s = guarded(d, e, [&] { return fold(d, own, w, gamma, e); });
            if (s)
                return s;
            p.w = own->scale ? own->w : own->folded;
            p.w_scale = own->folded_scale;
            p.bias = own->folded_bias;
        }
        /* the tanh form differs from the erf form by 4.7e-4: less than 16 bits round */
        p.act = act == MV_ACT_GELU ? MV_ACT_GELU_TANH : act;
        p.residual = residual.nd ? out.data : nullptr;
        return library_product(d->lib, p, e);
    }
    bool after = act != MV_ACT_NONE || gamma.data || residual.nd, apart = own->scale && wide && own->bias;
    if (apart)
        p.bias = nullptr; /* the library has no fp32 bias for E4M3 */
    s = library_product(d->lib, p, e);
    if (apart && !s) {
        launch_rows({MV_F32, MV_F32, MV_F32, p.out, p.out, nullptr, nullptr, own->bias_fp32, MV_ACT_NONE, rows, w->out},
                    d->stream);
        s = launched(d, "linear", e);
    }
    if (s || !after)
        return s;
    launch_rows({out.type, out.type, residual.type, out.data, p.out, residual.nd ? residual.data : nullptr, gamma.data,
                 nullptr, act, rows, w->out},
                d->stream);
    return launched(d, "linear", e);
}

mv_status device_add(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector gamma, mv_tensor residual, mv_error *e)
{
    device *d = device_of(b);
    launch_rows({out.type, x.type, residual.type, out.data, x.data, residual.data, gamma.data, nullptr, MV_ACT_NONE,
                 rows_in(x), x.dim[x.nd - 1]},
                d->stream);
    return launched(d, "add", e);
}

mv_status device_affine(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *e)
{
    device *d = device_of(b);
    launch_rows({out.type, x.type, out.type, out.data, x.data, nullptr, scale.data, shift.data, MV_ACT_NONE, rows_in(x),
                 x.dim[x.nd - 1]},
                d->stream);
    return launched(d, "affine", e);
}

/* ---- tokens */

mv_status device_layernorm(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector weight, mv_vector bias, float eps,
                           mv_error *e)
{
    device *d = device_of(b);
    launch_layernorm(x.type, out.data, x.data, weight.data, bias.data, eps, static_cast<int>(rows_in(x)),
                     x.dim[x.nd - 1], d->stream);
    return launched(d, "layernorm", e);
}

mv_status device_conv1d_silu(mv_backend *b, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz,
                             mv_error *e)
{
    device *d = device_of(b);
    launch_conv1d_silu(x.type, x.data, yz.data, xz.data, wx.data, wz.data, x.dim[0], x.dim[1], x.dim[2], d->stream);
    return launched(d, "conv1d_silu", e);
}

scan_job job_of(const mv_ssm *w, mv_tensor proj)
{
    scan_job j = {};
    j.type = proj.type;
    j.proj = proj.data;
    j.dt_weight = w->dt_weight.data;
    j.dt_bias = w->dt_bias.data;
    j.A = w->A.data;
    j.D = w->D.data;
    j.windows = proj.dim[0];
    j.tokens = proj.dim[1];
    j.channels = w->channels;
    j.rank = w->rank;
    return j;
}

mv_status device_step(mv_backend *b, mv_tensor dt, mv_tensor proj, const mv_ssm *w, mv_error *e)
{
    device *d = device_of(b);
    launch_step(static_cast<float *>(dt.data), job_of(w, proj), d->stream);
    return launched(d, "step", e);
}

mv_status device_scan(mv_backend *b, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                      mv_tensor h, mv_error *e)
{
    device *d = device_of(b);
    scan_job j = job_of(w, proj);
    j.yz = yz.data;
    j.x = x.data;
    j.dt = dt.nd ? static_cast<const float *>(dt.data) : nullptr;
    j.h = h.nd ? static_cast<float *>(h.data) : nullptr;
    launch_scan(j, d->stream);
    return launched(d, "scan", e);
}

mv_status device_readout(mv_backend *b, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w,
                         mv_error *e)
{
    device *d = device_of(b);
    scan_job j = job_of(w, proj);
    j.yz = yz.data;
    j.x = x.data;
    j.h = static_cast<float *>(h.data);
    launch_readout(j, d->stream);
    return launched(d, "readout", e);
}

mv_status device_state_norm(mv_backend *b, mv_tensor out, mv_tensor h, mv_error *e)
{
    device *d = device_of(b);
    launch_state_norm(static_cast<float *>(out.data), static_cast<const float *>(h.data), h.dim[0] * h.dim[1], h.dim[2],
                      d->stream);
    return launched(d, "state_norm", e);
}

mv_status device_hidden(mv_backend *b, mv_tensor out, mv_tensor dt, mv_tensor proj, const mv_ssm *w, int channel,
                        bool with_sign, mv_error *e)
{
    device *d = device_of(b);
    scan_job j = job_of(w, proj);
    j.dt = static_cast<const float *>(dt.data);
    launch_hidden(static_cast<float *>(out.data), j, channel, with_sign, d->stream);
    return launched(d, "hidden", e);
}

mv_status device_half_life(mv_backend *b, mv_tensor out, mv_tensor dt, const mv_ssm *w, int channel, mv_error *e)
{
    device *d = device_of(b);
    launch_half_life(static_cast<float *>(out.data), static_cast<const float *>(dt.data), w->A.data,
                     dt.dim[0] * dt.dim[1], w->channels, channel, d->stream);
    return launched(d, "half_life", e);
}

mv_status device_spread(mv_backend *b, mv_tensor rows, mv_tensor xz, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                        mv_vector wx, mv_vector wz, int first, int queries, mv_error *e)
{
    device *d = device_of(b);
    launch_spread({rows.type, rows.data, xz.data, proj.data, static_cast<const float *>(dt.data), w->A.data, w->D.data,
                   wx.data, wz.data, xz.dim[0], xz.dim[1], w->channels, w->rank, first, queries, rows.dim[1]},
                  d->stream);
    return launched(d, "spread", e);
}

mv_status device_weigh(mv_backend *b, mv_tensor out, mv_tensor parts, mv_tensor vectors, int first, int queries,
                       mv_error *e)
{
    device *d = device_of(b);
    launch_weigh(static_cast<float *>(out.data), static_cast<float *>(parts.data),
                 static_cast<const float *>(vectors.data), out.dim[0], out.dim[1], vectors.dim[2], vectors.dim[1],
                 first, queries, d->stream);
    return launched(d, "weigh", e);
}

mv_status device_attention(mv_backend *b, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows, mv_error *e)
{
    device *d = device_of(b);
    attention_job j = {qkv.type,   out.data,   qkv.data, rows.nd ? static_cast<float *>(rows.data) : nullptr,
                       out.dim[0], out.dim[1], heads,    out.dim[2] / heads};
    if (j.d > MOST_HEAD)
        return mv_fail(e, MV_EDEVICE, "%s: attention heads of %d values, expected at most %d; -d cpu has no such limit",
                       d->name, j.d, MOST_HEAD);
    launch_attention(j, d->stream);
    return launched(d, "attention", e);
}

mv_status device_attend(mv_backend *b, mv_tensor out, mv_tensor rows, mv_tensor qkv, mv_error *e)
{
    device *d = device_of(b);
    int heads = rows.dim[1];
    launch_attend({qkv.type, out.data, qkv.data, static_cast<float *>(rows.data), out.dim[0], out.dim[1], heads,
                   out.dim[2] / heads},
                  d->stream);
    return launched(d, "attend", e);
}

/* ---- reductions of attention rows */

mv_status device_follow(mv_backend *b, mv_tensor to, mv_tensor rows, mv_tensor from, mv_rows_form form, mv_error *e)
{
    device *d = device_of(b);
    launch_follow(static_cast<float *>(to.data), static_cast<const float *>(rows.data),
                  static_cast<const float *>(from.data), rows.dim[0], rows.dim[1], from.dim[0], rows.dim[2], form,
                  d->stream);
    return launched(d, "follow", e);
}

mv_status device_roll(mv_backend *b, mv_tensor out, mv_tensor rows, mv_tensor before, mv_error *e)
{
    device *d = device_of(b);
    launch_roll(static_cast<float *>(out.data), static_cast<const float *>(rows.data),
                before.nd ? static_cast<const float *>(before.data) : nullptr, rows.dim[0], rows.dim[1], d->stream);
    return launched(d, "roll", e);
}

mv_status device_mean_heads(mv_backend *b, mv_tensor out, mv_tensor rows, mv_error *e)
{
    device *d = device_of(b);
    launch_mean_heads(static_cast<float *>(out.data), static_cast<const float *>(rows.data), rows.dim[0], rows.dim[1],
                      rows.dim[2], d->stream);
    return launched(d, "mean_heads", e);
}

mv_status device_measure(mv_backend *b, mv_tensor out, mv_tensor rows, int h, int w, mv_error *e)
{
    device *d = device_of(b);
    int side = 1;
    while (side * side < rows.dim[2])
        side++;
    launch_measure(static_cast<float *>(out.data), static_cast<const float *>(rows.data), rows.dim[0], rows.dim[1],
                   rows.dim[2], side, h, w, d->stream);
    return launched(d, "measure", e);
}

/* ---- windows and the head */

mv_status device_split(mv_backend *b, mv_tensor out, mv_tensor x, int window, mv_error *e)
{
    device *d = device_of(b);
    launch_windows(x.type, out.data, x.data, x.dim[0], x.dim[1], x.dim[2], x.dim[3], window, false, d->stream);
    return launched(d, "split", e);
}

mv_status device_merge(mv_backend *b, mv_tensor out, mv_tensor x, int window, mv_error *e)
{
    device *d = device_of(b);
    launch_windows(x.type, out.data, x.data, out.dim[0], out.dim[1], out.dim[2], out.dim[3], window, true, d->stream);
    return launched(d, "merge", e);
}

mv_status device_mean_pool(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *e)
{
    device *d = device_of(b);
    launch_mean_pool(x.type, out.data, x.data, scale.data, shift.data, x.dim[0], x.dim[1] * x.dim[2], x.dim[3],
                     d->stream);
    return launched(d, "mean_pool", e);
}

}  // namespace

void device_offer_ops(mv_backend *b)
{
    b->linear = device_linear;
    b->add = device_add;
    b->layernorm = device_layernorm;
    b->conv1d_silu = device_conv1d_silu;
    b->step = device_step;
    b->scan = device_scan;
    b->readout = device_readout;
    b->state_norm = device_state_norm;
    b->hidden = device_hidden;
    b->half_life = device_half_life;
    b->spread = device_spread;
    b->weigh = device_weigh;
    b->attention = device_attention;
    b->attend = device_attend;
    b->split = device_split;
    b->merge = device_merge;
    b->affine = device_affine;
    b->mean_pool = device_mean_pool;
    b->follow = device_follow;
    b->roll = device_roll;
    b->mean_heads = device_mean_heads;
    b->measure = device_measure;
}

}  // namespace mv
