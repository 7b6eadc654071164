#include "cmd/claims.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/file_set.h"
#include "cmd/path_parts.h"
#include "cmd/resume.h"
#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/file/output.h"

/* One file, or for an output the name that it gets in a folder. */
typedef struct {
    dev_t device;
    ino_t inode;
    uint64_t name;    /* a hash of what is below the folder; 0: a file */
    uint64_t folded;  /* the same in small letters */
    const char *what; /* of an input; NULL: an output */
    const char *option;
    char *path;
    int order;   /* in which they were named */
    bool folder; /* is made for outputs, which may share it */
} claim;

/* The folder that outputs lie in, as far as it is there; those of many pictures often share it. */
typedef struct {
    char *path; /* as it was given; NULL: none yet */
    struct stat is;
    char *rest; /* of folders that are made: "new/below/", or empty */
} parent;

struct claims {
    int n, room;
    claim *claim;     /* sorted by claims_check */
    file_set folders; /* that were read: one that links to itself would have no end */
    parent parent;    /* of the last output */
    bool makes;       /* some outputs lie in folders that are not there yet */
    bool broken;      /* without memory */
    pthread_mutex_t lock;
    file_set late; /* names for claims_late, under the lock */
};

enum { DEEPEST = 64, WORDS = 1024 };
static const char stdout_words[] = "standard output";

claims *claims_new(void)
{
    claims *k = must(calloc(1, sizeof *k));
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

/* Frees what is in it. */
static void empty(claims *k)
{
    for (int i = 0; i < k->n; i++)
        free(k->claim[i].path);
    free(k->claim);
    file_set_free(&k->folders);
    file_set_free(&k->late);
    free(k->parent.path);
    free(k->parent.rest);
}

void claims_free(claims *k)
{
    if (!k)
        return;
    empty(k);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

static void add(claims *k, claim one, const char *path)
{
    if (k->n == k->room) {
        int room = k->room ? 2 * k->room : 64;
        claim *more = realloc(k->claim, (size_t)room * sizeof *more);
        k->broken |= !more;
        if (!more)
            return;
        k->claim = more;
        k->room = room;
    }
    one.path = strdup(path);
    one.order = k->n;
    k->broken |= !one.path;
    if (one.path)
        k->claim[k->n++] = one;
}

/* ---- inputs */

static void read_file(claims *k, const char *what, const char *path, int depth);
static void write_file(claims *k, const char *option, const char *path);

/* All files in a folder, and below one that is read: with what they are, or with the option. */
static void each_in(claims *k, const char *what, const char *option, const char *folder, int depth)
{
    struct dirent **entry;
    if (depth > DEEPEST)
        die(EXIT_FAILED, "%s: lies %d folders deep, expected at most %d", folder, depth, DEEPEST);
    int n = scandir(folder, &entry, NULL, alphasort);
    if (n < 0 && errno != ENOENT) {
        mv_error e = {0};
        mv_fail_errno(&e, folder, "cannot be read");
        die_of(&e, false);
    }
    for (int i = 0; i < n; i++) {
        char *path;
        if (asprintf(&path, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", entry[i]->d_name) < 0)
            die(EXIT_FAILED, "out of memory");
        if (strcmp(entry[i]->d_name, ".") == 0 || strcmp(entry[i]->d_name, "..") == 0)
            ;
        else if (what)
            read_file(k, what, path, depth + 1);
        else
            write_file(k, option, path);
        free(path);
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
}

static void read_file(claims *k, const char *what, const char *path, int depth)
{
    struct stat st;
    bool input = strcmp(path, "-") == 0;
    if (input ? fstat(STDIN_FILENO, &st) : stat(path, &st))
        return;
    if (S_ISDIR(st.st_mode) && file_set_add(&k->folders, &st))
        each_in(k, what, NULL, path, depth);
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

void claims_read_model(claims *k, char *const *files)
{
    for (; files && *files; files++)
        claims_read(k, "the model", *files);
}

/* ---- outputs */

/* Finds how much of the folder is there. False where nothing can be written into it, which writing says. */
static bool find_parent(claims *k, parent *p)
{
    char *path = strdup(p->path);
    bool good = path && (p->rest = strdup(""));
    k->broken |= !good;
    while (good && (stat(*path ? path : ".", &p->is) || !S_ISDIR(p->is.st_mode))) {
        good = strspn(path, "/") < strlen(path);
        if (good && !path_cut_last(path, &p->rest)) {
            k->broken = true;
            good = false;
        }
    }
    free(path);
    return good && path_clean_rest(p->rest);
}

/* What a claim says of a name below a folder. False without memory. */
static bool hash_name(claim *one, const char *name)
{
    char *small = strdup(name);
    for (char *c = small; c && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    one->name = mv_text_hash(name) | 1;
    one->folded = small ? mv_text_hash(small) | 1 : 0;
    free(small);
    return one->folded;
}

/* A name below the parent. */
static void add_below(claims *k, claim one, const char *name, const char *path)
{
    char *below;
    if (asprintf(&below, "%s%s", k->parent.rest, name) < 0) {
        k->broken = true;
        return;
    }
    one.device = k->parent.is.st_dev;
    one.inode = k->parent.is.st_ino;
    k->broken |= !hash_name(&one, below);
    add(k, one, path);
    free(below);
}

/* The folders that are made: "new" and "new/below". */
static void add_folders(claims *k, const char *option)
{
    char *rest = k->parent.rest;
    for (char *slash = strchr(rest, '/'); slash; slash = strchr(slash + 1, '/')) {
        claim one = {.option = option, .device = k->parent.is.st_dev, .inode = k->parent.is.st_ino, .folder = true};
        *slash = '\0';
        k->broken |= !hash_name(&one, rest);
        *slash = '/';
        add(k, one, k->parent.path);
        k->makes = true;
    }
}

/* Makes the folder of `path` the parent, whose own new folders are named. False where it is of no use. */
static bool enter(claims *k, const char *option, const char *path)
{
    size_t n = (size_t)(mv_text_base_name(path) - path);
    parent *p = &k->parent;
    if (p->path && strncmp(p->path, path, n) == 0 && !p->path[n])
        return true;
    free(p->path);
    free(p->rest);
    *p = (parent){.path = strndup(path, n)};
    k->broken |= !p->path;
    if (p->path && find_parent(k, p)) {
        add_folders(k, option);
        return true;
    }
    free(p->path);
    free(p->rest);
    *p = (parent){0};
    return false;
}

static void write_file(claims *k, const char *option, const char *path)
{
    struct stat st;
    claim one = {.option = option};
    bool there = lstat(path, &st) == 0;
    char *real = there && S_ISLNK(st.st_mode) ? realpath(path, NULL) : NULL;
    there = there && stat(path, &st) == 0;
    if (there && S_ISREG(st.st_mode))
        add(k, (claim){.device = st.st_dev, .inode = st.st_ino, .option = option}, path);
    /* Two outputs of one name are one, also where it is new. */
    if ((!there || S_ISREG(st.st_mode)) && enter(k, option, real ? real : path))
        add_below(k, one, mv_text_base_name(real ? real : path), path);
    free(real);
}

void claims_write(claims *k, const char *option, const char *path)
{
    if (path)
        write_file(k, option, path);
}

void claims_make_folders(claims *k, const char *option, const char *path)
{
    enter(k, option, path);
}

void claims_write_store(claims *k, const char *option, const char *path)
{
    struct stat st;
    size_t n = path ? strlen(path) : 0;
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0)
        return;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        each_in(k, NULL, option, path, DEEPEST);
    char *bare = must(strndup(path, n));
    write_file(k, option, bare);
    free(bare);
}

/* ---- the check */

static int by_inode(const claim *x, const claim *y)
{
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    return x->inode != y->inode ? (x->inode < y->inode ? -1 : 1) : 0;
}

/* By file; among those of one, inputs first, and folders last. */
static int by_file(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    int order = by_inode(x, y);
    if (order)
        return order;
    if (x->name != y->name)
        return x->name < y->name ? -1 : 1;
    if (!x->what != !y->what)
        return !x->what - !y->what;
    return x->folder != y->folder ? x->folder - y->folder : x->order - y->order;
}

static bool is_one(const claim *a, const claim *b)
{
    return by_inode(a, b) == 0 && a->name == b->name;
}

/* True if the first claim of a file and another one exclude each other. */
static bool clash(const claim *first, const claim *one)
{
    if (first->what || one->what)
        return !one->what;
    return one->name && !(first->folder && one->folder); /* hard links of outputs part when they are replaced */
}

static void tell_clash(char text[WORDS], const claim *a, const claim *b)
{
    const claim *one = b->option == stdout_words ? a : b, *other = one == a ? b : a;
    if (a->what && b->option == stdout_words)
        snprintf(text, WORDS, "%s: is standard output, too, which would overwrite it", a->path);
    else if (a->what)
        snprintf(text, WORDS, "%s: %s is %s%s, which it would replace", b->option, b->path, a->what,
                 a->what[strlen(a->what) - 1] == ' ' ? a->path : "");
    else if (a->folder || b->folder) {
        const claim *file = a->folder ? b : a;
        snprintf(text, WORDS, "%s: found '%s', which is a folder for %s, expected a file of its own", file->option,
                 file->path, (file == a ? b : a)->option);
    } else if (a->option == b->option)
        snprintf(text, WORDS, "%s: %s and %s are one file, expected one for each", a->option, a->path, b->path);
    else
        snprintf(text, WORDS, "%s: found '%s', which %s names too, expected a file of its own", one->option, one->path,
                 other->option);
}

static int by_folded(const void *a, const void *b)
{
    const claim *x = a, *y = b;
    int order = by_inode(x, y);
    if (order)
        return order;
    return x->folded != y->folded ? (x->folded < y->folded ? -1 : 1) : x->order - y->order;
}

/* Two new names that differ in upper and lower case alone are one file where the file system says so, as on vfat. */
static void refuse_twins(const claims *k)
{
    for (int i = 1; i < k->n; i++) {
        const claim *a = &k->claim[i - 1], *b = &k->claim[i];
        if (b->option == stdout_words) /* its path leads into /proc */
            a = b, b = &k->claim[i - 1];
        if (by_inode(a, b) == 0 && a->folded && a->folded == b->folded && a->name != b->name &&
            !(a->folder && b->folder) && mv_output_folds_case(b->path))
            die(EXIT_MISUSE, "%s: found '%s', which this file system takes for '%s' of %s, expected a name of its own",
                b->option, b->path, a->path, a->option);
    }
}

/* Notes a name, or the same in small letters, in one set: ~ keeps these apart from names that are in small letters
 * themselves. *alone: it was not noted yet. */
static mv_status keep(claims *k, const claim *one, bool folded, bool *alone, mv_error *e)
{
    ino_t name = one->inode ^ (folded ? one->folded : one->name);
    struct stat key = {.st_dev = one->device, .st_ino = folded ? ~name : name};
    pthread_mutex_lock(&k->lock);
    mv_status s = file_set_try(&k->late, &key, alone, e);
    pthread_mutex_unlock(&k->lock);
    return s;
}

void claims_check(claims *k)
{
    if (results_are_kept())
        claims_write(k, stdout_words, "/dev/stdout");
    if (k->broken)
        die(EXIT_FAILED, "out of memory");
    if (k->n) {
        qsort(k->claim, (size_t)k->n, sizeof *k->claim, by_folded);
        refuse_twins(k);
        qsort(k->claim, (size_t)k->n, sizeof *k->claim, by_file);
    }
    const claim *first = NULL; /* of those of one file */
    for (int i = 0; i < k->n; i++) {
        const claim *one = &k->claim[i];
        char text[WORDS];
        if (!first || !is_one(first, one))
            first = one;
        else if (clash(first, one)) {
            tell_clash(text, first, one);
            die(EXIT_MISUSE, "%s", text);
        }
        mv_error e = {0};
        bool alone;
        if (one->folded && keep(k, one, true, &alone, &e)) /* for what is named late */
            die_of(&e, false);
    }
}

void claims_end(claims *k)
{
    claims_check(k);
    claims_free(k);
}

/* ---- outputs that are named late */

/* The first claim of that file; NULL: none. */
static const claim *find(const claims *k, const claim *key)
{
    int from = 0, to = k->n;
    while (from < to) {
        int middle = from + (to - from) / 2;
        const claim *c = &k->claim[middle];
        int order = by_inode(c, key);
        if (order < 0 || (order == 0 && c->name < key->name))
            from = middle + 1;
        else
            to = middle;
    }
    return from < k->n && is_one(&k->claim[from], key) ? &k->claim[from] : NULL;
}

static mv_status refuse(const claim *first, const claim *one, mv_error *e)
{
    char text[WORDS];
    tell_clash(text, first, one);
    return mv_fail(e, MV_EINPUT, "%s", text);
}

/* Outputs were named by what was there of their folders, which may be made by now: looks at each folder above. */
static mv_status look_above(const claims *k, claim one, mv_error *e)
{
    char *folder = path_real(one.path), *rest = NULL;
    if (!folder)
        return errno == ENOMEM ? mv_fail_memory(e, one.path) : MV_OK; /* writing says that there is no folder */
    bool good = path_cut_last(folder, &rest);
    mv_status s = MV_OK;
    while (good && !s && strspn(folder, "/") < strlen(folder)) {
        struct stat st;
        good = path_cut_last(folder, &rest);
        if (!good || stat(folder, &st))
            continue;
        size_t end = strlen(rest) - 1;
        rest[end] = '\0';
        one.device = st.st_dev;
        one.inode = st.st_ino;
        one.name = mv_text_hash(rest) | 1;
        rest[end] = '/';
        const claim *first = find(k, &one);
        if (first && clash(first, &one))
            s = refuse(first, &one, e);
    }
    free(folder);
    free(rest);
    return good ? s : mv_fail_memory(e, one.path);
}

mv_status claims_late(claims *k, const char *option, const char *path, mv_error *e)
{
    claims now = {0};
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st)) /* another thread may write there now */
        return mv_fail(e, MV_EINPUT, "%s: %s is a link to nothing, expected a file or no link", option, path);
    write_file(&now, option, path);
    mv_status s = now.broken ? mv_fail_memory(e, path) : MV_OK;
    for (int i = 0; i < now.n && !s; i++) {
        const claim *one = &now.claim[i], *first = find(k, one);
        if (first && clash(first, one))
            s = refuse(first, one, e);
        else if (one->name && !one->folder) {
            bool alone = true, single = true;
            s = k->makes ? look_above(k, *one, e) : MV_OK;
            if (!s)
                s = keep(k, one, false, &alone, e);
            if (!s)
                s = keep(k, one, true, &single, e);
            if (!alone || (!single && mv_output_folds_case(path)))
                s = mv_fail(e, MV_EINPUT, "%s: %s is a file of this run, expected one for each", option, path);
        }
    }
    empty(&now);
    return s;
}
