/* The operations of a pass that no probe watches, with what each computes and moves: functions for a device's table, in
 * the place of its own. src/device/profile.c times them, tests/test_cost.c predicts their time. The includer defines
 *
 *   WATCHED(b)   declares `real`, the table with the device's own functions, and `self`, the device to pass to them,
 *                from b, the device that was called
 *   TIMED(OP, OUT, IN_PLACE, FLOPS, BYTES, CALL, FORMAT...)
 *                what an operation does: it returns the status of CALL, which calls the device's own function
 *
 * IN_PLACE: the output is an input, too. FLOPS, BYTES: of one call; each input and weight is read once, the output
 * written once. FORMAT and what follows print the shape.
 */
#ifndef MV_PASS_OPS_H
#define MV_PASS_OPS_H

#include "src/base/backend.h"

static double bytes_of(mv_tensor t)
{
    return t.nd ? (double)mv_tensor_bytes(t) : 0;
}

static double rows_of(mv_tensor t)
{
    return (double)mv_tensor_count(t) / t.dim[t.nd - 1];
}

/* Bytes of a linear layer's weight. A device with fp8 does not tell which layers are of E4M3: the least there. */
static double bytes_of_weight(const mv_backend *b)
{
    return b->fp8 ? 1 : (double)mv_dtype_size(b->act);
}

static const char *name_of(mv_act act)
{
    return act == MV_ACT_NONE ? "" : act == MV_ACT_RELU ? " relu" : " gelu";
}

static bool in_place(mv_tensor out, mv_tensor residual)
{
    return residual.nd && residual.data == out.data;
}

static mv_status picture(mv_backend *b, mv_tensor out, mv_tensor pixels, mv_vector table, mv_error *e)
{
    WATCHED(b);
    TIMED("picture", out, false, 0, bytes_of(pixels) + bytes_of(out), real->picture(self, out, pixels, table, e),
          "B%d %dx%d of %s", out.dim[0], out.dim[1], out.dim[2], pixels.type == MV_U8 ? "bytes" : "planes");
}

static mv_status stem(mv_backend *b, mv_tensor out, mv_tensor pixels, mv_vector table, const mv_conv *w, mv_act act,
                      mv_error *e)
{
    WATCHED(b);
    double taps = 9.0 * w->in;
    TIMED("stem", out, false, 2 * rows_of(out) * (double)mv_conv_macs(w),
          bytes_of(pixels) + bytes_of(out) + taps * w->out * (double)mv_dtype_size(b->act),
          real->stem(self, out, pixels, table, w, act, e), "B%d %dx%d O%d of %s%s", out.dim[0], out.dim[1], out.dim[2],
          w->out, pixels.type == MV_U8 ? "bytes" : "planes", name_of(act));
}

static mv_status conv2d(mv_backend *b, mv_tensor out, mv_tensor x, const mv_conv *w, mv_act act, mv_tensor residual,
                        mv_error *e)
{
    WATCHED(b);
    double taps = 9.0 * w->in;
    TIMED("conv2d", out, in_place(out, residual), 2 * rows_of(out) * (double)mv_conv_macs(w),
          bytes_of(x) + bytes_of(out) + bytes_of(residual) + taps * w->out * (double)mv_dtype_size(b->act),
          real->conv2d(self, out, x, w, act, residual, e), "B%d %dx%d C%d O%d s%d%s%s", x.dim[0], x.dim[1], x.dim[2],
          w->in, w->out, w->stride, name_of(act), residual.nd ? " residual" : "");
}

static mv_status linear(mv_backend *b, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act, mv_vector gamma,
                        mv_tensor residual, mv_error *e)
{
    WATCHED(b);
    TIMED("linear", out, in_place(out, residual), 2 * rows_of(x) * (double)mv_dense_macs(w),
          bytes_of(x) + bytes_of(out) + bytes_of(residual) + (double)w->in * w->out * bytes_of_weight(b),
          real->linear(self, out, x, w, act, gamma, residual, e), "%.0f x %d -> %d%s%s%s", rows_of(x), w->in, w->out,
          name_of(act), gamma.data ? " gamma" : "", residual.nd ? " residual" : "");
}

static mv_status layernorm(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector weight, mv_vector bias, float eps,
                           mv_error *e)
{
    WATCHED(b);
    TIMED("layernorm", out, false, 8.0 * (double)mv_tensor_count(x), bytes_of(x) + bytes_of(out),
          real->layernorm(self, out, x, weight, bias, eps, e), "%.0f x %d", rows_of(x), x.dim[x.nd - 1]);
}

static mv_status conv1d_silu(mv_backend *b, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz,
                             mv_error *e)
{
    WATCHED(b);
    TIMED("conv1d_silu", x, false, 6.0 * (double)mv_tensor_count(xz), 2 * bytes_of(xz),
          real->conv1d_silu(self, x, yz, xz, wx, wz, e), "N%d T%d E%d", x.dim[0], x.dim[1], x.dim[2]);
}

static mv_status scan(mv_backend *b, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                      mv_tensor h, mv_error *e)
{
    WATCHED(b);
    TIMED("scan", yz, false, (double)mv_tensor_count(x) * 2.0 * (w->rank - w->spare_ranks + 2 * MV_STATES + 1),
          2 * bytes_of(x) + bytes_of(proj), real->scan(self, yz, x, proj, dt, w, h, e), "N%d T%d E%d R%d", x.dim[0],
          x.dim[1], x.dim[2], w->rank);
}

static mv_status attention(mv_backend *b, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows, mv_error *e)
{
    WATCHED(b);
    TIMED("attention", out, false, 4.0 * (double)mv_tensor_count(out) * out.dim[1], bytes_of(qkv) + bytes_of(out),
          real->attention(self, out, qkv, heads, rows, e), "N%d T%d h%d d%d", out.dim[0], out.dim[1], heads,
          out.dim[2] / heads);
}

static mv_status split(mv_backend *b, mv_tensor out, mv_tensor x, int window, mv_error *e)
{
    WATCHED(b);
    TIMED("split", out, false, 0, bytes_of(x) + bytes_of(out), real->split(self, out, x, window, e),
          "B%d %dx%d C%d w%d", x.dim[0], x.dim[1], x.dim[2], x.dim[3], window);
}

static mv_status merge(mv_backend *b, mv_tensor out, mv_tensor x, int window, mv_error *e)
{
    WATCHED(b);
    TIMED("merge", out, false, 0, bytes_of(x) + bytes_of(out), real->merge(self, out, x, window, e),
          "B%d %dx%d C%d w%d", out.dim[0], out.dim[1], out.dim[2], out.dim[3], window);
}

static mv_status mean_pool(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *e)
{
    WATCHED(b);
    TIMED("mean_pool", out, false, (double)mv_tensor_count(x), bytes_of(x) + bytes_of(out),
          real->mean_pool(self, out, x, scale, shift, e), "B%d %dx%d C%d", x.dim[0], x.dim[1], x.dim[2], x.dim[3]);
}

/* Into the table of b, for a device with the functions of `real`. */
static void pass_ops_offer(mv_backend *b, const mv_backend *real)
{
    b->picture = picture;
    b->stem = real->stem ? stem : NULL;
    b->conv2d = conv2d;
    b->linear = linear;
    b->layernorm = layernorm;
    b->conv1d_silu = conv1d_silu;
    b->scan = scan;
    b->attention = attention;
    b->split = split;
    b->merge = merge;
    b->mean_pool = mean_pool;
}

#endif
