#include "src/device/dnnl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/device/dnnl_api.h"

/* ---- state */

/* One compiled convolution, and what each worker calls it with. */
typedef struct plan {
    mv_dnnl_shape shape;
    dnnl_primitive_desc_t about; /* describes the layout of the weights */
    dnnl_primitive_t primitive;
    size_t scratch;        /* bytes that a worker needs */
    dnnl_memory_t *memory; /* per worker: from, to, scratch */
    struct plan *next;
} plan;

enum { BUCKETS = 256, PER_WORKER = 3, WIDTHS = 64 };

/* Layouts of the weights of a product, tried in this order. oneDNN may refuse the layout that it chose for one number
 * of rows if there is another (3.x does), and then uses its plain loops; blocks of 16 or 8 work for any number. Blocks
 * of 8 are computed in AVX2 on any processor, at half the rate of AVX-512, so they come last. */
static const dnnl_format_tag_t layouts[] = {dnnl_format_tag_any, dnnl_OIhw16i16o, dnnl_OIhw8i16o2i, dnnl_OIhw8i8o};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

struct mv_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t *stream; /* one for each worker */
    int workers;
    bool half;
    pthread_mutex_t lock; /* of the table, and of growing scratch */
    plan *table[BUCKETS];
    struct {
        int in, out, layout;
    } width[WIDTHS]; /* the layout for products of this width */
    int widths;
    struct {
        void *data;
        size_t size;
    } * scratch; /* one for each worker */
};

struct mv_dnnl_weights {
    dnnl_memory_t *weight; /* the same values in one layout, or in several if plans differ */
    int layouts;
    dnnl_memory_t bias;
};

static mv_status checked(dnnl_status_t s, const char *what, mv_error *e)
{
    if (s == dnnl_success)
        return MV_OK;
    if (s == dnnl_out_of_memory)
        return mv_fail(e, MV_ENOMEM, "cpu: out of memory: oneDNN %s", what);
    return mv_fail(e, MV_EDEVICE, "cpu: oneDNN refuses %s (status %d%s)", what, (int)s,
                   s == dnnl_unimplemented ? ", not implemented on this processor" : "");
}

const char *mv_dnnl_version(char text[48])
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, 48, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    return text;
}

mv_dnnl *mv_dnnl_new(int workers, bool half, mv_error *e)
{
    mv_dnnl *d = calloc(1, sizeof *d);
    if (!d) {
        mv_fail_memory(e, "cpu");
        return NULL;
    }
    pthread_mutex_init(&d->lock, NULL);
    d->half = half;
    d->stream = calloc((size_t)workers, sizeof *d->stream);
    d->scratch = calloc((size_t)workers, sizeof *d->scratch);
    if (!d->stream || !d->scratch) {
        mv_fail_memory(e, "cpu");
        mv_dnnl_free(d);
        return NULL;
    }
    mv_status s = checked(dnnl_engine_create(&d->engine, dnnl_cpu, 0), "an engine", e);
    for (; !s && d->workers < workers; d->workers += !s)
        s = checked(dnnl_stream_create(&d->stream[d->workers], d->engine, dnnl_stream_default_flags), "a stream", e);
    if (s) {
        mv_dnnl_free(d);
        return NULL;
    }
    return d;
}

static void plan_free(mv_dnnl *d, plan *p)
{
    for (int i = 0; p->memory && i < d->workers * PER_WORKER; i++)
        if (p->memory[i])
            dnnl_memory_destroy(p->memory[i]);
    free(p->memory);
    if (p->primitive)
        dnnl_primitive_destroy(p->primitive);
    if (p->about)
        dnnl_primitive_desc_destroy(p->about);
    free(p);
}

void mv_dnnl_free(mv_dnnl *d)
{
    if (!d)
        return;
    for (int i = 0; i < BUCKETS; i++)
        while (d->table[i]) {
            plan *p = d->table[i];
            d->table[i] = p->next;
            plan_free(d, p);
        }
    for (int i = 0; i < d->workers; i++) {
        dnnl_stream_destroy(d->stream[i]);
        free(d->scratch[i].data);
    }
    if (d->engine)
        dnnl_engine_destroy(d->engine);
    free(d->stream);
    free(d->scratch);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

/* ---- plans */

static dnnl_data_type_t type_of(mv_dtype t)
{
    return t == MV_BF16 ? dnnl_bf16 : dnnl_f32;
}

static int out_side(int n, int before, int after, int kernel, int stride)
{
    return (n + before + after - kernel) / stride + 1;
}

/* A primitive descriptor for these weights, or for the layout if `weights` is NULL. */
static mv_status describe(const mv_dnnl *d, const mv_dnnl_shape *c, borrowed weights, dnnl_format_tag_t layout,
                          dnnl_primitive_desc_t *out, mv_error *e)
{
    const dnnl_dims_t from = {c->pictures, c->in, c->h, c->w}, bias = {c->out};
    const dnnl_dims_t w = {c->out, c->in, c->kernel, c->kernel};
    const dnnl_dims_t to = {c->pictures, c->out, out_side(c->h, c->top, c->bottom, c->kernel, c->stride),
                            out_side(c->w, c->left, c->right, c->kernel, c->stride)};
    const dnnl_dims_t stride = {c->stride, c->stride}, before = {c->top, c->left}, after = {c->bottom, c->right};
    descriptor md[4] = {0};
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t s = descriptor_new(&md[0], 4, from, type_of(c->from_type), dnnl_nhwc);
    if (!s && !weights)
        s = descriptor_new(&md[1], 4, w, d->half ? dnnl_bf16 : dnnl_f32, layout);
    if (!s)
        s = descriptor_new(&md[2], 1, bias, dnnl_f32, dnnl_x);
    if (!s)
        s = descriptor_new(&md[3], 4, to, type_of(c->to_type), dnnl_nhwc);
    if (!s)
        s = dnnl_primitive_attr_create(&attr);
    if (!s) /* the scratch of the library belongs to one thread; ours has one for each worker */
        s = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (!s)
        s = dnnl_post_ops_create(&ops);
    if (!s && c->act != MV_ACT_NONE)
        s = append_eltwise(ops, c->act == MV_ACT_RELU   ? dnnl_eltwise_relu
                                : c->act == MV_ACT_GELU ? dnnl_eltwise_gelu_erf
                                                        : dnnl_eltwise_gelu_tanh);
    if (!s && c->onto)
        s = append_sum(ops, type_of(c->to_type));
    if (!s)
        s = dnnl_primitive_attr_set_post_ops(attr, ops);
    if (!s)
        s = convolution(out, d->engine, borrow(md[0]), weights ? weights : borrow(md[1]), borrow(md[2]), borrow(md[3]),
                        stride, before, after, attr);
    if (ops)
        dnnl_post_ops_destroy(ops);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    for (int i = 0; i < 4; i++)
        descriptor_free(md[i]);
    char what[96];
    snprintf(what, sizeof what, "a %dx%d convolution of %dx%dx%d to %d channels", c->kernel, c->kernel, c->h, c->w,
             c->in, c->out);
    return checked(s, what, e);
}

/* True for one of oneDNN's plain loops, which are a hundred times slower. */
static bool is_plain(dnnl_primitive_desc_t pd)
{
    const char *name = "";
    return !dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) && strncmp(name, "ref", 3) == 0;
}

static dnnl_status_t new_plan(mv_dnnl *d, plan *p)
{
    dnnl_primitive_desc_t pd = p->about;
    dnnl_status_t s = dnnl_primitive_create(&p->primitive, pd);
    borrowed from = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0),
             to = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    borrowed scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    p->scratch = dnnl_memory_desc_get_size(scratch);
    for (int i = 0; !s && i < d->workers; i++) {
        dnnl_memory_t *m = p->memory + i * PER_WORKER;
        s = dnnl_memory_create(&m[0], from, d->engine, DNNL_MEMORY_NONE);
        if (!s)
            s = dnnl_memory_create(&m[1], to, d->engine, DNNL_MEMORY_NONE);
        if (!s && p->scratch)
            s = dnnl_memory_create(&m[2], scratch, d->engine, DNNL_MEMORY_NONE);
    }
    return s;
}

static unsigned hash(const mv_dnnl_shape *c)
{
    const int v[] = {c->pictures, c->h,   c->w,      c->in,       c->out,  c->kernel,
                     c->stride,   c->top, c->bottom, (int)c->act, c->onto, (int)c->to_type};
    unsigned h = 2166136261u;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        h = (h ^ (unsigned)v[i]) * 16777619u;
    return (h ^ h >> 15) % BUCKETS;
}

static bool same(const mv_dnnl_shape *a, const mv_dnnl_shape *b)
{
    return a->pictures == b->pictures && a->h == b->h && a->w == b->w && a->in == b->in && a->out == b->out &&
           a->kernel == b->kernel && a->stride == b->stride && a->top == b->top && a->bottom == b->bottom &&
           a->left == b->left && a->right == b->right && a->act == b->act && a->onto == b->onto &&
           a->from_type == b->from_type && a->to_type == b->to_type;
}

/* The descriptor for a shape and weights: for a layout that they have or, if that would be slow, for a better one. */
static mv_status best(const mv_dnnl *d, const mv_dnnl_shape *c, const mv_dnnl_weights *w, dnnl_primitive_desc_t *out,
                      mv_error *e)
{
    borrowed layout;
    mv_status s = checked(dnnl_memory_get_memory_desc(w->weight[0], &layout), "a layout", e);
    if (!s)
        s = describe(d, c, layout, dnnl_format_tag_any, out, e);
    if (s || !is_plain(*out))
        return s;
    dnnl_primitive_desc_t other = NULL;
    if (describe(d, c, NULL, dnnl_format_tag_any, &other, NULL))
        return MV_OK;
    dnnl_primitive_desc_t worse = is_plain(other) ? other : *out;
    *out = worse == other ? *out : other;
    dnnl_primitive_desc_destroy(worse);
    return MV_OK;
}

/* The plan for a shape, created by its first use. All weights of one (in, out, kernel) share their first layout, so it
 * is not part of the key. Called under the lock. */
static plan *plan_of(mv_dnnl *d, const mv_dnnl_shape *c, const mv_dnnl_weights *w, mv_error *e)
{
    plan **slot = &d->table[hash(c)];
    for (plan *p = *slot; p; p = p->next)
        if (same(&p->shape, c))
            return p;
    plan *p = calloc(1, sizeof *p);
    if (p)
        p->memory = calloc((size_t)d->workers * PER_WORKER, sizeof *p->memory);
    if (!p || !p->memory) {
        free(p);
        mv_fail_memory(e, "cpu");
        return NULL;
    }
    if (best(d, c, w, &p->about, e) || checked(new_plan(d, p), "a plan", e)) {
        plan_free(d, p);
        return NULL;
    }
    p->shape = *c;
    p->next = *slot;
    *slot = p;
    return p;
}

/* ---- weights */

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

/* The weights in the layout of a plan. Called under the lock. */
static dnnl_memory_t weight_for(mv_dnnl *d, int worker, const plan *p, mv_dnnl_weights *w, mv_error *e)
{
    borrowed wanted = dnnl_primitive_desc_query_md(p->about, dnnl_query_weights_md, 0), has;
    for (int i = 0; i < w->layouts; i++)
        if (!dnnl_memory_get_memory_desc(w->weight[i], &has) && dnnl_memory_desc_equal(has, wanted))
            return w->weight[i];
    if (checked(add_layout(d, worker, w, wanted, w->weight[0]), "weights", e))
        return NULL;
    return w->weight[w->layouts - 1];
}

/* Finds the layout that is fast for products of this width with any number of rows. */
static int layout_of(mv_dnnl *d, const mv_dnnl_shape *c)
{
    static const int rows[] = {1, 7, 24, 25, 49, 56, 98, 112};
    if (c->kernel != 1)
        return 0;
    for (int i = 0; i < d->widths; i++)
        if (d->width[i].in == c->in && d->width[i].out == c->out)
            return d->width[i].layout;
    int serves = 0;
    for (int l = 0; l < LAYOUTS; l++) {
        dnnl_primitive_desc_t first = NULL, pd = NULL;
        bool all = !describe(d, c, NULL, layouts[l], &first, NULL);
        for (size_t i = 0; i < sizeof rows / sizeof *rows && all; i++) {
            mv_dnnl_shape other = *c;
            other.h = rows[i];
            all = !describe(d, &other, dnnl_primitive_desc_query_md(first, dnnl_query_weights_md, 0), layouts[l], &pd,
                            NULL) &&
                  !is_plain(pd);
            if (pd)
                dnnl_primitive_desc_destroy(pd);
            pd = NULL;
        }
        if (first)
            dnnl_primitive_desc_destroy(first);
        if (all) {
            serves = l;
            break;
        }
    }
    if (d->widths < WIDTHS) {
        d->width[d->widths].in = c->in;
        d->width[d->widths].out = c->out;
        d->width[d->widths++].layout = serves;
    }
    return serves;
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
    dnnl_primitive_desc_t pd = NULL;
    if (describe(d, c, NULL, layouts[layout_of(d, c)], &pd, e)) {
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
    if (checked(s, "weights", e)) {
        mv_dnnl_weights_free(w);
        return NULL;
    }
    return w;
}

void mv_dnnl_weights_free(mv_dnnl_weights *w)
{
    if (!w)
        return;
    for (int i = 0; i < w->layouts; i++)
        dnnl_memory_destroy(w->weight[i]);
    free(w->weight);
    if (w->bias)
        dnnl_memory_destroy(w->bias);
    free(w);
}

/* ---- execution */

mv_status mv_dnnl_conv(mv_dnnl *d, int worker, const mv_dnnl_shape *shape, mv_dnnl_weights *w, const void *from,
                       void *to, mv_error *e)
{
    pthread_mutex_lock(&d->lock);
    plan *p = plan_of(d, shape, w, e);
    dnnl_memory_t weight = p ? weight_for(d, worker, p, w, e) : NULL;
    pthread_mutex_unlock(&d->lock);
    if (!weight)
        return e ? e->code : MV_EDEVICE;
    if (p->scratch > d->scratch[worker].size) {
        free(d->scratch[worker].data);
        d->scratch[worker].size = 0;
        d->scratch[worker].data = aligned_alloc(4096, (p->scratch + 4095) / 4096 * 4096);
        if (!d->scratch[worker].data)
            return mv_fail_memory(e, "cpu");
        d->scratch[worker].size = p->scratch;
    }
    dnnl_memory_t *m = p->memory + worker * PER_WORKER;
    union {
        const void *in;
        void *out;
    } unconst = {.in = from};
    dnnl_status_t s = dnnl_memory_set_data_handle(m[0], unconst.out);
    if (!s)
        s = dnnl_memory_set_data_handle(m[1], to);
    if (!s && m[2])
        s = dnnl_memory_set_data_handle(m[2], d->scratch[worker].data);
    if (!s) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, m[0]},
                                        {DNNL_ARG_WEIGHTS, weight},
                                        {DNNL_ARG_BIAS, w->bias},
                                        {DNNL_ARG_DST, m[1]},
                                        {DNNL_ARG_SCRATCHPAD, m[2]}};
        s = dnnl_primitive_execute(p->primitive, d->stream[worker], m[2] ? 5 : 4, args);
    }
    if (!s)
        s = dnnl_stream_wait(d->stream[worker]);
    return checked(s, "a convolution", e);
}
