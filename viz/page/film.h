/* A film of scans: the state of one or several blocks fills the picture token by token, as an animated PNG or a GIF.
 *
 * Levels have windows of different sizes, and all scans take the same time: a step is a share of the tokens of a
 * window. All windows of a map are scanned at the same time. The first frame is the complete map, held for two seconds,
 * so that what shows no more than one frame shows all of it; then the picture fills, and the film starts again.
 */
#ifndef MV_PAGE_FILM_H
#define MV_PAGE_FILM_H

#include "viz/draw/animation.h"
#include "viz/page/page.h"

typedef struct {
    const char *title; /* "Level 2, block 0" */
    const char *unit;
    const mv_map *map;
} mv_film_scan;

typedef struct {
    const mv_image *picture;
    const mv_film_scan *scans;
    int count; /* 1 to 64 */
} mv_film_content;

/* Steps from empty to complete: one for each token, or for every second, third, ... so that there are at most 128. */
int mv_film_steps(const mv_film_content *c);

/* Draws the frames one by one into one file; of `to` the hook, the notes and the date are used. The heading is drawn
 * without its recipe. style and fonts as for mv_page_write; the natural width grows with the number of scans. */
mv_status mv_film_write(mv_animation_kind kind, const mv_heading *heading, const mv_film_content *content,
                        const mv_page_style *style, mv_fonts *fonts, const mv_canvas_target *to, mv_error *e);

/* MV_EINPUT for a style that mv_film_write would refuse. */
mv_status mv_film_check_style(const mv_page_style *style, mv_error *e);

#endif
