/* The cosine of the features of every cell with those of a chosen one:
 *
 *     similarity(p) = x_p . x_q / (|x_p| |x_q|)        q: the chosen cell
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/explain/cells.h"
#include "src/explain/method.h"
#include "src/explain/params.h"
#include "src/explain/rows.h"

typedef struct {
    const char *site, *cell;
} params;

static mv_status check_cell(const char *value, const char *place, mv_error *e)
{
    int y, x;
    if (strcmp(value, "centre") == 0 || mv_cell_parse(value, &y, &x))
        return MV_OK;
    return mv_fail(e, MV_EINPUT, "%s: found '%.60s', expected centre or a cell as Y,X", place, value);
}

static const char *const cell_words[] = {"centre", NULL};

static const mv_param param[] = {MV_SHARED_SITE(offsetof(params, site), "the features to use"),
                                 {.name = "cell",
                                  .kind = MV_PARAM_TEXT,
                                  .offset = offsetof(params, cell),
                                  .otherwise = "centre",
                                  .check = check_cell,
                                  .words = cell_words,
                                  .argument = "centre|Y,X",
                                  .help = "the cell to compare with, counted from 0, row first"},
                                 {0}};

typedef struct {
    mv_cells *cells;
    int y, x;
} state;

static void close_state(void *own)
{
    state *s = own;
    mv_cells_free(s->cells);
    free(s);
}

static mv_status open_state(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    const params *given = p;
    state *s = calloc(1, sizeof *s);
    if (!s)
        return mv_fail_memory(e, "similarity");
    s->cells = mv_cells_new("similarity: site", given->site, config, h, w, e);
    if (s->cells && !mv_cell_parse(given->cell, &s->y, &s->x)) {
        s->y = (mv_cells_height(s->cells) - 1) / 2;
        s->x = (mv_cells_width(s->cells) - 1) / 2;
    }
    if (!s->cells || mv_cells_check(s->cells, "similarity: cell", s->y, s->x, e)) {
        close_state(s);
        return e->code;
    }
    *own = s;
    return MV_OK;
}

static mv_probe *probe_of(void *own)
{
    return mv_cells_probe(((state *)own)->cells);
}

static double dot(const float *a, const float *b, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += (double)a[i] * (double)b[i];
    return s;
}

/* Cells of zeros have no direction: their similarity is 0. */
static void compare(mv_map *map, const float *x, size_t channels, size_t query)
{
    const float *q = x + query * channels;
    double length = sqrt(dot(q, q, channels));
    for (size_t i = 0; i < (size_t)map->h * (size_t)map->w; i++) {
        const float *a = x + i * channels;
        double lengths = sqrt(dot(a, a, channels)) * length;
        map->v[i] = (float)(lengths > 0 ? dot(a, q, channels) / lengths : 0);
    }
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    const state *own = s->own;
    const mv_cells *c = own->cells;
    float *x = mv_cells_read(c, s->picture, e);
    mv_map *map = x ? mv_maps_add(out, e) : NULL;
    mv_status status = map ? mv_cells_map(map, c, "similarity", e) : e->code;
    if (!status) {
        compare(map, x, (size_t)mv_cells_channels(c), (size_t)own->y * (size_t)map->w + (size_t)own->x);
        map->diverging = true;
        map->query = "cell";
        map->query_y = own->y;
        map->query_x = own->x;
        snprintf(map->title, sizeof map->title, "Similarity to cell %d,%d of %.50s", own->y, own->x, mv_cells_site(c));
        snprintf(map->unit, sizeof map->unit, "cosine");
        mv_map_range(map);
    }
    free(x);
    return status;
}

const mv_method mv_method_similarity = {
    .name = "similarity",
    .title = "Similarity to a cell",
    .summary = "how similar the features of each cell are to those of a chosen one: their cosine",
    .source = "Caron et al. 2021, arXiv 2104.14294",
    .cost = "one forward pass",
    .measured = "deletion 0.35, insertion 0.57; beats random cells at both, the blob at neither",
    .takes = MV_TAKES_CELL,
    .params = param,
    .size = sizeof(params),
    .open = open_state,
    .probe = probe_of,
    .close = close_state,
    .explain = explain,
};
