/* How fast the network runs on a GPU: pictures a second and the time of a batch, by variant and batch size, beside
 * its floor, and the cost of probes. Pictures are on the card already and logits stay there; a batch is timed by the
 * clock of the host from the call until the card is idle, launches and the wait included, as bench_torch.py times
 * PyTorch. Median of up to 100 passes in 3 seconds, 10 at least, after a warm-up in which algorithms are chosen and the
 * batch is recorded.
 *
 *   bench_device PLUGIN.so [VARIANT[:BATCH[:PRECISION]][+hooks]...]
 *
 *   MVSCOPE_BENCH_JSON=FILE       appends JSON lines
 *   MVSCOPE_BENCH_SECONDS=3       the time for the passes of a row
 *   MVSCOPE_BENCH_LOGITS=FOLDER   keeps the logits of two generated pictures, for bench_torch.py to compare:
 *                                 VARIANT-PRECISION.f32, 2 x 1000 floats. They must be finite in any case.
 *
 * Without a batch, 1, 8, 32 and 128. The arithmetic floor of a batch is the longer of two times: its multiply-adds at
 * the rate of a large product of the same precision, and its weights read once at the rate of a sum in place, both
 * measured here; what activations move is not in it.
 * Hooks: "attn" every attention map, "states" every state of the scans, "blocks" every block's output; "card" computes
 * the values, "host" also copies them to the host.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/probe.h"
#include "src/run/run.h"
#include "src/run/trace.h"
#include "tests/timing.h"
#include "tests/weights.h"

enum { WARM = 12, ROUNDS = 100, LEAST = 10, CHECKED = 2 };

static mv_status drop(void *context, const char *site, mv_tensor value, mv_error *e)
{
    (void)context, (void)site, (void)value, (void)e;
    return MV_OK;
}

typedef enum { UNWATCHED, ON_CARD, TO_HOST } hook;

static double limit_of_a_row(void)
{
    const char *text = getenv("MVSCOPE_BENCH_SECONDS");
    double seconds = text ? atof(text) : 3;
    return seconds > 0 ? seconds : 3;
}

/* The median of passes over the pictures that are on the card. */
static double median_pass(mv_run *r, int batch, int warm, mv_error *e)
{
    double times[ROUNDS], limit = limit_of_a_row();
    size_t n = 0;
    bool brief = getenv("MVSCOPE_TEST_SHORT"); /* in emulation, where nothing can be timed */
    for (int i = 0; i < (brief ? 1 : warm) && !e->code; i++)
        mv_run_forward(r, NULL, batch, NULL, e);
    double start = mv_clock_now();
    while (!e->code && n < ROUNDS && (n < (brief ? 1 : LEAST) || (!brief && mv_clock_now() - start < limit))) {
        double begin = mv_clock_now();
        mv_run_forward(r, NULL, batch, NULL, e);
        times[n++] = mv_clock_now() - begin;
    }
    return e->code ? -1 : timing_median(times, n);
}

static float *pictures_of(const mv_model *m, int batch)
{
    const mv_preprocess *p = &m->config.preprocess;
    size_t n = (size_t)batch * 3 * (size_t)p->h * (size_t)p->w;
    float *x = malloc(n * sizeof *x);
    if (!x) {
        fprintf(stderr, "bench_device: no memory for %d pictures\n", batch);
        exit(1);
    }
    weights_uniform(x, "input", n, 1);
    return x;
}

/* Seconds for a batch of `batch` pictures, watched at the sites of a pattern or not; *scratch receives its bytes.
 * Negative if the memory does not suffice. */
static double seconds_of(const mv_model *m, int batch, hook how, const char *pattern, size_t *scratch)
{
    mv_error e = {0};
    double s = -1;
    mv_idle idle;
    mv_trace *t = how == TO_HOST ? mv_trace_new(pattern, drop, NULL, &e) : NULL;
    timing_die_if(&e);
    const mv_preprocess *p = &m->config.preprocess;
    m->backend->batches = MV_BATCHES_MANY;
    mv_run *r = mv_run_new(m, p->h, p->w, batch,
                           t                ? mv_trace_probe(t)
                           : how == ON_CARD ? mv_idle_probe(&idle, pattern)
                                            : NULL,
                           &e);
    if (!e.code && mv_run_capacity(r) == batch) {
        *scratch = mv_run_memory(r);
        float *x = pictures_of(m, batch);
        mv_run_forward(r, x, batch, NULL, &e);
        free(x);
        s = median_pass(r, batch, how == TO_HOST ? 2 : WARM, &e);
    }
    if (e.code && e.code != MV_ENOMEM)
        timing_die_if(&e);
    mv_run_free(r);
    mv_trace_free(t);
    return s;
}

/* Logits of two pictures must be finite; they are kept where MVSCOPE_BENCH_LOGITS says. */
static void check_logits(const mv_model *m, const char *name, mv_dtype act)
{
    mv_error e = {0};
    const mv_preprocess *p = &m->config.preprocess;
    size_t n = (size_t)CHECKED * (size_t)m->config.classes;
    float *logits = calloc(n, sizeof *logits), *x = pictures_of(m, CHECKED);
    mv_run *r = mv_run_new(m, p->h, p->w, CHECKED, NULL, &e);
    timing_die_if(&e);
    if (!logits)
        exit(1);
    mv_run_forward(r, x, CHECKED, logits, &e);
    timing_die_if(&e);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(logits[i])) {
            fprintf(stderr, "bench_device: %s %s: logit %zu is %g, expected finite numbers: nothing is timed\n", name,
                    timing_precision(act, m->backend->fp8), i, (double)logits[i]);
            exit(1);
        }
    const char *folder = getenv("MVSCOPE_BENCH_LOGITS");
    if (folder) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s-%s.f32", folder, name, timing_precision(act, m->backend->fp8));
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(logits, sizeof *logits, n, f) != n)
            fprintf(stderr, "bench_device: %s cannot be written\n", path);
        if (f)
            fclose(f);
    }
    mv_run_free(r);
    free(logits);
    free(x);
}

/* A number of the table, or a dash if nothing was measured. */
__attribute__((format(printf, 1, 0))) static void cell(const char *format, double seconds, double value)
{
    if (seconds < 0)
        printf(" %6s", "-");
    else
        printf(format, value);
}

/* The columns of the probes: on the card, and to the host. */
static void measure_hooks(const mv_model *m, int batch, double s, FILE *json)
{
    static const struct {
        const char *name, *pattern;
    } hooks[] = {{"attn", "levels.*.blocks.*.mixer.attn"},
                 {"states", "levels.*.blocks.*.mixer.h"},
                 {"blocks", "levels.*.blocks.*"}};
    size_t ignored;
    for (size_t k = 0; k < sizeof hooks / sizeof *hooks; k++) {
        double w = seconds_of(m, batch, ON_CARD, hooks[k].pattern, &ignored);
        double over = seconds_of(m, batch, TO_HOST, hooks[k].pattern, &ignored);
        cell(" %+5.0f%%", w, (w / s - 1) * 100);
        cell(" %5.1fx", over, over / s);
        if (json && w >= 0)
            fprintf(json, ",\"%s_on_card_ms\":%.4f", hooks[k].name, w * 1e3);
        if (json && over >= 0)
            fprintf(json, ",\"%s_to_host_ms\":%.4f", hooks[k].name, over * 1e3);
    }
}

static void measure_batch(const mv_model *m, const timing_variant *v, int batch, timing_rates card, bool hooks,
                          FILE *json)
{
    size_t scratch = 0;
    double macs, bytes, s = seconds_of(m, batch, UNWATCHED, NULL, &scratch);
    const char *precision = timing_precision(v->act, v->fp8);
    timing_costs(&v->config, v->act, &macs, &bytes);
    if (s < 0) {
        printf("%-11s %-5s %5d  does not fit into the memory\n", v->name, precision, batch);
        if (json)
            fprintf(json, "{\"model\":\"%s\",\"precision\":\"%s\",\"batch\":%d,\"failed\":\"out of memory\"}\n",
                    v->name, precision, batch);
        return;
    }
    double product = macs * batch / card.macs, memory = bytes / card.bytes;
    double floor = product > memory ? product : memory;
    printf("%-11s %-5s %5d %9.1f %9.3f %6.0f%% %8.0f", v->name, precision, batch, batch / s, s * 1e3, floor / s * 100,
           (double)scratch * 1e-6);
    if (json)
        fprintf(json,
                "{\"model\":\"%s\",\"precision\":\"%s\",\"batch\":%d,\"images_per_second\":%.2f,\"ms\":%.4f,"
                "\"arithmetic_floor_ms\":%.4f,\"scratch_mb\":%.1f,\"weights_mb\":%.1f",
                v->name, precision, batch, batch / s, s * 1e3, floor * 1e3, (double)scratch * 1e-6, bytes * 1e-6);
    if (hooks)
        measure_hooks(m, batch, s, json);
    printf("\n");
    fflush(stdout);
    if (json) { /* now, so that it survives a time limit */
        fprintf(json, "}\n");
        fflush(json);
    }
}

static void measure(const mv_plugin *plugin, const char *argument, FILE *json)
{
    static const int batches[] = {1, 8, 32, 128};
    char text[64], room[64];
    mv_error e = {0};
    weights source;
    snprintf(text, sizeof text, "%s", argument);
    char *plus = strstr(text, "+hooks");
    bool hooks = plus && plus[6] == 0;
    if (hooks)
        *plus = 0;
    timing_variant v = timing_variant_of(text, room);
    mv_backend *b = plugin->open(0, v.act, v.fp8, &e);
    timing_die_if(&e);
    timing_rates card = timing_rates_of(b);
    mv_model *m = mv_model_new(&v.config, b, weights_source(&source, 0), &e);
    timing_die_if(&e);
    check_logits(m, v.name, v.act);
    for (size_t i = 0; i < (v.batch ? 1 : sizeof batches / sizeof *batches); i++)
        measure_batch(m, &v, v.batch ? v.batch : batches[i], card, hooks, json);
    printf("%-11s %-5s a large product: %.0f TFLOP/s; a sum in place: %.2f TB/s\n", v.name,
           timing_precision(v.act, v.fp8), 2 * card.macs * 1e-12, card.bytes * 1e-12);
    mv_model_free(m);
    b->free(b);
}

static void print_columns(void)
{
    printf("%-11s %-5s %5s %9s %9s %7s %8s %6s %6s %6s %6s %6s %6s\n", "variant", "", "batch", "images/s", "ms/pass",
           "floor", "scratch", "attn", "to", "states", "to", "blocks", "to");
    printf("%-11s %-5s %5s %9s %9s %7s %8s %6s %6s %6s %6s %6s %6s\n", "", "", "", "", "", "share", "MB", "card",
           "host", "card", "host", "card", "host");
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"T:128", "T:1", "B:128", "T:32+hooks", NULL};
    const timing_bench bench = {"bench_device", "VARIANT[:BATCH[:PRECISION]][+hooks]", usual, print_columns, measure};
    return timing_main(argc, argv, &bench);
}
