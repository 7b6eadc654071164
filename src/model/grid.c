#include "src/model/grid.h"

static int half(int n)
{
    return (n + 1) / 2;
}

mv_grid mv_grid_of(const mv_config *config, int level, int h, int w)
{
    mv_grid g = {.level = level, .picture_h = h, .picture_w = w, .h = half(h), .w = half(w), .cell = 4 << level};
    for (int i = 0; i <= level; i++) {
        g.h = half(g.h);
        g.w = half(g.w);
    }
    if (level < 2)
        return g;
    g.window = config->window[level];
    g.down = (g.h + g.window - 1) / g.window;
    g.across = (g.w + g.window - 1) / g.window;
    g.windows = g.down * g.across;
    g.tokens = g.window * g.window;
    g.padding = 1 - (double)g.h * g.w / ((double)g.windows * g.tokens);
    return g;
}

bool mv_grid_cell(const mv_grid *g, int n, int t, int *y, int *x)
{
    int row = n / g->across * g->window + t / g->window, column = n % g->across * g->window + t % g->window;
    if (row >= g->h || column >= g->w)
        return false;
    *y = row;
    *x = column;
    return true;
}

void mv_grid_token(const mv_grid *g, int y, int x, int *n, int *t)
{
    *n = y / g->window * g->across + x / g->window;
    *t = y % g->window * g->window + x % g->window;
}

void mv_grid_extent(const mv_grid *g, int n, int *rows, int *columns)
{
    int below = g->h - n / g->across * g->window, right = g->w - n % g->across * g->window;
    *rows = below < g->window ? below : g->window;
    *columns = right < g->window ? right : g->window;
}

mv_status mv_grid_stitch(mv_map *out, const mv_grid *g, const double *tokens, mv_error *e)
{
    mv_status s = mv_map_new(out, g->h, g->w, e);
    if (s)
        return s;
    for (int y = 0; y < g->h; y++)
        for (int x = 0; x < g->w; x++) {
            int n, t;
            mv_grid_token(g, y, x, &n, &t);
            out->v[(size_t)y * (size_t)g->w + (size_t)x] = (float)tokens[(size_t)n * (size_t)g->tokens + (size_t)t];
        }
    mv_map_range(out);
    return MV_OK;
}

void mv_grid_describe(mv_map *map, const mv_grid *g)
{
    map->level = g->level;
    map->cell = g->cell;
    map->window = g->window;
    map->down = g->down;
    map->across = g->across;
    map->padding = g->padding;
}
