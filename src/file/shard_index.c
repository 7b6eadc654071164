#include <stdlib.h>
#include <string.h>

#include "src/base/text.h"
#include "src/file/json.h"
#include "src/file/tensors_impl.h"

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A name of a file in the folder of the index, and nothing else. */
static mv_status check_shard(const char *name, const char *place, mv_error *e)
{
    if (*name && *name != '.' && !strchr(name, '/') && strlen(name) < 256 && mv_text_is_clean(name))
        return MV_OK;
    char *safe = mv_text_escape(name);
    mv_status s = safe ? mv_fail(e, MV_EINPUT,
                                 "%s: found a shard named '%.100s', expected the name of a file beside it", place, safe)
                       : mv_fail_memory(e, place);
    free(safe);
    return s;
}

static mv_status collect(mv_shard_index *x, const char *place, mv_error *e)
{
    const char *tensor;
    json_t *shard;
    size_t n = 0, kept = 0;
    x->shard = calloc(json_object_size(x->map), sizeof *x->shard);
    if (!x->shard)
        return mv_fail_memory(e, place);
    json_object_foreach(x->map, tensor, shard)
    {
        const char *name = json_string_value(shard);
        if (!name)
            return mv_fail(e, MV_EINPUT, "%s: found a shard in \"weight_map\" that is no text, expected a file's name",
                           place);
        mv_status s = check_shard(name, place, e);
        if (s)
            return s;
        x->shard[n++] = name;
    }
    qsort(x->shard, n, sizeof *x->shard, by_text);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || strcmp(x->shard[kept - 1], x->shard[i]) != 0)
            x->shard[kept++] = x->shard[i];
    if (kept > MV_TENSORS_SHARDS)
        return mv_fail(e, MV_EINPUT, "%s: found %zu shards, expected at most %d", place, kept, MV_TENSORS_SHARDS);
    x->n = (int)kept;
    return MV_OK;
}

mv_status mv_shard_index_of(mv_shard_index *out, const void *bytes, size_t size, const char *place, mv_error *e)
{
    *out = (mv_shard_index){.json = mv_json_load(bytes, size, place, NULL, e)};
    if (!out->json)
        return e->code;
    out->map = json_object_get(out->json, "weight_map");
    if (!json_is_object(out->map) || json_object_size(out->map) == 0)
        return mv_fail(e, MV_EINPUT,
                       "%s: found no object \"weight_map\" in it, expected the index of a sharded checkpoint", place);
    return collect(out, place, e);
}

void mv_shard_index_free(mv_shard_index *x)
{
    free(x->shard);
    json_decref(x->json);
    *x = (mv_shard_index){0};
}
