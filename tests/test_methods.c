/* The table of methods and its driver: every method says what it is, explains a small network through the driver, for
 * every picture of a batch, and its maps keep the method's identity.
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

#include "src/explain/attention_method.h"
#include "src/explain/methods.h"
#include "tests/network.h"

enum { PICTURES = 3, SIDE_H = 96, SIDE_W = 160 };

static const char *name_of(void *context, int c, char text[24])
{
    (void)context;
    snprintf(text, 24, "kind %d", c);
    return text;
}

/* A network, an explainer of these asks, and a batch that has run. */
typedef struct {
    network net;
    mv_explainer *x;
    mv_run *run;
    mv_passes *passes;
    float *planes, *logits;
} stage;

static stage run_with(const mv_ask *asks, int n)
{
    mv_error e = {0};
    mv_config c = small_config();
    stage s = {.net = network_of(&c, MV_F32, 1, 11)};
    s.x = mv_explainer_new(asks, n, &c, SIDE_H, SIDE_W, &e);
    expect_ok(&e);
    s.run = mv_run_new_back(s.net.model, SIDE_H, SIDE_W, PICTURES, mv_explainer_probe(s.x), mv_explainer_back(s.x), &e);
    expect_ok(&e);
    s.passes = mv_passes_new(s.net.model, SIDE_H, SIDE_W, 2, NULL, &e);
    expect_ok(&e);
    mv_explainer_use(s.x, s.passes);
    s.planes = network_input(PICTURES, SIDE_H, SIDE_W, 5);
    s.logits = calloc((size_t)(PICTURES * c.classes), sizeof *s.logits);
    assert_non_null(s.logits);
    for (int times = 0; times < 2; times++) { /* what an earlier batch left must not matter */
        mv_explainer_clear(s.x);
        mv_run_forward(s.run, s.planes, PICTURES, s.logits, &e);
        expect_ok(&e);
    }
    return s;
}

static void end(stage *s)
{
    mv_run_free(s->run);
    mv_explainer_free(s->x);
    mv_passes_free(s->passes);
    network_free(&s->net);
    free(s->planes);
    free(s->logits);
}

/* Picture `at` of the batch, which is number `shown` of the inputs. */
static mv_maps explain_at(const stage *s, int ask, int at, int shown)
{
    mv_error e = {0};
    mv_maps maps = {0};
    int classes = s->net.model->config.classes;
    mv_explainer_explain(s->x, ask, s->net.model, at, s->planes + (size_t)shown * 3 * SIDE_H * SIDE_W,
                         s->logits + at * classes, name_of, NULL, &maps, &e);
    expect_ok(&e);
    return maps;
}

static mv_maps explain(const stage *s, int ask, int picture)
{
    return explain_at(s, ask, picture, picture);
}

static void the_table_is_complete(void **state)
{
    (void)state;
    const mv_method *m;
    int n = 0;
    for (; (m = mv_method_at(n)); n++) {
        assert_ptr_equal(mv_method_lookup(m->name), m);
        assert_true(*m->title && *m->summary && *m->source && *m->cost && m->explain);
        assert_true(m->measured && *m->measured);
        assert_int_not_equal(m->summary[strlen(m->summary) - 1], '.');
        assert_true(!m->open == !m->close && (m->open || !m->probe));
        assert_true(!m->params == !m->size);
    }
    assert_true(n >= 2);
    assert_null(mv_method_at(-1));
    assert_null(mv_method_lookup("none"));
}

/* The maps of a picture do not depend on its place in the batch. */
static void expect_same_alone(stage *s, int picture, const mv_maps *among)
{
    mv_error e = {0};
    mv_explainer_clear(s->x);
    mv_run_forward(s->run, s->planes + (size_t)picture * 3 * SIDE_H * SIDE_W, 1, s->logits, &e);
    expect_ok(&e);
    mv_maps alone = explain_at(s, 0, 0, picture);
    assert_int_equal(alone.n, among->n);
    for (int i = 0; i < alone.n; i++)
        for (int k = 0; k < alone.map[i].h * alone.map[i].w; k++)
            assert_true(fabs((double)(alone.map[i].v[k] - among->map[i].v[k])) <=
                        1e-4 * (double)(among->map[i].hi - among->map[i].lo));
    mv_maps_free(&alone);
}

/* Methods of many passes, with few. */
static const char *quick(const char *method)
{
    static const char *const few[] = {"rise:n=20",          "scorecam:channels=12", "occlusion:side=64,stride=64",
                                      "integrated:nodes=4", "smoothgrad:n=4",       "vargrad:n=4"};
    for (size_t i = 0; i < sizeof few / sizeof *few; i++)
        if (strncmp(few[i], method, strcspn(few[i], ":")) == 0)
            return few[i];
    return method;
}

static void every_method_explains_every_picture(void **state)
{
    (void)state;
    const mv_method *m;
    for (int k = 0; (m = mv_method_at(k)); k++) {
        mv_error e = {0};
        mv_ask ask;
        void *params;
        mv_ask_parse(&ask, &params, quick(m->name), &e);
        expect_ok(&e);
        ask.class_ = m->takes & MV_TAKES_CLASS ? MV_CLASS_TOP : MV_MAP_NONE;
        stage s = run_with(&ask, 1);
        mv_maps all[PICTURES];
        for (int p = 0; p < PICTURES; p++)
            all[p] = explain(&s, 0, p);
        for (int p = 0; p < PICTURES; p++) {
            mv_maps maps = all[p];
            assert_true(maps.n > 0);
            for (int i = 0; i < maps.n; i++) {
                const mv_map *map = &maps.map[i];
                char name[2][64];
                assert_string_equal(map->method, m->name);
                assert_true(*map->title && *map->unit && map->h > 0 && map->w > 0);
                if (!(map->lo < map->hi) && !strstr(map->proof, "nowhere positive"))
                    fail_msg("%s: %s: found values from %g to %g", m->name, map->title, (double)map->lo,
                             (double)map->hi);
                for (int j = 0; j < i; j++)
                    assert_string_not_equal(mv_map_name(map, name[0]), mv_map_name(&maps.map[j], name[1]));
            }
            expect_same_alone(&s, p, &maps);
            mv_maps_free(&maps);
        }
        end(&s);
        free(params);
    }
}

/* Of the values, and of the map that is drawn: the logit less the mean logit. */
static void the_mean_of_the_cam_is_the_logit(void **state)
{
    (void)state;
    const mv_method *cam = mv_method_lookup("cam");
    const mv_ask asks[] = {{.method = cam, .class_ = MV_CLASS_TOP, .against = MV_MAP_NONE},
                           {.method = cam, .class_ = MV_CLASS_SECOND, .against = MV_MAP_NONE},
                           {.method = cam, .class_ = MV_CLASS_TOP, .against = MV_CLASS_SECOND},
                           {.method = cam, .class_ = 1, .against = MV_MAP_NONE}};
    stage s = run_with(asks, 4);
    int classes = s.net.model->config.classes;
    for (int p = 0; p < PICTURES; p++) {
        const float *logits = s.logits + p * classes;
        double value[4], mean = 0;
        for (int c = 0; c < classes; c++)
            mean += (double)logits[c] / classes;
        for (int i = 0; i < 4; i++) {
            mv_maps maps = explain(&s, i, p);
            const mv_map *m = maps.map;
            int cells = m->h * m->w;
            assert_int_equal(maps.n, 1);
            value[i] = 0;
            for (int k = 0; k < cells; k++)
                value[i] += (double)mv_map_raw(m)[k] / cells;
            if (i != 2) {
                assert_true(fabs(value[i] - (double)logits[m->class_]) < 1e-5);
                assert_true(fabs(mv_map_mean(m) - (value[i] - mean)) < 1e-5);
                assert_true(m->less_mean && strcmp(m->unit, m->raw_unit) == 0);
            }
            assert_true(strstr(m->proof, i == 2 ? "the margin" : "its logit less the mean logit") != NULL);
            mv_maps_free(&maps);
        }
        assert_true(value[0] >= value[1] && fabs(value[2] - (value[0] - value[1])) < 1e-5);
        for (int c = 0; c < classes; c++) /* no class lies above the first */
            assert_true((double)logits[c] <= value[0] + 1e-5);
    }
    end(&s);
}

/* The relative map is the map of the class less the mean of the maps of all classes. */
static void the_relative_cam_is_less_the_mean_of_all(void **state)
{
    (void)state;
    enum { MOST = 32 };
    mv_error e = {0};
    mv_ask asks[MOST + 1];
    void *memory;
    mv_config c = small_config();
    int n = c.classes;
    assert_true(n < MOST);
    mv_ask_parse(&asks[n], &memory, "cam:relative", &e);
    expect_ok(&e);
    asks[n].class_ = 1;
    for (int k = 0; k < n; k++)
        asks[k] = (mv_ask){.method = mv_method_lookup("cam"), .class_ = k, .against = MV_MAP_NONE};
    stage s = run_with(asks, n + 1);
    mv_maps relative = explain(&s, n, 0), of[MOST];
    assert_int_equal(relative.map->class_, 1);
    for (int k = 0; k < n; k++)
        of[k] = explain(&s, k, 0);
    for (int i = 0; i < relative.map->h * relative.map->w; i++) {
        double mean = 0;
        for (int k = 0; k < n; k++)
            mean += (double)mv_map_raw(of[k].map)[i] / n;
        assert_true(fabs((double)relative.map->v[i] - ((double)mv_map_raw(of[1].map)[i] - mean)) < 1e-5);
        assert_true(relative.map->v[i] == of[1].map->v[i] && !relative.map->raw); /* as all maps are drawn */
    }
    for (int k = 0; k < n; k++)
        mv_maps_free(&of[k]);
    mv_maps_free(&relative);
    end(&s);

    asks[n].against = 0; /* the mean would be in both */
    s = run_with(&asks[n], 1);
    mv_maps none = {0};
    assert_int_equal(mv_explainer_explain(s.x, 0, s.net.model, 0, NULL, s.logits, name_of, NULL, &none, &e), MV_EINPUT);
    mv_maps_free(&none);
    end(&s);
    free(memory);
}

static void shares_of_attention_sum_to_one(void **state)
{
    (void)state;
    mv_attention_params each = {.head = {1, {-2}}, .query = "pooled"}, rollout = {.query = "pooled", .rollout = true};
    const mv_method *attention = mv_method_lookup("attention");
    const mv_ask asks[] = {{.method = attention, .params = &each, .class_ = MV_MAP_NONE, .against = MV_MAP_NONE},
                           {.method = attention, .params = &rollout, .class_ = MV_MAP_NONE, .against = MV_MAP_NONE},
                           {.method = attention,
                            .params = &each,
                            .class_ = MV_MAP_NONE,
                            .against = MV_MAP_NONE}}; /* shares what the first one opened */
    stage s = run_with(asks, 3);
    for (int a = 0; a < 3; a++) {
        mv_maps maps = explain(&s, a, 1);
        for (int i = 0; i < maps.n; i++) {
            const mv_map *m = &maps.map[i];
            double sum = 0;
            for (int k = 0; k < m->h * m->w; k++)
                sum += (double)m->raw[k];
            assert_true(fabs(sum / (1 - m->on_padding) - 1) < 1e-5);
            assert_true((m->block == MV_MAP_ALL) == (a == 1) && (m->head == MV_MAP_MEAN) == (a == 1));
        }
        mv_maps_free(&maps);
    }
    end(&s);
}

static void parameters_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    static const struct {
        mv_attention_params p;
        const char *text;
    } cases[] = {{{.block = {1, {0}}, .query = "pooled"}, "block 0"},
                 {{.head = {1, {77}}, .query = "pooled"}, "head 77"},
                 {{.query = "99,0"}, "99,0"},
                 {{.query = "pooled", .rollout = true, .head = {1, {0}}}, "rollout: "},
                 {{.query = "pooled", .rollout = true, .block = {1, {1}}}, "rollout: "}};
    mv_config c = small_config();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_error e = {0};
        mv_ask ask = {.method = mv_method_lookup("attention"),
                      .params = &cases[i].p,
                      .class_ = MV_MAP_NONE,
                      .against = MV_MAP_NONE};
        assert_null(mv_explainer_new(&ask, 1, &c, SIDE_H, SIDE_W, &e));
        assert_int_equal(e.code, MV_EINPUT);
        if (!strstr(e.text, cases[i].text))
            fail_msg("'%s' does not say '%s'", e.text, cases[i].text);
    }
}

static void a_runner_up_where_there_is_one_class_gives_no_map(void **state)
{
    (void)state;
    mv_config c = small_config();
    c.classes = 1;
    mv_error e = {0};
    const mv_method *cam = mv_method_lookup("cam");
    mv_ask asks[] = {{.method = cam, .class_ = MV_CLASS_SECOND, .against = MV_MAP_NONE},
                     {.method = cam, .class_ = MV_CLASS_TOP, .against = MV_CLASS_SECOND}};
    network net = network_of(&c, MV_F32, 1, 3);
    mv_explainer *x = mv_explainer_new(asks, 2, &c, SIDE_H, SIDE_W, &e);
    mv_maps maps = {0};
    float logit = 0.5f;
    for (int i = 0; i < 2; i++)
        assert_int_equal(mv_explainer_explain(x, i, net.model, 0, NULL, &logit, name_of, NULL, &maps, &e), MV_OK);
    assert_int_equal(maps.n, 0);
    mv_maps_free(&maps);
    mv_explainer_free(x);
    network_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_complete),
        cmocka_unit_test(every_method_explains_every_picture),
        cmocka_unit_test(the_mean_of_the_cam_is_the_logit),
        cmocka_unit_test(the_relative_cam_is_less_the_mean_of_all),
        cmocka_unit_test(shares_of_attention_sum_to_one),
        cmocka_unit_test(parameters_that_do_not_fit_are_refused),
        cmocka_unit_test(a_runner_up_where_there_is_one_class_gives_no_map),
    };
    return cmocka_run_group_tests_name("methods", tests, NULL, NULL);
}
