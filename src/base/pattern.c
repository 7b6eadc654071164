#include "src/base/pattern.h"

#include <stdio.h>
#include <string.h>

#include "src/base/text.h"

enum { SITE_MAX = 128, PATTERN_MAX = 1000, NEAREST = 3 };

/* Length of the unit at p: "**", a set "[...]", or one letter. */
static size_t unit_length(const char *p, const char *end)
{
    if (p[0] == '*' && p + 1 < end && p[1] == '*')
        return 2;
    if (p[0] == '[') {
        const char *close = memchr(p, ']', (size_t)(end - p));
        return close ? (size_t)(close - p) + 1 : 1;
    }
    return 1;
}

/* True if a unit of n bytes that stands for one letter stands for c. */
static bool unit_has(const char *p, size_t n, char c)
{
    if (*p == '?')
        return c != '.';
    if (*p != '[' || n < 3)
        return *p == c;
    bool complement = p[1] == '!', in = false;
    for (const char *q = p + 1 + complement; q < p + n - 1; q++)
        if (q + 2 < p + n - 1 && q[1] == '-') {
            in |= q[0] <= c && c <= q[2];
            q += 2;
        } else
            in |= *q == c;
    return in != complement;
}

/* reach[i]: the pattern so far matches the first i letters of the site. One row per unit, so nothing is tried twice. */
static bool match_one(const char *p, const char *end, const char *site)
{
    bool reach[SITE_MAX + 1] = {true};
    size_t n = strlen(site);
    if (n > SITE_MAX)
        return false;
    while (p < end) {
        size_t length = unit_length(p, end);
        if (*p == '*') {
            for (size_t i = 1; i <= n; i++)
                reach[i] |= reach[i - 1] && (length == 2 || site[i - 1] != '.');
        } else {
            for (size_t i = n; i >= 1; i--)
                reach[i] = reach[i - 1] && unit_has(p, length, site[i - 1]);
            reach[0] = false;
        }
        p += length;
    }
    return reach[n];
}

/* The end of the pattern at p: its comma, or the end of the list. */
static const char *pattern_end(const char *p)
{
    return p + strcspn(p, ",");
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

/* ---- messages */

/* "levels.2, levels.3": the sites nearest to the pattern in spelling. */
static void nearest(const char *p, size_t length, int n, const char *const sites[], char *text, size_t size)
{
    int best[NEAREST], cost[NEAREST], found = 0;
    for (int i = 0; i < n; i++) {
        int d = mv_text_distance(p, length, sites[i]), at = found;
        while (at > 0 && d < cost[at - 1])
            at--;
        if (at == NEAREST)
            continue;
        found += found < NEAREST;
        for (int k = found - 1; k > at; k--) {
            best[k] = best[k - 1];
            cost[k] = cost[k - 1];
        }
        best[at] = i;
        cost[at] = d;
    }
    *text = 0;
    for (int k = 0; k < found; k++)
        snprintf(text + strlen(text), size - strlen(text), "%s%s", k ? ", " : "", sites[best[k]]);
}

static mv_status no_match(const char *p, size_t length, int n, const char *const sites[], const char *place,
                          mv_error *e)
{
    enum { SHOWN = 100 };
    int shown = length < SHOWN ? (int)length : SHOWN, fits = 0;
    if (!memchr(p, '.', length) && !memchr(p, '*', length) && length < SHOWN) {
        char part[SHOWN + 5]; /* a part of a name: "attn" */
        snprintf(part, sizeof part, "**%.*s**", shown, p);
        for (int i = 0; i < n; i++)
            fits += mv_pattern_match(part, sites[i]);
        if (fits)
            return mv_fail(e, MV_EINPUT, "%s: no site fits '%.*s'; '%s' fits %d", place, shown, p, part, fits);
    }
    char names[NEAREST * (SITE_MAX + 3)];
    nearest(p, length, n, sites, names, sizeof names);
    return mv_fail(e, MV_EINPUT, "%s: no site fits '%.*s'; nearest: %s", place, shown, p, names);
}

mv_status mv_pattern_check(const char *patterns, int n, const char *const sites[], const char *place, mv_error *e)
{
    for (const char *p = patterns;;) {
        const char *end = pattern_end(p), *open = memchr(p, '[', (size_t)(end - p));
        if (p == end)
            return mv_fail(e, MV_EINPUT, "%s: found an empty pattern, expected a site such as levels.3 or **.attn",
                           place);
        if (end - p > PATTERN_MAX)
            return mv_fail(e, MV_EINPUT, "%s: found a pattern of %zu letters, expected at most %d", place,
                           (size_t)(end - p), PATTERN_MAX);
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
