#include "cmd/claims.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/file_set.h"
#include "cmd/resume.h"
#include "cmd/talk.h"
#include "src/base/text.h"

/* One file, or for an output the name in a folder that it gets. */
typedef struct {
    dev_t device;
    ino_t inode;
    uint64_t name;    /* a hash; 0: a file */
    const char *what; /* of an input; NULL: an output */
    const char *option;
    char *path;
    int order; /* in which they were named */
} claim;

struct claims {
    int n, room;
    claim *claim;
    file_set folders; /* that were read: one that links to itself would have no end */
    char *parent;     /* of the last output, whose files often share it */
    struct stat parent_is;
};

enum { DEEPEST = 64 };
static const char stdout_words[] = "standard output";

claims *claims_new(void)
{
    return must(calloc(1, sizeof(claims)));
}

static void add(claims *k, claim one, const char *path)
{
    if (k->n == k->room) {
        k->room = k->room ? 2 * k->room : 64;
        k->claim = must(realloc(k->claim, (size_t)k->room * sizeof *k->claim));
    }
    one.path = must(strdup(path));
    one.order = k->n;
    k->claim[k->n++] = one;
}

/* Calls `each` for what is in a folder. */
static void each_in(claims *k, const char *folder, const char *with, int depth,
                    void (*each)(claims *k, const char *with, const char *path, int depth))
{
    DIR *entries = depth < DEEPEST ? opendir(folder) : NULL;
    for (struct dirent *d; entries && (d = readdir(entries));) {
        char *path;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (asprintf(&path, "%s/%s", folder, d->d_name) < 0)
            die(EXIT_FAILED, "out of memory");
        each(k, with, path, depth + 1);
        free(path);
    }
    if (entries)
        closedir(entries);
}

static void read_file(claims *k, const char *what, const char *path, int depth)
{
    struct stat st;
    bool input = strcmp(path, "-") == 0;
    if (input ? fstat(STDIN_FILENO, &st) : stat(path, &st))
        return;
    if (S_ISDIR(st.st_mode) && file_set_add(&k->folders, &st))
        each_in(k, path, what, depth, read_file);
    else if (S_ISREG(st.st_mode))
        add(k, (claim){.device = st.st_dev, .inode = st.st_ino, .what = what}, input ? "on standard input" : path);
}

void claims_read(claims *k, const char *what, const char *path)
{
    if (path)
        read_file(k, what, path, 0);
}

void claims_read_operands(claims *k, const operands *o)
{
    for (int i = 0; i < o->n; i++)
        claims_read(k, operand_is_ready(o->path[i]) ? "the input " : "the picture ", o->path[i]);
}

/* The name of an output in its folder, behind all links: two outputs of one name are one, also where it is new. */
static void add_name(claims *k, claim one, const char *path, const char *real)
{
    const char *name = mv_text_base_name(real);
    size_t n = (size_t)(name - real);
    if (!k->parent || strncmp(k->parent, real, n) != 0 || k->parent[n]) {
        free(k->parent);
        k->parent = must(strndup(real, n));
        if (stat(n ? k->parent : ".", &k->parent_is)) {
            free(k->parent);
            k->parent = NULL;
            return; /* writing it reports that */
        }
    }
    one.device = k->parent_is.st_dev;
    one.inode = k->parent_is.st_ino;
    one.name = mv_text_hash(name) | 1;
    add(k, one, path);
}

static void write_file(claims *k, const char *option, const char *path, int depth)
{
    struct stat st;
    claim one = {.option = option};
    (void)depth;
    bool there = lstat(path, &st) == 0;
    char *real = there && S_ISLNK(st.st_mode) ? realpath(path, NULL) : NULL;
    there = there && stat(path, &st) == 0;
    if (there && S_ISREG(st.st_mode))
        add(k, (claim){.device = st.st_dev, .inode = st.st_ino, .option = option}, path);
    if (!there || S_ISREG(st.st_mode))
        add_name(k, one, path, real ? real : path);
    free(real);
}

void claims_write(claims *k, const char *option, const char *path)
{
    if (path)
        write_file(k, option, path, 0);
}

void claims_write_store(claims *k, const char *option, const char *path)
{
    struct stat st;
    if (path && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        each_in(k, path, option, DEEPEST - 1, write_file);
    else if (path && path[strlen(path) - 1] != '/')
        claims_write(k, option, path);
}

/* By file; among those of one, inputs first. */
static int by_file(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    return !x->what != !y->what ? !x->what - !y->what : x->order - y->order;
}

static bool is_one(const claim *a, const claim *b)
{
    return a->device == b->device && a->inode == b->inode && a->name == b->name;
}

static void refuse_input(const claim *in, const claim *out)
{
    bool named = in->what[strlen(in->what) - 1] == ' ';
    if (out->option == stdout_words)
        die(EXIT_MISUSE, "%s: is standard output, too, which would overwrite it", in->path);
    die(EXIT_MISUSE, "%s: %s is %s%s, which it would replace", out->option, out->path, in->what, named ? in->path : "");
}

static void refuse_output(const claim *a, const claim *b)
{
    if (a->option == b->option)
        die(EXIT_MISUSE, "%s: %s and %s are one file, expected one for each", a->option, a->path, b->path);
    const claim *one = b->option == stdout_words ? a : b, *other = one == a ? b : a;
    die(EXIT_MISUSE, "%s: found '%s', which %s names too, expected a file of its own", one->option, one->path,
        other->option);
}

void claims_end(claims *k)
{
    if (results_are_kept())
        claims_write(k, stdout_words, "/dev/stdout");
    if (k->n)
        qsort(k->claim, (size_t)k->n, sizeof *k->claim, by_file);
    const claim *first = NULL; /* of those of one file */
    for (int i = 0; i < k->n; i++) {
        const claim *one = &k->claim[i];
        if (!first || !is_one(first, one))
            first = one;
        else if (first->what && !one->what)
            refuse_input(first, one);
        else if (!first->what && one->name) /* hard links of outputs part when they are replaced */
            refuse_output(first, one);
    }
    for (int i = 0; i < k->n; i++)
        free(k->claim[i].path);
    free(k->claim);
    file_set_free(&k->folders);
    free(k->parent);
    free(k);
}
