/* The parts of a report: the answer, evidence and attention, and what was checked. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "viz/page/report_impl.h"

/* What is taller is drawn narrower (mv_panel_picture). */
#define TALLEST 1.6

enum { BARS = 6, THUMB_GAP = 12, THUMB_LABEL = 20, THUMB_LINE = 8, CHECK_GAP = 24, ROOM_FOR_UNIT = 420 };

/* --- pictures ---------------------------------------------------------------------------------- */

/* A picture with the part that the network saw outlined, in white over black, which shows on any colour. */
typedef struct {
    mv_panel panel;
    const mv_image *photo;
    const mv_panel *picture;
    double crop[4];
} outline;

static double outline_height(mv_layout *l, mv_panel *p, double width)
{
    (void)l;
    (void)p;
    (void)width;
    return 0;
}

static void outline_draw(mv_layout *l, mv_panel *p, mv_canvas *c)
{
    const outline *o = (const outline *)p;
    (void)l;
    double w, h, half = 1.5;
    mv_panel_picture_size(o->picture, &w, &h);
    double scale = w / o->photo->w, left = p->x + o->crop[0] * scale, top = p->y + o->crop[1] * scale;
    double right = fmin(left + o->crop[2] * scale, p->x + w), bottom = fmin(top + o->crop[3] * scale, p->y + h);
    const mv_point box[] = {{left + half, top + half},    {right - half, top + half}, {right - half, bottom - half},
                            {left + half, bottom - half}, {left + half, top + half},  {right - half, top + half}};
    mv_canvas_line(c, box, 6, 3, 0, (mv_rgb){0, 0, 0});
    mv_canvas_line(c, box, 6, 1.5, 0, (mv_rgb){255, 255, 255});
}

/* A picture at most `tall` px tall. */
static mv_panel *held(const mv_report *r, mv_panel *picture, double aspect, double width, double tall)
{
    mv_panel *row = mv_panel_row(r->l, 0, MV_TOP);
    mv_panel_add(row, mv_panel_wide(picture, fmax(floor(fmin(width, tall * aspect)), 8)));
    return row;
}

static mv_panel *outlined(const mv_report *r, double width, double tall)
{
    static const mv_panel_kind lines = {.height = outline_height, .draw = outline_draw};
    const mv_image *photo = r->c->photo;
    double aspect = (double)photo->w / photo->h;
    mv_panel *p = mv_panel_stack(r->l);
    outline *o = mv_panel_new(r->l, sizeof *o, &lines);
    if (!p || !o)
        return NULL;
    o->photo = photo;
    memcpy(o->crop, r->c->crop, sizeof o->crop);
    o->picture = mv_panel_add(p, mv_panel_picture(r->l, photo));
    if (!o->picture)
        return NULL;
    mv_panel_add(p, &o->panel);
    return held(r, p, fmax(aspect, 1 / TALLEST), width, tall);
}

static mv_panel *title(const mv_report *r, const char *words)
{
    return mv_panel_label(r->l, MV_TYPE_PANEL, MV_INK, words, 1);
}

static mv_panel *small(const mv_report *r, const char *words, int lines)
{
    return mv_panel_label(r->l, MV_TYPE_SMALL, MV_SECOND, words, lines);
}

mv_panel *mv_report_picture(const mv_report *r, double width)
{
    const mv_report_content *c = r->c;
    mv_panel *column = mv_panel_column(r->l);
    mv_panel_add(column, title(r, "Picture"));
    mv_panel_add(column, mv_panel_space(r->l, 4));
    if (c->photo && c->crop[2] > 0)
        mv_panel_add(column, outlined(r, width, r->tall));
    else
        mv_panel_add(column, held(r, mv_panel_picture(r->l, c->picture), r->aspect, width, r->tall));
    mv_panel_add(column, mv_panel_space(r->l, 4));
    if (c->photo_words)
        mv_panel_add(column, small(r, c->photo_words, 0));
    return column;
}

mv_panel *mv_report_answer(const mv_report *r)
{
    const mv_report_content *c = r->c;
    mv_panel *column = mv_panel_column(r->l);
    mv_panel_add(column, title(r, "Answer"));
    mv_panel_add(column, mv_panel_space(r->l, 4));
    mv_panel_add(column, mv_panel_class_lines(r->l, c->top, c->top_count < BARS ? c->top_count : BARS));
    mv_panel_add(column, mv_panel_space(r->l, 8));
    if (c->answer_words)
        mv_panel_add(column, small(r, c->answer_words, 0));
    return column;
}

/* --- evidence ---------------------------------------------------------------------------------- */

static mv_panel *overlay(const mv_report *r, const mv_map *m, const mv_colouring *k)
{
    return mv_panel_overlay(r->l, m, r->c->picture, k);
}

static const char *range_words(const mv_report *r, const mv_map *map)
{
    char text[80];
    double lo, hi;
    mv_map_extent(map, &lo, &hi);
    mv_range_text(text, lo, hi, map->diverging);
    return map->cell ? mv_layout_text(r->l, "%d px cells %s", map->cell, text) : mv_layout_text(r->l, "cells %s", text);
}

mv_panel *mv_report_evidence(const mv_report *r, double width)
{
    const mv_report_content *c = r->c;
    if (c->evidence_count == 0)
        return NULL;
    mv_layout *l = r->l;
    mv_panel *column = mv_panel_column(l), *titles = mv_panel_row(l, REPORT_GUTTER, MV_BOTTOM),
             *maps = mv_panel_row(l, REPORT_GUTTER, MV_TOP), *proofs = mv_panel_row(l, REPORT_GUTTER, MV_TOP);
    double each = (width - (c->evidence_count - 1) * REPORT_GUTTER) / c->evidence_count;
    const char *method = c->evidence[0].method;
    int odd = 0;
    for (int i = 0; i < c->evidence_count; i++) {
        const mv_map *m = &c->evidence[i];
        mv_extent own = {0};
        mv_colouring k = mv_page_colouring_of(r->signs, m);
        mv_extent_add(&own, m);
        odd += own.odd;
        mv_panel *words = mv_panel_column(l);
        if (*m->proof)
            mv_panel_add(words, mv_panel_label(l, MV_TYPE_SMALL, MV_INK, m->proof, 0));
        mv_panel_add(words, small(r, range_words(r, m), 0));
        mv_panel_add(titles, title(r, m->title));
        mv_panel_add(maps, held(r, overlay(r, m, &k), r->aspect, each, r->tall));
        mv_panel_add(proofs, words);
    }
    mv_panel_add(column, titles);
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column, maps);
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column, proofs);
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel *bar = mv_panel_add(column, width < ROOM_FOR_UNIT ? mv_panel_column(l) : mv_panel_row(l, 12, MV_TOP));
    mv_panel_add(bar, mv_panel_colour_bar(l, &r->signs, false, MV_BAR_OVERLAY));
    mv_panel_add(bar, mv_panel_wide(small(r,
                                          mv_layout_text(l, "%s%s%s%s", method ? method : "", method ? ": " : "",
                                                         c->evidence[0].unit,
                                                         r->signs.scale.diverging ? "; lines: dashed below 0" : ""),
                                          1),
                                    MV_NATURAL));
    mv_page_add_odd(r->p, column, odd);
    return column;
}

/* --- attention --------------------------------------------------------------------------------- */

mv_panel *mv_report_rollout(const mv_report *r, double width)
{
    const mv_map *m = r->c->rollout;
    if (!m)
        return NULL;
    mv_layout *l = r->l;
    mv_panel *column = mv_panel_column(l);
    mv_colouring k = mv_page_colouring_of(r->rolled, m);
    mv_panel_add(column, mv_panel_label(l, MV_TYPE_STRONG, MV_INK, m->title, 1));
    mv_panel_add(column, held(r, overlay(r, m, &k), r->aspect, width, r->tall));
    mv_panel_add(column, mv_panel_space(l, 4));
    mv_panel_add(column, mv_panel_colour_bar(l, &r->rolled, true, MV_BAR_OVERLAY));
    return column;
}

/* Number i of n that are spread evenly over `count`. */
static int spread(int i, int n, int count)
{
    return n < 2 ? 0 : (int)lround((double)i * (count - 1) / (n - 1));
}

static int thumb_count(const mv_report *r)
{
    return r->c->attention_count < REPORT_THUMBS ? r->c->attention_count : REPORT_THUMBS;
}

/* How many side by side: what makes them largest within width x height. */
static int thumb_columns(const mv_report *r, int n, double width, double height, double *wide)
{
    int best = 1;
    *wide = 0;
    for (int columns = 1; columns <= n; columns++) {
        int lines = (n + columns - 1) / columns;
        double across = (width - (columns - 1) * THUMB_GAP) / columns;
        double down = ((height - (lines - 1) * THUMB_LINE) / lines - THUMB_LABEL) * r->aspect;
        double w = floor(fmin(across, down));
        if (w > *wide) {
            *wide = w;
            best = columns;
        }
    }
    *wide = fmax(*wide, 40);
    return best;
}

static mv_panel *thumbnail(const mv_report *r, const mv_map *m, double wide)
{
    mv_layout *l = r->l;
    mv_panel *column = mv_panel_column(l), *words = mv_panel_row(l, 4, MV_BASELINE);
    mv_colouring k = mv_page_colouring_of(r->even, m);
    char peak[32];
    double lo, hi;
    mv_map_extent(m, &lo, &hi);
    mv_number_text(peak, hi, hi >= 9.95 ? 0 : 1, false);
    mv_panel_add(words, mv_panel_label(l, MV_TYPE_SMALL, MV_INK, mv_layout_text(l, "%d.%d", m->level, m->block), 1));
    mv_panel_add(
        words, mv_panel_wide(mv_panel_label_right(l, MV_TYPE_SMALL, MV_SECOND,
                                                  mv_layout_text(l, wide < 72 ? "%s\xc3\x97" : "to %s\xc3\x97", peak)),
                             MV_NATURAL));
    mv_panel_add(column, words);
    mv_panel_add(column, overlay(r, m, &k));
    return column;
}

mv_panel *mv_report_thumbnails(const mv_report *r, double width, double height)
{
    int n = thumb_count(r);
    if (n == 0)
        return NULL;
    double wide;
    int columns = thumb_columns(r, n, width, height, &wide);
    mv_panel *column = mv_panel_column(r->l), *line = NULL;
    for (int i = 0; i < n; i++) {
        if (i % columns == 0) {
            mv_panel_add(column, mv_panel_space(r->l, i ? THUMB_LINE : 0));
            line = mv_panel_add(column, mv_panel_row(r->l, THUMB_GAP, MV_TOP));
        }
        const mv_map *m = &r->c->attention[spread(i, n, r->c->attention_count)];
        mv_panel_add(line, mv_panel_wide(thumbnail(r, m, wide), wide));
    }
    mv_panel_add(column, mv_panel_space(r->l, 8));
    mv_panel_add(column, mv_panel_colour_bar(r->l, &r->even, true, MV_BAR_OVERLAY));
    return column;
}

const char *mv_report_attention_words(const mv_report *r)
{
    int n = thumb_count(r), all = r->c->attention_count;
    const char *what = "level.block; pooled query, mean of heads, as multiples of an even spread, one scale; lines: "
                       "2\xc3\x97, 4\xc3\x97, 8\xc3\x97";
    return n == all ? what : mv_layout_text(r->l, "%s; %d of %d blocks", what, n, all);
}

/* --- what was checked -------------------------------------------------------------------------- */

mv_panel *mv_report_checks(const mv_report *r, int columns)
{
    const mv_report_content *c = r->c;
    if (c->check_count == 0)
        return NULL;
    mv_panel *all = mv_panel_column(r->l), *line = NULL;
    int lines = (c->check_count + columns - 1) / columns;
    for (int i = 0; i < lines * columns; i++) {
        if (i % columns == 0) {
            mv_panel_add(all, mv_panel_space(r->l, i ? 8 : 0));
            line = mv_panel_add(all, mv_panel_row(r->l, CHECK_GAP, MV_TOP));
        }
        mv_panel *place = mv_panel_add(line, mv_panel_column(r->l));
        if (i >= c->check_count)
            continue;
        mv_panel_add(place, mv_panel_label(r->l, MV_TYPE_STRONG, MV_INK, c->check[i].name, 1));
        mv_panel_add(place, small(r, c->check[i].finding, 0));
    }
    return all;
}
