#include "src/file/arrays.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "src/base/text.h"
#include "src/file/mapping.h"
#include "src/file/npy.h"
#include "src/file/safetensors.h"
#include "src/file/system_impl.h"
#include "src/file/zip_read.h"

enum { MOST_ARRAYS = 1 << 20 };

typedef struct {
    char *name;
    int entry; /* of a .npz */
} named;

struct mv_arrays {
    char *path, *place; /* place: begins the errors of the array at hand */
    bool one;
    mv_safetensors *file;
    mv_zip *zip;
    int n, room;
    named *array;
    /* The array that was read last, -1: none; view: where it is. */
    int last;
    mv_tensor view;
    char *mapped; /* the path of `mapping` */
    mv_mapping mapping;
    unsigned char *bytes;
};

static mv_status add(mv_arrays *a, const char *name, size_t letters, int entry, mv_error *e)
{
    if (a->n == MOST_ARRAYS)
        return mv_fail(e, MV_EINPUT, "%s: found more than %d arrays, expected at most that", a->path, MOST_ARRAYS);
    if (a->n == a->room) {
        int room = a->room ? 2 * a->room : 64;
        named *more = realloc(a->array, (size_t)room * sizeof *more);
        if (!more)
            return mv_fail_memory(e, a->path);
        a->array = more;
        a->room = room;
    }
    a->array[a->n] = (named){strndup(name, letters), entry};
    return a->array[a->n++].name ? MV_OK : mv_fail_memory(e, a->path);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

/* Two arrays of one name: which of them is meant cannot be known. */
static mv_status refuse_twins(const mv_arrays *a, mv_error *e)
{
    for (int i = 1; i < a->n; i++) {
        if (strcmp(a->array[i - 1].name, a->array[i].name))
            continue;
        char *name = mv_text_escape(a->array[i].name);
        mv_status s = name ? mv_fail(e, MV_EINPUT, "%s: found two arrays named '%.100s', expected one of each name",
                                     a->path, name)
                           : mv_fail_memory(e, a->path);
        free(name);
        return s;
    }
    return MV_OK;
}

/* ---- opening */

static mv_status open_safetensors(mv_arrays *a, mv_error *e)
{
    a->file = mv_safetensors_open(a->path, e);
    mv_status s = a->file ? MV_OK : e->code;
    for (int i = 0; !s && i < mv_safetensors_count(a->file); i++) {
        const char *name = mv_safetensors_name_at(a->file, i);
        s = add(a, name, strlen(name), 0, e);
    }
    return s;
}

static mv_status open_zip(mv_arrays *a, mv_error *e)
{
    a->zip = mv_zip_open(a->path, e);
    mv_status s = a->zip ? MV_OK : e->code;
    for (int i = 0; !s && i < mv_zip_count(a->zip); i++) {
        const char *name = mv_zip_name_at(a->zip, i);
        if (strlen(name) > 4 && mv_text_ends_in(name, ".npy"))
            s = add(a, name, strlen(name) - 4, i, e);
    }
    return s;
}

static mv_status open_folder(mv_arrays *a, mv_error *e)
{
    DIR *d = opendir(a->path);
    mv_status s = d ? MV_OK : mv_fail_errno(e, a->path, "cannot be read");
    for (struct dirent *at; !s && (at = mv_system_entry(d));)
        if (at->d_name[0] != '.' && strlen(at->d_name) > 4 && mv_text_ends_in(at->d_name, ".npy"))
            s = add(a, at->d_name, strlen(at->d_name) - 4, 0, e);
    if (!s && errno)
        s = mv_fail_errno(e, a->path, "cannot be read");
    if (d)
        closedir(d);
    return s;
}

static mv_status open_one(mv_arrays *a, mv_error *e)
{
    const char *base = mv_text_base_name(a->path);
    a->one = true;
    return add(a, base, strlen(base) - 4, 0, e);
}

static mv_status open_any(mv_arrays *a, mv_error *e)
{
    struct stat st;
    mv_status s;
    if (stat(a->path, &st))
        return mv_fail_errno(e, a->path, "cannot be read");
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return mv_fail(e, MV_EINPUT, "%s: found a pipe or device, expected a file or folder", a->path);
    if (S_ISDIR(st.st_mode))
        s = open_folder(a, e);
    else if (mv_text_ends_in(a->path, ".safetensors"))
        s = open_safetensors(a, e);
    else if (mv_text_ends_in(a->path, ".npz"))
        s = open_zip(a, e);
    else if (mv_text_ends_in(a->path, ".npy"))
        s = open_one(a, e);
    else
        s = mv_fail(e, MV_EINPUT,
                    "%s: found another ending, expected .safetensors, .npz, .npy or a folder of .npy files", a->path);
    if (!s && a->n == 0)
        s = mv_fail(e, MV_EINPUT, "%s: found no array in it, expected at least one", a->path);
    if (s)
        return s;
    qsort(a->array, (size_t)a->n, sizeof *a->array, by_name);
    return refuse_twins(a, e);
}

mv_arrays *mv_arrays_open(const char *path, mv_error *e)
{
    mv_error mine = {0};
    mv_arrays *a = calloc(1, sizeof *a);
    if (a)
        *a = (mv_arrays){.path = strdup(path), .last = -1};
    if (!a || !a->path)
        mv_fail_memory(&mine, path);
    else if (!open_any(a, &mine))
        return a;
    mv_arrays_close(a);
    mv_fail(e, mine.code, "%s", mine.text);
    return NULL;
}

static void let_go(mv_arrays *a)
{
    mv_mapping_close(&a->mapping);
    free(a->mapped);
    free(a->bytes);
    a->mapped = NULL;
    a->bytes = NULL;
    a->last = -1;
}

void mv_arrays_close(mv_arrays *a)
{
    if (!a)
        return;
    let_go(a);
    for (int i = 0; i < a->n; i++)
        free(a->array[i].name);
    free(a->array);
    mv_safetensors_close(a->file);
    mv_zip_close(a->zip);
    free(a->place);
    free(a->path);
    free(a);
}

int mv_arrays_count(const mv_arrays *a)
{
    return a->n;
}

const char *mv_arrays_name_at(const mv_arrays *a, int i)
{
    return a->array[i].name;
}

int mv_arrays_lookup(const mv_arrays *a, const char *name)
{
    named key = {.name = (char *)(uintptr_t)name};
    const named *found = bsearch(&key, a->array, (size_t)a->n, sizeof *a->array, by_name);
    return found ? (int)(found - a->array) : -1;
}

bool mv_arrays_is_one(const mv_arrays *a)
{
    return a->one;
}

/* ---- one array */

/* A stored entry lies in the file itself. With `data` its checksum is compared. */
static mv_status view_entry(mv_arrays *a, int entry, bool data, mv_tensor *out, mv_error *e)
{
    const unsigned char *bytes = mv_zip_stored(a->zip, entry);
    mv_status s = mv_npy_of(out, bytes, (size_t)mv_zip_size_at(a->zip, entry), a->place, e);
    return s || !data ? s : mv_zip_check(a->zip, entry, a->place, e);
}

/* Unpacks the header of an entry of a .npz, and with `data` all of it, once the header's shape confirms its size. */
static mv_status load_entry(mv_arrays *a, int entry, bool data, mv_tensor *out, mv_error *e)
{
    if (mv_zip_stored(a->zip, entry))
        return view_entry(a, entry, data, out, e);
    uint64_t size = mv_zip_size_at(a->zip, entry);
    size_t prefix = size < MV_NPY_PREFIX ? (size_t)size : MV_NPY_PREFIX, start = 0;
    unsigned char *bytes = malloc(prefix + 1);
    mv_status s = bytes ? mv_zip_read(a->zip, entry, bytes, prefix, a->place, e) : mv_fail_memory(e, a->place);
    if (!s)
        s = mv_npy_peek(out, &start, bytes, prefix, size, a->place, e);
    unsigned char *whole = !s && data ? realloc(bytes, (size_t)size + 1) : NULL;
    if (whole) {
        bytes = whole;
        s = mv_zip_read(a->zip, entry, bytes, (size_t)size, a->place, e);
        out->data = bytes + start;
    } else if (!s && data)
        s = mv_fail_memory(e, a->place);
    if (s || !data)
        free(bytes);
    else
        a->bytes = bytes;
    return s;
}

static mv_status load_file(mv_arrays *a, const char *name, mv_tensor *out, mv_error *e)
{
    if (asprintf(&a->mapped, a->one ? "%s" : "%s/%s.npy", a->path, name) < 0) {
        a->mapped = NULL;
        return mv_fail_memory(e, a->place);
    }
    mv_status s = mv_mapping_open(&a->mapping, a->mapped, e);
    return s ? s : mv_npy_of(out, a->mapping.bytes, a->mapping.size, a->place, e);
}

/* MV_EIO if what was read is not what the files held. */
static mv_status check_files(const mv_arrays *a, mv_error *e)
{
    return a->file  ? mv_safetensors_check(a->file, e)
           : a->zip ? mv_zip_whole(a->zip, e)
                    : mv_mapping_check(&a->mapping, a->mapped, e);
}

/* Makes array i the one at hand. Of an entry of a .npz only the header is read without `data`. */
static mv_status load(mv_arrays *a, int i, bool data, mv_tensor *out, mv_error *e)
{
    if (a->last == i) {
        *out = a->view;
        return MV_OK;
    }
    let_go(a);
    free(a->place);
    if (asprintf(&a->place, a->one ? "%s" : "%s: %s", a->path, a->array[i].name) < 0) {
        a->place = NULL;
        return mv_fail_memory(e, a->path);
    }
    mv_error mine = {0}; /* e may be NULL */
    mv_status s = a->file  ? mv_safetensors_find(a->file, a->array[i].name, out, &mine)
                  : a->zip ? load_entry(a, a->array[i].entry, data, out, &mine)
                           : load_file(a, a->array[i].name, out, &mine);
    mv_status changed = check_files(a, e);
    if (s || changed) {
        let_go(a);
        return changed ? changed : mv_fail(e, s, "%s", mine.text);
    }
    if (data || !a->zip) {
        a->last = i;
        a->view = *out;
    }
    return MV_OK;
}

mv_status mv_arrays_shape(mv_arrays *a, int i, mv_tensor *out, mv_error *e)
{
    mv_status s = load(a, i, false, out, e);
    out->data = NULL;
    return s;
}

mv_status mv_arrays_read(mv_arrays *a, int i, size_t from, size_t n, float *out, mv_error *e)
{
    mv_tensor t;
    mv_status s = load(a, i, true, &t, e);
    if (s)
        return s;
    size_t all = mv_tensor_count(t);
    if (from > all || n > all - from)
        return mv_fail(e, MV_EMISUSE, "%s: found %zu elements, expected at least %zu", a->place, all, from + n);
    mv_tensor part = mv_tensor_of((char *)t.data + from * mv_dtype_size(t.type), t.type, 1, 1);
    for (size_t done = 0; done < n;) { /* a dimension is an int */
        part.dim[0] = n - done < 1 << 30 ? (int)(n - done) : 1 << 30;
        mv_safetensors_read(out + done, part);
        done += (size_t)part.dim[0];
        part.data = (char *)part.data + (size_t)part.dim[0] * mv_dtype_size(t.type);
    }
    return check_files(a, e);
}
