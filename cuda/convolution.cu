/* The 3x3 convolutions of the GPU device: which library or kernel computes one.
 *
 *   stem.cu            three input channels and stride 2, without an activation or with ReLU
 *   cuDNN              any other that it takes, with bias and ReLU, residual or, where that is faster, tanh GELU
 *   columns, product   the rest, with tanh GELU in 16 bits
 *
 * Another activation, or a residual after one, is a kernel of its own.
 *
 * Scratch for columns grows to what the first batch needs.
 */
#include "cuda/gpu.h"

namespace mv
{

namespace
{

mv_status device_picture(mv_backend *b, mv_tensor out, mv_tensor pixels, mv_vector table, mv_error *e)
{
    device *d = device_of(b);
    launch_picture(d->base.act, out.data, pixels.type, pixels.data, table.data, out.dim[0], out.dim[1], out.dim[2],
                   d->stream);
    return launched(d, "picture", e);
}

/* Columns and a product, for as many rows at a time as the scratch for columns holds. */
mv_status convolve_by_columns(device *d, const convolution &c, const conv_weights *w, int oh, int ow, mv_error *e)
{
    const int width = w->width;
    size_t rows = static_cast<size_t>(c.pictures) * static_cast<size_t>(oh) * static_cast<size_t>(ow),
           row = static_cast<size_t>(width) * mv_dtype_size(c.type),
           most = COLUMN_BYTES / row < 64 ? 64 : COLUMN_BYTES / row / 64 * 64, /* outputs begin aligned */
        n = static_cast<size_t>(c.n);
    void *columns = device_scratch(d, row * (rows < most ? rows : most), e);
    if (!columns)
        return MV_ENOMEM;
    for (size_t first = 0; first < rows; first += most) {
        size_t count = rows - first < most ? rows - first : most;
        launch_columns({c.type, columns, c.x, c.h, c.w, c.c, c.stride, oh, ow, width, first, count}, d->stream);
        mv_status s = launched(d, "conv2d", e);
        if (s)
            return s;
        char *out = static_cast<char *>(c.out) + first * n * mv_dtype_size(c.type);
        s = library_product(
            d->lib,
            {c.type, c.type, count, c.n, width, columns, w->rows, c.bias, c.residual ? out : nullptr, out, c.act}, e);
        if (s)
            return s;
    }
    return MV_OK;
}

mv_status convolve(device *d, const convolution &c, const conv_weights *w, mv_tensor out, mv_error *e)
{
    return library_convolves(d->lib, c) ? library_convolve(d->lib, c, e)
                                        : convolve_by_columns(d, c, w, out.dim[1], out.dim[2], e);
}

/* If the call cannot include the activation, or a residual follows it: the convolution alone, then a kernel for the
 * rest. */
mv_status convolve_apart(device *d, convolution c, const conv_weights *w, mv_tensor out, mv_tensor residual,
                         mv_error *e)
{
    mv_act act = c.act;
    c.act = MV_ACT_NONE;
    c.residual = nullptr;
    c.out = residual.nd ? library_alloc(d->lib, mv_tensor_bytes(out)) : out.data;
    if (!c.out)
        return device_no_memory(d, mv_tensor_bytes(out), e);
    mv_status s = convolve(d, c, w, out, e);
    if (!s) {
        launch_rows({out.type, out.type, residual.type, out.data, c.out, residual.nd ? residual.data : nullptr, nullptr,
                     nullptr, act, rows_in(out), out.dim[3]},
                    d->stream);
        s = launched(d, "conv2d", e);
    }
    if (residual.nd)
        library_release(d->lib, c.out);
    return s;
}

/* True if stem.cu computes it. */
bool by_stem(const conv_weights *w, mv_act act, bool residual)
{
    return w->stem && (act == MV_ACT_NONE || act == MV_ACT_RELU) && !residual;
}

mv_status stem(device *d, mv_tensor out, const void *x, bool planes, const float *table, int h, int w,
               const conv_weights *weights, mv_act act, const char *op, mv_error *e)
{
    launch_stem({d->base.act, out.data, x, planes, table, weights->stem, weights->bias, out.dim[0], h, w, out.dim[1],
                 out.dim[2], out.dim[3], act == MV_ACT_RELU ? 0.0f : -INFINITY},
                d->stream);
    return launched(d, op, e);
}

mv_status device_stem(mv_backend *b, mv_tensor out, mv_tensor pixels, mv_vector table, const mv_conv *w, mv_act act,
                      mv_error *e)
{
    const bool planes = pixels.type == MV_F32;
    return stem(device_of(b), out, pixels.data, planes, planes ? nullptr : table.data, pixels.dim[planes ? 2 : 1],
                pixels.dim[planes ? 3 : 2], static_cast<const conv_weights *>(w->w), act, "stem", e);
}

mv_status device_conv2d(mv_backend *b, mv_tensor out, mv_tensor x, const mv_conv *w, mv_act act, mv_tensor residual,
                        mv_error *e)
{
    device *d = device_of(b);
    const conv_weights *own = static_cast<const conv_weights *>(w->w);
    if (by_stem(own, act, residual.nd))
        return stem(d, out, x.data, false, nullptr, x.dim[1], x.dim[2], own, act, "conv2d", e);
    bool onto = residual.nd && residual.data == out.data;
    convolution c = {d->base.act,
                     x.dim[0],
                     x.dim[1],
                     x.dim[2],
                     w->in,
                     w->out,
                     w->stride,
                     x.data,
                     own->w,
                     own->bias,
                     onto ? out.data : nullptr,
                     out.data,
                     act,
                     b->batches};
    bool fused = act == MV_ACT_NONE ? !residual.nd || onto : act == MV_ACT_RELU && !residual.nd;
    if (act == MV_ACT_GELU_TANH && !residual.nd) {
        /* cuDNN may include it, and cuBLASLt does where cuDNN does not compute the convolution at all */
        convolution plain = c;
        plain.act = MV_ACT_NONE;
        fused = library_convolves(d->lib, c) || (d->base.act != MV_F32 && !library_convolves(d->lib, plain));
    }
    return fused ? convolve(d, c, own, out, e) : convolve_apart(d, c, own, out, residual, e);
}

}  // namespace

void device_offer_convolutions(mv_backend *b)
{
    b->picture = device_picture;
    b->stem = device_stem;
    b->conv2d = device_conv2d;
}

}  // namespace mv
