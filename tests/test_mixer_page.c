/* The page of the mixers and the film of their scans: what a scan has passed is what is painted, the complete film is
 * the map, and the page holds for any number of blocks, windows, widths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/drawing.h"
#include "tests/reference_png.h"
#include "viz/draw/raster.h"
#include "viz/page/film.h"
#include "viz/page/mixer.h"

enum { BLOCKS = 20, KINDS = 9 };

static mv_colouring viridis(const mv_map *m)
{
    return (mv_colouring){.table = mv_colour_table_lookup("viridis", NULL),
                          .scale = mv_scale_of(MV_SCALE_LINEAR, (double)m->lo, (double)m->hi, false),
                          .window = m->down * m->across > 1 ? m->window : 0};
}

/* h x w cells in windows of `window`, with padding where they do not fit. */
static mv_map state_map(int h, int w, int window, int seed)
{
    mv_map m = drawing_even_map(h, w, seed);
    m.level = 2, m.block = 0, m.cell = 16, m.window = window;
    m.down = (h + window - 1) / window, m.across = (w + window - 1) / window;
    m.padding = 1 - (double)(h * w) / (m.down * m.across * window * window);
    snprintf(m.unit, sizeof m.unit, "|h|");
    mv_map_range(&m);
    return m;
}

/* --- raster ------------------------------------------------------------------------------------ */

static void a_scan_paints_what_it_has_passed(void **state)
{
    (void)state;
    enum { CELL = 12, H = 9, W = 11, WINDOW = 4 };
    mv_map m = state_map(H, W, WINDOW, 3);
    mv_colouring k = viridis(&m);
    k.window = 0; /* without lines, every pixel of a cell has its colour */
    mv_image whole = {W * CELL, H * CELL, malloc(3 * H * W * CELL * CELL)},
             part = {W * CELL, H * CELL, malloc(3 * H * W * CELL * CELL)};
    assert_int_equal(mv_raster_cells(&whole, &m, &k, NULL), MV_OK);
    for (int scanned = 0; scanned <= WINDOW * WINDOW; scanned++) {
        memset(part.rgb, 77, 3 * H * W * CELL * CELL);
        assert_int_equal(mv_raster_scan(&part, &m, &k, scanned, NULL), MV_OK);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                size_t middle = 3 * (size_t)((y * CELL + CELL / 2) * W * CELL + x * CELL + CELL / 2);
                bool passed = y % WINDOW * WINDOW + x % WINDOW < scanned;
                for (size_t i = 0; i < 3; i++)
                    assert_int_equal(part.rgb[middle + i], passed ? whole.rgb[middle + i] : 77);
            }
        if (scanned == 0)
            for (int i = 0; i < 3 * H * W * CELL * CELL; i++)
                assert_int_equal(part.rgb[i], 77);
    }
    assert_memory_equal(part.rgb, whole.rgb, 3 * H * W * CELL * CELL);
    free(part.rgb);
    free(whole.rgb);
    mv_map_free(&m);
}

/* --- the film ---------------------------------------------------------------------------------- */

static void keep_file(const char *path, const drawing_buffer *b)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->bytes, 1, b->size, f), b->size);
    fclose(f);
}

/* What every viewer shows of a film is the complete map, as it is drawn as cells. */
static void a_film_begins_with_the_map(void **state)
{
    mv_image picture = drawing_scene(224, 224);
    mv_map m = state_map(14, 14, 14, 5);
    mv_film_scan scan = {"Level 2, block 0", "|h|", &m};
    mv_film_content content = {&picture, &scan, 1};
    mv_heading heading = {.title = "A scan"};
    drawing_buffer b = {.left = -1}, again = {.left = -1};
    mv_canvas_target to = {.write = drawing_keep, .ctx = &b};
    mv_error e = {0};
    assert_int_equal(mv_film_steps(&content), 98); /* every second of 196 tokens */
    if (mv_film_write(MV_ANIMATION_PNG, &heading, &content, NULL, *state, &to, &e))
        fail_msg("%s", e.text);
    to.ctx = &again;
    assert_int_equal(mv_film_write(MV_ANIMATION_PNG, &heading, &content, NULL, *state, &to, &e), MV_OK);
    assert_int_equal(b.size, again.size);
    assert_memory_equal(b.bytes, again.bytes, b.size);

    char path[] = "/tmp/mv-film-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    keep_file(path, &b);
    mv_image shown = reference_png(path);
    enum { MARGIN = 24, SIDE = 640 - 2 * MARGIN };
    mv_image map = {SIDE, SIDE, malloc(3 * SIDE * SIDE)};
    mv_colouring k = viridis(&m);
    assert_int_equal(mv_raster_cells(&map, &m, &k, NULL), MV_OK);
    bool found = false;
    for (int top = 0; top + SIDE <= shown.h && !found; top++) {
        found = true;
        for (int y = 0; y < SIDE && found; y++)
            found = memcmp(shown.rgb + 3 * (size_t)((top + y) * shown.w + MARGIN), map.rgb + 3 * (size_t)(y * SIDE),
                           3 * SIDE) == 0;
    }
    assert_true(found);
    remove(path);
    mv_image_free(&shown);
    free(map.rgb);
    free(b.bytes);
    free(again.bytes);
    free(picture.rgb);
    mv_map_free(&m);
}

/* --- the page ---------------------------------------------------------------------------------- */

typedef struct {
    mv_image picture;
    mv_map map[BLOCKS][KINDS], matrix[BLOCKS];
    mv_mixer_row row[BLOCKS];
    mv_mixer_column column[KINDS];
    double value[BLOCKS * 4];
    char name[BLOCKS][24];
    const char *names[BLOCKS];
    mv_mixer_grid grid;
} stock;

static const char *const columns[] = {"step size", "|B|", "|C|", "write"};

static stock *new_stock(int w, int h, int cells_h, int cells_w, int window)
{
    static const char *const titles[KINDS] = {"step size",    "|B|",       "|C|",       "write",
                                              "state norm",   "|y| / |z|", "half-life", "hidden attention",
                                              "contributions"};
    stock *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->picture = drawing_scene(w, h);
    for (int k = 0; k < KINDS; k++)
        s->column[k] = (mv_mixer_column){titles[k], "what a token does to the state, in a sentence that wraps", "unit",
                                         k == 5   ? MV_MIXER_LOG2
                                         : k == 7 ? MV_MIXER_EVEN
                                         : k == 8 ? MV_MIXER_SIGNED
                                                  : MV_MIXER_CELLS};
    for (int b = 0; b < BLOCKS; b++) {
        int level = b < BLOCKS - 4 ? 2 : 3, down = level == 2 ? 1 : 2;
        s->row[b] = (mv_mixer_row){.level = level,
                                   .block = b % 16,
                                   .note = "half-life 14 tokens\n|y| / |z| 2.4\non padding: 23 % of tokens",
                                   .scan_share = 0.05 * b};
        for (int k = 0; k < KINDS; k++) {
            s->map[b][k] = state_map((cells_h + down - 1) / down, (cells_w + down - 1) / down, window / down, b + k);
            s->row[b].map[k] = &s->map[b][k];
        }
        s->matrix[b] = drawing_even_map(36, 36, b);
        s->row[b].matrix[0] = &s->matrix[b];
        s->row[b].state = &s->map[b][4];
        snprintf(s->name[b], sizeof s->name[b], "level %d, block %d", level, b % 16);
        s->names[b] = s->name[b];
        for (int i = 0; i < 4; i++)
            s->value[4 * b + i] = cos(b + i);
    }
    s->grid = (mv_mixer_grid){"Mirrored: correlation", s->names, columns, BLOCKS, 4, s->value, true};
    return s;
}

static void free_stock(stock *s)
{
    for (int b = 0; b < BLOCKS; b++) {
        for (int k = 0; k < KINDS; k++)
            mv_map_free(&s->map[b][k]);
        mv_map_free(&s->matrix[b]);
    }
    free(s->picture.rgb);
    free(s);
}

static mv_mixer_content content_of(const stock *s, int first, int blocks, bool all)
{
    return (mv_mixer_content){.picture = &s->picture,
                              .columns = s->column,
                              .column_count = all ? KINDS : 4,
                              .rows = s->row + first,
                              .row_count = blocks,
                              .film = all ? 8 : 0,
                              .matrix_title = {"Hidden attention, token by token"},
                              .grids_title = "What depends on the order of the scan",
                              .grids = &s->grid,
                              .grid_count = all ? 1 : 0};
}

static mv_status draw(drawing_buffer *b, mv_canvas_kind kind, const mv_mixer_content *c, const mv_page_style *style,
                      mv_fonts *fonts, mv_error *e)
{
    static const char *const items[] = {"mvscope mixer parachute.jpg", "model nano 3f9c1e"};
    mv_heading heading = {"Level 2, block 3 remembers longest", "parachute.jpg", {items, 2}};
    mv_canvas_target to = {.kind = kind, .write = drawing_keep, .ctx = b};
    b->size = 0;
    return mv_page_write(&mv_page_mixer, &heading, c, style, fonts, &to, e);
}

/* Nothing overlaps, nothing leaves the margins, no text is cut. */
static void check_page(const mv_mixer_content *c, int width, mv_fonts *fonts)
{
    static drawing_layout l;
    drawing_buffer b = {.left = -1};
    mv_error e = {0};
    mv_page_style style = {.width = width};
    if (draw(&b, MV_CANVAS_SVG, c, &style, fonts, &e))
        fail_msg("%s", e.text);
    drawing_check_layout(&l, &b);
    const char *cut = strstr(b.bytes, "\xe2\x80\xa6");
    if (cut)
        fail_msg("text is cut: %.60s in a page of %g px", cut - 50, l.w);
    free(b.bytes);
}

static void the_page_holds_for_any_number_and_shape(void **state)
{
    static const int widths[] = {3000, 640, 1600, 1000}, blocks[] = {1, 2, 7, 20};
    static const int shape[][5] = {{60, 60, 14, 14, 14}, {200, 60, 5, 17, 6}, {60, 160, 23, 9, 4}};
    for (int k = 0; k < 3; k++) {
        stock *s = new_stock(shape[k][0], shape[k][1], shape[k][2], shape[k][3], shape[k][4]);
        for (int i = 0; i < 4; i++) {
            mv_mixer_content c = content_of(s, blocks[i] == 20 ? 0 : 18 - blocks[i], blocks[i],
                                            blocks[i] == 20 ? k == 1 : k == 0 || i == 2);
            check_page(&c, widths[blocks[i] == 20 ? k + 1 : (i + k) % 4], *state);
        }
        free_stock(s);
    }
}

/* A map that lacks a value, a value that is not finite, and a page without any row. */
static void odd_values_and_wrong_counts(void **state)
{
    stock *s = new_stock(60, 60, 7, 7, 7);
    drawing_buffer b = {.left = -1};
    mv_error e = {0};
    mv_mixer_content c = content_of(s, 15, 3, true), none = c, film = c;
    s->map[15][0].v[3] = NAN;
    s->row[16].map[2] = NULL;
    s->row[16].state = NULL;
    s->row[16].scan_share = (double)NAN;
    check_page(&c, 900, *state);
    none.row_count = 0;
    assert_int_equal(draw(&b, MV_CANVAS_PNG, &none, NULL, *state, &e), MV_EINPUT);
    film.film = 65;
    assert_int_equal(draw(&b, MV_CANVAS_PNG, &film, NULL, *state, &e), MV_EINPUT);
    free(b.bytes);
    free_stock(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scan_paints_what_it_has_passed),
        cmocka_unit_test(a_film_begins_with_the_map),
        cmocka_unit_test(the_page_holds_for_any_number_and_shape),
        cmocka_unit_test(odd_values_and_wrong_counts),
    };
    return cmocka_run_group_tests(tests, drawing_open_fonts, drawing_close_fonts);
}
