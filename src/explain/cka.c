#include "src/explain/cka.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/run.h"

/* ---- Gram matrices: X X^T of n samples, symmetric, as tiles on and above the diagonal */

enum { TILE = 32, EXACT = 256 }; /* EXACT: channels that are summed in fp32 before they go to double */

static int tiles_along(int n)
{
    return (n + TILE - 1) / TILE;
}

static size_t gram_size(int n)
{
    size_t along = (size_t)tiles_along(n);
    return along * (along + 1) / 2 * TILE * TILE;
}

/* Adds the products of channels `from` to `to` of the samples of two tiles. x holds `stride` samples for each channel.
 */
static void add_products(double *tile, const float *x, size_t stride, int from, int to, int i, int j)
{
    float sum[TILE][TILE] = {{0}};
    for (int k = from; k < to; k++) {
        const float *a = x + (size_t)k * stride + (size_t)i * TILE, *b = x + (size_t)k * stride + (size_t)j * TILE;
        for (int r = 0; r < TILE; r++)
            for (int c = 0; c < TILE; c++)
                sum[r][c] += a[r] * b[c];
    }
    for (int r = 0; r < TILE; r++)
        for (int c = 0; c < TILE; c++)
            tile[r * TILE + c] += (double)sum[r][c];
}

/* The channels, each less its mean, in rows that whole tiles fill; NULL without memory. */
static float *centred(const float *x, int p, int n)
{
    size_t stride = (size_t)tiles_along(n) * TILE;
    float *out = calloc((size_t)p * stride, sizeof *out);
    for (int k = 0; out && k < p; k++) {
        double mean = 0;
        for (int i = 0; i < n; i++)
            mean += (double)x[(size_t)k * (size_t)n + (size_t)i];
        mean /= n;
        for (int i = 0; i < n; i++)
            out[(size_t)k * stride + (size_t)i] = (float)((double)x[(size_t)k * (size_t)n + (size_t)i] - mean);
    }
    return out;
}

/* The Gram matrix of x (p, n) with its channels centred; the caller's to free. NULL without memory. */
static double *gram_of(const float *x, int p, int n)
{
    int along = tiles_along(n);
    double *gram = calloc(gram_size(n), sizeof *gram), *tile = gram;
    float *rows = centred(x, p, n);
    for (int i = 0; gram && rows && i < along; i++)
        for (int j = i; j < along; j++, tile += TILE * TILE)
            for (int k = 0; k < p; k += EXACT)
                add_products(tile, rows, (size_t)along * TILE, k, k + EXACT < p ? k + EXACT : p, i, j);
    free(rows);
    if (!rows) {
        free(gram);
        return NULL;
    }
    return gram;
}

/* The sum of the products of all elements: those off the diagonal count twice. */
static double inner(const double *a, const double *b, int n)
{
    int along = tiles_along(n);
    double all = 0;
    for (int i = 0; i < along; i++)
        for (int j = i; j < along; j++, a += TILE * TILE, b += TILE * TILE) {
            double sum = 0;
            for (int k = 0; k < TILE * TILE; k++)
                sum += a[k] * b[k];
            all += i == j ? sum : 2 * sum;
        }
    return all;
}

static double alignment(double ab, double aa, double bb)
{
    return aa > 0 && bb > 0 ? fmax(0, fmin(1, ab / (sqrt(aa) * sqrt(bb)))) : (double)NAN;
}

mv_status mv_cka(double *out, const float *x, int p, const float *y, int q, int n, mv_error *e)
{
    double *a = gram_of(x, p, n), *b = gram_of(y, q, n);
    if (a && b)
        *out = alignment(inner(a, b, n), inner(a, a, n), inner(b, b, n));
    free(a);
    free(b);
    return a && b ? MV_OK : mv_fail_memory(e, "cka");
}

/* ---- samples */

enum { FINE, COARSE, GRIDS }; /* cells of 16 and of 32 px */

typedef struct {
    char name[48];
    int level, channels, seen; /* seen: pictures */
    float *x[GRIDS];           /* (channels, samples); of level 3 the coarse ones alone */
} block;

/* Which cells of a picture are samples: `chosen` of all, at even steps around the grid. */
typedef struct {
    int cells, w, chosen, step;
} choice;

struct mv_features {
    mv_probe probe;
    mv_grid grid[MV_LEVELS];
    choice choice[GRIDS];
    int pictures, n;
    block *block;
};

static int divisor(int a, int b)
{
    return b ? divisor(b, a % b) : a;
}

/* Steps of the golden section spread any number of samples over the grid; without a common divisor none repeats. */
static choice choose(const mv_grid *g, int pictures)
{
    choice c = {.cells = g->h * g->w, .w = g->w};
    int most = MV_CKA_MOST / pictures;
    c.chosen = c.cells < most ? c.cells : most;
    c.step = (int)(0.618 * c.cells) + 1;
    while (divisor(c.step, c.cells) != 1)
        c.step++;
    return c;
}

static int samples(const mv_features *c, int grid)
{
    return c->choice[grid].chosen * c->pictures;
}

/* Index of the first channel of a block's cell in the picture's value, and the distance from channel to channel. */
static size_t place_of(const mv_grid *g, int channels, int y, int x, size_t *stride)
{
    int n, t;
    *stride = g->window ? 1 : (size_t)g->h * (size_t)g->w;
    if (!g->window)
        return (size_t)y * (size_t)g->w + (size_t)x;
    mv_grid_token(g, y, x, &n, &t);
    return ((size_t)n * (size_t)g->tokens + (size_t)t) * (size_t)channels;
}

/* Sample `to` of the block: the mean over those of its cells that lie in cell (y, x) of a grid of `size` as large
 * cells. */
static void sample(const block *b, const mv_grid *g, float *x_of, size_t n, size_t to, const float *value, int size,
                   int y, int x)
{
    int bottom = (y + 1) * size < g->h ? (y + 1) * size : g->h, right = (x + 1) * size < g->w ? (x + 1) * size : g->w;
    float share = 1 / (float)((bottom - y * size) * (right - x * size));
    for (int i = y * size; i < bottom; i++)
        for (int j = x * size; j < right; j++) {
            size_t stride, from = place_of(g, b->channels, i, j, &stride);
            for (int k = 0; k < b->channels; k++)
                x_of[(size_t)k * n + to] += share * value[from + (size_t)k * stride];
        }
}

static void keep_samples(mv_features *c, block *b, const float *value)
{
    for (int grid = b->level < 3 ? FINE : COARSE; grid < GRIDS; grid++) {
        const choice *k = &c->choice[grid];
        for (int i = 0; i < k->chosen; i++) {
            int cell = (int)(((long long)i * k->step + (long long)b->seen * 7919) % k->cells);
            sample(b, &c->grid[b->level], b->x[grid], (size_t)samples(c, grid),
                   (size_t)b->seen * (size_t)k->chosen + (size_t)i, value, 1 << (2 + grid - b->level), cell / k->w,
                   cell % k->w);
        }
    }
    b->seen++;
}

/* ---- the probe */

static block *lookup(mv_features *c, const char *site)
{
    for (int i = 0; i < c->n; i++)
        if (strcmp(c->block[i].name, site) == 0)
            return &c->block[i];
    return NULL;
}

static bool wants(mv_probe *p, const char *site)
{
    return lookup((mv_features *)p, site) != NULL;
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view v)
{
    mv_run_keep(r, p, site->name, 0, v);
    return false;
}

static void kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor v)
{
    (void)part;
    mv_features *c = (mv_features *)p;
    block *b = lookup(c, site);
    if (mv_run_pictures(r) != 1 || b->seen == c->pictures) {
        mv_run_fail(r, MV_EMISUSE, "%s: found %d pictures in a batch after %d, expected %d, one at a time", site,
                    mv_run_pictures(r), b->seen, c->pictures);
        return;
    }
    keep_samples(c, b, v.data);
}

/* ---- the object */

static bool add_block(mv_features *c, const mv_config *config, int level, int j)
{
    block *b = &c->block[c->n++];
    *b = (block){.level = level, .channels = config->dim << level};
    snprintf(b->name, sizeof b->name, "levels.%d.blocks.%d", level, j);
    for (int grid = level < 3 ? FINE : COARSE; grid < GRIDS; grid++)
        if (!(b->x[grid] = calloc((size_t)b->channels * (size_t)samples(c, grid), sizeof(float))))
            return false;
    return true;
}

mv_features *mv_features_new(const mv_config *config, int h, int w, int pictures, mv_error *e)
{
    int blocks = 0;
    if (pictures < 1 || pictures > MV_CKA_MOST) {
        mv_fail(e, MV_EINPUT, "CKA: found %d pictures, expected 1 to %d", pictures, MV_CKA_MOST);
        return NULL;
    }
    for (int l = 0; l < MV_LEVELS; l++)
        blocks += config->depth[l];
    mv_features *c = calloc(1, sizeof *c);
    bool good = c && (c->block = calloc((size_t)blocks + 1, sizeof *c->block));
    if (good) {
        c->probe = (mv_probe){.wants = wants, .sees = sees, .kept = kept};
        c->pictures = pictures;
        for (int l = 0; l < MV_LEVELS; l++)
            c->grid[l] = mv_grid_of(config, l, h, w);
        for (int grid = FINE; grid < GRIDS; grid++)
            c->choice[grid] = choose(&c->grid[2 + grid], pictures);
    }
    for (int l = 0; l < MV_LEVELS; l++)
        for (int j = 0; good && j < config->depth[l]; j++)
            good = add_block(c, config, l, j);
    if (good)
        return c;
    mv_features_free(c);
    mv_fail_memory(e, "CKA");
    return NULL;
}

void mv_features_free(mv_features *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n; i++)
        for (int grid = FINE; grid < GRIDS; grid++)
            free(c->block[i].x[grid]);
    free(c->block);
    free(c);
}

mv_probe *mv_features_probe(mv_features *c)
{
    return &c->probe;
}

int mv_features_blocks(const mv_features *c)
{
    return c->n;
}

const char *mv_features_block_at(const mv_features *c, int i, int *level)
{
    if (level)
        *level = c->block[i].level;
    return c->block[i].name;
}

static int grid_of(int level_a, int level_b)
{
    return level_a == 3 || level_b == 3 ? COARSE : FINE;
}

int mv_features_samples(const mv_features *c, int level_a, int level_b)
{
    return samples(c, grid_of(level_a, level_b));
}

/* ---- the grid */

/* What all blocks of the first network are in one grid of cells. */
typedef struct {
    double **gram, *norm; /* of each block; NULL and unset where the grid is finer than the block */
} side;

static void side_free(side *s, int blocks)
{
    for (int i = 0; s->gram && i < blocks; i++)
        free(s->gram[i]);
    free(s->gram);
    free(s->norm);
}

static mv_status side_of(side *s, const mv_features *c, int grid, mv_error *e)
{
    int n = samples(c, grid);
    *s = (side){calloc((size_t)c->n + 1, sizeof *s->gram), calloc((size_t)c->n + 1, sizeof *s->norm)};
    if (!s->gram || !s->norm)
        return mv_fail_memory(e, "CKA");
    for (int i = 0; i < c->n; i++) {
        const block *b = &c->block[i];
        if (!b->x[grid])
            continue;
        s->gram[i] = gram_of(b->x[grid], b->channels, n);
        if (!s->gram[i])
            return mv_fail_memory(e, "CKA");
        s->norm[i] = inner(s->gram[i], s->gram[i], n);
    }
    return MV_OK;
}

/* Fills the places of the pairs that are compared on this grid of cells. */
static mv_status fill(double *out, const mv_features *a, const mv_features *b, int grid, mv_error *e)
{
    int n = samples(a, grid);
    side s;
    mv_status status = n < MV_CKA_LEAST ? MV_OK : side_of(&s, a, grid, e);
    if (n < MV_CKA_LEAST)
        return MV_OK;
    for (int j = 0; j < b->n && !status; j++) {
        const block *y = &b->block[j];
        double *gram = y->x[grid] ? gram_of(y->x[grid], y->channels, n) : NULL;
        if (y->x[grid] && !gram)
            status = mv_fail_memory(e, "CKA");
        double norm = gram ? inner(gram, gram, n) : 0;
        for (int i = 0; i < a->n && gram; i++)
            if (grid_of(a->block[i].level, y->level) == grid)
                out[i * b->n + j] = alignment(inner(s.gram[i], gram, n), s.norm[i], norm);
        free(gram);
    }
    side_free(&s, a->n);
    return status;
}

mv_status mv_cka_grid(double *grid, const mv_features *a, const mv_features *b, mv_error *e)
{
    for (int i = 0; i < a->n; i++)
        for (int j = 0; j < b->n; j++) {
            grid[i * b->n + j] = (double)NAN;
            if (a->block[i].seen != a->pictures || b->block[j].seen != a->pictures)
                return mv_fail(e, MV_EMISUSE, "CKA: found %d and %d pictures seen, expected %d", a->block[i].seen,
                               b->block[j].seen, a->pictures);
        }
    for (int k = FINE; k < GRIDS; k++) {
        if (a->choice[k].cells != b->choice[k].cells || a->choice[k].w != b->choice[k].w)
            return mv_fail(e, MV_EMISUSE, "CKA: found inputs of two sizes, expected one");
        mv_status status = fill(grid, a, b, k, e);
        if (status)
            return status;
    }
    return MV_OK;
}
