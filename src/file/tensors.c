#include "src/file/tensors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/text.h"
#include "src/file/digest_impl.h"
#include "src/file/kind.h"
#include "src/file/mapping.h"
#include "src/file/pth.h"
#include "src/file/safetensors.h"
#include "src/file/tensors_impl.h"

/* One file: of either kind. */
typedef struct {
    char *path;
    mv_mapping mapping; /* empty over borrowed bytes */
    const void *bytes;
    size_t size;
    mv_safetensors *st;
    mv_pth *pth;
} part;

typedef struct {
    const char *name; /* of the part or the index */
    int part, i;      /* its place in the part */
} entry;

struct mv_tensors {
    char *file;
    mv_shard_index index; /* empty where there is one file */
    int parts, n;
    part *part; /* by name */
    entry *entry;
};

static const char wanted[] = "a checkpoint: .safetensors, or what torch.save writes";

/* ---- one file */

static mv_status parse_part(part *p, mv_error *e)
{
    mv_kind kind = mv_kind_of(p->bytes, p->size);
    bool mapped = p->mapping.slot > 0;
    if (kind == MV_KIND_PYTORCH || kind == MV_KIND_ZIP) {
        p->pth = mv_pth_of(p->bytes, p->size, mapped, p->path, e);
        return p->pth ? MV_OK : e->code;
    }
    if (kind != MV_KIND_SAFETENSORS && kind != MV_KIND_UNKNOWN)
        return mv_kind_refuse(e, p->path, p->bytes, p->size, MV_KIND_AS_CHECKPOINT, wanted);
    p->st = mv_safetensors_of(p->bytes, p->size, p->path, e);
    return p->st ? MV_OK : e->code;
}

static mv_status open_part(part *p, mv_error *e)
{
    mv_error why = {0};
    parse_part(p, &why);
    return mv_mapping_finish(&p->mapping, p->path, &why, e);
}

static void close_part(part *p)
{
    mv_safetensors_close(p->st);
    mv_pth_close(p->pth);
    mv_mapping_close(&p->mapping);
    free(p->path);
}

static mv_status map_part(part *p, const char *path, mv_error *e)
{
    p->path = strdup(path);
    if (!p->path)
        return mv_fail_memory(e, path);
    mv_status s = mv_mapping_open(&p->mapping, path, e);
    p->bytes = p->mapping.bytes;
    p->size = p->mapping.size;
    return s;
}

static int count_of(const part *p)
{
    return p->st ? mv_safetensors_count(p->st) : mv_pth_count(p->pth);
}

static mv_status list_part(mv_tensors *t, mv_error *e)
{
    const part *p = t->part;
    t->entry = calloc((size_t)count_of(p) + 1, sizeof *t->entry);
    if (!t->entry)
        return mv_fail_memory(e, t->file);
    t->n = count_of(p);
    for (int i = 0; i < t->n; i++) /* in the order of the names */
        t->entry[i] = (entry){p->st ? mv_safetensors_name_at(p->st, i) : mv_pth_name_at(p->pth, i), 0, i};
    return MV_OK;
}

/* ---- shards */

static mv_status open_shard(mv_tensors *t, part *p, const char *name, mv_error *e)
{
    char path[PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof path, "%.*s%s", (int)(mv_text_base_name(t->file) - t->file), t->file, name);
    if (n < 0 || n >= PATH_MAX)
        return mv_fail(e, MV_EINPUT, "%.60s...: found a path of %d letters, expected at most %d", t->file, n,
                       PATH_MAX - 1);
    if (stat(path, &st) && errno == ENOENT)
        return mv_fail(e, MV_EINPUT, "%s: found no file %s beside the index, which names it: download that shard, too",
                       t->file, name);
    mv_status s = map_part(p, path, e);
    return s ? s : open_part(p, e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static int by_path(const void *name, const void *p)
{
    return strcmp(name, mv_text_base_name(((const part *)p)->path));
}

static mv_status lacks(const mv_tensors *t, const part *p, const char *name, mv_error *e)
{
    char *safe = mv_text_escape(name);
    mv_status s = safe ? mv_fail(e, MV_EINPUT, "%s: found no tensor '%.100s' in %s, expected it there by the index",
                                 t->file, safe, mv_text_base_name(p->path))
                       : mv_fail_memory(e, t->file);
    free(safe);
    return s;
}

static mv_status list_shards(mv_tensors *t, mv_error *e)
{
    const char *name;
    json_t *shard;
    t->entry = calloc(json_object_size(t->index.map), sizeof *t->entry);
    if (!t->entry)
        return mv_fail_memory(e, t->file);
    json_object_foreach(t->index.map, name, shard)
    {
        const part *p = bsearch(json_string_value(shard), t->part, (size_t)t->parts, sizeof *t->part, by_path);
        int i = p->st ? mv_safetensors_index(p->st, name) : mv_pth_index(p->pth, name);
        if (i < 0)
            return lacks(t, p, name, e);
        t->entry[t->n++] = (entry){name, (int)(p - t->part), i};
    }
    qsort(t->entry, (size_t)t->n, sizeof *t->entry, by_name);
    return MV_OK;
}

static mv_status open_shards(mv_tensors *t, mv_error *e)
{
    mv_status s = MV_OK;
    t->part = calloc((size_t)t->index.n, sizeof *t->part);
    if (!t->part)
        return mv_fail_memory(e, t->file);
    while (!s && t->parts < t->index.n) {
        int i = t->parts++;
        s = open_shard(t, &t->part[i], t->index.shard[i], e);
    }
    return s ? s : list_shards(t, e);
}

/* ---- opening */

static mv_status open_file(mv_tensors *t, const char *path, mv_error *e)
{
    part one = {0};
    mv_status s = map_part(&one, path, e);
    if (!s && mv_kind_of(one.bytes, one.size) == MV_KIND_INDEX) {
        mv_error why = {0};
        mv_shard_index_of(&t->index, one.bytes, one.size, path, &why);
        s = mv_mapping_finish(&one.mapping, path, &why, e);
        close_part(&one);
        return s ? s : open_shards(t, e);
    }
    if (!s)
        s = open_part(&one, e);
    t->part = s ? NULL : malloc(sizeof *t->part);
    if (!s && !t->part)
        s = mv_fail_memory(e, path);
    if (s) {
        close_part(&one);
        return s;
    }
    *t->part = one;
    t->parts = 1;
    return list_part(t, e);
}

static mv_status open_path(mv_tensors *t, const char *path, mv_error *e)
{
    char inside[PATH_MAX];
    struct stat st;
    if (stat(path, &st))
        return mv_fail_errno(e, path, "cannot be opened");
    if (S_ISDIR(st.st_mode)) {
        mv_status s = mv_tensors_in_folder(inside, path, e);
        if (s)
            return s;
        path = inside;
    }
    t->file = strdup(path);
    return t->file ? open_file(t, path, e) : mv_fail_memory(e, path);
}

static mv_tensors *finish(mv_tensors *t, const mv_error *mine, mv_error *e)
{
    if (!mine->code)
        return t;
    mv_tensors_close(t);
    mv_fail(e, mine->code, "%s", mine->text);
    return NULL;
}

mv_tensors *mv_tensors_open(const char *path, mv_error *e)
{
    mv_error mine = {0}; /* e may be NULL */
    mv_tensors *t = calloc(1, sizeof *t);
    if (t)
        open_path(t, path, &mine);
    else
        mv_fail_memory(&mine, path);
    return finish(t, &mine, e);
}

mv_tensors *mv_tensors_of(const void *bytes, size_t size, const char *name, mv_error *e)
{
    mv_error mine = {0};
    mv_tensors *t = calloc(1, sizeof *t);
    if (t)
        *t = (mv_tensors){.file = strdup(name), .part = calloc(1, sizeof *t->part)};
    if (!t || !t->file || !t->part)
        mv_fail_memory(&mine, name);
    else {
        t->parts = 1;
        *t->part = (part){.path = strdup(name), .bytes = bytes, .size = size};
        if (!t->part->path)
            mv_fail_memory(&mine, name);
        else if (!open_part(t->part, &mine))
            list_part(t, &mine);
    }
    return finish(t, &mine, e);
}

void mv_tensors_close(mv_tensors *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->parts; i++)
        close_part(&t->part[i]);
    mv_shard_index_free(&t->index);
    free(t->part);
    free(t->entry);
    free(t->file);
    free(t);
}

const char *mv_tensors_file(const mv_tensors *t)
{
    return t->file;
}

const char *mv_tensors_file_at(const mv_tensors *t, int i)
{
    if (i == 0)
        return t->file;
    return t->index.n && i <= t->parts ? t->part[i - 1].path : NULL;
}

int mv_tensors_count(const mv_tensors *t)
{
    return t->n;
}

const char *mv_tensors_name_at(const mv_tensors *t, int i)
{
    return t->entry[i].name;
}

/* ---- one tensor */

static const entry *find(const mv_tensors *t, const char *name)
{
    const entry key = {.name = name};
    return t->n ? bsearch(&key, t->entry, (size_t)t->n, sizeof *t->entry, by_name) : NULL;
}

bool mv_tensors_has(const mv_tensors *t, const char *name)
{
    return find(t, name) != NULL;
}

mv_status mv_tensors_find(const mv_tensors *t, const char *name, mv_tensor *out, mv_error *e)
{
    const entry *at = find(t, name);
    if (!at)
        return mv_fail(e, MV_EINPUT, "%s: found no tensor '%.100s', expected one", t->file, name);
    const part *p = &t->part[at->part];
    mv_status s = p->st ? mv_safetensors_find(p->st, name, out, e) : mv_pth_shape(p->pth, at->i, out, e);
    if (!s)
        out->data = NULL;
    return s;
}

bool mv_tensors_lookup(const mv_tensors *t, const char *name, mv_tensor *out)
{
    return mv_tensors_find(t, name, out, NULL) == MV_OK;
}

mv_status mv_tensors_read(mv_tensors *t, const char *name, float *out, mv_error *e)
{
    const entry *at = find(t, name);
    if (!at)
        return mv_fail(e, MV_EMISUSE, "%s: found no tensor '%.100s', expected one", t->file, name);
    part *p = &t->part[at->part];
    mv_error why = {0};
    mv_tensor view;
    if (p->pth)
        mv_pth_read(p->pth, at->i, out, &why);
    else if (!mv_safetensors_find(p->st, name, &view, &why)) {
        mv_safetensors_read(out, view);
        if (p->mapping.slot)
            mv_mapping_forget(view.data, (const char *)view.data + mv_tensor_bytes(view));
    }
    return mv_mapping_finish(&p->mapping, p->path, &why, e);
}

const char *mv_tensors_metadata(const mv_tensors *t, const char *key)
{
    return t->parts == 1 && t->part->st ? mv_safetensors_metadata(t->part->st, key) : NULL;
}

static mv_status hash_part(const part *p, char hex[65], mv_error *e)
{
    mv_mapping_sha256(p->bytes, p->size, p->mapping.slot > 0, hex);
    return mv_mapping_check(&p->mapping, p->path, e);
}

mv_status mv_tensors_sha256(const mv_tensors *t, char hex[65], mv_error *e)
{
    const part *p = t->part;
    if (t->index.n == 0)
        return hash_part(p, hex, e);
    struct sha256_ctx hash;
    sha256_init(&hash);
    for (int i = 0; i < t->parts; i++) {
        mv_status s = hash_part(&p[i], hex, e);
        if (s)
            return s;
        const char *name = mv_text_base_name(p[i].path);
        sha256_update(&hash, 64, (const uint8_t *)hex);
        sha256_update(&hash, 2, (const uint8_t *)"  ");
        sha256_update(&hash, strlen(name), (const uint8_t *)name);
        sha256_update(&hash, 1, (const uint8_t *)"\n");
    }
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&hash, sizeof digest, digest);
    mv_digest_hex(hex, digest, sizeof digest);
    return MV_OK;
}
