#include "src/explain/road.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/random.h"

/* One grid; the next one has half its sides. On it lies what a coarser one gives as the start of this one. */
struct mv_road {
    int h, w;
    size_t wide, n; /* a row and all of it, with a border of one pixel on each side */
    double *x, *r, *p, *q;
    double *weight, *inverse; /* the sum of w_j of a removed pixel, and 1 by it; 0 elsewhere */
    double *row;              /* three rows */
    mv_road *coarse;          /* NULL for the coarsest */
};

enum { COARSEST = 6, LANES = 4 };

mv_road *mv_road_new(int h, int w, mv_error *e)
{
    mv_road *r = calloc(1, sizeof *r);
    if (r) {
        r->h = h, r->w = w;
        r->wide = (size_t)w + 2;
        r->n = ((size_t)h + 2) * r->wide;
        r->x = calloc(6 * r->n + 3 * r->wide, sizeof *r->x);
    }
    if (!r || !r->x) {
        free(r);
        mv_fail_memory(e, "ROAD");
        return NULL;
    }
    r->r = r->x + r->n;
    r->p = r->r + r->n;
    r->q = r->p + r->n;
    r->weight = r->q + r->n;
    r->inverse = r->weight + r->n;
    r->row = r->inverse + r->n;
    if (h > COARSEST && w > COARSEST && !(r->coarse = mv_road_new((h + 1) / 2, (w + 1) / 2, e))) {
        mv_road_free(r);
        return NULL;
    }
    return r;
}

void mv_road_free(mv_road *r)
{
    if (!r)
        return;
    mv_road_free(r->coarse);
    free(r->x);
    free(r);
}

/* Sums of several lanes, in an order that does not depend on the compiler. */
static double total(const double *lane)
{
    return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

/* The weights are the products of 1 2 1, divided by 12, without the middle, which has 4. */
static void sum_row(const mv_road *r, double *out, const double *p, int y)
{
    const double *at = p + (size_t)y * r->wide;
    for (size_t x = 1; x <= (size_t)r->w; x++)
        out[x] = at[x - 1] + 2 * at[x] + at[x + 1];
}

/* q = A p for removed pixels, 0 for the others. */
static void apply(mv_road *r, double *q, const double *p)
{
    double *line[3] = {r->row, r->row + r->wide, r->row + 2 * r->wide};
    sum_row(r, line[0], p, 0);
    sum_row(r, line[1], p, 1);
    for (int y = 1; y <= r->h; y++) {
        const double *above = line[(y - 1) % 3], *here = line[y % 3], *below = line[(y + 1) % 3];
        sum_row(r, line[(y + 1) % 3], p, y + 1);
        const double *middle = p + (size_t)y * r->wide, *weight = r->weight + (size_t)y * r->wide,
                     *inverse = r->inverse + (size_t)y * r->wide;
        double *to = q + (size_t)y * r->wide;
        for (size_t x = 1; x <= (size_t)r->w; x++) {
            double mean = (above[x] + 2 * here[x] + below[x] - 4 * middle[x]) * (1 / 12.0);
            to[x] = (weight[x] * middle[x] - mean) * (inverse[x] * weight[x]); /* times 1, or 0 */
        }
    }
}

static double product(const double *a, const double *b, size_t n)
{
    double lane[LANES] = {0};
    for (size_t i = 0; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lane[k] += a[i + k] * b[i + k];
    for (size_t i = n - n % LANES; i < n; i++)
        lane[0] += a[i] * b[i];
    return total(lane);
}

/* x += step p, r -= step q; the preconditioned residual's square r . z, with z = r / weight. */
static double advance(mv_road *r, double step)
{
    double lane[LANES] = {0};
    size_t whole = r->n - r->n % LANES;
    for (size_t i = 0; i < r->n; i++) {
        r->x[i] += step * r->p[i];
        r->r[i] -= step * r->q[i];
    }
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lane[k] += r->r[i + k] * r->r[i + k] * r->inverse[i + k];
    for (size_t i = whole; i < r->n; i++)
        lane[0] += r->r[i] * r->r[i] * r->inverse[i];
    return total(lane);
}

/* A share of the weights is missing at the edges of the picture. */
static void set_weight(mv_road *r, int y, int x, bool removed)
{
    int down = 2 + (y > 0) + (y + 1 < r->h), across = 2 + (x > 0) + (x + 1 < r->w);
    size_t at = (size_t)(y + 1) * r->wide + (size_t)x + 1;
    r->weight[at] = removed ? (down * across - 4) / 12.0 : 0;
    r->inverse[at] = removed ? 1 / r->weight[at] : 0;
}

/* The residual of x into r; r . z. */
static double residual(mv_road *r)
{
    apply(r, r->q, r->x);
    for (size_t i = 0; i < r->n; i++)
        r->r[i] = -r->q[i];
    memset(r->p, 0, r->n * sizeof *r->p);
    return advance(r, 0);
}

/* x holds the picture, with the start in the removed pixels; until r . z is at most `enough`. */
static int solve(mv_road *r, double enough)
{
    double now = residual(r), before = 0;
    int most = 20 * (r->h + r->w), i = 0;
    for (; i < most && now > enough; i++) {
        double beta = before > 0 ? now / before : 0;
        for (size_t k = 0; k < r->n; k++)
            r->p[k] = r->r[k] * r->inverse[k] + beta * r->p[k];
        apply(r, r->q, r->p);
        double curvature = product(r->p, r->q, r->n);
        if (!(curvature > 0))
            break;
        before = now;
        now = advance(r, now / curvature);
    }
    return i;
}

/* The next grid: a pixel is the mean of what is left of four, and removed where nothing is. */
static void reduce(const mv_road *r)
{
    mv_road *c = r->coarse;
    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            double sum = 0;
            int n = 0;
            for (int k = 0; k < 4; k++) {
                int fy = 2 * y + k / 2, fx = 2 * x + k % 2;
                size_t at = (size_t)(fy + 1) * r->wide + (size_t)fx + 1;
                if (fy >= r->h || fx >= r->w || r->weight[at] > 0)
                    continue;
                sum += r->x[at];
                n++;
            }
            set_weight(c, y, x, n == 0);
            c->x[(size_t)(y + 1) * c->wide + (size_t)x + 1] = n ? sum / n : 0;
        }
}

/* Solves a grid from the solution of the next one. `mean` is the start of the coarsest, and that by which all residuals
 * are measured. Returns the iterations on this grid. */
static int fill(mv_road *r, double mean)
{
    for (size_t i = 0; i < r->n; i++)
        r->x[i] = r->weight[i] > 0 ? mean : r->x[i];
    double enough = MV_ROAD_TOLERANCE * MV_ROAD_TOLERANCE * residual(r);
    if (r->coarse) {
        const mv_road *c = r->coarse;
        reduce(r);
        fill(r->coarse, mean);
        for (int y = 0; y < r->h; y++)
            for (int x = 0; x < r->w; x++) {
                size_t at = (size_t)(y + 1) * r->wide + (size_t)x + 1;
                if (!(r->weight[at] > 0))
                    continue;
                int cy = y / 2, cx = x / 2, ny = y % 2 ? cy + 1 : cy - 1, nx = x % 2 ? cx + 1 : cx - 1;
                ny = ny < 0 || ny >= c->h ? cy : ny;
                nx = nx < 0 || nx >= c->w ? cx : nx;
                const double *v = c->x + c->wide + 1;
                r->x[at] = (9 * v[(size_t)cy * c->wide + (size_t)cx] + 3 * v[(size_t)ny * c->wide + (size_t)cx] +
                            3 * v[(size_t)cy * c->wide + (size_t)nx] + v[(size_t)ny * c->wide + (size_t)nx]) /
                           16;
            }
    }
    return solve(r, enough);
}

/* The next normal deviate of a sequence. */
static double normal(uint64_t *state)
{
    double u[2];
    for (int i = 0; i < 2; i++)
        u[i] = ((double)(mv_random_next(state) >> 11) + 0.5) * 0x1p-53;
    return mv_random_normal(u[0], u[1]);
}

int mv_road_fill(mv_road *r, float *out, const float *planes, const bool *removed, double noise, uint64_t seed)
{
    size_t pixels = (size_t)r->h * (size_t)r->w;
    int worst = 0;
    for (int y = 0; y < r->h; y++)
        for (int x = 0; x < r->w; x++)
            set_weight(r, y, x, removed[(size_t)y * (size_t)r->w + (size_t)x]);
    for (int c = 0; c < 3; c++) {
        const float *in = planes + (size_t)c * pixels;
        float *to = out + (size_t)c * pixels;
        double sum = 0;
        size_t left = 0;
        for (size_t i = 0; i < pixels; i++)
            if (!removed[i]) {
                sum += (double)in[i];
                left++;
            }
        double start = left ? sum / (double)left : 0;
        memset(r->x, 0, r->n * sizeof *r->x);
        for (size_t i = 0; i < pixels; i++)
            r->x[(i / (size_t)r->w + 1) * r->wide + i % (size_t)r->w + 1] = removed[i] ? 0 : (double)in[i];
        int took = left ? fill(r, start) : 0;
        worst = took > worst ? took : worst;
        for (size_t i = 0; i < pixels; i++)
            to[i] = removed[i] ? (float)(r->x[(i / (size_t)r->w + 1) * r->wide + i % (size_t)r->w + 1] +
                                         (noise > 0 ? noise * normal(&seed) : 0))
                               : in[i];
    }
    return worst;
}
