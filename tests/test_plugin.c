/* Which plug-ins are trusted. Every refusal is the device's, and says which file it is about and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/device/plugin.h"
#include "tests/scratch.h"

static void refused(const char *path, const char *why)
{
    mv_error e = {0};
    assert_int_equal(mv_plugin_trust(path, &e), MV_EDEVICE);
    assert_int_equal(e.code, MV_EDEVICE);
    assert_non_null(strstr(e.text, "the GPU plug-in is not loaded: "));
    assert_non_null(strstr(e.text, why));
}

static void test_own_file(void **state)
{
    (void)state;
    const char *path = in_folder("own.so");
    mv_error e = {0};
    put_file(path, "x", 0644);
    assert_int_equal(mv_plugin_trust(path, &e), MV_OK);
    assert_int_equal(chmod(path, 0646), 0);
    refused(path, "every user may write to");
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    refused(in_folder("none.so"), "No such file or directory");
    assert_int_equal(symlink("nothing", in_folder("link.so")), 0);
    refused(in_folder("link.so"), "link.so cannot be followed: No such file or directory");
}

/* The folder of a link counts as well as that of the file. */
static void test_folders(void **state)
{
    (void)state;
    char path[300];
    assert_int_equal(mkdir(in_folder("open"), 0755), 0);
    assert_int_equal(chmod(in_folder("open"), 0777), 0);
    put_file(in_folder("file.so"), "x", 0644);
    snprintf(path, sizeof path, "%s/link.so", in_folder("open"));
    assert_int_equal(symlink(in_folder("file.so"), path), 0);
    refused(path, "open/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own_file, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_what_is_not_there, scratch_enter, scratch_leave),
        cmocka_unit_test_setup_teardown(test_folders, scratch_enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
