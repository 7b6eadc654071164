/* What value pairs come to: the table, the JSON, and where two sides part. */
#include <math.h>
#include <string.h>

#include "cmd/reply.h"
#include "cmd/value_pairs.h"

static bool is_beyond(const value_pairs *v, const value_pair *p)
{
    return p->state == PAIR_REFUSED || (p->state == PAIR_COMPARED && mv_distance_relative(&p->d) > v->tolerance);
}

int value_pairs_parting(const value_pairs *v)
{
    for (int i = 0; i < v->n; i++)
        if (is_beyond(v, &v->pair[i]))
            return i;
    return -1;
}

int value_pairs_furthest(const value_pairs *v)
{
    int best = -1;
    for (int i = 0; i < v->n; i++)
        if (v->pair[i].state == PAIR_COMPARED &&
            (best < 0 || mv_distance_relative(&v->pair[i].d) > mv_distance_relative(&v->pair[best].d)))
            best = i;
    return best;
}

/* The indices of an element, dimension by dimension; returns how many. */
static int indices_of(const value_pair *p, int index[MV_MAX_DIMS])
{
    size_t at = p->d.at;
    for (int i = p->nd - 1; i >= 0; i--) {
        index[i] = (int)(at % (size_t)p->dim[i]);
        at /= (size_t)p->dim[i];
    }
    return p->nd;
}

const char *value_pair_place(const value_pair *p, char text[64])
{
    int index[MV_MAX_DIMS], n = 0;
    snprintf(text, 64, p->d.odd == p->d.n && p->d.n > 0 ? "no number" : "-");
    for (int i = 0; p->d.largest > 0 && i < indices_of(p, index); i++)
        n += snprintf(text + n, 64 - (size_t)n, "%s%d", i ? "," : "", index[i]);
    return text;
}

void value_pairs_table(FILE *out, const value_pairs *v)
{
    char place[64], shape[64];
    int parting = value_pairs_parting(v);
    fprintf(out, "%-38s  %-16s  %11s  %9s  %11s   %s\n", "site", "shape", "relative L2", "cosine", "largest", "at");
    for (int i = 0; i < v->n; i++) {
        const value_pair *p = &v->pair[i];
        mv_shape_text(shape, p->nd, p->dim);
        if (p->state == PAIR_COMPARED)
            fprintf(out, "%-38s  %-16s  %11.3g  %9.6f  %11.4g   %s%s\n", p->name, shape, mv_distance_relative(&p->d),
                    mv_distance_cosine(&p->d), p->d.largest, value_pair_place(p, place),
                    i == parting      ? "   <- the first beyond the tolerance"
                    : is_beyond(v, p) ? "   <- beyond"
                                      : "");
        else
            fprintf(out, "%-38s  %-16s  %s\n", p->name, shape,
                    p->state == PAIR_MISSING ? "missing on the other side" : "cannot be compared");
    }
    for (int i = 0; i < v->extras; i++)
        fprintf(out, "%s%s%s", i ? ", " : "only on the other side: ", v->extra[i], i == v->extras - 1 ? "\n" : "");
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static bool append_pair(json_t *list, const value_pair *p)
{
    int index[MV_MAX_DIMS];
    json_t *o = json_pack("{s:s,s:o,s:o,s:f,s:I}", "site", p->name, "relative_l2", number(mv_distance_relative(&p->d)),
                          "cosine", number(mv_distance_cosine(&p->d)), "largest", p->d.largest, "not_finite",
                          (json_int_t)p->d.odd);
    json_t *at = json_array();
    bool good = o && at;
    for (int i = 0; i < indices_of(p, index) && good; i++)
        good = reply_append(at, json_integer(index[i]));
    if (!good)
        json_decref(at);
    good = good && reply_set(o, "at", at);
    if (!good)
        json_decref(o);
    return good && reply_append(list, o);
}

bool value_pairs_json(json_t *line, const value_pairs *v)
{
    json_t *sites = json_array(), *missing = json_array(), *refused = json_array(), *extra = json_array();
    bool good = sites && missing && refused && extra;
    for (int i = 0; i < v->n && good; i++) {
        const value_pair *p = &v->pair[i];
        good = p->state == PAIR_COMPARED ? append_pair(sites, p)
               : p->state == PAIR_MISSING
                   ? reply_append(missing, json_string(p->name))
                   : reply_append(refused, json_pack("{s:s,s:s}", "site", p->name, "why", p->why ? p->why : ""));
    }
    for (int i = 0; i < v->extras && good; i++)
        good = reply_append(extra, json_string(v->extra[i]));
    int parting = value_pairs_parting(v);
    good = reply_set(line, "tolerance", json_real(v->tolerance)) && good;
    good = reply_set(line, "parts_at", parting < 0 ? json_null() : json_string(v->pair[parting].name)) && good;
    good = reply_set(line, "sites", sites) && good;
    good = reply_set(line, "missing", missing) && good;
    good = reply_set(line, "refused", refused) && good;
    return reply_set(line, "extra", extra) && good;
}
