#include "cmd/benchmark.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/device.h"
#include "src/base/clock.h"
#include "src/base/quantile.h"
#include "src/model/generated.h"
#include "src/run/run.h"
#include "src/run/trace.h"

enum { WARM = 2, WARM_RECORDING = 4, MOST_WARM = 12, LEAST = 3, MOST = 1000 };
#define RATE_EVERY 0.2 /* seconds: often, because the clock of a busy machine changes */

/* ---- passes */

/* A run and its pictures. They are uploaded once, where the device has a memory of its own; logits stay there. */
typedef struct {
    mv_run *r;
    const float *pictures;
    bool uploaded;
    int batch;
} passes;

static mv_status pass(passes *p, double *seconds, mv_error *e)
{
    double begin = mv_clock_now();
    mv_status s = mv_run_forward(p->r, p->uploaded ? NULL : p->pictures, p->batch, NULL, e);
    *seconds = mv_clock_now() - begin;
    return s;
}

static mv_status warm_up(passes *p, const mv_backend *b, double limit, mv_error *e)
{
    double ignored, begin = mv_clock_now();
    mv_status s = MV_OK;
    int least = b->record ? WARM_RECORDING : WARM; /* algorithms are chosen, and both slots of a run recorded */
    for (int i = 0; i < MOST_WARM && !s && (i < least || mv_clock_now() - begin < limit); i++) {
        s = pass(p, &ignored, e);
        p->uploaded = b->upload_new != NULL;
    }
    return s;
}

/* A run for a full batch; r NULL and no failure where the memory does not suffice. */
static mv_status open_run(passes *p, const mv_model *m, int batch, const float *pictures, mv_probe *probe, mv_error *e)
{
    const mv_preprocess *size = &m->config.preprocess;
    mv_error mine = {0};
    *p = (passes){.pictures = pictures, .batch = batch};
    m->backend->batches = MV_BATCHES_MANY;
    p->r = mv_run_new(m, size->h, size->w, batch, probe, &mine);
    if (p->r && mv_run_capacity(p->r) != batch) {
        mv_run_free(p->r);
        p->r = NULL;
    } else if (!p->r && mine.code != MV_ENOMEM)
        return mv_fail(e, mine.code, "%s", mine.text);
    return MV_OK;
}

/* ---- the row itself */

typedef struct {
    double v[MOST];
    size_t n;
} times;

static double median_of(times *t)
{
    mv_sort(t->v, t->n);
    return t->n ? mv_quantile(t->v, t->n, 0.5) : 0;
}

/* A floor is what can be done at best: other programs only make a rate smaller. */
static double best_of(times *rates)
{
    mv_sort(rates->v, rates->n);
    return rates->v[rates->n - 1];
}

static mv_status measure_rates(mv_yardstick *y, times *product, times *sum, mv_error *e)
{
    if (product->n == MOST)
        return MV_OK;
    mv_status s = mv_yardstick_product(y, &product->v[product->n], e);
    s = s ? s : mv_yardstick_sum(y, &sum->v[sum->n], e);
    if (!s)
        product->n++, sum->n++;
    return s;
}

/* The passes, and the yardstick between them. */
static mv_status measure_passes(bench_row *row, passes *p, mv_yardstick *y, double seconds, mv_error *e)
{
    times *all = calloc(3, sizeof *all);
    if (!all)
        return mv_fail_memory(e, "bench");
    times *taken = all, *product = all + 1, *sum = all + 2;
    double end = mv_clock_now() + seconds, due = 0;
    mv_status s = MV_OK;
    while (!s && taken->n < MOST && (taken->n < LEAST || mv_clock_now() < end)) {
        if (taken->n < LEAST || mv_clock_now() >= due) {
            s = measure_rates(y, product, sum, e);
            due = mv_clock_now() + RATE_EVERY;
        }
        s = s ? s : pass(p, &taken->v[taken->n], e);
        taken->n += !s;
    }
    if (!s) {
        row->seconds = median_of(taken);
        row->low = mv_quantile(taken->v, taken->n, 0.25);
        row->high = mv_quantile(taken->v, taken->n, 0.75);
        row->passes = (int)taken->n;
        row->mac_rate = best_of(product);
        row->byte_rate = best_of(sum);
    }
    free(all);
    return s;
}

static void count_work(bench_row *row, const mv_model *m, const mv_run *counted)
{
    const mv_costs costs = mv_run_costs(counted);
    row->macs = 0;
    for (int i = 0; i < MV_PARTS; i++)
        row->macs += (double)(costs.macs[i] + costs.attention_macs[i]);
    /* with fp8 the least that it can be: weights that stay fp16 are not told apart */
    row->weights = (double)mv_model_parameters(m) * (m->backend->fp8 ? 1 : (double)mv_dtype_size(m->backend->act));
}

/* ---- what capturing adds */

static mv_status drop(void *context, const char *site, mv_tensor value, mv_error *e)
{
    (void)context, (void)site, (void)value, (void)e;
    return MV_OK;
}

/* Watched and unwatched passes in turns: the medians of both. */
static mv_status measure_beside(passes *plain, passes *watched, double seconds, double *beside, double *with,
                                mv_error *e)
{
    times *all = calloc(2, sizeof *all);
    if (!all)
        return mv_fail_memory(e, "bench");
    double end = mv_clock_now() + seconds;
    mv_status s = MV_OK;
    for (size_t n = 0; !s && n < MOST && (n < LEAST || mv_clock_now() < end); n++) {
        s = pass(plain, &all[0].v[n], e);
        s = s ? s : pass(watched, &all[1].v[n], e);
        all[0].n = all[1].n = n + !s;
    }
    *beside = median_of(&all[0]);
    *with = median_of(&all[1]);
    free(all);
    return s;
}

static mv_status measure_watched(passes *plain, const mv_model *m, mv_probe *probe, double seconds, double *beside,
                                 double *with, mv_error *e)
{
    passes watched;
    mv_status s = open_run(&watched, m, plain->batch, plain->pictures, probe, e);
    *with = -1;
    if (!s && watched.r) {
        s = warm_up(&watched, m->backend, seconds / 10, e);
        s = s ? s : measure_beside(plain, &watched, seconds, beside, with, e);
    }
    mv_run_free(watched.r);
    return s;
}

static mv_status measure_capture(bench_capture *c, passes *plain, const mv_model *m, double seconds, mv_error *e)
{
    mv_idle idle;
    mv_trace *trace = mv_trace_new(c->sites, drop, NULL, e);
    if (!trace)
        return e->code;
    mv_status s =
        measure_watched(plain, m, mv_idle_probe(&idle, c->sites), seconds / 2, &c->beside_computed, &c->computed, e);
    s = s ? s : measure_watched(plain, m, mv_trace_probe(trace), seconds / 2, &c->beside_delivered, &c->delivered, e);
    mv_trace_free(trace);
    return s;
}

/* ---- where the time goes */

static mv_status measure_operations(bench_row *row, const mv_model *m, const float *pictures, double seconds,
                                    mv_error *e)
{
    mv_model timed = *m;
    passes p = {0};
    row->profile = mv_profile_new(m->backend, e);
    if (!row->profile)
        return e->code;
    timed.backend = mv_profile_device(row->profile);
    mv_status s = open_run(&p, &timed, row->batch, pictures, NULL, e);
    double end = mv_clock_now() + seconds, ignored;
    for (int n = 0; !s && p.r && (n == 0 || (!m->backend->record && (n < LEAST || mv_clock_now() < end))); n++) {
        s = pass(&p, &ignored, e);
        mv_profile_pass(row->profile);
    }
    if (!s && p.r)
        count_work(row, m, p.r);
    mv_run_free(p.r);
    return s;
}

double bench_floor_of(const bench_row *row, const mv_profile_row *op)
{
    double product = op->flops / 2 / row->mac_rate, memory = op->bytes / row->byte_rate;
    return (product > memory ? product : memory) * op->calls;
}

static bool beyond(double floor, double seconds)
{
    return floor > 1.005 * seconds;
}

bool bench_is_beyond(const bench_row *row)
{
    int n = 0;
    const mv_profile_row *op = row->profile ? mv_profile_rows(row->profile, &n) : NULL;
    bool found = beyond(row->floor, row->seconds);
    for (int i = 0; i < n; i++)
        found = found || beyond(bench_floor_of(row, &op[i]), op[i].seconds);
    return found;
}

bool bench_is_fp8(const bench_row *row)
{
    return strcmp(row->precision, "fp8") == 0;
}

int bench_part_of(const mv_profile_row *op)
{
    int level;
    if (sscanf(op->site, "levels.%d", &level) == 1 && level >= 0 && level < MV_LEVELS)
        return MV_PART_LEVEL0 + level;
    bool first = strcmp(op->op, "picture") == 0 || strcmp(op->op, "stem") == 0 || strcmp(op->op, "conv2d") == 0;
    return first ? MV_PART_STEM : MV_PART_HEAD;
}

const char *bench_part_name(int part)
{
    static const char *const names[MV_PARTS] = {"stem", "level 0", "level 1", "level 2", "level 3", "head"};
    return names[part];
}

/* ---- all of it */

static float *pictures_of(const mv_model *m, int batch)
{
    const mv_preprocess *p = &m->config.preprocess;
    size_t n = (size_t)batch * 3 * (size_t)p->h * (size_t)p->w;
    float *x = malloc(n * sizeof *x);
    if (x)
        mv_generated_values(x, "input", n, 1);
    return x;
}

static mv_status measure_all(bench_row *row, const mv_model *m, const float *pictures, mv_yardstick *y,
                             const bench_wish *wish, mv_error *e)
{
    passes p;
    mv_status s = open_run(&p, m, row->batch, pictures, NULL, e);
    if (s || !p.r)
        return s;
    row->fits = true;
    row->scratch = mv_run_memory(p.r);
    s = warm_up(&p, m->backend, wish->seconds / 10, e);
    if (!s)
        count_work(row, m, p.r);
    s = s ? s : measure_passes(row, &p, y, wish->seconds, e);
    double product = row->macs / row->mac_rate, memory = row->weights / row->byte_rate;
    row->floor = product > memory ? product : memory;
    for (int i = 0; !s && i < wish->captures; i++) {
        row->capture[i].sites = wish->capture[i];
        s = measure_capture(&row->capture[row->captures++], &p, m, wish->seconds, e);
    }
    mv_run_free(p.r);
    if (!s && wish->profile)
        s = measure_operations(row, m, pictures, wish->seconds, e);
    return s;
}

void bench_row_begin(bench_row *row, const char *model, const mv_config *config, const mv_backend *b, int batch)
{
    *row = (bench_row){.model = model,
                       .precision = device_precision(b),
                       .h = config->preprocess.h,
                       .w = config->preprocess.w,
                       .batch = batch};
    snprintf(row->device, sizeof row->device, "%s", b->name);
    memcpy(row->about, b->about, sizeof row->about);
}

mv_status bench_measure(bench_row *row, const mv_model *m, mv_yardstick *yardstick, const bench_wish *wish, mv_error *e)
{
    row->side = mv_yardstick_side(yardstick);
    float *pictures = pictures_of(m, row->batch);
    mv_status s = pictures ? measure_all(row, m, pictures, yardstick, wish, e) : MV_OK; /* else it does not fit */
    free(pictures);
    return s;
}

void bench_row_free(bench_row *row)
{
    mv_profile_free(row->profile);
    row->profile = NULL;
}
