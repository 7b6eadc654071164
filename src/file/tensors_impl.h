/* What finds the files of tensors.c: a folder's checkpoint, and the index of shards, which hub_files.c reads, too. */
#ifndef MV_TENSORS_IMPL_H
#define MV_TENSORS_IMPL_H

#include <jansson.h>
#include <limits.h>

#include "src/file/tensors.h"

/* The checkpoint in a folder, by the rules of tensors.h. */
mv_status mv_tensors_in_folder(char out[PATH_MAX], const char *folder, mv_error *e);

/* An index: which shard each tensor is in. */
typedef struct {
    json_t *json, *map; /* map: {"TENSOR": "SHARD", ...}, borrowed from json */
    int n;
    const char **shard; /* sorted, each once; of json */
} mv_shard_index;

/* Parses the bytes of an index; every shard is a name without a folder. *out is the caller's to free, after a failure,
 * too. */
mv_status mv_shard_index_of(mv_shard_index *out, const void *bytes, size_t size, const char *place, mv_error *e);
void mv_shard_index_free(mv_shard_index *x);

#endif
