#include "src/file/partial_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/json.h"
#include "src/file/mapping.h"
#include "src/file/system_impl.h"

struct mv_partial {
    char *path; /* "PATH.partial" */
    int folder, journal;
    json_t *names;    /* of the arrays: those of the journal, or those declared so far */
    bool continued;   /* the journal names its arrays */
    size_t declared;  /* of them, in this run */
    uint64_t *size;   /* per array: bytes of its .raw file */
    json_t *notes;    /* of earlier runs */
    bool checkpoints; /* there is one, of any run */
    bool begun;
};

enum { VERSION = 1, MOST_TRIES = 8, RAW_NAME = 256, MOST_JOURNAL = 1 << 30 };
static const char magic[] = "mvscope-partial", arrays_key[] = "arrays", journal_name[] = "journal";

static void raw_name(char out[RAW_NAME], const char *name)
{
    snprintf(out, RAW_NAME, "%s.raw", name);
}

static const char *name_at(const mv_partial *p, size_t i)
{
    return json_string_value(json_array_get(p->names, i));
}

static mv_status string_of(json_t **out, const mv_partial *p, const char *text, const char *what, mv_error *e)
{
    json_error_t error;
    *out = json_pack_ex(&error, 0, "s", text);
    if (!*out && json_error_code(&error) == json_error_invalid_utf8)
        return mv_fail(e, MV_EINPUT, "%s: found a %s that is not UTF-8, expected UTF-8", p->path, what);
    return *out ? MV_OK : mv_fail_memory(e, p->path);
}

/* Appends one line to the journal; takes `value`, which may be NULL for want of memory. */
static mv_status write_line(const mv_partial *p, json_t *value, mv_error *e)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL, *line = NULL;
    mv_status code = MV_OK;
    if (!text || asprintf(&line, "%s\n", text) < 0)
        code = mv_fail_memory(e, p->path);
    else
        code = mv_system_write(p->journal, line, strlen(line), -1, p->path, e);
    free(line);
    free(text);
    json_decref(value);
    return code;
}

/* --- Opening --- */

/* A folder without a journal must be empty: it may be somebody else's. */
static mv_status check_empty(const mv_partial *p, mv_error *e)
{
    DIR *entries = opendir(p->path);
    if (!entries)
        return mv_fail_errno(e, p->path, "cannot be read");
    mv_status code = MV_OK;
    for (struct dirent *d; code == MV_OK && (d = mv_system_entry(entries));)
        if (strcmp(d->d_name, journal_name) != 0)
            code = mv_fail(e, MV_EINPUT, "%s: found '%.100s' and no journal, expected an unfinished output or nothing",
                           p->path, d->d_name);
    if (code == MV_OK && errno)
        code = mv_fail_errno(e, p->path, "cannot be read");
    closedir(entries);
    return code;
}

/* Creates folder and journal if needed and locks them. *gone: another process has just finished and removed them. */
static mv_status lock_folder(mv_partial *p, bool *gone, mv_error *e)
{
    struct stat journal, there;
    *gone = false;
    if (mkdir(p->path, 0700) < 0 && errno != EEXIST) /* the rights of the output are not known yet */
        return mv_fail_errno(e, p->path, "cannot be created");
    p->folder = open(p->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (p->folder < 0)
        return (*gone = errno == ENOENT) ? MV_OK : mv_fail_errno(e, p->path, "cannot be opened");
    if (fstat(p->folder, &there) == 0 && there.st_uid != geteuid())
        return mv_fail(e, MV_EINPUT, "%s: found a folder of another user, expected one's own or nothing", p->path);
    if (fstatat(p->folder, journal_name, &there, AT_SYMLINK_NOFOLLOW) < 0) {
        mv_status s = errno == ENOENT ? check_empty(p, e) : mv_fail_errno(e, p->path, "its journal cannot be examined");
        if (s != MV_OK)
            return s;
    }
    p->journal = openat(p->folder, journal_name, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (p->journal < 0)
        return (*gone = errno == ENOENT) ? MV_OK : mv_fail_errno(e, p->path, "its journal cannot be opened");
    if (flock(p->journal, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return mv_fail(e, MV_EIO,
                       "%s: found another process that writes it, expected none: wait for it, or choose another name",
                       p->path);
    if (fstat(p->journal, &journal) < 0)
        return mv_fail_errno(e, p->path, "its journal cannot be examined");
    bool named = fstatat(p->folder, journal_name, &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (!named && errno != ENOENT)
        return mv_fail_errno(e, p->path, "its journal cannot be examined");
    *gone = !named || journal.st_ino != there.st_ino;
    return MV_OK;
}

static void close_folder(mv_partial *p)
{
    if (p->journal >= 0)
        close(p->journal);
    if (p->folder >= 0)
        close(p->folder);
    p->journal = p->folder = -1;
}

static mv_status open_folder(mv_partial *p, mv_error *e)
{
    for (int i = 0; i < MOST_TRIES; i++) {
        bool gone;
        mv_status code = lock_folder(p, &gone, e);
        if (code != MV_OK || !gone)
            return code;
        close_folder(p);
    }
    return mv_fail(e, MV_EIO, "%s: other processes create and remove it all the time", p->path);
}

/* The first line in which two texts differ. */
static mv_status check_fingerprint(const mv_partial *p, const char *there, const char *now, mv_error *e)
{
    if (strcmp(there, now) == 0)
        return MV_OK;
    size_t start = 0;
    for (size_t i = 0; there[i] == now[i]; i++)
        if (there[i] == '\n')
            start = i + 1;
    int a = (int)strcspn(there + start, "\n"), b = (int)strcspn(now + start, "\n");
    return mv_fail(
        e, MV_EINPUT,
        "%s: found an unfinished output of '%.*s', expected '%.*s': remove that folder, or run without --resume",
        p->path, a < 80 ? a : 80, there + start, b < 80 ? b : 80, now + start);
}

static mv_status fail_journal(const mv_partial *p, int line, const char *expected, mv_error *e)
{
    return mv_fail(e, MV_EINPUT,
                   "%s/%s: found something else in line %d, expected %s: remove that folder, or run without --resume",
                   p->path, journal_name, line, expected);
}

/* Takes the names of line 2. */
static mv_status read_names(mv_partial *p, const json_t *value, mv_error *e)
{
    const char *key = json_string_value(json_array_get(value, 0));
    json_t *names = json_array_get(value, 1), *name;
    size_t i;
    if (!key || strcmp(key, arrays_key) != 0 || !json_is_array(names))
        return fail_journal(p, 2, "the names of the arrays", e);
    json_array_foreach(names, i, name)
    {
        if (!json_is_string(name) || strchr(json_string_value(name), '/'))
            return fail_journal(p, 2, "the names of the arrays", e);
    }
    json_decref(p->names);
    p->names = json_incref(names);
    p->size = calloc(json_array_size(names) + 1, sizeof *p->size);
    p->continued = true;
    return p->size ? MV_OK : mv_fail_memory(e, p->path);
}

/* Do the .raw files hold as many bytes as a checkpoint says? */
static bool holds(const mv_partial *p, const json_t *sizes)
{
    for (size_t i = 0; i < json_array_size(sizes); i++) {
        char name[RAW_NAME];
        struct stat st;
        json_int_t size = json_integer_value(json_array_get(sizes, i));
        raw_name(name, name_at(p, i));
        if (size > 0 && (fstatat(p->folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size < size))
            return false;
    }
    return true;
}

/* Takes a checkpoint. *whole: the files hold what it says. */
static mv_status read_checkpoint(mv_partial *p, const json_t *value, int line, bool *whole, mv_error *e)
{
    json_t *sizes = json_array_get(value, 0), *note = json_array_get(value, 1);
    bool good = json_is_array(sizes) && json_is_string(note) && json_array_size(sizes) == json_array_size(p->names);
    for (size_t i = 0; good && i < json_array_size(sizes); i++) {
        json_t *size = json_array_get(sizes, i);
        good =
            json_is_integer(size) && json_integer_value(size) >= 0 && (uint64_t)json_integer_value(size) >= p->size[i];
    }
    if (!good)
        return fail_journal(p, line, "a checkpoint", e);
    *whole = holds(p, sizes);
    if (!*whole)
        return MV_OK;
    for (size_t i = 0; i < json_array_size(sizes); i++)
        p->size[i] = (uint64_t)json_integer_value(json_array_get(sizes, i));
    p->checkpoints = true;
    return json_array_append(p->notes, note) == 0 ? MV_OK : mv_fail_memory(e, p->path);
}

static mv_status read_line(mv_partial *p, const json_t *value, int line, const char *fingerprint, bool *whole,
                           mv_error *e)
{
    if (line == 2)
        return read_names(p, value, e);
    if (line > 2)
        return read_checkpoint(p, value, line, whole, e);
    const char *first = json_string_value(json_array_get(value, 0)),
               *there = json_string_value(json_array_get(value, 2));
    if (!first || strcmp(first, magic) != 0 || json_integer_value(json_array_get(value, 1)) != VERSION || !there)
        return fail_journal(p, 1, "a journal of this version of mvscope", e);
    return check_fingerprint(p, there, fingerprint, e);
}

/* Reads whole lines. *valid: where the last one that counts ends. */
static mv_status read_journal(mv_partial *p, const char *text, size_t size, const char *fingerprint, size_t *valid,
                              mv_error *e)
{
    const char *start = "[\"mvscope-partial\",";
    mv_status code = MV_OK;
    bool whole = true;
    *valid = 0;
    if (size > 0 && memcmp(text, start, size < strlen(start) ? size : strlen(start)) != 0)
        return fail_journal(p, 1, "a journal of this version of mvscope", e);
    for (int line = 1; code == MV_OK; line++) {
        const char *end = memchr(text + *valid, '\n', size - *valid);
        if (!end)
            return MV_OK; /* torn, or the end */
        errno = 0;
        const char *begin = text + *valid;
        size_t n = (size_t)(end - begin);
        json_t *value = mv_json_weight(begin, n) <= MV_JSON_ROOM ? json_loadb(begin, n, 0, NULL) : NULL;
        if (!value && errno == ENOMEM)
            return mv_fail_memory(e, p->path);
        code = read_line(p, value, line, fingerprint, &whole, e);
        json_decref(value);
        if (!whole)
            return code;
        *valid = (size_t)(end + 1 - text);
    }
    return code;
}

static mv_status continue_folder(mv_partial *p, const char *fingerprint, mv_error *e)
{
    char *path;
    mv_mapping text = {0};
    size_t valid;
    if (asprintf(&path, "%s/%s", p->path, journal_name) < 0)
        return mv_fail_memory(e, p->path);
    mv_status code = mv_mapping_load(&text, path, MOST_JOURNAL, e);
    if (code == MV_OK)
        code = text.size ? read_journal(p, (const char *)text.bytes, text.size, fingerprint, &valid, e) : MV_OK;
    valid = text.size ? valid : 0;
    mv_mapping_close(&text);
    free(path);
    if (code == MV_OK && mv_system_resize(p->journal, (off_t)valid) < 0)
        code = mv_fail_errno(e, p->path, "its journal cannot be cut");
    if (code != MV_OK || valid > 0)
        return code;
    json_t *first;
    code = string_of(&first, p, fingerprint, "fingerprint", e);
    return code == MV_OK ? write_line(p, json_pack("[s,i,o]", magic, VERSION, first), e) : code;
}

static void partial_free(mv_partial *p)
{
    close_folder(p);
    json_decref(p->names);
    json_decref(p->notes);
    free(p->size);
    free(p->path);
    free(p);
}

mv_partial *mv_partial_open(const char *path, const char *fingerprint, mv_error *e)
{
    mv_partial *p = calloc(1, sizeof *p);
    if (!p) {
        mv_fail_memory(e, path);
        return NULL;
    }
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    p->folder = p->journal = -1;
    p->names = json_array();
    p->notes = json_array();
    if (asprintf(&p->path, "%.*s.partial", (int)n, path) < 0)
        p->path = NULL;
    if (!p->path || !p->names || !p->notes)
        mv_fail_memory(e, path);
    else if (open_folder(p, e) == MV_OK && continue_folder(p, fingerprint, e) == MV_OK)
        return p;
    partial_free(p);
    return NULL;
}

int mv_partial_note_count(const mv_partial *p)
{
    return (int)json_array_size(p->notes);
}

const char *mv_partial_note_at(const mv_partial *p, int i)
{
    return json_string_value(json_array_get(p->notes, (size_t)i));
}

/* --- Arrays --- */

/* Drops the values of array i that no checkpoint counts. */
static mv_status cut(const mv_partial *p, size_t i, mv_error *e)
{
    char name[RAW_NAME];
    raw_name(name, name_at(p, i));
    int fd = openat(p->folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? MV_OK : mv_fail_errno(e, p->path, name);
    mv_status code = mv_system_resize(fd, (off_t)p->size[i]) == 0 ? MV_OK : mv_fail_errno(e, p->path, name);
    close(fd);
    return code;
}

static mv_status declare_new(mv_partial *p, const char *name, mv_error *e)
{
    uint64_t *size = realloc(p->size, (p->declared + 1) * sizeof *size);
    if (!size)
        return mv_fail_memory(e, p->path);
    p->size = size;
    size[p->declared] = 0;
    json_t *value;
    mv_status code = string_of(&value, p, name, "name", e);
    if (code != MV_OK)
        return code;
    return json_array_append_new(p->names, value) == 0 ? MV_OK : mv_fail_memory(e, p->path);
}

mv_status mv_partial_declare(mv_partial *p, const char *name, mv_error *e)
{
    mv_status code = MV_OK;
    if (!p->continued) {
        code = declare_new(p, name, e);
    } else {
        const char *there = name_at(p, p->declared);
        if (!there || strcmp(there, name) != 0)
            return mv_fail(e, MV_EINPUT,
                           "%s: found array '%.100s', expected '%.100s': remove that folder, or run without --resume",
                           p->path, there ? there : "", name);
    }
    if (code == MV_OK)
        code = cut(p, p->declared, e);
    p->declared += code == MV_OK;
    return code;
}

uint64_t mv_partial_size(const mv_partial *p, int i)
{
    return p->size[i];
}

mv_status mv_partial_begin(mv_partial *p, mv_error *e)
{
    if (p->begun)
        return MV_OK;
    p->begun = true;
    if (p->declared != json_array_size(p->names))
        return mv_fail(e, MV_EINPUT, "%s: found %zu arrays, expected %zu: remove that folder, or run without --resume",
                       p->path, json_array_size(p->names), p->declared);
    return p->continued ? MV_OK : write_line(p, json_pack("[s,O]", arrays_key, p->names), e);
}

mv_status mv_partial_append(mv_partial *p, int i, const void *bytes, size_t n, mv_error *e)
{
    char name[RAW_NAME];
    raw_name(name, name_at(p, (size_t)i));
    int fd = openat(p->folder, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return mv_fail_errno(e, p->path, name);
    mv_status code = mv_system_write(fd, bytes, n, -1, p->path, e);
    if (mv_system_close(fd) < 0 && code == MV_OK)
        code = mv_fail_errno(e, p->path, "cannot be closed");
    p->size[i] += n;
    return code;
}

mv_status mv_partial_checkpoint(mv_partial *p, const char *note, mv_error *e)
{
    json_t *text;
    mv_status code = string_of(&text, p, note, "note", e);
    if (code != MV_OK)
        return code;
    json_t *sizes = json_array();
    bool whole = sizes;
    for (size_t i = 0; whole && i < p->declared; i++)
        whole = json_array_append_new(sizes, json_integer((json_int_t)p->size[i])) == 0;
    if (!whole) {
        json_decref(sizes);
        json_decref(text);
        return mv_fail_memory(e, p->path);
    }
    code = write_line(p, json_pack("[o,o]", sizes, text), e);
    p->checkpoints = p->checkpoints || code == MV_OK;
    return code;
}

int mv_partial_read(const mv_partial *p, int i, mv_error *e)
{
    char name[RAW_NAME];
    raw_name(name, name_at(p, (size_t)i));
    int fd = openat(p->folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        mv_fail_errno(e, p->path, name);
    return fd;
}

static bool is_removed(const mv_partial *p, const char *name)
{
    return unlinkat(p->folder, name, 0) == 0 || errno == ENOENT;
}

/* The journal goes last: a run that ends in between leaves a folder that can be continued. */
mv_status mv_partial_remove(mv_partial *p, mv_error *e)
{
    bool removed = true;
    for (size_t i = 0; i < json_array_size(p->names) && removed; i++) {
        char name[RAW_NAME];
        raw_name(name, name_at(p, i));
        removed = is_removed(p, name);
    }
    removed = removed && is_removed(p, journal_name) && rmdir(p->path) == 0;
    mv_status code = removed ? MV_OK : mv_fail_errno(e, p->path, "cannot be removed");
    partial_free(p);
    return code;
}

void mv_partial_close(mv_partial *p)
{
    if (p && !p->checkpoints)
        mv_partial_remove(p, NULL);
    else if (p)
        partial_free(p);
}
