/* What benchmarks share: the rates of the card, the work of a pass, and the head of their reports. */
#ifndef TIMING_H
#define TIMING_H

#include <stdio.h>

#include "src/base/clock.h"
#include "src/device/plugin.h"
#include "src/model/config.h"

/* Ends the program with the sentence of an error. */
void timing_die_if(const mv_error *e);

/* The middle of n values, which are sorted. */
double timing_median(double *values, size_t n);

/* The best of five measurements of src/device/yardstick.h: the ceilings of the shares. */
typedef struct {
    double macs, bytes;
} timing_rates;
timing_rates timing_rates_of(mv_backend *b);

/* Multiply-adds of a picture, attention's products among them, and the bytes of the weights in a type. */
void timing_costs(const mv_config *config, mv_dtype act, double *macs, double *bytes);

/* "VARIANT[:BATCH[:PRECISION]]": batch 0 where it is not given; ends the program if there is no such variant. */
typedef struct {
    mv_config config;
    const char *name;
    int batch;
    mv_dtype act;
    bool fp8;
} timing_variant;
timing_variant timing_variant_of(const char *text, char room[64]);
const char *timing_precision(mv_dtype act, bool fp8);

/* The main function of a benchmark: opens the plug-in that the first argument names, and calls `measure` with each of
 * the others, or with `usual`, which ends with NULL, where there are none. `columns`, the head of the table, may be
 * NULL. json: the file that MVSCOPE_BENCH_JSON names, or NULL. The report begins with the card, the libraries as the
 * device describes them, and MVSCOPE_COMMIT, and has what nvidia-smi says of driver, clocks, temperature and power
 * before and after. */
typedef struct {
    const char *name, *form; /* "bench_ops", "VARIANT[:BATCH]" */
    const char *const *usual;
    void (*columns)(void);
    void (*measure)(const mv_plugin *plugin, const char *argument, FILE *json);
} timing_bench;
int timing_main(int argc, char **argv, const timing_bench *bench);

#endif
