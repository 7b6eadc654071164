#include "src/explain/blur.h"

#include <math.h>
#include <stdlib.h>

enum { RADIUS = 15, TAPS = 2 * RADIUS + 1 };
#define DEVIATION 5.0

/* One line of n values, `step` apart. */
static void blur_line(double *out, const double *in, int n, size_t step, const double tap[TAPS])
{
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int k = -RADIUS; k <= RADIUS; k++) {
            int at = i + k < 0 ? 0 : i + k >= n ? n - 1 : i + k;
            sum += tap[k + RADIUS] * in[(size_t)at * step];
        }
        out[(size_t)i * step] = sum;
    }
}

mv_status mv_blur(float *out, const float *planes, int h, int w, mv_error *e)
{
    size_t pixels = (size_t)h * (size_t)w;
    double tap[TAPS], sum = 0, *a = malloc(2 * pixels * sizeof *a), *b = a ? a + pixels : NULL;
    if (!a)
        return mv_fail_memory(e, "blur");
    for (int k = 0; k < TAPS; k++)
        sum += tap[k] = exp(-(k - RADIUS) * (k - RADIUS) / (2 * DEVIATION * DEVIATION));
    for (int k = 0; k < TAPS; k++)
        tap[k] /= sum;
    for (int c = 0; c < 3; c++) {
        for (size_t i = 0; i < pixels; i++)
            a[i] = (double)planes[(size_t)c * pixels + i];
        for (int x = 0; x < w; x++)
            blur_line(b + x, a + x, h, (size_t)w, tap);
        for (int y = 0; y < h; y++)
            blur_line(a + (size_t)y * (size_t)w, b + (size_t)y * (size_t)w, w, 1, tap);
        for (size_t i = 0; i < pixels; i++)
            out[(size_t)c * pixels + i] = (float)a[i];
    }
    free(a);
    return MV_OK;
}
