/* The comparison page: nothing overlaps or leaves the page at any width, whatever is compared, and what it refuses. */
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
#include "viz/page/compare.h"

enum { PAIRS = 12, BLOCKS = 36, SITES = 400 };

/* Everything that a page may hold. */
typedef struct {
    mv_image picture[2];
    mv_class_bar top[5];
    mv_map map[3 * PAIRS];
    mv_compare_pair pair[PAIRS];
    double value[BLOCKS * BLOCKS];
    char name[BLOCKS][16], site_name[SITES][64];
    const char *block[BLOCKS];
    mv_compare_grid grid;
    mv_compare_site site[SITES];
    mv_compare_content content;
} stock;

static stock *new_stock(bool even)
{
    static const char *const classes[] = {"church", "a class whose name is rather long, and longer", "golf ball",
                                          "parachute", "tench"};
    stock *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->picture[0] = drawing_scene(60, 40);
    s->picture[1] = drawing_scene(60, 40);
    for (int i = 0; i < 5; i++)
        s->top[i] = (mv_class_bar){classes[i], 0.8 / (1 + 4 * i)};
    for (int i = 0; i < PAIRS; i++) {
        mv_map *m = s->map + 3 * i;
        m[0] = even ? drawing_even_map(4, 6, i) : drawing_signed_map(4, 6, i);
        m[1] = even ? drawing_even_map(4, 6, i + 1) : drawing_signed_map(4, 6, i + 1);
        assert_int_equal(mv_map_subtract(&m[2], &m[1], &m[0], NULL), MV_OK);
        snprintf(m[0].title, sizeof m[0].title, "Level 2, block %d", i);
        snprintf(m[1].title, sizeof m[1].title, "Level 2, block %d", i);
        s->pair[i] = (mv_compare_pair){&m[0], &m[1], &m[2], "relative L2 0.42, cosine 0.912",
                                       "largest \xe2\x88\x92"
                                       "13.148 in row 4, column 6: 12.511, then \xe2\x88\x92"
                                       "0.637"};
    }
    for (int i = 0; i < BLOCKS; i++) {
        snprintf(s->name[i], sizeof s->name[i], "%d.%d", i / 20 + 2, i % 20);
        s->block[i] = s->name[i];
        for (int j = 0; j < BLOCKS; j++)
            s->value[i * BLOCKS + j] = i > 30 ? (double)NAN : 1 / (1 + 0.1 * abs(i - j));
    }
    s->grid = (mv_compare_grid){s->value, BLOCKS, BLOCKS, s->block, s->block, "Samples: 196 cells of 16 px."};
    for (int i = 0; i < SITES; i++) {
        snprintf(s->site_name[i], sizeof s->site_name[i], "levels.2.blocks.%d.mixer.hidden_attn", i);
        s->site[i] = (mv_compare_site){s->site_name[i],
                                       "0.0123",
                                       "0.999912",
                                       "0.00123 at 0,187,163",
                                       i == 7 ? (double)INFINITY : pow(10, -8 + 0.02 * i),
                                       i == 7 || i > 250};
    }
    s->content =
        (mv_compare_content){.side = {{"church.jpg", "church.jpg", &s->picture[0], s->top, 5},
                                      {"a-picture-with-a-name-that-does-not-end.jpg",
                                       "a-picture-with-a-name-that-does-not-end.jpg", &s->picture[1], s->top, 5}},
                             .tolerance = 1e-3};
    return s;
}

static void free_stock(stock *s)
{
    for (int i = 0; i < 3 * PAIRS; i++)
        mv_map_free(&s->map[i]);
    free(s->picture[0].rgb);
    free(s->picture[1].rgb);
    free(s);
}

static mv_status page(drawing_buffer *b, mv_canvas_kind kind, const mv_compare_content *c, const mv_page_style *style,
                      mv_fonts *fonts, mv_error *e)
{
    static const char *const items[] = {"mvscope compare church.jpg golf-ball.jpg", "model nano 3f9c1e"};
    mv_heading heading = {"The maps differ: cosine 0.426", "church.jpg: church, p = 0.949", {items, 2}};
    mv_canvas_target to = {.kind = kind, .write = drawing_keep, .ctx = b};
    b->size = 0;
    return mv_page_write(&mv_page_compare, &heading, c, style, fonts, &to, e);
}

/* Lays the content out at three widths, in both themes. */
static void expect_layout(const mv_compare_content *c, mv_fonts *fonts)
{
    static const int widths[] = {640, 1000, 1600};
    drawing_layout *l = calloc(1, sizeof *l);
    drawing_buffer b = {.left = -1};
    assert_non_null(l);
    for (int i = 0; i < 3; i++) {
        mv_error e = {0};
        mv_page_style style = {.width = widths[i], .theme = i % 2 ? MV_DARK : MV_LIGHT};
        if (page(&b, MV_CANVAS_SVG, c, &style, fonts, &e))
            fail_msg("%s", e.text);
        drawing_check_layout(l, &b);
    }
    free(b.bytes);
    free(l);
}

static void nothing_overlaps(void **state)
{
    for (int even = 0; even < 2; even++) {
        stock *s = new_stock(even);
        mv_compare_content c = s->content;
        c.pairs = s->pair;
        for (c.pair_count = 1; c.pair_count <= PAIRS; c.pair_count += 11) {
            c.side[1].picture = &s->picture[1]; /* two pictures */
            c.side[1].top_count = 5;
            expect_layout(&c, *state);
            c.side[1].picture = &s->picture[0]; /* one, two answers */
            expect_layout(&c, *state);
            c.side[1].top_count = 0; /* one answer */
            expect_layout(&c, *state);
        }
        free_stock(s);
    }
}

static void networks_of_any_depth_have_a_grid(void **state)
{
    stock *s = new_stock(false);
    mv_compare_content c = s->content;
    c.side[1].picture = &s->picture[0];
    c.pairs = s->pair;
    c.pair_count = 1;
    c.grid = &s->grid;
    for (s->grid.rows = 1; s->grid.rows <= BLOCKS; s->grid.rows += 7)
        for (s->grid.columns = 2; s->grid.columns <= BLOCKS; s->grid.columns += 17)
            expect_layout(&c, *state);
    free_stock(s);
}

static void any_number_of_sites_has_a_curve(void **state)
{
    stock *s = new_stock(false);
    mv_compare_content c = s->content;
    c.side[1].picture = NULL;
    c.side[1].top_count = 0;
    c.sites = s->site;
    for (c.site_count = 1; c.site_count <= SITES; c.site_count += c.site_count < 20 ? 6 : 190)
        expect_layout(&c, *state);
    for (int i = 0; i < SITES; i++) /* the same values everywhere */
        s->site[i].distance = 0;
    c.site_count = SITES;
    expect_layout(&c, *state);
    free_stock(s);
}

static void what_it_says(void **state)
{
    stock *s = new_stock(false);
    mv_compare_content c = s->content;
    drawing_buffer b = {.left = -1};
    c.pairs = s->pair;
    c.pair_count = 1;
    c.grid = &s->grid;
    c.sites = s->site;
    c.site_count = SITES;
    assert_int_equal(page(&b, MV_CANVAS_SVG, &c, NULL, *state, NULL), MV_OK);
    const char *const said[] = {"church.jpg",
                                "relative L2 0.42, cosine 0.912",
                                "lines: dashed below 0",
                                "How alike the blocks are",
                                "The sites that are furthest apart",
                                "1e−5",
                                "0.01"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(b.bytes, said[i]))
            fail_msg("the page does not say '%s'", said[i]);
    free(b.bytes);
    free_stock(s);
}

static void refused(const mv_compare_content *c, mv_status code)
{
    mv_error e = {0};
    assert_int_equal(mv_page_compare.check(c, &e), code);
    assert_true(*e.text);
}

static void what_it_refuses(void **state)
{
    (void)state;
    stock *s = new_stock(false);
    mv_compare_content c = s->content;
    c.pairs = s->pair;
    c.pair_count = 65;
    refused(&c, MV_EINPUT);
    c.pair_count = 1;
    c.side[1].picture = NULL;
    refused(&c, MV_EMISUSE);
    c.side[1].picture = &s->picture[1];
    snprintf(s->map[1].unit, sizeof s->map[1].unit, "another");
    refused(&c, MV_EINPUT);
    c.pair_count = 0;
    assert_int_equal(mv_page_compare.check(&c, NULL), MV_OK);
    c.grid = &s->grid;
    s->grid.columns = 0;
    refused(&c, MV_EINPUT);
    c.grid = NULL;
    c.site_count = -1;
    refused(&c, MV_EINPUT);
    free_stock(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_overlaps),
        cmocka_unit_test(networks_of_any_depth_have_a_grid),
        cmocka_unit_test(any_number_of_sites_has_a_curve),
        cmocka_unit_test(what_it_says),
        cmocka_unit_test(what_it_refuses),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, drawing_open_fonts, drawing_close_fonts);
}
