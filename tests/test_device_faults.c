/* The GPU device while its libraries fail: of all calls of the CUDA runtime, cuBLASLt and cuDNN, and of all launches,
 * the n-th fails, or all from the n-th on. A device that is opened, gets weights, computes batches with and without
 * probes operation by operation, recorded and replayed, and is closed then ends with an error or with the right logits;
 * nothing is left behind, and what runs next is right. The same with the operations of gradients and their values. In
 * emulation, on the doubles of the libraries.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/run/back.h"
#include "src/run/edit.h"
#include "src/run/trace.h"
#include "tests/card.h"
#include "tests/network.h"
#include "tests/short.h"
#include "tests/weights.h"

void simt_fail_at(unsigned long first, unsigned long last);
unsigned long simt_calls(void);
const char *simt_failed(void);
long simt_live(void);
const char *simt_spared(void);
const char *simt_call_name(int i);
void simt_fail_call(const char *name, int n);

enum { SIDE = 32, CLASSES = 3, PASSES = 4, ENDS = 60 };
#define BOUND 2e-2 /* of fp16: another way to compute a product may have been taken */

static const mv_config config = {.dim = 8,
                                 .in_dim = 8,
                                 .depth = {1, 1, 2, 1},
                                 .heads = {1, 1, 2, 2},
                                 .window = {8, 8, 2, 1},
                                 .mlp_ratio = 2,
                                 .gamma = true,
                                 .classes = CLASSES,
                                 .preprocess = {.h = SIDE, .w = SIDE, .crop_pct = 1, .std = {1, 1, 1}}};

/* Passes of a run with probes, then of one without. */
static void compute(const mv_model *m, const float *x, float *logits, mv_error *e)
{
    for (int turn = 0; turn < 2 && !e->code; turn++) {
        mv_trace *t = turn ? NULL : mv_trace_new("levels.*.blocks.*,**.mixer.h,norm", NULL, NULL, e);
        mv_run *r = e->code ? NULL : mv_run_new(m, SIDE, SIDE, 1, t ? mv_trace_probe(t) : NULL, e);
        for (int i = 0; i < PASSES && !e->code; i++) {
            memset(logits, 0xff, CLASSES * sizeof *logits);
            mv_run_forward(r, x, 1, logits, e);
        }
        mv_run_free(r);
        mv_trace_free(t);
    }
}

static void session(const float *x, float *logits, mv_error *e)
{
    weights w;
    mv_backend *b = mv_plugin_device(card, 0, MV_F16, false, e);
    mv_model *m = b ? mv_model_new(&config, b, weights_source(&w, 5), e) : NULL;
    if (m)
        compute(m, x, logits, e);
    mv_model_free(m);
    if (b)
        b->free(b);
}

/* Every call in the long form where that is quick; else some of all kinds: the first and last ones, and a share of
 * those between, which are no multiples of what a pass repeats. */
static unsigned long next_call(unsigned long n, unsigned long all)
{
    unsigned long step = all / (test_is_short() ? 60 : 300) + 1;
    return n < ENDS || n + ENDS >= all ? n + (test_is_short() ? 3 : 1) : n + step + n % 7;
}

static void expect_whole(const mv_error *e, const float *logits, const float *want, unsigned long n, long live)
{
    if (simt_live() != live)
        fail_msg("call %lu, %s: %ld things are not given back", n, simt_failed(), simt_live() - live);
    if (e->code ? !*e->text : !(relative_l2(logits, want, CLASSES) <= BOUND))
        fail_msg("call %lu, %s: no error is reported, and the logits are off by %g", n, simt_failed(),
                 relative_l2(logits, want, CLASSES));
}

static void fail_from(unsigned long most)
{
    float *x = network_input(1, SIDE, SIDE, 3), want[CLASSES], logits[CLASSES];
    mv_error e = {0};
    session(x, want, &e);
    long live = simt_live();
    unsigned long before = simt_calls();
    session(x, want, &e);
    expect_ok(&e);
    assert_int_equal(simt_live(), live);
    unsigned long all = simt_calls() - before;
    int errors = 0, tries = 0;
    for (unsigned long n = 1; n <= all; n = next_call(n, all), tries++) {
        e = (mv_error){0};
        simt_fail_at(n, most ? most : n);
        session(x, logits, &e);
        if (!*simt_failed())
            fail_msg("call %lu of %lu did not fail", n, all);
        expect_whole(&e, logits, want, n, live);
        errors += e.code != 0;
        simt_fail_at(0, 0);
    }
    e = (mv_error){0};
    session(x, logits, &e);
    expect_ok(&e);
    assert_memory_equal(logits, want, sizeof want);
    print_message("           %lu calls; of %d that failed, %d were reported\n", all, tries, errors);
    free(x);
}

static void one_call_fails(void **s)
{
    (void)s;
    fail_from(0);
}

static void all_further_calls_fail(void **s)
{
    (void)s;
    fail_from(~0ul);
}

/* A device whose pass failed computes the next one, with what was made by then. */
static void the_next_run_is_right(void **s)
{
    (void)s;
    float *x = network_input(1, SIDE, SIDE, 3), want[CLASSES], logits[CLASSES];
    mv_error e = {0};
    unsigned long all = 0;
    for (unsigned long n = 0; n <= all; n = n ? next_call(n, all) : 1) {
        weights w;
        e = (mv_error){0};
        mv_backend *b = card_open(MV_F16);
        mv_model *m = mv_model_new(&config, b, weights_source(&w, 5), &e);
        expect_ok(&e);
        unsigned long calls = simt_calls();
        simt_fail_at(n, n);
        compute(m, x, n ? logits : want, &e);
        all = n ? all : simt_calls() - calls;
        simt_fail_at(0, 0);
        if (e.code && !*e.text)
            fail_msg("call %lu: an error without a sentence", n);
        e = (mv_error){0};
        compute(m, x, logits, &e);
        if (e.code || !(relative_l2(logits, want, CLASSES) <= BOUND))
            fail_msg("call %lu: the next run: %s, off by %g", n, e.text, relative_l2(logits, want, CLASSES));
        mv_model_free(m);
        b->free(b);
    }
    free(x);
}

/* A run whose batch failed, half way through an upload perhaps, computes the pictures that it is given next: batches of
 * two, two and one, of which the later ones are replayed. */
static void the_same_run_goes_on(void **s)
{
    (void)s;
    enum { ALL = 5, PICTURE = 3 * SIDE * SIDE };
    float *x = network_input(2 * ALL, SIDE, SIDE, 3), want[2][ALL * CLASSES], logits[ALL * CLASSES];
    weights w;
    mv_error e = {0};
    mv_backend *b = card_open(MV_F16);
    mv_model *m = mv_model_new(&config, b, weights_source(&w, 5), &e);
    mv_run *r = mv_run_new(m, SIDE, SIDE, 2, NULL, &e);
    for (int turn = 0; turn < 4; turn++)
        mv_run_forward(r, x + turn % 2 * ALL * PICTURE, ALL, want[turn % 2], &e);
    expect_ok(&e);
    unsigned long before = simt_calls();
    mv_run_forward(r, x, ALL, want[0], &e);
    expect_ok(&e);
    unsigned long all = simt_calls() - before;
    int errors = 0;
    for (unsigned long n = 1; n <= all; n += test_is_short() ? 4 : 1)
        for (int again = 0; again < 3; again++) {
            const int now = (int)(n + (unsigned long)again) % 2;
            e = (mv_error){0};
            memset(logits, 0xff, sizeof logits);
            simt_fail_at(again ? 0 : n, again ? 0 : n);
            mv_run_forward(r, x + now * ALL * PICTURE, ALL, logits, &e);
            simt_fail_at(0, 0);
            errors += e.code != 0;
            if (again && e.code)
                fail_msg("call %lu of %lu: afterwards: %s", n, all, e.text);
            if (!e.code && relative_l2(logits, want[now], ALL * CLASSES) != 0)
                fail_msg("call %lu of %lu, %d batches later: off by %g", n, all, again,
                         relative_l2(logits, want[now], ALL * CLASSES));
        }
    assert_true(errors > (test_is_short() ? 2 : 10));
    mv_run_free(r);
    mv_model_free(m);
    b->free(b);
    free(x);
}

/* ---- whole runs: gradients, and edited values */

enum {
    PICTURES = 3,
    ANSWERS = PICTURES * CLASSES,
    SLOPES = PICTURES * 3 * SIDE * SIDE,
    ALL_VALUES = 2 * ANSWERS + SLOPES
};

static mv_status seed_first(void *context, int pass, int first, int pictures, int classes, const float *logits,
                            float *seed, mv_error *e)
{
    (void)context, (void)pass, (void)first, (void)logits, (void)e;
    for (int i = 0; i < pictures; i++)
        seed[i * classes] = 1;
    return MV_OK;
}

/* Batches of two and one of a run with backward passes: logits, and the gradients by the pictures. */
static void run_gradients(const mv_model *m, const float *x, float *values, mv_error *e)
{
    const mv_rules rules[] = {MV_RULES_GRADIENT, MV_RULES_HELD};
    const mv_back back = {.passes = 2, .rules = rules, .seed = seed_first, .biases = 2};
    mv_trace *t = mv_trace_new("grad.input,grad.levels.*.blocks.*,grad.**.mixer.y,bias.**,norm", NULL, NULL, e);
    mv_run *r = e->code ? NULL : mv_run_new_back(m, SIDE, SIDE, 2, mv_trace_probe(t), &back, e);
    mv_tensor slopes;
    if (r)
        mv_run_forward(r, x, PICTURES, values, e);
    if (!e->code && mv_trace_lookup_pass(t, "grad.input", 1, &slopes)) {
        assert_int_equal(mv_tensor_count(slopes), SLOPES);
        memcpy(values + 2 * ANSWERS, slopes.data, SLOPES * sizeof(float));
    }
    mv_run_free(r);
    mv_trace_free(t);
}

static void run_edits(const mv_model *m, const float *x, float *logits, mv_error *e)
{
    mv_edits *edits = mv_edits_new(e);
    if (!edits)
        return;
    mv_edits_add(edits, "levels.1", MV_EDIT_MEAN, (mv_tensor){0}, e);
    mv_edits_only(edits, 1);
    mv_edits_add(edits, "levels.2", MV_EDIT_ZERO, (mv_tensor){0}, e);
    mv_edits_add_noise(edits, "levels.0", 5, 0.25, e);
    mv_run *r = e->code ? NULL : mv_run_new(m, SIDE, SIDE, 2, mv_edits_probe(edits), e);
    if (r)
        mv_run_forward(r, x, PICTURES, logits, e);
    mv_run_free(r);
    mv_edits_free(edits);
}

static void runs_session(const float *x, float values[ALL_VALUES], mv_error *e)
{
    weights w;
    mv_backend *b = mv_plugin_device(card, 0, MV_F16, false, e);
    mv_model *m = b ? mv_model_new(&config, b, weights_source(&w, 5), e) : NULL;
    memset(values, 0xff, ALL_VALUES * sizeof *values);
    if (m)
        run_gradients(m, x, values, e);
    if (!e->code)
        run_edits(m, x, values + ANSWERS, e);
    mv_model_free(m);
    if (b)
        b->free(b);
}

static void runs_fail(void **s)
{
    (void)s;
    static float want[ALL_VALUES], values[ALL_VALUES];
    float *x = network_input(PICTURES, SIDE, SIDE, 3);
    mv_error e = {0};
    runs_session(x, want, &e);
    expect_ok(&e);
    long live = simt_live();
    unsigned long before = simt_calls();
    runs_session(x, values, &e);
    expect_ok(&e);
    assert_memory_equal(values, want, sizeof want);
    unsigned long all = simt_calls() - before;
    int tries = 0;
    for (int further = 0; further < 2; further++)
        for (unsigned long n = 1; n <= all; n = test_is_short() ? n + all / 9 : next_call(n, all), tries++) {
            e = (mv_error){0};
            simt_fail_at(n, further ? ~0ul : n);
            runs_session(x, values, &e);
            simt_fail_at(0, 0);
            if (simt_live() != live)
                fail_msg("call %lu: %ld things are not given back", n, simt_live() - live);
            if (e.code ? !*e.text : !(relative_l2(values, want, ALL_VALUES) <= BOUND))
                fail_msg("call %lu: no error is reported, and the values are off by %g", n,
                         relative_l2(values, want, ALL_VALUES));
        }
    print_message("           %lu calls, %d tries\n", all, tries);
    free(x);
}

/* ---- operations of gradients */

/* Values of all operations lie one behind the other, those of `act` and those of fp32 apart. */
enum { VALUES = 8192, TOKENS = 6, E = 8, RANK = 3, HEADS = 2, MAP = 6, CHANNELS = 16, NARROW = 5, WIDTH = 24 };

typedef struct {
    mv_backend *b;
    void *in[2], *out[2]; /* of `act`, of fp32 */
    int used_in[2], used_out[2];
    mv_conv same, half, narrow;
    mv_dense dense;
    mv_vector vector; /* for all weights that are vectors */
} gradients;

static mv_tensor next(void *memory, int *used, mv_dtype type, int nd, const int *dim)
{
    mv_tensor t = {.data = (char *)memory + (size_t)*used * mv_dtype_size(type), .type = type, .nd = nd};
    memcpy(t.dim, dim, (size_t)nd * sizeof *dim);
    *used += (int)(mv_tensor_count(t) + 63) / 64 * 64;
    assert_true(*used <= VALUES);
    return t;
}

#define SHAPE(...)                                                                                                     \
    (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (const int[])                                                   \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define IN(type, ...)  next(g->in[(type) == MV_F32], &g->used_in[(type) == MV_F32], type, SHAPE(__VA_ARGS__))
#define OUT(type, ...) next(g->out[(type) == MV_F32], &g->used_out[(type) == MV_F32], type, SHAPE(__VA_ARGS__))

static mv_tensor all_of(void *memory, mv_dtype type)
{
    return mv_tensor_of(memory, type, 1, VALUES);
}

static void gradients_free(gradients *g)
{
    for (int i = 0; i < 2; i++) {
        g->b->release(g->b, g->in[i]);
        g->b->release(g->b, g->out[i]);
    }
    g->b->conv_free(g->b, &g->same);
    g->b->conv_free(g->b, &g->half);
    g->b->conv_free(g->b, &g->narrow);
    g->b->dense_free(g->b, &g->dense);
    g->b->vector_free(g->b, &g->vector);
}

static void gradients_new(gradients *g, mv_backend *b, mv_error *e)
{
    static float x[VALUES];
    weights_uniform(x, "x", VALUES, 3);
    for (int i = 0; i < VALUES; i++) /* positive, as steps are */
        x[i] = 0.5f + 0.4f * x[i];
    *g = (gradients){.b = b};
    for (int i = 0; i < 2; i++) {
        mv_dtype type = i ? MV_F32 : b->act;
        g->in[i] = b->alloc(b, VALUES * sizeof(float));
        g->out[i] = b->alloc(b, VALUES * sizeof(float));
        if (!g->in[i] || !g->out[i])
            mv_fail(e, MV_ENOMEM, "out of memory");
        for (int k = 0; k < 2 && !e->code; k++)
            b->write(b, mv_view_of(all_of(k ? g->out[i] : g->in[i], type)), x, e);
    }
    if (!e->code)
        b->conv_new(b, &g->same, CHANNELS, CHANNELS, 1, x, NULL, e);
    if (!e->code)
        b->conv_new(b, &g->half, CHANNELS, CHANNELS, 2, x, NULL, e);
    if (!e->code)
        b->conv_new(b, &g->narrow, NARROW, NARROW, 2, x, NULL, e);
    if (!e->code)
        b->dense_new(b, &g->dense, CHANNELS, WIDTH, x, NULL, e);
    if (!e->code)
        b->vector_new(b, &g->vector, VALUES, x, e);
}

static void of_rows(gradients *g, mv_error *e)
{
    mv_backend *b = g->b;
    const mv_tensor x = IN(b->act, TOKENS, CHANNELS), dy = IN(b->act, TOKENS, CHANNELS);
    const mv_vector row = {CHANNELS, g->vector.data};
    b->copy(b, OUT(b->act, TOKENS, CHANNELS), x, e);
    b->dot(b, OUT(MV_F32, TOKENS), x, dy, false, e);
    b->activate(b, OUT(b->act, TOKENS, CHANNELS), x, MV_ACT_GELU, e);
    b->activate_back(b, OUT(b->act, TOKENS, CHANNELS), dy, x, MV_ACT_GELU, false, e);
    b->layernorm_back(b, OUT(b->act, TOKENS, CHANNELS), dy, x, row, 1e-5f, false, x, e);
    b->mean_pool_back(b, OUT(b->act, 1, MAP, MAP, CHANNELS), IN(b->act, 1, CHANNELS), row, e);
}

static void of_products(gradients *g, mv_error *e)
{
    mv_backend *b = g->b;
    const mv_tensor none = {0}, x = IN(b->act, 1, MAP, MAP, CHANNELS), half = IN(b->act, 1, MAP / 2, MAP / 2, CHANNELS);
    b->conv2d_back(b, OUT(b->act, 1, MAP, MAP, CHANNELS), x, &g->same, x, e);
    b->conv2d_back(b, OUT(b->act, 1, MAP, MAP, CHANNELS), half, &g->half, none, e);
    b->conv2d_back(b, OUT(b->act, 1, MAP, MAP, NARROW), IN(b->act, 1, MAP / 2, MAP / 2, NARROW), &g->narrow, none, e);
    b->linear_back(b, OUT(b->act, TOKENS, CHANNELS), IN(MV_F32, TOKENS, WIDTH), &g->dense, none, e);
}

static void of_tokens(gradients *g, mv_error *e)
{
    mv_backend *b = g->b;
    const mv_tensor none = {0}, x = IN(b->act, 1, TOKENS, E), xz = IN(b->act, 1, TOKENS, 2 * E),
                    dyz = IN(b->act, 1, TOKENS, 2 * E), dt = IN(MV_F32, 1, TOKENS, E),
                    proj = IN(b->act, 1, TOKENS, RANK + 2 * MV_STATES), ddt = OUT(MV_F32, 1, TOKENS, E),
                    dproj = OUT(b->act, 1, TOKENS, RANK + 2 * MV_STATES), qkv = IN(b->act, 1, TOKENS, 3 * CHANNELS);
    const mv_vector v = g->vector;
    const mv_ssm w = {.channels = E, .rank = RANK, .dt_weight = v, .dt_bias = v, .A = v, .D = v};
    b->conv1d_silu_back(b, OUT(b->act, 1, TOKENS, 2 * E), x, dyz, xz, v, v, false, e);
    b->scan_back(b, OUT(b->act, 1, TOKENS, E), dproj, ddt, none, dyz, x, proj, dt, IN(MV_F32, 1, TOKENS, E, MV_STATES),
                 &w, e);
    b->step_back(b, dproj, ddt, dt, &w, e);
    b->attention_back(b, OUT(b->act, 1, TOKENS, 3 * CHANNELS), none, IN(b->act, 1, TOKENS, CHANNELS), qkv, HEADS, false,
                      OUT(MV_F32, 1, HEADS, TOKENS, 3), e);
}

/* All operations, and what they wrote */
static void gradients_run(gradients *g, float values[2 * VALUES], mv_error *e)
{
    void (*const families[])(gradients *, mv_error *) = {of_rows, of_products, of_tokens};
    for (int i = 0; i < 2; i++)
        g->used_in[i] = g->used_out[i] = 0;
    memset(values, 0xff, 2 * VALUES * sizeof *values);
    for (int i = 0; i < 3 && !e->code; i++)
        families[i](g, e);
    for (int i = 0; i < 2 && !e->code; i++)
        g->b->read(g->b, values + i * VALUES, mv_view_of(all_of(g->out[i], i ? MV_F32 : g->b->act)), e);
}

static void gradients_session(const float *x, float values[2 * VALUES], mv_error *e)
{
    (void)x; /* it makes its own */
    gradients g;
    mv_backend *b = mv_plugin_device(card, 0, MV_F16, false, e);
    if (!b)
        return;
    gradients_new(&g, b, e);
    if (!e->code)
        gradients_run(&g, values, e);
    gradients_free(&g);
    b->free(b);
}

static void expect_gradients(const mv_error *e, const float *values, const float *want, unsigned long n)
{
    if (e->code ? !*e->text : !(relative_l2(values, want, 2 * VALUES) <= BOUND))
        fail_msg("call %lu, %s: no error is reported, and the gradients are off by %g", n, simt_failed(),
                 relative_l2(values, want, 2 * VALUES));
}

static void gradients_fail(void **s)
{
    (void)s;
    static float want[2 * VALUES], values[2 * VALUES];
    mv_error e = {0};
    gradients_session(NULL, want, &e);
    expect_ok(&e);
    long live = simt_live();
    unsigned long before = simt_calls();
    gradients_session(NULL, values, &e);
    expect_ok(&e);
    assert_memory_equal(values, want, sizeof want);
    unsigned long all = simt_calls() - before;
    for (int further = 0; further < 2; further++)
        for (unsigned long n = 1; n <= all; n = next_call(n, all)) {
            e = (mv_error){0};
            simt_fail_at(n, further ? ~0ul : n);
            gradients_session(NULL, values, &e);
            if (simt_live() != live)
                fail_msg("call %lu, %s: %ld things are not given back", n, simt_failed(), simt_live() - live);
            expect_gradients(&e, values, want, n);
            simt_fail_at(0, 0);
        }
    print_message("           %lu calls\n", all);
}

/* What was made lazily before a call failed is whole, or made again. */
static void the_next_gradients_are_right(void **s)
{
    (void)s;
    static float want[2 * VALUES], values[2 * VALUES];
    unsigned long all = 0;
    for (unsigned long n = 0; n <= all; n = n ? next_call(n, all) : 1) {
        mv_error e = {0};
        gradients g;
        mv_backend *b = card_open(MV_F16);
        gradients_new(&g, b, &e);
        expect_ok(&e);
        unsigned long calls = simt_calls();
        simt_fail_at(n, n);
        gradients_run(&g, n ? values : want, &e);
        all = n ? all : simt_calls() - calls;
        simt_fail_at(0, 0);
        expect_gradients(&e, n ? values : want, want, n);
        e = (mv_error){0};
        gradients_run(&g, values, &e);
        expect_ok(&e);
        expect_gradients(&e, values, want, n);
        gradients_free(&g);
        b->free(b);
    }
}

/* Calls of every name fail: the first one, and in the long form those spread over a session, too; in runs with
 * gradients and edits, single operations and replayed passes. No name is left that never failed. */
static void every_name_fails(void **s)
{
    (void)s;
    enum { MOST = 2 * VALUES > ALL_VALUES ? 2 * VALUES : ALL_VALUES };
    void (*const sessions[])(const float *, float *, mv_error *) = {runs_session, gradients_session, session};
    const size_t n[] = {ALL_VALUES, 2 * VALUES, CLASSES};
    static float want[3][MOST], values[MOST];
    float *x = network_input(PICTURES, SIDE, SIDE, 3);
    mv_error e = {0};
    for (int kind = 0; kind < 3; kind++)
        sessions[kind](x, want[kind], &e);
    expect_ok(&e);
    long live = simt_live();
    int failed = 0;
    for (int i = 0; *simt_call_name(i); i++)
        for (int kind = 0; kind < 3; kind++)
            for (int call = 1, more = 1; more; call += call / 2 + 1) {
                const char *name = simt_call_name(i);
                e = (mv_error){0};
                simt_fail_call(name, call);
                sessions[kind](x, values, &e);
                more = *simt_failed() && !test_is_short();
                failed += *simt_failed() != 0;
                simt_fail_call("", 0);
                if (simt_live() != live)
                    fail_msg("%s, call %d: %ld things are not given back", name, call, simt_live() - live);
                if (e.code ? !*e.text : !(relative_l2(values, want[kind], n[kind]) <= BOUND))
                    fail_msg("%s, call %d: no error is reported, and the values are off by %g", name, call,
                             relative_l2(values, want[kind], n[kind]));
            }
    print_message("           %d failures\n", failed);
    assert_string_equal(simt_spared(), "");
    free(x);
}

int main(void)
{
    if (!card_find())
        return 1;
    if (!card_emulated) {
        puts("1..0 # SKIP on the doubles of the libraries only");
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_call_fails),
        cmocka_unit_test(all_further_calls_fail),
        cmocka_unit_test(the_next_run_is_right),
        cmocka_unit_test(the_same_run_goes_on),
        cmocka_unit_test(gradients_fail),
        cmocka_unit_test(the_next_gradients_are_right),
        cmocka_unit_test(runs_fail),
        cmocka_unit_test(every_name_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
