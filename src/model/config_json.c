/* A config.json: the sizes of a network, its classes, and how its input is made. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/model/json_impl.h"

/* Reads a whole number in [lo, hi] under `key`; *found is false if the key is absent. */
static mv_status integer(const mv_json *r, const char *key, int lo, int hi, int *out, bool *found)
{
    const json_t *v = mv_json_get(r, key);
    json_int_t n;
    *found = v != NULL;
    if (!v)
        return MV_OK;
    if (!mv_json_whole(v, &n) || n < lo || n > hi)
        return mv_fail(r->e, MV_EINPUT, "%s: \"%s\" is not a whole number from %d to %d", r->place, key, lo, hi);
    *out = (int)n;
    return MV_OK;
}

static mv_status integers(const mv_json *r, const char *key, int lo, int hi, int out[MV_LEVELS], bool *found)
{
    const json_t *v = mv_json_get(r, key);
    *found = v != NULL;
    if (!v)
        return MV_OK;
    if (!json_is_array(v) || json_array_size(v) != MV_LEVELS)
        return mv_json_bad(r, key, "a list of 4 whole numbers");
    for (size_t i = 0; i < MV_LEVELS; i++) {
        json_int_t n;
        if (!mv_json_whole(json_array_get(v, i), &n) || n < lo || n > hi)
            return mv_fail(r->e, MV_EINPUT, "%s: \"%s\"[%zu] is not a whole number from %d to %d", r->place, key, i, lo,
                           hi);
        out[i] = (int)n;
    }
    return MV_OK;
}

/* true, false, null, or gamma's starting value in training. Whether the network has gammas is seen from its tensors;
 * *says receives what the config says. */
static mv_status scale(const mv_json *r, const char *key, bool *found, bool *says)
{
    const json_t *v = json_object_get(r->root, key);
    *found = v != NULL;
    if (v && !json_is_boolean(v) && !json_is_number(v) && !json_is_null(v))
        return mv_json_bad(r, key, "true, false, a number or null");
    *says = json_is_true(v) || (json_is_number(v) && json_number_value(v) != 0);
    return MV_OK;
}

static mv_status scales(const mv_json *r, mv_config *c)
{
    const struct {
        const char *key, *tensor;
        bool *has;
    } both[] = {{"layer_scale", "gamma_1", &c->gamma}, {"layer_scale_conv", "gamma", &c->conv_gamma}};
    for (int i = 0; i < 2; i++) {
        bool found, says = false;
        mv_status s = scale(r, both[i].key, &found, &says);
        if (s)
            return s;
        if (found && !says && *both[i].has)
            mv_warn(r->warnings, "%s: \"%s\" says that there is none, but the blocks have tensors %s, which are used",
                    r->place, both[i].key, both[i].tensor);
        *both[i].has |= says; /* then a tensor that is missing is told by its name */
    }
    return MV_OK;
}

static mv_status numbers(const mv_json *r, mv_config *c)
{
    const json_t *v = mv_json_get(r, "mlp_ratio");
    if (v && (!json_is_number(v) || json_number_value(v) <= 0 || json_number_value(v) > MV_MLP_RATIO_MAX))
        return mv_json_bad(r, "mlp_ratio", "a number above 0, at most 64");
    if (v)
        c->mlp_ratio = json_number_value(v);
    return scales(r, c);
}

/* The head has as many classes as its weights; a config of another network says so here. If it names its classes too,
 * those say it. */
static void classes(const mv_json *r, const mv_config *c)
{
    json_int_t n;
    const json_t *v = mv_json_get(r, "num_classes");
    if (v && !mv_json_whole(v, &n))
        mv_warn(r->warnings, "%s: \"num_classes\" is not a whole number, and is not read", r->place);
    else if (v && n != c->classes && c->classes && (size_t)n != json_object_size(mv_json_get(r, "id2label")))
        mv_warn(r->warnings, "%s: \"num_classes\" is %lld, but the head has %d, which counts", r->place, (long long)n,
                c->classes);
}

/* timm's validation may use another size and share than training did. They are told, as options. */
static void warn_of_test_keys(const mv_json *timm, const mv_preprocess *p)
{
    const json_t *size = mv_json_get(timm, "test_input_size"), *share = mv_json_get(timm, "test_crop_pct");
    json_int_t h, w;
    double d = json_number_value(share);
    if (mv_json_whole(json_array_get(size, 1), &h) && mv_json_whole(json_array_get(size, 2), &w) && h > 0 && w > 0 &&
        (h != p->h || w != p->w))
        mv_warn(timm->warnings, "%s: \"test_input_size\" is %lldx%lld, for which there is --size %lldx%lld",
                timm->place, (long long)h, (long long)w, (long long)h, (long long)w);
    if (json_is_number(share) && fabs(d - p->crop_pct) > 1e-6)
        mv_warn(timm->warnings, "%s: \"test_crop_pct\" is %g, for which there is --crop-pct %g", timm->place, d, d);
}

/* Pre-processing: the config's own keys, then those of timm's pretrained_cfg. */
static mv_status preprocessing(const mv_json *r, mv_config *c, unsigned *has)
{
    mv_stated all, timm;
    char place[640];
    mv_status s = mv_stated_read(&all, r, true);
    const json_t *nested = mv_json_get(r, "pretrained_cfg");
    if (!s && json_is_object(nested)) {
        snprintf(place, sizeof place, "%s: pretrained_cfg", r->place);
        const mv_json inner = {nested, place, r->warnings, r->e};
        s = mv_stated_read(&timm, &inner, false);
        if (!s)
            mv_stated_join(&all, &timm, r->place, place, r->warnings);
        mv_preprocess now = c->preprocess;
        mv_stated_apply(&now, &all);
        warn_of_test_keys(&inner, &now);
    }
    if (s)
        return s;
    mv_stated_apply(&c->preprocess, &all);
    *has |= all.has;
    return MV_OK;
}

mv_status mv_config_parse(mv_config *c, mv_labels *labels, unsigned *has, const char *json, size_t size,
                          const char *place, mv_warnings *warnings, mv_error *e)
{
    json_t *root = mv_json_load(json, size, place, warnings, e);
    if (!root)
        return e->code;
    const mv_json r = {root, place, warnings, e};
    mv_status s = MV_OK;
    bool found = false;
    unsigned seen = 0;
#define FIELD(call, bit)                                                                                               \
    if (!s && !(s = (call)) && found)                                                                                  \
    seen |= (bit)
    FIELD(integer(&r, "dim", 1, MV_DIM_MAX, &c->dim, &found), 0);
    FIELD(integer(&r, "in_dim", 1, MV_DIM_MAX, &c->in_dim, &found), 0);
    FIELD(integers(&r, "depths", 0, MV_DEPTH_MAX, c->depth, &found), 0);
    FIELD(integers(&r, "num_heads", 1, MV_DIM_MAX, c->heads, &found), MV_HAS_HEADS);
    FIELD(integers(&r, "window_size", 1, MV_WINDOW_MAX, c->window, &found), MV_HAS_WINDOWS);
#undef FIELD
    if (!s)
        s = numbers(&r, c);
    if (!s)
        classes(&r, c);
    if (!s)
        s = preprocessing(&r, c, &seen);
    if (!s)
        s = mv_labels_read(labels, c->classes, &r);
    json_decref(root);
    *has = seen;
    return s;
}
