#include "cmd/ablation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/edit_words.h"
#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/explain/estimate.h"

struct ablation {
    call *c;
    const ablation_ask *ask;
    /* ---- before and after */
    mv_ask cam;
    mv_edits *edits;
    mv_explainer *explainer;
    mv_passes *pair;
    /* ---- sweeps */
    mv_sweep *sweep;
    mv_estimator *estimator; /* NULL: none */
};

void ablation_result_free(void *of)
{
    ablation_result *r = of;
    if (!r)
        return;
    free(r->before);
    free(r->after);
    free(r->change);
    free(r->estimate);
    mv_maps_free(&r->maps);
    free(r);
}

/* ---- preparing */

static mv_status add_sets(ablation *a, mv_edits *ed, const mv_sites *sites, mv_error *e)
{
    mv_status s = MV_OK;
    for (int i = 0; i < a->ask->set->n && !s; i++)
        s = edit_words_add(a->c, ed, a->ask->set->v[i], a->c->height, a->c->width, sites, e);
    return s;
}

/* The picture as it is, then with the edits. */
static mv_status prepare_pair(ablation *a, const mv_sites *sites, mv_error *e)
{
    const call *c = a->c;
    a->cam = (mv_ask){.method = mv_method_lookup("cam"), .class_ = MV_CLASS_TOP, .against = MV_MAP_NONE};
    a->edits = mv_edits_new(e);
    a->explainer = a->edits ? mv_explainer_new(&a->cam, 1, &c->session.config, c->height, c->width, e) : NULL;
    if (!a->explainer)
        return e->code;
    mv_edits_only(a->edits, 1);
    if (add_sets(a, a->edits, sites, e))
        return e->code;
    mv_edits_probe(a->edits)->next = mv_explainer_probe(a->explainer);
    a->pair = mv_passes_new(c->session.model, c->height, c->width, 1, mv_edits_probe(a->edits), e);
    if (!a->pair)
        return e->code;
    mv_passes_stop_when(a->pair, stop_asked);
    return MV_OK;
}

/* Everything that has an estimate and that the network has. */
static mv_status add_all(ablation *a, mv_error *e)
{
    const mv_config *c = &a->c->session.config;
    bool attends = false, mixes = false;
    for (int level = 2; level < MV_LEVELS; level++)
        for (int block = 0; block < c->depth[level]; block++)
            *(mv_config_attends(c->depth[level], block) ? &attends : &mixes) = true;
    const bool has[MV_SWEEPS] = {[MV_SWEEP_HEADS] = attends,
                                 [MV_SWEEP_BLOCKS] = true,
                                 [MV_SWEEP_MIXERS] = mixes,
                                 [MV_SWEEP_BRANCHES] = attends || mixes,
                                 [MV_SWEEP_CHANNELS] = a->ask->at != NULL};
    mv_status s = MV_OK;
    for (int kind = 0; kind < MV_SWEEPS && !s; kind++)
        if (has[kind])
            s = mv_sweep_add(a->sweep, (mv_sweep_kind)kind, kind == MV_SWEEP_CHANNELS ? a->ask->at : NULL, e);
    return s;
}

static mv_status prepare_estimates(ablation *a, mv_error *e)
{
    const call *c = a->c;
    a->estimator = mv_estimator_new(c->session.model, a->sweep, c->height, c->width, e);
    if (!a->estimator)
        return e->code;
    mv_passes_stop_when(mv_estimator_passes(a->estimator), stop_asked);
    return MV_OK;
}

static mv_status prepare_sweep(ablation *a, const mv_sites *sites, mv_error *e)
{
    const call *c = a->c;
    a->sweep = mv_sweep_new(c->session.model, c->height, c->width, c->o.batch, e);
    mv_status s = a->sweep ? add_sets(a, mv_sweep_edits(a->sweep), sites, e) : e->code;
    for (int i = 0; i < a->ask->sweeps->n && !s; i++) {
        mv_sweep_kind kind = (mv_sweep_kind)(-1 - a->ask->sweeps->v[i]);
        s = mv_sweep_add(a->sweep, kind, mv_sweep_kind_has_site(kind) ? a->ask->at : NULL, e);
    }
    if (!s && a->ask->sweeps->n == 0)
        s = add_all(a, e);
    if (!s && a->ask->estimate)
        s = prepare_estimates(a, e);
    if (!s) {
        mv_passes_stop_when(mv_sweep_passes(a->sweep), stop_asked);
        mv_passes_watch(mv_sweep_passes(a->sweep), progress_passes, NULL);
    }
    return s;
}

ablation *ablation_new(call *c, const ablation_ask *ask, mv_error *e)
{
    ablation *a = calloc(1, sizeof *a);
    mv_sites sites = {0};
    if (!a) {
        mv_fail_memory(e, "ablate");
        return NULL;
    }
    *a = (ablation){.c = c, .ask = ask};
    mv_status s = mv_sites_list(&sites, &c->session.config, 1, c->height, c->width, e);
    if (!s && ask->set->n)
        s = prepare_pair(a, &sites, e);
    if (!s && (ask->sweeps->n || ask->estimate))
        s = prepare_sweep(a, &sites, e);
    mv_sites_free(&sites);
    if (!s)
        return a;
    ablation_free(a);
    return NULL;
}

void ablation_free(ablation *a)
{
    if (!a)
        return;
    mv_passes_free(a->pair);
    mv_explainer_free(a->explainer);
    mv_edits_free(a->edits);
    mv_estimator_free(a->estimator);
    mv_sweep_free(a->sweep);
    free(a);
}

const mv_sweep *ablation_sweep(const ablation *a)
{
    return a->sweep;
}

const ablation_ask *ablation_asked(const ablation *a)
{
    return a->ask;
}

/* ---- one picture */

static mv_status choose_classes(const ablation *a, ablation_result *r, const char *name, mv_error *e)
{
    int classes = a->c->session.config.classes;
    char text[24];
    r->class_ = mv_class_of(a->ask->class_, r->before, classes);
    r->against = a->ask->against == MV_MAP_NONE ? MV_MAP_NONE : mv_class_of(a->ask->against, r->before, classes);
    if (r->class_ < 0 || (a->ask->against != MV_MAP_NONE && r->against < 0))
        return mv_fail(e, MV_EINPUT, "%s: found one class, expected two for a second one", name);
    if (r->class_ == r->against)
        return mv_fail(e, MV_EINPUT, "%s: --class and --against are both %s, expected two classes", name,
                       session_class(&a->c->session, r->class_, text));
    return MV_OK;
}

typedef struct {
    ablation *a;
    const study *s;
    ablation_result *r;
} pass;

static void make(void *context, int i, float *planes)
{
    const pass *p = context;
    const shot *t = p->s->shot;
    mv_edits_start(p->a->edits, i);
    mv_explainer_clear(p->a->explainer);
    memcpy(planes, p->s->planes, (size_t)3 * (size_t)t->h * (size_t)t->w * sizeof *planes);
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    pass *p = context;
    ablation *a = p->a;
    call *c = a->c;
    size_t n = (size_t)c->session.config.classes;
    memcpy(i ? p->r->after : p->r->before, logits, n * sizeof *logits);
    size_t bad = mv_first_not_finite(logits, n);
    if (bad < n)
        return mv_fail(e, MV_EINPUT, "%s: the logit of class %zu is %f after the edit, expected a finite number",
                       p->s->shot->name, bad, (double)logits[bad]);
    if (i == 0 && choose_classes(a, p->r, p->s->shot->name, e))
        return e->code;
    a->cam.class_ = p->r->class_;
    a->cam.against = p->r->against;
    return mv_explainer_explain(a->explainer, 0, c->session.model, 0, NULL, logits, session_class_name, &c->session,
                                &p->r->maps, e);
}

/* "Before: for church" of "For church" */
static void retitle(mv_map *m, const char *when)
{
    char title[sizeof m->title];
    mv_text_print(title, sizeof title, "%s%.80s", when, m->title);
    char *first = title + strlen(when);
    *first = *first == 'F' ? 'f' : *first;
    memcpy(m->title, title, sizeof title);
}

/* The third map: what the edit changes. Its mean is the change of the logit, as those of the others are the logits. */
static mv_status subtract(ablation_result *r, mv_error *e)
{
    mv_map change;
    if (mv_map_subtract(&change, &r->maps.map[1], &r->maps.map[0], e))
        return e->code;
    mv_map *to = mv_maps_add(&r->maps, e);
    if (!to) {
        mv_map_free(&change);
        return MV_ENOMEM;
    }
    *to = change;
    to->class_ = r->class_;
    to->against = r->against;
    char mean[32], value[32];
    const float *b = r->before, *c = r->after;
    double moved = (double)c[r->class_] - (double)b[r->class_];
    if (r->against >= 0)
        moved -= (double)c[r->against] - (double)b[r->against];
    snprintf(to->title, sizeof to->title, "Change");
    snprintf(to->proof, sizeof to->proof, "mean of %d cells  %s  =  the change of the %s  %s", to->h * to->w,
             mv_number_text(mean, mv_map_mean(to), 3, true), r->against < 0 ? "logit" : "margin",
             mv_number_text(value, moved, 3, true));
    retitle(&r->maps.map[0], "Before: ");
    retitle(&r->maps.map[1], "After: ");
    return MV_OK;
}

static mv_status run_pair(ablation *a, const study *s, ablation_result *r, mv_error *e)
{
    pass p = {a, s, r};
    size_t n = (size_t)a->c->session.config.classes;
    r->after = malloc(n * sizeof *r->after);
    if (!r->after)
        return mv_fail_memory(e, s->shot->name);
    mv_status status = mv_passes_run(a->pair, 2, make, take, &p, e);
    return status ? status : subtract(r, e);
}

static mv_status run_sweep(ablation *a, const study *s, ablation_result *r, mv_error *e)
{
    int n = mv_sweep_count(a->sweep), classes[2] = {r->class_, r->against}, asked = r->against < 0 ? 1 : 2;
    r->change = malloc((size_t)n * 2 * sizeof *r->change);
    if (!r->change)
        return mv_fail_memory(e, s->shot->name);
    mv_status status = mv_sweep_run(a->sweep, s->planes, classes, asked, NULL, r->change, e);
    for (int i = 0; i < n && !status && asked == 2; i++)
        r->change[i] -= r->change[n + i];
    return status;
}

static mv_status run_estimates(ablation *a, const study *s, ablation_result *r, mv_error *e)
{
    r->estimate = malloc(((size_t)mv_sweep_count(a->sweep) + 1) * sizeof *r->estimate);
    if (!r->estimate)
        return mv_fail_memory(e, s->shot->name);
    return mv_estimator_run(a->estimator, s->planes, r->class_, r->against, r->estimate, e);
}

mv_status ablation_run(ablation *a, const study *s, ablation_result **out, mv_error *e)
{
    size_t n = (size_t)a->c->session.config.classes;
    ablation_result *r = *out = calloc(1, sizeof *r);
    if (r)
        r->before = malloc(n * sizeof *r->before);
    if (!r || !r->before)
        return mv_fail_memory(e, s->shot->name);
    memcpy(r->before, s->shot->logits, n * sizeof *r->before);
    mv_status status = choose_classes(a, r, s->shot->name, e);
    if (!status && a->pair)
        status = run_pair(a, s, r, e);
    if (!status && a->ask->sweeps->n)
        status = run_sweep(a, s, r, e);
    if (!status && a->estimator)
        status = run_estimates(a, s, r, e);
    return status;
}
