/* A library to be preloaded: the n-th call of the program to the system, counted from main on, goes wrong.
 *
 *   MVSCOPE_FAULT_AT=N        the N-th call goes wrong; "N+": and all later calls of the same name
 *   MVSCOPE_FAULT_AS=HOW      error        it fails, as it would on a broken device or without a right
 *                             full         it fails for want of space, memory or descriptors
 *                             interrupted  it fails with EINTR ("N+": every other one)
 *                             short        it moves half of the bytes
 *                             Only calls to which this can happen are counted.
 *   MVSCOPE_FAULT_CALLS=A:B   (optional) only the calls of these names are counted
 *   MVSCOPE_FAULT_COUNT=F     write into file F a line for each call: its name and from where in the program it came
 *   MVSCOPE_FAULT_SAID=F      write into file F which call went wrong first, and in the next line the error's words
 *   MVSCOPE_FAULT_OLD=1       a file system without O_TMPFILE and without RENAME_EXCHANGE
 *
 * Only calls of the program itself count. Streams, standard output among them, are made of the calls below: their reads
 * and writes count, too. They are never interrupted: the C library does not go on after that, and the only signals that
 * the program catches end its run.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum how { ERROR, FULL, INTERRUPTED, SHORT };
static const char *const hows[] = {"error", "full", "interrupted", "short"};

/* name, error, want of room, can be interrupted, can be short; 0: does not fail so. An open waits for pipes alone, and
 * then an interruption is to end it. */
#define CALLS(X)                                                                                                       \
    X(access, EACCES, 0, 0, 0)                                                                                         \
    X(close, EIO, ENOSPC, 1, 0)                                                                                        \
    X(faccessat, EACCES, 0, 0, 0)                                                                                      \
    X(fchmod, EPERM, 0, 0, 0)                                                                                          \
    X(fchown, EPERM, EDQUOT, 0, 0)                                                                                     \
    X(fdopendir, EIO, ENOMEM, 0, 0)                                                                                    \
    X(flock, ENOLCK, 0, 1, 0)                                                                                          \
    X(fstat, EIO, ENOMEM, 0, 0)                                                                                        \
    X(fstatat, EIO, ENOMEM, 0, 0)                                                                                      \
    X(fstatfs, EIO, ENOMEM, 0, 0)                                                                                      \
    X(fsync, EIO, ENOSPC, 1, 0)                                                                                        \
    X(ftruncate, EIO, ENOSPC, 1, 0)                                                                                    \
    X(getdents64, EIO, ENOMEM, 0, 0)                                                                                   \
    X(getrandom, ENOSYS, 0, 1, 1)                                                                                      \
    X(linkat, EPERM, ENOSPC, 0, 0)                                                                                     \
    X(lseek, EIO, 0, 0, 0)                                                                                             \
    X(lstat, EIO, ENOMEM, 0, 0)                                                                                        \
    X(memfd_create, EPERM, EMFILE, 0, 0)                                                                               \
    X(mkdir, EACCES, ENOSPC, 0, 0)                                                                                     \
    X(mkdirat, EACCES, ENOSPC, 0, 0)                                                                                   \
    X(mmap, EACCES, ENOMEM, 0, 0)                                                                                      \
    X(nanosleep, 0, 0, 1, 0)                                                                                           \
    X(open, EACCES, EMFILE, 0, 0)                                                                                      \
    X(openat, EACCES, EMFILE, 0, 0)                                                                                    \
    X(opendir, EACCES, EMFILE, 0, 0)                                                                                   \
    X(poll, 0, 0, 1, 0)                                                                                                \
    X(pread, EIO, 0, 1, 1)                                                                                             \
    X(pthread_create, 0, EAGAIN, 0, 0)                                                                                 \
    X(pwrite, EIO, ENOSPC, 1, 1)                                                                                       \
    X(read, EIO, ENOMEM, 1, 1)                                                                                         \
    X(readdir, EIO, ENOMEM, 0, 0)                                                                                      \
    X(readlink, EIO, ENOMEM, 0, 0)                                                                                     \
    X(readlinkat, EIO, ENOMEM, 0, 0)                                                                                   \
    X(realpath, EIO, ENOMEM, 0, 0)                                                                                     \
    X(rename, EACCES, ENOSPC, 0, 0)                                                                                    \
    X(renameat, EACCES, ENOSPC, 0, 0)                                                                                  \
    X(renameat2, EACCES, ENOSPC, 0, 0)                                                                                 \
    X(rmdir, EIO, ENOMEM, 0, 0)                                                                                        \
    X(scandir, EACCES, EMFILE, 0, 0)                                                                                   \
    X(stat, EIO, ENOMEM, 0, 0)                                                                                         \
    X(statfs, EIO, ENOMEM, 0, 0)                                                                                       \
    X(statvfs, EIO, ENOMEM, 0, 0)                                                                                      \
    X(symlink, EIO, ENOSPC, 0, 0)                                                                                      \
    X(truncate, EIO, ENOSPC, 1, 0)                                                                                     \
    X(unlink, EIO, 0, 0, 0)                                                                                            \
    X(unlinkat, EIO, 0, 0, 0)                                                                                          \
    X(write, EIO, ENOSPC, 1, 1)

#define NUMBER(name, ...) CALL_##name,
enum { CALLS(NUMBER) N_CALLS };

#define ROW(name, error, full, interrupted, short_) {#name, {error, full, interrupted ? EINTR : 0, short_}},
static const struct {
    const char *name;
    int at[4]; /* by `how`: the error, or 0 */
} calls[] = {CALLS(ROW)};

enum { MOST = 1 << 16 };
static struct {
    int call;
    unsigned from;
} made[MOST];
static atomic_long count;
static atomic_int failing = -1; /* the name of the N-th call */
static atomic_int again;        /* calls of that name from there on */
static long fail_at;            /* 0: never */
static bool fail_on, armed, old_system;
static enum how how;
static uintptr_t code_from, code_to; /* the program's own */
static const char *only;

static void note(const char *variable, const char *format, ...)
{
    char text[128];
    va_list args;
    const char *name = getenv(variable);
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    long fd = name ? syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    if (fd >= 0) {
        syscall(SYS_write, (int)fd, text, (size_t)n);
        syscall(SYS_close, (int)fd);
    }
}

static bool is_chosen(int call)
{
    if (!only)
        return true;
    size_t n = strlen(calls[call].name);
    for (const char *at = only; (at = strstr(at, calls[call].name)); at += n)
        if ((at == only || at[-1] == ':') && (at[n] == ':' || !at[n]))
            return true;
    return false;
}

static bool is_ours(const void *caller)
{
    return (uintptr_t)caller - code_from < code_to - code_from;
}

/* Does this call go wrong? Then errno is set. */
static bool goes_wrong(int call, const void *caller)
{
    int error = calls[call].at[how];
    if (!armed || !error || !is_chosen(call) || !is_ours(caller))
        return false;
    long n = atomic_fetch_add(&count, 1) + 1;
    unsigned from = (unsigned)((uintptr_t)caller - code_from);
    if (n <= MOST) {
        made[n - 1].call = call;
        made[n - 1].from = from;
    }
    if (!fail_at || n < fail_at || (n > fail_at && !(fail_on && atomic_load(&failing) == call)))
        return false;
    if (how == INTERRUPTED && fail_on && atomic_fetch_add(&again, 1) % 2)
        return false;
    if (n == fail_at) {
        atomic_store(&failing, call);
        note("MVSCOPE_FAULT_SAID", "%s %x\n%s\n", calls[call].name, from, how == SHORT ? "short" : strerror(error));
    }
    errno = how == SHORT ? errno : error;
    return true;
}

#define FUNCTION(type, name, parameters)                                                                               \
    static type(*real) parameters;                                                                                     \
    if (!real)                                                                                                         \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

#define WRONG(name) goes_wrong(CALL_##name, __builtin_return_address(0))

/* A call that fails or is made. */
#define FAILS(type, name, failed, parameters, arguments)                                                               \
    type name parameters                                                                                               \
    {                                                                                                                  \
        FUNCTION(type, name, parameters);                                                                              \
        return WRONG(name) ? (failed) : real arguments;                                                                \
    }

FAILS(int, access, -1, (const char *path, int mode), (path, mode))
FAILS(int, faccessat, -1, (int at, const char *path, int mode, int flags), (at, path, mode, flags))
FAILS(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
FAILS(int, fchown, -1, (int fd, uid_t owner, gid_t group), (fd, owner, group))
FAILS(DIR *, fdopendir, NULL, (int fd), (fd))
FAILS(int, flock, -1, (int fd, int what), (fd, what))
FAILS(int, fstat, -1, (int fd, struct stat *st), (fd, st))
FAILS(int, fstatat, -1, (int at, const char *path, struct stat *st, int flags), (at, path, st, flags))
FAILS(int, fstatfs, -1, (int fd, struct statfs *fs), (fd, fs))
FAILS(int, fsync, -1, (int fd), (fd))
FAILS(int, ftruncate, -1, (int fd, off_t n), (fd, n))
FAILS(ssize_t, getdents64, -1, (int fd, void *to, size_t n), (fd, to, n))
FAILS(int, linkat, -1, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
FAILS(off_t, lseek, -1, (int fd, off_t n, int from), (fd, n, from))
FAILS(int, lstat, -1, (const char *path, struct stat *st), (path, st))
FAILS(int, memfd_create, -1, (const char *name, unsigned flags), (name, flags))
FAILS(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
FAILS(int, mkdirat, -1, (int at, const char *path, mode_t mode), (at, path, mode))
FAILS(void *, mmap, MAP_FAILED, (void *at, size_t n, int may, int flags, int fd, off_t from),
      (at, n, may, flags, fd, from))
FAILS(int, nanosleep, -1, (const struct timespec *time, struct timespec *left), (time, left))
FAILS(DIR *, opendir, NULL, (const char *path), (path))
FAILS(int, poll, -1, (struct pollfd * fds, nfds_t n, int time), (fds, n, time))
FAILS(struct dirent *, readdir, NULL, (DIR * folder), (folder))
FAILS(ssize_t, readlink, -1, (const char *path, char *text, size_t n), (path, text, n))
FAILS(ssize_t, readlinkat, -1, (int at, const char *path, char *text, size_t n), (at, path, text, n))
FAILS(char *, realpath, NULL, (const char *path, char *text), (path, text))
FAILS(int, rename, -1, (const char *from, const char *to), (from, to))
FAILS(int, renameat, -1, (int a, const char *from, int b, const char *to), (a, from, b, to))
FAILS(int, rmdir, -1, (const char *path), (path))
FAILS(int, scandir, -1,
      (const char *path, struct dirent ***list, int (*filter)(const struct dirent *),
       int (*compare)(const struct dirent **, const struct dirent **)),
      (path, list, filter, compare))
FAILS(int, stat, -1, (const char *path, struct stat *st), (path, st))
FAILS(int, statfs, -1, (const char *path, struct statfs *fs), (path, fs))
FAILS(int, statvfs, -1, (const char *path, struct statvfs *fs), (path, fs))
FAILS(int, symlink, -1, (const char *target, const char *path), (target, path))
FAILS(int, truncate, -1, (const char *path, off_t n), (path, n))
FAILS(int, unlink, -1, (const char *path), (path))
FAILS(int, unlinkat, -1, (int at, const char *path, int flags), (at, path, flags))

/* A file system that is older than these. */
static bool lacks(bool what)
{
    if (armed && old_system && what) {
        errno = EOPNOTSUPP;
        return true;
    }
    return false;
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    FUNCTION(int, renameat2, (int, const char *, int, const char *, unsigned));
    return WRONG(renameat2) || lacks(flags != 0) ? -1 : real(a, from, b, to, flags);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how_, void *(*start)(void *), void *context)
{
    FUNCTION(int, pthread_create, (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *));
    /* The program's own pthread_create passes on what libraries call. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wframe-address"
    const void *caller = __builtin_return_address(0);
    caller = is_ours(caller) ? __builtin_return_address(1) : caller;
#pragma GCC diagnostic pop
    return goes_wrong(CALL_pthread_create, caller) ? EAGAIN : real(thread, how_, start, context);
}

/* On Linux the descriptor is closed, whatever close returns. */
int close(int fd)
{
    FUNCTION(int, close, (int));
    bool wrong = WRONG(close);
    int saved = errno, closed = real(fd);
    if (!wrong)
        return closed;
    errno = saved;
    return -1;
}

#define OPENS(name, parameters, arguments)                                                                             \
    int name parameters                                                                                                \
    {                                                                                                                  \
        FUNCTION(int, name, parameters);                                                                               \
        va_list args;                                                                                                  \
        va_start(args, flags);                                                                                         \
        mode_t mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;                  \
        va_end(args);                                                                                                  \
        return WRONG(name) || lacks((flags & O_TMPFILE) == O_TMPFILE) ? -1 : real arguments;                           \
    }

OPENS(open, (const char *path, int flags, ...), (path, flags, mode))
OPENS(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode))

/* A call that moves N bytes. */
#define MOVES(name, call, parameters, n, arguments)                                                                    \
    ssize_t name parameters                                                                                            \
    {                                                                                                                  \
        FUNCTION(ssize_t, name, parameters);                                                                           \
        if (goes_wrong(call, __builtin_return_address(0))) {                                                           \
            if (how != SHORT)                                                                                          \
                return -1;                                                                                             \
            n -= n / 2;                                                                                                \
        }                                                                                                              \
        return real arguments;                                                                                         \
    }

MOVES(getrandom, CALL_getrandom, (void *to, size_t n, unsigned flags), n, (to, n, flags))
MOVES(pread, CALL_pread, (int fd, void *to, size_t n, off_t at), n, (fd, to, n, at))
MOVES(pwrite, CALL_pwrite, (int fd, const void *from, size_t n, off_t at), n, (fd, from, n, at))
MOVES(read, CALL_read, (int fd, void *to, size_t n), n, (fd, to, n))
MOVES(write, CALL_write, (int fd, const void *from, size_t n), n, (fd, from, n))

/* What the compiler makes of calls whose buffers it checks. */
ssize_t __read_chk(int fd, void *to, size_t n, size_t room);
ssize_t __pread_chk(int fd, void *to, size_t n, off_t at, size_t room);
int __open_2(const char *path, int flags);
int __openat_2(int at, const char *path, int flags);

MOVES(__read_chk, CALL_read, (int fd, void *to, size_t n, size_t room), n, (fd, to, n, room))
MOVES(__pread_chk, CALL_pread, (int fd, void *to, size_t n, off_t at, size_t room), n, (fd, to, n, at, room))

int __open_2(const char *path, int flags)
{
    FUNCTION(int, __open_2, (const char *, int));
    return goes_wrong(CALL_open, __builtin_return_address(0)) ? -1 : real(path, flags);
}

int __openat_2(int at, const char *path, int flags)
{
    FUNCTION(int, __openat_2, (int, const char *, int));
    return goes_wrong(CALL_openat, __builtin_return_address(0)) ? -1 : real(at, path, flags);
}

/* --- Streams: the C library calls its own read and write, not those above, so the functions of streams fail. --- */

static bool stream_fails(int call)
{
    return how != INTERRUPTED && how != SHORT && goes_wrong(call, (const void *)(code_from + (unsigned)call));
}

static ssize_t stream_read(void *fd, char *to, size_t n)
{
    return stream_fails(CALL_read) ? -1 : read((int)(intptr_t)fd, to, n);
}

static ssize_t stream_write(void *fd, const char *from, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t now = stream_fails(CALL_write) ? -1 : write((int)(intptr_t)fd, from + done, n - done);
        if (now < 0)
            return done ? (ssize_t)done : 0; /* 0 is a stream's word for a failure */
        done += (size_t)now;
    }
    return (ssize_t)n;
}

static int stream_seek(void *fd, off64_t *at, int from)
{
    off_t now = stream_fails(CALL_lseek) ? -1 : lseek((int)(intptr_t)fd, *at, from);
    if (now < 0)
        return -1;
    *at = now;
    return 0;
}

/* The stream of a descriptor, which the C library does not know. */
static FILE *_Atomic stream_at[1024];

static int stream_close(void *fd)
{
    if ((intptr_t)fd < (intptr_t)(sizeof stream_at / sizeof *stream_at))
        stream_at[(intptr_t)fd] = NULL;
    bool wrong = stream_fails(CALL_close);
    int saved = errno, closed = close((int)(intptr_t)fd);
    if (wrong)
        errno = saved;
    return wrong ? -1 : closed;
}

static FILE *stream_of(int fd, const char *mode)
{
    const cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
    FILE *f = fopencookie((void *)(intptr_t)fd, mode, functions);
    if (fd >= 0 && fd < (int)(sizeof stream_at / sizeof *stream_at))
        stream_at[fd] = f;
    return f;
}

int fileno(FILE *f)
{
    FUNCTION(int, fileno, (FILE *));
    for (int fd = 0; f && fd < (int)(sizeof stream_at / sizeof *stream_at); fd++)
        if (stream_at[fd] == f)
            return fd;
    return real(f);
}

FILE *fdopen(int fd, const char *mode)
{
    return stream_of(fd, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    int flags = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
    flags |= mode[0] == 'w' ? O_CREAT | O_TRUNC : mode[0] == 'a' ? O_CREAT | O_APPEND : 0;
    flags |= (strchr(mode, 'x') ? O_EXCL : 0) | (strchr(mode, 'e') ? O_CLOEXEC : 0);
    int fd = is_ours(__builtin_return_address(0)) && stream_fails(CALL_open) ? -1 : open(path, flags, 0666);
    FILE *f = fd < 0 ? NULL : stream_of(fd, mode);
    if (f && mode[0] == 'a' && !strchr(mode, '+'))
        lseek(fd, 0, SEEK_END);
    return f;
}

/* --- Beginning and end --- */

static void count_written(void)
{
    fflush(stdout);
    armed = false;
    const char *name = getenv("MVSCOPE_FAULT_COUNT");
    int fd = name ? open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
    FILE *f = fd < 0 ? NULL : stream_of(fd, "w");
    for (long i = 0; f && i < atomic_load(&count) && i < MOST; i++)
        fprintf(f, "%s %x\n", calls[made[i].call].name, made[i].from);
    if (f)
        fclose(f);
}

static int find_code(struct dl_phdr_info *info, size_t size, void *unused)
{
    (void)size, (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            code_from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            code_to = code_from + info->dlpi_phdr[i].p_memsz;
        }
    return 1; /* the first is the program */
}

static int (*program)(int, char **, char **);

static int armed_main(int argc, char **argv, char **envp)
{
    const char *at = getenv("MVSCOPE_FAULT_AT"), *as = getenv("MVSCOPE_FAULT_AS");
    char *end = NULL;
    fail_at = at ? strtol(at, &end, 10) : 0;
    fail_on = end && *end == '+';
    only = getenv("MVSCOPE_FAULT_CALLS");
    old_system = getenv("MVSCOPE_FAULT_OLD") != NULL;
    for (int i = 0; as && i < (int)(sizeof hows / sizeof *hows); i++)
        if (strcmp(as, hows[i]) == 0)
            how = (enum how)i;
    dl_iterate_phdr(find_code, NULL);
    stdout = stream_of(STDOUT_FILENO, "w");
    atexit(count_written);
    armed = stdout != NULL;
    return program(argc, argv, envp);
}

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end);

int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void), void (*fini)(void),
                      void (*rtld_fini)(void), void *stack_end)
{
    FUNCTION(int, __libc_start_main,
             (int (*)(int, char **, char **), int, char **, void (*)(void), void (*)(void), void (*)(void), void *));
    program = main;
    return real(armed_main, argc, argv, init, fini, rtld_fini, stack_end);
}
