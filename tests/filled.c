#include "tests/filled.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/run/back.h"
#include "src/run/edit.h"
#include "src/run/trace.h"
#include "tests/network.h"

enum { H = 64, W = 96, PICTURES = 2, CLASSES = 10, DIM = 10 };

/* Levels of 10, 20, 40 and 80 channels, ranks 3 and 5 */
static mv_config odd_config(bool conv_gamma)
{
    mv_config c = small_config();
    c.dim = DIM;
    c.in_dim = 7;
    c.depth[0] = 2;
    c.conv_gamma = conv_gamma;
    return c;
}

static mv_status seed_of(void *context, int pass, int first, int pictures, int classes, const float *logits,
                         float *seed, mv_error *e)
{
    (void)context, (void)pass, (void)first, (void)logits, (void)e;
    for (int i = 0; i < pictures; i++)
        seed[i * classes + 3] = 1;
    return MV_OK;
}

/* Logits of a forward with these probes, and what it cost. */
static mv_costs computed(const network *n, mv_probe *probes, const mv_back *back, const float *x, float *logits)
{
    mv_error e = {0};
    mv_run *r = mv_run_new_back(n->model, H, W, PICTURES, probes, back, &e);
    expect_ok(&e);
    mv_run_forward(r, x, PICTURES, logits, &e);
    expect_ok(&e);
    mv_costs costs = mv_run_costs(r);
    mv_run_free(r);
    return costs;
}

static void expect_spare(const network *n)
{
    const mv_model *m = n->model;
    const mv_conv *w = &m->level[0].conv[0].conv1;
    int multiple = n->backend->channel_multiple;
    assert_true(multiple > 1);
    assert_true(w->in % multiple == 0 && w->out % multiple == 0);
    assert_true(w->in == w->out && w->out - w->spare_out == DIM && w->in - w->spare_in == DIM && w->spare_out > 0);
    assert_true(m->level[1].down.in % multiple == 0 && m->level[1].down.out == 4 * DIM && !m->level[1].down.spare_out);
    const mv_mixer *x = &m->level[2].token[0].mixer;
    assert_true(x->ssm.rank % multiple == 0 && x->ssm.rank - x->ssm.spare_ranks == 3);
    assert_true(x->x.out == x->ssm.rank + 2 * MV_STATES && x->x.spare_out == x->ssm.spare_ranks);
}

/* Where one value is NaN the other is, too. */
static bool same_nan(mv_tensor a, mv_tensor b)
{
    for (size_t i = 0; i < mv_tensor_count(a); i++)
        if (isnan(((float *)a.data)[i]) != isnan(((float *)b.data)[i]))
            return false;
    return true;
}

/* Gradients are compared where `back` is given. */
static void compare_sites(const network *bare, const network *filled, const mv_back *back, const float *x, double bound,
                          bool nan)
{
    mv_error e = {0};
    const network *both[] = {bare, filled};
    mv_trace *t[2];
    mv_costs costs[2];
    float logits[2][PICTURES * CLASSES];
    for (int i = 0; i < 2; i++) {
        t[i] = mv_trace_new("**", NULL, NULL, &e);
        expect_ok(&e);
        costs[i] = computed(both[i], mv_trace_probe(t[i]), back, x, logits[i]);
    }
    assert_memory_equal(&costs[0], &costs[1], sizeof costs[0]);
    assert_true(mv_trace_count(t[0]) > (back ? 150 : 50));
    assert_int_equal(mv_trace_count(t[0]), mv_trace_count(t[1]));
    for (int i = 0; i < mv_trace_count(t[0]); i++) {
        mv_tensor a = mv_trace_at(t[0], i), b = mv_trace_at(t[1], i);
        const char *site = mv_trace_name_at(t[0], i);
        assert_string_equal(site, mv_trace_name_at(t[1], i));
        if (!mv_tensor_same_shape(a, b))
            fail_msg("%s: the shape has spare channels", site);
        double d = nan ? (same_nan(a, b) ? 0 : INFINITY) : relative_l2(b.data, a.data, mv_tensor_count(a));
        if (d > bound)
            fail_msg("%s differs by %.3g", site, d);
    }
    for (int i = 0; i < 2; i++)
        mv_trace_free(t[i]);
}

static void compare_watched(const network *filled, const float *x)
{
    mv_error e = {0};
    float plain[PICTURES * CLASSES], watched[PICTURES * CLASSES];
    mv_trace *t = mv_trace_new("patch_embed,levels.*,levels.*.downsample,levels.*.blocks.*", NULL, NULL, &e);
    expect_ok(&e);
    computed(filled, NULL, NULL, x, plain);
    computed(filled, mv_trace_probe(t), NULL, x, watched);
    assert_memory_equal(plain, watched, sizeof plain);
    mv_trace_free(t);
}

static void compare_edits(const network *bare, const network *filled, const float *x, double bound)
{
    static const struct {
        const char *text;
        mv_edit_kind kind;
    } cases[] = {
        {"patch_embed[channel=9]", MV_EDIT_ZERO},         {"levels.0.blocks.0", MV_EDIT_MEAN},
        {"levels.0.blocks.1.norm2", MV_EDIT_ZERO},        {"levels.0[cell=1,2]", MV_EDIT_MEAN},
        {"levels.0.downsample[channel=3]", MV_EDIT_MEAN}, {"levels.1.blocks.0", MV_EDIT_ORIGINAL},
        {"levels.2.blocks.0.mixer.B", MV_EDIT_MEAN},
    };
    mv_error e = {0};
    float before[PICTURES * CLASSES], want[PICTURES * CLASSES], found[PICTURES * CLASSES];
    computed(filled, NULL, NULL, x, before);
    for (size_t i = 0; i <= sizeof cases / sizeof *cases; i++) {
        bool noise = i == sizeof cases / sizeof *cases;
        mv_edits *ed = mv_edits_new(&e);
        if (noise)
            mv_edits_add_noise(ed, "levels.0", 3, 1, &e);
        else
            mv_edits_add(ed, cases[i].text, cases[i].kind, (mv_tensor){0}, &e);
        expect_ok(&e);
        computed(bare, mv_edits_probe(ed), NULL, x, want);
        computed(filled, mv_edits_probe(ed), NULL, x, found);
        double d = relative_l2(found, want, PICTURES * CLASSES);
        if (d > bound)
            fail_msg("%s: differs by %.3g", noise ? "noise" : cases[i].text, d);
        if (noise || cases[i].kind != MV_EDIT_ORIGINAL)
            assert_true(relative_l2(found, before, PICTURES * CLASSES) > 1e-4);
        mv_edits_free(ed);
    }
}

void filled_equals_bare(mv_backend *(*open)(mv_dtype), mv_dtype act, int multiple, double bound)
{
    for (int gamma = 0; gamma < 2; gamma++) {
        mv_config c = odd_config(gamma);
        mv_backend *b[] = {open(act), open(act)};
        b[0]->channel_multiple = 1;
        if (multiple)
            b[1]->channel_multiple = multiple;
        network bare = network_on(&c, b[0], 5), filled = network_on(&c, b[1], 5);
        float *x = network_input(PICTURES, H, W, 3);
        expect_spare(&filled);
        for (int part = 0; part < MV_PARTS; part++)
            assert_int_equal(bare.model->parameters[part], filled.model->parameters[part]);
        compare_sites(&bare, &filled, NULL, x, bound, false);
        const mv_rules rules[] = {MV_RULES_GRADIENT, MV_RULES_HELD};
        const mv_back back = {.passes = 2, .rules = rules, .seed = seed_of, .biases = 3};
        if (act == MV_F32 && !mv_backend_check_back(filled.backend, NULL))
            compare_sites(&bare, &filled, &back, x, bound, false);
        compare_watched(&filled, x);
        compare_edits(&bare, &filled, x, bound);
        x[5] = NAN;
        compare_sites(&bare, &filled, NULL, x, 0, true);
        free(x);
        network_free(&bare);
        network_free(&filled);
    }
}
