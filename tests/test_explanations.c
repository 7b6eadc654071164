/* Methods of the table against a float64 oracle, with several windows and padding: every map that takes no pass, and
 * plain loops over changed inputs for those that do (tests/data/explain/methods, whose RISE draws its masks as rise.h
 * says). On the CPU and in emulation of a GPU.
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
#include "src/explain/cells.h"
#include "src/explain/methods.h"
#include "src/explain/pca.h"
#include "src/explain/principal.h"
#include "src/explain/rise.h"
#include "tests/card.h"
#include "tests/golden.h"
#include "tests/short.h"

enum { PICTURES = 2, H = 65, W = 81, CLASSES = 10, SEED = 29 };

#define EXPECT(holds, ...)                                                                                             \
    do {                                                                                                               \
        if (!(holds))                                                                                                  \
            fail_msg(__VA_ARGS__);                                                                                     \
    } while (0)

static mv_safetensors *oracle;

static mv_tensor load(const char *name)
{
    mv_tensor t;
    mv_error e = {0};
    mv_safetensors_find(oracle, name, &t, &e);
    expect_ok(&e);
    float *v = malloc(mv_tensor_count(t) * sizeof *v);
    assert_non_null(v);
    mv_safetensors_read(v, t);
    t.type = MV_F32;
    t.data = v;
    return t;
}

static const char *name_of(void *context, int c, char text[24])
{
    (void)context;
    snprintf(text, 24, "kind %d", c);
    return text;
}

/* ---- a network that answers one ask for the oracle's pictures */

typedef struct {
    network net;
    mv_ask ask;
    void *params;
    mv_explainer *x;
    mv_passes *passes;
    mv_run *run;
    mv_tensor input;
    float logits[PICTURES * CLASSES];
} stage;

static network cpu(void)
{
    mv_error e = {0};
    mv_config c = golden_config(oracle);
    mv_backend *b = mv_cpu_new(MV_F32, 2, NULL, &e);
    expect_ok(&e);
    return network_on(&c, b, SEED);
}

static network gpu_of(mv_dtype type)
{
    mv_config c = golden_config(oracle);
    return network_on(&c, card_open(type), SEED);
}

static network gpu(void)
{
    return gpu_of(MV_F32);
}

static stage stage_of(network net, const char *method, int class_, int against, int batch)
{
    mv_error e = {0};
    stage s = {.net = net, .input = load("input")};
    assert_int_equal(s.input.dim[2], H);
    assert_int_equal(s.input.dim[3], W);
    mv_ask_parse(&s.ask, &s.params, method, &e);
    expect_ok(&e);
    s.ask.class_ = class_;
    s.ask.against = against;
    s.passes = mv_passes_new(net.model, H, W, batch, NULL, &e);
    expect_ok(&e);
    return s;
}

/* Runs the pictures; what an earlier forward left must not matter. */
static void start(stage *s)
{
    mv_error e = {0};
    s->x = mv_explainer_new(&s->ask, 1, &s->net.model->config, H, W, &e);
    expect_ok(&e);
    s->run = mv_run_new_back(s->net.model, H, W, PICTURES, mv_explainer_probe(s->x), mv_explainer_back(s->x), &e);
    expect_ok(&e);
    mv_explainer_use(s->x, s->passes);
    for (int times = 0; times < 2; times++) {
        mv_explainer_clear(s->x);
        mv_run_forward(s->run, s->input.data, PICTURES, s->logits, &e);
        expect_ok(&e);
    }
}

static mv_maps explain(stage *s, int picture)
{
    mv_error e = {0};
    mv_maps maps = {0};
    const float *planes = (const float *)s->input.data + (size_t)picture * 3 * H * W;
    mv_explainer_explain(s->x, 0, s->net.model, picture, planes, s->logits + (size_t)picture * CLASSES, name_of, NULL,
                         &maps, &e);
    expect_ok(&e);
    return maps;
}

static void end(stage *s)
{
    mv_run_free(s->run);
    mv_explainer_free(s->x);
    mv_passes_free(s->passes);
    network_free(&s->net);
    free(s->input.data);
    free(s->params);
}

/* ---- against the oracle */

static size_t values_of(const mv_map *m)
{
    return (size_t)m->h * (size_t)m->w * (size_t)m->channels;
}

static void compare(const mv_map *map, const float *v, const char *name, int picture)
{
    mv_tensor want = load(name);
    assert_int_equal(want.dim[1], map->h);
    assert_int_equal(want.dim[2], map->w);
    size_t n = values_of(map);
    double d = relative_l2(v, (float *)want.data + (size_t)picture * n, n);
    EXPECT(d <= 2e-5, "%s: picture %d differs by %.3g relative L2", name, picture, d);
    free(want.data);
}

static const struct {
    const char *method, *name;
    int class_, against, passes; /* of each picture */
} cases[] = {
    {"eigencam", "eigencam.levels.3", MV_MAP_NONE, MV_MAP_NONE, 0},
    {"eigencam:site=levels.2.blocks.1", "eigencam.levels.2.blocks.1", MV_MAP_NONE, MV_MAP_NONE, 0},
    {"eigencam:site=levels.0", "eigencam.levels.0", MV_MAP_NONE, MV_MAP_NONE, 0},
    {"similarity:site=levels.2.blocks.2,cell=4,1", "similarity", MV_MAP_NONE, MV_MAP_NONE, 0},
    {"occlusion:side=24,stride=17", "occlusion", 3, MV_MAP_NONE, 20},
    {"rise:n=50,s=5,keep=0.4,seed=77", "rise", 3, MV_MAP_NONE, 50},
    {"scorecam", "scorecam", 3, MV_MAP_NONE, 128},
    {"scorecam:site=levels.1,channels=20", "scorecam.20", 3, MV_MAP_NONE, 20},
    {"ablationcam", "ablationcam.levels.3", 1, MV_MAP_NONE, 0},
    {"ablationcam:site=norm", "ablationcam.norm", 1, MV_MAP_NONE, 0},
    {"ablationcam:site=levels.1", "ablationcam.levels.1", 1, MV_MAP_NONE, 32},
};

static void maps_equal_the_oracle(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int batch = 1; batch <= 7; batch += 3) {
            stage s = stage_of(cpu(), cases[i].method, cases[i].class_, cases[i].against, batch);
            start(&s);
            for (int p = PICTURES - 1; p >= 0; p--) {
                mv_maps maps = explain(&s, p);
                assert_int_equal(maps.n, 1);
                assert_int_equal(maps.map->class_, cases[i].class_);
                compare(maps.map, mv_map_raw(maps.map), cases[i].name, p);
                mv_maps_free(&maps);
            }
            if (strncmp(cases[i].method, "ablationcam", 11) != 0) /* it makes passes of its own */
                assert_int_equal(mv_passes_count(s.passes), PICTURES * cases[i].passes);
            end(&s);
        }
}

static double figure(const mv_map *m, const char *key)
{
    for (int i = 0; i < m->figures; i++)
        if (strcmp(m->figure[i].key, key) == 0)
            return m->figure[i].value;
    fail_msg("no figure %s", key);
    return 0;
}

static void the_lens_equals_the_oracle(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        stage s = stage_of(cpu(), "lens", 7, over ? 2 : MV_MAP_NONE, 1);
        start(&s);
        for (int p = 0; p < PICTURES; p++) {
            mv_maps maps = explain(&s, p);
            assert_int_equal(maps.n, 6);
            for (int i = 0; i < maps.n; i++) {
                const mv_map *m = &maps.map[i];
                char name[48];
                snprintf(name, sizeof name, "lens.%d.%d%s", m->level, m->block, over ? ".over" : "");
                compare(m, mv_map_raw(m), name, p);
                const char *part[] = {"rank", "logit"};
                for (int k = 0; k < 2; k++) {
                    snprintf(name, sizeof name, "lens.%d.%d.%s", m->level, m->block, part[k]);
                    mv_tensor want = load(name);
                    EXPECT(fabs(figure(m, part[k]) - (double)((float *)want.data)[p]) < 1e-5, "%s", name);
                    free(want.data);
                }
                assert_int_equal(strstr(m->proof, "level 3 skipped") != NULL, m->level == 2);
            }
            /* the last block's is the answer */
            double margin = (double)s.logits[p * CLASSES + 7] - (over ? (double)s.logits[p * CLASSES + 2] : 0);
            double mean = 0; /* of all classes, which the map for one is drawn less */
            for (int k = 0; k < CLASSES && !over; k++)
                mean += (double)s.logits[p * CLASSES + k] / CLASSES;
            assert_true(fabs(mv_map_mean(&maps.map[5]) - (margin - mean)) < 1e-5);
            mv_maps_free(&maps);
        }
        end(&s);
    }
}

static void colours_equal_the_oracle(void **state)
{
    (void)state;
    mv_error e = {0};
    stage s = stage_of(cpu(), "pca:site=levels.2.blocks.0", MV_MAP_NONE, MV_MAP_NONE, 1);
    start(&s);
    for (int p = 0; p < PICTURES; p++) {
        mv_maps maps = explain(&s, p);
        assert_int_equal(maps.map->channels, 3);
        compare(maps.map, maps.map->raw, "pca.raw", p);
        compare(maps.map, maps.map->v, "pca.colours", p);
        mv_maps_free(&maps);
    }
    end(&s);

    network net = cpu();
    mv_cells *c = mv_cells_new("site", "levels.2.blocks.0", &net.model->config, H, W, &e);
    expect_ok(&e);
    mv_run *r = mv_run_new(net.model, H, W, 1, mv_cells_probe(c), &e);
    mv_tensor input = load("input");
    mv_run_forward(r, input.data, PICTURES, NULL, &e);
    expect_ok(&e);
    mv_map maps[PICTURES], *map[PICTURES];
    float *x[PICTURES];
    for (int p = 0; p < PICTURES; p++) {
        x[p] = mv_cells_read(c, p, &e);
        mv_cells_map(map[p] = &maps[p], c, "pca", &e);
        expect_ok(&e);
    }
    mv_pca_colour(map, (const float *const *)x, PICTURES, mv_cells_channels(c), &e);
    expect_ok(&e);
    for (int p = 0; p < PICTURES; p++) {
        compare(map[p], map[p]->raw, "pca.shared.raw", p);
        compare(map[p], map[p]->v, "pca.shared.colours", p);
        mv_map_free(map[p]);
        free(x[p]);
    }
    free(input.data);
    mv_run_free(r);
    mv_cells_free(c);
    network_free(&net);
}

/* ---- identities */

/* What channels at the end of level 3 are worth is the same by passes: the last block's tokens are level 3. */
static void closed_forms_equal_passes(void **state)
{
    (void)state;
    const char *methods[] = {"ablationcam", "ablationcam:site=levels.3.blocks.2"};
    mv_maps maps[2];
    for (int i = 0; i < 2; i++) {
        stage s = stage_of(cpu(), methods[i], MV_CLASS_TOP, MV_MAP_NONE, 5);
        start(&s);
        maps[i] = explain(&s, 1);
        end(&s);
    }
    assert_true(relative_l2(maps[0].map->v, maps[1].map->v, values_of(maps[0].map)) < 1e-5);
    mv_maps_free(&maps[0]);
    mv_maps_free(&maps[1]);
}

/* A second class costs no pass; a second class subtracts. */
static void classes_share_passes(void **state)
{
    (void)state;
    const char *methods[] = {"rise:n=9", "occlusion:side=40,stride=40"};
    for (int i = 0; i < 2; i++) {
        mv_error e = {0};
        stage s = stage_of(cpu(), methods[i], 3, MV_MAP_NONE, 4);
        const mv_ask asks[] = {{.method = s.ask.method, .params = s.params, .class_ = 3, .against = MV_MAP_NONE},
                               {.method = s.ask.method, .params = s.params, .class_ = 5, .against = MV_MAP_NONE},
                               {.method = s.ask.method, .params = s.params, .class_ = 3, .against = 5}};
        mv_maps maps = {0};
        start(&s);
        mv_explainer *x = mv_explainer_new(asks, 3, &s.net.model->config, H, W, &e);
        mv_explainer_use(x, s.passes);
        for (int p = 0; p < PICTURES; p++) {
            long before = mv_passes_count(s.passes);
            for (int a = 0; a < 3; a++)
                mv_explainer_explain(x, a, s.net.model, p, (float *)s.input.data + (size_t)p * 3 * H * W,
                                     s.logits + (size_t)p * CLASSES, name_of, NULL, &maps, &e);
            expect_ok(&e);
            assert_int_equal(mv_passes_count(s.passes) - before, i ? 6 : 9);
        }
        for (int p = 0; p < 6; p += 3)
            for (size_t k = 0; k < values_of(maps.map); k++)
                assert_true(fabs((double)(maps.map[p].v[k] - maps.map[p + 1].v[k] - maps.map[p + 2].v[k])) < 1e-6);
        mv_maps_free(&maps);
        mv_explainer_free(x);
        end(&s);
    }
}

static void seeds_reproduce(void **state)
{
    (void)state;
    const char *methods[] = {"rise:n=8,seed=1", "rise:n=8,seed=1", "rise:n=8,seed=2"};
    mv_maps maps[3];
    for (int i = 0; i < 3; i++) {
        stage s = stage_of(cpu(), methods[i], 0, MV_MAP_NONE, 4);
        start(&s);
        maps[i] = explain(&s, 0);
        end(&s);
    }
    size_t n = values_of(maps[0].map);
    assert_memory_equal(maps[0].map->v, maps[1].map->v, n * sizeof(float));
    assert_true(relative_l2(maps[0].map->v, maps[2].map->v, n) > 0.01);
    for (int i = 0; i < 3; i++)
        mv_maps_free(&maps[i]);
}

/* The share that masks show is the one asked for; every value is between hidden and shown. */
static void masks_keep_their_share(void **state)
{
    (void)state;
    enum { N = 400 };
    mv_error e = {0};
    mv_rise m;
    float mask[50 * 61];
    mv_rise_new(&m, 50, 61, 7, 0.3, 5, &e);
    expect_ok(&e);
    double sum = 0;
    for (int i = 0; i < N; i++) {
        mv_rise_mask(&m, i, mask);
        for (size_t k = 0; k < sizeof mask / sizeof *mask; k++) {
            assert_true(mask[k] >= 0 && mask[k] <= 1);
            sum += (double)mask[k];
        }
    }
    sum /= N * 50.0 * 61.0;
    EXPECT(fabs(sum - 0.3) < 0.01, "%g", sum);
    mv_rise_free(&m);
}

/* Rows along one direction, rows that are all equal, and fewer rows than directions. */
static void principal_directions_of_little(void **state)
{
    (void)state;
    mv_error e = {0};
    float line[5 * 3], flat[4 * 3], one[3] = {1, 2, 3};
    double out[5 * 3], share[3];
    for (int i = 0; i < 5; i++)
        for (int c = 0; c < 3; c++)
            line[i * 3 + c] = (float)(1 + c) * (float)(i * i) + 7;
    for (int i = 0; i < 12; i++)
        flat[i] = 0.1f * (float)(1 + i % 3);
    mv_principal(out, share, line, 5, 3, 3, &e);
    expect_ok(&e);
    assert_true(fabs(share[0] - 1) < 1e-12 && share[1] < 1e-12);
    for (int i = 0; i < 5; i++) {
        assert_true(fabs(out[i * 3] - sqrt(14) * (i * i - 6)) < 1e-9); /* the mean of 0 1 4 9 16 is 6 */
        assert_true(out[i * 3 + 1] == 0 && out[i * 3 + 2] == 0);
    }
    mv_principal(out, share, flat, 4, 3, 2, &e);
    expect_ok(&e);
    for (int i = 0; i < 8; i++)
        assert_true(out[i] == 0);
    mv_principal(out, share, one, 1, 3, 3, &e);
    expect_ok(&e);
    assert_true(out[0] == 0 && out[1] == 0 && out[2] == 0);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *method, *says;
    } bad[] = {{"eigencam:site=levels.9", "no site fits"},
               {"pca:site=levels.*", "expected the name of one site"},
               {"scorecam:site=head", "not features of cells"},
               {"scorecam:site=levels.3.blocks.2.mixer.attn", "not features of cells"},
               {"ablationcam:site=", "site"},
               {"similarity:cell=3,0", "found cell 3,0, expected one of the 3 x 3 cells of levels.3: 0,0 to 2,2"},
               {"occlusion:side=8,stride=9", "expected at most the side"},
               {"lens:block=3", "found 3"},
               {"lens:level=2,block=7", "found 7"}};
    mv_config c = golden_config(oracle);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mv_error e = {0};
        mv_ask ask;
        void *params;
        mv_ask_parse(&ask, &params, bad[i].method, &e);
        expect_ok(&e);
        assert_null(mv_explainer_new(&ask, 1, &c, H, W, &e));
        assert_int_equal(e.code, MV_EINPUT);
        EXPECT(strstr(e.text, bad[i].says), "%s: '%s' does not say '%s'", bad[i].method, e.text, bad[i].says);
        free(params);
    }
}

/* ---- devices */

static void devices_agree(void **state)
{
    (void)state;
    static const char *const methods[] = {"eigencam:site=levels.2",
                                          "lens",
                                          "similarity:site=levels.2.blocks.1",
                                          "rise:n=3",
                                          "scorecam:channels=3",
                                          "occlusion:side=48,stride=48",
                                          "ablationcam",
                                          "ablationcam:site=patch_embed"};
    size_t n = sizeof methods / sizeof *methods;
    for (size_t i = 0; i < (test_is_short() ? n - 1 : n); i++) {
        stage a = stage_of(cpu(), methods[i], 1, MV_MAP_NONE, 3), b = stage_of(gpu(), methods[i], 1, MV_MAP_NONE, 2);
        bool takes = a.ask.method->takes & MV_TAKES_CLASS;
        a.ask.class_ = b.ask.class_ = takes ? 1 : MV_MAP_NONE;
        start(&a);
        start(&b);
        mv_maps x = explain(&a, 1), y = explain(&b, 1);
        assert_int_equal(x.n, y.n);
        for (int k = 0; k < x.n; k++) {
            double d = relative_l2(y.map[k].v, x.map[k].v, values_of(&x.map[k]));
            EXPECT(d <= 1e-4, "%s: map %d differs by %.3g relative L2", methods[i], k, d);
        }
        mv_maps_free(&x);
        mv_maps_free(&y);
        end(&a);
        end(&b);
    }
}

/* Gradients of fp16 are scaled on the way back, and values are not: products of both are those of the CPU. */
static void gradients_of_devices_agree(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        double fp32, fp16;
    } maps_of[] = {{"chefer", 1e-4, 0.1},   {"chefer-hybrid", 1e-4, 0.1}, {"attention-x-gradient", 1e-4, 0.1},
                   {"held", 1e-4, 0.1},     {"held-full", 1e-4, 0.2},     {"hirescam:site=levels.2", 1e-4, 0.1},
                   {"saliency", 1e-3, 0.2}, {"smoothgrad:n=2", 1e-3, 0},  {"integrated:nodes=2", 1e-3, 0}};
    for (size_t i = 0; i < sizeof maps_of / sizeof *maps_of; i++)
        for (int half = 0; half < 2; half++) {
            double bound = half ? maps_of[i].fp16 : maps_of[i].fp32;
            if (bound == 0 || (test_is_short() && i > 3))
                continue;
            stage a = stage_of(cpu(), maps_of[i].method, 1, MV_MAP_NONE, 3),
                  b = stage_of(gpu_of(half ? MV_F16 : MV_F32), maps_of[i].method, 1, MV_MAP_NONE, 2);
            start(&a);
            start(&b);
            mv_maps x = explain(&a, 1), y = explain(&b, 1);
            assert_int_equal(x.n, y.n);
            for (int k = 0; k < x.n; k++) {
                double d = relative_l2(y.map[k].v, x.map[k].v, values_of(&x.map[k]));
                EXPECT(d <= bound, "%s, %s: map %d differs by %.3g relative L2", maps_of[i].method,
                       half ? "fp16" : "fp32", k, d);
            }
            mv_maps_free(&x);
            mv_maps_free(&y);
            end(&a);
            end(&b);
        }
}

int main(void)
{
    mv_error e = {0};
    oracle = mv_safetensors_open("tests/data/explain/methods.safetensors", &e);
    if (!oracle || !card_find()) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_equal_the_oracle),        cmocka_unit_test(the_lens_equals_the_oracle),
        cmocka_unit_test(colours_equal_the_oracle),     cmocka_unit_test(closed_forms_equal_passes),
        cmocka_unit_test(classes_share_passes),         cmocka_unit_test(seeds_reproduce),
        cmocka_unit_test(masks_keep_their_share),       cmocka_unit_test(principal_directions_of_little),
        cmocka_unit_test(what_does_not_fit_is_refused), cmocka_unit_test(devices_agree),
        cmocka_unit_test(gradients_of_devices_agree),
    };
    int failed = cmocka_run_group_tests_name("explanations", tests, NULL, NULL);
    mv_safetensors_close(oracle);
    return failed;
}
