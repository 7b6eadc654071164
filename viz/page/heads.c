/* Every head as a thumbnail, a section for every level, whose heads share one scale.
 *
 *     Level 2   14 x 14 cells of 16 px, 4 heads a block                       colour bar
 *     Block 3                 entropy      Block 4                 entropy
 *     [0] [1] [2] [3]                      [0] [1] [2] [3]
 *
 * A line holds 8 thumbnails, 16 where there are very many. A block takes the smallest slot of 2, 4, 8
 * or 16 that holds its heads, and several lines of it if it has more; slots stand side by side.
 */
#include <math.h>

#include "viz/page/page.h"

/* No bar ends below this: what is even everywhere shall not glow. */
#define LEAST_RANGE 2.0

enum { FOUR_GAP = 36, THUMB_GAP = 10, BAR = 260, MOST_BLOCKS = 64, MOST_HEADS = 64, MOST_LEVELS = 8, MANY = 96 };

static mv_status check(const mv_heads_page *page, mv_error *e)
{
    mv_status s = mv_page_check_picture(page->picture, "the picture", e);
    if (s == MV_OK)
        s = mv_page_check_count(page->level_count, 1, MOST_LEVELS, "levels", e);
    for (int l = 0; s == MV_OK && l < page->level_count; l++) {
        const mv_heads_level *level = &page->levels[l];
        s = mv_page_check_count(level->block_count, 1, MOST_BLOCKS, "blocks in a level", e);
        for (int b = 0; s == MV_OK && b < level->block_count; b++) {
            s = mv_page_check_count(level->blocks[b].head_count, 1, MOST_HEADS, "heads in a block", e);
            for (int h = 0; s == MV_OK && h < level->blocks[b].head_count; h++)
                s = mv_page_check_map(&level->blocks[b].heads[h], "a head's map", e);
        }
    }
    return s;
}

static int most_heads(const mv_heads_level *level)
{
    int most = 0;
    for (int b = 0; b < level->block_count; b++)
        most = level->blocks[b].head_count > most ? level->blocks[b].head_count : most;
    return most;
}

/* Thumbnails in a line of the page. */
static int line_length(const mv_heads_page *page)
{
    int heads = 0;
    for (int l = 0; l < page->level_count; l++)
        heads += page->levels[l].block_count * most_heads(&page->levels[l]);
    return heads > MANY ? 16 : 8;
}

static mv_panel *thumbnail(mv_page *p, const mv_heads_page *page, const mv_heads_block *block, int head,
                           const mv_colouring *k)
{
    mv_layout *s = p->sheet;
    mv_panel *column = mv_panel_column(s);
    const char *name = block->names ? block->names[head] : mv_layout_text(s, "%d", head);
    mv_panel_add(column, mv_panel_overlay(s, &block->heads[head], page->picture, k));
    mv_panel_add(column, mv_panel_space(s, 4));
    mv_panel_add(column, mv_panel_label(s, MV_TYPE_SMALL, MV_SECOND, name, 1));
    return column;
}

/* `count` thumbnails from `first` on, in a slot of `places`: in fours, so that edges align through the page. */
static mv_panel *thumbnails(mv_page *p, const mv_heads_page *page, const mv_heads_block *block, int first, int count,
                            int places, const mv_colouring *k)
{
    mv_layout *s = p->sheet;
    mv_panel *fours = mv_panel_row(s, FOUR_GAP, MV_TOP), *four = NULL;
    for (int i = 0; i < places; i++) {
        if (i % 4 == 0)
            four = mv_panel_add(fours, mv_panel_row(s, THUMB_GAP, MV_TOP));
        mv_panel_add(four, i < count ? thumbnail(p, page, block, first + i, k) : mv_panel_space(s, 0));
    }
    return fours;
}

static mv_panel *block_panel(mv_page *p, const mv_heads_page *page, const mv_heads_block *block, int places,
                             const mv_colouring *k)
{
    mv_layout *s = p->sheet;
    mv_panel *column = mv_panel_column(s), *heading = mv_panel_add(column, mv_panel_row(s, 12, MV_BASELINE));
    mv_panel_add(heading, mv_panel_label(s, MV_TYPE_PANEL, MV_INK, block->title, 1));
    if (block->note && *block->note)
        mv_panel_add(heading, mv_panel_wide(mv_panel_label_right(s, MV_TYPE_SMALL, MV_THIRD, block->note), MV_NATURAL));
    mv_panel_add(column, mv_panel_space(s, 4));
    int lines = (block->head_count + places - 1) / places, per_line = (block->head_count + lines - 1) / lines;
    for (int from = 0; from < block->head_count; from += per_line) {
        int left = block->head_count - from;
        mv_panel_add(column, mv_panel_space(s, from ? 8 : 0));
        mv_panel_add(column, thumbnails(p, page, block, from, left < per_line ? left : per_line, places, k));
    }
    return column;
}

static mv_panel *level_panel(mv_page *p, const mv_heads_page *page, const mv_heads_level *level, int line)
{
    mv_layout *s = p->sheet;
    double lo, hi, highest = LEAST_RANGE;
    int odd = 0;
    for (int b = 0; b < level->block_count; b++)
        for (int h = 0; h < level->blocks[b].head_count; h++) {
            odd += mv_finite_range(&level->blocks[b].heads[h], &lo, &hi);
            highest = fmax(highest, hi);
        }
    mv_colouring k = mv_page_colouring(p, MV_SCALE_SQRT, 0, highest, false, level->window);

    mv_panel *column = mv_panel_column(s);
    mv_panel_add(column, mv_panel_hairline(s));
    mv_panel_add(column, mv_panel_space(s, 12));
    mv_panel *heading = mv_panel_add(column, mv_panel_row(s, 32, MV_TOP)),
             *words = mv_panel_add(heading, mv_panel_row(s, 20, MV_BASELINE));
    mv_panel_add(words, mv_panel_wide(mv_panel_label(s, MV_TYPE_SECTION, MV_INK, level->title, 1), MV_NATURAL));
    mv_panel *notes = mv_panel_add(words, mv_panel_column(s));
    mv_panel_add(notes, mv_panel_label(s, MV_TYPE_TEXT, MV_SECOND, level->note, 2));
    if (odd)
        mv_panel_add(notes, mv_panel_label(s, MV_TYPE_TEXT, MV_WARNING, mv_page_odd_text(p, odd), 1));
    mv_panel_add(heading, mv_panel_wide(mv_panel_colour_bar(s, &k, true, false), BAR));

    int places = 2, most = most_heads(level);
    while (places < most && places < line)
        places *= 2;
    for (int from = 0; from < level->block_count; from += line / places) {
        mv_panel *row = mv_panel_row(s, FOUR_GAP, MV_TOP);
        for (int b = from; b < from + line / places; b++)
            mv_panel_add(row, b < level->block_count ? block_panel(p, page, &level->blocks[b], places, &k)
                                                     : mv_panel_space(s, 0));
        mv_panel_add(column, mv_panel_space(s, from ? 16 : 4));
        mv_panel_add(column, row);
    }
    return column;
}

static mv_panel *body(mv_page *p, const mv_heads_page *page)
{
    mv_panel *column = mv_panel_column(p->sheet);
    int line = line_length(page);
    for (int l = 0; l < page->level_count; l++) {
        if (l > 0)
            mv_panel_add(column, mv_panel_space(p->sheet, 32));
        mv_panel_add(column, level_panel(p, page, &page->levels[l], line));
    }
    return column;
}

mv_status mv_page_heads(const mv_heads_page *page, const mv_page_style *style, mv_fonts *fonts,
                        const mv_canvas_target *to, mv_error *e)
{
    mv_page p;
    mv_status s = check(page, e);
    if (s == MV_OK)
        s = mv_page_open(&p, style, 1600, fonts, e);
    if (s != MV_OK)
        return s;
    return mv_page_close(&p, page->title, page->subtitle, body(&p, page), &page->recipe, to, e);
}
