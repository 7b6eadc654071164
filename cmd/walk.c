#include "cmd/walk.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cmd/file_set.h"
#include "cmd/talk.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/file/kind.h"
#include "src/picture/decode.h"

enum { DEEPEST = 64 };

/* ---- what is passed over */

enum { KINDS = 64, KINDS_TOLD = 8, LONGEST_ENDING = 5 };

/* Files that are passed over, by kind: ".txt", "without an ending", or one of the kinds below. */
typedef struct {
    int all, kinds;
    struct passed_kind {
        int n;
        char kind[32];
    } of[KINDS];
} passed;

static const struct {
    const char *one, *many;
} plural[] = {{"link to a listed file", "links to listed files"},
              {"link to a walked folder", "links to walked folders"},
              {"broken link", "broken links"},
              {"folder of the kernel", "folders of the kernel"},
              {"pipe", "pipes"},
              {"socket", "sockets"},
              {"device", "devices"}};

static const char *kind_text(const struct passed_kind *k)
{
    for (size_t i = 0; k->n > 1 && i < sizeof plural / sizeof *plural; i++)
        if (strcmp(k->kind, plural[i].one) == 0)
            return plural[i].many;
    return k->kind;
}

/* Pictures that a build with libheif would have listed. */
static bool needs_heif(const passed *p)
{
    for (int i = 0; i < p->kinds; i++)
        if (!strcmp(p->of[i].kind, ".heic") || !strcmp(p->of[i].kind, ".heif") || !strcmp(p->of[i].kind, ".hif") ||
            !strcmp(p->of[i].kind, ".avif"))
            return true;
    return false;
}

static void pass_over(passed *p, const char *kind)
{
    int i = 0;
    p->all++;
    while (i < p->kinds && strcmp(p->of[i].kind, kind))
        i++;
    if (i == p->kinds && i == KINDS)
        return; /* they count as others */
    if (i == p->kinds)
        mv_text_print(p->of[p->kinds++].kind, sizeof p->of->kind, "%s", kind);
    p->of[i].n++;
}

static int by_count(const void *a, const void *b)
{
    const struct passed_kind *x = a, *y = b;
    return x->n != y->n ? y->n - x->n : strcmp(x->kind, y->kind);
}

/* "photos: passed over 12 files: 7 .txt, 5 .json" */
static void tell_passed(passed *p, const char *folder)
{
    char text[400], count[48];
    int told = 0, used = 0;
    if (!p->all)
        return;
    qsort(p->of, (size_t)p->kinds, sizeof *p->of, by_count);
    for (int i = 0; i < p->kinds && i < KINDS_TOLD; i++) {
        used += mv_text_print(text + used, sizeof text - (size_t)used, "%s%d %s", i ? ", " : "", p->of[i].n,
                              kind_text(p->of + i));
        told += p->of[i].n;
    }
    if (told < p->all)
        mv_text_print(text + used, sizeof text - (size_t)used, ", %d others", p->all - told);
    warn("%s: passed over %s: %s%s", folder, mv_count_text(count, p->all, "file"), text,
         needs_heif(p) ? "; HEIC and AVIF are read by a build with libheif-dev" : "");
}

/* ---- the walk */

typedef struct {
    operands *o;
    size_t below; /* letters of the operand, with its slash */
    bool complete;
    file_set folders, files;
    passed passed;
    char **link; /* paths of symbolic links, for later: what is reached without them keeps its own name */
    int links, link_room;
} walker;

static void trouble(walker *w, const char *path, const char *what)
{
    mv_error e = {0};
    mv_fail_errno(&e, path, what);
    complain("%s", e.text);
    w->complete = false;
}

/* What follows the last dot of a name if that is an ending as people use them: up to 5 letters and digits, among them a
 * letter. NULL of "photo", "scan.0001" and "photo.jpg_large". */
static const char *ending_of(const char *path)
{
    const char *base = mv_text_base_name(path), *dot = strrchr(base, '.'), *p = dot ? dot + 1 : "";
    bool letter = false;
    for (; *p; p++) {
        if (!isalnum((unsigned char)*p) || p - dot > LONGEST_ENDING)
            return NULL;
        letter = letter || isalpha((unsigned char)*p);
    }
    return dot > base && letter ? dot : NULL;
}

static bool is_listed(walker *w, const char *path)
{
    if (operand_is_ready(path) || mv_picture_has_ending(path))
        return true;
    const char *ending = ending_of(path);
    char kind[32] = "without an ending";
    mv_kind found;
    mv_error e = {0};
    if (!ending && mv_kind_of_file(&found, path, &e)) {
        complain("%s", e.text);
        return w->complete = false;
    }
    if (!ending && mv_kind_is_picture(found))
        return true;
    if (ending)
        snprintf(kind, sizeof kind, "%s", ending);
    for (char *c = kind; ending && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    pass_over(&w->passed, kind);
    return false;
}

/* File systems that the kernel makes up: /proc alone holds the whole tree again. */
static bool is_made_up(const char *folder)
{
    static const long kinds[] = {PROC_SUPER_MAGIC,    SYSFS_MAGIC,      DEBUGFS_MAGIC,
                                 TRACEFS_MAGIC,       SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC,
                                 CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,     DEVPTS_SUPER_MAGIC};
    struct statfs fs;
    if (statfs(folder, &fs))
        return false;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if ((long)fs.f_type == kinds[i])
            return true;
    return false;
}

static void walk(walker *w, const char *folder, const struct stat *st, int depth);

/* A file or folder; `st` is what it is after links. */
static void visit_found(walker *w, const char *path, const struct stat *st, dev_t above, int depth, bool linked)
{
    if (S_ISDIR(st->st_mode)) {
        if (st->st_dev != above && is_made_up(path))
            pass_over(&w->passed, "folder of the kernel");
        else if (file_set_add(&w->folders, st))
            walk(w, path, st, depth + 1);
        else
            pass_over(&w->passed, "link to a walked folder");
    } else if (!S_ISREG(st->st_mode))
        pass_over(&w->passed, S_ISFIFO(st->st_mode) ? "pipe" : S_ISSOCK(st->st_mode) ? "socket" : "device");
    else if (is_listed(w, path)) {
        if (file_set_add(&w->files, st) || !linked)
            operands_add(w->o, path, w->below);
        else
            pass_over(&w->passed, "link to a listed file");
    }
}

static void keep_link(walker *w, const char *path)
{
    if (w->links == w->link_room) {
        w->link_room = w->link_room ? 2 * w->link_room : 16;
        w->link = must(realloc(w->link, (size_t)w->link_room * sizeof *w->link));
    }
    w->link[w->links++] = must(strdup(path));
}

static void visit(walker *w, const char *folder, const char *name, const struct stat *above, int depth)
{
    char path[PATH_MAX];
    struct stat st;
    if (name[0] == '.')
        return;
    int length = snprintf(path, sizeof path, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", name);
    if (length < 0 || (size_t)length >= sizeof path) {
        complain("%.60s...: found a path of %d bytes, expected at most %d; it is passed over", path, length,
                 PATH_MAX - 1);
        w->complete = false;
    } else if (lstat(path, &st))
        trouble(w, path, "cannot be read");
    else if (S_ISLNK(st.st_mode))
        keep_link(w, path);
    else
        visit_found(w, path, &st, above->st_dev, depth, false);
}

static void walk(walker *w, const char *folder, const struct stat *st, int depth)
{
    struct dirent **entry;
    if (depth > DEEPEST) {
        complain("%s: lies %d folders deep, expected at most %d; it is passed over", folder, depth, DEEPEST);
        w->complete = false;
        return;
    }
    int n = scandir(folder, &entry, NULL, alphasort);
    if (n < 0) {
        trouble(w, folder, "cannot be read");
        return;
    }
    for (int i = 0; i < n; i++) {
        visit(w, folder, entry[i]->d_name, st, depth);
        free(entry[i]);
    }
    free(entry);
}

/* How many folders a path lies below the operand. */
static int depth_of(const walker *w, const char *path)
{
    int depth = 0;
    for (const char *p = path + w->below; *p; p++)
        depth += *p == '/';
    return depth;
}

/* Follows the links, and those that lie behind them. */
static void follow(walker *w)
{
    for (int i = 0; i < w->links; i++) {
        struct stat st;
        const char *path = w->link[i];
        if (!stat(path, &st))
            visit_found(w, path, &st, 0, depth_of(w, path), true);
        else if (errno != ENOENT && errno != ELOOP)
            trouble(w, path, "cannot be read");
        else if (mv_picture_has_ending(path) || !ending_of(path)) {
            complain("%s: is a link that leads nowhere, expected a picture or a folder", path);
            w->complete = false;
        } else
            pass_over(&w->passed, "broken link");
        free(w->link[i]);
    }
}

/* The order of a walk without links: each folder by the order of the names in it. */
static int by_path(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    for (;;) {
        char left[NAME_MAX + 1], right[NAME_MAX + 1];
        size_t n = strcspn(x, "/"), m = strcspn(y, "/");
        snprintf(left, sizeof left, "%.*s", (int)n, x);
        snprintf(right, sizeof right, "%.*s", (int)m, y);
        int order = strcoll(left, right);
        if (order || !x[n] || !y[m])
            return order ? order : (x[n] != 0) - (y[m] != 0);
        x += n + 1;
        y += m + 1;
    }
}

bool walk_folder(operands *o, const char *folder)
{
    size_t length = strlen(folder);
    walker w = {.o = o, .below = length + (folder[length - 1] != '/'), .complete = true};
    struct stat st;
    int before = o->n;
    if (stat(folder, &st)) {
        trouble(&w, folder, "cannot be read");
        return false;
    }
    file_set_add(&w.folders, &st);
    walk(&w, folder, &st, 0);
    int unlinked = o->n;
    follow(&w);
    if (o->n > unlinked)
        qsort(o->path + before, (size_t)(o->n - before), sizeof *o->path, by_path);
    tell_passed(&w.passed, folder);
    file_set_free(&w.folders);
    file_set_free(&w.files);
    free(w.link);
    char formats[MV_PICTURE_FORMATS];
    if (o->n == before && w.complete)
        die(EXIT_FAILED, "%s: found no picture in this folder, expected %s, .npy or .safetensors", folder,
            mv_picture_formats(formats));
    return w.complete;
}
