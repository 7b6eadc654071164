/* Backward passes at the edges: beside edits, against differences of networks of every form, stopped, failing, in parts
 * of a batch, and with any number of threads.
 */
#include <float.h>
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
#include "src/explain/target.h"
#include "src/run/back.h"
#include "src/run/edit.h"
#include "src/run/trace.h"
#include "tests/network.h"

/* ---- runs */

static mv_status seed_top(void *context, int pass, int first, int pictures, int classes, const float *logits,
                          float *seed, mv_error *e)
{
    (void)context, (void)pass, (void)first, (void)e;
    const mv_target top = {.class_ = MV_CLASS_TOP};
    for (int i = 0; i < pictures; i++)
        mv_target_seed(&top, logits + (size_t)i * (size_t)classes, classes, seed + (size_t)i * (size_t)classes);
    return MV_OK;
}

typedef struct {
    mv_trace *trace;
    mv_run *run;
} passes;

/* before: a probe that is called before the trace; or NULL. */
static passes passes_new(const network *n, int h, int w, int capacity, const char *sites, const mv_back *back,
                         mv_probe *before)
{
    mv_error e = {0};
    passes p = {.trace = mv_trace_new(sites, NULL, NULL, &e)};
    expect_ok(&e);
    mv_probe *all = mv_trace_probe(p.trace);
    if (before) {
        before->next = all;
        all = before;
    }
    p.run = mv_run_new_back(n->model, h, w, capacity, all, back, &e);
    expect_ok(&e);
    return p;
}

static void passes_free(passes *p)
{
    mv_run_free(p->run);
    mv_trace_free(p->trace);
}

static mv_tensor value_at(const mv_trace *t, const char *prefix, const char *site)
{
    mv_tensor v = {0};
    char name[128];
    snprintf(name, sizeof name, "%s%s", prefix, site);
    if (!mv_trace_lookup(t, name, &v))
        fail_msg("%s was not kept", name);
    return v;
}

static void expect_same(const mv_trace *a, const mv_trace *b, int from)
{
    assert_true(mv_trace_count(b) > 0);
    for (int i = 0; i < mv_trace_count(b); i++) {
        const char *site = mv_trace_name_at(b, i);
        mv_tensor y = mv_trace_at(b, i), x;
        assert_true(mv_trace_lookup_pass(a, site, mv_trace_pass_at(b, i), &x));
        if (memcmp((const char *)x.data + mv_tensor_bytes(y) * (size_t)from, y.data, mv_tensor_bytes(y)) != 0)
            fail_msg("%s: bits differ, expected the same", site);
    }
}

/* ---- differences */

/* Adds `by` times a direction to the values of a site. */
typedef struct {
    mv_probe probe;
    const char *site;
    double by;
} nudge;

static double direction(size_t i)
{
    return sin(1.7 * (double)i + 0.3);
}

static bool nudge_wants(mv_probe *p, const char *site)
{
    return strcmp(((nudge *)p)->site, site) == 0;
}

static bool nudge_sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    (void)site;
    size_t n = mv_view_count(v);
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    mv_run_read(r, v, x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] + ((nudge *)p)->by * direction(i));
    mv_run_write(r, v, x);
    free(x);
    return true;
}

/* The logit of class c of one picture, where the value of the site is moved after the probes `before`. */
static double moved(const network *n, int h, int w, const float *planes, mv_probe *before, const char *site, double by,
                    int c)
{
    mv_error e = {0};
    float logits[1000];
    static nudge m; /* the chain points to it */
    m = (nudge){{.wants = nudge_wants, .sees = nudge_sees}, site, by};
    if (before)
        before->next = &m.probe;
    mv_run *r = mv_run_new(n->model, h, w, 1, before ? before : &m.probe, &e);
    expect_ok(&e);
    mv_run_forward(r, planes, 1, logits, &e);
    expect_ok(&e);
    mv_run_free(r);
    if (before)
        before->next = NULL;
    return (double)logits[c];
}

/* The central difference of the logit along the direction, extrapolated by Richardson from two steps, at the step with
 * the least error. Small steps drown in the rounding of the logits, large ones leave the neighbourhood in which the
 * network is nearly linear, and sites differ by a factor of 100 in both: a step for all would be wrong for some. */
static double difference(const network *n, int h, int w, const float *planes, mv_probe *before, const char *site,
                         double most, float logit, int c)
{
    enum { STEPS = 9 };
    double step[STEPS], d[STEPS], found = 0, least = INFINITY;
    for (int i = 0; i < STEPS; i++) {
        step[i] = ldexp(most, i - 12);
        d[i] = (moved(n, h, w, planes, before, site, step[i], c) - moved(n, h, w, planes, before, site, -step[i], c)) /
               (2 * step[i]);
    }
    for (int i = 0; i + 2 < STEPS; i++) {
        double here = (4 * d[i] - d[i + 1]) / 3, next = (4 * d[i + 1] - d[i + 2]) / 3;
        double rounding = (double)FLT_EPSILON * fmax(fabs((double)logit), 1) / step[i];
        if (fabs(here - next) + rounding < least) {
            least = fabs(here - next) + rounding;
            found = here;
        }
    }
    return found;
}

/* The gradient at a site, along the direction, is the central difference of the network with its edits. */
static void expect_difference(const network *n, int h, int w, const float *planes, mv_probe *before, const char *site,
                              bool keep)
{
    mv_error e = {0};
    float logits[1000];
    char grad[128];
    const mv_back back = {.passes = 1, .seed = seed_top, .keep = keep};
    snprintf(grad, sizeof grad, "grad.%s,%s", site, site);
    passes p = passes_new(n, h, w, 1, grad, &back, before);
    mv_run_forward(p.run, planes, 1, logits, &e);
    if (e.code)
        fail_msg("%s: %s", site, e.text);
    mv_tensor g = value_at(p.trace, "grad.", site), v = value_at(p.trace, "", site);
    double along = 0, size = 0, most = 1e-3;
    for (size_t i = 0; i < mv_tensor_count(g); i++) {
        along += (double)((float *)g.data)[i] * direction(i);
        size += (double)((float *)g.data)[i] * (double)((float *)g.data)[i];
        most = fmax(most, fabs((double)((float *)v.data)[i]));
    }
    int c = mv_class_of(MV_CLASS_TOP, logits, n->model->config.classes);
    double found = difference(n, h, w, planes, before, site, most, logits[c], c);
    if (!(fabs(along - found) < 2e-3 * fmax(fabs(along), 0.3 * sqrt(size))))
        fail_msg("%s: the gradient is %g along the direction, the difference %g", site, along, found);
    passes_free(&p);
}

/* ---- targets */

/* The seed of a probability adds up to 0, also where the probability is 1 or 0; a class that is named twice against
 * another counts once. */
static void targets_at_the_edges(void **state)
{
    (void)state;
    enum { CLASSES = 1000 };
    static const float most[] = {0, 3, 30, 2000, 3e38F};
    float z[CLASSES], seed[CLASSES], once[CLASSES];
    for (size_t i = 0; i < sizeof most / sizeof *most; i++)
        for (int c = 0; c < CLASSES; c += 7) {
            double sum = 0, want;
            mv_target t = {.class_ = c, .probability = true};
            for (int k = 0; k < CLASSES; k++)
                z[k] = k == 7 ? most[i] : (float)direction((size_t)k);
            double p = mv_target_seed(&t, z, CLASSES, seed);
            for (int k = 0; k < CLASSES; k++) {
                sum += (double)seed[k];
                if (k % 101 == 0 || k == c || k == 7) {
                    want = p * ((k == c) - mv_probability(z, CLASSES, k));
                    assert_true(fabs((double)seed[k] - want) <= 1e-7 * p);
                }
            }
            assert_true(fabs(sum) <= 1e-6 * p);
        }
    mv_target alone = {.class_ = 0};
    const float far[] = {2000, 1};
    assert_true(mv_target_seed(&(mv_target){.probability = true}, far, 1, seed) == 1.0 && seed[0] == 0);
    assert_true(mv_target_seed(&(mv_target){.class_ = MV_CLASS_SECOND}, far, 1, seed) == 0.0 && seed[0] == 0);
    alone.n = 2, alone.against[0] = 7, alone.against[1] = 3;
    mv_target twice = alone;
    twice.n = 3, twice.against[2] = MV_CLASS_TOP;
    z[7] = 5;
    mv_target_seed(&alone, z, CLASSES, once);
    mv_target_seed(&twice, z, CLASSES, seed);
    assert_memory_equal(once, seed, sizeof seed);
}

/* ---- edits */

static mv_edits *edits_of(const char *text, mv_edit_kind kind)
{
    mv_error e = {0};
    mv_edits *ed = mv_edits_new(&e);
    mv_edits_add(ed, text, kind, (mv_tensor){0}, &e);
    expect_ok(&e);
    return ed;
}

/* Edits before the first site whose gradient is wanted: the gradient is that of the edited network. Blocks are computed
 * again with their edits. */
static void gradients_are_those_of_the_edited_network(void **state)
{
    (void)state;
    static const struct {
        const char *edit;
        mv_edit_kind kind;
        const char *site;
    } cases[] = {
        {"input[channel=1]", MV_EDIT_ZERO, "levels.2"},
        {"patch_embed", MV_EDIT_MEAN, "patch_embed"},
        {"levels.0.blocks.0.norm2", MV_EDIT_ZERO, "levels.0.blocks.0"},
        {"levels.2", MV_EDIT_MEAN, "levels.2.downsample"},
        {"levels.2.blocks.0.norm1[channel=3]", MV_EDIT_ZERO, "levels.2.blocks.0.mixer.x"},
        {"levels.2.blocks.0.mixer", MV_EDIT_ZERO, "levels.2.blocks.0.norm2"},
        {"levels.2.blocks.0.mixer.dt", MV_EDIT_MEAN, "levels.2.blocks.0.mixer.B"},
        {"levels.2.blocks.0.mixer.h", MV_EDIT_MEAN, "levels.2.blocks.0.norm2"},
        {"levels.2.blocks.0.mlp", MV_EDIT_ZERO, "levels.2.blocks.1.norm1"},
        {"levels.3.blocks.1.mixer.q", MV_EDIT_MEAN, "levels.3.blocks.1.mixer.k"},
        {"levels.3.blocks.1.mixer.attn[head=1]", MV_EDIT_ZERO, "levels.3.blocks.1.norm2"},
        {"levels.3.blocks.1.mixer", MV_EDIT_MEAN, "levels.3.blocks.1.norm2"},
    };
    enum { H = 64, W = 96 };
    mv_config config = small_config();
    network n = network_of(&config, MV_F32, 1, 3);
    float *planes = network_input(1, H, W, 5);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_edits *ed = edits_of(cases[i].edit, cases[i].kind);
        for (int keep = 0; keep < 2; keep++)
            expect_difference(&n, H, W, planes, mv_edits_probe(ed), cases[i].site, keep);
        mv_edits_free(ed);
    }
    free(planes);
    network_free(&n);
}

static void edits_on_the_way_back_are_refused(void **state)
{
    (void)state;
    static const char *const edits[] = {
        "levels.2.blocks.0.norm1", "levels.3.blocks.1.mixer.q",    "levels.2",
        "levels.0.blocks.0.norm2", "levels.3.blocks.1.mixer.attn", "levels.2.blocks.0.mixer.h"};
    enum { H = 64, W = 64 };
    mv_config config = small_config();
    network n = network_of(&config, MV_F32, 1, 3);
    float *planes = network_input(1, H, W, 5);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++)
        for (int keep = 0; keep < 2; keep++) {
            mv_error e = {0};
            mv_edits *ed = edits_of(edits[i], MV_EDIT_ZERO);
            const mv_back back = {.passes = 1, .seed = seed_top, .keep = keep};
            passes p = passes_new(&n, H, W, 1, "grad.input", &back, mv_edits_probe(ed));
            mv_run_forward(p.run, planes, 1, NULL, &e);
            assert_int_equal(e.code, MV_EMISUSE);
            if (!strstr(e.text, edits[i]) || !strstr(e.text, "on the way back to input"))
                fail_msg("%s: found '%s'", edits[i], e.text);
            passes_free(&p);
            /* without a gradient that is wanted there is no way back */
            e = (mv_error){0};
            p = passes_new(&n, H, W, 1, "head", &back, mv_edits_probe(ed));
            mv_run_forward(p.run, planes, 1, NULL, &e);
            expect_ok(&e);
            passes_free(&p);
            mv_edits_free(ed);
        }
    free(planes);
    network_free(&n);
}

/* ---- networks of every form */

static void every_form(void **state)
{
    (void)state;
    static const int sizes[][2] = {{32, 32}, {33, 47}, {64, 64}};
    static const char *const sites[] = {"patch_embed", "levels.1", "levels.2", "levels.3"};
    for (int form = 0; form < 7; form++)
        for (int size = 0; size < 3; size++) {
            mv_config c = small_config();
            c.no_norm = form == 1;
            c.gamma = form != 2;
            c.conv_gamma = form == 3;
            c.classes = form == 4 ? 1 : form == 5 ? 1000 : 10;
            for (int i = 0; i < MV_LEVELS && form == 6; i++)
                c.depth[i] = 1;
            if (size == 2) /* windows are the maps */
                c.window[2] = 4, c.window[3] = 2;
            network n = network_of(&c, MV_F32, 1, 3);
            int h = sizes[size][0], w = sizes[size][1];
            float *planes = network_input(1, h, w, 5);
            for (int i = 0; i < 4; i++)
                expect_difference(&n, h, w, planes, NULL, sites[i], form & 1);
            free(planes);
            network_free(&n);
        }
}

/* ---- batches and threads */

static void parts_of_batches_and_threads(void **state)
{
    (void)state;
    enum { H = 64, W = 72, PICTURES = 17, CAPACITY = 4 };
    static const int threads[] = {1, 2, 5};
    mv_config config = small_config();
    float *planes = network_input(PICTURES, H, W, 5);
    const mv_rules rules[] = {MV_RULES_GRADIENT, MV_RULES_HELD};
    const mv_back back = {.passes = 2, .rules = rules, .seed = seed_top, .biases = 3};
    passes all[3];
    for (int i = 0; i < 3; i++) {
        mv_error e = {0};
        network n = network_of(&config, MV_F32, threads[i], 3);
        all[i] = passes_new(&n, H, W, CAPACITY, "**", &back, NULL);
        mv_run_forward(all[i].run, planes, PICTURES, NULL, &e);
        expect_ok(&e);
        expect_same(all[0].trace, all[i].trace, 0);
        if (i == 0)
            for (int k = 0; k < PICTURES; k += 8) {
                passes one = passes_new(&n, H, W, 1, "**", &back, NULL);
                mv_run_forward(one.run, planes + (size_t)k * 3 * H * W, 1, NULL, &e);
                expect_ok(&e);
                expect_same(all[0].trace, one.trace, k);
                passes_free(&one);
            }
        mv_run_free(all[i].run);
        network_free(&n);
    }
    for (int i = 0; i < 3; i++)
        mv_trace_free(all[i].trace);
    free(planes);
}

/* All sites, values, gradients and diagnostics, are kept beside each other; a run that keeps all values gives the same
 * bits, and its diagnostics take no memory that stays. */
static void everything_at_once(void **state)
{
    (void)state;
    enum { H = 64, W = 72 };
    mv_error e = {0};
    mv_config config = small_config();
    network n = network_of(&config, MV_F32, 1, 3);
    float *planes = network_input(2, H, W, 5);
    size_t memory[2];
    passes p[2];
    for (int keep = 0; keep < 2; keep++) {
        const mv_back back = {.passes = 1, .seed = seed_top, .biases = 1, .keep = keep};
        p[keep] = passes_new(&n, H, W, 2, "**", &back, NULL);
        mv_run_forward(p[keep].run, planes, 2, NULL, &e);
        expect_ok(&e);
        memory[keep] = mv_run_memory(p[keep].run);
    }
    expect_same(p[0].trace, p[1].trace, 0);
    expect_same(p[1].trace, p[0].trace, 0);
    assert_true(memory[1] < memory[0] + ((size_t)16 << 20));
    passes_free(&p[0]);
    passes_free(&p[1]);
    free(planes);
    network_free(&n);
}

/* ---- stops and failures */

static int asks_left;

static bool stop_at(void)
{
    return asks_left-- == 0;
}

/* A run that is stopped at any place, on the way back too, is right the next time. */
static void stopped_anywhere(void **state)
{
    (void)state;
    enum { H = 32, W = 32, ALL = 1 << 20 };
    mv_config config = small_config();
    network n = network_of(&config, MV_F32, 1, 3);
    float *planes = network_input(2, H, W, 5);
    for (int keep = 0; keep < 2; keep++) {
        mv_error e = {0};
        const mv_back back = {.passes = 2, .seed = seed_top, .biases = 3, .keep = keep};
        passes right = passes_new(&n, H, W, 2, "**", &back, NULL), p = passes_new(&n, H, W, 2, "**", &back, NULL);
        asks_left = ALL;
        mv_run_stop_when(right.run, stop_at);
        mv_run_forward(right.run, planes, 2, NULL, &e);
        expect_ok(&e);
        int asks = ALL - asks_left;
        passes alone = passes_new(&n, H, W, 2, "head", &back, NULL);
        asks_left = ALL;
        mv_run_stop_when(alone.run, stop_at);
        mv_run_forward(alone.run, planes, 2, NULL, &e);
        assert_true(asks > 3 * (ALL - asks_left)); /* it is asked before every operation of two passes */
        passes_free(&alone);
        mv_run_stop_when(p.run, stop_at);
        for (int at = 0; at < asks; at += 1 + asks / 60) {
            asks_left = at;
            assert_int_equal(mv_run_forward(p.run, planes, 2, NULL, &e), MV_EIO);
            e = (mv_error){0};
            mv_trace_clear(p.trace);
            asks_left = ALL;
            mv_run_forward(p.run, planes, 2, NULL, &e);
            expect_ok(&e);
            expect_same(right.trace, p.trace, 0);
            mv_trace_clear(p.trace);
        }
        passes_free(&right);
        passes_free(&p);
    }
    free(planes);
    network_free(&n);
}

typedef struct {
    int pass, first; /* that fail */
} fault;

static mv_status seed_or_fail(void *context, int pass, int first, int pictures, int classes, const float *logits,
                              float *seed, mv_error *e)
{
    const fault *f = context;
    if (pass == f->pass && first == f->first)
        return mv_fail(e, MV_EINPUT, "no target");
    return seed_top(NULL, pass, first, pictures, classes, logits, seed, e);
}

static void seeds_that_fail(void **state)
{
    (void)state;
    enum { H = 32, W = 32, PICTURES = 5 };
    mv_config config = small_config();
    network n = network_of(&config, MV_F32, 1, 3);
    float *planes = network_input(PICTURES, H, W, 5);
    fault f = {-1, -1};
    mv_error e = {0};
    const mv_back back = {.passes = 2, .seed = seed_or_fail, .context = &f};
    passes right = passes_new(&n, H, W, 2, "grad.**", &back, NULL), p = passes_new(&n, H, W, 2, "grad.**", &back, NULL);
    mv_run_forward(right.run, planes, PICTURES, NULL, &e);
    expect_ok(&e);
    for (int first = 0; first < PICTURES; first += 2)
        for (int pass = 0; pass < 2; pass++) {
            f = (fault){pass, first};
            assert_int_equal(mv_run_forward(p.run, planes, PICTURES, NULL, &e), MV_EINPUT);
            assert_string_equal(e.text, "no target");
            assert_int_equal(mv_run_pass(p.run), 0);
            f = (fault){-1, -1};
            e = (mv_error){0};
            mv_trace_clear(p.trace);
            mv_run_forward(p.run, planes, PICTURES, NULL, &e);
            expect_ok(&e);
            expect_same(right.trace, p.trace, 0);
            mv_trace_clear(p.trace);
        }
    passes_free(&right);
    passes_free(&p);
    free(planes);
    network_free(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_at_the_edges),
        cmocka_unit_test(gradients_are_those_of_the_edited_network),
        cmocka_unit_test(edits_on_the_way_back_are_refused),
        cmocka_unit_test(every_form),
        cmocka_unit_test(parts_of_batches_and_threads),
        cmocka_unit_test(everything_at_once),
        cmocka_unit_test(stopped_anywhere),
        cmocka_unit_test(seeds_that_fail),
    };
    return cmocka_run_group_tests_name("gradient edges", tests, NULL, NULL);
}
