/* What a backward pass costs on the CPU, beside a forward pass of the same network in the same run, in turns.
 *
 *   bench_gradients [VARIANT [THREADS [ROUNDS]]]     a table on stdout
 *   bench_gradients --once VARIANT BATCH             the CPU time of both in one thread, the least of some, and the
 * peak memory, as JSON
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/device/cpu.h"
#include "src/run/back.h"
#include "src/run/trace.h"
#include "tests/timing.h"
#include "tests/weights.h"

/* The first class of each picture */
static mv_status seed(void *context, int pass, int first, int pictures, int classes, const float *logits, float *out,
                      mv_error *e)
{
    (void)context, (void)pass, (void)first, (void)logits, (void)e;
    for (int i = 0; i < pictures; i++)
        out[(size_t)i * (size_t)classes] = 1;
    return MV_OK;
}

static const mv_rules held = MV_RULES_HELD;
static const struct {
    const char *name, *sites; /* NULL: a forward pass */
    mv_back back;
} kinds[] = {{"forward", NULL, {0}},
             {"gradient of the input", "grad.input", {.passes = 1, .seed = seed}},
             {"the same, all values kept", "grad.input", {.passes = 1, .seed = seed, .keep = true}},
             {"gradient of levels.1", "grad.levels.1", {.passes = 1, .seed = seed}},
             {"gradient of levels.2", "grad.levels.2", {.passes = 1, .seed = seed}},
             {"held, levels.1", "grad.levels.1", {.passes = 1, .seed = seed, .rules = &held}}};
enum { KINDS = sizeof kinds / sizeof *kinds, ROUNDS = 64 };

typedef struct {
    mv_backend *b;
    mv_model *m;
    mv_idle idle[KINDS];
    mv_run *run[KINDS];
    float *x;
    int batch;
} bench;

static void bench_open(bench *k, const char *variant, int threads, int batch, int n)
{
    mv_error e = {0};
    mv_config config;
    weights source;
    if (!mv_config_lookup(variant, &config)) {
        fprintf(stderr, "bench_gradients: no variant '%s'\n", variant);
        exit(2);
    }
    *k = (bench){.b = mv_cpu_new(MV_F32, threads, NULL, &e), .batch = batch};
    timing_die_if(&e);
    k->m = mv_model_new(&config, k->b, weights_source(&source, 0), &e);
    timing_die_if(&e);
    for (int i = 0; i < n; i++) {
        const char *sites = kinds[i].sites;
        k->run[i] =
            mv_run_new_back(k->m, config.preprocess.h, config.preprocess.w, batch,
                            sites ? mv_idle_probe(&k->idle[i], sites) : NULL, sites ? &kinds[i].back : NULL, &e);
        timing_die_if(&e);
    }
    size_t count = (size_t)batch * 3 * (size_t)config.preprocess.h * (size_t)config.preprocess.w;
    k->x = malloc(count * sizeof *k->x);
    if (!k->x)
        exit(1);
    weights_uniform(k->x, "input", count, 1);
}

static void bench_free(bench *k)
{
    for (int i = 0; i < KINDS; i++)
        mv_run_free(k->run[i]);
    mv_model_free(k->m);
    k->b->free(k->b);
    free(k->x);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void table(const char *variant, int threads, int batch, int rounds)
{
    static double ms[KINDS][ROUNDS];
    mv_error e = {0};
    bench k;
    bench_open(&k, variant, threads, batch, KINDS);
    for (int i = -1; i < rounds; i++) /* the first warms up */
        for (int j = 0; j < KINDS; j++) {
            double t = mv_clock_now();
            mv_run_forward(k.run[j], k.x, batch, NULL, &e);
            timing_die_if(&e);
            if (i >= 0)
                ms[j][i] = (mv_clock_now() - t) * 1e3 / batch;
        }
    for (int j = 0; j < KINDS; j++)
        qsort(ms[j], (size_t)rounds, sizeof **ms, by_value);
    for (int j = 0; j < KINDS; j++)
        printf("%-6s %5d %7d  %-26s %8.2f %8.2f %8.1f\n", variant, batch, threads, kinds[j].name, ms[j][rounds / 2],
               ms[j][rounds / 2] / ms[0][rounds / 2],
               ((double)mv_run_memory(k.run[j]) - (double)mv_run_memory(k.run[0])) * 1e-6 / batch);
    bench_free(&k);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* MB; not getrusage's, which begins with the memory of the process that started this one. */
static double peak_memory(void)
{
    char line[128];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return (double)kb / 1024;
}

/* For bench_beside.py */
static int once(const char *variant, int batch)
{
    mv_error e = {0};
    bench k;
    bench_open(&k, variant, 1, batch, 2);
    double least[2] = {1e9, 1e9};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++) {
            double t = cpu_seconds();
            mv_run_forward(k.run[j], k.x, batch, NULL, &e);
            timing_die_if(&e);
            t = cpu_seconds() - t;
            least[j] = t < least[j] ? t : least[j];
        }
    printf("{\"model\":\"%s\",\"batch\":%d,\"forward_ms\":%.3f,\"gradient_ms\":%.3f,\"peak_mb\":%.1f}\n", variant,
           batch, least[0] * 1e3, least[1] * 1e3, peak_memory());
    bench_free(&k);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--once") == 0)
        return once(argv[2], atoi(argv[3]));
    const char *variant = argc > 1 ? argv[1] : "T";
    int threads = argc > 2 ? atoi(argv[2]) : 2, rounds = argc > 3 ? atoi(argv[3]) : 7;
    if (rounds < 1 || rounds > ROUNDS)
        return 2;
    printf("%-6s %5s %7s  %-26s %8s %8s %8s\n", "model", "batch", "threads", "pass", "ms/image", "forwards", "MB more");
    table(variant, threads, 1, rounds);
    table(variant, threads, 8, rounds);
    return 0;
}
