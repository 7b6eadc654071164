#include "src/model/config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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
enum { VARIANTS = sizeof variants / sizeof *variants, PUBLISHED_NAME = sizeof variants->name + 4 };

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

/* The authors' repositories are named after the classes, too: T-1K, L3-512-21K. */
static const char *published_name(const mv_config *c, char text[PUBLISHED_NAME])
{
    snprintf(text, PUBLISHED_NAME, "%.47s%s", c->name, mv_text_ends_in(c->name, "21K") ? "" : "-1K");
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

/* Behind a word that may precede a variant's name, and a hyphen or underscore after it; else `name`. */
static const char *behind(const char *name, const char *word)
{
    size_t n = strlen(word);
    return strncasecmp(name, word, n) == 0 && (name[n] == '-' || name[n] == '_') ? name + n + 1 : name;
}

bool mv_config_lookup(const char *name, mv_config *out)
{
    static const char owner[] = MV_CONFIG_OWNER "/";
    char published[PUBLISHED_NAME];
    if (strncasecmp(name, owner, sizeof owner - 1) == 0)
        name += sizeof owner - 1;
    name = behind(behind(name, "mambavision"), "mamba_vision");
    for (int i = 0; i < VARIANTS; i++)
        if (same_name(name, variants[i].name) || same_name(name, published_name(&variants[i], published))) {
            *out = variants[i];
            return true;
        }
    return false;
}

const char *mv_config_repository(const mv_config *c, char text[MV_CONFIG_REPOSITORY])
{
    char published[PUBLISHED_NAME];
    snprintf(text, MV_CONFIG_REPOSITORY, MV_CONFIG_OWNER "/MambaVision-%s", published_name(c, published));
    return text;
}

bool mv_config_attends(int depth, int j)
{
    return j >= (depth + 1) / 2;
}

mv_status mv_config_bound(const mv_config *c, const char *place, mv_error *e)
{
    const struct {
        const char *name;
        int n, most;
    } number[] = {
        {"dim", c->dim, MV_DIM_MAX}, {"in_dim", c->in_dim, MV_DIM_MAX}, {"classes", c->classes, MV_CLASSES_MAX}};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (number[i].n < 0 || number[i].n > number[i].most)
            return mv_fail(e, MV_EINPUT, "%s: found %s %d, expected at most %d", place, number[i].name, number[i].n,
                           number[i].most);
    for (int i = 0; i < MV_LEVELS; i++) {
        const int n[] = {c->depth[i], c->heads[i], c->window[i]}, most[] = {MV_DEPTH_MAX, MV_DIM_MAX, MV_WINDOW_MAX};
        static const char *const what[] = {"blocks", "heads", "pixels a side of its windows"};
        for (int k = 0; k < 3; k++)
            if (n[k] < 0 || n[k] > most[k])
                return mv_fail(e, MV_EINPUT, "%s: level %d has %d %s, expected at most %d", place, i, n[k], what[k],
                               most[k]);
    }
    if (!(c->mlp_ratio > 0 && c->mlp_ratio <= MV_MLP_RATIO_MAX))
        return mv_fail(e, MV_EINPUT, "%s: found mlp_ratio %g, expected above 0, at most %d", place, c->mlp_ratio,
                       MV_MLP_RATIO_MAX);
    return MV_OK;
}

mv_status mv_config_check(const mv_config *c, const char *place, mv_error *e)
{
    mv_status s = mv_config_bound(c, place, e);
    if (s)
        return s;
    if (c->dim < 1 || c->in_dim < 1)
        return mv_fail(e, MV_EINPUT, "%s: found dim %d, in_dim %d, expected at least 1", place, c->dim, c->in_dim);
    if ((double)c->dim * 8 * c->mlp_ratio > 1e6 || (int)(c->dim * 4 * c->mlp_ratio) < 1)
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
