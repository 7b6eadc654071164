/* The double loops that hold a device's backward operations, against central differences of those that hold its
 * forward ones: <dx, v> = (f(x + v) - f(x - v)) / 2 for a weighted sum f of the outputs and small random steps v. Held
 * factors are held in the differences, too. No device takes part.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/op_back_reference.h"
#include "tests/op_reference.h"
#include "tests/weights.h"

enum { STEPS = 4, INPUTS = 5, OUTPUTS = 3 };

/* An operation with some of its inputs as variables. `forward` and `back` read x[k] of n[k] values; forward writes
 * y[k] of m[k] values; back receives dy[k], the weights of y[k], and writes dx[k]. */
typedef struct op op;
struct op {
    void (*forward)(const op *, double *const *y);
    void (*back)(const op *, double *const *dx);
    int inputs, outputs;
    size_t n[INPUTS], m[OUTPUTS];
    float *x[INPUTS], *dy[OUTPUTS];
    /* what the operations are called with */
    int b, h, w, c, o, stride, tokens, e, rank, heads, d;
    mv_act act;
    bool held, flag;
    const float *weight, *other, *A, *D, *proj;
    const double *dt, *factor;
};

static float *values(const char *name, size_t n, float centre, float spread)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    weights_uniform(x, name, n, 17);
    for (size_t i = 0; i < n; i++)
        x[i] = centre + spread * x[i];
    return x;
}

static double *doubles(size_t n)
{
    double *x = calloc(n, sizeof *x);
    assert_non_null(x);
    return x;
}

/* Rounded so coarsely that x + v and x - v are exact in fp32 for steps that are whole multiples of 2^-20. */
static float *variable(const char *name, size_t n, float centre, float spread)
{
    float *x = values(name, n, centre, spread);
    for (size_t i = 0; i < n; i++)
        x[i] = rintf(x[i] * 0x1p10f) * 0x1p-10f;
    return x;
}

static double weighted(const op *p, double *const *y)
{
    double sum = 0;
    p->forward(p, y);
    for (int k = 0; k < p->outputs; k++)
        for (size_t i = 0; i < p->m[k]; i++)
            sum += y[k][i] * (double)p->dy[k][i];
    return sum;
}

/* f along one direction, less that of `back`, as a part of what a random direction gives. */
static double off_by(op *p, int which, double *const *y, const double *dx, unsigned seed)
{
    size_t n = p->n[which];
    float *at = p->x[which], *v = malloc(n * sizeof *v), *moved = malloc(n * sizeof *moved);
    double want = 0, size = 0, f[2];
    assert_true(v && moved);
    weights_uniform(v, "step", n, seed);
    for (size_t i = 0; i < n; i++) {
        v[i] = rintf(v[i] * 200) * 0x1p-20f;
        want += dx[i] * (double)v[i];
        size += dx[i] * (double)v[i] * dx[i] * (double)v[i];
    }
    p->x[which] = moved;
    for (int sign = 0; sign < 2; sign++) {
        for (size_t i = 0; i < n; i++)
            moved[i] = sign ? at[i] + v[i] : at[i] - v[i];
        f[sign] = weighted(p, y);
    }
    p->x[which] = at;
    free(v);
    free(moved);
    return fabs((f[1] - f[0]) / 2 - want) / (sqrt(size) + 1e-300);
}

/* Frees x and dy. */
static void hold(op *p, const char *what)
{
    double *y[OUTPUTS] = {0}, *dx[INPUTS] = {0}, worst = 0;
    for (int k = 0; k < p->outputs; k++) {
        y[k] = doubles(p->m[k]);
        p->dy[k] = values("dy", p->m[k], 0, 1);
    }
    for (int k = 0; k < p->inputs; k++)
        dx[k] = doubles(p->n[k]);
    p->back(p, dx);
    for (int k = 0; k < p->inputs; k++)
        for (unsigned step = 0; step < STEPS; step++) {
            double d = off_by(p, k, y, dx[k], step);
            if (!(d <= 1e-6))
                fail_msg("%s: the derivative by input %d differs by %.3g of its size", what, k, d);
            worst = fmax(worst, d);
        }
    print_message("           %s: %.2g\n", what, worst);
    for (int k = 0; k < p->outputs; k++) {
        free(y[k]);
        free(p->dy[k]);
    }
    for (int k = 0; k < p->inputs; k++) {
        free(dx[k]);
        free(p->x[k]);
    }
}

/* ---- activations, sums of rows, the mean */

static void activation_forward(const op *p, double *const *y)
{
    for (size_t i = 0; i < p->n[0]; i++)
        y[0][i] = p->held ? p->factor[i] * (double)p->x[0][i] : ref_act((double)p->x[0][i], p->act);
}

static void activation_back(const op *p, double *const *dx)
{
    for (size_t i = 0; i < p->n[0]; i++)
        dx[0][i] = (double)p->dy[0][i] * ref_act_back((double)p->x[0][i], p->act, p->held);
}

static void activations(void **s)
{
    (void)s;
    static const char *const names[] = {"none", "none held", "relu",      "relu held",
                                        "gelu", "gelu held", "gelu_tanh", "gelu_tanh held"};
    for (int i = 0; i < 8; i++) {
        op p = {activation_forward, activation_back, 1, 1, {600}, {600}, .act = (mv_act)(i / 2), .held = i % 2};
        p.x[0] = variable("x", 600, 0, 4);
        double *g = doubles(600);
        for (int k = 0; k < 600; k++) {
            p.x[0][k] = fabsf(p.x[0][k]) < 0.01f ? 1 : p.x[0][k]; /* no kink between the differences */
            g[k] = ref_act((double)p.x[0][k], p.act) / (double)p.x[0][k];
        }
        p.factor = g;
        hold(&p, names[i]);
        free(g);
    }
    assert_true(ref_act_back(0, MV_ACT_RELU, false) == 0 && ref_act_back(0, MV_ACT_RELU, true) == 0);
    assert_true(ref_act_back(0, MV_ACT_GELU, true) == 0.5 && ref_act_back(0, MV_ACT_GELU, false) == 0.5);
    assert_true(isnan(ref_act_back(NAN, MV_ACT_RELU, false)));
}

static void pool_forward(const op *p, double *const *y)
{
    ref_pool(y[0], p->x[0], p->b, (size_t)(p->h * p->w), p->c, p->weight, NULL);
}

static void pool_back(const op *p, double *const *dx)
{
    ref_pool_back(dx[0], p->dy[0], p->b, (size_t)(p->h * p->w), p->c, p->weight);
}

static void the_mean(void **s)
{
    (void)s;
    for (int i = 0; i < 2; i++) {
        op p = {pool_forward, pool_back, 1, 1, {3 * 5 * 7 * 9}, {3 * 9}, .b = 3, .h = 5, .w = 7, .c = 9};
        float *scale = values("scale", 9, 1, 0.5f);
        p.x[0] = variable("x", p.n[0], 0, 2);
        p.weight = i ? scale : NULL;
        hold(&p, i ? "mean_pool scaled" : "mean_pool");
        free(scale);
    }
}

static void sums_of_rows(void **s)
{
    (void)s;
    const float x[] = {1, 2, 3, 4, 5, 6}, y[] = {1, -1, 0.5f, -2, 3, -4};
    double out[2];
    ref_dot(out, x, y, false, false, 2, 3);
    assert_true(out[0] == 0.5 && out[1] == -17);
    ref_dot(out, x, y, false, true, 2, 3);
    assert_true(out[0] == 2.5 && out[1] == 15);
    ref_dot(out, x, y, true, false, 2, 3);
    assert_true(out[0] == 0.5 && out[1] == 2);
    ref_dot(out, x, y, true, true, 2, 3);
    assert_true(out[0] == 2.5 && out[1] == 7);
}

/* ---- products and layer norm */

static void conv_forward(const op *p, double *const *y)
{
    ref_conv2d(y[0], p->x[0], p->b, p->h, p->w, p->c, p->o, p->stride, p->weight, p->other, MV_ACT_NONE, NULL);
}

static void conv_back(const op *p, double *const *dx)
{
    ref_conv2d_back(dx[0], p->dy[0], p->b, p->h, p->w, p->c, p->o, p->stride, p->weight, NULL);
}

static void convolutions(void **s)
{
    (void)s;
    static const int shapes[][6] = {{1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 2}, {2, 5, 7, 3, 4, 1},
                                    {2, 5, 7, 3, 4, 2}, {2, 6, 7, 3, 4, 2}, {1, 6, 8, 5, 3, 2},
                                    {1, 5, 8, 5, 3, 2}, {1, 1, 9, 2, 2, 2}, {1, 2, 1, 2, 3, 2}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *d = shapes[i];
        op p = {conv_forward, conv_back, 1, 1, .b = d[0], .h = d[1], .w = d[2], .c = d[3], .o = d[4], .stride = d[5]};
        float *weight = values("weight", (size_t)(d[3] * d[4] * 9), 0, 1), *bias = values("bias", (size_t)d[4], 0, 1);
        p.n[0] = (size_t)(d[0] * d[1] * d[2] * d[3]);
        p.m[0] = (size_t)(d[0] * ((d[1] + d[5] - 1) / d[5]) * ((d[2] + d[5] - 1) / d[5]) * d[4]);
        p.x[0] = variable("x", p.n[0], 0, 2);
        p.weight = weight;
        p.other = bias;
        hold(&p, "conv2d");
        free(weight);
        free(bias);
    }
}

static void linear_forward(const op *p, double *const *y)
{
    ref_linear(y[0], p->x[0], p->n[0] / (size_t)p->c, p->c, p->o, p->weight, p->other, MV_ACT_NONE, NULL, NULL);
}

static void linear_back(const op *p, double *const *dx)
{
    ref_linear_back(dx[0], p->dy[0], p->n[0] / (size_t)p->c, p->c, p->o, p->weight, NULL);
}

static void products(void **s)
{
    (void)s;
    op p = {linear_forward, linear_back, 1, 1, {7 * 11}, {7 * 5}, .c = 11, .o = 5};
    float *weight = values("weight", 55, 0, 1), *bias = values("bias", 5, 0, 1);
    p.x[0] = variable("x", p.n[0], 0, 2);
    p.weight = weight;
    p.other = bias;
    hold(&p, "linear");
    free(weight);
    free(bias);
}

/* Held, each row is what its deviation at the start divides. */
static void norm_forward(const op *p, double *const *y)
{
    size_t rows = p->n[0] / (size_t)p->c, n = (size_t)p->c;
    if (!p->held) {
        ref_layernorm(y[0], p->x[0], p->weight, p->other, 1e-5, rows, p->c);
        return;
    }
    for (size_t r = 0; r < rows; r++) {
        double mean = 0;
        for (size_t i = 0; i < n; i++)
            mean += (double)p->x[0][r * n + i] / p->c;
        for (size_t i = 0; i < n; i++)
            y[0][r * n + i] =
                ((double)p->x[0][r * n + i] - mean) * p->factor[r] * (double)p->weight[i] + (double)p->other[i];
    }
}

static void norm_back(const op *p, double *const *dx)
{
    ref_layernorm_back(dx[0], p->dy[0], p->x[0], p->weight, 1e-5, p->held, NULL, p->n[0] / (size_t)p->c, p->c);
}

static void norms(void **s)
{
    (void)s;
    enum { ROWS = 5, WIDTH = 13 };
    for (int held = 0; held < 2; held++) {
        op p = {norm_forward, norm_back, 1, 1, {ROWS * WIDTH}, {ROWS * WIDTH}, .c = WIDTH, .held = held};
        float *weight = values("weight", WIDTH, 1, 0.5f), *bias = values("bias", WIDTH, 0, 1);
        double scale[ROWS];
        p.x[0] = variable("x", p.n[0], 3, 2);
        for (int r = 0; r < ROWS; r++) {
            double mean = 0, var = 0;
            for (int i = 0; i < WIDTH; i++)
                mean += (double)p.x[0][r * WIDTH + i] / WIDTH;
            for (int i = 0; i < WIDTH; i++)
                var += pow((double)p.x[0][r * WIDTH + i] - mean, 2) / WIDTH;
            scale[r] = 1 / sqrt(var + 1e-5);
        }
        p.factor = scale;
        p.weight = weight;
        p.other = bias;
        hold(&p, held ? "layernorm held" : "layernorm");
        free(weight);
        free(bias);
    }
}

/* ---- the mixer */

/* x and the right half of yz */
static void conv1d_forward(const op *p, double *const *y)
{
    const float *taps[] = {p->weight, p->other};
    for (int half = 0; half < 2; half++) {
        size_t e = (size_t)p->e, T = (size_t)p->tokens;
        if (!p->held) {
            ref_conv1d_silu(y[half], p->x[0], half * p->e, taps[half], p->b, p->tokens, p->e);
            continue;
        }
        for (size_t i = 0; i < p->m[half]; i++) { /* by the gates at the start */
            size_t channel = i % e, t = i / e % T, window = i / e / T;
            y[half][i] = 0;
            for (size_t k = 0; k < MV_TAPS; k++)
                if (t + k >= 1 && t + k - 1 < T)
                    y[half][i] += p->factor[(size_t)half * p->m[0] + i] * (double)taps[half][channel * MV_TAPS + k] *
                                  (double)p->x[0][(window * T + t + k - 1) * 2 * e + (size_t)half * e + channel];
        }
    }
}

static void conv1d_back(const op *p, double *const *dx)
{
    ref_conv1d_silu_back(dx[0], 0, p->dy[0], p->e, 0, p->x[0], p->weight, p->b, p->tokens, p->e, p->held);
    /* rows of 2 e for the second half, as in dyz */
    float *dyz = malloc(p->n[0] * sizeof *dyz);
    assert_non_null(dyz);
    for (size_t i = 0; i < p->n[0]; i++) {
        size_t column = i % (2 * (size_t)p->e), e = (size_t)p->e;
        dyz[i] = column < e ? NAN : p->dy[1][i / (2 * e) * e + column - e];
    }
    ref_conv1d_silu_back(dx[0], p->e, dyz, 2 * p->e, p->e, p->x[0], p->other, p->b, p->tokens, p->e, p->held);
    free(dyz);
}

static void convolutions_of_tokens(void **s)
{
    (void)s;
    static const int shapes[][3] = {{1, 1, 1}, {3, 2, 3}, {2, 9, 5}};
    for (int i = 0; i < 6; i++) {
        const int *d = shapes[i / 2];
        size_t n = (size_t)(d[0] * d[1] * d[2]);
        op p = {conv1d_forward, conv1d_back, 1, 2, {2 * n}, {n, n}, .b = d[0], .tokens = d[1], .e = d[2]};
        float *wx = values("wx", (size_t)d[2] * 3, 0, 1), *wz = values("wz", (size_t)d[2] * 3, 0, 1);
        double *gates = doubles(2 * n);
        p.x[0] = variable("xz", 2 * n, 0, 2);
        p.weight = wx;
        p.other = wz;
        if (i % 2) { /* the gates: silu(a) / a */
            double *a = doubles(2 * n), *ones = doubles(2 * n), *silu[] = {gates, gates + n}, *to[] = {a, a + n};
            conv1d_forward(&p, silu);
            p.held = true;
            for (size_t k = 0; k < 2 * n; k++)
                ones[k] = 1;
            p.factor = ones;
            conv1d_forward(&p, to);
            for (size_t k = 0; k < 2 * n; k++)
                gates[k] /= a[k];
            p.factor = gates;
            free(ones);
            free(a);
        }
        hold(&p, i % 2 ? "conv1d_silu held" : "conv1d_silu");
        free(gates);
        free(wx);
        free(wz);
    }
}

static void step_forward(const op *p, double *const *y)
{
    ref_step(y[0], p->x[0], p->weight, p->other, p->m[0] / (size_t)p->e, p->e, p->rank);
}

static void step_back(const op *p, double *const *dx)
{
    size_t tokens = p->m[0] / (size_t)p->e, width = (size_t)p->rank + 2 * MV_STATES;
    double *dt = doubles(p->m[0]), *dr = doubles(tokens * (size_t)p->rank);
    step_forward(p, &dt);
    ref_step_back(dr, p->dy[0], dt, p->weight, tokens, p->e, p->rank);
    for (size_t t = 0; t < tokens; t++)
        for (size_t k = 0; k < width; k++)
            dx[0][t * width + k] = k < (size_t)p->rank ? dr[t * (size_t)p->rank + k] : 0;
    free(dt);
    free(dr);
}

static void step_sizes(void **s)
{
    (void)s;
    op p = {step_forward, step_back, 1, 1, {11 * (3 + 2 * MV_STATES)}, {11 * 7}, .e = 7, .rank = 3};
    float *weight = values("weight", 21, 0, 1), *bias = values("bias", 7, -1, 3);
    p.x[0] = variable("proj", p.n[0], 0, 2);
    p.weight = weight;
    p.other = bias;
    hold(&p, "step");
    free(weight);
    free(bias);
}

/* Inputs x, proj, dt and a shift of each state that the recurrence carries on. The step sizes of the start, if held.
 * Outputs y, and each state, so that nothing hides behind C. */
static void states_shifted(const op *p, double *h)
{
    size_t n = (size_t)p->e * MV_STATES;
    for (size_t t = 0; t < (size_t)(p->b * p->tokens); t++)
        for (size_t i = 0; i < n; i++) {
            size_t at = t * (size_t)p->e + i / MV_STATES;
            const float *proj = (p->held ? p->proj : p->x[1]) + t * ((size_t)p->rank + 2 * MV_STATES);
            double dt = p->held ? p->dt[at] : (double)p->x[2][at];
            h[t * n + i] = (t % (size_t)p->tokens ? exp(dt * (double)p->A[i]) * h[(t - 1) * n + i] : 0) +
                           dt * (double)proj[(size_t)p->rank + i % MV_STATES] * (double)p->x[0][at] +
                           (double)p->x[3][t * n + i];
        }
}

static void scan_forward(const op *p, double *const *y)
{
    size_t tokens = (size_t)(p->b * p->tokens);
    double *h = doubles(tokens * (size_t)p->e * MV_STATES);
    states_shifted(p, h);
    ref_readout(y[0], p->x[0], p->held ? p->proj : p->x[1], h, p->D, tokens, p->e, p->rank);
    free(h);
}

static void scan_back(const op *p, double *const *dx)
{
    size_t tokens = (size_t)(p->b * p->tokens), e = (size_t)p->e, width = (size_t)p->rank + 2 * MV_STATES;
    double *h = doubles(tokens * e * MV_STATES), *dt = doubles(tokens * e),
           *dbc = p->held ? NULL : doubles(tokens * 2 * MV_STATES);
    float *dyz = malloc(tokens * 2 * e * sizeof *dyz);
    assert_non_null(dyz);
    for (size_t i = 0; i < tokens * 2 * e; i++)
        dyz[i] = i % (2 * e) < e ? p->dy[0][i / (2 * e) * e + i % (2 * e)] : NAN;
    for (size_t i = 0; i < tokens * e; i++)
        dt[i] = (double)p->x[2][i];
    ref_states(h, p->x[0], p->x[1], dt, p->A, p->b, p->tokens, p->e, p->rank);
    ref_scan_back(dx[0], dbc, p->held ? NULL : dx[2], dx[3], dyz, p->x[0], p->x[1], dt, h, p->A, p->D, p->b, p->tokens,
                  p->e, p->rank);
    for (size_t i = 0; dbc && i < tokens * width; i++) {
        size_t column = i % width, rank = (size_t)p->rank;
        dx[1][i] = column < rank ? 0 : dbc[i / width * 2 * MV_STATES + column - rank];
    }
    free(h);
    free(dt);
    free(dbc);
    free(dyz);
}

static void scans(void **s)
{
    (void)s;
    static const int shapes[][4] = {{1, 1, 1, 1}, {3, 4, 3, 2}, {2, 23, 5, 3}};
    for (int i = 0; i < 6; i++) {
        const int *d = shapes[i / 2];
        size_t e = (size_t)d[2], tokens = (size_t)(d[0] * d[1]), width = (size_t)d[3] + 2 * MV_STATES;
        op p = {scan_forward,
                scan_back,
                4,
                1,
                {tokens * e, tokens * width, tokens * e, tokens * e * MV_STATES},
                {tokens * e},
                .b = d[0],
                .tokens = d[1],
                .e = d[2],
                .rank = d[3],
                .held = i % 2};
        float *A = values("A", e * MV_STATES, -4, 3.9f), *D = values("D", e, 1, 0.5f);
        double *dt = doubles(tokens * e);
        p.x[0] = variable("x", p.n[0], 0, 2);
        p.x[1] = variable("proj", p.n[1], 0, 2);
        p.x[2] = variable("dt", p.n[2], 1, 0.9f);
        p.x[3] = calloc(p.n[3], sizeof *p.x[3]);
        for (size_t k = 0; k < tokens * e; k++)
            dt[k] = (double)p.x[2][k];
        float *proj = malloc(p.n[1] * sizeof *proj);
        assert_true(p.x[3] && proj);
        memcpy(proj, p.x[1], p.n[1] * sizeof *proj);
        p.A = A;
        p.D = D;
        p.dt = dt;
        p.proj = proj;
        hold(&p, p.held ? "scan held" : "scan");
        free(A);
        free(D);
        free(dt);
        free(proj);
    }
}

/* ---- attention */

static void attention_forward(const op *p, double *const *y)
{
    double *rows = doubles((size_t)(p->b * p->heads) * (size_t)(p->tokens * p->tokens));
    ref_rows(rows, p->x[0], p->b, p->tokens, p->heads, p->d);
    ref_attend(y[0], p->held ? p->factor : rows, p->x[0], p->b, p->tokens, p->heads, p->d);
    free(rows);
}

static void attention_back(const op *p, double *const *dx)
{
    size_t n = (size_t)(p->b * p->heads) * (size_t)(p->tokens * p->tokens);
    double *rows = doubles(n), *drows = doubles(n);
    ref_rows(rows, p->x[0], p->b, p->tokens, p->heads, p->d);
    ref_attention_back(dx[0], drows, p->dy[0], rows, p->x[0], p->b, p->tokens, p->heads, p->d, p->held);
    free(rows);
    free(drows);
}

/* Rows as the variable, with v held */
static void attend_forward(const op *p, double *const *y)
{
    double *rows = doubles(p->n[0]);
    for (size_t i = 0; i < p->n[0]; i++)
        rows[i] = (double)p->x[0][i];
    ref_attend(y[0], rows, p->other, p->b, p->tokens, p->heads, p->d);
    free(rows);
}

static void attend_back(const op *p, double *const *dx)
{
    double *rows = doubles(p->n[0]), *dqkv = doubles(3 * p->m[0]);
    ref_attention_back(dqkv, dx[0], p->dy[0], rows, p->other, p->b, p->tokens, p->heads, p->d, false);
    free(rows);
    free(dqkv);
}

static void attentions(void **s)
{
    (void)s;
    static const int shapes[][4] = {{1, 1, 1, 1}, {2, 5, 3, 4}, {2, 19, 1, 7}};
    for (int i = 0; i < 9; i++) {
        const int *d = shapes[i / 3];
        size_t n = (size_t)(d[0] * d[1] * d[2] * d[3]), matrix = (size_t)(d[0] * d[2] * d[1] * d[1]);
        op p = {attention_forward, attention_back,    1, 1, {3 * n}, {n}, .b = d[0], .tokens = d[1], .heads = d[2],
                .d = d[3],         .held = i % 3 == 1};
        double *rows = doubles(matrix);
        float *qkv = values("qkv", 3 * n, 0, 2);
        p.x[0] = variable("qkv", 3 * n, 0, 2);
        ref_rows(rows, p.x[0], p.b, p.tokens, p.heads, p.d);
        p.factor = rows;
        if (i % 3 == 2) {
            free(p.x[0]);
            p.n[0] = matrix;
            p.x[0] = variable("rows", matrix, 0.5f, 0.5f);
            p.other = qkv;
            p.forward = attend_forward;
            p.back = attend_back;
        }
        static const char *const names[] = {"attention", "attention held", "attend"};
        hold(&p, names[i % 3]);
        free(rows);
        free(qkv);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations),  cmocka_unit_test(the_mean),
        cmocka_unit_test(sums_of_rows), cmocka_unit_test(convolutions),
        cmocka_unit_test(products),     cmocka_unit_test(norms),
        cmocka_unit_test(step_sizes),   cmocka_unit_test(scans),
        cmocka_unit_test(attentions),   cmocka_unit_test(convolutions_of_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
