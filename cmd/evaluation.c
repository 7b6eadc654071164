#include "cmd/evaluation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"
#include "src/model/labels.h"

enum { SEED = 20171 }; /* of all intervals */

/* ---- classes and confusion */

static mv_status take_names(evaluation *v, mv_error *e)
{
    const json_t *names = json_object_get(v->of->settings, "classes");
    v->classes = (int)json_array_size(names);
    v->class_name = calloc((size_t)v->classes + 1, sizeof *v->class_name);
    v->wnid = calloc((size_t)v->classes + 1, sizeof *v->wnid);
    v->class_ = calloc((size_t)v->classes + 1, sizeof *v->class_);
    if (!v->class_name || !v->wnid || !v->class_)
        return mv_fail_memory(e, "eval");
    for (int i = 0; i < v->classes; i++) {
        const json_t *both = json_array_get(names, (size_t)i);
        v->wnid[i] = json_string_value(json_array_get(both, 0));
        v->class_name[i] = json_string_value(json_array_get(both, 1));
        if (!v->class_name[i] || !mv_text_is_safe(v->class_name[i]) || (v->wnid[i] && !mv_text_is_safe(v->wnid[i])))
            return mv_fail(e, MV_EINPUT, "the records of eval: found no name of class %d", i);
    }
    v->brief = mv_labels_short(v->class_name, v->classes);
    return v->brief ? MV_OK : mv_fail_memory(e, "eval");
}

static int by_classes(const void *a, const void *b)
{
    const confusion *x = a, *y = b;
    return x->true_ != y->true_ ? (x->true_ > y->true_) - (x->true_ < y->true_)
                                : (x->answer > y->answer) - (x->answer < y->answer);
}

static int by_count(const void *a, const void *b)
{
    const confusion *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : by_classes(a, b);
}

static mv_status count_classes(evaluation *v, mv_error *e)
{
    const records *r = v->of;
    confusion *all = v->confusion = calloc((size_t)r->n + 1, sizeof *all);
    int n = 0;
    if (!all)
        return mv_fail_memory(e, "eval");
    for (int i = 0; i < v->classes; i++)
        v->class_[i].confused_with = -1;
    for (int i = 0; i < r->n; i++) {
        const record *one = &r->record[i];
        class_result *c = &v->class_[one->class_];
        c->pictures++;
        c->top1 += one->rank == 0;
        c->top5 += one->rank < 5;
        v->class_[one->answer].answered++;
        if (one->answer != one->class_)
            all[n++] = (confusion){one->class_, one->answer, 1};
    }
    qsort(all, (size_t)n, sizeof *all, by_classes);
    for (int i = 0; i < n; i++)
        if (v->confusions && by_classes(&all[v->confusions - 1], &all[i]) == 0)
            all[v->confusions - 1].n++;
        else
            all[v->confusions++] = all[i];
    qsort(all, (size_t)v->confusions, sizeof *all, by_count);
    for (int i = 0; i < v->confusions; i++) {
        class_result *c = &v->class_[all[i].true_];
        if (c->confused_with < 0)
            c->confused_with = all[i].answer, c->confused = all[i].n;
    }
    return MV_OK;
}

/* ---- means over the pictures */

static const score *score_of(const record *one, int row)
{
    for (int i = 0; i < one->n; i++)
        if (one->score[i].row == row)
            return &one->score[i];
    return NULL;
}

static mv_status estimate(const evaluation *v, mv_estimate *out, double *values,
                          double (*value)(const record *one, int row, int figure, int other), int row, int figure_,
                          int other, mv_error *e)
{
    for (int i = 0; i < v->of->n; i++)
        values[i] = value(&v->of->record[i], row, figure_, other);
    return mv_bootstrap(out, values, v->of->n, SEED, e);
}

static double is_right(const record *one, int row, int within, int other)
{
    (void)row;
    (void)other;
    return one->rank < within;
}

static double figure_value(const record *one, int row, int figure_, int other)
{
    const score *s = score_of(one, row);
    (void)other;
    return s ? s->v[figure_] : NAN;
}

/* Deletion: the baseline's less its own; insertion the other way. */
static double gain_value(const record *one, int row, int figure_, int other)
{
    const score *s = score_of(one, row), *base = score_of(one, other);
    if (!s || !base)
        return NAN;
    double d = s->v[figure_] - base->v[figure_];
    return figure_ == FIGURE_DELETION ? -d : d;
}

static mv_status mean_stages(evaluation *v, map_result *m, int row, mv_error *e)
{
    int n = 0;
    for (int i = 0; i < v->of->n; i++) {
        const score *s = score_of(&v->of->record[i], row);
        if (!s || !s->stages)
            continue;
        if (!m->stage) {
            m->stages = s->stages;
            m->stage = calloc((size_t)m->stages, sizeof *m->stage);
            if (!m->stage)
                return mv_fail_memory(e, "eval");
        }
        n++;
        for (int k = 0; k < m->stages && k < s->stages; k++)
            m->stage[k] += s->stage[k];
    }
    for (int k = 0; k < m->stages; k++)
        m->stage[k] /= n;
    return MV_OK;
}

static mv_status measure_maps(evaluation *v, double *values, mv_error *e)
{
    const records *r = v->of;
    int cells = -1;
    v->map = calloc((size_t)r->rows + 1, sizeof *v->map);
    if (!v->map)
        return mv_fail_memory(e, "eval");
    for (int i = 0; i < r->rows; i++)
        if (strcmp(r->row[i], EVAL_RANDOM_CELLS) == 0)
            cells = i;
    for (int i = 0; i < r->n; i++)
        for (int k = 0; k < 2; k++)
            v->grain[k] = i == 0 || v->grain[k] == r->record[i].grain[k] ? r->record[i].grain[k] : 0;
    for (v->maps = 0; v->maps < r->rows; v->maps++) {
        map_result *m = &v->map[v->maps];
        m->name = r->row[v->maps];
        m->random = strcmp(m->name, EVAL_CENTRE) == 0 || v->maps == cells;
        for (int f = 0; f < FIGURES; f++)
            if (estimate(v, &m->figure[f], values, figure_value, v->maps, f, 0, e))
                return e->code;
        for (int f = FIGURE_DELETION; f <= FIGURE_INSERTION; f++)
            if (estimate(v, &m->gain[f], values, gain_value, v->maps, f, cells, e))
                return e->code;
        if (mean_stages(v, m, v->maps, e))
            return e->code;
    }
    return MV_OK;
}

static mv_status compute(evaluation *v, double *values, double *right, mv_error *e)
{
    const records *r = v->of;
    if (take_names(v, e) || count_classes(v, e))
        return e->code;
    if (estimate(v, &v->top1, values, is_right, 0, 1, 0, e) || estimate(v, &v->top5, values, is_right, 0, 5, 0, e))
        return e->code;
    for (int i = 0; i < r->n; i++) {
        values[i] = r->record[i].p;
        right[i] = r->record[i].rank == 0;
    }
    mv_calibrate(&v->calibration, values, right, r->n);
    return measure_maps(v, values, e);
}

mv_status evaluation_of(evaluation *v, const records *r, mv_error *e)
{
    *v = (evaluation){.of = r};
    double *values = malloc(2 * ((size_t)r->n + 1) * sizeof *values);
    if (!values)
        return mv_fail_memory(e, "eval");
    mv_status s = compute(v, values, values + r->n + 1, e);
    free(values);
    return s;
}

void evaluation_free(evaluation *v)
{
    for (int i = 0; i < v->maps; i++)
        free(v->map[i].stage);
    mv_labels_short_free(v->brief, v->classes);
    free(v->class_name);
    free(v->wnid);
    free(v->class_);
    free(v->confusion);
    free(v->map);
    *v = (evaluation){0};
}

double evaluation_value(const record *one, int row, figure f)
{
    return figure_value(one, row, (int)f, 0);
}
