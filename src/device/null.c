#include "src/device/null.h"

#include <stdlib.h>
#include <string.h>

/* Memory of the null device is an address that is never read or written: offsets into it are plain numbers. */
static void *null_alloc(mv_backend *b, size_t bytes)
{
    (void)bytes;
    return b;
}

static void null_release(mv_backend *b, void *p)
{
    (void)b, (void)p;
}

static mv_status null_read(mv_backend *b, float *host, mv_view from, mv_error *e)
{
    (void)b, (void)e;
    memset(host, 0, mv_view_count(from) * sizeof *host);
    return MV_OK;
}

static mv_status null_write(mv_backend *b, mv_view to, const float *host, mv_error *e)
{
    (void)b, (void)to, (void)host, (void)e;
    return MV_OK;
}

static mv_status null_finish(mv_backend *b, mv_error *e)
{
    (void)b, (void)e;
    return MV_OK;
}

static void null_free(mv_backend *b)
{
    free(b);
}

/* ---- weights: only their sizes are stored */

static mv_status null_conv_new(mv_backend *b, mv_conv *out, int n_in, int n_out, int stride, const float *w,
                               const float *bias, mv_error *e)
{
    (void)b, (void)w, (void)bias, (void)e;
    *out = (mv_conv){.in = n_in, .out = n_out, .stride = stride};
    return MV_OK;
}

static mv_status null_dense_new(mv_backend *b, mv_dense *out, int n_in, int n_out, const float *w, const float *bias,
                                mv_error *e)
{
    (void)b, (void)w, (void)bias, (void)e;
    *out = (mv_dense){.in = n_in, .out = n_out};
    return MV_OK;
}

static mv_status null_vector_new(mv_backend *b, mv_vector *out, int n, const float *values, mv_error *e)
{
    (void)b, (void)values, (void)e;
    *out = (mv_vector){.n = n};
    return MV_OK;
}

static void null_conv_free(mv_backend *b, mv_conv *w)
{
    (void)b, (void)w;
}

static void null_dense_free(mv_backend *b, mv_dense *w)
{
    (void)b, (void)w;
}

static void null_vector_free(mv_backend *b, mv_vector *v)
{
    (void)b, (void)v;
}

mv_backend *mv_null_new(mv_dtype act, mv_error *e)
{
    mv_backend *b = malloc(sizeof *b);
    if (!b) {
        mv_fail_memory(e, "null device");
        return NULL;
    }
    *b = (mv_backend){
        .name = "null",
        .about = "computes nothing: shapes and costs",
        .act = act,
        .dry = true,
        .free = null_free,
        .alloc = null_alloc,
        .release = null_release,
        .read = null_read,
        .write = null_write,
        .finish = null_finish,
        .conv_new = null_conv_new,
        .dense_new = null_dense_new,
        .vector_new = null_vector_new,
        .conv_free = null_conv_free,
        .dense_free = null_dense_free,
        .vector_free = null_vector_free,
    };
    return b;
}
