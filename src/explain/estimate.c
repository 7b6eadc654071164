#include "src/explain/estimate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/map.h"
#include "src/explain/target.h"
#include "src/run/trace.h"

struct mv_estimator {
    const mv_sweep *sweep;
    mv_trace *trace;
    mv_passes *passes;
    mv_target target;
    size_t size; /* of planes, in values */
    const float *planes;
};

/* ---- the sites */

/* The next name of "SITE,SITE[INDEX]" into site; the rest, or NULL after the last one. */
static const char *next_site(const char *text, char site[MV_SWEEP_NAME], char *axis, int *index)
{
    size_t n = strcspn(text, ",["), all = strcspn(text, ",");
    snprintf(site, MV_SWEEP_NAME, "%.*s", (int)n, text);
    *axis = text[n] == '[' ? text[n + 1] : 0; /* h of head, c of channel */
    *index = *axis ? atoi(strchr(text + n, '=') + 1) : 0;
    return text[all] ? text + all + 1 : NULL;
}

static bool is_estimated(const mv_sweep *s, int i)
{
    return mv_sweep_at(s, i).kind != MV_SWEEP_TOKENS;
}

/* "SITE,grad.SITE,..." of all items, each once. NULL without memory. */
static char *sites_of(const mv_sweep *s)
{
    char site[MV_SWEEP_NAME], last[MV_SWEEP_NAME] = "", axis;
    size_t room = 1, used = 0;
    int index;
    mv_edit_kind kind;
    for (int i = 0; i < mv_sweep_count(s); i++)
        for (const char *rest = mv_sweep_item_edit(s, i, &kind); rest; rest = next_site(rest, site, &axis, &index))
            room += 2 * strcspn(rest, ",[") + strlen(",,grad.");
    char *text = calloc(1, room);
    for (int i = 0; text && i < mv_sweep_count(s); i++) {
        const char *rest = is_estimated(s, i) ? mv_sweep_item_edit(s, i, &kind) : NULL;
        while (rest) {
            rest = next_site(rest, site, &axis, &index);
            if (strcmp(site, last)) /* heads and channels of one site follow each other */
                used += (size_t)snprintf(text + used, room - used, "%s%s,grad.%s", *last ? "," : "", site, site);
            memcpy(last, site, sizeof last);
        }
    }
    return text;
}

/* ---- the object */

static mv_status seed(void *context, int pass, int first, int pictures, int classes, const float *logits, float *out,
                      mv_error *e)
{
    (void)pass, (void)first, (void)pictures, (void)e;
    const mv_estimator *t = context;
    mv_target_seed(&t->target, logits, classes, out);
    return MV_OK;
}

mv_estimator *mv_estimator_new(const mv_model *model, const mv_sweep *s, int h, int w, mv_error *e)
{
    mv_estimator *t = calloc(1, sizeof *t);
    char *sites = sites_of(s);
    if (t && sites) {
        mv_back back = {.passes = 1, .seed = seed, .context = t};
        *t = (mv_estimator){.sweep = s, .size = (size_t)3 * (size_t)h * (size_t)w};
        t->trace = mv_trace_new(sites, NULL, NULL, e);
        if (t->trace)
            t->passes = mv_passes_new_back(model, h, w, 1, mv_trace_probe(t->trace), &back, e);
    } else
        mv_fail_memory(e, "estimate");
    free(sites);
    if (t && t->passes)
        return t;
    mv_estimator_free(t);
    return NULL;
}

void mv_estimator_free(mv_estimator *t)
{
    if (!t)
        return;
    mv_passes_free(t->passes);
    mv_trace_free(t->trace);
    free(t);
}

mv_passes *mv_estimator_passes(mv_estimator *t)
{
    return t->passes;
}

/* ---- estimates */

/* Values as outer x n x inner: part `index` of the n is edited, or all. */
typedef struct {
    size_t outer, n, inner;
} spans;

static spans spans_of(const mv_tensor *t, int axis)
{
    spans s = {1, 1, 1};
    for (int i = 0; i < t->nd; i++)
        *(i < axis ? &s.outer : i == axis ? &s.n : &s.inner) *= (size_t)t->dim[i];
    return s;
}

/* The dimension that an index counts, or the tokens; -1: none. */
static int axis_of(const mv_site *site, char of)
{
    const char *letters = of == 'h' ? "h" : of == 'c' ? "CEdS" : "T";
    for (int i = 0; i < site->nd; i++)
        if (strchr(letters, site->axes[i]))
            return i;
    return -1;
}

/* -sum v dv of one part of an axis; axis -1: of all. */
static double of_zero(mv_tensor v, mv_tensor dv, int axis, size_t index)
{
    const float *x = v.data, *g = dv.data;
    spans s = spans_of(&v, axis < 0 ? v.nd : axis);
    size_t from = axis < 0 ? 0 : index, to = axis < 0 ? s.n : index + 1;
    double sum = 0;
    for (size_t o = 0; o < s.outer; o++)
        for (size_t i = (o * s.n + from) * s.inner; i < (o * s.n + to) * s.inner; i++)
            sum -= (double)x[i] * (double)g[i];
    return sum;
}

/* sum (mean over the axis - v) dv */
static double of_mean(mv_tensor v, mv_tensor dv, int axis)
{
    const float *x = v.data, *g = dv.data;
    spans s = spans_of(&v, axis);
    double sum = 0;
    for (size_t o = 0; o < s.outer; o++)
        for (size_t k = 0; k < s.inner; k++) {
            double values = 0, gradients = 0;
            for (size_t i = 0; i < s.n; i++) {
                size_t at = (o * s.n + i) * s.inner + k;
                values += (double)x[at];
                gradients += (double)g[at];
                sum -= (double)x[at] * (double)g[at];
            }
            sum += values / (double)s.n * gradients;
        }
    return sum;
}

static const mv_site *site_named(const mv_sites *all, const char *name)
{
    for (int i = 0; i < all->n; i++)
        if (strcmp(all->site[i].name, name) == 0)
            return &all->site[i];
    return NULL;
}

static mv_status estimate(const mv_estimator *t, int i, double *out, mv_error *e)
{
    char site[MV_SWEEP_NAME], grad[MV_SWEEP_NAME + 8], axis;
    int index;
    mv_edit_kind kind;
    const char *rest = mv_sweep_item_edit(t->sweep, i, &kind);
    *out = 0;
    while (rest) {
        rest = next_site(rest, site, &axis, &index);
        snprintf(grad, sizeof grad, "grad.%s", site);
        const mv_site *of = site_named(mv_sweep_sites(t->sweep), site);
        mv_tensor v = {0}, dv = {0};
        if (!of || !mv_trace_lookup(t->trace, site, &v) || !mv_trace_lookup(t->trace, grad, &dv))
            return mv_fail(e, MV_EMISUSE, "estimate: found no gradient of %s", site);
        if (kind == MV_EDIT_MEAN)
            *out += of_mean(v, dv, axis_of(of, 't'));
        else
            *out += of_zero(v, dv, axis ? axis_of(of, axis) : -1, (size_t)index);
    }
    return MV_OK;
}

static void make(void *context, int i, float *planes)
{
    (void)i;
    mv_estimator *t = context;
    memcpy(planes, t->planes, t->size * sizeof *planes);
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    (void)context, (void)i, (void)logits, (void)e;
    return MV_OK;
}

mv_status mv_estimator_run(mv_estimator *t, const float *planes, int class_, int against, double *change, mv_error *e)
{
    t->target = (mv_target){.class_ = class_, .n = against != MV_MAP_NONE, .against = {against}};
    t->planes = planes;
    mv_trace_clear(t->trace);
    mv_status s = mv_passes_run(t->passes, 1, make, take, t, e);
    for (int i = 0; i < mv_sweep_count(t->sweep) && !s; i++) {
        change[i] = NAN;
        if (is_estimated(t->sweep, i))
            s = estimate(t, i, &change[i], e);
    }
    mv_trace_clear(t->trace);
    return s;
}

/* ---- agreement */

mv_agreement mv_estimate_agreement(const double *exact, const double *estimate, int from, int to)
{
    mv_agreement a = {.correlation = NAN};
    double x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    for (int i = from; i < to; i++)
        if (isfinite(exact[i]) && isfinite(estimate[i])) {
            a.n++;
            a.same += (exact[i] > 0) - (exact[i] < 0) == (estimate[i] > 0) - (estimate[i] < 0);
            x += exact[i];
            y += estimate[i];
        }
    for (int i = from; i < to; i++)
        if (isfinite(exact[i]) && isfinite(estimate[i])) {
            double dx = exact[i] - x / a.n, dy = estimate[i] - y / a.n;
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
    if (xx > 0 && yy > 0)
        a.correlation = xy / sqrt(xx * yy);
    return a;
}
