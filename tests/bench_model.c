/* How fast the network runs on the CPU, beside its floor: the multiply-adds of the variant over the rate of a 2048-cube
 * product on the same device, measured in turns in the same run. Ratios can be compared between machines, times cannot.
 *
 *   bench_model [VARIANT [THREADS [SECONDS]]]     a table on stdout, JSON lines with MVSCOPE_BENCH_JSON=FILE
 *   bench_model --once VARIANT PRECISION BATCH    the CPU time of a pass of one thread, the least of some, as JSON
 */
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "src/device/cpu.h"
#include "src/run/run.h"
#include "tests/timing.h"
#include "tests/weights.h"

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { CUBE = 2048, ROUNDS = 400 };

typedef struct {
    mv_backend *b;
    mv_dense w;
    mv_tensor x, y;
    float *sx, *sw, *sy; /* fp32: oneDNN's plain product too; the faster of the two is the floor */
} cube;

static cube cube_of(mv_backend *b, mv_error *e)
{
    size_t n = (size_t)CUBE * CUBE;
    float *w = calloc(n, sizeof *w);
    cube c = {.b = b};
    for (size_t i = 0; w && i < n; i++)
        w[i] = (float)(i % 17) * 0.01f - 0.08f;
    b->dense_new(b, &c.w, CUBE, CUBE, w, NULL, e);
    c.x = mv_tensor_of(b->alloc(b, n * 4), b->act, 2, CUBE, CUBE);
    c.y = mv_tensor_of(b->alloc(b, n * 4), b->act, 2, CUBE, CUBE);
    b->write(b, mv_view_of(c.x), w, e);
    if (b->act == MV_F32)
        c.sx = w, c.sw = calloc(n, 4), c.sy = calloc(n, 4);
    else
        free(w);
    return c;
}

static double cube_seconds(cube *c, mv_error *e)
{
    double t = mv_clock_now();
    c->b->linear(c->b, c->y, c->x, &c->w, MV_ACT_NONE, (mv_vector){0}, (mv_tensor){0}, e);
    t = mv_clock_now() - t;
    if (c->sx) {
        double s = mv_clock_now();
        dnnl_sgemm('N', 'N', CUBE, CUBE, CUBE, 1, c->sx, CUBE, c->sw, CUBE, 0, c->sy, CUBE);
        s = mv_clock_now() - s;
        t = s < t ? s : t;
    }
    return t;
}

static void cube_free(cube *c)
{
    c->b->dense_free(c->b, &c->w);
    c->b->release(c->b, c->x.data);
    c->b->release(c->b, c->y.data);
    free(c->sx);
    free(c->sw);
    free(c->sy);
}

static void measure(const mv_config *config, mv_dtype act, int threads, int batch, double seconds)
{
    mv_error e = {0};
    weights source;
    mv_backend *b = mv_cpu_new(act, threads, NULL, &e);
    timing_die_if(&e);
    mv_model *m = mv_model_new(config, b, weights_source(&source, 0), &e);
    timing_die_if(&e);
    mv_run *r = mv_run_new(m, config->preprocess.h, config->preprocess.w, batch, NULL, &e);
    timing_die_if(&e);
    cube c = cube_of(b, &e);
    timing_die_if(&e);
    size_t n = (size_t)batch * 3 * (size_t)mv_run_height(r) * (size_t)mv_run_width(r);
    float *x = malloc(n * sizeof *x), *logits = malloc((size_t)batch * (size_t)config->classes * sizeof *logits);
    if (!x || !logits)
        exit(1);
    weights_uniform(x, "input", n, 1);
    double times[ROUNDS], floors[ROUNDS], end = 0, due = 0;
    int k = 0, nf = 0;
    for (int i = 0; i < 2; i++)
        mv_run_forward(r, x, batch, logits, &e);
    cube_seconds(&c, &e);
    timing_die_if(&e);
    for (end = mv_clock_now() + seconds; k < ROUNDS && (k < 5 || mv_clock_now() < end); k++) {
        if (mv_clock_now() >= due) { /* often, because the clock of a busy machine changes */
            floors[nf++] = cube_seconds(&c, &e);
            due = mv_clock_now() + 0.5;
        }
        double t = mv_clock_now();
        mv_run_forward(r, x, batch, logits, &e);
        times[k] = (mv_clock_now() - t) / batch;
    }
    timing_die_if(&e);
    qsort(times, (size_t)k, sizeof *times, by_value);
    qsort(floors, (size_t)nf, sizeof *floors, by_value);
    const mv_costs costs = mv_run_costs(r);
    double macs = 0;
    for (int p = 0; p < MV_PARTS; p++)
        macs += (double)(costs.macs[p] + costs.attention_macs[p]);
    macs /= batch;
    double rate = 2.0 * CUBE * CUBE * CUBE / floors[nf / 2], floor_ms = 2e3 * macs / rate, ms = times[k / 2] * 1e3;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    const char *name = act == MV_F32 ? "fp32" : "bf16";
    printf("%-12s %-5s %6d %8d %10.2f %10.2f %8.2f %10.1f %9.0f\n", config->name, name, batch, threads, ms, floor_ms,
           ms / floor_ms, rate * 1e-9, (double)u.ru_maxrss / 1024);
    const char *json = getenv("MVSCOPE_BENCH_JSON");
    FILE *f = json ? fopen(json, "a") : NULL;
    if (f) {
        fprintf(f,
                "{\"model\":\"%s\",\"precision\":\"%s\",\"batch\":%d,\"threads\":%d,\"ms_per_image\":%.4f,\"floor_ms\":"
                "%.4f,\"ratio\":%.4f,\"cube_gflops\":%.2f,\"peak_mb\":%.1f}\n",
                config->name, name, batch, threads, ms, floor_ms, ms / floor_ms, rate * 1e-9,
                (double)u.ru_maxrss / 1024);
        fclose(f);
    }
    cube_free(&c);
    mv_run_free(r);
    mv_model_free(m);
    b->free(b);
    free(x);
    free(logits);
}

/* For bench_beside.py */
static int once(const mv_config *config, mv_dtype act, int batch)
{
    mv_error e = {0};
    weights source;
    mv_backend *b = mv_cpu_new(act, 1, NULL, &e);
    timing_die_if(&e);
    mv_model *m = mv_model_new(config, b, weights_source(&source, 0), &e);
    timing_die_if(&e);
    mv_run *r = mv_run_new(m, config->preprocess.h, config->preprocess.w, batch, NULL, &e);
    timing_die_if(&e);
    size_t n = (size_t)batch * 3 * (size_t)mv_run_height(r) * (size_t)mv_run_width(r);
    float *x = malloc(n * sizeof *x), *logits = malloc((size_t)batch * (size_t)config->classes * sizeof *logits);
    if (!x || !logits)
        exit(1);
    weights_uniform(x, "input", n, 1);
    double least = 1e9;
    for (int i = 0; i < (batch > 1 ? 2 : 5); i++) {
        struct timespec begin, end;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
        mv_run_forward(r, x, batch, logits, &e);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
        double t = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) * 1e-9;
        least = t < least ? t : least;
    }
    timing_die_if(&e);
    printf("{\"model\":\"%s\",\"batch\":%d,\"cpu_ms\":%.4f}\n", config->name, batch, least * 1e3);
    mv_run_free(r);
    mv_model_free(m);
    b->free(b);
    free(x);
    free(logits);
    return 0;
}

int main(int argc, char **argv)
{
    mv_config config;
    if (argc == 5 && strcmp(argv[1], "--once") == 0 && mv_config_lookup(argv[2], &config))
        return once(&config, strcmp(argv[3], "bf16") == 0 ? MV_BF16 : MV_F32, atoi(argv[4]));
    const char *name = argc > 1 ? argv[1] : "T";
    int threads = argc > 2 ? atoi(argv[2]) : 2;
    double seconds = argc > 3 ? atof(argv[3]) : 10;
    if (!mv_config_lookup(name, &config)) {
        fprintf(stderr, "bench_model: no variant '%s'\n", name);
        return 2;
    }
    printf("loops: %s; bf16 products: %s\n", mv_cpu_isa(),
           mv_cpu_has_bf16() ? "by the processor" : "widened to fp32 (no bf16 instructions here)");
    printf("%-12s %-5s %6s %8s %10s %10s %8s %10s %9s\n", "variant", "", "batch", "threads", "ms/image", "floor ms",
           "ratio", "cube GF/s", "peak MB");
    for (int act = 0; act < 2; act++)
        for (int batch = 1; batch <= 32; batch += 31)
            measure(&config, act ? MV_BF16 : MV_F32, threads, batch, seconds);
    return 0;
}
