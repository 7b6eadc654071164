#include "src/file/output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

struct mv_output {
    char *path;   /* as given: for errors */
    char *target; /* the path behind symbolic links; its last component is `name` */
    const char *name;
    int folder, fd; /* -1 when not open */
    bool direct;    /* not a regular file: no temporary, no rename */
    bool replaces;  /* a regular file is there; its owner and mode follow */
    uid_t owner;
    gid_t group;
    mode_t mode;
    char temporary[MV_OUTPUT_TEMPORARY]; /* a name in `folder`; empty while the file is nameless */
    uint64_t position;
    mv_error error;
};

static const size_t largest_write = (size_t)1 << 30; /* Linux takes no more than 2 GiB a call */
static const int most_links = 40;                    /* as the kernel */

void mv_output_temporary(char name[MV_OUTPUT_TEMPORARY])
{
    uint64_t r;
    if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        r = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)getpid();
    }
    snprintf(name, MV_OUTPUT_TEMPORARY, ".mvscope-%016llx", (unsigned long long)r);
}

/* The text of symbolic link `path` as a path from here, malloc'd; NULL with errno when it is none. */
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

static int open_folder(const char *path, const char *name)
{
    if (name == path)
        return open(".", O_DIRECTORY | O_PATH | O_CLOEXEC);
    char *folder = strndup(path, (size_t)(name - path));
    int fd = folder ? open(folder, O_DIRECTORY | O_PATH | O_CLOEXEC) : -1;
    free(folder);
    return fd;
}

static void name_of_target(mv_output *o)
{
    const char *slash = strrchr(o->target, '/');
    o->name = slash ? slash + 1 : o->target;
}

/* Sets target, name and folder: follows links by hand, since the last one may point at a file yet to be made. */
static mv_status find_target(mv_output *o)
{
    for (int i = 0;; i++) {
        if (o->folder >= 0)
            close(o->folder);
        name_of_target(o);
        if ((o->folder = open_folder(o->target, o->name)) < 0)
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
            return mv_fail(&o->error, MV_EIO, "%s: more than %d symbolic links, one after the other", o->path, i);
    }
}

static mv_status look_at_target(mv_output *o)
{
    struct stat st;
    if (fstatat(o->folder, o->name, &st, 0) < 0)
        return errno == ENOENT ? MV_OK : mv_fail_errno(&o->error, o->path, "cannot be looked at");
    if (S_ISDIR(st.st_mode))
        return mv_fail(&o->error, MV_EIO, "%s: is a folder, a file name was expected", o->path);
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

static mv_status open_temporary(mv_output *o)
{
    char proc[40];
    o->fd = openat(o->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (o->fd >= 0) {
        path_of_fd(proc, o->fd);
        if (access(proc, F_OK) == 0)
            return MV_OK;
        close(o->fd); /* without /proc it could never be given a name */
    }
    mv_output_temporary(o->temporary);
    o->fd = openat(o->folder, o->temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (o->fd >= 0)
        return MV_OK;
    o->temporary[0] = 0;
    return mv_fail_errno(&o->error, o->path, "cannot be made");
}

static mv_status open_output(mv_output *o)
{
    if (find_target(o) != MV_OK)
        return o->error.code;
    if (!*o->name)
        return mv_fail(&o->error, MV_EIO, "%s: no file name", *o->path ? o->path : "output");
    if (look_at_target(o) != MV_OK)
        return o->error.code;
    if (!o->direct)
        return open_temporary(o);
    o->fd = open(o->target, O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
    return o->fd >= 0 ? MV_OK : mv_fail_errno(&o->error, o->path, "cannot be opened");
}

static void output_free(mv_output *o)
{
    if (o->fd >= 0)
        close(o->fd);
    if (o->temporary[0])
        unlinkat(o->folder, o->temporary, 0);
    if (o->folder >= 0)
        close(o->folder);
    free(o->path);
    free(o->target);
    free(o);
}

mv_output *mv_output_open(const char *path, mv_error *e)
{
    mv_output *o = calloc(1, sizeof *o);
    if (!o) {
        mv_fail_memory(e, path);
        return NULL;
    }
    o->folder = o->fd = -1;
    o->path = strdup(path);
    o->target = strdup(path);
    if (!o->path || !o->target)
        mv_fail_memory(&o->error, path);
    else
        open_output(o);
    if (o->error.code == MV_OK)
        return o;
    mv_fail(e, o->error.code, "%s", o->error.text);
    output_free(o);
    return NULL;
}

int mv_output_fd(const mv_output *o)
{
    return o->fd;
}

const mv_error *mv_output_error(const mv_output *o)
{
    return &o->error;
}

mv_status mv_output_pwrite(mv_output *o, const void *bytes, size_t n, uint64_t offset)
{
    const char *at = bytes;
    if (o->direct && offset != o->position)
        mv_fail(&o->error, MV_EIO, "%s: takes its bytes in order only, and this format needs a regular file", o->path);
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

mv_status mv_output_write(mv_output *o, const void *bytes, size_t n)
{
    return mv_output_pwrite(o, bytes, n, o->position);
}

/* Gives the finished temporary file a name, if it has none, and then the target's. */
static mv_status rename_to_target(mv_output *o)
{
    if (o->replaces) { /* a file replaced by root stays its owner's; who may not give it away owns it now */
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
        mv_output_temporary(o->temporary);
        if (linkat(AT_FDCWD, proc, o->folder, o->temporary, AT_SYMLINK_FOLLOW) < 0) {
            mv_fail_errno(&o->error, o->path, "cannot be given its name");
            o->temporary[0] = 0;
            return o->error.code;
        }
    }
    int fd = o->fd;
    o->fd = -1;
    if (close(fd) < 0)
        return mv_fail_errno(&o->error, o->path, "cannot be closed");
    if (renameat(o->folder, o->temporary, o->folder, o->name) < 0)
        return mv_fail_errno(&o->error, o->path, "cannot be given its name");
    o->temporary[0] = 0;
    return MV_OK;
}

mv_status mv_output_commit(mv_output *o, mv_error *e)
{
    if (o->error.code == MV_OK && !o->direct)
        rename_to_target(o);
    if (o->error.code == MV_OK && o->direct) {
        int fd = o->fd;
        o->fd = -1;
        if (close(fd) < 0)
            mv_fail_errno(&o->error, o->path, "cannot be closed");
    }
    mv_status code = o->error.code;
    if (code != MV_OK)
        mv_fail(e, code, "%s", o->error.text);
    output_free(o);
    return code;
}

void mv_output_discard(mv_output *o)
{
    if (o)
        output_free(o);
}
