/* Panels of pixels: the picture, a map's cells, a map over the picture, a map that a scan fills. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "viz/draw/contours.h"
#include "viz/panel/panel.h"

typedef enum { PICTURE, CELLS, OVERLAY, SCAN, SCAN_OVER } picture_content;

/* The largest height over width: a taller picture becomes narrower. */
#define TALLEST 1.6

enum {
    CELL_PIXELS = 16,
    MAP_PIXELS = 1024,
    LEAST_LINED = 64, /* px wide that a panel is at least to have lines */
    LEAST_CELL = 10,  /* px that cells are wide at least to have lines around them */
    LEAST_NESTED = 14 /* px that they are wide at least to have several */
};

#define DASH 4.0 /* px of a line of a value below 0 */

typedef struct {
    mv_panel panel;
    picture_content content;
    const mv_image *picture;
    const mv_map *map;
    int maps; /* of which the query's cell is outlined */
    mv_colouring k;
    int scanned; /* tokens of a scan */
} picture;

static void fit(const picture *q, double width, double *w, double *h)
{
    double aspect = (double)q->picture->h / q->picture->w;
    *w = fmin(width, width * TALLEST / aspect);
    *h = fmax(*w * aspect, 1);
}

void mv_panel_picture_size(const mv_panel *p, double *w, double *h)
{
    fit((const picture *)p, p->w, w, h);
}

static double picture_height(mv_layout *layout, mv_panel *p, double width)
{
    (void)layout;
    double w, h;
    fit((const picture *)p, width, &w, &h);
    return ceil(h / 4) * 4;
}

/* Pixels a side of a cell in SVG and PDF: enough that the smoothing of a viewer does not blur cells. */
static int cell_pixels(const mv_map *map)
{
    int larger = map->w > map->h ? map->w : map->h;
    int n = MAP_PIXELS / larger;
    return n > CELL_PIXELS ? CELL_PIXELS : n < 1 ? 1 : n;
}

/* The pixels to draw into w x h px: those of a PNG; in SVG and PDF the resolution of the map or picture. */
static void pixel_size(const picture *q, const mv_canvas *c, double w, double h, int *pw, int *ph)
{
    double density = mv_canvas_density(c);
    if (!mv_canvas_is_raster(c) && q->content == CELLS) {
        *pw = q->map->w * cell_pixels(q->map);
        *ph = q->map->h * cell_pixels(q->map);
        return;
    }
    *pw = (int)fmax(round(w * density), 1);
    *ph = (int)fmax(round(h * density), 1);
    if (!mv_canvas_is_raster(c) && q->content == PICTURE && q->picture->w < *pw) {
        *pw = q->picture->w;
        *ph = q->picture->h;
    }
}

static void fill(mv_image *image, mv_rgb colour)
{
    for (size_t i = 0; i < (size_t)image->w * (size_t)image->h; i++)
        memcpy(image->rgb + 3 * i, &colour, 3);
}

/* The pixels: borrowed from the layout, or painted into `own`. NULL on failure, with the layout's error set. */
static const uint8_t *paint(mv_layout *layout, const picture *q, mv_image *own, int pw, int ph)
{
    const mv_image *image = NULL;
    if (q->content != CELLS && q->content != SCAN) {
        image = mv_layout_picture(layout, q->picture, pw, ph);
        if (!image || q->content == PICTURE)
            return image ? image->rgb : NULL;
    }
    size_t size = (size_t)pw * (size_t)ph * 3;
    *own = (mv_image){pw, ph, malloc(size)};
    if (!own->rgb) {
        mv_fail_memory(mv_layout_error(layout), "drawing");
        return NULL;
    }
    if (image)
        memcpy(own->rgb, image->rgb, size);
    else if (q->content == SCAN)
        fill(own, mv_layout_theme(layout)->track);
    if (q->content == SCAN_OVER)
        mv_raster_grey(own);
    mv_error *e = mv_layout_error(layout);
    mv_status done = q->content == OVERLAY ? mv_raster_overlay(own, q->map, &q->k, e)
                     : q->content == CELLS ? mv_raster_cells(own, q->map, &q->k, e)
                                           : mv_raster_scan(own, q->map, &q->k, q->scanned, e);
    return done == MV_OK ? own->rgb : NULL;
}

/* --- lines -------------------------------------------------------------------------------------- */

/* The box of a picture on the page. */
typedef struct {
    double x, y, w, h;
} box;

/* Lines through points in shares of the box: all black ones first, then the white ones in them. */
static void draw_lines(mv_layout *layout, mv_canvas *c, box b, const mv_contours *of, double width)
{
    mv_point *p = of->points ? malloc((size_t)of->points * sizeof *p) : NULL;
    if (of->points && !p)
        mv_fail_memory(mv_layout_error(layout), "drawing");
    for (int i = 0; p && i < of->points; i++)
        p[i] = (mv_point){b.x + of->point[i].x * b.w, b.y + of->point[i].y * b.h};
    for (int white = 0; p && white < 2; white++)
        for (int i = 0; i < of->lines; i++) {
            const mv_contour *l = &of->line[i];
            mv_rgb ink = white ? (mv_rgb){255, 255, 255} : (mv_rgb){0, 0, 0};
            mv_canvas_line(c, p + l->first, l->n, white ? width : 2 * width, l->value < 0 ? DASH : 0, ink);
        }
    free(p);
}

static bool has_lines(const picture *q, box b)
{
    if (b.w < LEAST_LINED)
        return false;
    return q->content == OVERLAY || (q->content == CELLS && b.w >= LEAST_CELL * q->map->w);
}

static void draw_contours(mv_layout *layout, mv_canvas *c, box b, const picture *q)
{
    double level[MV_LINES_MOST];
    int levels = q->content == CELLS ? mv_colouring_cell_lines(&q->k, level) : mv_colouring_lines(&q->k, level);
    if (q->k.scale.times && levels > 1 && b.w < LEAST_NESTED * q->map->w)
        levels = 1; /* the others would hide what they surround */
    double width = fmin(fmax(b.w / 260, 0.6), 1.4);
    mv_contours lines;
    mv_error *e = mv_layout_error(layout);
    mv_status s = q->content == CELLS ? mv_contours_of_cells(&lines, q->map, level, levels, e)
                                      : mv_contours_of(&lines, q->map, &q->k, level, levels, e);
    if (s == MV_OK)
        draw_lines(layout, c, b, &lines, levels == 1 ? fmin(width, 0.7) : width);
    mv_contours_free(&lines);
}

/* The cell of the query, in the middle of whose border the line runs. */
static void draw_query(mv_layout *layout, mv_canvas *c, box b, const mv_map *map)
{
    mv_point outline[5];
    mv_contour line = {0, 5, 0};
    mv_contours one = {1, 5, &line, outline};
    if (mv_query_outline(outline, map))
        draw_lines(layout, c, b, &one, fmin(fmax(b.w / 160, 1), 2));
}

static bool same_query(const mv_map *a, const mv_map *b)
{
    return a->h == b->h && a->w == b->w && a->query_y == b->query_y && a->query_x == b->query_x;
}

/* --- the panels --------------------------------------------------------------------------------- */

static void picture_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const picture *q = (const picture *)p;
    double x = p->x, y = p->y, w, h;
    int pw, ph;
    fit(q, p->w, &w, &h);
    pixel_size(q, c, w, h, &pw, &ph);
    if (mv_canvas_is_raster(c)) { /* on whole pixels, so that none is interpolated twice */
        double density = mv_canvas_density(c);
        x = round(x * density) / density;
        y = round(y * density) / density;
        w = pw / density;
        h = ph / density;
    }
    mv_image own = {0, 0, NULL};
    const uint8_t *rgb = paint(layout, q, &own, pw, ph);
    if (rgb)
        mv_canvas_image(c, x, y, w, h, pw, ph, rgb, q->content != CELLS);
    free(own.rgb);
    box b = {x, y, w, h};
    if (rgb && has_lines(q, b))
        draw_contours(layout, c, b, q);
    for (int i = 0; rgb && i < q->maps; i++)
        if (i == 0 || !same_query(&q->map[i], &q->map[i - 1]))
            draw_query(layout, c, b, &q->map[i]);
}

static mv_panel *new_picture(mv_layout *layout, picture_content content, const mv_map *map, const mv_image *image,
                             const mv_colouring *k)
{
    static const mv_panel_kind kind = {.height = picture_height, .draw = picture_draw};
    picture *q = mv_panel_new(layout, sizeof *q, &kind);
    if (!q)
        return NULL;
    q->content = content;
    q->picture = image;
    q->map = map;
    q->maps = content == CELLS || content == OVERLAY;
    if (k)
        q->k = *k;
    return &q->panel;
}

mv_panel *mv_panel_picture(mv_layout *layout, const mv_image *image)
{
    return new_picture(layout, PICTURE, NULL, image, NULL);
}

mv_panel *mv_panel_picture_queries(mv_layout *layout, const mv_image *image, const mv_map *map, int n)
{
    mv_panel *p = new_picture(layout, PICTURE, map, image, NULL);
    if (p)
        ((picture *)p)->maps = n;
    return p;
}

mv_panel *mv_panel_cells(mv_layout *layout, const mv_map *map, const mv_image *image, const mv_colouring *k)
{
    return new_picture(layout, CELLS, map, image, k);
}

mv_panel *mv_panel_overlay(mv_layout *layout, const mv_map *map, const mv_image *image, const mv_colouring *k)
{
    return new_picture(layout, OVERLAY, map, image, k);
}

mv_panel *mv_panel_scan(mv_layout *layout, const mv_map *map, const mv_image *image, const mv_colouring *k, int scanned,
                        bool over)
{
    mv_panel *p = new_picture(layout, over ? SCAN_OVER : SCAN, map, image, k);
    if (p)
        ((picture *)p)->scanned = scanned;
    return p;
}
