/* Inside the mixers, against a float64 oracle (tests/data/explain/mixer.safetensors: two pictures of 72x56 px, several
 * windows with padding in both levels, weights of seed 5): maps of the state, hidden attention, contributions; rollouts
 * and the methods; choices and refusals.
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

#include "src/explain/methods.h"
#include "src/explain/mixer.h"
#include "src/explain/rollout.h"
#include "tests/golden.h"

enum { PICTURES = 2, SIDE_H = 72, SIDE_W = 56, SEED = 5 };

static mv_safetensors *file;

/* A tensor of the file whose data are the caller's to free. */
static mv_tensor load(const char *format, ...) __attribute__((format(printf, 1, 2)));
static mv_tensor load(const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    mv_tensor t;
    mv_error e = {0};
    mv_safetensors_find(file, name, &t, &e);
    expect_ok(&e);
    float *v = malloc(mv_tensor_count(t) * sizeof *v);
    assert_non_null(v);
    mv_safetensors_read(v, t);
    t.type = MV_F32;
    t.data = v;
    return t;
}

/* ---- a forward of the file's network */

typedef struct {
    network net;
    mv_mixer_maps *maps;
    mv_run *run;
    mv_tensor in;
} stage;

static stage run_on(mv_backend *b, mv_mixer_options o, int capacity)
{
    mv_error e = {0};
    mv_config c = golden_config(file);
    stage s = {.net = b ? network_on(&c, b, SEED) : network_of(&c, MV_F32, 2, SEED), .in = load("input")};
    s.maps = mv_mixer_maps_new(&o, &c, SIDE_H, SIDE_W, &e);
    expect_ok(&e);
    s.run = mv_run_new(s.net.model, SIDE_H, SIDE_W, capacity, mv_mixer_maps_probe(s.maps), &e);
    expect_ok(&e);
    for (int times = 0; times < 2; times++) { /* a second forward replaces the first */
        mv_run_forward(s.run, s.in.data, PICTURES, NULL, &e);
        expect_ok(&e);
    }
    return s;
}

static void end(stage *s)
{
    mv_run_free(s->run);
    mv_mixer_maps_free(s->maps);
    network_free(&s->net);
    free(s->in.data);
}

static void compare(const char *what, const float *got, mv_tensor want, int picture)
{
    size_t n = mv_tensor_count(want) / PICTURES;
    double d = relative_l2(got, (float *)want.data + (size_t)picture * n, n);
    if (!(d <= 2e-5))
        fail_msg("%s of picture %d differs by %.3g", what, picture, d);
}

/* Compares a map of every block and picture with the file's tensor of this name. */
static void compare_maps(const stage *s, mv_mixer_kind kind, const char *name)
{
    for (int i = 0; i < mv_mixer_maps_count(s->maps); i++) {
        mv_mixer_block b = mv_mixer_maps_block_at(s->maps, i);
        mv_tensor want = load("levels.%d.blocks.%d.%s", b.level, b.block, name);
        for (int p = 0; p < PICTURES; p++) {
            const mv_mixer_map *got = mv_mixer_maps_lookup(s->maps, p, i, kind);
            if (!got)
                fail_msg("%s: level %d, block %d was not made", name, b.level, b.block);
            assert_int_equal(got->map.h, want.dim[1]);
            assert_int_equal(got->map.w, want.dim[2]);
            compare(got->map.title, got->map.v, want, p);
            assert_true(got->padding >= 0 && got->padding < 1 && got->map.on_padding == got->padding);
            assert_string_equal(got->map.what, mv_mixer_key(kind));
        }
        free(want.data);
    }
}

static void maps_of_the_state_equal_the_oracle(void **state)
{
    (void)state;
    for (int capacity = 1; capacity <= PICTURES; capacity++) {
        stage s = run_on(NULL, (mv_mixer_options){.wants = MV_MIXER_STATES, .channel = MV_CHANNEL_MEAN}, capacity);
        assert_int_equal(mv_mixer_maps_count(s.maps), 4);
        for (mv_mixer_kind kind = 0; MV_MIXER_BIT(kind) & MV_MIXER_STATES; kind++)
            compare_maps(&s, kind, mv_mixer_key(kind));
        end(&s);
    }
}

static void one_channel_equals_the_oracle(void **state)
{
    (void)state;
    stage s = run_on(NULL, (mv_mixer_options){.wants = MV_MIXER_STATES, .channel = 5}, PICTURES);
    for (mv_mixer_kind kind = 0; MV_MIXER_BIT(kind) & MV_MIXER_STATES; kind++) {
        char name[32];
        bool all = kind == MV_MIXER_B || kind == MV_MIXER_C; /* they have no channels */
        snprintf(name, sizeof name, "%s%s", mv_mixer_key(kind), all ? "" : ".5");
        compare_maps(&s, kind, name);
    }
    assert_string_equal(mv_mixer_maps_lookup(s.maps, 0, 1, MV_MIXER_H)->map.title,
                        "Level 2, block 1, state norm, channel 5");
    end(&s);
}

/* ---- token by token */

enum { BOTH = MV_MIXER_MATRICES };

static void compare_matrices(const stage *s, mv_mixer_kind kind, const char *name)
{
    for (int i = 0; i < mv_mixer_maps_count(s->maps); i++) {
        mv_mixer_block b = mv_mixer_maps_block_at(s->maps, i);
        mv_tensor want = load("levels.%d.blocks.%d.%s", b.level, b.block, name);
        assert_int_equal(want.dim[0], PICTURES * b.grid.windows);
        for (int p = 0; p < PICTURES; p++) {
            const float *got = mv_mixer_maps_matrix(s->maps, p, i, kind);
            assert_non_null(got);
            compare(name, got, want, p);
        }
        free(want.data);
    }
}

static void compare_shares(const stage *s)
{
    for (int i = 0; i < mv_mixer_maps_count(s->maps); i++) {
        mv_mixer_block b = mv_mixer_maps_block_at(s->maps, i);
        mv_tensor want = load("levels.%d.blocks.%d.scan_share", b.level, b.block);
        for (int p = 0; p < PICTURES; p++) {
            double got = mv_mixer_maps_scan_share(s->maps, p, i), due = (double)((float *)want.data)[p];
            if (!(fabs(got - due) <= 1e-5))
                fail_msg("scan share of level %d, block %d is %.6g, expected %.6g", b.level, b.block, got, due);
        }
        free(want.data);
    }
}

static const struct {
    mv_query_kind kind;
    const char *name;
} queries[] = {{MV_QUERY_POOLED, "pooled"}, {MV_QUERY_RECEIVED, "received"}, {MV_QUERY_CELL, "cell"}};

static void matrices_and_queries_equal_the_oracle(void **state)
{
    (void)state;
    for (int q = 0; q < 3; q++) {
        mv_mixer_options o = {.wants = BOTH,
                              .matrices = q == 1 ? 0 : BOTH,
                              .channel = MV_CHANNEL_MEAN,
                              .query = queries[q].kind,
                              .cell = {[2] = {2, 1}, [3] = {2, 1}}};
        stage s = run_on(NULL, o, 1 + q % 2);
        for (mv_mixer_kind kind = MV_MIXER_HIDDEN; kind <= MV_MIXER_CONTRIBUTIONS; kind++) {
            char name[48];
            snprintf(name, sizeof name, "%s.%s", mv_mixer_key(kind), queries[q].name);
            compare_maps(&s, kind, name);
            if (o.matrices)
                compare_matrices(&s, kind, mv_mixer_key(kind));
            else
                assert_null(mv_mixer_maps_matrix(s.maps, 0, 0, kind));
        }
        compare_shares(&s);
        end(&s);
    }
}

static void other_queries_follow_from_the_matrix(void **state)
{
    (void)state;
    mv_error e = {0};
    mv_mixer_map got;
    stage s = run_on(NULL, (mv_mixer_options){.matrices = BOTH, .channel = MV_CHANNEL_MEAN}, PICTURES);
    for (int i = 0; i < mv_mixer_maps_count(s.maps); i++)
        for (mv_mixer_kind kind = MV_MIXER_HIDDEN; kind <= MV_MIXER_CONTRIBUTIONS; kind++)
            for (int q = 0; q < 3; q++) {
                mv_mixer_block b = mv_mixer_maps_block_at(s.maps, i);
                mv_tensor want =
                    load("levels.%d.blocks.%d.%s.%s", b.level, b.block, mv_mixer_key(kind), queries[q].name);
                assert_null(mv_mixer_maps_lookup(s.maps, 1, i, kind)); /* only the matrix is wanted */
                mv_mixer_maps_query(&got, s.maps, 1, i, kind, (mv_query){queries[q].kind, 2, 1}, &e);
                expect_ok(&e);
                compare(got.map.title, got.map.v, want, 1);
                assert_string_equal(got.map.query, queries[q].name);
                mv_map_free(&got.map);
                free(want.data);
            }
    assert_int_equal(mv_mixer_maps_query(&got, s.maps, 0, 0, MV_MIXER_HIDDEN, (mv_query){MV_QUERY_CELL, 0, 99}, &e),
                     MV_EINPUT);
    assert_int_equal(mv_mixer_maps_query(&got, s.maps, 0, 0, MV_MIXER_DT, (mv_query){0}, NULL), MV_EMISUSE);
    assert_int_equal(mv_mixer_maps_query(&got, s.maps, 7, 0, MV_MIXER_HIDDEN, (mv_query){0}, NULL), MV_EMISUSE);
    end(&s);
}

static void the_diagonal_is_told_apart(void **state)
{
    (void)state;
    mv_error e = {0};
    mv_config c = golden_config(file);
    network net = network_of(&c, MV_F32, 1, SEED);
    int n = c.dim << 3 >> 1;
    float d[64];
    bool found;
    weights w;
    mv_source *source = weights_source(&w, SEED);
    assert_int_equal(n, 64);
    source->read(source, "levels.3.blocks.1.mixer.D", 1, &n, d, &found, &e);
    expect_ok(&e);
    for (int k = -1; k < n; k += 5)
        for (int with_sign = 0; with_sign < 2; with_sign++) {
            double want = 0, got;
            for (int i = 0; i < n; i++)
                want += k >= 0 && i != k ? 0 : (with_sign ? (double)d[i] : fabs((double)d[i])) / (k < 0 ? n : 1);
            assert_int_equal(mv_mixer_diagonal(&got, net.model, 3, 1, k, with_sign, &e), MV_OK);
            assert_true(fabs(got - want) <= 1e-6);
        }
    double ignored;
    assert_int_equal(mv_mixer_diagonal(&ignored, net.model, 3, 2, -1, false, NULL), MV_EINPUT); /* it attends */
    assert_int_equal(mv_mixer_diagonal(&ignored, net.model, 3, 1, n, false, NULL), MV_EINPUT);
    network_free(&net);
}

static void signs_and_one_channel_equal_the_oracle(void **state)
{
    (void)state;
    mv_mixer_options o = {
        .wants = MV_MIXER_BIT(MV_MIXER_HIDDEN), .matrices = BOTH, .channel = MV_CHANNEL_MEAN, .with_sign = true};
    stage s = run_on(NULL, o, PICTURES);
    compare_matrices(&s, MV_MIXER_HIDDEN, "signed");
    assert_string_equal(mv_mixer_maps_lookup(s.maps, 0, 0, MV_MIXER_HIDDEN)->map.unit, "mean M");
    assert_true(mv_mixer_maps_lookup(s.maps, 0, 0, MV_MIXER_HIDDEN)->map.diverging);
    end(&s);
    o.channel = 5;
    s = run_on(NULL, o, PICTURES);
    compare_matrices(&s, MV_MIXER_HIDDEN, "channel.5");
    end(&s);
}

/* ---- choices */

static void only_what_is_chosen_is_wanted(void **state)
{
    (void)state;
    mv_config c = small_config(); /* levels 2 and 3 have 2 mixers and 1 */
    mv_mixer_options o = {.level = {[2] = true},
                          .blocks = 1,
                          .block = {1},
                          .wants = MV_MIXER_BIT(MV_MIXER_DT),
                          .channel = MV_CHANNEL_MEAN};
    mv_mixer_maps *m = mv_mixer_maps_new(&o, &c, 64, 64, NULL);
    assert_non_null(m);
    mv_probe *p = mv_mixer_maps_probe(m);
    assert_true(p->wants(p, "levels.2.blocks.1.mixer.dt"));
    assert_false(p->wants(p, "levels.2.blocks.0.mixer.dt"));
    assert_false(p->wants(p, "levels.3.blocks.0.mixer.dt"));
    assert_false(p->wants(p, "levels.2.blocks.1.mixer.x"));
    assert_false(p->wants(p, "levels.2.blocks.1.mixer"));
    assert_int_equal(mv_mixer_maps_count(m), 1);
    assert_null(mv_mixer_maps_lookup(m, 0, 0, MV_MIXER_DT)); /* before a run */
    mv_mixer_maps_free(m);
    mv_mixer_maps_free(NULL);
}

static void refused(const mv_config *c, mv_mixer_options o, mv_status code, const char *says)
{
    mv_error e = {0};
    assert_null(mv_mixer_maps_new(&o, c, 97, 131, &e));
    assert_int_equal(e.code, code);
    if (!strstr(e.text, says))
        fail_msg("found '%s', expected '%s' in it", e.text, says);
}

#define OPTIONS(...) ((mv_mixer_options){.wants = MV_MIXER_STATES, .channel = MV_CHANNEL_MEAN, __VA_ARGS__})

static void bad_choices_are_refused(void **state)
{
    (void)state;
    mv_config c = small_config();
    refused(&c, OPTIONS(.level = {true}), MV_EINPUT, "expected level 2, level 3");
    refused(&c, OPTIONS(.blocks = 1, .block = {2}), MV_EINPUT, "level 2: 0 to 1, level 3: 0");
    refused(&c, OPTIONS(.blocks = 1, .block = {-1}), MV_EINPUT, "block -1");
    refused(&c, OPTIONS(.blocks = MV_MIXER_LIST + 1), MV_EINPUT, "at most");
    refused(&c, (mv_mixer_options){.wants = MV_MIXER_STATES, .channel = 32}, MV_EINPUT,
            "channel 32: level 2 has 32 scanned channels");
    refused(&c, (mv_mixer_options){.wants = MV_MIXER_STATES, .channel = -2}, MV_EINPUT, "channel -2");
    refused(&c, OPTIONS(.query = MV_QUERY_CELL, .cell = {[2] = {0, 9}}), MV_EINPUT, "query 0,9");
    refused(&c, (mv_mixer_options){.channel = MV_CHANNEL_MEAN}, MV_EMISUSE, "nothing");
}

/* ---- rollouts, and the methods */

static const char *name_of(void *context, int c, char text[24])
{
    (void)context;
    snprintf(text, 24, "kind %d", c);
    return text;
}

/* The maps of a method's spec for every picture, compared with the file: its raw values, or its values. */
static void compare_method(const char *spec, int class_, const char *name)
{
    mv_error e = {0};
    mv_config c = golden_config(file);
    mv_ask ask;
    void *memory;
    mv_ask_parse(&ask, &memory, spec, &e);
    expect_ok(&e);
    ask.class_ = class_;
    network net = network_of(&c, MV_F32, 2, SEED);
    mv_explainer *x = mv_explainer_new(&ask, 1, &c, SIDE_H, SIDE_W, &e);
    expect_ok(&e);
    mv_tensor in = load("input"), want = load("%s", name);
    float *logits = malloc((size_t)(PICTURES * c.classes) * sizeof *logits);
    for (int capacity = 1; capacity <= PICTURES; capacity++) {
        mv_run *run = mv_run_new(net.model, SIDE_H, SIDE_W, capacity, mv_explainer_probe(x), &e);
        expect_ok(&e);
        for (int times = 0; times < 2; times++) {
            mv_explainer_clear(x);
            mv_run_forward(run, in.data, PICTURES, logits, &e);
            expect_ok(&e);
        }
        for (int p = 0; p < PICTURES; p++) {
            mv_maps maps = {0};
            mv_explainer_explain(x, 0, net.model, p, NULL, logits + p * c.classes, name_of, NULL, &maps, &e);
            expect_ok(&e);
            assert_int_equal(maps.n, mv_explainer_maps(x));
            const mv_map *m = &maps.map[0];
            compare(spec, mv_map_raw(m), want, p);
            double sum = 0;
            for (int k = 0; k < m->h * m->w; k++)
                sum += m->raw ? (double)m->raw[k] : 0;
            if (m->raw && fabs(sum + m->on_padding - 1) > 1e-5)
                fail_msg("%s: shares sum to %.6g and %.6g on padding", spec, sum, m->on_padding);
            mv_maps_free(&maps);
        }
        mv_run_free(run);
    }
    mv_explainer_free(x);
    network_free(&net);
    free(memory);
    free(in.data);
    free(want.data);
    free(logits);
}

static void methods_equal_the_oracle(void **state)
{
    (void)state;
    compare_method("rollout", MV_MAP_NONE, "rollout.3");
    compare_method("rollout:level=2", MV_MAP_NONE, "rollout.2");
    compare_method("mixer-attribution", MV_MAP_NONE, "mixer-attribution.3");
    compare_method("mixer-attribution:level=2,query=pooled", MV_MAP_NONE, "mixer-attribution.2");
    compare_method("hybrid", MV_MAP_NONE, "hybrid");
    compare_method("hybrid", MV_CLASS_TOP, "hybrid.top");
    compare_method("hybrid", 3, "hybrid.class.3");
    compare_method("mixer", MV_MAP_NONE, "levels.2.blocks.0.hidden.pooled");
    compare_method("mixer:what=half_life,dt,level=3", MV_MAP_NONE, "levels.3.blocks.0.dt");
    compare_method("mixer:what=h,channel=5,level=2,block=1", MV_MAP_NONE, "levels.2.blocks.1.h.5");
    compare_method("mixer:what=contributions,query=2,1", MV_MAP_NONE, "levels.2.blocks.0.contributions.cell");
}

static void choices_without_effect_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *says;
    } cases[] = {{"mixer:what=h,signed", "signed"},
                 {"mixer:what=h,query=received", "query"},
                 {"mixer:channel=1,2", "channel"},
                 {"mixer:what=B,C,channel=1", "channel"},
                 {"mixer:channel=4000", "channel 4000"},
                 {"mixer:what=hidden,query=9,0", "query 9,0"},
                 {"mixer:level=2,block=2", "block 2"},
                 {"rollout:query=9,0", "query 9,0"},
                 {"mixer-attribution:query=3,0", "query 3,0"}};
    mv_config c = golden_config(file);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_error e = {0};
        mv_ask ask;
        void *memory;
        mv_ask_parse(&ask, &memory, cases[i].spec, &e);
        expect_ok(&e);
        assert_null(mv_explainer_new(&ask, 1, &c, SIDE_H, SIDE_W, &e));
        assert_int_equal(e.code, MV_EINPUT);
        if (!strstr(e.text, cases[i].says))
            fail_msg("%s: found '%s', expected '%s' in it", cases[i].spec, e.text, cases[i].says);
        free(memory);
    }
    for (int i = 0; i < 2; i++) {
        mv_error e = {0};
        mv_ask ask;
        void *memory;
        assert_int_equal(mv_ask_parse(&ask, &memory, i ? "mixer:what=7" : "mixer:what=none", &e), MV_EINPUT);
        assert_non_null(strstr(e.text, "half_life"));
        assert_null(strstr(e.text, "numbers"));
        free(memory);
    }
}

/* Even rows stay even, and a level without blocks of a kind is refused. */
static void a_rollout_needs_blocks(void **state)
{
    (void)state;
    mv_config c = small_config();
    c.depth[3] = 1; /* a mixer */
    mv_rollout_options o = {.level = {[3] = true}, .attention = true};
    mv_error e = {0};
    assert_null(mv_rollout_new(&o, &c, 64, 64, &e));
    assert_int_equal(e.code, MV_EINPUT);
    o.mixers = true;
    mv_rollout *r = mv_rollout_new(&o, &c, 64, 64, NULL);
    assert_non_null(r);
    assert_null(mv_rollout_rows(r, 0, 3));
    double none = 0;
    assert_int_equal(mv_rollout_follow(&none, r, 0, 3, &none, NULL), MV_EMISUSE);
    mv_rollout_free(r);
    mv_rollout_free(NULL);
}

static int open_file(void **state)
{
    (void)state;
    mv_error e = {0};
    file = mv_safetensors_open("tests/data/explain/mixer.safetensors", &e);
    return file ? 0 : -1;
}

static int close_file(void **state)
{
    (void)state;
    mv_safetensors_close(file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_of_the_state_equal_the_oracle),
        cmocka_unit_test(one_channel_equals_the_oracle),
        cmocka_unit_test(matrices_and_queries_equal_the_oracle),
        cmocka_unit_test(other_queries_follow_from_the_matrix),
        cmocka_unit_test(signs_and_one_channel_equal_the_oracle),
        cmocka_unit_test(the_diagonal_is_told_apart),
        cmocka_unit_test(only_what_is_chosen_is_wanted),
        cmocka_unit_test(bad_choices_are_refused),
        cmocka_unit_test(methods_equal_the_oracle),
        cmocka_unit_test(choices_without_effect_are_refused),
        cmocka_unit_test(a_rollout_needs_blocks),
    };
    return cmocka_run_group_tests_name("mixer", tests, open_file, close_file);
}
