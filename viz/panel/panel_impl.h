/* What the kinds of panels share: single lines of text. */
#ifndef MV_PANEL_IMPL_H
#define MV_PANEL_IMPL_H

#include "viz/panel/panel.h"

/* Draws one short line within x..x + w: `along` 0 at the left, 0.5 in the middle, 1 at the right. */
void mv_line_draw(mv_layout *layout, mv_canvas *c, mv_type type, mv_rgb colour, const char *words, double x, double y,
                  double w, double along);

/* px of a line of any length. */
double mv_line_width(mv_layout *layout, mv_type type, const char *words);

#endif
