/* What configs say about pre-processing, key by key. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/text.h"
#include "src/model/json_impl.h"

/* A wrong value: an error or a warning, and it is not read. */
static mv_status wrong(const mv_json *r, bool strict, const char *key, const char *expected)
{
    if (strict)
        return mv_json_bad(r, key, expected);
    mv_warn(r->warnings, "%s: \"%s\" is not %s, and is not read", r->place, key, expected);
    return MV_OK;
}

/* N, [H, W] or timm's [3, H, W] */
static mv_status read_size(mv_stated *s, const mv_json *r, const char *key, bool strict)
{
    const json_t *v = mv_json_get(r, key);
    json_int_t h, w;
    size_t n = json_array_size(v);
    if (!v)
        return MV_OK;
    if (mv_json_whole(v, &h))
        w = h;
    else if ((n != 2 && n != 3) || !mv_json_whole(json_array_get(v, n - 2), &h) ||
             !mv_json_whole(json_array_get(v, n - 1), &w))
        return wrong(r, strict, key, "a whole number or a list [height, width]");
    if (h < MV_SIZE_MIN || w < MV_SIZE_MIN || h > MV_SIZE_MAX || w > MV_SIZE_MAX) {
        char range[48];
        snprintf(range, sizeof range, "from %d to %d pixels", MV_SIZE_MIN, MV_SIZE_MAX);
        return wrong(r, strict, key, range);
    }
    s->p.h = (int)h, s->p.w = (int)w;
    s->has |= MV_HAS_SIZE;
    return MV_OK;
}

static mv_status read_crop(mv_stated *s, const mv_json *r, bool strict)
{
    const json_t *v = mv_json_get(r, "crop_pct");
    mv_status status = MV_OK;
    if (v) {
        double share = json_number_value(v);
        if (!json_is_number(v) || !(share >= 0.1 && share <= 1))
            status = wrong(r, strict, "crop_pct", "a number from 0.1 to 1");
        else {
            s->p.crop_pct = share;
            s->has |= MV_HAS_CROP;
        }
    }
    if (!status && (v = mv_json_get(r, "crop_mode"))) {
        if (!json_is_string(v) || !mv_crop_mode_of(json_string_value(v), &s->p.mode))
            status = wrong(r, strict, "crop_mode", "\"center\", \"squash\" or \"border\"");
        else
            s->has |= MV_HAS_MODE;
    }
    return status;
}

/* Other filters than these two have names in Pillow, and may be what somebody trained with. */
static void read_filter(mv_stated *s, const mv_json *r)
{
    const json_t *v = mv_json_get(r, "interpolation");
    if (!v)
        return;
    if (json_is_string(v) && mv_interpolation_of(json_string_value(v), &s->p.filter))
        s->has |= MV_HAS_FILTER;
    else
        mv_warn(r->warnings,
                "%s: \"interpolation\" is %.40s, expected bicubic or bilinear; pictures are resized bicubic", r->place,
                json_is_string(v) ? json_string_value(v) : "no text");
}

static mv_status read_channels(mv_stated *s, const mv_json *r, bool strict, const char *key, bool positive,
                               float out[3], unsigned bit)
{
    const json_t *v = mv_json_get(r, key);
    double d[3];
    if (!v)
        return MV_OK;
    bool good = mv_json_numbers(v, 3, d);
    for (int i = 0; good && i < 3; i++)
        good = d[i] >= (positive ? 1e-6 : 0) && d[i] <= 1000;
    if (!good)
        return wrong(r, strict, key, positive ? "a list of 3 positive numbers" : "a list of 3 numbers from 0 to 1000");
    for (int i = 0; i < 3; i++)
        out[i] = (float)d[i];
    s->has |= bit;
    return MV_OK;
}

mv_status mv_stated_read(mv_stated *out, const mv_json *r, bool strict)
{
    *out = (mv_stated){.p = {.mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}}};
    mv_status s = read_size(out, r, strict ? "resolution" : "input_size", strict);
    if (!s && strict && !(out->has & MV_HAS_SIZE))
        s = read_size(out, r, "input_size", strict);
    if (!s)
        s = read_crop(out, r, strict);
    read_filter(out, r);
    if (!s)
        s = read_channels(out, r, strict, "mean", false, out->p.mean, MV_HAS_MEAN);
    if (!s)
        s = read_channels(out, r, strict, "std", true, out->p.std, MV_HAS_STD);
    return s ? s : mv_stated_scale(out, r);
}

mv_status mv_stated_scale(mv_stated *s, const mv_json *r)
{
    float *mean = s->p.mean, *std = s->p.std;
    int large_means = 0, large_stds = 0, zeros = 0;
    for (int i = 0; i < 3; i++) {
        large_means += mean[i] > 1;
        large_stds += std[i] > 2;
        zeros += mean[i] == 0;
    }
    if (!large_means && !large_stds)
        return MV_OK;
    if ((!large_means && zeros < 3) || large_stds < 3 || mean[0] > 255 || mean[1] > 255 || mean[2] > 255)
        return mv_fail(r->e, MV_EINPUT,
                       "%s: mean %g %g %g and std %g %g %g are neither of pixels from 0 to 1 nor of pixels from 0 to "
                       "255; expected shares of 1",
                       r->place, (double)mean[0], (double)mean[1], (double)mean[2], (double)std[0], (double)std[1],
                       (double)std[2]);
    mv_warn(r->warnings, "%s: mean and std are of pixels from 0 to 255; they are divided by 255", r->place);
    for (int i = 0; i < 3; i++) {
        mean[i] /= 255;
        std[i] /= 255;
    }
    return MV_OK;
}

void mv_stated_apply(mv_preprocess *a, const mv_stated *later)
{
    const mv_preprocess *b = &later->p;
    if (later->has & MV_HAS_SIZE)
        a->h = b->h, a->w = b->w;
    if (later->has & MV_HAS_CROP)
        a->crop_pct = b->crop_pct;
    if (later->has & MV_HAS_MODE)
        a->mode = b->mode;
    if (later->has & MV_HAS_FILTER)
        a->filter = b->filter;
    if (later->has & MV_HAS_MEAN)
        memcpy(a->mean, b->mean, sizeof a->mean);
    if (later->has & MV_HAS_STD)
        memcpy(a->std, b->std, sizeof a->std);
}

static bool same(const float *a, const float *b)
{
    for (int i = 0; i < 3; i++)
        if (fabsf(a[i] - b[i]) > 1e-4f)
            return false;
    return true;
}

void mv_stated_join(mv_stated *into, const mv_stated *later, const char *place, const char *later_place,
                    mv_warnings *warnings)
{
    char keys[96] = "";
    mv_preprocess *a = &into->p;
    const mv_preprocess *b = &later->p;
    const struct {
        unsigned bit;
        const char *key;
        bool equal;
    } members[] = {{MV_HAS_SIZE, "size", a->h == b->h && a->w == b->w},
                   {MV_HAS_CROP, "crop_pct", fabs(a->crop_pct - b->crop_pct) < 1e-3},
                   {MV_HAS_MODE, "crop_mode", a->mode == b->mode},
                   {MV_HAS_FILTER, "interpolation", a->filter == b->filter},
                   {MV_HAS_MEAN, "mean", same(a->mean, b->mean)},
                   {MV_HAS_STD, "std", same(a->std, b->std)}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (into->has & later->has & members[i].bit && !members[i].equal)
            snprintf(keys + strlen(keys), sizeof keys - strlen(keys), "%s%s", *keys ? ", " : "", members[i].key);
    if (*keys)
        mv_warn(warnings, "%s: has other values of %s than %s; they are used", mv_text_base_name(later_place), keys,
                mv_text_base_name(place));
    mv_stated_apply(a, later);
    into->has |= later->has;
}
