#include "src/file/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/mapping.h"
#include "src/file/output.h"

struct mv_folder {
    char *path;         /* as given: for errors */
    char *target;       /* without links and trailing slashes, if it is there */
    char *temporary;    /* beside it; NULL before it is made */
    DIR *files, *there; /* temporary and target (NULL: not there), opened early: cleaning up takes no memory */
    json_t *earlier;    /* names of the files of the dump that is there; NULL when there is none */
};

enum { MAX_MANIFEST = 64 << 20 };

static char *beside(const char *target)
{
    char name[MV_OUTPUT_TEMPORARY], *path;
    mv_output_temporary(name);
    const char *slash = strrchr(target, '/');
    int parent = slash ? (int)(slash + 1 - target) : 0;
    return asprintf(&path, "%.*s%s", parent, target, name) < 0 ? NULL : path;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Is `name` among the files? */
static bool lists(const json_t *files, const char *name)
{
    size_t i;
    json_t *file;
    json_array_foreach(files, i,
                       file) if (json_is_string(file) && strcmp(json_string_value(file), name) == 0) return true;
    return false;
}

/* Sets f->earlier to the files of the dump in f->target, manifest.json among them; NULL when it is no dump of ours. */
static mv_status read_manifest(mv_folder *f, mv_error *e)
{
    char *path;
    if (asprintf(&path, "%s/" MV_FOLDER_MANIFEST, f->target) < 0)
        return mv_fail_memory(e, f->path);
    mv_mapping text = {0};
    json_t *manifest = NULL;
    errno = 0;
    if (mv_mapping_open(&text, path, NULL) == MV_OK && text.size > 0 && text.size <= MAX_MANIFEST)
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

/* Refuses what must not be replaced, and notes the files of an earlier dump. */
static mv_status look_at_target(mv_folder *f, mv_error *e)
{
    forget_target(f);
    f->there = opendir(f->target);
    if (!f->there && errno == ENOENT)
        return MV_OK;
    if (!f->there && errno == ENOTDIR)
        return mv_fail(e, MV_EINPUT, "%s: is a file, a folder was expected (or a name in .safetensors, .npz or .npy)",
                       f->path);
    if (!f->there)
        return mv_fail_errno(e, f->path, "cannot be read");
    mv_status code = read_manifest(f, e);
    for (struct dirent *d; code == MV_OK && (d = readdir(f->there));)
        if (!is_dots(d->d_name) && !lists(f->earlier, d->d_name))
            code = mv_fail(e, MV_EINPUT, "%s: holds '%s', an empty folder or nothing but an earlier dump was expected",
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
        return mv_fail(e, MV_EINPUT, "%s: the name of a folder was expected", n ? f->path : "output");
    char *real = realpath(f->target, NULL);
    if (real) {
        free(f->target);
        f->target = real;
    } else if (errno != ENOENT) {
        return mv_fail_errno(e, f->path, "cannot be looked at");
    }
    return look_at_target(f, e);
}

static mv_status make_temporary(mv_folder *f, mv_error *e)
{
    char *path = beside(f->target);
    if (!path)
        return mv_fail_memory(e, f->path);
    if (mkdir(path, 0777) < 0) {
        mv_fail_errno(e, f->path, "cannot be made");
        free(path);
        return MV_EIO;
    }
    f->temporary = path;
    f->files = opendir(path);
    return f->files ? MV_OK : mv_fail_errno(e, f->path, "cannot be opened");
}

mv_folder *mv_folder_open(const char *path, mv_error *e)
{
    mv_folder *f = calloc(1, sizeof *f);
    if (!f) {
        mv_fail_memory(e, path);
        return NULL;
    }
    f->path = strdup(path);
    f->target = strdup(path);
    if (!f->path || !f->target)
        mv_fail_memory(e, path);
    else if (find_target(f, e) == MV_OK && make_temporary(f, e) == MV_OK)
        return f;
    mv_folder_discard(f);
    return NULL;
}

static mv_status write_all(int fd, const char *at, size_t n, const char *place, mv_error *e)
{
    while (n > 0) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return mv_fail_errno(e, place, "cannot be written");
        at += done;
        n -= (size_t)done;
    }
    return MV_OK;
}

mv_status mv_folder_append(mv_folder *f, const char *name, const void *bytes, size_t n, mv_error *e)
{
    int fd = openat(dirfd(f->files), name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return mv_fail_errno(e, f->path, name);
    mv_status code = write_all(fd, bytes, n, f->path, e);
    if (close(fd) < 0 && code == MV_OK)
        code = mv_fail_errno(e, f->path, "cannot be closed");
    return code;
}

/* Does `each` to every file of an open folder until one fails. */
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

/* `files` limits what is removed; NULL: anything. */
static int remove_file(int folder, const char *name, const json_t *files)
{
    return !files || lists(files, name) ? unlinkat(folder, name, 0) : 0;
}

static void folder_free(mv_folder *f)
{
    if (f->files)
        closedir(f->files);
    forget_target(f);
    free(f->path);
    free(f->target);
    free(f->temporary);
    free(f);
}

void mv_folder_discard(mv_folder *f)
{
    if (!f)
        return;
    if (f->files)
        for_each_file(f->files, remove_file, NULL);
    if (f->temporary)
        rmdir(f->temporary);
    folder_free(f);
}

/* The target and the temporary folder trade names. Without the kernel's exchange (NFS lacks it) the target is
 * away for a moment. */
static mv_status trade_names(mv_folder *f, mv_error *e)
{
    if (renameat2(AT_FDCWD, f->temporary, AT_FDCWD, f->target, RENAME_EXCHANGE) == 0)
        return MV_OK;
    char *aside = beside(f->target);
    if (!aside)
        return mv_fail_memory(e, f->path);
    if (rename(f->target, aside) < 0) {
        mv_fail_errno(e, f->path, "cannot be replaced");
        free(aside);
        return MV_EIO;
    }
    if (rename(f->temporary, f->target) < 0) {
        int saved = errno;
        bool back = rename(aside, f->target) == 0;
        mv_fail(e, MV_EIO, "%s: cannot be given its name: %s%s%s", f->path, strerror(saved),
                back ? "" : "; the earlier dump is in ", back ? "" : aside);
        free(aside);
        return MV_EIO;
    }
    free(f->temporary);
    f->temporary = aside;
    return MV_OK;
}

/* After the trade the earlier dump has the temporary name. Only its own files go: one that somebody put there since
 * keeps the folder. */
static mv_status remove_earlier(const mv_folder *f, mv_error *e)
{
    for_each_file(f->there, remove_file, f->earlier);
    if (rmdir(f->temporary) == 0)
        return MV_OK;
    return mv_fail(e, MV_EIO, "%s: written, but the earlier dump could not be removed from %s: %s", f->path,
                   f->temporary, strerror(errno));
}

static mv_status commit(mv_folder *f, mv_error *e)
{
    struct stat st;
    if (for_each_file(f->files, sync_file, NULL) < 0)
        return mv_fail_errno(e, f->path, "cannot be written to the disk");
    mv_status code = look_at_target(f, e); /* again: time has passed */
    if (code != MV_OK)
        return code;
    if (f->there && (fstat(dirfd(f->there), &st) < 0 || fchmod(dirfd(f->files), st.st_mode & 0777) < 0))
        return mv_fail_errno(e, f->path, "its permissions cannot be kept");
    if (f->earlier)
        return trade_names(f, e);
    return rename(f->temporary, f->target) < 0 ? mv_fail_errno(e, f->path, "cannot be given its name") : MV_OK;
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
