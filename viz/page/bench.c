#include "viz/page/bench.h"

#include <math.h>

#include "viz/page/page_impl.h"

enum {
    GUTTER = 32,
    NARROW = 1000,
    GAP = 12,
    OP = 92, /* px of the columns of the table */
    PART = 60,
    NUMBER = 66,
    SHOWN = 40, /* operations of the table; the rest is one line */
    PITCH = 26
};

static mv_status check(const void *content, mv_error *e)
{
    const mv_bench_content *c = content;
    mv_status s = mv_page_check_count(c->rows, 1, MV_BENCH_ROWS, "rows", e);
    if (!s)
        s = mv_page_check_count(c->profiles, 0, MV_BENCH_PROFILES, "profiles", e);
    for (int i = 0; i < c->profiles && !s; i++)
        s = mv_page_check_count(c->profile[i].operations, 1, MV_BENCH_OPERATIONS, "operations", e);
    return s;
}

static mv_panel *bars(mv_page *p, const mv_bar_row *row, int rows, const char *unit)
{
    mv_bars chart = {.row = row,
                     .rows = rows,
                     .series = 2,
                     .name = {"measured", "floor"},
                     .across = {.title = unit},
                     .pitch = rows <= 24 ? PITCH : 0};
    return mv_panel_bars(p->layout, &chart);
}

static void add_note(mv_page *p, mv_panel *column, const char *note)
{
    if (!note || !*note)
        return;
    mv_panel_add(column, mv_panel_space(p->layout, 4));
    mv_panel_add(column, mv_panel_label(p->layout, MV_TYPE_TEXT, MV_SECOND, note, 0));
}

/* ---- the table of operations */

static const char *number(mv_page *p, double value, int decimals)
{
    char text[32];
    return mv_layout_text(p->layout, "%s", mv_number_text(text, value, decimals, false));
}

/* A line of the table: three texts, of which the second takes what room is left, and four numbers. */
static void add_line(mv_page *p, mv_panel *table, mv_type type, mv_voice voice, const char *const text[3],
                     const char *const numbers[4])
{
    mv_layout *l = p->layout;
    mv_panel *row = mv_panel_row(l, GAP, MV_BASELINE);
    mv_panel_add(row, mv_panel_wide(mv_panel_label(l, type, voice, text[0], 1), OP));
    mv_panel_add(row, mv_panel_label(l, type, voice, text[1], 1));
    mv_panel_add(row, mv_panel_wide(mv_panel_label(l, type, voice, text[2], 1), PART));
    for (int i = 0; i < 4; i++)
        mv_panel_add(row, mv_panel_wide(mv_panel_label_right(l, type, voice, numbers[i]), NUMBER));
    mv_panel_add(table, row);
    mv_panel_add(table, mv_panel_space(l, 4));
}

static mv_panel *table_of(mv_page *p, const mv_bench_profile *of)
{
    static const char *const heads[] = {"operation", "shape", "part"}, *const columns[] = {"calls", "ms", "floor ms",
                                                                                           "share"};
    mv_layout *l = p->layout;
    mv_panel *table = mv_panel_column(l);
    mv_bench_operation rest = {0};
    add_line(p, table, MV_TYPE_SMALL, MV_SECOND, heads, columns);
    for (int i = 0; i < of->operations; i++) {
        const mv_bench_operation *k = &of->operation[i];
        if (i >= SHOWN) {
            rest.calls += k->calls, rest.ms += k->ms, rest.floor += k->floor, rest.share += k->share;
            continue;
        }
        add_line(p, table, MV_TYPE_TEXT, MV_INK, (const char *const[]){k->op, k->shape, k->part},
                 (const char *const[]){mv_layout_text(l, "%d", k->calls), number(p, k->ms, 3), number(p, k->floor, 3),
                                       mv_layout_text(l, "%.1f %%", k->share * 100)});
    }
    if (rest.calls)
        add_line(p, table, MV_TYPE_TEXT, MV_SECOND,
                 (const char *const[]){"others", mv_layout_text(l, "%d further shapes", of->operations - SHOWN), ""},
                 (const char *const[]){mv_layout_text(l, "%d", rest.calls), number(p, rest.ms, 3),
                                       number(p, rest.floor, 3), mv_layout_text(l, "%.1f %%", rest.share * 100)});
    return table;
}

/* ---- a section */

static void add_profile(mv_page *p, mv_panel *column, const mv_bench_profile *of)
{
    mv_layout *l = p->layout;
    mv_panel_add(column, mv_panel_space(l, 32));
    mv_panel_add(column, mv_page_section(p, of->title, 8));
    add_note(p, column, of->note);
    mv_panel_add(column, mv_panel_space(l, 16));
    mv_panel *kinds = mv_page_titled(p, "By operation", 1, 8, bars(p, of->kind, of->kinds, "ms of a pass")),
             *parts = mv_page_titled(p, "By part of the network", 1, 8, bars(p, of->part, of->parts, "ms of a pass"));
    if (p->width < NARROW) {
        mv_panel_add(column, kinds);
        mv_panel_add(column, mv_panel_space(l, 24));
        mv_panel_add(column, parts);
    } else {
        mv_panel *row = mv_panel_add(column, mv_panel_row(l, GUTTER, MV_TOP));
        mv_panel_add(row, kinds);
        mv_panel_add(row, parts);
    }
    mv_panel_add(column, mv_panel_space(l, 24));
    mv_panel_add(column, mv_page_titled(p, "Each operation", 1, 8, table_of(p, of)));
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_bench_content *c = content;
    mv_panel *column = mv_panel_column(p->layout);
    mv_panel *times = mv_page_titled(p, "Time of a picture", 1, 8, bars(p, c->row, c->rows, "ms"));
    add_note(p, times, c->note);
    mv_panel_add(column, times);
    for (int i = 0; i < c->profiles; i++)
        add_profile(p, column, &c->profile[i]);
    return column;
}

const mv_page_kind mv_page_bench = {.name = "bench", .width = 1200, .check = check, .body = body};
