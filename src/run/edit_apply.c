/* The edits of a value, made picture by picture on the host. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/pattern.h"
#include "src/base/random.h"
#include "src/base/text.h"
#include "src/model/grid.h"
#include "src/run/edit_impl.h"
#include "src/run/run_impl.h"

/* ---- axes (probe.h) */

/* The first dimension that has one of these letters; -1 if there is none. */
static int axis_of(const char *axes, const char *letters)
{
    size_t i = strcspn(axes, letters);
    return axes[i] ? (int)i : -1;
}

/* The dimension that holds channels: of pictures, tokens, scanned channels, a head; or the states of B and C. */
static int channel_dim(const char *axes)
{
    int d = axis_of(axes, "CEd");
    return d >= 0 ? d : axis_of(axes, "S");
}

bool mv_edit_token_dims(const char *axes, int *from, int *to)
{
    *from = axis_of(axes, "TH");
    *to = *from + (*from >= 0 && axes[*from] == 'H' ? 2 : 1);
    return *from >= 0;
}

bool mv_edit_index_dims(const mv_edit *t, const char *axes, int nd, int *from, int *to)
{
    *from = 0, *to = nd;
    if (t->along == MV_EDIT_WHOLE)
        return true;
    if (t->along == MV_EDIT_TOKEN || t->along == MV_EDIT_CELL)
        return mv_edit_token_dims(axes, from, to);
    *from = t->along == MV_EDIT_HEAD ? axis_of(axes, "h") : channel_dim(axes);
    *to = *from + 1;
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

/* ---- one picture's value */

/* One picture's value of a site, and the part of it that an edit changes: token `index` of every span, in one window or
 * (-1) in all. */
typedef struct {
    const mv_site_info *site;
    int nd, dim[MV_MAX_DIMS]; /* the first: 1, or the windows of a picture */
    size_t n;                 /* values */
    spans s;
    bool whole;
    size_t index;
    int window;
} place;

static bool chosen(const place *p, size_t i)
{
    return p->whole || (i / p->s.inner % p->s.tokens == p->index &&
                        (p->window < 0 || i / (p->n / (size_t)p->dim[0]) == (size_t)p->window));
}

int mv_edit_level(const char *site)
{
    return strncmp(site, "levels.", 7) == 0 && site[7] >= '0' && site[7] < '0' + MV_LEVELS ? site[7] - '0' : -1;
}

/* The part that an edit changes. The cell of a value of windows lies in the grid of its level. */
static void place_edit(place *p, const mv_edit *t, const mv_grid *g)
{
    int from, to, token = t->index;
    p->whole = t->along == MV_EDIT_WHOLE;
    p->window = -1;
    mv_edit_index_dims(t, p->site->axes, p->nd, &from, &to);
    if (t->along == MV_EDIT_CELL && to - from == 2)
        token = t->index * p->dim[from + 1] + t->column;
    else if (t->along == MV_EDIT_CELL)
        mv_grid_token(g, t->index, t->column, &p->window, &token);
    p->s = spans_of(p->dim, p->nd, from, to);
    p->index = (size_t)token;
}

/* out <- the mean of v over the tokens */
static void average(const place *p, float *out, const float *v)
{
    int from, to;
    if (!mv_edit_token_dims(p->site->axes, &from, &to))
        return;
    spans s = spans_of(p->dim, p->nd, from, to);
    for (size_t o = 0; o < s.outer; o++)
        for (size_t k = 0; k < s.inner; k++) {
            double sum = 0;
            for (size_t t = 0; t < s.tokens; t++)
                sum += (double)v[(o * s.tokens + t) * s.inner + k];
            for (size_t t = 0; t < s.tokens; t++)
                out[(o * s.tokens + t) * s.inner + k] = (float)(sum / (double)s.tokens);
        }
}

/* The standard deviation of the chosen values. */
static double deviation(const place *p, const float *v)
{
    double sum = 0, squares = 0, n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (chosen(p, i))
            sum += (double)v[i], n++;
    for (size_t i = 0; i < p->n; i++)
        if (chosen(p, i))
            squares += ((double)v[i] - sum / n) * ((double)v[i] - sum / n);
    return n > 0 ? sqrt(squares / n) : 0;
}

static uint64_t mixed(uint64_t x)
{
    return mv_random_next(&x);
}

/* Number i of a standard normal sequence. */
static double gaussian(uint64_t key, size_t i)
{
    double u = ((double)(mixed(key + 2 * i) >> 11) + 1) * 0x1p-53, /* in (0, 1] */
        v = (double)(mixed(key + 2 * i + 1) >> 11) * 0x1p-53;
    return mv_random_normal(u, v);
}

static void add_noise(const mv_edit *t, const place *p, float *v)
{
    double width = t->scale * deviation(p, v);
    uint64_t key = mixed(t->seed) ^ mv_text_hash(p->site->name);
    for (size_t i = 0; i < p->n; i++)
        if (chosen(p, i))
            v[i] = (float)((double)v[i] + width * gaussian(key, i));
}

/* Changes the value of one picture, number `picture` of a forward. `room` is as large as v. */
static void apply(const mv_edit *t, const place *p, float *v, float *room, size_t picture)
{
    const float *from = room;
    size_t at = 0, m = p->n;
    if (t->kind == MV_EDIT_ORIGINAL)
        return;
    if (t->kind == MV_EDIT_NOISE) {
        add_noise(t, p, v);
        return;
    }
    if (t->kind == MV_EDIT_ZERO)
        memset(room, 0, p->n * sizeof *room);
    else if (t->kind == MV_EDIT_MEAN)
        average(p, room, v);
    else {
        from = t->values.data;
        m = mv_tensor_count(t->values);
        at = picture * p->n;
    }
    for (size_t i = 0; i < p->n; i++)
        if (chosen(p, i))
            v[i] = from[(at + i) % m];
}

/* ---- the probe */

bool mv_edit_wants(mv_probe *p, const char *site)
{
    const mv_edits *ed = (const mv_edits *)p;
    for (int i = 0; i < ed->patterns; i++)
        if (mv_pattern_match(ed->pattern[i], site))
            return true;
    return false;
}

/* Picture `i` of a value of `pictures`. */
static mv_view picture_of(mv_view v, int i, int pictures)
{
    v.dim[0] /= pictures;
    v.data = (char *)v.data + (ptrdiff_t)i * v.dim[0] * v.stride[0] * (ptrdiff_t)mv_dtype_size(v.type);
    return v;
}

/* Makes the edits of one picture, number i of the batch. False after a failure. */
static bool edit_picture(mv_edits *ed, mv_run *r, const mv_site_info *site, mv_view view, int i)
{
    bool read = false;
    int number = mv_run_first(r) + i, level = mv_edit_level(site->name);
    place p = {.site = site, .nd = view.nd, .n = mv_view_count(view)};
    memcpy(p.dim, view.dim, sizeof p.dim);
    mv_grid g = {0};
    if (level >= 0)
        g = mv_grid_of(&r->model->config, level, r->h, r->w);
    for (int k = 0; k < ed->n; k++) {
        const mv_edit *t = &ed->edit[k];
        if (!ed->fits[t->patterns] || (t->picture != MV_EDITS_ALL && t->picture != ed->start + number))
            continue;
        if (!read && !mv_run_read(r, view, ed->value))
            return false;
        read = true;
        place_edit(&p, t, &g);
        apply(t, &p, ed->value, ed->value + p.n, (size_t)number);
    }
    return !read || mv_run_write(r, view, ed->value);
}

/* Values that do not fit the batch; mv_edits_check has looked at all else. */
static bool refuse_values(const mv_edits *ed, mv_run *r, size_t n)
{
    for (int k = 0; k < ed->n; k++) {
        const mv_edit *t = &ed->edit[k];
        if (!ed->fits[t->patterns] || t->kind != MV_EDIT_VALUES || n % mv_tensor_count(t->values) == 0)
            continue;
        mv_run_fail(r, MV_EINPUT, "%s: found values of another shape, expected them to fit a batch of %d pictures",
                    t->text, mv_run_pictures(r));
        return true;
    }
    return false;
}

/* Every picture counts as changed, so that what follows is computed in one way for all of them. */
bool mv_edit_sees(mv_probe *probe, mv_run *r, const mv_site_info *site, mv_view view)
{
    mv_edits *ed = (mv_edits *)probe;
    int pictures = mv_run_pictures(r);
    size_t n = mv_view_count(view);
    for (int i = 0; i < ed->patterns; i++)
        ed->fits[i] = mv_pattern_match(ed->pattern[i], site->name);
    if (refuse_values(ed, r, n))
        return false;
    n /= (size_t)pictures;
    if (2 * n > ed->values) {
        free(ed->value);
        ed->value = malloc(2 * n * sizeof *ed->value);
        ed->values = ed->value ? 2 * n : 0;
        if (!ed->value) {
            mv_run_fail(r, MV_ENOMEM, "%s: out of memory for an edit of %zu values", site->name, n);
            return false;
        }
    }
    for (int i = 0; i < pictures; i++)
        if (!edit_picture(ed, r, site, picture_of(view, i, pictures), i))
            return false;
    return true;
}
