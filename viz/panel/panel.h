/* Panels, and the flow that places them: no coordinates by hand.
 *
 * A panel knows its height at a given width and draws itself in its box. Columns stack panels, rows put them side by
 * side. A layout owns all panels and keeps the first failure: a constructor that fails returns NULL, mv_panel_add
 * accepts NULL, and mv_layout_write returns the failure. So the code of a page reads as what is on it:
 *
 *     mv_panel *page = mv_panel_column(l);
 *     mv_panel_add(page, mv_panel_label(l, MV_TYPE_TITLE, MV_INK, title, 2));
 *     mv_panel_add(page, mv_panel_space(l, 32));
 *     mv_panel_add(page, mv_panel_picture(l, picture));
 *     mv_layout_write(l, page, 1600, 1, to, e);
 *
 * Heights are multiples of 4 px, so that the page has one baseline grid. Strings, pictures and maps are borrowed until
 * the layout is freed.
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

/* The functions of a kind of panel. */
typedef struct {
    double (*natural)(mv_layout *layout, mv_panel *p, double widest); /* px wide at most `widest`; NULL: `widest` */
    double (*height)(mv_layout *layout, mv_panel *p,
                     double width);        /* px tall; containers also place their children, from (0, 0) */
    double (*baseline)(const mv_panel *p); /* px to the first baseline; NULL: none */
    void (*draw)(mv_layout *layout, mv_panel *p, mv_canvas *c);
    void (*free)(mv_panel *p); /* frees what the panel owns; NULL: nothing */
} mv_panel_kind;

struct mv_panel {
    const mv_panel_kind *kind;
    mv_panel *child, *last, *next; /* in the order they were added */
    mv_panel *older;               /* the list of all panels of the layout */
    double x, y, w, h;             /* the box, relative to the parent until it is drawn, then to the page */
    double fixed;                  /* px wide in a row; 0: an equal share of the rest; MV_NATURAL: its own */
};

#define MV_NATURAL (-1.0)

mv_layout *mv_layout_new(mv_theme_kind theme, mv_fonts *fonts, mv_error *e);
void mv_layout_free(mv_layout *layout);

/* Lays out `root` at a width of `width` px, draws it on a canvas of the resulting height, and writes the file. */
mv_status mv_layout_write(mv_layout *layout, mv_panel *root, double width, double zoom, const mv_canvas_target *to,
                          mv_error *e);

/* From here on, with `on`, labels of the type of panel titles begin with a letter: "(a) ", "(b) ". */
void mv_layout_letters(mv_layout *layout, bool on);

/* "(a) " before the next panel title; "" where it has no letter. For mv_panel_label. */
const char *mv_layout_next_letter(mv_layout *layout);

const mv_theme *mv_layout_theme(const mv_layout *layout);
mv_fonts *mv_layout_fonts(const mv_layout *layout);
mv_error *mv_layout_error(mv_layout *layout);

/* Appends `child`; either may be NULL. Returns `child`. */
mv_panel *mv_panel_add(mv_panel *parent, mv_panel *child);

/* Sets the width of a panel in a row; NULL is fine. Returns `p`. */
mv_panel *mv_panel_wide(mv_panel *p, double fixed);

/* Places a panel at a width and measures its height, which is returned. For kinds that contain others, and for pages
 * that depend on a height. */
double mv_panel_measure(mv_layout *layout, mv_panel *p, double width);

/* A zeroed panel of `size` bytes that begins with an mv_panel: for the kinds. NULL on failure. */
void *mv_panel_new(mv_layout *layout, size_t size, const mv_panel_kind *kind);

/* The picture in w x h pixels, cached for the next panel of that size. Borrowed until the next call; NULL on failure.
 */
const mv_image *mv_layout_picture(mv_layout *layout, const mv_image *picture, int w, int h);

/* A formatted string that lives as long as the layout; "" on failure. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
const char *
mv_layout_text(mv_layout *layout, const char *format, ...);

/* `size` zeroed bytes that live as long as the layout, for numbers and lists that a chart borrows; NULL on failure. */
void *mv_layout_memory(mv_layout *layout, size_t size);

/* --- the flow ---------------------------------------------------------------------------------- */

typedef enum { MV_TOP, MV_BOTTOM, MV_BASELINE } mv_align;

mv_panel *mv_panel_column(mv_layout *layout);
mv_panel *mv_panel_row(mv_layout *layout, double gap, mv_align align);

/* Panels at their own width one after the other, in as many lines as needed. */
mv_panel *mv_panel_flow(mv_layout *layout, double gap);

/* Margins around one panel. */
mv_panel *mv_panel_inset(mv_layout *layout, double left, double top, double right, double bottom, mv_panel *inside);

/* Panels on top of each other. */
mv_panel *mv_panel_stack(mv_layout *layout);

mv_panel *mv_panel_space(mv_layout *layout, double height);
void mv_panel_space_grow(mv_panel *space, double by); /* px; NULL is fine */
mv_panel *mv_panel_hairline(mv_layout *layout);

/* --- what is on a page ------------------------------------------------------------------------- */

typedef enum { MV_INK, MV_SECOND, MV_THIRD, MV_WARNING } mv_voice;

/* Text in at most `lines` lines; 0: as many as needed. */
mv_panel *mv_panel_label(mv_layout *layout, mv_type type, mv_voice voice, const char *text, int lines);

/* One line of text at the right edge. */
mv_panel *mv_panel_label_right(mv_layout *layout, mv_type type, mv_voice voice, const char *text);

mv_panel *mv_panel_picture(mv_layout *layout, const mv_image *picture);

/* The picture with the query's cells of n maps outlined, where they have one. */
mv_panel *mv_panel_picture_queries(mv_layout *layout, const mv_image *picture, const mv_map *map, int n);

/* A map in the area of `picture`: its cells, or the map over the picture in grey. Lines of equal value
 * (mv_colouring_lines) are drawn where the panel is large enough for them: solid, dashed for values below 0; cells have
 * them along their borders. The query's cell is outlined. All are white within black, which shows on any colour. */
mv_panel *mv_panel_cells(mv_layout *layout, const mv_map *map, const mv_image *picture, const mv_colouring *k);
mv_panel *mv_panel_overlay(mv_layout *layout, const mv_map *map, const mv_image *picture, const mv_colouring *k);

/* A map as a scan fills it: the cells of the first `scanned` tokens of each window (mv_raster_scan), the others blank,
 * or, with `over`, over the picture in grey. */
mv_panel *mv_panel_scan(mv_layout *layout, const mv_map *map, const mv_image *picture, const mv_colouring *k,
                        int scanned, bool over);

/* The part of its box that one of these panels covers, from the top left corner, px. */
void mv_panel_picture_size(const mv_panel *p, double *w, double *h);

/* What a colour bar is for. An overlay's shows the paper where the overlay shows the picture, and of multiples of an
 * even spread only what is above 1. Bars of maps have the lines that the maps have. */
typedef enum {
    MV_BAR_PLAIN,   /* a chart */
    MV_BAR_OVERLAY, /* maps over the picture */
    MV_BAR_CELLS,   /* maps as cells */
    MV_BAR_BOTH     /* the same maps as cells and over the picture: two strips, in this order */
} mv_bar_kind;

/* A horizontal colour bar. `times` is that of mv_scale_ticks. */
mv_panel *mv_panel_colour_bar(mv_layout *layout, const mv_colouring *k, bool times, mv_bar_kind of);

/* A class and how probable it is. */
typedef struct {
    const char *name;
    double probability; /* 0 to 1 */
} mv_class_bar;

/* Names, bars and percentages; the first one stands out. Bars stand beside the names where both fit, else below them;
 * of class_lines they always stand below. */
mv_panel *mv_panel_class_bars(mv_layout *layout, const mv_class_bar *bars, int count);
mv_panel *mv_panel_class_lines(mv_layout *layout, const mv_class_bar *bars, int count);

/* A whole in two parts: a bar of which `share`, 0 to 1, is the left part, and a word under each end. */
mv_panel *mv_panel_split(mv_layout *layout, double share, const char *left, const char *right);

#endif
