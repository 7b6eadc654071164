/* What a pass would take on an H100, predicted: not measured anywhere; once for a short run, and once for one so long
 * that kernels are compiled for it (repays_compiling in cuda/library.h). The launches are the real ones of a variant
 * and a batch: the network runs on the emulated device, some blocks of each grid are executed and counted
 * (tests/counts.h), and products of libraries are only written down. A launch takes a time to start, and the longest
 * of:
 *
 *   memory    the bytes of the operation, each input and output once, or what its blocks touch if that is less, at
 *             88 % of 3.0 TB/s
 *   cache     the different sectors of 32 bytes of each block at 5.5 TB/s; all sectors that warps ask for, 4 a cycle
 *             of an SM
 *   shared    wavefronts of shared memory, one a cycle of an SM
 *   tensor    products of the tensor cores, 3 cycles each of a quarter of an SM
 *   issue     instructions of warps (tests/data/machine_code), 4 a cycle of an SM
 *   latency   the cycles that one warp alone would take, for each block that an SM runs after another for want of room
 *
 * Libraries have assumed shares of the arithmetic peak. Left out: clocks below 1755 MHz, what the cache keeps from one
 * kernel to the next (a card is faster), contention between the limits above (a card is slower), and the host. The
 * floor of an operation is the longer of its bytes and its arithmetic at the peak, as if all memory were cold.
 *
 * `mvscope bench`, bench_device and bench_ops measure instead; their floors take rates that src/device/yardstick.c
 * measures on the device.
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

#include "src/run/run.h"
#include "tests/card.h"
#include "tests/counts.h"
#include "tests/machine_code.h"
#include "tests/network.h"

/* ---- the card */

static const double SMS = 132, CLOCK = 1.755e9, PEAK = 798e12, MEMORY = 3.0e12, CACHE = 5.5e12;
static const double START = 1.2e-6, GAP = 0.5e-6, LIBRARY_START = 1.5e-6, LIBRARY_GAP = 1e-6;
static const double PRODUCT_CYCLES = 3; /* of an SM's quarter, of 16 x 8 x 16 by mma.sync */

/* ---- one launch */

static double at_least(double x, double least)
{
    return x > least ? x : least;
}

static double kernel_seconds(const kernel_counts *c, double bytes)
{
    const machine_code *k = machine_code_of(c->name);
    double scale = (double)c->blocks / (double)c->executed, blocks = (double)c->blocks,
           block_warps = ceil((double)c->threads / 32);
    double sms = fmin(SMS, blocks), sectors = (double)(c->read.sectors + c->written.sectors) * scale,
           own = (double)(c->read.footprint + c->written.footprint) * scale;
    double t = (bytes > 0 ? fmin(bytes, own) : own) / (0.88 * MEMORY);
    t = at_least(t, (double)c->cached * scale / CACHE);
    t = at_least(t, sectors / 4 / sms / CLOCK);
    t = at_least(t, (double)c->shared.wavefronts * scale / sms / CLOCK);
    t = at_least(t, (double)c->met[3] * scale * PRODUCT_CYCLES / 4 / sms / CLOCK);
    if (!k) {
        print_message("           %s is not in tests/data/machine_code\n", c->name);
        return t + START;
    }
    const machine_warp warp = machine_code_warp(k, c);
    t = at_least(t, block_warps * blocks * warp.instructions / 4 / sms / CLOCK);
    double waves = at_least(blocks / (SMS * machine_code_resident(k, c->threads, c->shared_bytes)), 1);
    return at_least(t, waves * warp.cycles / CLOCK) + START;
}

/* cuBLASLt and cuDNN: the share of the peak that they reach at such sizes, less where there are few tiles */
static double library_seconds(const kernel_counts *c)
{
    bool product = strcmp(c->name, "product") == 0;
    double rows = (double)c->rows, tile = product && rows < 4096 ? 64 : 128,
           across = product && rows >= 4096 ? 128 : 64;
    double share = !product      ? 0.6
                   : c->k >= 512 ? 0.7
                   : c->k >= 256 ? 0.6
                                 : 0.5,
           tiles = ceil(rows / tile) * ceil(c->n / across) * (product ? at_least(fmin(8, c->k / 256), 1) : 1),
           filled = at_least(fmin(1, tiles / SMS), product ? 0.02 : 0.1);
    double flops = 2 * rows * ceil(c->n / 64.0) * 64 * c->k;
    return at_least(flops / (PEAK * share * filled),
                    (double)c->read.footprint / ((product ? 0.85 : 0.8) * MEMORY * at_least(filled, 0.25))) +
           LIBRARY_START;
}

/* ---- a pass */

enum { ROWS = 16 };

typedef struct {
    char name[24];
    double calls, kernels, seconds, floor;
} part;

static struct {
    part row[ROWS];
    int rows;
    size_t seen; /* launches */
} pass;

static mv_backend watched; /* the device's own table, while its operations are watched */

static part *part_of(const char *name)
{
    int i = 0;
    while (i < pass.rows && strcmp(pass.row[i].name, name) != 0)
        i++;
    assert_true(i < ROWS);
    if (i == pass.rows) {
        pass.row[pass.rows++] = (part){0};
        snprintf(pass.row[i].name, sizeof pass.row[i].name, "%s", name);
    }
    return &pass.row[i];
}

/* What was launched since then belongs to `name`, which moves so many bytes; 0: as many as its kernels ask for. */
static void take(const char *name, double bytes)
{
    part *p = part_of(name);
    for (; pass.seen < counts_launches(); pass.seen++) {
        const kernel_counts *c = counts_at(pass.seen);
        p->kernels++;
        p->seconds += c->address ? kernel_seconds(c, bytes) + GAP : library_seconds(c) + LIBRARY_GAP;
    }
}

static void begins(const char *op, const char *shape, double flops, double bytes)
{
    char label[96];
    take("rest", 0);
    snprintf(label, sizeof label, "%s %s", op, shape);
    counts_label(label);
    part *p = part_of(op);
    p->calls++;
    p->floor += fmax(flops / PEAK, bytes / MEMORY);
}

static mv_status ends(const char *op, double bytes, mv_status s)
{
    take(op, bytes);
    counts_label("rest");
    return s;
}

#define TIMED(OP, OUT, IN_PLACE, FLOPS, BYTES, CALL, ...)                                                              \
    do {                                                                                                               \
        char shape[72];                                                                                                \
        double bytes = BYTES;                                                                                          \
        (void)(OUT), (void)(IN_PLACE);                                                                                 \
        snprintf(shape, sizeof shape, __VA_ARGS__);                                                                    \
        begins(OP, shape, FLOPS, bytes);                                                                               \
        return ends(OP, bytes, CALL);                                                                                  \
    } while (0)

#define WATCHED(b)                                                                                                     \
    const mv_backend *real = &watched;                                                                                 \
    mv_backend *self = (b)

#include "src/device/pass_ops.h"

/* Weights of zero: they are not looked at. */
static mv_status read_nothing(mv_source *s, const char *name, int nd, const int *dim, float *out, bool *found,
                              mv_error *e)
{
    (void)s, (void)name, (void)e;
    size_t n = 1;
    for (int i = 0; i < nd; i++)
        n *= (size_t)dim[i];
    memset(out, 0, n * sizeof *out);
    *found = true;
    return MV_OK;
}

/* Milliseconds of a pass, one of so many that are expected; what it consists of is printed `whole` or not at all. */
static double predicted(const char *variant, int batch, long batches, bool whole)
{
    mv_config config;
    mv_error e = {0};
    mv_source source = {.read = read_nothing, .place = "nowhere"};
    assert_true(mv_config_lookup(variant, &config));
    mv_backend *b = card_open(MV_F16);
    mv_model *m = mv_model_new(&config, b, &source, &e);
    expect_ok(&e);
    b->batches = batches;
    const mv_preprocess *p = &config.preprocess;
    mv_run *r = mv_run_new(m, p->h, p->w, batch, NULL, &e);
    expect_ok(&e);
    float *x = calloc((size_t)batch * 3 * (size_t)p->h * (size_t)p->w, sizeof *x);
    assert_non_null(x);
    mv_run_forward(r, x, batch, NULL, &e); /* what is done once */
    memset(&pass, 0, sizeof pass);
    pass.seen = counts_launches();
    watched = *b;
    pass_ops_offer(b, &watched);
    b->record = NULL; /* the pass itself is not recorded */
    mv_run_forward(r, x, batch, NULL, &e);
    *b = watched;
    take("rest", 0);
    expect_ok(&e);
    double seconds = 0, floor = 0, kernels = 0;
    for (int i = 0; i < pass.rows; i++)
        seconds += pass.row[i].seconds, floor += pass.row[i].floor, kernels += pass.row[i].kernels;
    printf("  | %s fp16, batch %d, %s: %.3f ms predicted (%.0f pictures a second), floor %.3f ms, %.0f kernels\n",
           variant, batch, batches ? "of a long run" : "of a short run", seconds * 1e3, batch / seconds, floor * 1e3,
           kernels);
    for (int i = 0; i < pass.rows && whole; i++) {
        const part *q = &pass.row[i];
        if (q->kernels == 0)
            continue;
        printf("  |   %-12s %4.0f calls %4.0f kernels %10.1f us %5.1f %%   floor %10.1f us", q->name, q->calls,
               q->kernels, q->seconds * 1e6, q->seconds / seconds * 100, q->floor * 1e6);
        printf(q->floor > 0 ? " %6.1fx\n" : "\n", q->seconds / q->floor);
    }
    free(x);
    mv_run_free(r);
    mv_model_free(m);
    b->free(b);
    return seconds * 1e3;
}

static void passes_are_predicted(void **state)
{
    (void)state;
    static const struct {
        const char *variant;
        int batch;
        double goal; /* ms */
    } passes[] = {{"T", 128, 3.5}, {"T", 1, 0.45},           {"B", 128, 10},
                  {"L2", 128, 23}, {"L3-512-21K", 128, 270}, {"L3-512-21K", 1, 3.5}};
    counts_sample(3);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        predicted(passes[i].variant, passes[i].batch, 0, false);
        double ms = predicted(passes[i].variant, passes[i].batch, MV_BATCHES_MANY, true);
        printf("  |   goal %g ms%s\n", passes[i].goal, ms > passes[i].goal ? ": not met" : "");
    }
}

int main(void)
{
    if (!card_find())
        return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(passes_are_predicted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
