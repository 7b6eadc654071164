/* Panels, and the flow that places them: no coordinates by hand.
 *
 * A panel knows how tall it is at a given width and draws itself in its box. Columns stack panels,
 * rows stand them side by side. A sheet owns all panels and the first failure: a constructor that
 * fails returns NULL, mv_add takes NULL, and mv_sheet_write tells. So a page reads as what is on it:
 *
 *     mv_panel *page = mv_column(s);
 *     mv_add(page, mv_label(s, MV_TYPE_TITLE, MV_INK, title, 2));
 *     mv_add(page, mv_space(s, 32));
 *     mv_add(page, mv_pictures(...));
 *     mv_sheet_write(s, page, 1600, 1, to, e);
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

typedef struct mv_sheet mv_sheet;
typedef struct mv_panel mv_panel;

/* What a kind of panel can do. */
typedef struct {
    double (*natural)(mv_sheet *s, mv_panel *p, double widest); /* px wide when free to choose; NULL: all there is */
    double (*height)(mv_sheet *s, mv_panel *p, double width);   /* px tall; containers place their children at (0, 0) */
    double (*baseline)(const mv_panel *p);                      /* px to the first baseline; NULL: none */
    void (*draw)(mv_sheet *s, mv_panel *p, mv_canvas *c);
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

mv_sheet *mv_sheet_new(mv_theme_kind theme, mv_fonts *fonts, mv_error *e);
void mv_sheet_free(mv_sheet *s);

/* Lays `root` out `width` px wide, draws it on a canvas as tall as it became, and writes the file. */
mv_status mv_sheet_write(mv_sheet *s, mv_panel *root, double width, double zoom, const mv_canvas_target *to,
                         mv_error *e);

const mv_theme *mv_sheet_theme(const mv_sheet *s);
mv_fonts *mv_sheet_fonts(const mv_sheet *s);
mv_error *mv_sheet_error(mv_sheet *s);

/* Appends; either may be NULL. Returns `child`. */
mv_panel *mv_add(mv_panel *parent, mv_panel *child);

/* Sets the width a panel has in a row; NULL is fine. Returns `p`. */
mv_panel *mv_wide(mv_panel *p, double fixed);

/* A panel of `size` bytes that opens with mv_panel, zeroed: for kinds. */
void *mv_panel_new(mv_sheet *s, size_t size, const mv_panel_kind *kind);

/* The picture in w x h pixels, kept for the next panel that asks. Borrowed until the next call; NULL on failure. */
const mv_image *mv_sheet_photo(mv_sheet *s, const mv_image *picture, int w, int h);

/* n zeroed bytes, and a formatted string, that live as long as the sheet. NULL, "" on failure. */
void *mv_sheet_bytes(mv_sheet *s, size_t n);
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
const char *
mv_sheet_text(mv_sheet *s, const char *format, ...);

/* --- the flow ---------------------------------------------------------------------------------- */

typedef enum { MV_TOP, MV_BOTTOM, MV_BASELINE } mv_align;

mv_panel *mv_column(mv_sheet *s);
mv_panel *mv_row(mv_sheet *s, double gap, mv_align align);

/* Panels of natural width one after the other, in as many lines as it takes. */
mv_panel *mv_flow(mv_sheet *s, double gap);

/* Margins around one panel. */
mv_panel *mv_inset(mv_sheet *s, double left, double top, double right, double bottom, mv_panel *inside);

mv_panel *mv_space(mv_sheet *s, double height);
mv_panel *mv_hairline(mv_sheet *s);

/* --- what is on a page ------------------------------------------------------------------------- */

typedef enum { MV_INK, MV_SECOND, MV_THIRD, MV_WARNING } mv_voice;

/* Words in at most `lines` lines; 0: as many as it takes. */
mv_panel *mv_label(mv_sheet *s, mv_type type, mv_voice voice, const char *text, int lines);

/* The same at the right edge. */
mv_panel *mv_label_right(mv_sheet *s, mv_type type, mv_voice voice, const char *text);

mv_panel *mv_photo(mv_sheet *s, const mv_image *picture);

/* A map over the area of `picture`: its cells, or laid over the picture in grey. */
mv_panel *mv_cells(mv_sheet *s, const mv_map *map, const mv_image *picture, const mv_colouring *k);
mv_panel *mv_overlay(mv_sheet *s, const mv_map *map, const mv_image *picture, const mv_colouring *k);

/* What a panel of one of these three covers of its box, from the left top corner: px. */
void mv_picture_size(const mv_panel *p, double *w, double *h);

/* A colour bar that lies, or stands as tall as the picture beside it. `times` as in mv_scale_ticks; `fades` where
 * the overlay does. */
mv_panel *mv_colour_bar(mv_sheet *s, const mv_colouring *k, bool times, bool fades);
mv_panel *mv_colour_bar_standing(mv_sheet *s, const mv_colouring *k, bool times, const mv_panel *beside);

typedef struct mv_class_bar mv_class_bar; /* of pages.h */

/* Names, bars and per cent; the first stands out. */
mv_panel *mv_bars(mv_sheet *s, const mv_class_bar *bars, int count);

#endif
