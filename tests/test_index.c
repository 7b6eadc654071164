/* The index of a folder of pages: references, rows whose names cannot leave their place, and sinks that fail. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "viz/html/index.h"

typedef struct {
    char text[1 << 16];
    size_t n;
    int left; /* calls until the sink fails; negative: never */
} buffer;

static mv_status put(void *to, const void *bytes, size_t n)
{
    buffer *b = to;
    if (b->left == 0)
        return MV_EIO;
    b->left -= b->left > 0;
    assert_true(b->n + n < sizeof b->text);
    memcpy(b->text + b->n, bytes, n);
    b->n += n;
    b->text[b->n] = '\0';
    return MV_OK;
}

static void references_are_percent_encoded(void **state)
{
    (void)state;
    static const struct {
        const char *path, *expected;
    } known[] = {{"a/b-1_c.png", "a/b-1_c.png"},
                 {"a b#?%.png", "a%20b%23%3F%25.png"},
                 {"x:\"'<&>", "x%3A%22%27%3C%26%3E"},
                 {"\xc3\xa9\xff\n", "%C3%A9%FF%0A"},
                 {"", ""}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char *r = mv_index_reference(known[i].path);
        assert_string_equal(r, known[i].expected);
        free(r);
    }
}

static void rows_are_one_line_and_escaped(void **state)
{
    (void)state;
    static buffer b;
    uint8_t rgb[3 * 6] = {0};
    mv_image thumb = {3, 2, rgb};
    mv_index_entry entry = {
        .page = "a.png", .name = "</td>\"'&\n", .class_ = "<b>", .probability = 0.875, .thumb = &thumb};
    mv_error e = {0};
    b = (buffer){.left = -1};
    assert_int_equal(mv_index_row(&entry, put, &b, &e), MV_OK);
    assert_non_null(strstr(b.text, "&lt;/td&gt;&quot;&#39;&amp;\xef\xbf\xbd</a>"));
    assert_non_null(strstr(b.text, "<td>&lt;b&gt;</td><td>87.50&#8201;%"));
    assert_non_null(strstr(b.text, "width=\"3\" height=\"2\" src=\"data:image/jpeg;base64,/9j/"));
    assert_true(strchr(b.text, '\n') == b.text + b.n - 1);
    assert_memory_equal(b.text, MV_INDEX_ROW "a.png\"", strlen(MV_INDEX_ROW) + 6);
    b = (buffer){.left = -1};
    mv_index_entry bare = {.page = "a.png", .name = "a", .probability = NAN};
    assert_int_equal(mv_index_row(&bare, put, &b, &e), MV_OK);
    assert_non_null(strstr(b.text, "data-p=\"\"><td></td>"));
    b = (buffer){.left = 0};
    assert_int_equal(mv_index_row(&entry, put, &b, &e), MV_EIO);
}

static void the_file_holds_its_rows_and_its_mark(void **state)
{
    (void)state;
    static buffer b;
    const char *rows[] = {"<tr data-page=\"1\"></tr>\n", "<tr data-page=\"2\"></tr>\n"};
    mv_error e = {0};
    b = (buffer){.left = -1};
    assert_int_equal(mv_index_write("2 <pictures>", "a & b", rows, 2, put, &b, &e), MV_OK);
    assert_non_null(strstr(b.text, MV_INDEX_MARK));
    assert_non_null(strstr(b.text, "<tbody>\n<tr data-page=\"1\"></tr>\n<tr data-page=\"2\"></tr>\n</tbody>"));
    assert_non_null(strstr(b.text, "<title>2 &lt;pictures&gt;</title>"));
    assert_non_null(strstr(b.text, "<p>a &amp; b</p>"));
    assert_null(strstr(b.text, "{{"));
    b = (buffer){.left = 0};
    assert_int_equal(mv_index_write("x", "y", rows, 2, put, &b, &e), MV_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_are_percent_encoded),
        cmocka_unit_test(rows_are_one_line_and_escaped),
        cmocka_unit_test(the_file_holds_its_rows_and_its_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
