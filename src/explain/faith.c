#include "src/explain/faith.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/random.h"
#include "src/explain/blur.h"
#include "src/explain/logits.h"
#include "src/explain/road.h"
#include "src/explain/upsample.h"

enum { DOUBLES = sizeof(mv_faith_score) / sizeof(double) };

struct mv_faith {
    mv_faith_options o;
    mv_passes *passes;
    const float *planes;
    int h, w, classes, class_;
    size_t pixels;
    float *blurred;           /* as planes */
    int *rank;                /* of each pixel: 0 goes first */
    void *order;              /* memory of the sort */
    bool *removed;            /* for ROAD */
    mv_road *road;            /* NULL: not wanted */
    uint64_t noise;           /* seed of this map's noise */
    mv_faith_score *score;    /* that is being filled */
    mv_faith_baseline random; /* 0 seeds: not computed yet */
    bool centred;             /* centre is computed */
    mv_faith_score centre;
};

/* ---- the order of the pixels */

typedef struct {
    double value;
    int index;
} pixel;

static int by_falling_value(const void *a, const void *b)
{
    const pixel *x = a, *y = b;
    return x->value != y->value ? (x->value < y->value) - (x->value > y->value)
                                : (x->index > y->index) - (x->index < y->index);
}

/* Ranks from the values of a grid, brought to the input's size. */
static mv_status rank_by(mv_faith *f, const float *v, int gh, int gw, mv_error *e)
{
    double *up = malloc(f->pixels * sizeof *up);
    pixel *order = f->order;
    if (!up)
        return mv_fail_memory(e, "faith");
    mv_upsample_exact(up, f->h, f->w, v, gh, gw);
    for (size_t i = 0; i < f->pixels; i++)
        order[i] = (pixel){isnan(up[i]) ? -INFINITY : up[i], (int)i};
    free(up);
    qsort(order, f->pixels, sizeof *order, by_falling_value);
    for (size_t i = 0; i < f->pixels; i++)
        f->rank[order[i].index] = (int)i;
    return MV_OK;
}

/* The order of a random value for each cell. */
static mv_status rank_randomly(mv_faith *f, uint64_t state, mv_error *e)
{
    size_t cells = (size_t)f->o.grain_h * (size_t)f->o.grain_w;
    float *v = malloc(cells * sizeof *v);
    if (!v)
        return mv_fail_memory(e, "faith");
    for (size_t i = 0; i < cells; i++)
        v[i] = (float)(mv_random_next(&state) >> 40) * 0x1p-24f;
    mv_status s = rank_by(f, v, f->o.grain_h, f->o.grain_w, e);
    free(v);
    return s;
}

/* How much of cell i of `cells` lies in part k of `parts` that cover the same length, in cells. */
static double overlap(int i, int cells, int k, int parts)
{
    double from = (double)k * cells / parts, to = (double)(k + 1) * cells / parts;
    return fmin(to, i + 1.0) - fmax(from, i);
}

void mv_coarsen(float *out, int a, int b, const float *v, int h, int w)
{
    for (int y = 0; y < a; y++)
        for (int x = 0; x < b; x++) {
            double sum = 0;
            for (int i = (int)((long long)y * h / a); i < h && overlap(i, h, y, a) > 0; i++)
                for (int k = (int)((long long)x * w / b); k < w && overlap(k, w, x, b) > 0; k++)
                    sum += overlap(i, h, y, a) * overlap(k, w, x, b) * (double)v[(size_t)i * (size_t)w + (size_t)k];
            out[(size_t)y * (size_t)b + (size_t)x] = (float)(sum * a * b / ((double)h * w));
        }
}

/* ---- the passes */

/* k * pixels / steps, halves to even */
static int pixels_at(const mv_faith *f, int k, int steps)
{
    int64_t product = (int64_t)k * (int64_t)f->pixels, n = product / steps, rest = 2 * (product % steps);
    return (int)(n + (rest > steps || (rest == steps && n % 2)));
}

static void make_road(mv_faith *f, int i, float *planes)
{
    bool last = i >= MV_FAITH_SHARES;
    int n = pixels_at(f, 2 * (i % MV_FAITH_SHARES + 1), 10);
    for (size_t k = 0; k < f->pixels; k++)
        f->removed[k] = last ? f->rank[k] >= (int)f->pixels - n : f->rank[k] < n;
    mv_road_fill(f->road, planes, f->planes, f->removed, MV_ROAD_NOISE, f->noise + (uint64_t)i);
}

/* Inputs 0 to steps: deletion; as many more: insertion; then ROAD, most relevant first and last. */
static void make(void *context, int i, float *planes)
{
    mv_faith *f = context;
    int points = f->o.steps + 1;
    if (i >= 2 * points) {
        make_road(f, i - 2 * points, planes);
        return;
    }
    bool deletes = i < points;
    int n = pixels_at(f, i % points, f->o.steps);
    for (size_t c = 0; c < 3; c++)
        for (size_t k = 0; k < f->pixels; k++) {
            size_t at = c * f->pixels + k;
            bool first = f->rank[k] < n;
            planes[at] = deletes ? (first ? 0 : f->planes[at]) : first ? f->planes[at] : f->blurred[at];
        }
}

static mv_status take(void *context, int i, const float *logits, mv_error *e)
{
    mv_faith *f = context;
    mv_faith_score *s = f->score;
    int points = f->o.steps + 1, road = i - 2 * points;
    double p = mv_probability(logits, f->classes, f->class_);
    if (!isfinite(p))
        return mv_fail(e, MV_EINPUT, "faith: the probability of class %d is not finite for changed input %d", f->class_,
                       i);
    *(i < points               ? &s->deletion[i]
      : road < 0               ? &s->insertion[i - points]
      : road < MV_FAITH_SHARES ? &s->road_first[road]
                               : &s->road_last[road - MV_FAITH_SHARES]) = p;
    return MV_OK;
}

static double area(const double *p, int steps)
{
    double sum = 0;
    for (int k = 0; k < steps; k++)
        sum += (p[k] + p[k + 1]) / 2;
    return sum / steps;
}

/* By the order that f->rank holds. */
static mv_status measure(mv_faith *f, mv_faith_score *out, mv_error *e)
{
    *out = (mv_faith_score){0};
    f->score = out;
    mv_status s =
        mv_passes_run(f->passes, 2 * (f->o.steps + 1) + (f->road ? 2 * MV_FAITH_SHARES : 0), make, take, f, e);
    out->deletion_area = area(out->deletion, f->o.steps);
    out->insertion_area = area(out->insertion, f->o.steps);
    for (int i = 0; i < MV_FAITH_SHARES; i++) {
        if (!f->road)
            out->road_first[i] = out->road_last[i] = NAN;
        out->road += (out->road_last[i] - out->road_first[i]) / 2 / MV_FAITH_SHARES;
    }
    return s;
}

/* ---- the object */

void mv_faith_grain(int h, int w, int grain[2])
{
    grain[0] = (h + MV_FAITH_CELL - 1) / MV_FAITH_CELL;
    grain[1] = (w + MV_FAITH_CELL - 1) / MV_FAITH_CELL;
}

mv_faith *mv_faith_new(const mv_faith_options *o, mv_passes *passes, const float *planes, int h, int w, int classes,
                       int class_, mv_error *e)
{
    mv_faith_options all = *o;
    int cells[2];
    all.steps = all.steps ? all.steps : MV_FAITH_STEPS;
    all.seeds = all.seeds ? all.seeds : 10;
    mv_faith_grain(h, w, cells);
    all.grain_h = all.grain_h ? all.grain_h : cells[0];
    all.grain_w = all.grain_w ? all.grain_w : cells[1];
    if (all.steps < 1 || all.steps > MV_FAITH_STEPS || all.seeds < 1 || all.seeds > MV_FAITH_SEEDS || class_ < 0 ||
        class_ >= classes || h != mv_passes_height(passes) || w != mv_passes_width(passes)) {
        mv_fail(e, MV_EMISUSE, "faith: found %d steps, %d seeds and class %d, expected 1 to %d, 1 to %d and 0 to %d",
                all.steps, all.seeds, class_, MV_FAITH_STEPS, MV_FAITH_SEEDS, classes - 1);
        return NULL;
    }
    if (all.grain_h < 1 || all.grain_w < 1 || all.grain_h > h || all.grain_w > w) {
        mv_fail(e, MV_EMISUSE, "faith: found a grain of %dx%d, expected cells of %dx%d px", all.grain_h, all.grain_w, h,
                w);
        return NULL;
    }
    mv_faith *f = calloc(1, sizeof *f);
    size_t pixels = (size_t)h * (size_t)w;
    if (f) {
        *f = (mv_faith){.o = all,
                        .passes = passes,
                        .planes = planes,
                        .h = h,
                        .w = w,
                        .classes = classes,
                        .class_ = class_,
                        .pixels = pixels,
                        .blurred = malloc(3 * pixels * sizeof(float)),
                        .rank = malloc(pixels * sizeof(int)),
                        .order = malloc(pixels * sizeof(pixel)),
                        .removed = malloc(pixels * sizeof(bool))};
    }
    if (!f || !f->blurred || !f->rank || !f->order || !f->removed)
        mv_fail_memory(e, "faith");
    else if (!mv_blur(f->blurred, planes, h, w, e) && (!all.road || (f->road = mv_road_new(h, w, e))))
        return f;
    mv_faith_free(f);
    return NULL;
}

void mv_faith_free(mv_faith *f)
{
    if (!f)
        return;
    free(f->blurred);
    free(f->rank);
    free(f->order);
    free(f->removed);
    mv_road_free(f->road);
    free(f);
}

bool mv_faith_has_order(const mv_map *map)
{
    return map->channels <= 1;
}

mv_status mv_faith_map(mv_faith *f, const mv_map *map, mv_faith_score *out, mv_error *e)
{
    if (!mv_faith_has_order(map) || map->h < 1 || map->w < 1)
        return mv_fail(e, MV_EMISUSE, "faith: found a map of %d channels, expected one", map->channels);
    f->noise = f->o.seed;
    int h = f->o.grain_h < map->h ? f->o.grain_h : map->h, w = f->o.grain_w < map->w ? f->o.grain_w : map->w;
    if (h == map->h && w == map->w)
        return rank_by(f, mv_map_raw(map), h, w, e) ? e->code : measure(f, out, e);
    float *coarse = malloc((size_t)h * (size_t)w * sizeof *coarse);
    if (!coarse)
        return mv_fail_memory(e, "faith");
    mv_coarsen(coarse, h, w, mv_map_raw(map), map->h, map->w);
    mv_status s = rank_by(f, coarse, h, w, e);
    free(coarse);
    return s ? s : measure(f, out, e);
}

static mv_status rank_centre(mv_faith *f, mv_error *e)
{
    int h = f->o.grain_h, w = f->o.grain_w;
    float *v = malloc((size_t)h * (size_t)w * sizeof *v);
    if (!v)
        return mv_fail_memory(e, "faith");
    for (int i = 0; i < h; i++)
        for (int k = 0; k < w; k++) {
            double y = (i + 0.5) / h - 0.5, x = (k + 0.5) / w - 0.5;
            v[(size_t)i * (size_t)w + (size_t)k] = (float)exp(-(y * y + x * x) / (2 * 0.25 * 0.25));
        }
    mv_status s = rank_by(f, v, h, w, e);
    free(v);
    return s;
}

mv_status mv_faith_centre(mv_faith *f, const mv_faith_score **out, mv_error *e)
{
    *out = NULL;
    f->noise = f->o.seed;
    if (!f->centred && (rank_centre(f, e) || measure(f, &f->centre, e)))
        return e->code;
    f->centred = true;
    *out = &f->centre;
    return MV_OK;
}

/* Adds one seed's score, by Welford: spread is the sum of squares until the end. */
static void accumulate(mv_faith_baseline *b, const mv_faith_score *s)
{
    const double *x = (const double *)s;
    double *mean = (double *)&b->mean, *squares = (double *)&b->spread;
    b->seeds++;
    for (size_t i = 0; i < DOUBLES; i++) {
        double d = x[i] - mean[i];
        mean[i] += d / b->seeds;
        squares[i] += d * (x[i] - mean[i]);
    }
}

mv_status mv_faith_random(mv_faith *f, const mv_faith_baseline **out, mv_error *e)
{
    *out = f->random.seeds ? &f->random : NULL;
    if (*out)
        return MV_OK;
    mv_faith_baseline b = {0};
    mv_road *road = f->road;
    f->road = NULL; /* an order and its reverse are equally probable: what ROAD expects is 0 */
    for (int k = 0; k < f->o.seeds; k++) {
        mv_faith_score s;
        uint64_t seed = f->o.seed + 1 + (uint64_t)k;
        uint64_t state = mv_random_next(&seed); /* a seed's numbers are not those of the next one, shifted */
        if (rank_randomly(f, state, e) || measure(f, &s, e))
            break;
        accumulate(&b, &s);
    }
    f->road = road;
    if (b.seeds < f->o.seeds)
        return e->code;
    double *squares = (double *)&b.spread;
    for (size_t i = 0; i < DOUBLES; i++)
        squares[i] = b.seeds > 1 ? sqrt(squares[i] / (b.seeds - 1)) : 0;
    b.mean.road = road ? 0 : NAN;
    b.spread.road = NAN;
    f->random = b;
    *out = &f->random;
    return MV_OK;
}

/* ---- rank correlation */

typedef struct {
    float value;
    int index;
} item;

static int by_value(const void *a, const void *b)
{
    const item *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/* Mean ranks, from 0, less their mean. */
static void ranks(double *out, const float *v, item *sorted, int n)
{
    for (int i = 0; i < n; i++)
        sorted[i] = (item){isnan(v[i]) ? -INFINITY : v[i], i};
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    for (int from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && !(sorted[to].value > sorted[from].value); to++)
            ;
        for (int i = from; i < to; i++)
            out[sorted[i].index] = (from + to - 1) / 2.0 - (n - 1) / 2.0;
    }
}

double mv_rank_correlation(const float *a, const float *b, int n)
{
    double *x = malloc(2 * (size_t)n * sizeof *x), xy = 0, xx = 0, yy = 0;
    item *sorted = malloc((size_t)n * sizeof *sorted);
    if (x && sorted) {
        ranks(x, a, sorted, n);
        ranks(x + n, b, sorted, n);
        for (int i = 0; i < n; i++) {
            xy += x[i] * x[n + i];
            xx += x[i] * x[i];
            yy += x[n + i] * x[n + i];
        }
    }
    bool good = x && sorted;
    free(x);
    free(sorted);
    return !good ? NAN : xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}
