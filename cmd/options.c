#include "cmd/options.h"

#include <popt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/operands.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "viz/draw/colour.h"
#include "viz/page/page.h"

/* ---- the tables */

static const char *const precision_words[] = {"fp32", "bf16", "fp16", "fp8", NULL};
static const char *const weights_words[] = {"ema", "model", NULL};
static const char *const device_words[] = {"auto", "cpu", "cpu:plain", "cpu:avx2", "cpu:avx512", "cuda", NULL};
static const char *const crop_words[] = {"center", "squash", "border", NULL};
static const char *const interpolation_words[] = {"bicubic", "bilinear", NULL}; /* as mv_resample_filter */
static const char *const format_words[] = {"png", "svg", "pdf", NULL};
static const char *const photo_words[] = {"grey", "colour", NULL};
static const char *const theme_words[] = {"light", "dark", NULL};

static const char *use_word(int i)
{
    return mv_page_use_at(i);
}

static const char *colour_word(int i)
{
    const mv_colour_table *t = mv_colour_table_at(i);
    return t ? t->name : NULL;
}

static const char *scale_word(int i)
{
    return mv_scale_kind_at(i);
}

#define AT(member) offsetof(options, member)

static const mv_param model_params[] = {
    {.name = "model",
     .letter = 'm',
     .kind = MV_PARAM_TEXT,
     .offset = AT(model),
     .argument = "MODEL",
     .completes = MV_COMPLETE_MODEL,
     .help = "checkpoint file or folder, or the name of one that 'mvscope pull' has fetched; the embedded model by "
             "default"},
    {.name = "weights",
     .kind = MV_PARAM_TEXT,
     .offset = AT(weights),
     .words = weights_words,
     .argument = "ema|model|NAME",
     .help = "which network of a checkpoint that holds several: model by default, or the prefix of its tensors"},
    {0}};
static const mv_param device_params[] = {{.name = "device",
                                          .letter = 'd',
                                          .kind = MV_PARAM_TEXT,
                                          .offset = AT(device),
                                          .otherwise = "auto",
                                          .words = device_words,
                                          .argument = "DEVICE",
                                          .help = "where to compute: auto, cpu[:plain|avx2|avx512] or cuda[:N]"},
                                         {.name = "threads",
                                          .letter = 'j',
                                          .kind = MV_PARAM_INTEGER,
                                          .offset = AT(threads),
                                          .least = 1,
                                          .most = 1024,
                                          .argument = "THREADS",
                                          .help = "CPU threads, one per core by default"},
                                         {0}};
static const mv_param precision_params[] = {{.name = "precision",
                                             .letter = 'p',
                                             .kind = MV_PARAM_WORD,
                                             .offset = AT(precision),
                                             .words = precision_words,
                                             .argument = "PRECISION",
                                             .help = "number format, fp32 on the CPU and fp16 on a GPU by default"},
                                            {0}};
static const mv_param size_params[] = {{.name = "size",
                                        .kind = MV_PARAM_SIZE,
                                        .offset = AT(size),
                                        .least = MV_SIZE_MIN,
                                        .most = MV_SIZE_MAX,
                                        .argument = "N|HxW",
                                        .help = "input size of the network in pixels, the model's by default"},
                                       {0}};
static const mv_param crop_params[] = {
    {.name = "crop-pct",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(crop_pct),
     .least = 0.1,
     .most = 1,
     .argument = "SHARE",
     .help = "share of the resized picture that is kept, the model's by default"},
    {.name = "crop-mode",
     .kind = MV_PARAM_WORD,
     .offset = AT(crop_mode),
     .words = crop_words,
     .argument = "MODE",
     .help = "how pictures are brought to the input size, by default the model's way"},
    {.name = "interpolation",
     .kind = MV_PARAM_WORD,
     .offset = AT(interpolation),
     .words = interpolation_words,
     .argument = "FILTER",
     .help = "how pictures are resized, by default the model's way"},
    {0}};
static const mv_param decoding_params[] = {{.name = "no-exif",
                                            .kind = MV_PARAM_FLAG,
                                            .offset = AT(no_exif),
                                            .help = "ignore the EXIF orientation of pictures"},
                                           {.name = "max-pixels",
                                            .kind = MV_PARAM_COUNT,
                                            .offset = AT(max_pixels),
                                            .least = 1,
                                            .most = 1e12,
                                            .otherwise = "64M",
                                            .argument = "PIXELS",
                                            .help = "refuse pictures with more pixels"},
                                           {0}};
static const mv_param picture_params[] = {{.name = "batch",
                                           .letter = 'b',
                                           .kind = MV_PARAM_INTEGER,
                                           .offset = AT(batch),
                                           .least = 1,
                                           .most = 4096,
                                           .otherwise = "8",
                                           .argument = "N",
                                           .help = "batch size: pictures that are computed together"},
                                          {.name = "resume",
                                           .kind = MV_PARAM_FLAG,
                                           .offset = AT(resume),
                                           .help = "continue an interrupted run: keep the results that exist"},
                                          {.name = "shard",
                                           .kind = MV_PARAM_SHARE,
                                           .offset = AT(shard),
                                           .most = 100000,
                                           .argument = "I/N",
                                           .help = "process only part I of N consecutive parts of the pictures"},
                                          {0}};
static const mv_param page_output_params[] = {
    {.name = "output",
     .letter = 'o',
     .kind = MV_PARAM_TEXT,
     .offset = AT(out),
     .argument = "OUT",
     .completes = MV_COMPLETE_FILE,
     .help = "page file (.png, .svg or .pdf), FOLDER/ or - for stdout; the working folder by default"},
    {0}};
static const mv_param page_params[] = {
    {.name = "format",
     .kind = MV_PARAM_WORD,
     .offset = AT(format),
     .words = format_words,
     .argument = "FORMAT",
     .help = "format of the pages in a folder, png by default, pdf for papers"},
    {.name = "theme",
     .kind = MV_PARAM_WORD,
     .offset = AT(theme),
     .words = theme_words,
     .argument = "THEME",
     .help = "theme of the page, light by default"},
    {.name = "zoom",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(zoom),
     .least = 0.25,
     .most = 8,
     .argument = "FACTOR",
     .help = "resolution of a PNG: image pixels per page pixel; 2 or 3 for print"},
    {.name = "width",
     .kind = MV_PARAM_INTEGER,
     .offset = AT(width),
     .least = 640,
     .most = 8000,
     .argument = "PIXELS",
     .help = "width of the page in page pixels"},
    {.name = "for",
     .kind = MV_PARAM_WORD,
     .offset = AT(use),
     .word_at = use_word,
     .argument = "USE",
     .help = "fit a paper's text width or a slide: size in points, panel letters, no foot"},
    {.name = "colours",
     .also = "colors",
     .kind = MV_PARAM_WORD,
     .offset = AT(colours),
     .word_at = colour_word,
     .argument = "TABLE",
     .help = "colour table of the maps"},
    {.name = "colour-scale",
     .also = "color-scale",
     .kind = MV_PARAM_WORD,
     .offset = AT(scale),
     .word_at = scale_word,
     .argument = "SCALE",
     .help = "how values are mapped to colours"},
    {.name = "grid", .kind = MV_PARAM_FLAG, .offset = AT(grid), .help = "draw the grid of cells"},
    {0}};
static const mv_param sheet_params[] = {{.name = "sheet",
                                         .kind = MV_PARAM_INTEGER,
                                         .offset = AT(sheet),
                                         .least = 2,
                                         .most = 64,
                                         .argument = "N",
                                         .help = "contact sheets: N pictures on each page"},
                                        {0}};
static const mv_param overlay_params[] = {
    {.name = "overlay",
     .kind = MV_PARAM_TEXT,
     .offset = AT(overlay),
     .argument = "FILE|FOLDER/",
     .completes = MV_COMPLETE_FILE,
     .help = "write the map over the whole photo alone, at the photo's size: FILE.png, FILE.jpg or FOLDER/"},
    {.name = "alpha",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(alpha),
     .least = 0.05,
     .most = 1,
     .argument = "SHARE",
     .help = "the strongest opacity of an overlay, by default that of pages"},
    {.name = "threshold",
     .kind = MV_PARAM_NUMBER,
     .offset = AT(threshold),
     .least = 0.01,
     .most = 1,
     .argument = "SHARE",
     .help = "overlay only the strongest cells that together hold this share of the map's mass"},
    {.name = "photo",
     .kind = MV_PARAM_WORD,
     .offset = AT(photo),
     .words = photo_words,
     .argument = "PHOTO",
     .help = "the photo under an overlay, grey by default"},
    {0}};
static const mv_param value_output_params[] = {{.name = "output",
                                                .letter = 'o',
                                                .kind = MV_PARAM_TEXT,
                                                .offset = AT(out),
                                                .argument = "OUT",
                                                .completes = MV_COMPLETE_FILE,
                                                .help = "output file (.safetensors, .npz or .npy) or FOLDER/"},
                                               {0}};
static const mv_param json_params[] = {
    {.name = "json", .kind = MV_PARAM_FLAG, .offset = AT(json), .help = "print results as JSON"}, {0}};
static const mv_param quiet_params[] = {{.name = "quiet",
                                         .letter = 'q',
                                         .kind = MV_PARAM_FLAG,
                                         .offset = AT(quiet),
                                         .help = "suppress warnings and progress"},
                                        {0}};
static const mv_param verbose_params[] = {{.name = "verbose",
                                           .letter = 'v',
                                           .kind = MV_PARAM_FLAG,
                                           .offset = AT(verbose),
                                           .help = "report what is being done"},
                                          {0}};
static const mv_param general_params[] = {
    {.name = "help", .letter = 'h', .kind = MV_PARAM_FLAG, .offset = AT(help), .help = "print this help"},
    {.name = "version", .letter = 'V', .kind = MV_PARAM_FLAG, .offset = AT(version), .help = "print the version"},
    {0}};

/* The shared tables, each with the bit that adds it, in the order of help. */
static const char group_own[] = "Options";
static const struct {
    unsigned takes; /* 0: always */
    const mv_param *table;
    const char *group;
} shared_tables[] = {{TAKES_MODEL, model_params, "Model and device"},
                     {TAKES_WEIGHTS, device_params, "Model and device"},
                     {TAKES_PRECISION, precision_params, "Model and device"},
                     {TAKES_SIZE, size_params, "Pictures"},
                     {TAKES_CROP, crop_params, "Pictures"},
                     {TAKES_PICTURES | TAKES_DECODING, decoding_params, "Pictures"},
                     {TAKES_PICTURES, picture_params, "Pictures"},
                     {TAKES_PAGES, page_output_params, "Pages"},
                     {TAKES_PAGES, page_params, "Pages"},
                     {TAKES_SHEETS, sheet_params, "Pages"},
                     {TAKES_OVERLAY, overlay_params, "Overlays"},
                     {TAKES_VALUES, value_output_params, "Output"},
                     {TAKES_JSON, json_params, "General"},
                     {TAKES_PICTURES | TAKES_DECODING | TAKES_QUIET, quiet_params, "General"},
                     {TAKES_WEIGHTS, verbose_params, "General"},
                     {0, general_params, "General"}};
enum { SHARED_TABLES = sizeof shared_tables / sizeof *shared_tables };

static void visit_table(const mv_param *table, const char *group, option_visitor *visit, void *context)
{
    for (const mv_param *p = table; p && p->name; p++)
        visit(context, group, p);
}

void options_visit(const command *c, option_visitor *visit, void *context)
{
    visit_table(c->method_params, group_own, visit, context);
    visit_table(c->params, group_own, visit, context);
    for (int i = 0; i < SHARED_TABLES; i++)
        if (!shared_tables[i].takes || shared_tables[i].takes & c->takes)
            visit_table(shared_tables[i].table, shared_tables[i].group, visit, context);
}

static bool in_table(const mv_param *table, const mv_param *p)
{
    for (; table && table->name; table++)
        if (table == p)
            return true;
    return false;
}

const char *option_name(const mv_param *p, char text[64])
{
    if (p->letter)
        snprintf(text, 64, "-%c, --%s", p->letter, p->name);
    else
        snprintf(text, 64, "--%s", p->name);
    return text;
}

int threads_of(const options *o)
{
    cpu_set_t mine;
    if (o->threads)
        return o->threads;
    return sched_getaffinity(0, sizeof mine, &mine) ? 1 : CPU_COUNT(&mine);
}

mv_dtype precision_of(const options *o, mv_dtype otherwise)
{
    static const mv_dtype types[] = {MV_F32, MV_BF16, MV_F16, MV_F16}; /* as precision_words */
    return o->precision < 0 ? otherwise : types[o->precision];
}

bool has_fp8(const options *o)
{
    return o->precision == 3;
}

/* ---- parsing */

/* All options of a command, and popt's table of them. popt returns an option's number plus one. */
typedef struct {
    int n;
    const mv_param *param[96];
    struct poptOption row[2 * 96]; /* with other spellings, and the end */
    int rows;
} table;

static void add_row(void *context, const char *group, const mv_param *p)
{
    (void)group;
    table *t = context;
    unsigned takes = p->kind == MV_PARAM_FLAG ? POPT_ARG_NONE : POPT_ARG_STRING;
    if (t->n == sizeof t->param / sizeof *t->param)
        return;
    t->param[t->n++] = p;
    t->row[t->rows++] = (struct poptOption){p->name, p->letter, takes, NULL, t->n, NULL, p->argument};
    if (p->also)
        t->row[t->rows++] = (struct poptOption){p->also, 0, takes, NULL, t->n, NULL, p->argument};
}

static void wrong_option(const command *c, const table *t, const char *bad, int code) __attribute__((noreturn));

static void wrong_option(const command *c, const table *t, const char *bad, int code)
{
    const char *words[96], *near = NULL;
    char name[64], *shown = must(mv_text_escape(bad));
    for (int i = 0; i < t->n; i++)
        words[i] = t->param[i]->name;
    snprintf(name, sizeof name, "%s", strncmp(bad, "--", 2) == 0 ? bad + 2 : "");
    name[strcspn(name, "=")] = 0;
    if (code == POPT_ERROR_BADOPT && *name)
        near = mv_text_nearest(name, t->n, words);
    if (near)
        die(EXIT_MISUSE, "%s: no such option; did you mean --%s? (mvscope %s --help)", shown, near, c->name);
    die(EXIT_MISUSE, "%s: %s (mvscope %s --help)", shown,
        code == POPT_ERROR_BADOPT ? "no such option" : poptStrerror(code), c->name);
}

static void remember(call *c, const mv_param *p, char *value)
{
    given *g = &c->given;
    g->item = must(realloc(g->item, (size_t)(g->n + 1) * sizeof *g->item));
    g->item[g->n].param = p;
    g->item[g->n++].value = value;
}

bool options_given(const call *c, const char *name)
{
    for (int i = 0; i < c->given.n; i++)
        if (strcmp(c->given.item[i].param->name, name) == 0)
            return true;
    return false;
}

/* Where an option's value goes: the command's own struct or the shared one. */
static void *home_of(call *c, const mv_param *p)
{
    return in_table(c->command->method_params, p) || in_table(c->command->params, p) ? c->own : (void *)&c->o;
}

static void set_defaults(call *c)
{
    if (c->command->method_params)
        mv_param_defaults(c->own, c->command->method_params);
    if (c->command->params)
        mv_param_defaults(c->own, c->command->params);
    for (int i = 0; i < SHARED_TABLES; i++)
        mv_param_defaults(&c->o, shared_tables[i].table);
}

void options_refuse_page(const call *c, const char *why)
{
    char name[64];
    for (int i = 0; i < c->given.n; i++)
        if (in_table(page_params, c->given.item[i].param) || in_table(page_output_params, c->given.item[i].param) ||
            in_table(sheet_params, c->given.item[i].param))
            die(EXIT_MISUSE, "%s: has no effect %s", option_name(c->given.item[i].param, name), why);
}

static void refuse_without_effect(const call *c)
{
    if (c->command->pages_need && !options_given(c, c->command->pages_need) &&
        (!c->o.overlay || options_given(c, "output"))) { /* colours are those of overlays, too */
        char why[64];
        snprintf(why, sizeof why, "without --%s", c->command->pages_need);
        options_refuse_page(c, why);
    }
}

const char *options_default_model(void)
{
    const char *model = getenv("MVSCOPE_MODEL");
    return model && *model ? model : NULL;
}

/* As if -m had been given, so that recipes name the model, too. */
static void take_default_model(call *c)
{
    if (!(c->command->takes & TAKES_MODEL) || c->o.model || !options_default_model())
        return;
    char *value = must(strdup(options_default_model()));
    remember(c, model_params, value);
    c->o.model = value;
}

void options_parse(call *c, int argc, const char **argv)
{
    static const char *const none[] = {NULL};
    static table t; /* popt keeps pointers into it */
    options_visit(c->command, add_row, &t);
    poptContext parser = c->given.parser = poptGetContext("mvscope", argc, argv, t.row, 0);
    if (!parser)
        die(EXIT_FAILED, "out of memory");
    set_defaults(c);
    operands_refuse_dashes(argc, argv);
    int code;
    while ((code = poptGetNextOpt(parser)) > 0) {
        const mv_param *p = t.param[code - 1];
        char *value = p->kind == MV_PARAM_FLAG ? NULL : poptGetOptArg(parser);
        char name[64];
        mv_error e = {0};
        remember(c, p, value);
        if (mv_param_set(home_of(c, p), p, value ? value : "", option_name(p, name), &e))
            die(EXIT_MISUSE, "%s", e.text);
    }
    if (code < -1)
        wrong_option(c->command, &t, poptBadOption(parser, 0), code);
    talk_quiet = c->o.quiet;
    if (c->o.help) {
        options_help(c->command);
        exit(finish(EXIT_DONE));
    }
    if (c->o.version) {
        printf("mvscope %s\n", MV_VERSION);
        exit(finish(EXIT_DONE));
    }
    take_default_model(c);
    const char **rest = poptGetArgs(parser);
    c->operand = rest ? (const char *const *)rest : none;
    for (c->operands = 0; c->operand[c->operands]; c->operands++)
        ;
    refuse_without_effect(c);
}

void options_free(call *c)
{
    for (int i = 0; i < c->given.n; i++)
        free(c->given.item[i].value);
    free(c->given.item);
    poptFreeContext(c->given.parser);
}
