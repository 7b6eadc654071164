/* What `compare` found, in words, as a table and as JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/comparison.h"
#include "cmd/page_file.h"
#include "cmd/reply.h"
#include "src/base/number.h"

/* ---- in words */

/* "cosine 0.983", "cosine 0.321 to 0.983" */
static const char *range_text(char text[80], const char *name, pair_range r)
{
    char number[2][32];
    if (r.most - r.least < 5e-4)
        snprintf(text, 80, "%s %s", name, mv_number_text(number[0], r.least, 3, false));
    else
        snprintf(text, 80, "%s %s to %s", name, mv_number_text(number[0], r.least, 3, false),
                 mv_number_text(number[1], r.most, 3, false));
    return text;
}

/* Maps agree where both their values and what differs from their means do: a large offset alone makes a cosine of 1. */
static const char *maps_title(const comparison *k, char text[300])
{
    map_pairs_summary s = map_pairs_sum_up(&k->pairs);
    char cosine[80], correlation[80];
    double least = fmin(s.cosine.least, s.correlation.least); /* infinite where neither is defined */
    if (s.same)
        snprintf(text, 300, "The maps are the same");
    else if (s.cosine.least > s.cosine.most)
        snprintf(text, 300, "The maps differ: one side is zero");
    else if (least >= 0.9995 && s.relative.most <= 0.05)
        snprintf(text, 300, "The maps agree: relative L2 %s%.2g", k->pairs.n > 1 ? "at most " : "", s.relative.most);
    else if (least >= 0.9 && s.relative.most > 0.5)
        snprintf(text, 300, "The maps agree in shape, not in size: %s, relative L2 %.2g",
                 range_text(cosine, "cosine", s.cosine), s.relative.most);
    else
        snprintf(text, 300, "The maps %s: %s, %s",
                 least >= 0.9   ? "agree"
                 : least >= 0.5 ? "agree in part"
                                : "differ",
                 range_text(cosine, "cosine", s.cosine),
                 s.correlation.least > s.correlation.most ? "one side is constant"
                                                          : range_text(correlation, "correlation", s.correlation));
    return text;
}

static const char *values_title(const comparison *k, char text[300])
{
    const value_pairs *v = &k->values;
    int parting = value_pairs_parting(v), furthest = value_pairs_furthest(v);
    if (parting >= 0 && v->pair[parting].state == PAIR_REFUSED)
        snprintf(text, 300, "They part at %.100s, which cannot be compared", v->pair[parting].name);
    else if (parting >= 0)
        snprintf(text, 300, "They part at %.100s: relative L2 %.3g", v->pair[parting].name,
                 mv_distance_relative(&v->pair[parting].d));
    else if (mv_distance_relative(&v->pair[furthest].d) > 0)
        snprintf(text, 300, "The values agree: relative L2 at most %.2g, at %.100s",
                 mv_distance_relative(&v->pair[furthest].d), v->pair[furthest].name);
    else
        snprintf(text, 300, "The values are the same");
    return text;
}

const char *comparison_title(const comparison *k, char text[300])
{
    return k->o->values ? values_title(k, text) : maps_title(k, text);
}

const char *comparison_samples(const comparison *k, char text[300])
{
    *text = '\0';
    if (!k->counts_blocks)
        return text;
    int fine = mv_features_samples(k->cells[0], 2, 2), coarse = mv_features_samples(k->cells[0], 3, 3), n;
    n = snprintf(text, 300, "Samples: %d cells of 16 px of %d picture%s; with a block of level 3, %d of 32 px.", fine,
                 k->pictures, k->pictures == 1 ? "" : "s", coarse);
    if (fine < MV_CKA_LEAST || coarse < MV_CKA_LEAST)
        snprintf(text + n, 300 - (size_t)n,
                 " Fewer than %d make any two blocks look alike, so such pairs are left out: give more pictures.",
                 MV_CKA_LEAST);
    return text;
}

int comparison_answers(const comparison *k)
{
    return (k->two || k->own_second) && k->side[1].top_count ? 2 : 1;
}

/* ---- as text */

static void print_answer(const compared *x, const char *of)
{
    char name[24];
    printf("%s:", of);
    for (int i = 0; i < x->top_count && i < 3; i++)
        printf("%s %s %.1f %%%s", i ? "," : "", session_class(x->session, x->top[i], name), 100 * x->probability[i],
               session_sigmoid(x->session));
    putchar('\n');
}

static void print_grid(const comparison *k)
{
    const mv_features *a = k->cells[0], *b = k->cells[1];
    char text[300];
    int n = mv_features_blocks(a), m = mv_features_blocks(b);
    printf("CKA of the blocks: rows %s, columns %s. %s\n%8s", k->side[0].who, k->side[1].who,
           comparison_samples(k, text), "");
    for (int j = 0; j < m; j++) {
        const char *name = mv_features_block_at(b, j, NULL); /* "levels.2.blocks.3" */
        printf("  %c.%-4s", name[7], name + 16);
    }
    putchar('\n');
    for (int i = 0; i < n; i++) {
        const char *name = mv_features_block_at(a, i, NULL);
        printf("  %c.%-4s", name[7], name + 16);
        for (int j = 0; j < m; j++)
            if (isnan(k->grid[i * m + j]))
                printf("  %-6s", "-");
            else
                printf("  %-6.3f", k->grid[i * m + j]);
        putchar('\n');
    }
}

static void print_text(const comparison *k)
{
    char title[300];
    bool both = comparison_answers(k) == 2;
    for (int i = 0; i < (both ? 2 : 1); i++)
        print_answer(&k->side[i], both ? k->side[i].who : k->side[i].name);
    if (k->o->values)
        value_pairs_table(stdout, &k->values);
    else
        map_pairs_table(stdout, &k->pairs);
    if (k->grid)
        print_grid(k);
    printf("%s\n", comparison_title(k, title));
}

/* ---- as JSON */

static json_t *side_json(const compared *x)
{
    const session *s = x->session;
    char name[24];
    json_t *top = json_array(),
           *out = json_pack("{s:s,s:s,s:s,s:s,s:s}", "label", x->label, "image", x->name, "model", s->name, "device",
                            session_device(s), "precision", session_precision(s));
    bool good = top && out;
    for (int i = 0; i < x->top_count && good; i++)
        good = reply_append(top, json_pack("{s:i,s:s,s:f}", "class", x->top[i], "name",
                                           session_label(s, x->top[i], name), "probability", x->probability[i]));
    if (!good)
        json_decref(top);
    good = good && reply_set(out, "top", top);
    if (x->class_ >= 0)
        good = good && reply_set(out, "explained", json_integer(x->class_));
    if (good)
        return out;
    json_decref(out);
    return NULL;
}

static json_t *grid_json(const comparison *k)
{
    json_t *rows = json_array(), *columns = json_array(), *values = json_array();
    int n = mv_features_blocks(k->cells[0]), m = mv_features_blocks(k->cells[1]);
    bool good = rows && columns && values;
    for (int j = 0; j < m && good; j++)
        good = reply_append(columns, json_string(mv_features_block_at(k->cells[1], j, NULL)));
    for (int i = 0; i < n && good; i++) {
        json_t *row = json_array();
        good = row && reply_append(rows, json_string(mv_features_block_at(k->cells[0], i, NULL)));
        for (int j = 0; j < m && good; j++) {
            double v = k->grid[i * m + j];
            good = reply_append(row, isnan(v) ? json_null() : json_real(v));
        }
        good = reply_append(values, row) && good;
    }
    json_t *all = json_object();
    good = reply_set(all, "a", rows) && good;
    good = reply_set(all, "b", columns) && good;
    good = reply_set(all, "values", values) && good;
    good = good && reply_set(all, "pictures", json_integer(k->pictures)) &&
           reply_set(all, "samples", json_integer(mv_features_samples(k->cells[0], 2, 2))) &&
           reply_set(all, "samples_level_3", json_integer(mv_features_samples(k->cells[0], 3, 3)));
    if (good)
        return all;
    json_decref(all);
    return NULL;
}

static mv_status print_json(const comparison *k, mv_error *e)
{
    char title[300];
    json_t *line = json_object();
    bool good = line && reply_set(line, "finding", json_string(comparison_title(k, title))) &&
                reply_set(line, "a", side_json(&k->side[0]));
    if (good && k->dump)
        good = reply_set(line, "b", json_pack("{s:s}", "label", k->side[1].label));
    else
        good = good && reply_set(line, "b", side_json(&k->side[1]));
    if (good && k->o->values)
        good = value_pairs_json(line, &k->values);
    else
        good = good && reply_set(line, "method", json_string(k->o->method)) &&
               reply_set(line, "maps", map_pairs_json(&k->pairs));
    if (k->grid)
        good = good && reply_set(line, "cka", grid_json(k));
    if (!good) {
        json_decref(line);
        line = NULL;
    }
    return reply_print(line, stdout, "compare", e);
}

mv_status comparison_print(const comparison *k, mv_error *e)
{
    if (k->c->o.json)
        return print_json(k, e);
    if (!page_is_stdout(k->c))
        print_text(k);
    return MV_OK;
}
