/* What a store becomes follows from its path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "src/file/store.h"
#include "tests/scratch.h"

static void a_path_says_what_it_becomes(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        mv_store_kind kind;
    } cases[] = {{"a.safetensors", MV_STORE_SAFETENSORS},
                 {"b/a.NPZ", MV_STORE_NPZ},
                 {"a.npy", MV_STORE_NPY},
                 {"a.npy/", MV_STORE_FOLDER},
                 {"a/", MV_STORE_FOLDER},
                 {".", MV_STORE_FOLDER}};
    static const char *const refused[] = {"a", "a.pt", ".npz", "safetensors", "a/b.npyz", ""};
    mv_error e = {0};
    mv_store_kind kind;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(mv_store_kind_of(&kind, cases[i].path, "-o", &e), MV_OK);
        assert_int_equal(kind, cases[i].kind);
    }
    assert_int_equal(mv_store_kind_of(&kind, scratch_folder(), "-o", &e), MV_OK);
    assert_int_equal(kind, MV_STORE_FOLDER);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        e = (mv_error){0};
        assert_int_equal(mv_store_kind_of(&kind, refused[i], "-o", &e), MV_EINPUT);
        assert_non_null(strstr(e.text, "-o: found '"));
    }
    e = (mv_error){0};
    mv_store_kind_of(&kind, "x.pt", "-o", &e);
    assert_string_equal(e.text, "-o: found 'x.pt', expected a name ending in .safetensors, .npz or .npy, "
                                "or a folder: 'x.pt/'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_path_says_what_it_becomes, scratch_enter, scratch_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
