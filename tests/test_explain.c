/* The exact CAM and attention maps against a float64 oracle (tests/data/explain: "odd" and "plain" belong to the golden
 * files of these names, "windows" has its own sites), first for given rows, then for those of the network; choices of
 * blocks and heads, and refusals.
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

#include "src/explain/attention.h"
#include "src/explain/cam.h"
#include "tests/golden.h"

enum { PICTURES = 2 };

#define EXPECT(holds, ...)                                                                                             \
    do {                                                                                                               \
        if (!(holds))                                                                                                  \
            fail_msg(__VA_ARGS__);                                                                                     \
    } while (0)

static void *take(size_t bytes)
{
    void *p = calloc(1, bytes);
    assert_non_null(p);
    return p;
}

/* ---- files */

static mv_safetensors *open_data(const char *folder, const char *name)
{
    char path[128];
    mv_error e = {0};
    snprintf(path, sizeof path, "tests/data/%s/%s.safetensors", folder, name);
    mv_safetensors *file = mv_safetensors_open(path, &e);
    expect_ok(&e);
    return file;
}

/* A tensor whose data are the caller's to free. */
static mv_tensor load(const mv_safetensors *file, const char *format, ...) __attribute__((format(printf, 2, 3)));
static mv_tensor load(const mv_safetensors *file, const char *format, ...)
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
    float *v = take(mv_tensor_count(t) * sizeof *v);
    mv_safetensors_read(v, t);
    t.type = MV_F32;
    t.data = v;
    return t;
}

/* ---- given rows: a probe that writes them where the network computes its own */

typedef struct {
    mv_probe probe;
    const mv_safetensors *file;
} writer;

static bool writer_wants(mv_probe *p, const char *site)
{
    mv_tensor t;
    return strstr(site, ".mixer.attn") && mv_safetensors_lookup(((writer *)p)->file, site, &t);
}

static bool writer_sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    mv_tensor rows = load(((writer *)p)->file, "%s", site->name);
    int windows = v.dim[0] / mv_run_pictures(r);
    assert_int_equal(rows.dim[0], PICTURES * windows);
    assert_true(mv_run_write(r, v, (float *)rows.data + mv_run_first(r) * windows * v.stride[0]));
    free(rows.data);
    return true;
}

/* A forward of a network whose rows are those of `file`, in batches of `capacity` pictures. */
static void show_file(mv_attention_maps *m, const mv_safetensors *file, const mv_config *c, int h, int w, int capacity)
{
    mv_error e = {0};
    network net = network_of(c, MV_F32, 2, 1);
    float *x = network_input(PICTURES, h, w, 1);
    writer first = {.probe = {.wants = writer_wants, .sees = writer_sees, .next = mv_attention_maps_probe(m)},
                    .file = file};
    mv_run *r = mv_run_new(net.model, h, w, capacity, &first.probe, &e);
    expect_ok(&e);
    mv_run_forward(r, x, PICTURES, NULL, &e);
    expect_ok(&e);
    mv_run_free(r);
    free(x);
    network_free(&net);
}

/* ---- against the oracle */

static const struct {
    mv_query_kind kind;
    const char *name;
} queries[] = {{MV_QUERY_POOLED, "pooled"}, {MV_QUERY_RECEIVED, "received"}, {MV_QUERY_CELL, "cell"}};

static mv_attention_options options_for(mv_query_kind kind, const mv_safetensors *want)
{
    mv_attention_options o = {.heads = 1, .head = {MV_HEAD_EACH}, .query = kind, .rollout = true};
    for (int i = 2; i < MV_LEVELS; i++) {
        mv_tensor cell = load(want, "levels.%d.cell", i);
        o.cell[i][0] = (int)((float *)cell.data)[0];
        o.cell[i][1] = (int)((float *)cell.data)[1];
        free(cell.data);
    }
    return o;
}

static void compare_map(const mv_attention_map *got, mv_tensor want, int picture, const char *what, double bound)
{
    EXPECT(got, "%s: picture %d was not seen", what, picture);
    size_t cells = (size_t)got->map.h * (size_t)got->map.w;
    assert_int_equal(got->map.h, want.dim[1]);
    assert_int_equal(got->map.w, want.dim[2]);
    assert_string_equal(got->map.unit, "share");
    double d = relative_l2(got->map.v, (float *)want.data + (size_t)picture * cells, cells);
    EXPECT(d <= bound, "%s: %s of picture %d differs by %.3g, expected at most %.3g", what, got->map.title, picture, d,
           bound);
}

/* A figure of a picture: the mean of those of its windows, weighted by their cells. */
static double over_windows(mv_tensor t, const mv_grid *g, int picture, int head)
{
    double sum = 0;
    for (int n = 0; n < g->windows; n++) {
        int rows, columns;
        mv_grid_extent(g, n, &rows, &columns);
        sum += (double)((float *)t.data)[(picture * g->windows + n) * t.dim[1] + head] * rows * columns;
    }
    return sum / (g->h * g->w);
}

static void compare_stats(const mv_safetensors *want, const mv_attention_block *b, const mv_attention_map *got,
                          int picture, int head, double bound)
{
    const char *name[] = {"entropy", "distance", "padding"};
    const double figure[] = {got->stats.entropy, got->stats.distance, got->stats.padding};
    assert_int_equal(got->stats.rows, b->grid.h * b->grid.w);
    for (int k = 0; k < 3; k++) {
        mv_tensor t = load(want, "levels.%d.blocks.%d.%s", b->level, b->block, name[k]);
        double w = over_windows(t, &b->grid, picture, head);
        EXPECT(fabs(figure[k] - w) <= bound * fmax(1, fabs(w)), "%s: %s %.9g, expected %.9g", got->map.title, name[k],
               figure[k], w);
        free(t.data);
    }
}

/* Compares all maps. */
static void compare_all(const mv_attention_maps *m, const mv_safetensors *want, const char *query, double bound)
{
    for (int i = 0; i < mv_attention_maps_count(m); i++) {
        mv_attention_block b = mv_attention_maps_block_at(m, i);
        bool rollout = b.block == MV_BLOCK_ROLLOUT;
        for (int head = MV_HEAD_MEAN; head < (rollout ? 0 : b.heads); head++) {
            char part[48];
            if (rollout)
                snprintf(part, sizeof part, "rollout");
            else if (head == MV_HEAD_MEAN)
                snprintf(part, sizeof part, "blocks.%d.mean", b.block);
            else
                snprintf(part, sizeof part, "blocks.%d.%d", b.block, head);
            mv_tensor t = load(want, "levels.%d.%s.%s", b.level, part, query);
            for (int p = 0; p < PICTURES; p++) {
                const mv_attention_map *got = mv_attention_maps_lookup(m, p, i, head);
                compare_map(got, t, p, query, bound);
                if (head >= 0)
                    compare_stats(want, &b, got, p, head, bound);
            }
            free(t.data);
        }
    }
}

static void size_of(const mv_safetensors *golden, int *h, int *w)
{
    mv_tensor in;
    *h = 97, *w = 131; /* of the file without an input */
    if (mv_safetensors_lookup(golden, "input", &in)) {
        *h = in.dim[2];
        *w = in.dim[3];
    }
}

static void rows_equal_the_oracle(const char *sites, const char *name)
{
    mv_safetensors *rows = open_data(sites, name), *want = open_data("explain", name);
    mv_config c = golden_config(want);
    int h, w;
    size_of(rows, &h, &w);
    for (int q = 0; q < 3; q++)
        for (int capacity = 1; capacity <= PICTURES; capacity++) {
            mv_error e = {0};
            mv_attention_options o = options_for(queries[q].kind, want);
            mv_attention_maps *m = mv_attention_maps_new(&o, &c, h, w, &e);
            expect_ok(&e);
            for (int again = 0; again < 2; again++) { /* a second forward replaces the first */
                show_file(m, rows, &c, h, w, capacity);
                compare_all(m, want, queries[q].name, 2e-6);
            }
            mv_attention_maps_free(m);
        }
    mv_safetensors_close(rows);
    mv_safetensors_close(want);
}

static void attention_of_one_padded_window(void **s)
{
    (void)s;
    rows_equal_the_oracle("golden", "plain");
}

static void attention_of_two_windows_at_odd_depths(void **s)
{
    (void)s;
    rows_equal_the_oracle("golden", "odd");
}

static void attention_of_many_windows(void **s)
{
    (void)s;
    rows_equal_the_oracle("explain", "windows");
}

static void a_run_equals_the_oracle(void **s)
{
    (void)s;
    mv_safetensors *golden = open_data("golden", "odd"), *want = open_data("explain", "odd");
    mv_config c = golden_config(golden);
    network net = network_of(&c, MV_F32, 2, 0);
    mv_tensor in = load(golden, "input");
    for (int q = 0; q < 3; q++) {
        mv_error e = {0};
        mv_attention_options o = options_for(queries[q].kind, want);
        mv_attention_maps *m = mv_attention_maps_new(&o, &c, in.dim[2], in.dim[3], &e);
        expect_ok(&e);
        mv_run *r = mv_run_new(net.model, in.dim[2], in.dim[3], 1 + q % 2, mv_attention_maps_probe(m), &e);
        expect_ok(&e);
        mv_run_forward(r, in.data, PICTURES, NULL, &e);
        expect_ok(&e);
        compare_all(m, want, queries[q].name, 1e-5);
        mv_run_free(r);
        mv_attention_maps_free(m);
    }
    free(in.data);
    network_free(&net);
    mv_safetensors_close(golden);
    mv_safetensors_close(want);
}

static void cam_equals_the_oracle(void **s)
{
    (void)s;
    static const struct {
        const char *folder, *name;
        uint64_t seed;
    } files[] = {{"golden", "plain", 0}, {"golden", "odd", 0}, {"explain", "windows", 11}};
    for (int f = 0; f < 3; f++) {
        mv_safetensors *sites = open_data(files[f].folder, files[f].name), *want = open_data("explain", files[f].name);
        mv_config config = golden_config(want);
        network net = network_of(&config, MV_F32, 1, files[f].seed);
        mv_tensor norm = load(sites, "norm"), head = load(sites, "head");
        for (int c = 0; c < config.classes; c++)
            for (int p = 0; p < PICTURES; p++) {
                mv_error e = {0};
                mv_map map;
                mv_cam(&map, net.model, norm, p, c, &e);
                expect_ok(&e);
                assert_true(map.diverging);
                assert_string_equal(map.unit, "logit per cell");
                double logit = (double)((float *)head.data)[p * config.classes + c];
                EXPECT(fabs(mv_map_mean(&map) - logit) <= 2e-6, "%s: mean %.9g, logit %.9g", files[f].name,
                       mv_map_mean(&map), logit);
                if (c == 0 || c == 7) {
                    mv_tensor t = load(want, "cam.%d", c);
                    size_t cells = (size_t)map.h * (size_t)map.w;
                    assert_int_equal(map.h, t.dim[1]);
                    assert_int_equal(map.w, t.dim[2]);
                    assert_true(relative_l2(map.v, (float *)t.data + (size_t)p * cells, cells) <= 2e-6);
                    free(t.data);
                }
                mv_map_free(&map);
            }
        free(norm.data);
        free(head.data);
        network_free(&net);
        mv_safetensors_close(sites);
        mv_safetensors_close(want);
    }
}

/* ---- the probe's choices */

static mv_attention_maps *chosen(const mv_safetensors *file, mv_attention_options o)
{
    mv_error e = {0};
    mv_config c = golden_config(file);
    mv_attention_maps *m = mv_attention_maps_new(&o, &c, 97, 131, &e);
    expect_ok(&e);
    show_file(m, file, &c, 97, 131, PICTURES);
    return m;
}

static void same(const mv_attention_map *a, const mv_attention_map *b)
{
    assert_true(a && b);
    assert_true(relative_l2(a->map.v, b->map.v, (size_t)(a->map.h * a->map.w)) <= 1e-6);
    assert_true(fabs(a->stats.entropy - b->stats.entropy) <= 1e-9 && fabs(a->stats.padding - b->stats.padding) <= 1e-9);
    assert_true(fabs(a->stats.distance - b->stats.distance) <= 1e-7 && fabs(a->padding - b->padding) <= 1e-9);
    assert_int_equal(a->stats.rows, b->stats.rows);
    assert_string_equal(a->map.title, b->map.title);
}

static void a_choice_equals_its_part_of_all(void **s)
{
    (void)s;
    mv_safetensors *file = open_data("explain", "windows");
    mv_attention_options o = {.heads = 1, .head = {MV_HEAD_EACH}, .rollout = true};
    mv_attention_maps *all = chosen(file, o); /* 2: blocks 2 and 3, rollout; 3: blocks 3 and 4, rollout */
    assert_int_equal(mv_attention_maps_count(all), 6);
    o.heads = 0; /* the mean */
    mv_attention_maps *mean = chosen(file, o);
    o = (mv_attention_options){.level = {[3] = true}, .blocks = 1, .block = {4}, .heads = 1, .head = {3}};
    mv_attention_maps *one = chosen(file, o);
    o.rollout = true;
    mv_attention_maps *rolled = chosen(file, o);
    mv_attention_maps *several =
        chosen(file, (mv_attention_options){.blocks = 2, .block = {4, 2}, .heads = 2, .head = {MV_HEAD_MEAN, 1}});
    assert_int_equal(mv_attention_maps_count(one), 1);
    assert_int_equal(mv_attention_maps_count(rolled), 2);
    assert_int_equal(mv_attention_maps_block_at(one, 0).block, 4);
    assert_int_equal(mv_attention_maps_block_at(rolled, 1).block, MV_BLOCK_ROLLOUT);
    for (int p = 0; p < PICTURES; p++) {
        for (int i = 0; i < 6; i++)
            same(mv_attention_maps_lookup(mean, p, i, MV_HEAD_MEAN), mv_attention_maps_lookup(all, p, i, MV_HEAD_MEAN));
        same(mv_attention_maps_lookup(one, p, 0, 3), mv_attention_maps_lookup(all, p, 4, 3));
        same(mv_attention_maps_lookup(rolled, p, 0, 3), mv_attention_maps_lookup(all, p, 4, 3));
        same(mv_attention_maps_lookup(rolled, p, 1, MV_HEAD_MEAN), mv_attention_maps_lookup(all, p, 5, MV_HEAD_MEAN));
    }
    assert_int_equal(mv_attention_maps_count(several), 2); /* level 2, block 2 and level 3, block 4 */
    for (int i = 0; i < 2; i++) {
        for (int head = MV_HEAD_MEAN; head <= 1; head += 2)
            same(mv_attention_maps_lookup(several, 1, i, head), mv_attention_maps_lookup(all, 1, i ? 4 : 0, head));
        assert_null(mv_attention_maps_lookup(several, 1, i, 0));
    }
    assert_string_equal(mv_attention_maps_lookup(one, 0, 0, 3)->map.title, "Level 3, block 4, head 3");
    assert_null(mv_attention_maps_lookup(one, 0, 0, MV_HEAD_MEAN));
    assert_null(mv_attention_maps_lookup(one, 0, 0, 2));
    assert_null(mv_attention_maps_lookup(one, 0, 1, 3));
    assert_null(mv_attention_maps_lookup(one, PICTURES, 0, 3));
    assert_null(mv_attention_maps_lookup(one, -1, 0, 3));
    assert_null(mv_attention_maps_lookup(mean, 0, 0, MV_HEAD_EACH));
    assert_null(mv_attention_maps_lookup(all, 0, 0, 2));
    mv_attention_maps_free(all);
    mv_attention_maps_free(mean);
    mv_attention_maps_free(one);
    mv_attention_maps_free(rolled);
    mv_attention_maps_free(several);
    mv_attention_maps_free(NULL);
    mv_safetensors_close(file);
}

static void only_what_is_chosen_is_wanted(void **s)
{
    (void)s;
    mv_config c = small_config(); /* levels 2 and 3 have 3 and 2 blocks */
    mv_attention_options o = {.level = {[2] = true}};
    mv_attention_maps *m = mv_attention_maps_new(&o, &c, 64, 64, NULL);
    assert_non_null(m);
    mv_probe *p = mv_attention_maps_probe(m);
    assert_true(p->wants(p, "levels.2.blocks.2.mixer.attn"));
    assert_false(p->wants(p, "levels.2.blocks.1.mixer.attn"));
    assert_false(p->wants(p, "levels.3.blocks.1.mixer.attn"));
    assert_false(p->wants(p, "levels.2.blocks.2.mixer"));
    mv_attention_maps_free(m);
}

/* ---- bad input */

static void refused(const mv_config *c, mv_attention_options o, const char *says)
{
    mv_error e = {0};
    assert_null(mv_attention_maps_new(&o, c, 97, 131, &e));
    assert_int_equal(e.code, MV_EINPUT);
    EXPECT(strstr(e.text, says), "found '%s', expected '%s' in it", e.text, says);
    assert_null(mv_attention_maps_new(&o, c, 97, 131, NULL));
}

#define OPTIONS(...) ((mv_attention_options){__VA_ARGS__})

static void bad_choices_are_refused(void **s)
{
    (void)s;
    mv_config c = small_config(), shallow = c, half = c;
    shallow.depth[2] = shallow.depth[3] = 1;
    half.depth[3] = 1;
    refused(&shallow, OPTIONS(.rollout = true), "no attention");
    refused(&shallow, OPTIONS(.level = {[2] = true}), "level 2");
    refused(&half, OPTIONS(.level = {[3] = true}), "expected level 2");
    refused(&c, OPTIONS(.level = {true}), "expected level 2, level 3");
    refused(&c, OPTIONS(.blocks = 1, .block = {0}), "level 2: 2, level 3: 1");
    refused(&c, OPTIONS(.blocks = 1, .block = {7}), "block 7");
    refused(&c, OPTIONS(.blocks = 1, .block = {-5}), "block -5");
    refused(&c, OPTIONS(.blocks = 2, .block = {2, 0}), "block 0");
    refused(&c, OPTIONS(.heads = 1, .head = {2}), "level 2 has 2 heads"); /* level 3 has head 2, level 2 has not */
    refused(&c, OPTIONS(.heads = 1, .head = {-3}), "head -3");
    refused(&c, OPTIONS(.heads = 2, .head = {MV_HEAD_EACH, 9}), "head 9");
    refused(&c, OPTIONS(.heads = 65), "at most 64");
    const int outside[][2] = {{7, 0}, {0, 9}, {-1, 0}, {0, -1}, {1 << 30, 1 << 30}};
    for (int i = 0; i < 5; i++)
        refused(&c,
                OPTIONS(.level = {[2] = true}, .query = MV_QUERY_CELL, .cell = {[2] = {outside[i][0], outside[i][1]}}),
                "7 x 9");
    refused(&c, OPTIONS(.query = MV_QUERY_CELL, .cell = {[2] = {6, 8}, [3] = {6, 8}}), "4 x 5");
}

static void rows_of_another_size_stop_the_run(void **s)
{
    (void)s;
    mv_config c = small_config();
    mv_attention_options o = OPTIONS(.rollout = true);
    mv_attention_maps *m = mv_attention_maps_new(&o, &c, 97, 131, NULL);
    assert_non_null(m);
    network net = network_of(&c, MV_F32, 1, 1);
    mv_error e = {0};
    assert_null(mv_run_new(net.model, 64, 64, 1, mv_attention_maps_probe(m), &e));
    assert_int_equal(e.code, MV_EMISUSE);
    assert_non_null(strstr(e.text, "for pictures of 97x131"));
    assert_null(mv_attention_maps_lookup(m, 0, 0, MV_HEAD_MEAN));
    mv_attention_maps_free(m);
    network_free(&net);
}

static void cam_refuses_what_is_not_there(void **s)
{
    (void)s;
    float weight[2 * 8] = {0}, bias[2] = {0}, x[8 * 6] = {0};
    mv_model m = {.config = {.dim = 1, .classes = 2}, .head_weight = weight, .head_bias = bias},
             empty = {.config = m.config};
    mv_tensor norm = mv_tensor_of(x, MV_F32, 4, 1, 8, 2, 3), wrong = mv_tensor_of(x, MV_F32, 4, 1, 6, 2, 4);
    mv_map map;
    mv_error e = {0};
    assert_int_equal(mv_cam(&map, &m, norm, 0, 2, &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "2 classes"));
    assert_int_equal(mv_cam(&map, &m, norm, 0, -1, NULL), MV_EINPUT);
    assert_int_equal(mv_cam(&map, &m, norm, 1, 0, NULL), MV_EMISUSE);
    assert_int_equal(mv_cam(&map, &m, norm, -1, 0, NULL), MV_EMISUSE);
    assert_int_equal(mv_cam(&map, &m, wrong, 0, 0, NULL), MV_EMISUSE);
    assert_int_equal(mv_cam(&map, &m, (mv_tensor){0}, 0, 0, NULL), MV_EMISUSE);
    assert_int_equal(mv_cam(&map, &empty, norm, 0, 0, NULL), MV_EMISUSE);
    mv_map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_of_one_padded_window),
        cmocka_unit_test(attention_of_two_windows_at_odd_depths),
        cmocka_unit_test(attention_of_many_windows),
        cmocka_unit_test(a_run_equals_the_oracle),
        cmocka_unit_test(cam_equals_the_oracle),
        cmocka_unit_test(a_choice_equals_its_part_of_all),
        cmocka_unit_test(only_what_is_chosen_is_wanted),
        cmocka_unit_test(bad_choices_are_refused),
        cmocka_unit_test(rows_of_another_size_stop_the_run),
        cmocka_unit_test(cam_refuses_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
