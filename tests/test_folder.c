/* Folders of dumps: what is replaced, what never is, who may look, and two writers of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/file/store.h"
#include "tests/no_exchange.h"
#include "tests/scratch.h"

static mv_store *begin(const char *path, mv_error *e)
{
    mv_store *s = mv_store_open(path, e);
    if (!s)
        fail_msg("%s", e->text);
    mv_store_declare(s, "one", 1, (int[]){1}, e);
    mv_store_append(s, "one", (float[]){1}, 1, e);
    return s;
}

static mv_status write_one(const char *path, mv_error *e)
{
    return mv_store_commit(begin(path, e), e);
}

static void expect_refused(const char *path, const char *part)
{
    mv_error e = {0};
    assert_null(mv_store_open(path, &e));
    if (!strstr(e.text, part))
        fail_msg("'%s' lacks '%s'", e.text, part);
}

/* The manifest of a stranger may list files that are no arrays: a text, a text with the name of an array, a link. None
 * of them is removed. */
static void a_manifest_cannot_condemn_what_is_no_array(void **state)
{
    (void)state;
    static const char *const listed[] = {"thesis.docx", "thesis.npy", "link.npy", "manifest.json.npy", "\x93NUMPY"};
    mv_error e = {0};
    assert_int_equal(write_one(in_folder("array.npy"), &e), MV_OK);
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++) {
        char folder[16], file[64], manifest[80], text[128];
        snprintf(folder, sizeof folder, "x%zu", i);
        snprintf(file, sizeof file, "%s/%s", folder, listed[i]);
        snprintf(manifest, sizeof manifest, "%s/manifest.json", folder);
        snprintf(text, sizeof text, "{\"format\": \"mvscope-dump\", \"files\": [\"%s\"]}", i < 4 ? listed[i] : "a");
        assert_int_equal(mkdir(in_folder(folder), 0777), 0);
        put_file(in_folder(manifest), text, 0644);
        if (strcmp(listed[i], "link.npy") == 0)
            assert_int_equal(symlink("../array.npy", in_folder(file)), 0);
        else
            put_file(in_folder(file), "a thesis", 0644);
        expect_refused(in_folder(folder), "in it");
        assert_int_equal(files_in(in_folder(folder)), 2);
    }
}

/* What replaces a folder that others cannot look into is as closed while it is written, and its files afterwards. */
static void what_replaces_is_private(void **state)
{
    (void)state;
    struct stat st;
    for (int i = 0; i < 2; i++) {
        mv_error e = {0};
        no_exchange = i;
        assert_int_equal(write_one(in_folder("x/"), &e), MV_OK);
        assert_int_equal(chmod(in_folder("x"), 0711), 0);
        assert_int_equal(chmod(in_folder("x/one.npy"), 0600), 0);
        mv_store *s = mv_store_open(in_folder("x/"), &e);
        assert_non_null(s);
        DIR *files = opendir(scratch_folder());
        int seen = 0;
        for (struct dirent *d; (d = readdir(files));)
            if (strncmp(d->d_name, ".mvscope-", 9) == 0) {
                assert_int_equal(stat(in_folder(d->d_name), &st), 0);
                assert_int_equal(st.st_mode & 0777, 0700);
                seen++;
            }
        closedir(files);
        assert_int_equal(seen, 1);
        mv_store_discard(s);
        assert_int_equal(write_one(in_folder("x/"), &e), MV_OK);
        assert_int_equal(stat(in_folder("x"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0711);
        assert_int_equal(stat(in_folder("x/one.npy"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

/* Both are written whole, the last one stays, and nothing hidden is left, whatever the other did first. */
static void two_writers_of_one_folder(void **state)
{
    (void)state;
    for (int there = 0; there < 2; there++) {
        mv_error e = {0};
        mv_store *a = begin(in_folder("x/"), &e), *b = begin(in_folder("x/"), &e);
        if (mv_store_commit(a, &e) != MV_OK || mv_store_commit(b, &e) != MV_OK)
            fail_msg("%s", e.text);
        assert_int_equal(files_in(in_folder("x")), 2);
        assert_int_equal(files_in(scratch_folder()), 1);
    }
    pid_t child[2];
    for (int i = 0; i < 2; i++)
        if ((child[i] = fork()) == 0) {
            mv_error e = {0};
            for (int k = 0; k < 40 && !e.code; k++)
                mv_store_commit(begin(in_folder("x/"), &e), &e);
            if (e.code)
                fprintf(stderr, "round of writer %d: %s\n", i, e.text);
            _exit(e.code ? 1 : 0);
        }
    for (int i = 0; i < 2; i++) {
        int status;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(files_in(in_folder("x")), 2);
    assert_int_equal(files_in(scratch_folder()), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_manifest_cannot_condemn_what_is_no_array, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(what_replaces_is_private, enter, scratch_leave),
        cmocka_unit_test_setup_teardown(two_writers_of_one_folder, enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
