#include "src/run/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/device/null.h"
#include "src/model/config.h"
#include "src/run/run.h"

/* ---- patterns */

/* Length of the unit at p: "**", a set "[...]", or one letter. */
static size_t unit(const char *p, const char *end)
{
    if (p[0] == '*' && p + 1 < end && p[1] == '*')
        return 2;
    if (p[0] == '[') {
        const char *close = memchr(p, ']', (size_t)(end - p));
        return close ? (size_t)(close - p) + 1 : 1;
    }
    return 1;
}

/* Whether a unit that stands for one letter stands for c. "[2-5]" is a range, "[!3]" the complement. */
static bool unit_has(const char *p, size_t n, char c)
{
    if (*p == '?')
        return c != '.';
    if (*p != '[' || n < 3)
        return *p == c;
    bool not = p[1] == '!', in = false;
    for (const char *q = p + 1 + not ; q < p + n - 1; q++)
        if (q + 2 < p + n - 1 && q[1] == '-') {
            in |= q[0] <= c && c <= q[2];
            q += 2;
        } else
            in |= *q == c;
    return in != not ;
}

/* reach[i]: the pattern so far matches the first i letters of the site. One row a unit: no backtracking. */
static bool match_one(const char *p, const char *end, const char *site)
{
    enum { ROOM = 128 };
    bool reach[ROOM + 1] = {true};
    size_t n = strlen(site);
    if (n > ROOM)
        return false;
    while (p < end) {
        size_t len = unit(p, end);
        if (*p == '*') {
            for (size_t i = 1; i <= n; i++)
                reach[i] |= reach[i - 1] && (len == 2 || site[i - 1] != '.');
        } else {
            for (size_t i = n; i >= 1; i--)
                reach[i] = reach[i - 1] && unit_has(p, len, site[i - 1]);
            reach[0] = false;
        }
        p += len;
    }
    return reach[n];
}

/* The end of the pattern at p: its comma or the end of the text. */
static const char *pattern_end(const char *p)
{
    size_t n = strcspn(p, ",");
    return p + n;
}

bool mv_pattern_match(const char *patterns, const char *site)
{
    for (const char *p = patterns;;) {
        const char *end = pattern_end(p);
        if (match_one(p, end, site))
            return true;
        if (!*end)
            return false;
        p = end + 1;
    }
}

/* Levenshtein's distance of a pattern and a site, stars costing nothing for what they may stand for. */
static int distance(const char *p, size_t pn, const char *site)
{
    enum { ROOM = 128 };
    int row[ROOM + 1];
    size_t n = strlen(site);
    if (n > ROOM)
        return ROOM;
    for (size_t i = 0; i <= n; i++)
        row[i] = (int)i;
    for (size_t k = 0; k < pn; k++) {
        bool star = p[k] == '*';
        int diagonal = row[0];
        row[0] += star ? 0 : 1;
        for (size_t i = 1; i <= n; i++) {
            int above = row[i], change = diagonal + (p[k] != site[i - 1]);
            int best = above + (star ? 0 : 1) < row[i - 1] + (star ? 0 : 1) ? above + (star ? 0 : 1)
                                                                            : row[i - 1] + (star ? 0 : 1);
            row[i] = best < change ? best : change;
            diagonal = above;
        }
    }
    return row[n];
}

static mv_status no_match(const char *p, size_t pn, int n, const char *const sites[], const char *place, mv_error *e)
{
    enum { NEAREST = 3 };
    int best[NEAREST] = {-1, -1, -1}, cost[NEAREST] = {1 << 20, 1 << 20, 1 << 20};
    for (int i = 0; i < n; i++) {
        int d = distance(p, pn, sites[i]);
        for (int k = 0; k < NEAREST; k++)
            if (d < cost[k]) {
                memmove(cost + k + 1, cost + k, (size_t)(NEAREST - 1 - k) * sizeof *cost);
                memmove(best + k + 1, best + k, (size_t)(NEAREST - 1 - k) * sizeof *best);
                cost[k] = d;
                best[k] = i;
                break;
            }
    }
    char near[3 * 136] = "";
    for (int k = 0; k < NEAREST && best[k] >= 0; k++)
        snprintf(near + strlen(near), sizeof near - strlen(near), "%s%s", k ? ", " : "", sites[best[k]]);
    return mv_fail(e, MV_EINPUT, "%s: no site fits '%.*s'; nearest: %s", place, (int)(pn > 100 ? 100 : pn), p, near);
}

mv_status mv_pattern_check(const char *patterns, int n, const char *const sites[], const char *place, mv_error *e)
{
    for (const char *p = patterns;;) {
        const char *end = pattern_end(p), *open = memchr(p, '[', (size_t)(end - p));
        if (p == end)
            return mv_fail(e, MV_EINPUT, "%s: found an empty pattern, expected a site such as levels.3 or **.attn",
                           place);
        if (end - p > 1000)
            return mv_fail(e, MV_EINPUT, "%s: found a pattern of %zu letters, expected at most 1000", place,
                           (size_t)(end - p));
        if (open && !memchr(open, ']', (size_t)(end - open)))
            return mv_fail(e, MV_EINPUT, "%s: '%.*s' opens a set with [, expected a closing ]", place, (int)(end - p),
                           p);
        bool any = false;
        for (int i = 0; i < n && !any; i++)
            any = match_one(p, end, sites[i]);
        if (!any)
            return no_match(p, (size_t)(end - p), n, sites, place, e);
        if (!*end)
            return MV_OK;
        p = end + 1;
    }
}

/* ---- the list */

typedef struct {
    mv_probe probe;
    mv_sites *out;
} lister;

static bool wants_all(mv_probe *p, const char *site)
{
    (void)p, (void)site;
    return true;
}

static bool list(mv_probe *p, mv_run *r, const char *site, mv_view v)
{
    mv_sites *s = ((lister *)p)->out;
    if (s->n == s->room) {
        int room = s->room ? 2 * s->room : 128;
        mv_site *more = realloc(s->site, (size_t)room * sizeof *more);
        if (!more) {
            mv_run_fail(r, MV_ENOMEM, "sites: out of memory");
            return false;
        }
        s->site = more;
        s->room = room;
    }
    mv_site *t = &s->site[s->n];
    *t = (mv_site){.name = strdup(site), .nd = v.nd};
    if (!t->name) {
        mv_run_fail(r, MV_ENOMEM, "sites: out of memory");
        return false;
    }
    memcpy(t->dim, v.dim, sizeof t->dim);
    s->n++;
    return false;
}

mv_status mv_sites_list(mv_sites *out, const mv_config *config, int pictures, int h, int w, mv_error *e)
{
    mv_error mine = {0};
    if (!e)
        e = &mine;
    *out = (mv_sites){0};
    mv_backend *null = mv_null_new(MV_F32, e);
    mv_model *m = null ? mv_model_new(config, null, NULL, e) : NULL;
    lister l = {.probe = {.wants = wants_all, .sees = list}, .out = out};
    mv_run *r = m ? mv_run_new(m, h, w, pictures, &l.probe, e) : NULL;
    if (r)
        mv_run_forward(r, NULL, pictures, NULL, e);
    mv_run_free(r);
    mv_model_free(m);
    if (null)
        null->free(null);
    if (!e->code) {
        out->name = malloc((size_t)out->n * sizeof *out->name);
        if (!out->name)
            mv_fail_memory(e, "sites");
        for (int i = 0; out->name && i < out->n; i++)
            out->name[i] = out->site[i].name;
    }
    if (e->code)
        mv_sites_free(out);
    return e->code;
}

const mv_site *mv_sites_lookup(const mv_sites *s, const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->site[i].name, name) == 0)
            return &s->site[i];
    return NULL;
}

void mv_sites_free(mv_sites *s)
{
    for (int i = 0; i < s->n; i++)
        free(s->site[i].name);
    free(s->site);
    free(s->name);
    *s = (mv_sites){0};
}
