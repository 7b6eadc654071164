#include "src/run/edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/pattern.h"
#include "src/run/edit_impl.h"

/* ---- the list */

mv_edits *mv_edits_new(mv_error *e)
{
    mv_edits *ed = calloc(1, sizeof *ed);
    if (!ed) {
        mv_fail_memory(e, "edit");
        return NULL;
    }
    ed->probe = (mv_probe){.wants = mv_edit_wants, .sees = mv_edit_sees};
    ed->only = MV_EDITS_ALL;
    return ed;
}

static void drop(mv_edit *t)
{
    free(t->text);
    free(t->values.data);
}

void mv_edits_free(mv_edits *ed)
{
    if (!ed)
        return;
    for (int i = 0; i < ed->n; i++)
        drop(&ed->edit[i]);
    for (int i = 0; i < ed->patterns; i++)
        free(ed->pattern[i]);
    free(ed->edit);
    free(ed->pattern);
    free(ed->fits);
    free(ed->value);
    free(ed);
}

/* A whole number of digits at *text, which moves behind it; -1 if there is none, or it is too large. */
static int parse_number(const char **text)
{
    int n = 0, digits = 0;
    for (; **text >= '0' && **text <= '9' && digits < 7; digits++)
        n = 10 * n + *(*text)++ - '0';
    return digits && n <= 1000000 ? n : -1;
}

/* Parses "[head=3]" at the end of the patterns, and cuts it off. */
static mv_status parse_index(mv_edit *t, char *patterns, mv_error *e)
{
    static const struct {
        const char *word;
        mv_edit_axis along;
    } words[] = {
        {"[head=", MV_EDIT_HEAD}, {"[channel=", MV_EDIT_CHANNEL}, {"[token=", MV_EDIT_TOKEN}, {"[cell=", MV_EDIT_CELL}};
    char *open = strrchr(patterns, '[');
    if (!open || !strchr(open, '='))
        return MV_OK;
    const char *at = open;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(open, words[i].word, strlen(words[i].word)) == 0) {
            t->along = words[i].along;
            at = open + strlen(words[i].word);
        }
    if (t->along != MV_EDIT_WHOLE)
        t->index = parse_number(&at);
    if (t->along == MV_EDIT_CELL)
        t->column = *at++ == ',' ? parse_number(&at) : -1;
    if (t->along == MV_EDIT_WHOLE || t->index < 0 || t->column < 0 || strcmp(at, "]") != 0)
        return mv_fail(e, MV_EINPUT,
                       "edit: found '%s', expected SITE[head=N], SITE[channel=N], SITE[token=N] or SITE[cell=Y,X]",
                       t->text);
    *open = 0;
    return MV_OK;
}

/* The place of a list of patterns among those that are known. Takes `patterns`. */
static mv_status intern(mv_edits *ed, char *patterns, int *out, mv_error *e)
{
    for (*out = ed->patterns - 1; *out >= 0; --*out)
        if (strcmp(ed->pattern[*out], patterns) == 0) {
            free(patterns);
            return MV_OK;
        }
    char **more = realloc(ed->pattern, (size_t)(ed->patterns + 1) * sizeof *more);
    if (more)
        ed->pattern = more;
    bool *fits = more ? realloc(ed->fits, (size_t)(ed->patterns + 1) * sizeof *fits) : NULL;
    if (!fits) {
        free(patterns);
        return mv_fail_memory(e, "edit");
    }
    ed->fits = fits;
    ed->pattern[ed->patterns] = patterns;
    *out = ed->patterns++;
    return MV_OK;
}

static mv_status copy_values(mv_edit *t, mv_tensor values, mv_error *e)
{
    if (values.nd < 1 || values.type != MV_F32 || mv_tensor_count(values) == 0)
        return mv_fail(e, MV_EINPUT, "%s: found no values, expected an F32 array", t->text);
    t->values = values;
    t->values.data = malloc(mv_tensor_bytes(values));
    if (!t->values.data)
        return mv_fail_memory(e, "edit");
    memcpy(t->values.data, values.data, mv_tensor_bytes(values));
    return MV_OK;
}

static mv_status add(mv_edits *ed, const char *text, const mv_edit *how, mv_tensor values, mv_error *e)
{
    if (ed->n == ed->room) {
        int room = ed->room ? 2 * ed->room : 16;
        mv_edit *more = realloc(ed->edit, (size_t)room * sizeof *more);
        if (!more)
            return mv_fail_memory(e, "edit");
        ed->edit = more;
        ed->room = room;
    }
    mv_edit t = *how;
    t.picture = ed->only;
    t.text = strdup(text);
    char *patterns = strdup(text);
    mv_status s = t.text && patterns ? parse_index(&t, patterns, e) : mv_fail_memory(e, "edit");
    if (!s && t.kind == MV_EDIT_VALUES)
        s = copy_values(&t, values, e);
    if (s)
        free(patterns);
    else
        s = intern(ed, patterns, &t.patterns, e);
    if (s) {
        drop(&t);
        return s;
    }
    ed->edit[ed->n++] = t;
    return MV_OK;
}

mv_status mv_edits_add(mv_edits *ed, const char *text, mv_edit_kind kind, mv_tensor values, mv_error *e)
{
    return add(ed, text, &(mv_edit){.kind = (int)kind}, values, e);
}

mv_status mv_edits_add_noise(mv_edits *ed, const char *text, uint64_t seed, double scale, mv_error *e)
{
    return add(ed, text, &(mv_edit){.kind = MV_EDIT_NOISE, .seed = seed, .scale = scale}, (mv_tensor){0}, e);
}

void mv_edits_only(mv_edits *ed, int picture)
{
    ed->only = picture;
}

void mv_edits_start(mv_edits *ed, int picture)
{
    ed->start = picture;
}

/* ---- the check */

int mv_edit_channels(const mv_site *site)
{
    int from, to;
    const mv_edit channel = {.along = MV_EDIT_CHANNEL};
    return mv_edit_index_dims(&channel, site->axes, site->nd, &from, &to) ? site->dim[from] : 0;
}

/* A map has its own cells, tokens have those of their level. */
bool mv_edit_cells(const mv_site *site, const mv_sites *sites, int *h, int *w)
{
    char name[16];
    int from, to;
    if (!mv_edit_token_dims(site->axes, &from, &to))
        return false;
    *h = site->dim[from], *w = site->dim[to - 1];
    if (to - from == 2)
        return true;
    snprintf(name, sizeof name, "levels.%d", mv_edit_level(site->name));
    for (int i = 0; i < sites->n; i++)
        if (strcmp(sites->name[i], name) == 0) {
            *h = sites->site[i].dim[2], *w = sites->site[i].dim[3];
            return true;
        }
    return false;
}

static mv_status check_index(const mv_edit *t, const mv_site *site, const mv_sites *sites, mv_error *e)
{
    static const char *const lacks[] = {"", "heads, expected one of q, k, v and attn", "channels", "tokens", "cells"};
    char have[64];
    const int *dim = site->dim;
    int from, to, h = 0, w = 0;
    bool has = t->along == MV_EDIT_CELL ? mv_edit_cells(site, sites, &h, &w)
                                        : mv_edit_index_dims(t, site->axes, site->nd, &from, &to);
    if (!has)
        return mv_fail(e, MV_EINPUT, "%s: %s has no %s", t->text, site->name, lacks[t->along]);
    if (t->along == MV_EDIT_CELL) {
        if (t->index >= h || t->column >= w)
            return mv_fail(e, MV_EINPUT, "%s: %s has %d x %d cells: found row %d, column %d, expected below %d and %d",
                           t->text, site->name, h, w, t->index, t->column, h, w);
        return MV_OK;
    }
    int most = to - from == 2 ? dim[from] * dim[from + 1] : dim[from];
    if (t->along != MV_EDIT_WHOLE && t->index >= most)
        return mv_fail(e, MV_EINPUT, "%s: %s is %s: found index %d, expected below %d", t->text, site->name,
                       mv_shape_text(have, site->nd, dim), t->index, most);
    return MV_OK;
}

static mv_status check_site(const mv_edit *t, const mv_site *site, const mv_sites *sites, mv_error *e)
{
    char have[64], want[64];
    const int *dim = site->dim;
    int from, to;
    if (site->diagnostic)
        return mv_fail(e, MV_EINPUT,
                       "%s: nothing depends on %s, expected an edit of a value that the scan uses: mixer.dt, mixer.B, "
                       "mixer.C or mixer.h",
                       t->text, site->name);
    if (check_index(t, site, sites, e))
        return e->code;
    if (t->kind == MV_EDIT_MEAN && !mv_edit_token_dims(site->axes, &from, &to))
        return mv_fail(e, MV_EINPUT, "%s: %s is %s and has no tokens to average over", t->text, site->name,
                       mv_shape_text(have, site->nd, dim));
    if (t->kind != MV_EDIT_VALUES)
        return MV_OK;
    bool fits = t->values.nd == site->nd && dim[0] % t->values.dim[0] == 0;
    for (int i = 1; fits && i < site->nd; i++)
        fits = t->values.dim[i] == dim[i];
    if (!fits)
        return mv_fail(e, MV_EINPUT, "%s: values are %s, expected %s", t->text,
                       mv_shape_text(have, t->values.nd, t->values.dim), mv_shape_text(want, site->nd, dim));
    return MV_OK;
}

mv_status mv_edits_check(const mv_edits *ed, const mv_sites *sites, mv_error *e)
{
    for (int i = 0; i < ed->n; i++) {
        const mv_edit *t = &ed->edit[i];
        const char *patterns = ed->pattern[t->patterns];
        mv_status s = mv_pattern_check(patterns, sites->n, sites->name, t->text, e);
        for (int k = 0; !s && k < sites->n; k++)
            if (mv_pattern_match(patterns, sites->site[k].name))
                s = check_site(t, &sites->site[k], sites, e);
        if (s)
            return s;
    }
    return MV_OK;
}

mv_probe *mv_edits_probe(mv_edits *ed)
{
    return &ed->probe;
}
