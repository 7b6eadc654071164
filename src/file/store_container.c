#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "src/file/npy.h"
#include "src/file/safetensors.h"
#include "src/file/store_impl.h"
#include "src/file/zip_layout.h"

mv_status mv_container_open(mv_store *s)
{
    if (s->kind == MV_STORE_FOLDER)
        s->folder = mv_folder_open(s->path, &s->error);
    else
        s->output = mv_output_open(s->path, &s->error);
    return s->error.code;
}

void mv_container_discard(mv_store *s)
{
    mv_output_discard(s->output);
    mv_folder_discard(s->folder);
    s->output = NULL;
    s->folder = NULL;
}

static mv_status write_at(mv_store *s, const void *bytes, size_t n, uint64_t offset)
{
    if (mv_output_pwrite(s->output, bytes, n, offset) != MV_OK)
        mv_fail(&s->error, mv_output_error(s->output)->code, "%s", mv_output_error(s->output)->text);
    return s->error.code;
}

static mv_status safetensors_header(mv_store *s, char **header, size_t *size)
{
    size_t n = (size_t)s->count, n_meta = json_object_size(s->meta), k = 0;
    const char **texts = calloc(n + 2 * n_meta + 1, sizeof *texts);
    mv_tensor *tensors = calloc(n + 1, sizeof *tensors);
    if (texts && tensors) {
        const char **names = texts, **keys = texts + n, **values = keys + n_meta, *key;
        json_t *text;
        for (size_t i = 0; i < n; i++) {
            names[i] = s->arrays[i].name;
            tensors[i] = s->arrays[i].tensor;
        }
        json_object_foreach(s->meta, key, text)
        {
            keys[k] = key;
            values[k++] = json_string_value(text);
        }
        mv_safetensors_header(header, size, s->path, (int)n, names, tensors, (int)n_meta, keys, values, &s->error);
    } else {
        mv_fail_memory(&s->error, s->path);
    }
    free(tensors);
    free(texts);
    return s->error.code;
}

/* The layout that the present shapes and texts ask for. offset[i] is where the values of array i lie; returns where the
 * last of them end. *header is for the caller to free; NULL where nothing precedes all arrays. */
static uint64_t lay_out(mv_store *s, uint64_t *offset, char **header, size_t *header_size)
{
    *header = NULL;
    *header_size = 0;
    if (s->kind == MV_STORE_SAFETENSORS) {
        safetensors_header(s, header, header_size);
    } else if (s->kind == MV_STORE_NPY && s->count > 0) {
        if ((*header = malloc(MV_NPY_HEADER)))
            mv_npy_header(*header, MV_F32, s->arrays->tensor.nd, s->arrays->tensor.dim);
        else
            mv_fail_memory(&s->error, s->path);
        *header_size = MV_NPY_HEADER;
    }
    uint64_t at = *header_size;
    for (int i = 0; i < s->count; i++) {
        const mv_store_array *a = &s->arrays[i];
        if (s->kind == MV_STORE_NPZ)
            at += mv_npz_local_size(a->file) + MV_NPY_HEADER;
        else if (s->kind == MV_STORE_FOLDER)
            at = MV_NPY_HEADER;
        offset[i] = at;
        at += a->row * (uint64_t)a->tensor.dim[0];
    }
    return at;
}

mv_status mv_container_begin(mv_store *s)
{
    uint64_t *offset = calloc((size_t)s->count + 1, sizeof *offset);
    if (!offset)
        return mv_fail_memory(&s->error, s->path);
    char *header;
    size_t size;
    s->end = lay_out(s, offset, &header, &size);
    s->stale = false;
    for (int i = 0; i < s->count; i++)
        s->arrays[i].offset = offset[i];
    free(offset);
    if (s->error.code == MV_OK && header)
        write_at(s, header, size, 0);
    free(header);
    return s->error.code;
}

mv_status mv_container_put(mv_store *s, mv_store_array *a, uint64_t done, const void *bytes, size_t n)
{
    if (s->kind == MV_STORE_FOLDER)
        return mv_folder_write(s->folder, a->file, bytes, n, a->offset + done, &s->error);
    if (s->kind == MV_STORE_NPZ)
        a->crc = (uint32_t)crc32_z(a->crc, bytes, n);
    return write_at(s, bytes, n, a->offset + done);
}

static void move(mv_store *s, mv_store_array *a, uint64_t to)
{
    if (s->error.code == MV_OK &&
        mv_output_move(s->output, to, a->offset, a->row * (uint64_t)a->tensor.dim[0]) != MV_OK)
        mv_fail(&s->error, mv_output_error(s->output)->code, "%s", mv_output_error(s->output)->text);
    a->offset = to;
}

/* Moves the arrays to where they belong. Their order stays, so no array is overwritten before it is moved: first those
 * that move down, from the first one; then those that move up, from the last one. */
static void move_all(mv_store *s, const uint64_t *offset)
{
    for (int i = 0; i < s->count; i++)
        if (offset[i] < s->arrays[i].offset)
            move(s, &s->arrays[i], offset[i]);
    for (int i = s->count - 1; i >= 0; i--)
        if (offset[i] > s->arrays[i].offset)
            move(s, &s->arrays[i], offset[i]);
}

/* Makes the file what it would be if its final shapes and texts had been known at the start. */
static mv_status settle(mv_store *s)
{
    if (!s->stale)
        return s->error.code;
    uint64_t *offset = calloc((size_t)s->count + 1, sizeof *offset);
    char *header;
    size_t size;
    if (!offset)
        return mv_fail_memory(&s->error, s->path);
    uint64_t end = lay_out(s, offset, &header, &size);
    if (s->error.code == MV_OK && s->kind != MV_STORE_FOLDER) {
        move_all(s, offset);
        if (header && s->error.code == MV_OK)
            write_at(s, header, size, 0);
        if (end != s->end && s->error.code == MV_OK && mv_output_resize(s->output, end) != MV_OK)
            mv_fail(&s->error, mv_output_error(s->output)->code, "%s", mv_output_error(s->output)->text);
        s->end = end;
    }
    free(header);
    free(offset);
    return s->error.code;
}

/* The text of manifest.json, for the caller to free; NULL without memory: the members that are known here, then those
 * of the manifest that was given. */
static char *manifest_text(const mv_store *s)
{
    const char *given = json_string_value(json_object_get(s->meta, "manifest")), *key;
    json_t *manifest = json_object(), *files = json_array(), *text;
    bool whole = manifest && files && json_object_set_new(manifest, "format", json_string(MV_FOLDER_FORMAT)) == 0;
    for (int i = 0; i < s->count; i++)
        whole = whole && json_array_append_new(files, json_string(s->arrays[i].file)) == 0;
    whole = whole && json_object_set(manifest, "files", files) == 0;
    json_object_foreach(s->meta, key, text) if (strcmp(key, "manifest") != 0) whole =
        whole && json_object_set(manifest, key, text) == 0;
    char *head = whole ? json_dumps(manifest, JSON_INDENT(2)) : NULL, *result = head;
    json_decref(files);
    json_decref(manifest);
    if (head && given && strspn(given + 1, " \n}") + 1 < strlen(given)) { /* it has members */
        head[strlen(head) - 2] = '\0';                                    /* less "\n}" */
        if (asprintf(&result, "%s,%s", head, given + 1) < 0)
            result = NULL;
        free(head);
    }
    return result;
}

/* Writes the .npy header of every array and the records of the archive. */
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
            const mv_store_array *a = &s->arrays[i];
            uint64_t values = a->row * (uint64_t)a->tensor.dim[0];
            char header[MV_NPY_HEADER];
            mv_npy_header(header, MV_F32, a->tensor.nd, a->tensor.dim);
            write_at(s, header, sizeof header, a->offset - sizeof header);
            t.name = a->file;
            t.offset = a->offset - sizeof header - mv_npz_local_size(a->file);
            t.size = sizeof header + values;
            t.crc = (uint32_t)crc32_combine(crc32_z(0, (const unsigned char *)header, sizeof header), a->crc,
                                            (z_off_t)values);
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

static mv_status finish_folder(mv_store *s, const char *manifest)
{
    for (int i = 0; i < s->count && s->error.code == MV_OK; i++) {
        const mv_store_array *a = &s->arrays[i];
        char header[MV_NPY_HEADER];
        mv_npy_header(header, MV_F32, a->tensor.nd, a->tensor.dim);
        mv_folder_write(s->folder, a->file, header, sizeof header, 0, &s->error);
    }
    if (s->error.code == MV_OK)
        mv_folder_write(s->folder, MV_FOLDER_MANIFEST, manifest, strlen(manifest), 0, &s->error);
    return s->error.code;
}

static mv_status finish(mv_store *s)
{
    if (settle(s) != MV_OK || s->kind == MV_STORE_SAFETENSORS || s->kind == MV_STORE_NPY)
        return s->error.code;
    char *manifest = manifest_text(s);
    if (!manifest)
        return mv_fail_memory(&s->error, s->path);
    if (s->kind == MV_STORE_NPZ)
        finish_npz(s, manifest);
    else
        finish_folder(s, manifest);
    free(manifest);
    return s->error.code;
}

mv_status mv_container_commit(mv_store *s)
{
    if (finish(s) != MV_OK)
        return s->error.code;
    if (s->kind == MV_STORE_FOLDER)
        mv_folder_commit(s->folder, &s->error);
    else
        mv_output_commit(s->output, &s->error);
    s->folder = NULL;
    s->output = NULL;
    return s->error.code;
}
