/* Stores that get fewer rows than declared, and stores that are resumed: both end as the same bytes as a store that got
 * everything at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/file/store.h"
#include "tests/scratch.h"

static const char *const containers[] = {"x.safetensors", "x.npz", "x.npy", "x/"};
static const char *const references[] = {"ref.safetensors", "ref.npz", "ref.npy", "ref/"};
enum { CONTAINERS = 4, NPY = 2, WIDTH = 30000, WINDOWS = 4, PICTURES = 6 };

static const char fingerprint[] = "model 1a2b\nsites wide,windows,logit";
#define FIRST_LINE "[\"mvscope-partial\",1,\"model 1a2b\\nsites wide,windows,logit\"]\n"

/* A .npy takes the first array only. */
static int arrays_in(int container)
{
    return container == NPY ? 1 : 3;
}

static const char *const names[] = {"wide", "levels.3.windows", "logit"};
static const int rows_of[] = {1, WINDOWS, 1}; /* per picture */

static void declare(mv_store *s, int container, int pictures, mv_error *e)
{
    const int dims[][3] = {{pictures, WIDTH}, {pictures * WINDOWS, 2, 3}, {pictures}}, nd[] = {2, 3, 1};
    for (int i = 0; i < arrays_in(container); i++)
        mv_store_declare(s, names[i], nd[i], dims[i], e);
}

/* Array i of one picture: values that no other picture has. */
static mv_status append(mv_store *s, int i, int picture, mv_error *e)
{
    static float values[WIDTH];
    static const int counts[] = {WIDTH, WINDOWS * 6, 1};
    for (int k = 0; k < counts[i]; k++)
        values[k] = (float)(picture * 1000000 + i * 100000 + k);
    return mv_store_append(s, names[i], values, rows_of[i], e);
}

static void append_all(mv_store *s, int container, int picture, mv_error *e)
{
    for (int i = 0; i < arrays_in(container); i++)
        append(s, i, picture, e);
}

static void set_manifest(mv_store *s, const char *note, mv_error *e)
{
    mv_store_meta(s, "manifest", "{\"model\": \"nano\"}", e);
    mv_store_meta(s, "note", note, e);
}

static void write_reference(int container, int pictures, const char *note)
{
    mv_error e = {0};
    mv_store *s = mv_store_open(in_folder(references[container]), &e);
    if (!s)
        fail_msg("%s", e.text);
    declare(s, container, pictures, &e);
    set_manifest(s, note, &e);
    for (int i = 0; i < pictures; i++) {
        append_all(s, container, i, &e);
        mv_store_checkpoint(s, "nothing, as it cannot be resumed", &e);
    }
    assert_int_equal(mv_store_note_count(s), 0);
    if (mv_store_commit(s, &e) != MV_OK)
        fail_msg("%s", e.text);
}

static void expect_reference(int container)
{
    char command[1200];
    snprintf(command, sizeof command, "diff -rq %s %s", in_folder(containers[container]),
             in_folder(references[container]));
    assert_int_equal(system(command), 0);
}

static const char *partial_of(int container)
{
    static const char *const partial[] = {"x.safetensors.partial", "x.npz.partial", "x.npy.partial", "x.partial"};
    return in_folder(partial[container]);
}

/* --- Fewer rows, and texts that come late --- */

static void fewer_rows_leave_no_trace(void **state)
{
    (void)state;
    static const int declared[] = {PICTURES, PICTURES + 1, 10 * PICTURES, 100000};
    for (int c = 0; c < CONTAINERS; c++)
        for (int came = 0; came <= PICTURES; came += PICTURES / 2) {
            write_reference(c, came, "short");
            for (size_t d = 0; d < sizeof declared / sizeof *declared; d++) {
                mv_error e = {0};
                mv_store *s = mv_store_open(in_folder(containers[c]), &e);
                assert_non_null(s);
                declare(s, c, declared[d], &e);
                set_manifest(s, "short", &e);
                for (int i = 0; i < came; i++)
                    append_all(s, c, i, &e);
                mv_store_shrink(s, declared[d], came, &e);
                if (mv_store_commit(s, &e) != MV_OK)
                    fail_msg("%s", e.text);
                expect_reference(c);
            }
        }
}

static void texts_may_come_late(void **state)
{
    (void)state;
    char text[3][200000] = {"short", "", ""};
    memset(text[1], 'm', 100);
    memset(text[2], 'l', sizeof text[2] - 1); /* longer than the data of most arrays */
    for (int c = 0; c < CONTAINERS; c++)
        for (int early = 0; early < 3; early++)
            for (int late = 0; late < 3; late++) {
                mv_error e = {0};
                write_reference(c, PICTURES - 1, text[late]);
                mv_store *s = mv_store_open(in_folder(containers[c]), &e);
                declare(s, c, PICTURES, &e);
                set_manifest(s, text[early], &e);
                for (int i = 0; i < PICTURES - 1; i++)
                    append_all(s, c, i, &e);
                mv_store_meta(s, "note", text[late], &e);
                mv_store_shrink(s, PICTURES, PICTURES - 1, &e);
                if (mv_store_commit(s, &e) != MV_OK)
                    fail_msg("%s", e.text);
                expect_reference(c);
            }
}

static void rows_must_agree_with_the_pictures(void **state)
{
    (void)state;
    for (int c = 0; c < CONTAINERS; c++)
        for (int came = 2; came <= 4; came += 2) {
            mv_error e = {0};
            mv_store *s = mv_store_open(in_folder(containers[c]), &e);
            declare(s, c, PICTURES, &e);
            for (int i = 0; i < 3; i++)
                append_all(s, c, i, &e);
            assert_int_equal(mv_store_shrink(s, PICTURES, came, &e), MV_OK);
            assert_int_equal(mv_store_commit(s, &e), MV_EMISUSE);
            assert_non_null(strstr(e.text, "found 3 rows of 'wide', expected"));
            assert_int_equal(files_in(scratch_folder()), 0);
        }
}

static void a_pipe_takes_no_second_header(void **state)
{
    (void)state;
    int ends[2];
    char path[40];
    mv_error e = {0};
    assert_int_equal(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    assert_int_equal(symlink(path, in_folder("p.npy")), 0);
    mv_store *s = mv_store_open(in_folder("p.npy"), &e);
    mv_store_declare(s, "a", 1, (int[]){2}, &e);
    mv_store_append(s, "a", (float[]){1}, 1, &e);
    assert_int_equal(mv_store_shrink(s, 2, 1, &e), MV_OK);
    assert_int_equal(mv_store_commit(s, &e), MV_EIO);
    assert_non_null(strstr(e.text, "expected a regular file"));
    close(ends[0]);
    close(ends[1]);
}

/* --- Resuming --- */

static mv_store *open_resumable(int container, mv_error *e)
{
    mv_store *s = mv_store_open_resumable(in_folder(containers[container]), fingerprint, e);
    if (!s)
        fail_msg("%s", e->text);
    declare(s, container, PICTURES, e);
    return s;
}

static void note_of(char note[32], int picture)
{
    snprintf(note, 32, "picture %d\n\xc3\xa9\"", picture);
}

/* Goes on from the notes to picture `stop`; returns with the store open. */
static mv_store *go_on(int container, int stop, mv_error *e)
{
    char note[32];
    mv_store *s = open_resumable(container, e);
    int first = mv_store_note_count(s);
    for (int i = 0; i < first; i++) {
        note_of(note, i);
        assert_string_equal(mv_store_note_at(s, i), note);
    }
    for (int i = first; i < stop; i++) {
        append_all(s, container, i, e);
        note_of(note, i);
        mv_store_checkpoint(s, note, e);
    }
    if (e->code != MV_OK)
        fail_msg("%s", e->text);
    return s;
}

static void finish(int container, int expected_notes)
{
    mv_error e = {0};
    mv_store *s = open_resumable(container, &e);
    assert_int_equal(mv_store_note_count(s), expected_notes);
    mv_store_suspend(s);
    s = go_on(container, PICTURES, &e);
    set_manifest(s, "n", &e);
    if (mv_store_commit(s, &e) != MV_OK)
        fail_msg("%s", e.text);
    expect_reference(container);
    assert_int_equal(access(partial_of(container), F_OK), -1);
    assert_int_equal(files_in(scratch_folder()), 2);
}

static void wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Killed after `whole` pictures and the first `arrays` arrays of the next one. */
static void a_killed_run_is_continued(void **state)
{
    (void)state;
    for (int c = 0; c < CONTAINERS; c++) {
        write_reference(c, PICTURES, "n");
        for (int whole = 0; whole < PICTURES; whole++)
            for (int arrays = 0; arrays <= arrays_in(c); arrays++) {
                pid_t child = fork();
                if (child == 0) {
                    prctl(PR_SET_PDEATHSIG, SIGKILL); /* should this test fail */
                    mv_error e = {0};
                    mv_store *s = go_on(c, whole, &e);
                    for (int i = 0; i < arrays; i++)
                        append(s, i, whole, &e);
                    raise(SIGKILL);
                }
                wait_for(child);
                finish(c, whole);
            }
        char command[600];
        snprintf(command, sizeof command, "rm -rf %s/*", scratch_folder());
        assert_int_equal(system(command), 0);
    }
}

static void a_run_killed_at_any_moment_is_continued(void **state)
{
    (void)state;
    for (int c = 0; c < CONTAINERS; c += 3) { /* one file, one folder */
        write_reference(c, PICTURES, "n");
        for (int kills = 0; kills < 40; kills++) {
            pid_t child = fork();
            if (child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL); /* should this test fail */
                mv_error e = {0};
                mv_store *s = go_on(c, PICTURES, &e);
                set_manifest(s, "n", &e);
                mv_store_commit(s, &e);
                pause(); /* done before it was killed */
            }
            usleep((useconds_t)(kills * kills * 15)); /* within the milliseconds that all of it takes */
            kill(child, SIGKILL);
            wait_for(child);
            /* What is there is whole: the killed run was finished, or another one finishes it. */
            if (access(in_folder(containers[c]), F_OK) == 0)
                expect_reference(c);
        }
        mv_error e = {0};
        mv_store *s = go_on(c, PICTURES, &e);
        set_manifest(s, "n", &e);
        if (mv_store_commit(s, &e) != MV_OK)
            fail_msg("%s", e.text);
        expect_reference(c);
        assert_int_equal(files_in(scratch_folder()),
                         2 * (c / 3 + 1)); /* temporaries of the killed runs are gone, too */
    }
}

static void append_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static const char *in_partial(int container, const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", partial_of(container), name);
    return path;
}

static void torn_lines_and_lost_rows(void **state)
{
    (void)state;
    static const char *const torn[] = {"[", "[[1234,", "[[99999999,1,1],\"note\"]", "\xff"};
    for (size_t i = 0; i < sizeof torn / sizeof *torn; i++) {
        mv_error e = {0};
        write_reference(0, PICTURES, "n");
        mv_store_suspend(go_on(0, 4, &e));
        append_text(in_partial(0, "journal"), torn[i]);
        append_text(in_partial(0, "logit.raw"), "extra");
        mv_store_suspend(go_on(0, 5, &e)); /* the next line must not continue the torn one */
        finish(0, 5);
    }
    mv_error e = {0};
    mv_store_suspend(go_on(0, 4, &e));
    assert_int_equal(truncate(in_partial(0, "logit.raw"), 2 * sizeof(float) + 1), 0); /* of four: as power loss may */
    finish(0, 2);
    mv_store_suspend(go_on(0, 4, &e));
    assert_int_equal(unlink(in_partial(0, "wide.raw")), 0);
    finish(0, 0);
    static const char *const first[] = {"", "[", "[\"mvscope-partial\",1,\"mod"};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) { /* killed before the first line was whole */
        assert_int_equal(mkdir(partial_of(0), 0777), 0);
        put_file(in_partial(0, "journal"), first[i], 0644);
        finish(0, 0);
    }
}

static void expect_refused(const char *part, mv_status code)
{
    mv_error e = {0};
    assert_null(mv_store_open_resumable(in_folder("x.npz"), fingerprint, &e));
    assert_int_equal(e.code, code);
    if (!strstr(e.text, part) || !strstr(e.text, "x.npz"))
        fail_msg("'%s' lacks '%s'", e.text, part);
}

static void other_settings_are_refused(void **state)
{
    (void)state;
    mv_error e = {0}, other = {0};
    mv_store_suspend(go_on(1, 2, &e));
    assert_null(mv_store_open_resumable(in_folder("x.npz"), "model 1a2b\nsites head\nsize 64", &other));
    assert_int_equal(other.code, MV_EINPUT);
    assert_non_null(
        strstr(other.text, "found an unfinished output of 'sites wide,windows,logit', expected 'sites head'"));
    assert_non_null(strstr(other.text, "--resume"));

    mv_error fewer = {0};
    mv_store *s = mv_store_open_resumable(in_folder("x.npz"), fingerprint, &fewer); /* the arrays must be those, too */
    mv_store_declare(s, "wide", 2, (int[]){PICTURES, WIDTH}, &fewer);
    assert_int_equal(mv_store_append(s, "wide", NULL, 0, &fewer), MV_EINPUT);
    assert_non_null(strstr(fewer.text, "found 3 arrays, expected 1"));
    mv_store_suspend(s);
    static const int shapes[][2] = {{1, WIDTH}, {PICTURES, WIDTH - 1}};
    for (int i = 0; i < 2; i++) {
        mv_error shape = {0};
        s = mv_store_open_resumable(in_folder("x.npz"), fingerprint, &shape);
        assert_int_equal(mv_store_declare(s, "wide", 2, shapes[i], &shape), MV_EINPUT);
        assert_non_null(strstr(shape.text, "bytes of 'wide', expected"));
        mv_store_suspend(s);
    }
    mv_error name = {0};
    s = mv_store_open_resumable(in_folder("x.npz"), fingerprint, &name);
    assert_int_equal(mv_store_declare(s, "head", 1, (int[]){PICTURES}, &name), MV_EINPUT);
    assert_non_null(strstr(name.text, "found array 'wide', expected 'head'"));
    assert_int_equal(mv_store_commit(s, &name), MV_EINPUT);
    write_reference(1, PICTURES, "n");
    finish(1, 2); /* none of that did any harm */
}

static void foreign_folders_are_left_alone(void **state)
{
    (void)state;
    assert_int_equal(mkdir(partial_of(1), 0777), 0);
    put_file(in_partial(1, "letter.txt"), "dear", 0644);
    expect_refused("found 'letter.txt' and no journal", MV_EINPUT);
    assert_int_equal(files_in(partial_of(1)), 1);
    static const char *const journals[] = {"Dear diary\n",
                                           "{}\n",
                                           "[\"mvscope-partial\",2,\"\"]\n",
                                           "[\"mvscope-partial\",1,7]\n",
                                           FIRST_LINE "[\"arrays\",[\"../../x\"]]\n",
                                           FIRST_LINE "[\"arrays\",7]\n",
                                           FIRST_LINE "[\"arrays\",[\"a\"]]\n[[0,0],\"n\"]\n",
                                           FIRST_LINE "[\"arrays\",[\"a\"]]\n[[-1],\"n\"]\n",
                                           FIRST_LINE "[\"arrays\",[\"a\"]]\n[[0]]\n",
                                           FIRST_LINE "[\"arrays\",[\"a\"]]\nnull\n"};
    for (size_t i = 0; i < sizeof journals / sizeof *journals; i++) {
        struct stat st;
        put_file(in_partial(1, "journal"), journals[i], 0644);
        expect_refused("journal: found something else in line", MV_EINPUT);
        assert_int_equal(stat(in_partial(1, "journal"), &st), 0);
        assert_int_equal(st.st_size, strlen(journals[i]));
    }
    assert_int_equal(files_in(partial_of(1)), 2);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    mv_error e = {0};
    mv_store *s = go_on(1, 2, &e);
    expect_refused("found another process", MV_EIO);
    mv_store_suspend(s);
    s = go_on(1, 3, &e);
    mv_store_discard(s);
    assert_int_equal(files_in(scratch_folder()), 0);
}

static void what_is_kept(void **state)
{
    (void)state;
    mv_error e = {0}, full = {0};
    mv_store_suspend(open_resumable(1, &e)); /* nothing to continue: nothing is left */
    assert_int_equal(files_in(scratch_folder()), 0);

    mv_store *s = go_on(1, 3, &e);
    assert_int_equal(mv_store_commit(s, &full), MV_EMISUSE); /* not filled: what is there stays */
    assert_non_null(strstr(full.text, "found 3 rows of 'wide', expected 6"));

    full = (mv_error){0};
    s = go_on(1, PICTURES, &e);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, before.rlim_max}); /* the disk is full at the end */
    mv_status code = mv_store_commit(s, &full);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(code, MV_EIO);
    assert_int_equal(access(in_folder("x.npz"), F_OK), -1);
    write_reference(1, PICTURES, "n");
    finish(1, PICTURES);
}

static void texts_must_be_utf8(void **state)
{
    (void)state;
    mv_error e = {0};
    assert_null(mv_store_open_resumable(in_folder("x.npz"), "caf\xe9", &e));
    assert_non_null(strstr(e.text, "found a fingerprint that is not UTF-8"));
    e = (mv_error){0};
    mv_store *s = go_on(1, 1, &e);
    append_all(s, 1, 1, &e);
    assert_int_equal(mv_store_checkpoint(s, "caf\xe9", &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "found a note that is not UTF-8"));
    mv_store_suspend(s);
    write_reference(1, PICTURES, "n");
    finish(1, 1);
}

static void fewer_pictures_resumed(void **state)
{
    (void)state;
    for (int c = 0; c < CONTAINERS; c++) {
        mv_error e = {0};
        write_reference(c, PICTURES - 2, "n");
        mv_store_suspend(go_on(c, 2, &e));
        mv_store *s = go_on(c, PICTURES - 2, &e);
        set_manifest(s, "n", &e);
        mv_store_shrink(s, PICTURES, PICTURES - 2, &e);
        if (mv_store_commit(s, &e) != MV_OK)
            fail_msg("%s", e.text);
        expect_reference(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fewer_rows_leave_no_trace, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(texts_may_come_late, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(rows_must_agree_with_the_pictures, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(a_pipe_takes_no_second_header, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(a_killed_run_is_continued, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(a_run_killed_at_any_moment_is_continued, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(torn_lines_and_lost_rows, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(other_settings_are_refused, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(foreign_folders_are_left_alone, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(one_process_at_a_time, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(what_is_kept, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(texts_must_be_utf8, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(fewer_pictures_resumed, scratch_enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
