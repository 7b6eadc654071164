/* The finished pages. Each takes plain facts (pictures, maps, strings, numbers) and writes one file.
 *
 * A page knows maps and images, never the network: the finding, the geometry of a level and the
 * sentence that proves a map are strings of the caller. Everything pointed at stays the caller's and must
 * live until the function returns; nothing is kept or changed. Strings are UTF-8; a NULL string is an empty one.
 *
 *     mv_canvas_target to = {.kind = MV_CANVAS_PNG, .write = hook, .ctx = file, .notes = notes, .note_count = 4};
 *     mv_page_style style = {.theme = MV_DARK};
 *     mv_classify_page page = {.title = "Parachute", .picture = &picture, ...};
 *     mv_status s = mv_page_classify(&page, &style, fonts, &to, &e);
 *
 * All three: `fonts` may be NULL (then they are opened for this page); `style` may be NULL. Maps cover the
 * whole picture, whatever their size in cells. Values that are not finite are drawn hatched and counted in words.
 * Errors: MV_EINPUT an unknown colour table or a zoom, width or count out of range; MV_EMISUSE an empty picture or
 * map; what the canvas and its write hook tell.
 */
#ifndef MV_PAGES_H
#define MV_PAGES_H

#include <stdbool.h>

#include "src/base/image.h"
#include "src/base/map.h"
#include "src/base/status.h"
#include "viz/draw/canvas.h"
#include "viz/draw/colour.h"
#include "viz/draw/fonts.h"

/* How a page looks. {0} is the page as designed. */
typedef struct {
    mv_theme_kind theme;
    double zoom;         /* device pixels to a page px in a PNG, 0.25..8; 0: 1 */
    int width;           /* page px, 640..8000; 0: as the page is designed (1600; attention 1362) */
    const char *table;   /* colour table of sequential maps, or of diverging ones if it is a diverging table; NULL:
                            inferno, blue-red */
    mv_scale_kind scale; /* MV_SCALE_AUTO: as the page is designed */
    bool grid;           /* the cells' grid over maps and overlays */
} mv_page_style;

/* The foot of a page, in the monospaced face: "mvscope classify --explain parachute.jpg", "model nano 3f9c1e", ... */
typedef struct {
    const char *const *items;
    int count;
} mv_recipe;

/* A class and how probable it is: one bar. */
typedef struct mv_class_bar {
    const char *name;
    double probability; /* 0..1 */
} mv_class_bar;

/* One map of the classify page, drawn over the picture in grey. */
typedef struct {
    const mv_map *map;
    const char *title; /* NULL: the map's */
    const char *proof; /* what proves it: "mean of 49 cells  +4.371  =  its logit  +4.371"; NULL: none */
} mv_evidence;

/* What is it, and why. All maps share one scale, so that their colours compare. */
typedef struct {
    const char *title;    /* the finding: "Parachute" */
    const char *subtitle; /* "93.3 % sure, 4.2 logits ahead of church  ·  parachute.jpg" */
    const mv_image *picture;
    const char *picture_title; /* NULL: "Picture" */
    const mv_class_bar *top;   /* most probable first */
    int top_count;
    const mv_evidence *evidence;
    int evidence_count; /* 0 to 12; more than 3 start further rows */
    mv_recipe recipe;
} mv_classify_page;

mv_status mv_page_classify(const mv_classify_page *page, const mv_page_style *style, mv_fonts *fonts,
                           const mv_canvas_target *to, mv_error *e);

/* One map of attention: picture | map | overlay, words to the left. */
typedef struct {
    const char *title;        /* "Level 2, block 3" */
    const char *const *lines; /* "4 heads", "14 × 14 cells of 16 px"; an empty one is a gap */
    int line_count;
    const mv_map *map;       /* attention against an even spread: 1 is what every cell gets if all get the same */
    const mv_image *picture; /* NULL: the page's */
    int window;              /* side of a window in cells; where there are several their edges are drawn; 0: none */
} mv_attention_row;

typedef struct {
    const char *title;    /* "Where self-attention looks" */
    const char *subtitle; /* "Pooled query, mean of heads  ·  parachute.jpg, answered parachute" */
    const mv_image *picture;
    const mv_attention_row *rows;
    int row_count;     /* 1 to 256: the page grows */
    bool shared_scale; /* one scale for all rows; otherwise each has its own, as its bar says */
    mv_recipe recipe;
} mv_attention_page;

mv_status mv_page_attention(const mv_attention_page *page, const mv_page_style *style, mv_fonts *fonts,
                            const mv_canvas_target *to, mv_error *e);

/* A block's heads as thumbnails. */
typedef struct {
    const char *title;        /* "Block 3" */
    const char *note;         /* "entropy 0.05 to 0.16" */
    const mv_map *heads;      /* head_count maps against an even spread */
    int head_count;           /* 1 to 64 */
    const char *const *names; /* head_count strings under the thumbnails; NULL: 0, 1, 2, ... */
} mv_heads_block;

/* A level: one colour scale for all its heads. */
typedef struct {
    const char *title; /* "Level 2" */
    const char *note;  /* "14 × 14 cells of 16 px, 4 heads a block" */
    const mv_heads_block *blocks;
    int block_count; /* 1 to 64 */
    int window;      /* as in mv_attention_row */
} mv_heads_level;

typedef struct {
    const char *title;    /* "Every head" */
    const char *subtitle; /* "Received attention: ...  ·  parachute.jpg" */
    const mv_image *picture;
    const mv_heads_level *levels;
    int level_count; /* 1 to 8 */
    mv_recipe recipe;
} mv_heads_page;

mv_status mv_page_heads(const mv_heads_page *page, const mv_page_style *style, mv_fonts *fonts,
                        const mv_canvas_target *to, mv_error *e);

#endif
