#include "src/file/temporary_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "src/file/folder.h"
#include "src/file/output.h"
#include "src/file/system_impl.h"

static const char prefix[] = ".mvscope-";
enum { DIGITS = 16, SLOTS = 256 };

void mv_temporary_name(char name[MV_TEMPORARY_NAME])
{
    uint64_t r;
    if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        r = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)getpid();
    }
    snprintf(name, MV_TEMPORARY_NAME, "%s%0*llx", prefix, DIGITS, (unsigned long long)r);
}

int mv_temporary_take_rights(int fd, uid_t owner, gid_t group, mode_t mode)
{
    if (fchown(fd, owner, group) < 0 && fchown(fd, (uid_t)-1, group) < 0)
        mode &= ~(mode_t)070 | (mode & 07) << 3;
    return fchmod(fd, mode);
}

void mv_temporary_sync(int parent)
{
    int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* False with errno: ENOENT if something else has the name, or nothing. */
static bool is_at(int fd, int parent, const char *name)
{
    struct stat a, b;
    if (fstat(fd, &a) < 0 || fstatat(parent, name, &b, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    bool same = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    errno = same ? errno : ENOENT;
    return same;
}

bool mv_temporary_lock(int fd, int parent, const char *name)
{
    while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
        continue;
    if (is_at(fd, parent, name))
        return true;
    int saved = errno;
    unlinkat(parent, name, 0); /* if it could not be examined it is still there; as a folder it is empty */
    unlinkat(parent, name, AT_REMOVEDIR);
    errno = saved;
    return false;
}

/* --- The list. It is global, against the rule of the library, because a signal handler must reach it and gets no
 * argument. It is of fixed size and lock-free for the same reason: a handler cannot allocate or wait. --- */

enum { FREE, CHANGING, LISTED };

static struct {
    atomic_int state, inside; /* inside: -1 if it is a file, or a folder that is not open yet */
    int parent;
    char name[MV_TEMPORARY_NAME];
} list[SLOTS];

int mv_temporary_list(int parent, const char *name)
{
    for (int i = 0; i < SLOTS; i++) {
        int expected = FREE;
        if (!atomic_compare_exchange_strong(&list[i].state, &expected, CHANGING))
            continue;
        list[i].parent = parent;
        list[i].inside = -1;
        snprintf(list[i].name, sizeof list[i].name, "%s", name);
        atomic_store(&list[i].state, LISTED);
        return i;
    }
    return -1;
}

void mv_temporary_enter(int slot, int inside)
{
    if (slot >= 0)
        list[slot].inside = inside;
}

void mv_temporary_unlist(int slot)
{
    if (slot >= 0)
        atomic_store(&list[slot].state, FREE);
}

/* getdents64 is a bare system call; opendir would allocate. A pass that removes nothing is the last one. */
void mv_temporary_empty(int folder)
{
    for (bool again = true; again;) {
        _Alignas(struct dirent64) char buffer[4096];
        ssize_t n;
        again = false;
        lseek(folder, 0, SEEK_SET);
        while ((n = getdents64(folder, buffer, sizeof buffer)) > 0)
            for (ssize_t at = 0; at < n;) {
                const struct dirent64 *d = (const void *)(buffer + at);
                if (!mv_system_is_dots(d->d_name) && unlinkat(folder, d->d_name, 0) == 0)
                    again = true;
                at += d->d_reclen;
            }
    }
}

void mv_output_discard_all(void)
{
    int saved = errno;
    for (int i = 0; i < SLOTS; i++) {
        int expected = LISTED;
        if (!atomic_compare_exchange_strong(&list[i].state, &expected, CHANGING))
            continue;
        if (list[i].inside >= 0)
            mv_temporary_empty(list[i].inside);
        if (unlinkat(list[i].parent, list[i].name, 0) < 0)
            unlinkat(list[i].parent, list[i].name, AT_REMOVEDIR);
    }
    errno = saved;
}

/* --- What killed processes left --- */

static bool is_temporary(const char *name)
{
    size_t n = sizeof prefix - 1;
    return strncmp(name, prefix, n) == 0 && strspn(name + n, "0123456789abcdef") == DIGITS && !name[n + DIGITS];
}

static bool is_stored_file(int folder, const char *name)
{
    struct stat st;
    size_t n = strlen(name);
    bool named = strcmp(name, MV_FOLDER_MANIFEST) == 0 || (n > 4 && strcmp(name + n - 4, ".npy") == 0);
    return named && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_uid == geteuid();
}

/* Does the folder hold nothing but what a store writes? */
static bool is_stored_folder(int folder)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *files = fd < 0 ? NULL : fdopendir(fd);
    if (!files) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool ours = true;
    for (struct dirent *d; ours && (d = mv_system_entry(files));)
        ours = is_stored_file(folder, d->d_name);
    ours = ours && errno == 0; /* what could not be read may be somebody else's */
    closedir(files);
    return ours;
}

/* The lock is held until the removal is done, and the name is checked under it: a process that creates a temporary of
 * this name, or gives this one its final name, is never disturbed. */
static void clean(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) &&
        flock(fd, LOCK_EX | LOCK_NB) == 0 && is_at(fd, parent, name)) {
        if (S_ISREG(st.st_mode)) {
            unlinkat(parent, name, 0);
        } else if (is_stored_folder(fd)) {
            mv_temporary_empty(fd);
            unlinkat(parent, name, AT_REMOVEDIR);
        }
    }
    close(fd);
}

void mv_temporary_clean(int parent)
{
    int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *d; (d = readdir(entries));)
        if (is_temporary(d->d_name))
            clean(parent, d->d_name);
    closedir(entries);
}
