#include "viz/page/eval.h"

#include <math.h>

#include "viz/page/page_impl.h"

enum { GUTTER = 32, NARROW = 1000 };

static mv_status check(const void *content, mv_error *e)
{
    const mv_eval_content *c = content;
    mv_status s = mv_page_check_count(c->classes, 0, MV_EVAL_CLASSES, "classes", e);
    if (!s)
        s = mv_page_check_count(c->figures, 0, MV_EVAL_FIGURES, "figures", e);
    for (int i = 0; i < c->figures && !s; i++)
        s = mv_page_check_count(c->figure[i].rows, 1, MV_EVAL_METHODS, "methods", e);
    if (!s)
        s = mv_page_check_count(c->stages, 0, MV_EVAL_STAGES, "stages", e);
    return s ? s : mv_page_check_count(c->lines, 0, MV_EVAL_METHODS, "lines", e);
}

static void add_section(mv_page *p, mv_panel *column, const char *title, const char *note)
{
    mv_layout *l = p->layout;
    mv_panel_add(column, mv_panel_space(l, 32));
    mv_panel_add(column, mv_page_section(p, title, 8));
    if (note) {
        mv_panel_add(column, mv_panel_space(l, 4));
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_TEXT, MV_SECOND, note, 0));
    }
    mv_panel_add(column, mv_panel_space(l, 16));
}

static mv_panel *noted(mv_page *p, const char *title, const char *note, mv_panel *chart)
{
    mv_layout *l = p->layout;
    mv_panel *column = mv_page_titled(p, title, 0, 8, chart);
    if (note && *note) {
        mv_panel_add(column, mv_panel_space(l, 8));
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND, note, 0));
    }
    return column;
}

/* Accuracy over confidence, and the line on which they are equal. */
static mv_panel *reliability(mv_page *p, const mv_eval_content *c)
{
    mv_series *lines = mv_layout_memory(p->layout, 2 * sizeof *lines);
    if (!lines)
        return NULL;
    lines[0] = (mv_series){.name = "answers", .y = c->accuracy, .marks = true};
    lines[1] = (mv_series){.name = "calibrated", .y = c->confidence, .hue = 2, .dash = 1};
    mv_curves chart = {.x = c->confidence,
                       .n = c->bins,
                       .series = lines,
                       .count = 2,
                       .across = {.title = "probability of the answer", .hi = 1},
                       .up = {.title = "share of right answers", .hi = 1},
                       .height = 320};
    return noted(p, "Calibration", c->calibration_note, mv_panel_curves(p->layout, &chart));
}

static mv_panel *confusion(mv_page *p, const mv_eval_content *c)
{
    const mv_extent shares = {.maps = 1, .lo = 0, .hi = 1};
    mv_heat heat = {.row = c->class_name,
                    .rows = c->classes,
                    .column = c->class_name,
                    .columns = c->classes,
                    .value = c->confusion,
                    .k = mv_page_colouring(p, &shares),
                    .digits = 2,
                    .title = "answer",
                    .gaps = true};
    return noted(p, "What is taken for what", c->confusion_note, mv_panel_heat(p->layout, &heat));
}

static void add_answers(mv_page *p, mv_panel *column, const mv_eval_content *c)
{
    mv_layout *l = p->layout;
    if (p->width < NARROW) {
        if (c->bins)
            mv_panel_add(column, reliability(p, c));
        mv_panel_add(column, mv_panel_space(l, 24));
        if (c->classes)
            mv_panel_add(column, confusion(p, c));
        return;
    }
    mv_panel *row = mv_panel_add(column, mv_panel_row(l, GUTTER, MV_TOP));
    if (c->bins)
        mv_panel_add(row, mv_panel_wide(reliability(p, c), floor((p->inner - GUTTER) * 0.36)));
    if (c->classes)
        mv_panel_add(row, confusion(p, c));
}

static mv_panel *figure(mv_page *p, const mv_eval_figure *f)
{
    mv_intervals chart = {.row = f->row, .rows = f->rows, .digits = 3};
    if (f->note)
        chart.across.line = true, chart.across.at = f->at;
    return noted(p, f->title, f->note, mv_panel_intervals(p->layout, &chart));
}

static void add_figures(mv_page *p, mv_panel *column, const mv_eval_content *c)
{
    mv_layout *l = p->layout;
    int columns = p->width < NARROW ? 1 : c->figures < 3 ? c->figures : c->figures == 4 ? 2 : 3;
    add_section(p, column, "Are the maps true?", c->figures_note);
    for (int i = 0; i < c->figures; i += columns) {
        mv_panel *row = mv_panel_add(column, mv_panel_row(l, GUTTER, MV_TOP));
        for (int k = 0; k < columns; k++)
            mv_panel_add(row, i + k < c->figures ? figure(p, &c->figure[i + k]) : mv_panel_space(l, 0));
        mv_panel_add(column, mv_panel_space(l, 24));
    }
}

static void add_stages(mv_page *p, mv_panel *column, const mv_eval_content *c)
{
    mv_curves chart = {.n = c->stages,
                       .series = c->line,
                       .count = c->lines,
                       .across = {.title = "parameters re-drawn from the head down to",
                                  .names = c->stage_name,
                                  .name_count = c->stages},
                       .up = {.title = "rank correlation with the map of the network as it is", .line = true},
                       .height = 280};
    add_section(p, column, "Re-drawn parameters",
                "A map that explains what the network has learned changes with its parameters: it falls to 0.");
    mv_panel_add(column, mv_panel_curves(p->layout, &chart));
}

static mv_panel *body(mv_page *p, const void *content)
{
    const mv_eval_content *c = content;
    mv_panel *column = mv_panel_column(p->layout);
    add_answers(p, column, c);
    if (c->figures)
        add_figures(p, column, c);
    if (c->stages && c->lines)
        add_stages(p, column, c);
    return column;
}

const mv_page_kind mv_page_eval = {.name = "eval", .width = 1600, .check = check, .body = body, .sequential = true};
