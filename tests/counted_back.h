/* For test_counts.c alone: how a case of it begins, and the operations of gradients. */
#ifndef COUNTED_BACK_H
#define COUNTED_BACK_H

#include "tests/counts.h"
#include "tests/op_stage.h"

static const char *current; /* the label of the case */
static const mv_tensor none;

/* What is launched from here on is the operation of the case. */
static void begins(void)
{
    counts_label(current);
}

static stage_value *in(stage *s, const char *name, mv_dtype type, int nd, const int *dim)
{
    return stage_in(s, name, type, 0.5f, 0.5f, nd, dim);
}

/* windows, tokens, channels, rank, 1: held */
static void mixer_back(stage *s, const int *d)
{
    int n = d[0], t = d[1], e = d[2], rank = d[3], width = rank + 2 * MV_STATES;
    stage_value *x = in(s, "x", s->b->act, DIMS(n, t, e)), *proj = in(s, "proj", s->b->act, DIMS(n, t, width)),
                *dyz = in(s, "dyz", s->b->act, DIMS(n, t, 2 * e)), *xz = in(s, "xz", s->b->act, DIMS(n, t, 2 * e)),
                *dt = in(s, "dt", MV_F32, DIMS(n, t, e)), *h = in(s, "h", MV_F32, DIMS(n, t, e, MV_STATES)),
                *dx = stage_out(s, "dx", s->b->act, DIMS(n, t, e)), *ddt = stage_out(s, "ddt", MV_F32, DIMS(n, t, e)),
                *dproj = stage_out(s, "dproj", s->b->act, DIMS(n, t, width)),
                *dxz = stage_out(s, "dxz", s->b->act, DIMS(n, t, 2 * e));
    stage_vector taps = stage_vector_of(s, "taps", (size_t)e * MV_TAPS, 0, 1);
    stage_ssm m = stage_ssm_of(s, e, rank);
    bool held = d[4];
    begins();
    s->b->scan_back(s->b, dx->t, held ? none : dproj->t, held ? none : ddt->t, none, dyz->t, x->t, proj->t, dt->t, h->t,
                    &m.w, &s->e);
    if (held)
        return;
    s->b->step_back(s->b, dproj->t, ddt->t, dt->t, &m.w, &s->e);
    s->b->conv1d_silu_back(s->b, dxz->t, dx->t, dyz->t, xz->t, taps.v, taps.v, false, &s->e);
}

/* windows, tokens, heads, d */
static void attention_back(stage *s, const int *d)
{
    int n = d[0], t = d[1], heads = d[2], c = heads * d[3];
    stage_value *qkv = in(s, "qkv", s->b->act, DIMS(n, t, 3 * c)), *dout = in(s, "dout", s->b->act, DIMS(n, t, c)),
                *dqkv = stage_out(s, "dqkv", s->b->act, DIMS(n, t, 3 * c)),
                *work = stage_out(s, "work", MV_F32, DIMS(n, heads, t, 3));
    begins();
    s->b->attention_back(s->b, dqkv->t, none, dout->t, qkv->t, heads, false, work->t, &s->e);
}

/* rows, channels: layer norm, GELU, sums of rows and the mean over as many cells */
static void rows_back(stage *s, const int *d)
{
    stage_value *x = in(s, "x", s->b->act, DIMS(1, d[0], 1, d[1])),
                *dy = in(s, "dy", s->b->act, DIMS(1, d[0], 1, d[1])),
                *dx = stage_out(s, "dx", s->b->act, DIMS(1, d[0], 1, d[1])),
                *dot = stage_out(s, "dot", MV_F32, DIMS(1, d[0], 1)),
                *pooled = in(s, "pooled", s->b->act, DIMS(1, d[1]));
    stage_vector weight = stage_vector_of(s, "weight", (size_t)d[1], 1, 0.5f);
    begins();
    s->b->layernorm_back(s->b, dx->t, dy->t, x->t, weight.v, 1e-5f, false, dy->t, &s->e);
    s->b->activate_back(s->b, dx->t, dy->t, x->t, MV_ACT_GELU, false, &s->e);
    s->b->dot(s->b, dot->t, x->t, dy->t, false, &s->e);
    s->b->mean_pool_back(s->b, dx->t, pooled->t, weight.v, &s->e);
}

/* h, w, in, out, stride */
static void conv2d_back(stage *s, const int *d)
{
    int oh = (d[0] + d[4] - 1) / d[4], ow = (d[1] + d[4] - 1) / d[4];
    stage_value *dy = in(s, "dy", s->b->act, DIMS(1, oh, ow, d[3])),
                *dx = stage_out(s, "dx", s->b->act, DIMS(1, d[0], d[1], d[2]));
    stage_conv(s, d[2], d[3], d[4], NULL);
    begins();
    s->b->conv2d_back(s->b, dx->t, dy->t, &s->conv, none, &s->e);
}

#endif
