#include "cmd/gradients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/talk.h"

const char *const gradients_kinds[] = {"logit", "probability", NULL};

const char *gradients_given(const gradients *g)
{
    return g->class_       ? "--class"
           : g->against.n  ? "--against"
           : g->kind >= 0  ? "--target"
           : g->rules >= 0 ? "--rules"
                           : NULL;
}

void gradients_refuse_probability(void)
{
    die(EXIT_MISUSE, "--target probability: found --against too, expected one of them: a probability is of one class");
}

void gradients_check(const gradients *g)
{
    if (g->kind == 1 && g->against.n)
        gradients_refuse_probability();
}

void gradients_warn(bool *warned, double probability)
{
    if (*warned || probability <= MV_TARGET_SURE)
        return;
    *warned = true;
    warn("--target probability: a probability is above %g, where gradients are mostly rounding; --target logit has no "
         "such limit",
         MV_TARGET_SURE);
}

/* Fails where there is nothing to differentiate: the gradients would be NaN or 0. */
static mv_status check_picture(const gradients *g, const float *logits, int classes, mv_error *e)
{
    char name[24];
    const mv_target *t = &g->target;
    int class_ = mv_class_of(t->class_, logits, classes);
    if (mv_logits_check(logits, classes, "gradients", e))
        return e->code;
    for (int i = 0; i < t->n; i++)
        if (mv_class_of(t->against[i], logits, classes) == class_)
            return mv_fail(e, MV_EINPUT, "--against: the class and one against it are both %s, expected two classes",
                           session_class(&g->call->session, class_, name));
    return MV_OK;
}

/* The seed of every picture of a batch. */
static mv_status seed(void *context, int pass, int first, int pictures, int classes, const float *logits, float *out,
                      mv_error *e)
{
    (void)pass;
    gradients *g = context;
    for (int i = 0; i < pictures; i++) {
        size_t at = (size_t)i * (size_t)classes;
        if (check_picture(g, logits + at, classes, e)) {
            g->call->culprit = first + i + 1;
            return e->code;
        }
        double value = mv_target_seed(&g->target, logits + at, classes, out + at);
        if (g->target.probability)
            gradients_warn(&g->warned, value);
    }
    return MV_OK;
}

mv_status gradients_add_against(mv_target *t, const call *c, const char *text, mv_error *e)
{
    mv_error whole = {0};
    int found;
    mv_status s = session_find_class(&c->session, text, "--against", &found, &whole);
    if (s && strchr(text, ',')) {
        char *copy = strdup(text), *rest = NULL;
        if (!copy)
            return mv_fail_memory(e, "--against");
        s = MV_OK;
        for (char *one = strtok_r(copy, ",", &rest); one && !s; one = strtok_r(NULL, ",", &rest))
            s = gradients_add_against(t, c, one + strspn(one, " "), e);
        free(copy);
        return s;
    }
    if (s)
        return mv_fail(e, whole.code, "%s", whole.text);
    if (t->n == MV_TARGET_AGAINST)
        return mv_fail(e, MV_EINPUT, "--against: found more than %d classes", MV_TARGET_AGAINST);
    for (int i = 0; i < t->n; i++)
        if (t->against[i] == found)
            return mv_fail(e, MV_EINPUT, "--against: found '%s' twice, expected different classes", text);
    if (found == t->class_)
        return mv_fail(e, MV_EINPUT, "--against: found '%.60s', the class itself, expected another", text);
    t->against[t->n++] = found;
    return MV_OK;
}

/* "logit of church less golf ball; rules: gradient" */
static void describe(gradients *g, const call *c)
{
    char name[24];
    const mv_target *t = &g->target;
    const char *of = t->class_ == MV_CLASS_TOP      ? "the answer"
                     : t->class_ == MV_CLASS_SECOND ? "the second answer"
                                                    : session_class(&c->session, t->class_, name);
    int n = snprintf(g->text, sizeof g->text, "%s of %.60s", t->probability ? "probability" : "logit", of);
    for (int i = 0; i < t->n && n < (int)sizeof g->text; i++) {
        const char *against = t->against[i] == MV_CLASS_SECOND ? "the second answer"
                              : t->against[i] == MV_CLASS_TOP  ? "the answer"
                                                               : session_class(&c->session, t->against[i], name);
        n += snprintf(g->text + n, sizeof g->text - (size_t)n, "%s%.60s", i ? ", " : " less ", against);
    }
    if (n < (int)sizeof g->text)
        snprintf(g->text + n, sizeof g->text - (size_t)n, "; rules: %s", mv_rules_words[g->pass_rules]);
}

mv_status gradients_open(gradients *g, call *c, mv_error *e)
{
    session_need_head(&c->session, c->command->name);
    g->target = (mv_target){.class_ = MV_CLASS_TOP, .probability = g->kind == 1};
    if (g->class_ && session_find_class(&c->session, g->class_, "--class", &g->target.class_, e))
        return e->code;
    for (int i = 0; i < g->against.n; i++)
        if (gradients_add_against(&g->target, c, g->against.v[i], e))
            return e->code;
    g->pass_rules = g->rules < 0 ? MV_RULES_GRADIENT : (mv_rules)g->rules;
    g->call = c;
    describe(g, c);
    c->gradient = g->text;
    g->back = (mv_back){.passes = 1, .rules = &g->pass_rules, .seed = seed, .context = g};
    c->back = &g->back;
    return MV_OK;
}
