#include "src/explain/audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/distance.h"
#include "src/explain/methods.h"

struct mv_auditor {
    const mv_model *model;
    int h, w;
    mv_inside_params view;
    mv_ask ask[2]; /* the states, and the evidence */
    mv_explainer *explainer;
    mv_passes *passes;
};

mv_likeness mv_likeness_of(const float *a, const float *b, size_t n)
{
    mv_distance d = {0};
    mv_distance_add(&d, a, b, n);
    return (mv_likeness){mv_distance_correlation(&d), mv_distance_relative(&d)};
}

void mv_flip_planes(float *out, const float *in, int planes, int h, int w, mv_flip flip)
{
    for (int p = 0; p < planes; p++)
        for (int y = 0; y < h; y++) {
            size_t plane = (size_t)p * (size_t)h * (size_t)w;
            const float *from = in + plane + (size_t)(flip == MV_FLIP_UPSIDE_DOWN ? h - 1 - y : y) * (size_t)w;
            float *to = out + plane + (size_t)y * (size_t)w;
            for (int x = 0; x < w; x++)
                to[x] = from[flip == MV_FLIP_MIRRORED ? w - 1 - x : x];
        }
}

/* ---- the object */

mv_auditor *mv_auditor_new(const mv_inside_params *view, const mv_model *model, int h, int w, bool (*asked)(void),
                           mv_error *e)
{
    mv_auditor *a = calloc(1, sizeof *a);
    if (!a) {
        mv_fail_memory(e, "audit");
        return NULL;
    }
    *a = (mv_auditor){.model = model, .h = h, .w = w, .view = *view};
    a->view.wants = MV_MIXER_STATES;
    a->view.matrices = 0;
    a->ask[0] =
        (mv_ask){.method = &mv_method_inside, .params = &a->view, .class_ = MV_MAP_NONE, .against = MV_MAP_NONE};
    a->ask[1] =
        (mv_ask){.method = mv_method_lookup("cam"), .params = NULL, .class_ = MV_CLASS_TOP, .against = MV_MAP_NONE};
    a->explainer = mv_explainer_new(a->ask, 2, &model->config, h, w, e);
    a->passes = a->explainer ? mv_passes_new(model, h, w, 1, mv_explainer_probe(a->explainer), e) : NULL;
    if (!a->passes) {
        mv_auditor_free(a);
        return NULL;
    }
    mv_passes_stop_when(a->passes, asked);
    return a;
}

void mv_auditor_free(mv_auditor *a)
{
    if (!a)
        return;
    mv_passes_free(a->passes);
    mv_explainer_free(a->explainer);
    free(a);
}

bool mv_auditor_fits(const mv_auditor *a, int h, int w)
{
    return a && a->h == h && a->w == w;
}

/* ---- one flip */

static mv_status compare(mv_likeness *out, const mv_map *original, const mv_map *flipped, mv_flip flip, mv_error *e)
{
    size_t n = (size_t)original->h * (size_t)original->w;
    float *back = malloc(n * sizeof *back);
    if (!back)
        return mv_fail_memory(e, "audit");
    mv_flip_planes(back, mv_map_raw(flipped), 1, original->h, original->w, flip);
    *out = mv_likeness_of(mv_map_raw(original), back, n);
    free(back);
    return MV_OK;
}

/* What the pass of one flip is made from, and what it is compared with. */
typedef struct {
    mv_auditor *a;
    mv_flip flip;
    const float *planes;
    const mv_maps *maps;
    const mv_map *evidence;
    mv_audit *audit;
} flip_pass;

static void make(void *context, int i, float *planes)
{
    const flip_pass *p = context;
    (void)i;
    mv_flip_planes(planes, p->planes, 3, p->a->h, p->a->w, p->flip);
}

static const char *no_name(void *unused, int c, char text[24])
{
    (void)unused;
    (void)c;
    (void)text;
    return "";
}

static mv_status compare_all(const flip_pass *p, const mv_maps *states, const mv_maps *evidence, mv_error *e)
{
    mv_status s = evidence->n ? compare(&p->audit->evidence[p->flip], p->evidence, evidence->map, p->flip, e)
                              : mv_fail(e, MV_EMISUSE, "audit: there is no evidence");
    for (int b = 0; b < p->audit->blocks && !s; b++) {
        mv_audit_block *to = &p->audit->block[b];
        for (int k = 0; k < MV_AUDIT_STATES && !s; k++) {
            const char *what = mv_mixer_key((mv_mixer_kind)k);
            const mv_map *x = mv_inside_lookup(p->maps, to->level, to->block, what),
                         *y = mv_inside_lookup(states, to->level, to->block, what);
            s = x && y ? compare(&to->state[k][p->flip], x, y, p->flip, e)
                       : mv_fail(e, MV_EMISUSE, "audit: found no map of %s", what);
        }
    }
    return s;
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    const flip_pass *p = context;
    mv_auditor *a = p->a;
    mv_maps maps[2] = {{0}};
    mv_status s = MV_OK;
    (void)i;
    for (int k = 0; k < 2 && !s; k++)
        s = mv_explainer_explain(a->explainer, k, a->model, 0, NULL, logits, no_name, NULL, &maps[k], e);
    if (!s)
        s = compare_all(p, &maps[0], &maps[1], e);
    p->audit->flipped[p->flip] = (double)logits[p->audit->class_];
    p->audit->top[p->flip] = mv_class_next(logits, a->model->config.classes, MV_MAP_NONE);
    mv_maps_free(&maps[0]);
    mv_maps_free(&maps[1]);
    return s;
}

/* ---- one picture */

/* The blocks, with their shares on padding. */
static void list_blocks(mv_audit *audit, const mv_maps *maps)
{
    for (int i = 0; i < maps->n; i++) {
        const mv_map *m = &maps->map[i];
        if (!m->what || strcmp(m->what, mv_mixer_key(MV_MIXER_H)) != 0)
            continue;
        const mv_map *hidden = mv_inside_lookup(maps, m->level, m->block, mv_mixer_key(MV_MIXER_HIDDEN));
        audit->block[audit->blocks++] = (mv_audit_block){.level = m->level,
                                                         .block = m->block,
                                                         .tokens = m->padding,
                                                         .hidden = hidden ? hidden->on_padding : (double)NAN,
                                                         .norm = m->on_padding};
    }
}

mv_audit *mv_auditor_run(mv_auditor *a, const float *planes, const float *logits, const mv_maps *maps,
                         const mv_map *evidence, mv_error *e)
{
    mv_audit *audit = calloc(1, sizeof *audit + (size_t)maps->n * sizeof *audit->block);
    if (!audit) {
        mv_fail_memory(e, "audit");
        return NULL;
    }
    list_blocks(audit, maps);
    audit->class_ = evidence->class_;
    audit->logit = (double)logits[audit->class_];
    a->ask[1].class_ = audit->class_;
    for (mv_flip f = 0; f < MV_FLIPS; f++) {
        flip_pass p = {a, f, planes, maps, evidence, audit};
        mv_explainer_clear(a->explainer);
        if (mv_passes_run(a->passes, 1, make, take, &p, e)) {
            free(audit);
            return NULL;
        }
    }
    return audit;
}
