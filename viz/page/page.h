/* Finished pages: what they have in common. Each kind of page has a header of its own beside this one.
 *
 * A page is drawn from plain facts: maps, images and strings. It knows nothing of the network; captions are made from
 * the words that the maps carry. Everything pointed at stays the caller's and must live until mv_page_write returns;
 * nothing is kept or changed. Strings are UTF-8; NULL is the same as an empty string. Maps cover the whole picture,
 * whatever their size in cells. Values that are not finite are drawn hatched and counted in words.
 *
 *     mv_canvas_target to = {.kind = MV_CANVAS_PNG, .write = hook, .ctx = file, .notes = notes, .note_count = 4};
 *     mv_page_style style = {.theme = MV_DARK};
 *     mv_heading heading = {.title = "Parachute", .recipe = {items, 4}};
 *     mv_classify_content content = {.picture = &picture, ...};
 *     mv_status s = mv_page_write(&mv_page_classify, &heading, &content, &style, fonts, &to, &e);
 *
 * Several threads may draw pages at once, each with its own mv_fonts. The same page gives the same bytes.
 */
#ifndef MV_PAGE_H
#define MV_PAGE_H

#include <stdbool.h>

#include "src/base/image.h"
#include "src/base/map.h"
#include "src/base/status.h"
#include "viz/draw/canvas.h"
#include "viz/draw/colour.h"
#include "viz/draw/fonts.h"

/* What a page is made for. All but the screen fix its width in points, so that it needs no scaling, have no recipe at
 * the foot and letters before the titles of panels; text is at least 7 pt. A slide is set as large as 16:9 permits,
 * with text of at least 9 pt; one with more on it is taller. */
typedef enum { MV_FOR_SCREEN, MV_FOR_NEURIPS, MV_FOR_CVPR, MV_FOR_SLIDE } mv_page_use;

/* "neurips", "cvpr", "slide": the i-th from 0 on; NULL past the last. For help and completion. Static. */
const char *mv_page_use_at(int i);

/* How a page looks. {0} is the page as designed. */
typedef struct {
    mv_page_use use; /* other than the screen: width and zoom must be 0 */
    mv_theme_kind theme;
    double zoom;         /* device pixels per page px in a PNG, 0.25 to 8; 0: 1 */
    int width;           /* page px, 640 to 8000; 0: the width of the page kind */
    const char *table;   /* colour table: of sequential maps, or of diverging ones if the table diverges; NULL: inferno
                            and blue-red */
    mv_scale_kind scale; /* MV_SCALE_AUTO: as the page is designed */
    bool grid;           /* draw the cells' grid over maps and overlays */
} mv_page_style;

/* The foot of a page, in the monospaced face: "mvscope classify --explain parachute.jpg", "model nano 3f9c1e", ... */
typedef struct {
    const char *const *items;
    int count;
} mv_recipe;

/* The words around the content. */
typedef struct {
    const char *title;    /* the finding: "Parachute" */
    const char *subtitle; /* "93.3 % sure, 4.2 logits ahead of church  ·  parachute.jpg" */
    mv_recipe recipe;
} mv_heading;

typedef struct mv_page mv_page;
struct mv_panel;

/* A kind of page. `content` is the struct that the kind's header declares. */
typedef struct {
    const char *name;
    double width;                                             /* px, as designed */
    mv_status (*check)(const void *content, mv_error *e);     /* counts, and that nothing is empty */
    struct mv_panel *(*body)(mv_page *, const void *content); /* what stands between the heading and the recipe */
    bool sequential, diverging;                               /* which colour tables have an effect */
    bool paper; /* one sheet of A4 landscape at its own width: set closer, and filled to its height */
    /* Of a drawing without a frame: writes the whole file; heading and width have no effect. NULL: a page. */
    mv_status (*paint)(const mv_page *, const void *content, const mv_canvas_target *to, mv_error *e);
} mv_page_kind;

/* Checks a style before anything is computed: MV_EINPUT for a zoom or width out of range, an unknown colour table, or a
 * table that has no effect on this kind of page. NULL is the default style. */
mv_status mv_page_check_style(const mv_page_kind *kind, const mv_page_style *style, mv_error *e);

/* Draws one page into one file. `style` may be NULL; `fonts` may be NULL, then they are opened for this page. A colour
 * table without effect is ignored.
 * Errors: MV_EINPUT for a style or a count out of range, MV_EMISUSE for an empty picture or map, MV_ENOMEM, and what
 * the canvas and its write hook return. */
mv_status mv_page_write(const mv_page_kind *kind, const mv_heading *heading, const void *content,
                        const mv_page_style *style, mv_fonts *fonts, const mv_canvas_target *to, mv_error *e);

#endif
