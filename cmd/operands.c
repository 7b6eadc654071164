#include "cmd/operands.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/talk.h"
#include "cmd/walk.h"
#include "src/base/text.h"
#include "src/picture/decode.h"

enum { BLOCK = 1 << 16 };

typedef struct text_block {
    struct text_block *next;
    size_t used;
    char text[];
} text_block;

static char *keep_text(operands *o, const char *text)
{
    size_t n = strlen(text) + 1;
    if (!o->block || o->block->used + n > BLOCK) {
        text_block *b = must(malloc(sizeof *b + (n > BLOCK ? n : BLOCK)));
        b->next = o->block;
        b->used = 0;
        o->block = b;
    }
    char *at = o->block->text + o->block->used;
    memcpy(at, text, n);
    o->block->used += n;
    return at;
}

void operands_add(operands *o, const char *path, size_t below)
{
    if (o->n == o->room) {
        o->room = o->room ? o->room + o->room / 2 + 1 : 4;
        o->path = must(realloc(o->path, (size_t)o->room * sizeof *o->path));
        o->below = must(realloc(o->below, (size_t)o->room * sizeof *o->below));
    }
    o->path[o->n] = keep_text(o, path);
    o->below[o->n++] = (unsigned short)(below < USHRT_MAX ? below : 0);
}

bool operand_is_ready(const char *path)
{
    return mv_text_ends_in(path, ".npy") || mv_text_ends_in(path, ".safetensors");
}

int operand_pictures(const operands *o, int i)
{
    return o->pictures ? o->pictures[i] : 1;
}

void operands_refuse_dashes(int argc, const char *const *argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) {
        const char *word = argv[i];
        /* "-oout.png" is what it reads as */
        bool page = word[0] == '-' && word[1] == 'o' && mv_text_ends_in(word, ".png");
        if (word[0] == '-' && !page && mv_picture_has_ending(word) && access(word, F_OK) == 0)
            die(EXIT_MISUSE, "%s: a file has this name, which reads as an option; give ./%s, or -- before it", word,
                word);
    }
}

bool operands_of(operands *o, int n, const char *const *words)
{
    bool complete = true;
    *o = (operands){0};
    for (int i = 0; i < n; i++) {
        struct stat st;
        errno = 0;
        int failed = strcmp(words[i], "-") ? stat(words[i], &st) : -1;
        mv_error e = {0};
        if (failed == 0 && S_ISDIR(st.st_mode))
            complete &= walk_folder(o, words[i]);
        else if (failed &&
                 (errno == EIO || errno == ENOMEM)) { /* it may be a folder; other reasons are said when it is opened */
            mv_fail_errno(&e, words[i], "cannot be examined");
            complain("%s", e.text);
            complete = false;
        } else
            operands_add(o, words[i], (size_t)(mv_text_base_name(words[i]) - words[i]));
    }
    return complete;
}

void operands_free(operands *o)
{
    while (o->block) {
        text_block *next = o->block->next;
        free(o->block);
        o->block = next;
    }
    free(o->path);
    free(o->below);
    free(o->pictures);
    *o = (operands){0};
}

/* ---- parts */

void operands_shard(operands *o, mv_param_part part)
{
    if (part.n == 0)
        return;
    int first = (int)((long long)o->n * (part.i - 1) / part.n), end = (int)((long long)o->n * part.i / part.n);
    memmove(o->path, o->path + first, (size_t)(end - first) * sizeof *o->path);
    memmove(o->below, o->below + first, (size_t)(end - first) * sizeof *o->below);
    o->n = end - first;
}

int operands_drop(operands *o, bool *with, bool (*drop)(void *context, const operands *o, int i), void *context)
{
    int kept = 0, n = o->n;
    for (int i = 0; i < n; i++) {
        if (drop(context, o, i))
            continue;
        if (o->pictures)
            o->pictures[kept] = o->pictures[i];
        with[kept] = with[i];
        o->path[kept] = o->path[i];
        o->below[kept++] = o->below[i];
    }
    o->n = kept;
    return n - kept;
}

const char *operand_stem(const operands *o, int i, char *text, size_t size)
{
    const char *below = o->path[i] + o->below[i], *base = mv_text_base_name(below), *dot = strrchr(base, '.');
    if (strcmp(o->path[i], "-") == 0)
        snprintf(text, size, "stdin");
    else
        snprintf(text, size, "%.*s", (int)(dot && dot > base ? dot - below : (long)strlen(below)), below);
    return text;
}
