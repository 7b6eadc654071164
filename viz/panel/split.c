/* A bar in two parts. */
#include <math.h>

#include "viz/panel/panel.h"

enum { THICK = 8, LINE = 16, PART_GAP = 2 };

typedef struct {
    mv_panel panel;
    double share;
    const char *left, *right;
} split;

static double split_height(mv_layout *layout, mv_panel *p, double width)
{
    (void)layout;
    (void)width;
    (void)p;
    return THICK + 4 + LINE;
}

static void word(mv_layout *layout, mv_canvas *c, const split *s, const char *text, bool right, mv_rgb ink)
{
    const mv_panel *p = &s->panel;
    mv_text *t = mv_text_new(mv_layout_fonts(layout), MV_TYPE_SMALL, text, p->w / 2 - 2, 1, mv_layout_error(layout));
    if (t)
        mv_canvas_text(c, right ? p->x + p->w - mv_text_width(t) : p->x, p->y + THICK + 4, t, ink);
    mv_text_free(t);
}

static void split_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const split *s = (const split *)p;
    const mv_theme *t = mv_layout_theme(layout);
    double left = fmin(fmax(s->share, 0), 1) * (p->w - PART_GAP);
    mv_canvas_rect(c, p->x, p->y, left, THICK, 2, t->accent);
    mv_canvas_rect(c, p->x + left + PART_GAP, p->y, p->w - PART_GAP - left, THICK, 2, t->counter);
    word(layout, c, s, s->left, false, t->accent);
    word(layout, c, s, s->right, true, t->counter);
}

mv_panel *mv_panel_split(mv_layout *layout, double share, const char *left, const char *right)
{
    static const mv_panel_kind kind = {.height = split_height, .draw = split_draw};
    split *s = mv_panel_new(layout, sizeof *s, &kind);
    if (!s)
        return NULL;
    s->share = share;
    s->left = left;
    s->right = right;
    return &s->panel;
}
