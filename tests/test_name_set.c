/* Sets of names: what was added can be taken, as often as it was added. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "src/base/name_set.h"

static void names_are_taken_as_often_as_they_were_added(void **state)
{
    (void)state;
    mv_name_set s = {0};
    assert_false(mv_name_set_take(&s, "nothing"));
    mv_name_set_free(&s);
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "photos/%d.jpg", i);
        assert_int_equal(mv_name_set_add(&s, name, NULL), MV_OK);
        if (i % 10 == 0)
            assert_int_equal(mv_name_set_add(&s, name, NULL), MV_OK);
    }
    for (int i = 999; i >= 0; i--) {
        snprintf(name, sizeof name, "photos/%d.jpg", i);
        for (int times = 0; times < (i % 10 ? 1 : 2); times++)
            assert_true(mv_name_set_take(&s, name));
        assert_false(mv_name_set_take(&s, name));
    }
    assert_false(mv_name_set_take(&s, "photos/1000.jpg"));
    mv_name_set_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_taken_as_often_as_they_were_added)};
    return cmocka_run_group_tests_name("name_set", tests, NULL, NULL);
}
