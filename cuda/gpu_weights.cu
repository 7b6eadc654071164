/* Weights on the card: converted on the host, stored in a few large blocks, never moved. */
#include "cuda/gpu.h"

namespace mv
{

namespace
{

constexpr size_t FIRST_BYTES = size_t(1) << 20, BLOCK_BYTES = size_t(64) << 20;

}  // namespace

void *device_room(device *d, size_t bytes, mv_error *e)
{
    bytes = rounded_up(bytes, DEVICE_ALIGN);
    if (d->blocks.empty() || d->blocks.back().size - d->blocks.back().used < bytes) {
        /* few blocks, and none much too large */
        size_t least = d->blocks.empty() ? FIRST_BYTES : d->blocks.back().size * 4;
        least = least < BLOCK_BYTES ? least : BLOCK_BYTES;
        size_t size = bytes > least ? bytes : least;
        char *data = static_cast<char *>(library_alloc(d->lib, size));
        if (!data) {
            mv_fail(e, MV_ENOMEM, "%s: out of memory for weights, %.1f MB more", d->name,
                    static_cast<double>(size) * 1e-6);
            return nullptr;
        }
        d->blocks.push_back({data, size, 0});
    }
    block &last = d->blocks.back();
    void *p = last.data + last.used;
    last.used += bytes;
    return p;
}

namespace
{

void weights_gone(device *d)
{
    if (--d->weights)
        return;
    for (block &k : d->blocks)
        library_release(d->lib, k.data);
    d->blocks.clear();
}

/* n values as `type` on the card */
mv_status laid_up(device *d, void **out, mv_dtype type, const float *values, size_t n, mv_error *e)
{
    size_t bytes = n * mv_dtype_size(type);
    *out = device_room(d, bytes, e);
    if (!*out)
        return MV_ENOMEM;
    if (type == MV_F32)
        return library_up(d->lib, *out, values, bytes, e);
    std::vector<char> narrow(bytes);
    mv_from_f32(narrow.data(), type, values, n);
    return library_up(d->lib, *out, narrow.data(), bytes, e);
}

mv_status device_conv_new(mv_backend *b, mv_conv *out, int n_in, int n_out, int stride, const float *w,
                          const float *bias, mv_error *e)
{
    device *d = device_of(b);
    *out = {n_in, n_out, stride, nullptr, 0, 0};
    return guarded(d, e, [&] {
        const size_t in = static_cast<size_t>(n_in), n = static_cast<size_t>(n_out), taps = MV_TAPS * MV_TAPS;
        const size_t width = taps * in, padded = rounded_up(width, 16 / mv_dtype_size(d->base.act));
        std::vector<float> rows(n * padded), zeros(n);
        /* (o, c, ky, kx) to (o, ky, kx, c), rows of `row` values */
        auto turn = [&](size_t row) {
            for (size_t o = 0; o < n; o++)
                for (size_t c = 0; c < in; c++)
                    for (size_t k = 0; k < taps; k++)
                        rows[o * row + k * in + c] = w[(o * in + c) * taps + k];
        };
        conv_weights *made = new conv_weights{};
        made->width = static_cast<int>(padded);
        out->w = made;
        d->weights++;
        turn(padded);
        mv_status s = laid_up(d, &made->rows, d->base.act, rows.data(), n * padded, e);
        made->w = made->rows;
        if (!s && padded != width) {
            turn(width);
            s = laid_up(d, &made->w, d->base.act, rows.data(), n * width, e);
        }
        if (!s && n_in == 3 && stride == 2) {
            std::vector<float> stem(stem_weights(d->base.act, n_out, nullptr, w));
            stem_weights(d->base.act, n_out, stem.data(), w);
            s = laid_up(d, &made->stem, d->base.act, stem.data(), stem.size(), e);
        }
        return s ? s : laid_up(d, &made->bias, d->base.act, bias ? bias : zeros.data(), n, e);
    });
}

/* True for layers whose product gains more by fp8 than the conversion of its input costs: a widening one (qkv, the
 * first of an MLP), or a large narrowing one. The others, mixers' projections among them, stay as they are. */
bool gains_by_fp8(const device *d, int in, int out)
{
    bool fits = in % 16 == 0 && out % 16 == 0;
    return d->base.fp8 && fits && ((in >= 256 && out >= 3 * in) || (out >= 1024 && in >= 3 * out));
}

/* Each row of weights as E4M3 with a scale of its own. */
mv_status laid_up_narrow(device *d, dense_weights *made, const float *w, size_t n, size_t k, mv_error *e)
{
    std::vector<unsigned char> narrow(n * k);
    std::vector<float> scale(n);
    for (size_t row = 0; row < n; row++) {
        float most = 0;
        for (size_t i = 0; i < k; i++)
            most = fmaxf(most, fabsf(w[row * k + i]));
        float by = e4m3_range(most);
        scale[row] = by > 0 ? inverse_power(by) : 0;
        for (size_t i = 0; i < k; i++)
            narrow[row * k + i] = mv_f32_to_e4m3(w[row * k + i] * by);
    }
    made->w = device_room(d, narrow.size(), e);
    if (!made->w || library_up(d->lib, made->w, narrow.data(), narrow.size(), e))
        return e->code;
    return laid_up(d, reinterpret_cast<void **>(&made->scale), MV_F32, scale.data(), n, e);
}

mv_status device_dense_new(mv_backend *b, mv_dense *out, int n_in, int n_out, const float *w, const float *bias,
                           mv_error *e)
{
    device *d = device_of(b);
    *out = {n_in, n_out, nullptr, 0};
    return guarded(d, e, [&] {
        const size_t n = static_cast<size_t>(n_out);
        dense_weights *made = new dense_weights{};
        out->w = made;
        d->weights++;
        mv_status s = gains_by_fp8(d, n_in, n_out)
                          ? laid_up_narrow(d, made, w, n, static_cast<size_t>(n_in), e)
                          : laid_up(d, &made->w, d->base.act, w, n * static_cast<size_t>(n_in), e);
        if (!s && bias)
            s = laid_up(d, &made->bias, d->base.act, bias, n, e);
        made->bias_fp32 = static_cast<float *>(made->bias);
        if (!s && bias && d->base.act != MV_F32)
            s = laid_up(d, reinterpret_cast<void **>(&made->bias_fp32), MV_F32, bias, n, e);
        return s;
    });
}

mv_status device_vector_new(mv_backend *b, mv_vector *out, int n, const float *values, mv_error *e)
{
    device *d = device_of(b);
    *out = {n, nullptr};
    return guarded(d, e, [&] {
        mv_status s = laid_up(d, reinterpret_cast<void **>(&out->data), MV_F32, values, static_cast<size_t>(n), e);
        if (out->data)
            d->weights++;
        return s;
    });
}

void device_conv_free(mv_backend *b, mv_conv *w)
{
    if (w->w) {
        delete static_cast<conv_weights *>(w->w);
        weights_gone(device_of(b));
    }
    w->w = nullptr;
}

void device_dense_free(mv_backend *b, mv_dense *w)
{
    if (w->w) {
        delete static_cast<dense_weights *>(w->w);
        weights_gone(device_of(b));
    }
    w->w = nullptr;
}

void device_vector_free(mv_backend *b, mv_vector *v)
{
    if (v->data)
        weights_gone(device_of(b));
    v->data = nullptr;
}

}  // namespace

void device_offer_weights(mv_backend *b)
{
    b->conv_new = device_conv_new;
    b->dense_new = device_dense_new;
    b->vector_new = device_vector_new;
    b->conv_free = device_conv_free;
    b->dense_free = device_dense_free;
    b->vector_free = device_vector_free;
}

}  // namespace mv
