#include "src/picture/preprocess.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/picture/resample.h"

static const char *const mode_names[] = {"center", "squash", "border"};

static const char *const filter_names[] = {"bicubic", "bilinear"};

enum { MODES = sizeof mode_names / sizeof *mode_names, FILTERS = sizeof filter_names / sizeof *filter_names };

/* The index of a name; -1 where it is none of them. */
static int index_of(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

bool mv_crop_mode_of(const char *name, mv_crop_mode *out)
{
    int i = index_of(name, mode_names, MODES);
    if (i >= 0)
        *out = (mv_crop_mode)i;
    return i >= 0;
}

bool mv_interpolation_of(const char *name, mv_resample_filter *out)
{
    int i = index_of(name, filter_names, FILTERS);
    if (i >= 0)
        *out = (mv_resample_filter)i;
    return i >= 0;
}

const char *mv_interpolation_name(mv_resample_filter filter)
{
    return filter_names[filter];
}

const char *mv_crop_mode_name(mv_crop_mode mode)
{
    return mode_names[mode];
}

static mv_status check(const mv_preprocess *pp, mv_error *e)
{
    if (pp->h < 1 || pp->w < 1 || pp->h > MV_PREPROCESS_MAX_SIDE || pp->w > MV_PREPROCESS_MAX_SIDE)
        return mv_fail(e, MV_EINPUT, "pre-processing: found size %dx%d, expected sides from 1 to %d", pp->h, pp->w,
                       MV_PREPROCESS_MAX_SIDE);
    if (!(pp->crop_pct >= 0.01 && pp->crop_pct <= 4))
        return mv_fail(e, MV_EINPUT, "pre-processing: found crop share %g, expected 0.01 to 4", pp->crop_pct);
    if ((unsigned)pp->mode >= MODES)
        return mv_fail(e, MV_EINPUT, "pre-processing: found crop mode %d, expected center, squash or border",
                       (int)pp->mode);
    if ((unsigned)pp->filter >= FILTERS)
        return mv_fail(e, MV_EINPUT, "pre-processing: found interpolation %d, expected bicubic or bilinear",
                       (int)pp->filter);
    for (int c = 0; c < 3; c++)
        if (!isfinite(pp->mean[c]) || !isfinite(pp->std[c]) || pp->std[c] <= 0)
            return mv_fail(
                e, MV_EINPUT,
                "pre-processing: found mean %g and deviation %g for channel %d, expected numbers, the second above 0",
                (double)pp->mean[c], (double)pp->std[c], c);
    return MV_OK;
}

/* ---- geometry */

/* The size of the resized picture, and the crop's corner in it (negative: in the padding). */
typedef struct {
    int64_t w, h, left, top;
} placement;

static int64_t at_least_one(double x)
{
    return x < 1 ? 1 : (int64_t)x;
}

/* The larger half of a padding is at the right and below; a crop's offset is rounded half to even, as in Python. */
static int64_t crop_origin(int64_t scaled, int crop)
{
    return scaled < crop ? -((crop - scaled) / 2) : (int64_t)nearbyint((double)(scaled - crop) / 2);
}

static placement place(const mv_preprocess *pp, int in_w, int in_h)
{
    int64_t sw = at_least_one(floor(pp->w / pp->crop_pct)), sh = at_least_one(floor(pp->h / pp->crop_pct));
    placement p;
    if (pp->mode == MV_CROP_SQUASH) {
        p.w = sw;
        p.h = sh;
    } else if (pp->mode == MV_CROP_CENTER && sw == sh) {
        /* torchvision: the shorter side becomes S, the longer int(S * long / short) */
        p.w = in_w <= in_h ? sw : sw * in_w / in_h;
        p.h = in_w <= in_h ? sh * in_h / in_w : sh;
    } else {
        /* timm's ResizeKeepRatio */
        double rw = (double)in_w / (double)sw, rh = (double)in_h / (double)sh;
        double ratio = pp->mode == MV_CROP_BORDER ? fmax(rw, rh) : fmin(rw, rh);
        p.w = at_least_one(nearbyint(in_w / ratio));
        p.h = at_least_one(nearbyint(in_h / ratio));
    }
    p.left = crop_origin(p.w, pp->w);
    p.top = crop_origin(p.h, pp->h);
    return p;
}

/* The part of one side that is not padding: pixels [at, at + n) of the crop show the scaled pixels from `first` on. */
static void visible(int64_t scaled, int64_t origin, int crop, int64_t *first, int *at, int *n)
{
    *at = origin < 0 ? (int)-origin : 0;
    *first = origin < 0 ? 0 : origin;
    int64_t rest = scaled - *first;
    *n = rest < crop - *at ? (int)rest : crop - *at;
}

bool mv_preprocess_area(const mv_preprocess *pp, int in_w, int in_h, double area[4])
{
    placement p = place(pp, in_w, in_h);
    double x = (double)in_w / (double)p.w, y = (double)in_h / (double)p.h;
    int64_t left, top;
    int at, w, h;
    visible(p.w, p.left, pp->w, &left, &at, &w);
    visible(p.h, p.top, pp->h, &top, &at, &h);
    area[0] = (double)left * x;
    area[1] = (double)top * y;
    area[2] = w * x;
    area[3] = h * y;
    return w < p.w || h < p.h;
}

void mv_preprocess_frame(const mv_preprocess *pp, int in_w, int in_h, double frame[4])
{
    placement p = place(pp, in_w, in_h);
    double x = (double)in_w / (double)p.w, y = (double)in_h / (double)p.h;
    frame[0] = (double)p.left * x;
    frame[1] = (double)p.top * y;
    frame[2] = pp->w * x;
    frame[3] = pp->h * y;
}

/* ---- crop and normalise */

mv_status mv_preprocess_crop(const mv_preprocess *pp, const mv_image *in, mv_image *out, mv_error *e)
{
    *out = (mv_image){0};
    if (in->w < 1 || in->h < 1 || !in->rgb)
        return mv_fail(e, MV_EMISUSE, "pre-processing: found an empty image");
    mv_status s = check(pp, e);
    if (s != MV_OK)
        return s;

    placement p = place(pp, in->w, in->h);
    mv_resample_area area = {.scaled_w = p.w, .scaled_h = p.h};
    int x, y;
    visible(p.w, p.left, pp->w, &area.left, &x, &area.w);
    visible(p.h, p.top, pp->h, &area.top, &y, &area.h);

    s = mv_image_new(out, pp->w, pp->h, e);
    if (s != MV_OK)
        return s;
    size_t row = (size_t)pp->w * 3;
    if (area.w < pp->w || area.h < pp->h) {
        uint8_t fill[3];
        for (int c = 0; c < 3; c++)
            fill[c] = (uint8_t)fmin(fmax(nearbyint(255 * (double)pp->mean[c]), 0), 255);
        for (size_t i = 0; i < row * (size_t)pp->h; i++)
            out->rgb[i] = fill[i % 3];
    }
    s = mv_resample(in, pp->filter, &area, out->rgb + (size_t)y * row + (size_t)x * 3, row, e);
    if (s != MV_OK)
        mv_image_free(out);
    return s;
}

void mv_preprocess_table(const mv_preprocess *pp, float table[3 * 256])
{
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++) {
            float x = (float)v / 255.0F;
            x = x - pp->mean[c];
            table[256 * c + v] = x / pp->std[c];
        }
}

void mv_preprocess_normalise(const mv_preprocess *pp, const mv_image *crop, float *chw)
{
    float table[3 * 256]; /* exact, and without a division per pixel */
    mv_preprocess_table(pp, table);
    size_t n = (size_t)crop->h * (size_t)crop->w;
    float *r = chw, *g = chw + n, *b = chw + 2 * n;
    for (size_t i = 0; i < n; i++) {
        r[i] = table[crop->rgb[3 * i]];
        g[i] = table[256 + crop->rgb[3 * i + 1]];
        b[i] = table[512 + crop->rgb[3 * i + 2]];
    }
}
