#include "cmd/mixer_reply.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/reply.h"
#include "src/base/text.h"

/* ---- lines */

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The median of a map's raw values, the lower one of two; NaN without a map. False without memory. */
static bool median_of(double *out, const mv_map *m)
{
    *out = (double)NAN;
    if (!m)
        return true;
    size_t n = (size_t)m->h * (size_t)m->w;
    float *sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return false;
    memcpy(sorted, mv_map_raw(m), n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_value);
    *out = (double)sorted[(n - 1) / 2];
    free(sorted);
    return true;
}

static bool measure(mixer_line *l)
{
    const mv_map *h = l->map[MV_MIXER_H], *hidden = l->map[MV_MIXER_HIDDEN], *c = l->map[MV_MIXER_CONTRIBUTIONS];
    l->tokens = h->window * h->window;
    l->padding = h->padding;
    l->norm_on_padding = h->on_padding;
    l->hidden_on_padding = hidden ? hidden->on_padding : (double)NAN;
    l->scan_share = c ? mv_map_figure_value(c, "scan_share") : (double)NAN;
    return median_of(&l->half_life, l->map[MV_MIXER_HALF_LIFE]) && median_of(&l->step, l->map[MV_MIXER_DT]) &&
           median_of(&l->norm, h) && median_of(&l->ratio, l->map[MV_MIXER_RATIO]);
}

int mixer_lines(const mv_maps *maps, mixer_line **out, mv_error *e)
{
    int n = 0;
    mixer_line *line = calloc((size_t)maps->n + 1, sizeof *line);
    bool good = line != NULL;
    for (int i = 0; i < maps->n && good; i++) {
        const mv_map *m = &maps->map[i];
        if (!m->what || strcmp(m->what, mv_mixer_key(MV_MIXER_H)) != 0)
            continue;
        mixer_line *l = &line[n++];
        *l = (mixer_line){.level = m->level, .block = m->block};
        for (int k = 0; k < MV_MIXER_KINDS; k++)
            l->map[k] = mv_inside_lookup(maps, m->level, m->block, mv_mixer_key((mv_mixer_kind)k));
        l->matrix[0] = mv_inside_lookup(maps, m->level, m->block, "hidden_matrix");
        l->matrix[1] = mv_inside_lookup(maps, m->level, m->block, "contributions_matrix");
        good = measure(l);
    }
    if (!good) {
        free(line);
        line = NULL;
        mv_fail_memory(e, "mixer");
    }
    *out = line;
    return good ? n : -1;
}

/* ---- tables */

static void put_share(FILE *out, int width, double share)
{
    if (isfinite(share))
        fprintf(out, "  %*.1f %%", width - 2, 100 * share);
    else
        fprintf(out, "  %*s", width, "-");
}

void mixer_table(FILE *out, const mixer_line *line, int lines)
{
    fprintf(out, "%5s  %5s  %16s  %9s  %10s  %9s  %10s  %10s  %17s  %16s\n", "level", "block", "half-life tokens",
            "step size", "state norm", "|y| / |z|", "scan share", "on padding", "hidden on padding",
            "state on padding");
    for (int i = 0; i < lines; i++) {
        const mixer_line *l = &line[i];
        fprintf(out, "%5d  %5d  %16.4g  %9.3g  %10.3g  %9.3g", l->level, l->block, l->half_life, l->step, l->norm,
                l->ratio);
        put_share(out, 10, l->scan_share);
        put_share(out, 10, l->padding);
        put_share(out, 17, l->hidden_on_padding);
        put_share(out, 16, l->norm_on_padding);
        fputc('\n', out);
    }
}

static void put_likeness(FILE *out, const mv_likeness of[MV_FLIPS])
{
    for (int f = 0; f < MV_FLIPS; f++)
        fprintf(out, "  %10.3f %8.3f", of[f].correlation, of[f].distance);
    fputc('\n', out);
}

void mixer_audit_table(FILE *out, const mv_audit *a, const call *c)
{
    char name[24];
    fprintf(out, "%-36s  %19s  %19s\n%-36s  %10s %8s  %10s %8s\n", "", "mirrored", "upside down", "", "correlated",
            "distance", "correlated", "distance");
    fprintf(out, "%-8s %-27.27s", "evidence", session_class(&c->session, a->class_, name));
    put_likeness(out, a->evidence);
    for (int i = 0; i < a->blocks; i++)
        for (int k = 0; k < MV_AUDIT_STATES; k++) {
            fprintf(out, "level %d, block %-3d  %-17s", a->block[i].level, a->block[i].block,
                    mv_mixer_title((mv_mixer_kind)k));
            put_likeness(out, a->block[i].state[k]);
        }
}

mv_status mixer_print_name(FILE *out, const char *path, mv_error *e)
{
    char *name = mv_text_escape(path);
    if (!name)
        return mv_fail_memory(e, "mixer");
    fprintf(out, "%s\n", name);
    free(name);
    return MV_OK;
}

/* ---- JSON */

/* Leaves out what is not a number. */
static bool set_real(json_t *o, const char *key, double v)
{
    return !isfinite(v) || reply_set(o, key, json_real(v));
}

static json_t *block_json(const mixer_line *l)
{
    json_t *o = json_pack("{s:i,s:i,s:i}", "level", l->level, "block", l->block, "tokens", l->tokens);
    bool good = o && set_real(o, "half_life", l->half_life) && set_real(o, "step_size", l->step) &&
                set_real(o, "state_norm", l->norm) && set_real(o, "ratio", l->ratio) &&
                set_real(o, "scan_share", l->scan_share) && set_real(o, "padding", l->padding) &&
                set_real(o, "hidden_on_padding", l->hidden_on_padding) &&
                set_real(o, "state_on_padding", l->norm_on_padding);
    if (good)
        return o;
    json_decref(o);
    return NULL;
}

static const char *const flip_keys[MV_FLIPS] = {"mirrored", "upside_down"};

static json_t *likeness_json(const mv_likeness of[MV_FLIPS])
{
    json_t *o = json_object();
    bool good = o != NULL;
    for (int f = 0; f < MV_FLIPS && good; f++) {
        json_t *one = json_object();
        good = one && set_real(one, "correlation", of[f].correlation) && set_real(one, "distance", of[f].distance);
        good = reply_set(o, flip_keys[f], one) && good;
    }
    if (good)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *audit_block_json(const mv_audit_block *b)
{
    json_t *o = json_pack("{s:i,s:i}", "level", b->level, "block", b->block);
    bool good = o && set_real(o, "padding", b->tokens) && set_real(o, "hidden_on_padding", b->hidden) &&
                set_real(o, "state_on_padding", b->norm);
    for (int k = 0; k < MV_AUDIT_STATES && good; k++)
        good = reply_set(o, mv_mixer_key((mv_mixer_kind)k), likeness_json(b->state[k]));
    if (good)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *audit_json(const mv_audit *a)
{
    json_t *o = json_pack("{s:i,s:f}", "class", a->class_, "logit", a->logit), *list = json_array();
    bool good = o && list;
    for (int f = 0; f < MV_FLIPS && good; f++) {
        char key[32];
        snprintf(key, sizeof key, "logit_%s", flip_keys[f]);
        good = reply_set(o, key, json_real(a->flipped[f]));
        snprintf(key, sizeof key, "class_%s", flip_keys[f]);
        good = good && reply_set(o, key, json_integer(a->top[f]));
    }
    good = good && reply_set(o, "evidence", likeness_json(a->evidence));
    for (int i = 0; i < a->blocks && good; i++)
        good = reply_append(list, audit_block_json(&a->block[i]));
    if (o && reply_set(o, "blocks", list) && good)
        return o;
    json_decref(o);
    return NULL;
}

json_t *mixer_json(const call *c, const shot *t, const mixer_line *line, int lines)
{
    json_t *o = reply_maps(c, t), *list = json_array();
    bool good = o && list;
    for (int i = 0; i < lines && good; i++)
        good = reply_append(list, block_json(&line[i]));
    good = o && reply_set(o, "blocks", list) && good;
    good = good && (!t->own || reply_set(o, "audit", audit_json(t->own)));
    if (good)
        return o;
    json_decref(o);
    return NULL;
}
