/* The help of a command, from its tables of options. */
#include <stdio.h>
#include <string.h>

#include "cmd/command.h"

static void print_option(void *context, const char *group, const mv_param *p)
{
    const char **last = context;
    char head[80], text[400];
    if (!*last || strcmp(*last, group)) {
        printf("\n%s\n", group);
        *last = group;
    }
    snprintf(head, sizeof head, "%s%c%s--%s%s%s", p->letter ? "-" : " ", p->letter ? p->letter : ' ',
             p->letter ? ", " : "  ", p->name, p->argument ? " " : "", p->argument ? p->argument : "");
    printf("  %-28s  %s\n", head, mv_param_help(p, text, sizeof text));
}

void options_help(const command *c)
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
