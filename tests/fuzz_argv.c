/* Any words as a command line, as far as they are looked at before anything is opened: it is refused with status 1 or
 * 2, or it says what is to be done. Commands that print what the program knows are run.
 *
 * Covers: cmd/main.c cmd/options.c cmd/options_tables.c cmd/options_help.c cmd/asks.c cmd/at.c cmd/edit_words.c
 *         cmd/gradients.c cmd/operands.c src/base/param.c
 */
#include <fcntl.h>

#include "tests/fuzz_program.h"

enum { WORDS = 24, LONGEST = 2048 };

typedef struct {
    int n;
    char *word[WORDS + 1];
    call *one;
} line;

static void parse(void *line_)
{
    static const char *const printing[] = {"completion", "methods", NULL};
    line *l = line_;
    if (l->n < 2)
        return;
    move_command(l->n, l->word);
    const command *c = lookup(l->word[1]);
    if (!c)
        unknown(l->word[1]);
    l->one->command = c;
    l->one->own = must(calloc(1, c->size ? c->size : 1));
    options_parse(l->one, l->n - 1, (const char **)l->word + 1);
    if (c->check)
        c->check(l->one);
    for (int i = 0; printing[i]; i++)
        if (strcmp(c->name, printing[i]) == 0)
            c->run(l->one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = "mvscope";
    static int home = -1;
    call one = {0};
    line l = {.n = 1, .word = {program}, .one = &one};
    if (size > LONGEST)
        return 0;
    if (home < 0)
        home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fuzz_expect(home >= 0 && chdir(fuzz_folder()) == 0);
    char *text = fuzz_text(data, size), *at = text;
    for (char *word; l.n < WORDS && (word = strsep(&at, "\n"));)
        l.word[l.n++] = word;
    fuzz_run(parse, &l);
    if (one.given.parser)
        options_free(&one);
    free(one.own);
    free(text);
    fuzz_expect(fuzz_count(".") == 0 && fchdir(home) == 0);
    return 0;
}
