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

#include "src/device/profile.h"
#include "src/run/run.h"
#include "tests/timing.h"
#include "tests/weights.h"

static void print_rows(mv_profile *p, const timing_variant *v, int batch, timing_rates card, FILE *json)
{
    double all = 0, floors = 0;
    int rows = 0, operations = 0;
    const mv_profile_row *row = mv_profile_rows(p, &rows);
    for (int i = 0; i < rows; i++)
        all += row[i].seconds;
    printf("\n%s %s, batch %d\n%-12s %-44s %3s %9s %8s %8s %8s %6s %6s\n", v->name, timing_precision(v->act, v->fp8),
           batch, "operation", "shape", "n", "us", "GB/s", "TFLOP/s", "floor us", "share", "part");
    for (int i = 0; i < rows; i++) {
        const mv_profile_row *m = &row[i];
        double each = m->seconds / m->calls, product = m->flops / 2 / card.macs, memory = m->bytes / card.bytes,
               floor = product > memory ? product : memory;
        floors += floor * m->calls;
        operations += m->calls;
        printf("%-12s %-44s %3d %9.2f %8.0f %8.1f %8.2f %5.0f%% %5.1f%%\n", m->op, m->shape, m->calls, each * 1e6,
               m->bytes / each * 1e-9, m->flops / each * 1e-12, floor * 1e6, floor / each * 100,
               m->seconds / all * 100);
        if (json)
            fprintf(json,
                    "{\"op\":\"%s\",\"shape\":\"%s\",\"model\":\"%s\",\"precision\":\"%s\",\"batch\":%d,\"count\":%d,"
                    "\"us\":%.3f,\"gb_s\":%.1f,\"tflop_s\":%.2f,\"floor_us\":%.3f}\n",
                    m->op, m->shape, v->name, timing_precision(v->act, v->fp8), batch, m->calls, each * 1e6,
                    m->bytes / each * 1e-9, m->flops / each * 1e-12, floor * 1e6);
    }
    if (mv_profile_left_out(p))
        printf("%d operations are left out: there are too many shapes\n", mv_profile_left_out(p));
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
    mv_backend *b = plugin->open(0, v.act, v.fp8, &e);
    timing_die_if(&e);
    if (!b->record) {
        fprintf(stderr, "bench_ops: %s records nothing, so its operations cannot be timed apart\n", b->name);
        exit(1);
    }
    b->batches = MV_BATCHES_MANY;
    timing_rates card = timing_rates_of(b);
    mv_model *m = mv_model_new(&v.config, b, weights_source(&source, 0), &e);
    timing_die_if(&e);
    mv_profile *profile = mv_profile_new(b, &e);
    timing_die_if(&e);
    mv_model timed = *m;
    timed.backend = mv_profile_device(profile);
    const mv_preprocess *p = &v.config.preprocess;
    mv_run *r = mv_run_new(&timed, p->h, p->w, batch, NULL, &e);
    timing_die_if(&e);
    size_t n = (size_t)batch * 3 * (size_t)p->h * (size_t)p->w;
    float *x = malloc(n * sizeof *x), *logits = malloc((size_t)batch * (size_t)v.config.classes * sizeof *logits);
    if (!x || !logits)
        exit(1);
    weights_uniform(x, "input", n, 1);
    mv_run_forward(r, x, batch, logits, &e);
    timing_die_if(&e);
    mv_profile_pass(profile);
    print_rows(profile, &v, batch, card, json);
    free(x);
    free(logits);
    mv_run_free(r);
    mv_profile_free(profile);
    mv_model_free(m);
    b->free(b);
}

int main(int argc, char **argv)
{
    static const char *const usual[] = {"T:128", "T:1", "B:128", "L2:128", "L3-512-21K:32", NULL};
    const timing_bench bench = {"bench_ops", "VARIANT[:BATCH[:PRECISION]]", usual, NULL, measure};
    return timing_main(argc, argv, &bench);
}
