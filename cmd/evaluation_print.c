/* The results of eval as JSON, text and CSV. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/evaluation.h"
#include "cmd/reply.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/explain/faith.h"
#include "src/file/output.h"

/* ---- JSON */

static const char *const figure_key[FIGURES] = {"deletion", "insertion", "road", "grid", "pointing", "energy"};

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* KEY, KEY_low and KEY_high; nothing for no values. */
static bool set_estimate(json_t *o, const char *key, const mv_estimate *x)
{
    char text[64];
    bool good = reply_set(o, key, number(x->mean));
    if (x->n == 0)
        return good;
    snprintf(text, sizeof text, "%s_low", key);
    good = good && reply_set(o, text, number(x->low));
    snprintf(text, sizeof text, "%s_high", key);
    return good && reply_set(o, text, number(x->high));
}

static json_t *json_map(const map_result *m)
{
    json_t *o = json_pack("{s:s,s:o,s:o,s:o,s:o,s:i}", "method", m->name, "deletion", number(m->figure[0].mean),
                          "insertion", number(m->figure[1].mean), "low", number(m->figure[0].low), "high",
                          number(m->figure[0].high), "pictures", m->figure[0].n),
           *list;
    bool good = o != NULL;
    for (int f = 0; f < FIGURES && good; f++)
        good = f > FIGURE_INSERTION && m->figure[f].n == 0 ? true : set_estimate(o, figure_key[f], &m->figure[f]);
    good = good && (m->random ||
                    (set_estimate(o, "deletion_gain", &m->gain[0]) && set_estimate(o, "insertion_gain", &m->gain[1])));
    if (good && m->stages) {
        list = json_array();
        for (int k = 0; k < m->stages && good; k++)
            good = reply_append(list, number(m->stage[k]));
        good = reply_set(o, "redrawn", list) && good;
    }
    if (good)
        return o;
    json_decref(o);
    return NULL;
}

static json_t *json_classes(const evaluation *v)
{
    json_t *list = json_array();
    bool good = list != NULL;
    for (int i = 0; i < v->classes && good; i++) {
        const class_result *c = &v->class_[i];
        if (c->pictures == 0 && c->answered == 0)
            continue;
        json_t *o = json_pack("{s:i,s:s*,s:s,s:i,s:i}", "index", i, "wnid", v->wnid[i], "name", v->class_name[i],
                              "pictures", c->pictures, "answered", c->answered);
        if (o && c->pictures)
            good = reply_set(o, "top1", json_real((double)c->top1 / c->pictures)) &&
                   reply_set(o, "top5", json_real((double)c->top5 / c->pictures));
        if (o && c->confused_with >= 0)
            good = good && reply_set(o, "confused_with", json_integer(c->confused_with)) &&
                   reply_set(o, "confused", json_integer(c->confused));
        good = reply_append(list, o) && good;
    }
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *json_bins(const mv_calibration *c)
{
    json_t *list = json_array();
    for (int k = 0; k < MV_CALIBRATION_BINS; k++) {
        const mv_calibration_bin *b = &c->bin[k];
        if (!reply_append(list, json_pack("{s:i,s:f,s:f}", "pictures", b->n, "confidence", b->confidence, "accuracy",
                                          b->accuracy))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *json_confusion(const evaluation *v)
{
    json_t *list = json_array();
    for (int i = 0; i < v->confusions; i++)
        if (!reply_append(list,
                          json_pack("[i,i,i]", v->confusion[i].true_, v->confusion[i].answer, v->confusion[i].n))) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *json_stages(const records *r)
{
    return json_incref(json_object_get(r->settings, "stages"));
}

mv_status evaluation_json(const evaluation *v, FILE *out, mv_error *e)
{
    const records *r = v->of;
    json_t *o =
               json_pack("{s:O,s:s,s:O,s:i,s:i}", "model", json_object_get(r->settings, "model"), "device", r->device,
                         "precision", json_object_get(r->settings, "precision"), "pictures", r->n, "failed", r->failed),
           *list;
    bool good = o && set_estimate(o, "top1", &v->top1) && set_estimate(o, "top5", &v->top5) &&
                reply_set(o, "ece", number(v->calibration.error)) &&
                reply_set(o, "confidence", number(v->calibration.confidence)) &&
                reply_set(o, "bins", json_bins(&v->calibration)) && reply_set(o, "classes", json_classes(v)) &&
                reply_set(o, "confusion", json_confusion(v));
    if (good && v->maps) {
        list = json_array();
        for (int i = 0; i < v->maps && good; i++)
            good = reply_append(list, json_map(&v->map[i]));
        good = reply_set(o, "faith", list) && good;
        if (good && v->grain[0] && v->grain[1])
            good = reply_set(o, "grain", json_pack("[i,i]", v->grain[0], v->grain[1]));
        if (good && json_object_get(r->settings, "stages"))
            good = reply_set(o, "redrawn_stages", json_stages(r));
    }
    if (!good) {
        json_decref(o);
        o = NULL;
    }
    return reply_print(o, out, "eval", e);
}

/* ---- text */

/* "0.123 (0.100 to 0.150)", "-" */
static const char *estimate_text(char text[64], const mv_estimate *x)
{
    if (x->n == 0)
        snprintf(text, 64, "-");
    else
        snprintf(text, 64, "%.3f (%.3f to %.3f)", x->mean, x->low, x->high);
    return text;
}

static void print_classes(const evaluation *v, FILE *out)
{
    int width = 5;
    for (int i = 0; i < v->classes; i++)
        if (v->class_[i].pictures && (int)strlen(v->brief[i]) > width)
            width = (int)strlen(v->brief[i]);
    width = width > 40 ? 40 : width;
    fprintf(out, "\n%-*s  pictures    top-1    top-5  answered  most confused with\n", width, "class");
    for (int i = 0; i < v->classes; i++) {
        const class_result *c = &v->class_[i];
        if (c->pictures == 0)
            continue;
        fprintf(out, "%-*.*s  %8d  %5.1f %%  %5.1f %%  %8d  ", width, width, v->brief[i], c->pictures,
                100.0 * c->top1 / c->pictures, 100.0 * c->top5 / c->pictures, c->answered);
        if (c->confused_with < 0)
            fprintf(out, "-\n");
        else
            fprintf(out, "%s (%d)\n", v->brief[c->confused_with], c->confused);
    }
}

/* Which maps beat random cells beyond doubt, by pictures. */
static void print_gains(const evaluation *v, FILE *out)
{
    static const char *const words[] = {"smaller deletion and larger insertion than random cells, by pictures",
                                        "only one of them", "neither"};
    for (int k = 0; k < 3; k++) {
        int n = 0;
        for (int i = 0; i < v->maps; i++) {
            const map_result *m = &v->map[i];
            if (m->random || m->gain[0].n == 0 || 2 - (m->gain[0].low > 0) - (m->gain[1].low > 0) != k)
                continue;
            if (n++ == 0)
                fprintf(out, "%s: ", words[k]);
            fprintf(out, "%s%s", n > 1 ? ", " : "", m->name);
        }
        if (n)
            fprintf(out, "\n");
    }
}

static void print_maps(const evaluation *v, FILE *out)
{
    static const char *const heads[FIGURES] = {"deletion", "insertion", "ROAD", "grid", "pointing", "energy"};
    bool any[FIGURES] = {0};
    int width = 6;
    char text[64];
    for (int i = 0; i < v->maps; i++) {
        width = (int)strlen(v->map[i].name) > width ? (int)strlen(v->map[i].name) : width;
        for (int f = 0; f < FIGURES; f++)
            any[f] |= v->map[i].figure[f].n > 0;
    }
    if (v->maps == 0)
        return;
    fprintf(out, "\n%-*s", width, "method");
    for (int f = 0; f < FIGURES; f++)
        if (any[f])
            fprintf(out, "  %-24s", heads[f]);
    fprintf(out, "\n");
    for (int i = 0; i < v->maps; i++) {
        fprintf(out, "%-*s", width, v->map[i].name);
        for (int f = 0; f < FIGURES; f++)
            if (any[f])
                fprintf(out, "  %-24s", estimate_text(text, &v->map[i].figure[f]));
        fprintf(out, "\n");
    }
    fprintf(out,
            "means over the pictures, with 95 %% bootstrap intervals; small deletion, large anything else is good\n"
            "deletion, insertion and ROAD at one grain: ");
    if (v->grain[0] && v->grain[1])
        fprintf(out, "%dx%d cells, finer maps averaged\n", v->grain[0], v->grain[1]);
    else
        fprintf(out, "cells of %d px, finer maps averaged\n", MV_FAITH_CELL);
    print_gains(v, out);
}

static int column(const char *name)
{
    int n = (int)strlen(name);
    return n < 6 ? 6 : n > 40 ? 40 : n;
}

static void print_stages(const evaluation *v, FILE *out)
{
    const json_t *names = json_object_get(v->of->settings, "stages");
    bool any = false;
    for (int i = 0; i < v->maps; i++)
        any |= v->map[i].stages > 0;
    if (!any)
        return;
    fprintf(out, "\n%-17s", "re-drawn down to");
    for (int i = 0; i < v->maps; i++)
        if (v->map[i].stages)
            fprintf(out, "  %*.40s", column(v->map[i].name), v->map[i].name);
    fprintf(out, "\n");
    for (size_t k = 0; k < json_array_size(names); k++) {
        const char *name = json_string_value(json_array_get(names, k));
        fprintf(out, "%-17.40s", name && mv_text_is_clean(name) ? name : "");
        for (int i = 0; i < v->maps; i++)
            if (v->map[i].stages > (int)k)
                fprintf(out, "  %*.2f", column(v->map[i].name), v->map[i].stage[k]);
        fprintf(out, "\n");
    }
    fprintf(out, "rank correlation with the maps of the network as it is; a map that explains it falls to 0\n");
}

mv_status evaluation_print(const evaluation *v, FILE *out, mv_error *e)
{
    const records *r = v->of;
    (void)e;
    char count[48];
    fprintf(out, "%s", mv_count_text(count, r->n, "picture"));
    if (r->failed)
        fprintf(out, ", %d more failed", r->failed);
    if (r->n == 0) {
        fprintf(out, "\n");
        return MV_OK;
    }
    fprintf(out,
            "\ntop-1  %6.2f %%  (%.2f to %.2f)\ntop-5  %6.2f %%  (%.2f to %.2f)\nmean confidence %.2f %%, expected "
            "calibration error %.2f %%\n",
            100 * v->top1.mean, 100 * v->top1.low, 100 * v->top1.high, 100 * v->top5.mean, 100 * v->top5.low,
            100 * v->top5.high, 100 * v->calibration.confidence, 100 * v->calibration.error);
    print_classes(v, out);
    print_maps(v, out);
    print_stages(v, out);
    return MV_OK;
}

/* ---- CSV (RFC 4180) */

/* A name. Spreadsheets compute what begins as a formula does, also in quotes, so that character is escaped. */
static void put_field(FILE *out, const char *text)
{
    if (*text && strchr("=+-@", *text))
        fprintf(out, "\\x%02x", (unsigned char)*text++);
    if (!strpbrk(text, ",\"")) { /* safe names have no line ends */
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void put_rows(const evaluation *v, FILE *out)
{
    const records *r = v->of;
    fputs("image,class,name,answer,answer_name,probability,rank", out);
    for (int k = 0; k < r->rows; k++)
        for (int f = 0; f < FIGURES; f++)
            if (v->map[k].figure[f].n) {
                char name[320];
                snprintf(name, sizeof name, "%.240s %s", r->row[k], figure_key[f]);
                fputc(',', out);
                put_field(out, name);
            }
    fputc('\n', out);
    for (int i = 0; i < r->n; i++) {
        const record *one = &r->record[i];
        put_field(out, one->image);
        fprintf(out, ",%d,", one->class_);
        put_field(out, v->class_name[one->class_]);
        fprintf(out, ",%d,", one->answer);
        put_field(out, v->class_name[one->answer]);
        fprintf(out, ",%.9g,%d", one->p, one->rank);
        for (int k = 0; k < r->rows; k++)
            for (int f = 0; f < FIGURES; f++) {
                double x = evaluation_value(one, k, (figure)f);
                if (v->map[k].figure[f].n && isfinite(x))
                    fprintf(out, ",%.9g", x);
                else if (v->map[k].figure[f].n)
                    fputc(',', out);
            }
        fputc('\n', out);
    }
}

mv_status evaluation_csv(const evaluation *v, const char *path, mv_error *e)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return mv_fail_memory(e, path);
    put_rows(v, out);
    if (!mv_text_close(out, &text))
        return mv_fail_memory(e, path);
    mv_output *file = mv_output_open(path, e);
    if (file)
        mv_output_write(file, text, size);
    free(text);
    return file ? mv_output_commit(file, e) : e->code;
}
