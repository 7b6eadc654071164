#include "cmd/raw_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/talk.h"
#include "src/file/output.h"

void raw_choose(call *c, const char *raw, bool several)
{
    mv_store_kind kind;
    mv_error e = {0};
    if (strcmp(raw, "-") == 0)
        die(EXIT_MISUSE, "--raw: found '-', expected a name: FILE.safetensors, FILE.npz, FILE.npy or FOLDER/");
    if (mv_store_kind_of(&kind, raw, "--raw", &e))
        die_of(&e, true);
    if (several && kind == MV_STORE_NPY)
        die(EXIT_MISUSE, "--raw: found '%s', expected FILE.safetensors, FILE.npz or FOLDER/, as a .npy holds one array",
            raw);
    c->wants_raw = kind == MV_STORE_FOLDER;
    c->raw = c->wants_raw ? raw : NULL;
    c->store = c->wants_raw ? NULL : raw;
    c->store_option = "--raw";
    c->one_size |= c->store != NULL;
    if (c->store && c->o.resume)
        die(EXIT_MISUSE, "--resume: a file of all pictures is written whole; --raw FOLDER/ makes one for each picture, "
                         "which --resume can go on with");
    if (c->store && mv_store_check(c->store, &e))
        die_of(&e, false);
}

/* ---- the numbers of maps */

static const char *const text_keys[RAW_TEXTS] = {"target", "sum", "expected_sum"};

static double number_of(const raw_array *a, int k)
{
    static const char *const figures[RAW_TEXTS] = {"target", "sum", "expected"};
    return a->map ? mv_map_figure_value(a->map, figures[k]) : (double)NAN;
}

/* Appends a number to the text: "4.1", "4.1,null". */
static mv_status append_number(char **text, double x, mv_error *e)
{
    char number[32] = "null", *out;
    if (isfinite(x))
        snprintf(number, sizeof number, "%.9g", x);
    if (asprintf(&out, "%s%s%s", *text ? *text : "", *text ? "," : "", number) < 0)
        return mv_fail_memory(e, "--raw");
    free(*text);
    *text = out;
    return MV_OK;
}

/* A list where there are several pictures; nothing where no map has the number. */
static mv_status write_text(mv_store *store, const char *name, bool several, int k, const char *text, mv_error *e)
{
    char key[256], *list;
    if (strspn(text, "nul,") == strlen(text))
        return MV_OK;
    snprintf(key, sizeof key, "%s%s%s", several ? name : "", several ? "." : "", text_keys[k]);
    if (!strchr(text, ','))
        return mv_store_meta(store, key, text, e);
    if (asprintf(&list, "[%s]", text) < 0)
        return mv_fail_memory(e, "--raw");
    mv_status s = mv_store_meta(store, key, list, e);
    free(list);
    return s;
}

static mv_status write_texts(mv_store *store, const raw_array *a, int n, mv_error *e)
{
    mv_status s = MV_OK;
    for (int i = 0; i < n * RAW_TEXTS && !s; i++) {
        char *text = NULL;
        s = append_number(&text, number_of(&a[i / RAW_TEXTS], i % RAW_TEXTS), e);
        if (!s)
            s = write_text(store, a[i / RAW_TEXTS].name, n > 1, i % RAW_TEXTS, text, e);
        free(text);
    }
    return s;
}

/* ---- the FILE of all pictures */

/* The arrays of the first picture, for all pictures of the call. */
static mv_status declare(raw_file *f, call *c, const raw_array *a, int n, mv_error *e)
{
    f->sites.site = calloc((size_t)n, sizeof *f->sites.site);
    f->sites.name = calloc((size_t)n, sizeof *f->sites.name);
    f->texts = calloc((size_t)n, sizeof *f->texts);
    if (!f->sites.site || !f->sites.name || !f->texts)
        return mv_fail_memory(e, c->store);
    for (int i = 0; i < n; i++) {
        mv_site *site = &f->sites.site[i];
        *site = (mv_site){.name = strdup(a[i].name), .nd = a[i].nd};
        if (!site->name)
            return mv_fail_memory(e, c->store);
        f->sites.n++;
        f->sites.name[i] = site->name;
        memcpy(site->dim, a[i].dim, sizeof site->dim);
        site->dim[0] *= c->pictures;
    }
    f->file = value_file_open(c, "**", &f->sites, e);
    return f->file ? MV_OK : e->code;
}

static mv_status check_array(const raw_file *f, const call *c, const raw_array *a, int i, mv_error *e)
{
    const mv_site *site = &f->sites.site[i];
    int want[MV_MAX_DIMS];
    char have_text[64], want_text[64];
    memcpy(want, site->dim, sizeof want);
    want[0] /= c->pictures;
    bool same = strcmp(site->name, a->name) == 0 && site->nd == a->nd;
    for (int d = 0; same && d < a->nd; d++)
        same = want[d] == a->dim[d];
    if (same)
        return MV_OK;
    return mv_fail(e, MV_EINPUT,
                   "%s: found '%.80s' of %s, expected '%.80s' of %s as of the first picture; --raw FOLDER/ takes "
                   "pictures that differ",
                   c->store, a->name, mv_shape_text(have_text, a->nd, a->dim), site->name,
                   mv_shape_text(want_text, site->nd, want));
}

mv_status raw_file_add(raw_file *f, call *c, const shot *t, const raw_array *a, int n, mv_error *e)
{
    mv_status s = f->file ? MV_OK : declare(f, c, a, n, e);
    if (!s && f->sites.n != n)
        s = mv_fail(e, MV_EINPUT, "%s: found %d arrays, expected %d as of the first picture", c->store, n, f->sites.n);
    for (int i = 0; i < n && !s; i++)
        s = check_array(f, c, &a[i], i, e);
    if (s) {
        c->broken |= !f->file;
        return s;
    }
    for (int i = 0; i < n && !s; i++)
        s = mv_store_append(value_file_store(f->file), a[i].name, a[i].values, a[i].dim[0], e);
    for (int i = 0; i < n * RAW_TEXTS && !s; i++)
        s = append_number(&f->texts[i / RAW_TEXTS][i % RAW_TEXTS], number_of(&a[i / RAW_TEXTS], i % RAW_TEXTS), e);
    if (!s)
        s = value_file_add(f->file, t, 1, e);
    c->broken |= s != MV_OK;
    return s;
}

mv_status raw_file_close(raw_file *f, call *c, mv_error *e)
{
    bool written;
    mv_status s = MV_OK, closed;
    int n = f->texts ? f->sites.n : 0;
    for (int i = 0; i < n * RAW_TEXTS; i++) {
        char *text = f->texts[i / RAW_TEXTS][i % RAW_TEXTS];
        if (text && !s && f->file && !c->broken)
            s = write_text(value_file_store(f->file), f->sites.name[i / RAW_TEXTS], n > 1, i % RAW_TEXTS, text, e);
        free(text);
    }
    c->broken |= s != MV_OK;
    closed = value_file_close(f->file, &written, s ? NULL : e);
    free(f->texts);
    mv_sites_free(&f->sites);
    *f = (raw_file){0};
    return s ? s : closed;
}

mv_status raw_write(const char *path, const shot *t, const raw_array *a, int n, mv_error *e)
{
    mv_store *store = mv_store_open(path, e);
    mv_status s = store ? mv_store_meta(store, "software", "mvscope " MV_VERSION, e) : e->code;
    if (!s)
        s = mv_store_meta(store, "image", t->name, e);
    for (int i = 0; i < n && !s; i++)
        s = mv_store_declare(store, a[i].name, a[i].nd, a[i].dim, e);
    if (!s)
        s = write_texts(store, a, n, e);
    for (int i = 0; i < n && !s; i++)
        s = mv_store_append(store, a[i].name, a[i].values, a[i].dim[0], e);
    if (!s)
        return mv_store_commit(store, e);
    mv_store_discard(store);
    return s;
}
