/* Weights in the layouts of oneDNN, and those of transposes. */
#include <stdlib.h>
#include <string.h>

#include "src/device/dnnl_impl.h"

/* Layouts of the weights of a product, tried in this order. oneDNN may refuse the layout that it chose for one number
 * of rows if there is another (3.x does), and then uses its plain loops; blocks of 16 or 8 work for any number. Blocks
 * of 8 are computed in AVX2 on any processor, at half the rate of AVX-512, so they come last. */
static const dnnl_format_tag_t layouts[] = {dnnl_format_tag_any, dnnl_OIhw16i16o, dnnl_OIhw8i16o2i, dnnl_OIhw8i8o};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static dnnl_status_t reorder(mv_dnnl *d, int worker, dnnl_memory_t from, dnnl_memory_t to)
{
    borrowed a, b;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t p = NULL;
    dnnl_status_t s = dnnl_memory_get_memory_desc(from, &a);
    if (!s)
        s = dnnl_memory_get_memory_desc(to, &b);
    if (!s)
        s = dnnl_reorder_primitive_desc_create(&pd, a, d->engine, b, d->engine, NULL);
    if (!s)
        s = dnnl_primitive_create(&p, pd);
    if (!s) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
        s = dnnl_primitive_execute(p, d->stream[worker], 2, args);
    }
    if (!s)
        s = dnnl_stream_wait(d->stream[worker]);
    if (p)
        dnnl_primitive_destroy(p);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    return s;
}

/* Adds a layout of the weights, copied from another. */
static dnnl_status_t add_layout(mv_dnnl *d, int worker, mv_dnnl_weights *w, borrowed layout, dnnl_memory_t from)
{
    dnnl_memory_t made, *more = realloc(w->weight, (size_t)(w->layouts + 1) * sizeof *more);
    if (!more)
        return dnnl_out_of_memory;
    w->weight = more;
    dnnl_status_t s = dnnl_memory_create(&made, layout, d->engine, DNNL_MEMORY_ALLOCATE);
    if (s)
        return s;
    s = reorder(d, worker, from, made);
    if (s)
        dnnl_memory_destroy(made);
    else
        w->weight[w->layouts++] = made;
    return s;
}

dnnl_memory_t mv_dnnl_weight_for(mv_dnnl *d, int worker, const mv_dnnl_plan *p, mv_dnnl_weights *w, mv_error *e)
{
    borrowed wanted = dnnl_primitive_desc_query_md(p->about, dnnl_query_weights_md, 0), has;
    for (int i = 0; i < w->layouts; i++)
        if (!dnnl_memory_get_memory_desc(w->weight[i], &has) && dnnl_memory_desc_equal(has, wanted))
            return w->weight[i];
    if (mv_dnnl_checked(add_layout(d, worker, w, wanted, w->weight[0]), "weights", e))
        return NULL;
    return w->weight[w->layouts - 1];
}

/* *serves: is a layout fast for products of this width with any number of rows? MV_ENOMEM where that could not be found
 * out: with another layout than usual the sums would be rounded another way. */
static mv_status try_layout(const mv_dnnl *d, const mv_dnnl_shape *c, dnnl_format_tag_t layout, bool *serves)
{
    static const int rows[] = {1, 7, 24, 25, 49, 56, 98, 112};
    dnnl_primitive_desc_t first = NULL, pd = NULL;
    mv_status s = mv_dnnl_describe(d, c, NULL, layout, &first, NULL);
    *serves = !s;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && *serves; i++) {
        mv_dnnl_shape other = *c;
        other.h = rows[i];
        s = mv_dnnl_describe(d, &other, dnnl_primitive_desc_query_md(first, dnnl_query_weights_md, 0), layout, &pd,
                             NULL);
        *serves = !s && !mv_dnnl_is_plain(pd);
        if (pd)
            dnnl_primitive_desc_destroy(pd);
        pd = NULL;
    }
    if (first)
        dnnl_primitive_desc_destroy(first);
    return s == MV_ENOMEM ? s : MV_OK;
}

/* The place in `layouts` of the first that serves; 0 if none does. */
static mv_status find_layout(mv_dnnl *d, const mv_dnnl_shape *c, int *out, mv_error *e)
{
    *out = 0;
    if (c->kernel != 1)
        return MV_OK;
    for (int i = 0; i < d->widths; i++)
        if (d->width[i].in == c->in && d->width[i].out == c->out) {
            *out = d->width[i].layout;
            return MV_OK;
        }
    for (int l = 0; l < LAYOUTS; l++) {
        bool serves;
        if (try_layout(d, c, layouts[l], &serves))
            return mv_fail_memory(e, "cpu");
        if (serves) {
            *out = l;
            break;
        }
    }
    if (d->widths < MV_DNNL_WIDTHS) {
        d->width[d->widths].in = c->in;
        d->width[d->widths].out = c->out;
        d->width[d->widths++].layout = *out;
    }
    return MV_OK;
}

static dnnl_status_t fill_bias(mv_dnnl *d, mv_dnnl_weights *w, int n, const float *bias)
{
    descriptor md = NULL;
    void *data;
    const dnnl_dims_t dims = {n};
    dnnl_status_t s = descriptor_new(&md, 1, dims, dnnl_f32, dnnl_x);
    if (!s)
        s = dnnl_memory_create(&w->bias, borrow(md), d->engine, DNNL_MEMORY_ALLOCATE);
    descriptor_free(md);
    if (!s)
        s = dnnl_memory_get_data_handle(w->bias, &data);
    if (s)
        return s;
    if (bias)
        memcpy(data, bias, (size_t)n * sizeof *bias);
    else
        memset(data, 0, (size_t)n * sizeof *bias);
    return dnnl_success;
}

mv_dnnl_weights *mv_dnnl_weights_new(mv_dnnl *d, const mv_dnnl_shape *c, const float *values, const float *bias,
                                     mv_error *e)
{
    mv_dnnl_weights *w = calloc(1, sizeof *w);
    if (!w) {
        mv_fail_memory(e, "cpu");
        return NULL;
    }
    w->typical = *c;
    dnnl_primitive_desc_t pd = NULL;
    int l;
    if (find_layout(d, c, &l, e) || mv_dnnl_describe(d, c, NULL, layouts[l], &pd, e)) {
        free(w);
        return NULL;
    }
    const dnnl_dims_t dims = {c->out, c->in, c->kernel, c->kernel};
    descriptor md = NULL;
    dnnl_memory_t given = NULL;
    union {
        const float *in;
        void *out;
    } unconst = {.in = values}; /* oneDNN has no read-only memory */
    dnnl_status_t s = descriptor_new(&md, 4, dims, dnnl_f32, dnnl_oihw);
    if (!s)
        s = dnnl_memory_create(&given, borrow(md), d->engine, unconst.out);
    if (!s)
        s = add_layout(d, 0, w, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), given);
    if (!s)
        s = fill_bias(d, w, c->out, bias);
    if (given)
        dnnl_memory_destroy(given);
    descriptor_free(md);
    dnnl_primitive_desc_destroy(pd);
    if (mv_dnnl_checked(s, "weights", e)) {
        mv_dnnl_weights_free(w);
        return NULL;
    }
    return w;
}

/* As they were given, rounded to the type that they are kept in: (out, in, kernel, kernel) */
static dnnl_status_t values_of(mv_dnnl *d, const mv_dnnl_weights *w, float *values)
{
    const mv_dnnl_shape *c = &w->typical;
    const dnnl_dims_t dims = {c->out, c->in, c->kernel, c->kernel};
    descriptor md = NULL;
    dnnl_memory_t to = NULL;
    dnnl_status_t s = descriptor_new(&md, 4, dims, dnnl_f32, dnnl_oihw);
    if (!s)
        s = dnnl_memory_create(&to, borrow(md), d->engine, values);
    if (!s)
        s = reorder(d, 0, w->weight[0], to);
    if (to)
        dnnl_memory_destroy(to);
    descriptor_free(md);
    return s;
}

/* The transpose's (out, in, kernel, kernel) from w's: see dnnl.h. */
static void transpose(float *to, const float *from, const mv_dnnl_shape *c)
{
    const size_t in = (size_t)c->in, out = (size_t)c->out, taps = (size_t)c->kernel * (size_t)c->kernel;
    for (size_t o = 0; o < out; o++)
        for (size_t i = 0; i < in; i++)
            for (size_t t = 0; t < taps; t++) {
                float v = from[(o * in + i) * taps + t];
                if (c->stride == 2)
                    to[(t * in + i) * out + o] = v;
                else
                    to[(i * out + o) * taps + taps - 1 - t] = v;
            }
}

static mv_dnnl_shape transposed(const mv_dnnl_shape *c)
{
    mv_dnnl_shape back = *c;
    back.in = c->out;
    back.out = c->in;
    if (c->stride == 2) {
        back.out = c->kernel * c->kernel * c->in;
        back.kernel = back.stride = back.w = 1;
        back.top = back.bottom = back.left = back.right = 0;
        back.to_type = MV_F32; /* the taps are added before they are rounded */
    }
    return back;
}

mv_dnnl_weights *mv_dnnl_weights_back(mv_dnnl *d, mv_dnnl_weights *w, mv_error *e)
{
    if (w->back)
        return w->back;
    const mv_dnnl_shape *c = &w->typical;
    const size_t n = (size_t)c->out * (size_t)c->in * (size_t)c->kernel * (size_t)c->kernel;
    float *given = malloc(n * sizeof *given), *turned = malloc(n * sizeof *turned);
    mv_dnnl_shape back = transposed(c);
    if (!given || !turned)
        mv_fail_memory(e, "cpu");
    else if (!mv_dnnl_checked(values_of(d, w, given), "the values of weights", e)) {
        transpose(turned, given, c);
        w->back = mv_dnnl_weights_new(d, &back, turned, NULL, e);
    }
    free(given);
    free(turned);
    return w->back;
}

void mv_dnnl_weights_free(mv_dnnl_weights *w)
{
    if (!w)
        return;
    mv_dnnl_weights_free(w->back);
    for (int i = 0; i < w->layouts; i++)
        dnnl_memory_destroy(w->weight[i]);
    free(w->weight);
    if (w->bias)
        dnnl_memory_destroy(w->bias);
    free(w);
}
