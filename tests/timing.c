#include "tests/timing.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/quantile.h"
#include "src/device/null.h"
#include "src/device/yardstick.h"
#include "src/run/run.h"

void timing_die_if(const mv_error *e)
{
    if (e->code) {
        fprintf(stderr, "%s\n", e->text);
        exit(1);
    }
}

double timing_median(double *values, size_t n)
{
    mv_sort(values, n);
    return mv_quantile(values, n, 0.5);
}

timing_rates timing_rates_of(mv_backend *b)
{
    mv_error e = {0};
    timing_rates most = {0};
    mv_yardstick *y = mv_yardstick_new(b, &e);
    timing_die_if(&e);
    for (int i = 0; i < 5; i++) {
        timing_rates now = {0};
        if (!mv_yardstick_product(y, &now.macs, &e))
            mv_yardstick_sum(y, &now.bytes, &e);
        timing_die_if(&e);
        most.macs = now.macs > most.macs ? now.macs : most.macs;
        most.bytes = now.bytes > most.bytes ? now.bytes : most.bytes;
    }
    mv_yardstick_free(y);
    return most;
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

const char *timing_precision(mv_dtype act, bool fp8)
{
    return fp8 ? "fp8" : act == MV_F32 ? "fp32" : act == MV_F16 ? "fp16" : act == MV_BF16 ? "bf16" : mv_dtype_name(act);
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
    v.fp8 = precision && strcmp(precision, "fp8") == 0;
    bool known = !precision || v.fp8;
    for (size_t i = 0; i < sizeof types / sizeof *types && !known; i++)
        if ((known = strcmp(precision, timing_precision(types[i], false)) == 0))
            v.act = types[i];
    if (!known || v.batch < 0 || !mv_config_lookup(v.name, &v.config)) {
        fprintf(stderr, "found '%s', expected VARIANT[:BATCH[:PRECISION]], as T:128:fp16\n", text);
        exit(2);
    }
    return v;
}

/* Before the table: the card, its libraries and the commit; before and after: the state of the card. */
static void print_state(FILE *json, const char *about, const char *when)
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

int timing_main(int argc, char **argv, const timing_bench *bench)
{
    mv_error e = {0};
    char about[160];
    if (argc < 2) {
        fprintf(stderr, "usage: %s PLUGIN.so [%s...]\n", bench->name, bench->form);
        return 2;
    }
    const mv_plugin *plugin = mv_plugin_open(argv[1], &e);
    timing_die_if(&e);
    plugin->describe(0, about, &e);
    timing_die_if(&e);
    const char *file = getenv("MVSCOPE_BENCH_JSON");
    FILE *json = file ? fopen(file, "a") : NULL;
    if (file && !json)
        fprintf(stderr, "%s: %s cannot be written\n", bench->name, file);
    print_state(json, about, "before");
    if (bench->columns)
        bench->columns();
    for (int i = 2; i < argc; i++)
        bench->measure(plugin, argv[i], json);
    for (int i = 0; argc == 2 && bench->usual[i]; i++)
        bench->measure(plugin, bench->usual[i], json);
    print_state(json, about, "after");
    if (json)
        fclose(json);
    return 0;
}
