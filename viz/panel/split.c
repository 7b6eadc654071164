/* A bar in two parts. */
#include <math.h>

#include "viz/panel/panel_impl.h"

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

static void split_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const split *s = (const split *)p;
    const mv_theme *t = mv_layout_theme(layout);
    double left = fmin(fmax(s->share, 0), 1) * (p->w - PART_GAP), words = p->y + THICK + 4, half = p->w / 2 - 2;
    mv_canvas_rect(c, p->x, p->y, left, THICK, 2, t->accent);
    mv_canvas_rect(c, p->x + left + PART_GAP, p->y, p->w - PART_GAP - left, THICK, 2, t->counter);
    mv_line_draw(layout, c, MV_TYPE_SMALL, t->accent, s->left, p->x, words, half, 0);
    mv_line_draw(layout, c, MV_TYPE_SMALL, t->counter, s->right, p->x + p->w - half, words, half, 1);
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
