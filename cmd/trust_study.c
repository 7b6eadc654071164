#include "cmd/trust_study.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/evaluation.h"
#include "cmd/photo.h"
#include "cmd/regions.h"
#include "cmd/talk.h"
#include "src/explain/faith.h"
#include "src/explain/pointing.h"
#include "src/explain/redraw.h"

enum { SEED = 1810 };

/* ---- rows */

/* The score of a map of ask `a`, a new one at the end of the record; NULL on failure. */
static score *add_score(const trust_study *t, records *r, record *one, int a, const mv_maps *maps, int k, mv_error *e)
{
    char name[MV_MAP_NAME], row[MV_MAP_NAME + 160];
    mv_map any = maps->map[k]; /* a row is of all pictures, whatever their classes are */
    any.class_ = any.against = MV_MAP_NONE;
    if (maps->n == 1)
        snprintf(row, sizeof row, "%.150s", t->label[a]);
    else
        snprintf(row, sizeof row, "%.150s %s", t->label[a], mv_map_name(&any, name));
    score *more = realloc(one->score, ((size_t)one->n + 1) * sizeof *more);
    if (more) {
        one->score = more;
        one->score[one->n] = (score){.row = records_row(r, row), .v = {NAN, NAN, NAN, NAN, NAN, NAN}};
    }
    if (!more || one->score[one->n].row < 0) {
        mv_fail(e, MV_ENOMEM, "%s: out of memory, or more than 256 maps", t->label[a]);
        return NULL;
    }
    return &one->score[one->n++];
}

/* ---- deletion, insertion, ROAD; boxes */

static void take(score *s, const mv_faith_score *f)
{
    s->v[FIGURE_DELETION] = f->deletion_area;
    s->v[FIGURE_INSERTION] = f->insertion_area;
    s->v[FIGURE_ROAD] = f->road;
}

static mv_status point(const study *s, const bool *inside, const mv_map *m, score *to, mv_error *e)
{
    bool hit;
    if (!inside)
        return MV_OK;
    mv_status status = mv_pointing(m, inside, s->shot->h, s->shot->w, &hit, &to->v[FIGURE_ENERGY], e);
    to->v[FIGURE_POINTING] = hit;
    return status;
}

static mv_status measure_maps(trust_study *t, const call *c, const study *s, mv_faith *f, const bool *inside,
                              records *r, record *one, mv_error *e)
{
    mv_status status = MV_OK;
    for (int a = 0; a < c->asks && !status; a++) {
        int ordered = 0;
        for (int k = 0; k < s->maps[a].n && !status; k++) {
            const mv_map *m = &s->maps[a].map[k];
            mv_faith_score got;
            if (!mv_faith_has_order(m))
                continue;
            ordered++;
            status = mv_faith_map(f, m, &got, e);
            score *to = status ? NULL : add_score(t, r, one, a, &s->maps[a], k, e);
            if (!to)
                return e->code;
            take(to, &got);
            status = point(s, inside, m, to, e);
        }
        if (!status && ordered == 0)
            return mv_fail(e, MV_EINPUT,
                           "--faith: found %s, which gives colours, expected a method whose maps have an order",
                           t->label[a]);
    }
    return status;
}

static score *add_baseline(trust_study *t, records *r, record *one, const char *name, mv_error *e)
{
    mv_map none = {0};
    mv_maps single = {.n = 1, .map = &none};
    t->label[CALL_ASKS - 1] = name;
    return add_score(t, r, one, CALL_ASKS - 1, &single, 0, e);
}

/* Random maps: what is expected of them where it is known, else measured. */
static mv_status measure_random(trust_study *t, const study *s, mv_faith *f, const bool *inside, records *r,
                                record *one, mv_error *e)
{
    const mv_faith_baseline *b;
    double area = 0;
    for (int i = 0; inside && i < s->shot->h * s->shot->w; i++)
        area += inside[i] / (double)(s->shot->h * s->shot->w);
    if (mv_faith_random(f, &b, e))
        return e->code;
    score *to = add_baseline(t, r, one, EVAL_RANDOM_CELLS, e);
    if (!to)
        return e->code;
    take(to, &b->mean);
    if (inside)
        to->v[FIGURE_POINTING] = to->v[FIGURE_ENERGY] = area;
    to->v[FIGURE_GRID] = isnan(one->score[0].v[FIGURE_GRID]) ? NAN : 0.25;
    return MV_OK;
}

/* A blob in the middle knows nothing of the picture, but photos are centred. */
static mv_status measure_centre(trust_study *t, mv_faith *f, records *r, record *one, mv_error *e)
{
    const mv_faith_score *got;
    if (mv_faith_centre(f, &got, e))
        return e->code;
    score *to = add_baseline(t, r, one, EVAL_CENTRE, e);
    if (!to)
        return e->code;
    take(to, got);
    return MV_OK;
}

/* ---- other inputs and networks */

/* With the asks of the call. */
static mv_status open_asks(another *x, const call *c, const mv_model *model, int h, int w, mv_error *e)
{
    return another_open(x, &c->session, model, c->ask, c->asks, NULL, h, w, c->o.batch, e);
}

/* The maps of every ask, maps[CALL_ASKS], which the caller frees, also after a failure. Asks for a class get this one,
 * whatever the network answers. */
static mv_status explain(another *x, const call *c, const float *planes, int class_, mv_maps *maps, mv_error *e)
{
    float *logits = malloc((size_t)c->session.config.classes * sizeof *logits);
    for (int i = 0; i < c->asks; i++)
        if (c->ask[i].class_ != MV_MAP_NONE)
            x->ask[i].class_ = class_;
    mv_status s = logits ? another_run(x, planes, logits, e) : mv_fail_memory(e, "another input");
    if (!s)
        s = another_explain(x, planes, logits, maps, e);
    free(logits);
    return s;
}

/* ---- four pictures in one */

static mv_status load(const call *c, const char *path, float *planes, mv_error *e)
{
    mv_image whole = {0}, crop = {0};
    const mv_picture_options how = photo_options(c);
    mv_status s = mv_picture_load(&whole, path, &how, e);
    if (!s)
        s = mv_preprocess_crop(&c->session.config.preprocess, &whole, &crop, e);
    if (!s)
        mv_preprocess_normalise(&c->session.config.preprocess, &crop, planes);
    mv_image_free(&whole);
    mv_image_free(&crop);
    return s;
}

/* A picture that is none, or that this user may not read: its own turn says so. What fails otherwise (memory, the disk)
 * may not fail another time, and must not decide which pictures are chosen. */
static bool is_passed_over(mv_status s, const char *path)
{
    return s == MV_EINPUT || (s == MV_EIO && access(path, R_OK));
}

/* The other three: pictures of other classes, a quarter, half and three quarters of the list away, or the next ones
 * after those that can be read. They follow from the whole list, so that every part of a run chooses the same ones.
 * *chosen says whether there are three. */
static mv_status choose_others(const trust_study *t, const call *c, int i, size_t size, float *planes, bool *chosen,
                               mv_error *e)
{
    int taken[4] = {t->truth->class_[i]};
    *chosen = true;
    for (int k = 1; k < 4 && *chosen; k++) {
        *chosen = false;
        for (int step = 0; step < t->truth->n && !*chosen; step++) {
            int j = (int)(((long long)i + (long long)t->truth->n * k / 4 + step) % t->truth->n);
            const char *path = t->truth->path[j];
            bool known = operand_is_ready(path);
            for (int q = 0; q < k; q++)
                known |= taken[q] == t->truth->class_[j];
            mv_error why = {0};
            if (known || (load(c, path, planes + (size_t)k * size, &why) && is_passed_over(why.code, path)))
                continue;
            if (why.code)
                return mv_fail(e, why.code, "another picture of its grid: %s", why.text);
            taken[k] = t->truth->class_[j];
            *chosen = true;
        }
    }
    return MV_OK;
}

static mv_status explain_quarters(trust_study *t, const call *c, const study *s, const float *four, int i, record *one,
                                  mv_error *e)
{
    int h = s->shot->h, w = s->shot->w, own = i % 4, row = 0;
    size_t size = (size_t)3 * (size_t)h * (size_t)w;
    const float *in[4];
    float *input = malloc(size * sizeof *input);
    mv_maps maps[CALL_ASKS] = {0};
    for (int q = 0; q < 4; q++)
        in[(own + q) % 4] = four + (size_t)q * size;
    mv_status status = input ? mv_quarters_make(input, in, h, w, e) : mv_fail_memory(e, "quarters");
    if (!status && !t->quarters.run) /* all inputs have the model's own size */
        status = open_asks(&t->quarters, c, c->session.model, h, w, e);
    if (!status)
        status = explain(&t->quarters, c, input, t->truth->class_[i], maps, e);
    for (int a = 0; a < c->asks && !status; a++)
        for (int k = 0; k < maps[a].n && !status; k++)
            if (mv_faith_has_order(&maps[a].map[k]) && row < one->n)
                status = mv_quarters_share(&maps[a].map[k], own, h, w, &one->score[row++].v[FIGURE_GRID], e);
    for (int a = 0; a < CALL_ASKS; a++)
        mv_maps_free(&maps[a]);
    free(input);
    return status;
}

static mv_status measure_quarters(trust_study *t, const call *c, const study *s, int i, record *one, mv_error *e)
{
    int h = s->shot->h, w = s->shot->w;
    size_t size = (size_t)3 * (size_t)h * (size_t)w;
    const mv_preprocess *p = &c->session.config.preprocess;
    if (t->without[WITHOUT_GRID] || h != p->h || w != p->w)
        return MV_OK;
    float *four = malloc(4 * size * sizeof *four);
    if (!four)
        return mv_fail_memory(e, "quarters");
    memcpy(four, s->planes, size * sizeof *four);
    bool chosen;
    mv_status status = choose_others(t, c, i, size, four, &chosen, e);
    if (!status && chosen)
        status = explain_quarters(t, c, s, four, i, one, e);
    free(four);
    return status;
}

/* ---- re-drawn parameters */

static bool is_redrawn(const trust_study *t, int i)
{
    long long m = t->redraws < t->truth->n ? t->redraws : t->truth->n, n = t->truth->n;
    return i * m / n != (i + 1) * m / n;
}

static mv_status compare(const call *c, const study *s, const mv_maps *maps, int stage, int stages, record *one,
                         mv_error *e)
{
    int row = 0;
    for (int a = 0; a < c->asks; a++)
        for (int k = 0; k < s->maps[a].n; k++) {
            const mv_map *was = &s->maps[a].map[k];
            if (!mv_faith_has_order(was))
                continue;
            score *to = &one->score[row++];
            if (!to->stage && !(to->stage = calloc((size_t)stages, sizeof *to->stage)))
                return mv_fail_memory(e, "redrawn");
            to->stages = stages;
            const mv_map *is = k < maps[a].n ? &maps[a].map[k] : NULL;
            if (!is || is->h != was->h || is->w != was->w)
                return mv_fail(e, MV_EMISUSE, "redrawn: the map has another size");
            to->stage[stage] = mv_rank_correlation(mv_map_raw(was), mv_map_raw(is), was->h * was->w);
        }
    return MV_OK;
}

static mv_status measure_redrawn(const trust_study *t, const call *c, const study *s, int i, record *one, mv_error *e)
{
    const mv_config *config = &c->session.config;
    int stages = mv_redraw_stages(config);
    mv_status status = MV_OK;
    for (int k = 0; k < stages && is_redrawn(t, i) && !status; k++) {
        mv_redraw r;
        mv_maps maps[CALL_ASKS] = {0};
        mv_source *from = mv_redraw_source(&r, mv_checkpoint_source(c->session.checkpoint), config, k + 1, SEED);
        mv_model *m = mv_model_new(config, c->session.backend, from, e);
        another net = {0};
        status = m ? open_asks(&net, c, m, s->shot->h, s->shot->w, e) : e->code;
        if (!status)
            status = explain(&net, c, s->planes, one->answer, maps, e);
        if (!status)
            status = compare(c, s, maps, k, stages, one, e);
        for (int j = 0; j < CALL_ASKS; j++)
            mv_maps_free(&maps[j]);
        another_close(&net);
        mv_model_free(m);
        progress_passes(NULL, k + 1, stages);
    }
    return status;
}

/* ---- a picture */

mv_status trust_study_picture(trust_study *t, const call *c, const study *s, records *r, record *one, mv_error *e)
{
    mv_faith_options o = {.steps = t->steps,
                          .seeds = t->seeds,
                          .road = !t->without[WITHOUT_ROAD],
                          .seed = SEED + 1000 * (uint64_t)one->i};
    bool *inside = NULL;
    mv_faith *f =
        mv_faith_new(&o, s->passes, s->planes, s->shot->h, s->shot->w, c->session.config.classes, one->answer, e);
    mv_status status = f ? MV_OK : e->code;
    mv_faith_grain(s->shot->h, s->shot->w, one->grain);
    if (!status && t->regions && one->rank == 0)
        status = regions_of(t->regions, &c->session, t->truth->path[one->i] + t->below, one->class_, s->shot->h,
                            s->shot->w, &inside, e);
    if (!status)
        status = measure_maps(t, c, s, f, inside, r, one, e);
    if (!status)
        status = measure_quarters(t, c, s, one->i, one, e);
    if (!status)
        status = measure_redrawn(t, c, s, one->i, one, e);
    if (!status && !t->without[WITHOUT_RANDOM])
        status = measure_random(t, s, f, inside, r, one, e);
    if (!status && !t->without[WITHOUT_RANDOM])
        status = measure_centre(t, f, r, one, e);
    free(inside);
    mv_faith_free(f);
    return status;
}

void trust_study_free(trust_study *t)
{
    another_close(&t->quarters);
}
