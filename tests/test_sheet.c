/* The sheet page: what it says, how it is laid out for any number and shape of maps, and what it refuses. */
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
#include "viz/page/sheet.h"

enum { MOST = 200 };

/* Maps with words, over one to three pictures. */
typedef struct {
    mv_image picture[3];
    mv_map map[MOST];
    mv_sheet_item item[MOST];
    int n;
} stock;

static stock *new_stock(int w, int h)
{
    stock *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->picture[0] = drawing_scene(w, h);
    s->picture[1] = drawing_scene(h, w);
    s->picture[2] = drawing_scene(30, 30);
    return s;
}

static void free_stock(stock *s)
{
    for (int i = 0; i < s->n; i++)
        mv_map_free(&s->map[i]);
    for (int i = 0; i < 3; i++)
        free(s->picture[i].rgb);
    free(s);
}

/* The next map: 0 evidence, 1 a multiple of an even spread, 2 a share, 3 colours. */
static mv_map *add(stock *s, int kind)
{
    static const char *const methods[] = {"cam", "attention", "gradcam", "pca"};
    mv_map *m = &s->map[s->n];
    *m = kind == 0 ? drawing_signed_map(7, 7, s->n) : drawing_even_map(kind == 3 ? 21 : 7, 7, s->n);
    if (kind == 3) {
        m->h = 7;
        m->channels = 3;
        for (int i = 0; i < 147; i++)
            m->v[i] = fminf(m->v[i], 1);
    }
    if (kind != 1)
        snprintf(m->unit, sizeof m->unit, "%s", kind == 0 ? "logit per cell" : kind == 2 ? "share" : "");
    else
        snprintf(m->unit, sizeof m->unit, "\xc3\x97 even");
    m->method = methods[kind];
    m->level = m->block = m->head = m->class_ = m->against = MV_MAP_NONE;
    s->item[s->n] = (mv_sheet_item){.map = m};
    s->n++;
    return m;
}

static mv_status sheet(drawing_buffer *b, mv_canvas_kind kind, const mv_sheet_content *c, const mv_page_style *style,
                       mv_fonts *fonts, mv_error *e)
{
    static const char *const items[] = {"mvscope explain parachute.jpg", "model nano 3f9c1e"};
    mv_heading heading = {"What speaks for it", "parachute.jpg", {items, 2}};
    mv_canvas_target to = {.kind = kind, .write = drawing_keep, .ctx = b};
    b->size = 0;
    return mv_page_write(&mv_page_sheet, &heading, c, style, fonts, &to, e);
}

/* 3 pictures x cam, gradcam, attention, pca. */
static mv_sheet_content comparison(stock *s)
{
    static const char *const names[] = {"parachute.jpg", "church.jpg", "a golf ball whose name is long.jpg"};
    static const int kinds[] = {0, 2, 1, 3};
    for (int row = 0; row < 3; row++)
        for (int k = 0; k < 4; k++) {
            mv_map *m = add(s, kinds[k]);
            m->class_ = 5;
            if (k == 0)
                snprintf(m->proof, sizeof m->proof, "mean of 49 cells  +4.371  =  its logit  +4.371");
            s->item[s->n - 1] = (mv_sheet_item){m, &s->picture[row], names[row]};
        }
    return (mv_sheet_content){
        .items = s->item, .item_count = s->n, .columns = 4, .table = true, .scale = MV_SHEET_SCALE_GROUP};
}

/* `blocks` blocks of 2 heads in level 2, half as many with 4 heads in level 3. */
static mv_sheet_content blocks(stock *s, int count)
{
    for (int b = 0; b < count + count / 2; b++)
        for (int h = 0; h < (b < count ? 2 : 4); h++) {
            mv_map *m = add(s, 1);
            m->level = b < count ? 2 : 3;
            m->block = b < count ? b : b - count;
            m->head = h;
            m->cell = b < count ? 16 : 32;
            mv_map_figure(m, "entropy", "entropy", "of 1", 2, 0.5);
        }
    return (mv_sheet_content){.picture = &s->picture[0],
                              .items = s->item,
                              .item_count = s->n,
                              .sections = MV_SHEET_BY_LEVEL,
                              .scale = MV_SHEET_SCALE_GROUP};
}

static void sheets_look_as_their_references(void **state)
{
    drawing_buffer b = {.left = -1};
    mv_page_style style = {.zoom = 0.5};
    stock *s = new_stock(40, 30);
    mv_sheet_content c = blocks(s, 6);
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, &style, *state, NULL), MV_OK);
    drawing_compare("sheet", &b);
    free_stock(s);
    s = new_stock(40, 30);
    c = comparison(s);
    s->map[5].v[3] = NAN;
    s->item[2].map = NULL;
    style.theme = MV_DARK;
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, &style, *state, NULL), MV_OK);
    drawing_compare("sheet-table", &b);
    free_stock(s);
    free(b.bytes);
}

/* --- layout ------------------------------------------------------------------------------------- */

static int count(const drawing_buffer *b, const char *what)
{
    int n = 0;
    for (const char *p = b->bytes; (p = strstr(p, what)); p++)
        n++;
    return n;
}

/* Draws, and fails where boxes overlap, text leaves the page or is cut, or a picture is missing. */
static void check(drawing_layout *l, const mv_sheet_content *c, const mv_page_style *style, mv_fonts *fonts, int images)
{
    drawing_buffer b = {.left = -1};
    mv_error e = {0};
    if (sheet(&b, MV_CANVAS_SVG, c, style, fonts, &e) != MV_OK)
        fail_msg("%s", e.text);
    drawing_check_layout(l, &b);
    const char *cut = strstr(b.bytes, "\xe2\x80\xa6");
    if (cut)
        fail_msg("text is cut: %.60s in a page of %g px", cut - 50, l->w);
    if (images)
        assert_int_equal(l->images, images);
    free(b.bytes);
}

static void galleries_hold_for_any_number_and_shape(void **state)
{
    static const int counts[] = {1, 2, 3, 5, 7, 12, 13, 41, 96, 200}, columns[] = {0, 0, 1, 12, 0, 5},
                     widths[] = {0, 640, 900, 3000};
    static const int sizes[][2] = {{24, 24}, {48, 20}, {16, 40}, {300, 10}};
    static const char *const titles[] = {
        "For a", "For Arabian camel, dromedary, Camelus dromedarius, and more names of one animal",
        "aVeryLongNameWithoutAnySpaceAtAllThatCannotBeBrokenBetweenWordsBecauseThereIsButOne"};
    drawing_layout *l = malloc(sizeof *l);
    assert_non_null(l);
    for (int i = 0; i < 40; i++) {
        int n = counts[i % 10];
        stock *s = new_stock(sizes[i % 4][0], sizes[i % 4][1]);
        for (int k = 0; k < n; k++) {
            mv_map *m = add(s, i % 3);
            m->class_ = k;
            snprintf(m->title, sizeof m->title, "%s", titles[(i / 2 + k) % 3]);
            if (k % 2)
                snprintf(m->proof, sizeof m->proof, "mean of 49 cells  +4.371  =  its logit  +4.371");
            if (k % 5 == 1)
                m->v[4] = NAN;
            if (i % 7 == 1)
                s->item[k] = (mv_sheet_item){m, &s->picture[k % 3], "a picture with a name.jpg"};
        }
        bool several = i % 7 == 1 && n > 1, own = i % 2;
        int width = widths[(i / 3) % 4];
        mv_page_style style = {.width = n > 41 && width < 1600 ? 0 : width, .theme = (mv_theme_kind)(i % 2)};
        mv_sheet_content c = {.picture = &s->picture[0],
                              .items = s->item,
                              .item_count = n,
                              .columns = n > 5 && columns[i % 6] < 12 ? 0 : columns[i % 6],
                              .scale = own ? MV_SHEET_SCALE_OWN : MV_SHEET_SCALE_ALL,
                              .cells = i % 5 == 0};
        check(l, &c, &style, *state, n + !several + (own ? n : 1));
        free_stock(s);
    }
    mv_page_style wide = {.width = 8000};
    stock *s = new_stock(40, 30);
    mv_sheet_content c = blocks(s, 4);
    check(l, &c, &wide, *state, s->n + 1 + 2);
    free_stock(s);
    free(l);
}

static void sections_hold_for_any_blocks(void **state)
{
    static const int counts[] = {2, 3, 10, 20}, widths[] = {0, 640, 1000};
    drawing_layout *l = malloc(sizeof *l);
    assert_non_null(l);
    for (int i = 0; i < 4; i++)
        for (int by = MV_SHEET_BY_LEVEL; by <= MV_SHEET_BY_METHOD; by++)
            for (int scale = MV_SHEET_SCALE_ALL; scale <= MV_SHEET_SCALE_OWN; scale++) {
                stock *s = new_stock(40, 30);
                mv_sheet_content c = blocks(s, counts[i]);
                mv_page_style style = {.width = widths[(i + by + scale) % 3]};
                c.sections = (mv_sheet_sections)by;
                c.scale = (mv_sheet_scale)scale;
                c.columns = i == 1 ? 3 : 0;
                int sections = by == MV_SHEET_BY_LEVEL ? 2 : by == MV_SHEET_BY_METHOD ? 1 : counts[i] + counts[i] / 2;
                int bars = scale == MV_SHEET_SCALE_ALL ? 1 : scale == MV_SHEET_SCALE_GROUP ? sections : s->n;
                check(l, &c, &style, *state, s->n + 1 + bars);
                free_stock(s);
            }
    free(l);
}

static void tables_hold_for_any_width(void **state)
{
    static const int widths[] = {0, 640, 820, 3000};
    drawing_layout *l = malloc(sizeof *l);
    assert_non_null(l);
    for (int i = 0; i < 4; i++)
        for (int scale = MV_SHEET_SCALE_GROUP; scale <= MV_SHEET_SCALE_OWN; scale++) {
            stock *s = new_stock(40, 16 + 20 * i);
            mv_sheet_content c = comparison(s);
            mv_page_style style = {.width = widths[i]};
            c.scale = (mv_sheet_scale)scale;
            check(l, &c, &style, *state, 0);
            free_stock(s);
        }
    for (int columns = 1; columns <= 12; columns++) {
        stock *s = new_stock(40, 30);
        for (int k = 0; k < 2 * columns; k++) {
            mv_map *m = add(s, 0);
            m->class_ = k % columns;
            snprintf(m->title, sizeof m->title, "For class %d of many", k % columns);
        }
        mv_page_style style = {.width = columns % 2 ? 640 : 0};
        mv_sheet_content c = {
            .picture = &s->picture[0], .items = s->item, .item_count = s->n, .columns = columns, .table = true};
        check(l, &c, &style, *state, 0);
        free_stock(s);
    }
    free(l);
}

/* --- words -------------------------------------------------------------------------------------- */

static void expect(const drawing_buffer *b, const char *words, int times)
{
    char element[200];
    snprintf(element, sizeof element, ">%s</text>", words);
    if (count(b, element) != times)
        fail_msg("\"%s\" is on the page %d times, expected %d", words, count(b, element), times);
}

static void labels_say_what_differs(void **state)
{
    drawing_buffer b = {.left = -1};
    stock *s = new_stock(40, 30);
    mv_sheet_content c = blocks(s, 2);
    s->map[0].v[0] = NAN;
    assert_int_equal(sheet(&b, MV_CANVAS_SVG, &c, NULL, *state, NULL), MV_OK);
    expect(&b, "Picture", 1);
    expect(&b, "Level 2", 1);
    expect(&b, "Level 3", 1);
    expect(&b, "Block 1, head 0", 1);
    expect(&b, "Head 3", 1); /* level 3 has one block */
    expect(&b, "7 \xc3\x97 7 cells of 16 px", 1);
    expect(&b, "\xc3\x97 even", 2);
    expect(&b, "1×", 2);
    expect(&b, "entropy  0.50 of 1", s->n);
    expect(&b, "1 cell is not finite: hatched", 1);
    c.sections = MV_SHEET_BY_BLOCK;
    assert_int_equal(sheet(&b, MV_CANVAS_SVG, &c, NULL, *state, NULL), MV_OK);
    expect(&b, "Level 2, block 1", 1);
    expect(&b, "Head 0", 3);
    c.sections = MV_SHEET_PLAIN;
    c.scale = MV_SHEET_SCALE_ALL;
    assert_int_equal(sheet(&b, MV_CANVAS_SVG, &c, NULL, *state, NULL), MV_OK);
    expect(&b, "Level 3, block 0, head 3", 1);
    expect(&b, "\xc3\x97 even", 1);
    free_stock(s);

    s = new_stock(40, 30);
    c = comparison(s);
    assert_int_equal(sheet(&b, MV_CANVAS_SVG, &c, NULL, *state, NULL), MV_OK);
    expect(&b, "gradcam", 1);
    expect(&b, "church.jpg", 1);
    expect(&b, "logit per cell", 1);
    expect(&b, "share", 1);
    expect(&b, "mean of 49 cells  +4.371  =  its logit  +4.371", 3);
    free_stock(s);
    free(b.bytes);
}

/* The range under a bar is that of the maps, not of the colours. */
static void ranges_are_true(void **state)
{
    drawing_buffer b = {.left = -1};
    stock *s = new_stock(40, 30);
    for (int i = 0; i < 2; i++)
        for (int k = 0, n = 49 * (add(s, 0) != NULL); k < n; k++)
            s->map[i].v[k] = (float)(k == 0 ? -1 - i : k == 1 ? 5 + 2 * i : 0);
    mv_sheet_content c = {.picture = &s->picture[0], .items = s->item, .item_count = 2};
    assert_int_equal(sheet(&b, MV_CANVAS_SVG, &c, NULL, *state, NULL), MV_OK);
    expect(&b,
           "\xe2\x88\x92"
           "2.0 to +7.0",
           2); /* of the bar, and of the second map */
    expect(&b,
           "\xe2\x88\x92"
           "1.0 to +5.0",
           1);
    free_stock(s);
    free(b.bytes);
}

/* --- what is refused ---------------------------------------------------------------------------- */

static void misuse_is_refused(void **state)
{
    drawing_buffer b = {.left = -1};
    mv_error e = {0};
    stock *s = new_stock(40, 30);
    mv_sheet_content c = comparison(s);
    c.scale = MV_SHEET_SCALE_ALL; /* logits and shares */
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, &e), MV_EINPUT);
    assert_non_null(strstr(e.text, "logit per cell"));
    c = (mv_sheet_content){.picture = &s->picture[0], .items = s->item, .item_count = 3};
    c.scale = MV_SHEET_SCALE_GROUP; /* a gallery without sections is one group */
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, NULL), MV_EINPUT);
    c.scale = MV_SHEET_SCALE_OWN;
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, NULL), MV_OK);
    c.item_count = 0;
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, NULL), MV_EINPUT);
    c.item_count = 3;
    c.columns = 13;
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, NULL), MV_EINPUT);
    c.table = true;
    c.columns = 0;
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, NULL), MV_EINPUT);
    c.columns = 2;
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, NULL), MV_EMISUSE);
    c.table = false;
    s->map[1].channels = 2;
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, NULL), MV_EMISUSE);
    s->map[1].channels = 1;
    s->item[1].map = NULL;
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, NULL), MV_EMISUSE);
    s->item[1].map = &s->map[1];
    s->item[1].picture = c.picture = NULL;
    assert_int_equal(sheet(&b, MV_CANVAS_PNG, &c, NULL, *state, NULL), MV_EMISUSE);
    free_stock(s);
    free(b.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sheets_look_as_their_references),
        cmocka_unit_test(galleries_hold_for_any_number_and_shape),
        cmocka_unit_test(sections_hold_for_any_blocks),
        cmocka_unit_test(tables_hold_for_any_width),
        cmocka_unit_test(labels_say_what_differs),
        cmocka_unit_test(ranges_are_true),
        cmocka_unit_test(misuse_is_refused),
    };
    return cmocka_run_group_tests(tests, drawing_open_fonts, drawing_close_fonts);
}
