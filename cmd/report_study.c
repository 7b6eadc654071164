#include "cmd/report_study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/model/grid.h"

/* What runs the network on changed inputs of one size. */
struct report_study {
    call *c;
    const report_ask *ask;
    int h, w;
    mv_sweep *sweep; /* NULL: nothing is swept */
    mv_ask evidence;
    mv_explainer *mirror; /* NULL: the mirrored picture is left out */
    mv_passes *passes;    /* of the mirrored picture */
};

void report_result_free(void *of)
{
    report_result *r = of;
    if (!r)
        return;
    report_sweep *sweeps[] = {&r->heads, &r->mixers};
    for (int i = 0; i < 2; i++) {
        free(sweeps[i]->row);
        free(sweeps[i]->length);
        free(sweeps[i]->change);
    }
    free(r);
}

report_study *report_study_new(call *c, const report_ask *ask, mv_error *e)
{
    report_study *r = calloc(1, sizeof *r);
    if (!r) {
        mv_fail_memory(e, "report");
        return NULL;
    }
    r->c = c;
    r->ask = ask;
    return r;
}

static void drop_runs(report_study *r)
{
    mv_sweep_free(r->sweep);
    mv_passes_free(r->passes);
    mv_explainer_free(r->mirror);
    r->sweep = NULL;
    r->passes = NULL;
    r->mirror = NULL;
    r->h = r->w = 0;
}

void report_study_free(report_study *r)
{
    if (!r)
        return;
    drop_runs(r);
    free(r);
}

static void show_progress(void *unused, int done, int of)
{
    (void)unused;
    progress_passes(done, of);
}

/* ---- sweeps */

/* True if a level has blocks of this kind. */
static bool has_blocks(const mv_config *config, bool attention)
{
    for (int level = 2; level < MV_LEVELS; level++)
        for (int j = 0; j < config->depth[level]; j++)
            if (mv_config_attends(config->depth[level], j) == attention)
                return true;
    return false;
}

static mv_status prepare_sweep(report_study *r, mv_error *e)
{
    const mv_config *config = &r->c->session.config;
    bool heads = !r->ask->without[REPORT_HEADS] && has_blocks(config, true);
    bool mixers = !r->ask->without[REPORT_BRANCHES] && has_blocks(config, false);
    if (!heads && !mixers)
        return MV_OK;
    r->sweep = mv_sweep_new(r->c->session.model, r->h, r->w, r->c->o.batch, e);
    if (!r->sweep || (heads && mv_sweep_add(r->sweep, MV_SWEEP_HEADS, NULL, e)) ||
        (mixers && mv_sweep_add(r->sweep, MV_SWEEP_MIXERS, NULL, e)))
        return e->code;
    mv_passes_stop_when(mv_sweep_passes(r->sweep), stop_asked);
    mv_passes_watch(mv_sweep_passes(r->sweep), show_progress, NULL);
    return MV_OK;
}

static mv_status take_grid(report_sweep *out, const mv_sweep *s, int grid, const double *change, mv_error *e)
{
    mv_sweep_grid g = mv_sweep_grid_at(s, grid);
    size_t rows = (size_t)g.rows, all = rows * (size_t)g.columns;
    out->row = calloc(rows, sizeof *out->row);
    out->length = calloc(rows, sizeof *out->length);
    out->change = malloc(all * sizeof *out->change);
    if (!out->row || !out->length || !out->change)
        return mv_fail_memory(e, "report");
    out->rows = g.rows;
    out->columns = g.columns;
    for (size_t i = 0; i < all; i++)
        out->change[i] = NAN;
    for (int i = 0; i < g.rows; i++)
        mv_sweep_row_name(s, grid, i, out->row[i]);
    for (int i = g.first; i < g.first + g.count; i++) {
        mv_sweep_item item = mv_sweep_at(s, i);
        out->change[(size_t)item.row * (size_t)g.columns + (size_t)item.column] = change[i];
        if (out->length[item.row] <= item.column)
            out->length[item.row] = item.column + 1;
    }
    return MV_OK;
}

static mv_status run_sweep(report_study *r, const study *s, int class_, report_result *out, mv_error *e)
{
    if (!r->sweep)
        return MV_OK;
    double *change = malloc((size_t)mv_sweep_count(r->sweep) * sizeof *change);
    mv_status status =
        change ? mv_sweep_run(r->sweep, s->planes, &class_, 1, NULL, change, e) : mv_fail_memory(e, "report");
    for (int i = 0; i < mv_sweep_grids(r->sweep) && !status; i++)
        status = take_grid(mv_sweep_grid_at(r->sweep, i).kind == MV_SWEEP_HEADS ? &out->heads : &out->mixers, r->sweep,
                           i, change, e);
    free(change);
    return status;
}

/* ---- deletion and insertion */

static mv_status run_faith(const report_study *r, const study *s, const mv_map *cam, int class_, report_result *out,
                           mv_error *e)
{
    if (r->ask->without[REPORT_FAITH])
        return MV_OK;
    const mv_faith_options how = {.steps = r->ask->steps, .seeds = r->ask->seeds};
    const mv_faith_baseline *random;
    mv_faith *f = mv_faith_new(&how, s->passes, s->planes, r->h, r->w, r->c->session.config.classes, class_, e);
    if (!f)
        return e->code;
    mv_status status = mv_faith_map(f, cam, &out->cam, e);
    if (!status)
        status = mv_faith_random(f, cam->h, cam->w, &random, e);
    if (!status) {
        out->random = random->mean;
        out->spread = random->spread;
        out->steps = r->ask->steps;
        out->seeds = r->ask->seeds;
    }
    mv_faith_free(f);
    return status;
}

/* ---- the mirrored picture */

static mv_status prepare_mirror(report_study *r, mv_error *e)
{
    if (r->ask->without[REPORT_MIRROR])
        return MV_OK;
    r->evidence = (mv_ask){mv_method_lookup("cam"), NULL, 0, MV_MAP_NONE};
    r->mirror = mv_explainer_new(&r->evidence, 1, &r->c->session.config, r->h, r->w, e);
    if (!r->mirror)
        return e->code;
    r->passes = mv_passes_new(r->c->session.model, r->h, r->w, 1, mv_explainer_probe(r->mirror), e);
    if (!r->passes)
        return e->code;
    mv_passes_stop_when(r->passes, stop_asked);
    return MV_OK;
}

typedef struct {
    report_study *r;
    const study *s;
    const mv_map *cam;
    report_result *out;
} mirror;

static void mirror_input(void *context, int i, float *planes)
{
    const mirror *m = context;
    int w = m->r->w;
    (void)i;
    for (int row = 0; row < 3 * m->r->h; row++)
        for (int x = 0; x < w; x++)
            planes[(size_t)row * (size_t)w + (size_t)x] = m->s->planes[(size_t)row * (size_t)w + (size_t)(w - 1 - x)];
}

static const char *no_name(void *unused, int c, char text[24])
{
    (void)unused;
    snprintf(text, 24, "class %d", c);
    return text;
}

/* Pearson's correlation of a map with another one that is mirrored. */
static double likeness(const mv_map *a, const mv_map *b)
{
    double ma = mv_map_mean(a), mb = mv_map_mean(b), ab = 0, aa = 0, bb = 0;
    for (int y = 0; y < a->h; y++)
        for (int x = 0; x < a->w; x++) {
            double p = (double)a->v[y * a->w + x] - ma, q = (double)b->v[y * a->w + a->w - 1 - x] - mb;
            ab += p * q;
            aa += p * p;
            bb += q * q;
        }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : NAN;
}

static mv_status take_mirrored(void *context, int i, const float *logits, mv_error *e)
{
    const mirror *m = context;
    report_result *out = m->out;
    int classes = m->r->c->session.config.classes;
    double sum = 0;
    mv_maps maps = {0};
    (void)i;
    mv_status status =
        mv_explainer_explain(m->r->mirror, 0, m->r->c->session.model, 0, NULL, logits, no_name, NULL, &maps, e);
    if (!status && maps.n == 1) {
        out->mirrored = true;
        out->mirror_likeness = likeness(m->cam, &maps.map[0]);
        for (int k = 1; k < classes; k++)
            if (logits[k] > logits[out->mirror_top])
                out->mirror_top = k;
        for (int k = 0; k < classes; k++)
            sum += exp((double)logits[k] - (double)logits[m->cam->class_]);
        out->mirror_probability = 1 / sum;
    }
    mv_maps_free(&maps);
    return status;
}

static mv_status run_mirror(report_study *r, const study *s, const mv_map *cam, report_result *out, mv_error *e)
{
    mirror m = {r, s, cam, out};
    if (!r->mirror)
        return MV_OK;
    r->evidence.class_ = cam->class_;
    mv_explainer_clear(r->mirror);
    return mv_passes_run(r->passes, 1, mirror_input, take_mirrored, &m, e);
}

/* ---- one picture */

static mv_status prepare(report_study *r, int h, int w, mv_error *e)
{
    if (r->h == h && r->w == w)
        return MV_OK;
    drop_runs(r);
    r->h = h;
    r->w = w;
    mv_status status = prepare_sweep(r, e);
    if (!status)
        status = prepare_mirror(r, e);
    if (status)
        drop_runs(r);
    return status;
}

mv_status report_study_run(report_study *r, const study *s, const mv_map *cam, report_result **out, mv_error *e)
{
    report_result *result = *out = calloc(1, sizeof *result);
    if (!result)
        return mv_fail_memory(e, "report");
    if (prepare(r, s->shot->h, s->shot->w, e) || run_sweep(r, s, cam->class_, result, e) ||
        run_faith(r, s, cam, cam->class_, result, e))
        return e->code;
    return run_mirror(r, s, cam, result, e);
}
