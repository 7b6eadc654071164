/* Lines of equal value over a map: they carry its reading where colours do not, in grey print and for eyes that see
 * few.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "viz/panel/panel_impl.h"

enum { LEVELS = 6 };

#define DASH 4.0 /* px of a line of a value below 0 */

typedef struct {
    mv_panel panel;
    const mv_map *map;
    const mv_panel *under;
    mv_scale scale;
    double level[LEVELS];
    int levels;
} contours;

/* --- panels at one place ------------------------------------------------------------------------- */

static double stack_height(mv_layout *layout, mv_panel *p, double width)
{
    double h = 0;
    for (mv_panel *i = p->child; i; i = i->next) {
        i->x = i->y = 0;
        h = fmax(h, mv_panel_measure(layout, i, width));
    }
    return h;
}

mv_panel *mv_panel_stack(mv_layout *layout)
{
    static const mv_panel_kind kind = {.height = stack_height};
    return mv_panel_new(layout, sizeof(mv_panel), &kind);
}

/* --- lines --------------------------------------------------------------------------------------- */

typedef struct {
    mv_canvas *c;
    double x, y, w, h; /* of the picture, px */
    const mv_map *map;
    const mv_scale *scale;
    double place; /* of the level along the scale */
    double dash;
} tracer;

/* The place at node (x, y): centres of cells, and one more row and column around them at the edges of the map. */
static double node(const tracer *t, int x, int y)
{
    const mv_map *m = t->map;
    int cx = x < 1 ? 0 : x > m->w ? m->w - 1 : x - 1, cy = y < 1 ? 0 : y > m->h ? m->h - 1 : y - 1;
    double v = (double)m->v[(size_t)cy * (size_t)m->w + (size_t)cx];
    return isfinite(v) ? mv_scale_place(t->scale, v) : (double)NAN;
}

/* Where it stands, in cells. */
static double node_at(int i, int n)
{
    return fmin(fmax(i - 0.5, 0), n);
}

/* The point of the edge from node a to node b where the value is the level. */
static mv_point cross(const tracer *t, const int a[2], const int b[2])
{
    double p = node(t, a[0], a[1]), q = node(t, b[0], b[1]), f = (t->place - p) / (q - p);
    double x = node_at(a[0], t->map->w) * (1 - f) + node_at(b[0], t->map->w) * f,
           y = node_at(a[1], t->map->h) * (1 - f) + node_at(b[1], t->map->h) * f;
    return (mv_point){t->x + x * t->w / t->map->w, t->y + y * t->h / t->map->h};
}

static void draw_segment(const tracer *t, const mv_point *p)
{
    mv_canvas_line(t->c, p, 2, 2, t->dash, (mv_rgb){0, 0, 0});
    mv_canvas_line(t->c, p, 2, 1, t->dash, (mv_rgb){255, 255, 255});
}

/* The lines through one square of four nodes. At a saddle, the mean decides which corners belong together. */
static void trace_square(const tracer *t, int x, int y)
{
    const int corner[4][2] = {{x, y}, {x + 1, y}, {x + 1, y + 1}, {x, y + 1}};
    bool above[4];
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        double v = node(t, corner[i][0], corner[i][1]);
        if (!isfinite(v))
            return;
        above[i] = v > t->place;
        sum += v;
    }
    mv_point p[4];
    int n = 0;
    for (int i = 0; i < 4; i++)
        if (above[i] != above[(i + 1) % 4])
            p[n++] = cross(t, corner[i], corner[(i + 1) % 4]);
    if (n == 2) {
        draw_segment(t, p);
    } else if (n == 4) {
        bool joined = (sum / 4 > t->place) == above[0]; /* corners 0 and 2: edges 0, 1 and 2, 3 are cut off */
        const mv_point pairs[2][2] = {{p[joined ? 0 : 3], p[joined ? 1 : 0]}, {p[joined ? 2 : 1], p[joined ? 3 : 2]}};
        draw_segment(t, pairs[0]);
        draw_segment(t, pairs[1]);
    }
}

static double contours_height(mv_layout *layout, mv_panel *p, double width)
{
    (void)layout;
    (void)p;
    (void)width;
    return 0;
}

static void contours_draw(mv_layout *layout, mv_panel *p, mv_canvas *c)
{
    const contours *q = (const contours *)p;
    tracer t = {.c = c, .x = p->x, .y = p->y, .map = q->map, .scale = &q->scale};
    (void)layout;
    mv_panel_picture_size(q->under, &t.w, &t.h);
    for (int i = 0; i < q->levels; i++) {
        t.place = mv_scale_place(&q->scale, q->level[i]);
        t.dash = q->level[i] < 0 ? DASH : 0;
        if (!(t.place > 0 && t.place < 1)) /* no cell is drawn on both sides of it */
            continue;
        for (int y = 0; y <= q->map->h; y++)
            for (int x = 0; x <= q->map->w; x++)
                trace_square(&t, x, y);
    }
}

mv_panel *mv_panel_contours(mv_layout *layout, mv_panel *under, const mv_map *map, const mv_colouring *k,
                            const double *level, int levels)
{
    static const mv_panel_kind kind = {.height = contours_height, .draw = contours_draw};
    mv_panel *stack = mv_panel_stack(layout);
    contours *q = mv_panel_new(layout, sizeof *q, &kind);
    if (!stack || !q || !under)
        return NULL;
    q->map = map;
    q->under = under;
    q->scale = k->scale;
    q->levels = levels < LEVELS ? levels : LEVELS;
    memcpy(q->level, level, (size_t)q->levels * sizeof *level);
    mv_panel_add(stack, under);
    mv_panel_add(stack, &q->panel);
    return stack;
}
