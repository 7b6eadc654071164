/* The CPU device: every operation against double loops, the same bits from any number of threads, and fused operations
 * equal to their parts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/device/cpu.h"
#include "src/kernel/kernels.h"
#include "tests/network.h"
#include "tests/op_stage.h"

enum { SEED = 11 };

static mv_backend *device(mv_dtype act, int threads)
{
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(act, threads, NULL, &e);
    expect_ok(&e);
    return b;
}

/* ---- the table of cases */

/* About four times the errors that occur. A bf16 output has its own rounding, 2^-8 at most, and the error of fp32. */
static const op_bounds fp32_bounds = {3e-12, 1.5e-5, 1.5e-5}, bf16_bounds = {2e-5, 1.5e-5, 0x1p-8 + 1.5e-5};

static int faults_of(const char *name, int threads, const op_result *r)
{
    char who[24];
    snprintf(who, sizeof who, "%d threads", threads);
    return op_result_faults(r, who, name, fp32_bounds, bf16_bounds, NULL);
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static int differences(const char *name, int threads, const op_result *one, const op_result *many)
{
    int faults = 0;
    for (int k = 0; k < one->outputs && k < many->outputs; k++) {
        const op_output *a = &one->output[k], *b = &many->output[k];
        assert_int_equal(a->n, b->n);
        size_t i = 0;
        while (i < a->n && bits_of(a->got[i]) == bits_of(b->got[i]))
            i++;
        if (i == a->n)
            continue;
        print_error("%s: %s[%zu] of %zu is %.9g with one thread and %.9g with %d\n", name, a->name, i, a->n,
                    (double)a->got[i], (double)b->got[i], threads);
        faults++;
    }
    return faults;
}

static void hold(mv_dtype act)
{
    enum { DEVICES = 3 };
    static const int threads[DEVICES] = {1, 2, 5};
    mv_backend *b[DEVICES];
    int faults = 0;
    for (int t = 0; t < DEVICES; t++)
        b[t] = device(act, threads[t]);
    assert_int_equal(op_cases_without(b[0]), 0);
    for (int i = 0; i < op_cases(); i++) {
        op_result one, many;
        op_case_run(i, b[0], SEED, &one);
        faults += faults_of(op_case_name(i), 1, &one);
        for (int t = 1; t < DEVICES; t++) {
            op_case_run(i, b[t], SEED, &many);
            faults += faults_of(op_case_name(i), threads[t], &many);
            faults += differences(op_case_name(i), threads[t], &one, &many);
            op_result_free(&many);
        }
        op_result_free(&one);
    }
    for (int t = 0; t < DEVICES; t++)
        b[t]->free(b[t]);
    if (faults)
        fail_msg("%d faults in %d cases", faults, op_cases());
}

static void fp32_is_within_bounds(void **s)
{
    (void)s;
    hold(MV_F32);
}

static void bf16_is_within_bounds(void **s)
{
    (void)s;
    hold(MV_BF16);
}

/* A device on each instruction set that this processor has. */
static void every_instruction_set_is_within_bounds(void **s)
{
    (void)s;
    for (int k = 0; mv_kernels_at(k); k++) {
        const char *isa = mv_kernels_at(k)->name;
        mv_error e = {0};
        mv_backend *b = mv_cpu_new(MV_F32, 2, isa, &e);
        int faults = 0;
        expect_ok(&e);
        for (int i = 0; i < op_cases(); i++) {
            op_result r;
            op_case_run(i, b, SEED, &r);
            faults += op_result_faults(&r, isa, op_case_name(i), fp32_bounds, bf16_bounds, NULL);
            op_result_free(&r);
        }
        b->free(b);
        if (faults)
            fail_msg("%s: %d faults in %d cases", isa, faults, op_cases());
    }
}

/* The comparisons themselves: without this, a comparison that never fails would pass. */
static void a_fault_is_seen(void **s)
{
    (void)s;
    mv_backend *b = device(MV_F32, 1);
    op_result r;
    int i = op_cases() - 1;
    while (strncmp(op_case_name(i), "linear ", 7) != 0)
        i--;
    op_case_run(i, b, SEED, &r);
    op_output *o = &r.output[0];
    size_t last = o->n - 1;
    float right = o->got[last];
    assert_true(op_output_distance(o, 1e-5, 1e-5).excess <= 1);
    o->got[last] = right + 2e-3f;
    assert_true(op_output_distance(o, 1e-5, 1e-5).excess > 1);
    assert_int_equal(op_output_distance(o, 1e-5, 1e-5).at, last);
    o->got[last] = NAN;
    assert_true(isinf(op_output_distance(o, 1e-5, 1e-5).excess));
    assert_true(isinf(op_output_distance(o, 1e-5, 1e-5).nmse));
    op_result_free(&r);

    stage st;
    stage_open(&st, b, SEED);
    stage_value *v = stage_out(&st, "v", MV_F32, DIMS(2, 4));
    stage_keep(&st, v, 0, 2);
    float *x = v->t.data;
    x[2] = x[3] = x[6] = x[7] = 0; /* all that was asked for */
    stage_close(&st, &r);
    assert_string_equal(r.damage, "");
    for (int at = -64; at < 8 + 64; at++) {
        if (at >= 0 && at < 8 && at % 4 >= 2)
            continue;
        stage_open(&st, b, SEED);
        v = stage_out(&st, "v", MV_F32, DIMS(2, 4));
        stage_keep(&st, v, 0, 2);
        ((float *)v->t.data)[at] += 0.5f;
        stage_close(&st, &r);
        if (!*r.damage)
            fail_msg("a value written at %d went unseen", at);
    }
    b->free(b);
}

/* ---- identities: a fused operation equals its parts */

typedef void identity(stage *s, const int *shape);

static void each(mv_dtype act, const int (*shape)[4], int shapes, identity *check)
{
    for (int threads = 1; threads <= 3; threads++) {
        mv_backend *b = device(act, threads);
        for (int i = 0; i < shapes; i++) {
            stage s;
            op_result r;
            stage_open(&s, b, SEED + (uint64_t)i);
            check(&s, shape[i]);
            stage_close(&s, &r);
            expect_ok(&r.error);
            if (*r.damage)
                fail_msg("%s", r.damage);
        }
        b->free(b);
    }
}

/* Columns [0, columns) of two values: bit-equal, or within `by` times 1 + their size; NaN fails. */
static void equal(stage *s, const char *what, const stage_value *a, const stage_value *b, int columns, double by)
{
    const float *x = stage_read(s, a), *y = stage_read(s, b);
    size_t width = (size_t)a->t.dim[a->t.nd - 1];
    assert_true(a->n == b->n);
    for (size_t i = 0; i < a->n; i++)
        if (i % width < (size_t)columns && !(fabs((double)x[i] - (double)y[i]) <= by * (1 + fabs((double)x[i]))))
            fail_msg("%s: [%zu] of %zu is %.9g and %.9g", what, i, a->n, (double)x[i], (double)y[i]);
}

static void sum_in_parts(stage *s, const int *d)
{
    const mv_dtype act = s->b->act;
    stage_value *x = stage_in(s, "x", act, 0, 1.7f, DIMS(d[0], d[1], d[2])),
                *residual = stage_in(s, "residual", act, 0, 1.7f, DIMS(d[0], d[1], d[3])),
                *product = stage_out(s, "product", act, DIMS(d[0], d[1], d[3])),
                *parts = stage_out(s, "parts", act, DIMS(d[0], d[1], d[3])),
                *fused = stage_out(s, "fused", act, DIMS(d[0], d[1], d[3])),
                *onto = stage_given(s, "onto", act, residual->host, DIMS(d[0], d[1], d[3]));
    onto->changes = true;
    stage_vector gamma = stage_vector_of(s, "gamma", (size_t)d[3], 0.5f, 1);
    stage_dense(s, d[2], d[3], stage_random(s, "bias", (size_t)d[3], MV_F32, 0, 1));
    s->b->linear(s->b, product->t, x->t, &s->dense, MV_ACT_NONE, (mv_vector){0}, (mv_tensor){0}, &s->e);
    s->b->add(s->b, parts->t, product->t, gamma.v, residual->t, &s->e);
    s->b->linear(s->b, fused->t, x->t, &s->dense, MV_ACT_NONE, gamma.v, residual->t, &s->e);
    s->b->linear(s->b, onto->t, x->t, &s->dense, MV_ACT_NONE, gamma.v, onto->t, &s->e);
    equal(s, "linear with its residual, onto it", fused, onto, d[3], 0);
    if (act == MV_F32)
        equal(s, "linear with its residual, linear then add", fused, parts, d[3], 0);
}

static void linear_is_linear_then_add(void **s)
{
    (void)s;
    static const int shape[][4] = {
        {1, 1, 1, 1}, {2, 25, 33, 17}, {3, 113, 20, 33}, {1, 49, 640, 640}, {1, 196, 320, 320}};
    each(MV_F32, shape, 5, sum_in_parts);
    each(MV_BF16, shape, 5, sum_in_parts);
}

/* GELU of a product, and the others of a convolution: fused, and one after the other. */
static void activation_in_parts(stage *s, const int *d)
{
    int side = d[0], in = d[1], o = d[2], stride = d[3];
    const mv_tensor none = {0};
    stage_value *x = stage_in(s, "x", MV_F32, 0, 1.7f, DIMS(1, side, side, in)), *y[5];
    int to[] = {1, (side + stride - 1) / stride, (side + stride - 1) / stride, o};
    for (int i = 0; i < 5; i++)
        y[i] = stage_out(s, "y", MV_F32, 4, to);
    stage_conv(s, in, o, stride, stage_random(s, "bias", (size_t)o, MV_F32, 0, 0.5f));
    s->b->conv2d(s->b, y[0]->t, x->t, &s->conv, MV_ACT_NONE, none, &s->e);
    const mv_act acts[] = {MV_ACT_RELU, MV_ACT_GELU_TANH};
    for (int i = 0; i < 2; i++) {
        s->b->conv2d(s->b, y[1 + 2 * i]->t, x->t, &s->conv, acts[i], none, &s->e);
        s->b->activate(s->b, y[2 + 2 * i]->t, y[0]->t, acts[i], &s->e);
        equal(s, "a fused activation, one after the convolution", y[1 + 2 * i], y[2 + 2 * i], o, 0);
    }
}

static void gelu_in_parts(stage *s, const int *d)
{
    int rows = d[0], in = d[1], o = d[2];
    const mv_tensor none = {0};
    stage_value *x = stage_in(s, "x", MV_F32, 0, 1.7f, DIMS(rows, in)), *y[3];
    for (int i = 0; i < 3; i++)
        y[i] = stage_out(s, "y", MV_F32, DIMS(rows, o));
    stage_dense(s, in, o, stage_random(s, "bias", (size_t)o, MV_F32, 0, 0.5f));
    s->b->linear(s->b, y[0]->t, x->t, &s->dense, MV_ACT_NONE, (mv_vector){0}, none, &s->e);
    s->b->linear(s->b, y[1]->t, x->t, &s->dense, MV_ACT_GELU, (mv_vector){0}, none, &s->e);
    s->b->activate(s->b, y[2]->t, y[0]->t, MV_ACT_GELU, &s->e);
    equal(s, "a fused GELU, one after the product", y[1], y[2], o, 0);
}

static void activations_are_equal_to_fused_ones(void **s)
{
    (void)s;
    static const int convs[][4] = {{112, 3, 32, 2}, {56, 80, 80, 1}, {28, 160, 160, 1},
                                   {7, 17, 33, 1},  {9, 5, 3, 1},    {27, 104, 104, 1}},
                     products[][4] = {{49, 640, 2560}, {196, 320, 1280}, {3, 17, 33}};
    each(MV_F32, convs, 6, activation_in_parts);
    each(MV_F32, products, 3, gelu_in_parts);
}

static void scan_in_parts(stage *s, const int *d)
{
    const mv_dtype act = s->b->act;
    const mv_tensor none = {0};
    int n = d[0], t = d[1], e = d[2], rank = d[3];
    stage_value *x = stage_in(s, "x", act, 0, 1.7f, DIMS(n, t, e)),
                *proj = stage_in(s, "proj", act, 0, 1.7f, DIMS(n, t, rank + 2 * MV_STATES)),
                *dt = stage_out(s, "dt", MV_F32, DIMS(n, t, e)),
                *h = stage_out(s, "h", MV_F32, DIMS(n, t, e, MV_STATES)),
                *again = stage_out(s, "h of dt", MV_F32, DIMS(n, t, e, MV_STATES)), *y[5];
    stage_ssm m = stage_ssm_of(s, e, rank);
    for (int i = 0; i < 5; i++) {
        y[i] = stage_out(s, "yz", act, DIMS(n, t, 2 * e));
        stage_keep(s, y[i], e, 2 * e);
    }
    s->b->step(s->b, dt->t, proj->t, &m.w, &s->e);
    s->b->scan(s->b, y[0]->t, x->t, proj->t, none, &m.w, none, &s->e);
    s->b->scan(s->b, y[1]->t, x->t, proj->t, dt->t, &m.w, none, &s->e);
    s->b->scan(s->b, y[2]->t, x->t, proj->t, none, &m.w, h->t, &s->e);
    s->b->scan(s->b, y[3]->t, x->t, proj->t, dt->t, &m.w, again->t, &s->e);
    s->b->readout(s->b, y[4]->t, x->t, proj->t, h->t, &m.w, &s->e);
    equal(s, "scan, scan with its dt given", y[0], y[1], e, 0);
    equal(s, "scan, scan with h kept", y[0], y[2], e, 0);
    equal(s, "scan, scan with dt given and h kept", y[0], y[3], e, 0);
    equal(s, "h, h of dt given", h, again, MV_STATES, 0);
    equal(s, "scan, readout of h", y[0], y[4], e, act == MV_F32 ? 1e-6 : 0x1p-7);
}

static void scan_is_step_and_readout(void **s)
{
    (void)s;
    static const int shape[][4] = {{1, 1, 1, 1}, {3, 7, 17, 3}, {2, 50, 33, 3}, {1, 49, 320, 40}};
    each(MV_F32, shape, 4, scan_in_parts);
    each(MV_BF16, shape, 4, scan_in_parts);
}

/* With one channel: y - D x = M x. */
static void hidden_and_scan(stage *s, const int *d)
{
    int n = d[0], t = d[1], rank = d[2];
    stage_value *x = stage_in(s, "x", MV_F32, 1, 0.9f, DIMS(n, t, 1)),
                *proj = stage_in(s, "proj", MV_F32, 0.5f, 0.9f, DIMS(n, t, rank + 2 * MV_STATES)),
                *dt = stage_in(s, "dt", MV_F32, 0.3f, 0.29f, DIMS(n, t, 1)),
                *yz = stage_out(s, "yz", MV_F32, DIMS(n, t, 2)), *m = stage_out(s, "hidden", MV_F32, DIMS(n, t, t));
    stage_keep(s, yz, 1, 2);
    stage_ssm w = stage_ssm_of(s, 1, rank);
    s->b->scan(s->b, yz->t, x->t, proj->t, dt->t, &w.w, (mv_tensor){0}, &s->e);
    s->b->hidden(s->b, m->t, dt->t, proj->t, &w.w, 0, true, &s->e);
    const float *y = stage_read(s, yz), *M = stage_read(s, m);
    for (int i = 0; i < n * t; i++, M += t) {
        double sum = (double)w.D.host[0] * (double)x->host[i], size = fabs(sum);
        for (int j = 0; j < t; j++) {
            double term = (double)M[j] * (double)x->host[i / t * t + j];
            sum += term;
            size += fabs(term);
            if (j > i % t && M[j] != 0)
                fail_msg("hidden: [%d, %d] is %.9g, expected 0", i % t, j, (double)M[j]);
        }
        if (!(fabs(sum - (double)y[2 * i]) <= 3e-6 * size))
            fail_msg("y[%d] of %d is %.9g, M x + D x %.9g", i, n * t, (double)y[2 * i], sum);
    }
}

static void hidden_attention_rebuilds_the_scan(void **s)
{
    (void)s;
    static const int shape[][4] = {{1, 1, 1}, {3, 7, 2}, {2, 50, 3}, {1, 196, 5}, {1, 1024, 1}};
    each(MV_F32, shape, 5, hidden_and_scan);
}

/* The vectors of a query, summed over all tokens, are the [y | z] of it: what every token contributes is the output. */
static void spread_and_scan(stage *s, const int *d)
{
    int n = d[0], t = d[1], e = d[2], rank = d[3], first = t / 3, queries = t - first,
        room = (int)mv_spread_rows(t, first, queries);
    stage_value *xz = stage_in(s, "xz", MV_F32, 0, 2, DIMS(n, t, 2 * e)),
                *proj = stage_in(s, "proj", MV_F32, 0, 1.7f, DIMS(n, t, rank + 2 * MV_STATES)),
                *dt = stage_in(s, "dt", MV_F32, 0.3f, 0.29f, DIMS(n, t, e)),
                *x = stage_out(s, "x", MV_F32, DIMS(n, t, e)), *yz = stage_out(s, "yz", MV_F32, DIMS(n, t, 2 * e)),
                *rows = stage_out(s, "rows", MV_F32, DIMS(n, room, 2 * e));
    stage_ssm w = stage_ssm_of(s, e, rank);
    stage_vector wx = stage_vector_of(s, "wx", (size_t)e * MV_TAPS, 0, 1),
                 wz = stage_vector_of(s, "wz", (size_t)e * MV_TAPS, 0, 1);
    s->b->conv1d_silu(s->b, x->t, yz->t, xz->t, wx.v, wz.v, &s->e);
    s->b->scan(s->b, yz->t, x->t, proj->t, dt->t, &w.w, (mv_tensor){0}, &s->e);
    s->b->spread(s->b, rows->t, xz->t, proj->t, dt->t, &w.w, wx.v, wz.v, first, queries, &s->e);
    const float *out = stage_read(s, yz), *row = stage_read(s, rows);
    for (int i = 0; i < n * queries; i++) {
        int query = first + i % queries, terms = 3 + (query + 2 < t ? query + 2 : t);
        const float *due = out + (i / queries * t + query) * 2 * e;
        for (int c = 0; c < 2 * e; c++) {
            double sum = 0, size = 0;
            for (int k = 0; k < terms; k++) {
                sum += (double)row[k * 2 * e + c];
                size += fabs((double)row[k * 2 * e + c]);
            }
            if (!(fabs(sum - (double)due[c]) <= 2e-5 * size))
                fail_msg("query %d, channel %d: contributions add up to %.9g, expected %.9g", query, c, sum,
                         (double)due[c]);
        }
        row += terms * 2 * e;
    }
}

static void contributions_add_up_to_the_output(void **s)
{
    (void)s;
    static const int shape[][4] = {{1, 1, 1, 1}, {3, 2, 17, 3}, {2, 50, 33, 3}, {1, 130, 24, 3}};
    each(MV_F32, shape, 4, spread_and_scan);
}

static void attention_in_parts(stage *s, const int *d)
{
    const mv_dtype act = s->b->act;
    int n = d[0], t = d[1], heads = d[2], c = d[2] * d[3];
    stage_value *qkv = stage_in(s, "qkv", act, 0, 2, DIMS(n, t, 3 * c)),
                *plain = stage_out(s, "out", act, DIMS(n, t, c)),
                *kept = stage_out(s, "out with rows", act, DIMS(n, t, c)),
                *parts = stage_out(s, "out of rows", act, DIMS(n, t, c)),
                *rows = stage_out(s, "rows", MV_F32, DIMS(n, heads, t, t));
    s->b->attention(s->b, plain->t, qkv->t, heads, (mv_tensor){0}, &s->e);
    s->b->attention(s->b, kept->t, qkv->t, heads, rows->t, &s->e);
    s->b->attend(s->b, parts->t, rows->t, qkv->t, &s->e);
    equal(s, "attention, attention with rows kept", plain, kept, c, 0);
    equal(s, "attention, attend on its rows", plain, parts, c, act == MV_F32 ? 1e-6 : 0x1p-7);
    const float *r = stage_read(s, rows);
    for (size_t i = 0; i < rows->n / (size_t)t; i++) {
        double sum = 0;
        for (size_t k = 0; k < (size_t)t; k++)
            sum += (double)r[i * (size_t)t + k];
        if (!(fabs(sum - 1) <= 1e-6))
            fail_msg("row %zu of %dx%dx%d sums to %.9g", i, n, heads, t, sum);
    }
}

static void attention_is_rows_and_attend(void **s)
{
    (void)s;
    static const int shape[][4] = {{1, 1, 1, 1}, {3, 7, 1, 33}, {3, 49, 2, 20}, {1, 50, 3, 64}, {1, 196, 8, 40}};
    each(MV_F32, shape, 5, attention_in_parts);
    each(MV_BF16, shape, 5, attention_in_parts);
}

static void there_and_back(stage *s, const int *d)
{
    int h = d[0], w = d[1], window = d[3], windows = (h + window - 1) / window * ((w + window - 1) / window);
    stage_value *x = stage_in(s, "x", s->b->act, 0, 2, DIMS(2, h, w, d[2])),
                *tokens = stage_out(s, "tokens", s->b->act, DIMS(2 * windows, window * window, d[2])),
                *back = stage_out(s, "back", s->b->act, DIMS(2, h, w, d[2]));
    s->b->split(s->b, tokens->t, x->t, window, &s->e);
    s->b->merge(s->b, back->t, tokens->t, window, &s->e);
    equal(s, "a picture, split and merged", x, back, d[2], 0);
}

static void merge_undoes_split(void **s)
{
    (void)s;
    static const int shape[][4] = {{1, 1, 1, 3}, {9, 13, 17, 7}, {14, 14, 5, 7}};
    each(MV_F32, shape, 3, there_and_back);
    each(MV_BF16, shape, 3, there_and_back);
}

/* ---- strided values, and refusals */

static void views_are_read_and_written(void **s)
{
    (void)s;
    for (int k = 0; k < 2; k++) {
        mv_backend *b = device(k ? MV_BF16 : MV_F32, 2);
        stage st;
        op_result r;
        stage_open(&st, b, SEED);
        stage_value *x = stage_in(&st, "x", b->act, 0, 2, DIMS(2, 5, 7, 3)),
                    *back = stage_out(&st, "back", b->act, DIMS(2, 5, 7, 3));
        mv_view planes = {.data = x->t.data, .type = b->act, .nd = 4, .dim = {2, 3, 5, 7}, .stride = {105, 1, 21, 3}};
        float host[210];
        b->read(b, host, planes, &st.e);
        for (int i = 0; i < 210; i++)
            assert_true(host[i] == x->host[i / 105 * 105 + i % 35 * 3 + i / 35 % 3]);
        planes.data = back->t.data;
        b->write(b, planes, host, &st.e);
        equal(&st, "a picture, read and written as planes", x, back, 3, 0);
        stage_close(&st, &r);
        expect_ok(&r.error);
        assert_string_equal(r.damage, "");
        b->free(b);
    }
}

static void wrong_arguments_are_refused(void **s)
{
    (void)s;
    static const struct {
        mv_dtype act;
        int threads;
        mv_status code;
        const char *text;
    } wrong[] = {{MV_F16, 1, MV_EDEVICE, "cpu: found precision fp16, expected fp32 or bf16"},
                 {MV_F32, -1, MV_EINPUT, "cpu: found -1 threads, expected 1 to 1024"},
                 {MV_BF16, 2000, MV_EINPUT, "cpu: found 2000 threads, expected 1 to 1024"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        mv_error e = {0};
        assert_null(mv_cpu_new(wrong[i].act, wrong[i].threads, NULL, &e));
        assert_int_equal(e.code, wrong[i].code);
        assert_string_equal(e.text, wrong[i].text);
        assert_null(mv_cpu_new(wrong[i].act, wrong[i].threads, NULL, NULL));
    }
}

static void an_unknown_instruction_set_is_refused(void **s)
{
    (void)s;
    mv_error e = {0};
    assert_null(mv_cpu_new(MV_F32, 1, "mmx", &e));
    assert_int_equal(e.code, MV_EINPUT);
    assert_non_null(strstr(e.text, "cpu: found instruction set 'mmx', expected one that this processor has: "));
    assert_non_null(strstr(e.text, "plain"));
}

static void a_missing_operation_is_refused(void **s)
{
    (void)s;
    mv_error e = {0};
    mv_backend *b = device(MV_F32, 1);
    assert_int_equal(mv_backend_check(b, &e), MV_OK);
    mv_backend less = *b;
    less.measure = NULL;
    assert_int_equal(mv_backend_check(&less, &e), MV_EDEVICE);
    assert_string_equal(e.text, "cpu: found a device without measure, expected every operation");
    less = *b;
    less.transfer_max = 1; /* then there must be staging buffers */
    assert_int_equal(mv_backend_check(&less, NULL), MV_EDEVICE);
    less = *b;
    less.read = NULL;
    assert_int_equal(mv_backend_check(&less, NULL), MV_EDEVICE);
    b->free(b);
}

static void the_device_describes_itself(void **s)
{
    (void)s;
    mv_backend *all = device(MV_F32, 0), *three = device(MV_BF16, 3);
    assert_string_equal(all->name, "cpu");
    assert_int_equal(all->act, MV_F32);
    assert_int_equal(three->act, MV_BF16);
    assert_non_null(strstr(three->about, mv_cpu_isa()));
    assert_non_null(strstr(three->about, "3 threads"));
    assert_int_equal(!strstr(three->about, "widened"), mv_cpu_has_bf16());
    mv_backend *plain = mv_cpu_new(MV_F32, 1, "plain", NULL);
    assert_non_null(plain);
    assert_non_null(strstr(plain->about, "plain, 1 threads"));
    plain->free(plain);
    all->free(all);
    three->free(three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_is_within_bounds),
        cmocka_unit_test(bf16_is_within_bounds),
        cmocka_unit_test(every_instruction_set_is_within_bounds),
        cmocka_unit_test(a_fault_is_seen),
        cmocka_unit_test(linear_is_linear_then_add),
        cmocka_unit_test(activations_are_equal_to_fused_ones),
        cmocka_unit_test(scan_is_step_and_readout),
        cmocka_unit_test(attention_is_rows_and_attend),
        cmocka_unit_test(hidden_attention_rebuilds_the_scan),
        cmocka_unit_test(contributions_add_up_to_the_output),
        cmocka_unit_test(merge_undoes_split),
        cmocka_unit_test(views_are_read_and_written),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(an_unknown_instruction_set_is_refused),
        cmocka_unit_test(a_missing_operation_is_refused),
        cmocka_unit_test(the_device_describes_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
