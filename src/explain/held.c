/* Contributions through the held network. Every operator is held at its value for this picture: the rows of attention,
 * the scan's exp(dt A), dt B and C, the deviations of the norms, the gates of the activations. The network is then an
 * affine map of the value x at any cut, a site that all paths cross, and a logit is, exactly,
 *
 *     logit = sum over cells p of x(p) . dx(p)  +  sum over biases behind the cut of b . db
 *
 * where dx and db are gradients of the held network; a difference of logits is such a sum, too. A probability is not:
 * with its gradient, the right side adds up to sum_k (dp / dlogit_k) logit_k. `held` draws x . dx at a cut; at another
 * site it draws the same product, for which there is no such sum. `held-full` begins at the picture, and adds what each
 * bias holds in a cell to the pixels of the cell (as FullGrad does, Srinivas & Fleuret 2019, arXiv 1905.00780): only
 * the bias of the head, and what biases hold on padding, have no place.
 *
 * This is the dynamic linear view of B-cos networks (Bohle et al. 2022, arXiv 2205.10268). In this network the numbers
 * equal those of layer-wise relevance propagation with the rules of CP-LRP (Ali et al. 2022, arXiv 2202.07304) and
 * MambaLRP (Jafari et al. 2024, arXiv 2406.07592).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/number.h"
#include "src/explain/gradient.h"
#include "src/explain/upsample.h"

/* ---- biases */

/* Where a site or a module comes in the network: what has a greater number is behind it. */
static int order_of(const char *path)
{
    int level, block, used = 0;
    if (strcmp(path, "input") == 0)
        return 0;
    if (strncmp(path, "patch_embed", 11) == 0)
        return 1;
    if (sscanf(path, "levels.%d.blocks.%d", &level, &block) == 2)
        return 10 + 1000 * level + block;
    if (sscanf(path, "levels.%d%n", &level, &used) == 1)
        return 10 + 1000 * level + (path[used] ? 901 : 900);
    return strcmp(path, "norm") == 0 ? 9000 : strcmp(path, "avgpool") == 0 ? 9001 : 9002;
}

/* True for a site that all paths cross. */
static bool is_cut(const char *site)
{
    int level, block, used = 0;
    if (sscanf(site, "levels.%d.blocks.%d%n", &level, &block, &used) == 2)
        return !site[used];
    return true;
}

/* What the bias that is entry i of the trace holds in the cells of the picture: *n values, padding included. */
static const float *field_of(const mv_subject *s, int i, size_t *n)
{
    mv_tensor t = mv_trace_at(s->kept, i), each; /* the head's bias holds one number of each picture */
    bool found = mv_trace_lookup_pass(s->kept, "bias.head", s->pass, &each);
    *n = mv_tensor_count(t) / (found ? (size_t)each.dim[0] : 1);
    return (const float *)t.data + (size_t)s->picture * *n;
}

static bool is_bias(const mv_subject *s, int i)
{
    return mv_trace_pass_at(s->kept, i) == s->pass && strncmp(mv_trace_name_at(s->kept, i), "bias.", 5) == 0;
}

/* The sum of what all biases behind a site hold. */
static double biases_behind(const mv_subject *s, const char *site)
{
    double sum = 0;
    for (int i = 0; i < mv_trace_count(s->kept); i++) {
        if (!is_bias(s, i) || order_of(mv_trace_name_at(s->kept, i) + 5) <= order_of(site))
            continue;
        size_t n;
        const float *field = field_of(s, i, &n);
        for (size_t k = 0; k < n; k++)
            sum += (double)field[k];
    }
    return sum;
}

/* ---- held */

/* x . dx of all values of the site, padding included. */
static double whole_sum(const mv_subject *s)
{
    const float *x = mv_cells_whole(s->own, s->picture, -1), *dx = mv_cells_whole(s->own, s->picture, s->pass);
    size_t n = mv_cells_rows(s->own) * (size_t)mv_cells_channels(s->own);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)dx[i];
    return sum;
}

/* out (cells) = x . dx; returns the sum. */
static double contributions(float *out, const mv_flow *f)
{
    double sum = 0;
    for (size_t p = 0; p < f->cells; p++) {
        double cell = mv_flow_product(f, p, false);
        out[p] = (float)cell;
        sum += cell;
    }
    return sum;
}

/* What cells and biases add up to. */
static double whole_of(const mv_subject *s)
{
    return s->target.probability ? mv_target_of(s->seed, s->logits, s->model->config.classes) : s->value;
}

/* Writes the ledger: cells + biases + rest = target. */
static void prove(mv_map *map, const mv_subject *s, const char *cells, double sum, double biases, double rest,
                  const char *rest_name)
{
    char a[32], b[32], c[48] = "", d[32], number[32];
    const char *whole = s->target.probability ? "logits by gradient of probability"
                        : s->target.n         ? "logit difference"
                                              : "logit";
    if (rest != 0)
        snprintf(c, sizeof c, ", %s  %s", rest_name, mv_number_text(number, rest, 3, true));
    snprintf(map->proof, sizeof map->proof, "%s  %s, biases  %s%s  =  %s  %s", cells, mv_number_text(a, sum, 3, true),
             mv_number_text(b, biases, 3, true), c, whole, mv_number_text(d, whole_of(s), 3, true));
}

static mv_status explain(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    const char *site = mv_cells_site(s->own);
    mv_flow f;
    if (mv_flow_read(&f, s, e))
        return e->code;
    mv_map *map = mv_maps_add(out, e);
    mv_status status = map ? mv_gradient_map(map, s, "held", e) : e->code;
    if (!status) {
        double sum = contributions(map->v, &f), padding = whole_sum(s) - sum;
        if (mv_cells_rows(s->own) == f.cells)
            padding = 0;
        if (is_cut(site)) {
            double biases = biases_behind(s, site);
            mv_gradient_sums(map, s, sum, whole_of(s) - biases - padding);
            mv_map_figure(map, "biases", "biases", "", 3, biases);
            prove(map, s, "sum of cells", sum, biases, padding, "padding");
            if (mv_gradient_is_cam(s) && !s->target.probability)
                mv_gradient_say_cam(map, s);
        } else
            mv_gradient_sums(map, s, sum, NAN);
        mv_map_range(map);
    }
    mv_flow_free(&f);
    return status;
}

/* ---- held-full */

/* The cells that a module's bias acts on. */
static mv_grid grid_of(const mv_subject *s, const char *module)
{
    bool norm = strcmp(module, "norm") == 0; /* of the cells of the last level, without windows */
    int level = norm ? MV_LEVELS - 1 : 0;
    sscanf(module, "levels.%d", &level);
    mv_grid g = mv_grid_of(&s->model->config, level, s->h, s->w);
    if (norm)
        g.window = 0;
    if (strcmp(module, "patch_embed.conv_down.1") == 0)
        g.h = (s->h + 1) / 2, g.w = (s->w + 1) / 2;
    return g;
}

/* The field of a bias as cells, row by row; returns their sum. */
static double cells_of(float *cells, const mv_grid *g, const float *field)
{
    double sum = 0;
    for (int y = 0; y < g->h; y++)
        for (int x = 0; x < g->w; x++) {
            size_t at = (size_t)y * (size_t)g->w + (size_t)x, from = at;
            if (g->window) {
                int window, token;
                mv_grid_token(g, y, x, &window, &token);
                from = (size_t)window * (size_t)g->tokens + (size_t)token;
            }
            cells[at] = field[from];
            sum += (double)field[from];
        }
    return sum;
}

/* Adds what a bias holds in each cell (field, n values) to the pixels px of the cell, and what it holds on padding, or
 * without a place (the head), to *rest. The final batch norm is applied after the mean, unless it is watched, and
 * then holds one number, which is spread evenly: as the one cell of a level that has one. */
static mv_status lay(double *px, double *rest, const mv_subject *s, const char *module, const float *field, size_t n,
                     mv_error *e)
{
    size_t pixels = (size_t)s->h * (size_t)s->w;
    if (strcmp(module, "head") == 0) {
        *rest += (double)*field;
        return MV_OK;
    }
    mv_grid g = grid_of(s, module);
    if (n == 1)
        g.h = g.w = 1, g.window = 0;
    size_t cells = (size_t)g.h * (size_t)g.w;
    float *cell = malloc(cells * sizeof *cell);
    double *spread = malloc(pixels * sizeof *spread);
    if (cell && spread) {
        for (size_t i = 0; i < n; i++)
            *rest += (double)field[i];
        *rest -= cells_of(cell, &g, field);
        mv_upsample_exact(spread, s->h, s->w, cell, g.h, g.w);
        for (size_t i = 0; i < pixels; i++)
            px[i] += spread[i] * (double)cells / (double)pixels;
    }
    mv_status status = cell && spread ? MV_OK : mv_fail_memory(e, "held-full");
    free(cell);
    free(spread);
    return status;
}

static mv_status lay_all(mv_map *map, double *rest, const mv_subject *s, mv_error *e)
{
    size_t n = (size_t)s->h * (size_t)s->w;
    double *px = malloc(n * sizeof *px);
    mv_status status = px ? MV_OK : mv_fail_memory(e, "held-full");
    for (size_t i = 0; i < n && px; i++)
        px[i] = (double)map->v[i];
    for (int i = 0; i < mv_trace_count(s->kept) && !status; i++) {
        size_t values;
        if (!is_bias(s, i))
            continue;
        const float *field = field_of(s, i, &values);
        status = lay(px, rest, s, mv_trace_name_at(s->kept, i) + 5, field, values, e);
    }
    for (size_t i = 0; i < n && !status; i++)
        map->v[i] = (float)px[i];
    free(px);
    return status;
}

static mv_status explain_full(const mv_subject *s, const void *p, mv_maps *out, mv_error *e)
{
    (void)p;
    mv_flow f;
    if (mv_flow_read(&f, s, e))
        return e->code;
    mv_map *map = mv_maps_add(out, e);
    mv_status status = map ? mv_gradient_map(map, s, "held-full", e) : e->code;
    double pixels = 0, rest = 0;
    if (!status) {
        pixels = contributions(map->v, &f);
        status = lay_all(map, &rest, s, e);
    }
    if (!status) {
        double sum = 0, biases = biases_behind(s, "input");
        for (size_t i = 0; i < f.cells; i++)
            sum += (double)map->v[i];
        mv_gradient_sums(map, s, sum, whole_of(s) - rest);
        mv_map_figure(map, "pixels", "pixels", "", 3, pixels);
        mv_map_figure(map, "biases", "biases", "", 3, biases);
        prove(map, s, "of the pixels alone", pixels, biases, 0, "");
        mv_map_range(map);
    }
    mv_flow_free(&f);
    return status;
}

static mv_rules held_rules(const void *params)
{
    (void)params;
    return MV_RULES_HELD;
}

static const mv_param param[] = {MV_GRADIENT_SITE("levels.1"), {0}};

enum { TAKES = MV_TAKES_CLASS | MV_TAKES_AGAINST | MV_TAKES_GRADIENT | MV_TAKES_BIASES };

const mv_method mv_method_held = {
    .name = "held",
    .title = "Contributions through the held network",
    .summary = "what each cell of a site adds to the logit, every operator held at its value for the picture",
    .source = "dynamic linear view: Bohle et al. 2022, arXiv 2205.10268; MambaLRP: arXiv 2406.07592",
    .cost = "one forward pass, and one backward pass to the site",
    .measured = "deletion 0.23, insertion 0.69; beats random cells and the blob at both; better than cam",
    .takes = TAKES,
    .keeps = "bias.**",
    .params = param,
    .size = sizeof(mv_gradient_params),
    .rules = held_rules,
    .open = mv_gradient_open,
    .probe = mv_gradient_probe,
    .close = mv_gradient_close,
    .explain = explain,
};

const mv_method mv_method_held_full = {
    .name = "held-full",
    .title = "Contributions of pixels and biases through the held network",
    .summary = "what each pixel adds to the logit, with what the biases add laid on their cells",
    .source = "after FullGrad: Srinivas & Fleuret 2019, arXiv 1905.00780",
    .cost = "one forward pass, and one backward pass to the picture",
    .measured = "deletion 0.24, insertion 0.68; beats random cells and the blob at both; better than cam",
    .takes = TAKES,
    .keeps = "bias.**",
    .rules = held_rules,
    .open = mv_gradient_open_input,
    .probe = mv_gradient_probe,
    .close = mv_gradient_close,
    .explain = explain_full,
};
