/* The page of ablations: laid out without overlap for any number of blocks and heads, long names and values that are
 * not finite; and what it refuses. */
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
#include "viz/page/ablate.h"

enum { MOST_ROWS = 64, MOST_COLUMNS = 32 };

/* A grid of values around 0 with names. */
typedef struct {
    double value[MOST_ROWS * MOST_COLUMNS];
    int length[MOST_ROWS];
    char text[MOST_ROWS + MOST_COLUMNS][32];
    const char *name[MOST_ROWS + MOST_COLUMNS];
    mv_ablate_grid grid;
} stock;

static void fill(stock *s, int rows, int columns, double most)
{
    *s = (stock){.grid = {.title = "Each head set to zero",
                          .finding = "Most: head 3 of level 2 block 4, \xe2\x88\x92"
                                     "1.42",
                          .note = "Rows are level.block. Every head gives zeros to the projection.",
                          .across = "head",
                          .rows = rows,
                          .columns = columns}};
    for (int i = 0; i < rows * columns; i++)
        s->value[i] = most * (2 * drawing_uniform() - 1);
    for (int i = 0; i < rows; i++) {
        s->length[i] = i % 3 == 1 ? (columns + 1) / 2 : columns;
        snprintf(s->text[i], 32, "%d.%d", 2 + i % 2, i);
    }
    for (int i = 0; i < columns; i++)
        snprintf(s->text[rows + i], 32, "%d", i);
    for (int i = 0; i < rows + columns; i++)
        s->name[i] = s->text[i];
    s->grid.row = s->name;
    s->grid.column = s->name + rows;
    s->grid.length = s->length;
    s->grid.value = s->value;
}

static drawing_buffer draw(void **state, const mv_ablate_content *c, mv_page_style style, mv_canvas_kind kind)
{
    drawing_buffer b = {.left = -1};
    mv_error e = {0};
    mv_canvas_target to = {.kind = kind, .write = drawing_keep, .ctx = &b};
    const char *items[] = {"mvscope ablate --sweep heads church.jpg", "model nano 3f9c1e", "fp32 cpu"};
    mv_heading heading = {.title = "Without head 3 of level 2 block 4: church falls from 0.95 to 0.41",
                          .subtitle = "The logit of church: +4.696 before, +3.2 after  \xc2\xb7  church.jpg",
                          .recipe = {items, 3}};
    if (mv_page_write(&mv_page_ablate, &heading, c, &style, *state, &to, &e))
        fail_msg("%s", e.text);
    return b;
}

static void pages_of_any_shape_have_room(void **state)
{
    static const struct {
        int rows, columns, w, h;
    } shapes[] = {{1, 1, 60, 60}, {4, 8, 60, 60}, {2, 2, 200, 60}, {20, 32, 60, 200}, {40, 2, 60, 60}, {64, 4, 90, 60}};
    static const int widths[] = {0, 640, 1131, 3000};
    stock *s = malloc(3 * sizeof *s);
    drawing_layout *l = malloc(sizeof *l);
    assert_true(s && l);
    mv_ablate_class classes[12];
    for (int i = 0; i < 12; i++)
        classes[i] = (mv_ablate_class){
            i % 3 ? "church" : "a class with a name that is far too long for any of the places that it has",
            {drawing_uniform(), drawing_uniform()},
            {-12.5 * i, 3.5 * i}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        mv_image picture = drawing_scene(shapes[k].w, shapes[k].h);
        mv_map evidence[3], tokens = drawing_signed_map(14, 14, 9);
        for (int i = 0; i < 3; i++) {
            evidence[i] = drawing_signed_map(7, 7, i);
            snprintf(evidence[i].title, sizeof evidence[i].title, "After: for church");
            snprintf(evidence[i].unit, sizeof evidence[i].unit, "logit per cell");
            snprintf(evidence[i].proof, sizeof evidence[i].proof, "mean of 49 cells  +3.2  =  its logit  +3.2");
        }
        mv_ablate_grid grids[4];
        for (int i = 0; i < 3; i++) {
            fill(&s[i], shapes[k].rows, shapes[k].columns, i == 0 ? 0.003 : i == 1 ? 2 : 1234);
            grids[i] = s[i].grid;
        }
        s[1].value[0] = NAN;
        grids[3] = (mv_ablate_grid){.title = "Each token", .map = &tokens};
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            for (int edited = 0; edited < 2; edited++) {
                mv_ablate_content c = {.picture = &picture,
                                       .classes = classes,
                                       .class_count = k == 0 ? 1 : 12,
                                       .edited = edited,
                                       .evidence = evidence,
                                       .evidence_count = edited ? 3 : 0,
                                       .grids = grids,
                                       .grid_count = 4,
                                       .unit = "logit"};
                drawing_buffer b =
                    draw(state, &c, (mv_page_style){.width = widths[i], .theme = edited ? MV_DARK : MV_LIGHT},
                         MV_CANVAS_SVG);
                drawing_check_layout(l, &b);
                assert_int_equal(l->images, edited ? 13 : 7); /* colour bars among them */
                free(b.bytes);
            }
        for (int i = 0; i < 3; i++)
            mv_map_free(&evidence[i]);
        mv_map_free(&tokens);
        free(picture.rgb);
    }
    free(s);
    free(l);
}

/* The number of a cell is on the page; a value that is not finite is counted. */
static void numbers_are_on_the_page(void **state)
{
    stock *s = malloc(sizeof *s);
    assert_non_null(s);
    mv_image picture = drawing_scene(60, 60);
    fill(s, 2, 3, 1);
    s->value[0] = -1.42;
    s->value[1] = 0.31;
    s->value[2] = INFINITY;
    mv_ablate_content c = {.picture = &picture, .grids = &s->grid, .grid_count = 1, .unit = "logit"};
    drawing_buffer b = draw(state, &c, (mv_page_style){0}, MV_CANVAS_SVG);
    static const char *const says[] = {"−1.42<", "+0.31<", "1 cell is not finite: hatched", "2.0<", "head<"};
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        if (!strstr(b.bytes, says[i]))
            fail_msg("'%s' is not on the page", says[i]);
    free(b.bytes);
    free(picture.rgb);
    free(s);
}

static void what_cannot_be_drawn_is_refused(void **state)
{
    mv_image picture = drawing_scene(60, 60), none = {0};
    mv_ablate_class classes[13] = {{"church", {0, 0}, {0, 0}}};
    mv_ablate_grid empty = {.title = "nothing"};
    mv_map hollow = {0};
    mv_ablate_grid flat = {.title = "nothing", .map = &hollow};
    const mv_ablate_content cases[] = {
        {.picture = &none},
        {.picture = &picture, .classes = classes, .class_count = 13},
        {.picture = &picture, .grids = &empty, .grid_count = 1},
        {.picture = &picture, .grids = &flat, .grid_count = 1},
        {.picture = &picture, .evidence = &hollow, .evidence_count = 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        drawing_buffer b = {.left = -1};
        mv_error e = {0};
        mv_canvas_target to = {.kind = MV_CANVAS_PNG, .write = drawing_keep, .ctx = &b};
        assert_int_not_equal(mv_page_write(&mv_page_ablate, NULL, &cases[i], NULL, *state, &to, &e), MV_OK);
        free(b.bytes);
    }
    free(picture.rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_any_shape_have_room),
        cmocka_unit_test(numbers_are_on_the_page),
        cmocka_unit_test(what_cannot_be_drawn_is_refused),
    };
    return cmocka_run_group_tests(tests, drawing_open_fonts, drawing_close_fonts);
}
