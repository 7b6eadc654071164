#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/device/dnnl_impl.h"

mv_status mv_dnnl_checked(dnnl_status_t s, const char *what, mv_error *e)
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
    mv_status s = mv_dnnl_checked(dnnl_engine_create(&d->engine, dnnl_cpu, 0), "an engine", e);
    for (; !s && d->workers < workers; d->workers += !s)
        s = mv_dnnl_checked(dnnl_stream_create(&d->stream[d->workers], d->engine, dnnl_stream_default_flags),
                            "a stream", e);
    if (s) {
        mv_dnnl_free(d);
        return NULL;
    }
    return d;
}

mv_dnnl_plan *mv_dnnl_plan_new(mv_dnnl *d, mv_error *e)
{
    mv_dnnl_plan *p = calloc(1, sizeof *p);
    if (p)
        p->memory = calloc((size_t)d->workers * MV_DNNL_PER_WORKER, sizeof *p->memory);
    if (p && p->memory)
        return p;
    free(p);
    mv_fail_memory(e, "cpu");
    return NULL;
}

void mv_dnnl_plan_free(mv_dnnl *d, mv_dnnl_plan *p)
{
    if (!p)
        return;
    for (int i = 0; p->memory && i < d->workers * MV_DNNL_PER_WORKER; i++)
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
    for (int i = 0; i < MV_DNNL_BUCKETS; i++)
        while (d->table[i]) {
            mv_dnnl_plan *p = d->table[i];
            d->table[i] = p->next;
            mv_dnnl_plan_free(d, p);
        }
    mv_dnnl_plan_free(d, d->activation);
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

mv_status mv_dnnl_describe(const mv_dnnl *d, const mv_dnnl_shape *c, borrowed weights, dnnl_format_tag_t layout,
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
    return mv_dnnl_checked(s, what, e);
}

bool mv_dnnl_is_plain(dnnl_primitive_desc_t pd)
{
    const char *name = "";
    return !dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name) && strncmp(name, "ref", 3) == 0;
}

dnnl_status_t mv_dnnl_plan_fill(mv_dnnl *d, mv_dnnl_plan *p)
{
    dnnl_primitive_desc_t pd = p->about;
    dnnl_status_t s = dnnl_primitive_create(&p->primitive, pd);
    borrowed from = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0),
             to = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    borrowed scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    p->scratch = dnnl_memory_desc_get_size(scratch);
    for (int i = 0; !s && i < d->workers; i++) {
        dnnl_memory_t *m = p->memory + i * MV_DNNL_PER_WORKER;
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
    return (h ^ h >> 15) % MV_DNNL_BUCKETS;
}

static bool same(const mv_dnnl_shape *a, const mv_dnnl_shape *b)
{
    return a->pictures == b->pictures && a->h == b->h && a->w == b->w && a->in == b->in && a->out == b->out &&
           a->kernel == b->kernel && a->stride == b->stride && a->top == b->top && a->bottom == b->bottom &&
           a->left == b->left && a->right == b->right && a->act == b->act && a->onto == b->onto &&
           a->from_type == b->from_type && a->to_type == b->to_type;
}

/* The descriptor for a shape and weights: for a layout that they have or, if that would be slow, for a better one.
 * Without memory it fails: with another layout the sums would be rounded another way. */
static mv_status best(const mv_dnnl *d, const mv_dnnl_shape *c, const mv_dnnl_weights *w, dnnl_primitive_desc_t *out,
                      mv_error *e)
{
    borrowed layout;
    mv_status s = mv_dnnl_checked(dnnl_memory_get_memory_desc(w->weight[0], &layout), "a layout", e);
    if (!s)
        s = mv_dnnl_describe(d, c, layout, dnnl_format_tag_any, out, e);
    if (s || !mv_dnnl_is_plain(*out))
        return s;
    dnnl_primitive_desc_t other = NULL;
    if (mv_dnnl_describe(d, c, NULL, dnnl_format_tag_any, &other, NULL) == MV_ENOMEM) {
        dnnl_primitive_desc_destroy(*out);
        *out = NULL;
        return mv_fail_memory(e, "cpu");
    }
    if (!other)
        return MV_OK;
    dnnl_primitive_desc_t worse = mv_dnnl_is_plain(other) ? other : *out;
    *out = worse == other ? *out : other;
    dnnl_primitive_desc_destroy(worse);
    return MV_OK;
}

/* The plan for a shape, created by its first use. All weights of one (in, out, kernel) share their first layout, so it
 * is not part of the key. Called under the lock. */
static mv_dnnl_plan *plan_of(mv_dnnl *d, const mv_dnnl_shape *c, const mv_dnnl_weights *w, mv_error *e)
{
    mv_dnnl_plan **slot = &d->table[hash(c)];
    for (mv_dnnl_plan *p = *slot; p; p = p->next)
        if (same(&p->shape, c))
            return p;
    mv_dnnl_plan *p = mv_dnnl_plan_new(d, e);
    if (!p)
        return NULL;
    if (best(d, c, w, &p->about, e) || mv_dnnl_checked(mv_dnnl_plan_fill(d, p), "a plan", e)) {
        mv_dnnl_plan_free(d, p);
        return NULL;
    }
    p->shape = *c;
    p->next = *slot;
    *slot = p;
    return p;
}

/* ---- execution */

mv_status mv_dnnl_conv(mv_dnnl *d, int worker, const mv_dnnl_shape *shape, mv_dnnl_weights *w, const void *from,
                       void *to, mv_error *e)
{
    pthread_mutex_lock(&d->lock);
    mv_dnnl_plan *p = plan_of(d, shape, w, e);
    dnnl_memory_t weight = p ? mv_dnnl_weight_for(d, worker, p, w, e) : NULL;
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
    dnnl_memory_t *m = p->memory + worker * MV_DNNL_PER_WORKER;
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
    return mv_dnnl_checked(s, "a convolution", e);
}
