/* The page of benchmarks: laid out without overlap at both ends of its range, narrow and wide; long names, values that
 * are not finite; what it says of what is not on it; and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/drawing.h"
#include "viz/page/bench.h"

enum { PARTS = 6 };

typedef struct {
    char detail[MV_BENCH_ROWS][64], op[MV_BENCH_KINDS][16], shape[MV_BENCH_OPERATIONS][72];
    mv_bench_row row[MV_BENCH_ROWS];
    mv_bar_row kind[MV_BENCH_KINDS], part[PARTS];
    mv_bench_operation operation[MV_BENCH_OPERATIONS];
    mv_bench_profile profile[MV_BENCH_PROFILES];
    mv_bench_content content;
} stock;

static const char *const names[] = {"T", "L3-512-21K", "a_model_with…of_its_own"};

static void fill(stock *s, int rows, int profiles, int operations)
{
    static const char *const parts[PARTS] = {"stem", "level 0", "level 1", "level 2", "level 3", "head"};
    int kinds = operations < MV_BENCH_KINDS ? operations : MV_BENCH_KINDS;
    *s = (stock){
        .content = {.rows = rows, .note = "Medians. The floor is what can be done at best.", .profiles = profiles}};
    for (int i = 0; i < rows; i++) {
        snprintf(s->detail[i], sizeof *s->detail, "bf16  cpu:avx512  batch %d", 4000 + i);
        s->row[i] = (mv_bench_row){names[i % 3], s->detail[i], pow(10, -2 + i % 6), 0.7 * pow(10, -2 + i % 6)};
    }
    for (int i = 0; i < kinds; i++) {
        snprintf(s->op[i], sizeof *s->op, "operation_%d", i % 1000);
        s->kind[i] = (mv_bar_row){s->op[i], {drawing_uniform(), drawing_uniform()}};
    }
    for (int i = 0; i < PARTS; i++)
        s->part[i] = (mv_bar_row){parts[i], {drawing_uniform(), drawing_uniform()}};
    for (int i = 0; i < operations; i++) {
        snprintf(s->shape[i], sizeof *s->shape, "1605632 x 1024 -> 4096 gelu residual %d", i);
        s->operation[i] =
            (mv_bench_operation){s->op[i % kinds], s->shape[i], parts[i % PARTS], i + 1, drawing_uniform(), 1e-3, 0.01};
    }
    for (int i = 0; i < profiles; i++)
        s->profile[i] = (mv_bench_profile){"a_model_with…of_its_own, bf16 on cpu:avx512, batch 4096",
                                           "All operations: 7.189 ms; a pass as a whole: 12.435 ms.",
                                           kinds,
                                           PARTS,
                                           s->kind,
                                           s->part,
                                           operations,
                                           s->operation};
    s->content.row = s->row;
    s->content.profile = s->profile;
}

static mv_status write_page(void **state, const mv_bench_content *c, mv_page_style style, mv_canvas_kind kind,
                            drawing_buffer *b, mv_error *e)
{
    *b = (drawing_buffer){.left = -1};
    mv_canvas_target to = {.kind = kind, .write = drawing_keep, .ctx = b};
    const char *items[] = {"mvscope bench --profile -o bench.png", "AVX-512, 2 threads, oneDNN 2.6.3", "0.1.0"};
    mv_heading heading = {.title = "a_model_with…of_its_own: 208.5 images a second",
                          .subtitle = "bf16 on cpu in batches of 6, 50 % of the rate of its floor",
                          .recipe = {items, 3}};
    return mv_page_write(&mv_page_bench, &heading, c, &style, *state, &to, e);
}

static drawing_buffer draw(void **state, const mv_bench_content *c, mv_page_style style, mv_canvas_kind kind)
{
    drawing_buffer b;
    mv_error e = {0};
    if (write_page(state, c, style, kind, &b, &e))
        fail_msg("%s", e.text);
    return b;
}

static int times_in(const drawing_buffer *b, const char *what)
{
    int n = 0;
    for (const char *p = b->bytes; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

static void pages_of_any_size_have_room(void **state)
{
    static const struct {
        int rows, profiles, operations;
    } shapes[] = {{1, 0, 0}, {8, 1, 1}, {24, 0, 0}, {25, 2, 41}, {30, 0, 0}, {MV_BENCH_ROWS, 0, 0}, {2, 4, 256}};
    static const int widths[] = {0, 640, 1000, 3000};
    stock *s = malloc(sizeof *s);
    drawing_layout *l = malloc(sizeof *l);
    assert_true(s && l);
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
            fill(s, shapes[k].rows, shapes[k].profiles, shapes[k].operations);
            drawing_buffer b =
                draw(state, &s->content, (mv_page_style){.width = widths[i], .theme = i % 2 ? MV_DARK : MV_LIGHT},
                     MV_CANVAS_SVG);
            drawing_check_texts(l, &b);
            for (int r = 0; r < shapes[k].rows; r++) /* every row, and none of its details is cut */
                if (!strstr(b.bytes, s->detail[r]))
                    fail_msg("'%s' is not on a page of %d rows, %d px wide", s->detail[r], shapes[k].rows, widths[i]);
            assert_int_equal(times_in(&b, "cpu:avx512, batch 4096"), shapes[k].profiles);
            free(b.bytes);
        }
    free(s);
    free(l);
}

/* The fullest page is one that files can hold: 14400 units of an SVG or PDF, 32767 pixels of a PNG. */
static void the_fullest_page_fits_into_a_file(void **state)
{
    stock *s = malloc(sizeof *s);
    assert_non_null(s);
    fill(s, MV_BENCH_ROWS, MV_BENCH_PROFILES, MV_BENCH_OPERATIONS);
    s->content.more_rows = s->content.more_profiles = 1000;
    for (int width = 640; width <= 1200; width += 280) {
        drawing_buffer b = draw(state, &s->content, (mv_page_style){.width = width}, MV_CANVAS_SVG);
        assert_int_equal(times_in(&b, "others<"), MV_BENCH_PROFILES); /* what the tables do not list is summed */
        free(b.bytes);
    }
    drawing_buffer b = draw(state, &s->content, (mv_page_style){.width = 640, .zoom = 2}, MV_CANVAS_PNG);
    free(b.bytes);
    free(s);
}

static void what_is_printed(void **state)
{
    stock *s = malloc(sizeof *s);
    assert_non_null(s);
    fill(s, 8, 1, 45);
    s->row[0].ms = 12.345, s->row[1].ms = 0.01234, s->row[2].ms = 1234.5, s->row[3].ms = 5.004;
    s->row[4] = (mv_bench_row){"T", s->detail[4], NAN, NAN};
    s->row[5].floor = INFINITY;
    s->row[6].ms = 0;
    s->operation[0].ms = NAN;
    s->kind[0].value[0] = NAN;
    s->content.more_rows = 1;
    s->content.more_profiles = 3;
    drawing_buffer b = draw(state, &s->content, (mv_page_style){0}, MV_CANVAS_SVG);
    static const char *const says[] = {"12.3<",
                                       "0.0123<",
                                       "5.00<",
                                       "does not fit<",
                                       ">T<",
                                       "L3-512-21K<",
                                       ">measured<",
                                       ">floor<",
                                       "Time of a picture<",
                                       ">others<",
                                       "5 further shapes<",
                                       "Each operation<",
                                       "level 3<",
                                       "1 further row and the profiles of 3 rows"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        if (!strstr(b.bytes, says[i]))
            fail_msg("'%s' is not on the page", says[i]);
    free(b.bytes);
    s->content.more_rows = s->content.more_profiles = 0;
    b = draw(state, &s->content, (mv_page_style){0}, MV_CANVAS_SVG);
    assert_null(strstr(b.bytes, "Not on this page"));
    free(b.bytes);
    free(s);
}

static void what_cannot_be_drawn_is_refused(void **state)
{
    stock *s = malloc(sizeof *s);
    assert_non_null(s);
    for (int k = 0; k < 6; k++) {
        fill(s, 2, 1, 2);
        mv_error e = {0};
        drawing_buffer b;
        s->content.rows = k == 0 ? 0 : k == 1 ? MV_BENCH_ROWS + 1 : 2;
        s->content.profiles = k == 2 ? MV_BENCH_PROFILES + 1 : 1;
        s->profile[0].operations = k == 3 ? MV_BENCH_OPERATIONS + 1 : k == 4 ? 0 : 2;
        s->profile[0].kinds = k == 5 ? MV_BENCH_KINDS + 1 : 2;
        assert_int_equal(write_page(state, &s->content, (mv_page_style){0}, MV_CANVAS_PNG, &b, &e), MV_EINPUT);
        free(b.bytes);
    }
    mv_error e = {0};
    drawing_buffer b;
    fill(s, 2, 0, 0);
    assert_int_equal(write_page(state, &s->content, (mv_page_style){.table = "viridis"}, MV_CANVAS_PNG, &b, &e), MV_OK);
    free(b.bytes);
    assert_int_equal(mv_page_check_style(&mv_page_bench, &(mv_page_style){.table = "viridis"}, &e), MV_EINPUT);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_any_size_have_room),
        cmocka_unit_test(the_fullest_page_fits_into_a_file),
        cmocka_unit_test(what_is_printed),
        cmocka_unit_test(what_cannot_be_drawn_is_refused),
    };
    return cmocka_run_group_tests(tests, drawing_open_fonts, drawing_close_fonts);
}
