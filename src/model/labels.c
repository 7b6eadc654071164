#include "src/model/labels.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool mv_labels_new(mv_labels *out, int n)
{
    size_t room = n > 0 ? (size_t)n : 1;
    *out = (mv_labels){.n = n, .name = calloc(room, sizeof *out->name), .wnid = calloc(room, sizeof *out->wnid)};
    if (out->name && out->wnid)
        return true;
    mv_labels_free(out);
    return false;
}

mv_status mv_labels_parse(mv_labels *out, const char *text, size_t size, const char *place, mv_error *e)
{
    const char *line = text, *end = text + size, *stop;
    int n = 0;
    while (line < end && (line = memchr(line, '\n', (size_t)(end - line)))) {
        line++;
        n++;
    }
    if (!mv_labels_new(out, n))
        return mv_fail_memory(e, place);
    mv_status s = MV_OK;
    line = text;
    for (int i = 0; !s && i < n; i++, line = stop + 1) {
        stop = memchr(line, '\n', (size_t)(end - line));
        const char *tab = memchr(line, '\t', (size_t)(stop - line));
        if (!tab) {
            s = mv_fail(e, MV_EINPUT, "%s: found no tab in line %d, expected a WordNet id, a tab and a name", place,
                        i + 1);
            break;
        }
        out->wnid[i] = strndup(line, (size_t)(tab - line));
        out->name[i] = strndup(tab + 1, (size_t)(stop - tab) - 1);
        if (!out->wnid[i] || !out->name[i])
            s = mv_fail_memory(e, place);
    }
    if (s)
        mv_labels_free(out);
    return s;
}

/* ---- several names of one class */

typedef struct {
    const char *name;
    size_t n; /* bytes before the first comma */
    int class_;
} first_name;

static int by_first(const void *a, const void *b)
{
    const first_name *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = strncasecmp(x->name, y->name, n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

char **mv_labels_short(const char *const *name, int n)
{
    char **out = calloc((size_t)n + 1, sizeof *out);
    first_name *all = malloc(((size_t)n + 1) * sizeof *all);
    int named = 0;
    bool good = out && all;
    for (int i = 0; good && i < n; i++)
        if (name[i])
            all[named++] = (first_name){name[i], strcspn(name[i], ","), i};
    if (good)
        qsort(all, (size_t)named, sizeof *all, by_first);
    for (int i = 0; good && i < named; i++) {
        const first_name *f = &all[i];
        bool same = (i > 0 && by_first(f, f - 1) == 0) || (i + 1 < named && by_first(f, f + 1) == 0);
        out[f->class_] = strndup(f->name, same || f->n == 0 ? strlen(f->name) : f->n);
        good = out[f->class_] != NULL;
    }
    free(all);
    if (good)
        return out;
    mv_labels_short_free(out, n);
    return NULL;
}

void mv_labels_short_free(char **names, int n)
{
    for (int i = 0; names && i < n; i++)
        free(names[i]);
    free(names);
}

bool mv_labels_names(const char *names, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = names; *p;) {
        p += strspn(p, " ");
        size_t length = strcspn(p, ",");
        if (length == n && strncasecmp(p, word, n) == 0)
            return true;
        p += length + (p[length] == ',');
    }
    return false;
}

bool mv_labels_agree(const mv_labels *labels, const mv_labels *known)
{
    int same = 0;
    if (labels->n != known->n)
        return false;
    for (int i = 0; i < known->n; i++)
        same += labels->name[i] && known->name[i] && mv_labels_names(labels->name[i], known->name[i]);
    return known->n > 0 && same >= known->n - known->n / 5;
}

void mv_labels_free(mv_labels *labels)
{
    for (int i = 0; i < labels->n; i++) {
        if (labels->name)
            free(labels->name[i]);
        if (labels->wnid)
            free(labels->wnid[i]);
    }
    free(labels->name);
    free(labels->wnid);
    *labels = (mv_labels){0};
}
