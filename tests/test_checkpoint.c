/* Checkpoints as users have them, and as they break: every refusal names the file and the tensor or key. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "src/device/cpu.h"
#include "src/device/null.h"
#include "src/file/safetensors.h"
#include "src/model/checkpoint.h"
#include "tests/collector.h"
#include "tests/golden.h"

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* ---- as users have them */

static void files_folders_prefixes_and_types(void **s)
{
    (void)s;
    mv_error e = {0};
    float first[10], other[10];
    collector plain = collect_of("", MV_F32);
    collector_save(&plain, path_of("plain.safetensors"), collector_config);
    logits_of(path_of("plain.safetensors"), first, &e);
    expect_ok(&e);

    collector prefixed = collect_of("model.", MV_F32);
    mkdir(path_of("hub"), 0777);
    collector_save(&prefixed, path_of("hub/model.safetensors"), NULL);
    put(path_of("hub/config.json"), collector_config);
    logits_of(path_of("hub"), other, &e);
    expect_ok(&e);
    assert_memory_equal(first, other, sizeof first);
    logits_of(path_of("hub/"), other, &e);
    expect_ok(&e);
    mv_checkpoint *c = mv_checkpoint_open(path_of("hub"), NULL, NULL, &e);
    expect_ok(&e);
    assert_string_equal(mv_checkpoint_name(c), "hub");
    assert_int_equal(mv_checkpoint_labels(c)->n, 10);
    assert_string_equal(mv_checkpoint_labels(c)->name[9], "j");
    const mv_config *k = mv_checkpoint_config(c);
    assert_true(k->gamma && k->preprocess.mode == MV_CROP_SQUASH && fabs(k->preprocess.crop_pct - 0.9) < 1e-12);
    mv_checkpoint_close(c);

    static const struct {
        mv_dtype type;
        double bound;
    } halves[] = {{MV_F16, 5e-3}, {MV_BF16, 4e-2}, {MV_F64, 1e-7}};
    for (int i = 0; i < 3; i++) {
        collector h = collect_of("module.", halves[i].type);
        collector_save(&h, path_of("half.safetensors"), collector_config);
        logits_of(path_of("half.safetensors"), other, &e);
        expect_ok(&e);
        assert_true(relative_l2(other, first, 10) < halves[i].bound);
        collector_free(&h);
    }
    collector_free(&plain);
    collector_free(&prefixed);
}

static void what_no_config_says_is_inferred(void **s)
{
    (void)s;
    mv_error e = {0};
    collector c = collect_of("", MV_F32);
    collector_save(&c, path_of("bare.safetensors"), "{\"num_heads\": [1, 1, 2, 4], \"window_size\": [8, 8, 7, 4]}");
    mv_checkpoint *k = mv_checkpoint_open(path_of("bare.safetensors"), NULL, NULL, &e);
    expect_ok(&e);
    const mv_config *got = mv_checkpoint_config(k), want = small_config();
    assert_int_equal(got->dim, want.dim);
    assert_int_equal(got->in_dim, want.in_dim);
    assert_memory_equal(got->depth, want.depth, sizeof want.depth);
    assert_true(got->gamma);
    assert_int_equal(got->classes, 10);
    assert_int_equal(got->preprocess.h, 112); /* 16 px a cell, 7 cells a window */
    mv_checkpoint_close(k);
    collector_save(&c, path_of("bare.safetensors"), NULL);
    expect_refusal(path_of("bare.safetensors"), "num_heads and window_size cannot be inferred");
    mkdir(path_of("bare"), 0777);
    collector_save(&c, path_of("bare/model.safetensors"), NULL);
    fclose(fopen(path_of("bare/config.json"), "w"));
    expect_refusal(path_of("bare"), "config.json: found an empty file, expected JSON");
    int i = collector_find(&c, "patch_embed.conv_down.3.weight");
    free(c.name[i]);
    c.name[i] = strdup("elsewhere");
    collector_save(&c, path_of("bare.safetensors"), collector_config);
    expect_refusal(path_of("bare.safetensors"), "found no tensor 'patch_embed.conv_down.3.weight', expected one");
    collector_free(&c);
}

/* ---- as they break */

static void broken_tensors_are_named(void **s)
{
    (void)s;
    collector c = collect_of("model.", MV_F32);
    const char *path = "broken.safetensors";
    int i = collector_find(&c, "levels.2.blocks.1.mixer.x_proj.weight");
    char *kept = c.name[i];
    c.name[i] = strdup("model.elsewhere");
    collector_save(&c, path_of(path), collector_config);
    expect_refusal(path_of(path), "lacks tensor levels.2.blocks.1.mixer.x_proj.weight, expected of shape 20x32");
    free(c.name[i]);
    c.name[i] = kept;

    c.t[i].nd = 1;
    c.t[i].dim[0] *= c.t[i].dim[1];
    collector_save(&c, path_of(path), collector_config);
    expect_refusal(path_of(path), "x_proj.weight is 640, expected 20x32");
    c.t[i].nd = 2;
    c.t[i].dim[0] /= c.t[i].dim[1];

    ((float *)c.t[i].data)[5] = NAN;
    collector_save(&c, path_of(path), collector_config);
    expect_refusal(path_of(path), "x_proj.weight holds nan at element 5");
    ((float *)c.t[i].data)[5] = INFINITY;
    collector_save(&c, path_of(path), collector_config);
    expect_refusal(path_of(path), "x_proj.weight holds inf at element 5");
    ((float *)c.t[i].data)[5] = 0;

    c.t[i].type = MV_I32;
    collector_save(&c, path_of(path), collector_config);
    expect_refusal(path_of(path), "x_proj.weight is of type I32, expected F32, F16 or BF16");
    c.t[i].type = MV_F32;

    i = collector_find(&c, "patch_embed.conv_down.4.running_var");
    ((float *)c.t[i].data)[0] = -1;
    collector_save(&c, path_of(path), collector_config);
    expect_refusal(path_of(path), "running_var is -1 at channel 0");
    collector_free(&c);
}

static void broken_configs_are_told_by_key(void **s)
{
    (void)s;
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"{", "no JSON"},
        {"[]", "no object"},
        {"{\"dim\": \"x\"}", "\"dim\" is not a whole number"},
        {"{\"dim\": -1}", "\"dim\" is not a whole number"},
        {"{\"depths\": [1, 2]}", "\"depths\" is not a list of 4"},
        {"{\"num_heads\": [1, 1, 3, 4], \"window_size\": [8,8,7,4]}", "64 channels and 3 heads"},
        {"{\"resolution\": 8}", "\"resolution\" is not from 32"},
        {"{\"resolution\": [3, 64, 64], \"crop_pct\": 7}", "\"crop_pct\""},
        {"{\"crop_mode\": \"fit\"}", "\"crop_mode\""},
        {"{\"mean\": [1, 2]}", "\"mean\""},
        {"{\"std\": [0, 1, 1]}", "\"std\""},
        {"{\"mlp_ratio\": -2}", "\"mlp_ratio\""},
        {"{\"layer_scale\": \"yes\"}", "\"layer_scale\""},
        {"{\"mean\": [123, 116, 103]}", "neither of pixels from 0 to 1 nor"},
        {"{\"dim\": 16, \"dim\": 17}", "no published variant has dim 17"},
        {"{\"dim\": 32, \"num_heads\": [1,1,2,4], \"window_size\": [8,8,7,4]}",
         "conv_down.3.weight is 16x8x3x3, expected 32x8x3x3"},
        {"{\"depths\": [1, 1, 4, 2], \"num_heads\": [1,1,2,4], \"window_size\": [8,8,7,4]}",
         "lacks tensor levels.2.blocks.3"},
    };
    collector c = collect_of("", MV_F32);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        collector_save(&c, path_of("config.safetensors"), cases[i].json);
        expect_refusal(path_of("config.safetensors"), cases[i].says);
    }
    collector_free(&c);
}

/* A shape may claim any size, if another dimension is 0. */
static void claims_beyond_the_limits_are_refused(void **s)
{
    (void)s;
    static const char sizes[] = "{\"num_heads\": [1,1,2,4], \"window_size\": [8,8,7,4], \"mlp_ratio\": 1}";
    static const struct {
        int in_dim, dim, classes;
        const char *config, *says;
    } cases[] = {
        {32, 8193, 0, sizes, "found dim 8193, expected at most 8192"},
        {32, 1 << 28, 0, sizes, "found dim 268435456, expected at most 8192"},
        {32, (1 << 30) + 10, 0, NULL, "found dim 1073741834, expected at most 8192"},
        {32, 2147483647, 0, "{\"dim\": 80}", "found dim 2147483647, expected at most 8192"},
        {2147483647, 80, 0, sizes, "found in_dim 2147483647, expected at most 8192"},
        {32, 0, 0, sizes, "found dim 0, in_dim 32, expected at least 1"},
        {32, 1, 1000001, sizes, "found classes 1000001, expected at most 1000000"},
        /* within the limits: 2.4 GB that the file has not */
        {8192, 8192, 0, sizes, "conv_down.0.weight is 8192x0, expected 8192x3x3x3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const names[] = {"patch_embed.conv_down.0.weight", "patch_embed.conv_down.3.weight", "head.weight"};
        const char *const key[] = {"config"}, *const text[] = {cases[i].config};
        mv_error e = {0};
        mv_tensor t[3] = {mv_tensor_of("", MV_F32, 2, cases[i].in_dim, 0),
                          mv_tensor_of("", MV_F32, 2, cases[i].dim, 0)};
        void *head = calloc((size_t)cases[i].classes + 1, 8);
        assert_non_null(head);
        t[2] = mv_tensor_of(head, MV_U8, 2, cases[i].classes, 8);
        mv_safetensors_write(path_of("broken.safetensors"), cases[i].classes ? 3 : 2, names, t, text[0] != NULL, key,
                             text, &e);
        free(head);
        expect_ok(&e);
        expect_refusal(path_of("broken.safetensors"), cases[i].says);
    }
}

/* The numbers of a config that came by another way than JSON. */
static void every_number_of_a_config_is_bounded(void **s)
{
    (void)s;
    static const struct {
        size_t at;
        int value;
        const char *says;
    } cases[] = {
        {offsetof(mv_config, dim), 8193, "dim 8193"},
        {offsetof(mv_config, dim), 0, "dim 0"},
        {offsetof(mv_config, dim), -1, "dim -1"},
        {offsetof(mv_config, in_dim), 1 << 30, "in_dim 1073741824"},
        {offsetof(mv_config, classes), -1, "classes -1"},
        {offsetof(mv_config, depth[1]), 513, "level 1 has 513 blocks, expected at most 512"},
        {offsetof(mv_config, depth[3]), -1, "level 3 has -1 blocks"},
        {offsetof(mv_config, heads[2]), 8193, "level 2 has 8193 heads"},
        {offsetof(mv_config, heads[2]), 0, "and 0 heads"},
        {offsetof(mv_config, window[2]), 513, "level 2 has 513 pixels a side of its windows"},
        {offsetof(mv_config, window[3]), 0, "level 3 has a window of 0"},
        {offsetof(mv_config, window[0]), 2147483647, "level 0 has 2147483647"},
        {offsetof(mv_config, preprocess.h), 31, "31x224"},
        {offsetof(mv_config, preprocess.w), 2147483647, "224x2147483647"},
    };
    mv_error e = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_config c = *mv_config_at(0);
        memcpy((char *)&c + cases[i].at, &cases[i].value, sizeof(int));
        e = (mv_error){0};
        assert_int_equal(mv_config_check(&c, "T", &e), MV_EINPUT);
        if (!strstr(e.text, cases[i].says))
            fail_msg("'%s' does not say '%s'", e.text, cases[i].says);
    }
    static const double ratios[] = {0, -1, 65, 1e300, 1e-300, NAN, INFINITY};
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        mv_config c = *mv_config_at(0);
        c.mlp_ratio = ratios[i];
        assert_int_equal(mv_config_check(&c, "T", NULL), MV_EINPUT);
    }
}

/* A name may hold anything JSON can say: it must not reach a terminal or a page as it is. */
static void names_of_classes_are_safe_to_print(void **s)
{
    (void)s;
    mv_error e = {0};
    mv_labels l = {0};
    mv_config c = {.classes = 2};
    unsigned has;
    static const char json[] = "{\"num_classes\": 2, \"id2label\": {\"0\": \"\\u001b[31mred\", \"1\": \"caf\\u00e9\"}, "
                               "\"wnids\": [\"n1\\n\", \"n2\"]}";
    assert_int_equal(mv_config_parse(&c, &l, &has, json, sizeof json - 1, "config", NULL, &e), MV_OK);
    assert_string_equal(l.name[0], "\\x1b[31mred");
    assert_string_equal(l.name[1], "caf\xc3\xa9");
    assert_string_equal(l.wnid[0], "n1\\x0a");
    mv_labels_free(&l);
}

static void other_files_are_no_checkpoints(void **s)
{
    (void)s;
    mv_error e = {0};
    float one = 1;
    const char *names[] = {"weight"};
    mv_tensor t = mv_tensor_of(&one, MV_F32, 1, 1);
    mv_safetensors_write(path_of("other.safetensors"), 1, names, &t, 0, NULL, NULL, &e);
    expect_ok(&e);
    expect_refusal(path_of("other.safetensors"),
                   "no MambaVision checkpoint: lacks tensor patch_embed.conv_down.0.weight among 1 tensors");
    mkdir(path_of("empty"), 0777);
    expect_refusal(path_of("empty"), "without model.safetensors");
    e = (mv_error){0};
    assert_null(mv_checkpoint_open(path_of("none.safetensors"), NULL, NULL, &e));
    assert_int_equal(e.code, MV_EIO);
    assert_non_null(strstr(e.text, "none.safetensors"));
}

/* ---- the table */

static void variants_are_found_by_name(void **s)
{
    (void)s;
    mv_config c;
    assert_true(mv_config_lookup("T", &c) && c.dim == 80);
    assert_true(mv_config_lookup("l3-512-21k", &c) && c.preprocess.h == 512);
    assert_true(mv_config_lookup("MambaVision_L2_512_21K", &c) && c.window[2] == 32);
    assert_true(mv_config_lookup("mambavision-t2", &c) && c.depth[2] == 11);
    assert_false(mv_config_lookup("X", &c));
    assert_false(mv_config_lookup("", &c));
    assert_false(mv_config_lookup("L3", &c));
    int n = 0;
    mv_error e = {0};
    while (mv_config_at(n))
        mv_config_check(mv_config_at(n++), "table", &e);
    expect_ok(&e);
    assert_int_equal(n, 11);
    assert_null(mv_config_at(-1));
    char names[MV_CONFIG_NAMES];
    assert_string_equal(mv_config_names(names),
                        "T, T2, S, B, B-21K, L, L-21K, L2, L2-512-21K, L3-256-21K and L3-512-21K");
    for (int depth = 0; depth < 20; depth++) { /* attention sits in the last floor(depth / 2) blocks */
        int attends = 0;
        for (int j = 0; j < depth; j++)
            attends += mv_config_attends(depth, j);
        assert_int_equal(attends, depth / 2);
    }
}

static int make_folder(void **s)
{
    (void)s;
    strcpy(folder, "/tmp/mvscope-checkpoint-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **s)
{
    (void)s;
    static const char *const names[] = {"bare/model.safetensors", "bare/config.json",  "plain.safetensors",
                                        "half.safetensors",       "bare.safetensors",  "broken.safetensors",
                                        "config.safetensors",     "other.safetensors", "hub/model.safetensors",
                                        "hub/config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(path_of(names[i]));
    rmdir(path_of("hub"));
    rmdir(path_of("empty"));
    rmdir(path_of("bare"));
    return rmdir(folder); /* anything left is a file that should not be there */
}

static void labels_are_lines_of_id_and_name(void **s)
{
    (void)s;
    static const char text[] = "n01440764\ttench\nn03028079\tchurch, church building\nnothing after the last line";
    mv_labels l;
    mv_error e = {0};
    assert_int_equal(mv_labels_parse(&l, text, sizeof text - 1, "names", &e), MV_OK);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.wnid[0], "n01440764");
    assert_string_equal(l.name[0], "tench");
    assert_string_equal(l.name[1], "church, church building");
    mv_labels_free(&l);
    assert_int_equal(l.n, 0);
    assert_int_equal(mv_labels_parse(&l, "", 0, "names", &e), MV_OK);
    assert_int_equal(l.n, 0);
    mv_labels_free(&l);
    assert_int_equal(mv_labels_parse(&l, "a\tb\nno tab\nc\td\n", 16, "names", &e), MV_EINPUT);
    assert_string_equal(e.text, "names: found no tab in line 2, expected a WordNet id, a tab and a name");
    assert_null(l.name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_folders_prefixes_and_types),
        cmocka_unit_test(what_no_config_says_is_inferred),
        cmocka_unit_test(broken_tensors_are_named),
        cmocka_unit_test(broken_configs_are_told_by_key),
        cmocka_unit_test(names_of_classes_are_safe_to_print),
        cmocka_unit_test(other_files_are_no_checkpoints),
        cmocka_unit_test(claims_beyond_the_limits_are_refused),
        cmocka_unit_test(every_number_of_a_config_is_bounded),
        cmocka_unit_test(variants_are_found_by_name),
        cmocka_unit_test(labels_are_lines_of_id_and_name),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, make_folder, remove_folder);
}
