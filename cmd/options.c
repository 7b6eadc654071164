#include "cmd/options.h"

#include <popt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "cmd/operands.h"
#include "cmd/options_impl.h"
#include "cmd/talk.h"
#include "src/base/text.h"

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
    static const mv_dtype types[] = {MV_F32, MV_BF16, MV_F16, MV_F16}; /* as options_precisions */
    return o->precision < 0 ? otherwise : types[o->precision];
}

bool has_fp8(const options *o)
{
    return o->precision == 3;
}

/* ---- parsing */

/* All options of a command, and popt's table of them. popt returns an option's number plus one. */
struct options_rows {
    int n, rows;
    const mv_param **param;
    struct poptOption *row; /* with other spellings, and the end */
};

static void count_row(void *context, const char *group, const mv_param *p)
{
    (void)group;
    struct options_rows *t = context;
    t->n++;
    t->rows += p->also ? 2 : 1;
}

static void add_row(void *context, const char *group, const mv_param *p)
{
    (void)group;
    struct options_rows *t = context;
    unsigned takes = p->kind == MV_PARAM_FLAG ? POPT_ARG_NONE : POPT_ARG_STRING;
    t->param[t->n++] = p;
    t->row[t->rows++] = (struct poptOption){p->name, p->letter, takes, NULL, t->n, NULL, p->argument};
    if (p->also)
        t->row[t->rows++] = (struct poptOption){p->also, 0, takes, NULL, t->n, NULL, p->argument};
}

static struct options_rows *rows_of(const command *c)
{
    struct options_rows *t = must(calloc(1, sizeof *t));
    options_visit(c, count_row, t);
    t->param = must(calloc((size_t)t->n + 1, sizeof *t->param));
    t->row = must(calloc((size_t)t->rows + 1, sizeof *t->row));
    t->n = t->rows = 0;
    options_visit(c, add_row, t);
    return t;
}

static void wrong_option(const command *c, const struct options_rows *t, const char *bad, int code)
    __attribute__((noreturn));

static void wrong_option(const command *c, const struct options_rows *t, const char *bad, int code)
{
    const char **words = must(calloc((size_t)t->n + 1, sizeof *words)), *near = NULL;
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

static bool names_file(const mv_param *p)
{
    return p->completes == MV_COMPLETE_FILE || p->completes == MV_COMPLETE_MODEL;
}

/* A variable of a script that is not set. */
static void refuse_empty_operand(const call *c)
{
    const command *d = c->command;
    for (int i = 0; i < c->operands; i++)
        if (!*c->operand[i] && (d->takes & TAKES_PICTURES || (d->completes && names_file(d->completes))))
            die(EXIT_MISUSE, "%s: found an empty name, expected %s (mvscope %s --help)", d->name, d->operands, d->name);
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
    const options_table *t;
    for (int i = 0; (t = options_table_at(i)); i++)
        mv_param_defaults(&c->o, t->table);
}

void options_refuse_page(const call *c, const char *why)
{
    char name[64];
    const options_table *t;
    for (int i = 0; i < c->given.n; i++)
        for (int k = 0; (t = options_table_at(k)); k++)
            if (options_table_of_pages(t) && in_table(t->table, c->given.item[i].param))
                die(EXIT_MISUSE, "%s: has no effect %s", option_name(c->given.item[i].param, name), why);
}

void options_refuse_preparing(const call *c, const operands *o)
{
    static const char *const names[] = {"size", "crop-pct", "crop-mode", "interpolation", "no-exif", "max-pixels"};
    for (int i = 0; i < o->n; i++)
        if (!operand_is_ready(o->path[i]))
            return;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (options_given(c, names[i]))
            die(EXIT_MISUSE, "--%s: has no effect on ready inputs, which are used as they are", names[i]);
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
    remember(c, options_model, value);
    c->o.model = value;
}

void options_parse(call *c, int argc, const char **argv)
{
    static const char *const none[] = {NULL};
    struct options_rows *t = c->given.rows = rows_of(c->command);
    poptContext parser = c->given.parser = poptGetContext("mvscope", argc, argv, t->row, 0);
    if (!parser)
        die(EXIT_FAILED, "out of memory");
    set_defaults(c);
    operands_refuse_dashes(argc, argv);
    int code;
    while ((code = poptGetNextOpt(parser)) > 0) {
        const mv_param *p = t->param[code - 1];
        char *value = p->kind == MV_PARAM_FLAG ? NULL : poptGetOptArg(parser);
        char name[64];
        mv_error e = {0};
        remember(c, p, value);
        option_name(p, name);
        if (value && !*value && names_file(p))
            die(EXIT_MISUSE, "%s: found an empty name, expected %s (mvscope %s --help)", name, p->argument,
                c->command->name);
        if (mv_param_set(home_of(c, p), p, value ? value : "", name, &e))
            die(misuse_of(&e), "%s", e.text);
    }
    if (code < -1)
        wrong_option(c->command, t, poptBadOption(parser, 0), code);
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
    refuse_empty_operand(c);
    refuse_without_effect(c);
}

void options_free(call *c)
{
    for (int i = 0; i < c->given.n; i++)
        free(c->given.item[i].value);
    free(c->given.item);
    poptFreeContext(c->given.parser);
    free(c->given.rows->param);
    free(c->given.rows->row);
    free(c->given.rows);
}
