/* Colour bars: the colours of a scale, its ticks, and the lines that its maps have. */
#include <math.h>

#include "viz/panel/panel_impl.h"

enum { STRIP = 9, STRIP_GAP = 2, TICK_LONG = 4, LABEL_LINE = 16, BAR_SAMPLES = 256 };

typedef struct {
    mv_panel panel;
    mv_colouring k;
    bool times;
    mv_bar_kind of;
} colour_bar;

static double thick(const colour_bar *b)
{
    return b->of == MV_BAR_BOTH ? 2 * STRIP + STRIP_GAP : STRIP;
}

static double colour_bar_height(mv_layout *layout, mv_panel *p, double width)
{
    (void)layout;
    (void)width;
    return ceil((thick((colour_bar *)p) + TICK_LONG + LABEL_LINE + 3) / 4) * 4;
}

/* The colours from low to high. That of an overlay shows the paper where the overlay shows the picture. */
static void draw_strip(mv_layout *layout, const colour_bar *b, bool overlay, mv_canvas *c, double y)
{
    uint8_t rgb[3 * BAR_SAMPLES], *out = rgb;
    mv_rgb paper = mv_layout_theme(layout)->paper;
    for (int i = 0; i < BAR_SAMPLES; i++, out += 3) {
        double place = (i + 0.5) / BAR_SAMPLES, f = overlay ? mv_colouring_opacity(&b->k, place) : 1;
        mv_rgb k = overlay ? mv_colouring_colour(&b->k, place) : mv_colouring_cell(&b->k, place);
        out[0] = (uint8_t)(paper.r + (k.r - paper.r) * f + 0.5);
        out[1] = (uint8_t)(paper.g + (k.g - paper.g) * f + 0.5);
        out[2] = (uint8_t)(paper.b + (k.b - paper.b) * f + 0.5);
    }
    mv_canvas_image(c, b->panel.x, y, b->panel.w, STRIP, BAR_SAMPLES, 1, rgb, true);
}

static void draw_tick(mv_layout *layout, const colour_bar *b, mv_canvas *c, const mv_tick *tick, double room)
{
    const mv_theme *t = mv_layout_theme(layout);
    const mv_panel *p = &b->panel;
    double at = fmin(fmax(tick->place * p->w - 0.5, 0), p->w - 1), centre = mv_tick_centre(tick, p->w, room);
    double along = centre < tick->place * p->w ? 1 : centre > tick->place * p->w ? 0 : 0.5, below = p->y + thick(b);
    mv_canvas_rect(c, p->x + at, below, 1, TICK_LONG, 0, t->third);
    mv_line_draw(layout, c, MV_TYPE_SMALL, tick->marked ? t->ink : t->second, tick->label, p->x + centre - room / 2,
                 below + TICK_LONG, room, along);
}

/* White within black, as on the maps; those of values below 0 are dashed there and short here. */
static void draw_lines(const colour_bar *b, mv_canvas *c)
{
    const mv_panel *p = &b->panel;
    double value[MV_LINES_MOST];
    int n = b->of == MV_BAR_PLAIN   ? 0
            : b->of == MV_BAR_CELLS ? mv_colouring_cell_lines(&b->k, value)
                                    : mv_colouring_lines(&b->k, value);
    for (int i = 0; i < n; i++) {
        double at = p->x + mv_scale_place(&b->k.scale, value[i]) * p->w, whole = thick(b);
        const mv_point line[] = {{at, p->y}, {at, p->y + whole}};
        mv_canvas_line(c, line, 2, 2, value[i] < 0 ? whole / 3 : 0, (mv_rgb){0, 0, 0});
        mv_canvas_line(c, line, 2, 1, value[i] < 0 ? whole / 3 : 0, (mv_rgb){255, 255, 255});
    }
}

static void colour_bar_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const colour_bar *b = (const colour_bar *)p;
    double room = LABEL_LINE - 2;
    mv_tick tick[MV_TICKS_MAX];
    draw_strip(layout, b, b->of == MV_BAR_OVERLAY, c, p->y);
    if (b->of == MV_BAR_BOTH)
        draw_strip(layout, b, true, c, p->y + STRIP + STRIP_GAP);
    draw_lines(b, c);
    int n = mv_ticks_across(layout, &b->k.scale, p->w, b->times, tick, &room);
    for (int i = 0; i < n; i++)
        draw_tick(layout, b, c, &tick[i], room);
}

mv_panel *mv_panel_colour_bar(mv_layout *layout, const mv_colouring *k, bool times, mv_bar_kind of)
{
    static const mv_panel_kind kind = {.height = colour_bar_height, .draw = colour_bar_draw};
    colour_bar *b = mv_panel_new(layout, sizeof *b, &kind);
    if (!b)
        return NULL;
    b->k = of == MV_BAR_OVERLAY ? mv_colouring_above_even(*k) : *k;
    b->times = times;
    b->of = of;
    return &b->panel;
}
