#include "src/run/edit.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/pattern.h"
#include "src/run/run.h"

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

/* ---- axes (probe.h) */

/* The first dimension that has one of these letters; -1 if there is none. */
static int axis_of(const char *axes, const char *letters)
{
    size_t i = strcspn(axes, letters);
    return axes[i] ? (int)i : -1;
}

static int head_dim(const char *axes)
{
    return axis_of(axes, "h");
}

/* The dimension that holds channels: of pictures, tokens, scanned channels, a head; or the states of B and C. */
static int channel_dim(const char *axes)
{
    int d = axis_of(axes, "CEd");
    return d >= 0 ? d : axis_of(axes, "S");
}

/* The dimensions [*from, *to) that count tokens, or cells of a picture; false if there are none. */
static bool token_dims(const char *axes, int *from, int *to)
{
    *from = axis_of(axes, "TH");
    *to = *from + (*from >= 0 && axes[*from] == 'H' ? 2 : 1);
    return *from >= 0;
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
static void average(const char *axes, const int *dim, int nd, float *out, const float *in)
{
    int from, to;
    if (!token_dims(axes, &from, &to))
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

static int index_dim(const edit *t, const char *axes)
{
    return t->along == HEAD ? head_dim(axes) : channel_dim(axes);
}

static spans index_spans(const edit *t, const char *axes, const int *dim, int nd)
{
    int d = index_dim(t, axes);
    return spans_of(dim, nd, d, d + 1);
}

/* v holds n values, followed by room for n more */
static void apply(const edit *t, const char *axes, const int *dim, int nd, float *v, size_t n)
{
    spans s = t->along == WHOLE ? (spans){1, 1, n} : index_spans(t, axes, dim, nd);
    float *mean = v + n;
    if (t->kind == MV_EDIT_MEAN)
        average(axes, dim, nd, mean, v);
    const float *given = t->values.data;
    size_t m = t->kind == MV_EDIT_VALUES ? mv_tensor_count(t->values) : 1;
    for (size_t i = 0; i < n; i++)
        if (chosen(t, s, i))
            v[i] = t->kind == MV_EDIT_ZERO ? 0 : t->kind == MV_EDIT_MEAN ? mean[i] : given[i % m];
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view view)
{
    mv_edits *ed = (mv_edits *)p;
    size_t n = mv_view_count(view);
    if (2 * n > ed->room) {
        free(ed->value);
        ed->room = 0;
        ed->value = malloc(2 * n * sizeof *ed->value);
        if (!ed->value) {
            mv_run_fail(r, MV_ENOMEM, "%s: out of memory for an edit of %zu values", site->name, n);
            return false;
        }
        ed->room = 2 * n;
    }
    if (!mv_run_read(r, view, ed->value))
        return false;
    for (int i = 0; i < ed->n; i++) {
        const edit *t = &ed->edit[i];
        if (!mv_pattern_match(t->patterns, site->name))
            continue;
        if (t->kind == MV_EDIT_VALUES && n % mv_tensor_count(t->values)) {
            mv_run_fail(r, MV_EINPUT, "%s: found values of another shape, expected them to fit a batch of %d pictures",
                        t->text, mv_run_pictures(r));
            return false;
        }
        apply(t, site->axes, view.dim, view.nd, ed->value, n);
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

/* Parses "[head=3]" at the end of the text, and removes it from the patterns. */
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
    int from, to, d = index_dim(t, site->axes);
    if (site->diagnostic)
        return mv_fail(e, MV_EINPUT,
                       "%s: nothing depends on %s, expected an edit of a value that the scan uses: mixer.dt, mixer.B, "
                       "mixer.C or mixer.h",
                       t->text, site->name);
    if (t->along == HEAD && d < 0)
        return mv_fail(e, MV_EINPUT, "%s: %s has no heads, expected one of q, k, v and attn", t->text, site->name);
    if (t->along == CHANNEL && d < 0)
        return mv_fail(e, MV_EINPUT, "%s: %s has no channels", t->text, site->name);
    if (t->along != WHOLE && t->index >= dim[d])
        return mv_fail(e, MV_EINPUT, "%s: %s is %s: found index %d, expected below %d", t->text, site->name,
                       mv_shape_text(have, site->nd, dim), t->index, dim[d]);
    if (t->kind == MV_EDIT_MEAN && !token_dims(site->axes, &from, &to))
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
