#include "src/file/safetensors.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/file/json.h"
#include "src/file/mapping.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file's byte order is used unchanged");

typedef struct {
    const char *name, *type; /* both point into the JSON header */
    size_t begin, end;       /* in the data */
    bool usable;             /* mv_dtype has the type */
    mv_tensor view;
} entry;

struct mv_safetensors {
    char *file;
    mv_mapping mapping; /* empty over borrowed bytes */
    const unsigned char *bytes, *data;
    size_t size, data_size;
    json_t *header;
    int count;
    entry *entries; /* by name */
};

static const char metadata_key[] = "__metadata__";

/* A name with control characters would send them to the terminal through messages. */
static bool is_printable(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static mv_status parse_header(mv_safetensors *st, mv_error *e)
{
    if (st->size < 8)
        return mv_fail(e, MV_EINPUT,
                       "%s: found %zu bytes, expected at least the 8 that hold the length of a safetensors header",
                       st->file, st->size);
    uint64_t length;
    memcpy(&length, st->bytes, sizeof length);
    if (length == 0 || length > MV_SAFETENSORS_MAX_HEADER)
        return mv_fail(e, MV_EINPUT, "%s: found a header of %llu bytes, expected 1 to %d (is it a safetensors file?)",
                       st->file, (unsigned long long)length, MV_SAFETENSORS_MAX_HEADER);
    if (length > st->size - 8)
        return mv_fail(e, MV_EINPUT,
                       "%s: found a header of %llu bytes, expected at most the %zu that are left in the file", st->file,
                       (unsigned long long)length, st->size - 8);
    st->data = st->bytes + 8 + length;
    st->data_size = st->size - 8 - (size_t)length;

    const char *text = (const char *)st->bytes + 8;
    if (*text != '{') /* not even a space, as the format says */
        return mv_fail(e, MV_EINPUT, "%s: found a header that does not begin with '{', expected an object of tensors",
                       st->file);
    mv_status s = mv_json_weigh(text, (size_t)length, MV_JSON_ROOM, st->file, e);
    if (s)
        return s;
    json_error_t error;
    errno = 0;
    st->header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (!st->header && errno == ENOMEM) /* jansson's own error code is not reliable here */
        return mv_fail_memory(e, st->file);
    if (!st->header) {
        for (char *c = error.text; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = '?';
        return mv_fail(e, MV_EINPUT, "%s: found a header that is not JSON: %s, at byte %d", st->file, error.text,
                       8 + error.position);
    }
    return MV_OK;
}

static mv_status check_metadata(const mv_safetensors *st, mv_error *e)
{
    json_t *metadata = json_object_get(st->header, metadata_key), *text;
    if (!metadata)
        return MV_OK;
    if (!json_is_object(metadata))
        return mv_fail(e, MV_EINPUT, "%s: found %s that is not an object, expected an object", st->file, metadata_key);
    const char *key;
    json_object_foreach(metadata, key, text) if (!json_is_string(text)) return mv_fail(
        e, MV_EINPUT, "%s: %s: found '%.100s' that is not a string, expected a string", st->file, metadata_key,
        is_printable(key) ? key : "?");
    return MV_OK;
}

/* Checks that the fields are exactly dtype, shape and data_offsets, of the right JSON types. */
static mv_status check_fields(const char *file, const char *name, json_t *tensor, mv_error *e)
{
    static const struct {
        const char *name, *kind;
        json_type type;
    } fields[] = {{"dtype", "a string", JSON_STRING},
                  {"shape", "an array", JSON_ARRAY},
                  {"data_offsets", "an array", JSON_ARRAY}};
    if (!json_is_object(tensor))
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': found no object, expected one", file, name);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_t *field = json_object_get(tensor, fields[i].name);
        if (!field)
            return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': found no %s, expected %s", file, name, fields[i].name,
                           fields[i].kind);
        if (json_typeof(field) != fields[i].type)
            return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': found %s that is not %s", file, name, fields[i].name,
                           fields[i].kind);
    }
    if (json_object_size(tensor) != sizeof fields / sizeof *fields)
        return mv_fail(e, MV_EINPUT,
                       "%s: tensor '%.100s': found fields beyond dtype, shape and data_offsets, expected no others",
                       file, name);
    return MV_OK;
}

static bool whole_number(json_t *value, json_int_t largest, json_int_t *out)
{
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0 && *out <= largest;
}

static mv_status read_shape(entry *t, const char *file, json_t *shape, mv_error *e)
{
    size_t nd = json_array_size(shape);
    if (nd > MV_MAX_DIMS)
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': found %zu dimensions, expected at most %d", file, t->name,
                       nd, MV_MAX_DIMS);
    t->view.nd = (int)nd;
    for (size_t i = 0; i < nd; i++) {
        json_int_t dim;
        if (!whole_number(json_array_get(shape, i), INT_MAX, &dim))
            return mv_fail(e, MV_EINPUT,
                           "%s: tensor '%.100s': found dimension %zu that is no whole number, expected 0 to %d", file,
                           t->name, i, INT_MAX);
        t->view.dim[i] = (int)dim;
    }
    return MV_OK;
}

static mv_status read_offsets(entry *t, const mv_safetensors *st, json_t *offsets, mv_error *e)
{
    json_int_t begin, end;
    if (json_array_size(offsets) != 2 || !whole_number(json_array_get(offsets, 0), LLONG_MAX, &begin) ||
        !whole_number(json_array_get(offsets, 1), LLONG_MAX, &end))
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': found data_offsets that are not two whole numbers", st->file,
                       t->name);
    if (end < begin)
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': found data that end at %lld, before they begin at %lld",
                       st->file, t->name, (long long)end, (long long)begin);
    if ((unsigned long long)end > st->data_size)
        return mv_fail(
            e, MV_EINPUT,
            "%s: tensor '%.100s': found data that end at %lld, expected at most the %zu bytes of data in the file",
            st->file, t->name, (long long)end, st->data_size);
    t->begin = (size_t)begin;
    t->end = (size_t)end;
    return MV_OK;
}

/* Checks that the size of shape and type equals the size between the offsets. An unknown type has no size. */
static mv_status check_size(entry *t, const char *file, mv_error *e)
{
    char shape[64];
    for (int i = 0; i < MV_DTYPES; i++)
        if (strcmp(t->type, mv_dtype_name((mv_dtype)i)) == 0) {
            t->usable = true;
            t->view.type = (mv_dtype)i;
        }
    if (!t->usable)
        return MV_OK;
    size_t bytes = mv_dtype_size(t->view.type);
    for (int i = 0; i < t->view.nd; i++)
        if (__builtin_mul_overflow(bytes, (size_t)t->view.dim[i], &bytes))
            return mv_fail(e, MV_EINPUT,
                           "%s: tensor '%.100s': found shape %s, expected no more than memory can address", file,
                           t->name, mv_shape_text(shape, t->view.nd, t->view.dim));
    if (bytes != t->end - t->begin)
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': found %zu bytes of data, expected %zu for shape %s of %s",
                       file, t->name, t->end - t->begin, bytes, mv_shape_text(shape, t->view.nd, t->view.dim), t->type);
    return MV_OK;
}

static mv_status read_entry(entry *t, const mv_safetensors *st, const char *name, json_t *tensor, mv_error *e)
{
    if (!is_printable(name))
        return mv_fail(e, MV_EINPUT, "%s: found a tensor's name with control characters, expected none", st->file);
    if (check_fields(st->file, name, tensor, e) != MV_OK)
        return MV_EINPUT;
    t->name = name;
    t->type = json_string_value(json_object_get(tensor, "dtype"));
    if (!is_printable(t->type))
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': found a dtype with control characters, expected none",
                       st->file, name);
    if (read_shape(t, st->file, json_object_get(tensor, "shape"), e) != MV_OK ||
        read_offsets(t, st, json_object_get(tensor, "data_offsets"), e) != MV_OK)
        return MV_EINPUT;
    t->view.data = (void *)(uintptr_t)(st->data + t->begin);
    return check_size(t, st->file, e);
}

static int by_offset(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const entry *)left)->name, ((const entry *)right)->name);
}

/* Checks that the tensors cover the data, each byte once. */
static mv_status check_cover(const mv_safetensors *st, mv_error *e)
{
    size_t covered = 0;
    for (int i = 0; i < st->count; i++) {
        const entry *t = &st->entries[i];
        if (t->begin < covered)
            return mv_fail(e, MV_EINPUT,
                           "%s: found tensor '%.100s' at %zu, expected it after '%.100s', which ends at %zu", st->file,
                           t->name, t->begin, t[-1].name, covered);
        if (t->begin > covered)
            return mv_fail(e, MV_EINPUT,
                           "%s: found %zu bytes before tensor '%.100s' that belong to none, expected no hole", st->file,
                           t->begin - covered, t->name);
        covered = t->end;
    }
    if (covered != st->data_size)
        return mv_fail(e, MV_EINPUT, "%s: found %zu bytes after the last tensor, expected none", st->file,
                       st->data_size - covered);
    return MV_OK;
}

static mv_status read_file(mv_safetensors *st, mv_error *e)
{
    if (parse_header(st, e) != MV_OK)
        return MV_EINPUT;
    if (check_metadata(st, e) != MV_OK)
        return MV_EINPUT;
    st->entries = calloc(json_object_size(st->header) + 1, sizeof *st->entries);
    if (!st->entries)
        return mv_fail_memory(e, st->file);
    const char *name;
    json_t *tensor;
    json_object_foreach(st->header, name, tensor) if (strcmp(name, metadata_key) != 0 &&
                                                      read_entry(&st->entries[st->count++], st, name, tensor, e) !=
                                                          MV_OK) return MV_EINPUT;
    qsort(st->entries, (size_t)st->count, sizeof *st->entries, by_offset);
    if (check_cover(st, e) != MV_OK)
        return MV_EINPUT;
    qsort(st->entries, (size_t)st->count, sizeof *st->entries, by_name);
    return MV_OK;
}

static mv_safetensors *new_file(const char *name, mv_error *e)
{
    mv_safetensors *st = calloc(1, sizeof *st);
    if (st && (st->file = strdup(name)))
        return st;
    free(st);
    mv_fail_memory(e, name);
    return NULL;
}

static mv_status read_bytes(void *st_, const mv_mapping *m, mv_error *e)
{
    mv_safetensors *st = st_;
    st->bytes = m->bytes;
    st->size = m->size;
    return read_file(st, e);
}

mv_safetensors *mv_safetensors_of(const void *bytes, size_t size, const char *name, mv_error *e)
{
    const mv_mapping all = {.bytes = bytes, .size = size};
    mv_safetensors *st = new_file(name, e);
    if (!st || !read_bytes(st, &all, e))
        return st;
    mv_safetensors_close(st);
    return NULL;
}

mv_safetensors *mv_safetensors_open(const char *path, mv_error *e)
{
    mv_safetensors *st = new_file(path, e);
    if (!st || !mv_mapping_read(&st->mapping, path, read_bytes, st, e))
        return st;
    mv_safetensors_close(st);
    return NULL;
}

mv_status mv_safetensors_check(const mv_safetensors *st, mv_error *e)
{
    return mv_mapping_check(&st->mapping, st->file, e);
}

void mv_safetensors_close(mv_safetensors *st)
{
    if (!st)
        return;
    json_decref(st->header);
    mv_mapping_close(&st->mapping);
    free(st->entries);
    free(st->file);
    free(st);
}

const char *mv_safetensors_file(const mv_safetensors *st)
{
    return st->file;
}

int mv_safetensors_count(const mv_safetensors *st)
{
    return st->count;
}

const char *mv_safetensors_name_at(const mv_safetensors *st, int i)
{
    return st->entries[i].name;
}

static const entry *find(const mv_safetensors *st, const char *name)
{
    entry key = {.name = name};
    return bsearch(&key, st->entries, (size_t)st->count, sizeof key, by_name);
}

int mv_safetensors_index(const mv_safetensors *st, const char *name)
{
    const entry *t = find(st, name);
    return t ? (int)(t - st->entries) : -1;
}

bool mv_safetensors_lookup(const mv_safetensors *st, const char *name, mv_tensor *out)
{
    const entry *t = find(st, name);
    if (!t || !t->usable)
        return false;
    *out = t->view;
    return true;
}

mv_status mv_safetensors_find(const mv_safetensors *st, const char *name, mv_tensor *out, mv_error *e)
{
    const entry *t = find(st, name);
    if (!t)
        return mv_fail(e, MV_EINPUT, "%s: found no tensor '%.100s', expected one", st->file, name);
    if (!t->usable)
        return mv_fail(e, MV_EINPUT,
                       "%s: tensor '%.100s': found type %.32s, expected F32, F16, BF16, F64, I64, I32 or U8", st->file,
                       name, t->type);
    *out = t->view;
    return MV_OK;
}

const char *mv_safetensors_metadata(const mv_safetensors *st, const char *key)
{
    return json_string_value(json_object_get(json_object_get(st->header, metadata_key), key));
}

void mv_safetensors_read(float *out, mv_tensor t)
{
    size_t n = mv_tensor_count(t), width = mv_dtype_size(t.type);
    if ((uintptr_t)t.data % width == 0) {
        if (n > 0)
            mv_to_f32(out, t.data, t.type, n);
        return;
    }
    uint64_t aligned[512];
    const char *at = t.data;
    while (n > 0) {
        size_t part = n < sizeof aligned / width ? n : sizeof aligned / width;
        memcpy(aligned, at, part * width);
        mv_to_f32(out, aligned, t.type, part);
        at += part * width;
        out += part;
        n -= part;
    }
}

void mv_safetensors_forget(const mv_safetensors *st, mv_tensor t)
{
    if (st->mapping.slot)
        mv_mapping_forget(t.data, (const unsigned char *)t.data + mv_tensor_bytes(t));
}

void mv_safetensors_sha256(const mv_safetensors *st, char hex[65])
{
    mv_mapping_sha256(st->bytes, st->size, st->mapping.slot > 0, hex);
}
