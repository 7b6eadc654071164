#include "src/explain/relevance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/ops.h"

/* Numbers of all pictures of a forward. */
typedef struct {
    double *v; /* (pictures, each) */
    size_t room;
    int pictures;
} stored;

/* The values of the mixer that is walked through, of one batch. */
enum { OF_Y, OF_X, OF_DT, OF_B, OF_C, OF_ALL };
static const char *const leaf_of[OF_ALL] = {"y", "x", "dt", "B", "C"};

struct mv_relevance {
    mv_probe probe;
    mv_relevance_options options;
    mv_config config;
    mv_grid grid[MV_LEVELS];
    double *query[MV_LEVELS]; /* (windows, T): 1 on cells, 0 on padding */
    stored chain[MV_BACK_PASSES][MV_LEVELS];
    stored *heads[MV_BACK_PASSES]; /* of each block of levels 2 and 3 */
    unsigned arrived;              /* a bit for each of `mixer` */
    float *mixer[OF_ALL];
    float *A[MV_LEVELS], *D[MV_LEVELS]; /* of each mixer of the level: (blocks, E, S), (blocks, E) */
};

/* ---- sites */

static bool place_of(const mv_relevance *r, const char *site, int *level, int *block, const char **leaf)
{
    int used = 0;
    if (sscanf(site, "levels.%d.blocks.%d.mixer.%n", level, block, &used) != 2 || !used || *level < 2 ||
        *level >= MV_LEVELS || !r->options.level[*level])
        return false;
    *leaf = site + used;
    return true;
}

/* OF_Y.. for a leaf of a mixer, else -1. */
static int value_of(const char *leaf)
{
    for (int i = 0; i < OF_ALL; i++)
        if (strcmp(leaf, leaf_of[i]) == 0)
            return i;
    return -1;
}

static bool wants(mv_probe *p, const char *site)
{
    const mv_relevance *r = (const mv_relevance *)p;
    bool gradient = strncmp(site, "grad.", 5) == 0;
    int level, block;
    const char *leaf;
    if (!place_of(r, site + (gradient ? 5 : 0), &level, &block, &leaf))
        return false;
    if (gradient && strcmp(leaf, "attn") == 0)
        return true;
    return r->options.mixers && (gradient ? value_of(leaf) >= 0 : value_of(leaf) == OF_C);
}

/* ---- results */

/* The numbers of the batch's pictures, as they are; new ones are 0. NULL without memory. */
static double *store(stored *s, mv_run *r, size_t each, bool first)
{
    size_t from = (size_t)mv_run_first(r), n = (size_t)mv_run_pictures(r), needed = (from + n) * each;
    if (needed > s->room) {
        double *more = realloc(s->v, needed * sizeof *more);
        if (!more) {
            mv_run_fail(r, MV_ENOMEM, "relevance: out of memory");
            return NULL;
        }
        s->v = more;
        s->room = needed;
    }
    double *at = s->v + from * each;
    if (first)
        memset(at, 0, n * each * sizeof *at);
    s->pictures = (int)(from + n);
    return at;
}

static const double *stored_at(const stored *s, int picture, size_t each)
{
    return picture >= 0 && picture < s->pictures ? s->v + (size_t)picture * each : NULL;
}

static size_t tokens_of(const mv_grid *g)
{
    return (size_t)g->windows * (size_t)g->tokens;
}

static float *read(mv_run *r, mv_view v, bool gradient)
{
    float *host = malloc(mv_view_count(v) * sizeof *host + 1);
    if (!host)
        mv_run_fail(r, MV_ENOMEM, "relevance: out of memory");
    else if (!(gradient ? mv_run_read_gradient : mv_run_read)(r, v, host)) {
        free(host);
        return NULL;
    }
    return host;
}

/* ---- the chain */

/* d += (q + d)^T P for one window: what later blocks take from tokens, carried to what those are made of. */
static void carry(double *d, const double *q, const double *p, size_t tokens, double *row)
{
    memset(row, 0, tokens * sizeof *row);
    for (size_t i = 0; i < tokens; i++)
        for (size_t j = 0; j < tokens; j++)
            row[j] += (q[i] + d[i]) * p[i * tokens + j];
    for (size_t j = 0; j < tokens; j++)
        d[j] += row[j];
}

typedef struct {
    const mv_relevance *r;
    int level, block, windows; /* of the batch */
    size_t tokens;
    double *d; /* (windows, T) */
} link;

static bool link_open(link *l, mv_relevance *r, mv_run *run, int level, int block)
{
    const mv_grid *g = &r->grid[level];
    *l = (link){.r = r,
                .level = level,
                .block = block,
                .windows = g->windows * mv_run_pictures(run),
                .tokens = (size_t)g->tokens};
    /* The way back visits the last block of a level first. */
    l->d = store(&r->chain[mv_run_pass(run)][level], run, tokens_of(g), block == r->config.depth[level] - 1);
    return l->d;
}

/* P (T, T) and a row of one window, in one piece of memory. */
static double *link_room(const link *l, mv_run *run)
{
    double *p = malloc((l->tokens + 1) * l->tokens * sizeof *p);
    if (!p)
        mv_run_fail(run, MV_ENOMEM, "relevance: out of memory");
    return p;
}

static void link_carry(const link *l, int window, double *p)
{
    const double *q = l->r->query[l->level] + (size_t)(window % l->r->grid[l->level].windows) * l->tokens;
    carry(l->d + (size_t)window * l->tokens, q, p, l->tokens, p + l->tokens * l->tokens);
}

/* ---- attention */

/* product (N, heads, T, T) = dA A */
static void chain_heads(mv_relevance *r, mv_run *run, int level, int block, const float *product, size_t heads)
{
    link l;
    double *p = link_open(&l, r, run, level, block) ? link_room(&l, run) : NULL;
    size_t n = l.tokens * l.tokens;
    for (int window = 0; p && window < l.windows; window++) {
        const float *from = product + (size_t)window * heads * n;
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t k = 0; k < heads; k++)
                sum += fmax((double)from[k * n + i], 0);
            p[i] = sum / (double)heads;
        }
        link_carry(&l, window, p);
    }
    free(p);
}

static int number_of(const mv_relevance *r, int level, int block)
{
    return block + (level == 3 ? r->config.depth[2] : 0);
}

/* Each head summed over its rows. */
static void sum_heads(mv_relevance *r, mv_run *run, int level, int block, const float *product, size_t heads)
{
    const mv_grid *g = &r->grid[level];
    size_t tokens = (size_t)g->tokens, all = heads * (size_t)(g->windows * mv_run_pictures(run));
    stored *s = &r->heads[mv_run_pass(run)][number_of(r, level, block)];
    double *to = store(s, run, tokens_of(g) * heads, true);
    for (size_t k = 0; to && k < all; k++, to += tokens)
        for (size_t i = 0; i < tokens; i++, product += tokens)
            for (size_t j = 0; j < tokens; j++)
                to[j] += (double)product[j];
}

static void see_attention(mv_relevance *r, mv_run *run, int level, int block, mv_view grad)
{
    float *product = read(run, grad, true), *rows = product ? read(run, mv_run_value(run), false) : NULL;
    size_t n = mv_view_count(grad), heads = (size_t)grad.dim[1];
    for (size_t i = 0; rows && i < n; i++)
        product[i] *= rows[i];
    if (rows && r->options.heads)
        sum_heads(r, run, level, block, product, heads);
    if (rows && r->options.chain)
        chain_heads(r, run, level, block, product, heads);
    free(product);
    free(rows);
}

/* ---- mixers */

/* One window of the mixer, with E channels and S states. */
typedef struct {
    size_t tokens, channels;
    const float *dy, *x, *dt, *b, *c; /* (T, E), (T, E), (T, E), (T, S), (T, S) */
    const float *a, *d;               /* (E, S), (E) */
} scanned;

/* p += max(0, M_e[i,j] dy_ie x_je) of one channel. decay (T, S) = exp(dt A). */
static void add_channel(double *p, const scanned *s, size_t e, double *decay)
{
    for (size_t t = 0; t < s->tokens; t++)
        for (size_t k = 0; k < MV_STATES; k++)
            decay[t * MV_STATES + k] = exp((double)s->dt[t * s->channels + e] * (double)s->a[e * MV_STATES + k]);
    for (size_t j = 0; j < s->tokens; j++) {
        double h[MV_STATES], x = (double)s->x[j * s->channels + e];
        for (size_t k = 0; k < MV_STATES; k++)
            h[k] = (double)s->dt[j * s->channels + e] * (double)s->b[j * MV_STATES + k];
        for (size_t i = j; i < s->tokens; i++) {
            double m = i == j ? (double)s->d[e] : 0;
            for (size_t k = 0; k < MV_STATES; k++) {
                h[k] *= i == j ? 1 : decay[i * MV_STATES + k];
                m += (double)s->c[i * MV_STATES + k] * h[k];
            }
            p[i * s->tokens + j] += fmax(m * (double)s->dy[i * s->channels + e] * x, 0);
        }
    }
}

static void chain_mixer(mv_relevance *r, mv_run *run, int level, int block, size_t channels)
{
    link l;
    double *p = link_open(&l, r, run, level, block) ? link_room(&l, run) : NULL,
           *decay = p ? malloc(l.tokens * MV_STATES * sizeof *decay) : NULL;
    if (p && !decay)
        mv_run_fail(run, MV_ENOMEM, "relevance: out of memory");
    for (int window = 0; decay && window < l.windows; window++) {
        size_t first = (size_t)window * l.tokens, wide = first * channels, narrow = first * MV_STATES;
        size_t number = (size_t)block;
        scanned s = {l.tokens,
                     channels,
                     r->mixer[OF_Y] + wide,
                     r->mixer[OF_X] + wide,
                     r->mixer[OF_DT] + wide,
                     r->mixer[OF_B] + narrow,
                     r->mixer[OF_C] + narrow,
                     r->A[level] + number * channels * MV_STATES,
                     r->D[level] + number * channels};
        memset(p, 0, l.tokens * l.tokens * sizeof *p);
        for (size_t e = 0; e < channels; e++)
            add_channel(p, &s, e, decay);
        for (size_t i = 0; i < l.tokens * l.tokens; i++)
            p[i] /= (double)channels;
        link_carry(&l, window, p);
    }
    free(p);
    free(decay);
}

static void forget_mixer(mv_relevance *r)
{
    for (int i = 0; i < OF_ALL; i++) {
        free(r->mixer[i]);
        r->mixer[i] = NULL;
    }
    r->arrived = 0;
}

/* The gradient of y and the values of the others; the block is complete when all have arrived, in any order. */
static void see_mixer(mv_relevance *r, mv_run *run, int level, int block, int which, mv_view grad)
{
    free(r->mixer[which]);
    r->mixer[which] = read(run, which == OF_Y ? grad : mv_run_value(run), which == OF_Y);
    if (!r->mixer[which])
        return;
    r->arrived |= 1u << which;
    if (r->arrived != (1u << OF_ALL) - 1)
        return;
    chain_mixer(r, run, level, block, (size_t)(r->config.dim << level >> 1));
    forget_mixer(r);
}

/* Reads the weights of a mixer, in the forward pass. */
static void see_weights(mv_relevance *r, mv_run *run, int level, int block)
{
    const mv_ssm *w = &mv_mixer_now(run)->w->ssm;
    size_t at = (size_t)block * (size_t)w->channels;
    forget_mixer(r); /* what a pass that failed has left */
    mv_run_read(run, mv_view_of(mv_tensor_of(w->A.data, MV_F32, 2, w->channels, MV_STATES)),
                r->A[level] + at * MV_STATES);
    mv_run_read(run, mv_view_of(mv_tensor_of(w->D.data, MV_F32, 1, w->channels)), r->D[level] + at);
}

static bool sees(mv_probe *p, mv_run *run, const mv_site_info *site, mv_view v)
{
    mv_relevance *r = (mv_relevance *)p;
    bool gradient = strncmp(site->name, "grad.", 5) == 0;
    int level, block;
    const char *leaf = "";
    place_of(r, site->name + (gradient ? 5 : 0), &level, &block, &leaf);
    if (!gradient)
        see_weights(r, run, level, block);
    else if (mv_run_rules(run) == MV_RULES_GRADIENT && strcmp(leaf, "attn") == 0)
        see_attention(r, run, level, block, v);
    else if (mv_run_rules(run) == MV_RULES_GRADIENT)
        see_mixer(r, run, level, block, value_of(leaf), v);
    return false;
}

/* ---- the object */

static bool allocate(mv_relevance *r)
{
    int blocks = r->config.depth[2] + r->config.depth[3];
    for (int i = 0; i < MV_BACK_PASSES && r->options.heads; i++)
        if (!(r->heads[i] = calloc((size_t)blocks + 1, sizeof *r->heads[i])))
            return false;
    for (int i = 2; i < MV_LEVELS; i++) {
        const mv_grid *g = &r->grid[i];
        size_t channels = (size_t)(r->config.depth[i] + 1) * (size_t)(r->config.dim << i >> 1);
        r->query[i] = calloc(tokens_of(g) + 1, sizeof *r->query[i]);
        r->A[i] = malloc(channels * MV_STATES * sizeof *r->A[i]);
        r->D[i] = malloc(channels * sizeof *r->D[i]);
        if (!r->query[i] || !r->A[i] || !r->D[i])
            return false;
        for (int cell = 0; cell < g->h * g->w; cell++) {
            int n, t;
            mv_grid_token(g, cell / g->w, cell % g->w, &n, &t);
            r->query[i][(size_t)n * (size_t)g->tokens + (size_t)t] = 1;
        }
    }
    return true;
}

mv_relevance *mv_relevance_new(const mv_relevance_options *options, const mv_config *config, int h, int w, mv_error *e)
{
    mv_relevance *r = calloc(1, sizeof *r);
    if (!r) {
        mv_fail_memory(e, "relevance");
        return NULL;
    }
    *r = (mv_relevance){.probe = {.wants = wants, .sees = sees}, .options = *options, .config = *config};
    for (int i = 0; i < MV_LEVELS; i++)
        r->grid[i] = mv_grid_of(config, i, h, w);
    if (allocate(r))
        return r;
    mv_relevance_free(r);
    mv_fail_memory(e, "relevance");
    return NULL;
}

void mv_relevance_free(mv_relevance *r)
{
    if (!r)
        return;
    for (int i = 0; i < MV_BACK_PASSES; i++) {
        for (int k = 0; k < MV_LEVELS; k++)
            free(r->chain[i][k].v);
        for (int k = 0; r->heads[i] && k < r->config.depth[2] + r->config.depth[3]; k++)
            free(r->heads[i][k].v);
        free(r->heads[i]);
    }
    for (int i = 0; i < MV_LEVELS; i++) {
        free(r->query[i]);
        free(r->A[i]);
        free(r->D[i]);
    }
    forget_mixer(r);
    free(r);
}

mv_probe *mv_relevance_probe(mv_relevance *r)
{
    return &r->probe;
}

const mv_grid *mv_relevance_grid(const mv_relevance *r, int level)
{
    return &r->grid[level];
}

const double *mv_relevance_heads(const mv_relevance *r, int picture, int pass, int level, int block)
{
    size_t each = tokens_of(&r->grid[level]) * (size_t)r->config.heads[level];
    return stored_at(&r->heads[pass][number_of(r, level, block)], picture, each);
}

const double *mv_relevance_chain(const mv_relevance *r, int picture, int pass, int level)
{
    return stored_at(&r->chain[pass][level], picture, tokens_of(&r->grid[level]));
}
