#include <stdio.h>
#include <string.h>

#include "cmd/options.h"

static const struct poptOption options[] = {OPTIONS_INCLUDE(options_talk, "General"), POPT_TABLEEND};

static void bash_option(void *context, const char *table, const struct poptOption *o)
{
    (void)context, (void)table;
    printf(" --%s", o->longName);
    if (o->shortName)
        printf(" -%c", o->shortName);
}

/* Words an option's argument may be, for the options whose argument is one of a few; NULL: a file */
static const char *choices(const struct poptOption *o)
{
    static const struct {
        const char *option, *words;
    } few[] = {{"device", "auto cpu cuda"},
               {"precision", "fp32 bf16 fp16"},
               {"crop-mode", "center squash border"},
               {"theme", "light dark"},
               {"colours", "viridis magma inferno cividis turbo blue-red"},
               {"colour-scale", "auto linear sqrt log"},
               {"level", "2 3 all"},
               {"head", "mean all"},
               {"query", "pooled received"}};
    for (size_t i = 0; i < sizeof few / sizeof *few; i++)
        if (strcmp(o->longName, few[i].option) == 0)
            return few[i].words;
    return NULL;
}

static void bash_choice(void *context, const char *table, const struct poptOption *o)
{
    (void)context, (void)table;
    const char *words = choices(o);
    if (!words)
        return;
    if (o->shortName)
        printf("        %s:--%s|%s:-%c) COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;\n",
               (const char *)context, o->longName, (const char *)context, o->shortName, words);
    else
        printf("        %s:--%s) COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;\n", (const char *)context,
               o->longName, words);
}

static void print_bash(void)
{
    const command *c;
    printf("# bash completion of mvscope %s, made by: mvscope completion bash\n_mvscope() {\n", MV_VERSION);
    printf("    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} "
           "options=\n");
    printf("    if [ \"$COMP_CWORD\" -eq 1 ]; then COMPREPLY=($(compgen -W '");
    for (int i = 0; (c = command_at(i)); i++)
        printf("%s%s", i ? " " : "", c->name);
    printf("' -- \"$word\")); return; fi\n    case $command:$before in\n");
    for (int i = 0; (c = command_at(i)); i++) {
        union {
            const char *in;
            void *out;
        } name = {.in = c->name};
        options_visit(c, bash_choice, name.out);
    }
    printf("    esac\n    case $command in\n");
    for (int i = 0; (c = command_at(i)); i++) {
        printf("        %s) options='", c->name);
        options_visit(c, bash_option, NULL);
        printf("' ;;\n");
    }
    printf("    esac\n    case $word in\n        -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n        "
           "*) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n    esac\n}\n");
    printf("complete -o filenames -F _mvscope mvscope\n");
}

/* One word of zsh's _arguments: quotes and brackets would end it */
static void zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr("[]:\\", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh_option(void *context, const char *table, const struct poptOption *o)
{
    (void)context, (void)table;
    const char *words = choices(o);
    for (int form = 0; form < 2; form++) {
        if (form && !o->shortName)
            continue;
        printf(" \\\n            '");
        if (form)
            printf("-%c[", o->shortName);
        else
            printf("--%s%s[", o->longName, o->argDescrip ? "=" : "");
        zsh_text(o->descrip);
        putchar(']');
        if (o->argDescrip) {
            putchar(':');
            zsh_text(o->argDescrip);
            if (words)
                printf(":(%s)", words);
            else
                printf(":_files");
        }
        putchar('\'');
    }
}

static void print_zsh(void)
{
    const command *c;
    printf("#compdef mvscope\n# zsh completion of mvscope %s, made by: mvscope completion zsh\n_mvscope() {\n    if (( "
           "CURRENT == 2 )); then\n        local -a commands=(",
           MV_VERSION);
    for (int i = 0; (c = command_at(i)); i++) {
        printf("\n            '%s:", c->name);
        zsh_text(c->summary);
        putchar('\'');
    }
    printf(")\n        _describe command commands\n        return\n    fi\n    local command=$words[2]\n    shift "
           "words; (( CURRENT-- ))\n    case $command in\n");
    for (int i = 0; (c = command_at(i)); i++) {
        printf("        %s) _arguments", c->name);
        options_visit(c, zsh_option, NULL);
        printf(" \\\n            '*:file:_files' ;;\n");
    }
    printf("    esac\n}\n_mvscope \"$@\"\n");
}

static int run(int n, const char **words)
{
    if (n == 1 && strcmp(words[0], "bash") == 0)
        print_bash();
    else if (n == 1 && strcmp(words[0], "zsh") == 0)
        print_zsh();
    else
        die(EXIT_MISUSE, "completion: found %s, expected bash or zsh", n ? words[0] : "no shell");
    return EXIT_DONE;
}

static const char *const examples[] = {"completion bash > ~/.local/share/bash-completion/completions/mvscope",
                                       "completion zsh > ~/.zfunc/_mvscope", NULL};

const command cmd_completion = {"completion", "bash|zsh", "Prints the shell's completion", options, examples, run};
