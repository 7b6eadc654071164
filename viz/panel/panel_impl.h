/* What the kinds of panels share: single lines of text, and ticks with their labels. */
#ifndef MV_PANEL_IMPL_H
#define MV_PANEL_IMPL_H

#include "viz/panel/panel.h"

/* Draws one short line within x..x + w: `along` 0 at the left, 0.5 in the middle, 1 at the right. */
void mv_line_draw(mv_layout *layout, mv_canvas *c, mv_type type, mv_rgb colour, const char *words, double x, double y,
                  double w, double along);

/* px of a line of any length. */
double mv_line_width(mv_layout *layout, mv_type type, const char *words);

/* Whole px that hold a line of small text; 0 for NULL and for the empty text. */
double mv_line_room(mv_layout *layout, const char *words);

/* The ticks of a scale across `length` px. *room is the px that each label takes along it: the least on entry, then at
 * least the width of the widest label chosen. `times` is that of mv_scale_ticks. */
int mv_ticks_across(mv_layout *layout, const mv_scale *scale, double length, bool times, mv_tick tick[MV_TICKS_MAX],
                    double *room);

#endif
