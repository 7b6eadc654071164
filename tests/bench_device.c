/* How fast the network runs on a GPU: pictures a second and the time of a batch, by variant and batch size, beside
 * its floor, and the cost of probes. Pictures are on the card already and logits stay there; a batch is timed by the
 * clock of the host from the call until the card is idle, launches and the wait included, as bench_torch.py times
 * PyTorch. Median of 100 after a warm-up in which algorithms are chosen and the batch is recorded.
 *
 *   bench_device PLUGIN.so [VARIANT[:BATCH[:PRECISION]]...]     a table, and JSON lines into MVSCOPE_BENCH_JSON=FILE
 *
 * The floor of a batch is the longer of two times: its multiply-adds at the rate of an 8192-cube product of the same
 * precision, and its weights read once at the rate of a 1 GiB sum in place, both measured here.
 * Hooks: "attn" every attention map, "states" every state of the scans, "blocks" every block's output; "card" computes
 * the values, "host" also copies them to the host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/base/pattern.h"
#include "src/device/null.h"
#include "src/device/plugin.h"
#include "src/run/probe.h"
#include "src/run/run.h"
#include "src/run/trace.h"
#include "tests/weights.h"

enum { WARM = 12, ROUNDS = 100 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die_if(const mv_error *e)
{
    if (e->code) {
        fprintf(stderr, "bench_device: %s\n", e->text);
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Wants the sites of a pattern and ignores the values: measures the cost of computing them. */
typedef struct {
    mv_probe probe;
    const char *pattern;
} idle_probe;

static bool idle_wants(mv_probe *p, const char *site)
{
    return mv_pattern_match(((idle_probe *)p)->pattern, site);
}

static bool idle_sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    (void)p, (void)r, (void)site, (void)value;
    return false;
}

static void idle_kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    (void)p, (void)r, (void)site, (void)part, (void)value;
}

static mv_status drop(void *context, const char *site, mv_tensor value, mv_error *e)
{
    (void)context, (void)site, (void)value, (void)e;
    return MV_OK;
}

typedef enum { UNWATCHED, ON_CARD, TO_HOST } hook;

/* Seconds for a batch of `batch` pictures, watched at the sites of a pattern or not; *scratch receives its bytes.
 * Negative if the memory does not suffice. */
static double seconds_of(const mv_model *m, int batch, hook how, const char *pattern, size_t *scratch)
{
    mv_error e = {0};
    idle_probe idle = {{.wants = idle_wants, .sees = idle_sees, .kept = idle_kept}, pattern};
    mv_trace *t = how == TO_HOST ? mv_trace_new(pattern, drop, NULL, &e) : NULL;
    die_if(&e);
    const mv_preprocess *p = &m->config.preprocess;
    mv_run *r = mv_run_new(m, p->h, p->w, batch, t ? mv_trace_probe(t) : how == ON_CARD ? &idle.probe : NULL, &e);
    if (e.code == MV_ENOMEM)
        goto full;
    die_if(&e);
    if (mv_run_capacity(r) < batch)
        goto full;
    *scratch = mv_run_memory(r);
    size_t n = (size_t)batch * 3 * (size_t)p->h * (size_t)p->w;
    float *x = malloc(n * sizeof *x);
    double times[ROUNDS];
    if (!x)
        exit(1);
    weights_uniform(x, "input", n, 1);
    mv_run_forward(r, x, batch, NULL, &e);
    free(x);
    int rounds = how == TO_HOST ? 10 : ROUNDS;
    for (int i = how == TO_HOST ? -2 : -WARM; i < rounds && !e.code; i++) {
        double begin = now();
        mv_run_forward(r, NULL, batch, NULL, &e);
        if (i >= 0)
            times[i] = now() - begin;
    }
    if (e.code == MV_ENOMEM)
        goto full;
    die_if(&e);
    mv_run_free(r);
    mv_trace_free(t);
    qsort(times, (size_t)rounds, sizeof *times, by_value);
    return times[rounds / 2];
full:
    mv_run_free(r);
    mv_trace_free(t);
    return -1;
}

/* The rates of the card: multiply-adds and bytes a second. */
typedef struct {
    double macs, bytes;
} rates;

/* The least of five times of ten calls */
static double seconds_each(mv_backend *b, mv_status (*call)(mv_backend *, void *, mv_error *), void *context)
{
    mv_error e = {0};
    double least = 1e9;
    for (int round = 0; round < 6; round++) {
        double begin = now();
        for (int i = 0; i < 10 && !e.code; i++)
            call(b, context, &e);
        b->finish(b, &e);
        double s = (now() - begin) / 10;
        if (round && s < least) /* the first warms up */
            least = s;
    }
    die_if(&e);
    return least;
}

enum { CUBE = 8192 };

typedef struct {
    mv_tensor x, out;
    mv_dense w;
} work;

static mv_status multiply(mv_backend *b, void *context, mv_error *e)
{
    work *k = context;
    return b->linear(b, k->out, k->x, &k->w, MV_ACT_NONE, (mv_vector){0}, (mv_tensor){0}, e);
}

static mv_status sum(mv_backend *b, void *context, mv_error *e)
{
    work *k = context;
    return b->add(b, k->out, k->x, (mv_vector){0}, k->out, e);
}

static rates rates_of(mv_backend *b)
{
    mv_error e = {0};
    const size_t n = (size_t)CUBE * CUBE, bytes = n * mv_dtype_size(b->act);
    work k = {.x = {.type = b->act, .nd = 2, .dim = {CUBE, CUBE}},
              .out = {.type = b->act, .nd = 2, .dim = {CUBE, CUBE}}};
    float *random = malloc(n * sizeof *random);
    k.x.data = b->alloc(b, bytes);
    k.out.data = b->alloc(b, bytes);
    if (!random || !k.x.data || !k.out.data)
        exit(1);
    weights_uniform(random, "x", n, 1);
    b->write(b, mv_view_of(k.x), random, &e);
    b->write(b, mv_view_of(k.out), random, &e);
    b->dense_new(b, &k.w, CUBE, CUBE, random, NULL, &e);
    die_if(&e);
    rates r = {.macs = (double)n * CUBE / seconds_each(b, multiply, &k),
               .bytes = 3 * (double)bytes / seconds_each(b, sum, &k)};
    b->dense_free(b, &k.w);
    b->release(b, k.x.data);
    b->release(b, k.out.data);
    free(random);
    return r;
}

/* Multiply-adds of a picture, attention's products among them, and bytes of the weights as the device holds them */
static void costs_of(const mv_config *config, mv_dtype act, double *macs, double *bytes)
{
    mv_error e = {0};
    mv_backend *null = mv_null_new(act, &e);
    die_if(&e);
    mv_model *m = mv_model_new(config, null, NULL, &e);
    die_if(&e);
    mv_run *r = mv_run_new(m, config->preprocess.h, config->preprocess.w, 1, NULL, &e);
    die_if(&e);
    mv_run_forward(r, NULL, 1, NULL, &e);
    die_if(&e);
    const mv_costs costs = mv_run_costs(r);
    *macs = 0;
    for (int i = 0; i < MV_PARTS; i++)
        *macs += (double)(costs.macs[i] + costs.attention_macs[i]);
    *bytes = 0;
    for (int i = 0; i < MV_PARTS; i++)
        *bytes += (double)m->parameters[i] * (double)mv_dtype_size(act);
    mv_run_free(r);
    mv_model_free(m);
    null->free(null);
}

/* A number of the table, or a dash if nothing was measured. */
__attribute__((format(printf, 1, 0))) static void cell(const char *format, double seconds, double value)
{
    if (seconds < 0)
        printf(" %6s", "-");
    else
        printf(format, value);
}

static void measure(const mv_plugin *plugin, const char *name, mv_dtype act, int only, FILE *json)
{
    static const int batches[] = {1, 8, 32, 128};
    static const struct {
        const char *name, *pattern;
    } hooks[] = {{"attn", "levels.*.blocks.*.mixer.attn"},
                 {"states", "levels.*.blocks.*.mixer.h"},
                 {"blocks", "levels.*.blocks.*"}};
    mv_config config;
    mv_error e = {0};
    weights source;
    double macs, bytes;
    if (!mv_config_lookup(name, &config)) {
        fprintf(stderr, "bench_device: no variant '%s'\n", name);
        exit(2);
    }
    costs_of(&config, act, &macs, &bytes);
    mv_backend *b = plugin->open(0, act, &e);
    die_if(&e);
    rates card = rates_of(b);
    mv_model *m = mv_model_new(&config, b, weights_source(&source, 0), &e);
    die_if(&e);
    const char *precision = act == MV_F32 ? "fp32" : act == MV_F16 ? "fp16" : "bf16";
    for (size_t i = 0; i < (only ? 1 : sizeof batches / sizeof *batches); i++) {
        size_t scratch = 0, ignored;
        int batch = only ? only : batches[i];
        double s = seconds_of(m, batch, UNWATCHED, NULL, &scratch);
        if (s < 0) {
            printf("%-11s %-5s %5d  does not fit into the memory\n", name, precision, batch);
            if (json)
                fprintf(json, "{\"model\":\"%s\",\"precision\":\"%s\",\"batch\":%d,\"failed\":\"out of memory\"}\n",
                        name, precision, batch);
            continue;
        }
        double product = macs * batch / card.macs, memory = bytes / card.bytes;
        double floor = product > memory ? product : memory;
        printf("%-11s %-5s %5d %9.1f %9.3f %6.0f%% %8.0f", name, precision, batch, batch / s, s * 1e3, floor / s * 100,
               (double)scratch * 1e-6);
        if (json)
            fprintf(json,
                    "{\"model\":\"%s\",\"precision\":\"%s\",\"batch\":%d,\"images_per_second\":%.2f,\"ms\":%.4f,"
                    "\"floor_ms\":%.4f,\"scratch_mb\":%.1f,\"weights_mb\":%.1f",
                    name, precision, batch, batch / s, s * 1e3, floor * 1e3, (double)scratch * 1e-6, bytes * 1e-6);
        for (size_t k = 0; k < sizeof hooks / sizeof *hooks; k++) {
            double w = seconds_of(m, batch, ON_CARD, hooks[k].pattern, &ignored);
            double over = batch <= 32 ? seconds_of(m, batch, TO_HOST, hooks[k].pattern, &ignored) : -1;
            cell(" %+5.0f%%", w, (w / s - 1) * 100);
            cell(" %5.1fx", over, over / s);
            if (json && w >= 0)
                fprintf(json, ",\"%s_on_card_ms\":%.4f", hooks[k].name, w * 1e3);
            if (json && over >= 0)
                fprintf(json, ",\"%s_to_host_ms\":%.4f", hooks[k].name, over * 1e3);
        }
        printf("\n");
        fflush(stdout);
        if (json) { /* now, so that it survives a time limit */
            fprintf(json, "}\n");
            fflush(json);
        }
    }
    printf("%-11s %-5s an 8192-cube product: %.0f TFLOP/s; a sum in place: %.2f TB/s\n", name, precision,
           2 * card.macs * 1e-12, card.bytes * 1e-12);
    mv_model_free(m);
    b->free(b);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"T::fp16", "T::bf16", "T::fp32",    "T2",         "S",         "B",
                                      "L",       "L2",      "L2-512-21K", "L3-256-21K", "L3-512-21K"};
    mv_error e = {0};
    char about[160];
    if (argc < 2) {
        fprintf(stderr, "usage: bench_device PLUGIN.so [VARIANT[:BATCH[:PRECISION]]...]\n");
        return 2;
    }
    const mv_plugin *plugin = mv_plugin_open(argv[1], &e);
    die_if(&e);
    plugin->describe(0, about, &e);
    die_if(&e);
    const char *file = getenv("MVSCOPE_BENCH_JSON");
    FILE *json = file ? fopen(file, "a") : NULL;
    if (file && !json)
        fprintf(stderr, "bench_device: %s cannot be written\n", file);
    if (json)
        fprintf(json, "{\"card\":\"%.*s\",\"device\":\"%s\"}\n", (int)strcspn(about, ","), about, about);
    printf("%s\n%-11s %-5s %5s %9s %9s %7s %8s %6s %6s %6s %6s %6s %6s\n", about, "variant", "", "batch", "images/s",
           "ms/pass", "floor", "scratch", "attn", "to", "states", "to", "blocks", "to");
    printf("%-11s %-5s %5s %9s %9s %7s %8s %6s %6s %6s %6s %6s %6s\n", "", "", "", "", "", "share", "MB", "card",
           "host", "card", "host", "card", "host");
    int n = argc > 2 ? argc - 2 : (int)(sizeof all / sizeof *all);
    for (int i = 0; i < n; i++) {
        char text[64], *rest = text, *batch, *type;
        snprintf(text, sizeof text, "%s", argc > 2 ? argv[2 + i] : all[i]);
        const char *name = strsep(&rest, ":");
        batch = strsep(&rest, ":");
        type = strsep(&rest, ":");
        mv_dtype act = !type || strcmp(type, "fp16") == 0 ? MV_F16 : strcmp(type, "bf16") == 0 ? MV_BF16 : MV_F32;
        measure(plugin, name, act, batch ? atoi(batch) : 0, json);
    }
    if (json)
        fclose(json);
    return 0;
}
