#include "cmd/operands.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/talk.h"
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

static void add(operands *o, const char *path, size_t below)
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

/* ---- folders */

/* A walk of one operand. */
typedef struct {
    operands *o;
    size_t below; /* letters of the operand, with its slash */
    bool complete;
    int seen_n, seen_room;
    struct {
        dev_t device;
        ino_t inode;
    } * seen; /* folders that were walked: a link may lead back */
} walker;

static bool seen_before(walker *w, const struct stat *st)
{
    for (int i = 0; i < w->seen_n; i++)
        if (w->seen[i].device == st->st_dev && w->seen[i].inode == st->st_ino)
            return true;
    if (w->seen_n == w->seen_room) {
        w->seen_room = w->seen_room ? 2 * w->seen_room : 16;
        w->seen = must(realloc(w->seen, (size_t)w->seen_room * sizeof *w->seen));
    }
    w->seen[w->seen_n].device = st->st_dev;
    w->seen[w->seen_n++].inode = st->st_ino;
    return false;
}

static void walk(walker *w, const char *folder, int depth);

static void visit(walker *w, const char *folder, const char *name, int depth)
{
    char path[PATH_MAX];
    struct stat st;
    int length = snprintf(path, sizeof path, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", name);
    if (name[0] == '.' || length < 0 || (size_t)length >= sizeof path || stat(path, &st))
        return;
    if (S_ISDIR(st.st_mode)) {
        if (!seen_before(w, &st))
            walk(w, path, depth + 1);
    } else if (S_ISREG(st.st_mode) && (operand_is_ready(path) || mv_picture_has_ending(path)))
        add(w->o, path, w->below);
}

static void walk(walker *w, const char *folder, int depth)
{
    enum { DEEPEST = 64 };
    struct dirent **entry;
    if (depth > DEEPEST) {
        complain("%s: lies %d folders deep, expected at most %d; it is skipped", folder, depth, DEEPEST);
        w->complete = false;
        return;
    }
    int n = scandir(folder, &entry, NULL, alphasort);
    if (n < 0) {
        mv_error e = {0};
        mv_fail_errno(&e, folder, "cannot be read");
        complain("%s", e.text);
        w->complete = false;
        return;
    }
    for (int i = 0; i < n; i++) {
        visit(w, folder, entry[i]->d_name, depth);
        free(entry[i]);
    }
    free(entry);
}

static bool walk_operand(operands *o, const char *folder, const struct stat *st)
{
    size_t length = strlen(folder);
    walker w = {.o = o, .below = length + (folder[length - 1] != '/'), .complete = true};
    int before = o->n;
    seen_before(&w, st);
    walk(&w, folder, 0);
    free(w.seen);
    char formats[MV_PICTURE_FORMATS];
    if (o->n == before && w.complete)
        die(EXIT_FAILED, "%s: found no picture in this folder, expected %s, .npy or .safetensors", folder,
            mv_picture_formats(formats));
    return w.complete;
}

bool operands_of(operands *o, int n, const char *const *words)
{
    bool complete = true;
    *o = (operands){0};
    for (int i = 0; i < n; i++) {
        struct stat st;
        if (strcmp(words[i], "-") && stat(words[i], &st) == 0 && S_ISDIR(st.st_mode))
            complete &= walk_operand(o, words[i], &st);
        else
            add(o, words[i], (size_t)(mv_text_base_name(words[i]) - words[i]));
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
