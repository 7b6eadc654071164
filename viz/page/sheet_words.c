/* The words of a sheet, made from the words of its maps. */
#include <string.h>

#include "viz/page/sheet_impl.h"

const mv_map *mv_sheet_run_map(mv_sheet_run r, int i)
{
    return r.first[i * r.step].map;
}

const mv_map *mv_sheet_run_first(mv_sheet_run r)
{
    for (int i = 0; i < r.n; i++)
        if (mv_sheet_run_map(r, i))
            return mv_sheet_run_map(r, i);
    return NULL;
}

static bool same_method(const mv_map *a, const mv_map *b)
{
    return a->method == b->method || (a->method && b->method && strcmp(a->method, b->method) == 0);
}

bool mv_sheet_same_section(mv_sheet_sections by, const mv_map *a, const mv_map *b)
{
    switch (by) {
    case MV_SHEET_PLAIN: return true;
    case MV_SHEET_BY_LEVEL: return a->level == b->level;
    case MV_SHEET_BY_BLOCK: return a->level == b->level && a->block == b->block;
    case MV_SHEET_BY_METHOD: return same_method(a, b);
    }
    return true;
}

mv_sheet_difference mv_sheet_differences(mv_sheet_run r)
{
    const mv_map *a = mv_sheet_run_first(r);
    mv_sheet_difference d = {0};
    for (int i = 0; a && i < r.n; i++) {
        const mv_map *b = mv_sheet_run_map(r, i);
        if (!b)
            continue;
        d.method = d.method || !same_method(a, b);
        d.level = d.level || a->level != b->level;
        d.block = d.block || a->block != b->block;
        d.head = d.head || a->head != b->head;
        d.class_ = d.class_ || a->class_ != b->class_ || a->against != b->against;
    }
    return d;
}

static const char *block_words(mv_layout *l, const mv_map *m)
{
    return m->block == MV_MAP_ALL ? "all blocks" : m->block >= 0 ? mv_layout_text(l, "block %d", m->block) : "";
}

static const char *joined(mv_layout *l, const char *a, const char *b)
{
    return !*b ? a : !*a ? b : mv_layout_text(l, "%s, %s", a, b);
}

static const char *capital(mv_layout *l, const char *words)
{
    char first = words[0];
    if (first < 'a' || first > 'z')
        return words;
    return mv_layout_text(l, "%c%s", first - 'a' + 'A', words + 1);
}

const char *mv_sheet_label(mv_layout *l, const mv_map *m, mv_sheet_difference d)
{
    const char *words = d.method && m->method ? m->method : "";
    if (d.class_ && m->class_ >= 0 && *m->title) /* "cam, for church" */
        return joined(l, words,
                      *words && strncmp(m->title, "For ", 4) == 0 ? mv_layout_text(l, "f%s", m->title + 1) : m->title);
    if (d.level && m->level >= 0)
        words = joined(l, words, mv_layout_text(l, "level %d", m->level));
    if (d.block)
        words = joined(l, words, block_words(l, m));
    if (d.head)
        words = joined(l, words,
                       m->head >= 0             ? mv_layout_text(l, "head %d", m->head)
                       : m->head == MV_MAP_MEAN ? "mean of heads"
                                                : "");
    if (!*words)
        return m->title;
    return d.method && !d.level && !d.block && !d.head ? words : capital(l, words);
}

const char *mv_sheet_section_title(mv_layout *l, mv_sheet_sections by, const mv_map *m)
{
    const char *level = m->level >= 0 ? mv_layout_text(l, "level %d", m->level) : "";
    switch (by) {
    case MV_SHEET_PLAIN: break;
    case MV_SHEET_BY_LEVEL: return capital(l, level);
    case MV_SHEET_BY_BLOCK: return capital(l, joined(l, level, block_words(l, m)));
    case MV_SHEET_BY_METHOD: return m->method ? m->method : "";
    }
    return "";
}

const char *mv_sheet_geometry(mv_layout *l, mv_sheet_run r)
{
    const mv_map *a = mv_sheet_run_first(r);
    const char *words = "";
    for (int i = 0; a && i < r.n; i++) {
        const mv_map *b = mv_sheet_run_map(r, i);
        if (b && (a->h != b->h || a->w != b->w || a->cell != b->cell || a->window != b->window || a->down != b->down ||
                  a->across != b->across || a->padding < b->padding || a->padding > b->padding))
            return "";
    }
    for (mv_map_part part = MV_MAP_CELLS; a && part <= MV_MAP_PADDING; part++) {
        char text[96];
        words = joined(l, words, mv_layout_text(l, "%s", mv_map_words(a, part, text)));
    }
    return words;
}
