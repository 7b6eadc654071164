#include "src/model/checkpoint.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/text.h"
#include "src/file/mapping.h"
#include "src/file/safetensors.h"

struct mv_checkpoint {
    mv_source source;
    mv_safetensors *file;
    mv_config config;
    mv_labels labels;
    char prefix[64]; /* of tensor names */
    char name[80];
};

/* ---- tensors */

static bool lookup(const mv_checkpoint *c, const char *name, mv_tensor *out)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", c->prefix, name);
    return mv_safetensors_lookup(c->file, full, out);
}

static mv_status read_tensor(mv_source *source, const char *name, int nd, const int *dim, float *out, bool *found,
                             mv_error *e)
{
    mv_checkpoint *c = (mv_checkpoint *)source;
    mv_tensor t, want = {.nd = nd};
    char have[64], expected[64], full[256];
    memcpy(want.dim, dim, (size_t)nd * sizeof *dim);
    snprintf(full, sizeof full, "%s%s", c->prefix, name);
    *found = mv_safetensors_lookup(c->file, full, &t);
    if (!*found) {
        for (int i = 0; i < mv_safetensors_count(c->file); i++) /* it may be there, of a type that cannot be read */
            if (strcmp(mv_safetensors_name_at(c->file, i), full) == 0)
                return mv_safetensors_find(c->file, full, &t, e);
        return MV_OK;
    }
    if (!mv_tensor_same_shape(t, want))
        return mv_fail(e, MV_EINPUT, "%s: tensor %s is %s, expected %s", source->place, full,
                       mv_shape_text(have, t.nd, t.dim), mv_shape_text(expected, nd, dim));
    if (t.type != MV_F32 && t.type != MV_F16 && t.type != MV_BF16 && t.type != MV_F64)
        return mv_fail(e, MV_EINPUT, "%s: tensor %s is of type %s, expected F32, F16 or BF16", source->place, full,
                       mv_dtype_name(t.type));
    mv_safetensors_read(out, t);
    mv_safetensors_forget(c->file, t);
    return MV_OK;
}

/* Finds what precedes the network's own names: "model." in Hugging Face's files. */
static mv_status find_prefix(mv_checkpoint *c, mv_error *e)
{
    static const char first[] = "patch_embed.conv_down.0.weight";
    for (int i = 0; i < mv_safetensors_count(c->file); i++) {
        const char *name = mv_safetensors_name_at(c->file, i);
        size_t n = strlen(name), k = sizeof first - 1;
        if (n < k || strcmp(name + n - k, first) || (n > k && name[n - k - 1] != '.'))
            continue;
        if (n - k >= sizeof c->prefix)
            return mv_fail(e, MV_EINPUT, "%s: tensor %s has a prefix of %zu letters, expected at most %zu",
                           c->source.place, name, n - k, sizeof c->prefix - 1);
        memcpy(c->prefix, name, n - k);
        return MV_OK;
    }
    return mv_fail(e, MV_EINPUT, "%s: is no MambaVision checkpoint: lacks tensor %s among %d tensors", c->source.place,
                   first, mv_safetensors_count(c->file));
}

/* ---- the config */

static int first_dim(const mv_checkpoint *c, const char *name)
{
    mv_tensor t;
    return lookup(c, name, &t) && t.nd > 0 ? t.dim[0] : 0;
}

static void infer_from_shapes(mv_checkpoint *c, unsigned has)
{
    mv_config *k = &c->config;
    char name[96];
    mv_tensor t;
    if (!(has & MV_HAS_DIM))
        k->dim = first_dim(c, "patch_embed.conv_down.3.weight");
    if (!(has & MV_HAS_IN_DIM))
        k->in_dim = first_dim(c, "patch_embed.conv_down.0.weight");
    if (!(has & MV_HAS_CLASSES))
        k->classes = first_dim(c, "head.weight");
    for (int i = 0; i < MV_LEVELS && !(has & MV_HAS_DEPTHS); i++)
        for (k->depth[i] = 0; k->depth[i] < 512; k->depth[i]++) {
            snprintf(name, sizeof name, "levels.%d.blocks.%d.norm1.weight", i, k->depth[i]);
            if (!lookup(c, name, &t))
                break;
        }
    if (!(has & MV_HAS_GAMMA))
        k->gamma = lookup(c, "levels.2.blocks.0.gamma_1", &t) || lookup(c, "levels.3.blocks.0.gamma_1", &t);
    if ((lookup(c, "levels.2.blocks.0.mlp.fc1.weight", &t) || lookup(c, "levels.3.blocks.0.mlp.fc1.weight", &t)) &&
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

/* Takes heads, windows, input size and crop from the published variant of the same sizes. */
static mv_status infer_from_table(mv_checkpoint *c, unsigned has, mv_error *e)
{
    mv_config *k = &c->config;
    const mv_config *row = NULL, *v;
    bool certain = false, ambiguous = false;
    size_t longest = 0;
    char names[96] = "";
    for (int i = 0; (v = mv_config_at(i)); i++) {
        if (!same_sizes(v, k) || ((has & MV_HAS_WINDOWS) && memcmp(v->window + 2, k->window + 2, 2 * sizeof(int))))
            continue;
        bool named = path_names(c->source.place, v->name);
        if (named && strlen(v->name) > longest) {
            row = v;
            certain = true;
            longest = strlen(v->name);
        } else if (!row)
            row = v;
        else if (memcmp(row->window, v->window, sizeof v->window))
            ambiguous = true;
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "", v->name);
    }
    bool complete = (has & MV_HAS_HEADS) && (has & MV_HAS_WINDOWS);
    if (!row && !complete)
        return mv_fail(e, MV_EINPUT,
                       "%s: no published variant has dim %d, in_dim %d, depths %d %d %d %d: its %s cannot be inferred; "
                       "expected a config.json beside it",
                       c->source.place, k->dim, k->in_dim, k->depth[0], k->depth[1], k->depth[2], k->depth[3],
                       has & MV_HAS_HEADS     ? "window_size"
                       : has & MV_HAS_WINDOWS ? "num_heads"
                                              : "num_heads and window_size");
    if (row && !complete && ambiguous && !certain && !(has & MV_HAS_SIZE))
        return mv_fail(
            e, MV_EINPUT,
            "%s: fits %s, which differ in windows; expected a config.json beside it, or its variant in the file's name",
            c->source.place, names);
    if (row && !complete && ambiguous && !certain)
        for (int i = 0; (v = mv_config_at(i)); i++) /* the config's resolution decides */
            if (same_sizes(v, k) && v->preprocess.h == k->preprocess.h)
                row = v;
    if (row) {
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
            k->preprocess.crop_pct = row->preprocess.crop_pct, k->preprocess.mode = row->preprocess.mode;
    } else if (!(has & MV_HAS_SIZE)) /* the size at which level 2 is a single window */
        k->preprocess.h = k->preprocess.w = 16 * k->window[2] < MV_SIZE_MIN ? MV_SIZE_MIN : 16 * k->window[2];
    return MV_OK;
}

/* Reads config.json in the folder of `path`, if there is one. */
static mv_status parse_beside(mv_checkpoint *c, const char *path, unsigned *has, mv_error *e)
{
    char place[4096];
    struct stat st;
    int n = snprintf(place, sizeof place, "%.*sconfig.json", (int)(mv_text_base_name(path) - path), path);
    if (n < 0 || (size_t)n >= sizeof place || stat(place, &st))
        return MV_OK;
    if (st.st_size > 64 << 20)
        return mv_fail(e, MV_EINPUT, "%s: found %lld bytes, expected a config of at most 64 MB", place,
                       (long long)st.st_size);
    mv_mapping map;
    mv_status s = mv_mapping_open(&map, place, e);
    if (s)
        return s;
    s = mv_config_parse(&c->config, &c->labels, has, (const char *)map.bytes, map.size, place, e);
    mv_mapping_close(&map);
    return s;
}

static mv_status find_config(mv_checkpoint *c, const char *path, mv_error *e)
{
    unsigned has = 0;
    char place[600];
    const char *own = mv_safetensors_metadata(c->file, "config");
    c->config = (mv_config){
        .mlp_ratio = 4,
        .preprocess = {
            .crop_pct = 1, .mode = MV_CROP_CENTER, .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}}};
    infer_from_shapes(c, 0); /* these stay where the config has no key */
    mv_status s = MV_OK;
    if (own) {
        snprintf(place, sizeof place, "%s: metadata \"config\"", c->source.place);
        s = mv_config_parse(&c->config, &c->labels, &has, own, strlen(own), place, e);
    } else if (path)
        s = parse_beside(c, path, &has, e);
    if (!s)
        s = infer_from_table(c, has, e);
    return s ? s : mv_config_check(&c->config, c->source.place, e);
}

/* "nano", of "models/nano.safetensors" and of "nano/model.safetensors". */
static void model_name(char *out, size_t size, const char *path)
{
    const char *base = mv_text_base_name(path);
    if (strcmp(base, "model.safetensors") == 0 && base > path + 1) { /* the folder's name, unless it is "." or ".." */
        const char *end = base - 1, *folder = end;
        while (folder > path && folder[-1] != '/')
            folder--;
        if (folder < end && (*folder != '.' || end - folder > 2)) {
            snprintf(out, size, "%.*s", (int)(end - folder), folder);
            return;
        }
    }
    const char *dot = strchr(base, '.');
    snprintf(out, size, "%.*s", (int)(dot && dot > base ? dot - base : (ptrdiff_t)strlen(base)), base);
}

static mv_checkpoint *checkpoint_with(mv_safetensors *file, const char *path, mv_error *e)
{
    mv_checkpoint *c = file ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        if (file)
            mv_fail_memory(e, mv_safetensors_file(file));
        mv_safetensors_close(file);
        return NULL;
    }
    c->file = file;
    c->source = (mv_source){.read = read_tensor, .place = mv_safetensors_file(file)};
    if (find_prefix(c, e) || find_config(c, path, e)) {
        mv_checkpoint_close(c);
        return NULL;
    }
    if (*c->config.name)
        snprintf(c->name, sizeof c->name, "%s", c->config.name);
    else
        model_name(c->name, sizeof c->name, c->source.place);
    return c;
}

mv_checkpoint *mv_checkpoint_open(const char *path, mv_error *e)
{
    char inside[4096];
    struct stat st;
    if (stat(path, &st)) {
        mv_fail_errno(e, path, "cannot be opened");
        return NULL;
    }
    if (S_ISDIR(st.st_mode)) {
        if ((size_t)snprintf(inside, sizeof inside, "%s%smodel.safetensors", path,
                             path[strlen(path) - 1] == '/' ? "" : "/") >= sizeof inside) {
            mv_fail(e, MV_EINPUT, "%.60s...: found a path of %zu letters, expected at most %zu", path, strlen(path),
                    sizeof inside - 24);
            return NULL;
        }
        if (stat(inside, &st)) {
            mv_fail(e, MV_EINPUT,
                    "%s: found a folder without model.safetensors, expected one as Hugging Face lays it out", path);
            return NULL;
        }
        path = inside;
    }
    return checkpoint_with(mv_safetensors_open(path, e), path, e);
}

mv_checkpoint *mv_checkpoint_of(const void *bytes, size_t size, const char *name, mv_error *e)
{
    return checkpoint_with(mv_safetensors_of(bytes, size, name, e), NULL, e);
}

void mv_checkpoint_close(mv_checkpoint *c)
{
    if (!c)
        return;
    mv_safetensors_close(c->file);
    mv_labels_free(&c->labels);
    free(c);
}

const mv_config *mv_checkpoint_config(const mv_checkpoint *c)
{
    return &c->config;
}

const mv_labels *mv_checkpoint_labels(const mv_checkpoint *c)
{
    return &c->labels;
}

mv_source *mv_checkpoint_source(mv_checkpoint *c)
{
    return &c->source;
}

const char *mv_checkpoint_name(const mv_checkpoint *c)
{
    return c->name;
}

void mv_checkpoint_sha256(const mv_checkpoint *c, char hex[65])
{
    mv_safetensors_sha256(c->file, hex);
}
