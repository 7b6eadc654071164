#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "src/file/system_impl.h"

bool mv_system_is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

struct dirent *mv_system_entry(DIR *folder)
{
    struct dirent *d;
    errno = 0;
    do
        d = readdir(folder);
    while (d && mv_system_is_dots(d->d_name));
    return d;
}

ssize_t mv_system_read(int fd, void *bytes, size_t n)
{
    return TEMP_FAILURE_RETRY(read(fd, bytes, n));
}

int mv_system_sync(int fd)
{
    return (int)TEMP_FAILURE_RETRY(fsync(fd));
}

int mv_system_resize(int fd, off_t size)
{
    return (int)TEMP_FAILURE_RETRY(ftruncate(fd, size));
}

int mv_system_close(int fd)
{
    return close(fd) == 0 || errno == EINTR ? 0 : -1;
}

mv_status mv_system_write(int fd, const void *bytes, size_t n, off_t offset, const char *place, mv_error *e)
{
    const size_t largest = (size_t)1 << 30; /* Linux moves at most 2 GiB per call */
    for (const char *at = bytes; n > 0;) {
        size_t part = n < largest ? n : largest;
        ssize_t done = TEMP_FAILURE_RETRY(offset < 0 ? write(fd, at, part) : pwrite(fd, at, part, offset));
        struct pollfd out = {.fd = fd, .events = POLLOUT};
        if (done < 0 && errno == EAGAIN && poll(&out, 1, -1) == 1) /* a socket that does not wait */
            continue;
        if (done == 0)
            errno = ENOSPC;
        if (done <= 0)
            return mv_fail_errno(e, place, "cannot be written");
        at += done;
        n -= (size_t)done;
        offset += offset < 0 ? 0 : done;
    }
    return MV_OK;
}
