#include "src/model/infer_impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/text.h"
#include "src/file/json.h"
#include "src/file/kind.h"
#include "src/file/mapping.h"

static bool shape_of(const mv_shapes *from, const char *name, mv_tensor *out)
{
    return from->lookup(from->context, name, out);
}

static int first_dim(const mv_shapes *from, const char *name)
{
    mv_tensor t;
    return shape_of(from, name, &t) && t.nd > 0 ? t.dim[0] : 0;
}

static void infer_from_shapes(mv_config *k, const mv_shapes *from)
{
    char name[96];
    mv_tensor t;
    k->dim = first_dim(from, "patch_embed.conv_down.3.weight");
    k->in_dim = first_dim(from, "patch_embed.conv_down.0.weight");
    for (int i = 0; i < MV_LEVELS; i++)
        for (k->depth[i] = 0; k->depth[i] < MV_DEPTH_MAX; k->depth[i]++) {
            snprintf(name, sizeof name, "levels.%d.blocks.%d.norm1.weight", i, k->depth[i]);
            if (!shape_of(from, name, &t))
                break;
        }
    k->gamma = shape_of(from, "levels.2.blocks.0.gamma_1", &t) || shape_of(from, "levels.3.blocks.0.gamma_1", &t);
    k->conv_gamma = shape_of(from, "levels.0.blocks.0.gamma", &t) || shape_of(from, "levels.1.blocks.0.gamma", &t);
    if ((shape_of(from, "levels.2.blocks.0.mlp.fc1.weight", &t) ||
         shape_of(from, "levels.3.blocks.0.mlp.fc1.weight", &t)) &&
        t.nd == 2 && t.dim[1] > 0)
        k->mlp_ratio = (double)t.dim[0] / t.dim[1];
}

static bool same_sizes(const mv_config *a, const mv_config *b)
{
    return a->dim == b->dim && a->in_dim == b->in_dim && memcmp(a->depth, b->depth, sizeof a->depth) == 0 &&
           a->gamma == b->gamma;
}

/* True if `path` contains the name of a variant: "mambavision_L2_512_21k.safetensors" that of L2-512-21K. */
static bool path_names(const char *path, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = path; *p; p++) {
        if (p > path && isalnum((unsigned char)p[-1]))
            continue;
        size_t i = 0;
        while (i < n && p[i] && (toupper((unsigned char)p[i]) == name[i] || (name[i] == '-' && p[i] == '_')))
            i++;
        if (i == n && !isalnum((unsigned char)p[n]))
            return true;
    }
    return false;
}

/* The published variants of the same sizes, and of the same windows if those are known. */
typedef struct {
    const mv_config *row; /* the one that the path names, else the first; NULL: none */
    bool named;           /* by the path */
    bool ambiguous;       /* they differ in windows */
    char names[96];
} fitting;

static fitting find_fitting(const mv_config *k, unsigned has, const char *place)
{
    fitting f = {0};
    const mv_config *v;
    size_t longest = 0;
    for (int i = 0; (v = mv_config_at(i)); i++) {
        if (!same_sizes(v, k) || ((has & MV_HAS_WINDOWS) && memcmp(v->window + 2, k->window + 2, 2 * sizeof(int))))
            continue;
        bool named = path_names(place, v->name);
        if (named && strlen(v->name) > longest) {
            f.row = v;
            f.named = true;
            longest = strlen(v->name);
        } else if (!f.row)
            f.row = v;
        else if (memcmp(f.row->window, v->window, sizeof v->window))
            f.ambiguous = true;
        snprintf(f.names + strlen(f.names), sizeof f.names - strlen(f.names), "%s%s", *f.names ? ", " : "", v->name);
    }
    return f;
}

static void take_over(mv_config *k, unsigned has, const mv_config *row)
{
    bool heads_fit = !(has & MV_HAS_HEADS) || memcmp(row->heads + 2, k->heads + 2, 2 * sizeof(int)) == 0;
    if (heads_fit)
        memcpy(k->name, row->name, sizeof k->name);
    if (!(has & MV_HAS_HEADS))
        memcpy(k->heads, row->heads, sizeof k->heads);
    if (!(has & MV_HAS_WINDOWS))
        memcpy(k->window, row->window, sizeof k->window);
    if (!(has & MV_HAS_SIZE))
        k->preprocess.h = row->preprocess.h, k->preprocess.w = row->preprocess.w;
    if (!(has & MV_HAS_CROP))
        k->preprocess.crop_pct = row->preprocess.crop_pct;
    if (!(has & (MV_HAS_CROP | MV_HAS_MODE)))
        k->preprocess.mode = row->preprocess.mode;
}

/* Takes heads, windows, input size and crop from the published variant of the same sizes. */
static mv_status infer_from_table(mv_config *k, unsigned has, const char *place, mv_error *e)
{
    fitting f = find_fitting(k, has, place);
    bool complete = (has & MV_HAS_HEADS) && (has & MV_HAS_WINDOWS),
         undecided = f.row && !complete && f.ambiguous && !f.named;
    if (!f.row && !complete)
        return mv_fail(e, MV_EINPUT,
                       "%s: no published variant has dim %d, in_dim %d, depths %d %d %d %d: its %s cannot be inferred; "
                       "expected a config.json beside it that has a value",
                       place, k->dim, k->in_dim, k->depth[0], k->depth[1], k->depth[2], k->depth[3],
                       has & MV_HAS_HEADS     ? "window_size"
                       : has & MV_HAS_WINDOWS ? "num_heads"
                                              : "num_heads and window_size");
    if (undecided && !(has & MV_HAS_SIZE))
        return mv_fail(
            e, MV_EINPUT,
            "%s: fits %s, which differ in windows; expected a config.json beside it, or its variant in the file's name",
            place, f.names);
    const mv_config *v;
    for (int i = 0; undecided && (v = mv_config_at(i)); i++) /* the config's resolution decides */
        if (same_sizes(v, k) && v->preprocess.h == k->preprocess.h)
            f.row = v;
    if (f.row)
        take_over(k, has, f.row);
    else if (!(has & MV_HAS_SIZE)) /* the size at which level 2 is a single window */
        k->preprocess.h = k->preprocess.w = 16 * k->window[2] < MV_SIZE_MIN ? MV_SIZE_MIN : 16 * k->window[2];
    return MV_OK;
}

/* Reads file NAME in the folder of `path`. `map->bytes` is NULL if there is none. */
static mv_status read_beside(mv_mapping *map, char place[4096], const char *path, const char *name, mv_error *e)
{
    struct stat st;
    *map = (mv_mapping){0};
    int n = snprintf(place, 4096, "%.*s%s", (int)(mv_text_base_name(path) - path), path, name);
    if (n < 0 || n >= 4096)
        return MV_OK;
    if (stat(place, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG
                   ? MV_OK
                   : mv_fail_errno(e, place, "cannot be examined");
    if (st.st_size == 0) /* bytes that are none would be no config */
        return mv_kind_refuse(e, place, "", 0, MV_KIND_AS_CHECKPOINT, "JSON");
    return mv_mapping_load(map, place, MV_JSON_LARGEST, e);
}

/* Reads config.json, then preprocessor_config.json, in the folder of `path`, if they are there. */
static mv_status parse_beside(mv_config *c, mv_labels *labels, const char *path, unsigned *has, mv_warnings *warnings,
                              mv_error *e)
{
    char place[4096], config[4096];
    mv_mapping map;
    mv_status s = read_beside(&map, config, path, "config.json", e);
    if (!s && map.bytes)
        s = mv_config_parse(c, labels, has, (const char *)map.bytes, map.size, config, warnings, e);
    mv_mapping_close(&map);
    if (!s)
        s = read_beside(&map, place, path, "preprocessor_config.json", e);
    if (!s && map.bytes)
        s = mv_config_parse_processor(c, has, (const char *)map.bytes, map.size, place, config, warnings, e);
    mv_mapping_close(&map);
    return s;
}

mv_status mv_infer_config(mv_config *c, mv_labels *labels, const mv_shapes *from, mv_warnings *warnings, mv_error *e)
{
    unsigned has = 0;
    char place[600];
    *c = (mv_config){
        .mlp_ratio = 4,
        .preprocess = {
            .crop_pct = 1, .mode = MV_CROP_CENTER, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}}};
    infer_from_shapes(c, from); /* these stay where the config has no key */
    mv_status s = mv_config_bound(c, from->place, e);
    if (!s)
        s = mv_infer_head(c, from, warnings, e);
    if (!s)
        s = mv_config_bound(c, from->place, e);
    if (!s && from->config) {
        snprintf(place, sizeof place, "%s: metadata \"config\"", from->place);
        s = mv_config_parse(c, labels, &has, from->config, strlen(from->config), place, warnings, e);
    } else if (!s && from->path)
        s = parse_beside(c, labels, from->path, &has, warnings, e);
    if (!s)
        s = infer_from_table(c, has, from->place, e);
    return s ? s : mv_config_check(c, from->place, e);
}
