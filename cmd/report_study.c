#include "cmd/report_study.h"

#include <math.h>
#include <stdlib.h>

#include "cmd/stop.h"
#include "cmd/talk.h"
#include "src/model/grid.h"

/* What runs the network on changed inputs of one size. */
struct report_study {
    call *c;
    const report_ask *ask;
    int h, w;
    mv_sweep *sweep; /* NULL: nothing is swept */
    const mv_inside_params *view;
    mv_auditor *auditor; /* NULL: left out */
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
    free(r->audit);
    free(r);
}

report_study *report_study_new(call *c, const report_ask *ask, const mv_inside_params *view, mv_error *e)
{
    report_study *r = calloc(1, sizeof *r);
    if (!r) {
        mv_fail_memory(e, "report");
        return NULL;
    }
    r->c = c;
    r->ask = ask;
    r->view = view;
    return r;
}

static void drop_runs(report_study *r)
{
    mv_sweep_free(r->sweep);
    mv_auditor_free(r->auditor);
    r->sweep = NULL;
    r->auditor = NULL;
    r->h = r->w = 0;
}

void report_study_free(report_study *r)
{
    if (!r)
        return;
    drop_runs(r);
    free(r);
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
    mv_passes_watch(mv_sweep_passes(r->sweep), progress_passes, NULL);
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

static mv_status run_faith(const report_study *r, const study *s, const mv_map *evidence, int class_,
                           report_result *out, mv_error *e)
{
    if (r->ask->without[REPORT_FAITH])
        return MV_OK;
    const mv_faith_options how = {.steps = r->ask->steps, .seeds = r->ask->seeds};
    const mv_faith_baseline *random = NULL;
    mv_faith *f = mv_faith_new(&how, s->passes, s->planes, r->h, r->w, r->c->session.config.classes, class_, e);
    if (!f)
        return e->code;
    mv_status status = mv_faith_map(f, evidence, &out->map, e);
    if (!status)
        status = mv_faith_random(f, &random, e);
    if (!status) {
        out->random = random->mean;
        out->spread = random->spread;
        out->steps = r->ask->steps;
        out->seeds = r->ask->seeds;
    }
    mv_faith_free(f);
    return status;
}

/* ---- the picture mirrored, and upside down */

static mv_status run_audit(report_study *r, const study *s, const mv_map *cam, const mv_maps *inside,
                           report_result *out, mv_error *e)
{
    if (!r->auditor)
        return MV_OK;
    out->audit = mv_auditor_run(r->auditor, s->planes, s->shot->logits, inside, cam, e);
    return out->audit ? MV_OK : e->code;
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
    if (!status && !r->ask->without[REPORT_MIRROR]) {
        r->auditor = mv_auditor_new(r->view, r->c->session.model, h, w, stop_asked, e);
        status = r->auditor ? MV_OK : e->code;
    }
    if (status)
        drop_runs(r);
    return status;
}

mv_status report_study_run(report_study *r, const study *s, const mv_map *evidence, const mv_map *cam,
                           const mv_maps *inside, report_result **out, mv_error *e)
{
    report_result *result = *out = calloc(1, sizeof *result);
    if (!result)
        return mv_fail_memory(e, "report");
    if (prepare(r, s->shot->h, s->shot->w, e) || run_sweep(r, s, cam->class_, result, e) ||
        run_faith(r, s, evidence, cam->class_, result, e))
        return e->code;
    return run_audit(r, s, cam, inside, result, e);
}
