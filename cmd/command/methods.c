/* methods: the explanation methods, with what they take, where they come from and what they cost. */
#include <stdio.h>
#include <string.h>

#include "cmd/reply.h"
#include "cmd/talk.h"

static const struct {
    unsigned bit;
    const char *word;
} taken[] = {{MV_TAKES_CLASS, "class"},
             {MV_TAKES_AGAINST, "second class"},
             {MV_TAKES_CELL, "cell"},
             {MV_TAKES_GRADIENT, "gradient"},
             {MV_MAY_TAKE_CLASS, "class or none"}};
enum { TAKEN = sizeof taken / sizeof *taken };

static void print_method(const mv_method *m)
{
    char text[400], sep = ':';
    printf("%-10s%s  %s: %s\n", m->name, strlen(m->name) > 10 ? "\n          " : "", m->title, m->summary);
    printf("            source  %s\n            cost    %s\n            takes   a picture", m->source, m->cost);
    for (int i = 0; i < TAKEN; i++)
        if (m->takes & taken[i].bit)
            printf(", a %s", taken[i].word);
    putchar('\n');
    printf("            true?   %s\n", m->measured);
    for (const mv_param *p = m->params; p && p->name; p++, sep = ' ')
        printf("            %s%c %s%s%s  %s\n", sep == ':' ? "params" : "      ", ' ', p->name, p->argument ? "=" : "",
               p->argument ? p->argument : "", mv_param_help(p, text, sizeof text));
}

static json_t *params_json(const mv_method *m)
{
    char text[400];
    json_t *list = json_array();
    bool good = list != NULL;
    for (const mv_param *p = m->params; p && p->name && good; p++)
        good = reply_append(list, json_pack("{s:s,s:s*,s:s*,s:s}", "name", p->name, "value", p->argument, "default",
                                            p->otherwise, "help", mv_param_help(p, text, sizeof text)));
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *method_json(const mv_method *m)
{
    json_t *takes = json_array(), *params = params_json(m);
    bool good = takes && params && reply_append(takes, json_string("picture"));
    for (int i = 0; i < TAKEN && good; i++)
        if (m->takes & taken[i].bit)
            good = reply_append(takes, json_string(taken[i].word));
    json_t *o =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:s*,s:O*,s:O*}", "name", m->name, "title", m->title, "summary", m->summary,
                  "source", m->source, "cost", m->cost, "measured", m->measured, "takes", takes, "params", params);
    json_decref(takes);
    json_decref(params);
    if (good)
        return o;
    json_decref(o);
    return NULL;
}

static int run(call *c)
{
    const mv_method *m;
    mv_error e = {0};
    json_t *all = c->o.json ? json_array() : NULL;
    bool good = true;
    if (c->operands)
        die(EXIT_MISUSE, "methods: found '%s', expected no operand (mvscope methods --help)", c->operand[0]);
    for (int i = 0; (m = mv_method_at(i)); i++)
        if (c->o.json)
            good = good && reply_append(all, method_json(m));
        else
            print_method(m);
    if (!c->o.json)
        puts("\ntrue?  means by eval --faith on 200 photos that the embedded model has not seen, maps averaged to\n"
             "       7x7 cells. Deletion is good if it is small, insertion if it is large; random cells: 0.43 and\n"
             "       0.51, a blob in the middle: 0.35 and 0.59. A map beats them where the 95 % interval of the\n"
             "       difference leaves out 0 (mvscope-methods(1) has the table)");
    if (c->o.json && (!good || reply_print(json_incref(all), stdout, "methods", &e)))
        die(EXIT_FAILED, "methods: out of memory");
    json_decref(all);
    return EXIT_DONE;
}

static const char *const examples[] = {"methods", "methods --json", NULL};

const command command_methods = {.name = "methods",
                                 .operands = "",
                                 .summary = "Lists the explanation methods: sources, costs and parameters",
                                 .takes = TAKES_JSON,
                                 .examples = examples,
                                 .run = run};
