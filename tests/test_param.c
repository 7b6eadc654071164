/* Options as data: every kind of value, its range and its refusals; defaults, help, and "n=1,word=x" lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/every_param.h"

/* Sets an option; the text of the error, empty where it fits. */
static const char *set(values *v, const char *name, const char *value)
{
    static mv_error e;
    e = (mv_error){0};
    mv_status s = mv_param_set(v, mv_param_lookup(table, name), value, name, &e);
    assert_int_equal(s, e.code);
    return e.text;
}

static void values_that_fit(void **s)
{
    (void)s;
    values v = {0};
    mv_param_defaults(&v, table);
    assert_int_equal(v.word, -1);
    assert_string_equal(set(&v, "flag", ""), "");
    assert_string_equal(set(&v, "integer", "-2"), "");
    assert_string_equal(set(&v, "word", "all"), "");
    assert_string_equal(set(&v, "number", "0.25"), "");
    assert_string_equal(set(&v, "count", "200M"), "");
    assert_string_equal(set(&v, "size", "64x97"), "");
    assert_string_equal(set(&v, "part", "3/4"), "");
    assert_string_equal(set(&v, "text", "y"), "");
    assert_true(v.flag && v.integer == -2 && v.word == 1 && v.number == 0.25 && v.count == 200000000);
    assert_true(v.size.h == 64 && v.size.w == 97 && v.part.i == 3 && v.part.n == 4);
    assert_string_equal(v.text, "y");
    assert_string_equal(set(&v, "size", "224"), "");
    assert_true(v.size.h == 224 && v.size.w == 224);
    assert_string_equal(set(&v, "count", "1e6"), "");
    assert_true(v.count == 1000000);
    assert_string_equal(set(&v, "count", "2.5k"), "");
    assert_true(v.count == 2500);
    assert_string_equal(set(&v, "letter", "c"), "");
    assert_int_equal(v.letter, 2);
}

static void lists_and_texts_collect(void **s)
{
    (void)s;
    values v = {0};
    assert_string_equal(set(&v, "list", "0,mean,12"), "");
    assert_string_equal(set(&v, "list", "all"), "");
    assert_int_equal(v.list.n, 4);
    assert_true(v.list.v[0] == 0 && v.list.v[1] == -1 && v.list.v[2] == 12 && v.list.v[3] == -2);
    set(&v, "texts", "one");
    set(&v, "texts", "two,three");
    assert_int_equal(v.texts.n, 2);
    assert_string_equal(v.texts.v[1], "two,three");
    assert_string_equal(set(&v, "list", "12,0"), ""); /* they are there */
    assert_int_equal(v.list.n, 4);
    for (int i = 4; i < MV_PARAM_MOST; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", 20 + i);
        assert_string_equal(set(&v, "list", text), "");
    }
    assert_string_equal(set(&v, "list", "1"), "list: found more than 64 values");
    assert_int_equal(v.list.n, MV_PARAM_MOST);
}

static void values_that_do_not_fit_are_named(void **s)
{
    (void)s;
    static const char *const bad[][3] = {
        {"integer", "41", "integer: found '41', expected a whole number from -2 to 40"},
        {"integer", "", "integer: found '', expected a whole number from -2 to 40"},
        {"integer", "5x", NULL},
        {"integer", "99999999999999999999", NULL},
        {"word", "some", "word: found 'some', expected mean or all"},
        {"letter", "d", "letter: found 'd', expected a, b or c"},
        {"number", "nan", "number: found 'nan', expected a number from 0.25 to 8"},
        {"number", "9", NULL},
        {"number", "1 ", NULL},
        {"count", "0", NULL},
        {"count", "-1", NULL},
        {"count", "1.5", NULL},
        {"count", "1Q", NULL},
        {"count", "inf", NULL},
        {"size", "31", "size: found '31', expected N or HxW, from 32 to 16384 pixels"},
        {"size", "64x", NULL},
        {"size", "x64", NULL},
        {"size", "64x64x64", NULL},
        {"size", "123456789012345", NULL},
        {"part", "5/4", "part: found '5/4', expected I/N, part I of N, such as 1/4"},
        {"part", "0/4", NULL},
        {"part", "1", NULL},
        {"part", "1/", NULL},
        {"part", "1/1001", NULL},
        {"list", "", NULL},
        {"list", "1,,2", NULL},
        {"list", "1,", NULL},
        {"list", "100", "list: found '100', expected mean, all or whole numbers from 0 to 99, joined by commas"},
        {"text", "x", "text: found 'x', expected anything else"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        values v = {.word = 5, .integer = 3, .number = 2, .count = 4};
        const char *text = set(&v, bad[i][0], bad[i][1]);
        if (!*text)
            fail_msg("%s: took '%s'", bad[i][0], bad[i][1]);
        if (bad[i][2])
            assert_string_equal(text, bad[i][2]);
        assert_true(v.word == 5 && v.integer == 3 && v.number == 2 && v.count == 4 && v.size.h == 0 && v.part.n == 0);
    }
}

static void rows_and_help(void **s)
{
    (void)s;
    char text[200];
    values v = {0};
    mv_param_defaults(&v, table);
    assert_int_equal(v.integer, 7);
    assert_ptr_equal(mv_param_lookup(table, "whole"), mv_param_lookup(table, "integer"));
    assert_null(mv_param_lookup(table, "none"));
    assert_string_equal(mv_param_word(mv_param_lookup(table, "word"), 1), "all");
    assert_null(mv_param_word(mv_param_lookup(table, "word"), 2));
    assert_null(mv_param_word(mv_param_lookup(table, "letter"), -1));
    assert_string_equal(mv_param_help(mv_param_lookup(table, "integer"), text, sizeof text),
                        "a number (-2 to 40; default 7)");
    assert_string_equal(mv_param_help(mv_param_lookup(table, "word"), text, sizeof text), "a word (mean or all)");
    assert_string_equal(mv_param_help(mv_param_lookup(table, "flag"), text, sizeof text), "a flag");
}

static const char *parse(values *v, const char *text)
{
    static mv_error e;
    static char copy[200];
    e = (mv_error){0};
    mv_param_parse(v, table, text, copy, "rise", &e);
    return e.text;
}

static void parameters_of_a_method(void **s)
{
    (void)s;
    values v = {0};
    assert_string_equal(parse(&v, "integer=4,flag,list=1,mean,2,word=all,text=a,b"), "");
    assert_true(v.integer == 4 && v.flag && v.word == 1 && v.list.n == 3);
    assert_true(v.list.v[0] == 1 && v.list.v[1] == -1 && v.list.v[2] == 2);
    assert_string_equal(v.text, "a,b");
    assert_string_equal(parse(&v, "seed=7"), "rise: has no parameter 'seed'");
    assert_string_equal(parse(&v, "integer=50"), "rise: integer: found '50', expected a whole number from -2 to 40");
    assert_string_equal(parse(&v, "integer"), "rise: found 'integer' without a value, expected NAME=VALUE");
    assert_string_equal(parse(&v, "flag=1"), "rise: found 'flag' with a value, expected the flag alone");
    assert_string_equal(parse(&v, "integer=4,seed=7"), "rise: has no parameter 'seed'");
    assert_string_equal(parse(&v, ""), "rise: has no parameter ''");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_fit),        cmocka_unit_test(lists_and_texts_collect),
        cmocka_unit_test(rows_and_help),          cmocka_unit_test(values_that_do_not_fit_are_named),
        cmocka_unit_test(parameters_of_a_method),
    };
    return cmocka_run_group_tests_name("param", tests, NULL, NULL);
}
