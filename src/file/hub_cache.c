/* The cache of the hub on disk: names that are safe to be paths, locks, links and refs. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "src/base/text.h"
#include "src/file/digest_impl.h"
#include "src/file/hub_impl.h"
#include "src/file/output.h"
#include "src/file/system_impl.h"

/* ---- names */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

static bool is_word(const char *text, size_t n)
{
    return n > 0 && strspn(text, letters) >= n && text[0] != '.' && text[0] != '-' && text[n - 1] != '.' &&
           text[n - 1] != '-';
}

bool mv_hub_is_file_name(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n < MV_HUB_FILE_NAME && strspn(text, letters) == n && text[0] != '.' && text[0] != '-';
}

bool mv_hub_is_commit(const char *text)
{
    return mv_digest_is_hex(text, 40) || mv_digest_is_hex(text, 64);
}

bool mv_hub_is_etag(const char *text)
{
    return strlen(text) < MV_HUB_ETAG && mv_hub_is_file_name(text);
}

/* Git's rules for names of branches and tags, and a little more: these become a path below refs/. */
static bool is_revision(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n >= sizeof((mv_hub_name *)0)->revision || strstr(text, ".."))
        return false;
    for (const char *from = text; from;) {
        const char *slash = strchr(from, '/');
        size_t k = slash ? (size_t)(slash - from) : strlen(from);
        if (k == 0 || strspn(from, letters) < k || from[0] == '.' || from[0] == '-')
            return false;
        from = slash ? slash + 1 : NULL;
    }
    return true;
}

mv_status mv_hub_revision_set(mv_hub_name *name, const char *text, const char *place, mv_error *e)
{
    if (!is_revision(text))
        return mv_fail(e, MV_EINPUT, "%s: found '%.80s', expected a revision: a branch, a tag or a commit", place,
                       text);
    snprintf(name->revision, sizeof name->revision, "%s", text);
    return MV_OK;
}

mv_status mv_hub_name_parse(mv_hub_name *out, const char *text, mv_error *e)
{
    const char *at = strchr(text, '@'), *slash = strchr(text, '/');
    size_t n = at ? (size_t)(at - text) : strlen(text), owner = slash ? (size_t)(slash - text) : n;
    *out = (mv_hub_name){.revision = "main"};
    bool good = n < 97 && owner + 1 < n && is_word(text, owner) && is_word(text + owner + 1, n - owner - 1);
    snprintf(out->id, sizeof out->id, "%.*s", (int)(n < sizeof out->id ? n : 0), text);
    if (!good || strstr(out->id, "..") || strstr(out->id, "--"))
        return mv_fail(e, MV_EINPUT, "%.100s: is no repository of the hub: expected OWNER/NAME or OWNER/NAME@REVISION",
                       text);
    return at ? mv_hub_revision_set(out, at + 1, out->id, e) : MV_OK;
}

/* ---- paths */

char *mv_hub_path(const char *cache, const mv_hub_name *name, const char *format, ...)
{
    char *tail = NULL, *path = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&tail, format, args);
    va_end(args);
    const char *slash = strchr(name->id, '/');
    if (n < 0 ||
        asprintf(&path, "%s/models--%.*s--%s/%s", cache, (int)(slash - name->id), name->id, slash + 1, tail) < 0)
        path = NULL;
    if (n >= 0)
        free(tail);
    return path;
}

static bool read_commit(const char *path, char commit[MV_HUB_COMMIT])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : mv_system_read(fd, commit, MV_HUB_COMMIT - 1);
    if (fd >= 0)
        close(fd);
    commit[n > 0 ? n : 0] = 0;
    commit[strcspn(commit, " \r\n")] = 0;
    return mv_hub_is_commit(commit);
}

bool mv_hub_cached_commit(const char *cache, const mv_hub_name *name, char commit[MV_HUB_COMMIT])
{
    char *path = mv_hub_path(cache, name, "refs/%s", name->revision);
    bool found = path && read_commit(path, commit);
    free(path);
    if (!found && mv_hub_is_commit(name->revision)) {
        memcpy(commit, name->revision, strlen(name->revision) + 1);
        found = true;
    }
    return found;
}

/* ---- space and locks */

mv_status mv_hub_check_space(const char *cache, uint64_t bytes, mv_error *e)
{
    struct statvfs fs;
    if (statvfs(cache, &fs)) /* it is written to in a moment: a failure says more then */
        return MV_OK;
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (bytes <= room)
        return MV_OK;
    return mv_fail(e, MV_EIO,
                   "%s: found %.1f MB free, expected %.1f MB for what is to be fetched; HF_HUB_CACHE chooses another "
                   "folder",
                   cache, (double)room * 1e-6, (double)bytes * 1e-6);
}

/* Another process may have removed the file before it was locked: then the lock is of nothing, and errno is ENOENT. */
static bool is_still(int fd, const char *path)
{
    struct stat a, b;
    if (fstat(fd, &a) || stat(path, &b))
        return false;
    bool same = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    errno = same ? errno : ENOENT;
    return same;
}

static mv_status lock_path(const mv_hub_settings *s, const char *path, int *fd, mv_error *e)
{
    static const struct timespec pause = {.tv_nsec = 100000000};
    for (bool said = false;;) {
        *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0664);
        if (*fd < 0)
            return mv_fail_errno(e, path, "cannot be created");
        bool locked = flock(*fd, LOCK_EX | LOCK_NB) == 0;
        if (!locked && errno != EWOULDBLOCK && errno != EINTR) { /* no locks here */
            close(*fd);
            *fd = -1;
            return MV_OK;
        }
        if (locked && is_still(*fd, path))
            return MV_OK;
        mv_status failed = locked && errno != ENOENT ? mv_fail_errno(e, path, "cannot be examined") : MV_OK;
        close(*fd);
        *fd = -1;
        if (failed)
            return failed;
        if (s->stop && s->stop(s->context))
            return mv_fail(e, MV_EIO, "%s: interrupted", path);
        if (!locked && !said && s->say)
            s->say(s->context, "another program is fetching the same file; waiting for it");
        said = said || !locked;
        if (!locked)
            nanosleep(&pause, NULL);
    }
}

mv_status mv_hub_lock(const mv_hub_settings *s, const mv_hub_name *name, const char *etag, int *fd, mv_error *e)
{
    char *path = NULL;
    const char *slash = strchr(name->id, '/');
    if (asprintf(&path, "%s/.locks/models--%.*s--%s/%s.lock", s->cache, (int)(slash - name->id), name->id, slash + 1,
                 etag) < 0)
        return mv_fail_memory(e, name->id);
    mv_status done = mv_output_make_parents(path, e);
    if (!done)
        done = lock_path(s, path, fd, e);
    free(path);
    return done;
}

/* ---- links and refs */

mv_status mv_hub_link(const char *cache, const mv_hub_name *name, const char *commit, const mv_hub_file *file,
                      mv_error *e)
{
    char target[MV_HUB_ETAG + 16], now[MV_HUB_ETAG + 16];
    char *link = mv_hub_path(cache, name, "snapshots/%s/%s", commit, file->name), *draft = NULL;
    snprintf(target, sizeof target, "../../blobs/%s", file->etag);
    mv_status s = link ? mv_output_make_parents(link, e) : mv_fail_memory(e, name->id);
    ssize_t n = s ? -1 : readlink(link, now, sizeof now - 1);
    if (!s && n > 0 && (size_t)n == strlen(target) && memcmp(now, target, (size_t)n) == 0) {
        free(link);
        return MV_OK;
    }
    /* No file of a repository begins so; and one name only, so that a run removes what a killed one left. The lock of
     * the file is held. */
    if (!s && asprintf(&draft, "%.*s.%s.tmp", (int)(mv_text_base_name(link) - link), link, file->name) < 0)
        draft = NULL, s = mv_fail_memory(e, name->id);
    if (!s) {
        unlink(draft);
        bool linked = symlink(target, draft) == 0;
        if (!linked &&
            (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS)) { /* no links here: the file itself */
            char *blob = mv_hub_path(cache, name, "blobs/%s", file->etag);
            if (!blob || rename(blob, link))
                s = blob ? mv_fail_errno(e, link, "cannot be given its name") : mv_fail_memory(e, name->id);
            free(blob);
        } else if (!linked || rename(draft, link)) {
            s = mv_fail_errno(e, link, "cannot be linked");
            unlink(draft);
        }
    }
    free(draft);
    free(link);
    return s;
}

mv_status mv_hub_note(const char *cache, const mv_hub_name *name, const char *commit, mv_error *e)
{
    char now[MV_HUB_COMMIT];
    if (strcmp(name->revision, commit) == 0)
        return MV_OK;
    char *path = mv_hub_path(cache, name, "refs/%s", name->revision);
    mv_status s = path ? mv_output_make_parents(path, e) : mv_fail_memory(e, name->id);
    if (!s && !(read_commit(path, now) && strcmp(now, commit) == 0)) {
        mv_output *o = mv_output_open(path, e);
        if (o)
            mv_output_write(o, commit, strlen(commit));
        s = o ? mv_output_commit(o, e) : MV_EIO;
    }
    free(path);
    return s;
}
