/* GELU in its tanh form on its own: to the last bit what a convolution with it computes, since that is oneDNN's, too.
 */
#include "src/device/dnnl_impl.h"

/* Called under the lock. */
static mv_dnnl_plan *plan_of(mv_dnnl *d, mv_error *e)
{
    if (d->activation)
        return d->activation;
    mv_dnnl_plan *p = mv_dnnl_plan_new(d, e);
    if (!p)
        return NULL;
    const dnnl_dims_t dims = {MV_DNNL_CHUNK};
    descriptor md = NULL;
    dnnl_status_t s = descriptor_new(&md, 1, dims, dnnl_f32, dnnl_x);
    if (!s)
        s = eltwise(&p->about, d->engine, dnnl_eltwise_gelu_tanh, borrow(md));
    descriptor_free(md);
    if (!s)
        s = mv_dnnl_plan_fill(d, p);
    if (mv_dnnl_checked(s, "an activation", e)) {
        mv_dnnl_plan_free(d, p);
        return NULL;
    }
    return d->activation = p;
}

mv_status mv_dnnl_gelu_tanh(mv_dnnl *d, int worker, const float *x, float *out, mv_error *e)
{
    pthread_mutex_lock(&d->lock);
    mv_dnnl_plan *p = plan_of(d, e);
    pthread_mutex_unlock(&d->lock);
    if (!p)
        return e ? e->code : MV_EDEVICE;
    dnnl_memory_t *m = p->memory + worker * MV_DNNL_PER_WORKER;
    union {
        const float *in;
        void *out;
    } unconst = {.in = x};
    dnnl_status_t s = dnnl_memory_set_data_handle(m[0], unconst.out);
    if (!s)
        s = dnnl_memory_set_data_handle(m[1], out);
    if (!s) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, m[0]}, {DNNL_ARG_DST, m[1]}};
        s = dnnl_primitive_execute(p->primitive, d->stream[worker], 2, args);
    }
    if (!s)
        s = dnnl_stream_wait(d->stream[worker]);
    return mv_dnnl_checked(s, "an activation", e);
}
