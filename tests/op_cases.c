/* The cases of a forward pass. */
#include <math.h>
#include <stdlib.h>

#include "tests/op_cases_impl.h"
#include "tests/op_reference.h"

enum {
    PICTURE,
    STEM,
    CONV2D,
    LINEAR,
    ADD,
    LAYERNORM,
    CONV1D,
    STEP,
    SCAN,
    READOUT,
    ATTENTION,
    ATTEND,
    SPLIT,
    MERGE,
    AFFINE,
    MEAN_POOL,
    STATE_NORM,
    HIDDEN,
    HALF_LIFE,
    SPREAD,
    WEIGH,
    FOLLOW,
    ROLL,
    MEAN_HEADS,
    MEASURE
};

/* ---- products */

static void run_picture(stage *s, const op_case *c)
{
    int b = c->d[0], h = c->d[1], w = c->d[2];
    size_t n = (size_t)b * (size_t)h * (size_t)w * 3;
    stage_value *planes = stage_in(s, "planes", MV_F32, 0.2f, 2, DIMS(b, 3, h, w));
    const float *rounded = stage_random(s, "planes", n, s->b->act, 0.2f, 2);
    stage_value *out = stage_out(s, "out", s->b->act, DIMS(b, h, w, 3));
    double *want = stage_doubles(n);
    for (size_t i = 0, cells = (size_t)h * (size_t)w; i < n; i++)
        want[i] = (double)rounded[(i / 3 / cells * 3 + i % 3) * cells + i / 3 % cells];
    stage_expect(s, out, want, true);
    s->b->picture(s->b, out->t, planes->t, (mv_vector){0}, &s->e);
}

stage_value *op_out_of(stage *s, const op_case *c, const char *name, mv_dtype type, int nd, const int *dim,
                       stage_value *residual)
{
    *residual = (stage_value){0};
    if (c->flags & ONTO) {
        stage_value *out = stage_in(s, name, type, 0, 1.7f, nd, dim);
        out->changes = true;
        *residual = *out;
        return out;
    }
    if (c->flags & RESIDUAL)
        *residual = *stage_in(s, "residual", s->b->act, 0, 1.7f, nd, dim);
    return stage_out(s, name, type, nd, dim);
}

/* Rounded as devices keep it, since an output of one value may be what a product leaves of it; not for fp32 outputs. */
static const float *bias_of(stage *s, const op_case *c, int n)
{
    mv_dtype type = c->flags & FP32 ? MV_F32 : s->b->act;
    return c->flags & NOBIAS ? NULL : stage_random(s, "bias", (size_t)n, type, 0, 0.5f);
}

static void run_conv2d(stage *s, const op_case *c)
{
    int b = c->d[0], h = c->d[1], w = c->d[2], in = c->d[3], o = c->d[4], stride = c->d[5];
    stage_value residual, *x = stage_in(s, "x", s->b->act, 0, 1.7f, DIMS(b, h, w, in));
    stage_value *out =
        op_out_of(s, c, "out", s->b->act, DIMS(b, (h + stride - 1) / stride, (w + stride - 1) / stride, o), &residual);
    const float *bias = bias_of(s, c, o), *weight = stage_conv(s, in, o, stride, bias);
    double *want = stage_doubles(out->n);
    ref_conv2d(want, x->host, b, h, w, in, o, stride, weight, bias, c->act, residual.host);
    stage_expect(s, out, want, false);
    s->b->conv2d(s->b, out->t, x->t, &s->conv, c->act, residual.t, &s->e);
}

static void run_stem(stage *s, const op_case *c)
{
    int b = c->d[0], h = c->d[1], w = c->d[2], o = c->d[3];
    size_t cells = (size_t)h * (size_t)w, n = (size_t)b * cells * 3;
    stage_value *planes = stage_in(s, "planes", MV_F32, 0.2f, 2, DIMS(b, 3, h, w));
    const float *rounded = stage_random(s, "planes", n, s->b->act, 0.2f, 2);
    float *x = malloc(n * sizeof *x);
    if (!x)
        abort();
    stage_value *out = stage_out(s, "out", s->b->act, DIMS(b, (h + 1) / 2, (w + 1) / 2, o));
    const float *bias = bias_of(s, c, o), *weight = stage_conv(s, 3, o, 2, bias);
    for (size_t i = 0; i < n; i++)
        x[i] = rounded[(i / 3 / cells * 3 + i % 3) * cells + i / 3 % cells];
    double *want = stage_doubles(out->n);
    ref_conv2d(want, x, b, h, w, 3, o, 2, weight, bias, c->act, NULL);
    free(x);
    stage_expect(s, out, want, false);
    if (s->b->stem)
        s->b->stem(s->b, out->t, planes->t, (mv_vector){0}, &s->conv, c->act, &s->e);
    else {
        stage_value *picture = stage_out(s, "picture", s->b->act, DIMS(b, h, w, 3));
        s->b->picture(s->b, picture->t, planes->t, (mv_vector){0}, &s->e);
        s->b->conv2d(s->b, out->t, picture->t, &s->conv, c->act, (mv_tensor){0}, &s->e);
    }
}

static void run_linear(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], in = c->d[2], o = c->d[3];
    stage_value residual, *x = stage_in(s, "x", s->b->act, 0, 1.7f, DIMS(n, t, in));
    stage_value *out = op_out_of(s, c, "out", c->flags & FP32 ? MV_F32 : s->b->act, DIMS(n, t, o), &residual);
    stage_vector gamma = {0};
    if (c->flags & GAMMA)
        gamma = stage_vector_of(s, "gamma", (size_t)o, 0.5f, 1);
    const float *bias = bias_of(s, c, o), *weight = stage_dense(s, in, o, bias);
    double *want = stage_doubles(out->n);
    ref_linear(want, x->host, (size_t)n * (size_t)t, in, o, weight, bias, c->act, gamma.host, residual.host);
    stage_expect(s, out, want, false);
    s->b->linear(s->b, out->t, x->t, &s->dense, c->act, gamma.v, residual.t, &s->e);
}

static void run_add(stage *s, const op_case *c)
{
    stage_value residual, *x = stage_in(s, "x", s->b->act, 0, 1.7f, 3, c->d);
    stage_value *out = op_out_of(s, c, "out", s->b->act, 3, c->d, &residual);
    stage_vector gamma = {0};
    if (c->flags & GAMMA)
        gamma = stage_vector_of(s, "gamma", (size_t)c->d[2], 0.5f, 1);
    double *want = stage_doubles(out->n);
    ref_add(want, x->host, gamma.host, residual.host, MV_ACT_NONE, (size_t)c->d[0] * (size_t)c->d[1], c->d[2]);
    stage_expect(s, out, want, false);
    s->b->add(s->b, out->t, x->t, gamma.v, residual.t, &s->e);
}

static void run_layernorm(stage *s, const op_case *c)
{
    const float eps = 1e-5f;
    stage_value *x = stage_in(s, "x", s->b->act, 3, 1.7f, 3, c->d); /* a mean larger than the spread */
    stage_value *out = stage_out(s, "out", s->b->act, 3, c->d);
    stage_vector weight = stage_vector_of(s, "norm", (size_t)c->d[2], 1, 0.5f),
                 bias = stage_vector_of(s, "shift", (size_t)c->d[2], 0, 0.5f);
    double *want = stage_doubles(out->n);
    ref_layernorm(want, x->host, weight.host, bias.host, (double)eps, (size_t)c->d[0] * (size_t)c->d[1], c->d[2]);
    stage_expect(s, out, want, false);
    s->b->layernorm(s->b, out->t, x->t, weight.v, bias.v, eps, &s->e);
}

/* ---- the mixer */

static void run_conv1d(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2];
    stage_value *xz = stage_in(s, "xz", s->b->act, 0, 3, DIMS(n, t, 2 * e));
    stage_value *x = stage_out(s, "x", s->b->act, 3, c->d), *yz = stage_out(s, "yz", s->b->act, DIMS(n, t, 2 * e));
    stage_keep(s, yz, 0, e);
    stage_vector wx = stage_vector_of(s, "wx", (size_t)e * MV_TAPS, 0, 1),
                 wz = stage_vector_of(s, "wz", (size_t)e * MV_TAPS, 0, 1);
    double *want_x = stage_doubles(x->n), *want_z = stage_doubles(x->n);
    ref_conv1d_silu(want_x, xz->host, 0, wx.host, n, t, e);
    ref_conv1d_silu(want_z, xz->host, e, wz.host, n, t, e);
    stage_expect(s, x, want_x, false);
    stage_expect(s, yz, want_z, false);
    s->b->conv1d_silu(s->b, x->t, yz->t, xz->t, wx.v, wz.v, &s->e);
}

static void run_step(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2], rank = c->d[3];
    stage_value *proj = stage_in(s, "proj", s->b->act, 0, 1.7f, DIMS(n, t, rank + 2 * MV_STATES));
    stage_value *dt = stage_out(s, "dt", MV_F32, 3, c->d);
    stage_ssm m = stage_ssm_of(s, e, rank);
    double *want = stage_doubles(dt->n);
    ref_step(want, proj->host, m.dt_weight.host, m.dt_bias.host, (size_t)n * (size_t)t, e, rank);
    stage_expect(s, dt, want, false);
    s->b->step(s->b, dt->t, proj->t, &m.w, &s->e);
}

static void run_scan(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2], rank = c->d[3];
    stage_value *x = stage_in(s, "x", s->b->act, 0, 1.7f, 3, c->d);
    stage_value *proj = stage_in(s, "proj", s->b->act, 0, 1.7f, DIMS(n, t, rank + 2 * MV_STATES));
    stage_value *yz = stage_out(s, "yz", s->b->act, DIMS(n, t, 2 * e)), *given = NULL, *kept = NULL;
    stage_keep(s, yz, e, 2 * e);
    stage_ssm m = stage_ssm_of(s, e, rank);
    if (c->flags & GIVEN)
        given = stage_in(s, "dt", MV_F32, 1, 0.99f, 3, c->d);
    s->skew = 0; /* a channel's states are always aligned */
    if (c->flags & KEPT)
        kept = stage_out(s, "h", MV_F32, DIMS(n, t, e, MV_STATES));
    double *dt = given ? stage_widened(given->host, x->n) : stage_doubles(x->n), *want = stage_doubles(x->n),
           *h = stage_doubles(x->n * MV_STATES);
    if (!given)
        ref_step(dt, proj->host, m.dt_weight.host, m.dt_bias.host, (size_t)n * (size_t)t, e, rank);
    ref_states(h, x->host, proj->host, dt, m.A.host, n, t, e, rank);
    ref_readout(want, x->host, proj->host, h, m.D.host, (size_t)n * (size_t)t, e, rank);
    stage_expect(s, yz, want, false);
    if (kept)
        stage_expect(s, kept, h, false);
    else
        free(h);
    free(dt);
    const mv_tensor none = {0};
    s->b->scan(s->b, yz->t, x->t, proj->t, given ? given->t : none, &m.w, kept ? kept->t : none, &s->e);
}

static void run_readout(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2], rank = c->d[3];
    stage_value *x = stage_in(s, "x", s->b->act, 0, 1.7f, 3, c->d);
    stage_value *proj = stage_in(s, "proj", s->b->act, 0, 1.7f, DIMS(n, t, rank + 2 * MV_STATES));
    stage_value *yz = stage_out(s, "yz", s->b->act, DIMS(n, t, 2 * e));
    stage_keep(s, yz, e, 2 * e);
    s->skew = 0; /* a channel's states are always aligned */
    stage_value *h = stage_in(s, "h", MV_F32, 0, 2, DIMS(n, t, e, MV_STATES));
    stage_ssm m = stage_ssm_of(s, e, rank);
    double *states = stage_widened(h->host, h->n), *want = stage_doubles(x->n);
    ref_readout(want, x->host, proj->host, states, m.D.host, (size_t)n * (size_t)t, e, rank);
    free(states);
    stage_expect(s, yz, want, false);
    s->b->readout(s->b, yz->t, x->t, proj->t, h->t, &m.w, &s->e);
}

/* ---- attention */

static void run_attention(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], heads = c->d[2], d = c->d[3];
    float *values = stage_random(s, "qkv", (size_t)(n * t * 3) * (size_t)(heads * d), s->b->act, 0, 2);
    for (int i = 0; i < 3 * d && c->flags & NANS; i++)
        values[((t / 2 * 3 + i / d) * heads + heads - 2) * d + i % d] = NAN;
    stage_value *qkv = stage_given(s, "qkv", s->b->act, values, DIMS(n, t, 3 * heads * d)), *kept = NULL;
    stage_value *out = stage_out(s, "out", s->b->act, DIMS(n, t, heads * d));
    if (c->flags & KEPT)
        kept = stage_out(s, "rows", MV_F32, DIMS(n, heads, t, t));
    double *want = stage_doubles(out->n), *rows = stage_doubles((size_t)(n * heads) * (size_t)t * (size_t)t);
    ref_rows(rows, qkv->host, n, t, heads, d);
    ref_attend(want, rows, qkv->host, n, t, heads, d);
    stage_expect(s, out, want, false);
    if (kept)
        stage_expect(s, kept, rows, false);
    else
        free(rows);
    const mv_tensor none = {0};
    s->b->attention(s->b, out->t, qkv->t, heads, kept ? kept->t : none, &s->e);
}

static void run_attend(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], heads = c->d[2], d = c->d[3];
    stage_value *qkv = stage_in(s, "qkv", s->b->act, 0, 2, DIMS(n, t, 3 * heads * d));
    stage_value *rows =
        stage_in(s, "rows", MV_F32, 0.1f, 0.3f, DIMS(n, heads, t, t)); /* edited rows need not sum to 1 */
    stage_value *out = stage_out(s, "out", s->b->act, DIMS(n, t, heads * d));
    double *given = stage_widened(rows->host, rows->n), *want = stage_doubles(out->n);
    ref_attend(want, given, qkv->host, n, t, heads, d);
    free(given);
    stage_expect(s, out, want, false);
    s->b->attend(s->b, out->t, rows->t, qkv->t, &s->e);
}

/* ---- windows and the head */

static void run_windows(stage *s, const op_case *c)
{
    int b = c->d[0], h = c->d[1], w = c->d[2], channels = c->d[3], window = c->d[4];
    int windows = (h + window - 1) / window * ((w + window - 1) / window);
    const int picture[] = {b, h, w, channels}, tokens[] = {b * windows, window * window, channels};
    stage_value *x, *out;
    if (c->op == SPLIT) {
        x = stage_in(s, "x", s->b->act, 0, 2, 4, picture);
        out = stage_out(s, "out", s->b->act, 3, tokens);
    } else {
        x = stage_in(s, "x", s->b->act, 0, 2, 3, tokens);
        out = stage_out(s, "out", s->b->act, 4, picture);
    }
    double *want = stage_doubles(out->n);
    (c->op == SPLIT ? ref_split : ref_merge)(want, x->host, b, h, w, channels, window);
    stage_expect(s, out, want, true);
    (c->op == SPLIT ? s->b->split : s->b->merge)(s->b, out->t, x->t, window, &s->e);
}

static void run_affine(stage *s, const op_case *c)
{
    stage_value *x = stage_in(s, "x", s->b->act, 0, 2, 4, c->d), *out = stage_out(s, "out", s->b->act, 4, c->d);
    size_t n = (size_t)c->d[3];
    stage_vector scale = stage_vector_of(s, "scale", n, 1, 0.5f), shift = stage_vector_of(s, "shift", n, 0, 1);
    double *want = stage_doubles(out->n);
    ref_affine(want, x->host, scale.host, shift.host, x->n / n, c->d[3]);
    stage_expect(s, out, want, false);
    s->b->affine(s->b, out->t, x->t, scale.v, shift.v, &s->e);
}

static void run_mean_pool(stage *s, const op_case *c)
{
    int b = c->d[0], channels = c->d[3];
    stage_value *x = stage_in(s, "x", s->b->act, 0.5f, 2, 4, c->d),
                *out = stage_out(s, "out", s->b->act, DIMS(b, channels));
    stage_vector scale = {0}, shift = {0};
    if (c->flags & SCALED) {
        scale = stage_vector_of(s, "scale", (size_t)channels, 1, 0.5f);
        shift = stage_vector_of(s, "shift", (size_t)channels, 0, 1);
    }
    double *want = stage_doubles(out->n);
    ref_pool(want, x->host, b, (size_t)c->d[1] * (size_t)c->d[2], channels, scale.host, shift.host);
    stage_expect(s, out, want, false);
    s->b->mean_pool(s->b, out->t, x->t, scale.v, shift.v, &s->e);
}

/* ---- diagnostics of the mixer, and reductions of attention rows */

static void run_state_norm(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2];
    stage_value *h = stage_in(s, "h", MV_F32, 0, 2, DIMS(n, t, e, MV_STATES)),
                *out = stage_out(s, "out", MV_F32, DIMS(n, t));
    double *want = stage_doubles(out->n);
    ref_state_norm(want, h->host, out->n, e);
    stage_expect(s, out, want, false);
    s->b->state_norm(s->b, out->t, h->t, &s->e);
}

static void run_hidden(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2], rank = c->d[3];
    stage_value *dt = stage_in(s, "dt", MV_F32, 0.5f, 0.49f, 3, c->d),
                *proj = stage_in(s, "proj", s->b->act, 0, 1.7f, DIMS(n, t, rank + 2 * MV_STATES)),
                *out = stage_out(s, "out", MV_F32, DIMS(n, t, t));
    stage_ssm m = stage_ssm_of(s, e, rank);
    int channel = c->flags & ONE ? e - 1 : -1;
    bool with_sign = c->flags & SIGNED;
    double *want = stage_doubles(out->n);
    ref_hidden(want, dt->host, proj->host, m.A.host, n, t, e, rank, channel, with_sign);
    stage_expect(s, out, want, false);
    s->b->hidden(s->b, out->t, dt->t, proj->t, &m.w, channel, with_sign, &s->e);
}

static void run_half_life(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2], channel = c->flags & ONE ? e - 1 : -1;
    stage_value *dt = stage_in(s, "dt", MV_F32, 0.5f, 0.49f, 3, c->d), *out = stage_out(s, "out", MV_F32, DIMS(n, t));
    stage_ssm m = stage_ssm_of(s, e, 1);
    double *want = stage_doubles(out->n);
    ref_half_life(want, dt->host, m.A.host, out->n, e, channel);
    stage_expect(s, out, want, false);
    s->b->half_life(s->b, out->t, dt->t, &m.w, channel, &s->e);
}

static void run_spread(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], e = c->d[2], rank = c->d[3], first = c->d[4], queries = c->d[5],
        room = (int)mv_spread_rows(t, first, queries) + 2;
    stage_value *xz = stage_in(s, "xz", s->b->act, 0, 2, DIMS(n, t, 2 * e)),
                *proj = stage_in(s, "proj", s->b->act, 0, 1.7f, DIMS(n, t, rank + 2 * MV_STATES)),
                *dt = stage_in(s, "dt", MV_F32, 0.5f, 0.49f, DIMS(n, t, e)),
                *rows = stage_out(s, "rows", s->b->act, DIMS(n, room, 2 * e));
    stage_ssm m = stage_ssm_of(s, e, rank);
    stage_vector wx = stage_vector_of(s, "wx", (size_t)e * MV_TAPS, 0, 1),
                 wz = stage_vector_of(s, "wz", (size_t)e * MV_TAPS, 0, 1);
    double *want = stage_doubles(rows->n);
    ref_spread(want, xz->host, proj->host, dt->host, m.A.host, m.D.host, wx.host, wz.host, n, t, e, rank, first,
               queries, room);
    stage_expect(s, rows, want, false);
    s->b->spread(s->b, rows->t, xz->t, proj->t, dt->t, &m.w, wx.v, wz.v, first, queries, &s->e);
}

static void run_weigh(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1], channels = c->d[2], first = c->d[3], queries = c->d[4],
        room = (int)mv_spread_rows(t, first, queries) + 2;
    stage_value *vectors = stage_in(s, "vectors", MV_F32, 0, 2, DIMS(n, room, channels)),
                *out = stage_in(s, "out", MV_F32, 5, 1, DIMS(n, t, t)), /* other queries stay */
                    *parts = stage_in(s, "parts", MV_F32, 5, 1, DIMS(n, t, 2));
    out->changes = parts->changes = true;
    double *want = stage_widened(out->host, out->n), *want_parts = stage_widened(parts->host, parts->n);
    ref_weigh(want, want_parts, vectors->host, n, t, channels, first, queries, room);
    stage_expect(s, out, want, false);
    stage_expect(s, parts, want_parts, false);
    s->b->weigh(s->b, out->t, parts->t, vectors->t, first, queries, &s->e);
}

static stage_value *rows_for(stage *s, int n, int heads, int t)
{
    return stage_in(s, "rows", MV_F32, 0.3f, 0.31f, DIMS(n, heads, t, t)); /* some below 0: these have no logarithm */
}

static void run_follow(stage *s, const op_case *c)
{
    int n = c->d[0], heads = c->d[1], t = c->d[2], windows = c->d[3];
    mv_rows_form form = c->flags & RESIDUAL ? MV_ROWS_RESIDUAL : c->flags & SHARES ? MV_ROWS_SHARES : MV_ROWS_GIVEN;
    stage_value *rows = rows_for(s, n, heads, t), *from = stage_in(s, "from", MV_F32, 0.5f, 0.5f, DIMS(windows, t)),
                *to = stage_out(s, "to", MV_F32, DIMS(n, heads, t));
    double *want = stage_doubles(to->n);
    ref_follow(want, rows->host, from->host, n, heads, t, windows, form);
    stage_expect(s, to, want, false);
    s->b->follow(s->b, to->t, rows->t, from->t, form, &s->e);
}

static void run_roll(stage *s, const op_case *c)
{
    int n = c->d[0], t = c->d[1];
    stage_value *rows = stage_in(s, "rows", MV_F32, 0.5f, 0.5f, DIMS(n, t, t)), *before = NULL,
                *out = stage_out(s, "out", MV_F32, DIMS(n, t, t));
    if (c->flags & GIVEN)
        before = stage_in(s, "before", MV_F32, 0.5f, 0.5f, DIMS(n, t, t));
    double *want = stage_doubles(out->n);
    ref_roll(want, rows->host, before ? before->host : NULL, n, t);
    stage_expect(s, out, want, false);
    const mv_tensor none = {0};
    s->b->roll(s->b, out->t, rows->t, before ? before->t : none, &s->e);
}

static void run_mean_heads(stage *s, const op_case *c)
{
    int n = c->d[0], heads = c->d[1], t = c->d[2];
    stage_value *rows = rows_for(s, n, heads, t), *out = stage_out(s, "out", MV_F32, DIMS(n, t, t));
    double *want = stage_doubles(out->n);
    ref_mean_heads(want, rows->host, n, heads, t);
    stage_expect(s, out, want, false);
    s->b->mean_heads(s->b, out->t, rows->t, &s->e);
}

static void run_measure(stage *s, const op_case *c)
{
    int heads = c->d[1], side = c->d[2], h = c->d[3], w = c->d[4], t = side * side,
        n = c->d[0] * ((h + side - 1) / side) * ((w + side - 1) / side);
    stage_value *rows = rows_for(s, n, heads, t), *out = stage_out(s, "out", MV_F32, DIMS(n, heads, t, 3));
    double *want = stage_doubles(out->n);
    ref_measure(want, rows->host, n, heads, side, h, w);
    stage_expect(s, out, want, false);
    s->b->measure(s->b, out->t, rows->t, h, w, &s->e);
}

/* ---- the table */

const op_kind op_forward_kinds[] = {
    [PICTURE] = {"picture", "BHW", run_picture, 0},
    [STEM] = {"stem", "BHWO", run_stem, 0},
    [CONV2D] = {"conv2d", "BHWCOs", run_conv2d, 0},
    [LINEAR] = {"linear", "NTCO", run_linear, 0},
    [ADD] = {"add", "NTC", run_add, 0},
    [LAYERNORM] = {"layernorm", "NTC", run_layernorm, 0},
    [CONV1D] = {"conv1d_silu", "NTE", run_conv1d, 0},
    [STEP] = {"step", "NTER", run_step, 0},
    [SCAN] = {"scan", "NTER", run_scan, 0},
    [READOUT] = {"readout", "NTER", run_readout, 0},
    [ATTENTION] = {"attention", "NThd", run_attention, 0},
    [ATTEND] = {"attend", "NThd", run_attend, 0},
    [SPLIT] = {"split", "BHWCw", run_windows, 0},
    [MERGE] = {"merge", "BHWCw", run_windows, 0},
    [AFFINE] = {"affine", "BHWC", run_affine, 0},
    [MEAN_POOL] = {"mean_pool", "BHWC", run_mean_pool, 0},
    [STATE_NORM] = {"state_norm", "NTE", run_state_norm, 0},
    [HIDDEN] = {"hidden", "NTER", run_hidden, 0},
    [HALF_LIFE] = {"half_life", "NTE", run_half_life, 0},
    [SPREAD] = {"spread", "NTERfQ", run_spread, 0},
    [WEIGH] = {"weigh", "NTCfQ", run_weigh, 0},
    [FOLLOW] = {"follow", "NhTW", run_follow, 0},
    [ROLL] = {"roll", "NT", run_roll, 0},
    [MEAN_HEADS] = {"mean_heads", "NhT", run_mean_heads, 0},
    [MEASURE] = {"measure", "BhsHW", run_measure, 0},
};

/* Tiny, odd (nothing divides by a vector's width), batched, and a few real ones, from the levels of the T variant */
static const op_case table[] = {
    {PICTURE, .d = {1, 1, 1}},
    {PICTURE, .d = {3, 5, 7}},
    {PICTURE, .d = {1, 33, 50}},
    {STEM, .d = {1, 1, 1, 32}, MV_ACT_RELU},
    {STEM, .d = {2, 5, 7, 17}, .flags = NOBIAS},
    {STEM, .d = {2, 33, 290, 32}, MV_ACT_RELU}, /* three blocks across */
    {STEM, .d = {264, 9, 6, 32}, MV_ACT_RELU},  /* blocks of four rows */
    {STEM, .d = {265, 4, 5, 64}},
    {STEM, .d = {264, 6, 3, 8}, MV_ACT_RELU},
    {CONV2D, .d = {2, 9, 67, 3, 64, 2}, MV_ACT_RELU},
    {CONV2D, .d = {264, 5, 6, 3, 32, 2}},
    {CONV2D, .d = {1, 5, 6, 3, 32, 2}, MV_ACT_GELU_TANH},
    {CONV2D, .d = {1, 1, 1, 1, 1, 1}},
    {CONV2D, .d = {1, 1, 1, 1, 1, 2}, .flags = NOBIAS},
    {CONV2D, .d = {2, 1, 9, 5, 4, 2}, MV_ACT_RELU},
    {CONV2D, .d = {4, 6, 1, 2, 3, 1}, MV_ACT_GELU, RESIDUAL},
    {CONV2D, .d = {3, 9, 11, 8, 33, 1}, MV_ACT_GELU_TANH},
    {CONV2D, .d = {3, 10, 12, 16, 17, 2}, .flags = NOBIAS},
    {CONV2D, .d = {2, 7, 8, 36, 36, 1}, MV_ACT_GELU_TANH}, /* no whole 16 bytes a row, through cuDNN and by columns */
    {CONV2D, .d = {2, 7, 8, 36, 36, 1}, MV_ACT_NONE, ONTO},
    {CONV2D, .d = {2, 8, 6, 33, 9, 1}, MV_ACT_GELU_TANH},
    {CONV2D, .d = {1, 56, 56, 3, 32, 2}, MV_ACT_RELU},
    {CONV2D, .d = {1, 28, 28, 32, 80, 2}, MV_ACT_RELU},
    {CONV2D, .d = {1, 14, 14, 160, 160, 1}, MV_ACT_GELU_TANH},
    {CONV2D, .d = {1, 14, 14, 160, 160, 1}, MV_ACT_NONE, ONTO},
    {LINEAR, .d = {1, 1, 1, 1}},
    {LINEAR, .d = {1, 1, 1, 1}, MV_ACT_GELU, ONTO | GAMMA},
    {LINEAR, .d = {3, 113, 20, 33}, MV_ACT_GELU},
    {LINEAR, .d = {1, 49, 320, 56}, .flags = NOBIAS},
    {LINEAR, .d = {1, 49, 640, 640}, MV_ACT_NONE, ONTO | GAMMA},
    {LINEAR, .d = {1, 49, 640, 2560}, MV_ACT_GELU},
    {LINEAR, .d = {4, 1, 640, 1000}, .flags = FP32},
    {ADD, .d = {1, 1, 1}, .flags = RESIDUAL},
    {ADD, .d = {3, 7, 17}, .flags = RESIDUAL},
    {ADD, .d = {3, 7, 17}, .flags = RESIDUAL | GAMMA},
    {ADD, .d = {2, 50, 33}, .flags = ONTO},
    {ADD, .d = {1, 49, 640}, .flags = ONTO | GAMMA},
    {LAYERNORM, .d = {1, 1, 1}},
    {LAYERNORM, .d = {1, 1, 3}},
    {LAYERNORM, .d = {3, 5, 17}},
    {LAYERNORM, .d = {2, 50, 33}},
    {LAYERNORM, .d = {1, 49, 640}},
    {LAYERNORM, .d = {1, 196, 320}},
    {LAYERNORM, .d = {2, 5, 24}}, /* every width that is held in registers, and a longer one */
    {LAYERNORM, .d = {1, 7, 384}},
    {LAYERNORM, .d = {1, 7, 768}},
    {LAYERNORM, .d = {1, 7, 512}},
    {LAYERNORM, .d = {1, 7, 1024}},
    {LAYERNORM, .d = {1, 7, 2048}},
    {LAYERNORM, .d = {1, 7, 784}},
    {LAYERNORM, .d = {1, 7, 1568}},
    {LAYERNORM, .d = {1, 3, 2056}},
    {LAYERNORM, .d = {9, 1000, 320}}, /* several rows in turn */
    {LAYERNORM, .d = {2, 5, 320}, .flags = SKEWED},
    {LAYERNORM, .d = {1, 3, 2056}, .flags = SKEWED},
    {CONV1D, .d = {1, 1, 1}},
    {CONV1D, .d = {3, 2, 5}},
    {CONV1D, .d = {3, 7, 17}},
    {CONV1D, .d = {2, 50, 33}},
    {CONV1D, .d = {1, 49, 320}},
    {CONV1D, .d = {4, 196, 160}},
    {CONV1D, .d = {34, 49, 320}}, /* many windows: long runs of tokens, whole and not */
    {CONV1D, .d = {33, 50, 320}},
    {CONV1D, .d = {32, 64, 256}},
    {CONV1D, .d = {3, 20, 64}, .flags = SKEWED},
    {CONV1D, .d = {34, 49, 64}, .flags = SKEWED},
    {STEP, .d = {1, 1, 1, 1}},
    {STEP, .d = {3, 7, 17, 3}},
    {STEP, .d = {2, 50, 33, 3}},
    {STEP, .d = {1, 49, 320, 40}},
    {STEP, .d = {2, 33, 98, 49}}, /* an odd rank: rows of proj are not whole words */
    {STEP, .d = {1, 20, 64, 128}},
    {STEP, .d = {1, 3, 9, 300}},
    {STEP, .d = {2, 20, 64, 20}, .flags = SKEWED},
    {SCAN, .d = {1, 1, 1, 1}},
    {SCAN, .d = {1, 1, 1, 1}, .flags = GIVEN | KEPT},
    {SCAN, .d = {3, 7, 17, 3}},
    {SCAN, .d = {3, 7, 17, 3}, .flags = GIVEN},
    {SCAN, .d = {3, 7, 17, 3}, .flags = KEPT},
    {SCAN, .d = {3, 7, 17, 3}, .flags = GIVEN | KEPT},
    {SCAN, .d = {2, 50, 33, 3}, .flags = KEPT},
    {SCAN, .d = {1, 49, 320, 40}},
    {SCAN, .d = {4, 196, 160, 20}},
    {SCAN, .d = {1, 3, 9, 300}, .flags = KEPT},
    {SCAN, .d = {1, 40, 40, 98}},
    {SCAN, .d = {3, 33, 24, 49}, .flags = KEPT},
    /* enough windows for blocks of 32 channels */
    {SCAN, .d = {700, 1, 3, 1}},
    {SCAN, .d = {325, 9, 9, 3}, .flags = GIVEN},
    {SCAN, .d = {165, 18, 25, 3}, .flags = KEPT},
    {SCAN, .d = {130, 7, 33, 20}, .flags = GIVEN | KEPT},
    {SCAN, .d = {90, 33, 64, 49}},
    {SCAN, .d = {17, 49, 320, 40}, .flags = KEPT},
    {SCAN, .d = {33, 52, 160, 20}},
    /* and for blocks of several windows */
    {SCAN, .d = {1801, 5, 9, 3}},
    {SCAN, .d = {1300, 1, 5, 2}, .flags = GIVEN | KEPT},
    {SCAN, .d = {611, 18, 40, 20}, .flags = KEPT},
    /* in each of these forms */
    {SCAN, .d = {2, 20, 40, 20}, .flags = SKEWED | KEPT},
    {SCAN, .d = {2, 20, 40, 20}, .flags = SKEWED | GIVEN},
    {SCAN, .d = {130, 20, 64, 20}, .flags = SKEWED | GIVEN | KEPT},
    {SCAN, .d = {130, 20, 64, 20}, .flags = SKEWED},
    {SCAN, .d = {611, 18, 40, 20}, .flags = SKEWED},
    {READOUT, .d = {1, 1, 1, 1}},
    {READOUT, .d = {3, 7, 17, 3}},
    {READOUT, .d = {2, 50, 33, 3}},
    {READOUT, .d = {1, 49, 320, 40}},
    {READOUT, .d = {2, 20, 64, 20}, .flags = SKEWED},
    {ATTENTION, .d = {1, 1, 1, 1}},
    {ATTENTION, .d = {1, 1, 1, 20}, .flags = KEPT},
    {ATTENTION, .d = {3, 7, 1, 33}},
    {ATTENTION, .d = {3, 49, 2, 20}},
    {ATTENTION, .d = {3, 49, 2, 20}, .flags = KEPT},
    {ATTENTION, .d = {1, 50, 3, 33}},
    {ATTENTION, .d = {1, 50, 3, 33}, .flags = KEPT},
    {ATTENTION, .d = {2, 50, 2, 64}},
    {ATTENTION, .d = {1, 49, 16, 40}, .flags = KEPT},
    {ATTENTION, .d = {1, 196, 8, 40}},
    {ATTENTION, .d = {1, 100, 2, 40}, .flags = KEPT},
    {ATTENTION, .d = {1, 33, 2, 16}, .flags = KEPT},
    {ATTENTION, .d = {1, 80, 8, 32}, .flags = KEPT},
    {ATTENTION, .d = {1, 130, 1, 48}, .flags = KEPT},
    {ATTENTION, .d = {2, 97, 4, 48}, .flags = KEPT},
    {ATTENTION, .d = {1, 49, 8, 49}, .flags = KEPT},
    {ATTENTION, .d = {1, 196, 8, 49}, .flags = KEPT},
    {ATTENTION, .d = {1, 100, 2, 52}, .flags = KEPT},
    {ATTENTION, .d = {1, 64, 1, 56}},
    {ATTENTION, .d = {1, 20, 8, 61}},
    {ATTENTION, .d = {1, 70, 3, 40}, .flags = NANS | KEPT},
    {ATTENTION, .d = {1, 70, 8, 49}, .flags = NANS | KEPT},
    {ATTENTION, .d = {1, 20, 8, 49}, .flags = NANS},
    {ATTENTION, .d = {1, 256, 2, 64}, .flags = KEPT},
    {ATTENTION, .d = {1, 129, 2, 64}, .flags = KEPT},
    {ATTENTION, .d = {1, 70, 2, 40}, .flags = KEPT | SKEWED},
    {ATTENTION, .d = {2, 33, 1, 65}, .flags = KEPT},
    {ATTENTION, .d = {1, 34, 1, 256}},
    {ATTEND, .d = {1, 1, 1, 1}},
    {ATTEND, .d = {3, 49, 2, 20}},
    {ATTEND, .d = {1, 50, 3, 33}},
    {ATTEND, .d = {2, 50, 2, 64}},
    {ATTEND, .d = {1, 49, 16, 40}},
    {SPLIT, .d = {1, 1, 1, 1, 1}},
    {SPLIT, .d = {1, 5, 7, 3, 4}},
    {SPLIT, .d = {1, 3, 2, 4, 7}},
    {SPLIT, .d = {3, 9, 13, 17, 7}},
    {SPLIT, .d = {4, 14, 14, 33, 7}},
    {SPLIT, .d = {1, 14, 16, 320, 14}},
    {SPLIT, .d = {2, 20, 30, 16, 14}}, /* pads both ways */
    {MERGE, .d = {2, 20, 30, 16, 14}},
    {MERGE, .d = {1, 1, 1, 1, 1}},
    {MERGE, .d = {1, 5, 7, 3, 4}},
    {MERGE, .d = {1, 3, 2, 4, 7}},
    {MERGE, .d = {3, 9, 13, 17, 7}},
    {MERGE, .d = {4, 14, 14, 33, 7}},
    {MERGE, .d = {1, 14, 16, 320, 14}},
    {AFFINE, .d = {1, 1, 1, 1}},
    {AFFINE, .d = {3, 5, 7, 17}},
    {AFFINE, .d = {1, 7, 7, 640}},
    {ADD, .d = {1, 49, 640}, .flags = RESIDUAL},
    {MEAN_POOL, .d = {1, 1, 1, 1}},
    {MEAN_POOL, .d = {3, 5, 7, 17}},
    {MEAN_POOL, .d = {3, 5, 7, 17}, .flags = SCALED},
    {MEAN_POOL, .d = {4, 7, 7, 640}, .flags = SCALED},
    {MEAN_POOL, .d = {2, 3, 1, 136}},
    {STATE_NORM, .d = {1, 1, 1}},
    {STATE_NORM, .d = {3, 7, 17}},
    {STATE_NORM, .d = {1, 49, 320}},
    {HIDDEN, .d = {1, 1, 1, 1}},
    {HIDDEN, .d = {3, 7, 17, 3}},
    {HIDDEN, .d = {2, 50, 33, 3}},
    {HIDDEN, .d = {1, 49, 320, 40}},
    {HIDDEN, .d = {2, 196, 24, 20}},
    {HIDDEN, .d = {1, 1, 1, 1}, .flags = SIGNED},
    {HIDDEN, .d = {2, 50, 33, 3}, .flags = SIGNED},
    {HIDDEN, .d = {2, 50, 33, 3}, .flags = ONE},
    {HIDDEN, .d = {3, 7, 17, 3}, .flags = ONE | SIGNED},
    {HALF_LIFE, .d = {1, 1, 1}},
    {HALF_LIFE, .d = {3, 7, 17}},
    {HALF_LIFE, .d = {3, 7, 17}, .flags = ONE},
    {HALF_LIFE, .d = {1, 49, 320}},
    {SPREAD, .d = {1, 1, 1, 1, 0, 1}},
    {SPREAD, .d = {1, 2, 3, 1, 0, 2}},
    {SPREAD, .d = {3, 7, 17, 3, 0, 7}},
    {SPREAD, .d = {2, 7, 17, 3, 2, 3}},
    {SPREAD, .d = {2, 50, 33, 3, 47, 3}},
    {SPREAD, .d = {1, 49, 64, 4, 40, 9}},
    {WEIGH, .d = {1, 1, 1, 0, 1}},
    {WEIGH, .d = {2, 2, 5, 0, 2}},
    {WEIGH, .d = {3, 7, 34, 0, 7}},
    {WEIGH, .d = {3, 7, 33, 2, 3}},
    {WEIGH, .d = {1, 50, 40, 45, 5}},
    {FOLLOW, .d = {1, 1, 1, 1}},
    {FOLLOW, .d = {6, 3, 7, 2}},
    {FOLLOW, .d = {6, 3, 7, 2}, .flags = RESIDUAL},
    {FOLLOW, .d = {3, 1, 50, 3}, .flags = RESIDUAL},
    {FOLLOW, .d = {2, 2, 300, 1}},
    {FOLLOW, .d = {2, 1, 300, 2}, .flags = RESIDUAL},
    {FOLLOW, .d = {4, 8, 196, 4}},
    {FOLLOW, .d = {6, 3, 7, 2}, .flags = SHARES},
    {FOLLOW, .d = {2, 1, 300, 2}, .flags = SHARES},
    {ROLL, .d = {1, 1}},
    {ROLL, .d = {1, 1}, .flags = GIVEN},
    {ROLL, .d = {3, 7}},
    {ROLL, .d = {3, 7}, .flags = GIVEN},
    {ROLL, .d = {2, 50}, .flags = GIVEN},
    {ROLL, .d = {1, 196}, .flags = GIVEN},
    {MEAN_HEADS, .d = {1, 1, 1}},
    {MEAN_HEADS, .d = {3, 3, 7}},
    {MEAN_HEADS, .d = {2, 2, 50}},
    {MEAN_HEADS, .d = {1, 16, 49}},
    {MEASURE, .d = {1, 1, 1, 1, 1}},
    {MEASURE, .d = {3, 2, 3, 5, 7}},
    {MEASURE, .d = {1, 3, 7, 7, 7}},
    {MEASURE, .d = {2, 2, 14, 16, 13}},
};

/* After the table: every way to end a convolution and a product, on odd sizes. */
enum { TABLE = sizeof table / sizeof *table, CONVS = 2 * 4 * 3, PRODUCTS = 2 * 2 * 3 * 2 };

op_case op_forward_case_at(int i)
{
    static const unsigned residuals[] = {0, RESIDUAL, ONTO};
    if (i < TABLE)
        return table[i];
    i -= TABLE;
    if (i < CONVS)
        return (op_case){CONV2D, {1, 5, 7, 3, 17, 1 + i / 12}, (mv_act)(i / 3 % 4), residuals[i % 3]};
    i -= CONVS;
    return (op_case){LINEAR,
                     {2, 25, 33, 17},
                     i / 12 ? MV_ACT_GELU : MV_ACT_NONE,
                     residuals[i % 3] | (i / 3 % 2 ? GAMMA : 0) | (i / 6 % 2 ? FP32 : 0)};
}

int op_forward_cases(void)
{
    return TABLE + CONVS + PRODUCTS;
}
