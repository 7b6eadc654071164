/* The cases of a backward pass. Outputs are of size 1 or so, so that the same bounds hold for all. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "tests/op_back_reference.h"
#include "tests/op_cases_impl.h"
#include "tests/op_reference.h"

enum {
    COPY,
    DOT,
    ACTIVATE,
    ACTIVATE_BACK,
    CONV2D_BACK,
    LINEAR_BACK,
    LAYERNORM_BACK,
    CONV1D_BACK,
    STEP_BACK,
    SCAN_BACK,
    ATTENTION_BACK,
    POOL_BACK
};

static const mv_tensor none = {0};

static size_t product(int nd, const int *dim)
{
    size_t n = 1;
    for (int i = 0; i < nd; i++)
        n *= (size_t)dim[i];
    return n;
}

/* An input; with NANS, the element at `part` of it is NaN. Columns [from, to) are NaN in any case: the operation must
 * not use them. */
static stage_value *in(stage *s, const op_case *c, const char *name, mv_dtype type, float centre, float spread,
                       double part, int from, int to, int nd, const int *dim)
{
    size_t n = product(nd, dim), width = (size_t)dim[nd - 1];
    float *values = stage_random(s, name, n, type, centre, spread);
    if (c->flags & NANS)
        values[(size_t)(part * (double)n)] = NAN;
    for (size_t i = 0; i < n; i++)
        if (i % width >= (size_t)from && i % width < (size_t)to)
            values[i] = NAN;
    return stage_given(s, name, type, values, nd, dim);
}

static float root(int a, int b)
{
    return 1.7f * sqrtf((float)a / (float)b);
}

/* ---- element by element, and sums of rows */

static void run_copy(stage *s, const op_case *c)
{
    mv_dtype type = c->flags & FP32 ? MV_F32 : s->b->act;
    stage_value *x = in(s, c, "x", type, 0, 2, 0.5, 0, 0, 3, c->d), *out = stage_out(s, "out", type, 3, c->d);
    stage_expect(s, out, stage_widened(x->host, x->n), true);
    s->b->copy(s->b, out->t, x->t, &s->e);
}

static void run_dot(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], channels = c->d[2];
    mv_dtype type = c->flags & FP32 ? MV_F32 : s->b->act;
    bool one_row = c->flags & ROW, positive = c->flags & POSITIVE;
    float spread = root(1, channels);
    stage_value *x = in(s, c, "x", type, 0, spread, 0.3, 0, 0, 3, c->d),
                *y = one_row ? in(s, c, "y", type, 0, 1.7f, 0.7, 0, 0, DIMS(channels))
                             : in(s, c, "y", type, 0, 1.7f, 0.7, 0, 0, 3, c->d),
                *out = stage_out(s, "out", MV_F32, DIMS(n, t));
    double *want = stage_doubles(out->n);
    ref_dot(want, x->host, y->host, one_row, positive, out->n, channels);
    stage_expect(s, out, want, false);
    s->b->dot(s->b, out->t, x->t, y->t, positive, &s->e);
}

static void run_activate(stage *s, const op_case *c)
{
    stage_value *x = in(s, c, "x", s->b->act, 0, 5, 0.5, 0, 0, 3, c->d), *out = stage_out(s, "out", s->b->act, 3, c->d);
    double *want = stage_doubles(out->n);
    for (size_t i = 0; i < out->n; i++)
        want[i] = ref_act((double)x->host[i], c->act);
    stage_expect(s, out, want, false);
    s->b->activate(s->b, out->t, x->t, c->act, &s->e);
}

static void run_activate_back(stage *s, const op_case *c)
{
    bool held = c->flags & HELD;
    float *values = stage_random(s, "x", product(3, c->d), s->b->act, 0, 5);
    for (size_t i = 2; i < product(3, c->d); i += 7)
        values[i] = 0;
    stage_value *dy = in(s, c, "dy", s->b->act, 0, 2, 0.3, 0, 0, 3, c->d), *dx = dy;
    if (c->flags & NANS)
        values[product(3, c->d) * 7 / 10] = NAN;
    stage_value *x = stage_given(s, "x", s->b->act, values, 3, c->d);
    if (c->flags & ONTO)
        dy->changes = true;
    else
        dx = stage_out(s, "dx", s->b->act, 3, c->d);
    double *want = stage_doubles(dx->n);
    for (size_t i = 0; i < dx->n; i++)
        want[i] = (double)dy->host[i] * ref_act_back((double)x->host[i], c->act, held);
    stage_expect(s, dx, want, false);
    s->b->activate_back(s->b, dx->t, dy->t, x->t, c->act, held, &s->e);
}

static void run_pool_back(stage *s, const op_case *c)
{
    int b = c->d[0], cells = c->d[1] * c->d[2], channels = c->d[3];
    stage_value *dy = in(s, c, "dy", s->b->act, 0, 2 * (float)cells, 0.5, 0, 0, DIMS(b, channels)),
                *dx = stage_out(s, "dx", s->b->act, 4, c->d);
    stage_vector scale = {0};
    if (c->flags & SCALED)
        scale = stage_vector_of(s, "scale", (size_t)channels, 1, 0.5f);
    double *want = stage_doubles(dx->n);
    ref_pool_back(want, dy->host, b, (size_t)cells, channels, scale.host);
    stage_expect(s, dx, want, false);
    s->b->mean_pool_back(s->b, dx->t, dy->t, scale.v, &s->e);
}

/* ---- products and layer norm */

static void run_conv2d_back(stage *s, const op_case *c)
{
    int b = c->d[0], h = c->d[1], w = c->d[2], channels = c->d[3], o = c->d[4], stride = c->d[5];
    stage_value residual, *dx = op_out_of(s, c, "dx", s->b->act, DIMS(b, h, w, channels), &residual),
                          *dy = in(s, c, "dy", s->b->act, 0, root(channels, o), 0.5, 0, 0,
                                   DIMS(b, (h + stride - 1) / stride, (w + stride - 1) / stride, o));
    const float *bias = stage_random(s, "bias", (size_t)o, MV_F32, 0, 1),
                *weight = stage_conv(s, channels, o, stride, bias);
    double *want = stage_doubles(dx->n);
    ref_conv2d_back(want, dy->host, b, h, w, channels, o, stride, weight, residual.host);
    stage_expect(s, dx, want, false);
    s->b->conv2d_back(s->b, dx->t, dy->t, &s->conv, residual.t, &s->e);
}

/* dy of fp32 has values of the device's type, since products may round it. */
static void run_linear_back(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], channels = c->d[2], o = c->d[3];
    const int from[] = {n, t, o};
    stage_value residual, *dx = op_out_of(s, c, "dx", s->b->act, DIMS(n, t, channels), &residual), *dy;
    if (c->flags & FP32)
        dy = stage_given(s, "dy", MV_F32, stage_random(s, "dy", product(3, from), s->b->act, 0, root(channels, o)), 3,
                         from);
    else
        dy = in(s, c, "dy", s->b->act, 0, root(channels, o), 0.5, 0, 0, 3, from);
    const float *bias = stage_random(s, "bias", (size_t)o, MV_F32, 0, 1), *weight = stage_dense(s, channels, o, bias);
    double *want = stage_doubles(dx->n);
    ref_linear_back(want, dy->host, (size_t)n * (size_t)t, channels, o, weight, residual.host);
    stage_expect(s, dx, want, false);
    s->b->linear_back(s->b, dx->t, dy->t, &s->dense, residual.t, &s->e);
}

static void run_layernorm_back(stage *s, const op_case *c)
{
    const float eps = 1e-5f;
    int channels = c->d[2];
    bool held = c->flags & HELD;
    stage_value residual, *x = in(s, c, "x", s->b->act, 3, 1.7f, 0.3, 0, 0, 3, c->d),
                          *dy = in(s, c, "dy", s->b->act, 0, 1.7f, 0.7, 0, 0, 3, c->d),
                          *dx = op_out_of(s, c, "dx", s->b->act, 3, c->d, &residual);
    stage_vector weight = stage_vector_of(s, "norm", (size_t)channels, 1, 0.5f);
    double *want = stage_doubles(dx->n);
    ref_layernorm_back(want, dy->host, x->host, weight.host, (double)eps, held, residual.host, x->n / (size_t)channels,
                       channels);
    stage_expect(s, dx, want, false);
    s->b->layernorm_back(s->b, dx->t, dy->t, x->t, weight.v, eps, held, residual.t, &s->e);
}

/* ---- the mixer and attention */

static void run_conv1d_back(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2];
    bool held = c->flags & HELD;
    stage_value *xz = in(s, c, "xz", s->b->act, 0, 3, 0.5, 0, 0, DIMS(n, t, 2 * e)),
                *dx = in(s, c, "dx", s->b->act, 0, 1.7f, 0.3, 0, 0, 3, c->d),
                *dyz = in(s, c, "dyz", s->b->act, 0, 1.7f, 0.8, 0, e, DIMS(n, t, 2 * e)),
                *dxz = stage_out(s, "dxz", s->b->act, DIMS(n, t, 2 * e));
    stage_vector wx = stage_vector_of(s, "wx", (size_t)e * MV_TAPS, 0, 1),
                 wz = stage_vector_of(s, "wz", (size_t)e * MV_TAPS, 0, 1);
    double *want = stage_doubles(dxz->n);
    ref_conv1d_silu_back(want, 0, dx->host, e, 0, xz->host, wx.host, n, t, e, held);
    ref_conv1d_silu_back(want, e, dyz->host, 2 * e, e, xz->host, wz.host, n, t, e, held);
    stage_expect(s, dxz, want, false);
    s->b->conv1d_silu_back(s->b, dxz->t, dx->t, dyz->t, xz->t, wx.v, wz.v, held, &s->e);
}

static void run_step_back(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2], rank = c->d[3];
    stage_value *ddt = in(s, c, "ddt", MV_F32, 0, root(rank, e), 0.3, 0, 0, 3, c->d),
                *dt = in(s, c, "dt", MV_F32, 1, 0.99f, 0.7, 0, 0, 3, c->d),
                *dproj = stage_out(s, "dproj", s->b->act, DIMS(n, t, rank + 2 * MV_STATES));
    stage_keep(s, dproj, rank, rank + 2 * MV_STATES);
    stage_ssm m = stage_ssm_of(s, e, rank);
    size_t tokens = (size_t)n * (size_t)t;
    double *steps = stage_widened(dt->host, dt->n), *want = stage_doubles(tokens * (size_t)rank);
    ref_step_back(want, ddt->host, steps, m.dt_weight.host, tokens, e, rank);
    free(steps);
    stage_expect(s, dproj, want, false);
    s->b->step_back(s->b, dproj->t, ddt->t, dt->t, &m.w, &s->e);
}

/* The states of these inputs, as `scan` keeps them */
static stage_value *states_of(stage *s, const op_case *c, const stage_value *x, const stage_value *proj,
                              const double *dt, const float *A)
{
    int n = c->d[0], t = c->d[1], e = c->d[2], rank = c->d[3];
    const int dim[] = {n, t, e, MV_STATES};
    double *h = stage_doubles(product(4, dim));
    float *kept = stage_random(s, "h", product(4, dim), MV_F32, 0, 1);
    ref_states(h, x->host, proj->host, dt, A, n, t, e, rank);
    for (size_t i = 0; i < product(4, dim); i++)
        kept[i] = (float)h[i];
    free(h);
    return stage_given(s, "h", MV_F32, kept, 4, dim);
}

static void run_scan_back(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2], rank = c->d[3], width = rank + 2 * MV_STATES;
    stage_value *x = in(s, c, "x", s->b->act, 0, 1.7f, 0.3, 0, 0, 3, c->d),
                *proj = in(s, c, "proj", s->b->act, 0, 1.7f, 0, 0, rank, DIMS(n, t, width)),
                *dt = in(s, c, "dt", MV_F32, 1, 0.99f, 0.6, 0, 0, 3, c->d),
                *dyz = in(s, c, "dyz", s->b->act, 0, root(1, e), 0.45, e, 2 * e, DIMS(n, t, 2 * e)),
                *dx = stage_out(s, "dx", s->b->act, 3, c->d), *dproj = NULL, *ddt = NULL, *dh = NULL;
    stage_ssm m = stage_ssm_of(s, e, rank);
    double *steps = stage_widened(dt->host, dt->n);
    stage_value *h = states_of(s, c, x, proj, steps, m.A.host);
    double *states = stage_widened(h->host, h->n), *want = stage_doubles(dx->n), *dbc = NULL, *want_ddt = NULL,
           *want_dh = NULL;
    stage_expect(s, dx, want, false);
    if (!(c->flags & HELD)) {
        dproj = stage_out(s, "dproj", s->b->act, DIMS(n, t, width));
        stage_keep(s, dproj, 0, rank);
        ddt = stage_out(s, "ddt", MV_F32, 3, c->d);
        stage_expect(s, dproj, dbc = stage_doubles((size_t)(n * t) * 2 * MV_STATES), false);
        stage_expect(s, ddt, want_ddt = stage_doubles(dx->n), false);
    }
    if (c->flags & KEPT) {
        dh = stage_out(s, "dh", MV_F32, DIMS(n, t, e, MV_STATES));
        stage_expect(s, dh, want_dh = stage_doubles(h->n), false);
    }
    ref_scan_back(want, dbc, want_ddt, want_dh, dyz->host, x->host, proj->host, steps, states, m.A.host, m.D.host, n, t,
                  e, rank);
    free(steps);
    free(states);
    s->b->scan_back(s->b, dx->t, dproj ? dproj->t : none, ddt ? ddt->t : none, dh ? dh->t : none, dyz->t, x->t, proj->t,
                    dt->t, h->t, &m.w, &s->e);
}

static void run_attention_back(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], heads = c->d[2], d = c->d[3];
    bool held = c->flags & HELD;
    stage_value *qkv = in(s, c, "qkv", s->b->act, 0, 2, 0.3, 0, 0, DIMS(n, t, 3 * heads * d)),
                *dout = in(s, c, "dout", s->b->act, 0, root(1, d), 0.7, 0, 0, DIMS(n, t, heads * d)),
                *dqkv = stage_out(s, "dqkv", s->b->act, DIMS(n, t, 3 * heads * d)), *drows = NULL;
    if (c->flags & KEPT)
        drows = stage_out(s, "drows", MV_F32, DIMS(n, heads, t, t));
    stage_value *work = stage_out(s, "work", MV_F32, DIMS(n, heads, t, 3));
    size_t matrix = (size_t)(n * heads) * (size_t)t * (size_t)t;
    double *rows = stage_doubles(matrix), *want_rows = stage_doubles(matrix), *want = stage_doubles(dqkv->n);
    ref_rows(rows, qkv->host, n, t, heads, d);
    ref_attention_back(want, want_rows, dout->host, rows, qkv->host, n, t, heads, d, held);
    free(rows);
    stage_expect(s, dqkv, want, false);
    if (drows)
        stage_expect(s, drows, want_rows, false);
    else
        free(want_rows);
    s->b->attention_back(s->b, dqkv->t, drows ? drows->t : none, dout->t, qkv->t, heads, held, work->t, &s->e);
}

/* ---- the table */

#define AT(op) offsetof(mv_backend, op)

const op_kind op_back_kinds[] = {
    [COPY] = {"copy", "NTC", run_copy, AT(copy)},
    [DOT] = {"dot", "NTC", run_dot, AT(dot)},
    [ACTIVATE] = {"activate", "NTC", run_activate, AT(activate)},
    [ACTIVATE_BACK] = {"activate_back", "NTC", run_activate_back, AT(activate_back)},
    [CONV2D_BACK] = {"conv2d_back", "BHWCOs", run_conv2d_back, AT(conv2d_back)},
    [LINEAR_BACK] = {"linear_back", "NTCO", run_linear_back, AT(linear_back)},
    [LAYERNORM_BACK] = {"layernorm_back", "NTC", run_layernorm_back, AT(layernorm_back)},
    [CONV1D_BACK] = {"conv1d_silu_back", "NTE", run_conv1d_back, AT(conv1d_silu_back)},
    [STEP_BACK] = {"step_back", "NTER", run_step_back, AT(step_back)},
    [SCAN_BACK] = {"scan_back", "NTER", run_scan_back, AT(scan_back)},
    [ATTENTION_BACK] = {"attention_back", "NThd", run_attention_back, AT(attention_back)},
    [POOL_BACK] = {"mean_pool_back", "BHWC", run_pool_back, AT(mean_pool_back)},
};

/* Tiny, odd, batched, and a few real ones */
static const op_case table[] = {
    {COPY, .d = {1, 1, 1}},
    {COPY, .d = {3, 7, 17}, .flags = NANS},
    {COPY, .d = {2, 49, 320}},
    {COPY, .d = {3, 7, 17}, .flags = FP32},
    {DOT, .d = {1, 1, 1}},
    {DOT, .d = {3, 7, 17}},
    {DOT, .d = {3, 7, 17}, .flags = NANS},
    {DOT, .d = {3, 7, 17}, .flags = ROW | POSITIVE | NANS},
    {DOT, .d = {2, 50, 33}, .flags = ROW},
    {DOT, .d = {2, 50, 33}, .flags = FP32 | POSITIVE},
    {DOT, .d = {4, 49, 640}, .flags = ROW | FP32},
    {DOT, .d = {2, 98, 196}, .flags = FP32},
    {DOT, .d = {3, 40, 8}, .flags = POSITIVE},
    {DOT, .d = {3, 40, 8}, .flags = FP32},
    {DOT, .d = {3, 7, 72}},
    {DOT, .d = {1, 2, 100000}, .flags = FP32}, /* a whole picture of a batch */
    {ACTIVATE, .d = {1, 1, 1}, MV_ACT_RELU},
    {ACTIVATE, .d = {3, 7, 17}, MV_ACT_NONE},
    {ACTIVATE, .d = {3, 7, 17}, MV_ACT_RELU, NANS},
    {ACTIVATE, .d = {3, 7, 17}, MV_ACT_GELU, NANS},
    {ACTIVATE, .d = {3, 7, 17}, MV_ACT_GELU_TANH, NANS},
    {ACTIVATE, .d = {3, 49, 640}, MV_ACT_GELU},
    {ACTIVATE, .d = {3, 49, 80}, MV_ACT_GELU_TANH},
    {ACTIVATE_BACK, .d = {3, 49, 80}, MV_ACT_GELU_TANH},
    {ACTIVATE_BACK, .d = {2, 49, 80}, MV_ACT_GELU_TANH, HELD | ONTO},
    {ACTIVATE_BACK, .d = {2, 49, 160}, MV_ACT_GELU},
    {ACTIVATE_BACK, .d = {2, 49, 160}, MV_ACT_GELU, HELD},
    {ACTIVATE_BACK, .d = {3, 5, 40}, MV_ACT_RELU, ONTO},
    {ACTIVATE_BACK, .d = {3, 5, 40}, MV_ACT_NONE},
    {CONV2D_BACK, .d = {1, 1, 1, 1, 1, 1}},
    {CONV2D_BACK, .d = {1, 1, 1, 1, 1, 2}},
    {CONV2D_BACK, .d = {2, 1, 9, 5, 4, 2}},
    {CONV2D_BACK, .d = {2, 2, 1, 5, 4, 2}},
    {CONV2D_BACK, .d = {4, 6, 1, 2, 3, 1}, .flags = RESIDUAL},
    {CONV2D_BACK, .d = {3, 9, 11, 8, 33, 1}},
    {CONV2D_BACK, .d = {3, 10, 12, 16, 17, 2}},
    {CONV2D_BACK, .d = {3, 9, 12, 16, 17, 2}, .flags = ONTO},
    {CONV2D_BACK, .d = {3, 10, 11, 17, 16, 2}, .flags = RESIDUAL},
    {CONV2D_BACK, .d = {2, 7, 8, 36, 36, 1}, .flags = NANS},
    {CONV2D_BACK, .d = {2, 9, 8, 33, 9, 2}, .flags = NANS},
    {CONV2D_BACK, .d = {2, 9, 67, 3, 64, 2}}, /* the picture */
    {CONV2D_BACK, .d = {5, 10, 8, 3, 32, 2}, .flags = NANS},
    {CONV2D_BACK, .d = {1, 5, 7, 3, 17, 2}, .flags = RESIDUAL},
    {CONV2D_BACK, .d = {1, 5, 7, 3, 17, 1}, .flags = ONTO},
    {CONV2D_BACK, .d = {1, 57, 56, 3, 32, 2}},
    {CONV2D_BACK, .d = {1, 28, 28, 32, 80, 2}},
    {CONV2D_BACK, .d = {1, 14, 14, 160, 160, 1}},
    {CONV2D_BACK, .d = {1, 14, 14, 160, 160, 1}, .flags = ONTO},
    {CONV2D_BACK, .d = {2, 14, 13, 96, 200, 2}},
    {CONV2D_BACK, .d = {7, 9, 10, 3, 4, 1}}, /* columns, some pictures at a time, then some rows */
    {CONV2D_BACK, .d = {7, 9, 10, 3, 4, 2}},
    {CONV2D_BACK, .d = {2, 29, 21, 3, 4, 1}, .flags = RESIDUAL},
    {CONV2D_BACK, .d = {2, 61, 40, 3, 4, 2}, .flags = ONTO},
    {LINEAR_BACK, .d = {1, 1, 1, 1}},
    {LINEAR_BACK, .d = {1, 1, 1, 1}, .flags = ONTO},
    {LINEAR_BACK, .d = {3, 113, 20, 33}, .flags = NANS},
    {LINEAR_BACK, .d = {3, 5, 33, 20}, .flags = FP32},
    {LINEAR_BACK, .d = {1, 49, 320, 56}},
    {LINEAR_BACK, .d = {1, 49, 56, 320}},
    {LINEAR_BACK, .d = {2, 33, 98, 65}, .flags = RESIDUAL},
    {LINEAR_BACK, .d = {1, 49, 640, 640}, .flags = ONTO},
    {LINEAR_BACK, .d = {1, 196, 320, 1280}, .flags = RESIDUAL},
    {LINEAR_BACK, .d = {1, 49, 640, 2560}, .flags = ONTO},
    {LINEAR_BACK, .d = {4, 1, 640, 1000}, .flags = FP32},
    {LAYERNORM_BACK, .d = {1, 1, 1}},
    {LAYERNORM_BACK, .d = {1, 1, 3}, .flags = HELD},
    {LAYERNORM_BACK, .d = {3, 5, 17}, .flags = NANS},
    {LAYERNORM_BACK, .d = {3, 5, 17}, .flags = RESIDUAL | NANS | HELD},
    {LAYERNORM_BACK, .d = {2, 50, 33}, .flags = ONTO},
    {LAYERNORM_BACK, .d = {2, 50, 33}, .flags = ONTO | HELD},
    {LAYERNORM_BACK, .d = {1, 49, 640}, .flags = RESIDUAL},
    {LAYERNORM_BACK, .d = {1, 196, 320}, .flags = ONTO},
    {LAYERNORM_BACK, .d = {1, 7, 784}, .flags = HELD},
    {LAYERNORM_BACK, .d = {1, 3, 1568}},
    {LAYERNORM_BACK, .d = {1, 3, 2056}, .flags = RESIDUAL},
    {CONV1D_BACK, .d = {1, 1, 1}},
    {CONV1D_BACK, .d = {3, 2, 5}, .flags = HELD},
    {CONV1D_BACK, .d = {3, 7, 17}},
    {CONV1D_BACK, .d = {3, 7, 17}, .flags = HELD | NANS},
    {CONV1D_BACK, .d = {2, 50, 33}, .flags = NANS},
    {CONV1D_BACK, .d = {1, 4, 20}},
    {CONV1D_BACK, .d = {1, 49, 320}},
    {CONV1D_BACK, .d = {4, 196, 160}, .flags = HELD},
    {CONV1D_BACK, .d = {33, 50, 64}},
    {STEP_BACK, .d = {1, 1, 1, 1}},
    {STEP_BACK, .d = {3, 7, 17, 3}},
    {STEP_BACK, .d = {3, 7, 17, 3}, .flags = NANS},
    {STEP_BACK, .d = {2, 50, 33, 3}},
    {STEP_BACK, .d = {1, 49, 320, 40}},
    {STEP_BACK, .d = {2, 33, 98, 49}},
    {STEP_BACK, .d = {1, 20, 64, 128}},
    {STEP_BACK, .d = {1, 3, 9, 300}},
    {SCAN_BACK, .d = {1, 1, 1, 1}},
    {SCAN_BACK, .d = {5, 1, 1, 1}, .flags = HELD},
    {SCAN_BACK, .d = {3, 7, 17, 3}},
    {SCAN_BACK, .d = {3, 7, 17, 3}, .flags = KEPT | NANS},
    {SCAN_BACK, .d = {3, 7, 17, 3}, .flags = HELD | NANS},
    {SCAN_BACK, .d = {3, 7, 17, 3}, .flags = HELD | KEPT},
    {SCAN_BACK, .d = {2, 4, 40, 3}, .flags = KEPT},
    {SCAN_BACK, .d = {2, 50, 33, 3}, .flags = KEPT},
    {SCAN_BACK, .d = {1, 49, 320, 40}},
    {SCAN_BACK, .d = {1, 49, 320, 40}, .flags = HELD},
    {SCAN_BACK, .d = {2, 196, 160, 20}},
    {SCAN_BACK, .d = {3, 33, 24, 49}, .flags = KEPT},
    {SCAN_BACK, .d = {130, 7, 33, 20}},
    {SCAN_BACK, .d = {325, 9, 9, 3}, .flags = HELD},
    {SCAN_BACK, .d = {130, 34, 72, 3}}, /* so many windows take few threads a channel */
    {SCAN_BACK, .d = {220, 5, 33, 20}, .flags = KEPT | NANS},
    {SCAN_BACK, .d = {130, 34, 72, 3}, .flags = HELD | KEPT},
    {ATTENTION_BACK, .d = {1, 1, 1, 1}},
    {ATTENTION_BACK, .d = {1, 1, 1, 20}, .flags = KEPT},
    {ATTENTION_BACK, .d = {3, 4, 2, 8}, .flags = KEPT},
    {ATTENTION_BACK, .d = {3, 7, 1, 33}},
    {ATTENTION_BACK, .d = {3, 7, 1, 33}, .flags = HELD},
    {ATTENTION_BACK, .d = {2, 20, 3, 8}, .flags = NANS | KEPT},
    {ATTENTION_BACK, .d = {2, 20, 3, 49}, .flags = NANS},
    {ATTENTION_BACK, .d = {2, 20, 3, 40}, .flags = NANS | HELD | KEPT},
    {ATTENTION_BACK, .d = {3, 49, 2, 20}},
    {ATTENTION_BACK, .d = {1, 50, 3, 33}, .flags = HELD | KEPT},
    {ATTENTION_BACK, .d = {1, 49, 16, 40}},
    {ATTENTION_BACK, .d = {1, 49, 16, 40}, .flags = HELD},
    {ATTENTION_BACK, .d = {2, 49, 8, 49}, .flags = KEPT},
    {ATTENTION_BACK, .d = {1, 196, 4, 40}},
    {ATTENTION_BACK, .d = {1, 196, 2, 49}, .flags = KEPT},
    {ATTENTION_BACK, .d = {1, 70, 2, 40}, .flags = KEPT | SKEWED},
    {ATTENTION_BACK, .d = {1, 130, 1, 48}, .flags = HELD},
    {ATTENTION_BACK, .d = {1, 64, 2, 64}, .flags = KEPT},
    {ATTENTION_BACK, .d = {2, 33, 1, 65}},
    {ATTENTION_BACK, .d = {1, 37, 1, 256}, .flags = KEPT},
    {ATTENTION_BACK, .d = {1, 19, 2, 130}, .flags = HELD},
    {POOL_BACK, .d = {1, 1, 1, 1}},
    {POOL_BACK, .d = {3, 5, 7, 17}, .flags = NANS},
    {POOL_BACK, .d = {3, 5, 7, 17}, .flags = SCALED},
    {POOL_BACK, .d = {4, 7, 7, 640}, .flags = SCALED},
};

/* After the table: every activation, whole and held, in place and not, with NaN. */
enum { TABLE = sizeof table / sizeof *table, SLOPES = 4 * 2 * 2 };

int op_back_cases(void)
{
    return TABLE + SLOPES;
}

op_case op_back_case_at(int i)
{
    if (i < TABLE)
        return table[i];
    i -= TABLE;
    return (op_case){ACTIVATE_BACK, {3, 7, 37}, (mv_act)(i / 4), NANS | (i / 2 % 2 ? HELD : 0) | (i % 2 ? ONTO : 0)};
}
