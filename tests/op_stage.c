#include "tests/op_stage.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/weights.h"

enum { GUARD_BYTES = 256 }; /* on either side; a multiple of 64, so that values are aligned as by alloc */

static size_t guard(mv_dtype type)
{
    return GUARD_BYTES / mv_dtype_size(type);
}

/* The elements before a value */
static size_t front(const stage_value *v)
{
    return guard(v->t.type) + (size_t)v->skew;
}

static void *own(stage *s, void *p)
{
    assert_non_null(p);
    assert_true(s->owned < STAGE_OWNED);
    return s->own[s->owned++] = p;
}

void stage_open(stage *s, mv_backend *b, uint64_t seed)
{
    *s = (stage){.b = b, .seed = seed};
}

float *stage_random(stage *s, const char *name, size_t n, mv_dtype type, float centre, float spread)
{
    float *x = own(s, malloc(n * sizeof *x));
    weights_uniform(x, name, n, s->seed);
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        x[i] = centre + spread * x[i];
        if (type != MV_F32) {
            mv_from_f32(&half, type, &x[i], 1);
            mv_to_f32(&x[i], &half, type, 1);
        }
    }
    return x;
}

/* ---- values */

static mv_view all_of(const stage_value *v)
{
    int n = (int)(v->n + 2 * guard(v->t.type));
    return mv_view_of(mv_tensor_of(v->memory, v->t.type, 1, n));
}

static void put(stage *s, const stage_value *v)
{
    s->b->write(s->b, all_of(v), v->before, &s->e);
}

/* Small whole numbers, which every type holds exactly. */
static float number(size_t i)
{
    return -1 - (float)(i % 61);
}

static stage_value *place(stage *s, const char *name, mv_dtype type, const float *values, int nd, const int *dim)
{
    assert_true(s->values < STAGE_VALUES);
    stage_value *v = &s->value[s->values++];
    *v = (stage_value){.name = name, .t = {.type = type, .nd = nd}, .changes = !values, .skew = s->skew};
    memcpy(v->t.dim, dim, (size_t)nd * sizeof *dim);
    v->n = mv_tensor_count(v->t);
    size_t n = v->n + 2 * guard(type);
    v->before = own(s, malloc(n * sizeof *v->before));
    v->host = v->before + front(v);
    for (size_t i = 0; i < n; i++)
        v->before[i] = values ? NAN : number(i);
    for (size_t i = 0; i < v->n; i++)
        v->host[i] = values ? values[i] : NAN;
    v->memory = s->b->alloc(s->b, n * mv_dtype_size(type));
    assert_non_null(v->memory);
    assert_int_equal((uintptr_t)v->memory % 64, 0);
    v->t.data = (char *)v->memory + front(v) * mv_dtype_size(type);
    put(s, v);
    return v;
}

stage_value *stage_in(stage *s, const char *name, mv_dtype type, float centre, float spread, int nd, const int *dim)
{
    size_t n = 1;
    for (int i = 0; i < nd; i++)
        n *= (size_t)dim[i];
    return place(s, name, type, stage_random(s, name, n, type, centre, spread), nd, dim);
}

stage_value *stage_given(stage *s, const char *name, mv_dtype type, const float *values, int nd, const int *dim)
{
    return place(s, name, type, values, nd, dim);
}

stage_value *stage_out(stage *s, const char *name, mv_dtype type, int nd, const int *dim)
{
    return place(s, name, type, NULL, nd, dim);
}

static bool kept(const stage_value *v, size_t i)
{
    size_t column = i % (size_t)v->t.dim[v->t.nd - 1];
    return column >= (size_t)v->keep_from && column < (size_t)v->keep_to;
}

void stage_keep(stage *s, stage_value *v, int from, int to)
{
    v->keep_from = from;
    v->keep_to = to;
    for (size_t i = 0; i < v->n; i++)
        if (kept(v, i))
            v->host[i] = number(i);
    put(s, v);
}

float *stage_read(stage *s, const stage_value *v)
{
    float *x = own(s, malloc(v->n * sizeof *x));
    s->b->read(s->b, x, mv_view_of(v->t), &s->e);
    return x;
}

/* ---- weights */

stage_vector stage_vector_of(stage *s, const char *name, size_t n, float centre, float spread)
{
    stage_vector v = {.host = stage_random(s, name, n, MV_F32, centre, spread)};
    assert_true(s->vectors < STAGE_VECTORS);
    s->b->vector_new(s->b, &v.v, (int)n, v.host, &s->e);
    s->vector[s->vectors++] = v.v;
    return v;
}

stage_ssm stage_ssm_of(stage *s, int channels, int rank)
{
    size_t e = (size_t)channels;
    stage_ssm m = {.w = {.channels = channels, .rank = rank}};
    m.dt_weight = stage_vector_of(s, "dt_weight", (size_t)rank * e, 0, sqrtf(3 / (float)rank));
    m.dt_bias = stage_vector_of(s, "dt_bias", e, -2, 3); /* steps from small to large: some states last, some fade */
    m.A = stage_vector_of(s, "A", e * MV_STATES, -4, 3.9f);
    m.D = stage_vector_of(s, "D", e, 1, 0.5f);
    m.w.dt_weight = m.dt_weight.v;
    m.w.dt_bias = m.dt_bias.v;
    m.w.A = m.A.v;
    m.w.D = m.D.v;
    return m;
}

/* The device gets fp32, the reference the same rounded to the type of products. */
static const float *weights_of(stage *s, size_t n, size_t fan, const float **rounded)
{
    float spread = sqrtf(3 / (float)fan);
    *rounded = stage_random(s, "weight", n, s->b->act, 0, spread);
    return stage_random(s, "weight", n, MV_F32, 0, spread);
}

const float *stage_dense(stage *s, int in, int out, const float *bias)
{
    const float *rounded, *w = weights_of(s, (size_t)in * (size_t)out, (size_t)in, &rounded);
    s->b->dense_new(s->b, &s->dense, in, out, w, bias, &s->e);
    return rounded;
}

const float *stage_conv(stage *s, int in, int out, int stride, const float *bias)
{
    size_t fan = (size_t)in * MV_TAPS * MV_TAPS;
    const float *rounded, *w = weights_of(s, fan * (size_t)out, fan, &rounded);
    s->b->conv_new(s->b, &s->conv, in, out, stride, w, bias, &s->e);
    return rounded;
}

/* ---- outputs */

double *stage_doubles(size_t n)
{
    double *x = malloc((n ? n : 1) * sizeof *x);
    assert_non_null(x);
    return x;
}

double *stage_widened(const float *values, size_t n)
{
    double *x = stage_doubles(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (double)values[i];
    return x;
}

void stage_expect(stage *s, const stage_value *v, double *want, bool exact)
{
    assert_true(s->outputs < OP_OUTPUTS);
    s->output[s->outputs].v = v;
    s->output[s->outputs].want = want;
    s->output[s->outputs++].exact = exact;
}

static bool same(float a, float b)
{
    return isnan(a) ? isnan(b) : a == b;
}

/* Finds the first element that changed although the operation must not write it. */
static void find_damage(const stage_value *v, const float *now, op_result *r)
{
    size_t g = front(v), n = v->n + 2 * guard(v->t.type);
    for (size_t i = 0; i < n && !*r->damage; i++) {
        bool inside = i >= g && i < g + v->n;
        if (same(now[i], v->before[i]) || (inside && v->changes && !kept(v, i - g)))
            continue;
        snprintf(r->damage, sizeof r->damage, "%s of %zu values: element %td, which is %s, was %g and is %g", v->name,
                 v->n, (ptrdiff_t)i - (ptrdiff_t)g, inside ? "to be left alone" : "outside", (double)v->before[i],
                 (double)now[i]);
    }
}

static void gather(const stage_value *v, const float *now, op_output *o)
{
    o->name = v->name;
    o->type = v->t.type;
    o->got = malloc((v->n ? v->n : 1) * sizeof *o->got);
    assert_non_null(o->got);
    for (size_t i = 0; i < v->n; i++)
        if (!kept(v, i))
            o->got[o->n++] = now[front(v) + i];
}

void stage_close(stage *s, op_result *r)
{
    *r = (op_result){0};
    s->b->finish(s->b, &s->e);
    for (int i = 0; i < s->outputs; i++)
        r->output[i] = (op_output){.want = s->output[i].want, .exact = s->output[i].exact};
    r->outputs = s->outputs;
    for (int k = 0; k < s->values; k++) {
        const stage_value *v = &s->value[k];
        float *now = malloc((v->n + 2 * guard(v->t.type)) * sizeof *now);
        assert_non_null(now);
        if (!s->e.code && !s->b->read(s->b, now, all_of(v), &s->e)) {
            find_damage(v, now, r);
            for (int i = 0; i < s->outputs; i++)
                if (s->output[i].v == v)
                    gather(v, now, &r->output[i]);
        }
        free(now);
        s->b->release(s->b, v->memory);
    }
    r->error = s->e;
    if (r->error.code) {
        op_result_free(r);
        r->outputs = 0;
    }
    for (int i = 0; i < s->vectors; i++)
        s->b->vector_free(s->b, &s->vector[i]);
    s->b->dense_free(s->b, &s->dense);
    s->b->conv_free(s->b, &s->conv);
    for (int i = 0; i < s->owned; i++)
        free(s->own[i]);
}

int op_result_faults(const op_result *r, const char *who, const char *name, op_bounds wide, op_bounds narrow,
                     double worst[2])
{
    int faults = 0;
    if (r->error.code)
        print_error("%s, %s: %s\n", name, who, r->error.text), faults++;
    if (*r->damage)
        print_error("%s, %s: %s\n", name, who, r->damage), faults++;
    for (int k = 0; k < r->outputs; k++) {
        const op_output *o = &r->output[k];
        static const op_bounds every_bit = {0};
        op_bounds b = o->type == MV_F32 ? wide : narrow;
        if (o->exact)
            b = every_bit;
        op_distance d = op_output_distance(o, b.absolute, b.relative);
        if (worst && d.nmse > worst[o->type != MV_F32])
            worst[o->type != MV_F32] = d.nmse;
        if (d.excess <= 1 && d.nmse <= b.nmse)
            continue;
        print_error("%s, %s: %s[%zu] of %zu is %.9g, expected %.9g (NMSE %.3g)\n", name, who, o->name, d.at, o->n,
                    (double)o->got[d.at], o->want[d.at], d.nmse);
        faults++;
    }
    return faults;
}
