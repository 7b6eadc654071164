#include "src/file/output.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/place_impl.h"
#include "src/file/system_impl.h"
#include "src/file/temporary_impl.h"

struct mv_output {
    char *path; /* as given, for errors */
    mv_place at;
    int fd;        /* -1 when not open */
    bool direct;   /* not a regular file: no temporary, no rename */
    bool replaces; /* a regular file exists; its owner and mode follow */
    uid_t owner;
    gid_t group;
    mode_t mode;
    char temporary[MV_TEMPORARY_NAME]; /* a name in the place's folder; empty while the file has no name */
    int slot;                          /* of `temporary` in the list of temporaries; -1: none */
    uint64_t position;
    mv_error error;
};

static const int most_tries = 8;

/* The number of the descriptor of this process that a name in /proc is of; -1: none. */
static int descriptor_of(const mv_output *o)
{
    struct stat named, own;
    int fd;
    bool is = o->at.proc && sscanf(o->at.name, "%d", &fd) == 1 && stat(o->at.path, &named) == 0 &&
              fstat(fd, &own) == 0 && named.st_dev == own.st_dev && named.st_ino == own.st_ino;
    return is ? fd : -1;
}

/* The program fills the place of a closed descriptor with one of /dev/null that takes no writes. Opened anew by its
 * name, it would take them, and nothing would be kept. */
static bool refuses_writes(int fd)
{
    return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

static mv_status look_at_target(mv_output *o)
{
    struct stat st;
    if (fstatat(o->at.folder, o->at.name, &st, o->at.proc ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? MV_OK : mv_fail_errno(&o->error, o->path, "cannot be examined");
    if (S_ISDIR(st.st_mode))
        return mv_fail(&o->error, MV_EIO, "%s: found a folder, expected the name of a file", o->path);
    int fd = descriptor_of(o); /* may be written even if its file may not be opened, as after su */
    if (fd >= 0 && refuses_writes(fd))
        return mv_fail(&o->error, MV_EIO,
                       "%s: found a descriptor that is closed or open for reading only, expected one to write to",
                       o->path);
    if (!S_ISREG(st.st_mode))
        o->direct = true;
    if (fd < 0 && faccessat(o->at.folder, o->at.name, W_OK, AT_EACCESS) < 0)
        return mv_fail_errno(&o->error, o->path, "cannot be written");
    o->replaces = !o->direct;
    o->owner = st.st_uid;
    o->group = st.st_gid;
    o->mode = st.st_mode & 0777;
    return MV_OK;
}

/* What replaces a file may be as private as that is: until it has the file's rights, nobody else reads it. */
static mode_t first_mode(const mv_output *o)
{
    return o->replaces ? 0600 : 0666;
}

static void path_of_fd(char path[40], int fd)
{
    snprintf(path, 40, "/proc/self/fd/%d", fd);
}

/* A file without a name: the kernel removes it with the last descriptor. */
static bool open_nameless(mv_output *o)
{
    char proc[40];
    o->fd = openat(o->at.folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, first_mode(o));
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

static void name_temporary(mv_output *o)
{
    mv_temporary_name(o->temporary);
    o->slot = mv_temporary_list(o->at.folder, o->temporary);
}

static mv_status open_temporary(mv_output *o)
{
    if (open_nameless(o))
        return MV_OK;
    for (int i = 0; i < most_tries; i++) {
        name_temporary(o);
        o->fd = openat(o->at.folder, o->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, first_mode(o));
        if (o->fd >= 0 && mv_temporary_lock(o->fd, o->at.folder, o->temporary))
            return MV_OK;
        int saved = errno;
        bool taken = o->fd >= 0 && saved == ENOENT;
        forget_temporary(o);
        if (o->fd >= 0)
            close(o->fd);
        o->fd = -1;
        errno = taken ? EAGAIN : saved;
        if (!taken)
            break;
    }
    return mv_fail_errno(&o->error, o->path, "cannot be created");
}

static mv_status open_target(mv_output *o)
{
    if (mv_place_find(&o->at, o->path, o->path, &o->error) != MV_OK)
        return o->error.code;
    o->direct = o->at.proc; /* /dev/stdout leads there */
    if (!*o->at.name)
        return mv_fail(&o->error, MV_EIO, "%s: found no file name, expected one", *o->path ? o->path : "output");
    if (look_at_target(o) != MV_OK)
        return o->error.code;
    return o->direct ? MV_OK : open_temporary(o);
}

/* A socket, such as the standard output of a service, is not opened by a name of /proc, nor is what belongs to another
 * user, as after su; but the descriptor is here. */
static int own_descriptor(const mv_output *o)
{
    int error = errno, fd = descriptor_of(o);
    errno = error;
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* Not done by a check: opening a pipe may wait for a reader, and closing it ends that reader's input. */
static mv_status open_direct(mv_output *o)
{
    int follows = o->at.proc ? 0 : O_NOFOLLOW;
    o->fd = openat(o->at.folder, o->at.name, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC | follows);
    if (o->fd < 0 && (errno == ENXIO || errno == EACCES))
        o->fd = own_descriptor(o);
    return o->fd >= 0 ? MV_OK : mv_fail_errno(&o->error, o->path, "cannot be opened");
}

static void output_free(mv_output *o)
{
    if (!o)
        return;
    if (o->fd >= 0)
        close(o->fd);
    if (o->temporary[0])
        unlinkat(o->at.folder, o->temporary, 0);
    mv_temporary_unlist(o->slot);
    mv_place_close(&o->at);
    free(o->path);
    free(o);
}

/* An output up to its temporary; its `error` says what failed. NULL without memory. */
static mv_output *output_new(const char *path)
{
    mv_output *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->at.folder = o->fd = o->slot = -1;
    o->path = strdup(path);
    if (!o->path)
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

void mv_output_clean(const char *path)
{
    mv_place at;
    if (mv_place_find(&at, path, path, NULL) != MV_OK)
        return;
    mv_temporary_clean(at.folder);
    mv_place_close(&at);
}

static bool folds_case(int folder)
{
    char name[MV_TEMPORARY_NAME], other[MV_TEMPORARY_NAME];
    mv_temporary_name(name);
    for (size_t i = 0, n = strlen(name) + 1; i < n; i++)
        other[i] = (char)toupper((unsigned char)name[i]);
    int slot = mv_temporary_list(folder, name),
        fd = openat(folder, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    bool made = fd >= 0 && mv_temporary_lock(fd, folder, name), folds = made && !faccessat(folder, other, F_OK, 0);
    if (made)
        unlinkat(folder, name, 0);
    if (fd >= 0)
        close(fd);
    mv_temporary_unlist(slot);
    return folds;
}

bool mv_output_folds_case(const char *path)
{
    char *copy = strdup(path), *end = copy;
    mv_place at;
    mv_status s = copy ? mv_place_find(&at, copy, copy, NULL) : MV_ENOMEM;
    while (s && end && (end = strrchr(copy, '/'))) {
        *end = '\0';
        s = mv_place_find(&at, copy, copy, NULL);
    }
    bool folds = !s && folds_case(at.folder);
    if (!s)
        mv_place_close(&at);
    free(copy);
    return folds;
}

mv_status mv_output_check(const char *path, mv_error *e)
{
    mv_output *o = output_new(path);
    if (!o)
        return mv_fail_memory(e, path);
    if (o->error.code == MV_OK && !o->direct)
        mv_temporary_clean(o->at.folder);
    else if (o->error.code == MV_OK && access(o->at.path, W_OK) < 0)
        mv_fail_errno(&o->error, o->path, "cannot be opened");
    mv_status code = o->error.code;
    if (code != MV_OK)
        mv_fail(e, code, "%s", o->error.text);
    output_free(o);
    return code;
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
    if (o->direct && offset != o->position)
        fail_order(o);
    if (o->error.code == MV_OK)
        mv_system_write(o->fd, bytes, n, o->direct ? -1 : (off_t)offset, o->path, &o->error);
    o->position = offset + n;
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
    if (o->error.code == MV_OK && mv_system_resize(o->fd, (off_t)size) < 0)
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
    if (o->replaces && mv_temporary_take_rights(o->fd, o->owner, o->group, o->mode) < 0)
        return mv_fail_errno(&o->error, o->path, "its permissions cannot be kept");
    if (mv_system_sync(o->fd) < 0)
        return mv_fail_errno(&o->error, o->path, "cannot be written to the disk");
    if (!o->temporary[0]) {
        char proc[40];
        path_of_fd(proc, o->fd);
        name_temporary(o);
        if (linkat(AT_FDCWD, proc, o->at.folder, o->temporary, AT_SYMLINK_FOLLOW) < 0) {
            mv_fail_errno(&o->error, o->path, "cannot be given its name");
            forget_temporary(o);
            return o->error.code;
        }
    }
    /* Renamed while open, and so locked: another process must not take it for stale. */
    if (renameat(o->at.folder, o->temporary, o->at.folder, o->at.name) < 0)
        return mv_fail_errno(&o->error, o->path, "cannot be given its name");
    forget_temporary(o);
    mv_temporary_sync(o->at.folder);
    return MV_OK;
}

static mv_status close_direct(mv_output *o)
{
    int fd = o->fd;
    o->fd = -1;
    return mv_system_close(fd) == 0 ? MV_OK : mv_fail_errno(&o->error, o->path, "cannot be closed");
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
