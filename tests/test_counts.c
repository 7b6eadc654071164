/* What kernels move and how, counted in the emulation at shapes of the published variants, with few windows or heads:
 *
 *   blocks; KB in, KB out    of different sectors: what must come from and go to memory
 *   sectors, at least        of 32 bytes, by the requests of warps; as many as their bytes would fill
 *   wavefronts, conflicts    of shared memory; those of them that bank conflicts add
 *   barriers                 __syncthreads of a block
 *   shuffles, products       of a warp; products of the tensor cores (16 x 8 x 16)
 *
 * The emulation is compiled by GCC: a compiler for GPUs may join narrow loads, but not undo conflicts or strides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/card.h"
#include "tests/counts.h"
#include "tests/network.h"
#include "tests/op_stage.h"

enum { OPERANDS = 6 };

static const char *current; /* the label of the case */
static const mv_tensor none;

/* What is launched from here on is the operation of the case. */
static void begins(void)
{
    counts_label(current);
}

static stage_value *in(stage *s, const char *name, mv_dtype type, int nd, const int *dim)
{
    return stage_in(s, name, type, 0.5f, 0.5f, nd, dim);
}

/* ---- what a pass does */

/* windows, tokens, channels, rank, 1: h is stored */
static void scan(stage *s, const int *d)
{
    int n = d[0], t = d[1], e = d[2], rank = d[3];
    stage_value *x = in(s, "x", s->b->act, DIMS(n, t, e)),
                *proj = in(s, "proj", s->b->act, DIMS(n, t, rank + 2 * MV_STATES)),
                *yz = stage_out(s, "yz", s->b->act, DIMS(n, t, 2 * e)),
                *h = d[4] ? stage_out(s, "h", MV_F32, DIMS(n, t, e, MV_STATES)) : NULL;
    stage_ssm m = stage_ssm_of(s, e, rank);
    begins();
    s->b->scan(s->b, yz->t, x->t, proj->t, none, &m.w, h ? h->t : none, &s->e);
}

/* windows, tokens, channels */
static void conv1d(stage *s, const int *d)
{
    int n = d[0], t = d[1], e = d[2];
    stage_value *xz = in(s, "xz", s->b->act, DIMS(n, t, 2 * e)), *x = stage_out(s, "x", s->b->act, DIMS(n, t, e)),
                *yz = stage_out(s, "yz", s->b->act, DIMS(n, t, 2 * e));
    stage_vector wx = stage_vector_of(s, "wx", (size_t)e * MV_TAPS, 0, 1),
                 wz = stage_vector_of(s, "wz", (size_t)e * MV_TAPS, 0, 1);
    begins();
    s->b->conv1d_silu(s->b, x->t, yz->t, xz->t, wx.v, wz.v, &s->e);
}

/* windows, tokens, heads, d, 1: rows are stored */
static void attention(stage *s, const int *d)
{
    int n = d[0], t = d[1], heads = d[2], c = heads * d[3];
    stage_value *qkv = in(s, "qkv", s->b->act, DIMS(n, t, 3 * c)), *out = stage_out(s, "out", s->b->act, DIMS(n, t, c)),
                *rows = d[4] ? stage_out(s, "rows", MV_F32, DIMS(n, heads, t, t)) : NULL;
    begins();
    s->b->attention(s->b, out->t, qkv->t, heads, rows ? rows->t : none, &s->e);
}

/* rows, channels */
static void layernorm(stage *s, const int *d)
{
    stage_value *x = in(s, "x", s->b->act, DIMS(d[0], d[1])), *out = stage_out(s, "out", s->b->act, DIMS(d[0], d[1]));
    stage_vector weight = stage_vector_of(s, "weight", (size_t)d[1], 1, 0.5f),
                 bias = stage_vector_of(s, "bias", (size_t)d[1], 0, 0.5f);
    begins();
    s->b->layernorm(s->b, out->t, x->t, weight.v, bias.v, 1e-5f, &s->e);
}

/* rows, channels, 1: by gamma */
static void add(stage *s, const int *d)
{
    stage_value *x = in(s, "x", s->b->act, DIMS(d[0], d[1])), *onto = in(s, "onto", s->b->act, DIMS(d[0], d[1])),
                *out = stage_out(s, "out", s->b->act, DIMS(d[0], d[1]));
    stage_vector gamma = {0};
    if (d[2])
        gamma = stage_vector_of(s, "gamma", (size_t)d[1], 0, 0.5f);
    begins();
    s->b->add(s->b, out->t, x->t, gamma.v, onto->t, &s->e);
}

/* pictures, h, w, channels, window */
static void windows(stage *s, const int *d, bool merge)
{
    int count = (d[1] + d[4] - 1) / d[4] * ((d[2] + d[4] - 1) / d[4]) * d[0];
    const int picture[] = {d[0], d[1], d[2], d[3]}, tokens[] = {count, d[4] * d[4], d[3]};
    stage_value *x = merge ? in(s, "x", s->b->act, 3, tokens) : in(s, "x", s->b->act, 4, picture),
                *out = merge ? stage_out(s, "out", s->b->act, 4, picture) : stage_out(s, "out", s->b->act, 3, tokens);
    begins();
    (merge ? s->b->merge : s->b->split)(s->b, out->t, x->t, d[4], &s->e);
}

static void split(stage *s, const int *d)
{
    windows(s, d, false);
}

static void merge(stage *s, const int *d)
{
    windows(s, d, true);
}

/* pictures, h, w, channels, 1: with a scale and a shift */
static void mean_pool(stage *s, const int *d)
{
    stage_value *x = in(s, "x", s->b->act, DIMS(d[0], d[1], d[2], d[3])),
                *out = stage_out(s, "out", s->b->act, DIMS(d[0], d[3]));
    stage_vector scale = {0}, shift = {0};
    if (d[4])
        scale = stage_vector_of(s, "scale", (size_t)d[3], 1, 0.5f),
        shift = stage_vector_of(s, "shift", (size_t)d[3], 0, 1);
    begins();
    s->b->mean_pool(s->b, out->t, x->t, scale.v, shift.v, &s->e);
}

/* pictures, h, w */
static void picture(stage *s, const int *d)
{
    stage_value *planes = in(s, "planes", MV_F32, DIMS(d[0], 3, d[1], d[2])),
                *out = stage_out(s, "out", s->b->act, DIMS(d[0], d[1], d[2], 3));
    begins();
    s->b->picture(s->b, out->t, planes->t, (mv_vector){0}, &s->e);
}

/* h, w, in, out, stride, activation */
static void conv2d(stage *s, const int *d)
{
    int oh = (d[0] + d[4] - 1) / d[4], ow = (d[1] + d[4] - 1) / d[4];
    stage_value *x = in(s, "x", s->b->act, DIMS(1, d[0], d[1], d[2])),
                *out = stage_out(s, "out", s->b->act, DIMS(1, oh, ow, d[3]));
    stage_conv(s, d[2], d[3], d[4], stage_random(s, "bias", (size_t)d[3], MV_F32, 0, 1));
    begins();
    s->b->conv2d(s->b, out->t, x->t, &s->conv, (mv_act)d[5], none, &s->e);
}

/* ---- what a probe may ask for */

/* windows, heads, tokens */
static void rows_reduced(stage *s, const int *d)
{
    int n = d[0], heads = d[1], t = d[2], side = 1;
    while (side * side < t)
        side++;
    stage_value *rows = in(s, "rows", MV_F32, DIMS(n, heads, t, t)), *from = in(s, "from", MV_F32, DIMS(n, t)),
                *to = stage_out(s, "to", MV_F32, DIMS(n, heads, t)),
                *mean = stage_out(s, "mean", MV_F32, DIMS(n, t, t)), *out = stage_out(s, "out", MV_F32, DIMS(n, t, t)),
                *figures = stage_out(s, "figures", MV_F32, DIMS(n, heads, t, 3));
    begins();
    s->b->follow(s->b, to->t, rows->t, from->t, MV_ROWS_RESIDUAL, &s->e);
    s->b->mean_heads(s->b, mean->t, rows->t, &s->e);
    s->b->roll(s->b, out->t, mean->t, none, &s->e);
    s->b->measure(s->b, figures->t, rows->t, side, side, &s->e);
}

/* windows, tokens, channels, rank */
static void inside_mixer(stage *s, const int *d)
{
    int n = d[0], t = d[1], e = d[2], rank = d[3];
    stage_value *proj = in(s, "proj", s->b->act, DIMS(n, t, rank + 2 * MV_STATES)),
                *h = in(s, "h", MV_F32, DIMS(n, t, e, MV_STATES)), *dt = stage_out(s, "dt", MV_F32, DIMS(n, t, e)),
                *norm = stage_out(s, "norm", MV_F32, DIMS(n, t)), *half = stage_out(s, "half", MV_F32, DIMS(n, t)),
                *hidden = stage_out(s, "hidden", MV_F32, DIMS(n, t, t)), *x = in(s, "x", s->b->act, DIMS(n, t, e)),
                *yz = stage_out(s, "yz", s->b->act, DIMS(n, t, 2 * e));
    stage_ssm m = stage_ssm_of(s, e, rank);
    begins();
    s->b->step(s->b, dt->t, proj->t, &m.w, &s->e);
    s->b->readout(s->b, yz->t, x->t, proj->t, h->t, &m.w, &s->e);
    s->b->state_norm(s->b, norm->t, h->t, &s->e);
    s->b->half_life(s->b, half->t, dt->t, &m.w, -1, &s->e);
    s->b->hidden(s->b, hidden->t, dt->t, proj->t, &m.w, -1, false, &s->e);
}

static const struct {
    const char *label;
    void (*run)(stage *, const int *);
    int d[OPERANDS];
} cases[] = {
    {"scan T 2", scan, {1, 196, 160, 20}},
    {"scan T 3", scan, {2, 49, 320, 40}},
    {"scan L2 2", scan, {1, 196, 392, 49}},
    {"scan L3-512 2", scan, {1, 1024, 128, 64}},
    {"scan T 2, h stored", scan, {1, 196, 160, 20, 1}},
    {"conv1d T 2", conv1d, {1, 196, 160}},
    {"conv1d L2 2", conv1d, {1, 196, 392}},
    {"conv1d L3-512 2", conv1d, {1, 1024, 512}},
    {"attention T 2", attention, {1, 196, 2, 40}},
    {"attention T 3", attention, {1, 49, 2, 40}},
    {"attention L2 2", attention, {1, 196, 2, 49}},
    {"attention L3-512 2", attention, {1, 1024, 1, 64}},
    {"attention T 2, rows stored", attention, {1, 196, 2, 40, 1}},
    {"layer norm T 2", layernorm, {196, 320}},
    {"layer norm T 3", layernorm, {49, 640}},
    {"layer norm L3-512 3", layernorm, {256, 2048}},
    {"add T 2", add, {196, 320}},
    {"add B 2", add, {196, 512, 1}},
    {"split T 2", split, {1, 14, 14, 320, 14}},
    {"merge T 2", merge, {1, 14, 14, 320, 14}},
    {"mean pool T", mean_pool, {1, 7, 7, 640, 1}},
    {"picture T", picture, {1, 224, 224}},
    {"stem 1 T", conv2d, {64, 64, 3, 32, 2, MV_ACT_RELU}},
    {"conv2d T 0", conv2d, {14, 14, 80, 80, 1, MV_ACT_GELU_TANH}},
    {"conv2d L2 0", conv2d, {14, 14, 196, 16, 1, MV_ACT_GELU_TANH}},
    {"rows T 2", rows_reduced, {1, 8, 196}},
    {"mixer T 3", inside_mixer, {1, 49, 320, 40}},
};

static void counted(void)
{
    mv_backend *b = card_open(MV_F16);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        op_result r;
        stage_open(&s, b, 1);
        current = cases[i].label;
        cases[i].run(&s, cases[i].d);
        counts_label("");
        expect_ok(&s.e);
        stage_close(&s, &r);
        op_result_free(&r);
    }
    b->free(b);
}

/* ---- the table */

enum { COLUMNS = 10 };

static const char *const heads[COLUMNS] = {"blocks",     "KB in",     "KB out",   "sectors",  "at least",
                                           "wavefronts", "conflicts", "barriers", "shuffles", "products"};

typedef struct {
    char label[64], name[96];
    double v[COLUMNS]; /* of one launch */
} row;

static row row_of(const kernel_counts *c)
{
    const memory_counts *in = &c->read, *out = &c->written;
    const double all[COLUMNS] = {(double)c->blocks,
                                 (double)in->footprint / 1e3,
                                 (double)out->footprint / 1e3,
                                 (double)(in->sectors + out->sectors),
                                 (double)(in->bytes + out->bytes) / 32,
                                 (double)c->shared.wavefronts,
                                 (double)(c->shared.wavefronts - c->shared.least),
                                 (double)c->met[0],
                                 (double)c->met[2],
                                 (double)c->met[3]};
    row r = {0};
    for (int k = 0; k < COLUMNS; k++)
        r.v[k] = all[k];
    snprintf(r.label, sizeof r.label, "%s", c->label);
    snprintf(r.name, sizeof r.name, "%s", c->name);
    return r;
}

/* tests/run prints lines that begin with a bar. */
static void print_row(const row *r)
{
    printf("  | %-26s %-38s", r->label, r->name);
    for (int k = 0; k < COLUMNS; k++)
        printf(" %10.*f", r->v[k] < 100 && r->v[k] > 0 ? 1 : 0, r->v[k]);
    printf("\n");
}

static void kernels_are_counted(void **state)
{
    (void)state;
    counted();
    printf("  | %-26s %-38s", "in fp16, of one launch", "kernel");
    for (int k = 0; k < COLUMNS; k++)
        printf(" %10s", heads[k]);
    printf("\n");
    int rows = 0;
    for (size_t i = 0; i < counts_launches(); i++)
        if (*counts_at(i)->label && counts_at(i)->address) {
            row r = row_of(counts_at(i));
            print_row(&r);
            assert_true(strlen(r.name) > 1 && r.v[0] >= 1);
            assert_true(r.v[3] >= r.v[4]); /* no request moves more than its sectors */
            rows++;
        }
    assert_true(rows >= (int)(sizeof cases / sizeof *cases));
}

int main(void)
{
    if (!card_find())
        return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_are_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
