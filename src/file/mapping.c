#include "src/file/mapping.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/digest_impl.h"

static mv_status map(mv_mapping *out, int fd, const char *path, mv_error *e)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return mv_fail_errno(e, path, "cannot be read");
    if (!S_ISREG(st.st_mode))
        return mv_fail(e, MV_EINPUT, "%s: found %s, expected a regular file", path,
                       S_ISDIR(st.st_mode) ? "a folder" : "a pipe or device");
    if ((uint64_t)st.st_size > SIZE_MAX)
        return mv_fail_memory(e, path);
    *out = (mv_mapping){0};
    if (st.st_size == 0)
        return MV_OK;
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return mv_fail_errno(e, path, "cannot be mapped");
    *out = (mv_mapping){bytes, (size_t)st.st_size};
    return MV_OK;
}

mv_status mv_mapping_open(mv_mapping *out, const char *path, mv_error *e)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY |
                            O_CLOEXEC); /* O_NONBLOCK: does not wait for the writer of a pipe */
    if (fd < 0)
        return mv_fail_errno(e, path, "cannot be read");
    mv_status code = map(out, fd, path, e);
    close(fd);
    return code;
}

void mv_mapping_close(mv_mapping *m)
{
    if (m->bytes)
        munmap((void *)(uintptr_t)m->bytes, m->size);
    *m = (mv_mapping){0};
}

void mv_mapping_forget(const void *begin, const void *end)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)begin + page - 1) / page * page, last = (uintptr_t)end / page * page;
    if (first < last)
        madvise((void *)first, last - first, MADV_DONTNEED);
}

void mv_mapping_sha256(const void *bytes, size_t size, bool forget, char hex[65])
{
    enum { CHUNK = 16 << 20 };
    const unsigned char *at = bytes;
    struct sha256_ctx hash;
    sha256_init(&hash);
    for (size_t done = 0; done < size; done += CHUNK) {
        size_t n = size - done < CHUNK ? size - done : CHUNK;
        sha256_update(&hash, n, at + done);
        if (forget)
            mv_mapping_forget(at + done, at + done + n);
    }
    unsigned char digest[SHA256_DIGEST_SIZE];
    sha256_digest(&hash, sizeof digest, digest);
    mv_digest_hex(hex, digest, sizeof digest);
}
