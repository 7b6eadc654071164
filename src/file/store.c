#include "src/file/store.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "src/file/folder.h"
#include "src/file/npy.h"
#include "src/file/output.h"
#include "src/file/safetensors.h"
#include "src/file/zip_layout.h"

typedef enum { SAFETENSORS, NPZ, NPY, FOLDER } kind;

typedef struct {
    char *file; /* "NAME.npy" */
    char *name;
    mv_tensor tensor; /* without data */
    uint64_t row;     /* bytes of one index of dimension 0 */
    uint64_t size, filled;
    uint64_t offset; /* of its values in the file; unused in a folder */
    uint32_t crc;    /* npz: of what was written so far */
} array;

struct mv_store {
    char *path;
    kind kind;
    mv_output *output; /* all but FOLDER */
    mv_folder *folder;
    json_t *meta; /* key: text */
    array *arrays;
    int count, room;
    int turn;       /* where the next lookup starts: arrays tend to come in order */
    bool laid_out;  /* headers are written, offsets known */
    uint64_t end;   /* npz: of the last array */
    mv_error error; /* the first failure */
};

enum { MAX_NAME = 200 };

static kind kind_of(const char *path)
{
    static const struct {
        const char *ending;
        kind kind;
    } endings[] = {{".safetensors", SAFETENSORS}, {".npz", NPZ}, {".npy", NPY}};
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t m = strlen(endings[i].ending);
        if (n > m && strcasecmp(path + n - m, endings[i].ending) == 0)
            return endings[i].kind;
    }
    return FOLDER;
}

/* What a public function returns: the store's failure, told to the caller. */
static mv_status told(const mv_store *s, mv_error *e)
{
    return s->error.code == MV_OK ? MV_OK : mv_fail(e, s->error.code, "%s", s->error.text);
}

mv_store *mv_store_open(const char *path, mv_error *e)
{
    mv_store *s = calloc(1, sizeof *s);
    if (!s) {
        mv_fail_memory(e, path);
        return NULL;
    }
    s->kind = kind_of(path);
    s->path = strdup(path);
    s->meta = json_object();
    if (!s->path || !s->meta)
        mv_fail_memory(e, path);
    else if (s->kind == FOLDER)
        s->folder = mv_folder_open(path, e);
    else
        s->output = mv_output_open(path, e);
    if (s->folder || s->output)
        return s;
    mv_store_discard(s);
    return NULL;
}

void mv_store_discard(mv_store *s)
{
    if (!s)
        return;
    mv_output_discard(s->output);
    mv_folder_discard(s->folder);
    json_decref(s->meta);
    for (int i = 0; i < s->count; i++) {
        free(s->arrays[i].file);
        free(s->arrays[i].name);
    }
    free(s->arrays);
    free(s->path);
    free(s);
}

static array *find(mv_store *s, const char *name)
{
    for (int i = 0; i < s->count; i++) {
        int at = (s->turn + i) % s->count;
        if (strcmp(s->arrays[at].name, name) == 0) {
            s->turn = at + 1;
            return &s->arrays[at];
        }
    }
    return NULL;
}

/* Every container takes such a name as it is, and no file lands outside the folder. */
static bool is_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c < ' ' || *c > '~' || *c == '/')
            return false;
    return *name && *name != '.' && strlen(name) <= MAX_NAME && strcmp(name, "__metadata__") != 0;
}

static mv_status set_shape(mv_store *s, array *a, const char *name, int nd, const int *dim)
{
    char shape[64];
    a->tensor = (mv_tensor){.type = MV_F32, .nd = nd};
    a->row = sizeof(float);
    for (int i = 0; i < nd; i++) {
        if (dim[i] < 0)
            return mv_fail(&s->error, MV_EMISUSE, "%s: '%s' is declared with a negative dimension", s->path, name);
        a->tensor.dim[i] = dim[i];
        if (i > 0 && __builtin_mul_overflow(a->row, (uint64_t)dim[i], &a->row))
            a->row = UINT64_MAX;
    }
    uint64_t total = 0;
    for (int i = 0; i < s->count; i++)
        total += s->arrays[i].size;
    if (__builtin_mul_overflow(a->row, (uint64_t)dim[0], &a->size) || a->size > INT64_MAX / 2 - total)
        return mv_fail(&s->error, MV_EINPUT, "%s: '%s' of shape %s is too large for a file", s->path, name,
                       mv_shape_text(shape, nd, dim));
    return MV_OK;
}

static mv_status check_declaration(mv_store *s, const char *name, int nd)
{
    if (!is_name(name))
        return mv_fail(&s->error, MV_EINPUT, "%s: '%.*s' cannot name an array", s->path, MAX_NAME, name);
    const char *wrong = nd < 1 || nd > MV_MAX_DIMS       ? "with no dimension or too many"
                        : s->laid_out                    ? "after values were appended"
                        : find(s, name)                  ? "twice"
                        : s->kind == NPY && s->count > 0 ? "as a second array, and .npy holds one"
                                                         : NULL;
    return wrong ? mv_fail(&s->error, MV_EMISUSE, "%s: '%s' is declared %s", s->path, name, wrong) : s->error.code;
}

static mv_status make_room(mv_store *s)
{
    if (s->count < s->room)
        return MV_OK;
    int room = 2 * s->room + 16;
    array *more = realloc(s->arrays, (size_t)room * sizeof *more);
    if (!more)
        return mv_fail_memory(&s->error, s->path);
    s->arrays = more;
    s->room = room;
    return MV_OK;
}

mv_status mv_store_declare(mv_store *s, const char *name, int nd, const int *dim, mv_error *e)
{
    array a = {0};
    if (check_declaration(s, name, nd) != MV_OK || set_shape(s, &a, name, nd, dim) != MV_OK || make_room(s) != MV_OK)
        return told(s, e);
    a.name = strdup(name);
    if (!a.name || asprintf(&a.file, "%s.npy", name) < 0) {
        free(a.name);
        mv_fail_memory(&s->error, s->path);
        return told(s, e);
    }
    s->arrays[s->count++] = a;
    return MV_OK;
}

mv_status mv_store_meta(mv_store *s, const char *key, const char *text, mv_error *e)
{
    if (s->laid_out)
        mv_fail(&s->error, MV_EMISUSE, "%s: metadata '%s' after values were appended", s->path, key);
    if (s->error.code != MV_OK)
        return told(s, e);
    if (strcmp(key, "manifest") == 0) {
        errno = 0;
        json_t *object = json_loads(text, 0, NULL);
        if (!object && errno == ENOMEM)
            mv_fail_memory(&s->error, s->path);
        else if (!json_is_object(object))
            mv_fail(&s->error, MV_EMISUSE, "%s: the manifest is not a JSON object", s->path);
        json_decref(object);
    }
    json_error_t error;
    json_t *value = json_pack_ex(&error, 0, "s", text);
    if (!value && json_error_code(&error) == json_error_invalid_utf8)
        mv_fail(&s->error, MV_EINPUT, "%s: metadata '%s' is not UTF-8", s->path, key);
    else if (json_object_set_new(s->meta, key, value) < 0)
        mv_fail_memory(&s->error, s->path);
    return told(s, e);
}

static mv_status write_at(mv_store *s, const void *bytes, size_t n, uint64_t offset)
{
    if (mv_output_pwrite(s->output, bytes, n, offset) != MV_OK)
        mv_fail(&s->error, mv_output_error(s->output)->code, "%s", mv_output_error(s->output)->text);
    return s->error.code;
}

/* The next bytes of array `a`, whatever the container. */
static mv_status put(mv_store *s, array *a, uint64_t offset, const void *bytes, size_t n)
{
    if (s->kind == FOLDER)
        return mv_folder_append(s->folder, a->file, bytes, n, &s->error);
    if (s->kind == NPZ)
        a->crc = (uint32_t)crc32_z(a->crc, bytes, n);
    return write_at(s, bytes, n, offset);
}

static mv_status lay_out_safetensors(mv_store *s)
{
    size_t n = (size_t)s->count, n_meta = json_object_size(s->meta), size;
    const char **texts = calloc(n + 2 * n_meta + 1, sizeof *texts);
    mv_tensor *tensors = calloc(n + 1, sizeof *tensors);
    char *header = NULL;
    if (texts && tensors) {
        const char **names = texts, **keys = texts + n, **values = keys + n_meta, *key;
        for (size_t i = 0; i < n; i++) {
            names[i] = s->arrays[i].name;
            tensors[i] = s->arrays[i].tensor;
        }
        json_t *text;
        size_t k = 0;
        json_object_foreach(s->meta, key, text)
        {
            keys[k] = key;
            values[k++] = json_string_value(text);
        }
        if (mv_safetensors_header(&header, &size, s->path, (int)n, names, tensors, (int)n_meta, keys, values,
                                  &s->error) == MV_OK)
            write_at(s, header, size, 0);
        for (size_t i = 0; i < n && header; i++) {
            s->arrays[i].offset = size;
            size += s->arrays[i].size;
        }
    } else {
        mv_fail_memory(&s->error, s->path);
    }
    free(header);
    free(tensors);
    free(texts);
    return s->error.code;
}

static mv_status lay_out_arrays(mv_store *s)
{
    uint64_t at = 0;
    for (int i = 0; i < s->count; i++) {
        array *a = &s->arrays[i];
        char header[MV_NPY_HEADER];
        mv_npy_header(header, MV_F32, a->tensor.nd, a->tensor.dim);
        if (s->kind == NPZ)
            at += mv_npz_local_size(a->file);
        if (put(s, a, at, header, sizeof header) != MV_OK)
            break;
        a->offset = at + sizeof header;
        at = a->offset + a->size;
    }
    s->end = at;
    return s->error.code;
}

static mv_status lay_out(mv_store *s)
{
    if (s->laid_out || s->error.code != MV_OK)
        return s->error.code;
    s->laid_out = true;
    return s->kind == SAFETENSORS ? lay_out_safetensors(s) : lay_out_arrays(s);
}

mv_status mv_store_append(mv_store *s, const char *name, const float *values, int rows, mv_error *e)
{
    array *a = find(s, name);
    if (!a || rows < 0)
        mv_fail(&s->error, MV_EMISUSE, "%s: '%s' is appended to, but %s", s->path, name,
                a ? "by less than no rows" : "was not declared");
    if (lay_out(s) != MV_OK)
        return told(s, e);
    uint64_t bytes = a->row * (uint64_t)rows;
    if (bytes > a->size - a->filled || (a->row > 0 && bytes / a->row != (uint64_t)rows))
        mv_fail(&s->error, MV_EMISUSE, "%s: '%s' is given more than its %d rows", s->path, name, a->tensor.dim[0]);
    else if (bytes > 0 && put(s, a, a->offset + a->filled, values, bytes) == MV_OK)
        a->filled += bytes;
    return told(s, e);
}

/* The text of manifest.json; to be freed. */
static char *manifest_text(const mv_store *s)
{
    const char *given = json_string_value(json_object_get(s->meta, "manifest")), *key;
    json_t *manifest = given ? json_loads(given, 0, NULL) : json_object(), *files = json_array(), *text;
    bool whole = manifest && files;
    json_object_foreach(s->meta, key, text) if (strcmp(key, "manifest") != 0) whole =
        whole && json_object_set(manifest, key, text) == 0;
    for (int i = 0; i < s->count; i++)
        whole = whole && json_array_append_new(files, json_string(s->arrays[i].file)) == 0;
    whole = whole && json_object_set(manifest, "files", files) == 0 &&
            json_object_set_new(manifest, "format", json_string(MV_FOLDER_FORMAT)) == 0;
    char *result = whole ? json_dumps(manifest, JSON_INDENT(2)) : NULL;
    json_decref(files);
    json_decref(manifest);
    return result;
}

static mv_status finish_npz(mv_store *s, const char *manifest)
{
    mv_npz_entry last = {.name = MV_FOLDER_MANIFEST, .offset = s->end, .size = strlen(manifest)};
    last.crc = (uint32_t)crc32_z(0, (const unsigned char *)manifest, last.size);
    unsigned char record[MV_NPZ_RECORD];
    uint64_t at = s->end + mv_npz_local_size(last.name);
    write_at(s, manifest, last.size, at);
    at += last.size;
    uint64_t directory = at;
    for (int i = 0; i <= s->count; i++) {
        mv_npz_entry t = last;
        if (i < s->count) {
            const array *a = &s->arrays[i];
            t.name = a->file;
            t.offset = a->offset - MV_NPY_HEADER - mv_npz_local_size(a->file);
            t.size = MV_NPY_HEADER + a->size;
            t.crc = a->crc;
        }
        write_at(s, record, mv_npz_local(record, &t), t.offset);
        size_t n = mv_npz_central(record, &t);
        write_at(s, record, n, at);
        at += n;
    }
    unsigned char end[MV_NPZ_END];
    mv_npz_end(end, (uint64_t)s->count + 1, directory, at - directory);
    return write_at(s, end, sizeof end, at);
}

static mv_status finish(mv_store *s)
{
    for (int i = 0; i < s->count; i++) {
        const array *a = &s->arrays[i];
        if (a->filled < a->size)
            return mv_fail(&s->error, MV_EMISUSE, "%s: '%s' has %llu of its %d rows", s->path, a->name,
                           (unsigned long long)(a->filled / a->row), a->tensor.dim[0]);
    }
    if (s->kind == NPY && s->count == 0)
        return mv_fail(&s->error, MV_EMISUSE, "%s: one array was expected", s->path);
    if (lay_out(s) != MV_OK || s->kind == SAFETENSORS || s->kind == NPY)
        return s->error.code;
    char *manifest = manifest_text(s);
    if (!manifest)
        return mv_fail_memory(&s->error, s->path);
    if (s->kind == NPZ)
        finish_npz(s, manifest);
    else
        mv_folder_append(s->folder, MV_FOLDER_MANIFEST, manifest, strlen(manifest), &s->error);
    free(manifest);
    return s->error.code;
}

mv_status mv_store_commit(mv_store *s, mv_error *e)
{
    mv_status code = s->error.code == MV_OK ? finish(s) : s->error.code;
    if (code != MV_OK) {
        told(s, e);
    } else if (s->kind == FOLDER) {
        code = mv_folder_commit(s->folder, e);
        s->folder = NULL;
    } else {
        code = mv_output_commit(s->output, e);
        s->output = NULL;
    }
    mv_store_discard(s);
    return code;
}
