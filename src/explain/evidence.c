#include "src/explain/evidence.h"

#include <stdlib.h>
#include <string.h>

#include "src/explain/kept.h"
#include "src/run/run.h"

struct mv_evidence_keep {
    mv_probe probe;
    const mv_model *model;
    mv_kept kept;       /* the final norm: (channels, h, w) of each picture */
    int channels, h, w; /* of the last forward */
};

void mv_evidence_free(mv_evidence *v)
{
    free(v->class_);
    free(v->code);
    free(v->most);
    *v = (mv_evidence){0};
}

/* ---- the probe */

static bool wants(mv_probe *p, const char *site)
{
    (void)p;
    return strcmp(site, "norm") == 0;
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    mv_run_keep(r, p, site->name, 0, value);
    return false;
}

static void kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    (void)part;
    mv_evidence_keep *k = (mv_evidence_keep *)p;
    k->channels = value.dim[1];
    k->h = value.dim[2];
    k->w = value.dim[3];
    mv_kept_take(&k->kept, r, site, value, mv_tensor_count(value) / (size_t)value.dim[0]);
}

mv_evidence_keep *mv_evidence_keep_new(const mv_model *model, mv_error *e)
{
    mv_evidence_keep *k = calloc(1, sizeof *k);
    if (!k) {
        mv_fail_memory(e, "evidence");
        return NULL;
    }
    k->probe = (mv_probe){.wants = wants, .sees = sees, .kept = kept};
    k->model = model;
    return k;
}

void mv_evidence_keep_free(mv_evidence_keep *k)
{
    if (!k)
        return;
    free(k->kept.value);
    free(k);
}

mv_probe *mv_evidence_keep_probe(mv_evidence_keep *k)
{
    return &k->probe;
}

/* ---- the maps */

typedef struct {
    float logit;
    int class_;
} ranked;

static int by_logit(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit < y->logit ? 1 : -1;
    return x->class_ - y->class_;
}

/* Fills class_ with the n classes of largest logits, and mean_logit. */
static mv_status rank(mv_evidence *v, const float *logits, int classes, mv_error *e)
{
    ranked *all = malloc((size_t)classes * sizeof *all);
    if (!all)
        return mv_fail_memory(e, "evidence");
    for (int i = 0; i < classes; i++) {
        all[i] = (ranked){logits[i], i};
        v->mean_logit += (double)logits[i] / classes;
    }
    qsort(all, (size_t)classes, sizeof *all, by_logit);
    for (int i = 0; i < v->n; i++)
        v->class_[i] = all[i].class_;
    free(all);
    return MV_OK;
}

/* Scratch of one picture. */
typedef struct {
    double *weight; /* mean over classes, channels, then the mean bias */
    double *sum;    /* cells */
    float *map;     /* cells */
} room;

static void code_class(mv_evidence *v, int i, const mv_model *m, const float *norm, int channels, const room *r)
{
    size_t cells = (size_t)v->h * (size_t)v->w;
    const float *weight = m->head_weight + (size_t)v->class_[i] * (size_t)channels;
    for (size_t p = 0; p < cells; p++)
        r->sum[p] = (double)m->head_bias[v->class_[i]] - r->weight[channels];
    for (int k = 0; k < channels; k++, norm += cells) {
        double w = (double)weight[k] - r->weight[k];
        for (size_t p = 0; p < cells; p++)
            r->sum[p] += w * (double)norm[p];
    }
    for (size_t p = 0; p < cells; p++)
        r->map[p] = (float)r->sum[p];
    v->most[i] = mv_coded_signed(v->code + (size_t)i * cells, r->map, cells);
}

mv_status mv_evidence_of(mv_evidence *out, const mv_evidence_keep *k, int picture, const float *logits, size_t budget,
                         mv_error *e)
{
    int channels = k->channels, classes = k->model->config.classes;
    mv_evidence v = {.h = k->h, .w = k->w};
    size_t cells = (size_t)v.h * (size_t)v.w;
    const float *norm = mv_kept_at(&k->kept, picture, (size_t)channels * cells);
    *out = (mv_evidence){0};
    if (!norm || !k->model->head_weight)
        return mv_fail(e, MV_EMISUSE, "evidence: picture %d of the batch was not seen", picture);
    size_t fit = budget / cells;
    v.n = fit >= (size_t)classes ? classes : fit > 2 ? (int)fit : classes < 2 ? classes : 2;
    v.class_ = malloc((size_t)v.n * sizeof *v.class_);
    v.code = malloc((size_t)v.n * cells);
    v.most = malloc((size_t)v.n * sizeof *v.most);
    room r = {malloc(((size_t)channels + 1) * sizeof *r.weight), malloc(cells * sizeof *r.sum),
              malloc(cells * sizeof *r.map)};
    bool full = v.class_ && v.code && v.most && r.weight && r.sum && r.map;
    mv_status s = full ? rank(&v, logits, classes, e) : mv_fail_memory(e, "evidence");
    if (!s) {
        mv_model_head_mean(r.weight, k->model, 0, classes);
        for (int i = 0; i < v.n; i++)
            code_class(&v, i, k->model, norm, channels, &r);
        *out = v;
    } else
        mv_evidence_free(&v);
    free(r.weight);
    free(r.sum);
    free(r.map);
    return s;
}
