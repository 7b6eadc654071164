/* Which files of a repository are wanted, and what is read of them: the index of shards, the licence of the card. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/base/text.h"
#include "src/file/hub_impl.h"
#include "src/file/json.h"
#include "src/file/mapping.h"
#include "src/file/system_impl.h"
#include "src/file/tensors_impl.h"

enum { MOST_SHARDS = 1000, MOST_CARD = 64 << 10 };

static const char *const plain_names[MV_HUB_PLAIN] = {"config.json", "preprocessor_config.json", "README.md"};
static const char *const weight_names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                           "pytorch_model.bin.index.json"};

static int index_of(const char *const *name, int n, const char *wanted)
{
    for (int i = 0; i < n; i++)
        if (strcmp(name[i], wanted) == 0)
            return i;
    return -1;
}

/* The only file with one of these endings; -1: none or several. */
static int only_one(const char *const *name, int n, const char *const *endings)
{
    int found = -1;
    for (int i = 0; i < n; i++)
        for (const char *const *end = endings; mv_hub_is_file_name(name[i]) && *end; end++)
            if (mv_text_ends_in(name[i], *end)) {
                if (found >= 0)
                    return -1;
                found = i;
                break;
            }
    return found;
}

void mv_hub_choose(const char *const *name, int n, int plain[MV_HUB_PLAIN], int *weights)
{
    static const char *const tensors[] = {".safetensors", NULL};
    static const char *const pickles[] = {".pth", ".pth.tar", ".pt", ".bin", ".ckpt", NULL};
    for (int i = 0; i < MV_HUB_PLAIN; i++)
        plain[i] = index_of(name, n, plain_names[i]);
    *weights = -1;
    for (size_t i = 0; *weights < 0 && i < sizeof weight_names / sizeof *weight_names; i++)
        *weights = index_of(name, n, weight_names[i]);
    if (*weights < 0)
        *weights = only_one(name, n, tensors);
    if (*weights < 0)
        *weights = only_one(name, n, pickles);
}

static bool is_index(const char *name)
{
    return mv_text_ends_in(name, ".safetensors.index.json") || mv_text_ends_in(name, ".bin.index.json");
}

/* ---- the index of shards */

void mv_hub_free_names(char **names, int n)
{
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

mv_status mv_hub_read_index(const char *path, const char *place, char ***names, int *n, mv_error *e)
{
    mv_mapping map;
    mv_shard_index index;
    *names = NULL;
    *n = 0;
    mv_status s = mv_mapping_load(&map, path, MV_JSON_LARGEST, e);
    if (s)
        return s;
    s = mv_shard_index_of(&index, map.bytes, map.size, place, e);
    mv_mapping_close(&map);
    if (!s && !(*names = calloc((size_t)index.n, sizeof **names)))
        s = mv_fail_memory(e, place);
    for (int i = 0; !s && i < index.n; i++)
        if (!mv_hub_is_file_name(index.shard[i]))
            s = mv_fail(e, MV_EINPUT, "%s: found a shard named '%.100s', expected the name of a file beside it", place,
                        index.shard[i]);
        else if (!((*names)[(*n)++] = strdup(index.shard[i])))
            s = mv_fail_memory(e, place);
    mv_shard_index_free(&index);
    if (s) {
        mv_hub_free_names(*names, *n);
        *names = NULL;
        *n = 0;
    }
    return s;
}

/* ---- the card */

/* The value of "key: value" at the beginning of a line; false for another key. */
static bool value_of(const char *line, size_t n, const char *key, char *out, size_t size)
{
    size_t k = strlen(key);
    if (n <= k || strncmp(line, key, k) || line[k] != ':')
        return false;
    const char *from = line + k + 1, *end = line + n;
    while (from < end && strchr(" \t\"'", *from))
        from++;
    while (end > from && strchr(" \t\r\"'", end[-1]))
        end--;
    snprintf(out, size, "%.*s", (int)(end - from), from);
    return true;
}

void mv_hub_read_licence(const char *path, char *out, size_t size)
{
    char licence[80] = "", name[80] = "", link[160] = "", text[400];
    mv_mapping map;
    *out = 0;
    if (mv_mapping_load(&map, path, MV_JSON_LARGEST, NULL))
        return;
    const char *at = map.size ? (const char *)map.bytes : "", *end = at + (map.size < MOST_CARD ? map.size : MOST_CARD);
    for (bool first = true; at < end; first = false) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at);
        bool rule = n >= 3 && strncmp(at, "---", 3) == 0;
        if (first != rule) /* no head, or its end */
            break;
        if (!value_of(at, n, "license", licence, sizeof licence) && !value_of(at, n, "license_name", name, sizeof name))
            value_of(at, n, "license_link", link, sizeof link);
        at = stop ? stop + 1 : end;
    }
    mv_mapping_close(&map);
    if (!*licence && !*name)
        return;
    bool other = *name && (!*licence || strcmp(licence, "other") == 0);
    snprintf(text, sizeof text, "%s%s%s%s", other ? name : licence, *link ? " (" : "", link, *link ? ")" : "");
    char *safe = mv_text_escape(text);
    if (safe)
        mv_text_print(out, size, "%s", safe);
    free(safe);
}

/* ---- what the cache has */

mv_status mv_hub_add_file(mv_hub_snapshot *o, const char *name, mv_error *e)
{
    mv_hub_file *next = realloc(o->file, ((size_t)o->n + 1) * sizeof *next);
    if (!next)
        return mv_fail_memory(e, name);
    o->file = next;
    o->file[o->n] = (mv_hub_file){.index = is_index(name)};
    snprintf(o->file[o->n++].name, MV_HUB_FILE_NAME, "%s", name);
    return MV_OK;
}

/* Every file of the folder, for mv_hub_choose. */
static mv_status list_folder(const char *folder, char ***names, int *n, mv_error *e)
{
    DIR *d = opendir(folder);
    mv_status s = d ? MV_OK : mv_fail_errno(e, folder, "cannot be opened");
    *names = NULL;
    *n = 0;
    for (struct dirent *one; !s && (one = mv_system_entry(d));) {
        if (!mv_hub_is_file_name(one->d_name) || *n == MOST_SHARDS)
            continue;
        char **next = realloc(*names, ((size_t)*n + 1) * sizeof *next);
        if (next)
            *names = next;
        if (!next || !(next[*n] = strdup(one->d_name)))
            s = mv_fail_memory(e, folder);
        else
            ++*n;
    }
    if (!s && errno)
        s = mv_fail_errno(e, folder, "cannot be read");
    if (d)
        closedir(d);
    return s;
}

/* True if there is a file that mv_hub_choose takes for weights. */
static bool has_weights(const char *folder, mv_error *e)
{
    char **names = NULL;
    int n = 0, plain[MV_HUB_PLAIN], weights = -1;
    if (access(folder, X_OK) == 0 && list_folder(folder, &names, &n, e) == MV_OK)
        mv_hub_choose((const char *const *)names, n, plain, &weights);
    mv_hub_free_names(names, n);
    return weights >= 0;
}

char *mv_hub_find(const char *cache, const mv_hub_name *name, char lacks[512], mv_error *e)
{
    char commit[MV_HUB_COMMIT];
    char *folder = NULL;
    *lacks = 0;
    if (!mv_hub_cached_commit(cache, name, commit)) {
        snprintf(lacks, 512, "no revision '%.60s' of %s is in %.200s", name->revision, name->id, cache);
        return NULL;
    }
    folder = mv_hub_path(cache, name, "snapshots/%s", commit);
    if (!folder)
        mv_fail_memory(e, name->id);
    else if (!has_weights(folder, e)) {
        snprintf(lacks, 512, "no weights are in %.400s", folder);
        free(folder);
        folder = NULL;
    }
    return folder;
}

/* Adds a file of the snapshot with its size, and its etag if it is a link into blobs/. */
static mv_status add_cached(mv_hub_snapshot *o, const char *folder, const char *name, mv_error *e)
{
    char *path = NULL, target[MV_HUB_ETAG + 16];
    struct stat st;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return mv_fail_memory(e, name);
    mv_status s = stat(path, &st) ? mv_fail(e, MV_EINPUT, "%s: is not in the cache: %s", name, path)
                                  : mv_hub_add_file(o, name, e);
    ssize_t n = readlink(path, target, sizeof target - 1);
    free(path);
    if (s)
        return s;
    target[n > 0 ? n : 0] = 0;
    const char *etag = mv_text_base_name(target);
    if (mv_hub_is_etag(etag))
        snprintf(o->file[o->n - 1].etag, MV_HUB_ETAG, "%s", etag);
    o->file[o->n - 1].size = (uint64_t)st.st_size;
    o->size += (uint64_t)st.st_size;
    return MV_OK;
}

static mv_status add_cached_shards(mv_hub_snapshot *o, const char *folder, const char *index, mv_error *e)
{
    char *path = NULL, **shards = NULL;
    int n = 0;
    mv_status s = asprintf(&path, "%s/%s", folder, index) < 0 ? (path = NULL, mv_fail_memory(e, index))
                                                              : mv_hub_read_index(path, path, &shards, &n, e);
    for (int i = 0; !s && i < n; i++)
        s = add_cached(o, folder, shards[i], e);
    mv_hub_free_names(shards, n);
    free(path);
    return s;
}

mv_status mv_hub_pull_offline(const mv_hub_settings *set, const mv_hub_name *name, mv_hub_snapshot *out, mv_error *e)
{
    char **names = NULL, *folder = NULL;
    int n = 0, plain[MV_HUB_PLAIN], weights = -1;
    if (!mv_hub_cached_commit(set->cache, name, out->commit))
        return mv_fail(e, MV_EINPUT, "%s: is not in the cache: no revision '%s' in %.200s", name->id, name->revision,
                       set->cache);
    folder = mv_hub_path(set->cache, name, "snapshots/%s", out->commit);
    mv_status s = folder ? list_folder(folder, &names, &n, e) : mv_fail_memory(e, name->id);
    if (!s)
        mv_hub_choose((const char *const *)names, n, plain, &weights);
    if (!s && weights < 0)
        s = mv_fail(e, MV_EINPUT, "%s: has no weights in the cache: %s", name->id, folder);
    for (int i = 0; !s && i < MV_HUB_PLAIN; i++)
        if (plain[i] >= 0)
            s = add_cached(out, folder, names[plain[i]], e);
    if (!s)
        s = add_cached(out, folder, names[weights], e);
    if (!s && is_index(names[weights]))
        s = add_cached_shards(out, folder, names[weights], e);
    mv_hub_free_names(names, n);
    free(folder);
    return s;
}
