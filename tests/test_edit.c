/* Edits of one picture, and what an edit is equal to: a network whose weights are zero where the value is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/model/grid.h"
#include "src/run/edit.h"
#include "src/run/trace.h"
#include "tests/network.h"

enum { H = 97, W = 131, CLASSES = 10, SEED = 7 }; /* two windows in levels 2 and 3, with padding */

static network net;
static const mv_tensor no;

static int setup(void **s)
{
    (void)s;
    mv_config c = small_config();
    net = network_of(&c, MV_F32, 2, SEED);
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    network_free(&net);
    return 0;
}

static void forward(const mv_model *model, mv_probe *probes, const float *planes, int pictures, int capacity,
                    float *logits)
{
    mv_error e = {0};
    mv_run *r = mv_run_new(model, H, W, capacity, probes, &e);
    expect_ok(&e);
    mv_run_forward(r, planes, pictures, logits, &e);
    expect_ok(&e);
    mv_run_free(r);
}

typedef struct {
    const char *text;
    int kind; /* an mv_edit_kind; NOISE */
} change;

enum { NOISE = 100 };

static void add(mv_edits *ed, change c)
{
    mv_error e = {0};
    if (c.kind == NOISE)
        mv_edits_add_noise(ed, c.text, 5, 0.5, &e);
    else
        mv_edits_add(ed, c.text, (mv_edit_kind)c.kind, no, &e);
    expect_ok(&e);
}

static mv_edits *edits_new(void)
{
    mv_error e = {0};
    mv_edits *ed = mv_edits_new(&e);
    expect_ok(&e);
    return ed;
}

static void check(const mv_edits *ed)
{
    mv_error e = {0};
    mv_sites list;
    mv_sites_list(&list, &net.model->config, 1, H, W, &e);
    expect_ok(&e);
    mv_edits_check(ed, &list, &e);
    expect_ok(&e);
    mv_sites_free(&list);
}

/* The logits of one picture with these edits. */
static void edited(const change *c, int n, const float *planes, float *logits)
{
    mv_edits *ed = edits_new();
    for (int i = 0; i < n; i++)
        add(ed, c[i]);
    check(ed);
    forward(net.model, mv_edits_probe(ed), planes, 1, 1, logits);
    mv_edits_free(ed);
}

static const change changes[] = {{"levels.2.blocks.2.mixer.v[head=1]", MV_EDIT_ZERO},
                                 {"levels.2.blocks.0.mixer.dt", MV_EDIT_MEAN},
                                 {"levels.3.blocks.1.mixer.attn[head=3]", MV_EDIT_MEAN},
                                 {"levels.0.blocks.0.norm2", MV_EDIT_ZERO},
                                 {"levels.1[channel=5]", MV_EDIT_ZERO},
                                 {"levels.2.blocks.1[cell=6,8]", MV_EDIT_MEAN},
                                 {"levels.1.downsample[cell=2,3]", MV_EDIT_ZERO},
                                 {"levels.3.blocks.0.mixer.y[token=3]", MV_EDIT_ZERO},
                                 {"levels.2.blocks.0.mixer", NOISE},
                                 {"input", NOISE}};
enum { CHANGES = sizeof changes / sizeof *changes };

/* A batch of one picture: each of its copies has an edit of its own, two have none. */
static void edits_of_one_picture_equal_single_edits(void **s)
{
    (void)s;
    enum { COPIES = CHANGES + 2 };
    size_t n = (size_t)3 * H * W;
    float *x = malloc(COPIES * n * sizeof *x), *one = network_input(1, H, W, 4), logits[COPIES * CLASSES],
          plain[CLASSES];
    assert_non_null(x);
    for (int i = 0; i < COPIES; i++)
        memcpy(x + (size_t)i * n, one, n * sizeof *x);
    mv_edits *ed = edits_new();
    for (int i = 0; i < CHANGES; i++) {
        mv_edits_only(ed, i + 1);
        add(ed, changes[i]);
    }
    check(ed);
    forward(net.model, NULL, one, 1, 1, plain);
    static const int capacities[] = {COPIES, 5, 1};
    for (int k = 0; k < 3; k++) {
        forward(net.model, mv_edits_probe(ed), x, COPIES, capacities[k], logits);
        for (int i = 0; i < COPIES; i++) {
            float want[CLASSES];
            bool none = i == 0 || i > CHANGES;
            if (!none)
                edited(&changes[i - 1], 1, one, want);
            double d = relative_l2(logits + (size_t)i * CLASSES, none ? plain : want, CLASSES),
                   moved = relative_l2(logits + (size_t)i * CLASSES, plain, CLASSES);
            if (d > 2e-6 || (!none && moved < 1e-5))
                fail_msg("%s, %d at a time: differs by %.3g from the single edit, by %.3g from none",
                         none ? "no edit" : changes[i - 1].text, capacities[k], d, moved);
        }
    }
    /* the same by numbers that go on from forward to forward */
    for (int i = 0; i < COPIES; i++) {
        float again[CLASSES];
        mv_edits_start(ed, i);
        forward(net.model, mv_edits_probe(ed), one, 1, 1, again);
        assert_memory_equal(again, logits + (size_t)i * CLASSES, sizeof again);
    }
    mv_edits_free(ed);
    free(x);
    free(one);
}

/* Not one bit, at any site, beside a picture that goes the same way. */
static void the_original_value_changes_nothing(void **s)
{
    (void)s;
    mv_error e = {0};
    mv_sites list;
    mv_sites_list(&list, &net.model->config, 1, H, W, &e);
    expect_ok(&e);
    float *x = network_input(1, H, W, 8), before[CLASSES], after[CLASSES];
    for (int i = 0; i < list.n; i++) {
        if (list.site[i].diagnostic)
            continue;
        mv_edits *ed = edits_new();
        mv_edits_only(ed, 1);
        add(ed, (change){list.name[i], MV_EDIT_ORIGINAL});
        forward(net.model, mv_edits_probe(ed), x, 1, 1, before);
        mv_edits_start(ed, 1);
        forward(net.model, mv_edits_probe(ed), x, 1, 1, after);
        assert_memory_equal(before, after, sizeof before);
        mv_edits_free(ed);
    }
    mv_sites_free(&list);
    free(x);
}

/* ---- weights of zero */

/* Generated weights of which some rows or columns are zero. */
typedef struct {
    mv_source source;
    weights w;
    const char *name;
    int from, to; /* of the last dimension (columns), or of the first (rows) */
    bool rows;
} zeroed;

static mv_status read_zeroed(mv_source *s, const char *name, int nd, const int *dim, float *out, bool *found,
                             mv_error *e)
{
    zeroed *z = (zeroed *)s;
    mv_status status = z->w.source.read(&z->w.source, name, nd, dim, out, found, e);
    size_t n = 1;
    for (int i = 0; i < nd; i++)
        n *= (size_t)dim[i];
    if (strncmp(name, z->name, strlen(z->name)) != 0)
        return status;
    for (size_t i = 0; i < n; i++) {
        int at = (int)(z->rows ? i / (n / (size_t)dim[0]) : i % (size_t)dim[nd - 1]);
        if (at >= z->from && at < z->to)
            out[i] = 0;
    }
    return status;
}

/* An edit equals the network with zeros in its weights: an oracle that knows nothing of edits. */
static void an_edit_equals_weights_of_zero(void **s)
{
    (void)s;
    static const struct {
        zeroed z;
        int n;
        change c[2];
    } cases[] = {
        /* 4 heads of 32 channels: what head 2 gives the projection */
        {{.name = "levels.3.blocks.1.mixer.proj.weight", .from = 64, .to = 96},
         1,
         {{"levels.3.blocks.1.mixer.v[head=2]", MV_EDIT_ZERO}}},
        {{.name = "levels.3.blocks.1.mixer.proj.weight", .from = 64, .to = 96},
         1,
         {{"levels.3.blocks.1.mixer.attn[head=2]", MV_EDIT_ZERO}}},
        /* the scan, and the branch beside it: halves of 64 channels */
        {{.name = "levels.2.blocks.1.mixer.out_proj.weight", .from = 0, .to = 32},
         1,
         {{"levels.2.blocks.1.mixer.y", MV_EDIT_ZERO}}},
        {{.name = "levels.2.blocks.1.mixer.out_proj.weight", .from = 32, .to = 64},
         1,
         {{"levels.2.blocks.1.mixer.z", MV_EDIT_ZERO}}},
        /* x_proj gives the rank of 4, B of 8 and C of 8 */
        {{.name = "levels.2.blocks.0.mixer.x_proj.weight", .from = 12, .to = 20, .rows = true},
         1,
         {{"levels.2.blocks.0.mixer.C", MV_EDIT_ZERO}}},
        /* blocks that are skipped */
        {{.name = "levels.1.blocks.0.norm2.", .to = 1 << 20}, 1, {{"levels.1.blocks.0.norm2", MV_EDIT_ZERO}}},
        {{.name = "levels.3.blocks.0.gamma_", .to = 1 << 20},
         2,
         {{"levels.3.blocks.0.mixer", MV_EDIT_ZERO}, {"levels.3.blocks.0.mlp", MV_EDIT_ZERO}}},
    };
    float *x = network_input(1, H, W, 3), plain[CLASSES], want[CLASSES], got[CLASSES];
    forward(net.model, NULL, x, 1, 1, plain);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_error e = {0};
        zeroed z = cases[i].z;
        weights_source(&z.w, SEED);
        z.source = (mv_source){.read = read_zeroed, .place = "zeros"};
        mv_model *m = mv_model_new(&net.model->config, net.backend, &z.source, &e);
        expect_ok(&e);
        forward(m, NULL, x, 1, 1, want);
        mv_model_free(m);
        edited(cases[i].c, cases[i].n, x, got);
        double d = relative_l2(got, want, CLASSES), moved = relative_l2(want, plain, CLASSES);
        if (d > 2e-6 || moved < 1e-4)
            fail_msg("%s: differs by %.3g from weights of zero, which move the logits by %.3g", cases[i].c[0].text, d,
                     moved);
    }
    free(x);
}

/* ---- tokens, cells and noise */

static mv_trace *traced(mv_edits *ed, const char *site, const float *x, int pictures, int capacity)
{
    mv_error e = {0};
    mv_trace *t = mv_trace_new(site, NULL, NULL, &e);
    expect_ok(&e);
    if (ed)
        mv_edits_probe(ed)->next = mv_trace_probe(t);
    forward(net.model, ed ? mv_edits_probe(ed) : mv_trace_probe(t), x, pictures, capacity, NULL);
    return t;
}

static mv_tensor value(const mv_trace *t)
{
    assert_int_equal(mv_trace_count(t), 1);
    return mv_trace_at(t, 0);
}

/* Only the cell changes, to the mean of its window, or of all cells of a map. */
static void an_edit_of_a_cell_changes_its_token(void **s)
{
    (void)s;
    static const char *const sites[] = {"levels.2.blocks.0", "levels.1.downsample"};
    float *x = network_input(1, H, W, 6);
    mv_grid g = mv_grid_of(&net.model->config, 2, H, W);
    assert_int_equal(g.windows, 2);
    for (int i = 0; i < 2; i++) {
        char text[64];
        mv_edits *ed = edits_new();
        mv_trace *before = traced(NULL, sites[i], x, 1, 1);
        snprintf(text, sizeof text, "%s[cell=5,8]", sites[i]);
        add(ed, (change){text, MV_EDIT_MEAN});
        check(ed);
        mv_trace *after = traced(ed, sites[i], x, 1, 1);
        mv_tensor a = value(before), b = value(after);
        int window = 0, token = 5 * g.w + 8, tokens = g.h * g.w, channels = a.dim[i ? 1 : 2];
        if (!i) {
            mv_grid_token(&g, 5, 8, &window, &token);
            tokens = g.tokens;
            assert_int_equal(window, 1);
        }
        const float *u = a.data, *v = b.data;
        for (size_t k = 0; k < mv_tensor_count(a); k++) {
            size_t channel = i ? k / (size_t)tokens : k % (size_t)channels,
                   at = i ? k % (size_t)tokens : k / (size_t)channels;
            if (at != (size_t)(window * tokens + token)) {
                assert_true(u[k] == v[k]);
                continue;
            }
            double sum = 0;
            for (int t = 0; t < tokens; t++)
                sum += (double)u[i ? channel * (size_t)tokens + (size_t)t
                                   : (size_t)(window * tokens + t) * (size_t)channels + channel];
            assert_true(fabs((double)v[k] - sum / tokens) <= 1e-6 * (1 + fabs(sum / tokens)));
        }
        mv_edits_free(ed);
        mv_trace_free(before);
        mv_trace_free(after);
    }
    free(x);
}

/* As strong as it says, the same whatever the batch, another one for another seed or site. */
static void noise_is_reproducible(void **s)
{
    (void)s;
    mv_error e = {0};
    const char *site = "levels.2.blocks.0.mixer.y";
    float *x = network_input(3, H, W, 9);
    mv_trace *plain = traced(NULL, site, x, 3, 3), *noisy[4];
    for (int i = 0; i < 4; i++) { /* 3 at a time, one at a time, another seed, none at all */
        mv_edits *ed = edits_new();
        mv_edits_add_noise(ed, site, i == 2 ? 6 : 5, i == 3 ? 0 : 0.25, &e);
        expect_ok(&e);
        noisy[i] = traced(ed, site, x, 3, i == 1 ? 1 : 3);
        mv_edits_free(ed);
    }
    mv_tensor a = value(plain), b[4];
    for (int i = 0; i < 4; i++)
        b[i] = value(noisy[i]);
    size_t n = mv_tensor_count(a) / 3;
    assert_true(relative_l2(b[1].data, b[0].data, 3 * n) <= 2e-6);
    assert_memory_equal(b[3].data, a.data, mv_tensor_bytes(a));
    for (int picture = 0; picture < 3; picture++) {
        const float *u = (const float *)a.data + (size_t)picture * n,
                    *v = (const float *)b[0].data + (size_t)picture * n,
                    *w = (const float *)b[2].data + (size_t)picture * n;
        double mean = 0, own = 0, sum = 0, squares = 0, across = 0, others = 0;
        for (size_t k = 0; k < n; k++)
            mean += (double)u[k] / (double)n;
        for (size_t k = 0; k < n; k++) {
            double d = (double)v[k] - (double)u[k], o = (double)w[k] - (double)u[k];
            own += ((double)u[k] - mean) * ((double)u[k] - mean);
            sum += d, squares += d * d, across += d * o, others += o * o;
        }
        double ratio = sqrt(squares / own), few = 4 / sqrt((double)n);
        assert_true(fabs(ratio / 0.25 - 1) < few);
        assert_true(fabs(sum / sqrt(squares * (double)n)) < few);
        assert_true(fabs(across / sqrt(squares * others)) < few);
    }
    for (int i = 0; i < 4; i++)
        mv_trace_free(noisy[i]);
    mv_trace_free(plain);
    free(x);
}

static void indices_that_do_not_exist_are_told(void **s)
{
    (void)s;
    static const char *const words[] = {"levels.3[cell=1]",   "levels.3[cell=1,2,3]", "levels.3[cell=-1,2]",
                                        "levels.3[token=]",   "levels.3[cell=,]",     "levels.3[token=9999999]",
                                        "levels.3[head=1]x",  "levels.3[=1]",         "levels.3[cell=1,2",
                                        "levels.3[column=1]", "levels.3[channel=1 ]"};
    static const struct {
        const char *text, *says;
    } cases[] = {{"levels.2.blocks.0[cell=7,0]", "has 7 x 9 cells: found row 7, column 0, expected below 7 and 9"},
                 {"levels.2.blocks.0[cell=0,9]", "has 7 x 9 cells: found row 0, column 9"},
                 {"levels.0[cell=25,0]", "has 25 x 33 cells"},
                 {"levels.2.blocks.0[token=49]", "expected below 49"},
                 {"levels.1.downsample[token=63]", "expected below 63"},
                 {"head[cell=0,0]", "head has no cells"},
                 {"avgpool[token=0]", "avgpool has no tokens"}};
    mv_sites list;
    mv_error e = {0};
    mv_sites_list(&list, &net.model->config, 1, H, W, &e);
    expect_ok(&e);
    mv_edits *ed = edits_new();
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        e = (mv_error){0};
        if (mv_edits_add(ed, words[i], MV_EDIT_ZERO, no, &e) != MV_EINPUT)
            fail_msg("%s: accepted", words[i]);
    }
    mv_edits_free(ed);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ed = edits_new();
        add(ed, (change){cases[i].text, MV_EDIT_ZERO});
        e = (mv_error){0};
        assert_int_equal(mv_edits_check(ed, &list, &e), MV_EINPUT);
        if (!strstr(e.text, cases[i].says))
            fail_msg("%s: found '%s', expected '%s' in it", cases[i].text, e.text, cases[i].says);
        mv_edits_free(ed);
    }
    mv_sites_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_of_one_picture_equal_single_edits),
        cmocka_unit_test(the_original_value_changes_nothing),
        cmocka_unit_test(an_edit_equals_weights_of_zero),
        cmocka_unit_test(an_edit_of_a_cell_changes_its_token),
        cmocka_unit_test(noise_is_reproducible),
        cmocka_unit_test(indices_that_do_not_exist_are_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
