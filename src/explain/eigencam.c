/* Eigen-CAM (Muhammad & Yeasin 2020, arXiv 2008.00299): the features of a site, projected on their first principal
 * direction. With the rows x_p of all cells p and their mean m,
 *
 *     EigenCAM(p) = (x_p - m) . v1        v1: the direction of largest variance
 *
 * v1 has no sign of its own: it is turned so that the value of largest magnitude is positive. No class is involved.
 */
#include <stdio.h>
#include <stdlib.h>

#include "src/explain/cells.h"
#include "src/explain/method.h"
#include "src/explain/params.h"
#include "src/explain/principal.h"

typedef struct {
    const char *site;
} params;

static const mv_param param[] = {MV_SHARED_SITE(offsetof(params, site), "the features to use"), {0}};

static mv_status open_cells(void **own, const void *p, const mv_config *config, int h, int w, mv_error *e)
{
    *own = mv_cells_new("eigencam: site", ((const params *)p)->site, config, h, w, e);
    return *own ? MV_OK : e->code;
}

static mv_probe *probe_of(void *own)
{
    return mv_cells_probe(own);
}

static void close_cells(void *own)
{
    mv_cells_free(own);
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    const mv_cells *c = s->own;
    size_t n = (size_t)mv_cells_height(c) * (size_t)mv_cells_width(c);
    double share = 0, *along = malloc(n * sizeof *along);
    float *x = along ? mv_cells_read(c, s->picture, e) : NULL;
    mv_map *map = x ? mv_maps_add(out, e) : NULL;
    mv_status status = !along ? mv_fail_memory(e, "eigencam") : map ? MV_OK : e->code;
    if (!status)
        status = mv_principal(along, &share, x, n, (size_t)mv_cells_channels(c), 1, e);
    if (!status)
        status = mv_cells_map(map, c, "eigencam", e);
    if (!status) {
        for (size_t i = 0; i < n; i++)
            map->v[i] = (float)along[i];
        map->diverging = true;
        snprintf(map->title, sizeof map->title, "First direction of %.60s", mv_cells_site(c));
        snprintf(map->unit, sizeof map->unit, "along the first direction");
        mv_map_figure(map, "variance", "variance", "of 1", 2, share);
        mv_map_range(map);
    }
    free(along);
    free(x);
    return status;
}

const mv_method mv_method_eigencam = {
    .name = "eigencam",
    .title = "Eigen-CAM",
    .summary = "what varies most among the cells of a site: their projection on the first principal direction",
    .source = "Muhammad & Yeasin 2020, arXiv 2008.00299",
    .cost = "one forward pass",
    .measured = "deletion 0.42, insertion 0.50; beats random cells and the blob at neither",
    .params = param,
    .size = sizeof(params),
    .open = open_cells,
    .probe = probe_of,
    .close = close_cells,
    .explain = explain,
};
