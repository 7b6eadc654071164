/* Panels of text and bars: labels, classes with their probabilities, colour bars with their ticks. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "viz/panel/panel_impl.h"

static mv_rgb voice_of(const mv_layout *layout, mv_voice voice)
{
    const mv_theme *t = mv_layout_theme(layout);
    return voice == MV_INK ? t->ink : voice == MV_SECOND ? t->second : voice == MV_THIRD ? t->third : t->counter;
}

void mv_line_draw(mv_layout *layout, mv_canvas *c, mv_type type, mv_rgb colour, const char *words, double x, double y,
                  double w, double along)
{
    mv_text *t = mv_text_new(mv_layout_fonts(layout), type, words, w, 1, mv_layout_error(layout));
    if (t)
        mv_canvas_text(c, x + along * (w - mv_text_width(t)), y, t, colour);
    mv_text_free(t);
}

double mv_line_width(mv_layout *layout, mv_type type, const char *words)
{
    mv_text *t = mv_text_new(mv_layout_fonts(layout), type, words, 0, 0, mv_layout_error(layout));
    double w = t ? mv_text_width(t) : 0;
    mv_text_free(t);
    return w;
}

double mv_line_room(mv_layout *layout, const char *words)
{
    return words && *words ? ceil(mv_line_width(layout, MV_TYPE_SMALL, words)) + 1 : 0;
}

int mv_ticks_across(mv_layout *layout, const mv_scale *scale, double length, bool times, mv_tick tick[MV_TICKS_MAX],
                    double *room)
{
    for (;;) {
        int n = mv_scale_ticks(scale, length, *room, times, tick);
        double widest = *room;
        for (int i = 0; i < n; i++)
            widest = fmax(widest, mv_line_room(layout, tick[i].label));
        if (widest == *room)
            return n;
        *room = widest;
    }
}

/* --- labels ------------------------------------------------------------------------------------ */

typedef struct {
    mv_panel panel;
    mv_type type;
    mv_voice voice;
    const char *words;
    int lines;
    bool right;
    mv_text *set; /* at the width that was last asked for */
    double set_width;
} label;

/* A name may be cut, a number never: such a text takes as many lines as it needs. */
static mv_text *set_whole(mv_layout *layout, mv_type type, const char *words, double width, int lines)
{
    mv_text *t = mv_text_new(mv_layout_fonts(layout), type, words, width, lines, mv_layout_error(layout));
    if (!t || !mv_text_is_cut(t) || !strpbrk(words, "0123456789"))
        return t;
    mv_text_free(t);
    return mv_text_new(mv_layout_fonts(layout), type, words, width, 0, mv_layout_error(layout));
}

static mv_text *set_label(mv_layout *layout, label *l, double width)
{
    if (!l->set || l->set_width != width) {
        mv_text_free(l->set);
        l->set = set_whole(layout, l->type, l->words, width, l->lines);
        l->set_width = width;
    }
    return l->set;
}

static double label_natural(mv_layout *layout, mv_panel *p, double widest)
{
    const mv_text *t = set_label(layout, (label *)p, widest);
    return t ? ceil(mv_text_width(t)) + 1 : 0; /* a px more, so that nothing wraps when it is set at this width */
}

static double label_height(mv_layout *layout, mv_panel *p, double width)
{
    const mv_text *t = set_label(layout, (label *)p, width);
    return t ? mv_text_height(t) : 0;
}

static double label_baseline(const mv_panel *p)
{
    const mv_text *t = ((const label *)p)->set;
    return t ? mv_text_baseline(t) : 0;
}

static void label_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    label *l = (label *)p;
    const mv_text *t = set_label(layout, l, p->w);
    if (t)
        mv_canvas_text(c, l->right ? p->x + p->w - mv_text_width(t) : p->x, p->y, t, voice_of(layout, l->voice));
}

static void label_free(mv_panel *p)
{
    mv_text_free(((label *)p)->set);
}

mv_panel *mv_panel_label(mv_layout *layout, mv_type type, mv_voice voice, const char *text, int lines)
{
    static const mv_panel_kind kind = {label_natural, label_height, label_baseline, label_draw, label_free};
    label *l = mv_panel_new(layout, sizeof *l, &kind);
    if (!l)
        return NULL;
    l->type = type;
    l->voice = voice;
    l->words = text ? text : "";
    if (type == MV_TYPE_PANEL && *l->words) {
        const char *letter = mv_layout_next_letter(layout);
        l->words = *letter ? mv_layout_text(layout, "%s%s", letter, l->words) : l->words;
    }
    l->lines = lines;
    return &l->panel;
}

mv_panel *mv_panel_label_right(mv_layout *layout, mv_type type, mv_voice voice, const char *text)
{
    mv_panel *p = mv_panel_label(layout, type, voice, text, 1);
    if (p)
        ((label *)p)->right = true;
    return p;
}

/* --- bars -------------------------------------------------------------------------------------- */

/* The share of names beside bars, and how much wider text is than small text. */
#define MOST_NAMES      0.62
#define TEXT_OVER_SMALL 1.17

enum { BAR_PITCH = 20, BAR_THICK = 8, PERCENT_WIDTH = 54, BAR_GAP = 12, LINE_PITCH = 32, LINE_THICK = 5 };

typedef struct {
    mv_panel panel;
    const mv_class_bar *bars;
    int count;
    bool below; /* bars stand below their names */
} bars;

/* True where the names do not fit beside bars that can be read: each bar then stands below its name. */
static bool stacked(mv_layout *layout, const bars *b, double width)
{
    double names = 0;
    for (int i = 0; i < b->count; i++)
        names = fmax(names, mv_line_room(layout, b->bars[i].name));
    return b->below || names * TEXT_OVER_SMALL > MOST_NAMES * (width - PERCENT_WIDTH);
}

static double bars_height(mv_layout *layout, mv_panel *p, double width)
{
    const bars *b = (const bars *)p;
    return b->count * (stacked(layout, b, width) ? LINE_PITCH : BAR_PITCH);
}

static const char *percent_text(char text[32], double share)
{
    double percent = 100 * share;
    if (!isfinite(percent))
        return "\xe2\x80\x94"; /* a dash */
    snprintf(text, 32, "%.1f %%", percent > 999 ? 999 : percent);
    return text;
}

static void draw_beside(mv_layout *layout, const bars *b, mv_canvas *c)
{
    const mv_panel *p = &b->panel;
    const mv_theme *t = mv_layout_theme(layout);
    double names = 0, widest = MOST_NAMES * (p->w - PERCENT_WIDTH);
    for (int i = 0; i < b->count; i++)
        names = fmax(names, mv_line_width(layout, i ? MV_TYPE_TEXT : MV_TYPE_STRONG, b->bars[i].name));
    names = fmin(fmax(ceil(names) + 1, 0.4 * (p->w - PERCENT_WIDTH)), widest);
    double x = p->x + names + BAR_GAP, w = fmax(p->x + p->w - PERCENT_WIDTH - x, 1);
    for (int i = 0; i < b->count; i++) {
        double y = p->y + i * BAR_PITCH, bar_y = y + (BAR_PITCH - BAR_THICK) / 2.0;
        double share = fmin(fmax(b->bars[i].probability, 0), 1);
        mv_type type = i ? MV_TYPE_TEXT : MV_TYPE_STRONG;
        mv_rgb ink = i ? t->second : t->ink;
        char percent[32];
        mv_line_draw(layout, c, type, ink, b->bars[i].name, p->x, y, names, 0);
        mv_canvas_rect(c, x, bar_y, w, BAR_THICK, 2, t->track);
        if (share > 0)
            mv_canvas_rect(c, x, bar_y, fmax(w * share, 2), BAR_THICK, 2, i ? t->third : t->accent);
        mv_line_draw(layout, c, type, ink, percent_text(percent, b->bars[i].probability), p->x + p->w - PERCENT_WIDTH,
                     y, PERCENT_WIDTH, 1);
    }
}

static void draw_below(mv_layout *layout, const bars *b, mv_canvas *c)
{
    const mv_panel *p = &b->panel;
    const mv_theme *t = mv_layout_theme(layout);
    for (int i = 0; i < b->count; i++) {
        double y = p->y + i * LINE_PITCH, share = fmin(fmax(b->bars[i].probability, 0), 1);
        mv_type type = i ? MV_TYPE_TEXT : MV_TYPE_STRONG;
        mv_rgb ink = i ? t->second : t->ink;
        char percent[32];
        mv_line_draw(layout, c, type, ink, b->bars[i].name, p->x, y, fmax(p->w - PERCENT_WIDTH, 1), 0);
        mv_line_draw(layout, c, type, ink, percent_text(percent, b->bars[i].probability), p->x + p->w - PERCENT_WIDTH,
                     y, PERCENT_WIDTH, 1);
        mv_canvas_rect(c, p->x, y + BAR_PITCH, p->w, LINE_THICK, 2, t->track);
        if (share > 0)
            mv_canvas_rect(c, p->x, y + BAR_PITCH, fmax(p->w * share, 2), LINE_THICK, 2, i ? t->third : t->accent);
    }
}

static void bars_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const bars *b = (const bars *)p;
    if (stacked(layout, b, p->w))
        draw_below(layout, b, c);
    else
        draw_beside(layout, b, c);
}

static mv_panel *new_bars(mv_layout *layout, const mv_class_bar *list, int count, bool below)
{
    static const mv_panel_kind kind = {.height = bars_height, .draw = bars_draw};
    bars *b = mv_panel_new(layout, sizeof *b, &kind);
    if (!b)
        return NULL;
    b->bars = list;
    b->count = count;
    b->below = below;
    return &b->panel;
}

mv_panel *mv_panel_class_bars(mv_layout *layout, const mv_class_bar *list, int count)
{
    return new_bars(layout, list, count, false);
}

mv_panel *mv_panel_class_lines(mv_layout *layout, const mv_class_bar *list, int count)
{
    return new_bars(layout, list, count, true);
}
