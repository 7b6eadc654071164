#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/kind.h"
#include "src/file/system_impl.h"

mv_status mv_kind_of_file(mv_kind *out, const char *path, mv_error *e)
{
    char bytes[MV_KIND_BYTES];
    size_t size = 0;
    struct stat st;
    *out = MV_KIND_UNKNOWN;
    if (stat(path, &st))
        return mv_fail_errno(e, path, "cannot be opened");
    if (!S_ISREG(st.st_mode))
        return mv_fail(e, MV_EINPUT, "%s: is no regular file", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return mv_fail_errno(e, path, "cannot be opened");
    mv_status s = MV_OK;
    while (!s && size < sizeof bytes) {
        ssize_t n = mv_system_read(fd, bytes + size, sizeof bytes - size);
        if (n < 0)
            s = mv_fail_errno(e, path, "cannot be read");
        if (n == 0)
            break;
        size += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    if (!s)
        *out = mv_kind_of(bytes, size);
    return s;
}
