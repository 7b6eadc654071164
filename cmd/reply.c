#include "cmd/reply.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/at.h"
#include "src/base/text.h"
#include "src/file/npy.h"
#include "src/file/safetensors.h"

/* ---- JSON */

json_t *reply_new(const call *c, const shot *t)
{
    bool sigmoid = *session_sigmoid(&c->session) && (c->command->takes & TAKES_CLASSES);
    return json_pack("{s:s,s:s,s:s,s:s,s:s*}", "image", t->name, "model", c->session.name, "device",
                     session_device(&c->session), "precision", session_precision(&c->session), "activation",
                     sigmoid ? "sigmoid" : NULL);
}

mv_status reply_print(json_t *value, FILE *out, const char *place, mv_error *e)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (!text)
        return mv_fail(e, MV_ENOMEM,
                       "%s: the reply cannot be written as JSON: out of memory, or a text in it is not UTF-8", place);
    fprintf(out, "%s\n", text);
    free(text);
    return MV_OK;
}

bool reply_set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

bool reply_append(json_t *list, json_t *value)
{
    return json_array_append_new(list, value) == 0;
}

static json_t *number_or(int n, int special, const char *word)
{
    return n == special ? json_string(word) : json_integer(n);
}

/* A number, or a list of several. */
static json_t *against_of(const mv_map *m)
{
    json_t *list = m->others ? json_array() : json_integer(m->against);
    bool good = list && (!m->others || reply_append(list, json_integer(m->against)));
    for (int i = 0; i < m->others && good; i++)
        good = reply_append(list, json_integer(m->other[i]));
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

json_t *reply_map(const mv_map *m)
{
    double lo = m->raw ? m->raw_lo : m->lo, hi = m->raw ? m->raw_hi : m->hi;
    json_t *o = json_object();
    bool good = m->level == MV_MAP_NONE || reply_set(o, "level", json_integer(m->level));
    good = good && reply_set(o, "h", json_integer(m->h)) && reply_set(o, "w", json_integer(m->w)) &&
           reply_set(o, "least", json_real(lo)) && reply_set(o, "greatest", json_real(hi));
    if (m->window)
        good = good && reply_set(o, "on_padding", json_real(m->on_padding)) &&
               reply_set(o, "padding", json_real(m->padding));
    if (m->block != MV_MAP_NONE)
        good = good && reply_set(o, "block", number_or(m->block, MV_MAP_ALL, "rollout"));
    if (m->what)
        good = good && reply_set(o, "what", json_string(m->what));
    if (m->head != MV_MAP_NONE)
        good = good && reply_set(o, "head", number_or(m->head, MV_MAP_MEAN, "mean"));
    if (m->class_ != MV_MAP_NONE)
        good = good && reply_set(o, "class", json_integer(m->class_));
    if (m->against != MV_MAP_NONE)
        good = good && reply_set(o, "against", against_of(m));
    for (int i = 0; i < m->figures; i++)
        if (isfinite(m->figure[i].value))
            good = good && reply_set(o, m->figure[i].key, json_real(m->figure[i].value));
    if (good)
        return o;
    json_decref(o);
    return NULL;
}

json_t *reply_maps(const call *c, const shot *t)
{
    json_t *line = reply_new(c, t), *list = json_array();
    bool good = list != NULL;
    for (int a = 0; a < c->asks && good; a++)
        for (int i = 0; i < t->maps[a].n && good; i++)
            good = reply_append(list, reply_map(&t->maps[a].map[i]));
    if (reply_set(line, "maps", list) && good && at_reply(c, t, line))
        return line;
    json_decref(line);
    return NULL;
}

/* ---- tables */

/* "reach px"; "mean entropy" of "each query alone: entropy"; an ASCII heading for the values: "times even" */
static const char *heading_of(const mv_figure *f, char text[64])
{
    bool share = strcmp(f->unit, "of 1") == 0;
    const char *mean = strncmp(f->name, "each ", 5) == 0 ? strstr(f->name, ": ") : NULL;
    snprintf(text, 64, "%s%s%s%s", mean ? "mean " : "", mean ? mean + 2 : f->name, *f->unit && !share ? " " : "",
             share ? "" : f->unit);
    return text;
}

static int width_of(const mv_figure *f, int i)
{
    char text[64];
    int n = (int)strlen(heading_of(f, text)) + (i > 0);
    return n < 7 ? 7 : n;
}

static void table_head(FILE *out, const mv_map *m)
{
    char text[64];
    fprintf(out, "%5s  %7s  %4s   %-20s ", "level", "block", "head",
            strcmp(m->unit, "\xc3\x97 even") == 0 ? "times even" : m->unit);
    for (int i = 0; i < m->figures; i++)
        fprintf(out, "  %*s", width_of(&m->figure[i], i), heading_of(&m->figure[i], text));
    fprintf(out, "%s\n", m->window ? "   on padding" : "");
}

void table_maps(FILE *out, const mv_maps *maps)
{
    for (int k = 0; k < maps->n; k++) {
        const mv_map *m = &maps->map[k];
        char block[16], head[16];
        if (k == 0)
            table_head(out, m);
        snprintf(block, sizeof block, m->block == MV_MAP_ALL ? "rollout" : m->block < 0 ? "-" : "%d", m->block);
        snprintf(head, sizeof head, m->head == MV_MAP_MEAN ? "mean" : m->head < 0 ? "-" : "%d", m->head);
        fprintf(out, "%5d  %7s  %4s   %8.3f to %8.3f", m->level, block, head, (double)m->lo, (double)m->hi);
        for (int i = 0; i < m->figures; i++) {
            const mv_figure *f = &m->figure[i];
            if (isfinite(f->value))
                fprintf(out, "  %*.*f", width_of(f, i), f->digits + 1, f->value);
            else
                fprintf(out, "  %*s", width_of(f, i), "-");
        }
        if (m->window)
            fprintf(out, "     %6.1f %%", 100 * m->on_padding);
        fputc('\n', out);
    }
}

/* ---- numbers */

mv_status maps_write(const char *path, const mv_maps *maps, const char *query, mv_error *e)
{
    size_t n = (size_t)maps->n;
    if (mv_text_ends_in(path, ".npy") && n != 1)
        return mv_fail(
            e, MV_EINPUT,
            "%s: found %zu maps, expected one, as a .npy holds one array; choose one by the options, or write "
            "a .safetensors",
            path, n);
    char(*names)[MV_MAP_NAME] = calloc(n + 1, sizeof *names);
    const char **name = calloc(n + 1, sizeof *name);
    mv_tensor *value = calloc(n + 1, sizeof *value);
    mv_status status = names && name && value ? MV_OK : mv_fail_memory(e, path);
    for (size_t i = 0; !status && i < n; i++) {
        const mv_map *m = &maps->map[i];
        name[i] = mv_map_name(m, names[i]);
        value[i] = mv_tensor_of(mv_map_raw(m), MV_F32, m->channels > 1 ? 3 : 2, m->h, m->w, m->channels);
    }
    if (!status && mv_text_ends_in(path, ".npy"))
        status = mv_npy_write(path, value[0], e);
    else if (!status) {
        const mv_map *m = maps->map;
        const char *keys[] = {"unit", "software", "query"}, *values[] = {n && m->raw ? m->raw_unit
                                                                         : n         ? m->unit
                                                                                     : "",
                                                                         "mvscope " MV_VERSION, query};
        status = mv_safetensors_write(path, maps->n, name, value, query ? 3 : 2, keys, values, e);
    }
    free(names);
    free(name);
    free(value);
    return status;
}
