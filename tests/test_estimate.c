/* First-order estimates of sweeps against the float64 oracle, against the exact changes, and by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/map.h"
#include "src/device/cpu.h"
#include "src/explain/estimate.h"
#include "src/explain/target.h"
#include "src/run/trace.h"
#include "tests/gradient_oracle.h"

static mv_backend *cpu(void)
{
    mv_error e = {0};
    mv_backend *b = mv_cpu_new(MV_F32, 2, NULL, &e);
    expect_ok(&e);
    return b;
}

/* The estimates of all kinds, channels of a site. */
typedef struct {
    mv_sweep *sweep;
    int n;
    double *change;
} estimates;

static estimates estimates_of(const oracle *o, const char *channels, int class_, int against)
{
    estimates t = {0};
    mv_error e = {0};
    t.sweep = mv_sweep_new(o->net.model, o->h, o->w, 4, &e);
    expect_ok(&e);
    for (int kind = 0; kind < MV_SWEEPS; kind++) {
        mv_sweep_add(t.sweep, (mv_sweep_kind)kind, kind == MV_SWEEP_CHANNELS ? channels : NULL, &e);
        expect_ok(&e);
    }
    t.n = mv_sweep_count(t.sweep);
    t.change = malloc((size_t)t.n * sizeof *t.change);
    assert_non_null(t.change);
    mv_estimator *m = mv_estimator_new(o->net.model, t.sweep, o->h, o->w, &e);
    expect_ok(&e);
    mv_estimator_run(m, o->planes, class_, against, t.change, &e);
    expect_ok(&e);
    assert_int_equal(mv_passes_count(mv_estimator_passes(m)), 1);
    double *again = malloc((size_t)t.n * sizeof *again);
    assert_non_null(again);
    mv_estimator_run(m, o->planes, class_, against, again, &e);
    expect_ok(&e);
    assert_memory_equal(again, t.change, (size_t)t.n * sizeof *again);
    free(again);
    mv_estimator_free(m);
    return t;
}

static void estimates_free(estimates *t)
{
    mv_sweep_free(t->sweep);
    free(t->change);
}

static double named(const estimates *t, const char *name)
{
    char text[MV_SWEEP_NAME];
    for (int i = 0; i < t->n; i++)
        if (strcmp(mv_sweep_item_name(t->sweep, i, text), name) == 0)
            return t->change[i];
    fail_msg("no item is called %s", name);
    return NAN;
}

/* ---- the oracle */

/* The item of part k of a tensor "taylor/levels.2.blocks.3.mixer.heads". */
static void item_of(const char *tensor, int k, char name[MV_SWEEP_NAME])
{
    static const char *const ends[][2] = {{".mixer.y", ".scan"}, {".mixer.z", ".local"}};
    const char *path = strchr(tensor, '/') + 1, *heads = strstr(path, ".mixer.heads");
    if (strncmp(tensor, "channels/", 9) == 0) {
        snprintf(name, MV_SWEEP_NAME, "%.80s.channel.%d", path, k);
        return;
    }
    snprintf(name, MV_SWEEP_NAME, "%.100s", path);
    if (heads)
        snprintf(name, MV_SWEEP_NAME, "%.*s.head.%d", (int)(heads - path), path, k);
    for (int i = 0; i < 2; i++)
        if (strstr(path, ends[i][0]))
            snprintf(name, MV_SWEEP_NAME, "%.*s%s", (int)(strstr(path, ends[i][0]) - path), path, ends[i][1]);
}

enum { MOST = 4096 };

static void compare(const char *file, const char *prefix, const char *channels, double bound)
{
    oracle o = oracle_open(file, cpu());
    estimates t = estimates_of(&o, channels, o.class_, MV_MAP_NONE);
    float *got = malloc(2 * MOST * sizeof *got), *want = got + MOST;
    int n = 0;
    assert_non_null(got);
    for (int i = 0; i < mv_safetensors_count(o.file); i++) {
        const char *tensor = mv_safetensors_name_at(o.file, i);
        mv_tensor values;
        if (strncmp(tensor, prefix, strlen(prefix)) != 0)
            continue;
        assert_true(mv_safetensors_lookup(o.file, tensor, &values));
        assert_true(n + (int)mv_tensor_count(values) < MOST);
        mv_safetensors_read(want + n, values);
        for (int k = 0; k < (int)mv_tensor_count(values); k++) {
            char name[MV_SWEEP_NAME];
            item_of(tensor, k, name);
            got[n + k] = (float)-named(&t, name);
        }
        n += (int)mv_tensor_count(values);
    }
    assert_true(n > 0);
    double d = relative_l2(got, want, (size_t)n);
    print_message("           %s %s: %d values, %.2g\n", file, prefix, n, d);
    assert_true(d <= bound);
    free(got);
    estimates_free(&t);
    oracle_close(&o);
}

static void estimates_are_the_oracle_s(void **state)
{
    (void)state;
    static const char *const files[] = {"padded", "odd", "windows", "nano"};
    for (int i = 0; i < 4; i++) {
        double bound = i == 3 ? 2e-4 : 1e-5;
        compare(files[i], "taylor/", "levels.2", bound);
        compare(files[i], "channels/levels.2", "levels.2", bound);
        compare(files[i], "channels/levels.3.blocks.0", "levels.3.blocks.0", bound);
    }
}

/* ---- by hand */

static mv_status seed_top(void *context, int pass, int first, int pictures, int classes, const float *logits,
                          float *seed, mv_error *e)
{
    (void)pass, (void)first, (void)pictures, (void)e;
    mv_target_seed(context, logits, classes, seed);
    return MV_OK;
}

static mv_tensor value_at(const mv_trace *t, const char *site)
{
    mv_tensor v = {0};
    if (!mv_trace_lookup(t, site, &v))
        fail_msg("%s was not kept", site);
    return v;
}

/* A block of levels 2 and 3 is its two branches; a head is sum v dv; the mean of a step size, over the tokens of a
 * window, is what an edit of it says; tokens have no estimate. */
static void parts_are_what_their_edits_say(void **state)
{
    (void)state;
    oracle o = oracle_open("windows", cpu());
    mv_error e = {0};
    mv_target target = {.class_ = 2, .n = 1, .against = {1}};
    mv_back back = {.passes = 1, .seed = seed_top, .context = &target};
    estimates t = estimates_of(&o, NULL, 2, 1);
    mv_trace *trace = mv_trace_new("**.mixer.dt,**.mixer.v", NULL, NULL, &e);
    mv_run *r = mv_run_new_back(o.net.model, o.h, o.w, 1, mv_trace_probe(trace), &back, &e);
    expect_ok(&e);
    mv_run_forward(r, o.planes, 1, NULL, &e);
    expect_ok(&e);
    for (int i = 0; i < t.n; i++) {
        char name[MV_SWEEP_NAME], part[MV_SWEEP_NAME + 8], site[MV_SWEEP_NAME + 16];
        mv_sweep_item it = mv_sweep_at(t.sweep, i);
        double want = 0;
        mv_sweep_item_name(t.sweep, i, name);
        snprintf(site, sizeof site, "grad.levels.%d.blocks.%d.mixer.%s", it.level, it.block,
                 it.kind == MV_SWEEP_HEADS ? "v" : "dt");
        if (it.kind == MV_SWEEP_TOKENS) {
            assert_true(isnan(t.change[i]));
            continue;
        }
        if (it.kind == MV_SWEEP_BLOCKS && it.level >= 2) {
            snprintf(part, sizeof part, "%s.mixer", name);
            want += named(&t, part);
            snprintf(part, sizeof part, "%s.mlp", name);
            want += named(&t, part);
        } else if (it.kind == MV_SWEEP_HEADS) { /* (N, heads, T, d) */
            mv_tensor v = value_at(trace, site + 5), dv = value_at(trace, site);
            size_t each = (size_t)v.dim[2] * (size_t)v.dim[3], all = (size_t)v.dim[1] * each;
            for (size_t k = 0; k < mv_tensor_count(v); k++)
                if (k % all / each == (size_t)it.part)
                    want -= (double)((float *)v.data)[k] * (double)((float *)dv.data)[k];
        } else if (it.kind == MV_SWEEP_MIXERS && it.part == 2) { /* (N, T, E) */
            mv_tensor v = value_at(trace, site + 5), dv = value_at(trace, site);
            int tokens = v.dim[1], channels = v.dim[2];
            for (int line = 0; line < v.dim[0] * channels; line++) {
                size_t from = (size_t)(line / channels * tokens * channels + line % channels);
                const float *x = (float *)v.data + from, *g = (float *)dv.data + from;
                double mean = 0;
                for (int k = 0; k < tokens; k++)
                    mean += (double)x[k * channels] / tokens;
                for (int k = 0; k < tokens; k++)
                    want += (mean - (double)x[k * channels]) * (double)g[k * channels];
            }
        } else
            continue;
        if (fabs(want - t.change[i]) > 1e-5 * fmax(1, fabs(want)))
            fail_msg("%s: estimated as %g, expected %g", name, t.change[i], want);
    }
    mv_run_free(r);
    mv_trace_free(trace);
    estimates_free(&t);
    oracle_close(&o);
}

/* The logit is a linear function of the last level's channels, so estimates are the exact changes. */
static void channels_of_the_end_are_exact(void **state)
{
    (void)state;
    oracle o = oracle_open("odd", cpu());
    mv_error e = {0};
    estimates t = estimates_of(&o, "norm", o.class_, MV_MAP_NONE);
    double *exact = malloc((size_t)t.n * sizeof *exact);
    assert_non_null(exact);
    mv_sweep_run(t.sweep, o.planes, &o.class_, 1, NULL, exact, &e);
    expect_ok(&e);
    for (int k = 0; k < mv_sweep_grids(t.sweep); k++) {
        mv_sweep_grid g = mv_sweep_grid_at(t.sweep, k);
        mv_agreement a = mv_estimate_agreement(exact, t.change, g.first, g.first + g.count);
        assert_int_equal(a.n, g.kind == MV_SWEEP_TOKENS ? 0 : g.count);
        if (g.kind != MV_SWEEP_CHANNELS)
            continue;
        assert_true(a.correlation > 0.9999);
        for (int i = g.first; i < g.first + g.count; i++)
            assert_true(fabs(exact[i] - t.change[i]) < 1e-5);
    }
    free(exact);
    estimates_free(&t);
    oracle_close(&o);
}

static void agreement_leaves_out_what_is_not_finite(void **state)
{
    (void)state;
    const double exact[] = {1, NAN, -2, 3, 0.5}, estimate[] = {2, 5, -4, 6, INFINITY}, flat[] = {1, 1, 1, 1, 1};
    mv_agreement a = mv_estimate_agreement(exact, estimate, 0, 5);
    assert_true(a.n == 3 && a.same == 3 && fabs(a.correlation - 1) < 1e-12);
    a = mv_estimate_agreement(exact, flat, 0, 5);
    assert_true(a.n == 4 && a.same == 3 && isnan(a.correlation));
    assert_true(mv_estimate_agreement(exact, estimate, 1, 2).n == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_are_the_oracle_s),
        cmocka_unit_test(parts_are_what_their_edits_say),
        cmocka_unit_test(channels_of_the_end_are_exact),
        cmocka_unit_test(agreement_leaves_out_what_is_not_finite),
    };
    return cmocka_run_group_tests_name("estimates", tests, NULL, NULL);
}
