#include "tests/timing.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/device/null.h"
#include "src/run/run.h"
#include "tests/weights.h"

double timing_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void timing_die_if(const mv_error *e)
{
    if (e->code) {
        fprintf(stderr, "%s\n", e->text);
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double timing_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

/* ---- rates */

/* The least of five times of ten calls */
static double seconds_each(mv_backend *b, mv_status (*call)(mv_backend *, void *, mv_error *), void *context)
{
    mv_error e = {0};
    double least = 1e9;
    for (int round = 0; round < 6; round++) {
        double begin = timing_now();
        for (int i = 0; i < 10 && !e.code; i++)
            call(b, context, &e);
        b->finish(b, &e);
        double s = (timing_now() - begin) / 10;
        if (round && s < least) /* the first warms up */
            least = s;
    }
    timing_die_if(&e);
    return least;
}

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

timing_rates timing_rates_of(mv_backend *b)
{
    mv_error e = {0};
    const int cube = getenv("MVSCOPE_TEST_SHORT") ? 64 : 8192; /* short: in emulation, where nothing can be timed */
    const size_t n = (size_t)cube * (size_t)cube, bytes = n * mv_dtype_size(b->act);
    work k = {.x = {.type = b->act, .nd = 2, .dim = {cube, cube}},
              .out = {.type = b->act, .nd = 2, .dim = {cube, cube}}};
    float *random = malloc(n * sizeof *random);
    k.x.data = b->alloc(b, bytes);
    k.out.data = b->alloc(b, bytes);
    if (!random || !k.x.data || !k.out.data) {
        fprintf(stderr, "no memory for a product of %d x %d\n", cube, cube);
        exit(1);
    }
    weights_uniform(random, "x", n, 1);
    b->write(b, mv_view_of(k.x), random, &e);
    b->write(b, mv_view_of(k.out), random, &e);
    b->dense_new(b, &k.w, cube, cube, random, NULL, &e);
    timing_die_if(&e);
    timing_rates r = {.macs = (double)n * cube / seconds_each(b, multiply, &k),
                      .bytes = 3 * (double)bytes / seconds_each(b, sum, &k)};
    b->dense_free(b, &k.w);
    b->release(b, k.x.data);
    b->release(b, k.out.data);
    free(random);
    return r;
}

void timing_costs(const mv_config *config, mv_dtype act, double *macs, double *bytes)
{
    mv_error e = {0};
    mv_backend *null = mv_null_new(act, &e);
    timing_die_if(&e);
    mv_model *m = mv_model_new(config, null, NULL, &e);
    timing_die_if(&e);
    mv_run *r = mv_run_new(m, config->preprocess.h, config->preprocess.w, 1, NULL, &e);
    timing_die_if(&e);
    mv_run_forward(r, NULL, 1, NULL, &e);
    timing_die_if(&e);
    const mv_costs costs = mv_run_costs(r);
    *macs = *bytes = 0;
    for (int i = 0; i < MV_PARTS; i++) {
        *macs += (double)(costs.macs[i] + costs.attention_macs[i]);
        *bytes += (double)m->parameters[i] * (double)mv_dtype_size(act);
    }
    mv_run_free(r);
    mv_model_free(m);
    null->free(null);
}

/* ---- arguments and reports */

const char *timing_precision(mv_dtype act)
{
    return act == MV_F32 ? "fp32" : act == MV_F16 ? "fp16" : act == MV_BF16 ? "bf16" : mv_dtype_name(act);
}

timing_variant timing_variant_of(const char *text, char room[64])
{
    static const mv_dtype types[] = {MV_F16, MV_BF16, MV_F32};
    timing_variant v = {.act = MV_F16};
    char *rest = room;
    snprintf(room, 64, "%s", text);
    v.name = strsep(&rest, ":");
    const char *batch = strsep(&rest, ":"), *precision = strsep(&rest, ":");
    v.batch = batch ? atoi(batch) : 0;
    bool known = !precision;
    for (size_t i = 0; i < sizeof types / sizeof *types && !known; i++)
        if ((known = strcmp(precision, timing_precision(types[i])) == 0))
            v.act = types[i];
    if (!known || v.batch < 0 || !mv_config_lookup(v.name, &v.config)) {
        fprintf(stderr, "found '%s', expected VARIANT[:BATCH[:PRECISION]], as T:128:fp16\n", text);
        exit(2);
    }
    return v;
}

void timing_head(FILE *json, const char *about, const char *when)
{
    char state[200] = "";
    const char *commit = getenv("MVSCOPE_COMMIT");
    FILE *smi = popen("nvidia-smi --query-gpu=driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw "
                      "--format=csv,noheader 2>/dev/null",
                      "r");
    if (smi) {
        if (fgets(state, sizeof state, smi))
            state[strcspn(state, "\n\"\\")] = 0;
        pclose(smi);
    }
    if (strcmp(when, "before") == 0) {
        printf("%s\n", about);
        if (json)
            fprintf(json, "{\"card\":\"%.*s\",\"device\":\"%s\",\"commit\":\"%s\"}\n", (int)strcspn(about, ","), about,
                    about, commit ? commit : "");
    }
    if (*state) {
        printf("driver, SM clock, memory clock, temperature, power %s: %s\n", when, state);
        if (json)
            fprintf(json, "{\"state_%s\":\"%s\"}\n", when, state);
    }
}
