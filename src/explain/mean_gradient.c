#include "src/explain/mean_gradient.h"

#include <stdlib.h>
#include <string.h>

#include "src/explain/replies.h"

typedef struct {
    mv_target of;      /* its class is a number */
    float *seed;       /* d(of)/d(logits) of the picture itself: classes values */
    double weight;     /* of the inputs so far */
    double *mean;      /* (3, h, w) of the inputs so far */
    double *deviation; /* sum_i w_i (g_i - mean)^2 of them, or NULL */
    double *value;     /* of each input */
} target;

struct mv_mean_gradient {
    mv_probe probe; /* first: the probe is the object */
    bool variance;
    size_t values; /* of an input */
    mv_rules rules[MV_BACK_PASSES];
    mv_passes *passes; /* its own: they are seen by the probe */
    int targets;
    target target[MV_BACK_PASSES];
    uint64_t key;   /* of the picture whose inputs have run; 0: none */
    float *scratch; /* a seed */
    const mv_mean_inputs *in;
    int first; /* number of the first input of the batch */
};

/* ---- the probe */

static bool wants(mv_probe *p, const char *site)
{
    (void)p;
    return strcmp(site, "grad.input") == 0;
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    mv_run_keep(r, p, site->name, mv_run_pass(r), value);
    return false;
}

/* One more of weight w (West 1979, doi 10.1145/359146.359153). */
static void add(target *t, const float *g, size_t n, double w)
{
    t->weight += w;
    double share = w / t->weight;
    for (size_t i = 0; i < n; i++) {
        double d = (double)g[i] - t->mean[i];
        t->mean[i] += share * d;
        if (t->deviation)
            t->deviation[i] += w * d * ((double)g[i] - t->mean[i]);
    }
}

static void kept(mv_probe *p, mv_run *r, const char *site, int pass, mv_tensor value)
{
    (void)site;
    mv_mean_gradient *m = (mv_mean_gradient *)p;
    int first = m->first + mv_run_first(r);
    for (int i = 0; i < value.dim[0]; i++)
        if (m->in->weight[first + i] > 0)
            add(&m->target[pass], (const float *)value.data + (size_t)i * m->values, m->values,
                m->in->weight[first + i]);
}

/* ---- the passes */

static mv_status seed_batch(void *context, int pass, int first, int pictures, int classes, const float *logits,
                            float *seed, mv_error *e)
{
    (void)first, (void)e;
    const target *t = &((const mv_mean_gradient *)context)->target[pass];
    for (int i = 0; i < pictures; i++, seed += classes, logits += classes)
        if (t->of.probability) /* the derivative of a probability differs from input to input */
            mv_target_seed(&t->of, logits, classes, seed);
        else
            memcpy(seed, t->seed, (size_t)classes * sizeof *seed);
    return MV_OK;
}

typedef struct {
    mv_mean_gradient *m;
    int classes;
} work;

static void make(void *context, int i, float *planes)
{
    mv_mean_gradient *m = ((const work *)context)->m;
    int batch = mv_passes_batch(m->passes);
    m->first = i / batch * batch;
    m->in->make(m->in->context, i, planes);
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    (void)e;
    const work *k = context;
    for (int j = 0; j < k->m->targets; j++) {
        const target *t = &k->m->target[j];
        t->value[i] = !t->of.probability  ? mv_target_of(t->seed, logits, k->classes)
                      : t->of.class_ >= 0 ? mv_probability(logits, k->classes, t->of.class_)
                                          : 0;
    }
    return MV_OK;
}

static mv_status begin_target(mv_mean_gradient *m, target *t, const mv_target *of, const mv_subject *s, int n,
                              mv_error *e)
{
    int classes = s->model->config.classes;
    if (!t->seed)
        t->seed = malloc((size_t)classes * sizeof *t->seed);
    if (!t->mean)
        t->mean = malloc(m->values * sizeof *t->mean);
    if (!t->deviation && m->variance)
        t->deviation = malloc(m->values * sizeof *t->deviation);
    if (!t->value)
        t->value = malloc((size_t)n * sizeof *t->value);
    if (!t->seed || !t->mean || !t->value || (m->variance && !t->deviation))
        return mv_fail_memory(e, "gradients");
    t->of = *of;
    t->of.class_ = mv_class_of(of->class_, s->logits, classes);
    mv_target_seed(of, s->logits, classes, t->seed);
    t->weight = 0;
    memset(t->mean, 0, m->values * sizeof *t->mean);
    if (t->deviation)
        memset(t->deviation, 0, m->values * sizeof *t->deviation);
    return MV_OK;
}

/* True if the inputs that have run are those of this picture, for the same targets. */
static bool is_known(const mv_mean_gradient *m, const mv_subject *s, uint64_t key)
{
    int classes = s->model->config.classes;
    if (m->key != key || m->targets != s->n_targets)
        return false;
    for (int i = 0; i < m->targets; i++) {
        mv_target_seed(&s->targets[i], s->logits, classes, m->scratch);
        if (m->target[i].of.probability != s->targets[i].probability ||
            memcmp(m->scratch, m->target[i].seed, (size_t)classes * sizeof *m->scratch) != 0)
            return false;
    }
    return true;
}

static mv_status begin(mv_mean_gradient *m, const mv_subject *s, int n, mv_error *e)
{
    if (m->targets != s->n_targets) {
        mv_passes_free(m->passes);
        m->passes = NULL;
    }
    m->targets = s->n_targets;
    if (!m->scratch)
        m->scratch = malloc((size_t)s->model->config.classes * sizeof *m->scratch);
    if (!m->scratch)
        return mv_fail_memory(e, "gradients");
    for (int i = 0; i < m->targets; i++) {
        m->rules[i] = s->rules;
        if (begin_target(m, &m->target[i], &s->targets[i], s, n, e))
            return e->code;
    }
    if (m->passes)
        return MV_OK;
    mv_back back = {.passes = m->targets, .rules = m->rules, .seed = seed_batch, .context = m};
    m->passes = mv_passes_through(s->passes, &m->probe, &back, e);
    return m->passes ? MV_OK : e->code;
}

mv_status mv_mean_gradient_run(mv_mean_gradient *m, const mv_subject *s, const mv_mean_inputs *in, mv_error *e)
{
    uint64_t key = mv_replies_key(s);
    if (is_known(m, s, key))
        return MV_OK;
    m->key = 0;
    if (begin(m, s, in->n, e))
        return e->code;
    work k = {m, s->model->config.classes};
    m->in = in;
    mv_status status = mv_passes_run(m->passes, in->n, make, take, &k, e);
    m->in = NULL;
    for (int i = 0; i < m->targets && !status; i++)
        for (size_t j = 0; j < m->values && m->variance; j++)
            m->target[i].deviation[j] /= m->target[i].weight;
    m->key = status ? 0 : key;
    return status;
}

/* ---- the object */

mv_mean_gradient *mv_mean_gradient_new(int h, int w, bool variance, mv_error *e)
{
    mv_mean_gradient *m = calloc(1, sizeof *m);
    if (!m) {
        mv_fail_memory(e, "gradients");
        return NULL;
    }
    m->probe = (mv_probe){.wants = wants, .sees = sees, .kept = kept};
    m->variance = variance;
    m->values = (size_t)3 * (size_t)h * (size_t)w;
    return m;
}

void mv_mean_gradient_free(mv_mean_gradient *m)
{
    if (!m)
        return;
    mv_passes_free(m->passes);
    free(m->scratch);
    for (int i = 0; i < MV_BACK_PASSES; i++) {
        free(m->target[i].seed);
        free(m->target[i].mean);
        free(m->target[i].deviation);
        free(m->target[i].value);
    }
    free(m);
}

const double *mv_mean_gradient_mean(const mv_mean_gradient *m, const mv_subject *s)
{
    return m->target[s->target_at].mean;
}

const double *mv_mean_gradient_variance(const mv_mean_gradient *m, const mv_subject *s)
{
    return m->target[s->target_at].deviation;
}

double mv_mean_gradient_target(const mv_mean_gradient *m, const mv_subject *s, int i)
{
    return m->target[s->target_at].value[i];
}
