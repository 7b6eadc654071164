/* Configs as timm, transformers and Python's json module write them: what is read, and what is a warning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/model/config.h"

typedef struct {
    mv_config c;
    mv_labels labels;
    mv_warnings warnings;
    mv_error e;
    unsigned has;
} parsed;

/* Reads a config of a network whose head has `classes`, and then a preprocessor_config unless NULL. */
static parsed parse(int classes, const char *config, const char *processor)
{
    parsed p = {.c = *mv_config_at(0)};
    p.c.classes = classes;
    mv_status s = mv_config_parse(&p.c, &p.labels, &p.has, config, strlen(config), "a/config.json", &p.warnings, &p.e);
    if (!s && processor)
        mv_config_parse_processor(&p.c, &p.has, processor, strlen(processor), "a/preprocessor_config.json",
                                  "a/config.json", &p.warnings, &p.e);
    return p;
}

static void expect_warnings(const parsed *p, int n, const char *says)
{
    if (p->e.code)
        fail_msg("%s", p->e.text);
    if (p->warnings.n != n || (n && !strstr(p->warnings.text[n - 1], says)))
        fail_msg("found %d warnings, the last '%s', expected %d and '%s'", p->warnings.n,
                 p->warnings.n ? p->warnings.text[p->warnings.n - 1] : "", n, says);
}

static void expect_pixels(const parsed *p, int h, int w, double share, mv_crop_mode mode)
{
    assert_int_equal(p->c.preprocess.h, h);
    assert_int_equal(p->c.preprocess.w, w);
    assert_true(fabs(p->c.preprocess.crop_pct - share) < 1e-9);
    assert_int_equal(p->c.preprocess.mode, mode);
}

static void expect_scale(const parsed *p, double mean, double std)
{
    assert_true(fabs((double)p->c.preprocess.mean[0] - mean) < 1e-6);
    assert_true(fabs((double)p->c.preprocess.std[0] - std) < 1e-6);
}

/* ---- JSON */

static void python_writes_more_than_json(void **state)
{
    (void)state;
    static const char *const texts[] = {"\xef\xbb\xbf{\"resolution\": 64}",
                                        "{\"drop_path_rate\": NaN, \"resolution\": 64}",
                                        "{\"a\": [Infinity, -Infinity, NaN], \"resolution\": 64.0}",
                                        "{\"a\": \"NaN \\\" NaN\", \"mean\": NaN, \"resolution\": [3, 64.0, 64]}",
                                        "{\"a\": \"x\\u0000y\", \"resolution\": [64, 64]}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        parsed p = parse(10, texts[i], NULL);
        expect_warnings(&p, 0, "");
        expect_pixels(&p, 64, 64, 1, MV_CROP_CENTER);
        expect_scale(&p, 0.485, 0.229);
    }
    parsed p = parse(10, "{\"dim\": 16.0, \"depths\": [1, 2.0, 3, 4]}", NULL);
    expect_warnings(&p, 0, "");
    assert_int_equal(p.c.dim, 16);
    assert_int_equal(p.c.depth[1], 2);
    p = parse(10, "{\"dim\": 16, \"dim\": 24}", NULL);
    expect_warnings(&p, 1, "the last value counts");
    assert_int_equal(p.c.dim, 24);
    p = parse(10, "{\"seed\": 18446744073709551615, \"dim\": 24}", NULL);
    expect_warnings(&p, 0, "");
    assert_int_equal(p.c.dim, 24);
    static const char *const broken[] = {
        "", "\xef\xbb\xbf", "{", "{\"dim\": NaNa}", "{\"dim\": 16.5}", "{\"dim\": 1e300}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        p = parse(10, broken[i], NULL);
        assert_int_equal(p.e.code, MV_EINPUT);
    }
    static char deep[20000];
    memset(deep, '[', sizeof deep - 1);
    memcpy(deep, "{\"a\":", 5);
    p = parse(10, deep, NULL);
    assert_int_equal(p.e.code, MV_EINPUT);
}

/* ---- pre-processing */

static void what_is_no_json_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } cases[] = {
        {"<!DOCTYPE html><title>404</title>", "a/config.json: found a web page"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:"
         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\nsize 4711\n",
         "a/config.json: found a Git LFS pointer to a file of 4711 bytes"},
        {"GGUF\3", "found a GGUF checkpoint, expected JSON"},
        {"{\"dim\": 8,}", "is no JSON: "},
        {"dim: 8\n", "is no JSON: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parsed p = parse(3, cases[i].config, NULL);
        assert_int_equal(p.e.code, MV_EINPUT);
        if (!strstr(p.e.text, cases[i].says))
            fail_msg("found '%s', expected '%s'", p.e.text, cases[i].says);
    }
}

/* A parsed config takes 70 times its size. */
static void configs_have_a_largest_size(void **state)
{
    (void)state;
    enum { SIZE = 9 << 20 };
    mv_config c = *mv_config_at(0);
    mv_labels labels = {0};
    mv_error e = {0};
    unsigned has;
    char *json = malloc(SIZE);
    assert_non_null(json);
    memset(json, ' ', SIZE);
    memcpy(json, "{}", 2);
    assert_int_equal(mv_config_parse(&c, &labels, &has, json, SIZE, "config.json", NULL, &e), MV_EINPUT);
    assert_string_equal(e.text, "config.json: found 9437184 bytes, expected JSON of at most 8388608");
    free(json);
}

static void interpolation_is_a_key(void **state)
{
    (void)state;
    parsed p = parse(10, "{\"interpolation\": \"bilinear\"}", NULL);
    expect_warnings(&p, 0, "");
    assert_int_equal(p.c.preprocess.filter, MV_RESAMPLE_BILINEAR);
    assert_true(p.has & MV_HAS_FILTER);
    p = parse(10, "{\"interpolation\": \"lanczos\"}", NULL);
    expect_warnings(&p, 1, "lanczos, expected bicubic or bilinear");
    assert_int_equal(p.c.preprocess.filter, MV_RESAMPLE_BICUBIC);
}

static const char timm[] =
    "{\"num_classes\": 2, \"pretrained_cfg\": {\"input_size\": [3, 96, 64], \"crop_pct\": 0.875, "
    "\"crop_mode\": \"squash\", \"interpolation\": \"bilinear\", \"mean\": [0.5, 0.5, 0.5], "
    "\"std\": [0.5, 0.5, 0.5], \"num_classes\": 1000, \"label_names\": [\"a\", \"b\"]}%s}";

static void timm_nests_its_keys(void **state)
{
    (void)state;
    char text[600];
    snprintf(text, sizeof text, timm, "");
    parsed p = parse(2, text, NULL);
    expect_warnings(&p, 0, "");
    expect_pixels(&p, 96, 64, 0.875, MV_CROP_SQUASH);
    expect_scale(&p, 0.5, 0.5);
    assert_int_equal(p.c.preprocess.filter, MV_RESAMPLE_BILINEAR);
    assert_string_equal(p.labels.name[1], "b");
    mv_labels_free(&p.labels);

    snprintf(text, sizeof text, timm, ", \"crop_pct\": 1, \"mean\": [0.485, 0.456, 0.406]");
    p = parse(2, text, NULL);
    expect_warnings(&p, 1, "config.json: pretrained_cfg: has other values of crop_pct, mean than config.json");
    expect_pixels(&p, 96, 64, 0.875, MV_CROP_SQUASH);
    mv_labels_free(&p.labels);

    p = parse(10, "{\"pretrained_cfg\": {\"crop_mode\": \"fit\"}}", NULL);
    expect_warnings(&p, 1, "\"crop_mode\" is not");
    p = parse(10, "{\"pretrained_cfg\": {\"test_input_size\": [3, 288, 288], \"input_size\": [3, 224, 224]}}", NULL);
    expect_warnings(&p, 1, "--size 288");
    p = parse(10, "{\"pretrained_cfg\": {\"test_crop_pct\": 1.0, \"crop_pct\": 0.9}}", NULL);
    expect_warnings(&p, 1, "--crop-pct 1");
    p = parse(10,
              "{\"pretrained_cfg\": {\"test_crop_pct\": 0.9, \"test_input_size\": [3, 224, 224], \"crop_pct\": 0.9, "
              "\"input_size\": [3, 224, 224]}}",
              NULL);
    expect_warnings(&p, 0, "");
}

static void means_of_bytes_are_divided(void **state)
{
    (void)state;
    parsed p = parse(10, "{\"mean\": [123.675, 116.28, 103.53], \"std\": [58.395, 57.12, 57.375]}", NULL);
    expect_warnings(&p, 1, "divided by 255");
    expect_scale(&p, 0.485, 0.229);
    p = parse(10, "{\"mean\": [0, 0, 0], \"std\": [255, 255, 255]}", NULL);
    expect_warnings(&p, 1, "divided by 255");
    expect_scale(&p, 0, 1);
    p = parse(10, "{\"mean\": 0.5, \"std\": 0.25}", NULL);
    expect_warnings(&p, 0, "");
    expect_scale(&p, 0.5, 0.25);
    static const char *const unclear[] = {"{\"mean\": [123, 116, 103]}", "{\"std\": [58, 57, 57]}",
                                          "{\"mean\": [123, 116, 103], \"std\": [1, 1, 1]}",
                                          "{\"mean\": [0.5, 0.5, 0.5], \"std\": [127.5, 127.5, 127.5]}",
                                          "{\"pretrained_cfg\": {\"mean\": [123, 116, 103]}}"};
    for (size_t i = 0; i < sizeof unclear / sizeof *unclear; i++) {
        p = parse(10, unclear[i], NULL);
        assert_int_equal(p.e.code, MV_EINPUT);
        assert_non_null(strstr(p.e.text, "neither of pixels from 0 to 1 nor"));
    }
}

/* ---- preprocessor_config.json */

static void sizes_of_image_processors(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int h, w;
        double share;
        mv_crop_mode mode;
    } cases[] = {
        {"{\"size\": {\"height\": 96, \"width\": 64}}", 96, 64, 1, MV_CROP_SQUASH},
        {"{\"size\": 96, \"image_processor_type\": \"ViTImageProcessor\"}", 96, 96, 1, MV_CROP_SQUASH},
        {"{\"size\": 256, \"crop_size\": 224, \"do_center_crop\": true, \"feature_extractor_type\": "
         "\"CLIPFeatureExtractor\"}",
         224, 224, 0.875, MV_CROP_CENTER},
        {"{\"size\": {\"shortest_edge\": 256}, \"do_center_crop\": true, \"crop_size\": {\"height\": 224, \"width\": "
         "224}}",
         224, 224, 0.875, MV_CROP_CENTER},
        {"{\"size\": {\"height\": 256, \"width\": 256}, \"do_center_crop\": true, \"crop_size\": {\"height\": 224, "
         "\"width\": 224}, \"image_processor_type\": \"DeiTImageProcessor\"}",
         224, 224, 0.875, MV_CROP_SQUASH},
        {"{\"size\": {\"shortest_edge\": 224}, \"crop_pct\": 0.875, \"image_processor_type\": "
         "\"ConvNextImageProcessor\"}",
         224, 224, 0.875, MV_CROP_CENTER},
        {"{\"size\": {\"shortest_edge\": 384}, \"crop_pct\": 0.875, \"image_processor_type\": "
         "\"ConvNextImageProcessor\"}",
         384, 384, 1, MV_CROP_SQUASH},
        {"{\"size\": {\"shortest_edge\": 224}, \"do_center_crop\": true}", 224, 224, 1, MV_CROP_CENTER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parsed p = parse(10, "{}", cases[i].json);
        expect_warnings(&p, 0, "");
        expect_pixels(&p, cases[i].h, cases[i].w, cases[i].share, cases[i].mode);
    }
    /* the side that the picture is resized to survives the share: floor(crop / share) */
    for (int side = 224; side < 480; side++) {
        char text[160];
        snprintf(text, sizeof text, "{\"size\": {\"shortest_edge\": %d}, \"do_center_crop\": true, \"crop_size\": 224}",
                 side);
        parsed p = parse(10, "{}", text);
        expect_warnings(&p, 0, "");
        assert_int_equal((int)floor(224 / p.c.preprocess.crop_pct), side);
    }
}

static void what_an_image_processor_asks_for_in_vain(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{\"do_resize\": false}", "\"do_resize\" is false"},
        {"{\"size\": {\"shortest_edge\": 224}}", "without a crop"},
        {"{\"size\": {\"longest_edge\": 224}}", "no size in pixels"},
        {"{\"size\": \"large\"}", "no size in pixels"},
        {"{\"size\": -5}", "no size in pixels"},
        {"{\"size\": 8}", "not possible"},
        {"{\"size\": {\"shortest_edge\": 256}, \"do_center_crop\": true, \"crop_size\": {\"height\": 224, \"width\": "
         "96}}",
         "other proportions"},
        {"{\"size\": {\"shortest_edge\": 200}, \"do_center_crop\": true, \"crop_size\": 224}", "filled with the mean"},
        {"{\"resample\": 0}", "0 (nearest)"},
        {"{\"resample\": 1}", "1 (lanczos)"},
        {"{\"resample\": 4}", "4 (box)"},
        {"{\"resample\": 5}", "5 (hamming)"},
        {"{\"resample\": 6}", "\"resample\" is not"},
        {"{\"image_mean\": [1]}", "\"image_mean\" is no list"},
        {"{\"image_std\": [0, 1, 1]}", "\"image_std\" is no list"},
        {"{\"rescale_factor\": 0}", "\"rescale_factor\" is 0"},
        {"{\"do_pad\": true}", "\"do_pad\" is true"},
        {"{\"do_flip_channel_order\": true}", "\"do_flip_channel_order\" is true"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parsed p = parse(10, "{}", cases[i].json);
        expect_warnings(&p, 1, cases[i].says);
    }
    parsed p = parse(10, "{}", "[]");
    assert_int_equal(p.e.code, MV_EINPUT);
}

static void scales_of_image_processors(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        double mean, std;
        int warnings;
    } cases[] = {
        {"{}", 0.485, 0.229, 0},
        {"{\"image_mean\": [0.5, 0.5, 0.5], \"image_std\": [0.25, 0.25, 0.25], \"rescale_factor\": "
         "0.00392156862745098}",
         0.5, 0.25, 0},
        {"{\"image_mean\": 0.5, \"image_std\": 0.25}", 0.5, 0.25, 0},
        {"{\"do_normalize\": false}", 0, 1, 0},
        {"{\"do_rescale\": false, \"image_mean\": [51, 51, 51], \"image_std\": [102, 102, 102]}", 0.2, 0.4, 0},
        {"{\"rescale_factor\": 0.00784313725490196, \"image_mean\": [1, 1, 1], \"image_std\": [1, 1, 1]}", 0.5, 0.5, 0},
        {"{\"image_mean\": [127.5, 127.5, 127.5], \"image_std\": [127.5, 127.5, 127.5]}", 0.5, 0.5, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parsed p = parse(10, "{}", cases[i].json);
        expect_warnings(&p, cases[i].warnings, "divided by 255");
        expect_scale(&p, cases[i].mean, cases[i].std);
    }
    parsed p = parse(10, "{\"resolution\": 224, \"mean\": [0.485, 0.456, 0.406]}",
                     "{\"size\": {\"height\": 224, \"width\": 224}, \"resample\": 2, \"image_mean\": [0.5, 0.5, 0.5]}");
    expect_warnings(&p, 1, "preprocessor_config.json: has other values of mean than config.json; they are used");
    expect_scale(&p, 0.5, 0.229);
    assert_int_equal(p.c.preprocess.filter, MV_RESAMPLE_BILINEAR);
}

/* ---- labels */

static void labels_never_stop_a_model(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
        const char *zero, *two; /* names of classes 0 and 2 of three */
    } cases[] = {
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}}", NULL, "a", "c"},
        {"{\"id2label\": {\"1\": \"a\", \"2\": \"b\", \"3\": \"c\"}}", "has the key '3', expected 0 to 2", NULL, NULL},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"b\"}}", "names 2 of 3 classes; the first without a name is class 2",
         "a", NULL},
        {"{\"id2label\": {\"0\": \"a\", \"2\": \"c\"}}", "the first without a name is class 1", "a", "c"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": 7, \"2\": \"c\"}}", "no text for class 1", "a", "c"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"a\"}}", "'a' for several classes", "a", "a"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\", \"3\": \"d\"}}",
         "names 4 classes, but the head has 3", NULL, NULL},
        {"{\"id2label\": {\"a\": \"0\", \"b\": \"1\", \"c\": \"2\"}}", "has the key", NULL, NULL},
        {"{\"id2label\": {\"0\": \"a\", \"0\": \"b\", \"1\": \"c\", \"2\": \"d\"}}", "the last value counts", "b", "d"},
        {"{\"id2label\": [\"a\", \"b\", \"c\"]}", NULL, "a", "c"},
        {"{\"id2label\": [\"a\", \"b\"]}", "names 2 classes, but the head has 3", NULL, NULL},
        {"{\"label_names\": [\"a\", \"b\", \"c\"]}", NULL, "a", "c"},
        {"{\"classes\": [\"a\", null, \"c\"]}", "no text for class 1", "a", "c"},
        {"{\"classes\": [\"a\", \"b\", \"c\"], \"wnids\": [\"n1\"]}", "\"wnids\" is no list of 3", "a", "c"},
        {"{\"classes\": [\"a\", \"b\", \"c\"], \"wnids\": [\"n1\", 2, \"n3\"]}", "\"wnids\" is no list of 3", "a", "c"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parsed p = parse(3, cases[i].json, NULL);
        expect_warnings(&p, cases[i].says != NULL, cases[i].says);
        assert_int_equal(p.labels.n, 3);
        const char *want[] = {cases[i].zero, cases[i].two};
        for (int k = 0; k < 2; k++)
            if (want[k])
                assert_string_equal(p.labels.name[2 * k], want[k]);
            else
                assert_null(p.labels.name[2 * k]);
        mv_labels_free(&p.labels);
    }
    parsed p = parse(3, "{\"id2label\": 5}", NULL);
    expect_warnings(&p, 1, "no list of names");
    p = parse(3, "{\"id2label\": {\"0\": \"LABEL_0\", \"1\": \"LABEL_1\"}}", NULL);
    expect_warnings(&p, 0, "");
    assert_int_equal(p.labels.n, 0);
    p = parse(0, "{\"id2label\": {\"0\": \"a\"}, \"num_classes\": 1}", NULL); /* no head, so no classes */
    expect_warnings(&p, 0, "");
    assert_int_equal(p.labels.n, 0);
    p = parse(2,
              "{\"label_names\": [\"n01440764\", \"n01443537\"], \"label_descriptions\": {\"n01440764\": \"tench\"}}",
              NULL);
    expect_warnings(&p, 0, "");
    assert_string_equal(p.labels.name[0], "tench");
    assert_string_equal(p.labels.wnid[0], "n01440764");
    assert_string_equal(p.labels.name[1], "n01443537");
    mv_labels_free(&p.labels);
}

static void the_head_counts(void **state)
{
    (void)state;
    parsed p = parse(10, "{\"num_classes\": 1000}", NULL);
    expect_warnings(&p, 1, "\"num_classes\" is 1000, but the head has 10,");
    assert_int_equal(p.c.classes, 10);
    p = parse(10, "{\"num_classes\": \"10\"}", NULL);
    expect_warnings(&p, 1, "\"num_classes\" is not a whole number, and is not read");
    assert_int_equal(p.c.classes, 10);
}

static void first_names(void **state)
{
    (void)state;
    const char *names[] = {"tench, Tinca tinca", "maillot", "Maillot, tank suit", NULL, ", x", "crane", "crane"};
    char **brief = mv_labels_short(names, 7);
    assert_non_null(brief);
    assert_string_equal(brief[0], "tench");
    assert_string_equal(brief[1], "maillot");
    assert_string_equal(brief[2], "Maillot, tank suit");
    assert_null(brief[3]);
    assert_string_equal(brief[4], ", x");
    assert_string_equal(brief[5], "crane");
    mv_labels_short_free(brief, 7);

    assert_true(mv_labels_names("tench, Tinca tinca", "tinca TINCA") && mv_labels_names("tench, Tinca tinca", "tench"));
    assert_false(mv_labels_names("tench, Tinca tinca", "tinca") || mv_labels_names("tench", ""));
    char *known[] = {"tench", "goldfish", "great white shark", "cock", "hen"};
    char *same[] = {"tench, Tinca tinca", "Carassius auratus, GOLDFISH", "great white shark", "cock", "biddy"};
    char *other[] = {"hen", "cock", "great white shark", "goldfish", "tench"};
    mv_labels a = {5, known, NULL}, b = {5, same, NULL}, c = {5, other, NULL}, d = {4, known, NULL};
    assert_true(mv_labels_agree(&b, &a));
    assert_false(mv_labels_agree(&c, &a));
    assert_false(mv_labels_agree(&d, &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(python_writes_more_than_json),
        cmocka_unit_test(what_is_no_json_is_named),
        cmocka_unit_test(configs_have_a_largest_size),
        cmocka_unit_test(interpolation_is_a_key),
        cmocka_unit_test(timm_nests_its_keys),
        cmocka_unit_test(means_of_bytes_are_divided),
        cmocka_unit_test(sizes_of_image_processors),
        cmocka_unit_test(what_an_image_processor_asks_for_in_vain),
        cmocka_unit_test(scales_of_image_processors),
        cmocka_unit_test(labels_never_stop_a_model),
        cmocka_unit_test(the_head_counts),
        cmocka_unit_test(first_names),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
