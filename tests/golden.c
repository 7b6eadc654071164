#include "tests/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/run/trace.h"
#include "tests/op_reference.h"

mv_config golden_config(const mv_safetensors *file)
{
    mv_error e = {0};
    mv_config c = {.mlp_ratio = 4, .preprocess = {.h = 64, .w = 64, .crop_pct = 1}};
    mv_labels labels = {0};
    unsigned has;
    const char *json = mv_safetensors_metadata(file, "config");
    assert_non_null(json);
    mv_config_parse(&c, &labels, &has, json, strlen(json), mv_safetensors_file(file), NULL, &e);
    expect_ok(&e);
    mv_labels_free(&labels);
    /* A program takes the number from the weights, which these files do not have. */
    const char *classes = strstr(json, "\"num_classes\":");
    assert_non_null(classes);
    c.classes = atoi(strchr(classes, ':') + 1);
    return c;
}

/* What the oracle's file says of another site of the same block, as fp32; the caller's to free. */
static float *beside(const mv_safetensors *golden, const char *site, const char *leaf, mv_tensor *t)
{
    char name[128];
    const char *dot = strrchr(site, '.');
    snprintf(name, sizeof name, "%.*s.%s", (int)(dot - site), site, leaf);
    assert_true(mv_safetensors_lookup(golden, name, t));
    float *v = malloc(mv_tensor_bytes(*t));
    assert_non_null(v);
    mv_safetensors_read(v, *t);
    return v;
}

/* What the formulas of a mixer's inside need: the oracle's dt, B and C as [B | C] of rank 0, the model's A and D. */
typedef struct {
    int n, tokens, channels;
    float *dt, *proj, *A, *D;
} inside;

static float *vector_of(const network *net, mv_vector v)
{
    mv_error e = {0};
    float *host = malloc((size_t)v.n * sizeof *host);
    assert_non_null(host);
    net->backend->read(net->backend, host, mv_view_of(mv_tensor_of(v.data, MV_F32, 1, v.n)), &e);
    expect_ok(&e);
    return host;
}

static const mv_mixer *mixer_at(const network *net, const char *site, int *level, int *block)
{
    assert_int_equal(sscanf(site, "levels.%d.blocks.%d.", level, block), 2);
    return &net->model->level[*level].token[*block].mixer;
}

static inside inside_of(const mv_safetensors *golden, const char *site, const network *net)
{
    mv_tensor t, of_b;
    int level, block;
    const mv_mixer *m = mixer_at(net, site, &level, &block);
    inside in = {.dt = beside(golden, site, "dt", &t), .A = vector_of(net, m->ssm.A), .D = vector_of(net, m->ssm.D)};
    float *b = beside(golden, site, "B", &of_b), *c = beside(golden, site, "C", &of_b);
    in.n = t.dim[0], in.tokens = t.dim[1], in.channels = t.dim[2];
    size_t tokens = (size_t)in.n * (size_t)in.tokens;
    in.proj = malloc(tokens * 2 * MV_STATES * sizeof *in.proj);
    assert_non_null(in.proj);
    for (size_t i = 0; i < tokens; i++) {
        memcpy(in.proj + 2 * i * MV_STATES, b + i * MV_STATES, MV_STATES * sizeof *b);
        memcpy(in.proj + (2 * i + 1) * MV_STATES, c + i * MV_STATES, MV_STATES * sizeof *c);
    }
    free(b);
    free(c);
    return in;
}

static void inside_free(inside *in)
{
    free(in->dt);
    free(in->proj);
    free(in->A);
    free(in->D);
}

static void hidden_of(double *out, const mv_safetensors *golden, const char *site, const network *net)
{
    inside in = inside_of(golden, site, net);
    ref_hidden(out, in.dt, in.proj, in.A, in.n, in.tokens, in.channels, 0, -1, false);
    inside_free(&in);
}

/* A square weight of a mixer as the source has it. */
static float *weight_of(const network *net, int level, int block, const char *leaf, int channels)
{
    char name[96];
    mv_error e = {0};
    bool found = false;
    weights w;
    float *v = malloc((size_t)channels * (size_t)channels * sizeof *v);
    assert_non_null(v);
    snprintf(name, sizeof name, "levels.%d.blocks.%d.mixer.%s.weight", level, block, leaf);
    mv_source *source = weights_source(&w, net->w.seed);
    source->read(source, name, 2, (const int[]){channels, channels}, v, &found, &e);
    expect_ok(&e);
    assert_true(found);
    return v;
}

/* x W^T of rows of n values, for a square W */
static float *product_of(const float *x, const float *w, size_t rows, size_t n)
{
    float *out = malloc(rows * n * sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < rows * n; i++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += (double)x[i / n * n + k] * (double)w[i % n * n + k];
        out[i] = (float)sum;
    }
    return out;
}

/* The norms of contributions, or of their parts, from the oracle's norm1 */
static void contributions_of(double *norms, double *parts, const mv_safetensors *golden, const char *site,
                             const network *net)
{
    int level, block;
    char norm1[96];
    mv_tensor t;
    const mv_mixer *m = mixer_at(net, site, &level, &block);
    inside in = inside_of(golden, site, net);
    snprintf(norm1, sizeof norm1, "levels.%d.blocks.%d.x", level, block);
    float *u = beside(golden, norm1, "norm1", &t), *w_in = weight_of(net, level, block, "in_proj", t.dim[2]),
          *w_out = weight_of(net, level, block, "out_proj", t.dim[2]), *wx = vector_of(net, m->conv_x),
          *wz = vector_of(net, m->conv_z);
    size_t width = (size_t)t.dim[2], all = mv_spread_rows(in.tokens, 0, in.tokens), n = (size_t)in.n * all * width;
    float *xz = product_of(u, w_in, (size_t)(in.n * in.tokens), width), *packed = malloc(n * sizeof *packed);
    double *rows = malloc(n * sizeof *rows);
    assert_true(packed && rows);
    ref_spread(rows, xz, in.proj, in.dt, in.A, in.D, wx, wz, in.n, in.tokens, in.channels, 0, 0, in.tokens, (int)all);
    for (size_t i = 0; i < n; i++)
        packed[i] = (float)rows[i];
    float *vectors = product_of(packed, w_out, n / width, width);
    ref_weigh(norms, parts, vectors, in.n, in.tokens, (int)width, 0, in.tokens, (int)all);
    inside_free(&in);
    for (float **p = (float *[]){u, w_in, w_out, wx, wz, xz, packed, vectors, NULL}; *p; p++)
        free(*p);
    free(rows);
}

static bool ends_in(const char *site, const char *leaf)
{
    size_t n = strlen(site), k = strlen(leaf);
    return n > k && strcmp(site + n - k, leaf) == 0;
}

/* What a convolution block adds to its input: the oracle tells its output and its input. False for any other site. */
static bool branch_of(float *out, const mv_safetensors *golden, const char *site)
{
    char after[64], before[64];
    int level, block, end = 0;
    mv_tensor a, b;
    if (sscanf(site, "levels.%d.blocks.%d.norm2%n", &level, &block, &end) != 2 || level > 1 || !end || site[end])
        return false;
    snprintf(after, sizeof after, "levels.%d.blocks.%d", level, block);
    if (block)
        snprintf(before, sizeof before, "levels.%d.blocks.%d", level, block - 1);
    else if (level)
        snprintf(before, sizeof before, "levels.%d.downsample", level - 1);
    else
        snprintf(before, sizeof before, "patch_embed");
    assert_true(mv_safetensors_lookup(golden, after, &a));
    assert_true(mv_safetensors_lookup(golden, before, &b));
    float *x = malloc(mv_tensor_bytes(b));
    assert_non_null(x);
    mv_safetensors_read(out, a);
    mv_safetensors_read(x, b);
    for (size_t i = 0; i < mv_tensor_count(a); i++)
        out[i] -= x[i];
    free(x);
    return true;
}

/* The oracle's value of a site. A site that is computed from other sites, and that the oracle does not have, is
 * computed from the oracle's values of those. The caller's to free. */
static float *oracle(const mv_safetensors *golden, const char *site, mv_tensor got, const network *net)
{
    bool hidden = ends_in(site, ".hidden_attn"), norms = ends_in(site, ".contributions"),
         parts = ends_in(site, ".contribution_parts");
    float *w = malloc(mv_tensor_bytes(got));
    assert_non_null(w);
    if (hidden || norms || parts || ends_in(site, ".state_norm")) {
        size_t n = mv_tensor_count(got), rows = (size_t)got.dim[0] * (size_t)got.dim[1];
        double *want = malloc(n * sizeof *want), *rest = malloc(rows * (size_t)(got.dim[1] + 2) * sizeof *rest);
        assert_true(want && rest);
        if (hidden)
            hidden_of(want, golden, site, net);
        else if (norms || parts)
            contributions_of(norms ? want : rest, norms ? rest : want, golden, site, net);
        else {
            mv_tensor t;
            float *h = beside(golden, site, "h", &t);
            ref_state_norm(want, h, n, t.dim[2]);
            free(h);
        }
        free(rest);
        for (size_t i = 0; i < n; i++)
            w[i] = (float)want[i];
        free(want);
        return w;
    }
    if (branch_of(w, golden, site))
        return w;
    mv_tensor want;
    if (!mv_safetensors_lookup(golden, site, &want))
        fail_msg("%s: the oracle has no site %s", mv_safetensors_file(golden), site);
    if (!mv_tensor_same_shape(got, want)) {
        char is[64], due[64];
        fail_msg("%s: %s is %s, expected %s", mv_safetensors_file(golden), site, mv_shape_text(is, got.nd, got.dim),
                 mv_shape_text(due, want.nd, want.dim));
    }
    mv_safetensors_read(w, want);
    return w;
}

void golden_every_site(const char *name, mv_backend *b, double bound)
{
    char path[128];
    mv_error e = {0};
    snprintf(path, sizeof path, "tests/data/golden/%s.safetensors", name);
    mv_safetensors *golden = mv_safetensors_open(path, &e);
    expect_ok(&e);
    mv_config config = golden_config(golden);
    network n = network_on(&config, b, 0);
    mv_tensor in, want, got;
    assert_true(mv_safetensors_lookup(golden, "input", &in));
    float *planes = malloc(mv_tensor_bytes(in));
    assert_non_null(planes);
    mv_safetensors_read(planes, in);

    mv_trace *t = mv_trace_new("**", NULL, NULL, &e);
    mv_run *r = mv_run_new(n.model, in.dim[2], in.dim[3], in.dim[0], mv_trace_probe(t), &e);
    expect_ok(&e);
    mv_run_forward(r, planes, in.dim[0], NULL, &e);
    expect_ok(&e);
    int told = 0;
    double worst = 0;
    const char *at = "";
    for (int i = 0; i < mv_trace_count(t); i++) { /* in the order of the run: the first that differs is the cause */
        const char *site = mv_trace_name_at(t, i);
        got = mv_trace_at(t, i);
        told += mv_safetensors_lookup(golden, site, &want);
        float *w = oracle(golden, site, got, &n);
        double d = relative_l2(got.data, w, mv_tensor_count(got));
        free(w);
        bool product =
            ends_in(site, ".hidden_attn") || strstr(site, ".contribution"); /* dt B C: each is off by its own */
        double due = product ? 2 * bound : bound;
        if (!(d <= due))
            fail_msg("%s: %s differs by %.3g relative L2, expected at most %.3g", name, site, d, due);
        if (d >= worst)
            worst = d, at = site;
    }
    assert_int_equal(told, mv_safetensors_count(golden));
    print_message("           %s: worst of %d sites %.2g, %s\n", name, mv_trace_count(t), worst, at);
    mv_run_free(r);
    mv_trace_free(t);
    network_free(&n);
    free(planes);
    mv_safetensors_close(golden);
}

double golden_variant(const char *name, mv_backend *b)
{
    enum { CLASSES = 1000 };
    char path[128];
    mv_error e = {0};
    mv_config config;
    assert_true(mv_config_lookup(name, &config));
    snprintf(path, sizeof path, "tests/data/golden/input-%d.safetensors", config.preprocess.h);
    mv_safetensors *input = mv_safetensors_open(path, &e),
                   *golden = mv_safetensors_open("tests/data/golden/variants.safetensors", &e);
    expect_ok(&e);
    mv_tensor in, head;
    assert_true(mv_safetensors_lookup(input, "input", &in));
    assert_true(mv_safetensors_lookup(golden, name, &head));
    assert_int_equal(mv_tensor_count(head), CLASSES);
    float *planes = malloc(mv_tensor_bytes(in)), want[CLASSES], logits[CLASSES];
    assert_non_null(planes);
    mv_safetensors_read(planes, in);
    mv_safetensors_read(want, head);
    const char *precision = mv_dtype_name(b->act);
    network n = network_on(&config, b, 0);
    mv_run *r = mv_run_new(n.model, in.dim[2], in.dim[3], 1, NULL, &e);
    expect_ok(&e);
    mv_run_forward(r, planes, 1, logits, &e);
    expect_ok(&e);
    double d = relative_l2(logits, want, CLASSES);
    print_message("           %s %s: logits differ by %.2g\n", name, precision, d);
    mv_run_free(r);
    network_free(&n);
    free(planes);
    mv_safetensors_close(input);
    mv_safetensors_close(golden);
    return d;
}
