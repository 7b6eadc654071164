/* What kernels move and how, counted in the emulation at shapes of the published variants, with few windows or heads,
 * and compared with tests/data/counts: more than 5 % above fails. MVSCOPE_COUNTS=FILE writes the table anew.
 *
 *   blocks, threads          of the grid, of a block
 *   shared, warps            bytes of a block; warps that an SM holds, by those and by registers (tests/machine_code.h)
 *   KB_in, KB_out            of different sectors: what must come from and go to memory
 *   sectors, least           of 32 bytes, by the requests of warps; as many as their bytes would fill
 *   wavefronts, conflicts    of shared memory; those of them that bank conflicts add
 *   barriers                 __syncthreads, of blocks
 *   shuffles, products       of warps; products of the tensor cores
 *   per_unit                 instructions of warps (tests/data/machine_code), for each unit (units_of)
 *
 * The emulation is compiled by GCC: a compiler for GPUs may join narrow loads, but not undo conflicts or strides.
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

#include "tests/card.h"
#include "tests/counted_back.h"
#include "tests/machine_code.h"
#include "tests/network.h"

enum { OPERANDS = 6 };

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

/* h, w, out */
static void first_conv(stage *s, const int *d)
{
    stage_value *planes = in(s, "planes", MV_F32, DIMS(1, 3, d[0], d[1])),
                *out = stage_out(s, "out", s->b->act, DIMS(1, (d[0] + 1) / 2, (d[1] + 1) / 2, d[2]));
    stage_conv(s, 3, d[2], 2, stage_random(s, "bias", (size_t)d[2], MV_F32, 0, 1));
    begins();
    s->b->stem(s->b, out->t, planes->t, (mv_vector){0}, &s->conv, MV_ACT_RELU, &s->e);
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
    {"scan_T_2", scan, {1, 196, 160, 24}},
    {"scan_T_3", scan, {2, 49, 320, 40}},
    {"scan_L2_2", scan, {1, 196, 392, 56}},
    {"scan_L3-512_2", scan, {1, 1024, 128, 64}},
    {"scan_T_2_h_stored", scan, {1, 196, 160, 24, 1}},
    {"conv1d_T_2", conv1d, {1, 196, 160}},
    {"conv1d_L2_2", conv1d, {1, 196, 392}},
    {"conv1d_L3-512_2", conv1d, {1, 1024, 512}},
    {"attention_T_2", attention, {1, 196, 2, 40}},
    {"attention_T_3", attention, {1, 49, 2, 40}},
    {"attention_L2_2", attention, {1, 196, 8, 49}},
    {"attention_L3-512_2", attention, {1, 1024, 1, 64}},
    {"attention_T_2_rows_stored", attention, {1, 196, 2, 40, 1}},
    {"layer_norm_T_2", layernorm, {196, 320}},
    {"layer_norm_T_3", layernorm, {49, 640}},
    {"layer_norm_L3-512_3", layernorm, {256, 2048}},
    {"add_T_2", add, {196, 320}},
    {"add_B_2", add, {196, 512, 1}},
    {"split_T_2", split, {1, 14, 14, 320, 14}},
    {"merge_T_2", merge, {1, 14, 14, 320, 14}},
    {"mean_pool_T", mean_pool, {1, 7, 7, 640, 1}},
    {"picture_T", picture, {1, 224, 224}},
    {"stem_1_T", first_conv, {224, 224, 32}},
    {"stem_1_B", first_conv, {224, 224, 64}},
    {"conv2d_T_0", conv2d, {14, 14, 80, 80, 1, MV_ACT_GELU_TANH}},
    {"conv2d_by_columns", conv2d, {14, 14, 196, 16, 1, MV_ACT_GELU_TANH}},
    {"rows_T_2", rows_reduced, {1, 8, 196}},
    {"mixer_T_3", inside_mixer, {1, 49, 320, 40}},
    {"mixer_back_T_2", mixer_back, {1, 196, 160, 20}},
    {"mixer_back_T_2_held", mixer_back, {1, 196, 160, 20, 1}},
    {"mixer_back_T_3_many", mixer_back, {40, 49, 320, 40}},
    {"attention_back_T_2", attention_back, {1, 196, 2, 40}},
    {"attention_back_L3-512_2", attention_back, {1, 256, 1, 64}},
    {"rows_back_T_2", rows_back, {196, 320}},
    {"conv2d_back_T_0", conv2d_back, {14, 14, 80, 80, 1}},
    {"stem_back_T", conv2d_back, {56, 56, 3, 32, 2}},
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

enum { COLUMNS = 14, LINES = 96 };

static const char *const heads[COLUMNS] = {"blocks",   "threads",  "shared",   "warps",      "KB_in",
                                           "KB_out",   "sectors",  "least",    "wavefronts", "conflicts",
                                           "barriers", "shuffles", "products", "per_unit"};

typedef struct {
    char label[64], name[96];
    double v[COLUMNS];
} row;

/* Of a case: 32 values of the scan or of conv1d, a tile of 64 queries and 64 keys, a row of a layer norm; else all. */
static double units_of(const char *label)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int *d = cases[i].d;
        double tiles = ceil(d[1] / 64.0);
        if (strcmp(cases[i].label, label) == 0)
            return cases[i].run == scan        ? (double)d[0] * d[1] * d[2] / 32
                   : cases[i].run == conv1d    ? (double)d[0] * d[1] * 2 * d[2] / 32
                   : cases[i].run == attention ? d[0] * d[2] * tiles * tiles
                   : cases[i].run == layernorm ? d[0]
                                               : 1;
    }
    return 1;
}

static row row_of(const kernel_counts *c)
{
    const memory_counts *in = &c->read, *out = &c->written;
    const machine_code *m = machine_code_of(c->name);
    const double all[COLUMNS] = {(double)c->blocks,
                                 (double)c->threads,
                                 (double)c->shared_bytes,
                                 m ? machine_code_resident(m, c->threads, c->shared_bytes) * (double)c->threads / 32
                                   : 0,
                                 (double)in->footprint / 1e3,
                                 (double)out->footprint / 1e3,
                                 (double)(in->sectors + out->sectors),
                                 (double)(in->bytes + out->bytes) / 32,
                                 (double)c->shared.wavefronts,
                                 (double)(c->shared.wavefronts - c->shared.least),
                                 (double)c->met[0],
                                 (double)c->met[2],
                                 (double)c->met[3],
                                 m ? machine_code_warp(m, c).instructions * ceil((double)c->threads / 32) *
                                         (double)c->blocks / units_of(c->label)
                                   : 0};
    row r = {0};
    memcpy(r.v, all, sizeof all);
    snprintf(r.label, sizeof r.label, "%s", c->label);
    snprintf(r.name, sizeof r.name, "%s", c->name);
    return r;
}

static void print_row(FILE *f, const char *before, const row *r)
{
    fprintf(f, "%s%-26s %-38s", before, r->label, r->name);
    for (int k = 0; k < COLUMNS; k++)
        fprintf(f, " %10.*f", r->v[k] < 100 && r->v[k] != floor(r->v[k]) ? 1 : 0, r->v[k]);
    fprintf(f, "\n");
}

/* tests/run prints lines that begin with a bar. */
static void print_head(FILE *f, const char *before)
{
    fprintf(f, "%s%-26s %-38s", before, "fp16,_one_launch", "kernel");
    for (int k = 0; k < COLUMNS; k++)
        fprintf(f, " %10s", heads[k]);
    fprintf(f, "\n");
}

/* The line of this case and kernel, of the table in the file */
static bool known(const char *file, const row *r, double v[COLUMNS])
{
    char line[512], label[64], name[96];
    bool found = false;
    FILE *f = fopen(file, "r");
    while (f && !found && fgets(line, sizeof line, f)) {
        char *at = line;
        int used = 0, k = 0;
        if (sscanf(at, "%63s %95s%n", label, name, &used) != 2 || strcmp(label, r->label) != 0 ||
            strcmp(name, r->name) != 0)
            continue;
        for (at += used; k < COLUMNS && sscanf(at, "%lf%n", &v[k], &used) == 1; k++)
            at += used;
        found = k == COLUMNS;
    }
    if (f)
        fclose(f);
    return found;
}

/* Prints what is more than 5 % worse than in the table; returns how many. Fewer blocks, threads and warps are no fault
 * of their own. */
static int worse(const row *r)
{
    double v[COLUMNS];
    int faults = 0;
    if (!known("tests/data/counts", r, v)) {
        print_error("%s, %s: not in tests/data/counts; MVSCOPE_COUNTS=tests/data/counts writes it\n", r->label,
                    r->name);
        return 1;
    }
    for (int k = 3; k < COLUMNS; k++) {
        bool bad = k == 3 ? r->v[k] < v[k] * 0.95 : r->v[k] > v[k] * 1.05 + 0.5;
        if (bad)
            print_error("%s, %s: %s %.6g, expected %.6g\n", r->label, r->name, heads[k], r->v[k], v[k]);
        faults += bad;
    }
    return faults;
}

static void kernels_are_counted(void **state)
{
    (void)state;
    static row rows[LINES];
    int n = 0, faults = 0;
    counted();
    print_head(stdout, "  | ");
    for (size_t i = 0; i < counts_launches(); i++)
        if (*counts_at(i)->label && counts_at(i)->address) {
            assert_true(n < LINES);
            rows[n] = row_of(counts_at(i));
            print_row(stdout, "  | ", &rows[n]);
            assert_true(strlen(rows[n].name) > 1 && rows[n].v[0] >= 1);
            assert_true(rows[n].v[6] >= rows[n].v[7]); /* no request moves more than its sectors */
            n++;
        }
    assert_true(n >= (int)(sizeof cases / sizeof *cases));
    const char *file = getenv("MVSCOPE_COUNTS");
    if (file) {
        FILE *f = fopen(file, "w");
        assert_non_null(f);
        fprintf(f, "# What the emulation counts of kernels; tests/test_counts.c compares.\n");
        print_head(f, "");
        for (int i = 0; i < n; i++)
            print_row(f, "", &rows[i]);
        fclose(f);
        return;
    }
    for (int i = 0; i < n; i++)
        faults += worse(&rows[i]);
    assert_int_equal(faults, 0);
}

/* A kernel for GELU follows a convolution until so many batches are expected that compiling one with GELU repays. */
static void long_runs_compile_gelu(void **state)
{
    (void)state;
    enum { VALUES = 14 * 14 * 80 };
    static const int d[OPERANDS] = {14, 14, 80, 80, 1, MV_ACT_GELU_TANH};
    const long repays = (long)((((size_t)1 << 40) + VALUES - 1) / VALUES), batches[] = {0, repays - 1, repays};
    mv_backend *b = card_open(MV_F16);
    for (int i = 0; i < 3; i++) {
        stage s;
        op_result r;
        b->batches = batches[i];
        stage_open(&s, b, 1);
        current = "";
        conv2d(&s, d);
        size_t own = 0, all = 0;
        for (size_t k = counts_launches(); k-- > 0 && !all;) {
            own += counts_at(k)->address != NULL;
            all = counts_at(k)->address == NULL; /* the convolution itself, which is a library's */
        }
        expect_ok(&s.e);
        assert_int_equal(own, i < 2);
        stage_close(&s, &r);
        op_result_free(&r);
    }
    b->free(b);
}

int main(void)
{
    if (!card_find())
        return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_are_counted), cmocka_unit_test(long_runs_compile_gelu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
