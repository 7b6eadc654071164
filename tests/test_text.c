/* Endings, base names, suggestions, and names made safe to print. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/base/text.h"

static void endings_ignore_case(void **s)
{
    (void)s;
    assert_true(mv_text_ends_in("a/PHOTO.JPG", ".jpg"));
    assert_true(mv_text_ends_in(".jpg", ".jpg"));
    assert_true(mv_text_ends_in("x", ""));
    assert_false(mv_text_ends_in("jpg", ".jpg"));
    assert_false(mv_text_ends_in("a.jpg.txt", ".jpg"));
}

static void base_names(void **s)
{
    (void)s;
    assert_string_equal(mv_text_base_name("a/b/c.png"), "c.png");
    assert_string_equal(mv_text_base_name("c.png"), "c.png");
    assert_string_equal(mv_text_base_name("/c"), "c");
    assert_string_equal(mv_text_base_name("a/"), "");
    assert_string_equal(mv_text_base_name(""), "");
}

static void what_others_said_ends_with_a_word(void **s)
{
    (void)s;
    assert_int_equal(mv_text_said("Invalid input: 2\n"), 16);
    assert_int_equal(mv_text_said("one\ntwo \r\n\t"), 7); /* a line end inside stays, and is shown */
    assert_int_equal(mv_text_said("\n"), 0);
    assert_int_equal(mv_text_said(""), 0);
}

static void distances(void **s)
{
    (void)s;
    assert_int_equal(mv_text_distance("kitten", 6, "sitting"), 3);
    assert_int_equal(mv_text_distance("", 0, "abc"), 3);
    assert_int_equal(mv_text_distance("abc", 3, ""), 3);
    assert_int_equal(mv_text_distance("abc", 2, "ab"), 0); /* two bytes of the word count */
    assert_int_equal(mv_text_distance("**.attn", 7, "levels.3.mixer.attn"), 0);
    assert_int_equal(mv_text_distance("**.attm", 7, "levels.3.mixer.attn"), 1);
    char longest[MV_TEXT_DISTANCE_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[MV_TEXT_DISTANCE_MAX + 1] = 0;
    assert_int_equal(mv_text_distance("a", 1, longest), MV_TEXT_DISTANCE_MAX);
    longest[MV_TEXT_DISTANCE_MAX] = 0;
    assert_int_equal(mv_text_distance("a", 1, longest), MV_TEXT_DISTANCE_MAX - 1);
}

static void the_nearest_word(void **s)
{
    (void)s;
    static const char *const words[] = {"explain", "output", "class", "colours", "out"};
    assert_ptr_equal(mv_text_nearest("exp", 5, words), words[0]); /* cut short */
    assert_ptr_equal(mv_text_nearest("out", 5, words), words[1]); /* the first that begins so */
    assert_ptr_equal(mv_text_nearest("clas", 5, words), words[2]);
    assert_ptr_equal(mv_text_nearest("colors", 5, words), words[3]);
    assert_null(mv_text_nearest("", 5, words));
    assert_null(mv_text_nearest("zzzzzz", 5, words));
    char longest[MV_TEXT_DISTANCE_MAX + 2];
    memset(longest, 'o', sizeof longest);
    longest[MV_TEXT_DISTANCE_MAX + 1] = 0;
    assert_null(mv_text_nearest(longest, 5, words));
}

/* Whatever is cut, whole characters are left, and no character but the cut one is lost. */
static void cut_between_characters(void **s)
{
    (void)s;
    static const char text[] = "K\xc3\xb6n \xe2\x82\xac\xf0\x9f\x90\x88.";
    static const size_t ends[] = {0, 1, 3, 4, 5, 8, 12, 13};
    char to[32], expected[32];
    for (size_t n = 0; n < sizeof text; n++) {
        size_t end = 0;
        for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
            end = ends[i] <= n ? ends[i] : end;
        snprintf(expected, sizeof expected, "%.*s", (int)end, text);
        assert_int_equal(mv_text_print(to, n + 1, "%s", text), end);
        assert_string_equal(to, expected);
        mv_text_capital(to, n + 1, text);
        assert_string_equal(to, expected);
        snprintf(expected, sizeof expected, "%.*s\xe2\x80\xa6|", (int)end, text);
        assert_int_equal(mv_text_print(to, sizeof to, "%.*s\xe2\x80\xa6|", (int)n, text), end + 4);
        assert_string_equal(to, expected);
    }
}

static void bytes_that_are_not_ours_are_escaped(void **s)
{
    (void)s;
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"", ""},
        {"photo 1.jpg", "photo 1.jpg"},
        {"K\xc3\xb6nig \xe2\x82\xac \xf0\x9f\x90\x88 \xef\xbf\xbd.png",
         "K\xc3\xb6nig \xe2\x82\xac \xf0\x9f\x90\x88 \xef\xbf\xbd.png"},
        {"b\xff.jpg", "b\\xff.jpg"},
        {"a\nb\tc\x1b[31m\x7f", "a\\x0ab\\x09c\\x1b[31m\\x7f"},
        {"\xc2\x9b\xc2\x80\xc2\xa0", "\\xc2\\x9b\\xc2\\x80\xc2\xa0"}, /* C1: CSI in one character */
        {"\xc0\xaf\xc1\xbf", "\\xc0\\xaf\\xc1\\xbf"},                 /* overlong forms */
        {"\xe0\x9f\xbf\xf0\x8f\xbf\xbf", "\\xe0\\x9f\\xbf\\xf0\\x8f\\xbf\\xbf"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
        {"\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80"},
        {"\xf4\x8f\xbf\xbd\xf4\x90\x80\x80", "\xf4\x8f\xbf\xbd\\xf4\\x90\\x80\\x80"}, /* past U+10FFFF */
        {"\xef\xbf\xbe\xef\xbf\xbf", "\\xef\\xbf\\xbe\\xef\\xbf\\xbf"},
        {"a\xe2\x80\xa8z", "a\\xe2\\x80\\xa8z"}, /* ends a line */
        {"a\xe2\x80\xaez", "a\\xe2\\x80\\xaez"}, /* turns round what follows */
        {"a\xe2\x81\xa6z\xe2\x80\x93", "a\\xe2\\x81\\xa6z\xe2\x80\x93"},
        {"\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c\xd8\x9d", /* marks of direction, between others */
         "\xe2\x80\x8d\\xe2\\x80\\x8e\\xe2\\x80\\x8f\\xd8\\x9c\xd8\x9d"},
        {"\xe2\x82", "\\xe2\\x82"}, /* cut short */
        {"\xe2\x82z\xf0\x9f\x90", "\\xe2\\x82z\\xf0\\x9f\\x90"},
        {"\xc3", "\\xc3"},
        {"\x80\xbf", "\\x80\\xbf"},
        {"a\\xff", "a\\\\xff"}, /* differs from the name with that byte */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = mv_text_escape(cases[i].bytes);
        assert_non_null(text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(mv_text_is_clean(cases[i].bytes), strcmp(cases[i].bytes, cases[i].text) == 0);
        assert_true(mv_text_is_safe(text));
        bool backslash = strchr(cases[i].bytes, '\\');
        assert_int_equal(mv_text_is_safe(cases[i].bytes), backslash || mv_text_is_clean(cases[i].bytes));
        free(text);
    }
}

/* The rule once more, by decoding: a character is left alone if and only if its code point may be printed and has this
 * encoding. All sequences of one to three bytes, and of four with the outer ones at their limits. */
static bool may_stay(const uint8_t *p, size_t n)
{
    uint32_t c = p[0];
    if (n > 1) {
        c &= n == 2 ? 0x1F : n == 3 ? 0x0F : 0x07;
        for (size_t i = 1; i < n; i++) {
            if (p[i] >> 6 != 2)
                return false;
            c = c << 6 | (p[i] & 0x3F);
        }
    }
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    return c >= smallest[n] && c >= 0x20 && c != '\\' && !(c >= 0x7F && c < 0xA0) && !(c >= 0xD800 && c < 0xE000) &&
           c != 0xFFFE && c != 0xFFFF && c <= 0x10FFFF && !(c >= 0x2028 && c <= 0x202E) &&
           !(c >= 0x2066 && c <= 0x2069) && c != 0x200E && c != 0x200F && c != 0x061C;
}

/* However short: valid UTF-8 within its bounds, no part of an escape, and the two ends of the name. */
static void shortened_in_the_middle(void **state)
{
    static const char *const names[] = {"mambavision_tiny_finetuned_a",
                                        "\xc3\xa4\xc3\xb6\xc3\xbc\xe2\x82\xac\xf0\x9f\x8c\xb2-\xe6\x9c\xa8",
                                        "\\xff\\xfe\\x00abc\\\\def\\x7f",
                                        "abc",
                                        "",
                                        "\\"};
    char text[64], exact[64];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t size = 16; size <= sizeof text; size++)
            for (int most = 4; most < 40; most++) {
                int n = mv_text_shorten(text, size, most, names[i]), counted = 0;
                for (const char *p = text; *p; p++)
                    counted += ((unsigned char)*p & 0xC0) != 0x80;
                assert_int_equal(n, counted);
                assert_true(n <= most && strlen(text) < size);
                char *dots = strstr(text, "\xe2\x80\xa6");
                if (!dots) {
                    assert_string_equal(text, names[i]);
                    continue;
                }
                assert_true(mv_text_is_safe(text));
                size_t head = (size_t)(dots - text), tail = strlen(dots + 3);
                assert_memory_equal(text, names[i], head);
                assert_string_equal(dots + 3, names[i] + strlen(names[i]) - tail);
                snprintf(exact, sizeof exact, "%s", dots + 3);
                assert_true(mv_text_is_safe(exact));
            }
    assert_int_equal(mv_text_shorten(text, sizeof text, 9, "0123456789"), 9);
    assert_string_equal(text, "0123\xe2\x80\xa6"
                              "6789");
    assert_int_equal(mv_text_shorten(text, sizeof text, 10, "0123456789"), 10);
    assert_string_equal(text, "0123456789");
}

static size_t length_said(uint8_t b)
{
    return b < 0x80 ? 1 : b >> 5 == 6 ? 2 : b >> 4 == 14 ? 3 : b >> 3 == 30 ? 4 : 0;
}

static void every_character_by_its_code_point(void **s)
{
    (void)s;
    for (unsigned a = 1; a < 256; a++) {
        size_t n = length_said((uint8_t)a);
        if (n < 2) {
            char one[] = {(char)a, 0};
            assert_int_equal(mv_text_is_clean(one), n == 1 && may_stay((uint8_t *)one, 1));
            continue;
        }
        for (unsigned b = 1; b < 256; b++)
            for (unsigned c = 1; c < (n > 2 ? 256 : 2); c++)
                for (unsigned d = 0x7F; d < (n > 3 ? 0xC2 : 0x80); d++) {
                    uint8_t p[5] = {(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d, 0};
                    p[n] = 0;
                    if (mv_text_is_clean((char *)p) != may_stay(p, n))
                        fail_msg("%02x %02x %02x %02x", p[0], p[1], p[2], p[3]);
                }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endings_ignore_case),
        cmocka_unit_test(base_names),
        cmocka_unit_test(what_others_said_ends_with_a_word),
        cmocka_unit_test(distances),
        cmocka_unit_test(the_nearest_word),
        cmocka_unit_test(cut_between_characters),
        cmocka_unit_test(shortened_in_the_middle),
        cmocka_unit_test(bytes_that_are_not_ours_are_escaped),
        cmocka_unit_test(every_character_by_its_code_point),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
