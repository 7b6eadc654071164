/* What attention does, in one sentence: the first of these that stands out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd/findings.h"
#include "src/base/number.h"

/* Half of the attention on more of the picture than this: it is nearly even. (Of an even map, half lies on half.) */
#define NEARLY_EVEN 0.38

/* Multiples of even on the cells of the border, from which on that is worth a title. */
#define BORDER 1.5

/* Half of the attention on less of the picture than this. */
#define FOCUS 0.12

enum { LEVELS = 8 };

/* What is told of one map. */
typedef struct {
    double half;   /* the least share of the cells that holds half of the attention */
    double border; /* the mean over the cells of the border, in multiples of the mean of all */
    double most;   /* the greatest share of one cell */
    int cells;     /* of `half` */
} look;

static bool on_border(const mv_map *m, int i)
{
    int y = i / m->w, x = i % m->w;
    return y == 0 || x == 0 || y == m->h - 1 || x == m->w - 1;
}

/* False for a map without attention, with values that are not finite, or too small to have an inside. */
static bool look_of(look *out, const mv_map *m)
{
    int n = m->h * m->w, border = 0;
    double sum = 0, around = 0, most = 0;
    for (int i = 0; i < n; i++) {
        double v = (double)m->v[i];
        if (!isfinite(v) || v < 0)
            return false;
        sum += v;
        most = fmax(most, v);
        if (on_border(m, i)) {
            around += v;
            border++;
        }
    }
    if (!(sum > 0) || border == n)
        return false;
    double half = finding_half_of(m);
    *out = (look){half, around / border / (sum / n), most / sum, (int)lround(half * n)};
    return isfinite(half);
}

static const char *cells_words(char text[64], int some, int all)
{
    if (some == 1)
        snprintf(text, 64, "one of %d cells", all);
    else
        snprintf(text, 64, "%d of %d cells", some, all);
    return text;
}

/* "Level 3, block 1" */
static const char *place_words(char text[64], const mv_map *m)
{
    if (m->level < 0)
        snprintf(text, 64, "The network");
    else if (m->block >= 0)
        snprintf(text, 64, "Level %d, block %d", m->level, m->block);
    else
        snprintf(text, 64, "Level %d", m->level);
    return text;
}

static bool queries(const mv_map *m, const char *query)
{
    return m->query && strcmp(m->query, query) == 0;
}

static const char *focus_text(char text[FINDING], const mv_map *m, const look *k)
{
    char where[64], cells[64];
    place_words(where, m);
    cells_words(cells, k->cells, m->h * m->w);
    if (queries(m, "received"))
        snprintf(text, FINDING, "%s: %s receive%s half of the attention", where, cells, k->cells == 1 ? "s" : "");
    else if (queries(m, "cell"))
        snprintf(text, FINDING, "%s: cell %d,%d puts half of its attention on %s", where, m->query_y, m->query_x,
                 cells);
    else
        snprintf(text, FINDING, "%s puts half of its attention on %s", where, cells);
    return text;
}

/* The level that looks at the border most, if it does; -1: none. */
static int level_at_border(const mv_map *maps, int n, double *times)
{
    int best = -1;
    for (int level = 0; level < LEVELS; level++) {
        double sum = 0;
        int count = 0;
        bool all = true;
        for (int i = 0; i < n; i++) {
            look k;
            if (maps[i].level != level)
                continue;
            all = all && look_of(&k, &maps[i]) && k.border > 1;
            sum += all ? k.border : 0;
            count++;
        }
        if (count && all && sum / count >= fmax(BORDER, best < 0 ? 0 : *times)) {
            *times = sum / count;
            best = level;
        }
    }
    return best;
}

static void range_words(char text[48], double lo, double hi)
{
    int a = (int)lround(100 * lo), b = (int)lround(100 * hi);
    if (a == b)
        snprintf(text, 48, "%d", a);
    else
        snprintf(text, 48, "%d to %d", a, b);
}

const char *finding_of_attention(char text[FINDING], const mv_map *maps, int n)
{
    double least = INFINITY, most = 0, top = 0, times = 0;
    const mv_map *narrow = NULL;
    look narrowest = {0};
    char number[32], range[48];
    for (int i = 0; i < n; i++) {
        look k;
        if (!look_of(&k, &maps[i])) {
            snprintf(text, FINDING, "Where self-attention looks");
            return text;
        }
        if (k.half < least) {
            narrow = &maps[i];
            narrowest = k;
        }
        least = fmin(least, k.half);
        most = fmax(most, k.half);
        top = fmax(top, (double)maps[i].hi);
    }
    if (!narrow) {
        snprintf(text, FINDING, "Where self-attention looks");
        return text;
    }
    int level = level_at_border(maps, n, &times);
    range_words(range, least, most);
    if (level >= 0 && least >= FOCUS)
        snprintf(text, FINDING, "Level %d looks at the border: %s\xc3\x97 even", level,
                 mv_number_text(number, times, 1, false));
    else if (least >= NEARLY_EVEN)
        snprintf(text, FINDING, "Attention is nearly even: no cell gets more than %s\xc3\x97",
                 mv_number_text(number, ceil(10 * top) / 10, 1, false));
    else if (least < FOCUS)
        focus_text(text, narrow, &narrowest);
    else
        snprintf(text, FINDING, "Half of the attention lies on %s %% of the picture", range);
    return text;
}

const char *finding_of_heads(char text[FINDING], const mv_map *maps, int n)
{
    double least = INFINITY, most = 0;
    int one = 0;
    char range[48], count[48];
    for (int i = 0; i < n; i++) {
        look k;
        if (!look_of(&k, &maps[i])) {
            snprintf(text, FINDING, "Where each head looks");
            return text;
        }
        least = fmin(least, k.half);
        most = fmax(most, k.half);
        one += k.most >= 0.5;
    }
    bool received = n && queries(maps, "received");
    range_words(range, least, most);
    if (!n)
        snprintf(text, FINDING, "Where each head looks");
    else if (one && received)
        snprintf(text, FINDING, "In %d of %d heads one cell receives half of the attention", one, n);
    else if (one)
        snprintf(text, FINDING, "%d of %d heads put%s half of %s attention on one cell", one, n, one == 1 ? "s" : "",
                 one == 1 ? "its" : "their");
    else if (least >= NEARLY_EVEN)
        snprintf(text, FINDING,
                 "All %d heads look nearly everywhere: half of their attention is on %s %% of the picture", n, range);
    else
        snprintf(text, FINDING, "%s: half of %s attention lies on %s %% of the picture",
                 mv_count_text(count, n, "head"), n == 1 ? "its" : "each head's", range);
    return text;
}
