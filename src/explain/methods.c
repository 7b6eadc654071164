/* The table of methods, and the driver: one forward pass for all that was asked. */
#include "src/explain/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"

/* A method is one struct in a file of its own, and one name in this list. */
/* clang-format off */
#define METHODS(X)                                                                                                     \
    X(held) X(held_full)                                                                                               \
    X(gradcam) X(gradcam_pp) X(hirescam) X(layercam) X(xgradcam) X(eigengradcam)                                       \
    X(saliency) X(input_x_gradient) X(integrated) X(smoothgrad) X(vargrad)                                             \
    X(attention_x_gradient) X(chefer) X(chefer_hybrid)                                                                 \
    X(cam) X(attention) X(eigencam) X(pca) X(similarity) X(occlusion) X(rise) X(scorecam) X(ablationcam) X(lens)       \
    X(rollout) X(hybrid) X(mixer) X(mixer_attribution)
/* clang-format on */

#define DECLARE(name) extern const mv_method mv_method_##name;
METHODS(DECLARE)

#define LIST(name) &mv_method_##name,
static const mv_method *const table[] = {METHODS(LIST)};
enum { METHOD_COUNT = sizeof table / sizeof *table };

const mv_method *mv_method_at(int i)
{
    return i >= 0 && i < METHOD_COUNT ? table[i] : NULL;
}

const mv_method *mv_method_lookup(const char *name)
{
    for (int i = 0; i < METHOD_COUNT; i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}

static mv_status unknown_method(const char *name, int n, mv_error *e)
{
    char names[400] = "";
    for (int i = 0; i < METHOD_COUNT; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", table[i]->name);
    }
    return mv_fail(e, MV_EINPUT, "method: found '%.*s', expected one of %s", n < 60 ? n : 60, name, names);
}

mv_status mv_ask_parse(mv_ask *out, void **memory, const char *text, mv_error *e)
{
    size_t n = strcspn(text, ":"), size;
    char name[32] = "", place[48];
    *out = (mv_ask){.class_ = MV_MAP_NONE, .against = MV_MAP_NONE};
    *memory = NULL;
    if (n < sizeof name)
        memcpy(name, text, n);
    const mv_method *m = out->method = mv_method_lookup(name);
    if (!m)
        return unknown_method(text, (int)n, e);
    if (!m->params)
        return text[n]
                   ? mv_fail(e, MV_EINPUT, "%s: found '%.60s', but the method has no parameters", name, text + n + 1)
                   : MV_OK;
    size = (m->size + 15) / 16 * 16; /* the text that values point into follows the struct */
    char *block = calloc(1, size + strlen(text) + 1);
    if (!block)
        return mv_fail_memory(e, name);
    mv_param_defaults(block, m->params);
    snprintf(place, sizeof place, "%s", name);
    if (text[n] && mv_param_parse(block, m->params, text + n + 1, block + size, place, e)) {
        free(block);
        return e->code;
    }
    out->params = *memory = block;
    return MV_OK;
}

mv_status mv_subject_value(const mv_subject *s, const char *site, mv_tensor *out, mv_error *e)
{
    if (s->kept && mv_trace_lookup(s->kept, site, out))
        return MV_OK;
    return mv_fail(e, MV_EMISUSE, "%s: the value was not kept", site);
}

void mv_subject_title(const mv_subject *s, mv_map *map)
{
    char name[80];
    map->class_ = s->class_;
    map->against = s->against;
    map->others = s->target.n > 1 ? s->target.n - 1 : 0;
    for (int i = 0; i < map->others; i++)
        map->other[i] = mv_class_of(s->target.against[i + 1], s->logits, s->model->config.classes);
    if (s->against == MV_MAP_NONE)
        mv_text_print(map->title, sizeof map->title, "For %.80s", s->class_name);
    else if (map->others)
        mv_text_print(map->title, sizeof map->title, "%.40s over %.32s and %d more",
                      mv_text_capital(name, sizeof name, s->class_name), s->against_name, map->others);
    else
        mv_text_print(map->title, sizeof map->title, "%.44s over %.44s",
                      mv_text_capital(name, sizeof name, s->class_name), s->against_name);
}

/* ---- the driver */

/* One ask, opened. Asks of the same method and parameters share what `open` made. */
typedef struct {
    const mv_ask *ask;
    const void *params;
    void *defaults; /* the parameters, where the ask gave none */
    void *own;
    bool shared; /* own belongs to an earlier ask */
    int pass;    /* its backward pass */
} opened;

struct mv_explainer {
    int n, h, w;
    opened *ask;
    mv_trace *trace; /* of the sites that methods keep; NULL: none */
    mv_probe *probe;
    mv_passes *passes; /* borrowed; NULL: none */
    mv_target *target; /* of each backward pass; asks of one target under the same rules share it */
    mv_rules *rules;
    mv_back back;
    float *seed; /* of the picture that is explained */
};

static mv_status choose_params(opened *o, mv_error *e)
{
    const mv_method *m = o->ask->method;
    o->params = o->ask->params;
    if (o->params || !m->params)
        return MV_OK;
    o->params = o->defaults = calloc(1, m->size);
    if (!o->defaults)
        return mv_fail_memory(e, m->name);
    mv_param_defaults(o->defaults, m->params);
    return MV_OK;
}

/* Says whose parameter does not fit: those with a backward pass have parameters of the same names. */
static mv_status name_method(const mv_method *m, mv_error *e)
{
    const mv_error found = *e;
    if (found.code != MV_EINPUT || !(m->takes & MV_TAKES_GRADIENT) ||
        strncmp(found.text, m->name, strlen(m->name)) == 0)
        return found.code;
    *e = (mv_error){0};
    return mv_fail(e, found.code, "%s: %s", m->name, found.text);
}

static mv_status open_ask(mv_explainer *x, int i, const mv_config *config, mv_error *e)
{
    opened *o = &x->ask[i];
    const mv_method *m = o->ask->method;
    if (choose_params(o, e))
        return e->code;
    for (int k = 0; k < i && m->open; k++)
        if (x->ask[k].ask->method == m && x->ask[k].params == o->params) {
            o->own = x->ask[k].own;
            o->shared = true;
            return MV_OK;
        }
    if (!m->open)
        return MV_OK;
    if (m->open(&o->own, o->params, config, x->h, x->w, e))
        return name_method(m, e);
    if (m->probe) {
        mv_probe *p = m->probe(o->own);
        p->next = x->probe;
        x->probe = p;
    }
    return MV_OK;
}

/* ---- backward passes */

static mv_target target_of(const mv_ask *ask)
{
    mv_target t = {.class_ = ask->class_, .probability = ask->probability};
    if (ask->against != MV_MAP_NONE)
        t.against[t.n++] = ask->against;
    for (int k = 0; k < ask->others; k++)
        t.against[t.n++] = ask->other[k];
    return t;
}

static mv_status seed_batch(void *context, int pass, int first, int pictures, int classes, const float *logits,
                            float *seed, mv_error *e)
{
    (void)first, (void)e;
    const mv_explainer *x = context;
    for (int i = 0; i < x->n; i++) /* the class that an ask has now */
        if (x->ask[i].pass == pass && (x->ask[i].ask->method->takes & MV_TAKES_GRADIENT))
            x->target[pass] = target_of(x->ask[i].ask);
    for (int i = 0; i < pictures; i++) {
        size_t at = (size_t)i * (size_t)classes;
        mv_target_seed(&x->target[pass], logits + at, classes, seed + at);
    }
    return MV_OK;
}

/* Finds the pass of an ask, or adds one. */
static void choose_pass(mv_explainer *x, opened *o)
{
    const mv_ask *ask = o->ask;
    const mv_method *m = ask->method;
    mv_rules rules = m->rules ? m->rules(o->params) : MV_RULES_GRADIENT;
    mv_target t = target_of(ask);
    int i = 0;
    while (i < x->back.passes && !(x->rules[i] == rules && mv_target_same(&x->target[i], &t)))
        i++;
    x->target[i] = t;
    x->rules[i] = rules;
    x->back.passes += i == x->back.passes;
    o->pass = i;
}

static mv_status choose_passes(mv_explainer *x, const mv_config *config, mv_error *e)
{
    x->target = calloc((size_t)x->n + 1, sizeof *x->target);
    x->rules = calloc((size_t)x->n + 1, sizeof *x->rules);
    x->seed = calloc((size_t)config->classes + 1, sizeof *x->seed);
    if (!x->target || !x->rules || !x->seed)
        return mv_fail_memory(e, "methods");
    x->back = (mv_back){.rules = x->rules, .seed = seed_batch, .context = x};
    for (int i = 0; i < x->n; i++)
        if (x->ask[i].ask->method->takes & MV_TAKES_GRADIENT)
            choose_pass(x, &x->ask[i]);
    if (x->back.passes > MV_BACK_PASSES)
        return mv_fail(e, MV_EINPUT,
                       "methods: found %d backward passes (classes, targets and rules), expected at most %d",
                       x->back.passes, MV_BACK_PASSES);
    for (int i = 0; i < x->n; i++)
        if (x->ask[i].ask->method->takes & MV_TAKES_BIASES)
            x->back.biases |= 1u << x->ask[i].pass;
    return MV_OK;
}

const mv_back *mv_explainer_back(const mv_explainer *x)
{
    return x->back.passes ? &x->back : NULL;
}

/* ---- values that are kept */

/* The sites that the methods keep, each list once, as one pattern; NULL: none. */
static mv_status join_sites(const mv_explainer *x, char **out, mv_error *e)
{
    size_t size = 1;
    *out = NULL;
    for (int i = 0; i < x->n; i++)
        size += x->ask[i].ask->method->keeps ? strlen(x->ask[i].ask->method->keeps) + 1 : 0;
    if (size == 1)
        return MV_OK;
    char *all = calloc(1, size);
    if (!all)
        return mv_fail_memory(e, "methods");
    for (int i = 0; i < x->n; i++) {
        const char *keeps = x->ask[i].ask->method->keeps;
        bool known = !keeps;
        for (int k = 0; k < i; k++)
            known |= x->ask[k].ask->method == x->ask[i].ask->method;
        if (known)
            continue;
        if (*all)
            strcat(all, ",");
        strcat(all, keeps);
    }
    *out = all;
    return MV_OK;
}

static mv_status keep_sites(mv_explainer *x, mv_error *e)
{
    char *sites;
    if (join_sites(x, &sites, e) || !sites)
        return e->code;
    x->trace = mv_trace_new(sites, NULL, NULL, e);
    free(sites);
    if (!x->trace)
        return e->code;
    mv_probe *p = mv_trace_probe(x->trace);
    p->next = x->probe;
    x->probe = p;
    return MV_OK;
}

mv_explainer *mv_explainer_new(const mv_ask *asks, int n, const mv_config *config, int h, int w, mv_error *e)
{
    mv_explainer *x = calloc(1, sizeof *x);
    if (x)
        x->ask = calloc((size_t)n + 1, sizeof *x->ask);
    if (!x || !x->ask) {
        free(x);
        mv_fail_memory(e, "methods");
        return NULL;
    }
    x->h = h;
    x->w = w;
    for (; x->n < n; x->n++) {
        x->ask[x->n].ask = &asks[x->n];
        if (open_ask(x, x->n, config, e)) {
            x->n++; /* its parameters are freed too */
            mv_explainer_free(x);
            return NULL;
        }
    }
    if (keep_sites(x, e) || choose_passes(x, config, e)) {
        mv_explainer_free(x);
        return NULL;
    }
    return x;
}

void mv_explainer_free(mv_explainer *x)
{
    if (!x)
        return;
    for (int i = 0; i < x->n; i++) {
        opened *o = &x->ask[i];
        if (o->own && !o->shared)
            o->ask->method->close(o->own);
        free(o->defaults);
    }
    mv_trace_free(x->trace);
    free(x->target);
    free(x->rules);
    free(x->seed);
    free(x->ask);
    free(x);
}

mv_probe *mv_explainer_probe(mv_explainer *x)
{
    return x->probe;
}

void *mv_explainer_own(const mv_explainer *x, int ask)
{
    return x->ask[ask].own;
}

int mv_explainer_maps(const mv_explainer *x)
{
    int n = 0;
    for (int i = 0; i < x->n; i++) {
        const opened *o = &x->ask[i];
        n += o->ask->method->count ? o->ask->method->count(o->own, o->params) : 1;
    }
    return n;
}

void mv_explainer_clear(mv_explainer *x)
{
    if (x->trace)
        mv_trace_clear(x->trace);
}

bool mv_explainer_takes_passes(const mv_explainer *x)
{
    for (int i = 0; i < x->n; i++)
        if (x->ask[i].ask->method->takes & MV_TAKES_PASSES)
            return true;
    return false;
}

void mv_explainer_use(mv_explainer *x, mv_passes *passes)
{
    x->passes = passes;
}

/* The targets of the asks that share what `open` made with this one, each once. */
static int targets_of(const mv_explainer *x, const opened *o, mv_target out[MV_BACK_PASSES], int *at)
{
    int n = 0, pass[MV_BACK_PASSES];
    for (int i = 0; i < x->n; i++) {
        const opened *other = &x->ask[i];
        int k = 0;
        if (other->ask->method != o->ask->method || (other != o && (!o->own || other->own != o->own)))
            continue;
        while (k < n && pass[k] != other->pass)
            k++;
        pass[k] = other->pass;
        out[k] = target_of(other->ask);
        n += k == n;
        *at = other == o ? k : *at;
    }
    return n;
}

/* "second" may be the class itself in some picture. */
static mv_status check_others(const mv_ask *ask, int class_, const float *logits, int classes, mv_class_name *name,
                              void *names, mv_error *e)
{
    char text[24];
    for (int i = 0; i < ask->others; i++)
        if (class_ >= 0 && mv_class_of(ask->other[i], logits, classes) == class_)
            return mv_fail(e, MV_EINPUT, "the class and one against it are both %s, expected different classes",
                           name(names, class_, text));
    return MV_OK;
}

mv_status mv_explainer_explain(mv_explainer *x, int ask, const mv_model *model, int picture, const float *planes,
                               const float *logits, mv_class_name *name, void *names, mv_maps *out, mv_error *e)
{
    opened *o = &x->ask[ask];
    int classes = model->config.classes;
    char text[2][24];
    mv_target targets[MV_BACK_PASSES];
    mv_subject s = {.model = model,
                    .h = x->h,
                    .w = x->w,
                    .picture = picture,
                    .planes = planes,
                    .passes = x->passes,
                    .logits = logits,
                    .class_ = mv_class_of(o->ask->class_, logits, classes),
                    .against = mv_class_of(o->ask->against, logits, classes),
                    .kept = x->trace,
                    .own = o->own};
    bool lacks = (o->ask->class_ != MV_MAP_NONE && s.class_ < 0) || (o->ask->against != MV_MAP_NONE && s.against < 0);
    if (s.class_ >= 0 && s.class_ == s.against)
        return mv_fail(e, MV_EINPUT, "the class and the one against it are both %s, expected two classes",
                       name(names, s.class_, text[0]));
    if (check_others(o->ask, s.class_, logits, classes, name, names, e))
        return e->code;
    if (lacks) /* a runner-up in a network of one class */
        return MV_OK;
    if ((o->ask->method->takes & MV_TAKES_PASSES) && (!planes || !x->passes))
        return mv_fail(e, MV_EMISUSE, "%s: found no input or no passes, expected both", o->ask->method->name);
    if (o->ask->method->takes & MV_TAKES_GRADIENT) {
        s.pass = o->pass;
        s.target = target_of(o->ask); /* the batch may have had no backward pass that says so */
        s.rules = x->rules[o->pass];
        s.seed = x->seed;
        s.value = mv_target_seed(&s.target, logits, classes, x->seed);
        s.targets = targets;
        s.n_targets = targets_of(x, o, targets, &s.target_at);
    }
    s.class_name = s.class_ >= 0 ? name(names, s.class_, text[0]) : "";
    s.against_name = s.against >= 0 ? name(names, s.against, text[1]) : "";
    return o->ask->method->explain(&s, o->params, out, e);
}
