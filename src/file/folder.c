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
#include <time.h>
#include <unistd.h>

#include "src/file/json.h"
#include "src/file/place_impl.h"
#include "src/file/system_impl.h"
#include "src/file/temporary_impl.h"

struct mv_folder {
    char *path; /* as given, for errors */
    mv_place at;
    char temporary[MV_TEMPORARY_NAME]; /* a name in the place's folder; empty before it is created */
    char aside[MV_TEMPORARY_NAME];     /* as well: the earlier dump, if it could not get its name back; else empty */
    int slot;                          /* of `temporary` in the list of temporaries; -1: none */
    DIR *files, *there; /* temporary and target (NULL: not there), opened early: cleaning up needs no memory */
    json_t *earlier;    /* names of the files of the dump that is there; NULL if there is none */
};

enum { MAX_MANIFEST = 64 << 20, MOST_TRIES = 8 };

/* True if `name` is one of the files. */
static bool lists(const json_t *files, const char *name)
{
    size_t i;
    json_t *file;
    json_array_foreach(files, i,
                       file) if (json_is_string(file) && strcmp(json_string_value(file), name) == 0) return true;
    return false;
}

/* The whole of a file in an open folder, the caller's to free; NULL if it is no regular file of at most `most` bytes,
 * is empty, or cannot be read, with ENOMEM for want of memory. */
static char *read_text(int folder, const char *name, size_t most, size_t *size)
{
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (size_t)st.st_size <= most;
    char *text = good ? malloc((size_t)st.st_size) : NULL;
    *size = 0;
    ssize_t n = 1;
    while (text && n > 0 && *size < (size_t)st.st_size) {
        n = mv_system_read(fd, text + *size, (size_t)st.st_size - *size);
        *size += n > 0 ? (size_t)n : 0;
    }
    int saved = errno;
    if (n < 0) {
        free(text);
        text = NULL;
    }
    if (fd >= 0)
        close(fd);
    errno = saved;
    return text;
}

/* Sets f->earlier to the files of the dump in f->there, manifest.json included; NULL if it is no dump of ours. */
static mv_status read_manifest(mv_folder *f, mv_error *e)
{
    json_t *manifest = NULL;
    size_t size;
    errno = 0;
    char *text = read_text(dirfd(f->there), MV_FOLDER_MANIFEST, MAX_MANIFEST, &size);
    if (!text && errno && errno != ENOENT && errno != ELOOP) /* ELOOP: a link, which is none of ours */
        return mv_fail_errno(e, f->path, "its manifest cannot be read");
    if (text && mv_json_weight(text, size) <= MV_JSON_ROOM)
        manifest = json_loadb(text, size, 0, NULL);
    bool memory = manifest || errno != ENOMEM;
    free(text);
    json_t *files = json_object_get(manifest, "files");
    const char *format = json_string_value(json_object_get(manifest, "format"));
    if (json_is_array(files) && format && strcmp(format, MV_FOLDER_FORMAT) == 0) {
        f->earlier = json_incref(files);
        memory = memory && json_array_append_new(files, json_string(MV_FOLDER_MANIFEST)) == 0;
    }
    json_decref(manifest);
    return memory ? MV_OK : mv_fail_memory(e, f->path);
}

/* Is this a file that a dump wrote? If not, errno is 0, or says why that could not be found out. The manifest may be a
 * stranger's, so its word alone is not enough: a file of any other kind is never removed, whatever the manifest says.
 */
static bool is_dumped(int folder, const char *name, const json_t *files)
{
    static const char start[] = "\x93NUMPY";
    char found[sizeof start - 1];
    struct stat st;
    size_t n = strlen(name);
    errno = 0;
    if (!lists(files, name) || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return false;
    if (strcmp(name, MV_FOLDER_MANIFEST) == 0)
        return true;
    if (n < 5 || strcmp(name + n - 4, ".npy") != 0)
        return false;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    size_t got = 0;
    for (ssize_t k = fd >= 0; k > 0 && got < sizeof found;) {
        k = mv_system_read(fd, found + got, sizeof found - got);
        got += k > 0 ? (size_t)k : 0;
    }
    bool array = got == sizeof found && memcmp(found, start, sizeof found) == 0;
    if (fd >= 0)
        close(fd);
    return array;
}

static void forget_target(mv_folder *f)
{
    if (f->there)
        closedir(f->there);
    f->there = NULL;
    json_decref(f->earlier);
    f->earlier = NULL;
}

static DIR *open_folder(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !folder)
        close(fd);
    return folder;
}

static mv_status look_once(mv_folder *f, const char *name, mv_error *e)
{
    forget_target(f);
    f->there = open_folder(f->at.folder, name);
    if (!f->there && errno == ENOENT)
        return MV_OK;
    if (!f->there && errno == ENOTDIR)
        return mv_fail(e, MV_EINPUT,
                       "%s: found a file, expected a folder, or a name ending in .safetensors, .npz or .npy", f->path);
    if (!f->there)
        return mv_fail_errno(e, f->path, "cannot be read");
    mv_status code = read_manifest(f, e);
    for (struct dirent *d; code == MV_OK && (d = mv_system_entry(f->there));)
        if (!is_dumped(dirfd(f->there), d->d_name, f->earlier))
            code = errno == ENOENT ? MV_OK /* it is gone meanwhile */
                   : errno         ? mv_fail_errno(e, f->path, "cannot be examined")
                                   : mv_fail(e, MV_EINPUT,
                                             "%s: found '%s' in it, expected an empty folder or nothing but an earlier dump",
                                             f->path, d->d_name);
    return code == MV_OK && errno ? mv_fail_errno(e, f->path, "cannot be read") : code;
}

static bool still_has(const mv_folder *f, const char *name)
{
    struct stat seen, now;
    return fstat(dirfd(f->there), &seen) < 0 || (fstatat(f->at.folder, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
                                                 seen.st_dev == now.st_dev && seen.st_ino == now.st_ino);
}

/* Refuses a folder that must not be replaced, and notes the files of an earlier dump. `name`: in the place's folder.
 * What another process replaced meanwhile, and empties, is no reason: then it looks at what has the name now. */
static mv_status look_at(mv_folder *f, const char *name, mv_error *e)
{
    for (int i = 1;; i++) {
        mv_error why = {0};
        mv_status code = look_once(f, name, &why);
        if (code == MV_OK)
            return MV_OK;
        if (!f->there || i == MOST_TRIES || still_has(f, name))
            return mv_fail(e, code, "%s", why.text);
    }
}

static mv_status find_target(mv_folder *f, const char *path, mv_error *e)
{
    char *bare = strdup(path);
    if (!bare)
        return mv_fail_memory(e, path);
    size_t n = strlen(bare);
    while (n > 1 && bare[n - 1] == '/')
        bare[--n] = 0;
    const char *slash = strrchr(bare, '/');
    mv_status code;
    if (n == 0 || mv_system_is_dots(slash ? slash + 1 : bare) || strcmp(bare, "/") == 0)
        code = mv_fail(e, MV_EINPUT, "%s: found no name, expected the name of a folder", n ? path : "output");
    else
        code = mv_place_find(&f->at, bare, path, e);
    free(bare);
    return code == MV_OK ? look_at(f, f->at.name, e) : code;
}

/* What replaces a dump may be as private as that is: until it has its rights, nobody else looks into it. */
static mv_status make_temporary(mv_folder *f, mv_error *e)
{
    for (int i = 0; i < MOST_TRIES; i++) {
        mv_temporary_name(f->temporary);
        f->slot = mv_temporary_list(f->at.folder, f->temporary);
        if (mkdirat(f->at.folder, f->temporary, f->there ? 0700 : 0777) < 0) {
            f->temporary[0] = 0;
            return mv_fail_errno(e, f->path, "cannot be created");
        }
        f->files = open_folder(f->at.folder, f->temporary);
        if (f->files && mv_temporary_lock(dirfd(f->files), f->at.folder, f->temporary)) {
            mv_temporary_enter(f->slot, dirfd(f->files));
            return MV_OK;
        }
        int saved = errno;
        if (f->files)
            closedir(f->files);
        f->files = NULL;
        errno = saved;
        if (saved != ENOENT) /* ENOENT: removed as stale before it was opened or locked */
            return mv_fail_errno(e, f->path, "cannot be opened");
        mv_temporary_unlist(f->slot);
        f->slot = -1;
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
    f->at.folder = f->slot = -1;
    f->path = strdup(path);
    if (!f->path)
        mv_fail_memory(e, path);
    else if (find_target(f, path, e) == MV_OK) {
        mv_temporary_clean(f->at.folder);
        if (make_temporary(f, e) == MV_OK)
            return f;
    }
    mv_folder_discard(f);
    return NULL;
}

mv_status mv_folder_write(mv_folder *f, const char *name, const void *bytes, size_t n, uint64_t offset, mv_error *e)
{
    int fd = openat(dirfd(f->files), name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return mv_fail_errno(e, f->path, name);
    mv_status code = mv_system_write(fd, bytes, n, (off_t)offset, f->path, e);
    if (mv_system_close(fd) < 0 && code == MV_OK)
        code = mv_fail_errno(e, f->path, "cannot be closed");
    return code;
}

/* Calls `each` for every file of an open folder until one call fails; not 0 with errno then, or if the folder cannot be
 * read. */
static int for_each_file(DIR *folder, int (*each)(const mv_folder *f, int fd, const char *name), const mv_folder *f)
{
    int failed = 0;
    rewinddir(folder);
    for (struct dirent *d; failed == 0 && (d = mv_system_entry(folder));)
        failed = each(f, dirfd(folder), d->d_name);
    return failed == 0 && errno ? -1 : failed;
}

/* Brings a file to the disk, with the rights of the one that it replaces. */
static int finish_file(const mv_folder *f, int folder, const char *name)
{
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int failed = 0;
    if (f->earlier && fstatat(dirfd(f->there), name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        failed = mv_temporary_take_rights(fd, st.st_uid, st.st_gid, st.st_mode & 0777);
    failed = failed ? failed : mv_system_sync(fd);
    int saved = errno;
    close(fd);
    errno = saved;
    return failed;
}

/* A later run may be at it too, and have taken it for stale: what is gone is fine. */
static int unlink_it(int folder, const char *name, int flags)
{
    return unlinkat(folder, name, flags) < 0 && errno != ENOENT ? -1 : 0;
}

/* Removes the file if it is the earlier dump's. */
static int remove_dumped(const mv_folder *f, int folder, const char *name)
{
    if (is_dumped(folder, name, f->earlier))
        return unlink_it(folder, name, 0);
    return errno && errno != ENOENT ? -1 : 0;
}

static void folder_free(mv_folder *f)
{
    mv_temporary_unlist(f->slot);
    if (f->files)
        closedir(f->files);
    forget_target(f);
    mv_place_close(&f->at);
    free(f->path);
    free(f);
}

void mv_folder_discard(mv_folder *f)
{
    if (!f)
        return;
    if (f->files)
        mv_temporary_empty(dirfd(f->files));
    if (f->temporary[0])
        unlinkat(f->at.folder, f->temporary, AT_REMOVEDIR);
    folder_free(f);
}

/* The path of an entry beside the target, for errors. */
static void path_beside(const mv_folder *f, const char *name, char path[256])
{
    snprintf(path, 256, "%.*s%s", (int)(f->at.name - f->at.path), f->at.path, name);
}

/* The target and the temporary folder exchange names; 0, or -1 with errno. On a file system without that call (NFS) the
 * target is missing for a moment, and the earlier dump gets a name that cleaning does not take for a stale temporary:
 * if the process ends in that moment, it is all that the user has. */
static int exchange_names(mv_folder *f)
{
    int parent = f->at.folder;
    if (renameat2(parent, f->temporary, parent, f->at.name, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return -1;
    char fresh[MV_TEMPORARY_NAME], aside[MV_TEMPORARY_NAME];
    mv_temporary_name(fresh);
    snprintf(aside, sizeof aside, "earlier-dump%.17s", strrchr(fresh, '-'));
    if (renameat(parent, f->at.name, parent, aside) < 0)
        return -1;
    if (renameat(parent, f->temporary, parent, f->at.name) < 0) {
        int saved = errno;
        if (renameat(parent, aside, parent, f->at.name) < 0)
            memcpy(f->aside, aside, sizeof aside);
        errno = saved;
        return -1;
    }
    memcpy(f->temporary, aside, sizeof aside);
    return 0;
}

/* Opens and locks the folder that has the temporary name; NULL if it is gone. Its writer may hold it a moment longer,
 * and then a process that cleans may take it for stale, and remove it as we want to; so this waits for both. */
static DIR *lock_earlier(const mv_folder *f)
{
    DIR *held = open_folder(f->at.folder, f->temporary);
    for (int i = 0; held && i < 400 && flock(dirfd(held), LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK; i++)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    return held;
}

/* After the exchange the earlier dump has the temporary name. It is looked at again, for it may not be what was looked
 * at before: another process may have exchanged its own dump for that one meanwhile, or somebody added a file. What
 * must not be removed gets its name back. */
static mv_status remove_earlier(mv_folder *f, mv_error *e)
{
    char path[256];
    mv_error why = {0};
    forget_target(f); /* and its lock: another process may wait for that */
    DIR *held = lock_earlier(f);
    bool back = look_at(f, f->temporary, &why) != MV_OK && exchange_names(f) == 0;
    path_beside(f, f->temporary, path);
    if (why.code == MV_OK && f->there &&
        (for_each_file(f->there, remove_dumped, f) < 0 || unlink_it(f->at.folder, f->temporary, AT_REMOVEDIR) < 0))
        mv_fail_errno(&why, path, "cannot be removed");
    if (held)
        closedir(held);
    if (back)
        return mv_fail(e, why.code, "%s", why.text);
    f->temporary[0] = 0;
    return why.code == MV_OK
               ? MV_OK
               : mv_fail(e, MV_EIO, "%s: was written, but the earlier dump is left in %s: %s", f->path, path, why.text);
}

/* Gives the folder its name, whatever other processes give that name to. *replaced: an earlier dump has the temporary
 * name now. */
static mv_status take_name(mv_folder *f, bool *replaced, mv_error *e)
{
    struct stat st;
    for (int i = 0; i < MOST_TRIES; i++) {
        mv_status code = look_at(f, f->at.name, e);
        if (code != MV_OK)
            return code;
        if (f->there && (fstat(dirfd(f->there), &st) < 0 ||
                         mv_temporary_take_rights(dirfd(f->files), st.st_uid, st.st_gid, st.st_mode & 0777) < 0))
            return mv_fail_errno(e, f->path, "its permissions cannot be kept");
        *replaced = f->earlier;
        if (f->earlier)
            flock(dirfd(f->there), LOCK_EX | LOCK_NB); /* it gets the temporary name */
        if ((f->earlier ? exchange_names(f) : renameat(f->at.folder, f->temporary, f->at.folder, f->at.name)) == 0)
            return MV_OK;
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOENT)
            break;
    }
    if (!f->aside[0])
        return mv_fail_errno(e, f->path, "cannot be given its name");
    char path[256];
    mv_error why = {0};
    mv_fail_errno(&why, f->path, "cannot be given its name");
    path_beside(f, f->aside, path);
    return mv_fail(e, why.code, "%s, and the earlier dump is left in %s", why.text, path);
}

static mv_status commit(mv_folder *f, mv_error *e)
{
    bool replaced = false;
    mv_status code = look_at(f, f->at.name, e); /* again: it may have changed since it was opened */
    if (code != MV_OK)
        return code;
    if (for_each_file(f->files, finish_file, f) < 0 || mv_system_sync(dirfd(f->files)) < 0)
        return mv_fail_errno(e, f->path, "cannot be written to the disk");
    /* Off the list first: once renamed, the files are the output and must not be removed. */
    mv_temporary_unlist(f->slot);
    f->slot = -1;
    code = take_name(f, &replaced, e);
    if (code != MV_OK)
        return code;
    if (!replaced)
        f->temporary[0] = 0;
    mv_temporary_sync(f->at.folder);
    return replaced ? remove_earlier(f, e) : MV_OK;
}

mv_status mv_folder_commit(mv_folder *f, mv_error *e)
{
    mv_status code = commit(f, e);
    if (f->temporary[0])
        mv_folder_discard(f);
    else
        folder_free(f);
    return code;
}
