/* The GPU device: every operation against double loops, whole networks against the oracle by site, and what hooks,
 * graphs and repeats must not change. Without a GPU the kernels' own sources run in emulation (simt.h);
 * MVSCOPE_PLUGIN=FILE runs the same on the cards of a plug-in, with more turns, and the published variants, too.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "network.h"
#include "op_cases.h"
#include "plugin.h"
#include "trace.h"

extern const mv_plugin mv_plugin_cuda; /* the emulated one, linked in */
void simt_order(unsigned order);
long simt_live(void);

static const mv_plugin *plugin;
static bool emulated;
static const mv_dtype types[] = {MV_F32, MV_F16, MV_BF16};

static mv_backend *device(mv_dtype act)
{
    static mv_error e;
    e = (mv_error){0};
    mv_backend *b = plugin->open(0, act, &e);
    expect_ok(&e);
    return b;
}

/* ---- the table of cases */

/* About four times what is reached. 16 bits: an answer's own rounding (2^-11, 2^-8), that of what is kept between two
 * products, and 5e-4 for GELU in its tanh form. */
static const op_bounds fp32_bounds = {3e-11, 3e-5, 3e-5}, fp16_bounds = {4e-6, 4e-3, 0x1p-9},
                       bf16_bounds = {1e-4, 3e-2, 0x1p-6};

static void hold(mv_dtype act, op_bounds narrow)
{
    mv_backend *b = device(act);
    int faults = 0;
    double worst[2] = {0};
    for (unsigned order = 0; order < (emulated ? 3 : 1); order++) {
        char who[32];
        snprintf(who, sizeof who, "%s, threads in order %u", b->name, order);
        for (int i = 0; i < op_cases(); i++) {
            op_result r;
            simt_order(order);
            op_case_run(i, b, 11 + order, &r);
            faults += op_result_faults(&r, who, op_case_name(i), fp32_bounds, narrow, worst);
            op_result_free(&r);
        }
    }
    simt_order(0);
    b->free(b);
    print_message("           worst NMSE: fp32 %.2g, 16 bits %.2g\n", worst[0], worst[1]);
    if (faults)
        fail_msg("%d faults in %d cases", faults, op_cases());
}

static void fp32_is_within_bounds(void **s)
{
    (void)s;
    hold(MV_F32, fp32_bounds);
}

static void fp16_is_within_bounds(void **s)
{
    (void)s;
    hold(MV_F16, fp16_bounds);
}

static void bf16_is_within_bounds(void **s)
{
    (void)s;
    hold(MV_BF16, bf16_bounds);
}

/* ---- whole networks, every site */

static void plain_fp32(void **s)
{
    (void)s;
    golden_every_site("plain", device(MV_F32), 1e-5);
}
static void odd_fp32(void **s)
{
    (void)s;
    golden_every_site("odd", device(MV_F32), 1e-5);
}
static void shallow_fp32(void **s)
{
    (void)s;
    golden_every_site("shallow", device(MV_F32), 1e-5);
}
static void plain_fp16(void **s)
{
    (void)s;
    golden_every_site("plain", device(MV_F16), 3e-3);
}
static void odd_fp16(void **s)
{
    (void)s;
    golden_every_site("odd", device(MV_F16), 3e-3);
}
static void shallow_fp16(void **s)
{
    (void)s;
    golden_every_site("shallow", device(MV_F16), 3e-3);
}
static void odd_bf16(void **s)
{
    (void)s;
    golden_every_site("odd", device(MV_BF16), 3e-2);
}

static void plain_bf16(void **s)
{
    (void)s;
    golden_every_site("plain", device(MV_BF16), 3e-2);
}
static void shallow_bf16(void **s)
{
    (void)s;
    golden_every_site("shallow", device(MV_BF16), 3e-2);
}

static bool variant_within(const char *name, mv_dtype act)
{
    double bound = act == MV_F32 ? 1e-5 : act == MV_F16 ? 3e-3 : 3e-2, d = golden_variant(name, device(act));
    if (!(d <= bound))
        print_message("           FAULT: expected at most %.3g\n", bound);
    return d <= bound;
}

#if defined(__SANITIZE_ADDRESS__)
enum { SLOW = 1 };
#else
enum { SLOW = 0 };
#endif

static void variant_t_fp16(void **s)
{
    (void)s;
    if (emulated && SLOW) {
        print_message("           T skipped: under the address sanitizer, for time\n");
        skip();
    }
    assert_true(variant_within("T", MV_F16));
}

static void every_variant(void **s)
{
    (void)s;
    if (emulated) {
        print_message("           the other variants skipped: on a card only, for time\n");
        skip();
    }
    int faults = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; mv_config_at(k); k++) /* all are told, then it fails */
            faults += !variant_within(mv_config_at(k)->name, types[i]);
    if (faults)
        fail_msg("%d of the variants' logits differ too much", faults);
}

/* ---- what must change nothing */

enum { H = 64, W = 96, CLASSES = 10 };

static void logits_of(const network *n, mv_probe *probes, int pictures, int times, float *logits)
{
    mv_error e = {0};
    float *x = network_input(pictures, H, W, 3);
    mv_run *r = mv_run_new(n->model, H, W, pictures, probes, &e);
    expect_ok(&e);
    for (int i = 0; i < times; i++) {
        memset(logits, 0xff, (size_t)pictures * CLASSES * sizeof *logits);
        mv_run_forward(r, x, pictures, logits, &e);
        expect_ok(&e);
    }
    mv_run_free(r);
    free(x);
}

/* fp32 takes the same arithmetic by either route; 16 bits round what a site shows once more. */
static void watched_equals_unwatched(void **s)
{
    (void)s;
    mv_config c = small_config();
    for (int i = 0; i < 3; i++) {
        network n = network_on(&c, device(types[i]), 5);
        mv_error e = {0};
        float bare[CLASSES], watched[CLASSES];
        mv_trace *t = mv_trace_new("**", NULL, NULL, &e);
        logits_of(&n, NULL, 1, 1, bare);
        logits_of(&n, mv_trace_probe(t), 1, 1, watched);
        double d = relative_l2(watched, bare, CLASSES);
        if (!(d <= (i == 0 ? 1e-6 : i == 1 ? 3e-3 : 3e-2)))
            fail_msg("%s: watched differs by %.3g", mv_dtype_name(types[i]), d);
        mv_trace_free(t);
        network_free(&n);
    }
}

/* The first pass is done op by op, the second recorded, from the third on replayed. */
static void repeats_are_bit_equal(void **s)
{
    (void)s;
    mv_config c = small_config();
    for (int i = 0; i < 3; i++) {
        network n = network_on(&c, device(types[i]), 5);
        float first[3 * CLASSES], later[3 * CLASSES];
        logits_of(&n, NULL, 3, 1, first);
        for (int times = 2; times <= (emulated ? 4 : 1000); times = times < 4 ? times + 1 : times * 4) {
            logits_of(&n, NULL, 3, times, later);
            for (int k = 0; k < 3 * CLASSES; k++) /* the very values: not one bit may differ */
                if (!(later[k] == first[k]))
                    fail_msg("%s: pass %d differs by %.3g", mv_dtype_name(types[i]), times,
                             relative_l2(later, first, 3 * CLASSES));
        }
        network_free(&n);
    }
}

/* A recorded pass of one number of pictures does not serve another, nor another picture's values. */
static void recorded_passes_see_new_pictures(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, device(MV_F32), 5);
    mv_error e = {0};
    enum { ALL = 5, CAPACITY = 2 };
    float *x = network_input(ALL, H, W, 3), together[ALL * CLASSES], alone[CLASSES];
    mv_run *r = mv_run_new(n.model, H, W, CAPACITY, NULL, &e), *one = mv_run_new(n.model, H, W, 1, NULL, &e);
    expect_ok(&e);
    for (int turn = 0; turn < 3; turn++) /* passes of 2, 2 and 1 */
        mv_run_forward(r, x, ALL, together, &e);
    expect_ok(&e);
    for (int i = 0; i < ALL; i++) {
        mv_run_forward(one, x + (size_t)i * 3 * H * W, 1, alone, &e);
        expect_ok(&e);
        double d = relative_l2(together + i * CLASSES, alone, CLASSES);
        if (!(d <= 1e-6))
            fail_msg("picture %d differs by %.3g from a run by itself", i, d);
    }
    mv_run_free(r);
    mv_run_free(one);
    free(x);
    network_free(&n);
}

static void devices_do_not_disturb_each_other(void **s)
{
    (void)s;
    mv_config c = small_config();
    network a = network_on(&c, device(MV_F16), 5), b = network_on(&c, device(MV_F16), 6);
    float first[CLASSES], other[CLASSES], again[CLASSES];
    logits_of(&a, NULL, 1, 2, first);
    logits_of(&b, NULL, 1, 3, other);
    logits_of(&a, NULL, 1, 3, again);
    assert_memory_equal(first, again, sizeof first);
    assert_true(relative_l2(other, first, CLASSES) > 0.01);
    network_free(&b);
    logits_of(&a, NULL, 1, 1, again);
    assert_memory_equal(first, again, sizeof first);
    network_free(&a);
}

/* ---- what must be given back */

/* GiB free on the card, to a tenth, as its description tells; 0 in emulation. */
static double card_free(void)
{
    char text[160] = "";
    double gib = 0;
    mv_error e = {0};
    plugin->describe(0, text, &e);
    expect_ok(&e);
    const char *at = strrchr(text, '(');
    if (emulated)
        return 0;
    if (!at || sscanf(at, "(%lf free)", &gib) != 1)
        fail_msg("found '%s', expected it to tell the free memory", text);
    return gib;
}

/* MiB of this process that are in memory; 0 where the kernel does not tell. */
static double resident(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* The card's memory is told to a tenth: one step down may be rounding, two are a leak. */
static void held_nothing(const char *what, double free_before, long live_before)
{
    double now = card_free();
    if (simt_live() != live_before)
        fail_msg("%s: %ld things are not given back", what, simt_live() - live_before);
    if (now < free_before - 0.15)
        fail_msg("%s: %.1f GiB of the card's memory are free, before it were %.1f", what, now, free_before);
}

static void nothing_leaks(void **s)
{
    (void)s;
    mv_config c = small_config();
    mv_error e = {0};
    const int passes = emulated ? 6 : 10000, turns = emulated ? 3 : 200;
    float logits[CLASSES], *x = network_input(1, H, W, 3);

    network first = network_on(&c, device(MV_F16), 5); /* what CUDA loads once and keeps */
    logits_of(&first, NULL, 1, 4, logits);
    network_free(&first);

    long none = simt_live();
    double start = card_free();
    network n = network_on(&c, device(MV_F16), 5);
    logits_of(&n, NULL, 1, 4, logits);
    long idle = simt_live();
    mv_run *r = mv_run_new(n.model, H, W, 1, NULL, &e);
    expect_ok(&e);
    for (int i = 0; i < 4; i++) /* op by op, recorded, replayed */
        mv_run_forward(r, x, 1, logits, &e);
    expect_ok(&e);
    long running = simt_live();
    double before = card_free(), host = resident();
    for (int i = 0; i < passes && !e.code; i++)
        mv_run_forward(r, x, 1, logits, &e);
    expect_ok(&e);
    double grown = resident() - host;
    held_nothing("passes", before, running);
    if (!emulated) /* what is freed late there is not lost */
        print_message("           %d passes: %.1f MiB more of the host's memory\n", passes, grown);
    if (!emulated && grown > 32)
        fail_msg("%d passes: %.1f MiB more of the host's memory", passes, grown);
    mv_run_free(r);
    held_nothing("a run", before, idle);

    for (int i = 0; i < turns; i++)
        logits_of(&n, NULL, 1, 3, logits);
    held_nothing("runs", before, idle);
    network_free(&n);
    held_nothing("a network", start, none);

    for (int i = 0; i < turns; i++) {
        network again = network_on(&c, device(types[i % 3]), 5);
        logits_of(&again, NULL, 1, 3, logits);
        network_free(&again);
    }
    held_nothing("devices", start, none);
    free(x);
}

/* ---- the plug-in */

static void cards_are_described(void **s)
{
    (void)s;
    mv_error e = {0};
    int n = 0;
    char text[160] = "";
    assert_int_equal(plugin->count(&n, &e), MV_OK);
    assert_true(n >= 1);
    assert_int_equal(plugin->describe(0, text, &e), MV_OK);
    assert_true(strlen(text) > 5);
    print_message("           %s\n", text);
    assert_null(plugin->open(0, MV_I32, &e));
    assert_string_equal(e.text, "cuda: found precision I32, expected fp16, bf16 or fp32");
}

static void plugins_that_are_none(void **s)
{
    (void)s;
    mv_error e = {0};
    assert_null(mv_plugin_open("build/no-such-file.so", &e));
    assert_string_equal(e.text, "build/no-such-file.so: the GPU plug-in is not installed; `make cuda` builds it");
    e = (mv_error){0};
    assert_null(mv_plugin_open("tests/test_backend.c", &e));
    assert_non_null(strstr(e.text, "the GPU plug-in cannot be loaded: "));
    assert_int_equal(e.code, MV_EDEVICE);
}

int main(void)
{
    mv_error e = {0};
    const char *file = getenv("MVSCOPE_PLUGIN");
    plugin = file ? mv_plugin_open(file, &e) : &mv_plugin_cuda;
    emulated = !file;
    if (!plugin) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_are_described),
        cmocka_unit_test(plugins_that_are_none),
        cmocka_unit_test(fp32_is_within_bounds),
        cmocka_unit_test(fp16_is_within_bounds),
        cmocka_unit_test(bf16_is_within_bounds),
        cmocka_unit_test(plain_fp32),
        cmocka_unit_test(odd_fp32),
        cmocka_unit_test(shallow_fp32),
        cmocka_unit_test(plain_fp16),
        cmocka_unit_test(odd_fp16),
        cmocka_unit_test(shallow_fp16),
        cmocka_unit_test(plain_bf16),
        cmocka_unit_test(odd_bf16),
        cmocka_unit_test(shallow_bf16),
        cmocka_unit_test(variant_t_fp16),
        cmocka_unit_test(every_variant),
        cmocka_unit_test(watched_equals_unwatched),
        cmocka_unit_test(repeats_are_bit_equal),
        cmocka_unit_test(recorded_passes_see_new_pictures),
        cmocka_unit_test(devices_do_not_disturb_each_other),
        cmocka_unit_test(nothing_leaks),
    };
    const struct CMUnitTest brief[] = {
        /* for tools that slow every kernel a hundredfold */
        cmocka_unit_test(cards_are_described),
        cmocka_unit_test(fp32_is_within_bounds),
        cmocka_unit_test(fp16_is_within_bounds),
        cmocka_unit_test(odd_fp16),
        cmocka_unit_test(recorded_passes_see_new_pictures),
    };
    return getenv("MVSCOPE_TEST_SHORT") ? cmocka_run_group_tests(brief, NULL, NULL)
                                        : cmocka_run_group_tests(tests, NULL, NULL);
}
