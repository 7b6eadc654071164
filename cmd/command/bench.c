/* bench: how fast networks run here, beside what the device can do at best. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/benchmark.h"
#include "cmd/benchmark_out.h"
#include "cmd/device.h"
#include "cmd/page_file.h"
#include "cmd/talk.h"
#include "cmd/target.h"
#include "src/base/pattern.h"
#include "src/model/generated.h"
#include "src/run/sites.h"
#include "viz/page/bench.h"

enum { MOST_DEVICES = 16, MOST_MODELS = 64 };

typedef struct {
    mv_param_list batches, precisions;
    mv_param_texts captures;
    const char *devices;
    int threads;
    double seconds;
    bool profile;
    /* ---- state */
    char *device_list;
    int n_devices;
    const char *device[MOST_DEVICES];
    int models;
    session *model;
    bench_wish wish;
    char *page; /* NULL: none */
    bench_row *row;
    int rows, room;
} own;

static const char *const precision_words[] = {"fp32", "bf16", "fp16", NULL}; /* those of options.c but fp8 */
static const char *const device_words[] = {"auto", "cpu", "cpu:plain", "cpu:avx2", "cpu:avx512", "cuda", NULL};

#define AT(member) offsetof(own, member)

static const mv_param params[] = {
    {.name = "batch",
     .letter = 'b',
     .kind = MV_PARAM_LIST,
     .offset = AT(batches),
     .least = 1,
     .most = 4096,
     .argument = "N,...",
     .help = "batch sizes, 1 and 32 by default"},
    {.name = "precision",
     .letter = 'p',
     .kind = MV_PARAM_LIST,
     .offset = AT(precisions),
     .most = -1,
     .words = precision_words,
     .argument = "PRECISION,...",
     .help = "number formats, fp32 on the CPU and fp16 on a GPU by default"},
    {.name = "device",
     .letter = 'd',
     .kind = MV_PARAM_TEXT,
     .offset = AT(devices),
     .otherwise = "auto",
     .words = device_words,
     .argument = "DEVICE,...",
     .help = "where to compute: auto, cpu[:plain|avx2|avx512] or cuda[:N]"},
    {.name = "threads",
     .letter = 'j',
     .kind = MV_PARAM_INTEGER,
     .offset = AT(threads),
     .least = 1,
     .most = 1024,
     .argument = "THREADS",
     .help = "CPU threads, one per core by default"},
    {.name = "seconds",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(seconds),
     .least = 0.01,
     .most = 3600,
     .otherwise = "3",
     .argument = "SECONDS",
     .help = "time for the passes of each row, of each capture and of the profile"},
    {.name = "capture",
     .kind = MV_PARAM_TEXTS,
     .offset = AT(captures),
     .argument = "SITE",
     .completes = MV_COMPLETE_SITE,
     .help = "also time passes that compute these sites, and that deliver them; repeatable"},
    {.name = "profile",
     .kind = MV_PARAM_FLAG,
     .offset = AT(profile),
     .help = "also time each operation, beside its own floor"},
    {0}};

/* ---- what is asked */

static void split_devices(own *o)
{
    char *rest = o->device_list = must(strdup(o->devices));
    for (char *name; (name = strsep(&rest, ","));) {
        if (o->n_devices == MOST_DEVICES)
            die(EXIT_MISUSE, "-d: found more than %d devices", MOST_DEVICES);
        o->device[o->n_devices++] = name;
    }
}

static void check(call *c)
{
    own *o = c->own;
    split_devices(o);
    if (o->batches.n == 0)
        o->batches = (mv_param_list){2, {1, 32}};
    if (c->operands > MOST_MODELS)
        die(EXIT_MISUSE, "bench: found %d models, expected at most %d", c->operands, MOST_MODELS);
    if (o->captures.n > BENCH_CAPTURES)
        die(EXIT_MISUSE, "--capture: found %d, expected at most %d; commas join patterns", o->captures.n,
            BENCH_CAPTURES);
    o->wish = (bench_wish){.seconds = o->seconds, .captures = o->captures.n, .profile = o->profile};
    memcpy(o->wish.capture, o->captures.v, (size_t)o->captures.n * sizeof *o->captures.v);
    c->wants_page = c->o.out != NULL;
    if (c->wants_page)
        page_check(c, &mv_page_bench);
    else
        options_refuse_page(c, "without -o");
}

static void choose_page(call *c)
{
    static const char *const endings[] = {".png", ".svg", ".pdf", NULL};
    own *o = c->own;
    mv_error e = {0};
    operands name = {0};
    target page = {.option = "-o",
                   .out = c->o.out,
                   .ending = endings[page_format(&c->o)],
                   .endings = endings,
                   .what = "page",
                   .suffix = "",
                   .may_be_stdout = true};
    if (!c->wants_page)
        return;
    operands_add(&name, "bench", 0);
    target_check(&page, &name, 1);
    o->page = must(target_path(&page, &name, 0, 0, 1));
    operands_free(&name);
    if (target_make_folders(&page, o->page, &e))
        die_of(&e, false);
    if (page.to_stdout && c->o.json)
        die(EXIT_MISUSE, "-o: found '-' with --json, which writes to standard output too");
    if (!page.folder && c->o.format >= 0)
        die(EXIT_MISUSE, "--format: has no effect on a page with a name of its own");
}

/* Every site that is to be captured must be one of every model. */
static void check_captures(const own *o, const session *s)
{
    mv_sites sites = {0};
    mv_error e = {0};
    const mv_preprocess *p = &s->config.preprocess;
    if (o->wish.captures && mv_sites_list(&sites, &s->config, 1, p->h, p->w, &e))
        die_of(&e, false);
    for (int i = 0; i < o->wish.captures; i++)
        if (mv_pattern_check(o->wish.capture[i], sites.n, sites.name, "--capture", &e))
            die_of(&e, true);
    mv_sites_free(&sites);
}

static void open_models(call *c)
{
    own *o = c->own;
    o->models = c->operands ? c->operands : 1;
    o->model = must(calloc((size_t)o->models, sizeof *o->model));
    for (int i = 0; i < o->models; i++) {
        options with = c->o;
        with.model = c->operands ? c->operand[i] : options_default_model();
        session_open(&o->model[i], &with);
        check_captures(o, &o->model[i]);
    }
}

/* ---- one combination after the other */

/* The options of a combination; false where the device does not have the precision, which is said. */
static bool options_of(const own *o, const options *all, const char *device, int precision, options *out)
{
    *out = *all;
    out->device = device;
    out->precision = precision;
    out->threads = o->threads;
    bool alone = o->n_devices == 1 && o->precisions.n <= 1;
    if (alone || precision < 0 || strcmp(precision_words[precision], "fp16") != 0 || strncmp(device, "cpu", 3) != 0)
        return true;
    warn("%s: fp16 is for GPUs: left out", device);
    return false;
}

static bench_row *row_new(own *o)
{
    if (o->rows == o->room) {
        o->room = o->room ? 2 * o->room : 8;
        o->row = must(realloc(o->row, (size_t)o->room * sizeof *o->row));
    }
    bench_row *row = &o->row[o->rows++];
    *row = (bench_row){0};
    return row;
}

/* All batch sizes of a model on a device. */
static mv_status measure_model(call *c, session *s, mv_backend *b, const char *device, mv_yardstick *y, mv_error *e)
{
    own *o = c->own;
    mv_generated generated;
    mv_source *source = s->checkpoint ? mv_checkpoint_source(s->checkpoint) : mv_generated_source(&generated, 0);
    mv_model *m = mv_model_new(&s->config, b, source, e);
    mv_status status = m ? MV_OK : e->code;
    for (int i = 0; !status && i < o->batches.n; i++) {
        bench_row *row = row_new(o);
        snprintf(row->model, sizeof row->model, "%s", s->name);
        snprintf(s->loading, sizeof s->loading, "timing %.48s, %s, batch %d", s->name, bench_precision(b->act),
                 o->batches.v[i]);
        progress_begin(s->loading);
        status = bench_measure(row, m, o->batches.v[i], y, &o->wish, e);
        if (strncmp(device, "cpu:", 4) == 0) /* all of them call themselves cpu */
            snprintf(row->device, sizeof row->device, "%s", device);
        progress_end();
        if (!status && !page_is_stdout(c))
            status = bench_print(row, o->rows == 1, c->o.json, e);
    }
    mv_model_free(m);
    return status;
}

static mv_status measure_device(call *c, const char *device, int precision, mv_error *e)
{
    own *o = c->own;
    options with;
    bool gpu;
    if (!options_of(o, &c->o, device, precision, &with))
        return MV_OK;
    mv_backend *b = device_chosen(&with, &gpu);
    mv_yardstick *y = mv_yardstick_new(b, e);
    mv_status s = y ? MV_OK : e->code;
    for (int i = 0; !s && i < o->models; i++)
        s = measure_model(c, &o->model[i], b, device, y, e);
    mv_yardstick_free(y);
    b->free(b);
    return s;
}

static mv_status measure(call *c, mv_error *e)
{
    own *o = c->own;
    mv_status s = MV_OK;
    for (int d = 0; !s && d < o->n_devices; d++)
        for (int p = 0; !s && p < (o->precisions.n ? o->precisions.n : 1); p++)
            s = measure_device(c, o->device[d], o->precisions.n ? -1 - o->precisions.v[p] : -1, e);
    return s;
}

static int run(call *c)
{
    own *o = c->own;
    mv_error e = {0};
    choose_page(c);
    open_models(c);
    mv_status s = measure(c, &e);
    if (!s && o->page)
        s = bench_page(c, o->row, o->rows, o->page, &e);
    for (int i = 0; i < o->rows; i++)
        bench_row_free(&o->row[i]);
    for (int i = 0; i < o->models; i++)
        session_close(&o->model[i]);
    free(o->row);
    free(o->model);
    free(o->page);
    free(o->device_list);
    if (s)
        complain("%s", e.text);
    return s ? EXIT_FAILED : EXIT_DONE;
}

static const mv_param model_operand = {.completes = MV_COMPLETE_MODEL};
static const char *const examples[] = {"bench", "bench --profile -b 1 -o bench.png", "bench -b 1 -p fp32,bf16 T",
                                       "bench --capture 'levels.*.blocks.*.mixer.attn' --json", NULL};

const command command_bench = {.name = "bench",
                               .operands = "[MODEL...]",
                               .completes = &model_operand,
                               .summary = "Times networks on this machine, beside what it can do at best",
                               .params = params,
                               .size = sizeof(own),
                               .takes = TAKES_SIZE | TAKES_PAGES | TAKES_JSON | TAKES_QUIET,
                               .examples = examples,
                               .check = check,
                               .run = run};
