#include "src/file/safetensors.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/file/mapping.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file's byte order is used as it is");

typedef struct {
    const char *name, *type; /* both lie in the header's JSON */
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

/* Control characters in a name would reach the reader's terminal through messages. */
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
        return mv_fail(e, MV_EINPUT, "%s: has %zu bytes, a safetensors file starts with 8 for its header's length",
                       st->file, st->size);
    uint64_t length;
    memcpy(&length, st->bytes, sizeof length);
    if (length == 0 || length > MV_SAFETENSORS_MAX_HEADER)
        return mv_fail(e, MV_EINPUT, "%s: header of %llu bytes, 1 to %d expected (is it a safetensors file?)", st->file,
                       (unsigned long long)length, MV_SAFETENSORS_MAX_HEADER);
    if (length > st->size - 8)
        return mv_fail(e, MV_EINPUT, "%s: header of %llu bytes, but only %zu are left in the file", st->file,
                       (unsigned long long)length, st->size - 8);
    st->data = st->bytes + 8 + length;
    st->data_size = st->size - 8 - (size_t)length;

    json_error_t error;
    errno = 0;
    st->header = json_loadb((const char *)st->bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (!st->header && errno == ENOMEM) /* jansson's own error code does not tell reliably */
        return mv_fail_memory(e, st->file);
    if (!st->header) {
        for (char *c = error.text; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                *c = '?';
        return mv_fail(e, MV_EINPUT, "%s: header is not JSON: %s, at byte %d", st->file, error.text,
                       8 + error.position);
    }
    if (!json_is_object(st->header))
        return mv_fail(e, MV_EINPUT, "%s: header is JSON, but not an object of tensors", st->file);
    return MV_OK;
}

static mv_status check_metadata(const mv_safetensors *st, mv_error *e)
{
    json_t *metadata = json_object_get(st->header, metadata_key), *text;
    if (!metadata)
        return MV_OK;
    if (!json_is_object(metadata))
        return mv_fail(e, MV_EINPUT, "%s: %s is not an object", st->file, metadata_key);
    const char *key;
    json_object_foreach(metadata, key, text) if (!json_is_string(text)) return mv_fail(
        e, MV_EINPUT, "%s: %s: '%.100s' is not a string", st->file, metadata_key, is_printable(key) ? key : "?");
    return MV_OK;
}

/* Exactly the fields dtype, shape and data_offsets, of the right JSON types. */
static mv_status check_fields(const char *file, const char *name, json_t *tensor, mv_error *e)
{
    static const struct {
        const char *name, *kind;
        json_type type;
    } fields[] = {{"dtype", "a string", JSON_STRING},
                  {"shape", "an array", JSON_ARRAY},
                  {"data_offsets", "an array", JSON_ARRAY}};
    if (!json_is_object(tensor))
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s' is not an object", file, name);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_t *field = json_object_get(tensor, fields[i].name);
        if (!field)
            return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s' has no %s", file, name, fields[i].name);
        if (json_typeof(field) != fields[i].type)
            return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': %s is not %s", file, name, fields[i].name,
                           fields[i].kind);
    }
    if (json_object_size(tensor) != sizeof fields / sizeof *fields)
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s' has fields beyond dtype, shape and data_offsets", file, name);
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
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s' has %zu dimensions, at most %d expected", file, t->name, nd,
                       MV_MAX_DIMS);
    t->view.nd = (int)nd;
    for (size_t i = 0; i < nd; i++) {
        json_int_t dim;
        if (!whole_number(json_array_get(shape, i), INT_MAX, &dim))
            return mv_fail(e, MV_EINPUT,
                           "%s: tensor '%.100s': dimension %zu of its shape is not a whole number up to %d", file,
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
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': data_offsets are not two whole numbers", st->file, t->name);
    if (end < begin)
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': its data end at %lld, before they begin at %lld", st->file,
                       t->name, (long long)end, (long long)begin);
    if ((unsigned long long)end > st->data_size)
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': its data end at %lld, but the file has %zu bytes of data",
                       st->file, t->name, (long long)end, st->data_size);
    t->begin = (size_t)begin;
    t->end = (size_t)end;
    return MV_OK;
}

/* The size that shape and type ask for is the size between the offsets. Unknown types have no size to compare. */
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
            return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': shape %s is more than memory can address", file, t->name,
                           mv_shape_text(shape, t->view.nd, t->view.dim));
    if (bytes != t->end - t->begin)
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s' has %zu bytes of data, its shape %s of %s takes %zu", file,
                       t->name, t->end - t->begin, mv_shape_text(shape, t->view.nd, t->view.dim), t->type, bytes);
    return MV_OK;
}

static mv_status read_entry(entry *t, const mv_safetensors *st, const char *name, json_t *tensor, mv_error *e)
{
    if (!is_printable(name))
        return mv_fail(e, MV_EINPUT, "%s: a tensor's name has control characters", st->file);
    if (check_fields(st->file, name, tensor, e) != MV_OK)
        return MV_EINPUT;
    t->name = name;
    t->type = json_string_value(json_object_get(tensor, "dtype"));
    if (!is_printable(t->type))
        return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s': its dtype has control characters", st->file, name);
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

/* Side by side the tensors cover the data, each byte once. */
static mv_status check_cover(const mv_safetensors *st, mv_error *e)
{
    size_t covered = 0;
    for (int i = 0; i < st->count; i++) {
        const entry *t = &st->entries[i];
        if (t->begin < covered)
            return mv_fail(e, MV_EINPUT, "%s: tensor '%.100s' begins at %zu and overlaps '%.100s', which ends at %zu",
                           st->file, t->name, t->begin, t[-1].name, covered);
        if (t->begin > covered)
            return mv_fail(e, MV_EINPUT,
                           "%s: %zu bytes of data before tensor '%.100s' belong to none, no hole expected", st->file,
                           t->begin - covered, t->name);
        covered = t->end;
    }
    if (covered != st->data_size)
        return mv_fail(e, MV_EINPUT, "%s: %zu bytes after the last tensor, none expected", st->file,
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

mv_safetensors *mv_safetensors_of(const void *bytes, size_t size, const char *name, mv_error *e)
{
    mv_safetensors *st = calloc(1, sizeof *st);
    char *file = strdup(name);
    if (!st || !file) {
        free(st);
        free(file);
        mv_fail_memory(e, name);
        return NULL;
    }
    st->file = file;
    st->bytes = bytes;
    st->size = size;
    if (read_file(st, e) == MV_OK)
        return st;
    mv_safetensors_close(st);
    return NULL;
}

mv_safetensors *mv_safetensors_open(const char *path, mv_error *e)
{
    mv_mapping mapping;
    if (mv_mapping_open(&mapping, path, e) != MV_OK)
        return NULL;
    mv_safetensors *st = mv_safetensors_of(mapping.bytes, mapping.size, path, e);
    if (st)
        st->mapping = mapping;
    else
        mv_mapping_close(&mapping);
    return st;
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

size_t mv_safetensors_size(const mv_safetensors *st)
{
    return st->size;
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
        return mv_fail(e, MV_EINPUT, "%s: has no tensor '%.100s'", st->file, name);
    if (!t->usable)
        return mv_fail(e, MV_EINPUT,
                       "%s: tensor '%.100s' is of type %.32s, F32, F16, BF16, F64, I64, I32 or U8 expected", st->file,
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

/* Whole pages between two places in the mapping leave memory; a later read fetches them again. */
static void forget(const unsigned char *begin, const unsigned char *end)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)begin + page - 1) / page * page, last = (uintptr_t)end / page * page;
    if (first < last)
        madvise((void *)first, last - first, MADV_DONTNEED);
}

void mv_safetensors_forget(const mv_safetensors *st, mv_tensor t)
{
    if (st->mapping.bytes)
        forget(t.data, (const unsigned char *)t.data + mv_tensor_bytes(t));
}

void mv_safetensors_sha256(const mv_safetensors *st, char hex[65])
{
    enum { CHUNK = 16 << 20 };
    struct sha256_ctx hash;
    sha256_init(&hash);
    for (size_t at = 0; at < st->size; at += CHUNK) {
        size_t n = st->size - at < CHUNK ? st->size - at : CHUNK;
        sha256_update(&hash, n, st->bytes + at);
        if (st->mapping.bytes)
            forget(st->bytes + at, st->bytes + at + n);
    }
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&hash, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}
