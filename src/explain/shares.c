#include "src/explain/shares.h"

#include <stdlib.h>
#include <string.h>

int mv_shares_heads(const mv_shares *s)
{
    return s->head < 0 ? s->heads : 1;
}

static size_t tokens_of(const mv_shares *s)
{
    return (size_t)s->grid.tokens;
}

/* Where window n of picture p's head number k is among the shares */
static double *share_at(const mv_shares *s, int p, int k, int n)
{
    size_t row = ((size_t)p * (size_t)mv_shares_heads(s) + (size_t)k) * (size_t)s->grid.windows + (size_t)n;
    return s->share + row * tokens_of(s);
}

static mv_rows_stats *stats_at(const mv_shares *s, int p, int k)
{
    return &s->stats[p * mv_shares_heads(s) + k];
}

/* ---- on the host */

typedef struct {
    float *rows;            /* tokens, tokens */
    double *weight, *table; /* windows, tokens; tokens */
} desk;

static void desk_free(desk *d)
{
    free(d->rows);
    free(d->weight);
    free(d->table);
}

static bool desk_new(desk *d, const mv_shares *s)
{
    size_t tokens = tokens_of(s);
    *d = (desk){.rows = malloc(tokens * tokens * sizeof *d->rows),
                .weight = malloc((size_t)s->grid.windows * tokens * sizeof *d->weight),
                .table = malloc(tokens * sizeof *d->table)};
    if (!d->rows || !d->weight || !d->table) {
        desk_free(d);
        return false;
    }
    mv_query_weights(d->weight, s->query, &s->grid);
    mv_rows_distances(d->table, &s->grid);
    return true;
}

/* One window and one head of the value (N heads T T). */
static bool read_rows(mv_run *r, mv_view v, int n, int head, float *rows)
{
    ptrdiff_t skip = n * v.stride[0] + head * v.stride[1];
    v.data = (char *)v.data + skip * (ptrdiff_t)mv_dtype_size(v.type);
    v.dim[0] = v.dim[1] = 1;
    return mv_run_read(r, v, rows);
}

static void add_to_mean(float *mean, const float *rows, size_t n, int heads)
{
    for (size_t i = 0; i < n; i++)
        mean[i] += rows[i] / (float)heads;
}

/* Window n of picture p: each head's rows are read once for all that is made of them. */
static mv_status reduce_window(mv_shares *s, mv_run *r, mv_view value, int p, int n, const desk *d)
{
    size_t matrix = tokens_of(s) * tokens_of(s);
    int at = p * s->grid.windows + n;
    for (int head = 0; head < s->heads; head++) {
        bool shown = s->shown && (s->head < 0 || s->head == head);
        int k = s->head < 0 ? head : 0;
        if (!shown && !s->mean)
            continue;
        if (!read_rows(r, value, at, head, d->rows))
            return r->error.code;
        if (s->mean)
            add_to_mean(s->host_mean + (size_t)at * matrix, d->rows, matrix, s->heads);
        if (!shown)
            continue;
        mv_rows_follow(share_at(s, p, k, n), d->weight + (size_t)n * tokens_of(s), d->rows, s->grid.tokens);
        mv_rows_measure(stats_at(s, p, k), &s->grid, n, d->rows, d->table);
    }
    return MV_OK;
}

static mv_status reduce_here(mv_shares *s, mv_run *r, mv_view value, mv_error *e)
{
    desk d;
    size_t matrix = tokens_of(s) * tokens_of(s);
    if (s->mean && !(s->host_mean = calloc((size_t)value.dim[0] * matrix, sizeof *s->host_mean)))
        return mv_fail_memory(e, "attention");
    if (!desk_new(&d, s))
        return mv_fail_memory(e, "attention");
    mv_status status = MV_OK;
    for (int i = 0; i < value.dim[0] && !status; i++)
        status = reduce_window(s, r, value, i / s->grid.windows, i % s->grid.windows, &d);
    desk_free(&d);
    return status;
}

static mv_status roll_here(const mv_shares *block, int n, int pictures, double *share, mv_error *e)
{
    const mv_grid *g = &block->grid;
    size_t tokens = (size_t)g->tokens, all = (size_t)g->windows * tokens, bytes = all * sizeof *share;
    double *from = malloc(bytes);
    if (!from)
        return mv_fail_memory(e, "rollout");
    for (int p = 0; p < pictures; p++, share += all) {
        mv_query_weights(share, block->query, g);
        for (int i = n - 1; i >= 0; i--) {
            memcpy(from, share, bytes);
            memset(share, 0, bytes);
            for (int w = 0; w < g->windows; w++) {
                const float *mean = block[i].host_mean + (size_t)(p * g->windows + w) * tokens * tokens;
                mv_rows_follow_residual(share + (size_t)w * tokens, from + (size_t)w * tokens, mean, g->tokens);
            }
        }
    }
    free(from);
    return MV_OK;
}

/* ---- on a device */

/* Where each part of a block's memory begins, in floats */
typedef struct {
    size_t weight, share, figures, mean, chain[2], end;
} parts;

static size_t part(size_t *end, size_t floats)
{
    size_t begin = *end;
    *end += (floats + 15) / 16 * 16;
    return begin;
}

static parts parts_of(const mv_shares *s)
{
    size_t tokens = tokens_of(s), windows = (size_t)s->grid.windows, all = (size_t)s->pictures * windows * tokens,
           heads = s->shown ? (size_t)s->heads : 0;
    parts p = {0};
    p.weight = part(&p.end, windows * tokens);
    p.share = part(&p.end, heads * all);
    p.figures = part(&p.end, 3 * heads * all);
    p.mean = part(&p.end, s->mean ? all * tokens : 0);
    for (int i = 0; i < 2; i++)
        p.chain[i] = part(&p.end, s->rolls ? all : 0);
    return p;
}

static float *memory_at(const mv_shares *s, size_t floats)
{
    return (float *)(void *)s->memory + floats;
}

static void give_back(mv_shares *s)
{
    if (s->memory)
        s->device->release(s->device, s->memory);
    s->memory = NULL;
}

static mv_status write_query(const mv_shares *s, mv_error *e)
{
    size_t n = (size_t)s->grid.windows * tokens_of(s);
    double *weight = malloc(n * sizeof *weight);
    float *narrow = malloc(n * sizeof *narrow);
    mv_status status = weight && narrow ? MV_OK : mv_fail_memory(e, "attention");
    if (!status) {
        mv_query_weights(weight, s->query, &s->grid);
        for (size_t i = 0; i < n; i++)
            narrow[i] = (float)weight[i];
        mv_tensor t = mv_tensor_of(memory_at(s, parts_of(s).weight), MV_F32, 1, (int)n);
        status = s->device->write(s->device, mv_view_of(t), narrow, e);
    }
    free(weight);
    free(narrow);
    return status;
}

/* Memory for a pass of so many pictures, unless it is there. */
static mv_status settle(mv_shares *s, mv_run *r, mv_error *e)
{
    if (s->memory && s->device == r->b && s->pictures >= mv_run_pictures(r))
        return MV_OK;
    give_back(s);
    s->device = r->b;
    s->pictures = mv_run_pictures(r);
    size_t bytes = parts_of(s).end * sizeof(float);
    s->memory = r->b->alloc(r->b, bytes);
    if (!s->memory)
        return mv_fail(e, MV_ENOMEM,
                       "%s: out of memory: %.1f MB for attention of %d pictures; fewer at a time need less", r->b->name,
                       (double)bytes * 1e-6, s->pictures);
    return write_query(s, e);
}

static mv_status launch(const mv_shares *s, mv_run *r, mv_tensor rows, mv_error *e)
{
    const mv_grid *g = &s->grid;
    parts at = parts_of(s);
    int n = rows.dim[0], t = g->tokens;
    mv_status status = MV_OK;
    if (s->shown) {
        mv_tensor to = mv_tensor_of(memory_at(s, at.share), MV_F32, 3, n, s->heads, t),
                  figures = mv_tensor_of(memory_at(s, at.figures), MV_F32, 4, n, s->heads, t, 3),
                  from = mv_tensor_of(memory_at(s, at.weight), MV_F32, 2, g->windows, t);
        status = r->b->follow(r->b, to, rows, from, false, e);
        if (!status)
            status = r->b->measure(r->b, figures, rows, g->h, g->w, e);
    }
    if (s->mean && !status)
        status = r->b->mean_heads(r->b, mv_tensor_of(memory_at(s, at.mean), MV_F32, 3, n, t, t), rows, e);
    return status;
}

/* (windows of the pass, heads, values) at `from`, of the heads looked at, on their way to the probe */
static void keep_heads(const mv_shares *s, mv_run *r, size_t from, int n, int values, mv_probe *p, const char *site,
                       int part)
{
    mv_view v = mv_view_of(mv_tensor_of(memory_at(s, from), MV_F32, 3, n, s->heads, values));
    if (s->head >= 0) {
        v.data = (float *)v.data + s->head * v.stride[1];
        v.dim[1] = 1;
    }
    mv_run_keep(r, p, site, part, v);
}

static mv_status reduce_there(mv_shares *s, mv_run *r, mv_view value, mv_probe *p, const char *site, mv_error *e)
{
    mv_tensor rows = {.data = value.data, .type = value.type, .nd = value.nd};
    memcpy(rows.dim, value.dim, sizeof rows.dim);
    mv_status status = settle(s, r, e);
    if (!status)
        status = launch(s, r, rows, e);
    if (status || !s->shown)
        return status;
    const parts at = parts_of(s);
    keep_heads(s, r, at.share, rows.dim[0], s->grid.tokens, p, site, MV_SHARES_SHARE);
    keep_heads(s, r, at.figures, rows.dim[0], 3 * s->grid.tokens, p, site, MV_SHARES_FIGURES);
    return MV_OK;
}

static mv_status roll_there(const mv_shares *block, int n, mv_run *r, mv_probe *p, const char *site, mv_error *e)
{
    const mv_shares *last = block + n - 1;
    const parts at = parts_of(last);
    const int windows = last->grid.windows, t = last->grid.tokens, all = mv_run_pictures(r) * windows;
    mv_tensor from = mv_tensor_of(memory_at(last, at.weight), MV_F32, 2, windows, t);
    for (int i = n - 1; i >= 0; i--) {
        mv_tensor mean = mv_tensor_of(memory_at(&block[i], parts_of(&block[i]).mean), MV_F32, 4, all, 1, t, t),
                  to = mv_tensor_of(memory_at(last, at.chain[i % 2]), MV_F32, 3, all, 1, t);
        mv_status status = r->b->follow(r->b, to, mean, from, true, e);
        if (status)
            return status;
        from = mv_tensor_of(to.data, MV_F32, 2, all, t);
    }
    mv_run_keep(r, p, site, MV_SHARES_ROLLED, mv_view_of(from));
    return MV_OK;
}

/* ---- either */

bool mv_shares_come(const mv_run *r)
{
    return r->b->follow;
}

static mv_status answer_new(mv_shares *s, const mv_run *r, mv_error *e)
{
    mv_shares_forget(s);
    if (!s->shown)
        return MV_OK;
    size_t heads = (size_t)mv_run_pictures(r) * (size_t)mv_shares_heads(s);
    s->share = calloc(heads * (size_t)s->grid.windows * tokens_of(s), sizeof *s->share);
    s->stats = calloc(heads, sizeof *s->stats);
    return s->share && s->stats ? MV_OK : mv_fail_memory(e, "attention");
}

mv_status mv_shares_pass(mv_shares *s, mv_run *r, mv_view rows, mv_probe *p, const char *site, mv_error *e)
{
    if (mv_shares_come(r))
        return reduce_there(s, r, rows, p, site, e);
    mv_status status = answer_new(s, r, e);
    return status ? status : reduce_here(s, r, rows, e);
}

mv_status mv_shares_take(mv_shares *s, mv_run *r, int part, mv_tensor value, mv_error *e)
{
    const int heads = mv_shares_heads(s), windows = s->grid.windows;
    const float *from = value.data;
    size_t tokens = tokens_of(s);
    if (part == MV_SHARES_SHARE && answer_new(s, r, e))
        return MV_ENOMEM;
    for (int i = 0; i < mv_run_pictures(r) * windows; i++)
        for (int k = 0; k < heads; k++)
            if (part == MV_SHARES_FIGURES) {
                mv_rows_average(stats_at(s, i / windows, k), &s->grid, i % windows, from);
                from += 3 * tokens;
            } else {
                double *to = share_at(s, i / windows, k, i % windows);
                for (size_t t = 0; t < tokens; t++)
                    to[t] = (double)*from++;
            }
    return MV_OK;
}

mv_status mv_shares_roll(const mv_shares *block, int n, mv_run *r, double *share, mv_probe *p, const char *site,
                         mv_error *e)
{
    return mv_shares_come(r) ? roll_there(block, n, r, p, site, e) : roll_here(block, n, mv_run_pictures(r), share, e);
}

void mv_shares_forget(mv_shares *s)
{
    free(s->share);
    free(s->stats);
    free(s->host_mean);
    s->share = NULL;
    s->stats = NULL;
    s->host_mean = NULL;
}

void mv_shares_free(mv_shares *s)
{
    mv_shares_forget(s);
    give_back(s);
}
