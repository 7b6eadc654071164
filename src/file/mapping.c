#include "src/file/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/file/digest_impl.h"
#include "src/file/system_impl.h"

/* --- The list. It is global, against the rule of the library, because a signal handler must reach it and gets no
 * argument. It is of fixed size and lock-free for the same reason. --- */

enum { SLOTS = 1024, FREE = 0, TAKEN = 1 };

static struct {
    atomic_int state;
    atomic_bool broken;
    atomic_uintptr_t begin, end; /* whole pages; end 0: none. The end is set last, and read twice */
} list[SLOTS];

/* 0 when all are taken. */
static int take_slot(const void *bytes, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)bytes;
    for (int i = 0; i < SLOTS; i++) {
        int expected = FREE;
        if (!atomic_compare_exchange_strong(&list[i].state, &expected, TAKEN))
            continue;
        atomic_store(&list[i].broken, false);
        atomic_store(&list[i].begin, begin);
        atomic_store(&list[i].end, (begin + size + page - 1) / page * page);
        return i + 1;
    }
    return 0;
}

static void free_slot(int slot)
{
    if (slot <= 0)
        return;
    atomic_store(&list[slot - 1].end, 0);
    atomic_store(&list[slot - 1].state, FREE);
}

bool mv_mapping_mend(const void *address)
{
    uintptr_t at = (uintptr_t)address, page = (uintptr_t)sysconf(_SC_PAGESIZE);
    int saved = errno;
    for (int i = 0; i < SLOTS; i++) {
        uintptr_t end = atomic_load(&list[i].end), begin = atomic_load(&list[i].begin);
        /* The begin of one mapping and the end of another, as the place changes hands, would span what is between. */
        if (at < begin || at >= end || atomic_load(&list[i].end) != end)
            continue;
        atomic_store(&list[i].broken, true);
        uintptr_t from = at / page * page; /* a file that was cut has no page behind this one either */
        void *zeros = mmap((void *)from, end - from, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        errno = saved;
        return zeros != MAP_FAILED;
    }
    errno = saved;
    return false;
}

/* --- opening --- */

/* O_NONBLOCK: does not wait for the writer of a pipe. */
static mv_status open_file(int *fd, struct stat *st, const char *path, mv_error *e)
{
    mv_status s = MV_OK;
    *fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (*fd < 0)
        return mv_fail_errno(e, path, "cannot be read");
    if (fstat(*fd, st) < 0)
        s = mv_fail_errno(e, path, "cannot be read");
    else if (!S_ISREG(st->st_mode))
        s = mv_fail(e, MV_EINPUT, "%s: found %s, expected a regular file", path,
                    S_ISDIR(st->st_mode) ? "a folder" : "a pipe or device");
    else if ((uint64_t)st->st_size > SIZE_MAX)
        s = mv_fail_memory(e, path);
    if (s)
        close(*fd);
    return s;
}

/* Reads to the end, which a file of /proc does not announce. A byte more than expected shows the end. */
static mv_status read_file(mv_mapping *out, int fd, size_t expected, size_t most, const char *path, mv_error *e)
{
    size_t room = expected + 1, size = 0;
    unsigned char *bytes = malloc(room);
    ssize_t n = bytes ? 1 : 0;
    while (bytes && n != 0 && size <= most) {
        if (size == room) {
            unsigned char *more = realloc(bytes, room *= 2);
            if (!more)
                break;
            bytes = more;
        }
        n = mv_system_read(fd, bytes + size, room - size);
        if (n < 0) {
            mv_status s = mv_fail_errno(e, path, "cannot be read");
            free(bytes);
            return s;
        }
        size += (size_t)n;
    }
    if (bytes && size > 0 && n == 0) {
        *out = (mv_mapping){.bytes = bytes, .size = size};
        return MV_OK;
    }
    bool complete = bytes && n == 0, long_ = size > most;
    free(bytes);
    return complete ? MV_OK
           : long_  ? mv_fail(e, MV_EINPUT, "%s: found more than %zu bytes, expected at most that", path, most)
                    : mv_fail_memory(e, path);
}

mv_status mv_mapping_load(mv_mapping *out, const char *path, size_t most, mv_error *e)
{
    struct stat st;
    int fd;
    *out = (mv_mapping){0};
    mv_status s = open_file(&fd, &st, path, e);
    if (s)
        return s;
    size_t size = (size_t)st.st_size;
    s = size > most ? mv_fail(e, MV_EINPUT, "%s: found %zu bytes, expected at most %zu", path, size, most)
                    : read_file(out, fd, size, most, path, e);
    close(fd);
    return s;
}

mv_status mv_mapping_open(mv_mapping *out, const char *path, mv_error *e)
{
    struct stat st;
    int fd;
    *out = (mv_mapping){0};
    mv_status s = open_file(&fd, &st, path, e);
    if (s)
        return s;
    size_t size = (size_t)st.st_size;
    void *bytes = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int slot = size && bytes != MAP_FAILED ? take_slot(bytes, size) : 0;
    if (bytes == MAP_FAILED)
        s = mv_fail_errno(e, path, "cannot be mapped");
    else if (slot)
        *out = (mv_mapping){bytes, size, slot, st.st_dev, st.st_ino, st.st_mtim};
    else if (size) { /* as many as that are mapped already */
        munmap(bytes, size);
        s = read_file(out, fd, size, SIZE_MAX - 1, path, e);
    }
    close(fd);
    return s;
}

void mv_mapping_close(mv_mapping *m)
{
    free_slot(m->slot);
    if (m->slot)
        munmap((void *)(uintptr_t)m->bytes, m->size);
    else
        free((void *)(uintptr_t)m->bytes);
    *m = (mv_mapping){0};
}

mv_status mv_mapping_check(const mv_mapping *m, const char *path, mv_error *e)
{
    struct stat st;
    if (!m->slot)
        return MV_OK;
    bool same = stat(path, &st) == 0 && st.st_dev == m->device && st.st_ino == m->inode;
    bool cut = same && (uint64_t)st.st_size < m->size;
    bool written = same && (st.st_mtim.tv_sec != m->changed.tv_sec || st.st_mtim.tv_nsec != m->changed.tv_nsec);
    if (cut)
        return mv_fail(e, MV_EIO, "%s: was cut from %zu to %llu bytes while it was read; start again when it is whole",
                       path, m->size, (unsigned long long)st.st_size);
    if (written)
        return mv_fail(e, MV_EIO, "%s: was written while it was read; start again when it is whole", path);
    if (atomic_load(&list[m->slot - 1].broken))
        return mv_fail(e, MV_EIO, "%s: a part of it cannot be read: it was cut, or its disk or network fails", path);
    return MV_OK;
}

mv_status mv_mapping_finish(const mv_mapping *m, const char *path, const mv_error *why, mv_error *e)
{
    mv_status s = mv_mapping_check(m, path, e);
    return s || !why->code ? s : mv_fail(e, why->code, "%s", why->text);
}

mv_status mv_mapping_read(mv_mapping *out, const char *path, mv_mapping_reader *read, void *context, mv_error *e)
{
    mv_error why = {0};
    mv_status s = mv_mapping_open(out, path, e);
    if (s)
        return s;
    read(context, out, &why);
    return mv_mapping_finish(out, path, &why, e);
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
