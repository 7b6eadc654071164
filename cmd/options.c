#include "cmd/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"

shared_options shared;
picture_options picture_choice;
page_options page_choice;

static int want_help, want_version;
static char given[512];
static poptContext parser; /* owns the operands: it lives as long as the program */

struct poptOption options_model[] = {
    {"model", 'm', POPT_ARG_STRING, &shared.model, 0,
     "checkpoint: a .safetensors file or a folder of one; the embedded model if left out", "MODEL"},
    {"device", 'd', POPT_ARG_STRING, &shared.device, 0, "auto, cpu or cuda[:N]", "DEVICE"},
    {"precision", 'p', POPT_ARG_STRING, &shared.precision, 0, "fp32, bf16 or fp16", "PRECISION"},
    {"threads", 'j', POPT_ARG_INT, &shared.threads, 0, "threads on the CPU; one a core if left out", "THREADS"},
    POPT_TABLEEND};

struct poptOption options_output[] = {{"output", 'o', POPT_ARG_STRING, &shared.out, 0, "where to write", "OUT"},
                                      POPT_TABLEEND};

struct poptOption options_talk[] = {{"json", 0, POPT_ARG_NONE, &shared.json, 0, "results as JSON", NULL},
                                    {"quiet", 'q', POPT_ARG_NONE, &talk_quiet, 0, "no warnings, no progress", NULL},
                                    {"verbose", 'v', POPT_ARG_NONE, &shared.verbose, 0, "say what is being done", NULL},
                                    {"help", 'h', POPT_ARG_NONE, &want_help, 0, "this text", NULL},
                                    {"version", 'V', POPT_ARG_NONE, &want_version, 0, "the version", NULL},
                                    POPT_TABLEEND};

struct poptOption options_picture[] = {
    {"size", 0, POPT_ARG_STRING, &picture_choice.size, 0,
     "pixels that the network sees, 32 and up; the model's if left out", "N|HxW"},
    {"crop-pct", 0, POPT_ARG_STRING, &picture_choice.crop_pct, 0, "share of the resized picture that is kept, 0.1 to 1",
     "SHARE"},
    {"crop-mode", 0, POPT_ARG_STRING, &picture_choice.crop_mode, 0, "center, squash or border", "MODE"},
    {"no-exif", 0, POPT_ARG_NONE, &picture_choice.no_exif, 0,
     "leave pictures as stored, whatever their EXIF orientation", NULL},
    {"max-pixels", 0, POPT_ARG_STRING, &picture_choice.max_pixels, 0, "refuse larger pictures; 64000000 if left out",
     "PIXELS"},
    POPT_TABLEEND};

struct poptOption options_page[] = {
    {"theme", 0, POPT_ARG_STRING, &page_choice.theme, 0, "light or dark", "THEME"},
    {"zoom", 0, POPT_ARG_STRING, &page_choice.zoom, 0,
     "device pixels to a page pixel in a PNG, 0.25 to 8; 2 or 3 for print", "FACTOR"},
    {"width", 0, POPT_ARG_STRING, &page_choice.width, 0, "page pixels across, 640 to 8000", "PIXELS"},
    {"colours", 0, POPT_ARG_STRING, &page_choice.colours, 0,
     "viridis, magma, inferno, cividis, turbo, or the diverging blue-red", "TABLE"},
    {"colour-scale", 0, POPT_ARG_STRING, &page_choice.scale, 0, "auto, linear, sqrt or log", "SCALE"},
    {"grid", 0, POPT_ARG_NONE, &page_choice.grid, 0, "draw the grid of cells", NULL},
    POPT_TABLEEND};

/* ---- visiting */

static void visit_table(const struct poptOption *table, const char *title, option_visitor *visit, void *context)
{
    for (const struct poptOption *o = table; o->longName || o->shortName || o->arg; o++)
        if ((o->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE)
            visit_table(o->arg, o->descrip, visit, context);
        else
            visit(context, title, o);
}

void options_visit(const command *c, option_visitor *visit, void *context)
{
    visit_table(c->options, "Options", visit, context);
}

/* ---- help */

static void print_option(void *context, const char *table, const struct poptOption *o)
{
    const char **last = context;
    char head[80];
    if (*last != table) {
        printf("\n%s\n", table);
        *last = table;
    }
    snprintf(head, sizeof head, "%s%c%s--%s%s%s", o->shortName ? "-" : " ", o->shortName ? o->shortName : ' ',
             o->shortName ? ", " : "  ", o->longName, o->argDescrip ? " " : "", o->argDescrip ? o->argDescrip : "");
    printf("  %-28s  %s\n", head, o->descrip);
}

static void print_help(const command *c)
{
    const char *last = NULL;
    printf("usage: mvscope %s [OPTIONS]%s%s\n\n%s.\n", c->name, *c->operands ? " " : "", c->operands, c->summary);
    options_visit(c, print_option, &last);
    if (c->examples) {
        printf("\nExamples\n");
        for (const char *const *e = c->examples; *e; e++)
            printf("  mvscope %s\n", *e);
    }
    printf("\nmore: man mvscope-%s\n", c->name);
}

/* ---- mistakes */

typedef struct {
    int n;
    const char *words[64];
} words;

static void collect(void *context, const char *table, const struct poptOption *o)
{
    (void)table;
    words *w = context;
    if (w->n < 64)
        w->words[w->n++] = o->longName;
}

static void wrong_option(const command *c, const char *bad, int code) __attribute__((noreturn));

static void wrong_option(const command *c, const char *bad, int code)
{
    words w = {0};
    char name[64];
    const char *near = NULL;
    options_visit(c, collect, &w);
    snprintf(name, sizeof name, "%s", strncmp(bad, "--", 2) == 0 ? bad + 2 : "");
    name[strcspn(name, "=")] = 0;
    if (code == POPT_ERROR_BADOPT && *name)
        near = mv_text_nearest(name, w.n, w.words);
    if (near)
        die(EXIT_MISUSE, "%s: no such option; did you mean --%s? (mvscope %s --help)", bad, near, c->name);
    if (code == POPT_ERROR_BADNUMBER || code == POPT_ERROR_OVERFLOW)
        die(EXIT_MISUSE, "'%s': found where a whole number was expected (mvscope %s --help)", bad, c->name);
    die(EXIT_MISUSE, "%s: %s (mvscope %s --help)", bad,
        code == POPT_ERROR_BADOPT ? "no such option" : poptStrerror(code), c->name);
}

const char *options_given(void)
{
    return given;
}

static void remember(int argc, const char **argv, const char **operands)
{
    size_t at = 0;
    for (int i = 1; i < argc; i++) {
        bool operand = false;
        for (const char **o = operands; o && *o; o++)
            operand |= strcmp(*o, argv[i]) == 0;
        if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0)
            i++;
        else if (!operand && strncmp(argv[i], "--output=", 9) && at < sizeof given)
            at += (size_t)snprintf(given + at, sizeof given - at, " %s", argv[i]);
    }
}

const char **options_parse(const command *c, int argc, const char **argv, int *n)
{
    static const char *none[] = {NULL};
    parser = poptGetContext("mvscope", argc, argv, c->options, 0);
    if (!parser)
        die(EXIT_FAILED, "out of memory");
    int code;
    while ((code = poptGetNextOpt(parser)) > 0)
        ;
    if (code < -1)
        wrong_option(c, poptBadOption(parser, 0), code);
    if (want_help) {
        print_help(c);
        exit(finish(EXIT_DONE));
    }
    if (want_version) {
        printf("mvscope %s\n", MV_VERSION);
        exit(finish(EXIT_DONE));
    }
    const char **rest = poptGetArgs(parser);
    for (*n = 0; rest && rest[*n]; ++*n)
        ;
    remember(argc, argv, rest);
    return rest ? rest : none;
}

/* ---- values */

int option_integer(const char *option, const char *text, int least, int most)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end == text || *end || errno || v < least || v > most)
        die(EXIT_MISUSE, "%s: found '%s', expected a whole number from %d to %d", option, text, least, most);
    return (int)v;
}

double option_number(const char *option, const char *text, double least, double most)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= least && v <= most))
        die(EXIT_MISUSE, "%s: found '%s', expected a number from %g to %g", option, text, least, most);
    return v;
}

void option_size(const char *option, const char *text, int *h, int *w)
{
    int used = 0;
    if (sscanf(text, "%5dx%5d%n", h, w, &used) == 2 && !text[used])
        ;
    else if (used = 0, sscanf(text, "%5d%n", h, &used) == 1 && !text[used])
        *w = *h;
    else
        *h = *w = 0;
    if (*h < MV_SIZE_MIN || *w < MV_SIZE_MIN || *h > MV_SIZE_MAX || *w > MV_SIZE_MAX)
        die(EXIT_MISUSE, "%s: found '%s', expected N or HxW, from %d to %d pixels", option, text, MV_SIZE_MIN,
            MV_SIZE_MAX);
}

mv_dtype option_precision(mv_dtype otherwise)
{
    const char *text = shared.precision;
    if (!text)
        return otherwise;
    if (strcmp(text, "fp32") == 0)
        return MV_F32;
    if (strcmp(text, "bf16") == 0)
        return MV_BF16;
    if (strcmp(text, "fp16") == 0)
        return MV_F16;
    die(EXIT_MISUSE, "-p: found '%s', expected fp32, bf16 or fp16", text);
}

mv_page_style option_page_style(void)
{
    const page_options *p = &page_choice;
    mv_error e = {0};
    mv_page_style s = {.grid = p->grid != 0, .table = p->colours};
    if (p->theme && strcmp(p->theme, "dark") == 0)
        s.theme = MV_DARK;
    else if (p->theme && strcmp(p->theme, "light"))
        die(EXIT_MISUSE, "--theme: found '%s', expected light or dark", p->theme);
    if (p->zoom)
        s.zoom = option_number("--zoom", p->zoom, 0.25, 8);
    if (p->width)
        s.width = option_integer("--width", p->width, 640, 8000);
    if (p->colours && !mv_colour_table_lookup(p->colours, &e))
        die(EXIT_MISUSE, "--colours: %s", e.text);
    if (p->scale && mv_scale_kind_of(&s.scale, p->scale, &e))
        die(EXIT_MISUSE, "--colour-scale: %s", e.text);
    return s;
}
