#include "src/model/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/name_set.h"
#include "src/base/text.h"
#include "src/file/tensors.h"
#include "src/model/choose.h"
#include "src/model/infer.h"

struct mv_checkpoint {
    mv_source source;
    mv_tensors *file;
    mv_config config;
    mv_labels labels;
    mv_name_set read;           /* whole names of the tensors that were read */
    char prefix[MV_PREFIX];     /* of tensor names */
    char name[256 + MV_PREFIX]; /* a file or folder, and a prefix: nothing is cut */
};

/* ---- tensors */

enum { FULL_NAME = MV_PREFIX + 128 };

/* The name in the file: after a '/', or with the prefix. */
static const char *full_name(char full[FULL_NAME], const mv_checkpoint *c, const char *name)
{
    if (*name == '/')
        snprintf(full, FULL_NAME, "%s", name + 1);
    else
        snprintf(full, FULL_NAME, "%s%s", c->prefix, name);
    return full;
}

static bool lookup(const void *checkpoint, const char *name, mv_tensor *out)
{
    const mv_checkpoint *c = checkpoint;
    char full[FULL_NAME];
    return mv_tensors_lookup(c->file, full_name(full, c, name), out);
}

static const char *name_at(const void *checkpoint, int i)
{
    const mv_tensors *file = ((const mv_checkpoint *)checkpoint)->file;
    return i < mv_tensors_count(file) ? mv_tensors_name_at(file, i) : NULL;
}

static mv_status check_tensor(mv_source *source, const char *name, int nd, const int *dim, mv_error *e)
{
    mv_checkpoint *c = (mv_checkpoint *)source;
    mv_tensor t, want = {.nd = nd};
    char have[64], expected[64], full[FULL_NAME];
    memcpy(want.dim, dim, (size_t)nd * sizeof *dim);
    if (!mv_tensors_has(c->file, full_name(full, c, name)))
        return MV_OK;
    mv_status s = mv_tensors_find(c->file, full, &t, e);
    if (s)
        return s;
    if (!mv_tensor_same_shape(t, want))
        return mv_fail(e, MV_EINPUT, "%s: tensor %s is %s, expected %s", source->place, full,
                       mv_shape_text(have, t.nd, t.dim), mv_shape_text(expected, nd, dim));
    if (t.type != MV_F32 && t.type != MV_F16 && t.type != MV_BF16 && t.type != MV_F64)
        return mv_fail(e, MV_EINPUT, "%s: tensor %s is of type %s, expected F32, F16 or BF16", source->place, full,
                       mv_dtype_name(t.type));
    return MV_OK;
}

static mv_status read_tensor(mv_source *source, const char *name, int nd, const int *dim, float *out, bool *found,
                             mv_error *e)
{
    mv_checkpoint *c = (mv_checkpoint *)source;
    char full[FULL_NAME];
    *found = mv_tensors_has(c->file, full_name(full, c, name));
    mv_status s = check_tensor(source, name, nd, dim, e);
    if (s || !*found)
        return s;
    s = mv_tensors_read(c->file, full, out, e);
    return s ? s : mv_name_set_add(&c->read, full, e);
}

/* ---- opening */

/* True for the names that every model of Hugging Face has: the folder says more. */
static bool is_usual(const char *base)
{
    static const char *const usual[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(base, usual[i]) == 0)
            return true;
    return false;
}

/* "nano", of "models/nano.safetensors" and of "nano/model.safetensors". */
static void model_name(char *out, size_t size, const char *path)
{
    const char *base = mv_text_base_name(path);
    if (is_usual(base) && base > path + 1) { /* the folder's name, unless it is "." or ".." */
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

/* The stem says the sizes: where it is missing or of another type, that is the cause of all that follows. */
static mv_status check_stem(const mv_checkpoint *c, mv_error *e)
{
    static const char *const stem[] = {"patch_embed.conv_down.0.weight", "patch_embed.conv_down.3.weight"};
    mv_status s = MV_OK;
    for (int i = 0; !s && i < 2; i++) {
        char full[FULL_NAME];
        mv_tensor t;
        s = mv_tensors_find(c->file, full_name(full, c, stem[i]), &t, e);
    }
    return s;
}

/* `beside`: configs are looked for beside the file. */
static mv_checkpoint *checkpoint_with(mv_tensors *file, const char *which, bool beside, mv_warnings *warnings,
                                      mv_error *e)
{
    mv_checkpoint *c = file ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        if (file)
            mv_fail_memory(e, mv_tensors_file(file));
        mv_tensors_close(file);
        return NULL;
    }
    const char *path = mv_tensors_file(file);
    c->file = file;
    c->source = (mv_source){.read = read_tensor, .check = check_tensor, .place = path};
    const mv_shapes shapes = {.lookup = lookup,
                              .name_at = name_at,
                              .context = c,
                              .prefix = c->prefix,
                              .place = path,
                              .path = beside ? path : NULL,
                              .config = mv_tensors_metadata(file, "config")};
    bool other = false;
    if (mv_choose_network(c->prefix, &other, file, which, warnings, e) || check_stem(c, e) ||
        mv_infer_config(&c->config, &c->labels, &shapes, warnings, e)) {
        mv_checkpoint_close(c);
        return NULL;
    }
    if (*c->config.name)
        snprintf(c->name, sizeof c->name, "%s", c->config.name);
    else
        model_name(c->name, sizeof c->name, path);
    if (other) { /* results must not be taken for those of the usual one */
        size_t n = strlen(c->name);
        snprintf(c->name + n, sizeof c->name - n, " (%.*s)", (int)strlen(c->prefix) - 1, c->prefix);
    }
    return c;
}

mv_checkpoint *mv_checkpoint_open(const char *path, const char *which, mv_warnings *warnings, mv_error *e)
{
    return checkpoint_with(mv_tensors_open(path, e), which, true, warnings, e);
}

mv_checkpoint *mv_checkpoint_of(const void *bytes, size_t size, const char *name, mv_error *e)
{
    return checkpoint_with(mv_tensors_of(bytes, size, name, e), NULL, false, NULL, e);
}

const char *mv_checkpoint_file(const mv_checkpoint *c, int i)
{
    return mv_tensors_file_at(c->file, i);
}

void mv_checkpoint_close(mv_checkpoint *c)
{
    if (!c)
        return;
    mv_tensors_close(c->file);
    mv_labels_free(&c->labels);
    mv_name_set_free(&c->read);
    free(c);
}

/* True for a tensor of another network in the file, which has been named as one. */
static bool is_of_another(const mv_checkpoint *c, const char *name)
{
    char full[FULL_NAME];
    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t n = (size_t)(dot - name) + 1;
        if (n >= MV_PREFIX || strncmp(c->prefix, name, n) == 0)
            continue;
        snprintf(full, sizeof full, "%.*s%s", (int)n, name, "patch_embed.conv_down.0.weight");
        if (mv_tensors_has(c->file, full))
            return true;
    }
    return false;
}

void mv_checkpoint_unread(mv_checkpoint *c, bool all, mv_warnings *warnings)
{
    const char *first = NULL;
    size_t scope = mv_choose_scope(c->prefix);
    int unread = 0, n = 0;
    for (int i = 0; i < mv_tensors_count(c->file); i++) {
        const char *name = mv_tensors_name_at(c->file, i);
        if (strncmp(name, c->prefix, scope) != 0 || is_of_another(c, name))
            continue;
        n++;
        if (mv_name_set_take(&c->read, name) || (!all && mv_text_ends_in(name, "num_batches_tracked")))
            continue;
        if (!unread++)
            first = name;
    }
    if (unread)
        mv_warn(warnings, "%s: %d of %d tensors %s %s", c->source.place, unread, n,
                unread == 1 ? "is not read:" : "are not read; the first is", first);
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

mv_status mv_checkpoint_sha256(const mv_checkpoint *c, char hex[65], mv_error *e)
{
    return mv_tensors_sha256(c->file, hex, e);
}
