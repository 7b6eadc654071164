/* Class labels of a config. Whatever is wrong with them, a network computes the same without: so the worst is that
 * classes are called by their number, with a warning. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"
#include "src/model/json_impl.h"

typedef struct {
    mv_labels l;
    const mv_json *r;
    const char *key;           /* "id2label" */
    int set;                   /* names that were taken */
    int stray, odd, odd_class; /* keys that are no class; names that are no text, and the first class with one */
    char stray_key[32];
    bool full, dropped; /* out of memory; the names are of other classes */
} taker;

static char *copy(taker *t, const char *text)
{
    char *safe = mv_text_escape(text);
    t->full |= !safe;
    return safe;
}

static void take_name(taker *t, int i, const json_t *v)
{
    if (!json_is_string(v)) {
        if (!t->odd++)
            t->odd_class = i;
        return;
    }
    free(t->l.name[i]); /* "3" and "03" are one class */
    t->l.name[i] = copy(t, json_string_value(v));
    t->set += t->l.name[i] != NULL;
}

/* The class of a key "7"; -1 where it is none of n. */
static int class_of(const char *key, int n)
{
    long i = 0;
    for (const char *p = key; *p; p++) {
        if (!isdigit((unsigned char)*p) || i >= n)
            return -1;
        i = 10 * i + (*p - '0');
    }
    return *key && i < n ? (int)i : -1;
}

static void take_object(taker *t, const json_t *map)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)map, key, value)
    {
        int i = class_of(key, t->l.n);
        if (i >= 0)
            take_name(t, i, value);
        else if (!t->stray++)
            snprintf(t->stray_key, sizeof t->stray_key, "%s", key);
    }
}

static void drop_names(taker *t)
{
    for (int i = 0; i < t->l.n; i++) {
        free(t->l.name[i]);
        t->l.name[i] = NULL;
    }
}

static int first_without(const mv_labels *l)
{
    int i = 0;
    while (i < l->n && l->name[i])
        i++;
    return i;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Two classes of one name. ImageNet has two cranes, so a network of its 1000 classes is not asked. */
static void warn_of_doubles(taker *t)
{
    const mv_labels *l = &t->l;
    if (l->n == 1000)
        return;
    const char **sorted = malloc((size_t)l->n * sizeof *sorted);
    int n = 0;
    t->full |= !sorted;
    for (int i = 0; sorted && i < l->n; i++)
        if (l->name[i])
            sorted[n++] = l->name[i];
    if (n)
        qsort(sorted, (size_t)n, sizeof *sorted, compare_names);
    for (int i = 1; i < n; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0) {
            mv_warn(t->r->warnings, "%s: \"%s\" has the name '%.60s' for several classes", t->r->place, t->key,
                    sorted[i]);
            break;
        }
    free(sorted);
}

/* Says what is wrong with the names of a list of `size` entries, and drops those of another set of classes. */
static void judge(taker *t, size_t size, bool list)
{
    const mv_json *r = t->r;
    int n = t->l.n, first;
    bool other = list && size != (size_t)n;
    if (t->stray || other) {
        drop_names(t);
        t->dropped = true;
        if (size != (size_t)n)
            mv_warn(r->warnings,
                    "%s: \"%s\" names %zu classes, but the head has %d; they are called 'class 0' and so on", r->place,
                    t->key, size, n);
        else
            mv_warn(r->warnings,
                    "%s: \"%s\" has the key '%s', expected 0 to %d; the classes are called 'class 0' and so on",
                    r->place, t->key, t->stray_key, n - 1);
        return;
    }
    if (t->odd)
        mv_warn(r->warnings, "%s: \"%s\" has no text for class %d%s; it is called 'class %d'", r->place, t->key,
                t->odd_class, t->odd > 1 ? " and others" : "", t->odd_class);
    else if (t->set < n && (first = first_without(&t->l)) < n)
        mv_warn(r->warnings, "%s: \"%s\" names %zu of %d classes; the first without a name is class %d", r->place,
                t->key, size, n, first);
    warn_of_doubles(t);
}

/* transformers writes two names where nobody gave any. */
static bool is_placeholder(const json_t *map, int classes)
{
    const char *zero = json_string_value(json_object_get(map, "0"));
    const char *one = json_string_value(json_object_get(map, "1"));
    return classes != 2 && json_object_size(map) == 2 && zero && one && strcmp(zero, "LABEL_0") == 0 &&
           strcmp(one, "LABEL_1") == 0;
}

/* The names: id2label of Hugging Face, label_names of timm, or a list of our own. Returns the number of entries, 0 if
 * there are none. */
static size_t find_names(taker *t, const json_t **found)
{
    const json_t *root = t->r->root, *nested = json_object_get(root, "pretrained_cfg");
    const struct {
        const char *key;
        const json_t *v;
    } places[] = {{"id2label", json_object_get(root, "id2label")},
                  {"classes", json_object_get(root, "classes")},
                  {"label_names", json_object_get(root, "label_names")},
                  {"pretrained_cfg.label_names", json_object_get(nested, "label_names")},
                  {"pretrained_cfg.labels", json_object_get(nested, "labels")}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const json_t *v = places[i].v;
        size_t n = json_is_object(v) ? json_object_size(v) : json_array_size(v);
        if (n && !is_placeholder(v, t->l.n)) {
            t->key = places[i].key;
            *found = v;
            return n;
        }
        if (v && !json_is_null(v) && !json_is_object(v) && !json_is_array(v))
            mv_warn(t->r->warnings, "%s: \"%s\" is no list of names, and is not read", t->r->place, places[i].key);
    }
    return 0;
}

static bool is_wnid(const char *s)
{
    return s && strlen(s) == 9 && *s == 'n' && strspn(s + 1, "0123456789") == 8;
}

/* WordNet ids: a list "wnids", or names that are ids, as timm has them: then label_descriptions has the names. */
static void take_wnids(taker *t)
{
    mv_labels *l = &t->l;
    const json_t *list = mv_json_get(t->r, "wnids"), *texts = json_object_get(t->r->root, "label_descriptions");
    bool fits = json_array_size(list) == (size_t)l->n;
    int odd = 0;
    for (int i = 0; i < l->n; i++) {
        const char *id = fits ? json_string_value(json_array_get(list, (size_t)i)) : NULL;
        const char *text = is_wnid(l->name[i]) ? json_string_value(json_object_get(texts, l->name[i])) : NULL;
        odd += fits && !id;
        if (!id && is_wnid(l->name[i]))
            id = l->name[i];
        l->wnid[i] = id ? copy(t, id) : NULL;
        if (text) {
            free(l->name[i]);
            l->name[i] = copy(t, text);
        }
    }
    if (list && (!fits || odd) && !t->dropped)
        mv_warn(t->r->warnings, "%s: \"wnids\" is no list of %d texts%s", t->r->place, l->n,
                fits ? "; those that are none are not read" : ", and is not read");
}

mv_status mv_labels_read(mv_labels *out, int classes, const mv_json *r)
{
    taker t = {.r = r};
    const json_t *names = NULL;
    if (classes < 1)
        return MV_OK;
    if (!mv_labels_new(&t.l, classes))
        return mv_fail_memory(r->e, r->place);
    size_t n = find_names(&t, &names);
    if (json_is_object(names))
        take_object(&t, names);
    for (size_t i = 0; json_is_array(names) && i < n && i < (size_t)classes; i++)
        take_name(&t, (int)i, json_array_get(names, i));
    if (n) {
        judge(&t, n, json_is_array(names));
        take_wnids(&t);
    }
    if (!n || t.full) {
        mv_labels_free(&t.l);
        return t.full ? mv_fail_memory(r->e, r->place) : MV_OK;
    }
    mv_labels_free(out);
    *out = t.l;
    return MV_OK;
}
