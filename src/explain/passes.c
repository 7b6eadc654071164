#include "src/explain/passes.h"

#include <stdlib.h>

#include "src/run/run.h"

struct mv_passes {
    const mv_model *model;
    int h, w, batch;
    mv_probe *probe;
    mv_back back; /* passes 0: none */
    bool (*asked)(void);
    void (*passed)(void *context, int done, int of);
    void *watcher;
    mv_run *run;
    float *planes, *logits; /* of one batch */
    long count;
};

mv_passes *mv_passes_new_back(const mv_model *model, int h, int w, int batch, mv_probe *probe, const mv_back *back,
                              mv_error *e)
{
    mv_passes *p = calloc(1, sizeof *p);
    if (!p) {
        mv_fail_memory(e, "passes");
        return NULL;
    }
    *p = (mv_passes){.model = model, .h = h, .w = w, .batch = batch < 1 ? 1 : batch, .probe = probe};
    if (back)
        p->back = *back;
    return p;
}

mv_passes *mv_passes_new(const mv_model *model, int h, int w, int batch, mv_probe *probe, mv_error *e)
{
    return mv_passes_new_back(model, h, w, batch, probe, NULL, e);
}

mv_passes *mv_passes_through(const mv_passes *p, mv_probe *probe, const mv_back *back, mv_error *e)
{
    mv_passes *q = mv_passes_new_back(p->model, p->h, p->w, p->batch, probe, back, e);
    if (q) {
        mv_passes_stop_when(q, p->asked);
        mv_passes_watch(q, p->passed, p->watcher);
    }
    return q;
}

void mv_passes_free(mv_passes *p)
{
    if (!p)
        return;
    mv_run_free(p->run);
    free(p->planes);
    free(p->logits);
    free(p);
}

void mv_passes_stop_when(mv_passes *p, bool (*asked)(void))
{
    p->asked = asked;
}

void mv_passes_watch(mv_passes *p, void (*passed)(void *context, int done, int of), void *context)
{
    p->passed = passed;
    p->watcher = context;
}

static size_t plane_count(const mv_passes *p)
{
    return (size_t)3 * (size_t)p->h * (size_t)p->w;
}

static mv_status prepare(mv_passes *p, mv_error *e)
{
    size_t classes = (size_t)p->model->config.classes, n = (size_t)p->batch;
    if (!p->planes)
        p->planes = malloc(n * plane_count(p) * sizeof *p->planes);
    if (!p->logits)
        p->logits = malloc(n * classes * sizeof *p->logits);
    if (!p->planes || !p->logits)
        return mv_fail_memory(e, "passes");
    if (p->run)
        return MV_OK;
    p->run = mv_run_new_back(p->model, p->h, p->w, p->batch, p->probe, p->back.passes ? &p->back : NULL, e);
    if (!p->run)
        return e->code;
    if (p->asked)
        mv_run_stop_when(p->run, p->asked);
    return MV_OK;
}

mv_status mv_passes_run(mv_passes *p, int n, mv_pass_make *make, mv_pass_take *take, void *context, mv_error *e)
{
    size_t classes = (size_t)p->model->config.classes;
    mv_status s = prepare(p, e);
    for (int from = 0; from < n && !s; from += p->batch) {
        int size = n - from < p->batch ? n - from : p->batch;
        for (int i = 0; i < size; i++)
            make(context, from + i, p->planes + (size_t)i * plane_count(p));
        s = mv_run_forward(p->run, p->planes, size, p->logits, e);
        for (int i = 0; i < size && !s; i++)
            s = take(context, from + i, p->logits + (size_t)i * classes, e);
        p->count += s ? 0 : size;
        if (p->passed && !s)
            p->passed(p->watcher, from + size, n);
    }
    return s;
}

int mv_passes_batch(const mv_passes *p)
{
    return p->batch;
}

int mv_passes_height(const mv_passes *p)
{
    return p->h;
}

int mv_passes_width(const mv_passes *p)
{
    return p->w;
}

long mv_passes_count(const mv_passes *p)
{
    return p->count;
}
