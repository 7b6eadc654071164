/* The plain loops give the same bytes as those for the machine at hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

/* A second copy of the room, on a machine without extensions. */
#define mv_resample                 resample_plainly
#define __builtin_cpu_supports(isa) 0
#include "../src/picture/resample.c"
#undef mv_resample
mv_status mv_resample(const mv_image *in, const mv_window *win, uint8_t *rgb, size_t stride, mv_error *e);

static void test_plain_equals_vectors(void **state)
{
    (void)state;
    static const int sizes[][4] = {{500, 375, 299, 224}, {40, 61, 224, 133}, {5000, 33, 11, 200}, {3, 7000, 97, 5}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int w = sizes[k][0], h = sizes[k][1], tw = sizes[k][2], th = sizes[k][3];
        mv_image in = {w, h, malloc((size_t)w * (size_t)h * 3)};
        size_t n = (size_t)tw * (size_t)th * 3;
        uint8_t *a = malloc(n), *b = malloc(n);
        assert_true(in.rgb && a && b);
        uint32_t seed = 1;
        for (size_t i = 0; i < (size_t)w * (size_t)h * 3; i++) {
            seed = seed * 1664525 + 1013904223;
            in.rgb[i] = seed >> 31 ? 255 : 0; /* the filter overshoots: what is clipped is clipped alike */
        }
        mv_window win = {tw, th, 0, 0, tw, th};
        assert_int_equal(mv_resample(&in, &win, a, (size_t)tw * 3, NULL), MV_OK);
        assert_int_equal(resample_plainly(&in, &win, b, (size_t)tw * 3, NULL), MV_OK);
        assert_memory_equal(a, b, n);
        free(in.rgb);
        free(a);
        free(b);
    }
}

static void test_an_empty_window(void **state)
{
    (void)state;
    uint8_t one[3] = {1, 2, 3};
    mv_image in = {1, 1, one};
    mv_window win = {5, 5, 5, 0, 0, 5};
    assert_int_equal(mv_resample(&in, &win, NULL, 0, NULL), MV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_equals_vectors),
        cmocka_unit_test(test_an_empty_window),
    };
    return cmocka_run_group_tests_name("resample", tests, NULL, NULL);
}
