#include "src/base/param.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *mv_param_word(const mv_param *p, int i)
{
    if (p->word_at)
        return p->word_at(i);
    for (int k = 0; p->words && p->words[k]; k++)
        if (k == i)
            return p->words[k];
    return NULL;
}

static int word_of(const mv_param *p, const char *value)
{
    for (int i = 0; mv_param_word(p, i); i++)
        if (strcmp(mv_param_word(p, i), value) == 0)
            return i;
    return -1;
}

/* "light or dark"; "center, squash or border" */
static void list_words(const mv_param *p, char *text, size_t size)
{
    size_t at = 0;
    const char *word;
    *text = '\0';
    for (int i = 0; (word = mv_param_word(p, i)) && at < size; i++) {
        const char *join = i == 0 ? "" : mv_param_word(p, i + 1) || p->kind == MV_PARAM_LIST ? ", " : " or ";
        int n = snprintf(text + at, size - at, "%s%s", join, word);
        at += n > 0 ? (size_t)n : 0;
    }
}

/* What a value must be: "a whole number from 1 to 4096" */
static void describe(const mv_param *p, char text[240])
{
    char words[160];
    list_words(p, words, sizeof words);
    switch (p->kind) {
    case MV_PARAM_INTEGER: snprintf(text, 240, "a whole number from %.0f to %.0f", p->least, p->most); break;
    case MV_PARAM_COUNT: snprintf(text, 240, "a number from %.0f to %.0f", p->least, p->most); break;
    case MV_PARAM_NUMBER: snprintf(text, 240, "a number from %g to %g", p->least, p->most); break;
    case MV_PARAM_SIZE: snprintf(text, 240, "N or HxW, from %.0f to %.0f pixels", p->least, p->most); break;
    case MV_PARAM_SHARE: snprintf(text, 240, "I/N, part I of N, such as 1/4"); break;
    case MV_PARAM_LIST:
        if (p->most < p->least) /* words only */
            snprintf(text, 240, "%s, joined by commas", words);
        else
            snprintf(text, 240, "%s%swhole numbers from %.0f to %.0f, joined by commas", words, *words ? " or " : "",
                     p->least, p->most);
        break;
    case MV_PARAM_WORD:
    case MV_PARAM_FLAG:
    case MV_PARAM_TEXT:
    case MV_PARAM_TEXTS: snprintf(text, 240, "%s", words); break;
    }
}

static mv_status unfit(const mv_param *p, const char *value, const char *place, mv_error *e)
{
    char expected[240];
    describe(p, expected);
    return mv_fail(e, MV_EINPUT, "%s: found '%.100s', expected %s", place, value, expected);
}

static bool whole(const char *value, double least, double most, int *out)
{
    char *end;
    errno = 0;
    long v = strtol(value, &end, 10);
    if (end == value || *end || errno || (double)v < least || (double)v > most)
        return false;
    *out = (int)v;
    return true;
}

static bool number(const char *value, double least, double most, double *out)
{
    char *end;
    double v = strtod(value, &end);
    if (end == value || *end || !(v >= least && v <= most))
        return false;
    *out = v;
    return true;
}

static bool count(const char *value, double least, double most, size_t *out)
{
    char *end;
    double v = strtod(value, &end), unit = 1;
    if (end == value)
        return false;
    switch (*end) {
    case 'k':
    case 'K': unit = 1e3; break;
    case 'M': unit = 1e6; break;
    case 'G': unit = 1e9; break;
    default: unit = 1;
    }
    if (unit > 1)
        end++;
    v *= unit;
    if (*end || !(v >= least && v <= most) || v != floor(v))
        return false;
    *out = (size_t)v;
    return true;
}

static bool size(const char *value, double least, double most, mv_param_size *out)
{
    char head[8];
    const char *x = strchr(value, 'x');
    size_t n = x ? (size_t)(x - value) : strlen(value);
    if (n >= sizeof head)
        return false;
    memcpy(head, value, n);
    head[n] = '\0';
    mv_param_size s;
    if (!whole(head, least, most, &s.h) || !whole(x ? x + 1 : head, least, most, &s.w))
        return false;
    *out = s;
    return true;
}

static bool share(const char *value, double most, mv_param_part *out)
{
    char head[8];
    const char *slash = strchr(value, '/');
    size_t n = slash ? (size_t)(slash - value) : sizeof head;
    if (n >= sizeof head)
        return false;
    memcpy(head, value, n);
    head[n] = '\0';
    mv_param_part s;
    if (!whole(slash + 1, 1, most, &s.n) || !whole(head, 1, s.n, &s.i))
        return false;
    *out = s;
    return true;
}

static mv_status add_to_list(mv_param_list *list, const mv_param *p, const char *value, const char *place, mv_error *e)
{
    for (const char *at = value;;) {
        char item[32];
        size_t n = strcspn(at, ",");
        int v;
        if (n == 0 || n >= sizeof item)
            return unfit(p, value, place, e);
        memcpy(item, at, n);
        item[n] = '\0';
        int word = word_of(p, item);
        if (word >= 0)
            v = -1 - word;
        else if (!whole(item, p->least, p->most, &v))
            return unfit(p, value, place, e);
        bool known = false;
        for (int i = 0; i < list->n; i++)
            known |= list->v[i] == v;
        if (!known && list->n == MV_PARAM_MOST)
            return mv_fail(e, MV_EINPUT, "%s: found more than %d values", place, MV_PARAM_MOST);
        if (!known)
            list->v[list->n++] = v;
        if (!at[n])
            return MV_OK;
        at += n + 1;
    }
}

mv_status mv_param_set(void *into, const mv_param *p, const char *value, const char *place, mv_error *e)
{
    void *to = (char *)into + p->offset;
    bool fits = true;
    int word;
    if (p->check && p->check(value, place, e))
        return MV_EINPUT;
    switch (p->kind) {
    case MV_PARAM_FLAG: *(bool *)to = true; break;
    case MV_PARAM_INTEGER: fits = whole(value, p->least, p->most, to); break;
    case MV_PARAM_NUMBER: fits = number(value, p->least, p->most, to); break;
    case MV_PARAM_COUNT: fits = count(value, p->least, p->most, to); break;
    case MV_PARAM_SIZE: fits = size(value, p->least, p->most, to); break;
    case MV_PARAM_SHARE: fits = share(value, p->most, to); break;
    case MV_PARAM_TEXT: *(const char **)to = value; break;
    case MV_PARAM_LIST: return add_to_list(to, p, value, place, e);
    case MV_PARAM_WORD:
        word = word_of(p, value);
        if ((fits = word >= 0))
            *(int *)to = word;
        break;
    case MV_PARAM_TEXTS: {
        mv_param_texts *texts = to;
        if (texts->n == MV_PARAM_MOST)
            return mv_fail(e, MV_EINPUT, "%s: found more than %d values", place, MV_PARAM_MOST);
        texts->v[texts->n++] = value;
        break;
    }
    }
    return fits ? MV_OK : unfit(p, value, place, e);
}

void mv_param_defaults(void *into, const mv_param *table)
{
    for (const mv_param *p = table; p->name; p++) {
        void *to = (char *)into + p->offset;
        if (p->kind == MV_PARAM_WORD)
            *(int *)to = -1;
        if (p->otherwise)
            mv_param_set(into, p, p->otherwise, p->name, NULL);
    }
}

const mv_param *mv_param_lookup(const mv_param *table, const char *name)
{
    for (const mv_param *p = table; p->name; p++)
        if (strcmp(p->name, name) == 0 || (p->also && strcmp(p->also, name) == 0))
            return p;
    return NULL;
}

const char *mv_param_help(const mv_param *p, char *text, size_t room)
{
    char range[200] = "", words[160];
    list_words(p, words, sizeof words);
    switch (p->kind) {
    case MV_PARAM_INTEGER:
    case MV_PARAM_NUMBER:
    case MV_PARAM_SIZE: snprintf(range, sizeof range, "%.10g to %.10g", p->least, p->most); break;
    case MV_PARAM_WORD: snprintf(range, sizeof range, "%s", words); break;
    case MV_PARAM_COUNT:
    case MV_PARAM_SHARE:
    case MV_PARAM_LIST:
    case MV_PARAM_FLAG:
    case MV_PARAM_TEXT:
    case MV_PARAM_TEXTS: break;
    }
    snprintf(text, room, "%s%s%s%s%s%s%s", p->help, *range || p->otherwise ? " (" : "", range,
             *range && p->otherwise ? "; " : "", p->otherwise ? "default " : "", p->otherwise ? p->otherwise : "",
             *range || p->otherwise ? ")" : "");
    return text;
}

/* True where a comma ends a value: NAME= or a parameter's name follows. Other commas belong to the value, a list. */
static bool starts_param(const mv_param *table, const char *text)
{
    char name[64];
    size_t n = strcspn(text, "=,");
    if (text[n] == '=' || n >= sizeof name)
        return true;
    memcpy(name, text, n);
    name[n] = '\0';
    return mv_param_lookup(table, name) != NULL;
}

static mv_status set_item(void *into, const mv_param *table, char *item, const char *place, mv_error *e)
{
    char where[120], *value = strchr(item, '=');
    if (value)
        *value++ = '\0';
    const mv_param *p = mv_param_lookup(table, item);
    if (!p)
        return mv_fail(e, MV_EINPUT, "%s: has no parameter '%.60s'", place, item);
    if ((p->kind == MV_PARAM_FLAG) == (value != NULL))
        return mv_fail(e, MV_EINPUT, "%s: found '%.60s' %s a value, expected %s", place, item,
                       value ? "with" : "without", value ? "the flag alone" : "NAME=VALUE");
    snprintf(where, sizeof where, "%.60s: %.50s", place, item);
    return mv_param_set(into, p, value ? value : "", where, e);
}

mv_status mv_param_parse(void *into, const mv_param *table, const char *text, char *copy, const char *place,
                         mv_error *e)
{
    strcpy(copy, text);
    for (char *item = copy; item;) {
        char *comma = strchr(item, ',');
        while (comma && !starts_param(table, comma + 1))
            comma = strchr(comma + 1, ',');
        if (comma)
            *comma++ = '\0';
        if (set_item(into, table, item, place, e))
            return MV_EINPUT;
        item = comma;
    }
    return MV_OK;
}

char *mv_param_join(const mv_param_texts *texts)
{
    size_t n = 1;
    for (int i = 0; i < texts->n; i++)
        n += strlen(texts->v[i]) + 1;
    char *all = calloc(1, n);
    for (int i = 0; all && i < texts->n; i++) {
        if (i)
            strcat(all, ",");
        strcat(all, texts->v[i]);
    }
    return all;
}
