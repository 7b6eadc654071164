#include "src/explain/upsample.h"

#include <math.h>
#include <stdlib.h>

/* Where a pixel lies between two cells. */
typedef struct {
    int at, next;
    float share; /* of `next` */
} place;

struct mv_upsample {
    int a, b, h, w;
    place *row, *column;
    float *line; /* b values: two rows of cells, blended */
};

/* The two cells that pixel i lies between. Returns the share of the next one. */
static double place_of(int i, int pixels, int cells, int *at, int *next)
{
    double t = ((double)i + 0.5) * (double)cells / (double)pixels - 0.5;
    t = fmin(fmax(t, 0), (double)(cells - 1));
    *at = (int)t < cells - 2 ? (int)t : cells > 1 ? cells - 2 : 0;
    *next = *at + 1 < cells ? *at + 1 : *at;
    return t - (double)*at;
}

static place *places_new(int cells, int pixels)
{
    place *p = malloc((size_t)pixels * sizeof *p);
    for (int i = 0; p && i < pixels; i++)
        p[i].share = (float)place_of(i, pixels, cells, &p[i].at, &p[i].next);
    return p;
}

mv_upsample *mv_upsample_new(int a, int b, int h, int w, mv_error *e)
{
    mv_upsample *u = calloc(1, sizeof *u);
    if (u) {
        *u = (mv_upsample){a, b, h, w, places_new(a, h), places_new(b, w), malloc((size_t)b * sizeof *u->line)};
        if (u->row && u->column && u->line)
            return u;
    }
    mv_upsample_free(u);
    mv_fail_memory(e, "upsampling");
    return NULL;
}

void mv_upsample_free(mv_upsample *u)
{
    if (!u)
        return;
    free(u->row);
    free(u->column);
    free(u->line);
    free(u);
}

void mv_upsample_part(const mv_upsample *u, float *out, const float *from, int top, int left, int rows, int columns)
{
    for (int y = 0; y < rows; y++) {
        place r = u->row[top + y];
        const float *above = from + (size_t)r.at * (size_t)u->b, *below = from + (size_t)r.next * (size_t)u->b;
        for (int k = 0; k < u->b; k++)
            u->line[k] = above[k] * (1 - r.share) + below[k] * r.share;
        const place *c = u->column + left;
        for (int x = 0; x < columns; x++)
            *out++ = u->line[c[x].at] * (1 - c[x].share) + u->line[c[x].next] * c[x].share;
    }
}

void mv_upsample_run(const mv_upsample *u, float *out, const float *from)
{
    mv_upsample_part(u, out, from, 0, 0, u->h, u->w);
}

void mv_upsample_exact(double *out, int h, int w, const float *from, int a, int b)
{
    for (int y = 0; y < h; y++) {
        int y0, y1, x0, x1;
        double below = place_of(y, h, a, &y0, &y1);
        const float *upper = from + (size_t)y0 * (size_t)b, *lower = from + (size_t)y1 * (size_t)b;
        for (int x = 0; x < w; x++) {
            double beside = place_of(x, w, b, &x0, &x1),
                   left = (double)upper[x0] * (1 - below) + (double)lower[x0] * below,
                   right = (double)upper[x1] * (1 - below) + (double)lower[x1] * below;
            *out++ = left * (1 - beside) + right * beside;
        }
    }
}
