#include "src/device/null.h"

#include <stdlib.h>
#include <string.h>

/* Scratch of the null device is an address that is never read: offsets into it are plain numbers. */
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

/* ---- weights: only their sizes are kept */

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

/* ---- operations: ops.c has checked the shapes and counted; there is nothing left to do */

static mv_status null_picture(mv_backend *b, mv_tensor out, const float *planes, mv_error *e)
{
    (void)b, (void)out, (void)planes, (void)e;
    return MV_OK;
}

static mv_status null_conv2d(mv_backend *b, mv_tensor out, mv_tensor x, const mv_conv *w, mv_act act,
                             mv_tensor residual, mv_error *e)
{
    (void)b, (void)out, (void)x, (void)w, (void)act, (void)residual, (void)e;
    return MV_OK;
}

static mv_status null_linear(mv_backend *b, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act, mv_vector gamma,
                             mv_tensor residual, mv_error *e)
{
    (void)b, (void)out, (void)x, (void)w, (void)act, (void)gamma, (void)residual, (void)e;
    return MV_OK;
}

static mv_status null_add(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector gamma, mv_tensor residual, mv_error *e)
{
    (void)b, (void)out, (void)x, (void)gamma, (void)residual, (void)e;
    return MV_OK;
}

static mv_status null_layernorm(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector weight, mv_vector bias, float eps,
                                mv_error *e)
{
    (void)b, (void)out, (void)x, (void)weight, (void)bias, (void)eps, (void)e;
    return MV_OK;
}

static mv_status null_conv1d_silu(mv_backend *b, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz,
                                  mv_error *e)
{
    (void)b, (void)x, (void)yz, (void)xz, (void)wx, (void)wz, (void)e;
    return MV_OK;
}

static mv_status null_step(mv_backend *b, mv_tensor dt, mv_tensor proj, const mv_ssm *w, mv_error *e)
{
    (void)b, (void)dt, (void)proj, (void)w, (void)e;
    return MV_OK;
}

static mv_status null_scan(mv_backend *b, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                           mv_tensor h, mv_error *e)
{
    (void)b, (void)yz, (void)x, (void)proj, (void)dt, (void)w, (void)h, (void)e;
    return MV_OK;
}

static mv_status null_readout(mv_backend *b, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w,
                              mv_error *e)
{
    (void)b, (void)yz, (void)x, (void)proj, (void)h, (void)w, (void)e;
    return MV_OK;
}

static mv_status null_state_norm(mv_backend *b, mv_tensor out, mv_tensor h, mv_error *e)
{
    (void)b, (void)out, (void)h, (void)e;
    return MV_OK;
}

static mv_status null_hidden(mv_backend *b, mv_tensor out, mv_tensor dt, mv_tensor proj, const mv_ssm *w, mv_error *e)
{
    (void)b, (void)out, (void)dt, (void)proj, (void)w, (void)e;
    return MV_OK;
}

static mv_status null_attention(mv_backend *b, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows, mv_error *e)
{
    (void)b, (void)out, (void)qkv, (void)heads, (void)rows, (void)e;
    return MV_OK;
}

static mv_status null_attend(mv_backend *b, mv_tensor out, mv_tensor rows, mv_tensor qkv, mv_error *e)
{
    (void)b, (void)out, (void)rows, (void)qkv, (void)e;
    return MV_OK;
}

static mv_status null_windows(mv_backend *b, mv_tensor out, mv_tensor x, int window, mv_error *e)
{
    (void)b, (void)out, (void)x, (void)window, (void)e;
    return MV_OK;
}

static mv_status null_affine(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *e)
{
    (void)b, (void)out, (void)x, (void)scale, (void)shift, (void)e;
    return MV_OK;
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
        .picture = null_picture,
        .conv2d = null_conv2d,
        .linear = null_linear,
        .add = null_add,
        .layernorm = null_layernorm,
        .conv1d_silu = null_conv1d_silu,
        .step = null_step,
        .scan = null_scan,
        .readout = null_readout,
        .state_norm = null_state_norm,
        .hidden = null_hidden,
        .attention = null_attention,
        .attend = null_attend,
        .split = null_windows,
        .merge = null_windows,
        .affine = null_affine,
        .pool = null_affine,
    };
    return b;
}
