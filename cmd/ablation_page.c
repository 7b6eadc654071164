/* The page of `ablate`: before and after, and the grids of sweeps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ablation.h"
#include "cmd/findings.h"
#include "cmd/page_file.h"
#include "src/base/number.h"
#include "src/base/text.h"
#include "src/explain/logits.h"
#include "viz/page/ablate.h"

enum { SHOWN = 12 }; /* classes on a page */

/* A grid as the page takes it, with the memory of its parts. */
typedef struct {
    double *value;
    int *length;
    char (*text)[32];
    const char **name; /* rows, then columns */
    mv_map map;
    char title[160], finding[240], note[320];
    bool estimate; /* the estimates of a grid, not the exact changes */
    const double *change;
} drawn;

static void drawn_free(drawn *d)
{
    free(d->value);
    free(d->length);
    free(d->text);
    free(d->name);
    mv_map_free(&d->map);
}

/* ---- words */

static const char *note_of(mv_sweep_kind kind)
{
    static const char *const notes[MV_SWEEPS] = {
        [MV_SWEEP_HEADS] = "Rows are level.block. Every head gives zeros to the projection.",
        [MV_SWEEP_BLOCKS] = "What a block adds to its input is zero.",
        [MV_SWEEP_MIXERS] = ("Rows are level.block. y is the scan, z the local branch, dt the step size, whose mean is "
                             "over the window's tokens; C = 0 leaves D x of the scan."),
        [MV_SWEEP_BRANCHES] = "Rows are level.block. What the mixer (or attention) and the MLP add is zero.",
        [MV_SWEEP_CHANNELS] = "A row is 32 channels.",
        [MV_SWEEP_TOKENS] = "Each cell is replaced by the mean over the site's tokens."};
    return notes[kind];
}

static void set_title(drawn *d, mv_sweep_grid g)
{
    static const char *const titles[MV_SWEEPS] = {
        [MV_SWEEP_HEADS] = "Each head set to zero",       [MV_SWEEP_BLOCKS] = "Each block skipped",
        [MV_SWEEP_MIXERS] = "Each mixer, part by part",   [MV_SWEEP_BRANCHES] = "Each branch set to zero",
        [MV_SWEEP_CHANNELS] = "Each channel set to zero", [MV_SWEEP_TOKENS] = "Each token replaced by the mean",
    };
    snprintf(d->title, sizeof d->title, "%s%s%.100s%s", titles[g.kind], g.site ? ": " : "", g.site ? g.site : "",
             d->estimate ? ", estimated" : "");
}

static void set_finding(drawn *d, const mv_sweep *s, mv_sweep_grid g, const ablation_result *r)
{
    char words[MV_SWEEP_NAME], moved[32], agreement[80];
    int most = ablation_next(d->change, g.first, g.first + g.count, -1);
    if (d->estimate && *ablation_agreement(r, g, agreement))
        snprintf(d->finding, sizeof d->finding, "Against the exact changes: %s", agreement);
    else if (most >= 0)
        snprintf(d->finding, sizeof d->finding, "Most: %s, %s", mv_sweep_item_words(s, most, words),
                 mv_number_text(moved, d->change[most], 2, true));
    snprintf(d->note, sizeof d->note, "%s%s", d->estimate ? "To first order, by one backward pass. " : "",
             d->estimate && r->change ? "" : note_of(g.kind));
}

/* ---- grids */

static const char *across_of(mv_sweep_kind kind)
{
    return kind == MV_SWEEP_HEADS ? "head" : kind == MV_SWEEP_BLOCKS ? "block" : NULL;
}

static mv_status fill_cells(drawn *d, mv_ablate_grid *out, const mv_sweep *s, int index, mv_sweep_grid g, mv_error *e)
{
    size_t names = (size_t)g.rows + (size_t)g.columns;
    d->value = calloc((size_t)g.rows * (size_t)g.columns, sizeof *d->value);
    d->length = calloc((size_t)g.rows, sizeof *d->length);
    d->text = calloc(names, sizeof *d->text);
    d->name = calloc(names, sizeof *d->name);
    if (!d->value || !d->length || !d->text || !d->name)
        return mv_fail_memory(e, "page");
    for (int i = g.first; i < g.first + g.count; i++) {
        mv_sweep_item t = mv_sweep_at(s, i);
        d->value[(size_t)t.row * (size_t)g.columns + (size_t)t.column] = d->change[i];
        if (t.column >= d->length[t.row])
            d->length[t.row] = t.column + 1;
    }
    for (int i = 0; i < g.rows; i++)
        d->name[i] = mv_sweep_row_name(s, index, i, d->text[i]);
    for (int i = 0; i < g.columns; i++)
        d->name[g.rows + i] = mv_sweep_column_name(s, index, i, d->text[g.rows + i]);
    out->row = d->name;
    out->column = d->name + g.rows;
    out->rows = g.rows, out->columns = g.columns;
    out->length = d->length;
    out->value = d->value;
    out->across = across_of(g.kind);
    return MV_OK;
}

static mv_status fill_map(drawn *d, mv_ablate_grid *out, const mv_sweep *s, mv_sweep_grid g, mv_error *e)
{
    if (mv_map_new(&d->map, g.rows, g.columns, e))
        return e->code;
    for (int i = g.first; i < g.first + g.count; i++) {
        mv_sweep_item t = mv_sweep_at(s, i);
        d->map.v[t.row * g.columns + t.column] = (float)d->change[i];
    }
    d->map.diverging = true;
    mv_map_range(&d->map);
    out->map = &d->map;
    return MV_OK;
}

static mv_status fill(drawn *d, mv_ablate_grid *out, const mv_sweep *s, int index, const ablation_result *r,
                      mv_error *e)
{
    mv_sweep_grid g = mv_sweep_grid_at(s, index);
    set_title(d, g);
    set_finding(d, s, g, r);
    *out = (mv_ablate_grid){.title = d->title, .finding = d->finding, .note = d->note};
    return g.kind == MV_SWEEP_TOKENS ? fill_map(d, out, s, g, e) : fill_cells(d, out, s, index, g, e);
}

/* All grids: exact changes, then their estimates. Returns how many. */
static int fill_all(drawn *parts, mv_ablate_grid *grid, const mv_sweep *s, const ablation_result *r, mv_error *e)
{
    int n = 0;
    for (int i = 0; s && i < mv_sweep_grids(s); i++)
        for (int estimate = 0; estimate < 2 && !e->code; estimate++) {
            const double *change = estimate ? r->estimate : r->change;
            if (!change || (estimate && mv_sweep_grid_at(s, i).kind == MV_SWEEP_TOKENS))
                continue;
            parts[n].estimate = estimate;
            parts[n].change = change;
            fill(&parts[n], &grid[n], s, i, r, e);
            n++;
        }
    return n;
}

/* ---- the page */

static void fill_classes(const call *c, const ablation_result *r, int top, mv_ablate_class *out, char name[SHOWN][24],
                         int *count)
{
    int shown[SHOWN], n = c->session.config.classes;
    *count = ablation_classes(r, n, top, SHOWN, shown);
    for (int i = 0; i < *count; i++) {
        int k = shown[i];
        out[i] = (mv_ablate_class){.name = session_class(&c->session, k, name[i]),
                                   .probability = {mv_probability(r->before, n, k), NAN},
                                   .logit = {(double)r->before[k], NAN}};
        if (r->after) {
            out[i].probability[1] = mv_probability(r->after, n, k);
            out[i].logit[1] = (double)r->after[k];
        }
    }
}

/* "Change of the logit of church  ·  on top of 2 edits  ·  photo.jpg" */
static void say_below(const call *c, const shot *t, const ablation *a, const ablation_result *r, char text[900])
{
    char of[ABLATION_WORDS], b[32], f[32], m[32];
    int n = c->session.config.classes, edits = ablation_asked(a)->set->n;
    double before = (double)r->before[r->class_], after = r->after ? (double)r->after[r->class_] : 0;
    if (r->against >= 0) {
        before -= (double)r->before[r->against];
        after -= r->after ? (double)r->after[r->against] : 0;
    }
    int at = 0;
    if (r->after)
        at = snprintf(text, 900, "%s: %s before, %s after, %s", ablation_quantity(c, r, of),
                      mv_number_text(b, before, 3, true), mv_number_text(f, after, 3, true),
                      mv_number_text(m, after - before, 3, true));
    else {
        at = snprintf(text, 900, "%s: %s", ablation_quantity(c, r, of), mv_number_text(b, before, 3, true));
        if (r->against < 0)
            at += snprintf(text + at, 900 - (size_t)at, ", %s",
                           finding_probability(b, mv_probability(r->before, n, r->class_), 2));
    }
    if (r->after && ablation_shown(r))
        at += snprintf(text + at, 900 - (size_t)at, "  \xc2\xb7  sweeps on top of the edit%s", edits == 1 ? "" : "s");
    mv_text_print(text + at, 900 - (size_t)at, "  \xc2\xb7  %.200s", t->base);
    if (*text == 't')
        *text = 'T';
}

mv_status ablation_draw(const call *c, const shot *t, const ablation *a, const ablation_result *r, int top, mv_error *e)
{
    const mv_sweep *s = ablation_sweep(a);
    drawn parts[2 * MV_SWEEPS] = {0};
    mv_ablate_grid grid[2 * MV_SWEEPS];
    mv_ablate_class classes[SHOWN];
    char name[SHOWN][24], finding[ABLATION_WORDS], below[900], title[ABLATION_WORDS], method[96];
    mv_error filling = {0};
    int grids = fill_all(parts, grid, s, r, &filling);
    mv_status status = filling.code ? mv_fail(e, filling.code, "%s", filling.text) : MV_OK;
    char *safe = mv_text_escape(ablation_finding(c, a, r, finding));
    mv_text_capital(title, sizeof title, safe ? safe : "");
    say_below(c, t, a, r, below);
    snprintf(method, sizeof method, "%s%s%s%s", r->after ? "ablation, exact CAM" : "", r->after && s ? ", " : "",
             r->change ? "sweep of single edits" : "",
             !r->estimate ? ""
             : r->change  ? ", Taylor estimates"
                          : "Taylor estimates of single edits");
    page_words words = {.title = title, .subtitle = below, .method = method};
    mv_ablate_content content = {.picture = t->image,
                                 .classes = classes,
                                 .edited = r->after != NULL,
                                 .evidence = r->maps.map,
                                 .evidence_count = r->maps.n,
                                 .grids = grid,
                                 .grid_count = grids,
                                 .unit = "logit"};
    fill_classes(c, r, top, classes, name, &content.class_count);
    if (!status && !safe)
        status = mv_fail_memory(e, t->name);
    if (!status)
        status = page_write(c, t, &mv_page_ablate, &words, &content, e);
    for (int i = 0; i < grids; i++)
        drawn_free(&parts[i]);
    free(safe);
    return status;
}
