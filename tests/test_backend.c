/* The GPU device: whole networks against the oracle site by site, and what probes, recordings and repeats must not
 * change. Without a GPU the sources of the kernels run in emulation (simt.h);
 * MVSCOPE_PLUGIN=FILE runs the same on the GPUs of a plug-in, with more turns and all published variants.
 */
#include <dlfcn.h>
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

#include "src/explain/attention.h"
#include "src/explain/mixer.h"
#include "src/explain/rollout.h"
#include "src/run/trace.h"
#include "tests/card.h"
#include "tests/golden.h"
#include "tests/short.h"

long simt_live(void);

#if defined(__SANITIZE_ADDRESS__)
enum { SLOW = 1 };
#else
enum { SLOW = 0 };
#endif

static const mv_dtype types[] = {MV_F32, MV_F16, MV_BF16};

/* ---- whole networks, every site */

static void plain_fp32(void **s)
{
    (void)s;
    golden_every_site("plain", card_open(MV_F32), 1e-5);
}
static void odd_fp32(void **s)
{
    (void)s;
    golden_every_site("odd", card_open(MV_F32), 1e-5);
}
static void shallow_fp32(void **s)
{
    (void)s;
    golden_every_site("shallow", card_open(MV_F32), 1e-5);
}
static void plain_fp16(void **s)
{
    (void)s;
    golden_every_site("plain", card_open(MV_F16), 3e-3);
}
static void odd_fp16(void **s)
{
    (void)s;
    golden_every_site("odd", card_open(MV_F16), 3e-3);
}
static void shallow_fp16(void **s)
{
    (void)s;
    golden_every_site("shallow", card_open(MV_F16), 3e-3);
}
/* In the short form of one network, since bf16's accesses are those of fp16. */
static void other_bf16(const char *name)
{
    if (card_emulated && test_is_short()) {
        print_message("           %s in bf16 skipped: not in the short form\n", name);
        skip();
    }
    golden_every_site(name, card_open(MV_BF16), 3e-2);
}

static void odd_bf16(void **s)
{
    (void)s;
    golden_every_site("odd", card_open(MV_BF16), 3e-2);
}
static void plain_bf16(void **s)
{
    (void)s;
    other_bf16("plain");
}
static void shallow_bf16(void **s)
{
    (void)s;
    other_bf16("shallow");
}

static bool variant_within(const char *name, mv_dtype act)
{
    double bound = act == MV_F32 ? 1e-5 : act == MV_F16 ? 3e-3 : 3e-2, d = golden_variant(name, card_open(act));
    if (!(d <= bound))
        print_message("           FAULT: expected at most %.3g\n", bound);
    return d <= bound;
}

static void variant_t_fp16(void **s)
{
    (void)s;
    if (card_emulated && (SLOW || test_is_short())) {
        print_message("           T skipped: %s\n",
                      SLOW ? "too slow under the address sanitizer" : "not in the short form");
        skip();
    }
    assert_true(variant_within("T", MV_F16));
}

static void variant_t_fp8(void **s)
{
    (void)s;
    if (card_emulated && (SLOW || test_is_short()))
        skip();
    double d = golden_variant("T", card_open_fp8());
    assert_true(d <= 0.1);
}

static void every_variant(void **s)
{
    (void)s;
    if (card_emulated) {
        print_message("           the other variants skipped: on a card only, for time\n");
        skip();
    }
    int faults = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; mv_config_at(k); k++) /* prints all before it fails */
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

/* fp32 uses the same arithmetic on either route; 16 bits round the value of a watched site once more. */
static void watched_equals_unwatched(void **s)
{
    (void)s;
    mv_config c = small_config();
    for (int i = 0; i < 3; i++) {
        network n = network_on(&c, card_open(types[i]), 5);
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

/* The first batch runs operation by operation, a later one is recorded, and all after it are replayed. */
static void repeats_are_bit_equal(void **s)
{
    (void)s;
    mv_config c = small_config();
    for (int i = 0; i < (test_is_short() ? 2 : 3); i++) {
        network n = network_on(&c, card_open(types[i]), 5);
        float first[3 * CLASSES], later[3 * CLASSES];
        logits_of(&n, NULL, 3, 1, first);
        for (int times = 2; times <= (card_emulated ? 4 : 1000); times = times < 4 ? times + 1 : times * 4) {
            logits_of(&n, NULL, 3, times, later);
            for (int k = 0; k < 3 * CLASSES; k++) /* bit-equal */
                if (!(later[k] == first[k]))
                    fail_msg("%s: pass %d differs by %.3g", mv_dtype_name(types[i]), times,
                             relative_l2(later, first, 3 * CLASSES));
        }
        network_free(&n);
    }
}

/* A recording of one batch size is not used for another, and new pictures replace the recorded ones. */
static void recordings_see_new_pictures(void **s)
{
    (void)s;
    mv_config c = small_config();
    network n = network_on(&c, card_open(MV_F32), 5);
    mv_error e = {0};
    enum { ALL = 5, CAPACITY = 2 };
    float *x = network_input(ALL, H, W, 3), together[ALL * CLASSES], alone[CLASSES];
    mv_run *r = mv_run_new(n.model, H, W, CAPACITY, NULL, &e), *one = mv_run_new(n.model, H, W, 1, NULL, &e);
    expect_ok(&e);
    for (int turn = 0; turn < 3; turn++) /* batches of 2, 2 and 1 */
        mv_run_forward(r, x, ALL, together, &e);
    expect_ok(&e);
    for (int i = 0; i < ALL; i++) {
        mv_run_forward(one, x + (size_t)i * 3 * H * W, 1, alone, &e);
        expect_ok(&e);
        double d = relative_l2(together + i * CLASSES, alone, CLASSES);
        if (!(d <= (card_emulated ? 1e-6 : 1e-5))) /* a card may multiply another number of rows in another order */
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
    network a = network_on(&c, card_open(MV_F16), 5), b = network_on(&c, card_open(MV_F16), 6);
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

/* ---- attention maps, against those of the CPU device */

enum { MAP_H = 130, MAP_W = 190, MAP_PICTURES = 3 }; /* 2 x 2 padded windows in levels 2 and 3 */

static struct {
    void *(*alloc)(mv_backend *, size_t);
    mv_status (*write)(mv_backend *, mv_view, const float *, mv_error *);
    int calls;
} counted;

static void *counted_alloc(mv_backend *b, size_t bytes)
{
    counted.calls++;
    return counted.alloc(b, bytes);
}

static mv_status counted_write(mv_backend *b, mv_view to, const float *host, mv_error *e)
{
    counted.calls++;
    return counted.write(b, to, host, e);
}

static mv_attention_maps *maps_of(const network *n, const mv_config *c, const mv_attention_options *o, int capacity,
                                  int times)
{
    mv_error e = {0};
    float *x = network_input(MAP_PICTURES, MAP_H, MAP_W, 4);
    mv_attention_maps *m = mv_attention_maps_new(o, c, MAP_H, MAP_W, &e);
    expect_ok(&e);
    mv_run *r = mv_run_new(n->model, MAP_H, MAP_W, capacity, mv_attention_maps_probe(m), &e);
    expect_ok(&e);
    for (int again = 0; again < times; again++) {
        counted.calls = 0;
        mv_run_forward(r, x, MAP_PICTURES, NULL, &e);
        expect_ok(&e);
        assert_true(again == 0 || counted.calls == 0); /* nothing is allocated or written after the first time */
    }
    mv_run_free(r);
    free(x);
    return m;
}

static double same_maps(const mv_attention_maps *got, const mv_attention_maps *want, int head)
{
    double worst = 0;
    for (int i = 0; i < mv_attention_maps_count(want); i++) {
        mv_attention_block b = mv_attention_maps_block_at(want, i);
        bool rollout = b.block == MV_BLOCK_ROLLOUT;
        int from = rollout || head < 0 ? MV_HEAD_MEAN : head, to = rollout                ? 0
                                                                   : head == MV_HEAD_EACH ? b.heads
                                                                                          : from + 1;
        assert_int_equal(b.grid.windows, 4);
        for (int k = from; k < to; k++)
            for (int p = 0; p < MAP_PICTURES; p++) {
                const mv_attention_map *g = mv_attention_maps_lookup(got, p, i, k),
                                       *w = mv_attention_maps_lookup(want, p, i, k);
                assert_true(g && w);
                assert_string_equal(g->map.title, w->map.title);
                assert_int_equal(g->stats.rows, w->stats.rows);
                const double pairs[][2] = {{g->padding, w->padding},
                                           {g->stats.entropy, w->stats.entropy},
                                           {g->stats.distance, w->stats.distance},
                                           {g->stats.padding, w->stats.padding}};
                double d = relative_l2(g->map.v, w->map.v, (size_t)(w->map.h * w->map.w));
                for (int f = 0; f < 4; f++)
                    d = fmax(d, pairs[f][0] == pairs[f][1] ? 0 : fabs(pairs[f][0] / pairs[f][1] - 1));
                if (!(d <= 1e-5))
                    fail_msg("%s of picture %d differs by %.3g", w->map.title, p, d);
                worst = fmax(worst, d);
            }
    }
    return worst;
}

static void attention_maps_equal_those_of_the_cpu(void **s)
{
    (void)s;
    mv_config c = small_config();
    c.depth[2] = 4; /* two attention blocks; level 3 has one */
    network here = network_of(&c, MV_F32, 2, 5), there = network_on(&c, card_open(MV_F32), 5);
    counted.alloc = there.backend->alloc;
    counted.write = there.backend->write;
    there.backend->alloc = counted_alloc;
    there.backend->write = counted_write;
    static const struct {
        mv_query_kind query;
        int head, block, capacity, times; /* block 0: all; once, or until batches are replayed */
        bool rollout;
        /* The short form runs each case once; the last one, of three batches, then still replays one. */
    } cases[] = {{MV_QUERY_POOLED, MV_HEAD_EACH, 0, 3, 4, true},
                 {MV_QUERY_RECEIVED, MV_HEAD_MEAN, 3, 2, 1, true},
                 {MV_QUERY_CELL, 1, 0, 2, 1, true},
                 {MV_QUERY_CELL, MV_HEAD_EACH, 2, 3, 1, false},
                 {MV_QUERY_RECEIVED, 0, 3, 1, 2, false}};
    double worst = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_attention_options o = {.blocks = cases[i].block > 0,
                                  .block = {cases[i].block},
                                  .heads = 1,
                                  .head = {cases[i].head},
                                  .query = cases[i].query,
                                  .cell = {[2] = {8, 2}, [3] = {1, 5}},
                                  .rollout = cases[i].rollout};
        mv_attention_maps *want = maps_of(&here, &c, &o, cases[i].capacity, 1),
                          *got = maps_of(&there, &c, &o, cases[i].capacity, test_is_short() ? 1 : cases[i].times);
        worst = fmax(worst, same_maps(got, want, cases[i].head));
        mv_attention_maps_free(want);
        mv_attention_maps_free(got);
    }
    print_message("           worst of maps and figures %.2g\n", worst);
    network_free(&here);
    network_free(&there);
}

/* The maps and matrices of mixers, and rollouts, after so many forwards. */
typedef struct {
    mv_mixer_maps *mixer;
    mv_rollout *rollout;
} inside;

static inside inside_of(const network *n, const mv_config *c, const mv_mixer_options *o, int capacity, int times)
{
    mv_error e = {0};
    const mv_rollout_options all = {.level = {[2] = true, [3] = true}, .attention = true, .mixers = true};
    inside in = {mv_mixer_maps_new(o, c, MAP_H, MAP_W, &e), mv_rollout_new(&all, c, MAP_H, MAP_W, &e)};
    expect_ok(&e);
    mv_mixer_maps_probe(in.mixer)->next = mv_rollout_probe(in.rollout);
    float *x = network_input(MAP_PICTURES, MAP_H, MAP_W, 4);
    mv_run *r = mv_run_new(n->model, MAP_H, MAP_W, capacity, mv_mixer_maps_probe(in.mixer), &e);
    expect_ok(&e);
    for (int again = 0; again < times; again++) {
        mv_run_forward(r, x, MAP_PICTURES, NULL, &e);
        expect_ok(&e);
    }
    mv_run_free(r);
    free(x);
    return in;
}

static double same_values(const float *got, const float *want, size_t n, const char *what, double bound)
{
    if (!got != !want)
        fail_msg("%s is missing on one of the devices", what);
    double d = want ? relative_l2(got, want, n) : 0;
    if (!(d <= bound))
        fail_msg("%s differs by %.3g", what, d);
    return d;
}

static double same_inside(const inside *got, const inside *want)
{
    const double bound = 2e-5;
    double worst = 0;
    for (int p = 0; p < MAP_PICTURES; p++) {
        for (int i = 0; i < mv_mixer_maps_count(want->mixer); i++) {
            const mv_grid g = mv_mixer_maps_block_at(want->mixer, i).grid;
            size_t square = (size_t)g.windows * (size_t)g.tokens * (size_t)g.tokens;
            for (mv_mixer_kind k = 0; k < MV_MIXER_KINDS; k++) {
                const mv_mixer_map *a = mv_mixer_maps_lookup(got->mixer, p, i, k),
                                   *b = mv_mixer_maps_lookup(want->mixer, p, i, k);
                assert_true(a && b);
                const char *what = b->map.title;
                same_values(a->map.v, b->map.v, (size_t)(g.h * g.w), what,
                            k == MV_MIXER_RATIO ? 1e-3 : bound); /* z of one channel may be close to 0 */
                worst = fmax(worst, same_values(mv_mixer_maps_matrix(got->mixer, p, i, k),
                                                mv_mixer_maps_matrix(want->mixer, p, i, k), square, what, bound));
            }
            double shares[] = {mv_mixer_maps_scan_share(got->mixer, p, i), mv_mixer_maps_scan_share(want->mixer, p, i)};
            assert_true(shares[1] > 0 && shares[1] < 1 && fabs(shares[0] - shares[1]) <= 1e-5);
        }
        for (int level = 2; level < MV_LEVELS; level++) {
            const mv_grid *g = mv_rollout_grid(want->rollout, level);
            worst = fmax(worst,
                         same_values(mv_rollout_rows(got->rollout, p, level), mv_rollout_rows(want->rollout, p, level),
                                     (size_t)g->windows * (size_t)g->tokens * (size_t)g->tokens, "rollout", bound));
        }
    }
    return worst;
}

static void inside_free(inside *in)
{
    mv_mixer_maps_free(in->mixer);
    mv_rollout_free(in->rollout);
}

static void the_inside_of_mixers_equals_that_of_the_cpu(void **s)
{
    (void)s;
    mv_config c = small_config();
    network here = network_of(&c, MV_F32, 2, 5), there = network_on(&c, card_open(MV_F32), 5);
    static const struct {
        mv_mixer_options o;
        int capacity, times;
    } cases[] = {
        {{.channel = MV_CHANNEL_MEAN}, 1, 1}, /* three batches: the last one is replayed */
        {{.channel = 7, .with_sign = true, .query = MV_QUERY_CELL, .cell = {[2] = {8, 2}, [3] = {1, 5}}}, 2, 1}};
    double worst = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mv_mixer_options o = cases[i].o;
        o.wants = MV_MIXER_STATES | MV_MIXER_MATRICES;
        o.matrices = MV_MIXER_MATRICES;
        inside want = inside_of(&here, &c, &o, cases[i].capacity, 1),
               got = inside_of(&there, &c, &o, cases[i].capacity, cases[i].times);
        worst = fmax(worst, same_inside(&got, &want));
        inside_free(&want);
        inside_free(&got);
    }
    print_message("           worst of matrices and rollouts %.2g\n", worst);
    network_free(&here);
    network_free(&there);
}

/* ---- memory */

/* MiB free on the card, as the driver reports it in the context that the devices share; 0 in emulation. */
static double card_free(void)
{
    size_t available = 0, all = 0;
    if (card_emulated)
        return 0;
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    int (*ask)(size_t *, size_t *) = NULL;
    if (driver)
        *(void **)&ask = dlsym(driver, "cuMemGetInfo_v2");
    if (!ask || ask(&available, &all))
        fail_msg("the driver does not report the free memory of the card");
    dlclose(driver);
    return (double)available / (1 << 20);
}

/* Resident MiB of this process; 0 if the kernel does not say. */
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

/* Memory of the card is taken in steps of 2 MiB; 100 MiB less are a leak. */
static void held_nothing(const char *what, double free_before, long live_before)
{
    double now = card_free();
    if (simt_live() != live_before)
        fail_msg("%s: %ld things are not given back", what, simt_live() - live_before);
    if (now < free_before - 100)
        fail_msg("%s: %.0f MiB of the card's memory are free, before it were %.0f", what, now, free_before);
}

static void nothing_leaks(void **s)
{
    (void)s;
    mv_config c = small_config();
    mv_error e = {0};
    const int passes = card_emulated ? 6 : 10000, turns = card_emulated ? 3 : 30;
    float logits[CLASSES], *x = network_input(1, H, W, 3);

    for (int i = 0; i < 3; i++) { /* what CUDA loads once and keeps */
        network first = network_on(&c, card_open(types[i]), 5);
        logits_of(&first, NULL, 1, 4, logits);
        network_free(&first);
    }

    long none = simt_live();
    double start = card_free();
    network n = network_on(&c, card_open(MV_F16), 5);
    logits_of(&n, NULL, 1, 4, logits);
    long idle = simt_live();
    mv_run *r = mv_run_new(n.model, H, W, 1, NULL, &e);
    expect_ok(&e);
    for (int i = 0; i < 4; i++) /* operation by operation, recorded, replayed */
        mv_run_forward(r, x, 1, logits, &e);
    expect_ok(&e);
    long running = simt_live();
    double before = card_free(), host = resident();
    for (int i = 0; i < passes && !e.code; i++)
        mv_run_forward(r, x, 1, logits, &e);
    expect_ok(&e);
    double grown = resident() - host;
    held_nothing("passes", before, running);
    if (!card_emulated) /* memory that is freed late there is not lost */
        print_message("           %d passes: %.1f MiB more of the host's memory\n", passes, grown);
    if (!card_emulated && grown > 32)
        fail_msg("%d passes: %.1f MiB more of the host's memory", passes, grown);
    mv_run_free(r);
    held_nothing("a run", before, idle);

    for (int i = 0; i < turns; i++)
        logits_of(&n, NULL, 1, 3, logits);
    held_nothing("runs", before, idle);
    network_free(&n);
    held_nothing("a network", start, none);

    for (int i = 0; i < turns; i++) {
        network again = network_on(&c, card_open(types[i % 3]), 5);
        logits_of(&again, NULL, 1, 3, logits);
        network_free(&again);
    }
    held_nothing("devices", start, none);
    free(x);
}

int main(void)
{
    if (!card_find())
        return 1;
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(variant_t_fp8),
        cmocka_unit_test(every_variant),
        cmocka_unit_test(watched_equals_unwatched),
        cmocka_unit_test(repeats_are_bit_equal),
        cmocka_unit_test(recordings_see_new_pictures),
        cmocka_unit_test(devices_do_not_disturb_each_other),
        cmocka_unit_test(attention_maps_equal_those_of_the_cpu),
        cmocka_unit_test(the_inside_of_mixers_equals_that_of_the_cpu),
        cmocka_unit_test(nothing_leaks),
    };
    const struct CMUnitTest brief[] = {
        /* for tools that slow every kernel a hundredfold */
        cmocka_unit_test(odd_fp16),
        cmocka_unit_test(recordings_see_new_pictures),
    };
    return test_is_short() && !card_emulated ? cmocka_run_group_tests(brief, NULL, NULL)
                                             : cmocka_run_group_tests(tests, NULL, NULL);
}
