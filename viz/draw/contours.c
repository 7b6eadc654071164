#include "viz/draw/contours.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NODES = 96,        /* squares a side of the grid that lines are followed on, about */
    FINEST = 8,        /* squares a side of a cell */
    MOST_NODES = 1024, /* squares a side of the grid at most */
    FINE_CELLS = 64,   /* cells a side of a map from which on specks have no line */
};

#define SPECK 0.04 /* of the picture's size: the length of a line around a speck */

mv_between mv_between_cells(float at, int cells, int window)
{
    int first = 0, last = cells - 1;
    if (window > 0 && window < cells) {
        int middle = (int)floorf(at + 0.5f);
        middle = middle < 0 ? 0 : middle > cells - 1 ? cells - 1 : middle;
        first = middle / window * window;
        last = first + window - 1 < last ? first + window - 1 : last;
    }
    at = at < (float)first ? (float)first : at > (float)last ? (float)last : at;
    int a = (int)at;
    return (mv_between){a, a + 1 <= last ? a + 1 : a, at - (float)a};
}

bool mv_query_outline(mv_point out[5], const mv_map *map)
{
    bool cell = map->query && strcmp(map->query, "cell") == 0 && map->query_y >= 0 && map->query_y < map->h &&
                map->query_x >= 0 && map->query_x < map->w;
    double x = (double)map->query_x / map->w, y = (double)map->query_y / map->h, w = 1.0 / map->w, h = 1.0 / map->h;
    const mv_point corner[5] = {{x, y}, {x + w, y}, {x + w, y + h}, {x, y + h}, {x, y}};
    if (cell)
        memcpy(out, corner, sizeof corner);
    return cell;
}

void mv_contours_free(mv_contours *c)
{
    free(c->line);
    free(c->point);
    *c = (mv_contours){0};
}

/* ---- growing */

typedef struct {
    mv_contours *out;
    int line_room, point_room;
    bool failed;
} writer;

/* Room for one more element; false without memory. */
static bool grow(void **list, int n, int *room, size_t size)
{
    if (n < *room)
        return true;
    int more = *room ? 2 * *room : 64;
    void *bigger = realloc(*list, (size_t)more * size);
    if (!bigger)
        return false;
    *list = bigger;
    *room = more;
    return true;
}

static void start_line(writer *w, double value)
{
    mv_contours *o = w->out;
    if (w->failed || !grow((void **)&o->line, o->lines, &w->line_room, sizeof *o->line)) {
        w->failed = true;
        return;
    }
    o->line[o->lines++] = (mv_contour){o->points, 0, value};
}

static void add_point(writer *w, mv_point p)
{
    mv_contours *o = w->out;
    if (w->failed || !grow((void **)&o->point, o->points, &w->point_room, sizeof *o->point)) {
        w->failed = true;
        return;
    }
    o->point[o->points++] = p;
    o->line[o->lines - 1].n++;
}

/* Takes the last line away if it is around a speck. */
static void drop_speck(writer *w)
{
    mv_contours *o = w->out;
    if (w->failed)
        return;
    const mv_contour *l = &o->line[o->lines - 1];
    double length = 0;
    for (int i = l->first + 1; i < l->first + l->n; i++)
        length += hypot(o->point[i].x - o->point[i - 1].x, o->point[i].y - o->point[i - 1].y);
    if (length < SPECK) {
        o->points -= l->n;
        o->lines--;
    }
}

/* ---- the grid */

/* Places along the scale at nodes. The edge that goes right from node n has the number 2 n, the one that goes down
 * 2 n + 1. */
typedef struct {
    const mv_map *map;
    int w, h; /* nodes */
    float *place;
    int (*link)[2]; /* per edge: the edges that lines go to from it; -1: none */
    double at;      /* the place of the value */
} grid;

static float sample(const mv_map *map, const float *cell, mv_between u, mv_between v)
{
    const int c[4] = {v.a * map->w + u.a, v.a * map->w + u.b, v.b * map->w + u.a, v.b * map->w + u.b};
    const float weight[4] = {(1 - v.f) * (1 - u.f), (1 - v.f) * u.f, v.f * (1 - u.f), v.f * u.f};
    float sum = 0;
    for (int i = 0; i < 4; i++)
        if (weight[i] > 0)
            sum += weight[i] * cell[c[i]];
    return sum;
}

static mv_status fill(grid *g, const mv_map *map, const mv_colouring *k, mv_error *e)
{
    int larger = map->w > map->h ? map->w : map->h, each = NODES / larger;
    each = each < 1 ? 1 : each > FINEST ? FINEST : each;
    *g = (grid){.map = map};
    g->w = (map->w < MOST_NODES / each ? map->w * each : MOST_NODES) + 1;
    g->h = (map->h < MOST_NODES / each ? map->h * each : MOST_NODES) + 1;
    size_t cells = (size_t)map->w * (size_t)map->h, nodes = (size_t)g->w * (size_t)g->h;
    float *cell = malloc(cells * sizeof *cell);
    g->place = malloc(nodes * sizeof *g->place);
    g->link = malloc(2 * nodes * sizeof *g->link);
    if (cell && g->place && g->link) {
        for (size_t i = 0; i < cells; i++)
            cell[i] = isfinite(map->v[i]) ? (float)mv_scale_place(&k->scale, (double)map->v[i]) : NAN;
        for (int y = 0; y < g->h; y++)
            for (int x = 0; x < g->w; x++) {
                float u = (float)x * (float)map->w / (float)(g->w - 1) - 0.5f;
                float v = (float)y * (float)map->h / (float)(g->h - 1) - 0.5f;
                g->place[(size_t)y * (size_t)g->w + (size_t)x] =
                    sample(map, cell, mv_between_cells(u, map->w, k->window), mv_between_cells(v, map->h, k->window));
            }
    }
    free(cell);
    return cell && g->place && g->link ? MV_OK : mv_fail_memory(e, "drawing");
}

/* The number of edge i of the square at (x, y): top, right, bottom, left. */
static int edge_of(const grid *g, int x, int y, int i)
{
    int n = y * g->w + x;
    return i == 0 ? 2 * n : i == 1 ? 2 * (n + 1) + 1 : i == 2 ? 2 * (n + g->w) : 2 * n + 1;
}

static void join(grid *g, int a, int b)
{
    int *from = g->link[a], *to = g->link[b];
    from[from[0] >= 0] = b;
    to[to[0] >= 0] = a;
}

/* Links the edges that lines cross in one square. At a saddle, the mean decides which corners belong together. */
static void cross_square(grid *g, int x, int y)
{
    const float *top = g->place + (size_t)y * (size_t)g->w + (size_t)x, *low = top + g->w;
    const double corner[4] = {(double)top[0], (double)top[1], (double)low[1], (double)low[0]};
    double sum = corner[0] + corner[1] + corner[2] + corner[3];
    int n = 0, crossed[4];
    if (isnan(sum))
        return;
    for (int i = 0; i < 4; i++)
        if ((corner[i] > g->at) != (corner[(i + 1) % 4] > g->at))
            crossed[n++] = edge_of(g, x, y, i);
    if (n == 2)
        join(g, crossed[0], crossed[1]);
    if (n == 4) {
        bool together = (sum / 4 > g->at) == (corner[0] > g->at); /* corners 0 and 2 */
        join(g, crossed[0], crossed[together ? 1 : 3]);
        join(g, crossed[2], crossed[together ? 3 : 1]);
    }
}

/* The point of an edge where the value is. Nodes beyond the outer cells' centres are at the borders of the picture. */
static mv_point point_on(const grid *g, int edge)
{
    int n = edge / 2, x = n % g->w, y = n / g->w, right = edge % 2 == 0;
    double p = (double)g->place[n], q = (double)g->place[n + (right ? 1 : g->w)], f = (g->at - p) / (q - p);
    return (mv_point){(x + (right ? f : 0)) / (g->w - 1), (y + (right ? 0 : f)) / (g->h - 1)};
}

/* Follows the line from an edge on, and takes its links away. */
static void follow(grid *g, int edge, double value, writer *w)
{
    int first = edge, before = -1;
    start_line(w, value);
    while (edge >= 0) {
        int *link = g->link[edge], next = link[0] == before ? link[1] : link[0];
        add_point(w, point_on(g, edge));
        link[0] = link[1] = -1;
        before = edge;
        edge = next;
        if (edge == first)
            break;
    }
    if (edge == first)
        add_point(w, point_on(g, first));
    if (g->map->w > FINE_CELLS || g->map->h > FINE_CELLS)
        drop_speck(w);
}

static void trace(grid *g, double value, writer *w)
{
    int edges = 2 * g->w * g->h;
    memset(g->link, -1, (size_t)edges * sizeof *g->link);
    for (int y = 0; y + 1 < g->h; y++)
        for (int x = 0; x + 1 < g->w; x++)
            cross_square(g, x, y);
    for (int open = 1; open >= 0; open--) /* lines with ends first, then those without */
        for (int i = 0; i < edges && !w->failed; i++)
            if (g->link[i][0] >= 0 && (!open || g->link[i][1] < 0))
                follow(g, i, value, w);
}

static mv_status finish(writer *w, mv_error *e)
{
    if (!w->failed)
        return MV_OK;
    mv_contours_free(w->out);
    return mv_fail_memory(e, "drawing");
}

mv_status mv_contours_of(mv_contours *out, const mv_map *map, const mv_colouring *k, const double *level, int levels,
                         mv_error *e)
{
    grid g;
    writer w = {.out = out};
    *out = (mv_contours){0};
    if (levels == 0 || map->channels == 3)
        return MV_OK;
    mv_status s = fill(&g, map, k, e);
    for (int i = 0; i < levels && !s; i++) {
        g.at = mv_scale_place(&k->scale, level[i]);
        if (g.at > 0 && g.at < 1) /* no cell is drawn on both sides of the ends */
            trace(&g, level[i], &w);
    }
    free(g.place);
    free(g.link);
    return s ? s : finish(&w, e);
}

/* ---- cells */

/* True if the cell is on the far side of the value as seen from 0. */
static bool beyond(const mv_map *map, int x, int y, double value)
{
    double v = (double)map->v[(size_t)y * (size_t)map->w + (size_t)x];
    return value < 0 ? v < value : v > value;
}

/* The borders between row y - 1 and row y, or between columns where `across`: runs of cells as one line. */
static void border(writer *w, const mv_map *map, int y, double value, bool across)
{
    int n = across ? map->h : map->w;
    bool on = false;
    for (int x = 0; x <= n; x++) {
        bool now = x < n && (across ? beyond(map, y - 1, x, value) != beyond(map, y, x, value)
                                    : beyond(map, x, y - 1, value) != beyond(map, x, y, value));
        mv_point p =
            across ? (mv_point){(double)y / map->w, (double)x / n} : (mv_point){(double)x / n, (double)y / map->h};
        if (now && !on)
            start_line(w, value);
        if (now != on)
            add_point(w, p);
        on = now;
    }
}

mv_status mv_contours_of_cells(mv_contours *out, const mv_map *map, const double *level, int levels, mv_error *e)
{
    writer w = {.out = out};
    *out = (mv_contours){0};
    for (int i = 0; i < levels && map->channels != 3; i++) {
        for (int y = 1; y < map->h; y++)
            border(&w, map, y, level[i], false);
        for (int x = 1; x < map->w; x++)
            border(&w, map, x, level[i], true);
    }
    return finish(&w, e);
}
