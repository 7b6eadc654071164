#include "viz/page/bench.h"

#include <math.h>
#include <stdio.h>

#include "viz/page/page_impl.h"

enum {
    GUTTER = 32,
    NARROW = 1000,
    SHOWN = 40,       /* operations of a table; the rest is one line */
    MOST_SHOWN = 160, /* of all tables of a page, */
    MOST_NARROW = 96, /* and of one on which shapes need two lines: a file has 14400 px */
    PITCH = 26,
    COLUMN = 24 /* rows; more of them stand in two columns, where the page is wide */
};

/* px of the columns of the table. */
typedef struct {
    double op, part, number, gap;
} widths;

static const widths wide = {92, 60, 66, 12}, close = {80, 48, 54, 8};

static mv_status check(const void *content, mv_error *e)
{
    const mv_bench_content *c = content;
    mv_status s = mv_page_check_count(c->rows, 1, MV_BENCH_ROWS, "rows", e);
    if (!s)
        s = mv_page_check_count(c->profiles, 0, MV_BENCH_PROFILES, "profiles", e);
    for (int i = 0; i < c->profiles && !s; i++) {
        s = mv_page_check_count(c->profile[i].operations, 1, MV_BENCH_OPERATIONS, "operations", e);
        s = s ? s : mv_page_check_count(c->profile[i].kinds, 1, MV_BENCH_KINDS, "kinds of operations", e);
        s = s ? s : mv_page_check_count(c->profile[i].parts, 1, MV_BENCH_KINDS, "parts", e);
    }
    return s;
}

static mv_bars bars_of(const mv_bar_row *row, int rows, const char *unit)
{
    return (mv_bars){.row = row,
                     .rows = rows,
                     .series = 2,
                     .name = {"measured", "floor"},
                     .across = {.title = unit},
                     .pitch = PITCH};
}

static mv_panel *bars(mv_page *p, const mv_bar_row *row, int rows, const char *unit)
{
    mv_bars chart = bars_of(row, rows, unit);
    return mv_panel_bars(p->layout, &chart);
}

static void add_note(mv_page *p, mv_panel *column, const char *note)
{
    if (!note || !*note)
        return;
    mv_panel_add(column, mv_panel_space(p->layout, 4));
    mv_panel_add(column, mv_panel_label(p->layout, MV_TYPE_TEXT, MV_SECOND, note, 0));
}

/* ---- the rows */

/* Three digits of a time that may be of any size. */
static const char *time_text(mv_page *p, double ms)
{
    char text[32];
    if (!isfinite(ms))
        return "does not fit";
    int decimals = ms > 0 ? (int)fmin(fmax(2 - floor(log10(ms)), 0), 4) : 0;
    return mv_layout_text(p->layout, "%s", mv_number_text(text, ms, decimals, false));
}

/* The bars of some rows; `most` is the time at the end of their axis. */
static mv_panel *times_of(mv_page *p, const mv_bench_row *row, int rows, double most)
{
    mv_bar_row *bar = mv_layout_memory(p->layout, (size_t)rows * sizeof *bar);
    mv_bar_words *words = mv_layout_memory(p->layout, (size_t)rows * sizeof *words);
    if (!bar || !words)
        return NULL;
    for (int i = 0; i < rows; i++) {
        bar[i] = (mv_bar_row){row[i].model, {row[i].ms, row[i].floor}};
        words[i] = (mv_bar_words){row[i].detail, time_text(p, row[i].ms)};
    }
    mv_bars chart = bars_of(bar, rows, "ms");
    chart.words = words;
    chart.across.hi = most;
    return mv_panel_bars(p->layout, &chart);
}

static mv_panel *all_times(mv_page *p, const mv_bench_content *c)
{
    double most = 0;
    for (int i = 0; i < c->rows; i++)
        for (int k = 0; k < 2; k++) {
            double ms = k ? c->row[i].floor : c->row[i].ms;
            most = isfinite(ms) ? fmax(most, 1.02 * ms) : most;
        }
    if (c->rows <= COLUMN || p->width < NARROW)
        return times_of(p, c->row, c->rows, most);
    int half = (c->rows + 1) / 2;
    mv_panel *row = mv_panel_row(p->layout, GUTTER, MV_TOP);
    mv_panel_add(row, times_of(p, c->row, half, most));
    mv_panel_add(row, times_of(p, c->row + half, c->rows - half, most));
    return row;
}

/* "12 further rows and the profiles of 4 rows are not on this page." */
static const char *left_out(mv_page *p, const mv_bench_content *c)
{
    char rows[64] = "", profiles[64] = "";
    if (c->more_rows > 0)
        snprintf(rows, sizeof rows, "%d further row%s", c->more_rows, c->more_rows > 1 ? "s" : "");
    if (c->more_profiles > 0)
        snprintf(profiles, sizeof profiles, "the profile%s of %d row%s", c->more_profiles > 1 ? "s" : "",
                 c->more_profiles, c->more_profiles > 1 ? "s" : "");
    if (!*rows && !*profiles)
        return NULL;
    bool one = c->more_rows + c->more_profiles == 1;
    return mv_layout_text(p->layout, "Not on this page: %s%s%s. The table has %s.", rows,
                          *rows && *profiles ? " and " : "", profiles, one ? "it" : "them");
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
    const widths *k = p->width < NARROW ? &close : &wide;
    mv_panel *row = mv_panel_row(l, k->gap, MV_BASELINE);
    mv_panel_add(row, mv_panel_wide(mv_panel_label(l, type, voice, text[0], 1), k->op));
    mv_panel_add(row, mv_panel_label(l, type, voice, text[1], 1));
    mv_panel_add(row, mv_panel_wide(mv_panel_label(l, type, voice, text[2], 1), k->part));
    for (int i = 0; i < 4; i++)
        mv_panel_add(row, mv_panel_wide(mv_panel_label_right(l, type, voice, numbers[i]), k->number));
    mv_panel_add(table, row);
    mv_panel_add(table, mv_panel_space(l, 4));
}

static mv_panel *table_of(mv_page *p, const mv_bench_profile *of, int shown)
{
    static const char *const heads[] = {"operation", "shape", "part"}, *const columns[] = {"calls", "ms", "floor ms",
                                                                                           "share"};
    mv_layout *l = p->layout;
    mv_panel *table = mv_panel_column(l);
    mv_bench_operation rest = {0};
    add_line(p, table, MV_TYPE_SMALL, MV_SECOND, heads, columns);
    for (int i = 0; i < of->operations; i++) {
        const mv_bench_operation *k = &of->operation[i];
        if (i >= shown) {
            rest.calls += k->calls, rest.ms += k->ms, rest.floor += k->floor, rest.share += k->share;
            continue;
        }
        add_line(p, table, MV_TYPE_TEXT, MV_INK, (const char *const[]){k->op, k->shape, k->part},
                 (const char *const[]){mv_layout_text(l, "%d", k->calls), number(p, k->ms, 3), number(p, k->floor, 3),
                                       mv_layout_text(l, "%.1f %%", k->share * 100)});
    }
    if (rest.calls)
        add_line(p, table, MV_TYPE_TEXT, MV_SECOND,
                 (const char *const[]){"others", mv_layout_text(l, "%d further shapes", of->operations - shown), ""},
                 (const char *const[]){mv_layout_text(l, "%d", rest.calls), number(p, rest.ms, 3),
                                       number(p, rest.floor, 3), mv_layout_text(l, "%.1f %%", rest.share * 100)});
    return table;
}

/* ---- a section */

static void add_profile(mv_page *p, mv_panel *column, const mv_bench_profile *of, int shown)
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
    mv_panel_add(column, mv_page_titled(p, "Each operation", 1, 8, table_of(p, of, shown)));
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_bench_content *c = content;
    mv_panel *column = mv_panel_column(p->layout);
    mv_panel *times = mv_page_titled(p, "Time of a picture", 1, 8, all_times(p, c));
    add_note(p, times, left_out(p, c));
    add_note(p, times, c->note);
    mv_panel_add(column, times);
    int most = p->width < NARROW ? MOST_NARROW : MOST_SHOWN,
        shown = c->profiles * SHOWN > most ? most / c->profiles : SHOWN;
    for (int i = 0; i < c->profiles; i++)
        add_profile(p, column, &c->profile[i], shown);
    return column;
}

const mv_page_kind mv_page_bench = {.name = "bench", .width = 1200, .check = check, .body = body};
