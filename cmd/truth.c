#include "cmd/truth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/file/mapping.h"

enum { LONGEST_LINE = 4096, LARGEST_FILE = 64 << 20, LEFT_OUT = -1 };

/* ---- files of two words a line */

typedef struct {
    char *first, *second; /* second NULL: the line is one word */
} line;

typedef struct {
    const char *path;
    char *text;
    int n;
    line *line;
} lines;

static void lines_free(lines *l)
{
    free(l->text);
    free(l->line);
}

/* Reads all lines, without those that are empty or begin with #. They are not split yet. */
static void lines_read(lines *l, const char *path)
{
    mv_mapping m;
    mv_error e = {0};
    if (mv_mapping_load(&m, path, LARGEST_FILE, &e))
        die_of(&e, false);
    *l = (lines){.path = path, .text = must(calloc(1, m.size + 1))};
    if (m.size)
        memcpy(l->text, m.bytes, m.size);
    size_t size = m.size;
    mv_mapping_close(&m);
    if (memchr(l->text, 0, size))
        die(EXIT_FAILED, "%s: found a byte 0, expected text", path);
    int room = 0, number = 0;
    for (char *at = l->text, *next; *at; at = next) {
        size_t length = strcspn(at, "\n");
        next = at + length + (at[length] == '\n');
        number++;
        if (length > LONGEST_LINE)
            die(EXIT_FAILED, "%s: line %d has %zu bytes, expected at most %d", path, number, length, LONGEST_LINE);
        at[length] = 0;
        at += strspn(at, " \t\r");
        for (size_t n = strlen(at); n && strchr(" \t\r", at[n - 1]); n--)
            at[n - 1] = 0;
        if (!*at || *at == '#')
            continue;
        if (l->n == room) {
            room = room ? 2 * room : 64;
            l->line = must(realloc(l->line, (size_t)room * sizeof *l->line));
        }
        l->line[l->n++] = (line){.first = at};
    }
}

/* Splits a line at its first tab, or at its first space where it has none. */
static void split(line *l)
{
    char *at = strchr(l->first, '\t');
    if (!at)
        at = strchr(l->first, ' ');
    if (!at)
        return;
    *at = 0;
    l->second = at + 1 + strspn(at + 1, " \t");
    for (size_t n = strlen(l->first); n && strchr(" \t\r", l->first[n - 1]); n--)
        l->first[n - 1] = 0;
}

static int by_first(const void *a, const void *b)
{
    return strcmp(((const line *)a)->first, ((const line *)b)->first);
}

static const line *find(const lines *l, const char *word)
{
    line key = {.first = (char *)word};
    return l->n ? bsearch(&key, l->line, (size_t)l->n, sizeof *l->line, by_first) : NULL;
}

/* ---- words of classes */

static void classes_read(lines *l, const char *path)
{
    *l = (lines){0};
    if (!path)
        return;
    lines_read(l, path);
    for (int i = 0; i < l->n; i++) {
        split(&l->line[i]);
        if (!l->line[i].second)
            die(EXIT_MISUSE, "--classes: %s: found '%s', expected WORD CLASS", path, l->line[i].first);
    }
    if (l->n == 0)
        die(EXIT_MISUSE, "--classes: %s: found no line, expected WORD CLASS", path);
    qsort(l->line, (size_t)l->n, sizeof *l->line, by_first);
    for (int i = 1; i < l->n; i++)
        if (by_first(&l->line[i - 1], &l->line[i]) == 0)
            die(EXIT_MISUSE, "--classes: %s: found '%s' twice", path, l->line[i].first);
}

/* The class that a word names, by --classes first; folders may have _ or - for the spaces of a name. */
static int class_of(const session *s, const lines *classes, const char *word, const char *place)
{
    const line *other = find(classes, word);
    int found = 0;
    mv_error e = {0};
    if (other && strcmp(other->second, "-") == 0)
        return LEFT_OUT;
    const char *name = other ? other->second : word;
    mv_status status = session_find_class(s, name, place, &found, &e);
    if (status && strpbrk(name, "_-")) {
        char *spaced = must(strdup(name));
        for (char *c = spaced; *c; c++)
            *c = *c == '_' || *c == '-' ? ' ' : *c;
        status = session_find_class(s, spaced, place, &found, NULL);
        free(spaced);
    }
    if (status && !other)
        die(misuse_of(&e), "%s; --classes FILE gives words for classes, and - leaves them out", e.text);
    if (status || found < 0)
        die(EXIT_MISUSE, "%s: found '%s', expected a class of %s", status ? e.text : place, name, s->name);
    return found;
}

/* ---- labels by folders */

static void by_folders(truth *t, const session *s, const operands *o, const char *dir, const lines *classes)
{
    char *last = NULL; /* folders come one after the other */
    int known = 0;
    for (int i = 0; i < o->n; i++) {
        const char *below = o->path[i] + o->below[i], *slash = strchr(below, '/');
        if (!slash)
            die(EXIT_MISUSE,
                "%s: lies in no folder below %s, expected %s/CLASS/PICTURE; --truth FILE says what pictures of one "
                "folder show",
                o->path[i], dir, dir);
        char *folder = must(strndup(below, (size_t)(slash - below)));
        if (!last || strcmp(last, folder)) {
            char *place = NULL;
            if (asprintf(&place, "%.*s", (int)(slash - o->path[i]), o->path[i]) < 0)
                die(EXIT_FAILED, "out of memory");
            known = class_of(s, classes, folder, place);
            free(place);
            free(last);
            last = folder;
        } else
            free(folder);
        t->class_[i] = known;
    }
    free(last);
}

/* ---- labels by a file */

/* The line for a picture: by its path below the folder, by its name, or by its name without the ending. */
static const line *line_of(const lines *l, const char *below)
{
    const char *base = mv_text_base_name(below), *dot = strrchr(base, '.');
    const line *found = find(l, below);
    if (!found)
        found = find(l, base);
    if (!found && dot) {
        char *stem = must(strndup(base, (size_t)(dot - base)));
        found = find(l, stem);
        free(stem);
    }
    return found;
}

/* A class a line, for the pictures in order: then no line begins with the name of a picture. */
static void by_order(truth *t, const session *s, const operands *o, const lines *l, const lines *classes)
{
    int most = 0;
    bool numbers = true;
    for (int i = 0; i < l->n; i++) {
        char *end;
        long v = strtol(l->line[i].first, &end, 10);
        numbers &= !*end;
        most = !*end && v > most && v <= 1000000 ? (int)v : most;
    }
    if (l->n != o->n)
        die(EXIT_MISUSE,
            "--truth: %s: found %d lines for %d pictures, expected a class for each in the order of their names, or "
            "PICTURE CLASS",
            l->path, l->n, o->n);
    if (numbers && most == s->config.classes && !classes->n)
        die(EXIT_MISUSE,
            "--truth: %s: found classes up to %d, expected 0 to %d; if this is the file of ImageNet's development kit, "
            "its numbers are in an order of their own, from 1: give --classes a file with 'NUMBER WNID' lines of its "
            "meta data",
            l->path, most, s->config.classes - 1);
    for (int i = 0; i < o->n; i++)
        t->class_[i] = class_of(s, classes, l->line[i].first, l->path);
}

static void by_labels(truth *t, const session *s, const operands *o, const char *path, const lines *classes)
{
    lines whole, l;
    lines_read(&whole, path);
    lines_read(&l, path);
    int named = 0;
    for (int i = 0; i < l.n; i++)
        split(&l.line[i]);
    if (l.n)
        qsort(l.line, (size_t)l.n, sizeof *l.line, by_first);
    for (int i = 0; i < o->n; i++) {
        const line *found = line_of(&l, o->path[i] + o->below[i]);
        named += found && found->second;
    }
    if (named == 0)
        by_order(t, s, o, &whole, classes);
    for (int i = 0; i < o->n && named; i++) {
        const line *found = line_of(&l, o->path[i] + o->below[i]);
        if (!found || !found->second)
            die(EXIT_MISUSE, "--truth: %s: found no class for %s", path, o->path[i]);
        t->class_[i] = class_of(s, classes, found->second, path);
    }
    lines_free(&whole);
    lines_free(&l);
}

/* ---- the list */

typedef struct {
    truth *t;
    int limit, of, kept, seen; /* seen: of those that are not left out */
} thinning;

/* Picture k of `of` is kept if a multiple of of / limit falls on it. */
static bool drop(void *context, const operands *o, int i)
{
    thinning *n = context;
    (void)o;
    int class_ = n->t->class_[i];
    if (class_ == LEFT_OUT)
        return true;
    long long k = n->seen++, m = n->limit, all = n->of;
    if (m && k * m / all == (k + 1) * m / all && m < all)
        return true;
    n->t->class_[n->kept++] = class_;
    return false;
}

static const truth *sorted; /* qsort has no context */

static int by_path(const void *a, const void *b)
{
    return strcmp(sorted->path[*(const int *)a], sorted->path[*(const int *)b]);
}

void truth_of(truth *t, const session *s, operands *o, const char *dir, const char *classes, const char *labels,
              int limit)
{
    lines words;
    *t = (truth){.class_ = must(calloc((size_t)o->n, sizeof(int)))};
    classes_read(&words, classes);
    if (labels)
        by_labels(t, s, o, labels, &words);
    else
        by_folders(t, s, o, dir, &words);
    lines_free(&words);
    thinning n = {.t = t, .limit = limit};
    for (int i = 0; i < o->n; i++)
        n.of += t->class_[i] != LEFT_OUT;
    if (n.of == 0)
        die(EXIT_MISUSE, "%s: found no picture whose class counts, as --classes leaves out all of them", dir);
    bool *with = must(calloc((size_t)o->n, sizeof *with));
    operands_drop(o, with, drop, &n);
    free(with);
    t->n = o->n;
    t->memory = must(malloc((size_t)o->n * sizeof *t->memory));
    memcpy(t->memory, o->path, (size_t)o->n * sizeof *t->memory);
    t->path = t->memory;
    t->by_path = must(malloc((size_t)o->n * sizeof *t->by_path));
    for (int i = 0; i < o->n; i++)
        t->by_path[i] = i;
    sorted = t;
    qsort(t->by_path, (size_t)t->n, sizeof *t->by_path, by_path);
}

void truth_free(truth *t)
{
    free(t->class_);
    free(t->memory);
    free(t->by_path);
    *t = (truth){0};
}

int truth_find(const truth *t, const char *path)
{
    int from = 0, to = t->n;
    while (from < to) {
        int middle = from + (to - from) / 2, order = strcmp(t->path[t->by_path[middle]], path);
        if (order == 0)
            return t->by_path[middle];
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return -1;
}
