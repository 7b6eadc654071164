/* Panels, and the flow that places them: no coordinates by hand.
 *
 * A panel knows how tall it is at a given width and draws itself in its box. Columns stack panels,
 * rows stand them side by side. A sheet owns all panels and the first failure: a constructor that
 * fails returns NULL, mv_panel_add takes NULL, and mv_layout_write tells. So a page reads as what is on it:
 *
 *     mv_panel *page = mv_panel_column(s);
 *     mv_panel_add(page, mv_panel_label(s, MV_TYPE_TITLE, MV_INK, title, 2));
 *     mv_panel_add(page, mv_panel_space(s, 32));
 *     mv_panel_add(page, mv_panel_picture(s, picture));
 *     mv_layout_write(s, page, 1600, 1, to, e);
 *
 * Heights are multiples of 4 px, so that baselines keep one grid through the page. Strings, pictures and maps that
 * panels are made of are borrowed until the sheet is freed.
 */
#ifndef MV_PANEL_H
#define MV_PANEL_H

#include "src/base/image.h"
#include "src/base/map.h"
#include "viz/draw/canvas.h"
#include "viz/draw/colour.h"
#include "viz/draw/fonts.h"
#include "viz/draw/raster.h"

typedef struct mv_layout mv_layout;
typedef struct mv_panel mv_panel;

/* What a kind of panel can do. */
typedef struct {
    double (*natural)(mv_layout *s, mv_panel *p, double widest); /* px wide when free to choose; NULL: all there is */
    double (*height)(mv_layout *s, mv_panel *p, double width); /* px tall; containers place their children at (0, 0) */
    double (*baseline)(const mv_panel *p);                     /* px to the first baseline; NULL: none */
    void (*draw)(mv_layout *s, mv_panel *p, mv_canvas *c);
    void (*free)(mv_panel *p); /* frees what is inside; NULL: nothing */
} mv_panel_kind;

struct mv_panel {
    const mv_panel_kind *kind;
    mv_panel *child, *last, *next; /* in the order they were added */
    mv_panel *older;               /* all panels of the sheet */
    double x, y, w, h;             /* the box, from the parent's corner until drawn, then from the page's */
    double fixed;                  /* width in a row: px; 0: an equal share of what is left; MV_NATURAL */
};

#define MV_NATURAL (-1.0)

mv_layout *mv_layout_new(mv_theme_kind theme, mv_fonts *fonts, mv_error *e);
void mv_layout_free(mv_layout *s);

/* Lays `root` out `width` px wide, draws it on a canvas as tall as it became, and writes the file. */
mv_status mv_layout_write(mv_layout *s, mv_panel *root, double width, double zoom, const mv_canvas_target *to,
                          mv_error *e);

const mv_theme *mv_layout_theme(const mv_layout *s);
mv_fonts *mv_layout_fonts(const mv_layout *s);
mv_error *mv_layout_error(mv_layout *s);

/* Appends; either may be NULL. Returns `child`. */
mv_panel *mv_panel_add(mv_panel *parent, mv_panel *child);

/* Sets the width a panel has in a row; NULL is fine. Returns `p`. */
mv_panel *mv_panel_wide(mv_panel *p, double fixed);

/* A panel of `size` bytes that opens with mv_panel, zeroed: for kinds. */
void *mv_panel_new(mv_layout *s, size_t size, const mv_panel_kind *kind);

/* The picture in w x h pixels, kept for the next panel that asks. Borrowed until the next call; NULL on failure. */
const mv_image *mv_layout_picture(mv_layout *s, const mv_image *picture, int w, int h);

/* A formatted string that lives as long as the layout; "" on failure. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
const char *
mv_layout_text(mv_layout *s, const char *format, ...);

/* --- the flow ---------------------------------------------------------------------------------- */

typedef enum { MV_TOP, MV_BOTTOM, MV_BASELINE } mv_align;

mv_panel *mv_panel_column(mv_layout *s);
mv_panel *mv_panel_row(mv_layout *s, double gap, mv_align align);

/* Panels of natural width one after the other, in as many lines as it takes. */
mv_panel *mv_panel_flow(mv_layout *s, double gap);

/* Margins around one panel. */
mv_panel *mv_panel_inset(mv_layout *s, double left, double top, double right, double bottom, mv_panel *inside);

mv_panel *mv_panel_space(mv_layout *s, double height);
mv_panel *mv_panel_hairline(mv_layout *s);

/* --- what is on a page ------------------------------------------------------------------------- */

typedef enum { MV_INK, MV_SECOND, MV_THIRD, MV_WARNING } mv_voice;

/* Words in at most `lines` lines; 0: as many as it takes. */
mv_panel *mv_panel_label(mv_layout *s, mv_type type, mv_voice voice, const char *text, int lines);

/* The same at the right edge. */
mv_panel *mv_panel_label_right(mv_layout *s, mv_type type, mv_voice voice, const char *text);

mv_panel *mv_panel_picture(mv_layout *s, const mv_image *picture);

/* A map over the area of `picture`: its cells, or laid over the picture in grey. */
mv_panel *mv_panel_cells(mv_layout *s, const mv_map *map, const mv_image *picture, const mv_colouring *k);
mv_panel *mv_panel_overlay(mv_layout *s, const mv_map *map, const mv_image *picture, const mv_colouring *k);

/* What a panel of one of these three covers of its box, from the left top corner: px. */
void mv_panel_picture_size(const mv_panel *p, double *w, double *h);

/* A colour bar that lies, or stands as tall as the picture beside it. `times` as in mv_scale_ticks; `fades` where
 * the overlay does. */
mv_panel *mv_panel_colour_bar(mv_layout *s, const mv_colouring *k, bool times, bool fades);
mv_panel *mv_panel_colour_bar_standing(mv_layout *s, const mv_colouring *k, bool times, const mv_panel *beside);

/* A class and how probable it is. */
typedef struct {
    const char *name;
    double probability; /* 0 to 1 */
} mv_class_bar;

/* Names, bars and percentages; the first one stands out. */
mv_panel *mv_panel_class_bars(mv_layout *s, const mv_class_bar *bars, int count);

#endif
