/* A preprocessor_config.json, as image processors of Hugging Face's transformers write it. */
#include <math.h>
#include <string.h>

#include "src/model/json_impl.h"

/* A size: N, {"height": H, "width": W} or {"shortest_edge": N}. */
typedef struct {
    int h, w, edge; /* 0: not given */
} extent;

static int pixels(const json_t *v)
{
    json_int_t n;
    return mv_json_whole(v, &n) && n >= 1 && n <= MV_SIZE_MAX ? (int)n : 0;
}

static bool read_extent(const mv_json *r, const char *key, extent *out)
{
    const json_t *v = mv_json_get(r, key);
    *out = (extent){0};
    if (!v)
        return false;
    if (json_is_object(v)) {
        out->h = pixels(json_object_get(v, "height"));
        out->w = pixels(json_object_get(v, "width"));
        out->edge = pixels(json_object_get(v, "shortest_edge"));
    } else if (json_array_size(v) == 2) {
        out->h = pixels(json_array_get(v, 0));
        out->w = pixels(json_array_get(v, 1));
    } else
        out->h = out->w = pixels(v);
    if ((out->h && out->w) || out->edge)
        return true;
    mv_warn(r->warnings, "%s: \"%s\" is no size in pixels (N, height and width, or shortest_edge), and is not read",
            r->place, key);
    return false;
}

static bool flag(const mv_json *r, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(r->root, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

/* True for processors whose size, if it is one number, is the shorter side: those of CLIP and ConvNeXT. Others squash.
 */
static bool number_is_edge(const mv_json *r)
{
    const char *type = json_string_value(json_object_get(r->root, "image_processor_type"));
    if (!type)
        type = json_string_value(json_object_get(r->root, "feature_extractor_type"));
    if (!type)
        return flag(r, "do_center_crop", false) || mv_json_get(r, "crop_pct");
    return strstr(type, "CLIP") || strstr(type, "ConvNext") || strstr(type, "BiT") || strstr(type, "Bit") ||
           strstr(type, "Levit") || strstr(type, "PoolFormer");
}

/* The share for which floor(crop / share) is the side that the picture is resized to. */
static double share_of(int crop, int side)
{
    double share = (double)crop / side;
    while ((int)floor(crop / share) < side)
        share = nextafter(share, 0);
    return share;
}

static void place_crop(mv_stated *s, const mv_json *r, int h, int w, double share, mv_crop_mode mode)
{
    if (h < MV_SIZE_MIN || w < MV_SIZE_MIN || share < 0.01 || share > 4) {
        mv_warn(r->warnings,
                "%s: asks for a crop of %dx%d, %g of the resized picture, which is not possible; its size is "
                "not read",
                r->place, h, w, share);
        return;
    }
    if (share > 1)
        mv_warn(r->warnings, "%s: the crop is larger than the resized picture; the rest is filled with the mean colour",
                r->place);
    s->p.h = h, s->p.w = w, s->p.crop_pct = share, s->p.mode = mode;
    s->has |= MV_HAS_SIZE | MV_HAS_CROP | MV_HAS_MODE;
}

/* ConvNeXT's rule: up to 384 px the shorter side becomes size / crop_pct and the centre is cut out; from there on the
 * picture is squashed. */
static void place_share(mv_stated *s, const mv_json *r, int edge, double share)
{
    if (edge >= 384)
        place_crop(s, r, edge, edge, 1, MV_CROP_SQUASH);
    else
        place_crop(s, r, edge, edge, share_of(edge, (int)(edge / share)), MV_CROP_CENTER);
}

static void place(mv_stated *s, const mv_json *r)
{
    extent size, crop;
    bool sized = read_extent(r, "size", &size), crops = flag(r, "do_center_crop", false);
    if (crops && !read_extent(r, "crop_size", &crop))
        crop = size.edge ? (extent){size.edge, size.edge, 0} : size;
    double share = json_number_value(mv_json_get(r, "crop_pct"));
    if (!flag(r, "do_resize", true)) {
        mv_warn(r->warnings, "%s: \"do_resize\" is false, but pictures of any size are resized; its size is not read",
                r->place);
        return;
    }
    if (!sized)
        return;
    if (!size.edge && size.h == size.w && !json_is_object(mv_json_get(r, "size")) && number_is_edge(r))
        size.edge = size.h;
    if (size.edge && share >= 0.1 && share <= 1)
        place_share(s, r, size.edge, share);
    else if (!crops && size.edge)
        mv_warn(r->warnings, "%s: resizes the shorter side to %d without a crop; the size is not read", r->place,
                size.edge);
    else if (!crops)
        place_crop(s, r, size.h, size.w, 1, MV_CROP_SQUASH);
    else if (crop.edge || (size.edge && crop.h != crop.w) ||
             (!size.edge && (int64_t)crop.h * size.w != (int64_t)crop.w * size.h))
        mv_warn(r->warnings, "%s: its crop has other proportions than what it is cut from; size and crop are not read",
                r->place);
    else if (size.edge)
        place_crop(s, r, crop.h, crop.w, share_of(crop.h, size.edge), MV_CROP_CENTER);
    else
        place_crop(s, r, crop.h, crop.w, share_of(crop.h, size.h), MV_CROP_SQUASH);
}

/* resample: a number of Pillow. */
static void read_filter(mv_stated *s, const mv_json *r)
{
    static const char *const names[] = {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};
    const json_t *v = mv_json_get(r, "resample");
    json_int_t n;
    if (!v)
        return;
    if (!mv_json_whole(v, &n) || n < 0 || n > 5)
        mv_warn(r->warnings, "%s: \"resample\" is not a whole number from 0 to 5, and is not read", r->place);
    else if (!mv_interpolation_of(names[n], &s->p.filter))
        mv_warn(r->warnings, "%s: \"resample\" is %d (%s), expected 2 (bilinear) or 3 (bicubic); it is not read",
                r->place, (int)n, names[n]);
    else
        s->has |= MV_HAS_FILTER;
}

static bool read_channels(const mv_json *r, const char *key, double lo, double out[3])
{
    const json_t *v = mv_json_get(r, key);
    double d[3];
    if (!v)
        return false;
    if (!mv_json_numbers(v, 3, d) || !(d[0] >= lo && d[1] >= lo && d[2] >= lo) || !(d[0] + d[1] + d[2] < 3e3)) {
        mv_warn(r->warnings, "%s: \"%s\" is no list of 3 %s numbers, and is not read", r->place, key,
                lo > 0 ? "positive" : "non-negative");
        return false;
    }
    memcpy(out, d, sizeof d);
    return true;
}

/* Its input is (x f - mean) / std of bytes x, ours (x / 255 - m) / s: so m = mean / (255 f) and s = std / (255 f). */
static mv_status read_scale(mv_stated *s, const mv_json *r)
{
    const json_t *v = mv_json_get(r, "rescale_factor");
    double factor = json_is_number(v) ? json_number_value(v) : 1.0 / 255;
    double mean[3] = {0, 0, 0}, std[3] = {1, 1, 1};
    if (!flag(r, "do_rescale", true))
        factor = 1;
    if (!(factor > 1e-9 && factor < 1e9)) {
        mv_warn(r->warnings, "%s: \"rescale_factor\" is %g, which is not possible; 1/255 is used", r->place, factor);
        factor = 1.0 / 255;
    }
    bool normalises = flag(r, "do_normalize", true), has_mean = false, has_std = false;
    if (normalises) {
        has_mean = read_channels(r, "image_mean", 0, mean);
        has_std = read_channels(r, "image_std", 1e-6, std);
    }
    bool usual = fabs(factor * 255 - 1) < 1e-6;
    double by = usual ? 1 : 255 * factor; /* an exact 1, so that what is usual stays as it is written */
    for (int i = 0; i < 3; i++) {
        if (has_mean || !normalises)
            s->p.mean[i] = (float)(mean[i] / by);
        if (has_std || !normalises)
            s->p.std[i] = (float)(std[i] / by);
    }
    if (has_mean || !normalises)
        s->has |= MV_HAS_MEAN;
    if (has_std || !normalises)
        s->has |= MV_HAS_STD;
    if (!usual && normalises && !(has_mean && has_std))
        mv_warn(r->warnings, "%s: pixels are multiplied by %g, but image_mean or image_std is missing", r->place,
                factor);
    return usual && normalises && (has_mean || has_std) ? mv_stated_scale(s, r) : MV_OK;
}

/* What our pipeline never does. */
static void warn_of_more(const mv_json *r)
{
    static const char *const never[] = {"do_pad", "do_flip_channel_order", "do_color_quantize", "rescale_offset"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (flag(r, never[i], false))
            mv_warn(r->warnings, "%s: \"%s\" is true, which is not done here", r->place, never[i]);
}

mv_status mv_config_parse_processor(mv_config *c, unsigned *has, const char *json, size_t size, const char *place_,
                                    const char *config_place, mv_warnings *warnings, mv_error *e)
{
    json_t *root = mv_json_load(json, size, place_, warnings, e);
    if (!root)
        return e->code;
    const mv_json r = {root, place_, warnings, e};
    mv_stated before = {*has, c->preprocess}, it = {.p = c->preprocess};
    place(&it, &r);
    read_filter(&it, &r);
    mv_status s = read_scale(&it, &r);
    warn_of_more(&r);
    if (!s) {
        mv_stated_join(&before, &it, config_place, place_, warnings);
        c->preprocess = before.p;
        *has |= it.has;
    }
    json_decref(root);
    return s;
}
