#include "src/model/config.h"

#include <ctype.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"

/* Of every published variant; means and deviations are ImageNet's. */
#define COMMON .mlp_ratio = 4, .classes = 1000
#define PREPROCESS(size, pct, crop)                                                                                    \
    {                                                                                                                  \
        .h = size, .w = size, .crop_pct = pct, .mode = crop, .mean = {0.485f, 0.456f, 0.406f},                         \
        .std = {0.229f, 0.224f, 0.225f},                                                                               \
    }

/* clang-format off */
static const mv_config variants[] = {
    {.name = "T", .dim = 80, .in_dim = 32, .depth = {1, 3, 8, 4}, .heads = {2, 4, 8, 16},
     .window = {8, 8, 14, 7}, .preprocess = PREPROCESS(224, 1.0, MV_CROP_CENTER), COMMON},
    {.name = "T2", .dim = 80, .in_dim = 32, .depth = {1, 3, 11, 4}, .heads = {2, 4, 8, 16},
     .window = {8, 8, 14, 7}, .preprocess = PREPROCESS(224, 0.98, MV_CROP_CENTER), COMMON},
    {.name = "S", .dim = 96, .in_dim = 64, .depth = {3, 3, 7, 5}, .heads = {2, 4, 8, 16},
     .window = {8, 8, 14, 7}, .preprocess = PREPROCESS(224, 0.93, MV_CROP_CENTER), COMMON},
    {.name = "B", .dim = 128, .in_dim = 64, .depth = {3, 3, 10, 5}, .heads = {2, 4, 8, 16},
     .window = {8, 8, 14, 7}, .gamma = true, .preprocess = PREPROCESS(224, 1.0, MV_CROP_CENTER), COMMON},
    {.name = "B-21K", .dim = 128, .in_dim = 64, .depth = {3, 3, 10, 5}, .heads = {2, 4, 8, 16},
     .window = {8, 8, 14, 7}, .gamma = true, .preprocess = PREPROCESS(224, 1.0, MV_CROP_CENTER), COMMON},
    {.name = "L", .dim = 196, .in_dim = 64, .depth = {3, 3, 10, 5}, .heads = {4, 8, 16, 32},
     .window = {8, 8, 14, 7}, .gamma = true, .preprocess = PREPROCESS(224, 1.0, MV_CROP_CENTER), COMMON},
    {.name = "L-21K", .dim = 196, .in_dim = 64, .depth = {3, 3, 10, 5}, .heads = {4, 8, 16, 32},
     .window = {8, 8, 14, 7}, .gamma = true, .preprocess = PREPROCESS(224, 1.0, MV_CROP_CENTER), COMMON},
    {.name = "L2", .dim = 196, .in_dim = 64, .depth = {3, 3, 12, 5}, .heads = {4, 8, 16, 32},
     .window = {8, 8, 14, 7}, .gamma = true, .preprocess = PREPROCESS(224, 1.0, MV_CROP_CENTER), COMMON},
    {.name = "L2-512-21K", .dim = 196, .in_dim = 64, .depth = {3, 3, 12, 5}, .heads = {4, 8, 16, 32},
     .window = {8, 8, 32, 16}, .gamma = true, .preprocess = PREPROCESS(512, 0.93, MV_CROP_SQUASH), COMMON},
    {.name = "L3-256-21K", .dim = 256, .in_dim = 64, .depth = {3, 3, 20, 10}, .heads = {4, 8, 16, 32},
     .window = {8, 8, 16, 8}, .gamma = true, .preprocess = PREPROCESS(256, 1.0, MV_CROP_CENTER), COMMON},
    {.name = "L3-512-21K", .dim = 256, .in_dim = 64, .depth = {3, 3, 20, 10}, .heads = {4, 8, 16, 32},
     .window = {8, 8, 32, 16}, .gamma = true, .preprocess = PREPROCESS(512, 0.93, MV_CROP_SQUASH), COMMON},
};
/* clang-format on */
enum { VARIANTS = sizeof variants / sizeof *variants };

const mv_config *mv_config_at(int i)
{
    return i >= 0 && i < VARIANTS ? &variants[i] : NULL;
}

const char *mv_config_names(char text[MV_CONFIG_NAMES])
{
    *text = 0;
    for (int i = 0; i < VARIANTS; i++) {
        size_t n = strlen(text);
        snprintf(text + n, MV_CONFIG_NAMES - n, "%s%s",
                 i == 0             ? ""
                 : i < VARIANTS - 1 ? ", "
                                    : " and ",
                 variants[i].name);
    }
    return text;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        int x = *a == '_' ? '-' : toupper((unsigned char)*a), y = *b == '_' ? '-' : toupper((unsigned char)*b);
        if (x != y)
            return false;
    }
    return !*a && !*b;
}

bool mv_config_lookup(const char *name, mv_config *out)
{
    static const char prefix[] = "mambavision";
    if (strncasecmp(name, prefix, sizeof prefix - 1) == 0 &&
        (name[sizeof prefix - 1] == '-' || name[sizeof prefix - 1] == '_'))
        name += sizeof prefix;
    for (int i = 0; i < VARIANTS; i++)
        if (same_name(name, variants[i].name)) {
            *out = variants[i];
            return true;
        }
    return false;
}

bool mv_config_attends(int depth, int j)
{
    return j >= (depth + 1) / 2;
}

/* ---- JSON */

typedef struct {
    const json_t *root;
    const char *place;
    mv_error *e;
} reader;

static mv_status bad(const reader *r, const char *key, const char *expected)
{
    return mv_fail(r->e, MV_EINPUT, "%s: \"%s\" is not %s", r->place, key, expected);
}

/* Reads an integer in [lo, hi] under `key`; *found is false if the key is absent. */
static mv_status integer(const reader *r, const char *key, int lo, int hi, int *out, bool *found)
{
    const json_t *v = json_object_get(r->root, key);
    *found = v && !json_is_null(v);
    if (!*found)
        return MV_OK;
    if (!json_is_integer(v) || json_integer_value(v) < lo || json_integer_value(v) > hi)
        return mv_fail(r->e, MV_EINPUT, "%s: \"%s\" is not a whole number from %d to %d", r->place, key, lo, hi);
    *out = (int)json_integer_value(v);
    return MV_OK;
}

static mv_status integers(const reader *r, const char *key, int lo, int hi, int out[MV_LEVELS], bool *found)
{
    const json_t *v = json_object_get(r->root, key);
    *found = v && !json_is_null(v);
    if (!*found)
        return MV_OK;
    if (!json_is_array(v) || json_array_size(v) != MV_LEVELS)
        return bad(r, key, "a list of 4 whole numbers");
    for (size_t i = 0; i < MV_LEVELS; i++) {
        const json_t *n = json_array_get(v, i);
        if (!json_is_integer(n) || json_integer_value(n) < lo || json_integer_value(n) > hi)
            return mv_fail(r->e, MV_EINPUT, "%s: \"%s\"[%zu] is not a whole number from %d to %d", r->place, key, i, lo,
                           hi);
        out[i] = (int)json_integer_value(n);
    }
    return MV_OK;
}

static mv_status channels(const reader *r, const char *key, float lo, float out[3])
{
    const json_t *v = json_object_get(r->root, key);
    if (!v || json_is_null(v))
        return MV_OK;
    if (!json_is_array(v) || json_array_size(v) != 3)
        return bad(r, key, "a list of 3 numbers");
    for (size_t i = 0; i < 3; i++) {
        double d = json_number_value(json_array_get(v, i));
        if (!json_is_number(json_array_get(v, i)) || d < (double)lo || d > 1000)
            return bad(r, key, lo > 0 ? "a list of 3 positive numbers" : "a list of 3 numbers of the range 0 to 1000");
        out[i] = (float)d;
    }
    return MV_OK;
}

/* resolution: N, [H, W] or timm's [3, H, W] */
static mv_status resolution(const reader *r, mv_preprocess *p, bool *found)
{
    const json_t *v = json_object_get(r->root, "resolution");
    *found = v && !json_is_null(v);
    if (!*found)
        return MV_OK;
    json_int_t h, w;
    size_t n = json_array_size(v);
    if (json_is_integer(v))
        h = w = json_integer_value(v);
    else if (json_is_array(v) && (n == 2 || n == 3) && json_is_integer(json_array_get(v, n - 2)) &&
             json_is_integer(json_array_get(v, n - 1)))
        h = json_integer_value(json_array_get(v, n - 2)), w = json_integer_value(json_array_get(v, n - 1));
    else
        return bad(r, "resolution", "a whole number or a list [height, width]");
    if (h < MV_SIZE_MIN || w < MV_SIZE_MIN || h > MV_SIZE_MAX || w > MV_SIZE_MAX)
        return mv_fail(r->e, MV_EINPUT, "%s: \"resolution\" is not from %d to %d pixels", r->place, MV_SIZE_MIN,
                       MV_SIZE_MAX);
    p->h = (int)h;
    p->w = (int)w;
    return MV_OK;
}

static mv_status numbers(const reader *r, mv_config *c, unsigned *has)
{
    const json_t *v = json_object_get(r->root, "mlp_ratio");
    if (v && !json_is_null(v)) {
        if (!json_is_number(v) || json_number_value(v) <= 0 || json_number_value(v) > 64)
            return bad(r, "mlp_ratio", "a number above 0, at most 64");
        c->mlp_ratio = json_number_value(v);
    }
    if ((v = json_object_get(r->root, "layer_scale"))) {
        /* true, false, null, or gamma's starting value in training */
        if (!json_is_boolean(v) && !json_is_number(v) && !json_is_null(v))
            return bad(r, "layer_scale", "true, false, a number or null");
        c->gamma = json_is_true(v) || (json_is_number(v) && json_number_value(v) != 0);
        *has |= MV_HAS_GAMMA;
    }
    if ((v = json_object_get(r->root, "crop_pct")) && !json_is_null(v)) {
        if (!json_is_number(v) || json_number_value(v) < 0.1 || json_number_value(v) > 1)
            return bad(r, "crop_pct", "a number from 0.1 to 1");
        c->preprocess.crop_pct = json_number_value(v);
        *has |= MV_HAS_CROP;
    }
    if ((v = json_object_get(r->root, "crop_mode")) && !json_is_null(v)) {
        if (!json_is_string(v) || !mv_crop_mode_of(json_string_value(v), &c->preprocess.mode))
            return bad(r, "crop_mode", "\"center\", \"squash\" or \"border\"");
    }
    mv_status s = channels(r, "mean", 0, c->preprocess.mean);
    return s ? s : channels(r, "std", 1e-6f, c->preprocess.std);
}

/* The names are anybody's text, and are kept safe to print. They are under "id2label" ({"0": "tench", ...}) or
 * "classes" (a list), WordNet ids under "wnids" (a list). */
static mv_status labels_of(const reader *r, int classes, mv_labels *out)
{
    const json_t *map = json_object_get(r->root, "id2label"), *list = json_object_get(r->root, "classes");
    const json_t *wnids = json_object_get(r->root, "wnids");
    size_t n = json_is_object(map) ? json_object_size(map) : json_is_array(list) ? json_array_size(list) : 0;
    if (n == 0 || n != (size_t)classes) /* transformers writes 2 default labels for 1000 classes */
        return MV_OK;
    mv_labels l;
    mv_status s = mv_labels_new(&l, (int)n) ? MV_OK : mv_fail_memory(r->e, r->place);
    for (size_t i = 0; !s && i < n; i++) {
        char key[24];
        snprintf(key, sizeof key, "%zu", i);
        const char *name = json_string_value(json_is_object(map) ? json_object_get(map, key) : json_array_get(list, i));
        const char *wnid = json_array_size(wnids) == n ? json_string_value(json_array_get(wnids, i)) : NULL;
        if (!name)
            s = mv_fail(r->e, MV_EINPUT, "%s: \"%s\" has no name for class %zu", r->place,
                        json_is_object(map) ? "id2label" : "classes", i);
        else if (!(l.name[i] = mv_text_escape(name)) || (wnid && !(l.wnid[i] = mv_text_escape(wnid))))
            s = mv_fail_memory(r->e, r->place);
    }
    if (s) {
        mv_labels_free(&l);
        return s;
    }
    mv_labels_free(out);
    *out = l;
    return MV_OK;
}

mv_status mv_config_parse(mv_config *c, mv_labels *labels, unsigned *has, const char *json, size_t size,
                          const char *place, mv_error *e)
{
    json_error_t je;
    json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &je);
    if (!root) {
        if (json_error_code(&je) == json_error_out_of_memory)
            return mv_fail_memory(e, place);
        return mv_fail(e, MV_EINPUT, "%s: is no JSON: %s at byte %d", place, je.text, je.position);
    }
    reader r = {root, place, e};
    mv_status s =
        json_is_object(root) ? MV_OK : mv_fail(e, MV_EINPUT, "%s: found JSON that is no object, expected {...}", place);
    bool found = false;
    unsigned seen = 0;
#define FIELD(call, bit)                                                                                               \
    if (!s && !(s = (call)) && found)                                                                                  \
    seen |= (bit)
    FIELD(integer(&r, "dim", 1, 8192, &c->dim, &found), MV_HAS_DIM);
    FIELD(integer(&r, "in_dim", 1, 8192, &c->in_dim, &found), MV_HAS_IN_DIM);
    FIELD(integers(&r, "depths", 0, 512, c->depth, &found), MV_HAS_DEPTHS);
    FIELD(integers(&r, "num_heads", 1, 8192, c->heads, &found), MV_HAS_HEADS);
    FIELD(integers(&r, "window_size", 1, 512, c->window, &found), MV_HAS_WINDOWS);
    FIELD(integer(&r, "num_classes", 1, 1000000, &c->classes, &found), MV_HAS_CLASSES);
    FIELD(resolution(&r, &c->preprocess, &found), MV_HAS_SIZE);
#undef FIELD
    if (!s)
        s = numbers(&r, c, &seen);
    if (!s && !(seen & MV_HAS_CLASSES) && json_is_object(json_object_get(root, "id2label")))
        c->classes = (int)json_object_size(json_object_get(root, "id2label"));
    if (!s)
        s = labels_of(&r, c->classes, labels);
    json_decref(root);
    *has = seen;
    return s;
}

mv_status mv_config_check(const mv_config *c, const char *place, mv_error *e)
{
    if (c->dim < 1 || c->in_dim < 1 || c->classes < 1)
        return mv_fail(e, MV_EINPUT, "%s: found dim %d, in_dim %d, %d classes, expected at least 1 of each", place,
                       c->dim, c->in_dim, c->classes);
    if ((double)(c->dim * 8) * c->mlp_ratio > 1e6 || (int)(c->dim * 4 * c->mlp_ratio) < 1)
        return mv_fail(e, MV_EINPUT, "%s: mlp_ratio %g does not fit dim %d", place, c->mlp_ratio, c->dim);
    for (int i = 2; i < MV_LEVELS; i++) {
        int channels_here = c->dim << i;
        if (c->heads[i] < 1 || channels_here % c->heads[i])
            return mv_fail(e, MV_EINPUT, "%s: level %d has %d channels and %d heads, expected a divisor", place, i,
                           channels_here, c->heads[i]);
        if (c->window[i] < 1)
            return mv_fail(e, MV_EINPUT, "%s: level %d has a window of %d, expected at least 1", place, i,
                           c->window[i]);
    }
    int h = c->preprocess.h, w = c->preprocess.w;
    if (h < MV_SIZE_MIN || w < MV_SIZE_MIN || h > MV_SIZE_MAX || w > MV_SIZE_MAX)
        return mv_fail(e, MV_EINPUT, "%s: found an input of %dx%d, expected sides of %d to %d pixels", place, h, w,
                       MV_SIZE_MIN, MV_SIZE_MAX);
    return MV_OK;
}
