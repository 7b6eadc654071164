/* Pictures at another size: a large picture is first averaged in whole boxes, then resampled by a separable bicubic
 * whose support grows with the reduction (Pillow's BICUBIC, in float). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "viz/draw/raster.h"

static mv_status new_image(mv_image *out, int w, int h, mv_error *e)
{
    *out = (mv_image){w, h, malloc((size_t)w * (size_t)h * 3)};
    return out->rgb ? MV_OK : mv_fail_memory(e, "drawing");
}

/* Averages boxes of n x n pixels; the remainder at the right and at the bottom is dropped. */
static mv_status shrink(mv_image *out, const mv_image *in, int n, mv_error *e)
{
    if (new_image(out, in->w / n, in->h / n, e) != MV_OK)
        return MV_ENOMEM;
    unsigned area = (unsigned)(n * n);
    for (int y = 0; y < out->h; y++)
        for (int x = 0; x < out->w; x++) {
            unsigned sum[3] = {area / 2, area / 2, area / 2};
            for (int v = 0; v < n; v++) {
                const uint8_t *p = in->rgb + ((size_t)(y * n + v) * (size_t)in->w + (size_t)(x * n)) * 3;
                for (int u = 0; u < n; u++, p += 3) {
                    sum[0] += p[0];
                    sum[1] += p[1];
                    sum[2] += p[2];
                }
            }
            for (int i = 0; i < 3; i++)
                out->rgb[((size_t)y * (size_t)out->w + (size_t)x) * 3 + (size_t)i] = (uint8_t)(sum[i] / area);
        }
    return MV_OK;
}

/* Keys' cubic, a = -1/2 */
static double cubic(double x)
{
    x = fabs(x);
    if (x < 1)
        return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/* For every output pixel: the first input pixel, and `taps` weights that sum to 1. */
typedef struct {
    int taps;
    int *first;
    float *weight;
} kernel;

static bool make_kernel(kernel *k, int in, int out)
{
    double scale = (double)in / out, spread = fmax(1, scale);
    k->taps = (int)ceil(4 * spread) + 1;
    k->taps = k->taps > in ? in : k->taps;
    k->first = malloc((size_t)out * sizeof *k->first);
    k->weight = malloc((size_t)out * (size_t)k->taps * sizeof *k->weight);
    if (!k->first || !k->weight)
        return false;
    for (int i = 0; i < out; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int first = (int)floor(centre - 2 * spread);
        first = first < 0 ? 0 : first > in - k->taps ? in - k->taps : first;
        float *w = k->weight + (size_t)i * (size_t)k->taps;
        for (int t = 0; t < k->taps; t++)
            sum += cubic((first + t + 0.5 - centre) / spread);
        for (int t = 0; t < k->taps; t++)
            w[t] = (float)(cubic((first + t + 0.5 - centre) / spread) / sum);
        k->first[i] = first;
    }
    return true;
}

static void free_kernel(kernel *k)
{
    free(k->first);
    free(k->weight);
}

static uint8_t byte_of(float v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5f);
}

/* Combines rows into `line`, then pixels along it. */
static void resample(mv_image *out, const mv_image *in, const kernel *kx, const kernel *ky, float *line)
{
    size_t row = (size_t)in->w * 3;
    for (int y = 0; y < out->h; y++) {
        memset(line, 0, row * sizeof *line);
        for (int t = 0; t < ky->taps; t++) {
            const uint8_t *p = in->rgb + (size_t)(ky->first[y] + t) * row;
            float w = ky->weight[(size_t)y * (size_t)ky->taps + (size_t)t];
            for (size_t i = 0; i < row; i++)
                line[i] += w * (float)p[i];
        }
        uint8_t *to = out->rgb + (size_t)y * (size_t)out->w * 3;
        for (int x = 0; x < out->w; x++, to += 3) {
            const float *p = line + (size_t)kx->first[x] * 3, *w = kx->weight + (size_t)x * (size_t)kx->taps;
            float r = 0, g = 0, b = 0;
            for (int t = 0; t < kx->taps; t++, p += 3) {
                r += w[t] * p[0];
                g += w[t] * p[1];
                b += w[t] * p[2];
            }
            to[0] = byte_of(r);
            to[1] = byte_of(g);
            to[2] = byte_of(b);
        }
    }
}

mv_status mv_raster_picture(mv_image *out, const mv_image *in, int w, int h, mv_error *e)
{
    mv_image small = {0, 0, NULL};
    int boxes = (int)fmin((double)in->w / w, (double)in->h / h) / 2;
    if (boxes >= 2) {
        if (shrink(&small, in, boxes, e) != MV_OK)
            return MV_ENOMEM;
        in = &small;
    }
    kernel kx = {0, NULL, NULL}, ky = {0, NULL, NULL};
    float *line = malloc((size_t)in->w * 3 * sizeof *line);
    mv_status s = new_image(out, w, h, e);
    if (s == MV_OK && (!line || !make_kernel(&kx, in->w, w) || !make_kernel(&ky, in->h, h)))
        s = mv_fail_memory(e, "drawing");
    if (s == MV_OK) {
        resample(out, in, &kx, &ky, line);
    } else {
        free(out->rgb);
        *out = (mv_image){0, 0, NULL};
    }
    free_kernel(&kx);
    free_kernel(&ky);
    free(line);
    free(small.rgb);
    return s;
}
