/* Output files appear whole or not at all, whatever stands in the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/file/output.h"
#include "tests/scratch.h"

/* The system's calls, made to fail on demand: these take the place of libc's. */
static bool no_tmpfile, no_sync;

int openat(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

int fsync(int fd)
{
    if (no_sync) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

static void assert_holds(const char *path, const char *expected)
{
    char text[256];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    assert_string_equal(text, expected);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static mv_status write_text(const char *path, const char *text, mv_error *e)
{
    mv_output *o = mv_output_open(path, e);
    if (!o)
        return e->code;
    mv_output_write(o, text, strlen(text));
    return mv_output_commit(o, e);
}

static void expect_refused(const char *path, const char *part)
{
    mv_error e = {0};
    assert_null(mv_output_open(path, &e));
    assert_int_not_equal(e.code, MV_OK);
    mv_error before = {0}; /* the same, asked before anything runs */
    assert_int_equal(mv_output_check(path, &before), e.code);
    assert_string_equal(before.text, e.text);
    if (!strstr(e.text, part) || !strstr(e.text, path))
        fail_msg("'%s' lacks '%s' or '%s'", e.text, part, path);
}

static void appears_at_commit(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) { /* nameless, and under a hidden name where that is not to be had */
        no_tmpfile = named;
        mv_error e = {0};
        const char *path = in_folder(named ? "b" : "a");
        mv_output *o = mv_output_open(path, &e);
        assert_non_null(o);
        assert_int_equal(mv_output_write(o, "hello ", 6), MV_OK);
        assert_int_equal(mv_output_pwrite(o, "world", 5, 6), MV_OK);
        assert_int_equal(mv_output_pwrite(o, "J", 1, 0), MV_OK);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(files_in(scratch_folder()), 2 * named);
        assert_int_equal(mv_output_commit(o, &e), MV_OK);
        assert_holds(path, "Jello world");
        assert_int_equal(files_in(scratch_folder()), 1 + named);
    }
}

static void discard_leaves_nothing(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        no_tmpfile = named;
        put_file(in_folder("old"), "old", 0644);
        mv_output *o = mv_output_open(in_folder("old"), NULL);
        mv_output_write(o, "new", 3);
        mv_output_discard(o);
        assert_holds(in_folder("old"), "old");
        assert_int_equal(files_in(scratch_folder()), 1);
    }
    mv_output_discard(NULL);
}

static void modes(void **state)
{
    (void)state;
    mv_error e = {0};
    for (int named = 0; named < 2; named++) {
        no_tmpfile = named;
        mode_t before = umask(027);
        assert_int_equal(write_text(in_folder(named ? "b" : "a"), "x", &e), MV_OK);
        umask(before);
        assert_int_equal(mode_of(in_folder(named ? "b" : "a")), 0640);
    }
    put_file(in_folder("kept"), "old", 0604);
    assert_int_equal(write_text(in_folder("kept"), "new", &e), MV_OK);
    assert_int_equal(mode_of(in_folder("kept")), 0604);
    assert_holds(in_folder("kept"), "new");
}

static void links_are_followed(void **state)
{
    (void)state;
    mv_error e = {0};
    assert_int_equal(mkdir(in_folder("sub"), 0777), 0);
    put_file(in_folder("sub/file"), "old", 0644);
    assert_int_equal(symlink("sub/file", in_folder("one")), 0);
    assert_int_equal(symlink("one", in_folder("two")), 0);
    assert_int_equal(write_text(in_folder("two"), "new", &e), MV_OK);
    assert_holds(in_folder("sub/file"), "new");

    assert_int_equal(symlink(in_folder("sub/absent"), in_folder("dangling")), 0);
    expect_refused(in_folder("dangling"), "does not exist"); /* as cp does */
    assert_int_equal(access(in_folder("sub/absent"), F_OK), -1);
    struct stat st;
    assert_int_equal(lstat(in_folder("two"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));

    assert_int_equal(symlink("loop", in_folder("loop")), 0);
    expect_refused(in_folder("loop"), "symbolic links");
}

static void relative_path_survives_chdir(void **state)
{
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(scratch_folder()), 0);
    mv_error e = {0};
    mv_output *o = mv_output_open("here", &e);
    assert_int_equal(chdir(before), 0);
    assert_non_null(o);
    mv_output_write(o, "x", 1);
    assert_int_equal(mv_output_commit(o, &e), MV_OK);
    assert_holds(in_folder("here"), "x");
}

static void pipes_are_written_directly(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char path[40], got[16];
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    mv_error e = {0};
    assert_int_equal(write_text(path, "through", &e), MV_OK);
    assert_int_equal(read(ends[0], got, sizeof got), 7);
    assert_memory_equal(got, "through", 7);

    mv_output *o = mv_output_open(path, &e); /* out of order: not through a pipe */
    assert_non_null(o);
    assert_int_equal(mv_output_pwrite(o, "ab", 2, 0), MV_OK);
    assert_int_equal(mv_output_pwrite(o, "cd", 2, 2), MV_OK);
    assert_int_equal(mv_output_pwrite(o, "zz", 2, 8), MV_EIO);
    assert_int_equal(mv_output_write(o, "more", 4), MV_EIO);
    assert_int_equal(mv_output_commit(o, &e), MV_EIO);
    assert_non_null(strstr(e.text, "regular file"));
    assert_int_equal(read(ends[0], got, sizeof got), 4);
    close(ends[0]);
    close(ends[1]);
}

/* mvscope -o /dev/stdout >> log: what is in the log stays. */
static void descriptors_are_appended_to(void **state)
{
    (void)state;
    put_file(in_folder("log"), "before ", 0644);
    int fd = open(in_folder("log"), O_WRONLY | O_APPEND);
    char path[40];
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    mv_error e = {0};
    assert_int_equal(write_text(path, "after", &e), MV_OK);
    close(fd);
    assert_holds(in_folder("log"), "before after");
}

/* mvscope -o LINK >&-, with LINK to /dev/stdout: the program fills the place of a closed descriptor with one that takes
 * no writes, but could be opened anew for them. */
static void descriptors_that_are_only_read_are_refused(void **state)
{
    (void)state;
    put_file(in_folder("kept"), "before", 0644);
    int fd = open(in_folder("kept"), O_RDONLY);
    char path[40];
    mv_error e = {0}, checked = {0};
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    assert_int_equal(symlink(path, in_folder("link")), 0);
    assert_int_equal(mv_output_check(in_folder("link"), &checked), MV_EIO);
    assert_non_null(strstr(checked.text, "found a descriptor that is closed or open for reading only"));
    assert_int_equal(write_text(in_folder("link"), "after", &e), MV_EIO);
    close(fd);
    assert_holds(in_folder("kept"), "before");
}

/* mvscope -o - for a service whose standard output is a socket, which cannot be opened by its name. */
static void sockets_are_written_to(void **state)
{
    (void)state;
    int ends[2];
    char path[40], got[8] = "";
    mv_error e = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    assert_int_equal(mv_output_check(path, &e), MV_OK);
    assert_int_equal(write_text(path, "text", &e), MV_OK);
    close(ends[1]);
    assert_int_equal(read(ends[0], got, sizeof got), 4);
    assert_string_equal(got, "text");
    close(ends[0]);
}

/* The same where the service made the socket one that does not wait, and reads more slowly than we write. */
static void a_socket_may_not_wait(void **state)
{
    (void)state;
    enum { SIZE = 4 << 20 };
    int ends[2], status;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    fcntl(ends[0], F_SETFL, 0);
    pid_t reader = fork();
    if (!reader) {
        char part[4096];
        size_t all = 0;
        close(ends[1]);
        usleep(50000);
        for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;)
            all += (size_t)n;
        _exit(all != SIZE);
    }
    close(ends[0]);
    char path[40], *bytes = calloc(1, SIZE);
    mv_error e = {0};
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    mv_output *o = mv_output_open(path, &e);
    assert_non_null(o);
    assert_int_equal(mv_output_write(o, bytes, SIZE), MV_OK);
    assert_int_equal(mv_output_commit(o, &e), MV_OK);
    free(bytes);
    close(ends[1]);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
}

static void refusals(void **state)
{
    (void)state;
    expect_refused(in_folder("missing/file"), "folder: No such file or directory");
    expect_refused(in_folder("file/"), "folder: No such file or directory");
    assert_int_equal(mkdir(in_folder("sub"), 0777), 0);
    expect_refused(in_folder("sub"), "found a folder");
    expect_refused(in_folder("sub/"), "found no file name");
    expect_refused("", "found no file name");
    put_file(in_folder("plain"), "x", 0644);
    expect_refused(in_folder("plain/file"), "Not a directory");
    char name[400];
    memset(name, 'n', 300);
    name[300] = 0;
    mv_error e = {0};
    assert_null(mv_output_open(in_folder(name), &e));
    struct statfs kind;
    if (!statfs("/proc", &kind) && kind.f_type == PROC_SUPER_MAGIC)
        expect_refused("/proc/mvscope.png", "cannot be"); /* even root makes no file there */
    assert_int_equal(files_in(scratch_folder()), 2);
}

static void read_only_places(void **state)
{
    (void)state;
    uid_t self = geteuid(), nobody = 65534; /* root may write anywhere, so be somebody else for a while */
    if (self == 0 && (chown(scratch_folder(), nobody, (gid_t)-1) != 0 || seteuid(nobody) != 0))
        skip();
    put_file(in_folder("locked"), "old", 0444);
    expect_refused(in_folder("locked"), "Permission denied");
    assert_int_equal(mkdir(in_folder("sub"), 0555), 0);
    expect_refused(in_folder("sub/file"), "Permission denied");
    assert_holds(in_folder("locked"), "old");
    if (self != 0)
        return;
    assert_int_equal(seteuid(self), 0);
    struct stat st; /* what root writes over somebody's file stays theirs */
    mv_error e = {0};
    assert_int_equal(write_text(in_folder("locked"), "new", &e), MV_OK);
    assert_int_equal(stat(in_folder("locked"), &st), 0);
    assert_int_equal(st.st_uid, nobody);
    assert_int_equal(st.st_mode & 07777, 0444);
}

static void full_disk(void **state)
{
    (void)state;
    mv_error e = {0};
    assert_int_equal(write_text("/dev/full", "x", &e), MV_EIO);
    assert_non_null(strstr(e.text, "/dev/full: "));
    assert_non_null(strstr(e.text, "No space left on device"));

    put_file(in_folder("old"), "old", 0644);
    struct rlimit before, small = {1000, 1000};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static char big[4000];
    mv_error cut = {0};
    mv_output *o = mv_output_open(in_folder("old"), &cut);
    assert_non_null(o);
    assert_int_equal(mv_output_write(o, big, 900), MV_OK);
    mv_status during = mv_output_write(o, big, sizeof big);
    mv_status later = mv_output_write(o, big, 1);
    assert_int_equal(mv_output_error(o)->code, MV_EIO);
    mv_status end = mv_output_commit(o, &cut);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(during, MV_EIO);
    assert_int_equal(later, MV_EIO);
    assert_int_equal(end, MV_EIO);
    assert_non_null(strstr(cut.text, "File too large"));
    assert_holds(in_folder("old"), "old");
    assert_int_equal(files_in(scratch_folder()), 1);
}

static void failing_sync(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        no_tmpfile = named;
        no_sync = true;
        mv_error e = {0};
        assert_int_equal(write_text(in_folder("file"), "x", &e), MV_EIO);
        assert_non_null(strstr(e.text, "to the disk: Input/output error"));
        assert_int_equal(files_in(scratch_folder()), 0);
    }
}

/* What comes in the way between opening and committing. */
static void target_becomes_a_folder(void **state)
{
    (void)state;
    mv_error e = {0};
    mv_output *o = mv_output_open(in_folder("file"), &e);
    mv_output_write(o, "x", 1);
    assert_int_equal(mkdir(in_folder("file"), 0777), 0);
    assert_int_equal(mv_output_commit(o, &e), MV_EIO);
    assert_int_equal(files_in(scratch_folder()), 1);
}

static void a_check_changes_nothing(void **state)
{
    (void)state;
    mv_error e = {0};
    for (int named = 0; named < 2; named++) {
        no_tmpfile = named;
        put_file(in_folder("old"), "old", 0644);
        assert_int_equal(mv_output_check(in_folder("new"), &e), MV_OK);
        assert_int_equal(mv_output_check(in_folder("old"), &e), MV_OK);
        assert_holds(in_folder("old"), "old");
        assert_int_equal(files_in(scratch_folder()), 1);
    }
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0); /* nobody reads it: opening it would wait */
    assert_int_equal(mv_output_check(in_folder("fifo"), &e), MV_OK);
    assert_int_equal(mv_output_check("/dev/full", &e), MV_OK);
}

static void moved_and_resized(void **state)
{
    (void)state;
    enum { BYTES = 300000 }; /* several buffers */
    static const int moves[][2] = {{0, 10}, {10, 0}, {0, 100000}, {100000, 0}, {7, 7}, {70000, 4096}};
    static char bytes[2 * BYTES], got[2 * BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 2654435761U >> 13);
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        size_t from = (size_t)moves[i][0], to = (size_t)moves[i][1];
        mv_error e = {0};
        mv_output *o = mv_output_open(in_folder("file"), &e);
        mv_output_write(o, bytes, from + BYTES);
        assert_int_equal(mv_output_move(o, to, from, BYTES), MV_OK);
        assert_int_equal(mv_output_resize(o, to + BYTES), MV_OK);
        assert_int_equal(mv_output_commit(o, &e), MV_OK);
        FILE *f = fopen(in_folder("file"), "rb");
        assert_int_equal(fread(got, 1, sizeof got, f), to + BYTES);
        fclose(f);
        assert_memory_equal(got + to, bytes + from, BYTES);
    }
}

/* In a folder like /tmp anybody can plant a link: as with the kernel's rule, one's own and the folder owner's count. */
static void planted_links_are_refused(void **state)
{
    (void)state;
    const uid_t nobody = 65534;
    mv_error e = {0};
    put_file(in_folder("victim"), "alive", 0644);
    assert_int_equal(mkdir(in_folder("tmp"), 0777), 0);
    assert_int_equal(symlink("../victim", in_folder("tmp/out")), 0);
    if (geteuid() != 0 || lchown(in_folder("tmp/out"), nobody, (gid_t)-1) != 0)
        skip();
    assert_int_equal(chmod(in_folder("tmp"), 01777), 0);
    expect_refused(in_folder("tmp/out"), "another user");
    assert_int_equal(symlink("tmp/out", in_folder("way")), 0); /* also on the way */
    mv_error late = {0};
    assert_int_equal(write_text(in_folder("way"), "new", &late), MV_EIO);
    assert_holds(in_folder("victim"), "alive");
    assert_int_equal(chown(in_folder("tmp"), nobody, (gid_t)-1), 0); /* the folder's owner may */
    assert_int_equal(write_text(in_folder("tmp/out"), "new", &e), MV_OK);
    assert_holds(in_folder("victim"), "new");
    assert_int_equal(chown(in_folder("tmp"), 0, (gid_t)-1), 0);
    assert_int_equal(chmod(in_folder("tmp"), 0777), 0); /* it is not sticky */
    assert_int_equal(write_text(in_folder("tmp/out"), "newer", &e), MV_OK);
    assert_holds(in_folder("victim"), "newer");
}

/* The mode of the hidden file in the scratch folder. */
static mode_t mode_of_temporary(void)
{
    DIR *files = opendir(scratch_folder());
    mode_t mode = 0;
    assert_non_null(files);
    for (struct dirent *d; (d = readdir(files));)
        if (strncmp(d->d_name, ".mvscope-", 9) == 0)
            mode = mode_of(in_folder(d->d_name));
    closedir(files);
    return mode;
}

static void what_replaces_is_private_at_first(void **state)
{
    (void)state;
    mv_error e = {0};
    no_tmpfile = true;
    put_file(in_folder("secret"), "old", 0640);
    mv_output *o = mv_output_open(in_folder("secret"), &e);
    assert_int_equal(mode_of_temporary(), 0600);
    assert_int_equal(mv_output_commit(o, &e), MV_OK);
    assert_int_equal(mode_of(in_folder("secret")), 0640);
}

/* Where the group cannot be kept, its members' rights do not go to another group. */
static void rights_are_not_given_to_another_group(void **state)
{
    (void)state;
    const uid_t nobody = 65534;
    mv_error e = {0};
    put_file(in_folder("theirs"), "old", 0672);
    if (geteuid() != 0 || chown(in_folder("theirs"), 0, 12345) != 0 ||
        chown(scratch_folder(), nobody, (gid_t)-1) != 0 || seteuid(nobody) != 0)
        skip();
    mv_status s = write_text(in_folder("theirs"), "new", &e);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(s, MV_OK);
    assert_holds(in_folder("theirs"), "new");
    assert_int_equal(mode_of(in_folder("theirs")), 0622);
}

static int enter(void **state)
{
    no_tmpfile = no_sync = false;
    return scratch_enter(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(appears_at_commit, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(discard_leaves_nothing, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(modes, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(links_are_followed, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(relative_path_survives_chdir, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(pipes_are_written_directly, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(descriptors_are_appended_to, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(descriptors_that_are_only_read_are_refused, enter, scratch_leave),
        cmocka_unit_test(sockets_are_written_to),
        cmocka_unit_test(a_socket_may_not_wait),
        cmocka_unit_test_setup_teardown(refusals, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(read_only_places, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(full_disk, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(failing_sync, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(target_becomes_a_folder, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(a_check_changes_nothing, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(moved_and_resized, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(planted_links_are_refused, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(what_replaces_is_private_at_first, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(rights_are_not_given_to_another_group, enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
