#include "src/run/edit.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/pattern.h"
#include "src/run/state.h"

typedef enum { WHOLE, HEAD, CHANNEL } axis;

typedef struct {
    char *text; /* as given, for errors */
    char *patterns;
    mv_edit_kind kind;
    axis along;
    int index;
    mv_tensor values; /* owns data */
} edit;

struct mv_edits {
    mv_probe probe;
    int n;
    edit *edit;
    float *value; /* the site's, on the host */
    size_t room;
};

static bool wants(mv_probe *p, const char *site)
{
    const mv_edits *ed = (const mv_edits *)p;
    for (int i = 0; i < ed->n; i++)
        if (mv_pattern_match(ed->edit[i].patterns, site))
            return true;
    return false;
}

static bool ends_in(const char *site, const char *leaf)
{
    size_t n = strlen(site), k = strlen(leaf);
    return n > k && strcmp(site + n - k, leaf) == 0;
}

/* Whether the site has heads: (N, heads, T, d or T); the other sites of 4 dimensions are pictures (B C H W) and states
 * (N T E S). */
static bool has_heads(const char *site)
{
    static const char *const leaves[] = {".q", ".k", ".v", ".attn"};
    for (int i = 0; i < 4; i++)
        if (ends_in(site, leaves[i]))
            return true;
    return false;
}

static bool is_states(const char *site)
{
    return ends_in(site, ".mixer.h");
}

/* Sites that are made to be looked at: nothing of the network is made of them. */
static bool only_tells(const char *site)
{
    return ends_in(site, ".mixer.hidden_attn") || ends_in(site, ".mixer.state_norm");
}

/* The dimension that holds channels. */
static int channel_dim(const char *site, int nd)
{
    if (nd == 4)
        return has_heads(site) ? 3 : is_states(site) ? 2 : 1;
    return nd - 1;
}

/* The dimensions [*from, *to) that count tokens; false when there are none. */
static bool token_dims(const char *site, int nd, int *from, int *to)
{
    if (nd < 3)
        return false;
    *from = nd == 3 || is_states(site) ? 1 : 2;
    *to = nd == 4 && !has_heads(site) && !is_states(site) ? 4 : *from + 1;
    return true;
}

typedef struct {
    size_t outer, tokens, inner; /* the value as outer x tokens x inner */
} spans;

static spans spans_of(const int *dim, int nd, int from, int to)
{
    spans s = {1, 1, 1};
    for (int i = 0; i < nd; i++)
        *(i < from ? &s.outer : i < to ? &s.tokens : &s.inner) *= (size_t)dim[i];
    return s;
}

static bool chosen(const edit *t, spans s, size_t i)
{
    return t->along == WHOLE || i / s.inner % s.tokens == (size_t)t->index;
}

/* value <- its mean over the tokens */
static void average(const char *site, const int *dim, int nd, float *out, const float *in)
{
    int from = 0, to = 0;
    if (!token_dims(site, nd, &from, &to))
        return;
    spans s = spans_of(dim, nd, from, to);
    for (size_t o = 0; o < s.outer; o++)
        for (size_t k = 0; k < s.inner; k++) {
            double sum = 0;
            for (size_t t = 0; t < s.tokens; t++)
                sum += (double)in[(o * s.tokens + t) * s.inner + k];
            for (size_t t = 0; t < s.tokens; t++)
                out[(o * s.tokens + t) * s.inner + k] = (float)(sum / (double)s.tokens);
        }
}

static spans index_spans(const edit *t, const char *site, const int *dim, int nd)
{
    int d = t->along == HEAD ? 1 : channel_dim(site, nd);
    return spans_of(dim, nd, d, d + 1);
}

/* v holds n values and room for n more behind them */
static void apply(const edit *t, const char *site, const int *dim, int nd, float *v, size_t n)
{
    spans s = t->along == WHOLE ? (spans){1, 1, n} : index_spans(t, site, dim, nd);
    float *mean = v + n;
    if (t->kind == MV_EDIT_MEAN)
        average(site, dim, nd, mean, v);
    const float *given = t->values.data;
    size_t m = t->kind == MV_EDIT_VALUES ? mv_tensor_count(t->values) : 1;
    for (size_t i = 0; i < n; i++)
        if (chosen(t, s, i))
            v[i] = t->kind == MV_EDIT_ZERO ? 0 : t->kind == MV_EDIT_MEAN ? mean[i] : given[i % m];
}

static bool sees(mv_probe *p, mv_run *r, const char *site, mv_view view)
{
    mv_edits *ed = (mv_edits *)p;
    size_t n = mv_view_count(view);
    if (2 * n > ed->room) {
        free(ed->value);
        ed->room = 0;
        ed->value = malloc(2 * n * sizeof *ed->value);
        if (!ed->value) {
            mv_run_fail(r, MV_ENOMEM, "%s: out of memory for an edit of %zu values", site, n);
            return false;
        }
        ed->room = 2 * n;
    }
    if (!mv_run_read(r, view, ed->value))
        return false;
    for (int i = 0; i < ed->n; i++) {
        const edit *t = &ed->edit[i];
        if (!mv_pattern_match(t->patterns, site))
            continue;
        if (t->kind == MV_EDIT_VALUES && n % mv_tensor_count(t->values)) {
            mv_run_fail(r, MV_EINPUT, "%s: values do not fit a pass of %d pictures", t->text, mv_run_pictures(r));
            return false;
        }
        apply(t, site, view.dim, view.nd, ed->value, n);
    }
    return mv_run_write(r, view, ed->value);
}

mv_edits *mv_edits_new(mv_error *e)
{
    mv_edits *ed = calloc(1, sizeof *ed);
    if (!ed) {
        mv_fail_memory(e, "edit");
        return NULL;
    }
    ed->probe = (mv_probe){.wants = wants, .sees = sees};
    return ed;
}

static void drop(edit *t)
{
    free(t->text);
    free(t->patterns);
    free(t->values.data);
}

void mv_edits_free(mv_edits *ed)
{
    if (!ed)
        return;
    for (int i = 0; i < ed->n; i++)
        drop(&ed->edit[i]);
    free(ed->edit);
    free(ed->value);
    free(ed);
}

/* "[head=3]" at the end of text: cut off patterns, and understood */
static mv_status parse_index(edit *t, mv_error *e)
{
    char *open = strrchr(t->patterns, '['), *equals = open ? strchr(open, '=') : NULL;
    if (!equals)
        return MV_OK;
    char *end;
    long index = strtol(equals + 1, &end, 10);
    *equals = 0;
    t->along = strcmp(open, "[head") == 0 ? HEAD : strcmp(open, "[channel") == 0 ? CHANNEL : WHOLE;
    if (t->along == WHOLE || end == equals + 1 || strcmp(end, "]") || index < 0 || index > 1000000)
        return mv_fail(e, MV_EINPUT, "edit: found '%s', expected SITE[head=N] or SITE[channel=N]", t->text);
    t->index = (int)index;
    *open = 0;
    return MV_OK;
}

mv_status mv_edits_add(mv_edits *ed, const char *text, mv_edit_kind kind, mv_tensor values, mv_error *e)
{
    edit *more = realloc(ed->edit, (size_t)(ed->n + 1) * sizeof *more);
    if (!more)
        return mv_fail_memory(e, "edit");
    ed->edit = more;
    edit t = {.text = strdup(text), .patterns = strdup(text), .kind = kind};
    mv_status s = t.text && t.patterns ? parse_index(&t, e) : mv_fail_memory(e, "edit");
    if (!s && kind == MV_EDIT_VALUES) {
        if (values.nd < 1 || values.type != MV_F32 || mv_tensor_count(values) == 0)
            s = mv_fail(e, MV_EINPUT, "%s: found no values, expected an F32 array", text);
        else {
            t.values = values;
            t.values.data = malloc(mv_tensor_bytes(values));
            if (t.values.data)
                memcpy(t.values.data, values.data, mv_tensor_bytes(values));
            else
                s = mv_fail_memory(e, "edit");
        }
    }
    if (s) {
        drop(&t);
        return s;
    }
    ed->edit[ed->n++] = t;
    return MV_OK;
}

static mv_status check_site(const edit *t, const mv_site *site, mv_error *e)
{
    char have[64], want[64];
    const int *dim = site->dim;
    int from, to, d = t->along == HEAD ? 1 : channel_dim(site->name, site->nd);
    if (only_tells(site->name))
        return mv_fail(
            e, MV_EINPUT,
            "%s: %s only tells of the scan, and no edit of it leads on; edit mixer.dt, mixer.B, mixer.C or mixer.h",
            t->text, site->name);
    if (t->along == HEAD && !has_heads(site->name))
        return mv_fail(e, MV_EINPUT, "%s: %s has no heads; q, k, v and attn have", t->text, site->name);
    if (t->along == CHANNEL && strlen(site->name) > 5 && strcmp(site->name + strlen(site->name) - 5, ".attn") == 0)
        return mv_fail(e, MV_EINPUT, "%s: %s has no channels", t->text, site->name);
    if (t->along != WHOLE && t->index >= dim[d])
        return mv_fail(e, MV_EINPUT, "%s: %s is %s: found index %d, expected below %d", t->text, site->name,
                       mv_shape_text(have, site->nd, dim), t->index, dim[d]);
    if (t->kind == MV_EDIT_MEAN && !token_dims(site->name, site->nd, &from, &to))
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
        const edit *t = &ed->edit[i];
        mv_status s = mv_pattern_check(t->patterns, sites->n, sites->name, t->text, e);
        for (int k = 0; !s && k < sites->n; k++)
            if (mv_pattern_match(t->patterns, sites->site[k].name))
                s = check_site(t, &sites->site[k], e);
        if (s)
            return s;
    }
    return MV_OK;
}

mv_probe *mv_edits_probe(mv_edits *ed)
{
    return &ed->probe;
}
