#include "cmd/another.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/stop.h"
#include "src/run/run.h"

struct another {
    const call *c;
    const mv_model *model;
    int h, w;
    mv_ask ask[CALL_ASKS];
    mv_explainer *explainer;
    mv_passes *passes;
    mv_run *run;
    float *logits;
};

another *another_new(const call *c, const mv_model *model, int h, int w, mv_error *e)
{
    another *a = calloc(1, sizeof *a);
    if (a)
        *a = (another){.c = c, .model = model, .h = h, .w = w};
    if (!a || !(a->logits = malloc((size_t)model->config.classes * sizeof *a->logits))) {
        free(a);
        mv_fail_memory(e, "another input");
        return NULL;
    }
    memcpy(a->ask, c->ask, sizeof a->ask);
    a->explainer = mv_explainer_new(a->ask, c->asks, &model->config, h, w, e);
    if (a->explainer && mv_explainer_takes_passes(a->explainer)) {
        a->passes = mv_passes_new(model, h, w, c->o.batch, NULL, e);
        if (a->passes) {
            mv_passes_stop_when(a->passes, stop_asked);
            mv_explainer_use(a->explainer, a->passes);
        }
    }
    bool good = a->explainer && (a->passes || !mv_explainer_takes_passes(a->explainer));
    if (good)
        a->run = mv_run_new(model, h, w, 1, mv_explainer_probe(a->explainer), e);
    if (!a->run) {
        another_free(a);
        return NULL;
    }
    mv_run_stop_when(a->run, stop_asked);
    return a;
}

void another_free(another *a)
{
    if (!a)
        return;
    mv_run_free(a->run);
    mv_explainer_free(a->explainer);
    mv_passes_free(a->passes);
    free(a->logits);
    free(a);
}

bool another_fits(const another *a, int h, int w)
{
    return a && a->h == h && a->w == w;
}

mv_status another_explain(another *a, const float *planes, int class_, mv_maps *maps, mv_error *e)
{
    mv_explainer_clear(a->explainer);
    mv_status s = mv_run_forward(a->run, planes, 1, a->logits, e);
    for (int i = 0; i < a->c->asks && !s; i++) {
        if (a->c->ask[i].class_ != MV_MAP_NONE)
            a->ask[i].class_ = class_;
        s = mv_explainer_explain(a->explainer, i, a->model, 0, planes, a->logits, session_class_name,
                                 (void *)&a->c->session, &maps[i], e);
    }
    return s;
}
