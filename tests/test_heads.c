/* The weights decide what a network is: heads of other names, none, those that are not one Linear, and gammas of conv
 * blocks. */
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
#include "src/explain/logits.h"
#include "src/model/checkpoint.h"
#include "src/run/sites.h"
#include "tests/collector.h"
#include "tests/network.h"
#include "tests/scratch.h"

static void rename_to(collector *c, const char *leaf, const char *name)
{
    int i = collector_find(c, leaf);
    free(c->name[i]);
    c->name[i] = strdup(name);
}

static void drop(collector *c, const char *leaf)
{
    int i = collector_find(c, leaf);
    free(c->name[i]);
    free(c->t[i].data);
    c->n--;
    c->name[i] = c->name[c->n];
    c->t[i] = c->t[c->n];
}

/* Adds a tensor of n zeros. */
static void add(collector *c, const char *name, int n)
{
    assert_true(c->n < COLLECTOR_ROOM);
    float *values = calloc((size_t)n, sizeof *values);
    assert_non_null(values);
    c->name[c->n] = strdup(name);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): nothing stood at n that is lost now */
    c->t[c->n++] = mv_tensor_of(values, MV_F32, 1, n);
}

static void same_logits(const collector *c, const float want[10])
{
    mv_error e = {0};
    float got[10];
    collector_save(c, in_folder("head.safetensors"), collector_config);
    logits_of(in_folder("head.safetensors"), got, &e);
    expect_ok(&e);
    assert_memory_equal(got, want, sizeof got);
}

/* Gives the head each of n names in turn, which must not change the logits; they are left in plain[]. */
static void rename_head(collector *c, float plain[10], const char *before, const char *const heads[], size_t n)
{
    static const char *const leaves[] = {"weight", "bias"};
    char name[64], old[80];
    mv_error e = {0};
    collector_save(c, in_folder("plain.safetensors"), collector_config);
    logits_of(in_folder("plain.safetensors"), plain, &e);
    expect_ok(&e);
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 2; k++) {
            snprintf(old, sizeof old, "%s.%s", before, leaves[k]);
            snprintf(name, sizeof name, "%s.%s", heads[i], leaves[k]);
            rename_to(c, old, name);
        }
        before = heads[i];
        same_logits(c, plain);
    }
}

static void heads_of_other_names(void **s)
{
    (void)s;
    static const char *const heads[] = {"model.head.1", "model.head.fc", "model.classifier", "model.fc", "classifier"};
    mv_error e = {0};
    float plain[10];
    collector c = collect_of("model.", MV_F32);
    rename_head(&c, plain, "model.head", heads, sizeof heads / sizeof *heads);
    /* a Linear behind the network counts even if the network has kept its own head */
    add(&c, "model.head.bias", 10);
    int w = collector_find(&c, "classifier.weight");
    add(&c, "model.head.weight", 10 * c.t[w].dim[1]);
    c.t[c.n - 1].nd = 2, c.t[c.n - 1].dim[0] = 10, c.t[c.n - 1].dim[1] = c.t[w].dim[1];
    same_logits(&c, plain);
    mv_warnings said = {0};
    mv_checkpoint_close(mv_checkpoint_open(in_folder("head.safetensors"), NULL, &said, &e));
    assert_int_equal(said.n, 1);
    assert_non_null(strstr(said.text[0], "classifier.weight, which stands outside of model., is taken as the head"));
    collector_free(&c);
}

/* What stands beside "state_dict.backbone." is below "state_dict.", as MMPretrain and Lightning save it. */
static void heads_beside_a_nested_network(void **s)
{
    (void)s;
    static const char *const heads[] = {"state_dict.head.fc", "state_dict.classifier", "fc"};
    float plain[10];
    collector c = collect_of("state_dict.backbone.", MV_F32);
    rename_head(&c, plain, "state_dict.backbone.head", heads, sizeof heads / sizeof *heads);
    collector_free(&c);
}

static void other_heads_are_named(void **s)
{
    (void)s;
    collector c = collect_of("", MV_F32);
    rename_to(&c, "head.weight", "head.3.weight");
    add(&c, "head.0.weight", 16 * 8);
    c.t[c.n - 1].nd = 2, c.t[c.n - 1].dim[0] = 8, c.t[c.n - 1].dim[1] = 16;
    collector_save(&c, in_folder("head.safetensors"), collector_config);
    expect_refusal(in_folder("head.safetensors"),
                   "found a head of head.0.weight 8x16, head.3.weight 10x128, expected one");
    drop(&c, "head.0.weight");
    add(&c, "head.0.weight", 128);
    collector_save(&c, in_folder("head.safetensors"), collector_config);
    expect_refusal(in_folder("head.safetensors"),
                   "found a head of head.0.weight 128, head.3.weight 10x128, expected one");
    collector_free(&c);
}

/* What belongs to another network of the file is named as a network, not as tensors that nobody reads. */
static void other_networks_are_not_unread(void **s)
{
    (void)s;
    static const char *const prefixes[] = {"", "state_dict.model."};
    for (int i = 0; i < 2; i++) {
        mv_error e = {0};
        collector c = collect_of(prefixes[i], MV_F32);
        add(&c, "state_dict.ema_model.module.patch_embed.conv_down.0.weight", 8);
        add(&c, "state_dict.ema_model.module.norm.weight", 8);
        collector_save(&c, in_folder("two.safetensors"), collector_config);
        mv_warnings said = {0};
        mv_checkpoint *k = mv_checkpoint_open(in_folder("two.safetensors"), NULL, &said, &e);
        expect_ok(&e);
        assert_int_equal(said.n, 1);
        assert_non_null(strstr(said.text[0], "there is 'state_dict.ema_model.module', too"));
        mv_backend *b = mv_cpu_new(MV_F32, 1, NULL, &e);
        mv_model *m = mv_model_new(mv_checkpoint_config(k), b, mv_checkpoint_source(k), &e);
        expect_ok(&e);
        mv_checkpoint_unread(k, false, &said);
        assert_int_equal(said.n, 1);
        mv_model_free(m);
        b->free(b);
        mv_checkpoint_close(k);
        collector_free(&c);
    }
}

/* The network without its head is the same up to the mean over space. */
static void networks_without_a_head(void **s)
{
    (void)s;
    mv_error e = {0};
    collector c = collect_of("backbone.", MV_F32);
    drop(&c, "head.weight");
    drop(&c, "head.bias");
    add(&c, "backbone.outnorm3.weight", 128);
    add(&c, "backbone.levels.0.blocks.0.norm1.num_batches_tracked", 1);
    for (int norm = 1; norm >= 0; norm--) {
        static const char *const leaves[] = {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"};
        char full[64];
        for (int i = 0; !norm && i < 4; i++) {
            snprintf(full, sizeof full, "backbone.%s", leaves[i]);
            drop(&c, full);
        }
        collector_save(&c, in_folder("none.safetensors"), collector_config);
        mv_warnings said = {0};
        mv_checkpoint *k = mv_checkpoint_open(in_folder("none.safetensors"), NULL, &said, &e);
        expect_ok(&e);
        assert_int_equal(mv_checkpoint_config(k)->classes, 0);
        assert_int_equal(mv_checkpoint_config(k)->no_norm, !norm);
        assert_int_equal(mv_checkpoint_labels(k)->n, 0);
        assert_int_equal(said.n, !norm);
        mv_backend *b = mv_cpu_new(MV_F32, 1, NULL, &e);
        mv_model *m = mv_model_new(mv_checkpoint_config(k), b, mv_checkpoint_source(k), &e);
        mv_run *r = m ? mv_run_new(m, 64, 64, 1, NULL, &e) : NULL;
        float *x = network_input(1, 64, 64, 1);
        if (r)
            mv_run_forward(r, x, 1, NULL, &e);
        expect_ok(&e);
        said = (mv_warnings){0};
        mv_checkpoint_unread(k, false, &said);
        assert_int_equal(said.n, 1);
        assert_non_null(strstr(said.text[0], "tensors is not read: backbone.outnorm3.weight"));
        mv_sites sites;
        mv_sites_list(&sites, mv_checkpoint_config(k), 1, 64, 64, &e);
        expect_ok(&e);
        assert_string_equal(sites.name[sites.n - 1], "avgpool");
        mv_sites_free(&sites);
        free(x);
        mv_run_free(r);
        mv_model_free(m);
        b->free(b);
        mv_checkpoint_close(k);
    }
    collector_free(&c);
}

/* x + gamma BN(...) is x + BN'(...) with gamma in the weight and bias of the norm. */
static void gammas_of_conv_blocks(void **s)
{
    (void)s;
    mv_error e = {0};
    float scaled[10], folded[10], plain[10];
    collector c = collect_of("", MV_F32);
    collector_save(&c, in_folder("gamma.safetensors"), collector_config);
    logits_of(in_folder("gamma.safetensors"), plain, &e);
    for (int level = 0; level < 2; level++) {
        char name[64];
        snprintf(name, sizeof name, "levels.%d.blocks.0.gamma", level);
        add(&c, name, 16 << level);
        float *gamma = c.t[c.n - 1].data;
        for (int i = 0; i < 16 << level; i++)
            gamma[i] = (float)(i % 5) * 0.5f - 0.75f;
    }
    collector_save(&c, in_folder("gamma.safetensors"), collector_config);
    logits_of(in_folder("gamma.safetensors"), scaled, &e);
    expect_ok(&e);
    assert_true(relative_l2(scaled, plain, 10) > 1e-3);
    for (int level = 0; level < 2; level++)
        for (int k = 0; k < 2; k++) {
            char name[64];
            snprintf(name, sizeof name, "levels.%d.blocks.0.gamma", level);
            const float *gamma = c.t[collector_find(&c, name)].data;
            snprintf(name, sizeof name, "levels.%d.blocks.0.norm2.%s", level, k ? "bias" : "weight");
            float *v = c.t[collector_find(&c, name)].data;
            for (int i = 0; i < 16 << level; i++)
                v[i] *= gamma[i];
        }
    drop(&c, "levels.0.blocks.0.gamma");
    drop(&c, "levels.1.blocks.0.gamma");
    collector_save(&c, in_folder("gamma.safetensors"), collector_config);
    logits_of(in_folder("gamma.safetensors"), folded, &e);
    expect_ok(&e);
    assert_true(relative_l2(folded, scaled, 10) < 1e-5);
    char config[600] = "{\"layer_scale_conv\": 1e-5, ";
    strcat(config, collector_config + 1);
    collector_save(&c, in_folder("gamma.safetensors"), config);
    expect_refusal(in_folder("gamma.safetensors"), "lacks tensor levels.0.blocks.0.gamma");
    collector_free(&c);
}

static void one_logit_has_the_sigmoid(void **s)
{
    (void)s;
    static const float logits[] = {-0.22838f, 1000, -1000};
    assert_true(fabs(mv_probability(logits, 1, 0) - 0.443152) < 1e-5);
    assert_true(mv_probability(logits + 1, 1, 0) == 1 && mv_probability(logits + 2, 1, 0) == 0);
    assert_true(fabs(mv_probability(logits, 2, 1) - 1) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_of_other_names),      cmocka_unit_test(heads_beside_a_nested_network),
        cmocka_unit_test(other_heads_are_named),     cmocka_unit_test(other_networks_are_not_unread),
        cmocka_unit_test(networks_without_a_head),   cmocka_unit_test(gammas_of_conv_blocks),
        cmocka_unit_test(one_logit_has_the_sigmoid),
    };
    return cmocka_run_group_tests_name("heads", tests, scratch_enter, scratch_leave);
}
