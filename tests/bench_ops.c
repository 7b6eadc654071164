/* How fast every operation of a network runs on a GPU at its real shape: microseconds, GB/s, TFLOP/s, and the share of
 * the floor, the longer of its bytes and its multiply-adds at the rates of the card that are measured here. One line
 * for each operation and shape, the largest part of a pass first.
 *
 *   bench_ops PLUGIN.so [VARIANT[:BATCH[:PRECISION]]...]     MVSCOPE_BENCH_JSON=FILE appends JSON lines
 *
 * A pass of the network runs as always; where an operation meets a shape for the first time, it is recorded many times
 * into one graph, which is replayed: no launch of the host is in the time, and inputs that fit into the cache are in
 * it, as they mostly are in a pass. Bytes: each input and weight read once, the output written once; what is in the
 * cache may go beyond the memory's rate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/run.h"
#include "tests/timing.h"
#include "tests/weights.h"

enum { MOST = 256, REPLAYS = 5 };

typedef struct {
    char op[16], shape[72];
    double flops, bytes, seconds;
    int count;
} measured;

static mv_backend watched; /* for tests/op_watch.h */
static struct {
    mv_backend *b;
    measured row[MOST];
    int rows, left_out;
} now;

/* ---- a row */

static measured *row_of(const char *op, const char *shape, double flops, double bytes, bool *first)
{
    for (int i = 0; i < now.rows; i++)
        if (strcmp(now.row[i].op, op) == 0 && strcmp(now.row[i].shape, shape) == 0) {
            *first = false;
            now.row[i].count++;
            return &now.row[i];
        }
    if (now.rows == MOST) {
        now.left_out++;
        *first = false;
        return NULL;
    }
    measured *m = &now.row[now.rows++];
    *m = (measured){.flops = flops, .bytes = bytes, .count = 1};
    snprintf(m->op, sizeof m->op, "%s", op);
    snprintf(m->shape, sizeof m->shape, "%s", shape);
    *first = true;
    return m;
}

/* The output is put back afterwards: in place, an operation done a hundred times would leave other values. */
typedef struct {
    mv_tensor t;
    float *values;
} saved;

static saved save(mv_tensor t, bool wanted, mv_error *e)
{
    saved s = {t, wanted ? malloc(mv_tensor_count(t) * sizeof(float)) : NULL};
    if (wanted && !s.values)
        mv_fail_memory(e, "bench_ops");
    else if (wanted)
        watched.read(now.b, s.values, mv_view_of(t), e);
    return s;
}

static void put_back(saved *s, mv_error *e)
{
    if (s->values && !e->code)
        watched.write(now.b, mv_view_of(s->t), s->values, e);
    free(s->values);
}

/* Seconds of one of `times` recorded calls. */
static double seconds_of_graph(void *graph, int times, mv_error *e)
{
    double times_of[REPLAYS];
    watched.replay(now.b, graph, e);
    watched.finish(now.b, e);
    for (int i = 0; i < REPLAYS && !e->code; i++) {
        double begin = timing_now();
        watched.replay(now.b, graph, e);
        watched.finish(now.b, e);
        times_of[i] = timing_now() - begin;
    }
    return e->code ? 0 : timing_median(times_of, REPLAYS) / times;
}

/* As many as take some milliseconds, at 3 TB/s and 500 TFLOP/s */
static int times_for(const measured *m)
{
    double guess = m->bytes / 3e12 + m->flops / 5e14 + 2e-6;
    int n = (int)(4e-3 / guess);
    return getenv("MVSCOPE_TEST_SHORT") ? 1 : n < 4 ? 4 : n > 200 ? 200 : n;
}

/* Runs CALL, and times it if it is the first of its kind. CALL leaves a status. */
#define TIMED(OP, OUT, IN_PLACE, FLOPS, BYTES, CALL, ...)                                                              \
    do {                                                                                                               \
        char shape[72];                                                                                                \
        bool first;                                                                                                    \
        snprintf(shape, sizeof shape, __VA_ARGS__);                                                                    \
        measured *m = row_of(OP, shape, FLOPS, BYTES, &first);                                                         \
        if (first) {                                                                                                   \
            void *graph = NULL;                                                                                        \
            saved kept = save(OUT, IN_PLACE, e);                                                                       \
            int times = times_for(m);                                                                                  \
            if (!e->code)                                                                                              \
                CALL; /* algorithms are chosen */                                                                      \
            if (!e->code)                                                                                              \
                watched.record(now.b, e);                                                                              \
            for (int i = 0; i < times && !e->code; i++)                                                                \
                CALL;                                                                                                  \
            watched.recorded(now.b, &graph, e);                                                                        \
            if (!e->code)                                                                                              \
                m->seconds = seconds_of_graph(graph, times, e);                                                        \
            watched.forget(now.b, graph);                                                                              \
            put_back(&kept, e);                                                                                        \
        }                                                                                                              \
        return e->code ? e->code : CALL;                                                                               \
    } while (0)

#include "tests/op_watch.h"

/* ---- the table */

static double part_of(const measured *m)
{
    return m->seconds * m->count;
}

static int by_part(const void *a, const void *b)
{
    double x = part_of(a), y = part_of(b);
    return (x < y) - (x > y);
}

static void print_rows(const timing_variant *v, int batch, timing_rates card, FILE *json)
{
    double all = 0, floors = 0;
    int operations = 0;
    for (int i = 0; i < now.rows; i++)
        all += part_of(&now.row[i]);
    qsort(now.row, (size_t)now.rows, sizeof *now.row, by_part);
    printf("\n%s %s, batch %d\n%-12s %-44s %3s %9s %8s %8s %8s %6s %6s\n", v->name, timing_precision(v->act), batch,
           "operation", "shape", "n", "us", "GB/s", "TFLOP/s", "floor us", "share", "part");
    for (int i = 0; i < now.rows; i++) {
        const measured *m = &now.row[i];
        double product = m->flops / 2 / card.macs, memory = m->bytes / card.bytes,
               floor = product > memory ? product : memory;
        floors += floor * m->count;
        operations += m->count;
        printf("%-12s %-44s %3d %9.2f %8.0f %8.1f %8.2f %5.0f%% %5.1f%%\n", m->op, m->shape, m->count, m->seconds * 1e6,
               m->bytes / m->seconds * 1e-9, m->flops / m->seconds * 1e-12, floor * 1e6, floor / m->seconds * 100,
               part_of(m) / all * 100);
        if (json)
            fprintf(json,
                    "{\"op\":\"%s\",\"shape\":\"%s\",\"model\":\"%s\",\"precision\":\"%s\",\"batch\":%d,\"count\":%d,"
                    "\"us\":%.3f,\"gb_s\":%.1f,\"tflop_s\":%.2f,\"floor_us\":%.3f}\n",
                    m->op, m->shape, v->name, timing_precision(v->act), batch, m->count, m->seconds * 1e6,
                    m->bytes / m->seconds * 1e-9, m->flops / m->seconds * 1e-12, floor * 1e6);
    }
    if (now.left_out)
        printf("%d operations of more than %d shapes are left out\n", now.left_out, MOST);
    printf("%d operations: %.3f ms, their floors %.3f ms (%.0f%%)\n", operations, all * 1e3, floors * 1e3,
           floors / all * 100);
    fflush(stdout);
}

static void measure(const mv_plugin *plugin, const char *text, FILE *json)
{
    char room[64];
    mv_error e = {0};
    weights source;
    timing_variant v = timing_variant_of(text, room);
    int batch = v.batch ? v.batch : 128;
    mv_backend *b = plugin->open(0, v.act, &e);
    timing_die_if(&e);
    if (!b->record) {
        fprintf(stderr, "bench_ops: %s records nothing, so its operations cannot be timed apart\n", b->name);
        exit(1);
    }
    timing_rates card = timing_rates_of(b);
    mv_model *m = mv_model_new(&v.config, b, weights_source(&source, 0), &e);
    timing_die_if(&e);
    const mv_preprocess *p = &v.config.preprocess;
    mv_run *r = mv_run_new(m, p->h, p->w, batch, NULL, &e);
    timing_die_if(&e);
    size_t n = (size_t)batch * 3 * (size_t)p->h * (size_t)p->w;
    float *x = malloc(n * sizeof *x), *logits = malloc((size_t)batch * (size_t)v.config.classes * sizeof *logits);
    if (!x || !logits)
        exit(1);
    weights_uniform(x, "input", n, 1);
    mv_run_forward(r, x, batch, NULL, &e); /* everything is allocated and loaded */
    timing_die_if(&e);
    now.b = b;
    now.rows = now.left_out = 0;
    watch(b);
    mv_run_forward(r, x, batch, logits, &e);
    unwatch(b);
    timing_die_if(&e);
    print_rows(&v, batch, card, json);
    free(x);
    free(logits);
    mv_run_free(r);
    mv_model_free(m);
    b->free(b);
}

int main(int argc, char **argv)
{
    static const char *const some[] = {"T:128", "T:1", "B:128", "L2:128", "L3-512-21K:32"};
    mv_error e = {0};
    char about[160];
    if (argc < 2) {
        fprintf(stderr, "usage: bench_ops PLUGIN.so [VARIANT[:BATCH[:PRECISION]]...]\n");
        return 2;
    }
    const mv_plugin *plugin = mv_plugin_open(argv[1], &e);
    timing_die_if(&e);
    plugin->describe(0, about, &e);
    timing_die_if(&e);
    const char *file = getenv("MVSCOPE_BENCH_JSON");
    FILE *json = file ? fopen(file, "a") : NULL;
    timing_head(json, about, "before");
    for (int i = 0; i < (argc > 2 ? argc - 2 : (int)(sizeof some / sizeof *some)); i++)
        measure(plugin, argc > 2 ? argv[2 + i] : some[i], json);
    timing_head(json, about, "after");
    if (json)
        fclose(json);
    return 0;
}
