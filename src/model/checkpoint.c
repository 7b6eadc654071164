#include "src/model/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/name_set.h"
#include "src/base/text.h"
#include "src/file/safetensors.h"
#include "src/model/infer.h"

struct mv_checkpoint {
    mv_source source;
    mv_safetensors *file;
    mv_config config;
    mv_labels labels;
    mv_name_set read; /* whole names of the tensors that were read */
    char prefix[64];  /* of tensor names */
    char name[80];
};

/* ---- tensors */

/* The name in the file: after a '/', or with the prefix. */
static const char *full_name(char full[256], const mv_checkpoint *c, const char *name)
{
    if (*name == '/')
        snprintf(full, 256, "%s", name + 1);
    else
        snprintf(full, 256, "%s%s", c->prefix, name);
    return full;
}

static bool lookup(const void *checkpoint, const char *name, mv_tensor *out)
{
    const mv_checkpoint *c = checkpoint;
    char full[256];
    return mv_safetensors_lookup(c->file, full_name(full, c, name), out);
}

static const char *name_at(const void *checkpoint, int i)
{
    const mv_safetensors *file = ((const mv_checkpoint *)checkpoint)->file;
    return i < mv_safetensors_count(file) ? mv_safetensors_name_at(file, i) : NULL;
}

static mv_status read_tensor(mv_source *source, const char *name, int nd, const int *dim, float *out, bool *found,
                             mv_error *e)
{
    mv_checkpoint *c = (mv_checkpoint *)source;
    mv_tensor t, want = {.nd = nd};
    char have[64], expected[64], full[256];
    memcpy(want.dim, dim, (size_t)nd * sizeof *dim);
    full_name(full, c, name);
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
    return mv_name_set_add(&c->read, full, e);
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

/* ---- opening */

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

static mv_checkpoint *checkpoint_with(mv_safetensors *file, const char *path, mv_warnings *warnings, mv_error *e)
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
    const mv_shapes shapes = {.lookup = lookup,
                              .name_at = name_at,
                              .context = c,
                              .prefix = c->prefix,
                              .place = c->source.place,
                              .path = path,
                              .config = mv_safetensors_metadata(file, "config")};
    if (find_prefix(c, e) || mv_infer_config(&c->config, &c->labels, &shapes, warnings, e)) {
        mv_checkpoint_close(c);
        return NULL;
    }
    if (*c->config.name)
        snprintf(c->name, sizeof c->name, "%s", c->config.name);
    else
        model_name(c->name, sizeof c->name, c->source.place);
    return c;
}

mv_checkpoint *mv_checkpoint_open(const char *path, mv_warnings *warnings, mv_error *e)
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
    return checkpoint_with(mv_safetensors_open(path, e), path, warnings, e);
}

mv_checkpoint *mv_checkpoint_of(const void *bytes, size_t size, const char *name, mv_error *e)
{
    return checkpoint_with(mv_safetensors_of(bytes, size, name, e), NULL, NULL, e);
}

void mv_checkpoint_close(mv_checkpoint *c)
{
    if (!c)
        return;
    mv_safetensors_close(c->file);
    mv_labels_free(&c->labels);
    mv_name_set_free(&c->read);
    free(c);
}

void mv_checkpoint_unread(mv_checkpoint *c, bool all, mv_warnings *warnings)
{
    const char *first = NULL;
    int unread = 0, n = mv_safetensors_count(c->file);
    for (int i = 0; i < n; i++) {
        const char *name = mv_safetensors_name_at(c->file, i);
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

void mv_checkpoint_sha256(const mv_checkpoint *c, char hex[65])
{
    mv_safetensors_sha256(c->file, hex);
}
