/* How fast the network runs on a GPU: pictures a second and the time of one pass, by variant and batch, and what hooks
 * cost. Pictures lie on the card already; a pass is timed by the host's clock from its launch to its end, median of
 * 100 after a warm-up in which algorithms are chosen and the pass is recorded.
 *
 *   bench_device PLUGIN.so [VARIANT...]           a table on stdout, JSON lines with MVSCOPE_BENCH_JSON=FILE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "execute.h"
#include "plugin.h"
#include "trace.h"
#include "weights.h"

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

static mv_status drop(void *context, const char *site, mv_tensor value, mv_error *e)
{
    (void)context, (void)site, (void)value, (void)e;
    return MV_OK;
}

/* Seconds of a pass of `batch` pictures, watched at the sites of a pattern or not; *scratch its bytes. Negative where
 * the memory does not suffice. */
static double seconds_of(const mv_model *m, int batch, const char *watched, size_t *scratch)
{
    mv_error e = {0};
    mv_trace *t = watched ? mv_trace_new(watched, drop, NULL, &e) : NULL;
    die_if(&e);
    const mv_preprocess *p = &m->config.preprocess;
    mv_run *r = mv_run_new(m, p->h, p->w, batch, t ? mv_trace_probe(t) : NULL, &e);
    if (!r) {
        mv_trace_free(t);
        if (e.code == MV_ENOMEM)
            return -1;
        die_if(&e);
        return -1;
    }
    *scratch = mv_run_memory(r);
    size_t n = (size_t)batch * 3 * (size_t)p->h * (size_t)p->w;
    float *x = malloc(n * sizeof *x);
    double times[ROUNDS];
    if (!x)
        exit(1);
    weights_uniform(x, "input", n, 1);
    mv_run_forward(r, x, batch, NULL, &e);
    free(x);
    int rounds = watched ? 10 : ROUNDS;
    for (int i = -WARM; i < rounds && !e.code; i++) {
        double begin = now();
        mv_run_forward(r, NULL, batch, NULL, &e);
        if (i >= 0)
            times[i] = now() - begin;
    }
    bool short_of = e.code == MV_ENOMEM;
    if (!short_of)
        die_if(&e);
    mv_run_free(r);
    mv_trace_free(t);
    if (short_of)
        return -1;
    qsort(times, (size_t)rounds, sizeof *times, by_value);
    return times[rounds / 2];
}

static void measure(const mv_plugin *plugin, const char *name, mv_dtype act, FILE *json)
{
    static const int batches[] = {1, 8, 32, 128};
    static const char *const hooks[] = {"levels.*.blocks.*.mixer.attn", "levels.*.blocks.*.mixer.h",
                                        "levels.*.blocks.*"};
    mv_config config;
    mv_error e = {0};
    weights source;
    if (!mv_config_lookup(name, &config)) {
        fprintf(stderr, "bench_device: no variant '%s'\n", name);
        exit(2);
    }
    mv_backend *b = plugin->open(0, act, &e);
    die_if(&e);
    mv_model *m = mv_model_new(&config, b, weights_source(&source, 0), &e);
    die_if(&e);
    const char *precision = act == MV_F32 ? "fp32" : act == MV_F16 ? "fp16" : "bf16";
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        size_t scratch = 0, ignored;
        double s = seconds_of(m, batches[i], NULL, &scratch);
        if (s < 0) {
            printf("%-13s %-5s %6d  does not fit into the memory\n", name, precision, batches[i]);
            continue;
        }
        printf("%-13s %-5s %6d %10.1f %10.3f %9.0f", name, precision, batches[i], batches[i] / s, s * 1e3,
               (double)scratch * 1e-6);
        if (json)
            fprintf(json,
                    "{\"model\":\"%s\",\"precision\":\"%s\",\"batch\":%d,\"images_per_second\":%.2f,\"ms\":%.4f,"
                    "\"scratch_mb\":%.1f",
                    name, precision, batches[i], batches[i] / s, s * 1e3, (double)scratch * 1e-6);
        for (size_t k = 0; k < sizeof hooks / sizeof *hooks; k++) {
            double w = batches[i] <= 32 ? seconds_of(m, batches[i], hooks[k], &ignored) : -1;
            if (w < 0)
                printf(" %9s", "-");
            else
                printf(" %+8.0f%%", (w / s - 1) * 100);
            if (json && w >= 0)
                fprintf(json, ",\"with %s\":%.4f", hooks[k], w * 1e3);
        }
        printf("\n");
        fflush(stdout);
        if (json)
            fprintf(json, "}\n");
    }
    mv_model_free(m);
    b->free(b);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"T", "T2", "S", "B", "L", "L2", "L2-512-21K", "L3-256-21K", "L3-512-21K"};
    mv_error e = {0};
    char about[160];
    if (argc < 2) {
        fprintf(stderr, "usage: bench_device PLUGIN.so [VARIANT...]\n");
        return 2;
    }
    const mv_plugin *plugin = mv_plugin_open(argv[1], &e);
    die_if(&e);
    plugin->describe(0, about, &e);
    die_if(&e);
    const char *file = getenv("MVSCOPE_BENCH_JSON");
    FILE *json = file ? fopen(file, "a") : NULL;
    printf("%s\n%-13s %-5s %6s %10s %10s %9s %9s %9s %9s\n", about, "variant", "", "batch", "images/s", "ms a pass",
           "scratch", "+ attn", "+ states", "+ blocks");
    int n = argc > 2 ? argc - 2 : (int)(sizeof all / sizeof *all);
    for (int i = 0; i < n; i++) {
        measure(plugin, argc > 2 ? argv[2 + i] : all[i], MV_F16, json);
        if (i == 0) {
            measure(plugin, argc > 2 ? argv[2] : all[0], MV_BF16, json);
            measure(plugin, argc > 2 ? argv[2] : all[0], MV_F32, json);
        }
    }
    if (json)
        fclose(json);
    return 0;
}
