#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "src/file/output.h"
#include "src/file/safetensors.h"

static const char reserved_name[] = "__metadata__";

/* Moves the pair that json_pack_ex made into `object`; NULL is json_pack_ex's failure. */
static mv_status take_pair(json_t *object, json_t *pair, const json_error_t *error, const char *place, mv_error *e)
{
    if (!pair && json_error_code(error) == json_error_invalid_utf8)
        return mv_fail(e, MV_EINPUT, "%s: found a tensor's name or metadata that is not UTF-8, expected UTF-8", place);
    if (!pair)
        return mv_fail_memory(e, place);
    const char *key = json_object_iter_key(json_object_iter(pair));
    mv_status code = MV_OK;
    if (json_object_get(object, key) || strcmp(key, reserved_name) == 0)
        code =
            mv_fail(e, MV_EINPUT, "%s: found '%.100s' twice or as a reserved name, expected unique names", place, key);
    else if (json_object_update(object, pair) < 0)
        code = mv_fail_memory(e, place);
    json_decref(pair);
    return code;
}

static mv_status describe_tensor(json_t *header, const char *place, const char *name, mv_tensor t, json_int_t *offset,
                                 mv_error *e)
{
    json_int_t end = *offset + (json_int_t)mv_tensor_bytes(t);
    json_error_t error;
    json_t *pair = json_pack_ex(&error, 0, "{s:{s:s,s:[],s:[I,I]}}", name, "dtype", mv_dtype_name(t.type), "shape",
                                "data_offsets", *offset, end);
    json_t *shape = json_object_get(json_object_iter_value(json_object_iter(pair)), "shape");
    for (int i = 0; pair && i < t.nd; i++)
        if (json_array_append_new(shape, json_integer(t.dim[i])) < 0) {
            json_decref(pair);
            return mv_fail_memory(e, place);
        }
    *offset = end;
    return take_pair(header, pair, &error, place, e);
}

static mv_status describe(json_t *header, const char *place, int n, const char *const names[],
                          const mv_tensor tensors[], int n_meta, const char *const keys[], const char *const values[],
                          mv_error *e)
{
    json_t *metadata = n_meta > 0 ? json_object() : NULL;
    if (n_meta > 0 && json_object_set_new(header, reserved_name, metadata) < 0)
        return mv_fail_memory(e, place);
    mv_status code = MV_OK;
    for (int i = 0; i < n_meta && code == MV_OK; i++) {
        json_error_t error;
        json_t *pair = json_pack_ex(&error, 0, "{s:s}", keys[i], values[i]);
        code = take_pair(metadata, pair, &error, place, e);
    }
    json_int_t offset = 0;
    for (int i = 0; i < n && code == MV_OK; i++)
        code = describe_tensor(header, place, names[i], tensors[i], &offset, e);
    return code;
}

/* The length and the JSON, padded with spaces so that the data begin at a multiple of 8. */
static mv_status lay_out(char **out, size_t *size, const json_t *json, const char *place, mv_error *e)
{
    size_t length = json_dumpb(json, NULL, 0, JSON_COMPACT), padded = (length + 7) / 8 * 8;
    if (length == 0)
        return mv_fail_memory(e, place);
    if (padded > MV_SAFETENSORS_MAX_HEADER)
        return mv_fail(e, MV_EINPUT,
                       "%s: found a header of %zu bytes, expected at most %d, as more cannot be read again", place,
                       padded, MV_SAFETENSORS_MAX_HEADER);
    char *bytes = malloc(8 + padded);
    if (!bytes)
        return mv_fail_memory(e, place);
    memcpy(bytes, &(uint64_t){padded}, 8);
    if (json_dumpb(json, bytes + 8, length, JSON_COMPACT) != length) {
        free(bytes);
        return mv_fail_memory(e, place);
    }
    memset(bytes + 8 + length, ' ', padded - length);
    *out = bytes;
    *size = 8 + padded;
    return MV_OK;
}

mv_status mv_safetensors_header(char **header, size_t *size, const char *place, int n, const char *const names[],
                                const mv_tensor tensors[], int n_meta, const char *const keys[],
                                const char *const values[], mv_error *e)
{
    json_t *json = json_object();
    if (!json)
        return mv_fail_memory(e, place);
    mv_status code = describe(json, place, n, names, tensors, n_meta, keys, values, e);
    if (code == MV_OK)
        code = lay_out(header, size, json, place, e);
    json_decref(json);
    return code;
}

mv_status mv_safetensors_write(const char *path, int n, const char *const names[], const mv_tensor tensors[],
                               int n_meta, const char *const keys[], const char *const values[], mv_error *e)
{
    char *header;
    size_t size;
    mv_status code = mv_safetensors_header(&header, &size, path, n, names, tensors, n_meta, keys, values, e);
    if (code != MV_OK)
        return code;
    mv_error error = {0};
    mv_output *o = mv_output_open(path, &error);
    if (o) {
        mv_output_write(o, header, size);
        for (int i = 0; i < n; i++)
            mv_output_write(o, tensors[i].data, mv_tensor_bytes(tensors[i]));
        mv_output_commit(o, &error);
    }
    free(header);
    return error.code == MV_OK ? MV_OK : mv_fail(e, error.code, "%s", error.text);
}
