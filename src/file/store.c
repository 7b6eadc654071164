#include "src/file/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/store_impl.h"
#include "src/file/system_impl.h"

enum { MAX_NAME = 200, CHUNK = 1 << 20 };

mv_status mv_store_kind_of(mv_store_kind *kind, const char *path, const char *place, mv_error *e)
{
    static const struct {
        const char *ending;
        mv_store_kind kind;
    } endings[] = {{".safetensors", MV_STORE_SAFETENSORS}, {".npz", MV_STORE_NPZ}, {".npy", MV_STORE_NPY}};
    size_t n = strlen(path);
    struct stat st;
    *kind = MV_STORE_FOLDER;
    if (n > 0 && path[n - 1] == '/')
        return MV_OK;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t m = strlen(endings[i].ending);
        if (n > m && strcasecmp(path + n - m, endings[i].ending) == 0) {
            *kind = endings[i].kind;
            return MV_OK;
        }
    }
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return MV_OK;
    return mv_fail(e, MV_EINPUT,
                   "%s: found '%s', expected a name ending in .safetensors, .npz or .npy, or a folder: '%s/'", place,
                   path, n > 0 ? path : "NAME");
}

mv_status mv_store_check(const char *path, mv_error *e)
{
    mv_store_kind kind;
    mv_status code = mv_store_kind_of(&kind, path, "output", e);
    if (code != MV_OK || kind != MV_STORE_FOLDER)
        return code == MV_OK ? mv_output_check(path, e) : code;
    mv_error error = {0};
    mv_folder_discard(mv_folder_open(path, &error));
    return error.code == MV_OK ? MV_OK : mv_fail(e, error.code, "%s", error.text);
}

/* What a public function returns: the store's failure, copied to the caller. */
static mv_status result(const mv_store *s, mv_error *e)
{
    return s->error.code == MV_OK ? MV_OK : mv_fail(e, s->error.code, "%s", s->error.text);
}

/* A store without a container; NULL if `path` cannot be written. */
static mv_store *store_new(const char *path, mv_error *e)
{
    mv_store_kind kind;
    if (mv_store_check(path, e) != MV_OK || mv_store_kind_of(&kind, path, "output", e) != MV_OK)
        return NULL;
    mv_store *s = calloc(1, sizeof *s);
    if (s) {
        s->kind = kind;
        s->path = strdup(path);
        s->meta = json_object();
        if (s->path && s->meta)
            return s;
    }
    mv_store_suspend(s);
    mv_fail_memory(e, path);
    return NULL;
}

mv_store *mv_store_open(const char *path, mv_error *e)
{
    mv_store *s = store_new(path, e);
    if (!s || mv_container_open(s) == MV_OK)
        return s;
    result(s, e);
    mv_store_discard(s);
    return NULL;
}

mv_store *mv_store_open_resumable(const char *path, const char *fingerprint, mv_error *e)
{
    mv_store *s = store_new(path, e);
    if (!s || (s->partial = mv_partial_open(path, fingerprint, &s->error)))
        return s;
    result(s, e);
    mv_store_suspend(s);
    return NULL;
}

int mv_store_note_count(const mv_store *s)
{
    return s->partial ? mv_partial_note_count(s->partial) : 0;
}

const char *mv_store_note_at(const mv_store *s, int i)
{
    return mv_partial_note_at(s->partial, i);
}

static void store_free(mv_store *s)
{
    mv_container_discard(s);
    json_decref(s->meta);
    for (int i = 0; i < s->count; i++) {
        free(s->arrays[i].file);
        free(s->arrays[i].name);
    }
    free(s->arrays);
    free(s->path);
    free(s);
}

void mv_store_suspend(mv_store *s)
{
    if (!s)
        return;
    mv_partial_close(s->partial);
    store_free(s);
}

void mv_store_discard(mv_store *s)
{
    if (!s)
        return;
    if (s->partial)
        mv_partial_remove(s->partial, NULL);
    store_free(s);
}

static mv_store_array *find(mv_store *s, const char *name)
{
    for (int i = 0; i < s->count; i++) {
        int at = (s->next + i) % s->count;
        if (strcmp(s->arrays[at].name, name) == 0) {
            s->next = at + 1;
            return &s->arrays[at];
        }
    }
    return NULL;
}

/* Such a name is valid in every container, and its file stays inside the folder. */
static bool is_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c < ' ' || *c > '~' || *c == '/')
            return false;
    return *name && *name != '.' && strlen(name) <= MAX_NAME && strcmp(name, "__metadata__") != 0;
}

static uint64_t size_of(const mv_store_array *a)
{
    return a->row * (uint64_t)a->tensor.dim[0];
}

static mv_status set_shape(mv_store *s, mv_store_array *a, const char *name, int nd, const int *dim)
{
    char shape[64];
    uint64_t all = sizeof(float); /* of the dimensions that are not 0, which hide none that are too large */
    bool fits = true;
    a->tensor = (mv_tensor){.type = MV_F32, .nd = nd};
    a->row = sizeof(float);
    for (int i = 0; i < nd; i++) {
        if (dim[i] < 0)
            return mv_fail(&s->error, MV_EMISUSE, "%s: found dimension %d of '%s', expected 0 or more", s->path, dim[i],
                           name);
        a->tensor.dim[i] = dim[i];
        fits = fits && !__builtin_mul_overflow(all, dim[i] ? (uint64_t)dim[i] : 1, &all);
        if (i > 0 && fits)
            a->row *= (uint64_t)dim[i];
    }
    uint64_t total = 0, size;
    for (int i = 0; i < s->count; i++)
        total += size_of(&s->arrays[i]);
    if (!fits || __builtin_mul_overflow(a->row, (uint64_t)dim[0], &size) || size > INT64_MAX / 2 - total)
        return mv_fail(&s->error, MV_EINPUT, "%s: found '%s' of shape %s, expected at most what a file can hold",
                       s->path, name, mv_shape_text(shape, nd, dim));
    return MV_OK;
}

static mv_status check_declaration(mv_store *s, const char *name, int nd)
{
    if (!is_name(name))
        return mv_fail(&s->error, MV_EINPUT,
                       "%s: found the name '%.*s' for an array, expected up to %d printable ASCII characters, no '/' "
                       "and no leading '.'",
                       s->path, MAX_NAME, name, MAX_NAME);
    const char *wrong = nd < 1 || nd > MV_MAX_DIMS ? "declared with no dimension or too many, expected 1 to 5"
                        : s->begun                 ? "declared after values were appended, expected before"
                        : find(s, name)            ? "declared twice, expected once"
                        : s->kind == MV_STORE_NPY && s->count > 0 ? "as a second array, expected one in a .npy file"
                                                                  : NULL;
    return wrong ? mv_fail(&s->error, MV_EMISUSE, "%s: found '%s' %s", s->path, name, wrong) : s->error.code;
}

static mv_status make_room(mv_store *s)
{
    if (s->count < s->room)
        return MV_OK;
    int room = 2 * s->room + 16;
    mv_store_array *more = realloc(s->arrays, (size_t)room * sizeof *more);
    if (!more)
        return mv_fail_memory(&s->error, s->path);
    s->arrays = more;
    s->room = room;
    return MV_OK;
}

/* Takes over what the earlier run left of an array. */
static mv_status continue_array(mv_store *s, mv_store_array *a)
{
    if (mv_partial_declare(s->partial, a->name, &s->error) != MV_OK)
        return s->error.code;
    uint64_t size = mv_partial_size(s->partial, s->count);
    if (size > size_of(a) || (a->row > 0 && size % a->row != 0))
        return mv_fail(&s->error, MV_EINPUT,
                       "%s.partial: found %llu bytes of '%s', expected at most %d rows of %llu: remove that folder, or "
                       "run without --resume",
                       s->path, (unsigned long long)size, a->name, a->tensor.dim[0], (unsigned long long)a->row);
    a->rows = a->row > 0 ? (int)(size / a->row) : 0;
    return MV_OK;
}

mv_status mv_store_declare(mv_store *s, const char *name, int nd, const int *dim, mv_error *e)
{
    mv_store_array a = {0};
    if (check_declaration(s, name, nd) != MV_OK || set_shape(s, &a, name, nd, dim) != MV_OK || make_room(s) != MV_OK)
        return result(s, e);
    a.name = strdup(name);
    if (!a.name || asprintf(&a.file, "%s.npy", name) < 0) {
        a.file = NULL;
        mv_fail_memory(&s->error, s->path);
    }
    if (s->error.code != MV_OK || (s->partial && continue_array(s, &a) != MV_OK)) {
        free(a.name);
        free(a.file);
    } else {
        s->arrays[s->count++] = a;
    }
    return result(s, e);
}

mv_status mv_store_meta(mv_store *s, const char *key, const char *text, mv_error *e)
{
    if (s->error.code != MV_OK)
        return result(s, e);
    if (strcmp(key, "manifest") == 0) {
        /* A list of many thousand images takes megabytes as text, and ten times as much parsed: its ends are looked at.
         */
        size_t n = strlen(text);
        if (n < 2 || text[0] != '{' || text[n - 1] != '}')
            mv_fail(&s->error, MV_EMISUSE, "%s: found a manifest that is no JSON object, expected one", s->path);
    }
    json_error_t error;
    json_t *pair = json_pack_ex(&error, 0, "{s:s}", key, text);
    if (!pair && json_error_code(&error) == json_error_invalid_utf8)
        mv_fail(&s->error, MV_EINPUT, "%s: found metadata '%.100s' that is not UTF-8, expected UTF-8", s->path, key);
    else if (json_object_update(s->meta, pair) < 0)
        mv_fail_memory(&s->error, s->path);
    s->stale = true;
    json_decref(pair);
    return result(s, e);
}

static mv_status begin(mv_store *s)
{
    if (s->begun || s->error.code != MV_OK)
        return s->error.code;
    s->begun = true;
    return s->partial ? mv_partial_begin(s->partial, &s->error) : mv_container_begin(s);
}

mv_status mv_store_append(mv_store *s, const char *name, const float *values, int rows, mv_error *e)
{
    mv_store_array *a = find(s, name);
    if (!a)
        mv_fail(&s->error, MV_EMISUSE, "%s: found rows of '%s', expected those of a declared array", s->path, name);
    else if (rows < 0)
        mv_fail(&s->error, MV_EMISUSE, "%s: found %d rows of '%s', expected 0 or more", s->path, rows, name);
    if (begin(s) != MV_OK)
        return result(s, e);
    if (rows > a->tensor.dim[0] - a->rows)
        mv_fail(&s->error, MV_EMISUSE, "%s: found %lld rows of '%s', expected at most %d", s->path,
                (long long)a->rows + rows, name, a->tensor.dim[0]);
    uint64_t done = a->row * (uint64_t)a->rows, n = a->row * (uint64_t)rows;
    if (n == 0 || s->error.code != MV_OK) {
        /* nothing to write */
    } else if (s->partial) {
        mv_partial_append(s->partial, (int)(a - s->arrays), values, n, &s->error);
    } else {
        mv_container_put(s, a, done, values, n);
    }
    if (s->error.code == MV_OK)
        a->rows += rows;
    return result(s, e);
}

mv_status mv_store_checkpoint(mv_store *s, const char *note, mv_error *e)
{
    if (s->partial && begin(s) == MV_OK)
        mv_partial_checkpoint(s->partial, note, &s->error);
    return result(s, e);
}

mv_status mv_store_shrink(mv_store *s, int expected, int came, mv_error *e)
{
    if (expected < 1 || came < 0 || came > expected)
        mv_fail(&s->error, MV_EMISUSE, "%s: found %d pictures, expected 0 to %d", s->path, came, expected);
    if (begin(s) != MV_OK)
        return result(s, e);
    s->stale = true;
    for (int i = 0; i < s->count && s->error.code == MV_OK; i++) {
        mv_store_array *a = &s->arrays[i];
        long long rows = (long long)a->tensor.dim[0] * came;
        if (rows % expected)
            mv_fail(&s->error, MV_EMISUSE, "%s: found %d rows of '%s' for %d pictures, expected a multiple", s->path,
                    a->tensor.dim[0], a->name, expected);
        else
            a->tensor.dim[0] = (int)(rows / expected);
    }
    return result(s, e);
}

/* Copies the rows of an array from PATH.partial into the container. */
static mv_status copy_array(mv_store *s, int i, char *buffer)
{
    mv_store_array *a = &s->arrays[i];
    uint64_t done = 0, size = size_of(a);
    int fd = size > 0 ? mv_partial_read(s->partial, i, &s->error) : -1;
    while (done < size && s->error.code == MV_OK) {
        ssize_t n = mv_system_read(fd, buffer, size - done < CHUNK ? (size_t)(size - done) : CHUNK);
        if (n == 0)
            errno = EIO; /* cut short by somebody else */
        if (n <= 0)
            mv_fail_errno(&s->error, s->path, "its unfinished rows cannot be read");
        else if (mv_container_put(s, a, done, buffer, (size_t)n) == MV_OK)
            done += (uint64_t)n;
    }
    if (fd >= 0)
        close(fd);
    return s->error.code;
}

/* Writes a resumable store as an ordinary one that knows its shapes. */
static mv_status assemble(mv_store *s)
{
    char *buffer = malloc(CHUNK);
    if (!buffer)
        return mv_fail_memory(&s->error, s->path);
    if (mv_container_open(s) == MV_OK)
        mv_container_begin(s);
    for (int i = 0; i < s->count && s->error.code == MV_OK; i++)
        copy_array(s, i, buffer);
    free(buffer);
    return s->error.code;
}

static mv_status finish(mv_store *s)
{
    if (begin(s) != MV_OK)
        return s->error.code;
    for (int i = 0; i < s->count; i++) {
        const mv_store_array *a = &s->arrays[i];
        if (a->row > 0 && a->rows != a->tensor.dim[0])
            return mv_fail(&s->error, MV_EMISUSE, "%s: found %d rows of '%s', expected %d", s->path, a->rows, a->name,
                           a->tensor.dim[0]);
    }
    if (s->kind == MV_STORE_NPY && s->count == 0)
        return mv_fail(&s->error, MV_EMISUSE, "%s: found no array, expected one", s->path);
    if (s->partial && assemble(s) != MV_OK)
        return s->error.code;
    return mv_container_commit(s);
}

mv_status mv_store_commit(mv_store *s, mv_error *e)
{
    if (finish(s) == MV_OK && s->partial) {
        mv_partial_remove(s->partial, &s->error);
        s->partial = NULL;
    }
    mv_status code = result(s, e);
    mv_store_suspend(s);
    return code;
}
