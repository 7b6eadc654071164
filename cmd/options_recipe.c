/* The command line that makes a page again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "src/base/text.h"

/* True for an option that does not change what a page shows. */
static bool is_outward(const mv_param *p)
{
    static const char *const names[] = {"output", "json", "quiet", "verbose", "resume", "shard", "raw", "overlay"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(p->name, names[i]) == 0)
            return true;
    return false;
}

/* Writes " WORD", quoted where a shell would read it otherwise. Bytes that are not safe to print take the form
 * $'\xff'. */
static void put_word(FILE *out, const char *word)
{
    fputc(' ', out);
    if (*word &&
        strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=+@%") == strlen(word)) {
        fputs(word, out);
        return;
    }
    char *escaped = mv_text_escape(word);
    bool clean = escaped && mv_text_is_clean(word);
    const char *text = clean || !escaped ? word : escaped;
    fputs(clean ? "'" : "$'", out);
    for (; *text; text++)
        if (*text == '\'')
            fputs(clean ? "'\\''" : "\\'", out);
        else
            fputc(*text, out);
    fputc('\'', out);
    free(escaped);
}

/* The base name of an operand, also of a folder with a slash at its end. */
static void put_operand(FILE *out, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    char *copy = strndup(path, n);
    put_word(out, copy ? mv_text_base_name(copy) : path);
    free(copy);
}

char *options_recipe(const call *c, const char *source, const char *const *others)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fprintf(out, "mvscope %s", c->command->name);
    for (int i = 0; i < c->given.n; i++) {
        const mv_param *p = c->given.item[i].param;
        if (is_outward(p))
            continue;
        fprintf(out, " --%s", p->name);
        if (c->given.item[i].value)
            put_word(out, c->given.item[i].value);
    }
    if (source)
        put_operand(out, source);
    for (; others && *others; others++)
        put_operand(out, *others);
    mv_text_close(out, &text);
    return text;
}
