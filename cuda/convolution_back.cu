/* The transposes of the GPU device's 3x3 convolutions: which library or kernel computes one.
 *
 *   case               computed by
 *   stride 1           cuDNN's convolution, residual included, with a copy of the weights that is turned by half a
 *                      turn, its channels exchanged. The copy is made when it is first needed
 *   stride 2           cuDNN's gradient of a convolution, where there is no residual
 *   product, gather    the rest: columns = dy W, in fp32, of as many rows as stay in the cache; then each value of dx
 *                      is the sum of its columns
 */
#include "cuda/gpu.h"

namespace mv
{

namespace
{

/* The turned weights, and C zeros behind them, which are the bias */
mv_status turned(device *d, conv_weights *w, const mv_conv *shape, mv_error *e)
{
    if (w->is_turned)
        return MV_OK;
    const size_t each = mv_dtype_size(d->base.act), in = static_cast<size_t>(shape->in),
                 values = static_cast<size_t>(shape->out) * in * MV_TAPS * MV_TAPS;
    if (!w->turned && !(w->turned = device_room(d, values * each, e)))
        return MV_ENOMEM;
    if (!w->zeros) {
        const std::vector<char> zeros(in * each);
        void *to = device_room(d, zeros.size(), e);
        if (!to || library_up(d->lib, to, zeros.data(), zeros.size(), e))
            return e->code;
        w->zeros = to;
    }
    launch_turn(d->base.act, w->turned, w->w, shape->out, shape->in, d->stream);
    mv_status s = launched(d, "conv2d_back", e);
    w->is_turned = !s;
    return s;
}

/* Rows of dx and dy that are computed at a time: of several pictures, or a part of one */
struct band {
    int pictures, rows;
};

band band_of(const mv_tensor dx, const mv_tensor dy, size_t row, int stride)
{
    const size_t line = static_cast<size_t>(dy.dim[2]) * row, picture = static_cast<size_t>(dy.dim[1]) * line;
    if (picture <= COLUMN_BYTES)
        return {static_cast<int>(COLUMN_BYTES / picture), dx.dim[1]};
    const int lines = static_cast<int>(COLUMN_BYTES / line);
    return {1, (lines < 4 ? 4 : lines) * stride - 2 * stride}; /* the neighbours' rows are computed, too */
}

mv_status by_columns(device *d, mv_tensor dx, mv_tensor dy, const mv_conv *shape, const conv_weights *w,
                     mv_tensor residual, mv_error *e)
{
    const mv_dtype act = d->base.act;
    const int h = dx.dim[1], oh = dy.dim[1], ow = dy.dim[2], s = shape->stride;
    const size_t row = static_cast<size_t>(w->width) * sizeof(float), each = mv_dtype_size(act),
                 picture =
                     static_cast<size_t>(h) * static_cast<size_t>(dx.dim[2]) * static_cast<size_t>(shape->in) * each,
                 line = static_cast<size_t>(ow) * static_cast<size_t>(shape->out) * each;
    const band at_once = band_of(dx, dy, row, s);
    for (int b = 0; b < dx.dim[0]; b += at_once.pictures)
        for (int top = 0; top < h; top += at_once.rows) {
            const int pictures = dx.dim[0] - b < at_once.pictures ? dx.dim[0] - b : at_once.pictures,
                      rows = h - top < at_once.rows ? h - top : at_once.rows, from = top ? (top + s - 2) / s : 0,
                      last = (top + rows) / s, to = last < oh ? last + 1 : oh; /* those whose windows reach the rows */
            const size_t lines = static_cast<size_t>(pictures) * static_cast<size_t>(to - from),
                         n = lines * static_cast<size_t>(ow);
            float *columns = static_cast<float *>(device_scratch(d, n * row, e));
            if (!columns)
                return MV_ENOMEM;
            const char *dys = static_cast<const char *>(dy.data) +
                              (static_cast<size_t>(b) * static_cast<size_t>(oh) + static_cast<size_t>(from)) * line;
            product p = {act, MV_F32, n, w->width, shape->out, dys, w->rows, nullptr, nullptr, columns, MV_ACT_NONE};
            p.turned = true;
            mv_status st = library_product(d->lib, p, e);
            if (st)
                return st;
            launch_gather_columns(
                {act, static_cast<char *>(dx.data) + static_cast<size_t>(b) * picture,
                 residual.nd ? static_cast<char *>(residual.data) + static_cast<size_t>(b) * picture : nullptr, columns,
                 pictures, h, dx.dim[2], shape->in, s, ow, w->width, top, rows, from, to},
                d->stream);
            st = launched(d, "conv2d_back", e);
            if (st)
                return st;
        }
    return MV_OK;
}

mv_status device_conv2d_back(mv_backend *b, mv_tensor dx, mv_tensor dy, const mv_conv *w, mv_tensor residual,
                             mv_error *e)
{
    device *d = device_of(b);
    conv_weights *own = static_cast<conv_weights *>(w->w);
    convolution c = {d->base.act, dx.dim[0], dx.dim[1], dx.dim[2], w->in,   w->out,     w->stride,
                     dy.data,     own->w,    nullptr,   nullptr,   dx.data, MV_ACT_NONE};
    if (w->stride == 1) {
        /* asked with the weights as they are, which lie as the turned ones will */
        c = {d->base.act,
             dx.dim[0],
             dx.dim[1],
             dx.dim[2],
             w->out,
             w->in,
             1,
             dy.data,
             own->w,
             own->bias,
             residual.nd ? dx.data : nullptr,
             dx.data,
             MV_ACT_NONE};
        if (library_convolves(d->lib, c)) {
            mv_status s = guarded(d, e, [&] { return turned(d, own, w, e); });
            if (!s && residual.nd && residual.data != dx.data)
                s = library_across(d->lib, dx.data, residual.data, mv_tensor_bytes(dx), e);
            c.weights = own->turned;
            c.bias = own->zeros;
            return s ? s : library_convolve(d->lib, c, e);
        }
    } else if (!residual.nd) {
        c.back = true;
        if (library_convolves(d->lib, c))
            return library_convolve(d->lib, c, e);
    }
    return by_columns(d, dx, dy, w, own, residual, e);
}

}  // namespace

void device_offer_convolutions_back(mv_backend *b)
{
    b->conv2d_back = device_conv2d_back;
}

}  // namespace mv
