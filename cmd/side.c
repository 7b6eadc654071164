#include "cmd/side.h"

#include "cmd/stop.h"
#include "cmd/talk.h"

static void count_passes(void *unused, int done, int of)
{
    (void)unused;
    progress_passes(done, of);
}

static mv_status open_explainer(side *x, int batch, mv_error *e)
{
    const session *s = x->session;
    x->explainer = mv_explainer_new(&x->ask, 1, &s->config, x->h, x->w, e);
    if (!x->explainer)
        return e->code;
    if (!mv_explainer_takes_passes(x->explainer))
        return MV_OK;
    x->passes = mv_passes_new(s->model, x->h, x->w, batch, NULL, e);
    if (!x->passes)
        return e->code;
    mv_passes_stop_when(x->passes, stop_asked);
    mv_passes_watch(x->passes, count_passes, NULL);
    mv_explainer_use(x->explainer, x->passes);
    return MV_OK;
}

mv_status side_open(side *x, session *s, const mv_ask *ask, mv_probe *probes, int h, int w, int batch, mv_error *e)
{
    *x = (side){.session = s, .h = h, .w = w};
    mv_probe *chain = probes;
    if (ask) {
        x->ask = *ask;
        if (open_explainer(x, batch, e)) {
            side_close(x);
            return e->code;
        }
        chain = mv_explainer_probe(x->explainer);
        mv_probe *last = chain;
        while (last && last->next)
            last = last->next;
        if (last)
            last->next = probes;
        else
            chain = probes;
    }
    x->run = mv_run_new(s->model, h, w, 1, chain, e);
    if (!x->run) {
        side_close(x);
        return e->code;
    }
    mv_run_stop_when(x->run, stop_asked);
    return MV_OK;
}

void side_close(side *x)
{
    mv_run_free(x->run);
    mv_explainer_free(x->explainer);
    mv_passes_free(x->passes);
    *x = (side){0};
}

mv_status side_run(side *x, const float *planes, float *logits, mv_error *e)
{
    size_t classes = (size_t)x->session->config.classes;
    if (x->explainer)
        mv_explainer_clear(x->explainer);
    if (mv_run_forward(x->run, planes, 1, logits, e))
        return e->code;
    size_t bad = mv_first_not_finite(logits, classes);
    if (bad < classes)
        return mv_fail(e, MV_EINPUT, "%s: the logit of class %zu is %f, expected a finite number", x->session->name,
                       bad, (double)logits[bad]);
    return MV_OK;
}

mv_status side_explain(side *x, const float *planes, const float *logits, mv_maps *out, mv_error *e)
{
    return mv_explainer_explain(x->explainer, 0, x->session->model, 0, planes, logits, session_class_name, x->session,
                                out, e);
}
