/* The CPU device's loops at the sizes of T's levels: how many times as fast as plain C each instruction set is, in
 * turns in the same run. Ratios can be compared between machines, times cannot.
 *
 *   bench_kernels                      a table
 *   bench_kernels --once ISA TYPE      each loop once, in the function one_NAME: for run_instructions.sh to count
 *   bench_kernels --list               the names
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/quantile.h"
#include "src/kernel/kernels.h"
#include "tests/timing.h"
#include "tests/weights.h"

enum { T = 196, E = 160, R = 20, C = 320, D = 40, W = R + 2 * MV_STATES, QUERIES = 8, LINE = 2048, TAPS = 8 };
enum { N = T * 4 * C }; /* the longest: the hidden row of an MLP */

/* Buffers of N values, which the loops use as they like. */
typedef struct {
    mv_dtype type;
    void *x, *proj, *y, *z;               /* of the type */
    float *f, *weight, *dt, *A, *out, *h; /* fp32; dt > 0, A < 0 */
    float *scratch, *packed, *scores;
} pool;

static float *values(const char *name, size_t n, float centre, float spread)
{
    float *v = malloc(n * sizeof *v);
    if (!v)
        exit(1);
    weights_uniform(v, name, n, 1);
    for (size_t i = 0; i < n; i++)
        v[i] = centre + spread * v[i];
    return v;
}

static void *typed(const char *name, mv_dtype type)
{
    float *v = values(name, N, 0, 1);
    void *p = malloc(N * sizeof *v);
    if (!p)
        exit(1);
    mv_from_f32(p, type, v, N);
    free(v);
    return p;
}

static pool pool_of(mv_dtype type)
{
    return (pool){.type = type,
                  .x = typed("x", type),
                  .proj = typed("proj", type),
                  .y = typed("y", type),
                  .z = typed("z", type),
                  .f = values("f", N, 0, 1),
                  .weight = values("weight", N, 0, 1),
                  .dt = values("dt", N, 0.1f, 0.09f),
                  .A = values("A", N, -4, 3.9f),
                  .out = values("out", N, 0, 1),
                  .h = values("h", (size_t)T * E * MV_STATES, 0, 1),
                  .scratch = values("scratch", 8 * N, 0, 0),
                  .packed = values("packed", 8 * N, 0, 0),
                  .scores = values("scores", N, 0, 0)};
}

static void pool_free(pool *p)
{
    void *all[] = {p->x, p->proj, p->y, p->z,       p->f,      p->weight, p->dt,
                   p->A, p->out,  p->h, p->scratch, p->packed, p->scores};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* ---- each loop once. They are functions of their own, so that a profiler can tell them apart. */

#define ONE(name) static __attribute__((noinline)) void one_##name(const mv_kernels *k, pool *p)

ONE(layernorm)
{
    k->layernorm(p->y, p->x, p->weight, p->f, 1e-5f, T, C, p->type);
}

ONE(layernorm_back)
{
    k->layernorm_back(p->y, p->z, p->x, p->weight, 1e-5f, false, p->proj, T, C, p->type);
}

ONE(epilogue)
{
    k->epilogue(p->y, p->type, p->f, p->weight, p->x, p->type, MV_ACT_NONE, T, C);
}

ONE(gelu)
{
    k->epilogue(p->y, p->type, p->f, NULL, NULL, p->type, MV_ACT_GELU, T, 4 * C);
}

ONE(widen)
{
    k->widen(p->out, p->x, p->type, N);
}

ONE(narrow)
{
    k->narrow(p->y, p->type, p->f, N);
}

ONE(conv1d_silu)
{
    k->conv1d_silu(p->z, p->y, p->x, p->weight, p->f, T, E, 0, T, p->type);
}

ONE(step)
{
    k->step(p->out, p->proj, p->weight, p->f, T, E, R, p->type);
}

ONE(conv1d_silu_back)
{
    k->conv1d_silu_back(p->y, p->z, p->proj, p->x, p->weight, p->f, false, T, E, 0, T, p->type);
}

ONE(step_back)
{
    k->step_back(p->y, p->f, p->dt, p->weight, T, E, R, p->type, p->scratch);
}

static mv_scan_job scan_of(const pool *p, float *h)
{
    return (mv_scan_job){.tokens = T,
                         .channels = E,
                         .rank = R,
                         .to = E,
                         .type = p->type,
                         .x = p->x,
                         .proj = p->proj,
                         .dt_weight = p->weight,
                         .dt_bias = p->f,
                         .A = p->A,
                         .D = p->f,
                         .yz = p->y,
                         .h = h};
}

ONE(scan)
{
    mv_scan_job job = scan_of(p, NULL);
    k->scan(&job);
}

ONE(scan_states)
{
    mv_scan_job job = scan_of(p, p->h);
    k->scan(&job);
}

ONE(scan_given)
{
    mv_scan_job job = scan_of(p, NULL);
    job.dt = p->dt;
    k->scan(&job);
}

static void scan_back(const mv_kernels *k, pool *p, bool held)
{
    mv_scan_back_job job = {.tokens = T,
                            .channels = E,
                            .rank = R,
                            .type = p->type,
                            .dyz = p->z,
                            .x = p->x,
                            .proj = p->proj,
                            .dt = p->dt,
                            .h = p->h,
                            .A = p->A,
                            .D = p->f,
                            .dx = p->y,
                            .ddt = held ? NULL : p->out,
                            .sums = p->scratch};
    for (job.from = 0; job.from < E; job.from = job.to) {
        job.to = job.from + MV_SCAN_BACK_CHANNELS < E ? job.from + MV_SCAN_BACK_CHANNELS : E;
        k->scan_back(&job);
    }
}

ONE(scan_back)
{
    scan_back(k, p, false);
}

ONE(scan_back_held)
{
    scan_back(k, p, true);
}

ONE(readout)
{
    k->readout(p->y, p->x, p->proj, p->h, p->f, T, E, R, p->type);
}

ONE(norm)
{
    k->norm(p->out, p->h, T, (size_t)E * MV_STATES);
}

ONE(hidden)
{
    mv_hidden_job job = {.tokens = T,
                         .channels = E,
                         .rank = R,
                         .every = 1,
                         .to = E,
                         .type = p->type,
                         .proj = p->proj,
                         .dt = p->dt,
                         .A = p->A,
                         .out = p->out,
                         .scratch = p->scratch};
    k->hidden(&job);
}

ONE(half_life)
{
    k->half_life(p->out, p->dt, p->A, T, E, 0, E, p->scratch);
}

ONE(spread)
{
    mv_spread_job job = {.tokens = T,
                         .channels = E,
                         .rank = R,
                         .queries = QUERIES,
                         .to = E,
                         .type = p->type,
                         .xz = p->x,
                         .proj = p->proj,
                         .dt = p->dt,
                         .A = p->A,
                         .D = p->f,
                         .wx = p->weight,
                         .wz = p->weight + 3 * E,
                         .rows = p->y,
                         .scratch = p->scratch};
    k->spread(&job);
}

ONE(roll)
{
    k->roll(p->out, p->dt, p->dt, T, 0, T);
}

static mv_attention_job attention_of(const pool *p, float *rows)
{
    const char *qkv = p->x;
    size_t head = D * mv_dtype_size(p->type), part = C * mv_dtype_size(p->type);
    return (mv_attention_job){.tokens = T,
                              .d = D,
                              .stride = 3 * C,
                              .to = T,
                              .type = p->type,
                              .q = qkv + head,
                              .k = qkv + part + head,
                              .v = qkv + 2 * part + head,
                              .out = p->y,
                              .out_stride = C,
                              .scale = 0.158f,
                              .rows = rows,
                              .packed = p->packed,
                              .scores = p->scores};
}

ONE(pack)
{
    mv_attention_job job = attention_of(p, NULL);
    k->pack(&job);
}

ONE(attention)
{
    mv_attention_job job = attention_of(p, NULL);
    k->attention(&job);
}

ONE(attention_rows)
{
    mv_attention_job job = attention_of(p, p->out);
    k->attention(&job);
}

ONE(attend)
{
    mv_attention_job job = attention_of(p, p->out);
    k->attend(&job);
}

static mv_attention_back_job attention_back_of(const pool *p, bool held)
{
    const char *qkv = p->x;
    char *to = p->y;
    size_t head = D * mv_dtype_size(p->type), part = C * mv_dtype_size(p->type);
    return (mv_attention_back_job){.tokens = T,
                                   .d = D,
                                   .stride = 3 * C,
                                   .type = p->type,
                                   .held = held,
                                   .q = qkv + head,
                                   .k = qkv + part + head,
                                   .v = qkv + 2 * part + head,
                                   .dout = p->z,
                                   .dout_stride = C,
                                   .dq = to + head,
                                   .dk = to + part + head,
                                   .dv = to + 2 * part + head,
                                   .scale = 0.158f,
                                   .scratch = p->scratch};
}

ONE(attention_back)
{
    mv_attention_back_job job = attention_back_of(p, false);
    k->attention_back(&job);
}

ONE(attention_back_held)
{
    mv_attention_back_job job = attention_back_of(p, true);
    k->attention_back(&job);
}

ONE(bicubic)
{
    static const int32_t weight[TAPS] = {-262144, -524288, 1048576, 2097152, 2097152, 1048576, -524288, -262144};
    k->bicubic((uint8_t *)p->out, (int32_t *)(void *)p->scratch, LINE, p->x, LINE, weight, TAPS, true, true);
}

/* of the second convolution of T, in fp32 columns */
enum { WIDE = 112, FEW = 32 };

ONE(activate)
{
    k->activate(p->y, p->x, MV_ACT_GELU, N, p->type);
}

ONE(gelu_back)
{
    k->activate_back(p->y, p->z, p->x, MV_ACT_GELU, false, N, p->type);
}

ONE(gelu_tanh_back)
{
    k->activate_back(p->y, p->z, p->x, MV_ACT_GELU_TANH, false, N, p->type);
}

ONE(dot)
{
    k->dot(p->out, p->x, p->y, false, false, T, C, p->type);
}

ONE(gather)
{
    k->gather(p->y, NULL, p->f, p->weight, true, WIDE, FEW, p->type);
}

ONE(mean_back)
{
    k->mean_back(p->y, p->x, p->weight, T, C, p->type);
}

/* clang-format off */
#define EACH(X)                                                                                                        \
    X(layernorm) X(epilogue) X(gelu) X(widen) X(narrow) X(conv1d_silu) X(step) X(scan) X(scan_given) X(scan_states)    \
    X(readout) X(norm) X(hidden) X(half_life) X(spread) X(roll) X(pack) X(attention) X(attention_rows) X(attend)       \
    X(bicubic)                                                                                                         \
    X(layernorm_back) X(conv1d_silu_back) X(step_back) X(scan_back) X(scan_back_held)                                  \
    X(attention_back) X(attention_back_held)                                                                           \
    X(activate) X(gelu_back) X(gelu_tanh_back) X(dot) X(gather) X(mean_back)
/* clang-format on */

typedef struct {
    const char *name;
    void (*one)(const mv_kernels *k, pool *p);
} loop;

#define ROW(name) {#name, one_##name},
static const loop loops[] = {EACH(ROW)};
enum { LOOPS = sizeof loops / sizeof *loops };

/* ---- ways to run them */

static int once(const char *isa, const char *type)
{
    pool p = pool_of(strcmp(type, "bf16") == 0 ? MV_BF16 : MV_F32);
    const mv_kernels *k;
    int found = 0;
    for (int i = 0; (k = mv_kernels_at(i)); i++)
        for (int j = 0; j < LOOPS && strcmp(k->name, isa) == 0; j++, found++)
            loops[j].one(k, &p);
    pool_free(&p);
    if (!found)
        fprintf(stderr, "bench_kernels: this processor has no '%s'\n", isa);
    return found ? 0 : 1;
}

enum { TABLES = 4, ROUNDS = 31 };

/* Seconds of a call in each table, in turns: medians of rounds of about a millisecond. */
static void measure(const loop *l, pool *p, const mv_kernels *const table[TABLES], int tables, double seconds[TABLES])
{
    double times[TABLES][ROUNDS];
    int calls[TABLES];
    for (int i = 0; i < tables; i++) {
        l->one(table[i], p); /* warms up */
        double begin = mv_clock_now();
        l->one(table[i], p);
        calls[i] = 1 + (int)(1e-3 / (mv_clock_now() - begin + 1e-7));
    }
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < tables; i++) {
            double begin = mv_clock_now();
            for (int c = 0; c < calls[i]; c++)
                l->one(table[i], p);
            times[i][r] = (mv_clock_now() - begin) / calls[i];
        }
    for (int i = 0; i < tables; i++)
        seconds[i] = timing_median(times[i], ROUNDS);
}

int main(int argc, char **argv)
{
    static const mv_dtype types[] = {MV_F32, MV_BF16};
    const mv_kernels *table[TABLES];
    int tables = 0;
    if (argc == 4 && strcmp(argv[1], "--once") == 0)
        return once(argv[2], argv[3]);
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (int i = 0; i < LOOPS; i++)
            printf("%s\n", loops[i].name);
        return 0;
    }
    while (tables < TABLES && (table[tables] = mv_kernels_at(tables)))
        tables++;
    printf("%-19s %-5s", "loop", "");
    for (int i = 0; i < tables; i++)
        printf(" %8s us", table[i]->name);
    for (int i = 0; i + 1 < tables; i++)
        printf(" %7s/%s", table[tables - 1]->name, table[i]->name);
    printf("\n");
    for (int j = 0; j < LOOPS; j++)
        for (size_t t = 0; t < 2; t++) {
            pool p = pool_of(types[t]);
            double seconds[TABLES];
            measure(&loops[j], &p, table, tables, seconds);
            printf("%-19s %-5s", loops[j].name, mv_dtype_name(types[t]));
            for (int i = 0; i < tables; i++)
                printf(" %11.2f", seconds[i] * 1e6);
            for (int i = 0; i + 1 < tables; i++)
                printf(" %13.1f", seconds[tables - 1] / seconds[i]);
            printf("\n");
            pool_free(&p);
        }
    return 0;
}
