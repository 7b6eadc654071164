/* Temporaries: removed at an early end, and by a later run when the process was killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/file/output.h"
#include "src/file/store.h"
#include "tests/scratch.h"

/* A file system without files that have no name: this takes the place of libc's. */
static bool no_tmpfile;

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

static int enter(void **state)
{
    no_tmpfile = true;
    return scratch_enter(state);
}

enum { ROWS = 3, ARRAYS = 300 }; /* more files than one buffer of names holds */

static mv_store *fill_folder(const char *path, mv_error *e)
{
    mv_store *s = mv_store_open(path, e);
    if (!s)
        fail_msg("%s", e->text);
    for (int i = 0; i < ARRAYS; i++) {
        char name[32];
        snprintf(name, sizeof name, "site.%d", i);
        mv_store_declare(s, name, 1, (int[]){ROWS}, e);
    }
    for (int i = 0; i < ARRAYS; i++) {
        char name[32];
        snprintf(name, sizeof name, "site.%d", i);
        mv_store_append(s, name, (float[ROWS]){1, 2, 3}, ROWS, e);
    }
    assert_int_equal(e->code, MV_OK);
    return s;
}

static void everything_is_discarded(void **state)
{
    (void)state;
    mv_error e = {0}, late = {0};
    put_file(in_folder("kept"), "kept", 0644);
    mv_output *committed = mv_output_open(in_folder("done"), &e);
    assert_int_equal(mv_output_commit(committed, &e), MV_OK);
    mv_output *o = mv_output_open(in_folder("kept"), &e);
    mv_store *folder = fill_folder(in_folder("d/"), &e), *file = mv_store_open(in_folder("a.npz"), &e);
    assert_int_equal(files_in(scratch_folder()), 5);
    mv_output_discard_all();
    assert_int_equal(files_in(scratch_folder()), 2);
    assert_int_equal(access(in_folder("kept"), F_OK), 0);
    assert_int_equal(access(in_folder("done"), F_OK), 0);
    mv_output_discard(o);
    mv_store_discard(file);
    assert_int_not_equal(mv_store_commit(folder, &late), MV_OK);
    mv_output_discard_all();
    assert_int_equal(files_in(scratch_folder()), 2);

    mv_store *again = fill_folder(in_folder("d/"), &e); /* the list has room again */
    assert_int_equal(mv_store_commit(again, &e), MV_OK);
    mv_output_discard_all();
    assert_int_equal(files_in(in_folder("d")), ARRAYS + 1);
}

/* A dump that is replaced is complete before, at and after the exchange of names. */
static void a_finished_folder_is_not_discarded(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        mv_error e = {0};
        assert_int_equal(mv_store_commit(fill_folder(in_folder("d/"), &e), &e), MV_OK);
        mv_output_discard_all();
        assert_int_equal(files_in(in_folder("d")), ARRAYS + 1);
        assert_int_equal(files_in(scratch_folder()), 1);
    }
}

static void more_than_the_list_holds(void **state)
{
    (void)state;
    enum { MANY = 300 };
    static mv_output *many[MANY];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            char name[32];
            snprintf(name, sizeof name, "f%d", i);
            many[i] = mv_output_open(in_folder(name), NULL);
            assert_non_null(many[i]);
        }
        mv_output_discard_all();
        assert_int_equal(files_in(scratch_folder()), MANY - 256);
        for (int i = 0; i < MANY; i++)
            mv_output_discard(many[i]);
        assert_int_equal(files_in(scratch_folder()), 0);
    }
}

static void discard_and_leave(int number)
{
    (void)number;
    mv_output_discard_all(); /* NOLINT(bugprone-signal-handler): makes system calls only */
    _exit(7);
}

static void a_signal_handler_may_discard(void **state)
{
    (void)state;
    for (int moment = 0; moment < 20; moment++) {
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); /* should this test fail */
            mv_error e = {0};
            signal(SIGINT, discard_and_leave);
            for (;;) { /* interrupted somewhere in here: while it is opened, filled or dropped */
                mv_store_discard(fill_folder(in_folder("d/"), &e));
                mv_output_discard(mv_output_open(in_folder("f"), &e));
            }
        }
        usleep((useconds_t)(2000 + moment * 1777));
        kill(child, SIGINT);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) ? WEXITSTATUS(status) == 7 : WTERMSIG(status) == SIGINT);
        mv_error e = {0};
        /* Created but not listed yet, or a file added behind the handler's back: the next run removes that. */
        assert_int_equal(mv_store_check(in_folder("d/"), &e), MV_OK);
        assert_int_equal(files_in(scratch_folder()), 0);
    }
}

static void what_killed_runs_left_is_removed(void **state)
{
    (void)state;
    static const char *const next[] = {"next.png", "next/", "next.npz"};
    for (int i = 0; i < 3; i++) {
        int ready[2];
        char byte;
        mv_error e = {0};
        assert_int_equal(pipe(ready), 0);
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            fill_folder(in_folder("d/"), &e);
            mv_output_write(mv_output_open(in_folder("f"), &e), "part", 4);
            if (write(ready[1], "x", 1) == 1)
                pause();
            _exit(1);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        close(ready[1]);
        assert_int_equal(files_in(scratch_folder()), 2);
        assert_int_equal((i == 0 ? mv_output_check : mv_store_check)(in_folder(next[i]), &e), MV_OK);
        assert_int_equal(files_in(scratch_folder()), 2); /* its process lives: not stale */
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(files_in(scratch_folder()), 2);
        assert_int_equal((i == 0 ? mv_output_check : mv_store_check)(in_folder(next[i]), &e), MV_OK);
        assert_int_equal(files_in(scratch_folder()), 0);
    }
}

static void what_is_not_ours_stays(void **state)
{
    (void)state;
    static const char *const files[] = {".mvscope-",
                                        ".mvscope-0123456789abcde",
                                        ".mvscope-0123456789abcdef0",
                                        ".mvscope-0123456789ABCDEF",
                                        ".mvscope-0123456789abcdeg",
                                        "mvscope-0123456789abcdef",
                                        ".mvscope-0123456789abcdef.png"};
    int n = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++, n++)
        put_file(in_folder(files[i]), "x", 0644);
    assert_int_equal(mkdir(in_folder(".mvscope-0000000000000001"), 0777), 0); /* a file that no store writes */
    put_file(in_folder(".mvscope-0000000000000001/a.npy"), "x", 0644);
    put_file(in_folder(".mvscope-0000000000000001/letter.txt"), "dear", 0644);
    assert_int_equal(mkdir(in_folder(".mvscope-0000000000000002"), 0777), 0); /* a folder within */
    assert_int_equal(mkdir(in_folder(".mvscope-0000000000000002/a.npy"), 0777), 0);
    assert_int_equal(symlink("mvscope-0123456789abcdef", in_folder(".mvscope-0000000000000003")), 0);
    assert_int_equal(mkfifo(in_folder(".mvscope-0000000000000004"), 0600), 0);
    put_file(in_folder(".mvscope-0000000000000005"), "x", 0644); /* somebody has it locked */
    int locked = open(in_folder(".mvscope-0000000000000005"), O_RDONLY);
    assert_int_equal(flock(locked, LOCK_EX), 0);
    n += 5;
    if (geteuid() == 0) {
        put_file(in_folder(".mvscope-0000000000000006"), "x", 0644);
        assert_int_equal(chown(in_folder(".mvscope-0000000000000006"), 65534, (gid_t)-1), 0);
        n++;
    }
    put_file(in_folder(".mvscope-0000000000000007"), "x", 0644); /* ours */
    assert_int_equal(mkdir(in_folder(".mvscope-0000000000000008"), 0777), 0);
    put_file(in_folder(".mvscope-0000000000000008/a.npy"), "x", 0644);
    put_file(in_folder(".mvscope-0000000000000008/manifest.json"), "x", 0644);
    mv_error e = {0};
    assert_int_equal(mv_output_check(in_folder("next"), &e), MV_OK);
    assert_int_equal(files_in(scratch_folder()), n);
    assert_int_equal(files_in(in_folder(".mvscope-0000000000000001")), 2);
    close(locked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_is_discarded, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(a_finished_folder_is_not_discarded, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(more_than_the_list_holds, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(a_signal_handler_may_discard, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(what_killed_runs_left_is_removed, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(what_is_not_ours_stays, enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
