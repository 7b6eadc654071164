#include "cmd/destination.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/talk.h"
#include "src/base/text.h"
#include "src/file/output.h"

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool has_known_ending(const destination *t, const char *path)
{
    for (const char *const *e = t->endings; *e; e++)
        if (mv_text_ends_in(path, *e))
            return true;
    return false;
}

/* ".png, .svg or .pdf" */
static const char *list_endings(const destination *t, char text[80])
{
    *text = '\0';
    for (const char *const *e = t->endings; *e; e++)
        snprintf(text + strlen(text), 80 - strlen(text), "%s%s", e == t->endings ? "" : e[1] ? ", " : " or ", *e);
    return text;
}

/* ---- paths */

char *destination_path(const destination *t, const operands *o, int i, int index, int of)
{
    char stem[4096], number[16] = "", *path;
    if (!t->folder)
        return strdup(t->to_stdout ? "/dev/stdout" : t->out);
    operand_stem(o, i, stem, sizeof stem);
    if (of > 1)
        snprintf(number, sizeof number, "-%d", index);
    size_t n = t->out ? strlen(t->out) : 0;
    const char *slash = n && t->out[n - 1] != '/' ? "/" : "";
    if (asprintf(&path, "%s%s%s%s%s%s", t->out ? t->out : "", slash, stem, number, t->suffix, t->ending) < 0)
        return NULL;
    return path;
}

char *destination_sheet(const destination *t, int k)
{
    char *path;
    if (!t->folder)
        return strdup(t->to_stdout ? "/dev/stdout" : t->out);
    size_t n = t->out ? strlen(t->out) : 0;
    const char *slash = n && t->out[n - 1] != '/' ? "/" : "";
    return asprintf(&path, "%s%ssheet-%d%s", t->out ? t->out : "", slash, k, t->ending) < 0 ? NULL : path;
}

bool destination_exists(const char *path)
{
    struct stat st;
    return !path || (stat(path, &st) == 0 && S_ISREG(st.st_mode));
}

mv_status destination_make_folders(const destination *t, const char *path, mv_error *e)
{
    return t->folder ? mv_output_make_parents(path, e) : MV_OK;
}

/* ---- checks */

static void refuse_several(const destination *t, int pictures)
{
    if (t->together)
        die(EXIT_MISUSE, "%s: found %d pictures for one %s, which shows at most %d; a folder takes any number",
            t->option, pictures, t->what, t->together);
    if (strcmp(t->out, "-") == 0)
        die(EXIT_MISUSE, "%s: found '-' for several %ss, expected a folder", t->option, t->what);
    die(EXIT_MISUSE, "%s: found the file '%s' for several %ss, expected a folder: a name that ends in /", t->option,
        t->out, t->what);
}

/* "out" of "out///", "/" of "//" */
static size_t length_without_slashes(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

/* A file where a folder is to be made. */
static void refuse_file(const destination *t)
{
    struct stat st;
    char *bare = must(strndup(t->out, length_without_slashes(t->out)));
    if (stat(bare, &st) == 0 && !S_ISDIR(st.st_mode))
        die(EXIT_MISUSE, "%s: found the file '%s', expected a folder, or a name that does not end in /", t->option,
            t->out);
    free(bare);
}

/* Sets folder and to_stdout by the rule. */
static void choose_kind(destination *t, int pictures)
{
    char endings[80];
    bool several = pictures > (t->together ? t->together : 1);
    size_t n = t->out ? strlen(t->out) : 0;
    if (!t->out) {
        t->folder = true;
        return;
    }
    t->to_stdout = t->may_be_stdout && strcmp(t->out, "-") == 0;
    t->folder = !t->to_stdout && (t->out[n - 1] == '/' || is_folder(t->out));
    if (!t->folder && !t->to_stdout && !has_known_ending(t, t->out))
        die(EXIT_MISUSE, "%s: found '%s', expected a name ending in %s, or a folder: '%s/'", t->option, t->out,
            list_endings(t, endings), t->out);
    if (!t->folder && several)
        refuse_several(t, pictures);
    if (t->folder)
        refuse_file(t);
}

/* The folder that the first file needs must be there, or its parent must be, and must take files. */
static void check_parent(const destination *t)
{
    char *probe = NULL;
    mv_error e = {0};
    if (t->to_stdout)
        return;
    if (!t->folder)
        probe = strdup(t->out);
    else if (t->out && !is_folder(t->out))
        probe = strndup(t->out, length_without_slashes(t->out)); /* it is made in its parent */
    else if (asprintf(&probe, "%.*s/.x", t->out ? (int)length_without_slashes(t->out) : 1, t->out ? t->out : ".") < 0)
        probe = NULL;
    if (mv_output_check(must(probe), &e)) {
        if (!t->folder || (t->out && !is_folder(t->out)))
            die_of(&e, false);
        die(EXIT_FAILED, "%s: no file can be made in this folder: %s", t->out ? t->out : "the working folder",
            mv_text_base_name(strrchr(e.text, ':') ? strrchr(e.text, ':') + 2 : e.text));
    }
    free(probe);
}

typedef struct {
    uint64_t hash;
    int i, index;
} named;

static int by_hash(const void *a, const void *b)
{
    const named *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

/* What killed runs left in the folders below the destination's, each of which is looked into once. */
static void clean_folders(const destination *t, const operands *o)
{
    char *last = NULL;
    for (int i = 0; i < o->n; i++) {
        char *path = must(destination_path(t, o, i, 0, operand_pictures(o, i)));
        size_t n = (size_t)(mv_text_base_name(path) - path);
        if (!last || strncmp(last, path, n) != 0 || (size_t)(mv_text_base_name(last) - last) != n)
            mv_output_clean(path);
        free(last);
        last = path;
    }
    free(last);
}

static void check_collisions(const destination *t, const operands *o, int pictures)
{
    named *name = must(calloc((size_t)pictures + 1, sizeof *name));
    int n = 0;
    for (int i = 0; i < o->n; i++)
        for (int index = 0; index < operand_pictures(o, i); index++) {
            char *path = must(destination_path(t, o, i, index, operand_pictures(o, i)));
            name[n++] = (named){mv_text_hash(path), i, index};
            free(path);
        }
    qsort(name, (size_t)n, sizeof *name, by_hash);
    for (int k = 1; k < n; k++)
        if (name[k].hash == name[k - 1].hash) {
            char *path = must(destination_path(t, o, name[k].i, name[k].index, operand_pictures(o, name[k].i)));
            int a = name[k].i < name[k - 1].i ? name[k].i : name[k - 1].i, b = name[k].i + name[k - 1].i - a;
            free(name);
            die(EXIT_MISUSE,
                "%s and %s: both would write %s; name the folder above them, which keeps their paths apart, or write "
                "them to two folders",
                o->path[a], o->path[b], path);
        }
    free(name);
}

static char *path_of(const destination *t, const operands *o, int i, int index)
{
    return must(t->sheet ? destination_sheet(t, i + 1) : destination_path(t, o, i, index, operand_pictures(o, i)));
}

void destination_claim(const destination *t, const operands *o, int pictures, claims *k)
{
    int files = !t->folder ? 1 : t->sheet ? (pictures + t->sheet - 1) / t->sheet : o->n;
    if (t->to_stdout)
        return;
    for (int i = 0; i < files; i++)
        for (int index = 0; index < (!t->folder || t->sheet ? 1 : operand_pictures(o, i)); index++) {
            char *path = path_of(t, o, i, index);
            if (t->several && t->folder)
                claims_make_folders(k, t->option, path);
            else
                claims_write(k, t->option, path);
            free(path);
        }
}

void destination_check(destination *t, const operands *o, int pictures)
{
    choose_kind(t, pictures);
    check_parent(t);
    if (t->folder && pictures > 1 && !t->sheet)
        check_collisions(t, o, pictures);
    if (t->folder && !t->sheet)
        clean_folders(t, o);
}
