#include "src/explain/road.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mv_road {
    int h, w;
    size_t wide, n;                 /* a row and all of it, with a border of one pixel on each side */
    double *x, *r, *p, *q, *weight; /* weight: the sum of w_j of a removed pixel, 0 elsewhere */
    double *row;                    /* three rows */
};

mv_road *mv_road_new(int h, int w, mv_error *e)
{
    mv_road *r = calloc(1, sizeof *r);
    if (r) {
        r->h = h, r->w = w;
        r->wide = (size_t)w + 2;
        r->n = ((size_t)h + 2) * r->wide;
        r->x = calloc(5 * r->n + 3 * r->wide, sizeof *r->x);
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
    r->row = r->weight + r->n;
    return r;
}

void mv_road_free(mv_road *r)
{
    if (r)
        free(r->x);
    free(r);
}

/* The weights are the products of 1 2 1, divided by 12, without the middle, which has 4. */
static void sum_row(const mv_road *r, double *out, const double *p, int y)
{
    const double *at = p + (size_t)y * r->wide;
    for (size_t x = 1; x <= (size_t)r->w; x++)
        out[x] = at[x - 1] + 2 * at[x] + at[x + 1];
}

/* q = A p for removed pixels, 0 for the others; p is 0 outside the removed ones. Returns p . q. */
static double apply(mv_road *r, double *q, const double *p)
{
    double *line[3] = {r->row, r->row + r->wide, r->row + 2 * r->wide}, sum = 0;
    sum_row(r, line[0], p, 0);
    sum_row(r, line[1], p, 1);
    for (int y = 1; y <= r->h; y++) {
        double *above = line[(y - 1) % 3], *here = line[y % 3], *below = line[(y + 1) % 3];
        sum_row(r, below, p, y + 1);
        size_t at = (size_t)y * r->wide;
        for (size_t x = 1; x <= (size_t)r->w; x++) {
            double mean = (above[x] + 2 * here[x] + below[x] - 4 * p[at + x]) / 12;
            double v = r->weight[at + x] > 0 ? r->weight[at + x] * p[at + x] - mean : 0;
            q[at + x] = v;
            sum += p[at + x] * v;
        }
    }
    return sum;
}

/* A share of the weights is missing at the edges of the picture. */
static void set_weights(mv_road *r, const bool *removed)
{
    for (int y = 0; y < r->h; y++)
        for (int x = 0; x < r->w; x++) {
            int down = 2 + (y > 0) + (y + 1 < r->h), across = 2 + (x > 0) + (x + 1 < r->w);
            r->weight[(size_t)(y + 1) * r->wide + (size_t)x + 1] =
                removed[(size_t)y * (size_t)r->w + (size_t)x] ? (down * across - 4) / 12.0 : 0;
        }
}

/* z = r / weight is the preconditioned residual. Returns r . z. */
static double next_direction(mv_road *r, double before)
{
    double now = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->weight[i] > 0)
            now += r->r[i] * r->r[i] / r->weight[i];
    double beta = before > 0 ? now / before : 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->weight[i] > 0)
            r->p[i] = r->r[i] / r->weight[i] + beta * r->p[i];
    return now;
}

/* x holds the picture, with the start in the removed pixels. */
static int solve(mv_road *r)
{
    /* The residual of x is -(A x), where the pixels that are left count as neighbours, too. */
    apply(r, r->q, r->x);
    memset(r->p, 0, r->n * sizeof *r->p);
    for (size_t i = 0; i < r->n; i++)
        r->r[i] = -r->q[i];
    double first = next_direction(r, 0), now = first;
    int most = 20 * (r->h + r->w), i = 0;
    for (; i < most && now > MV_ROAD_TOLERANCE * MV_ROAD_TOLERANCE * first; i++) {
        double curvature = apply(r, r->q, r->p);
        if (!(curvature > 0))
            break;
        double step = now / curvature;
        for (size_t k = 0; k < r->n; k++) {
            r->x[k] += step * r->p[k];
            r->r[k] -= step * r->q[k];
        }
        now = next_direction(r, now);
    }
    return i;
}

/* splitmix64 (Steele et al. 2014) to a normal deviate, by Box and Muller */
static double normal(uint64_t *state)
{
    double u[2];
    for (int i = 0; i < 2; i++) {
        uint64_t z = *state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        u[i] = ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
    }
    return sqrt(-2 * log(u[0])) * cos(6.283185307179586 * u[1]);
}

int mv_road_fill(mv_road *r, float *out, const float *planes, const bool *removed, double noise, uint64_t seed)
{
    size_t pixels = (size_t)r->h * (size_t)r->w;
    int worst = 0;
    set_weights(r, removed);
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
            r->x[(i / (size_t)r->w + 1) * r->wide + i % (size_t)r->w + 1] = removed[i] ? start : (double)in[i];
        int took = left ? solve(r) : 0;
        worst = took > worst ? took : worst;
        for (size_t i = 0; i < pixels; i++)
            to[i] = removed[i] ? (float)(r->x[(i / (size_t)r->w + 1) * r->wide + i % (size_t)r->w + 1] +
                                         (noise > 0 ? noise * normal(&seed) : 0))
                               : in[i];
    }
    return worst;
}
