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

static bool has_known_ending(const destination *d, const char *path)
{
    for (const char *const *e = d->endings; *e; e++)
        if (mv_text_ends_in(path, *e))
            return true;
    return false;
}

/* ".png, .svg or .pdf" */
static const char *list_endings(const destination *d, char text[80])
{
    *text = '\0';
    for (const char *const *e = d->endings; *e; e++)
        snprintf(text + strlen(text), 80 - strlen(text), "%s%s", e == d->endings ? "" : e[1] ? ", " : " or ", *e);
    return text;
}

/* ---- paths */

char *destination_path(const destination *d, const operands *o, int i, int index, int of)
{
    char stem[4096], number[16] = "", *path;
    if (!d->folder)
        return strdup(d->to_stdout ? "/dev/stdout" : d->out);
    operand_stem(o, i, stem, sizeof stem);
    if (of > 1)
        snprintf(number, sizeof number, "-%d", index);
    size_t n = d->out ? strlen(d->out) : 0;
    const char *slash = n && d->out[n - 1] != '/' ? "/" : "";
    if (asprintf(&path, "%s%s%s%s%s%s", d->out ? d->out : "", slash, stem, number, d->suffix, d->ending) < 0)
        return NULL;
    return path;
}

char *destination_sheet(const destination *d, int k)
{
    char *path;
    if (!d->folder)
        return strdup(d->to_stdout ? "/dev/stdout" : d->out);
    size_t n = d->out ? strlen(d->out) : 0;
    const char *slash = n && d->out[n - 1] != '/' ? "/" : "";
    return asprintf(&path, "%s%ssheet-%d%s", d->out ? d->out : "", slash, k, d->ending) < 0 ? NULL : path;
}

bool destination_exists(const char *path)
{
    struct stat st;
    return !path || (stat(path, &st) == 0 && S_ISREG(st.st_mode));
}

mv_status destination_make_folders(const destination *d, const char *path, mv_error *e)
{
    return d->folder ? mv_output_make_parents(path, e) : MV_OK;
}

/* ---- checks */

static void refuse_several(const destination *d, int pictures)
{
    if (d->together)
        die(EXIT_MISUSE, "%s: found %d pictures for one %s, which shows at most %d; a folder takes any number",
            d->option, pictures, d->what, d->together);
    if (strcmp(d->out, "-") == 0)
        die(EXIT_MISUSE, "%s: found '-' for several %ss, expected a folder", d->option, d->what);
    die(EXIT_MISUSE, "%s: found the file '%s' for several %ss, expected a folder: a name that ends in /", d->option,
        d->out, d->what);
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
static void refuse_file(const destination *d)
{
    struct stat st;
    char *bare = must(strndup(d->out, length_without_slashes(d->out)));
    if (stat(bare, &st) == 0 && !S_ISDIR(st.st_mode))
        die(EXIT_MISUSE, "%s: found the file '%s', expected a folder, or a name that does not end in /", d->option,
            d->out);
    free(bare);
}

/* Sets folder and to_stdout by the rule. */
static void choose_kind(destination *d, int pictures)
{
    char endings[80];
    bool several = pictures > (d->together ? d->together : 1);
    size_t n = d->out ? strlen(d->out) : 0;
    if (!d->out) {
        d->folder = true;
        return;
    }
    d->to_stdout = d->may_be_stdout && strcmp(d->out, "-") == 0;
    d->folder = !d->to_stdout && (d->out[n - 1] == '/' || is_folder(d->out));
    if (!d->folder && !d->to_stdout && !has_known_ending(d, d->out))
        die(EXIT_MISUSE, "%s: found '%s', expected a name ending in %s, or a folder: '%s/'", d->option, d->out,
            list_endings(d, endings), d->out);
    if (!d->folder && several)
        refuse_several(d, pictures);
    if (d->folder)
        refuse_file(d);
}

/* The folder that the first file needs must be there, or its parent must be, and must take files. */
static void check_parent(const destination *d)
{
    char *probe = NULL;
    mv_error e = {0};
    if (d->to_stdout)
        return;
    if (!d->folder)
        probe = strdup(d->out);
    else if (d->out && !is_folder(d->out))
        probe = strndup(d->out, length_without_slashes(d->out)); /* it is made in its parent */
    else if (asprintf(&probe, "%.*s/.x", d->out ? (int)length_without_slashes(d->out) : 1, d->out ? d->out : ".") < 0)
        probe = NULL;
    if (mv_output_check(must(probe), &e)) {
        if (!d->folder || (d->out && !is_folder(d->out)))
            die_of(&e, false);
        die(EXIT_FAILED, "%s: no file can be made in this folder: %s", d->out ? d->out : "the working folder",
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
static void clean_folders(const destination *d, const operands *o)
{
    char *last = NULL;
    for (int i = 0; i < o->n; i++) {
        char *path = must(destination_path(d, o, i, 0, operand_pictures(o, i)));
        size_t n = (size_t)(mv_text_base_name(path) - path);
        if (!last || strncmp(last, path, n) != 0 || (size_t)(mv_text_base_name(last) - last) != n)
            mv_output_clean(path);
        free(last);
        last = path;
    }
    free(last);
}

static void check_collisions(const destination *d, const operands *o, int pictures)
{
    named *name = must(calloc((size_t)pictures + 1, sizeof *name));
    int n = 0;
    for (int i = 0; i < o->n; i++)
        for (int index = 0; index < operand_pictures(o, i); index++) {
            char *path = must(destination_path(d, o, i, index, operand_pictures(o, i)));
            name[n++] = (named){mv_text_hash(path), i, index};
            free(path);
        }
    qsort(name, (size_t)n, sizeof *name, by_hash);
    for (int k = 1; k < n; k++)
        if (name[k].hash == name[k - 1].hash) {
            char *path = must(destination_path(d, o, name[k].i, name[k].index, operand_pictures(o, name[k].i)));
            int a = name[k].i < name[k - 1].i ? name[k].i : name[k - 1].i, b = name[k].i + name[k - 1].i - a;
            free(name);
            die(EXIT_MISUSE,
                "%s and %s: both would write %s; name the folder above them, which keeps their paths apart, or write "
                "them to two folders",
                o->path[a], o->path[b], path);
        }
    free(name);
}

static char *path_of(const destination *d, const operands *o, int i, int index)
{
    return must(d->sheet ? destination_sheet(d, i + 1) : destination_path(d, o, i, index, operand_pictures(o, i)));
}

void destination_claim(const destination *d, const operands *o, int pictures, claims *k)
{
    int files = !d->folder ? 1 : d->sheet ? (pictures + d->sheet - 1) / d->sheet : o->n;
    if (d->to_stdout)
        return;
    for (int i = 0; i < files; i++)
        for (int index = 0; index < (!d->folder || d->sheet ? 1 : operand_pictures(o, i)); index++) {
            char *path = path_of(d, o, i, index);
            if (d->several && d->folder)
                claims_make_folders(k, d->option, path);
            else
                claims_write(k, d->option, path);
            free(path);
        }
}

void destination_check(destination *d, const operands *o, int pictures)
{
    choose_kind(d, pictures);
    check_parent(d);
    if (d->folder && pictures > 1 && !d->sheet)
        check_collisions(d, o, pictures);
    if (d->folder && !d->sheet)
        clean_folders(d, o);
}
