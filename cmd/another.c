#include "cmd/another.h"

#include <string.h>

#include "cmd/stop.h"

static mv_status open_explainer(another *x, int h, int w, int batch, mv_error *e)
{
    x->explainer = mv_explainer_new(x->ask, x->asks, &x->session->config, h, w, e);
    if (!x->explainer)
        return e->code;
    if (!mv_explainer_takes_passes(x->explainer))
        return MV_OK;
    x->passes = mv_passes_new(x->model, h, w, batch, NULL, e);
    if (!x->passes)
        return e->code;
    mv_passes_stop_when(x->passes, stop_asked);
    mv_explainer_use(x->explainer, x->passes);
    return MV_OK;
}

/* The explainer's probes, then the others. */
static mv_probe *chain_of(const another *x, mv_probe *probes)
{
    mv_probe *first = x->explainer ? mv_explainer_probe(x->explainer) : NULL, *last = first;
    if (!first)
        return probes;
    while (last->next)
        last = last->next;
    last->next = probes;
    return first;
}

mv_status another_open(another *x, const session *s, const mv_model *model, const mv_ask *asks, int n, mv_probe *probes,
                       int h, int w, int batch, mv_error *e)
{
    *x = (another){.session = s, .model = model, .asks = n};
    if (n)
        memcpy(x->ask, asks, (size_t)n * sizeof *asks);
    mv_status status = n ? open_explainer(x, h, w, batch, e) : MV_OK;
    if (!status && !(x->run = mv_run_new_back(model, h, w, 1, chain_of(x, probes),
                                              x->explainer ? mv_explainer_back(x->explainer) : NULL, e)))
        status = e->code;
    if (status)
        another_close(x);
    else
        mv_run_stop_when(x->run, stop_asked);
    return status;
}

void another_close(another *x)
{
    mv_run_free(x->run);
    mv_explainer_free(x->explainer);
    mv_passes_free(x->passes);
    *x = (another){0};
}

mv_status another_run(another *x, const float *planes, float *logits, mv_error *e)
{
    if (x->explainer)
        mv_explainer_clear(x->explainer);
    return mv_run_forward(x->run, planes, 1, logits, e);
}

mv_status another_explain(another *x, const float *planes, const float *logits, mv_maps *maps, mv_error *e)
{
    mv_status s = MV_OK;
    for (int i = 0; i < x->asks && !s; i++)
        s = mv_explainer_explain(x->explainer, i, x->model, 0, planes, logits, session_class_name, (void *)x->session,
                                 &maps[i], e);
    return s;
}
