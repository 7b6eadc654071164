#include "cmd/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/number.h"
#include "src/base/text.h"
#include "src/explain/faith.h"
#include "src/explain/methods.h"
#include "src/explain/upsample.h"
#include "viz/draw/colour.h"

enum { GRID = 48, MOST_COMPARED = 8 };

/* ---- figures */

static int falling(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

double finding_half_of(const mv_map *map)
{
    size_t n = (size_t)map->h * (size_t)map->w, i = 0;
    float *v = malloc(n * sizeof *v);
    double sum = 0, part = 0;
    if (!v)
        return (double)NAN;
    for (size_t k = 0; k < n; k++) {
        v[k] = map->v[k] > 0 && isfinite(map->v[k]) ? map->v[k] : 0;
        sum += (double)v[k];
    }
    qsort(v, n, sizeof *v, falling);
    while (i < n && part < sum / 2)
        part += (double)v[i++];
    free(v);
    return sum > 0 ? (double)i / (double)n : (double)NAN;
}

/* Spearman's rank correlation of two maps of one channel over the whole picture. */
static double correlation(const mv_map *a, const mv_map *b)
{
    static const int n = GRID * GRID;
    double *wide = malloc((size_t)n * sizeof *wide);
    float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
    double r = (double)NAN;
    if (wide && x && y) {
        mv_upsample_exact(wide, GRID, GRID, a->v, a->h, a->w);
        for (int i = 0; i < n; i++)
            x[i] = (float)wide[i];
        mv_upsample_exact(wide, GRID, GRID, b->v, b->h, b->w);
        for (int i = 0; i < n; i++)
            y[i] = (float)wide[i];
        r = mv_rank_correlation(x, y, n);
    }
    free(wide);
    free(x);
    free(y);
    return r;
}

static bool is(const mv_map *m, const char *method)
{
    return m->method && strcmp(m->method, method) == 0;
}

/* ---- one map */

/* "church over golf ball" */
static const char *class_words(char text[100], const session *s, const mv_map *m)
{
    char a[24], b[24];
    if (m->against < 0)
        mv_text_print(text, 100, "%.48s", session_class(s, m->class_, a));
    else
        mv_text_print(text, 100, "%.44s over %.44s", session_class(s, m->class_, a), session_class(s, m->against, b));
    return text;
}

static int share_digits(double share)
{
    return share < 0.0995 ? 1 : 0;
}

static void share_text(char text[16], double share)
{
    snprintf(text, 16, "%.*f", share_digits(share), 100 * share);
}

/* Gradients without a sign: what the answer reacts to, be it for the class or against it. */
static bool is_sensitivity(const mv_map *m)
{
    return is(m, "saliency") || is(m, "smoothgrad") || is(m, "vargrad");
}

static const char *evidence_text(char text[FINDING], const session *s, const mv_map *m)
{
    char name[100], part[16];
    double half = finding_half_of(m);
    share_text(part, half);
    if (isfinite(half))
        snprintf(text, FINDING, "Half of what speaks for %s lies in %s %% of the picture", class_words(name, s, m),
                 part);
    else
        snprintf(text, FINDING, "Nothing speaks for %s", class_words(name, s, m));
    return text;
}

static const char *sensitivity_text(char text[FINDING], const session *s, const mv_map *m)
{
    char name[100], part[16];
    double half = finding_half_of(m);
    share_text(part, half);
    if (isfinite(half))
        snprintf(text, FINDING, "Half of what moves the score of %s lies in %s %% of the picture",
                 class_words(name, s, m), part);
    else
        snprintf(text, FINDING, "No pixel moves the score of %s", class_words(name, s, m));
    return text;
}

static const char *similar_text(char text[FINDING], const mv_map *m)
{
    int n = 0;
    for (int i = 0; i < m->h * m->w; i++)
        n += m->v[i] > 0.5f;
    snprintf(text, FINDING, "%d of %d cells are similar to cell %d,%d: cosine above 0.5", n, m->h * m->w, m->query_y,
             m->query_x);
    return text;
}

static const char *range_text(char text[FINDING], const mv_map *m)
{
    char range[80];
    const mv_method *method = m->method ? mv_method_lookup(m->method) : NULL;
    snprintf(text, FINDING, "%s: %s %s", method ? method->title : m->title,
             mv_range_text(range, (double)m->lo, (double)m->hi, m->diverging), m->unit);
    return text;
}

/* Multiples of an even spread. */
static const char *spread_text(char text[FINDING], const mv_map *m)
{
    char most[32], part[16];
    const mv_method *method = m->method ? mv_method_lookup(m->method) : NULL;
    share_text(part, finding_half_of(m));
    snprintf(text, FINDING, "%s: half of it on %s %% of the picture, at most %s\xc3\x97 even",
             method ? method->title : m->title, part, mv_number_text(most, (double)m->hi, 1, false));
    return text;
}

static const char *one(char text[FINDING], const session *s, const mv_map *m)
{
    if (m->channels == 3)
        snprintf(text, FINDING, "Three directions hold %.0f %% of the variance of the features",
                 100 * (mv_map_figure_value(m, "red_share") + mv_map_figure_value(m, "green_share") +
                        mv_map_figure_value(m, "blue_share")));
    else if (is(m, "eigencam"))
        snprintf(text, FINDING, "One direction holds %.0f %% of the variance of the features",
                 100 * mv_map_figure_value(m, "variance"));
    else if (is(m, "similarity"))
        return similar_text(text, m);
    else if (strcmp(m->unit, "\xc3\x97 even") == 0)
        return spread_text(text, m);
    else if (is_sensitivity(m))
        return sensitivity_text(text, s, m);
    else if (m->class_ >= 0)
        return evidence_text(text, s, m);
    else
        return range_text(text, m);
    return text;
}

/* ---- several */

/* True if the class is ahead at this depth: of all others, or of the second class. */
static bool leads(const mv_map *m)
{
    return m->against >= 0 ? mv_map_mean(m) > 0 : mv_map_figure_value(m, "rank") < 1.5;
}

static const char *depth_text(char text[FINDING], const session *s, const mv_map *const maps[], int n)
{
    char name[100], capital[100], other[24];
    const mv_map *last = maps[n - 1];
    int from = n;
    while (from > 0 && leads(maps[from - 1]))
        from--;
    mv_text_print(name, sizeof name, "%.60s", session_class(s, last->class_, other));
    mv_text_capital(capital, sizeof capital, name);
    const char *than = last->against >= 0 ? session_class(s, last->against, other) : "";
    if (from == n && last->against < 0)
        snprintf(text, FINDING, "%s does not lead after the last block: rank %.0f", capital,
                 mv_map_figure_value(last, "rank"));
    else if (from == n)
        snprintf(text, FINDING, "%s is behind %s after the last block", capital, than);
    else if (from == 0)
        snprintf(text, FINDING, "%s %s%s%s after every block shown", capital, *than ? "is ahead of" : "leads",
                 *than ? " " : "", than);
    else
        snprintf(text, FINDING, "%s %s%s%s from level %d, block %d on", capital, *than ? "is ahead of" : "leads",
                 *than ? " " : "", than, maps[from]->level, maps[from]->block);
    return text;
}

/* Those of the n maps that have an order, which colours have not; returns how many. */
static int ordered(const mv_map *out[MOST_COMPARED], const mv_map *const maps[], int n)
{
    int k = 0;
    for (int i = 0; i < n; i++)
        if (maps[i] && maps[i]->channels != 3 && k++ < MOST_COMPARED)
            out[k - 1] = maps[i];
    return k;
}

/* The least and greatest rank correlation of pairs; false if there are none, or too many. */
static bool agreement(const mv_map *const maps[], int n, double *lo, double *hi)
{
    *lo = INFINITY, *hi = -INFINITY;
    for (int i = 0; i < n && n <= MOST_COMPARED; i++)
        for (int k = 0; k < i; k++) {
            double r = correlation(maps[k], maps[i]);
            *lo = fmin(*lo, r);
            *hi = fmax(*hi, r);
        }
    return *lo <= *hi;
}

static const char *range_of(char text[80], double lo, double hi)
{
    char a[32], b[32];
    if (hi - lo < 0.005)
        snprintf(text, 80, "%s", mv_number_text(a, lo, 2, false));
    else
        snprintf(text, 80, "%s to %s", mv_number_text(a, lo, 2, false), mv_number_text(b, hi, 2, false));
    return text;
}

static const char *verb(double lo, double hi)
{
    return lo >= 0.6 ? "agree" : hi < 0.3 ? "do not agree" : lo >= 0.2 ? "agree in part" : "disagree in part";
}

enum { AT_NEITHER, AT_DELETION, AT_INSERTION, AT_BOTH };

/* Where a map is better than "random" or "centre"; -1 for a map that was not measured. */
static int beats(const mv_map *m, const char *baseline)
{
    char deletion[32], insertion[32];
    snprintf(deletion, sizeof deletion, "%s_deletion", baseline);
    snprintf(insertion, sizeof insertion, "%s_insertion", baseline);
    double falls = mv_map_figure_value(m, deletion) - mv_map_figure_value(m, "deletion"),
           rises = mv_map_figure_value(m, "insertion") - mv_map_figure_value(m, insertion);
    if (!isfinite(falls) || !isfinite(rises))
        return -1;
    return (falls > 0 ? AT_DELETION : 0) + (rises > 0 ? AT_INSERTION : 0);
}

const char *finding_of_trust(char text[FINDING], const mv_map *m)
{
    static const char *const at[] = {"neither deletion nor insertion", "deletion", "insertion",
                                     "deletion and insertion"};
    int random = beats(m, "random"), centre = beats(m, "centre");
    *text = '\0';
    if (random >= 0 && random == centre)
        snprintf(text, FINDING, "the map beats random cells and a blob in the middle at %s", at[random]);
    else if (random >= 0 && centre >= 0)
        snprintf(text, FINDING, "the map beats random cells at %s, a blob in the middle at %s", at[random], at[centre]);
    return text;
}

/* Which maps beat both baselines; NULL where not all of them were measured. */
static const char *trust_text(char text[FINDING], const mv_map *const maps[], int n)
{
    static const char what[] = "random cells and a blob in the middle at deletion and insertion";
    int good = 0;
    const mv_map *best = NULL;
    for (int i = 0; i < n; i++) {
        int random = beats(maps[i], "random"), centre = beats(maps[i], "centre");
        if (random < 0 || centre < 0)
            return NULL;
        if (random == AT_BOTH && centre == AT_BOTH) {
            best = maps[i];
            good++;
        }
    }
    if (good == 0)
        snprintf(text, FINDING, "None of %d maps beats %s", n, what);
    else if (good == 1)
        snprintf(text, FINDING, "Only one of %d maps beats %s: %s", n, what, best->method);
    else if (good == n)
        snprintf(text, FINDING, "All %d maps beat %s", n, what);
    else
        snprintf(text, FINDING, "%d of %d maps beat %s", good, n, what);
    return text;
}

static const char *together(char text[FINDING], const session *s, const mv_map *const all[], int count)
{
    const mv_map *maps[MOST_COMPARED];
    int n = ordered(maps, all, count);
    double lo, hi;
    char range[80], a[100], b[100];
    bool methods = false, classes = false;
    for (int i = 1; i < n && n <= MOST_COMPARED; i++) {
        methods |= strcmp(maps[i]->method, maps[0]->method) != 0;
        classes |= maps[i]->class_ != maps[0]->class_;
    }
    if (n > 1 && n <= MOST_COMPARED && trust_text(text, maps, n))
        return text;
    if (!agreement(maps, n, &lo, &hi))
        return NULL;
    range_of(range, lo, hi);
    if (n == 2 && methods)
        snprintf(text, FINDING, "%s and %s %s: rank correlation %s", maps[0]->method, maps[1]->method, verb(lo, hi),
                 range);
    else if (n == 2 && classes && maps[0]->class_ >= 0 && maps[1]->class_ >= 0)
        mv_text_print(text, FINDING, "What speaks for %.60s and for %.60s: rank correlation %s",
                      class_words(a, s, maps[0]), class_words(b, s, maps[1]), range);
    else
        snprintf(text, FINDING, "%d maps %s: rank correlation %s", n, verb(lo, hi), range);
    return text;
}

/* The head that gives most of the target, by the sum of its map. */
static const char *head_text(char text[FINDING], const session *s, const mv_map *const maps[], int n)
{
    const mv_map *most = maps[0];
    char name[100], capital[100], number[32];
    for (int i = 1; i < n; i++)
        if (mv_map_figure_value(maps[i], "sum") > mv_map_figure_value(most, "sum"))
            most = maps[i];
    snprintf(text, FINDING, "%s: level %d, block %d, head %d gives most of %d: %s",
             mv_text_capital(capital, sizeof capital, class_words(name, s, most)), most->level, most->block, most->head,
             n, mv_number_text(number, mv_map_figure_value(most, "sum"), 3, true));
    return text;
}

const char *finding_of(char text[FINDING], const session *s, const mv_map *const maps[], int n)
{
    bool heads = n > 1;
    for (int i = 0; i < n; i++)
        heads =
            heads && is(maps[i], "attention-x-gradient") && maps[i]->class_ == maps[0]->class_ && maps[i]->head >= 0;
    if (heads)
        return head_text(text, s, maps, n);
    bool lens = n > 1;
    for (int i = 0; i < n; i++)
        lens = lens && is(maps[i], "lens") && maps[i]->class_ == maps[0]->class_;
    if (lens)
        return depth_text(text, s, maps, n);
    const char *found = n > 1 ? together(text, s, maps, n) : NULL;
    return found ? found : one(text, s, maps[0]);
}

/* ---- several pictures */

const char *finding_of_pictures(char text[FINDING], const mv_map *const maps[], int pictures, int columns)
{
    double least = INFINITY, most = -INFINITY, lo = INFINITY, hi = -INFINITY;
    char range[80], part[2][16];
    bool coloured = columns == 1, evidence = columns == 1;
    for (int p = 0; p < pictures; p++) {
        const mv_map *const *row = maps + (size_t)p * (size_t)columns;
        double a, b;
        coloured = coloured && row[0] && row[0]->channels == 3;
        evidence = evidence && row[0] && row[0]->class_ >= 0 && row[0]->channels != 3 && !is_sensitivity(row[0]);
        if (evidence) {
            least = fmin(least, finding_half_of(row[0]));
            most = fmax(most, finding_half_of(row[0]));
        }
        const mv_map *ranked[MOST_COMPARED];
        if (agreement(ranked, ordered(ranked, row, columns), &a, &b)) {
            lo = fmin(lo, a);
            hi = fmax(hi, b);
        }
    }
    for (int i = 0; i < 2; i++) /* both with the digits of the smaller */
        snprintf(part[i], sizeof part[i], "%.*f", share_digits(least), 100 * (i ? most : least));
    if (coloured)
        snprintf(text, FINDING, "A colour means the same features in all %d pictures", pictures);
    else if (evidence && least <= most && pictures > 1)
        snprintf(text, FINDING, "Half of what speaks for the class lies in %s to %s %% of the picture", part[0],
                 part[1]);
    else if (lo <= hi)
        snprintf(text, FINDING, "The maps of a picture %s: rank correlation %s", verb(lo, hi), range_of(range, lo, hi));
    else
        snprintf(text, FINDING, "%d picture%s, %d map%s each", pictures, pictures == 1 ? "" : "s", columns,
                 columns == 1 ? "" : "s");
    return text;
}

/* ---- an answer */

const char *finding_probability(char text[24], double p, int digits)
{
    char number[32];
    while (digits < 4 && p < 1 && 1 - p < 0.5 * pow(10, -digits))
        digits++;
    if (p < 0.5 * pow(10, -digits))
        snprintf(text, 24, "p < %.*f", digits, pow(10, -digits));
    else if (1 - p < 0.5 * pow(10, -digits))
        snprintf(text, 24, "p > %.*f", digits, 1 - pow(10, -digits));
    else
        snprintf(text, 24, "p = %s", mv_number_text(number, p, digits, false));
    return text;
}
