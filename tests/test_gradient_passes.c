/* Methods of many backward passes: integrated gradients, SmoothGrad and VarGrad against the float64 oracle and against
 * sums of single gradients, whatever the batch and however many classes.
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

#include "src/device/cpu.h"
#include "src/explain/blur.h"
#include "src/explain/methods.h"
#include "tests/gradient_oracle.h"

enum { MOST_CLASSES = 1000 };

static mv_backend *cpu(int threads)
{
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(MV_F32, threads, NULL, &e);
    expect_ok(&e);
    return b;
}

static const char *name_of(void *context, int c, char text[24])
{
    (void)context;
    snprintf(text, 24, "kind %d", c);
    return text;
}

/* ---- an explainer of several asks of one method for one picture of h x w */

typedef struct {
    const network *net;
    int h, w;
    mv_ask ask[4];
    void *params;
    mv_explainer *x;
    mv_run *run;
    mv_passes *passes;
    int inputs; /* that went through further passes */
    float logits[MOST_CLASSES];
} stage;

static bool stopping, stops; /* after the first batch */

static bool stop_asked(void)
{
    return stopping;
}

static void count(void *context, int done, int of)
{
    stopping = stops;
    if (done == of)
        ((stage *)context)->inputs += of;
}

static void open_stage(stage *s, const network *net, int h, int w, const char *method, const mv_ask *asks, int n,
                       int batch)
{
    mv_error e = {0};
    *s = (stage){.net = net, .h = h, .w = w};
    for (int i = 0; i < n; i++) {
        s->ask[i] = asks[i];
        if (i == 0) {
            mv_ask parsed;
            mv_ask_parse(&parsed, &s->params, method, &e);
            expect_ok(&e);
            s->ask[0].method = parsed.method;
        }
        s->ask[i].method = s->ask[0].method;
        s->ask[i].params = s->params;
    }
    s->x = mv_explainer_new(s->ask, n, &net->model->config, h, w, &e);
    expect_ok(&e);
    s->run = mv_run_new_back(net->model, h, w, 1, mv_explainer_probe(s->x), mv_explainer_back(s->x), &e);
    expect_ok(&e);
    s->passes = mv_passes_new(net->model, h, w, batch, NULL, &e);
    expect_ok(&e);
    mv_passes_watch(s->passes, count, s);
    mv_explainer_use(s->x, s->passes);
}

static mv_status explain(stage *s, int ask, const float *planes, mv_maps *maps, mv_error *e)
{
    if (ask == 0) {
        mv_explainer_clear(s->x);
        if (mv_run_forward(s->run, planes, 1, s->logits, e))
            return e->code;
    }
    return mv_explainer_explain(s->x, ask, s->net->model, 0, planes, s->logits, name_of, NULL, maps, e);
}

static void close_stage(stage *s)
{
    mv_run_free(s->run);
    mv_explainer_free(s->x);
    mv_passes_free(s->passes);
    free(s->params);
}

static mv_ask for_class(int class_)
{
    return (mv_ask){.class_ = class_, .against = MV_MAP_NONE};
}

static mv_maps maps_of(const network *net, int h, int w, const float *planes, const char *method, const mv_ask *asks,
                       int n, int batch)
{
    mv_error e = {0};
    mv_maps maps = {0};
    stage s;
    open_stage(&s, net, h, w, method, asks, n, batch);
    for (int i = 0; i < n; i++) {
        explain(&s, i, planes, &maps, &e);
        expect_ok(&e);
    }
    close_stage(&s);
    assert_int_equal(maps.n, n);
    return maps;
}

static size_t size_of(const mv_map *m)
{
    return (size_t)m->h * (size_t)m->w;
}

static double figure(const mv_map *m, const char *key)
{
    double v = mv_map_figure_value(m, key);
    assert_true(isfinite(v));
    return v;
}

/* ---- against the oracle */

/* A tensor of the file; the caller's to free. */
static float *load(const oracle *o, const char *name, mv_tensor *t)
{
    assert_true(mv_safetensors_lookup(o->file, name, t));
    float *v = malloc(mv_tensor_count(*t) * sizeof *v);
    assert_non_null(v);
    mv_safetensors_read(v, *t);
    return v;
}

/* The map, or its means over squares where the oracle has fewer values. */
static float *as_coarse_as(const mv_map *map, mv_tensor t)
{
    int h = t.dim[1], w = t.dim[2], side = map->h / h;
    float *out = calloc((size_t)h * (size_t)w, sizeof *out);
    assert_non_null(out);
    assert_true(map->h == h * side && map->w == w * side);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double sum = 0;
            for (int k = 0; k < side * side; k++)
                sum += (double)map->v[(y * side + k / side) * map->w + x * side + k % side];
            out[y * w + x] = (float)(sum / (side * side));
        }
    return out;
}

static const mv_map *compare(const oracle *o, mv_maps *into, const char *method, const char *golden, double bound)
{
    mv_ask ask = for_class(o->class_);
    mv_tensor t;
    *into = maps_of(&o->net, o->h, o->w, o->planes, method, &ask, 1, 3);
    float *want = load(o, golden, &t), *got = as_coarse_as(into->map, t);
    double d = relative_l2(got, want, mv_tensor_count(t));
    print_message("           %-26s %.2g\n", golden, d);
    if (!(d <= bound))
        fail_msg("%s: %s differs by %.3g relative L2, expected at most %.3g", mv_safetensors_file(o->file), golden, d,
                 bound);
    free(want);
    free(got);
    return into->map;
}

static void gap_is(const oracle *o, const mv_map *map, const char *golden, double bound)
{
    mv_tensor t;
    float *want = load(o, golden, &t);
    double sum = figure(map, "sum"), expected = figure(map, "expected"), size = 0;
    for (size_t i = 0; i < size_of(map); i++)
        size += fabs((double)map->v[i]);
    assert_true(fabs(figure(map, "gap") - (double)*want) <= bound * size);
    assert_true(fabs(sum - expected - figure(map, "gap")) <= 1e-9 * size);
    assert_non_null(strstr(map->proof, "gap"));
    bool large = fabs(sum - expected) > 0.05 * fabs(expected);
    assert_true(!strstr(map->proof, "above 5 %") == !large);
    free(want);
}

/* beside: the file that holds the maps, where it is not the one of the network. */
static void equals_the_oracle(const char *name, const char *beside, double bound)
{
    oracle o = oracle_open(name, cpu(2));
    mv_maps maps;
    mv_error e = {0};
    if (beside) {
        mv_safetensors_close(o.file);
        o.file = mv_safetensors_open(beside, &e);
        expect_ok(&e);
    }
    const mv_map *map = compare(&o, &maps, "smoothgrad:n=4", "map/smoothgrad.draws4", bound);
    assert_true(figure(map, "passes") == 4 && figure(map, "sum") > 0 && map->cell == 1);
    mv_maps_free(&maps);
    map = compare(&o, &maps, "integrated:nodes=8", "map/integrated.zero.nodes8", bound);
    gap_is(&o, map, "map/integrated.zero.nodes8.gap", bound);
    assert_true(figure(map, "passes") == 9);
    mv_maps_free(&maps);
    map = compare(&o, &maps, "integrated:nodes=8,baseline=blur", "map/integrated.blur.nodes8", bound);
    gap_is(&o, map, "map/integrated.blur.nodes8.gap", bound);
    mv_maps_free(&maps);
    oracle_close(&o);
}

static void padded(void **state)
{
    (void)state;
    equals_the_oracle("padded", NULL, 1e-5);
}

static void odd(void **state)
{
    (void)state;
    equals_the_oracle("odd", NULL, 1e-5);
}

static void windows(void **state)
{
    (void)state;
    equals_the_oracle("windows", NULL, 1e-5);
}

static void nano(void **state)
{
    (void)state;
    equals_the_oracle("nano", "tests/data/gradients/nano_passes.safetensors", 2e-4);
}

/* ---- identities */

static void the_gap_falls_with_the_nodes(void **state)
{
    (void)state;
    const char *methods[] = {"integrated:nodes=1", "integrated:nodes=8", "integrated:nodes=64"};
    oracle o = oracle_open("odd", cpu(2));
    mv_ask ask = for_class(o.class_);
    double gap[3];
    for (int i = 0; i < 3; i++) {
        mv_maps maps = maps_of(&o.net, o.h, o.w, o.planes, methods[i], &ask, 1, 8);
        gap[i] = fabs(figure(maps.map, "gap") / figure(maps.map, "expected"));
        mv_maps_free(&maps);
    }
    print_message("           gap with 1, 8, 64 nodes: %.2g %.2g %.2g\n", gap[0], gap[1], gap[2]);
    assert_true(gap[0] > gap[1] && gap[1] > gap[2]);
    oracle_close(&o);
}

static const char *const several[] = {"integrated:nodes=7", "integrated:nodes=5,baseline=blur,rules=held",
                                      "smoothgrad:n=7,seed=3", "vargrad:n=7,rules=held"};
enum { SEVERAL = sizeof several / sizeof *several, SIDE_H = 72, SIDE_W = 96 };

static network small(void)
{
    mv_config c = small_config();
    return network_on(&c, cpu(2), 3);
}

static void a_batch_changes_no_bit(void **state)
{
    (void)state;
    network n = small();
    float *planes = network_input(1, SIDE_H, SIDE_W, 5);
    mv_ask ask = for_class(MV_CLASS_TOP);
    for (int i = 0; i < SEVERAL; i++) {
        mv_maps one = maps_of(&n, SIDE_H, SIDE_W, planes, several[i], &ask, 1, 1);
        for (int batch = 3; batch < 20; batch += 5) {
            mv_maps many = maps_of(&n, SIDE_H, SIDE_W, planes, several[i], &ask, 1, batch);
            assert_memory_equal(one.map->v, many.map->v, size_of(one.map) * sizeof(float));
            assert_string_equal(one.map->proof, many.map->proof);
            mv_maps_free(&many);
        }
        mv_maps_free(&one);
    }
    network_free(&n);
    free(planes);
}

/* Classes of one method share their passes, and each has the bits that it has alone; another picture has its own. */
static void classes_share_passes(void **state)
{
    (void)state;
    network n = small();
    float *planes = network_input(2, SIDE_H, SIDE_W, 5), *other = planes + (size_t)3 * SIDE_H * SIDE_W;
    const mv_ask asks[4] = {for_class(MV_CLASS_TOP),
                            for_class(4),
                            {.class_ = MV_CLASS_TOP, .against = MV_CLASS_SECOND},
                            {.class_ = 2, .against = MV_MAP_NONE, .probability = true}};
    for (int i = 0; i < SEVERAL; i++) {
        mv_error e = {0};
        stage s;
        open_stage(&s, &n, SIDE_H, SIDE_W, several[i], asks, 4, 4);
        for (int times = 0; times < 3; times++) {
            mv_maps maps = {0};
            int before = s.inputs;
            for (int a = 0; a < 4; a++)
                explain(&s, a, times == 1 ? other : planes, &maps, &e);
            expect_ok(&e);
            assert_true(s.inputs - before == (int)figure(maps.map, "passes"));
            for (int a = 0; a < 4 && times < 2; a++) {
                mv_maps alone = maps_of(&n, SIDE_H, SIDE_W, times ? other : planes, several[i], &asks[a], 1, 2);
                assert_memory_equal(maps.map[a].v, alone.map->v, size_of(alone.map) * sizeof(float));
                assert_string_equal(maps.map[a].proof, alone.map->proof);
                mv_maps_free(&alone);
            }
            mv_maps_free(&maps);
        }
        close_stage(&s);
    }
    network_free(&n);
    free(planes);
}

/* An ask may change its class from one forward to the next, also for the same picture. */
static void the_class_of_an_ask_may_change(void **state)
{
    (void)state;
    network n = small();
    float *planes = network_input(1, SIDE_H, SIDE_W, 5);
    mv_ask ask = for_class(MV_CLASS_TOP);
    for (int i = 0; i < SEVERAL; i++) {
        mv_error e = {0};
        stage s;
        open_stage(&s, &n, SIDE_H, SIDE_W, several[i], &ask, 1, 4);
        for (int class_ = 3; class_ < 6; class_++) {
            mv_ask other = for_class(class_);
            mv_maps maps = {0}, want = maps_of(&n, SIDE_H, SIDE_W, planes, several[i], &other, 1, 4);
            s.ask[0].class_ = class_;
            explain(&s, 0, planes, &maps, &e);
            expect_ok(&e);
            assert_memory_equal(maps.map->v, want.map->v, size_of(want.map) * sizeof(float));
            assert_true(figure(maps.map, "target") == figure(want.map, "target"));
            mv_maps_free(&maps);
            mv_maps_free(&want);
        }
        close_stage(&s);
    }
    network_free(&n);
    free(planes);
}

/* What a baseline is, and what the sum is expected to be, beside two forward passes. */
static void the_expected_sum_is_a_difference_of_targets(void **state)
{
    (void)state;
    network n = small();
    size_t values = (size_t)3 * SIDE_H * SIDE_W;
    int classes = n.model->config.classes;
    float *planes = network_input(1, SIDE_H, SIDE_W, 5), *inputs = calloc(2 * values, sizeof *inputs);
    float logits[2 * MOST_CLASSES], seed[MOST_CLASSES];
    mv_error e = {0};
    assert_non_null(inputs);
    const mv_ask asks[2] = {{.class_ = 2, .against = 5}, {.class_ = 2, .against = MV_MAP_NONE, .probability = true}};
    for (int blurred = 0; blurred < 2; blurred++)
        for (int a = 0; a < 2; a++) {
            memcpy(inputs, planes, values * sizeof *inputs);
            if (blurred)
                mv_blur(inputs + values, planes, SIDE_H, SIDE_W, &e);
            mv_run *r = mv_run_new(n.model, SIDE_H, SIDE_W, 2, NULL, &e);
            mv_run_forward(r, inputs, 2, logits, &e);
            expect_ok(&e);
            mv_run_free(r);
            mv_target t = {.class_ = 2, .n = !a, .against = {5}, .probability = a};
            double at = mv_target_seed(&t, logits, classes, seed),
                   from =
                       a ? mv_probability(logits + classes, classes, 2) : mv_target_of(seed, logits + classes, classes);
            mv_maps maps =
                maps_of(&n, SIDE_H, SIDE_W, planes,
                        blurred ? "integrated:nodes=40,baseline=blur" : "integrated:nodes=40", &asks[a], 1, 8);
            assert_true(fabs(figure(maps.map, "expected") - (at - from)) <= 1e-5 * fabs(at) + 1e-7);
            assert_true(fabs(figure(maps.map, "gap")) <= 0.2 * fabs(at - from));
            mv_maps_free(&maps);
        }
    network_free(&n);
    free(inputs);
    free(planes);
}

/* The oracle's draw number i, made another way. */
static void draw(double *out, int i, size_t n, uint64_t seed)
{
    float *u[2];
    for (int k = 0; k < 2; k++) {
        char name[32];
        snprintf(name, sizeof name, "smoothgrad.%d.%s", i, k ? "b" : "a");
        u[k] = malloc(n * sizeof(float));
        assert_non_null(u[k]);
        weights_uniform(u[k], name, n, seed);
    }
    for (size_t p = 0; p < n; p++)
        out[p] = sqrt(-2 * log(1 - ((double)u[0][p] + 1) / 2)) * cos(acos(-1) * ((double)u[1][p] + 1));
    free(u[0]);
    free(u[1]);
}

static mv_status seed_class_2(void *context, int pass, int first, int pictures, int classes, const float *logits,
                              float *seed, mv_error *e)
{
    (void)context, (void)pass, (void)first, (void)logits, (void)e;
    for (int i = 0; i < pictures * classes; i++)
        seed[i] = i % classes == 2;
    return MV_OK;
}

/* The gradients of n noisy copies, as a trace keeps them: (n, 3, h, w). */
static double *gradients_of_copies(const network *net, const float *planes, int n, uint64_t seed, double spread)
{
    size_t values = (size_t)3 * SIDE_H * SIDE_W;
    double lo = 0, hi = 0, *noise = malloc(values * sizeof *noise), *out = malloc((size_t)n * values * sizeof *out);
    float *inputs = malloc((size_t)n * values * sizeof *inputs);
    mv_error e = {0};
    assert_true(noise && out && inputs);
    for (size_t p = 0; p < values; p++) {
        lo = fmin(lo, (double)planes[p]);
        hi = fmax(hi, (double)planes[p]);
    }
    for (int i = 0; i < n; i++) {
        draw(noise, i, values, seed);
        for (size_t p = 0; p < values; p++)
            inputs[(size_t)i * values + p] = (float)((double)planes[p] + spread * (hi - lo) * noise[p]);
    }
    mv_back back = {.passes = 1, .seed = seed_class_2};
    mv_trace *t = mv_trace_new("grad.input", NULL, NULL, &e);
    mv_run *r = mv_run_new_back(net->model, SIDE_H, SIDE_W, n, mv_trace_probe(t), &back, &e);
    mv_run_forward(r, inputs, n, NULL, &e);
    expect_ok(&e);
    mv_tensor g;
    assert_true(mv_trace_lookup(t, "grad.input", &g));
    for (size_t k = 0; k < (size_t)n * values; k++)
        out[k] = (double)((float *)g.data)[k];
    mv_run_free(r);
    mv_trace_free(t);
    free(noise);
    free(inputs);
    return out;
}

static void means_and_variances_are_those_of_single_gradients(void **state)
{
    (void)state;
    enum { N = 5 };
    network n = small();
    float *planes = network_input(1, SIDE_H, SIDE_W, 5);
    size_t pixels = (size_t)SIDE_H * SIDE_W;
    double *g = gradients_of_copies(&n, planes, N, 3, 0.2);
    float *want[2] = {calloc(pixels, sizeof(float)), calloc(pixels, sizeof(float))};
    assert_true(want[0] && want[1]);
    for (size_t p = 0; p < 3 * pixels; p++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < N; i++)
            mean += g[i * 3 * pixels + p] / N;
        for (size_t i = 0; i < N; i++)
            variance += pow(g[i * 3 * pixels + p] - mean, 2) / N;
        want[0][p % pixels] = fmaxf(want[0][p % pixels], (float)fabs(mean));
        want[1][p % pixels] = fmaxf(want[1][p % pixels], (float)variance);
    }
    const char *methods[] = {"smoothgrad:n=5,seed=3,spread=0.2", "vargrad:n=5,seed=3,spread=0.2"};
    mv_ask ask = for_class(2);
    for (int i = 0; i < 2; i++) {
        mv_maps maps = maps_of(&n, SIDE_H, SIDE_W, planes, methods[i], &ask, 1, 2);
        assert_true(relative_l2(maps.map->v, want[i], pixels) <= 1e-6);
        mv_maps_free(&maps);
        free(want[i]);
    }
    free(g);
    free(planes);
    network_free(&n);
}

/* ---- what goes wrong */

static void a_stop_ends_the_passes_and_the_next_are_right(void **state)
{
    (void)state;
    network n = small();
    float *planes = network_input(1, SIDE_H, SIDE_W, 5);
    mv_ask ask = for_class(MV_CLASS_TOP);
    for (int i = 0; i < SEVERAL; i++) {
        stage s;
        open_stage(&s, &n, SIDE_H, SIDE_W, several[i], &ask, 1, 2);
        mv_passes_stop_when(s.passes, stop_asked);
        mv_error e = {0}, none = {0};
        mv_maps maps = {0}, want = maps_of(&n, SIDE_H, SIDE_W, planes, several[i], &ask, 1, 2);
        stops = true;
        assert_int_equal(explain(&s, 0, planes, &maps, &e), MV_EIO);
        assert_true(stopping && s.inputs == 0);
        mv_maps_free(&maps);
        stops = stopping = false;
        explain(&s, 0, planes, &maps, &none);
        expect_ok(&none);
        assert_memory_equal(maps.map->v, want.map->v, size_of(want.map) * sizeof(float));
        mv_maps_free(&maps);
        mv_maps_free(&want);
        close_stage(&s);
    }
    network_free(&n);
    free(planes);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "integrated:nodes=0",  "integrated:baseline=black", "integrated:n=5",     "smoothgrad:n=0",      "vargrad:n=1",
        "smoothgrad:spread=0", "smoothgrad:spread=nan",     "smoothgrad:seed=-1", "integrated:rules=lrp"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mv_error e = {0};
        mv_ask ask;
        void *params = NULL;
        if (mv_ask_parse(&ask, &params, bad[i], &e) != MV_EINPUT)
            fail_msg("%s: found no failure", bad[i]);
        if (!strstr(e.text, "expected") && !strstr(e.text, "has no parameter"))
            fail_msg("%s: '%s' does not say what is expected", bad[i], e.text);
        free(params);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padded),
        cmocka_unit_test(odd),
        cmocka_unit_test(windows),
        cmocka_unit_test(nano),
        cmocka_unit_test(the_gap_falls_with_the_nodes),
        cmocka_unit_test(a_batch_changes_no_bit),
        cmocka_unit_test(classes_share_passes),
        cmocka_unit_test(the_class_of_an_ask_may_change),
        cmocka_unit_test(the_expected_sum_is_a_difference_of_targets),
        cmocka_unit_test(means_and_variances_are_those_of_single_gradients),
        cmocka_unit_test(a_stop_ends_the_passes_and_the_next_are_right),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
