#include "cmd/map_pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/reply.h"
#include "src/base/number.h"
#include "src/file/safetensors.h"

static bool is_partner(const mv_map *a, const mv_map *b)
{
    return a->level == b->level && a->block == b->block && a->head == b->head;
}

static mv_status check_pair(const mv_map *a, const mv_map *b, mv_error *e)
{
    if (a->channels == 3 || b->channels == 3)
        return mv_fail(e, MV_EINPUT,
                       "--method: found %s, whose colours have no difference; expected a method of values",
                       a->method ? a->method : "a method of colours");
    if (a->h != b->h || a->w != b->w)
        return mv_fail(e, MV_EINPUT, "found maps of %dx%d and of %dx%d cells, expected inputs of one size", a->h, a->w,
                       b->h, b->w);
    return MV_OK;
}

static const char *figure_text(char text[32], double value)
{
    return isnan(value) ? "none" : mv_number_text(text, value, 3, false);
}

static void describe(map_pair *p)
{
    char number[5][32];
    int at = (int)p->d.at;
    snprintf(p->figures, sizeof p->figures, "relative L2 %.3g, cosine %s, correlation %s", mv_distance_relative(&p->d),
             figure_text(number[0], mv_distance_cosine(&p->d)), figure_text(number[4], mv_distance_correlation(&p->d)));
    if (p->d.largest > 0)
        snprintf(p->largest, sizeof p->largest, "largest %s in row %d, column %d: %s, then %s",
                 mv_number_text(number[1], p->d.b_there - p->d.a_there, 3, true), at / p->a->w, at % p->a->w,
                 mv_number_text(number[2], p->d.a_there, 3, false), mv_number_text(number[3], p->d.b_there, 3, false));
    else
        snprintf(p->largest, sizeof p->largest, "no cell differs");
}

static mv_status add_pair(map_pairs *out, const mv_map *a, const mv_map *b, mv_error *e)
{
    map_pair *p = &out->pair[out->n];
    *p = (map_pair){.a = a, .b = b};
    if (check_pair(a, b, e) || mv_distance_of_maps(&p->d, a, b, e) || mv_map_subtract(&p->difference, b, a, e))
        return e->code;
    out->n++;
    describe(p);
    return MV_OK;
}

/* "cam.class.4", "cam.class.4 / 2": of both sides. */
static const char *name_of(const map_pair *p, char text[MV_MAP_NAME + 16])
{
    char name[MV_MAP_NAME];
    mv_map_name(p->a, name);
    if (p->a->class_ >= 0 && p->b->class_ != p->a->class_)
        snprintf(text, MV_MAP_NAME + 16, "%s / %d", name, p->b->class_);
    else
        snprintf(text, MV_MAP_NAME + 16, "%s", name);
    return text;
}

mv_status map_pairs_of(map_pairs *out, const mv_maps *a, const mv_maps *b, mv_error *e)
{
    mv_status s = MV_OK;
    *out = (map_pairs){.pair = calloc((size_t)a->n + 1, sizeof *out->pair)};
    bool *taken = calloc((size_t)b->n + 1, sizeof *taken);
    if (!out->pair || !taken)
        s = mv_fail_memory(e, "maps");
    for (int i = 0; i < a->n && !s; i++)
        for (int k = 0; k < b->n; k++)
            if (!taken[k] && is_partner(&a->map[i], &b->map[k])) {
                taken[k] = true;
                s = add_pair(out, &a->map[i], &b->map[k], e);
                break;
            }
    free(taken);
    out->alone = a->n + b->n - 2 * out->n;
    if (!s && out->n == 0)
        s = mv_fail(e, MV_EINPUT, "found %d and %d maps without a pair of the same level and block, expected one", a->n,
                    b->n);
    if (s)
        map_pairs_free(out);
    return s;
}

void map_pairs_free(map_pairs *p)
{
    for (int i = 0; i < p->n; i++)
        mv_map_free(&p->pair[i].difference);
    free(p->pair);
    *p = (map_pairs){0};
}

static void add_to(pair_range *r, double value)
{
    r->least = fmin(r->least, value); /* fmin and fmax leave NaN out */
    r->most = fmax(r->most, value);
}

map_pairs_summary map_pairs_sum_up(const map_pairs *p)
{
    const pair_range none = {INFINITY, -INFINITY};
    map_pairs_summary s = {.relative = none, .cosine = none, .correlation = none, .same = true};
    for (int i = 0; i < p->n; i++) {
        const mv_distance *d = &p->pair[i].d;
        add_to(&s.relative, mv_distance_relative(d));
        add_to(&s.cosine, mv_distance_cosine(d));
        add_to(&s.correlation, mv_distance_correlation(d));
        s.same = s.same && d->dd <= 0 && !d->odd;
    }
    return s;
}

/* ---- results */

void map_pairs_table(FILE *out, const map_pairs *p)
{
    char name[MV_MAP_NAME + 16];
    fprintf(out, "%-28s  %11s  %9s  %11s   %s\n", "map", "relative L2", "cosine", "correlation", "largest difference");
    for (int i = 0; i < p->n; i++) {
        const map_pair *t = &p->pair[i];
        fprintf(out, "%-28s  %11.3g  %9.6f  %11.6f   %s\n", name_of(t, name), mv_distance_relative(&t->d),
                mv_distance_cosine(&t->d), mv_distance_correlation(&t->d),
                strncmp(t->largest, "largest ", 8) ? t->largest : t->largest + 8);
    }
    if (p->alone)
        fprintf(out, "%d map%s of one side alone\n", p->alone, p->alone == 1 ? " is" : "s are");
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *pair_json(const map_pair *p)
{
    char name[MV_MAP_NAME];
    int at = (int)p->d.at;
    return json_pack("{s:s,s:o,s:o,s:o,s:f,s:f,s:[i,i],s:o,s:o}", "map", mv_map_name(p->a, name), "relative_l2",
                     number(mv_distance_relative(&p->d)), "cosine", number(mv_distance_cosine(&p->d)), "correlation",
                     number(mv_distance_correlation(&p->d)), "norm", sqrt(p->d.dd), "largest",
                     p->d.b_there - p->d.a_there, "cell", at / p->a->w, at % p->a->w, "a", reply_map(p->a), "b",
                     reply_map(p->b));
}

json_t *map_pairs_json(const map_pairs *p)
{
    json_t *list = json_array();
    bool good = list != NULL;
    for (int i = 0; i < p->n && good; i++)
        good = reply_append(list, pair_json(&p->pair[i]));
    if (good)
        return list;
    json_decref(list);
    return NULL;
}

/* ---- numbers */

/* What is written of one pair: three fields, the difference taken of raw values where there are some. */
static mv_status fields_of(const map_pair *p, char name[3][MV_MAP_NAME + 16], mv_tensor value[3], mv_error *e)
{
    static const char *const sides[] = {"a", "b", "difference"};
    char text[MV_MAP_NAME];
    float *of[] = {mv_map_raw(p->a), mv_map_raw(p->b), NULL};
    size_t n = (size_t)p->a->h * (size_t)p->a->w;
    of[2] = malloc(n * sizeof(float));
    for (size_t i = 0; of[2] && i < n; i++)
        of[2][i] = of[1][i] - of[0][i];
    mv_map_name(p->a, text); /* one name for all three, that of the first side */
    for (int k = 0; k < 3; k++) {
        snprintf(name[k], MV_MAP_NAME + 16, "%s.%s", sides[k], text);
        value[k] = mv_tensor_of(of[k], MV_F32, 2, p->a->h, p->a->w);
    }
    return of[2] ? MV_OK : mv_fail_memory(e, "maps");
}

mv_status map_pairs_write(const char *path, const map_pairs *p, const float *cka, int rows, int columns, mv_error *e)
{
    size_t n = 3 * (size_t)p->n, all = n + (cka != NULL);
    char(*names)[MV_MAP_NAME + 16] = calloc(n + 1, sizeof *names);
    const char **name = calloc(n + 1, sizeof *name);
    mv_tensor *value = calloc(n + 1, sizeof *value);
    mv_status s = names && name && value ? MV_OK : mv_fail_memory(e, path);
    for (int i = 0; i < p->n && !s; i++)
        s = fields_of(&p->pair[i], names + 3 * i, value + 3 * i, e);
    for (size_t i = 0; i < n && !s; i++)
        name[i] = names[i];
    if (cka && !s) {
        name[n] = "cka";
        value[n] = mv_tensor_of((float *)(uintptr_t)cka, MV_F32, 2, rows, columns);
    }
    const char *keys[] = {"unit", "software"},
               *values[] = {p->pair->a->raw ? p->pair->a->raw_unit : p->pair->a->unit, "mvscope " MV_VERSION};
    if (!s)
        s = mv_safetensors_write(path, (int)all, name, value, 2, keys, values, e);
    for (int i = 0; i < p->n && value; i++)
        free(value[3 * i + 2].data);
    free(names);
    free(name);
    free(value);
    return s;
}
