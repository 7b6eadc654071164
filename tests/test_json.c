/* What parsing JSON takes of memory is known before it is parsed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/file/boxes.h"
#include "src/file/json.h"
#include "src/file/safetensors.h"
#include "src/file/tensors.h"
#include "src/model/config.h"

static size_t held, most; /* by jansson, with malloc's 8 bytes a piece */

static void *counted_malloc(size_t n)
{
    void *p = malloc(n);
    held += p ? malloc_usable_size(p) + 8 : 0;
    most = held > most ? held : most;
    return p;
}

static void counted_free(void *p)
{
    held -= p ? malloc_usable_size(p) + 8 : 0;
    free(p);
}

/* begin, `n` times `each`, end. The caller's to free. */
static char *text_of(const char *begin, const char *each, int n, const char *end, size_t *size)
{
    size_t a = strlen(begin), b = strlen(each), c = strlen(end);
    *size = a + b * (size_t)n + c;
    char *text = malloc(*size + 1), *to = text;
    assert_non_null(text);
    to = mempcpy(to, begin, a);
    for (int i = 0; i < n; i++)
        to = mempcpy(to, each, b);
    memcpy(to, end, c + 1);
    return text;
}

static void test_weight_is_a_bound(void **state)
{
    (void)state;
    static const char *const kinds[][3] = {
        {"[", "{},", "{}]"},
        {"[", "[],", "[]]"},
        {"[", "1,", "1]"},
        {"[", "1.5,", "1]"},
        {"[", "\"\",", "1]"},
        {"[", "\"a text of some forty letters, more or less\",", "1]"},
        {"[", "\"\\n\\u00e9\\\\\",", "1]"},
        {"[", "{\"a\":1},", "1]"},
        {"[", "{\"a\":{}},", "1]"},
        {"[", "{\"a\":[[1,2],[3,4]],\"b\":null,\"c\":true},", "1]"},
        {"[", "{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,1]},", "1]"},
        {"[", "{\"id\":1,\"image_id\":1,\"category_id\":1,\"bbox\":[1,2,3,4],\"area\":12,\"iscrowd\":0},", "1]"},
        {"[", "{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1},", "1]"},
        {"", "[", ""},
        {"", "{\"a\":", ""}};
    json_set_alloc_funcs(counted_malloc, counted_free);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int n = 1; n <= 20000; n *= 11) {
            size_t size;
            char *text = text_of(kinds[i][0], kinds[i][1], n, kinds[i][2], &size);
            most = held = 0;
            json_decref(json_loadb(text, size, 0, NULL));
            size_t weight = mv_json_weight(text, size);
            if (weight + 1000 < most) /* the parser's own buffers */
                fail_msg("%d times %s: took %zu bytes, weighs %zu", n, kinds[i][1], most, weight);
            if (n > 1000 && *kinds[i][0] && weight > 3 * most)
                fail_msg("%d times %s: took %zu bytes, weighs %zu", n, kinds[i][1], most, weight);
            free(text);
        }
    json_set_alloc_funcs(malloc, free);

    /* an object of many keys, whose table grows */
    json_set_alloc_funcs(counted_malloc, counted_free);
    enum { KEYS = 40000 };
    char *keys = malloc(KEYS * 12 + 3), *to = keys;
    assert_non_null(keys);
    for (int k = 0; k < KEYS; k++)
        to += sprintf(to, "%c\"%d\":1", k ? ',' : '{', k);
    strcpy(to, "}");
    most = held = 0;
    json_t *object = json_loads(keys, 0, NULL);
    assert_int_equal(json_object_size(object), KEYS);
    json_decref(object);
    assert_true(mv_json_weight(keys, strlen(keys)) + 1000 >= most);
    free(keys);
    json_set_alloc_funcs(malloc, free);

    static const char torn[] = "{\"a\\"; /* ends in an escape */
    assert_true(mv_json_weight(torn, sizeof torn - 1) > 0);
}

/* 2.7 MB of text that would take 210 MB or more, in every reader. None of them parses it. */
static void test_heavy_texts(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    size_t size;
    mv_error e = {0};
    char *text = text_of("{\"a\":[", "{},", N, "{}]}", &size);
    json_set_alloc_funcs(counted_malloc, counted_free);
    most = held = 0;

    uint8_t *file = malloc(size + 8);
    uint64_t length = size;
    assert_non_null(file);
    memcpy(file, &length, 8);
    memcpy(file + 8, text, size);
    assert_null(mv_safetensors_of(file, size + 8, "x", &e));
    assert_int_equal(e.code, MV_EINPUT);
    assert_string_equal(e.text, "x: found JSON that would take 304 MB of memory, expected at most 256");

    mv_config c = {0};
    mv_labels labels = {0};
    unsigned has;
    e = (mv_error){0};
    assert_int_equal(mv_config_parse(&c, &labels, &has, text, size, "config.json", NULL, &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "config.json: found JSON that would take 304 MB"));

    mv_boxes boxes;
    e = (mv_error){0};
    assert_int_equal(mv_boxes_coco(&boxes, text, size, "coco.json", &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "coco.json: found JSON that would take 304 MB of memory, expected at most 112"));
    assert_int_equal(most, 0);
    free(text);

    text = text_of("{\"weight_map\": {\"a\": \"b\"}, \"x\":[", "{},", N, "{}]}", &size);
    e = (mv_error){0};
    assert_null(mv_tensors_of(text, size, "index.json", &e));
    assert_int_equal(e.code, MV_EINPUT);
    assert_int_equal(most, 0);
    json_set_alloc_funcs(malloc, free);
    free(text);
    free(file);
}

/* The densest of real files: boxes alone, no spaces. */
static void test_boxes_of_a_real_density(void **state)
{
    (void)state;
    size_t size;
    mv_boxes boxes;
    mv_error e = {0};
    char *text = text_of(
        "{\"images\":[{\"id\":1,\"width\":100,\"height\":100,\"file_name\":\"a.jpg\"}],\"categories\":[],"
        "\"annotations\":[",
        "{\"id\":1,\"image_id\":1,\"bbox\":[1,2,3,4]},", 9000, "{\"id\":1,\"image_id\":1,\"bbox\":[1,2,3,4]}]}", &size);
    if (mv_boxes_coco(&boxes, text, size, "coco.json", &e) != MV_OK)
        fail_msg("%s", e.text);
    assert_int_equal(boxes.picture->n, 9001);
    assert_true(mv_json_weight(text, size) < 32 * size);
    mv_boxes_free(&boxes);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weight_is_a_bound),
        cmocka_unit_test(test_heavy_texts),
        cmocka_unit_test(test_boxes_of_a_real_density),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
