#include "src/file/output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "src/file/temporary_impl.h"

struct mv_output {
    char *path;   /* as given, for errors */
    char *target; /* the path with symbolic links resolved; its last component is `name` */
    const char *name;
    int folder, fd; /* -1 when not open */
    bool direct;    /* not a regular file: no temporary, no rename */
    bool replaces;  /* a regular file exists; its owner and mode follow */
    uid_t owner;
    gid_t group;
    mode_t mode;
    char temporary[MV_TEMPORARY_NAME]; /* a name in `folder`; empty while the file has no name */
    int slot;                          /* of `temporary` in the list of temporaries; -1: none */
    uint64_t position;
    mv_error error;
};

static const size_t largest_write = (size_t)1 << 30; /* Linux writes at most 2 GiB per call */
static const int most_links = 40;                    /* the kernel's own limit */
static const int most_tries = 8;

/* Reads symbolic link `path` and returns its target as a path from here, malloc'd; NULL with errno if it is no link. */
static char *link_text(const char *path)
{
    char text[4096];
    ssize_t n = readlink(path, text, sizeof text - 1);
    if (n < 0)
        return NULL;
    text[n] = 0;
    const char *slash = text[0] == '/' ? NULL : strrchr(path, '/');
    char *result;
    return asprintf(&result, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, text) < 0 ? NULL : result;
}

static void name_of_target(mv_output *o)
{
    const char *slash = strrchr(o->target, '/');
    o->name = slash ? slash + 1 : o->target;
}

/* Sets target, name and folder. Follows links by hand, since the last one may point to a file that does not exist. */
static mv_status find_target(mv_output *o)
{
    for (int i = 0;; i++) {
        if (o->folder >= 0)
            close(o->folder);
        name_of_target(o);
        if ((o->folder = mv_temporary_parent(o->target, o->name)) < 0)
            return mv_fail_errno(&o->error, o->path, "its folder");
        struct statfs fs;
        if (fstatfs(o->folder, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC) { /* /dev/stdout leads here */
            o->direct = true;
            return MV_OK;
        }
        char *next = link_text(o->target);
        if (!next)
            return errno == ENOMEM ? mv_fail_memory(&o->error, o->path) : MV_OK;
        free(o->target);
        o->target = next;
        if (i == most_links)
            return mv_fail(&o->error, MV_EIO,
                           "%s: found a chain of more than %d symbolic links, expected a shorter one", o->path, i);
    }
}

static mv_status look_at_target(mv_output *o)
{
    struct stat st;
    if (fstatat(o->folder, o->name, &st, 0) < 0)
        return errno == ENOENT ? MV_OK : mv_fail_errno(&o->error, o->path, "cannot be examined");
    if (S_ISDIR(st.st_mode))
        return mv_fail(&o->error, MV_EIO, "%s: found a folder, expected the name of a file", o->path);
    if (!S_ISREG(st.st_mode))
        o->direct = true;
    if (faccessat(o->folder, o->name, W_OK, AT_EACCESS) < 0)
        return mv_fail_errno(&o->error, o->path, "cannot be written");
    o->replaces = !o->direct;
    o->owner = st.st_uid;
    o->group = st.st_gid;
    o->mode = st.st_mode & 0777;
    return MV_OK;
}

static void path_of_fd(char path[40], int fd)
{
    snprintf(path, 40, "/proc/self/fd/%d", fd);
}

/* A file without a name: the kernel removes it with the last descriptor. */
static bool open_nameless(mv_output *o)
{
    char proc[40];
    o->fd = openat(o->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (o->fd < 0)
        return false;
    path_of_fd(proc, o->fd);
    if (access(proc, F_OK) == 0) {
        flock(o->fd, LOCK_EX); /* for the moment in which it has a temporary name */
        return true;
    }
    close(o->fd); /* without /proc it could never be given a name */
    o->fd = -1;
    return false;
}

static void forget_temporary(mv_output *o)
{
    mv_temporary_unlist(o->slot);
    o->slot = -1;
    o->temporary[0] = 0;
}

/* Lists the name before the file exists, so that no moment is left in which an interruption would leave it behind. */
static void name_temporary(mv_output *o)
{
    mv_temporary_name(o->temporary);
    o->slot = mv_temporary_list(o->folder, o->temporary, -1);
}

static mv_status open_temporary(mv_output *o)
{
    if (open_nameless(o))
        return MV_OK;
    for (int i = 0; i < most_tries; i++) {
        name_temporary(o);
        o->fd = openat(o->folder, o->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
        if (o->fd >= 0 && mv_temporary_lock(o->fd, o->folder, o->temporary))
            return MV_OK;
        forget_temporary(o);
        if (o->fd < 0)
            break;
        close(o->fd);
        o->fd = -1;
        errno = EAGAIN;
    }
    return mv_fail_errno(&o->error, o->path, "cannot be created");
}

static mv_status open_target(mv_output *o)
{
    if (find_target(o) != MV_OK)
        return o->error.code;
    if (!*o->name)
        return mv_fail(&o->error, MV_EIO, "%s: found no file name, expected one", *o->path ? o->path : "output");
    if (look_at_target(o) != MV_OK)
        return o->error.code;
    return o->direct ? MV_OK : open_temporary(o);
}

/* A socket, such as the standard output of a service, is not opened by a name of /proc, but its descriptor is here. */
static int own_socket(const mv_output *o)
{
    struct stat named, own;
    int fd;
    if (sscanf(o->name, "%d", &fd) != 1 || stat(o->target, &named) || fstat(fd, &own) || named.st_dev != own.st_dev ||
        named.st_ino != own.st_ino) {
        errno = ENXIO;
        return -1;
    }
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* Not done by a check: opening a pipe may wait for a reader, and closing it ends that reader's input. */
static mv_status open_direct(mv_output *o)
{
    o->fd = open(o->target, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
    if (o->fd < 0 && errno == ENXIO)
        o->fd = own_socket(o);
    return o->fd >= 0 ? MV_OK : mv_fail_errno(&o->error, o->path, "cannot be opened");
}

static void output_free(mv_output *o)
{
    if (!o)
        return;
    if (o->fd >= 0)
        close(o->fd);
    if (o->temporary[0])
        unlinkat(o->folder, o->temporary, 0);
    mv_temporary_unlist(o->slot);
    if (o->folder >= 0)
        close(o->folder);
    free(o->path);
    free(o->target);
    free(o);
}

/* An output up to its temporary; its `error` says what failed. NULL without memory. */
static mv_output *output_new(const char *path)
{
    mv_output *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->folder = o->fd = o->slot = -1;
    o->path = strdup(path);
    o->target = strdup(path);
    if (!o->path || !o->target)
        mv_fail_memory(&o->error, path);
    else
        open_target(o);
    return o;
}

mv_output *mv_output_open(const char *path, mv_error *e)
{
    mv_output *o = output_new(path);
    if (o && o->error.code == MV_OK && o->direct)
        open_direct(o);
    if (o && o->error.code == MV_OK)
        return o;
    if (o)
        mv_fail(e, o->error.code, "%s", o->error.text);
    else
        mv_fail_memory(e, path);
    output_free(o);
    return NULL;
}

mv_status mv_output_make_parents(const char *path, mv_error *e)
{
    char *copy = strdup(path);
    if (!copy)
        return mv_fail_memory(e, path);
    mv_status s = MV_OK;
    for (char *slash = strchr(copy + 1, '/'); slash && !s; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) && errno != EEXIST)
            s = mv_fail_errno(e, copy, "the folder cannot be made");
        *slash = '/';
    }
    free(copy);
    return s;
}

mv_status mv_output_check(const char *path, mv_error *e)
{
    mv_output *o = output_new(path);
    if (!o)
        return mv_fail_memory(e, path);
    if (o->error.code == MV_OK && !o->direct)
        mv_temporary_clean(o->folder);
    else if (o->error.code == MV_OK && access(o->target, W_OK) < 0)
        mv_fail_errno(&o->error, o->path, "cannot be opened");
    mv_status code = o->error.code;
    if (code != MV_OK)
        mv_fail(e, code, "%s", o->error.text);
    output_free(o);
    return code;
}

bool mv_output_is_same(const char *path, const char *other)
{
    struct stat a, b;
    return stat(path, &a) == 0 && stat(other, &b) == 0 && S_ISREG(a.st_mode) && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

const mv_error *mv_output_error(const mv_output *o)
{
    return &o->error;
}

static mv_status fail_order(mv_output *o)
{
    return mv_fail(&o->error, MV_EIO,
                   "%s: found a pipe or device, expected a regular file: this format is not written in order", o->path);
}

mv_status mv_output_pwrite(mv_output *o, const void *bytes, size_t n, uint64_t offset)
{
    const char *at = bytes;
    if (o->direct && offset != o->position)
        fail_order(o);
    while (n > 0 && o->error.code == MV_OK) {
        size_t part = n < largest_write ? n : largest_write;
        ssize_t done = o->direct ? write(o->fd, at, part) : pwrite(o->fd, at, part, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = ENOSPC;
        if (done <= 0) {
            mv_fail_errno(&o->error, o->path, "cannot be written");
            break;
        }
        at += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    o->position = offset;
    return o->error.code;
}

static mv_status read_back(mv_output *o, char *bytes, size_t n, uint64_t offset)
{
    while (n > 0) {
        ssize_t done = pread(o->fd, bytes, n, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = EIO; /* the file is shorter than what was written */
        if (done <= 0)
            return mv_fail_errno(&o->error, o->path, "cannot be read back");
        bytes += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return MV_OK;
}

mv_status mv_output_move(mv_output *o, uint64_t to, uint64_t from, uint64_t n)
{
    char buffer[1 << 16];
    if (o->direct)
        fail_order(o);
    for (uint64_t done = 0; done < n && o->error.code == MV_OK;) {
        size_t part = n - done < sizeof buffer ? (size_t)(n - done) : sizeof buffer;
        uint64_t at =
            to < from ? done : n - done - part; /* upwards from the end, so that nothing is overwritten unread */
        if (read_back(o, buffer, part, from + at) == MV_OK)
            mv_output_pwrite(o, buffer, part, to + at);
        done += part;
    }
    return o->error.code;
}

mv_status mv_output_resize(mv_output *o, uint64_t size)
{
    if (o->direct)
        return fail_order(o);
    if (o->error.code == MV_OK && ftruncate(o->fd, (off_t)size) < 0)
        mv_fail_errno(&o->error, o->path, "cannot be resized");
    return o->error.code;
}

mv_status mv_output_write(mv_output *o, const void *bytes, size_t n)
{
    return mv_output_pwrite(o, bytes, n, o->position);
}

/* Gives the finished file a temporary name, if it has none, and then the target's name. */
static mv_status rename_to_target(mv_output *o)
{
    if (o->replaces) { /* root keeps the owner of a file it replaces; other users cannot, and own the new file */
        int ignored = fchown(o->fd, o->owner, o->group);
        (void)ignored;
    }
    if (o->replaces && fchmod(o->fd, o->mode) < 0)
        return mv_fail_errno(&o->error, o->path, "its permissions cannot be kept");
    if (fsync(o->fd) < 0)
        return mv_fail_errno(&o->error, o->path, "cannot be written to the disk");
    if (!o->temporary[0]) {
        char proc[40];
        path_of_fd(proc, o->fd);
        name_temporary(o);
        if (linkat(AT_FDCWD, proc, o->folder, o->temporary, AT_SYMLINK_FOLLOW) < 0) {
            mv_fail_errno(&o->error, o->path, "cannot be given its name");
            forget_temporary(o);
            return o->error.code;
        }
    }
    /* Renamed while open, and so locked: another process must not take it for stale. */
    if (renameat(o->folder, o->temporary, o->folder, o->name) < 0)
        return mv_fail_errno(&o->error, o->path, "cannot be given its name");
    forget_temporary(o);
    return MV_OK;
}

static mv_status close_direct(mv_output *o)
{
    int fd = o->fd;
    o->fd = -1;
    return close(fd) == 0 ? MV_OK : mv_fail_errno(&o->error, o->path, "cannot be closed");
}

mv_status mv_output_commit(mv_output *o, mv_error *e)
{
    if (o->error.code == MV_OK)
        (void)(o->direct ? close_direct(o) : rename_to_target(o));
    mv_status code = o->error.code;
    if (code != MV_OK)
        mv_fail(e, code, "%s", o->error.text);
    output_free(o);
    return code;
}

void mv_output_discard(mv_output *o)
{
    output_free(o);
}
