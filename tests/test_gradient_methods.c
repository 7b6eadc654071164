/* Methods with a backward pass against the float64 oracle: every map of tests/data/gradients, relative L2, and
 * identities that need no oracle.
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
#include "src/explain/methods.h"
#include "src/run/back.h"
#include "tests/gradient_oracle.h"

static mv_backend *cpu(void)
{
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(MV_F32, 2, NULL, &e);
    expect_ok(&e);
    return b;
}

static const char *name_of(void *context, int c, char text[24])
{
    (void)context;
    snprintf(text, 24, "kind %d", c);
    return text;
}

/* ---- maps of one method */

enum { BATCH = 3 };

/* The maps of the pictures of one forward. */
typedef struct {
    int pictures;
    mv_maps maps[BATCH];
    float logits[BATCH * 1000];
} answer;

static answer ask_of(const network *n, const char *method, int class_, int against, int h, int w, const float *planes,
                     int pictures)
{
    answer a = {.pictures = pictures};
    mv_error e = {0};
    mv_ask ask;
    void *memory;
    int classes = n->model->config.classes;
    mv_ask_parse(&ask, &memory, method, &e);
    expect_ok(&e);
    ask.class_ = class_;
    ask.against = against;
    mv_explainer *x = mv_explainer_new(&ask, 1, &n->model->config, h, w, &e);
    expect_ok(&e);
    mv_run *r = mv_run_new_back(n->model, h, w, pictures, mv_explainer_probe(x), mv_explainer_back(x), &e);
    expect_ok(&e);
    for (int times = 0; times < 2; times++) { /* what an earlier batch left does not matter */
        mv_explainer_clear(x);
        mv_run_forward(r, planes, pictures, a.logits, &e);
        expect_ok(&e);
    }
    for (int i = 0; i < pictures; i++) {
        mv_explainer_explain(x, 0, n->model, i, NULL, a.logits + i * classes, name_of, NULL, &a.maps[i], &e);
        expect_ok(&e);
    }
    mv_run_free(r);
    mv_explainer_free(x);
    free(memory);
    return a;
}

static void answer_free(answer *a)
{
    for (int i = 0; i < a->pictures; i++)
        mv_maps_free(&a->maps[i]);
}

static double sum_of(const mv_map *m)
{
    double sum = 0;
    for (int i = 0; i < m->h * m->w; i++)
        sum += (double)m->v[i];
    return sum;
}

/* ---- the oracle's maps */

/* The ask for a tensor of the oracle, "map/gradcam@levels.2"; false for one that is of another test. */
static bool ask_for(const char *tensor, char text[128])
{
    char name[64];
    int level, block, used;
    const char *at = strchr(tensor, '@');
    if (strncmp(tensor, "map/", 4) != 0)
        return false;
    snprintf(name, sizeof name, "%.*s", at ? (int)(at - tensor) - 4 : 60, tensor + 4);
    if (strcmp(name, "fullgrad") == 0)
        snprintf(name, sizeof name, "held-full");
    if (!mv_method_lookup(name))
        return false;
    if (!at)
        snprintf(text, 128, "%s", name);
    else if (strcmp(name, "attention-x-gradient") == 0 &&
             sscanf(at, "@levels.%d.blocks.%d%n", &level, &block, &used) == 2)
        snprintf(text, 128, "%s:level=%d,block=%d,head=all", name, level, block);
    else if (strncmp(name, "chefer", 6) == 0)
        snprintf(text, 128, "%s:level=%c", name, at[8]);
    else
        snprintf(text, 128, "%s:site=%s", name, at + 1);
    return true;
}

/* One map as it is, or means over 16 x 16 pixels if the oracle's is 16 times smaller. */
static void reduce(float *out, const mv_map *m, int h, int w)
{
    int side = m->h / h;
    for (int i = 0; i < h * w; i++) {
        double sum = 0;
        for (int k = 0; k < side * side; k++)
            sum += (double)m->v[(i / w * side + k / side) * m->w + i % w * side + k % side];
        out[i] = (float)(sum / (side * side));
    }
}

static double distance(const answer *a, mv_tensor want)
{
    int h = want.dim[want.nd - 2], w = want.dim[want.nd - 1], n = want.nd == 4 ? want.dim[1] : 1;
    assert_int_equal(a->maps[0].n, n);
    float *expected = malloc(mv_tensor_bytes(want)), *got = malloc(mv_tensor_bytes(want));
    assert_true(expected && got);
    mv_safetensors_read(expected, want);
    for (int k = 0; k < n; k++) {
        const mv_map *m = &a->maps[0].map[k];
        assert_true(m->h % h == 0 && m->w % w == 0 && m->h / h == m->w / w);
        reduce(got + k * h * w, m, h, w);
    }
    double d = relative_l2(got, expected, mv_tensor_count(want));
    free(expected);
    free(got);
    return d;
}

static void every_map(const char *name, double bound, double quotients)
{
    oracle o = oracle_open(name, cpu());
    int compared = 0;
    double worst = 0;
    char at[128] = "";
    for (int i = 0; i < mv_safetensors_count(o.file); i++) {
        const char *tensor = mv_safetensors_name_at(o.file, i);
        char method[128];
        mv_tensor want;
        if (!ask_for(tensor, method))
            continue;
        assert_true(mv_safetensors_lookup(o.file, tensor, &want));
        answer a = ask_of(&o.net, method, o.class_, MV_MAP_NONE, o.h, o.w, o.planes, 1);
        double d = distance(&a, want), most = strncmp(method, "xgradcam", 8) == 0 ? quotients : bound;
        answer_free(&a);
        if (!(d <= most))
            fail_msg("%s: %s differs by %.3g relative L2, expected at most %.3g", name, tensor, d, most);
        if (d / most >= worst) {
            worst = d / most;
            snprintf(at, sizeof at, "%s, %.2g", tensor, d);
        }
        compared++;
    }
    print_message("           %-8s worst of %d maps %.2g of its bound: %s\n", name, compared, worst, at);
    assert_int_equal(compared, 35);
    oracle_close(&o);
}

static void padded(void **s)
{
    (void)s;
    every_map("padded", 1e-5, 1e-4);
}
static void odd(void **s)
{
    (void)s;
    every_map("odd", 1e-5, 1e-4);
}
static void windows(void **s)
{
    (void)s;
    every_map("windows", 1e-5, 1e-4);
}
static void nano(void **s)
{
    (void)s;
    every_map("nano", 2e-4, 2e-4);
}

/* ---- identities */

static const char *const linear[] = {"gradcam",      "gradcam++", "hirescam", "layercam",  "xgradcam",
                                     "eigengradcam", "saliency",  "held",     "held-full", "input-x-gradient"};
enum { METHODS = sizeof linear / sizeof *linear, H = 72, W = 96 };

/* cells x HiResCAM at norm + the bias of the class is the exact CAM, and so is held at norm. */
static void the_cam_is_hirescam_at_the_end(void **state)
{
    (void)state;
    mv_config config = small_config();
    network n = network_on(&config, cpu(), 3);
    float *planes = network_input(1, H, W, 5);
    answer cam = ask_of(&n, "cam", 2, MV_MAP_NONE, H, W, planes, 1);
    const float *want = mv_map_raw(cam.maps[0].map);
    static const char *const same[] = {"hirescam:site=norm",     "gradcam:site=norm",      "held:site=norm",
                                       "hirescam:site=levels.3", "xgradcam:site=levels.3", NULL};
    char last[64];
    snprintf(last, sizeof last, "hirescam:site=levels.3.blocks.%d", config.depth[3] - 1);
    for (int k = 0; k < 6; k++) {
        answer a = ask_of(&n, same[k] ? same[k] : last, 2, MV_MAP_NONE, H, W, planes, 1);
        const mv_map *m = a.maps[0].map;
        int cells = m->h * m->w;
        double bias = (double)want[0] - cells * (double)m->v[0], size = 0;
        for (int i = 0; i < cells; i++)
            size = fmax(size, fabs((double)want[i]));
        for (int i = 0; i < cells; i++)
            assert_true(fabs(cells * (double)m->v[i] + bias - (double)want[i]) < 1e-5 * size);
        assert_true(fabs(sum_of(m) + bias - (double)a.logits[2]) < 1e-5 * fmax(1, fabs((double)a.logits[2])));
        assert_non_null(strstr(m->proof, "exact CAM"));
        answer_free(&a);
    }
    answer_free(&cam);
    network_free(&n);
    free(planes);
}

/* The figures of a map are those of its values, and where the sum has an expected value it meets it. */
static void sums_are_what_they_should_be(void **state)
{
    (void)state;
    oracle o = oracle_open("windows", cpu());
    for (int k = 0; k < METHODS; k++)
        for (int against = 0; against < 2; against++) {
            answer a =
                ask_of(&o.net, linear[k], o.class_, against ? MV_CLASS_SECOND : MV_MAP_NONE, o.h, o.w, o.planes, 1);
            const mv_map *m = a.maps[0].map;
            double sum = mv_map_figure_value(m, "sum"), expected = mv_map_figure_value(m, "expected"),
                   target = mv_map_figure_value(m, "target"), z = (double)a.logits[o.class_];
            if (against)
                z -= (double)a.logits[mv_class_of(MV_CLASS_SECOND, a.logits, o.net.model->config.classes)];
            assert_true(fabs(target - z) <= 1e-6 * fmax(1, fabs(z)));
            assert_true(!isfinite(sum) || fabs(sum - sum_of(m)) <= 1e-4 * fmax(1e-3, fabs(sum)));
            assert_int_equal(isfinite(expected), strncmp(linear[k], "held", 4) == 0);
            if (isfinite(expected))
                assert_true(fabs(sum - expected) <= 1e-5 * fmax(1, fabs(expected)));
            answer_free(&a);
        }
    oracle_close(&o);
}

/* A picture's map is its own, in any batch. */
static void a_batch_of_three_is_three_pictures(void **state)
{
    (void)state;
    mv_config config = small_config();
    network n = network_on(&config, cpu(), 3);
    float *planes = network_input(BATCH, H, W, 5);
    const mv_method *m;
    for (int k = 0; (m = mv_method_at(k)); k++) {
        if (!(m->takes & MV_TAKES_GRADIENT) || m->takes & MV_TAKES_PASSES)
            continue;
        answer all = ask_of(&n, m->name, MV_CLASS_TOP, MV_MAP_NONE, H, W, planes, BATCH);
        for (int i = 0; i < BATCH; i++) {
            answer one = ask_of(&n, m->name, MV_CLASS_TOP, MV_MAP_NONE, H, W, planes + (size_t)i * 3 * H * W, 1);
            assert_true(one.maps[0].n > 0);
            assert_int_equal(one.maps[0].n, all.maps[i].n);
            for (int j = 0; j < one.maps[0].n; j++) {
                const mv_map *x = &one.maps[0].map[j], *y = &all.maps[i].map[j];
                if (memcmp(x->v, y->v, (size_t)(x->h * x->w) * sizeof *x->v) != 0)
                    fail_msg("%s: map %d of picture %d differs from that of the picture alone", m->name, j, i);
            }
            answer_free(&one);
        }
        answer_free(&all);
    }
    network_free(&n);
    free(planes);
}

/* The gradient of a difference is the difference of the gradients. */
static void a_class_against_another_is_their_difference(void **state)
{
    (void)state;
    static const char *const names[] = {"hirescam", "gradcam", "input-x-gradient", "held", "held-full"};
    oracle o = oracle_open("odd", cpu());
    for (int k = 0; k < 5; k++) {
        answer a = ask_of(&o.net, names[k], 7, MV_MAP_NONE, o.h, o.w, o.planes, 1),
               b = ask_of(&o.net, names[k], 1, MV_MAP_NONE, o.h, o.w, o.planes, 1),
               d = ask_of(&o.net, names[k], 7, 1, o.h, o.w, o.planes, 1);
        const mv_map *m = d.maps[0].map;
        float *difference = malloc((size_t)(m->h * m->w) * sizeof *difference);
        assert_non_null(difference);
        for (int i = 0; i < m->h * m->w; i++)
            difference[i] = a.maps[0].map->v[i] - b.maps[0].map->v[i];
        assert_true(relative_l2(m->v, difference, (size_t)(m->h * m->w)) < 2e-5);
        free(difference);
        answer_free(&a);
        answer_free(&b);
        answer_free(&d);
    }
    oracle_close(&o);
}

/* What the other methods of a run keep, and the class that an ask had when it was opened, change nothing. */
static void asks_of_one_run_are_their_own(void **state)
{
    (void)state;
    static const char *const names[] = {"held-full", "cam", "held"};
    oracle o = oracle_open("padded", cpu());
    mv_error e = {0};
    mv_ask asks[3];
    void *memory[3];
    for (int i = 0; i < 3; i++) {
        mv_ask_parse(&asks[i], &memory[i], names[i], &e);
        asks[i].class_ = MV_CLASS_TOP;
    }
    mv_explainer *x = mv_explainer_new(asks, 3, &o.net.model->config, o.h, o.w, &e);
    expect_ok(&e);
    mv_run *r = mv_run_new_back(o.net.model, o.h, o.w, 1, mv_explainer_probe(x), mv_explainer_back(x), &e);
    expect_ok(&e);
    for (int class_ = 1; class_ < 3; class_++) {
        float logits[1000];
        for (int i = 0; i < 3; i++)
            asks[i].class_ = class_;
        mv_explainer_clear(x);
        mv_run_forward(r, o.planes, 1, logits, &e);
        expect_ok(&e);
        for (int i = 0; i < 3; i++) {
            mv_maps maps = {0};
            mv_explainer_explain(x, i, o.net.model, 0, NULL, logits, name_of, NULL, &maps, &e);
            expect_ok(&e);
            answer alone = ask_of(&o.net, names[i], class_, MV_MAP_NONE, o.h, o.w, o.planes, 1);
            const mv_map *m = maps.map, *w = alone.maps[0].map;
            assert_true(relative_l2(m->v, w->v, (size_t)(m->h * m->w)) < 1e-5);
            answer_free(&alone);
            mv_maps_free(&maps);
        }
    }
    mv_run_free(r);
    mv_explainer_free(x);
    for (int i = 0; i < 3; i++)
        free(memory[i]);
    oracle_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padded),
        cmocka_unit_test(odd),
        cmocka_unit_test(windows),
        cmocka_unit_test(nano),
        cmocka_unit_test(the_cam_is_hirescam_at_the_end),
        cmocka_unit_test(sums_are_what_they_should_be),
        cmocka_unit_test(a_batch_of_three_is_three_pictures),
        cmocka_unit_test(a_class_against_another_is_their_difference),
        cmocka_unit_test(asks_of_one_run_are_their_own),
    };
    return cmocka_run_group_tests_name("gradient methods", tests, NULL, NULL);
}
