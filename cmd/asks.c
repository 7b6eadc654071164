#include "cmd/asks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/gradients.h"
#include "cmd/talk.h"

/* ---- methods */

/* The first n bytes of text as a method's name; "" if it is too long for one. */
static const char *name_of(char name[32], const char *text, size_t n)
{
    snprintf(name, 32, "%.*s", n < 32 ? (int)n : 0, text);
    return name;
}

/* True if a method begins here, after the separator that ends `before`. A word that is both, such as rollout, is a
 * parameter, unless parameters of its own follow. */
static bool begins_method(const char *text, const mv_method *before)
{
    char name[32];
    name_of(name, text, strcspn(text, ":,= "));
    char end = text[strlen(name)];
    if (end == '=' || (end != ':' && before && before->params && mv_param_lookup(before->params, name)))
        return false;
    return mv_method_lookup(name);
}

size_t asks_method_length(const char *text)
{
    char name[32];
    size_t n = strcspn(text, ":, ");
    const mv_method *m = mv_method_lookup(name_of(name, text, n));
    if (text[n] != ':')
        return n;
    while (text[n] && text[n] != ' ' && !(text[n] == ',' && begins_method(text + n + 1, m)))
        n++;
    return n;
}

static bool has(const mv_method *m, const char *param)
{
    return m && m->params && mv_param_lookup(m->params, param);
}

/* True if the parameters in "NAME:PARAMS" choose this one. */
static bool chooses(const char *text, const char *param)
{
    const char *p = strchr(text, ':');
    size_t n = strlen(param);
    while (p && !(strncmp(p + 1, param, n) == 0 && p[1 + n] == '='))
        p = strchr(p + 1, ',');
    return p;
}

/* Gives the method in *text, "NAME:PARAMS", a parameter that it has and does not choose: "NAME:PARAM=VALUE,PARAMS".
 * True if it did. */
static bool give(char **text, const mv_method *m, const char *param, const char *value)
{
    char *out;
    size_t n = strcspn(*text, ":");
    const char *rest = (*text)[n] ? *text + n + 1 : "";
    if (!value || !has(m, param) || chooses(*text, param))
        return false;
    if (asprintf(&out, "%.*s:%s=%s%s%s", (int)n, *text, param, value, *rest ? "," : "", rest) < 0)
        die(EXIT_FAILED, "out of memory");
    free(*text);
    *text = out;
    return true;
}

static void add_method(asks *a, const char *text, const asks_shared *shared)
{
    mv_error e = {0};
    char name[32], *full = must(strdup(text));
    const mv_method *m = mv_method_lookup(name_of(name, text, strcspn(text, ":")));
    if (a->methods == CALL_ASKS)
        die(EXIT_MISUSE, "--method: found more than %d methods", CALL_ASKS);
    a->uses_at |= give(&full, m, "site", shared->at);
    a->uses_rules |= give(&full, m, "rules", shared->rules);
    int i = a->methods++;
    mv_status s = mv_ask_parse(&a->method[i], &a->memory[i], full, &e);
    free(full);
    if (s)
        die(e.code == MV_EINPUT ? EXIT_MISUSE : EXIT_FAILED, "--method: %s", e.text);
    a->method[i].probability = shared->target == 1 && m->takes & MV_TAKES_GRADIENT;
}

enum { NAMES = CALL_ASKS * 40 };

/* "cam, rise and scorecam": each method once. */
static const char *names_of_all(const asks *a, char text[NAMES])
{
    const char *name[CALL_ASKS];
    int n = 0;
    for (int i = 0; i < a->methods; i++) {
        int k = 0;
        while (k < n && strcmp(name[k], a->method[i].method->name))
            k++;
        name[k] = a->method[i].method->name;
        n += k == n;
    }
    *text = '\0';
    for (int i = 0; i < n; i++)
        snprintf(text + strlen(text), NAMES - strlen(text), "%s%s", i == 0 ? "" : i == n - 1 ? " and " : ", ", name[i]);
    return text;
}

/* Ends the program for an option that no method takes; `what` is what they lack: "site". */
static void refuse_for_all(const asks *a, const char *option, const char *what) __attribute__((noreturn));

static void refuse_for_all(const asks *a, const char *option, const char *what)
{
    char names[NAMES];
    names_of_all(a, names);
    die(EXIT_MISUSE, "%s: has no effect on %s, which take%s no %s", option, names, strchr(names, ' ') ? "" : "s", what);
}

/* Ends the program if an option was given that no method has used. */
static void check_use(const asks *a, const char *option, const char *param, const char *what, bool asked, bool used)
{
    bool takes = false;
    for (int i = 0; i < a->methods; i++)
        takes |= has(a->method[i].method, param);
    if (asked && !used && takes)
        die(EXIT_MISUSE, "%s: has no effect beside the %s= of --method", option, param);
    if (asked && !takes)
        refuse_for_all(a, option, what);
}

void asks_methods(asks *a, const mv_param_texts *methods, const char *otherwise, const asks_shared *shared)
{
    for (int i = 0; i < methods->n || (i == 0 && !methods->n); i++) {
        const char *text = methods->n ? methods->v[i] : otherwise;
        if (!*text)
            die(EXIT_MISUSE, "--method: found an empty name, expected a method (mvscope methods lists them)");
        while (*text) {
            size_t n = asks_method_length(text);
            char *one = must(strndup(text, n));
            if (*one)
                add_method(a, one, shared);
            free(one);
            text += n + (text[n] != '\0');
        }
    }
    bool gradient = false;
    for (int i = 0; i < a->methods; i++)
        gradient |= (a->method[i].method->takes & MV_TAKES_GRADIENT) != 0;
    check_use(a, "--at", "site", "site", shared->at, a->uses_at);
    check_use(a, "--rules", "rules", "rules", shared->rules, a->uses_rules);
    if (shared->target >= 0 && !gradient)
        refuse_for_all(a, "--target", "gradient");
}

/* ---- classes */

/* True if some method takes what one of the MV_TAKES_ bits says. */
static bool asks_take(const asks *a, unsigned bits)
{
    for (int i = 0; i < a->methods; i++)
        if (a->method[i].method->takes & bits)
            return true;
    return false;
}

/* True if the method explains classes here: it must, or it may and some are given. */
static bool explains_class(const mv_method *m, bool asked)
{
    return m->takes & MV_TAKES_CLASS || (asked && m->takes & MV_MAY_TAKE_CLASS);
}

void asks_choose_default(mv_ask *ask, const call *c)
{
    mv_error none = {0};
    if (!(ask->method->takes & MV_TAKES_GRADIENT) || !c->session.backend ||
        !mv_backend_check_back(c->session.backend, &none))
        return;
    warn("%s has no backward pass: cam instead of %s; -d cpu has one", session_device(&c->session), ask->method->name);
    ask->method = mv_method_lookup("cam");
    ask->params = NULL;
}

void asks_check_classes(const asks *a, const mv_param_texts *classes, const mv_param_texts *against)
{
    int n = 0, each = classes->n ? classes->n : 1;
    bool takes = asks_take(a, MV_TAKES_CLASS | MV_MAY_TAKE_CLASS);
    char names[NAMES];
    bool several = strchr(names_of_all(a, names), ' ');
    if (against->n && !takes)
        die(EXIT_MISUSE, "--against: has no effect on %s, which %s no class", names, several ? "explain" : "explains");
    if (classes->n && !takes) /* no error: a script gives every method the same options */
        warn("--class: %s %s, %s the same for all", names, several ? "explain no class" : "explains no class",
             several ? "their maps are" : "its map is");
    for (int i = 0; i < a->methods; i++) {
        const mv_method *m = a->method[i].method;
        if (against->n && explains_class(m, true) && !(m->takes & MV_TAKES_AGAINST))
            die(EXIT_MISUSE, "--against: %s takes no second class; explain both with --class", m->name);
        if (against->n && a->method[i].probability)
            gradients_refuse_probability();
        n += explains_class(m, classes->n) ? each : 1;
    }
    if (n > CALL_ASKS)
        die(EXIT_MISUSE, "--class: found %d methods and classes together, expected at most %d", n, CALL_ASKS);
}

mv_status asks_find_classes(const call *c, const mv_param_texts *texts, int found[CALL_ASKS], mv_error *e)
{
    found[0] = MV_CLASS_TOP;
    for (int i = 0; i < texts->n; i++)
        if (session_find_class(&c->session, texts->v[i], "--class", &found[i], e))
            return e->code;
    for (int i = 0; i < texts->n; i++)
        for (int k = 0; k < i; k++)
            if (found[i] == found[k])
                return mv_fail(e, MV_EINPUT, "--class: found '%.60s', which was given before", texts->v[i]);
    return MV_OK;
}

/* "cam", "cam.class.7", "cam.top"; ".2" for the second of the same method and class */
static void name_ask(asks *a, const call *c, const mv_ask *ask, bool several)
{
    char *name = a->name[a->n++], class_[32] = "", number[16] = "";
    int same = 1;
    for (int i = 0; i < c->asks; i++)
        same += c->ask[i].method == ask->method && c->ask[i].class_ == ask->class_;
    if (several && ask->class_ >= 0)
        snprintf(class_, sizeof class_, ".class.%d", ask->class_);
    else if (several)
        snprintf(class_, sizeof class_, ask->class_ == MV_CLASS_TOP ? ".top" : ".second");
    if (same > 1)
        snprintf(number, sizeof number, ".%d", same);
    snprintf(name, ASKS_NAME, "%s%s%s", ask->method->name, class_, number);
}

/* The classes against a class, for the asks of a method. */
static mv_status add_against(mv_ask *ask, const mv_target *t, mv_error *e)
{
    const mv_method *m = ask->method;
    ask->against = t->n ? t->against[0] : MV_MAP_NONE;
    ask->others = t->n > 1 ? t->n - 1 : 0;
    if (ask->others && !(m->takes & MV_TAKES_GRADIENT))
        return mv_fail(e, MV_EINPUT, "--against: found %d classes, but %s takes one", t->n, m->name);
    memcpy(ask->other, t->against + 1, (size_t)ask->others * sizeof *ask->other);
    return MV_OK;
}

mv_status asks_classes(asks *a, call *c, const mv_param_texts *classes, const mv_param_texts *against, mv_error *e)
{
    int found[CALL_ASKS], n = classes->n ? classes->n : 1;
    mv_target target[CALL_ASKS] = {0};
    mv_status s = asks_find_classes(c, classes, found, e);
    for (int k = 0; k < n && !s; k++) {
        target[k].class_ = found[k];
        for (int i = 0; i < against->n && !s; i++)
            s = gradients_add_against(&target[k], c, against->v[i], e);
    }
    for (int i = 0; i < a->methods && !s; i++) {
        bool takes = explains_class(a->method[i].method, classes->n);
        for (int k = 0; k < (takes ? n : 1) && !s; k++) {
            mv_ask ask = a->method[i];
            ask.class_ = takes ? found[k] : MV_MAP_NONE;
            if (takes)
                s = add_against(&ask, &target[k], e);
            name_ask(a, c, &ask, takes && n > 1);
            c->ask[c->asks++] = ask;
        }
    }
    return s;
}

void asks_free(asks *a)
{
    for (int i = 0; i < a->methods; i++)
        free(a->memory[i]);
    a->methods = 0;
}

/* ---- maps */

int asks_count_maps(const call *c, mv_error *e)
{
    const mv_preprocess *p = &c->session.config.preprocess;
    int h = c->height ? c->height : p->h, w = c->width ? c->width : p->w;
    mv_explainer *x = mv_explainer_new(c->ask, c->asks, &c->session.config, h, w, e);
    int n = x ? mv_explainer_maps(x) : -1;
    mv_explainer_free(x);
    return n;
}

/* What tells map k from others of its ask: "levels.3.blocks.1" */
static const char *part_name(const mv_maps *maps, int k, char text[MV_MAP_NAME])
{
    mv_map words = maps->map[k];
    words.class_ = words.against = MV_MAP_NONE;
    return mv_map_name(&words, text);
}

const char *asks_map_name(const asks *a, const mv_maps *maps, int i, int k, char text[ASKS_NAME + MV_MAP_NAME])
{
    char part[MV_MAP_NAME], other[MV_MAP_NAME];
    int same = 1;
    if (maps->n == 1)
        return a->name[i];
    part_name(maps, k, part);
    for (int m = 0; m < k; m++)
        same += strcmp(part_name(maps, m, other), part) == 0;
    if (same == 1)
        snprintf(text, ASKS_NAME + MV_MAP_NAME, "%s.%s", a->name[i], part);
    else
        snprintf(text, ASKS_NAME + MV_MAP_NAME, "%s.%s.%d", a->name[i], part, same);
    return text;
}
