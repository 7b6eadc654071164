#include "cmd/value_pairs.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/pattern.h"
#include "src/base/text.h"

/* Bytes of values that are held at a time. */
#define PART_BYTES ((size_t)256 << 20)

/* ---- shapes */

/* The shape without dimensions of 1, which change nothing about the order of the values. */
static int squeeze(int out[MV_MAX_DIMS], int nd, const int *dim)
{
    int n = 0;
    for (int i = 0; i < nd; i++)
        if (dim[i] != 1)
            out[n++] = dim[i];
    return n;
}

static bool same_values(int nd, const int *dim, int other_nd, const int *other)
{
    int a[MV_MAX_DIMS], b[MV_MAX_DIMS], n = squeeze(a, nd, dim);
    return n == squeeze(b, other_nd, other) && memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

/* Finds an order of the dimensions of `got` that gives `want`, the one that keeps most of them in place first. */
static bool find_order(int order[MV_MAX_DIMS], int nd, const int *want, const int *got)
{
    bool taken[MV_MAX_DIMS] = {false};
    for (int i = 0; i < nd; i++)
        order[i] = -1;
    for (int i = 0; i < nd; i++)
        if (want[i] == got[i] && i == 0)
            order[i] = i, taken[i] = true;
    for (int i = 0; i < nd; i++)
        for (int k = 0; k < nd && order[i] < 0; k++)
            if (!taken[k] && got[k] == want[i])
                order[i] = k, taken[k] = true;
    for (int i = 0; i < nd; i++)
        if (order[i] < 0)
            return false;
    return true;
}

/* What may be wrong with a shape, as the end of a sentence; empty: no idea. */
static void hint_of(char text[160], int nd, const int *want, const char *axes, mv_tensor got)
{
    size_t wanted = 1, found = 1;
    int order[MV_MAX_DIMS], n = 0;
    *text = '\0';
    for (int i = 0; i < nd; i++)
        wanted *= (size_t)want[i];
    for (int i = 0; i < got.nd; i++)
        found *= (size_t)got.dim[i];
    if (wanted != found) {
        if (nd == got.nd && memcmp(want + 1, got.dim + 1, (size_t)(nd - 1) * sizeof *want) == 0)
            snprintf(text, 160, ": it holds another number of pictures");
        return;
    }
    if (nd == got.nd && find_order(order, nd, want, got.dim)) {
        bool planes = strcmp(axes, "BCHW") == 0 && order[1] == 3 && order[2] == 1 && order[3] == 2;
        n = snprintf(text, 160, ": it looks %s; try .permute(", planes ? "like NHWC instead of NCHW" : "transposed");
        for (int i = 0; i < nd; i++)
            n += snprintf(text + n, 160 - (size_t)n, "%s%d", i ? ", " : "", order[i]);
        snprintf(text + n, 160 - (size_t)n, ")");
    } else if (*axes == 'N')
        snprintf(text, 160, ": as many values, but not as windows of tokens");
    else
        snprintf(text, 160, ": as many values in another shape");
}

static mv_status refuse_shape(value_pair *p, const char *axes, const char *place, mv_tensor got, mv_error *e)
{
    char a[64], b[64], hint[160];
    hint_of(hint, p->nd, p->dim, axes, got);
    p->state = PAIR_REFUSED;
    if (asprintf(&p->why, "%s: %s: found %s, expected %s%s", place, p->name, mv_shape_text(a, got.nd, got.dim),
                 mv_shape_text(b, p->nd, p->dim), hint) < 0) {
        p->why = NULL;
        return mv_fail_memory(e, p->name);
    }
    return MV_OK;
}

/* ---- planning */

static mv_status add_extra(value_pairs *v, const char *name, mv_error *e)
{
    char **more = realloc(v->extra, (size_t)(v->extras + 1) * sizeof *more);
    if (!more)
        return mv_fail_memory(e, name);
    v->extra = more;
    v->extra[v->extras] = mv_text_escape(name);
    return v->extra[v->extras++] ? MV_OK : mv_fail_memory(e, name);
}

static mv_status list_first(value_pairs *v, const mv_sites *sites, const char *patterns, mv_error *e)
{
    v->pair = calloc((size_t)sites->n + 1, sizeof *v->pair);
    if (!v->pair)
        return mv_fail_memory(e, "--site");
    for (int i = 0; i < sites->n; i++) {
        const mv_site *t = &sites->site[i];
        if (!mv_pattern_match(patterns, t->name))
            continue;
        value_pair *p = &v->pair[v->n++];
        *p = (value_pair){.name = strdup(t->name), .state = PAIR_MISSING, .nd = t->nd, .array = -1};
        memcpy(p->dim, t->dim, sizeof p->dim);
        if (!p->name)
            return mv_fail_memory(e, "--site");
    }
    return MV_OK;
}

static const mv_site *find_site(const mv_sites *sites, const char *name)
{
    for (int i = 0; i < sites->n; i++)
        if (strcmp(sites->site[i].name, name) == 0)
            return &sites->site[i];
    return NULL;
}

static mv_status match_sites(value_pairs *v, const mv_sites *a, const mv_sites *b, const char *patterns, mv_error *e)
{
    mv_status s = MV_OK;
    for (int i = 0; i < v->n && !s; i++) {
        value_pair *p = &v->pair[i];
        const mv_site *t = find_site(b, p->name);
        if (!t)
            continue;
        p->state = PAIR_COMPARED;
        if (t->nd != p->nd || memcmp(t->dim, p->dim, (size_t)p->nd * sizeof *p->dim)) {
            mv_tensor got = {.nd = t->nd};
            memcpy(got.dim, t->dim, sizeof got.dim);
            s = refuse_shape(p, "", v->session[1]->name, got, e);
        }
    }
    for (int i = 0; i < b->n && !s; i++)
        if (mv_pattern_match(patterns, b->name[i]) && !find_site(a, b->name[i]))
            s = add_extra(v, b->name[i], e);
    return s;
}

/* What frameworks put before the names of a network that is part of another module: the prefix that fits most sites. */
static const char *prefix_of(const value_pairs *v)
{
    static const char *const prefixes[] = {"", "model.", "module.", "module.model.", "backbone."};
    const char *best = "";
    int most = -1;
    for (size_t k = 0; k < sizeof prefixes / sizeof *prefixes; k++) {
        int n = 0;
        for (int i = 0; i < v->n; i++) {
            char name[256];
            snprintf(name, sizeof name, "%s%s", prefixes[k], v->pair[i].name);
            n += mv_arrays_lookup(v->dump, name) >= 0;
        }
        if (n > most)
            most = n, best = prefixes[k];
    }
    return best;
}

static mv_status match_dump(value_pairs *v, const mv_sites *sites, const char *place, mv_error *e)
{
    const char *prefix = prefix_of(v);
    bool one = mv_arrays_is_one(v->dump) && v->n == 1;
    mv_status s = MV_OK;
    for (int i = 0; i < v->n && !s; i++) {
        value_pair *p = &v->pair[i];
        char name[256];
        mv_tensor got;
        mv_error why = {0};
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        p->array = one ? 0 : mv_arrays_lookup(v->dump, name);
        if (p->array < 0)
            continue;
        p->state = PAIR_COMPARED;
        if (mv_arrays_shape(v->dump, p->array, &got, &why)) {
            p->state = PAIR_REFUSED;
            p->why = mv_text_escape(why.text); /* names of a dump are anybody's bytes */
            s = p->why ? MV_OK : mv_fail_memory(e, p->name);
        } else if (!same_values(p->nd, p->dim, got.nd, got.dim))
            s = refuse_shape(p, find_site(sites, p->name)->axes, place, got, e);
    }
    for (int k = 0; k < mv_arrays_count(v->dump) && !s; k++) {
        bool used = false;
        for (int i = 0; i < v->n && !used; i++)
            used = v->pair[i].array == k;
        if (!used)
            s = add_extra(v, mv_arrays_name_at(v->dump, k), e);
    }
    return s;
}

static size_t bytes_of(const value_pairs *v, const value_pair *p)
{
    size_t n = sizeof(float);
    for (int i = 0; i < p->nd; i++)
        n *= (size_t)p->dim[i];
    return n / (size_t)v->pictures;
}

/* Parts of the sites whose values fit into memory; one part with a dump, of which nothing is held. */
static mv_status divide(value_pairs *v, mv_error *e)
{
    size_t held = 0;
    v->first = calloc((size_t)v->n + 2, sizeof *v->first);
    if (!v->first)
        return mv_fail_memory(e, "--site");
    v->parts = 1;
    for (int i = 0; i < v->n; i++) {
        size_t bytes = v->dump || v->pair[i].state != PAIR_COMPARED ? 0 : bytes_of(v, &v->pair[i]);
        if (held && held + bytes > PART_BYTES) {
            v->first[v->parts++] = i;
            held = 0;
        }
        held += bytes;
    }
    v->first[v->parts] = v->n;
    return MV_OK;
}

mv_status value_pairs_new(value_pairs *v, session *a, session *b, mv_arrays *dump, const char *patterns, int pictures,
                          int h, int w, mv_error *e)
{
    mv_sites first = {0}, second = {0};
    int compared = 0;
    *v = (value_pairs){.pictures = pictures, .dump = dump, .part = -1, .h = h, .w = w, .session = {a, b}};
    mv_status s = mv_sites_list(&first, &a->config, pictures, h, w, e);
    if (!s)
        s = mv_pattern_check(patterns, first.n, first.name, "--site", e);
    if (!s)
        s = list_first(v, &first, patterns, e);
    if (!s && dump)
        s = match_dump(v, &first, "--dump", e);
    if (!s && !dump)
        s = mv_sites_list(&second, &b->config, pictures, h, w, e);
    if (!s && !dump)
        s = match_sites(v, &first, &second, patterns, e);
    if (!s)
        s = divide(v, e);
    for (int i = 0; i < v->n; i++)
        compared += v->pair[i].state != PAIR_MISSING;
    if (!s && compared == 0)
        s = mv_fail(e, MV_EINPUT,
                    dump ? "--dump: found none of the %d sites that --site chooses, such as %s; it has %d arrays, such "
                           "as %s"
                         : "--site: none of the %d sites that it chooses, such as %s, is in the other network, which "
                           "has %d others%s",
                    v->n, v->pair[0].name, v->extras, dump && v->extras ? v->extra[0] : "");
    mv_sites_free(&first);
    mv_sites_free(&second);
    if (s)
        value_pairs_free(v);
    return s;
}

/* ---- running */

static void close_part(value_pairs *v)
{
    for (int i = 0; i < 2; i++) {
        another_close(&v->side[i]);
        mv_trace_free(v->trace[i]);
        v->trace[i] = NULL;
    }
    v->part = -1;
}

/* The pair of a site of the part at hand, which tend to come in order. */
static value_pair *pair_of(value_pairs *v, const char *site)
{
    int from = v->first[v->part], n = v->first[v->part + 1] - from;
    for (int k = 0; k < n; k++) {
        value_pair *p = &v->pair[from + (v->next + k) % n];
        if (strcmp(p->name, site) == 0) {
            v->next = (v->next + k + 1) % n;
            return p;
        }
    }
    return NULL;
}

/* The values of the first side against the rows of the same picture in the dump. */
static mv_status against_dump(void *context, const char *site, mv_tensor value, mv_error *e)
{
    value_pairs *v = context;
    value_pair *p = pair_of(v, site);
    size_t n = mv_tensor_count(value);
    if (!p)
        return MV_OK;
    if (n > v->room) {
        float *more = realloc(v->row, n * sizeof *more);
        if (!more)
            return mv_fail_memory(e, site);
        v->row = more;
        v->room = n;
    }
    mv_status s = mv_arrays_read(v->dump, p->array, (size_t)v->done * n, n, v->row, e);
    if (!s)
        mv_distance_add(&p->d, value.data, v->row, n);
    return s;
}

static mv_status against_first(void *context, const char *site, mv_tensor value, mv_error *e)
{
    value_pairs *v = context;
    value_pair *p = pair_of(v, site);
    mv_tensor a;
    if (!p)
        return MV_OK;
    if (!mv_trace_lookup(v->trace[0], site, &a) || mv_tensor_count(a) != mv_tensor_count(value))
        return mv_fail(e, MV_EMISUSE, "%s: the value of the first side was not kept", site);
    mv_distance_add(&p->d, a.data, value.data, mv_tensor_count(a));
    return MV_OK;
}

/* The names of a part's sites as a pattern; the caller's to free. */
static char *names_of(const value_pairs *v, int part)
{
    size_t size = 1;
    for (int i = v->first[part]; i < v->first[part + 1]; i++)
        size += strlen(v->pair[i].name) + 1;
    char *all = malloc(size), *end = all;
    if (!all)
        return NULL;
    *all = '\0';
    for (int i = v->first[part]; i < v->first[part + 1]; i++)
        if (v->pair[i].state == PAIR_COMPARED)
            end += sprintf(end, "%s%s", end == all ? "" : ",", v->pair[i].name);
    return all;
}

static mv_status open_part(value_pairs *v, int part, mv_error *e)
{
    if (v->part == part)
        return MV_OK;
    close_part(v);
    v->part = part;
    v->next = 0;
    char *names = names_of(v, part);
    mv_status s = names ? MV_OK : mv_fail_memory(e, "--site");
    for (int i = 0; i < (v->dump ? 1 : 2) && !s; i++) {
        v->trace[i] = mv_trace_new(names, i == 1 ? against_first : v->dump ? against_dump : NULL, v, e);
        s = v->trace[i] ? another_open(&v->side[i], v->session[i], v->session[i]->model, NULL, 0,
                                       mv_trace_probe(v->trace[i]), v->h, v->w, 1, e)
                        : e->code;
    }
    free(names);
    return s;
}

mv_status value_pairs_add(value_pairs *v, const float *const planes[2], float *const logits[2], mv_error *e)
{
    mv_status s = MV_OK;
    for (int part = 0; part < v->parts && !s; part++) {
        s = open_part(v, part, e);
        if (!s && !v->dump)
            mv_trace_clear(v->trace[0]);
        for (int i = 0; i < (v->dump ? 1 : 2) && !s; i++) {
            s = another_run(&v->side[i], planes[i], logits[i], e);
            if (!s)
                s = mv_logits_check(logits[i], v->session[i]->config.classes, v->session[i]->name, e);
        }
    }
    v->done += !s;
    return s;
}

void value_pairs_free(value_pairs *v)
{
    if (v->first)
        close_part(v);
    for (int i = 0; i < v->n; i++) {
        free(v->pair[i].name);
        free(v->pair[i].why);
    }
    for (int i = 0; i < v->extras; i++)
        free(v->extra[i]);
    free(v->pair);
    free(v->extra);
    free(v->first);
    free(v->row);
    *v = (value_pairs){0};
}
