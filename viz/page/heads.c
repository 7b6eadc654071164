/* A section for each level:
 *
 *     Level 2   14 x 14 cells of 16 px, 4 heads a block                       colour bar
 *     Block 3                 entropy      Block 4                 entropy
 *     [0] [1] [2] [3]                      [0] [1] [2] [3]
 *
 * A line holds 8 thumbnails, or 16 where there are very many. A block takes the smallest slot of 2, 4, 8 or 16 that
 * holds its heads, and several lines of it if it has more; slots stand side by side.
 */
#include "viz/page/heads.h"

#include <math.h>

#include "viz/page/page_impl.h"

enum {
    FOUR_GAP = 36,
    THUMB_GAP = 10,
    BAR = 260,
    MOST_MAPS = 4096,
    MOST_LEVELS = 8,
    MOST_BLOCKS = 64,
    MOST_HEADS = 64,
    MANY = 96
};

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

/* Thumbnails in a line of the page. */
static int line_length(group all)
{
    int heads = 0, most;
    for (group level = {0}; next_group(&level, all, same_level);)
        heads += count_blocks(level, &most) * most;
    return heads > MANY ? 16 : 8;
}

static mv_panel *thumbnail(mv_page *p, const mv_heads_content *c, const mv_map *map, int number, const mv_colouring *k)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_overlay(l, map, c->picture, k));
    mv_panel_add(column, mv_panel_space(l, 4));
    const char *name = map->head == MV_MAP_MEAN ? "mean" : mv_layout_text(l, "%d", map->head >= 0 ? map->head : number);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, name, 1));
    return column;
}

/* `count` thumbnails from `first` on, in a slot of `places`: in fours, so that edges align through the page. */
static mv_panel *thumbnails(mv_page *p, const mv_heads_content *c, group block, int first, int count, int places,
                            const mv_colouring *k)
{
    mv_layout *l = p->layout;
    mv_panel *fours = mv_panel_row(l, FOUR_GAP, MV_TOP), *four = NULL;
    for (int i = 0; i < places; i++) {
        if (i % 4 == 0)
            four = mv_panel_add(fours, mv_panel_row(l, THUMB_GAP, MV_TOP));
        mv_panel_add(four, i < count ? thumbnail(p, c, &block.map[first + i], first + i, k) : mv_panel_space(l, 0));
    }
    return fours;
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

static mv_panel *block_panel(mv_page *p, const mv_heads_content *c, group block, int places, const mv_colouring *k)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_panel_column(l), *heading = mv_panel_add(column, mv_panel_row(l, 12, MV_BASELINE));
    const char *title = block.map->block >= 0 ? mv_layout_text(l, "Block %d", block.map->block) : "All blocks",
               *note = figure_range(l, block);
    mv_panel_add(heading, mv_panel_label(l, MV_TYPE_PANEL, MV_INK, title, 1));
    if (note)
        mv_panel_add(heading, mv_panel_wide(mv_panel_label_right(l, MV_TYPE_SMALL, MV_THIRD, note), MV_NATURAL));
    mv_panel_add(column, mv_panel_space(l, 4));
    int lines = (block.n + places - 1) / places, per_line = (block.n + lines - 1) / lines;
    for (int from = 0; from < block.n; from += per_line) {
        int left = block.n - from;
        mv_panel_add(column, mv_panel_space(l, from ? 8 : 0));
        mv_panel_add(column, thumbnails(p, c, block, from, left < per_line ? left : per_line, places, k));
    }
    return column;
}

/* "14 x 14 cells of 16 px, 4 heads a block"; windows and padding follow unless one window is the whole map. */
static const char *level_note(mv_layout *l, const mv_map *map)
{
    char cells[96], windows[96], padding[96];
    bool cut = map->down * map->across > 1 || map->padding > 0;
    mv_map_words(map, MV_MAP_CELLS, cells);
    mv_map_words(map, MV_MAP_WINDOWS, windows);
    mv_map_words(map, MV_MAP_PADDING, padding);
    const char *heads = map->heads ? mv_layout_text(l, "%s%d heads a block", *cells ? ", " : "", map->heads) : "";
    return cut ? mv_layout_text(l, "%s%s, %s, %s", cells, heads, windows, padding)
               : mv_layout_text(l, "%s%s", cells, heads);
}

static mv_panel *level_heading(mv_page *p, group level, const mv_extent *x, const mv_colouring *k)
{
    mv_layout *l = p->layout;
    const char *title = level.map->level >= 0 ? mv_layout_text(l, "Level %d", level.map->level) : "Heads";
    mv_panel *heading = mv_panel_row(l, 32, MV_TOP), *words = mv_panel_add(heading, mv_panel_row(l, 20, MV_BASELINE));
    mv_panel_add(words, mv_panel_wide(mv_panel_label(l, MV_TYPE_SECTION, MV_INK, title, 1), MV_NATURAL));
    mv_panel *notes = mv_panel_add(words, mv_panel_column(l));
    mv_panel_add(notes, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, level_note(l, level.map), 2));
    mv_page_add_odd(p, notes, x->odd);
    mv_panel_add(heading, mv_panel_wide(mv_panel_colour_bar(l, k, true, false), BAR));
    return heading;
}

static mv_panel *level_panel(mv_page *p, const mv_heads_content *c, group level, int line)
{
    mv_layout *l = p->layout;
    mv_extent x = {0};
    for (int i = 0; i < level.n; i++)
        mv_extent_add(&x, &level.map[i]);
    mv_colouring k = mv_page_colouring_of(mv_page_colouring_even(p, &x), level.map);

    mv_panel *column = mv_panel_column(l);
    mv_panel_add(column, mv_panel_hairline(l));
    mv_panel_add(column, mv_panel_space(l, 12));
    mv_panel_add(column, level_heading(p, level, &x, &k));
    int places = 2, most;
    count_blocks(level, &most);
    while (places < most && places < line)
        places *= 2;
    group block = {0};
    bool more = next_group(&block, level, same_block);
    for (int first = 1; more; first = 0) {
        mv_panel *row = mv_panel_row(l, FOUR_GAP, MV_TOP);
        for (int i = 0; i < line / places; i++) {
            mv_panel_add(row, more ? block_panel(p, c, block, places, &k) : mv_panel_space(l, 0));
            more = more && next_group(&block, level, same_block);
        }
        mv_panel_add(column, mv_panel_space(l, first ? 4 : 16));
        mv_panel_add(column, row);
    }
    return column;
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_heads_content *c = content;
    const group all = {c->maps, c->map_count};
    mv_panel *column = mv_panel_column(p->layout);
    int line = line_length(all);
    for (group level = {0}; next_group(&level, all, same_level);) {
        if (level.map != c->maps)
            mv_panel_add(column, mv_panel_space(p->layout, 32));
        mv_panel_add(column, level_panel(p, c, level, line));
    }
    return column;
}

const mv_page_kind mv_page_heads = {"heads", 1600, check, body, .sequential = true};
