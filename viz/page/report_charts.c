/* The charts of a report: the answer through depth, heads, mixers, and the test of the evidence. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "viz/page/report_impl.h"

enum { PLOT = 92, ROWS = 132, LEAST_ROW = 5, MOST_ROW = 20, NAME = 64, MIXER_GAP = 12 };

static mv_panel *part(const mv_report *r, const char *words, const char *note)
{
    mv_panel *column = mv_panel_column(r->l);
    mv_panel_add(column, mv_panel_label(r->l, MV_TYPE_STRONG, MV_INK, words, 1));
    if (note && *note)
        mv_panel_add(column, mv_panel_label(r->l, MV_TYPE_SMALL, MV_SECOND, note, 0));
    mv_panel_add(column, mv_panel_space(r->l, 4));
    return column;
}

static double row_pitch(int rows)
{
    return fmin(fmax(floor((double)ROWS / rows), LEAST_ROW), MOST_ROW);
}

/* Digits after the point for numbers up to `most`. */
static int digits_for(double most)
{
    return most >= 9.95 ? 0 : most >= 0.995 ? 1 : 2;
}

/* --- depth ------------------------------------------------------------------------------------- */

mv_panel *mv_report_lens_chart(const mv_report *r)
{
    const mv_report_lens *k = &r->c->lens;
    if (k->blocks < 2 || k->classes < 1)
        return NULL;
    mv_series *s = mv_layout_memory(r->l, (size_t)k->classes * sizeof *s);
    mv_panel *column = mv_panel_column(r->l);
    mv_panel_add(column, mv_panel_label(r->l, MV_TYPE_PANEL, MV_INK, "Through depth", 1));
    mv_panel_add(column, mv_panel_space(r->l, 4));
    for (int i = 0; s && i < k->classes; i++)
        s[i] = (mv_series){.name = k->class_name[i],
                           .y = k->value + (size_t)i * (size_t)k->blocks,
                           .hue = i,
                           .dash = i,
                           .marks = true};
    mv_curves chart = {.n = k->blocks,
                       .series = s,
                       .count = s ? k->classes : 0,
                       .across = {.title = "after block", .names = k->block, .name_count = k->blocks},
                       .up = {.title = k->unit, .line = true},
                       .height = r->wide ? 124 : 0};
    mv_panel_add(column, mv_panel_curves(r->l, &chart));
    if (k->note)
        mv_panel_add(column, mv_panel_label(r->l, MV_TYPE_SMALL, MV_SECOND, k->note, 0));
    return column;
}

/* --- heads ------------------------------------------------------------------------------------- */

mv_panel *mv_report_scatter(const mv_report *r)
{
    enum { LEVELS = 4 };
    static const char *const names[LEVELS] = {"level 0", "level 1", "level 2", "level 3"};
    static const mv_mark marks[LEVELS] = {MV_MARK_RING, MV_MARK_CROSS, MV_MARK_DOT, MV_MARK_TRIANGLE};
    const mv_report_content *c = r->c;
    if (c->head_count == 0)
        return NULL;
    mv_point *point = mv_layout_memory(r->l, (size_t)c->head_count * sizeof *point);
    mv_group *group = mv_layout_memory(r->l, LEVELS * sizeof *group);
    mv_scatter chart = {.group = group,
                        .across = {.title = "mean distance that a head looks, px"},
                        .up = {.title = "entropy of a query: 0 one token, 1 even", .lo = 0, .hi = 1},
                        .height = PLOT};
    for (int level = 0, at = 0; point && group && level < LEVELS; level++) {
        mv_group *g = &group[chart.count];
        *g = (mv_group){names[level], point + at, 0, level, marks[level]};
        for (int i = 0; i < c->head_count; i++)
            if (c->head[i].level == level) {
                point[at++] = (mv_point){c->head[i].distance, c->head[i].entropy};
                g->n++;
            }
        g->hue = chart.count;
        chart.count += g->n > 0;
    }
    mv_panel *column = part(r, mv_layout_text(r->l, "%d heads", c->head_count), NULL);
    mv_panel_add(column, mv_panel_scatter(r->l, &chart));
    return column;
}

mv_panel *mv_report_heads(const mv_report *r)
{
    const mv_report_ablation *a = &r->c->ablation;
    if (a->rows == 0)
        return NULL;
    mv_extent x = {.maps = 1, .diverging = true};
    for (int i = 0; i < a->rows; i++)
        for (int h = 0; h < a->heads[i]; h++) {
            double v = a->value[(size_t)i * (size_t)a->columns + (size_t)h];
            x.lo = fmin(x.lo, isfinite(v) ? v : 0);
            x.hi = fmax(x.hi, isfinite(v) ? v : 0);
        }
    mv_heat chart = {.row = a->block,
                     .rows = a->rows,
                     .columns = a->columns,
                     .length = a->heads,
                     .value = a->value,
                     .k = mv_page_colouring(r->p, &x),
                     .digits = digits_for(fmax(-x.lo, x.hi)),
                     .sign = true,
                     .cell = row_pitch(a->rows)};
    mv_panel *column = part(r, "The logit without a head", a->note);
    mv_panel_add(column, mv_panel_heat(r->l, &chart));
    mv_panel_add(column, mv_panel_space(r->l, 8));
    mv_panel *bar = mv_panel_add(column, mv_panel_row(r->l, 12, MV_TOP));
    mv_panel_add(bar, mv_panel_colour_bar(r->l, &chart.k, false, MV_BAR_PLAIN));
    mv_panel_add(bar, mv_panel_wide(mv_panel_label(r->l, MV_TYPE_SMALL, MV_SECOND, "change, logits", 1), MV_NATURAL));
    return column;
}

/* --- mixers ------------------------------------------------------------------------------------ */

enum { SHOWN = 2 };

/* One mixer of each level, up to two: one with a matrix, if there is one, else the last. */
static int chosen(const mv_report *r, const mv_report_mixer *out[SHOWN])
{
    const mv_report_content *c = r->c;
    int n = 0;
    for (int i = 0; i < c->mixer_count; i++) {
        const mv_report_mixer *m = &c->mixer[i];
        if (n > 0 && out[n - 1]->level == m->level) {
            if (m->matrix || !out[n - 1]->matrix)
                out[n - 1] = m;
        } else if (n < SHOWN) {
            out[n++] = m;
        }
    }
    return n;
}

const char *mv_report_mixer_words(const mv_report *r)
{
    const mv_report_mixer *m[SHOWN];
    int n = chosen(r, m);
    const char *what = "what the scan steps, keeps, forgets and looks back at; each map has its own range";
    return n == r->c->mixer_count ? what : mv_layout_text(r->l, "%s; %d of %d mixers", what, n, r->c->mixer_count);
}

/* Which maps a mixer has. */
static const mv_map *mixer_map(const mv_report_mixer *m, int i)
{
    const mv_map *maps[] = {&m->dt, &m->state, &m->half_life, &m->hidden};
    return maps[i]->v ? maps[i] : NULL;
}

static mv_panel *mixer_cells(const mv_report *r, const mv_map *m, double width, double tall)
{
    mv_layout *l = r->l;
    mv_extent x = {0};
    char text[80];
    mv_extent_add(&x, m);
    bool even = strcmp(m->unit, MV_UNIT_EVEN) == 0;
    mv_colouring k = {.table = even ? r->p->sequential : mv_colour_table_lookup("viridis", NULL),
                      .scale = even ? mv_scale_even(r->p->style.scale, x.lo, x.hi)
                                    : mv_scale_of(MV_SCALE_LINEAR, x.lo, x.hi, false),
                      .grid = r->p->style.grid,
                      .cells = r->p->diverging};
    k = mv_page_colouring_of(k, m);
    mv_panel *column = mv_panel_column(l), *row = mv_panel_add(column, mv_panel_row(l, 0, MV_TOP));
    mv_panel_add(row,
                 mv_panel_wide(mv_panel_cells(l, m, r->c->picture, &k), fmax(floor(fmin(width, tall * r->aspect)), 8)));
    mv_range_text(text, x.lo, x.hi, false);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND,
                                        mv_layout_text(l, "%s%s", text, even ? "\xc3\x97" : ""), 2));
    mv_page_add_odd(r->p, column, x.odd);
    return column;
}

mv_panel *mv_report_mixers(const mv_report *r, double width)
{
    static const char *const titles[] = {"step size", "state norm", "half-life, tokens", "hidden attention"};
    const mv_report_mixer *m[SHOWN];
    mv_layout *l = r->l;
    int n = chosen(r, m);
    if (n == 0)
        return NULL;
    double each = floor((width - NAME - 4 * MIXER_GAP) / 4), tall = r->wide ? (n > 1 ? 84 : 180) : 200;
    mv_panel *column = mv_panel_column(l), *names = mv_panel_add(column, mv_panel_row(l, MIXER_GAP, MV_BOTTOM));
    mv_panel_add(names, mv_panel_wide(mv_panel_space(l, 0), NAME));
    for (int i = 0; i < 4; i++)
        mv_panel_add(names, mv_panel_label(l, MV_TYPE_SMALL, MV_INK, titles[i], 2));
    for (int k = 0; k < n; k++) {
        mv_panel_add(column, mv_panel_space(l, 4));
        mv_panel *row = mv_panel_add(column, mv_panel_row(l, MIXER_GAP, MV_TOP)), *name = mv_panel_column(l);
        mv_panel_add(
            name, mv_panel_label(l, MV_TYPE_STRONG, MV_INK, mv_layout_text(l, "%d.%d", m[k]->level, m[k]->block), 1));
        if (isfinite(m[k]->scan_share))
            mv_panel_add(name, mv_panel_label(l, MV_TYPE_SMALL, MV_SECOND,
                                              mv_layout_text(l, "scan %.0f %%, local %.0f %%", 100 * m[k]->scan_share,
                                                             100 - 100 * m[k]->scan_share),
                                              0));
        mv_panel_add(row, mv_panel_wide(name, NAME));
        for (int i = 0; i < 4; i++) {
            const mv_map *map = mixer_map(m[k], i);
            mv_panel_add(row, map ? mixer_cells(r, map, each, tall) : mv_panel_space(l, 0));
        }
    }
    return column;
}

mv_panel *mv_report_matrices(const mv_report *r, double width)
{
    const mv_report_mixer *m[SHOWN];
    mv_layout *l = r->l;
    int n = chosen(r, m), any = 0, most_shown = r->wide ? 1 : SHOWN;
    double each = r->wide ? fmin(width, 212) : fmin(floor((width - REPORT_GUTTER) / 2), 320);
    mv_panel *row = mv_panel_row(l, REPORT_GUTTER, MV_TOP);
    for (int k = 0; k < n; k++) {
        if (!m[k]->matrix || any == most_shown)
            continue;
        double most = 0;
        for (size_t i = 0; i < (size_t)m[k]->tokens * (size_t)m[k]->tokens; i++)
            most = fmax(most, isfinite(m[k]->matrix[i]) ? (double)m[k]->matrix[i] : 0);
        mv_matrix chart = {.v = m[k]->matrix,
                           .rows = m[k]->tokens,
                           .columns = m[k]->tokens,
                           .k = {.table = r->p->sequential, .scale = mv_scale_of(MV_SCALE_SQRT, 0, most, false)},
                           .across = "from token",
                           .down = "to token"};
        bool several = m[k]->dt.down * m[k]->dt.across > 1;
        mv_panel *column = mv_panel_column(l);
        mv_panel_add(column, mv_panel_label(l, MV_TYPE_SMALL, MV_INK,
                                            mv_layout_text(l, "%d.%d %s, to %.2g", m[k]->level, m[k]->block,
                                                           several ? "first window" : "token by token", most),
                                            1));
        mv_panel_add(column, mv_panel_matrix(l, &chart));
        mv_panel_add(row, mv_panel_wide(column, each));
        any++;
    }
    return any ? row : NULL;
}

mv_panel *mv_report_branch_bars(const mv_report *r)
{
    const mv_report_branches *b = &r->c->branches;
    if (b->rows == 0)
        return NULL;
    mv_bars chart = {.row = b->row,
                     .rows = b->rows,
                     .series = 2,
                     .name = {"without the scan", "without the local branch"},
                     .across = {.title = "change of the logit"},
                     .pitch = row_pitch(b->rows)};
    mv_panel *column = part(r, "The logit without scan or local branch", b->note);
    mv_panel_add(column, mv_panel_bars(r->l, &chart));
    return column;
}

/* --- deletion and insertion -------------------------------------------------------------------- */

static mv_panel *faith_chart(const mv_report *r, const char *words, const mv_report_curve *k)
{
    const mv_report_faith *f = &r->c->faith;
    if (f->n < 2)
        return NULL;
    mv_series *s = mv_layout_memory(r->l, 2 * sizeof *s);
    mv_panel *column = mv_panel_column(r->l);
    if (s) {
        s[0] = (mv_series){.name = f->map, .y = k->map};
        s[1] = (mv_series){.name = "random", .y = k->random, .lo = k->low, .hi = k->high, .hue = 2, .dash = 1};
    }
    mv_curves chart = {.x = f->share,
                       .n = f->n,
                       .series = s,
                       .count = s ? 2 : 0,
                       .across = {.title = "share of pixels", .lo = 0, .hi = 1},
                       .up = {.title = words, .lo = 0, .hi = 1},
                       .height = r->wide ? PLOT : 0};
    mv_panel_add(column, mv_panel_curves(r->l, &chart));
    mv_panel_add(column, mv_panel_label(r->l, MV_TYPE_SMALL, MV_INK,
                                        mv_layout_text(r->l, "area %.2f, random %.2f", k->area, k->random_area), 1));
    return column;
}

mv_panel *mv_report_faith_charts(const mv_report *r)
{
    const mv_report_faith *f = &r->c->faith;
    if (f->n < 2)
        return NULL;
    mv_panel *column = part(r, "Does the evidence tell the truth?", f->note);
    mv_panel *row = mv_panel_add(column, mv_panel_row(r->l, REPORT_GUTTER, MV_TOP));
    mv_panel_add(row, faith_chart(r, "deletion: p left", &f->deletion));
    mv_panel_add(row, faith_chart(r, "insertion: p reached", &f->insertion));
    return column;
}
