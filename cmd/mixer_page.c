/* The page of the command `mixer`: its words, and what its panels show. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/at.h"
#include "cmd/findings.h"
#include "cmd/mixer_reply.h"
#include "src/base/text.h"
#include "src/explain/logits.h"
#include "viz/draw/colour.h"

/* ---- words */

/* The block with the longest median half-life; -1 without any. */
static int longest(const mixer_line *line, int lines)
{
    int best = -1;
    for (int i = 0; i < lines; i++)
        if (isfinite(line[i].half_life) && (best < 0 || line[i].half_life > line[best].half_life))
            best = i;
    return best;
}

static const char *query_words(const call *c, const shot *t, const mv_map *hidden, char text[160])
{
    char at[128];
    if (hidden && c->at.query) {
        snprintf(text, 160, "query at %s", at_words(c, t, at));
        return text;
    }
    if (!hidden || !hidden->query || strcmp(hidden->query, "pooled") == 0)
        return "pooled query";
    if (strcmp(hidden->query, "received") == 0)
        return "what each cell receives";
    snprintf(text, 160, "query at cell %d,%d", hidden->query_y, hidden->query_x);
    return text;
}

void mixer_words_of(mixer_words *w, const call *c, const shot *t, const mixer_line *line, int lines)
{
    int best = longest(line, lines), top = mv_class_next(t->logits, c->session.config.classes, MV_MAP_NONE);
    char query[160], name[24], channel[32] = "", p[24], range[80];
    double least = INFINITY, most = 0;
    finding_probability(p, top < 0 ? 0 : mv_probability(t->logits, c->session.config.classes, top), 2);
    for (int i = 0; i < lines; i++) {
        least = fmin(least, line[i].half_life);
        most = fmax(most, line[i].half_life);
    }
    const mv_inside_params *view = c->ask[0].params;
    if (view->channel >= 0)
        snprintf(channel, sizeof channel, "channel %d  \xc2\xb7  ", view->channel);
    if (best < 0)
        snprintf(w->title, sizeof w->title, "Inside the mixers");
    else if (line[best].half_life > line[best].tokens)
        snprintf(w->title, sizeof w->title, "Level %d, block %d %s: half of its state outlasts the window of %d tokens",
                 line[best].level, line[best].block, lines > 1 ? "remembers longest" : "remembers everything",
                 line[best].tokens);
    else
        snprintf(w->title, sizeof w->title, "Level %d, block %d %s: half of its state lasts %.3g tokens",
                 line[best].level, line[best].block, lines > 1 ? "remembers longest" : "remembers",
                 line[best].half_life);
    if (lines > 1 && best >= 0)
        mv_text_print(w->subtitle, sizeof w->subtitle,
                      "Median half-lives from %s tokens  \xc2\xb7  %shidden attention: %s%s  \xc2\xb7  %.200s, "
                      "classified as %s, %s",
                      mv_range_text(range, least, most, false), channel,
                      query_words(c, t, line[0].map[MV_MIXER_HIDDEN], query), view->with_sign ? ", with its sign" : "",
                      t->base, session_class(&c->session, top, name), p);
    else
        mv_text_print(w->subtitle, sizeof w->subtitle,
                      "%sHidden attention: %s%s  \xc2\xb7  %.200s, classified as %s, %s", channel,
                      lines ? query_words(c, t, line[0].map[MV_MIXER_HIDDEN], query) : "",
                      view->with_sign ? ", with its sign" : "", t->base, session_class(&c->session, top, name), p);
    bool several = lines && line[0].map[MV_MIXER_H]->down * line[0].map[MV_MIXER_H]->across > 1;
    mv_text_print(w->film, sizeof w->film, "%s%.200s, classified as %s, %s  \xc2\xb7  %s", channel, t->base,
                  session_class(&c->session, top, name), p,
                  several ? "all windows are scanned at the same time, each row by row from an empty state"
                          : "row by row, from an empty state");
}

/* ---- columns and rows */

static void add_columns(mixer_page *p, const mixer_line *line, int kinds, bool with_sign)
{
    for (int k = 0; k < kinds; k++) {
        const mv_map *m = line[0].map[k];
        p->column[p->content.column_count++] =
            (mv_mixer_column){.title = mv_mixer_title((mv_mixer_kind)k),
                              .summary = mv_mixer_summary((mv_mixer_kind)k),
                              .unit = m->unit,
                              .look = k == MV_MIXER_RATIO                 ? MV_MIXER_LOG2
                                      : k < MV_MIXER_HIDDEN               ? MV_MIXER_CELLS
                                      : with_sign && k == MV_MIXER_HIDDEN ? MV_MIXER_SIGNED
                                                                          : MV_MIXER_EVEN};
    }
    p->content.columns = p->column;
}

/* The mean of the matrices (windows * T, T) over the windows. */
static mv_status mean_matrix(mv_map *out, const mv_map *m, mv_error *e)
{
    int t = m->w, windows = m->h / t;
    mv_status s = mv_map_new(out, t, t, e);
    for (int i = 0; i < t * t && !s; i++) {
        double sum = 0;
        for (int n = 0; n < windows; n++)
            sum += (double)m->v[(size_t)n * (size_t)(t * t) + (size_t)i];
        out->v[i] = (float)(sum / windows);
    }
    if (!s)
        mv_map_range(out);
    out->diverging = m->diverging;
    return s;
}

static void note_of(char text[160], const mixer_line *l)
{
    int n = snprintf(text, 160, "half-life %.3g tokens\n|y| / |z| %.2g", l->half_life, l->ratio);
    if (l->padding > 0)
        snprintf(text + n, 160 - (size_t)n, "\non padding: %.0f %% of tokens, %.0f %% of hidden attention",
                 100 * l->padding, 100 * l->hidden_on_padding);
}

static mv_status add_rows(mixer_page *p, const mixer_line *line, int lines, int kinds, bool matrix, mv_error *e)
{
    for (int i = 0; i < lines; i++) {
        mv_mixer_row *row = &p->row[i];
        *row = (mv_mixer_row){.level = line[i].level,
                              .block = line[i].block,
                              .note = p->note[i],
                              .scan_share = line[i].scan_share,
                              .state = line[i].map[MV_MIXER_H]};
        note_of(p->note[i], &line[i]);
        for (int k = 0; k < kinds; k++)
            row->map[k] = line[i].map[k];
        for (int k = 0; k < 2 && matrix; k++) {
            const mv_map *m = k < kinds - MV_MIXER_HIDDEN ? line[i].matrix[k] : NULL;
            if (!m)
                continue;
            if (mean_matrix(&p->mean[2 * i + k], m, e))
                return e->code;
            row->matrix[k] = &p->mean[2 * i + k];
        }
    }
    p->content.rows = p->row;
    p->content.row_count = lines;
    return MV_OK;
}

/* ---- the audit */

/* "-0.35" with a true minus */
static const char *number(char text[24], double v)
{
    snprintf(text, 24, "%s%.2f", v <= -0.005 ? "\xe2\x88\x92" : "", fabs(v));
    return text;
}

static void audit_note(char text[640], const call *c, const mv_audit *a)
{
    char name[24], other[24], t[5][24];
    int n = snprintf(text, 640,
                     "The picture is mirrored, or turned upside down, and its maps are turned back. Evidence for %s: "
                     "correlation %s mirrored, %s upside down; its logit %s becomes %s and %s.",
                     session_class(&c->session, a->class_, name), number(t[0], a->evidence[0].correlation),
                     number(t[1], a->evidence[1].correlation), number(t[2], a->logit), number(t[3], a->flipped[0]),
                     number(t[4], a->flipped[1]));
    for (int f = 0; f < MV_FLIPS; f++)
        if (a->top[f] != a->class_ && n < 600)
            n += snprintf(text + n, 640 - (size_t)n, " %s, the answer is %s.", f ? "Upside down" : "Mirrored",
                          session_class(&c->session, a->top[f], other));
    double tokens = 0, hidden = 0, norm = 0;
    for (int i = 0; i < a->blocks; i++) {
        tokens = fmax(tokens, a->block[i].tokens);
        hidden = fmax(hidden, a->block[i].hidden);
        norm = fmax(norm, a->block[i].norm);
    }
    if (n > 600)
        return;
    if (tokens > 0)
        snprintf(text + n, 640 - (size_t)n,
                 " Padding holds up to %.0f %% of the tokens, %.0f %% of hidden attention and %.0f %% of the state.",
                 100 * tokens, 100 * hidden, 100 * norm);
    else
        snprintf(text + n, 640 - (size_t)n, " There is no padding.");
}

static mv_status add_audit(mixer_page *p, const call *c, const mv_audit *a, mv_error *e)
{
    static const char *const titles[] = {"Mirrored: correlation with the original", "Upside down: correlation",
                                         "Mirrored: relative distance from the original", "Upside down: distance"};
    static const char *const heads[MV_AUDIT_STATES] = {/* narrow enough for a page of 640 px */
                                                       [MV_MIXER_DT] = "step",
                                                       [MV_MIXER_B] = "|B|",
                                                       [MV_MIXER_C] = "|C|",
                                                       [MV_MIXER_WRITE] = "write",
                                                       [MV_MIXER_H] = "|h|",
                                                       [MV_MIXER_RATIO] = "|y|/|z|",
                                                       [MV_MIXER_HALF_LIFE] = "half-life"};
    size_t rows = (size_t)a->blocks, cells = rows * MV_AUDIT_STATES;
    p->name = calloc(rows + 1, sizeof *p->name);
    p->names = calloc(rows + MV_AUDIT_STATES, sizeof *p->names);
    p->value = calloc(2 * MV_FLIPS * cells + 1, sizeof *p->value);
    if (!p->name || !p->names || !p->value)
        return mv_fail_memory(e, "mixer");
    for (int k = 0; k < MV_AUDIT_STATES; k++)
        p->names[rows + (size_t)k] = heads[k];
    for (size_t i = 0; i < rows; i++) {
        snprintf(p->name[i], sizeof *p->name, "level %d, block %d", a->block[i].level, a->block[i].block);
        p->names[i] = p->name[i];
    }
    for (int g = 0; g < 2 * MV_FLIPS; g++) {
        double *value = p->value + (size_t)g * cells;
        for (size_t i = 0; i < rows; i++)
            for (size_t k = 0; k < MV_AUDIT_STATES; k++) {
                const mv_likeness *of = &a->block[i].state[k][g % MV_FLIPS];
                value[i * MV_AUDIT_STATES + k] = g < MV_FLIPS ? of->correlation : of->distance;
            }
        p->grid[g] = (mv_mixer_grid){.title = titles[g],
                                     .row = p->names,
                                     .column = p->names + rows,
                                     .rows = a->blocks,
                                     .columns = MV_AUDIT_STATES,
                                     .value = value,
                                     .around_zero = g < MV_FLIPS};
    }
    audit_note(p->grids_note, c, a);
    p->content.grids = p->grid;
    p->content.grid_count = 2 * MV_FLIPS;
    p->content.grids_title = "What depends on the order of the scan";
    p->content.grids_note = p->grids_note;
    return MV_OK;
}

/* ---- the page */

mv_status mixer_page_of(mixer_page *p, const call *c, const shot *t, const mixer_line *line, int lines,
                        const mixer_show *show, const mv_audit *audit, mv_error *e)
{
    const mv_inside_params *view = c->ask[0].params;
    *p = (mixer_page){.row = calloc((size_t)lines + 1, sizeof *p->row),
                      .note = calloc((size_t)lines + 1, sizeof *p->note),
                      .mean = calloc(2 * (size_t)lines + 1, sizeof *p->mean)};
    if (!p->row || !p->note || !p->mean)
        return mv_fail_memory(e, "mixer");
    mixer_words_of(&p->text, c, t, line, lines);
    p->words = (page_words){.title = p->text.title, .subtitle = p->text.subtitle, .method = "states of the mixers"};
    p->content = (mv_mixer_content){.picture = t->image,
                                    .film = show->film,
                                    .matrix_title = {view->with_sign ? "Hidden attention token by token: mean of M"
                                                                     : "Hidden attention token by token: mean of |M|",
                                                     "Contributions token by token: norms"}};
    int kinds = show->contributions ? MV_MIXER_KINDS : MV_MIXER_CONTRIBUTIONS;
    add_columns(p, line, kinds, view->with_sign);
    mv_status s = add_rows(p, line, lines, kinds, show->matrix, e);
    return s || !audit ? s : add_audit(p, c, audit, e);
}

void mixer_page_free(mixer_page *p)
{
    for (int i = 0; p->mean && i < 2 * p->content.row_count; i++)
        mv_map_free(&p->mean[i]);
    free(p->row);
    free(p->note);
    free(p->mean);
    free(p->name);
    free(p->names);
    free(p->value);
}
