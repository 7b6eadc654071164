#include "src/file/place_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

static const int most_links = 40; /* the kernel's own limit */

/* Reads the symbolic link that `link` is a descriptor of, and returns its target as a path from here, malloc'd; NULL
 * with errno. */
static char *link_text(int link, const char *path)
{
    char text[4096], *result;
    ssize_t n = readlinkat(link, "", text, sizeof text - 1);
    if (n < 0)
        return NULL;
    text[n] = 0;
    const char *slash = text[0] == '/' ? NULL : strrchr(path, '/');
    return asprintf(&result, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, text) < 0 ? NULL : result;
}

static bool may_follow(int folder, const struct stat *link)
{
    const mode_t shared = S_ISVTX | S_IWOTH;
    struct stat st;
    if (link->st_uid == geteuid())
        return true;
    return fstat(folder, &st) == 0 && ((st.st_mode & shared) != shared || st.st_uid == link->st_uid);
}

static int open_parent(const mv_place *p)
{
    if (p->name == p->path)
        return open(".", O_DIRECTORY | O_PATH | O_CLOEXEC);
    char *folder = strndup(p->path, (size_t)(p->name - p->path));
    int fd = folder ? open(folder, O_DIRECTORY | O_PATH | O_CLOEXEC) : -1;
    free(folder);
    return fd;
}

/* Opens the folder of p->path. */
static mv_status enter(mv_place *p, const char *told, mv_error *e)
{
    struct statfs fs;
    const char *slash = strrchr(p->path, '/');
    p->name = slash ? slash + 1 : p->path;
    if (p->folder >= 0)
        close(p->folder);
    p->folder = open_parent(p);
    if (p->folder < 0)
        return mv_fail_errno(e, told, "its folder");
    p->proc = fstatfs(p->folder, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
    return MV_OK;
}

/* Goes where the link leads. */
static mv_status follow(mv_place *p, int link, const struct stat *st, const char *told, mv_error *e)
{
    if (!may_follow(p->folder, st))
        return mv_fail(e, MV_EIO,
                       "%s: found a link that another user made in a folder that all may write, expected a file or a "
                       "link of your own",
                       told);
    char *next = link_text(link, p->path);
    if (!next)
        return mv_fail_errno(e, told, "its link cannot be read");
    free(p->path);
    p->path = next;
    return enter(p, told, e);
}

/* Follows one link; *done: there is none. i: links so far. */
static mv_status step(mv_place *p, int i, const char *told, bool *done, mv_error *e)
{
    struct stat st;
    mv_status s = MV_OK;
    int fd = openat(p->folder, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    bool known = fd >= 0 && fstat(fd, &st) == 0;
    *done = !known || !S_ISLNK(st.st_mode);
    if (!known && (fd >= 0 || errno != ENOENT))
        s = mv_fail_errno(e, told, "cannot be examined");
    else if (fd < 0 && i > 0)
        s = mv_fail(e, MV_EIO, "%s: found a link to %.200s, which does not exist, expected a file or no link", told,
                    p->path);
    else if (!*done && i == most_links)
        s = mv_fail(e, MV_EIO, "%s: found a chain of more than %d symbolic links, expected a shorter one", told, i);
    else if (!*done)
        s = follow(p, fd, &st, told, e);
    if (fd >= 0)
        close(fd);
    return s;
}

mv_status mv_place_find(mv_place *p, const char *path, const char *told, mv_error *e)
{
    bool done = false;
    *p = (mv_place){.folder = -1, .path = strdup(path)};
    mv_status s = p->path ? enter(p, told, e) : mv_fail_memory(e, told);
    for (int i = 0; !s && !done && !p->proc && *p->name; i++)
        s = step(p, i, told, &done, e);
    if (s)
        mv_place_close(p);
    return s;
}

void mv_place_close(mv_place *p)
{
    if (p->folder >= 0)
        close(p->folder);
    free(p->path);
    *p = (mv_place){.folder = -1};
}
