/* The picture once, then a section for each level:
 *
 *     Level 2   14 x 14 cells of 16 px, 4 heads a block                       colour bar
 *     Block 3          entropy      Block 4          entropy      Block 5          entropy
 *     [0] [1] [2] [3]               [0] [1] [2] [3]               [0] [1] [2] [3]
 *
 * How many blocks stand side by side, and in how many lines their heads, is what leaves little room empty at a good
 * size. A thumbnail too small for a picture shows the cells alone.
 */
#include "viz/page/heads.h"

#include <math.h>

#include "viz/page/page_impl.h"

enum {
    BLOCK_GAP = 32,
    THUMB_GAP = 8,
    BAR = 260,          /* px of a bar beside a heading */
    ROOM_FOR_BAR = 700, /* px of a page that has it there */
    PICTURE = 200,      /* px of the picture at the head */
    LEAST_OVERLAY = 96, /* px of a thumbnail that shows the picture under its map */
    LEAST_THUMB = 36,
    LEAST_BLOCK = 120, /* px that the heading of a block needs */
    MOST_MAPS = 4096,
    MOST_LEVELS = 8,
    MOST_BLOCKS = 64,
    MOST_HEADS = 64,
    MANY = 96 /* heads: more are drawn small */
};

/* px that a thumbnail should have, where there are few and where there are many, and how much an empty place costs
 * against a size that is twice or half of it. */
#define GOOD_THUMB  116.0
#define SMALL_THUMB 64.0
#define WASTE_COST  3.0

/* Maps of one level or one block: neighbours in the list. */
typedef struct {
    const mv_map *map;
    int n;
} group;

static bool same_level(const mv_map *a, const mv_map *b)
{
    return a->level == b->level;
}

static bool same_block(const mv_map *a, const mv_map *b)
{
    return a->level == b->level && a->block == b->block;
}

/* Moves to the next group within `of`; false after the last. Start with {0}. */
static bool next_group(group *g, group of, bool (*same)(const mv_map *, const mv_map *))
{
    const mv_map *end = of.map + of.n;
    g->map = g->map ? g->map + g->n : of.map;
    for (g->n = 0; g->map + g->n < end && same(g->map, g->map + g->n); g->n++)
        ;
    return g->n > 0;
}

/* How many blocks the maps of a level belong to, and the heads of the one that has the most. */
static int count_blocks(group level, int *most)
{
    group block = {0};
    int n = 0;
    for (*most = 0; next_group(&block, level, same_block); n++)
        *most = block.n > *most ? block.n : *most;
    return n;
}

static mv_status check(const void *content, mv_error *e)
{
    const mv_heads_content *c = content;
    mv_status s = mv_page_check_picture(c->picture, "the picture", e);
    if (s == MV_OK)
        s = mv_page_check_count(c->map_count, 1, MOST_MAPS, "heads", e);
    for (int i = 0; s == MV_OK && i < c->map_count; i++)
        s = mv_page_check_map(&c->maps[i], "a head's map", e);
    int levels = 0;
    for (group level = {0}; s == MV_OK && next_group(&level, (group){c->maps, c->map_count}, same_level); levels++) {
        int heads, blocks = count_blocks(level, &heads);
        s = mv_page_check_count(blocks, 1, MOST_BLOCKS, "blocks in a level", e);
        if (s == MV_OK)
            s = mv_page_check_count(heads, 1, MOST_HEADS, "heads in a block", e);
    }
    return s == MV_OK ? mv_page_check_count(levels, 1, MOST_LEVELS, "levels", e) : s;
}

/* How a level is divided: blocks side by side, thumbnails in a line of a block. */
typedef struct {
    int blocks, places;
    double block, thumb; /* px */
    bool cells;          /* thumbnails show cells */
} division;

static division divided(const mv_page *p, int blocks, int places)
{
    double block = (p->inner - (blocks - 1) * BLOCK_GAP) / blocks, thumb = (block - (places - 1) * THUMB_GAP) / places;
    return (division){blocks, places, block, thumb, thumb < LEAST_OVERLAY};
}

static double cost_of(const division *v, int blocks, int heads, double good)
{
    int lines = (blocks + v->blocks - 1) / v->blocks, of_block = (heads + v->places - 1) / v->places;
    double empty = 1 - (double)blocks * heads / ((double)lines * v->blocks * of_block * v->places);
    double cost = fabs(log2(v->thumb / good)) + WASTE_COST * empty;
    return v->thumb < LEAST_THUMB || v->block < LEAST_BLOCK ? cost + 100 : cost;
}

static division divide(const mv_page *p, group level, double good)
{
    int heads, blocks = count_blocks(level, &heads);
    division best = {0};
    for (int lines = 1; lines <= heads; lines++) {
        int places = (heads + lines - 1) / lines;
        for (int k = 1; k <= blocks; k++) {
            division v = divided(p, k, places);
            if (!best.blocks || cost_of(&v, blocks, heads, good) < cost_of(&best, blocks, heads, good))
                best = v;
        }
    }
    return best;
}

static mv_panel *thumbnail(mv_page *p, const mv_heads_content *c, const mv_map *map, int number, const mv_colouring *k,
                           bool cells)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, cells ? mv_panel_cells(l, map, c->picture, k) : mv_panel_overlay(l, map, c->picture, k));
    mv_panel_add(column, mv_panel_space(l, 4));
    const char *name = map->head == MV_MAP_MEAN ? "mean" : mv_layout_text(l, "%d", map->head >= 0 ? map->head : number);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, name, 1));
    return column;
}

/* The thumbnails of a block, in lines. */
static void add_thumbnails(mv_page *p, const mv_heads_content *c, mv_panel *column, group block, const division *v,
                           const mv_colouring *k)
{
    mv_layout *l = p->layout;
    for (int from = 0; from < block.n; from += v->places) {
        mv_panel *row = mv_panel_row(l, THUMB_GAP, MV_TOP);
        for (int i = from; i < from + v->places; i++)
            mv_panel_add(row, i < block.n ? thumbnail(p, c, &block.map[i], i, k, v->cells) : mv_panel_space(l, 0));
        mv_panel_add(column, mv_panel_space(l, from ? 8 : 0));
        mv_panel_add(column, row);
    }
}

/* The range of the first figure over the maps, "entropy 0.05 to 0.16"; NULL without figures or defined values. */
static const char *figure_range(mv_layout *l, group block)
{
    const mv_figure *f = block.map->figure;
    double lo = INFINITY, hi = -INFINITY;
    for (int i = 0; i < block.n; i++) {
        if (!block.map[i].figures)
            return NULL;
        lo = fmin(lo, block.map[i].figure->value);
        hi = fmax(hi, block.map[i].figure->value);
    }
    return lo <= hi ? mv_layout_text(l, "%s %.*f to %.*f", f->name, f->digits, lo, f->digits, hi) : NULL;
}

static mv_panel *block_panel(mv_page *p, const mv_heads_content *c, group block, const division *v,
                             const mv_colouring *k)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l), *heading = mv_panel_add(column, mv_panel_flow(l, 12));
    const char *title = block.map->block >= 0 ? mv_layout_text(l, "Block %d", block.map->block) : "All blocks",
               *note = figure_range(l, block);
    mv_panel_add(heading, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, title, 0));
    if (note)
        mv_panel_add(heading, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, note, 0));
    mv_panel_add(column, mv_panel_space(l, 4));
    add_thumbnails(p, c, column, block, v, k);
    return column;
}

/* "14 x 14 cells of 16 px, 4 heads a block"; windows and padding follow unless one window is the whole map. */
static const char *level_note(mv_layout *l, const mv_map *map)
{
    char cells[96], windows[96], padding[96], count[48];
    bool cut = map->down * map->across > 1 || map->padding > 0;
    mv_map_words(map, MV_MAP_CELLS, cells);
    mv_map_words(map, MV_MAP_WINDOWS, windows);
    mv_map_words(map, MV_MAP_PADDING, padding);
    const char *heads =
        map->heads ? mv_layout_text(l, "%s%s a block", *cells ? ", " : "", mv_count_text(count, map->heads, "head"))
                   : "";
    return cut ? mv_layout_text(l, "%s%s, %s, %s", cells, heads, windows, padding)
               : mv_layout_text(l, "%s%s", cells, heads);
}

static mv_panel *level_heading(mv_page *p, group level, const mv_extent *x, const mv_colouring *k, bool cells)
{
    mv_layout *l = p->layout;
    const char *title = level.map->level >= 0 ? mv_layout_text(l, "Level %d", level.map->level) : "Heads";
    mv_panel *words = mv_panel_row(l, 20, MV_BASELINE);
    mv_panel_add(words, mv_panel_wide(mv_panel_label(l, MV_TYPE_SECTION, MV_INK, title, 1), MV_NATURAL));
    mv_panel *notes = mv_panel_add(words, mv_panel_column(l)),
             *bar = mv_panel_colour_bar(l, k, true, cells ? MV_BAR_CELLS : MV_BAR_OVERLAY);
    mv_panel_add(notes, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, level_note(l, level.map), 0));
    mv_page_add_odd(p, notes, x->odd);
    bool beside = p->inner >= ROOM_FOR_BAR;
    mv_panel *heading = beside ? mv_panel_row(l, 32, MV_TOP) : mv_panel_column(l);
    mv_panel_add(heading, words);
    mv_panel_add(heading, beside ? mv_panel_wide(bar, BAR) : bar);
    return heading;
}

static mv_panel *level_panel(mv_page *p, const mv_heads_content *c, group level)
{
    mv_layout *l = p->layout;
    mv_extent x = {0};
    for (int i = 0; i < level.n; i++)
        mv_extent_add(&x, &level.map[i]);
    mv_colouring k = mv_page_colouring_of(mv_page_colouring_even(p, &x), level.map);
    division v = divide(p, level, c->map_count > MANY || p->points > 0 ? SMALL_THUMB : GOOD_THUMB);

    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_hairline(l));
    mv_panel_add(column, mv_panel_space(l, 12));
    mv_panel_add(column, level_heading(p, level, &x, &k, v.cells));
    group block = {0};
    bool more = next_group(&block, level, same_block);
    for (int first = 1; more; first = 0) {
        mv_panel *row = mv_panel_row(l, BLOCK_GAP, MV_TOP);
        for (int i = 0; i < v.blocks; i++) {
            mv_panel_add(row, more ? block_panel(p, c, block, &v, &k) : mv_panel_space(l, 0));
            more = more && next_group(&block, level, same_block);
        }
        mv_panel_add(column, mv_panel_space(l, first ? 8 : 16));
        mv_panel_add(column, row);
    }
    return column;
}

/* The picture, and beside it how to read the thumbnails. */
static mv_panel *head(mv_page *p, const mv_heads_content *c)
{
    mv_layout *l = p->layout;
    mv_panel *row = mv_panel_row(l, BLOCK_GAP, MV_TOP), *words = mv_panel_column(l);
    double wide = PICTURE * fmin(fmax((double)c->picture->w / c->picture->h, 1), 3);
    mv_panel_add(
        row, mv_panel_wide(mv_panel_picture_queries(l, c->picture, c->maps, c->map_count), fmin(wide, p->inner / 2)));
    mv_panel_add(words, mv_page_picture_words(p, c->picture,
                                              "A thumbnail for each head, numbered from 0; the heads of "
                                              "a level share one scale."));
    mv_panel_add(row, words);
    return row;
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_heads_content *c = content;
    const group all = {c->maps, c->map_count};
    mv_panel *column = mv_panel_column(p->layout);
    mv_panel_add(column, head(p, c));
    for (group level = {0}; next_group(&level, all, same_level);) {
        mv_panel_add(column, mv_panel_space(p->layout, 32));
        mv_panel_add(column, level_panel(p, c, level));
    }
    return column;
}

const mv_page_kind mv_page_heads = {"heads", 1600, check, body, .sequential = true, .diverging = true};
