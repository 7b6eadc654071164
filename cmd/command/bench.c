/* bench: how fast networks run here, beside what the device can do at best. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/benchmark.h"
#include "cmd/benchmark_out.h"
#include "cmd/destination.h"
#include "cmd/device.h"
#include "cmd/page_file.h"
#include "cmd/talk.h"
#include "src/base/pattern.h"
#include "src/base/text.h"
#include "src/device/null.h"
#include "src/file/output.h"
#include "src/model/generated.h"
#include "src/run/sites.h"
#include "viz/page/bench.h"

enum { MOST_DEVICES = 16, MOST_MODELS = 64, MOST_PLACES = MOST_DEVICES * 4 };

/* A device in a precision. */
typedef struct {
    const char *name; /* as it was given */
    mv_backend *b;
} place;

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
    int places;
    place place[MOST_PLACES];
    int models;
    session *model;
    bench_widths widths;
    bench_wish wish;
    char *page;     /* NULL: none */
    bool in_folder; /* -o is its folder */
    bench_row *row;
    int rows, room;
} own;

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
     .words = options_precisions,
     .argument = "PRECISION,...",
     .help = "number formats, fp32 on the CPU and fp16 on a GPU by default"},
    OPTION_DEVICE(AT(devices), "DEVICE,..."),
    OPTION_THREADS(AT(threads)),
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

/* All instruction sets of the CPU call themselves cpu. */
static const char *device_of(const place *p)
{
    return strncmp(p->name, "cpu:", 4) == 0 ? p->name : p->b->name;
}

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
}

static void choose_page(call *c)
{
    static const char *const endings[] = {".png", ".svg", ".pdf", NULL};
    own *o = c->own;
    operands name = {0};
    destination page = {.option = "-o",
                        .out = c->o.out,
                        .ending = endings[page_format(&c->o)],
                        .endings = endings,
                        .what = "page",
                        .suffix = "",
                        .may_be_stdout = true};
    if (!c->wants_page)
        return;
    operands_add(&name, "bench", 0);
    destination_check(&page, &name, 1);
    o->page = must(destination_path(&page, &name, 0, 0, 1));
    operands_free(&name);
    page_check_name(c, page.to_stdout, page.folder);
    o->in_folder = page.folder;
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

/* The first model's weights are read soon; a fault in another one's must not be told after minutes. */
static void check_weights(const session *s)
{
    mv_error e = {0};
    mv_backend *null = s->checkpoint ? mv_null_new(MV_F32, &e) : NULL;
    mv_model *m = null ? mv_model_new(&s->config, null, mv_checkpoint_source(s->checkpoint), &e) : NULL;
    if (e.code)
        die_of(&e, false);
    mv_model_free(m);
    if (null)
        null->free(null);
}

static void open_models(call *c)
{
    own *o = c->own;
    claims *files = claims_new();
    o->models = c->operands ? c->operands : 1;
    o->model = must(calloc((size_t)o->models, sizeof *o->model));
    for (int i = 0; i < o->models; i++) {
        options with = c->o;
        with.model = c->operands ? c->operand[i] : options_default_model();
        session_open(&o->model[i], &with);
        check_captures(o, &o->model[i]);
        if (i > 0)
            check_weights(&o->model[i]);
        claims_read_model(files, o->model[i].files);
    }
    claims_write(files, "-o", o->page);
    claims_end(files);
}

static bool is_cpu(const char *device)
{
    mv_error ignored = {0};
    return strncmp(device, "cpu", 3) == 0 || (strcmp(device, "auto") == 0 && !device_plugin(&ignored));
}

/* False where the device does not have the precision, which is said. One that is alone is opened, and fails. */
static bool has_precision(const own *o, const char *device, int precision)
{
    bool alone = o->n_devices == 1 && o->precisions.n <= 1;
    const char *word = precision < 0 ? "" : options_precisions[precision];
    if (alone || (strcmp(word, "fp16") != 0 && strcmp(word, "fp8") != 0) || !is_cpu(device))
        return true;
    warn("%s: %s is for GPUs: left out", device, word);
    return false;
}

static void open_place(call *c, const char *device, int precision)
{
    own *o = c->own;
    options with = c->o;
    bool gpu;
    if (!has_precision(o, device, precision))
        return;
    with.device = device;
    with.precision = precision;
    with.threads = o->threads;
    o->place[o->places++] = (place){device, device_chosen(&with, &gpu)};
}

/* All of them, before anything is timed: a fault in the last one ends the program at once. */
static void open_places(call *c)
{
    own *o = c->own;
    for (int d = 0; d < o->n_devices; d++)
        for (int p = 0; p < (o->precisions.n ? o->precisions.n : 1); p++)
            open_place(c, o->device[d], o->precisions.n ? -1 - o->precisions.v[p] : -1);
    if (o->places == 0)
        die(EXIT_FAILED, "-p: no device has any of these precisions, so there is nothing to time");
    for (int i = 0; i < o->models; i++)
        for (int k = 0; k < o->places; k++)
            bench_widen(&o->widths, o->model[i].name, device_of(&o->place[k]));
}

/* ---- one combination after the other */

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
static mv_status measure_model(call *c, session *s, const place *on, mv_yardstick *y, mv_error *e)
{
    own *o = c->own;
    char name[4 * BENCH_NAME + 1];
    mv_generated generated;
    mv_source *source = s->checkpoint ? mv_checkpoint_source(s->checkpoint) : mv_generated_source(&generated, 0);
    mv_error full = {0};
    mv_model *m = mv_model_new(&s->config, on->b, source, &full);
    mv_status status = m || full.code == MV_ENOMEM ? MV_OK : mv_fail(e, full.code, "%s", full.text);
    mv_text_shorten(name, sizeof name, BENCH_NAME, s->name);
    for (int i = 0; !status && i < o->batches.n; i++) {
        bench_row *row = row_new(o);
        bench_row_begin(row, s->name, &s->config, on->b, o->batches.v[i]);
        snprintf(row->device, sizeof row->device, "%s", device_of(on));
        mv_text_print(s->loading, sizeof s->loading, "timing %s, %s, batch %d", name, device_precision(on->b),
                      o->batches.v[i]);
        progress_begin(s->loading);
        status = m ? bench_measure(row, m, y, &o->wish, e) : MV_OK; /* else its weights do not fit */
        progress_end();
        if (!status && !page_is_stdout(c))
            status = bench_print(row, &o->widths, o->rows == 1, c->o.json, e);
    }
    mv_model_free(m);
    return status;
}

static mv_status measure(call *c, mv_error *e)
{
    own *o = c->own;
    mv_status s = MV_OK;
    for (int k = 0; !s && k < o->places; k++) {
        mv_yardstick *y = mv_yardstick_new(o->place[k].b, e);
        s = y ? MV_OK : e->code;
        for (int i = 0; !s && i < o->models; i++)
            s = measure_model(c, &o->model[i], &o->place[k], y, e);
        mv_yardstick_free(y);
    }
    if (!s && !c->o.json && !page_is_stdout(c))
        bench_print_notes(o->row, o->rows);
    return s;
}

static void warn_of_page(const call *c)
{
    const own *o = c->own;
    int rows = o->places * o->models * o->batches.n, profiles = o->profile ? rows : 0;
    if (c->wants_page && rows > MV_BENCH_ROWS)
        warn("-o: the page shows the first %d of %d rows; the table has all", MV_BENCH_ROWS, rows);
    if (c->wants_page && profiles > MV_BENCH_PROFILES)
        warn("-o: the page shows the first %d of %d profiles; the table has all", MV_BENCH_PROFILES, profiles);
}

static int run(call *c)
{
    own *o = c->own;
    mv_error e = {0};
    choose_page(c);
    open_models(c);
    open_places(c);
    if (o->in_folder && mv_output_make_parents(o->page, &e)) /* now, as a mistake leaves no folder */
        die_of(&e, false);
    warn_of_page(c);
    mv_status s = measure(c, &e);
    if (!s && o->page)
        s = bench_page(c, o->row, o->rows, o->page, &e);
    for (int i = 0; i < o->rows; i++)
        bench_row_free(&o->row[i]);
    for (int i = 0; i < o->places; i++)
        o->place[i].b->free(o->place[i].b);
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
                               .pages_need = "output",
                               .takes = TAKES_SIZE | TAKES_PAGE_FILE | TAKES_JSON | TAKES_QUIET,
                               .examples = examples,
                               .check = check,
                               .run = run};
