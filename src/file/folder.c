#include "src/file/folder.h"

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
#include "src/file/temporary_impl.h"

struct mv_folder {
    char *path;       /* as given, for errors */
    char *target;     /* without trailing slashes; without links too if it exists. Its last component is `name` */
    const char *name; /* in `parent` */
    int parent;       /* -1 when not open */
    char temporary[MV_TEMPORARY_NAME]; /* in `parent`; empty before it is created */
    int slot;                          /* of `temporary` in the list of temporaries; -1: none */
    DIR *files, *there; /* temporary and target (NULL: not there), opened early: cleaning up needs no memory */
    json_t *earlier;    /* names of the files of the dump that is there; NULL if there is none */
};

enum { MAX_MANIFEST = 64 << 20, MOST_TRIES = 8 };

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* True if `name` is one of the files. */
static bool lists(const json_t *files, const char *name)
{
    size_t i;
    json_t *file;
    json_array_foreach(files, i,
                       file) if (json_is_string(file) && strcmp(json_string_value(file), name) == 0) return true;
    return false;
}

/* Sets f->earlier to the files of the dump in f->target, manifest.json included; NULL if it is no dump of ours. */
static mv_status read_manifest(mv_folder *f, mv_error *e)
{
    char *path;
    if (asprintf(&path, "%s/" MV_FOLDER_MANIFEST, f->target) < 0)
        return mv_fail_memory(e, f->path);
    mv_mapping text = {0};
    json_t *manifest = NULL;
    errno = 0;
    if (mv_mapping_load(&text, path, MAX_MANIFEST, NULL) == MV_OK && text.size > 0 &&
        mv_json_weight((const char *)text.bytes, text.size) <= MV_JSON_ROOM)
        manifest = json_loadb((const char *)text.bytes, text.size, 0, NULL);
    bool memory = errno != ENOMEM;
    json_t *files = json_object_get(manifest, "files");
    const char *format = json_string_value(json_object_get(manifest, "format"));
    if (json_is_array(files) && format && strcmp(format, MV_FOLDER_FORMAT) == 0) {
        f->earlier = json_incref(files);
        memory = memory && json_array_append_new(files, json_string(MV_FOLDER_MANIFEST)) == 0;
    }
    json_decref(manifest);
    mv_mapping_close(&text);
    free(path);
    return memory ? MV_OK : mv_fail_memory(e, f->path);
}

static void forget_target(mv_folder *f)
{
    if (f->there)
        closedir(f->there);
    f->there = NULL;
    json_decref(f->earlier);
    f->earlier = NULL;
}

/* Refuses a folder that must not be replaced, and notes the files of an earlier dump. */
static mv_status look_at_target(mv_folder *f, mv_error *e)
{
    forget_target(f);
    f->there = opendir(f->target);
    if (!f->there && errno == ENOENT)
        return MV_OK;
    if (!f->there && errno == ENOTDIR)
        return mv_fail(e, MV_EINPUT,
                       "%s: found a file, expected a folder, or a name ending in .safetensors, .npz or .npy", f->path);
    if (!f->there)
        return mv_fail_errno(e, f->path, "cannot be read");
    mv_status code = read_manifest(f, e);
    for (struct dirent *d; code == MV_OK && (d = readdir(f->there));)
        if (!is_dots(d->d_name) && !lists(f->earlier, d->d_name))
            code =
                mv_fail(e, MV_EINPUT, "%s: found '%s' in it, expected an empty folder or nothing but an earlier dump",
                        f->path, d->d_name);
    return code;
}

static mv_status find_target(mv_folder *f, mv_error *e)
{
    size_t n = strlen(f->target);
    while (n > 1 && f->target[n - 1] == '/')
        f->target[--n] = 0;
    const char *slash = strrchr(f->target, '/');
    if (n == 0 || is_dots(slash ? slash + 1 : f->target) || strcmp(f->target, "/") == 0)
        return mv_fail(e, MV_EINPUT, "%s: found no name, expected the name of a folder", n ? f->path : "output");
    char *real = realpath(f->target, NULL);
    if (real) {
        free(f->target);
        f->target = real;
    } else if (errno != ENOENT) {
        return mv_fail_errno(e, f->path, "cannot be examined");
    }
    slash = strrchr(f->target, '/');
    f->name = slash ? slash + 1 : f->target;
    f->parent = mv_temporary_parent(f->target, f->name);
    return f->parent < 0 ? mv_fail_errno(e, f->path, "its folder") : look_at_target(f, e);
}

static mv_status make_temporary(mv_folder *f, mv_error *e)
{
    for (int i = 0; i < MOST_TRIES; i++) {
        mv_temporary_name(f->temporary);
        if (mkdirat(f->parent, f->temporary, 0777) < 0) {
            f->temporary[0] = 0;
            return mv_fail_errno(e, f->path, "cannot be created");
        }
        int fd = openat(f->parent, f->temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && mv_temporary_lock(fd, f->parent, f->temporary)) {
            f->files = fdopendir(fd);
            if (f->files)
                f->slot = mv_temporary_list(f->parent, f->temporary, fd);
            else
                close(fd);
            return f->files ? MV_OK : mv_fail_errno(e, f->path, "cannot be opened");
        }
        if (fd >= 0)
            close(fd);
        else if (errno != ENOENT) /* ENOENT: removed as stale before it was opened */
            return mv_fail_errno(e, f->path, "cannot be opened");
        errno = EAGAIN;
    }
    return mv_fail_errno(e, f->path, "cannot be created");
}

mv_folder *mv_folder_open(const char *path, mv_error *e)
{
    mv_folder *f = calloc(1, sizeof *f);
    if (!f) {
        mv_fail_memory(e, path);
        return NULL;
    }
    f->parent = f->slot = -1;
    f->path = strdup(path);
    f->target = strdup(path);
    if (!f->path || !f->target)
        mv_fail_memory(e, path);
    else if (find_target(f, e) == MV_OK) {
        mv_temporary_clean(f->parent);
        if (make_temporary(f, e) == MV_OK)
            return f;
    }
    mv_folder_discard(f);
    return NULL;
}

static mv_status write_all(int fd, const char *at, size_t n, uint64_t offset, const char *place, mv_error *e)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, at, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return mv_fail_errno(e, place, "cannot be written");
        at += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return MV_OK;
}

mv_status mv_folder_write(mv_folder *f, const char *name, const void *bytes, size_t n, uint64_t offset, mv_error *e)
{
    int fd = openat(dirfd(f->files), name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return mv_fail_errno(e, f->path, name);
    mv_status code = write_all(fd, bytes, n, offset, f->path, e);
    if (close(fd) < 0 && code == MV_OK)
        code = mv_fail_errno(e, f->path, "cannot be closed");
    return code;
}

/* Calls `each` for every file of an open folder until one call fails. */
static int for_each_file(DIR *folder, int (*each)(int fd, const char *name, const json_t *files), const json_t *files)
{
    int failed = 0;
    rewinddir(folder);
    for (struct dirent *d; failed == 0 && (d = readdir(folder));)
        if (!is_dots(d->d_name))
            failed = each(dirfd(folder), d->d_name, files);
    return failed;
}

static int sync_file(int folder, const char *name, const json_t *files)
{
    (void)files;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int failed = fsync(fd), saved = errno;
    close(fd);
    errno = saved;
    return failed;
}

/* Removes the file if it is listed. */
static int remove_listed(int folder, const char *name, const json_t *files)
{
    return lists(files, name) ? unlinkat(folder, name, 0) : 0;
}

static void folder_free(mv_folder *f)
{
    mv_temporary_unlist(f->slot);
    if (f->files)
        closedir(f->files);
    forget_target(f);
    if (f->parent >= 0)
        close(f->parent);
    free(f->path);
    free(f->target);
    free(f);
}

void mv_folder_discard(mv_folder *f)
{
    if (!f)
        return;
    if (f->files)
        mv_temporary_empty(dirfd(f->files));
    if (f->temporary[0])
        unlinkat(f->parent, f->temporary, AT_REMOVEDIR);
    folder_free(f);
}

/* The path of an entry beside the target, for errors. */
static void path_beside(const mv_folder *f, const char *name, char path[256])
{
    snprintf(path, 256, "%.*s%s", (int)(f->name - f->target), f->target, name);
}

/* The target and the temporary folder exchange names. On a file system without that call (NFS) the target is missing
 * for a moment. */
static mv_status exchange_names(mv_folder *f, mv_error *e)
{
    if (renameat2(f->parent, f->temporary, f->parent, f->name, RENAME_EXCHANGE) == 0)
        return MV_OK;
    char aside[MV_TEMPORARY_NAME], path[256];
    mv_temporary_name(aside);
    if (renameat(f->parent, f->name, f->parent, aside) < 0)
        return mv_fail_errno(e, f->path, "cannot be replaced");
    if (renameat(f->parent, f->temporary, f->parent, f->name) < 0) {
        int saved = errno;
        bool back = renameat(f->parent, aside, f->parent, f->name) == 0;
        path_beside(f, aside, path);
        return mv_fail(e, MV_EIO, "%s: cannot be given its name: %s%s%s", f->path, strerror(saved),
                       back ? "" : "; the earlier dump is in ", back ? "" : path);
    }
    memcpy(f->temporary, aside, sizeof aside);
    return MV_OK;
}

/* After the exchange the earlier dump has the temporary name. Only its own files are removed: if somebody added another
 * one meanwhile, the folder stays. */
static mv_status remove_earlier(const mv_folder *f, mv_error *e)
{
    char path[256];
    for_each_file(f->there, remove_listed, f->earlier);
    if (unlinkat(f->parent, f->temporary, AT_REMOVEDIR) == 0)
        return MV_OK;
    int saved = errno;
    path_beside(f, f->temporary, path);
    return mv_fail(e, MV_EIO, "%s: was written, but the earlier dump in %s cannot be removed: %s", f->path, path,
                   strerror(saved));
}

static mv_status commit(mv_folder *f, mv_error *e)
{
    struct stat st;
    if (for_each_file(f->files, sync_file, NULL) < 0)
        return mv_fail_errno(e, f->path, "cannot be written to the disk");
    mv_status code = look_at_target(f, e); /* again: it may have changed since it was opened */
    if (code != MV_OK)
        return code;
    if (f->there && (fstat(dirfd(f->there), &st) < 0 || fchmod(dirfd(f->files), st.st_mode & 0777) < 0))
        return mv_fail_errno(e, f->path, "its permissions cannot be kept");
    if (f->earlier)
        flock(dirfd(f->there), LOCK_EX | LOCK_NB); /* it gets the temporary name: not stale while this process lives */
    /* Off the list first: once renamed, the files are the output and must not be removed. */
    mv_temporary_unlist(f->slot);
    f->slot = -1;
    if (f->earlier)
        return exchange_names(f, e);
    return renameat(f->parent, f->temporary, f->parent, f->name) < 0
               ? mv_fail_errno(e, f->path, "cannot be given its name")
               : MV_OK;
}

mv_status mv_folder_commit(mv_folder *f, mv_error *e)
{
    mv_status code = commit(f, e);
    if (code != MV_OK) {
        mv_folder_discard(f);
        return code;
    }
    if (f->earlier)
        code = remove_earlier(f, e);
    folder_free(f);
    return code;
}
