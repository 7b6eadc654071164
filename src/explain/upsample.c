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

static place *places_new(int cells, int pixels)
{
    place *p = malloc((size_t)pixels * sizeof *p);
    for (int i = 0; p && i < pixels; i++) {
        double t = ((double)i + 0.5) * (double)cells / (double)pixels - 0.5;
        t = fmin(fmax(t, 0), (double)(cells - 1));
        int at = (int)t < cells - 2 ? (int)t : cells > 1 ? cells - 2 : 0;
        p[i] = (place){at, at + 1 < cells ? at + 1 : at, (float)(t - (double)at)};
    }
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
