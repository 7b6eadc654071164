/* The CPU device's loops, in every instruction set that this processor runs, against doubles. Sizes are odd, so that
 * whole vectors and the rest of a row both have their turn; answers lie between guards and are NaN before. All tables
 * are held to the same tight bounds of the same reference, and so to each other.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/kernel/kernels.h"
#include "tests/op_back_reference.h"
#include "tests/op_reference.h"
#include "tests/weights.h"

enum { GUARD = 64, OWNED = 64 };

static const mv_dtype types[] = {MV_F32, MV_BF16};

static void *owned[OWNED];
static int n_owned;

static void *own(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    assert_non_null(p);
    assert_true(n_owned < OWNED);
    return owned[n_owned++] = p;
}

static void forget(void)
{
    while (n_owned)
        free(owned[--n_owned]);
}

/* ---- inputs: of exactly their size, so that a sanitizer sees a read too far */

static float *random_of(const char *name, size_t n, mv_dtype type, float centre, float spread)
{
    float *x = own(n * sizeof *x);
    weights_uniform(x, name, n, 3);
    for (size_t i = 0; i < n; i++) {
        x[i] = centre + spread * x[i];
        if (type == MV_BF16)
            x[i] = mv_bf16_to_f32(mv_f32_to_bf16(x[i]));
    }
    return x;
}

static void *typed(const float *x, size_t n, mv_dtype type)
{
    void *p = own(n * mv_dtype_size(type));
    mv_from_f32(p, type, x, n);
    return p;
}

/* ---- answers: bytes of 0xff, which are NaN in either type */

static void *answer(size_t n, mv_dtype type)
{
    size_t bytes = n * mv_dtype_size(type) + 2 * GUARD;
    unsigned char *p = own(bytes);
    memset(p, 0xff, bytes);
    return p + GUARD;
}

static void whole_guards(const char *what, const mv_kernels *k, const void *answer, size_t n, mv_dtype type)
{
    const unsigned char *p = answer, *end = p + n * mv_dtype_size(type);
    for (int i = 0; i < GUARD; i++)
        if (p[i - GUARD] != 0xff || end[i] != 0xff)
            fail_msg("%s: %s wrote outside its %zu values", k->name, what, n);
}

/* Every value within `by` times 1 + its size, about four times what is reached, and the rounding of its type; where NaN
 * is wanted, it must not have been touched. */
static void check(const char *what, const mv_kernels *k, const void *answer, const double *want, size_t n,
                  mv_dtype type, double by)
{
    float *got = own(n * sizeof *got);
    mv_to_f32(got, answer, type, n);
    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)got[i] - want[i]),
               most = by * (1 + fabs(want[i])) + (type == MV_F32 ? 0 : fabs(want[i]) / 256);
        if (isnan(want[i]) ? !isnan(got[i]) : !(off <= most))
            fail_msg("%s: %s[%zu] of %zu %s is %.9g, expected %.9g", k->name, what, i, n, mv_dtype_name(type),
                     (double)got[i], want[i]);
    }
    whole_guards(what, k, answer, n, type);
}

static double *room(size_t n)
{
    double *x = own(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = NAN;
    return x;
}

/* Each table of loops in turn, with each type. */
static void every(void (*test)(const mv_kernels *, mv_dtype))
{
    int tables = 0;
    for (const mv_kernels *k; (k = mv_kernels_at(tables)); tables++)
        for (int i = 0; i < 2; i++) {
            test(k, types[i]);
            forget();
        }
    assert_true(tables >= 1);
}

/* ---- rows */

static void layernorm_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][2] = {{1, 1}, {3, 3}, {2, 17}, {5, 33}, {1, 64}, {2, 167}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++, forget()) {
        int rows = sizes[i][0], c = sizes[i][1];
        size_t n = (size_t)rows * (size_t)c;
        float *x = random_of("x", n, type, 3, 2), *weight = random_of("weight", (size_t)c, MV_F32, 1, 0.5f),
              *bias = random_of("bias", (size_t)c, MV_F32, 0, 1);
        void *out = answer(n, type);
        double *want = room(n);
        k->layernorm(out, typed(x, n, type), weight, bias, 1e-5f, (size_t)rows, c, type);
        ref_layernorm(want, x, weight, bias, (double)1e-5f, (size_t)rows, c);
        check("layernorm", k, out, want, n, type, 1e-6);
    }
}

static void layernorms(void **s)
{
    (void)s;
    every(layernorm_of);
}

static void epilogue_of(const mv_kernels *k, mv_dtype type)
{
    for (int i = 0; i < 3 * 16; i++, forget()) {
        bool has_gamma = i & 1, has_residual = i & 2, wide_residual = i & 4 && type == MV_F32;
        mv_act act = i & 8 ? MV_ACT_GELU : MV_ACT_NONE;
        int c = (const int[]){1, 17, 35}[i / 16];
        size_t rows = 3, n = rows * (size_t)c;
        mv_dtype residual_type = wide_residual ? MV_F32 : MV_BF16;
        float *acc = random_of("acc", n, MV_F32, 0, 8), *gamma = random_of("gamma", (size_t)c, MV_F32, 0, 1),
              *residual = random_of("residual", n, residual_type, 0, 2);
        void *out = answer(n, type);
        double *want = room(n);
        k->epilogue(out, type, acc, has_gamma ? gamma : NULL, has_residual ? typed(residual, n, residual_type) : NULL,
                    residual_type, act, rows, c);
        ref_add(want, acc, has_gamma ? gamma : NULL, has_residual ? residual : NULL, act, rows, c);
        check("epilogue", k, out, want, n, type, 1.5e-6);
        if (has_residual || type != MV_F32)
            continue;
        void *own_block = answer(n, MV_F32); /* a product rewritten where it lies */
        memcpy(own_block, acc, n * sizeof *acc);
        k->epilogue(own_block, type, own_block, has_gamma ? gamma : NULL, NULL, MV_F32, act, rows, c);
        assert_memory_equal(own_block, out, n * sizeof *acc);
    }
}

static void epilogues(void **s)
{
    (void)s;
    every(epilogue_of);
}

/* ---- types */

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

enum { HALVES = 1 << 16 };

/* Every pattern widened; and narrowed from just below, at and just above the middle to the next one: ties to even. */
static void conversion_of(const mv_kernels *k, mv_dtype type)
{
    if (type == MV_F32)
        return;
    uint16_t *half = own(HALVES * sizeof *half), *back = answer(HALVES, MV_BF16);
    float *wide = answer(HALVES, MV_F32);
    for (uint32_t i = 0; i < HALVES; i++)
        half[i] = (uint16_t)i;
    k->widen(wide, half, MV_BF16, HALVES);
    for (uint32_t i = 0; i < HALVES; i++)
        if (bits_of(wide[i]) != i << 16)
            fail_msg("%s: bf16 %04x widens to %a", k->name, i, (double)wide[i]);
    whole_guards("widen", k, wide, HALVES, MV_F32);
    static const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    for (size_t j = 0; j < sizeof low / sizeof *low; j++) {
        for (uint32_t i = 0; i < HALVES; i++)
            wide[i] = float_of(i << 16 | low[j]);
        k->narrow(back, MV_BF16, wide, HALVES);
        for (uint32_t i = 0; i < HALVES; i++) {
            if (isnan(wide[i]))
                continue;
            uint32_t want = i + (low[j] > 0x8000 || (low[j] == 0x8000 && i % 2));
            if (back[i] != want)
                fail_msg("%s: %a narrows to bf16 %04x, expected %04x", k->name, (double)wide[i], back[i], want);
        }
        whole_guards("narrow", k, back, HALVES, MV_BF16);
    }
}

static void conversions(void **s)
{
    (void)s;
    every(conversion_of);
}

/* Lengths around the vectors' own, and nothing beyond them; fp32 is copied. */
static void length_of(const mv_kernels *k, mv_dtype type)
{
    for (size_t n = 0; n <= 37; n++, forget()) {
        float *x = random_of("x", n, type, 0, 2), *wide = answer(n, MV_F32);
        void *in = typed(x, n, type), *narrow = answer(n, type);
        k->widen(wide, in, type, n);
        k->narrow(narrow, type, x, n);
        assert_memory_equal(wide, x, n * sizeof *x);
        assert_memory_equal(narrow, in, n * mv_dtype_size(type));
        whole_guards("widen", k, wide, n, MV_F32);
        whole_guards("narrow", k, narrow, n, type);
    }
}

static void lengths(void **s)
{
    (void)s;
    every(length_of);
}

/* Whatever bits a NaN has, rounding them must not carry it to infinity or zero. */
static void special_of(const mv_kernels *k, mv_dtype type)
{
    static const uint32_t bits[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001,
                                    0xff800001, 0x7fffffff, 0xffffffff, 0x7f80ffff, 0x7fbfffff};
    enum { N = 37 };
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++, forget()) {
        float *x = own(N * sizeof *x), *back = own(N * sizeof *back), in = float_of(bits[i]);
        for (int j = 0; j < N; j++)
            memcpy(&x[j], &bits[i], sizeof *x);
        void *out = own(N * mv_dtype_size(type));
        k->narrow(out, type, x, N);
        k->widen(back, out, type, N);
        for (int j = 0; j < N; j++)
            if (isnan(in) ? !isnan(back[j]) : back[j] != in)
                fail_msg("%s: %08x, element %d of %d, becomes %g as %s", k->name, bits[i], j, N, (double)back[j],
                         mv_dtype_name(type));
    }
}

static void specials(void **s)
{
    (void)s;
    every(special_of);
}

/* ---- the mixer */

static void conv1d_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][4] = {{1, 1, 0, 1},  {2, 5, 0, 2},  {7, 17, 0, 7},
                                   {7, 17, 3, 7}, {7, 17, 0, 4}, {49, 35, 11, 12}};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++, forget()) {
        const int *d = sizes[i / 2];
        int tokens = d[0], e = d[1], from = d[2], to = d[3];
        size_t n = (size_t)tokens * (size_t)e;
        float *xz = random_of("xz", 2 * n, type, 0, i % 2 ? 100 : 3); /* so far that e^-x leaves fp32 */
        float *wx = random_of("wx", (size_t)e * MV_TAPS, MV_F32, 0, 1),
              *wz = random_of("wz", (size_t)e * MV_TAPS, MV_F32, 0, 1);
        void *x = answer(n, type), *yz = answer(2 * n, type);
        double *half = room(n), *want_x = room(n), *want_yz = room(2 * n);
        k->conv1d_silu(x, yz, typed(xz, 2 * n, type), wx, wz, tokens, e, from, to, type);
        for (int side = 0; side < 2; side++) {
            ref_conv1d_silu(half, xz, side * e, side ? wz : wx, 1, tokens, e);
            for (int t = from; t < to; t++)
                memcpy(side ? want_yz + (2 * t + 1) * e : want_x + t * e, half + t * e, (size_t)e * sizeof *half);
        }
        check("conv1d_silu's x", k, x, want_x, n, type, 4e-6);
        check("conv1d_silu's yz", k, yz, want_yz, 2 * n, type, 4e-6);
    }
}

static void conv1ds(void **s)
{
    (void)s;
    every(conv1d_of);
}

static void step_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][3] = {{1, 1, 1}, {7, 17, 3}, {3, 35, 20}, {2, 64, 40}};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++, forget()) {
        size_t tokens = (size_t)sizes[i / 2][0], e = (size_t)sizes[i / 2][1], rank = (size_t)sizes[i / 2][2];
        size_t width = rank + 2 * MV_STATES;
        float *proj = random_of("proj", tokens * width, type, 0, i % 2 ? 60 : 1.7f),
              *weight = random_of("weight", rank * e, MV_F32, 0, 1), *bias = random_of("bias", e, MV_F32, -2, 3);
        float *dt = answer(tokens * e, MV_F32);
        double *want = room(tokens * e);
        k->step(dt, typed(proj, tokens * width, type), weight, bias, tokens, (int)e, (int)rank, type);
        ref_step(want, proj, weight, bias, tokens, (int)e, (int)rank);
        check("step", k, dt, want, tokens * e, MV_F32, 1e-5);
    }
}

static void steps(void **s)
{
    (void)s;
    every(step_of);
}

/* dt made or given, states kept or not, some channels of all or all; and readout of the states kept */
static void scan_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][5] = {
        {1, 1, 1, 0, 1}, {7, 17, 3, 0, 17}, {50, 67, 3, 0, 67}, {7, 67, 3, 32, 67}, {7, 67, 3, 0, 32}};
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof *sizes; i++, forget()) {
        const int *d = sizes[i / 4];
        bool given = i & 1, kept = i & 2;
        int tokens = d[0], e = d[1], rank = d[2], from = d[3], to = d[4];
        size_t n = (size_t)tokens * (size_t)e, width = (size_t)rank + 2 * MV_STATES;
        float *x = random_of("x", n, type, 0, 2), *proj = random_of("proj", (size_t)tokens * width, type, 0, 1.7f);
        float *dt = random_of("dt", n, MV_F32, 15, 15); /* up to where a state is forgotten at once */
        mv_scan_job j = {.tokens = tokens, .channels = e, .rank = rank, .from = from, .to = to, .type = type};
        j.x = typed(x, n, type);
        j.proj = typed(proj, (size_t)tokens * width, type);
        j.dt = given ? dt : NULL;
        j.dt_weight = random_of("dt_weight", (size_t)(rank * e), MV_F32, 0, 1);
        j.dt_bias = random_of("dt_bias", (size_t)e, MV_F32, -2, 3);
        j.A = random_of("A", (size_t)e * MV_STATES, MV_F32, -4, 3.9f);
        j.D = random_of("D", (size_t)e, MV_F32, 1, 0.5f);
        j.yz = answer(2 * n, type);
        j.h = kept ? answer(n * MV_STATES, MV_F32) : NULL;
        k->scan(&j);
        double *step = room(n), *h = room(n * MV_STATES), *y = room(n), *want = room(2 * n);
        for (size_t c = 0; given && c < n; c++)
            step[c] = (double)dt[c];
        if (!given)
            ref_step(step, proj, j.dt_weight, j.dt_bias, (size_t)tokens, e, rank);
        ref_states(h, x, proj, step, j.A, 1, tokens, e, rank);
        ref_readout(y, x, proj, h, j.D, (size_t)tokens, e, rank);
        for (int t = 0; t < tokens; t++)
            for (int c = from; c < to; c++)
                want[2 * t * e + c] = y[t * e + c];
        check("scan", k, j.yz, want, 2 * n, type, 1.5e-5);
        if (!kept)
            continue;
        for (size_t c = 0; c < n * MV_STATES; c++)
            if ((int)(c / MV_STATES % (size_t)e) < from || (int)(c / MV_STATES % (size_t)e) >= to)
                h[c] = NAN;
        check("scan's h", k, j.h, h, n * MV_STATES, MV_F32, 1.5e-5);
        if (to - from < e)
            continue;
        void *yz = answer(2 * n, type);
        k->readout(yz, j.x, j.proj, j.h, j.D, (size_t)tokens, e, rank, type);
        check("readout", k, yz, want, 2 * n, type, 1.5e-5);
    }
}

static void scans(void **s)
{
    (void)s;
    every(scan_of);
}

/* All pieces of a window; steps from where states last to where they are forgotten at once. A NaN of a step reaches all
 * that comes after it, and nothing else. */
static void hidden_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][4] = {{1, 1, 1, 1}, {7, 17, 3, 1}, {16, 8, 1, 2}, {50, 9, 3, 3}, {131, 5, 2, 2}};
    for (size_t i = 0; i < 3 * sizeof sizes / sizeof *sizes; i++, forget()) {
        const int *d = sizes[i / 3];
        int tokens = d[0], e = d[1], rank = d[2], every_so = d[3], nan = i % 3 == 2 ? tokens / 2 : tokens;
        size_t width = (size_t)rank + 2 * MV_STATES, n = (size_t)(tokens * e), square = (size_t)(tokens * tokens),
               scratch = k->hidden_scratch(tokens, every_so);
        float *proj = random_of("proj", (size_t)tokens * width, type, 0, 1.7f),
              *dt = random_of("dt", n, MV_F32, i % 3 == 1 ? 15 : 0.2f, i % 3 == 1 ? 15 : 0.19f);
        float *A = random_of("A", (size_t)e * MV_STATES, MV_F32, -4, 3.9f), *out = answer(square, MV_F32);
        double *want = room(square);
        bool with_sign = i % 2;
        ref_hidden(want, dt, proj, A, 1, tokens, e, rank, -1, with_sign);
        if (nan < tokens)
            dt[nan * e] = NAN;
        for (int first = 0; first < every_so; first++) {
            mv_hidden_job j = {.tokens = tokens,
                               .channels = e,
                               .rank = rank,
                               .first = first,
                               .every = every_so,
                               .to = e,
                               .with_sign = with_sign,
                               .type = type,
                               .proj = typed(proj, (size_t)tokens * width, type),
                               .dt = dt,
                               .A = A,
                               .out = out,
                               .scratch = answer(scratch, MV_F32)};
            k->hidden(&j);
            whole_guards("hidden's scratch", k, j.scratch, scratch, MV_F32);
        }
        for (int r = 0; r < tokens; r++)
            for (int c = 0; c < tokens; c++) {
                if (isnan(out[r * tokens + c]) != (r >= nan && c <= r && c <= nan))
                    fail_msg("%s: hidden[%d, %d] is %g, the step of token %d being NaN", k->name, r, c,
                             (double)out[r * tokens + c], nan);
                if (isnan(out[r * tokens + c]))
                    out[r * tokens + c] = (float)(want[r * tokens + c] = 0);
            }
        check("hidden", k, out, want, square, MV_F32, 1.5e-5);
    }
}

/* A token's half-life is NaN if one of its steps is, and no other's. */
static void half_life_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][4] = {{1, 1, 0, 1}, {3, 5, 0, 5}, {2, 33, 7, 8}, {4, 40, 3, 40}}; /* T E from to */
    (void)type;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++, forget()) {
        int tokens = sizes[i][0], e = sizes[i][1], from = sizes[i][2], to = sizes[i][3], nan = tokens - 1;
        size_t n = (size_t)tokens;
        float *dt = random_of("dt", n * (size_t)e, MV_F32, 0.5f, 0.49f),
              *A = random_of("A", (size_t)e * MV_STATES, MV_F32, -4, 3.9f), *out = answer(n, MV_F32),
              *own_dt = own(n * (size_t)(to - from) * sizeof *own_dt);
        double *want = room(n);
        for (int t = 0; t < tokens; t++)
            memcpy(own_dt + t * (to - from), dt + t * e + from, (size_t)(to - from) * sizeof *dt);
        ref_half_life(want, own_dt, A + from * MV_STATES, n, to - from, -1);
        dt[nan * e + to - 1] = NAN;
        size_t scratch = k->half_life_scratch(to - from);
        float *memory = answer(scratch, MV_F32);
        k->half_life(out, dt, A, n, e, from, to, memory);
        whole_guards("half_life's scratch", k, memory, scratch, MV_F32);
        assert_true(isnan(out[nan]));
        out[nan] = (float)(want[nan] = 0);
        check("half_life", k, out, want, n, MV_F32, 1e-6);
    }
}

/* Some channels of some queries; steps from where states last to where they are forgotten at once. */
static void spread_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][5] = {{1, 1, 1, 0, 1}, {7, 17, 3, 2, 5}, {50, 9, 3, 0, 50}, {70, 33, 2, 60, 8}};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++, forget()) {
        const int *d = sizes[i / 2];
        int tokens = d[0], e = d[1], rank = d[2], first = d[3], queries = d[4];
        size_t T = (size_t)tokens, E = (size_t)e, width = (size_t)rank + 2 * MV_STATES,
               rows = mv_spread_rows(tokens, first, queries), n = rows * 2 * E, scratch = k->spread_scratch(tokens);
        float *xz = random_of("xz", T * 2 * E, type, 0, 2), *proj = random_of("proj", T * width, type, 0, 1.7f),
              *dt = random_of("dt", T * E, MV_F32, i % 2 ? 15 : 0.2f, i % 2 ? 15 : 0.19f),
              *A = random_of("A", E * MV_STATES, MV_F32, -4, 3.9f), *D = random_of("D", E, MV_F32, 1, 0.5f),
              *wx = random_of("wx", E * MV_TAPS, MV_F32, 0, 1), *wz = random_of("wz", E * MV_TAPS, MV_F32, 0, 1);
        void *out = answer(n, type);
        double *want = room(n);
        ref_spread(want, xz, proj, dt, A, D, wx, wz, 1, tokens, e, rank, first, queries, (int)rows);
        for (int from = 0; from < e; from += 16) {
            mv_spread_job j = {.tokens = tokens,
                               .channels = e,
                               .rank = rank,
                               .first = first,
                               .queries = queries,
                               .from = from,
                               .to = from + 16 < e ? from + 16 : e,
                               .type = type,
                               .xz = typed(xz, T * 2 * E, type),
                               .proj = typed(proj, T * width, type),
                               .dt = dt,
                               .A = A,
                               .D = D,
                               .wx = wx,
                               .wz = wz,
                               .rows = out,
                               .scratch = answer(scratch, MV_F32)};
            k->spread(&j);
            whole_guards("spread's scratch", k, j.scratch, scratch, MV_F32);
        }
        check("spread", k, out, want, n, type, 1e-5);
    }
}

/* A row of zeros is read as the row of I; a NaN reaches its own row of the result. */
static void roll_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[] = {1, 5, 17, 70, 131};
    (void)type;
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++, forget()) {
        int tokens = sizes[i / 2], half = tokens / 2;
        size_t n = (size_t)(tokens * tokens);
        float *rows = random_of("rows", n, MV_F32, 0.5f, 0.5f), *before = random_of("before", n, MV_F32, 0.5f, 0.5f),
              *out = answer(n, MV_F32);
        double *want = room(n);
        memset(rows, 0, (size_t)tokens * sizeof *rows);
        ref_roll(want, rows, i % 2 ? before : NULL, 1, tokens);
        if (tokens > 1)
            rows[n - 1] = NAN;
        k->roll(out, rows, i % 2 ? before : NULL, tokens, 0, half);
        k->roll(out, rows, i % 2 ? before : NULL, tokens, half, tokens);
        for (int c = 0; tokens > 1 && c < tokens; c++) {
            size_t at = n - (size_t)tokens + (size_t)c;
            assert_true(isnan(out[at]));
            out[at] = (float)(want[at] = 0);
        }
        check("roll", k, out, want, n, MV_F32, 1e-6);
    }
}

static void half_lives(void **s)
{
    (void)s;
    every(half_life_of);
}

static void contributions(void **s)
{
    (void)s;
    every(spread_of);
}

static void rollouts(void **s)
{
    (void)s;
    every(roll_of);
}

static void hidden_attentions(void **s)
{
    (void)s;
    every(hidden_of);
}

static void norm_of(const mv_kernels *k, mv_dtype type)
{
    (void)type;
    static const int sizes[][2] = {{1, 1}, {3, 7}, {5, 16}, {4, 67}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++, forget()) {
        size_t rows = (size_t)sizes[i][0], states = (size_t)sizes[i][1] * MV_STATES;
        float *h = random_of("h", rows * states, MV_F32, 0, 2), *out = answer(rows, MV_F32);
        double *want = room(rows);
        ref_state_norm(want, h, rows, sizes[i][1]);
        k->norm(out, h, rows, states);
        check("norm", k, out, want, rows, MV_F32, 1e-6);
    }
}

static void norms(void **s)
{
    (void)s;
    every(norm_of);
}

/* ---- attention */

/* The second of two heads: the first one's columns must stay. 300 channels are more than one piece of q. */
static void attention_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][3] = {{1, 1, 0},   {2, 20, 1},   {7, 33, 0},  {49, 40, 16},
                                   {50, 64, 0}, {13, 300, 5}, {66, 49, 6}, {196, 40, 180}};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++, forget()) {
        int tokens = sizes[i / 2][0], d = sizes[i / 2][1], from = sizes[i / 2][2], c = 2 * d;
        bool kept = i & 1;
        size_t n = (size_t)(tokens * c), square = (size_t)(tokens * tokens), size = mv_dtype_size(type);
        float *qkv = random_of("qkv", 3 * n, type, 0, 2);
        char *data = typed(qkv, 3 * n, type), *out = answer(n, type), *again = answer(n, type);
        size_t packed = k->packed(tokens, d), scores = k->scores(tokens);
        mv_attention_job j = {.tokens = tokens, .d = d, .stride = 3 * c, .from = from, .to = tokens, .type = type};
        j.q = data + (size_t)d * size;
        j.k = data + (size_t)(c + d) * size;
        j.v = data + (size_t)(2 * c + d) * size;
        j.out = out + (size_t)d * size;
        j.out_stride = c;
        j.scale = 1 / sqrtf((float)d);
        j.rows = kept ? answer(square, MV_F32) : NULL;
        j.packed = answer(packed, MV_F32);
        j.scores = answer(scores, MV_F32);
        k->pack(&j);
        k->attention(&j);
        double *rows = room(2 * square), *want = room(n);
        ref_rows(rows, qkv, 1, tokens, 2, d);
        ref_attend(want, rows, qkv, 1, tokens, 2, d);
        for (int t = 0; t < tokens; t++)
            for (int at = 0; at < c; at++)
                if (t < from || at < d)
                    want[t * c + at] = NAN;
        check("attention", k, out, want, n, type, 4e-6);
        whole_guards("pack", k, j.packed, packed, MV_F32);
        whole_guards("attention's scores", k, j.scores, scores, MV_F32);
        if (!kept)
            continue;
        for (int t = 0; t < from * tokens; t++)
            rows[square + (size_t)t] = NAN;
        check("attention's rows", k, j.rows, rows + square, square, MV_F32, 4e-6);
        j.out = again + (size_t)d * size;
        memset(j.scores, 0xff, scores * sizeof *j.scores); /* attend must not live on what attention left there */
        k->attend(&j);
        check("attend", k, again, want, n, type, 4e-6);
        assert_memory_equal(again + (size_t)d * size, out + (size_t)d * size, (n - (size_t)d) * size);
        check("attend's rows", k, j.rows, rows + square, square, MV_F32, 4e-6);
        whole_guards("attend's scores", k, j.scores, scores, MV_F32);
    }
}

static void attentions(void **s)
{
    (void)s;
    every(attention_of);
}

/* A NaN among the inputs reaches the answer: no clamp on the way makes a number of it. */
static void nan_of(const mv_kernels *k, mv_dtype type)
{
    enum { E = 35, WIDTH = 1 + 2 * MV_STATES, T = 9, D = 20 };
    float bad[3 * T * D] = {0}, ones[3 * E];
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        ones[i] = 1;
    bad[0] = NAN;
    float *dt = answer(E, MV_F32);
    k->step(dt, typed(bad, WIDTH, type), ones, ones, 1, E, 1, type);
    float *rows = answer(T * T, MV_F32);
    mv_attention_job a = {.tokens = T, .d = D, .stride = 3 * D, .to = T, .type = type, .out_stride = D, .scale = 1};
    char *qkv = typed(bad, sizeof bad / sizeof *bad, type);
    a.q = qkv, a.k = qkv + D * mv_dtype_size(type), a.v = qkv + 2 * D * mv_dtype_size(type);
    a.out = answer(T * D, type);
    a.rows = rows;
    a.packed = own(k->packed(T, D) * sizeof(float));
    a.scores = own(k->scores(T) * sizeof(float));
    k->pack(&a);
    k->attention(&a);
    float out[T * D];
    mv_to_f32(out, a.out, type, T * D);
    void *erf = answer(E, type);
    float x[E] = {NAN}, gelu[E];
    k->epilogue(erf, type, x, NULL, NULL, type, MV_ACT_GELU, 1, E);
    mv_to_f32(gelu, erf, type, E);
    if (!isnan(dt[0]) || !isnan(dt[E - 1]) || !isnan(rows[0]) || !isnan(out[0]) || !isnan(gelu[0]) || isnan(gelu[1]) ||
        isnan(rows[T]))
        fail_msg("%s: NaN became dt %g %g, row %g, out %g, GELU %g; numbers became GELU %g, row %g", k->name, dt[0],
                 dt[E - 1], rows[0], out[0], gelu[0], gelu[1], rows[T]);
    forget();
}

static void nans(void **s)
{
    (void)s;
    every(nan_of);
}

/* ---- the backward pass */

/* What is far from 0 has a derivative, too: no factor of it may become 0 times infinity. */
static void slope_of(const mv_kernels *k, mv_dtype type)
{
    static const float far[] = {0, -0.0f, 1e-30f, -1e-30f, 13, -13, 40, -40, 1e4f, -1e4f, 1e30f, -1e30f, NAN};
    enum { FAR = sizeof far / sizeof *far, N = FAR + 35 };
    for (int i = 0; i < 8; i++, forget()) {
        mv_act act = (mv_act)(i / 2);
        float *x = random_of("x", N, type, 0, 6), *dy = random_of("dy", N, type, 0, 2);
        mv_to_f32(x, typed(far, FAR, type), type, FAR);
        double *want = room(N), *value = room(N);
        for (int j = 0; j < N; j++) {
            double a = (double)x[j],
                   near = fabs(a) > 100 ? copysign(100, a) : a; /* the same, and its powers are finite */
            want[j] = (double)dy[j] * ref_act_back(near, act, i % 2);
            value[j] = ref_act(a, act);
        }
        void *dx = answer(N, type), *out = answer(N, type);
        k->activate_back(dx, typed(dy, N, type), typed(x, N, type), act, i % 2, N, type);
        check("activate_back", k, dx, want, N, type, 1.5e-6);
        if (act == MV_ACT_GELU_TANH) /* is not of these loops */
            continue;
        k->activate(out, typed(x, N, type), act, N, type);
        check("activate", k, out, value, N, type, 1.5e-6);
    }
}

static void slopes(void **s)
{
    (void)s;
    every(slope_of);
}

static void dot_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][2] = {{1, 1}, {3, 3}, {2, 17}, {1, 64}, {2, 1025}, {1, 5000}};
    for (int i = 0; i < 6 * 4; i++, forget()) {
        int rows = sizes[i / 4][0], c = sizes[i / 4][1];
        bool one_row = i & 1, positive = i & 2;
        size_t n = (size_t)rows * (size_t)c, m = one_row ? (size_t)c : n;
        float *x = random_of("x", n, type, 0, 1 / sqrtf((float)c)), *y = random_of("y", m, type, 0, 1);
        void *out = answer((size_t)rows, MV_F32);
        double *want = room((size_t)rows);
        k->dot(out, typed(x, n, type), typed(y, m, type), one_row, positive, (size_t)rows, (size_t)c, type);
        ref_dot(want, x, y, one_row, positive, (size_t)rows, c);
        check("dot", k, out, want, (size_t)rows, MV_F32, 1e-6);
    }
}

static void sums_of_products(void **s)
{
    (void)s;
    every(dot_of);
}

/* A picture of one channel out, whose weights tell the taps apart: the columns are dy times a weight. */
static void gather_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][3] = {{1, 1, 1}, {2, 2, 3}, {5, 4, 3}, {4, 7, 17}, {3, 3, 35}};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++, forget()) {
        const int h = sizes[i / 2][0], w = sizes[i / 2][1], c = sizes[i / 2][2], down = (h + 1) / 2,
                  across = (w + 1) / 2;
        const size_t n = (size_t)(h * w * c), row = (size_t)across * 9 * (size_t)c;
        float *dy = random_of("dy", (size_t)(down * across), MV_F32, 0, 1),
              *weight = random_of("weight", (size_t)c * 9, MV_F32, 0, 1),
              *residual = i % 2 ? random_of("residual", n, type, 0, 1) : NULL,
              *columns = own((size_t)down * row * sizeof *columns);
        for (size_t j = 0; j < (size_t)down * row; j++)
            columns[j] = dy[j / (9 * (size_t)c)] * weight[j % (size_t)c * 9 + j / (size_t)c % 9];
        double *want = room(n);
        ref_conv2d_back(want, dy, 1, h, w, c, 1, 2, weight, residual);
        char *dx = answer(n, type), *before = residual ? typed(residual, n, type) : NULL;
        for (int y = 0; y < h; y++) {
            const size_t at = (size_t)(y * w * c) * mv_dtype_size(type);
            const float *here = columns + (size_t)(y / 2) * row;
            k->gather(dx + at, before ? before + at : NULL, here, y % 2 && y / 2 + 1 < down ? here + row : NULL, y % 2,
                      w, c, type);
        }
        check("gather", k, dx, want, n, type, 1e-6);
    }
}

static void convolutions_of_stride_2(void **s)
{
    (void)s;
    every(gather_of);
}

static void mean_back_of(const mv_kernels *k, mv_dtype type)
{
    for (int i = 0; i < 6; i++, forget()) {
        int c = (const int[]){1, 17, 35}[i / 2], cells = 6;
        size_t n = (size_t)(cells * c);
        float *dy = random_of("dy", (size_t)c, type, 0, 6),
              *scale = i % 2 ? random_of("scale", (size_t)c, MV_F32, 1, 0.5f) : NULL;
        void *dx = answer(n, type);
        double *want = room(n);
        k->mean_back(dx, typed(dy, (size_t)c, type), scale, (size_t)cells, c, type);
        ref_pool_back(want, dy, 1, (size_t)cells, c, scale);
        check("mean_back", k, dx, want, n, type, 1e-6);
    }
}

static void means_back(void **s)
{
    (void)s;
    every(mean_back_of);
}

/* ---- the backward pass of norms, mixers and attention */

static void layernorm_back_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][2] = {{1, 1}, {3, 3}, {2, 17}, {5, 33}, {1, 64}, {2, 167}};
    for (int i = 0; i < 6 * 6; i++, forget()) {
        int rows = sizes[i / 6][0], c = sizes[i / 6][1], with = i % 3;
        bool held = i / 3 % 2;
        size_t n = (size_t)rows * (size_t)c;
        float *x = random_of("x", n, type, 30, 2), *dy = random_of("dy", n, type, 1, 2),
              *weight = random_of("weight", (size_t)c, MV_F32, 1, 0.5f), *residual = random_of("before", n, type, 0, 2);
        void *dx = answer(n, type), *before = with == 0 ? NULL : with == 1 ? typed(residual, n, type) : dx;
        if (before == dx)
            mv_from_f32(dx, type, residual, n);
        double *want = room(n);
        k->layernorm_back(dx, typed(dy, n, type), typed(x, n, type), weight, 1e-5f, held, before, (size_t)rows, c,
                          type);
        ref_layernorm_back(want, dy, x, weight, (double)1e-5f, held, before ? residual : NULL, (size_t)rows, c);
        check("layernorm_back", k, dx, want, n, type, 6e-6);
    }
}

/* Some tokens of a window; so far that e^-x leaves fp32. */
static void conv1d_back_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][4] = {{1, 1, 0, 1},  {2, 5, 0, 2},  {7, 17, 0, 7},   {7, 17, 3, 7},
                                   {7, 17, 0, 4}, {7, 17, 1, 2}, {49, 35, 11, 12}};
    for (size_t i = 0; i < 4 * sizeof sizes / sizeof *sizes; i++, forget()) {
        const int *d = sizes[i / 4];
        int tokens = d[0], e = d[1], from = d[2], to = d[3];
        bool held = i % 2;
        size_t n = (size_t)tokens * (size_t)e;
        float *xz = random_of("xz", 2 * n, type, 0, i / 2 % 2 ? 100 : 3), *dx = random_of("dx", n, type, 0, 1),
              *dyz = random_of("dyz", 2 * n, type, 0, 1), *wx = random_of("wx", (size_t)e * MV_TAPS, MV_F32, 0, 1),
              *wz = random_of("wz", (size_t)e * MV_TAPS, MV_F32, 0, 1);
        char *dxz = answer(2 * n, type);
        double *want = room(2 * n);
        k->conv1d_silu_back(dxz, typed(dx, n, type), typed(dyz, 2 * n, type), typed(xz, 2 * n, type), wx, wz, held,
                            tokens, e, from, to, type);
        ref_conv1d_silu_back(want, 0, dx, e, 0, xz, wx, 1, tokens, e, held);
        ref_conv1d_silu_back(want, e, dyz, 2 * e, e, xz, wz, 1, tokens, e, held);
        for (size_t c = 0; c < 2 * n; c++)
            if ((int)c < from * 2 * e || (int)c >= to * 2 * e)
                want[c] = NAN;
        check("conv1d_silu_back", k, dxz, want, 2 * n, type, 1e-5);
    }
}

/* Steps of 1e-5, whose 1 - exp(-dt) must keep its digits, and steps at which it is 1 */
static void step_back_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][3] = {{1, 1, 1}, {7, 17, 3}, {3, 35, 20}, {2, 64, 41}};
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++, forget()) {
        size_t tokens = (size_t)sizes[i / 2][0], e = (size_t)sizes[i / 2][1], rank = (size_t)sizes[i / 2][2],
               width = rank + 2 * MV_STATES;
        float far = i % 2 ? 15 : 1e-5f, *dt = random_of("dt", tokens * e, MV_F32, far, 0.99f * far),
              *ddt = random_of("ddt", tokens * e, MV_F32, 0, i % 2 ? 1 : 1e5f),
              *weight = random_of("weight", rank * e, MV_F32, 0, 1), *scratch = answer(e, MV_F32);
        void *dproj = answer(tokens * width, type);
        double *steps = room(tokens * e), *dr = room(tokens * rank), *want = room(tokens * width);
        for (size_t c = 0; c < tokens * e; c++)
            steps[c] = (double)dt[c];
        k->step_back(dproj, ddt, dt, weight, tokens, (int)e, (int)rank, type, scratch);
        ref_step_back(dr, ddt, steps, weight, tokens, (int)e, (int)rank);
        for (size_t t = 0; t < tokens; t++)
            memcpy(want + t * width, dr + t * rank, rank * sizeof *dr);
        check("step_back", k, dproj, want, tokens * width, type, 2e-6);
        whole_guards("step_back's scratch", k, scratch, e, MV_F32);
    }
}

/* A group of channels, whole or not: dy is 0 in the others, so that dB and dC are those of the group. Steps up to where
 * a state is forgotten at once; l kept or not. */
static void scan_back_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][5] = {
        {1, 1, 1, 0, 1}, {7, 17, 3, 0, 17}, {50, 67, 3, 32, 64}, {7, 67, 3, 64, 67}, {5, 40, 2, 0, 32}};
    for (size_t i = 0; i < 8 * sizeof sizes / sizeof *sizes; i++, forget()) {
        const int *d = sizes[i / 8];
        bool held = i & 1, kept = i & 2;
        int tokens = d[0], e = d[1], rank = d[2], from = d[3], to = d[4];
        size_t n = (size_t)tokens * (size_t)e, width = (size_t)rank + 2 * MV_STATES, states = n * MV_STATES,
               sums = (size_t)tokens * 2 * MV_STATES;
        float far = i & 4 ? 15 : 0.2f, *x = random_of("x", n, type, 0, 2),
              *dyz = random_of("dyz", 2 * n, type, 0, 0.3f),
              *proj = random_of("proj", (size_t)tokens * width, type, 0, 1.7f),
              *dt = random_of("dt", n, MV_F32, far, 0.99f * far), *h = own(states * sizeof *h);
        for (size_t c = 0; c < 2 * n; c++)
            if ((int)(c % (size_t)(2 * e)) < from || (int)(c % (size_t)(2 * e)) >= to)
                dyz[c] = 0;
        mv_scan_back_job j = {.tokens = tokens, .channels = e, .rank = rank, .from = from, .to = to, .type = type};
        double *steps = room(n), *all = room(states), *dx = room(n), *dbc = room(sums), *ddt = room(n),
               *dh = room(states);
        for (size_t c = 0; c < n; c++)
            steps[c] = (double)dt[c];
        j.A = random_of("A", (size_t)e * MV_STATES, MV_F32, -4, 3.9f);
        j.D = random_of("D", (size_t)e, MV_F32, 1, 0.5f);
        ref_states(all, x, proj, steps, j.A, 1, tokens, e, rank);
        for (size_t c = 0; c < states; c++)
            all[c] = (double)(h[c] = (float)all[c]);
        ref_scan_back(dx, dbc, ddt, dh, dyz, x, proj, steps, all, j.A, j.D, 1, tokens, e, rank);
        for (size_t c = 0; c < states; c++)
            if ((int)(c / MV_STATES % (size_t)e) < from || (int)(c / MV_STATES % (size_t)e) >= to)
                dx[c / MV_STATES] = ddt[c / MV_STATES] = dh[c] = NAN;
        j.dyz = typed(dyz, 2 * n, type);
        j.x = typed(x, n, type);
        j.proj = typed(proj, (size_t)tokens * width, type);
        j.dt = dt;
        j.h = held ? NULL : h;
        j.dx = answer(n, type);
        j.ddt = held ? NULL : answer(n, MV_F32);
        j.dh = kept ? answer(states, MV_F32) : NULL;
        j.sums = held ? NULL : answer(sums, MV_F32);
        k->scan_back(&j);
        check("scan_back", k, j.dx, dx, n, type, 1e-5);
        if (kept)
            check("scan_back's dh", k, j.dh, dh, states, MV_F32, 1e-5);
        if (held)
            continue;
        check("scan_back's ddt", k, j.ddt, ddt, n, MV_F32, 2e-5);
        check("scan_back's sums", k, j.sums, dbc, sums, MV_F32, 2e-5);
    }
}

/* The second of two heads: the first one's columns must stay. Flat rows, and peaked ones. */
static void attention_back_of(const mv_kernels *k, mv_dtype type)
{
    static const int sizes[][2] = {{1, 1}, {2, 20}, {7, 33}, {13, 40}, {49, 40}, {30, 64}, {13, 300}};
    for (size_t i = 0; i < 8 * sizeof sizes / sizeof *sizes; i++, forget()) {
        int tokens = sizes[i / 8][0], d = sizes[i / 8][1], c = 2 * d;
        bool held = i & 1, kept = i & 2;
        size_t n = (size_t)(tokens * c), square = (size_t)(tokens * tokens), head = (size_t)d * mv_dtype_size(type);
        float *qkv = random_of("qkv", 3 * n, type, 0, i & 4 ? 4 : 0.5f),
              *dout = random_of("dout", n, type, 0, 1 / sqrtf((float)d));
        char *data = typed(qkv, 3 * n, type), *out = answer(3 * n, type);
        size_t scratch = k->attention_back_scratch(tokens, d);
        mv_attention_back_job j = {.tokens = tokens,
                                   .d = d,
                                   .stride = 3 * c,
                                   .type = type,
                                   .held = held,
                                   .q = data + head,
                                   .k = data + 3 * head,
                                   .v = data + 5 * head,
                                   .dout = (char *)typed(dout, n, type) + head,
                                   .dout_stride = c,
                                   .dq = out + head,
                                   .dk = out + 3 * head,
                                   .dv = out + 5 * head,
                                   .scale = 1 / sqrtf((float)d),
                                   .drows = kept ? answer(square, MV_F32) : NULL,
                                   .scratch = answer(scratch, MV_F32)};
        k->attention_back(&j);
        double *rows = room(2 * square), *want = room(3 * n), *drows = room(2 * square);
        ref_rows(rows, qkv, 1, tokens, 2, d);
        ref_attention_back(want, drows, dout, rows, qkv, 1, tokens, 2, d, held);
        for (size_t at = 0; at < 3 * n; at++)
            if ((int)at / d % 2 == 0)
                want[at] = NAN;
        check("attention_back", k, out, want, 3 * n, type, 6e-6);
        whole_guards("attention_back's scratch", k, j.scratch, scratch, MV_F32);
        if (kept)
            check("attention_back's rows", k, j.drows, drows + square, square, MV_F32, 2e-6);
    }
}

static void gradients_of_norms(void **s)
{
    (void)s;
    every(layernorm_back_of);
}

static void gradients_of_mixers(void **s)
{
    (void)s;
    every(conv1d_back_of);
    every(step_back_of);
    every(scan_back_of);
}

static void gradients_of_attention(void **s)
{
    (void)s;
    every(attention_back_of);
}

static void the_best_comes_first(void **s)
{
    (void)s;
    assert_ptr_equal(mv_kernels_best(), mv_kernels_at(0));
    int n = 0;
    while (mv_kernels_at(n))
        n++;
    assert_string_equal(mv_kernels_at(n - 1)->name, "plain");
    assert_null(mv_kernels_at(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_comes_first),
        cmocka_unit_test(layernorms),
        cmocka_unit_test(epilogues),
        cmocka_unit_test(conversions),
        cmocka_unit_test(lengths),
        cmocka_unit_test(specials),
        cmocka_unit_test(conv1ds),
        cmocka_unit_test(steps),
        cmocka_unit_test(scans),
        cmocka_unit_test(hidden_attentions),
        cmocka_unit_test(half_lives),
        cmocka_unit_test(contributions),
        cmocka_unit_test(rollouts),
        cmocka_unit_test(norms),
        cmocka_unit_test(attentions),
        cmocka_unit_test(nans),
        cmocka_unit_test(slopes),
        cmocka_unit_test(sums_of_products),
        cmocka_unit_test(convolutions_of_stride_2),
        cmocka_unit_test(means_back),
        cmocka_unit_test(gradients_of_norms),
        cmocka_unit_test(gradients_of_mixers),
        cmocka_unit_test(gradients_of_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
