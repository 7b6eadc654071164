#include "src/explain/rows_keep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/run/ops.h"

enum { GROUP_MAX = 64, SITE = 64 };

typedef struct {
    char site[SITE];
    int level, block;
    bool scan;
} watched;

struct mv_rows_keep {
    mv_probe probe;
    const mv_config *config;
    size_t budget;
    int n; /* blocks */
    watched *block;
    int h, w;            /* of the input that `shape` is for */
    mv_coded *shape;     /* n: geometry, heads and groups, without arrays */
    int pictures;        /* of the last forward */
    mv_coded *kept;      /* pictures * n; a taken one is empty */
    float *row, *shares; /* one row of a group of queries, and one of the block, in multiples of an even spread */
};

/* ---- how fine */

static int step_heads(int step, int heads)
{
    return step < 2 ? heads : 1;
}

/* Attention: 1 2 1 2 4 8 ...; a mixer has no heads: 1 1 1 2 4 8 ... */
static int step_group(int step, bool scan)
{
    if (step < 3)
        return step == 1 && !scan ? 2 : 1;
    return 1 << (step - 2);
}

static void shape_block(mv_coded *c, const watched *b, const mv_config *config, const mv_grid *g, int step)
{
    int heads = b->scan ? 1 : config->heads[b->level];
    *c = (mv_coded){.level = b->level,
                    .block = b->block,
                    .scan = b->scan,
                    .heads = step_heads(step, heads),
                    .of = heads,
                    .h = g->h,
                    .w = g->w,
                    .cell = g->cell,
                    .window = g->window,
                    .down = g->down,
                    .across = g->across,
                    .group = step_group(step, b->scan),
                    .padding = g->padding};
    mv_coded_count(c);
}

/* Chooses heads and groups for inputs of h x w px. */
static void plan(mv_rows_keep *k, int h, int w)
{
    int step[MV_LEVELS] = {0};
    if (k->h == h && k->w == w)
        return;
    k->h = h;
    k->w = w;
    for (;;) {
        size_t all = 0, of[MV_LEVELS] = {0};
        for (int i = 0; i < k->n; i++) {
            const watched *b = &k->block[i];
            mv_grid g = mv_grid_of(k->config, b->level, h, w);
            shape_block(&k->shape[i], b, k->config, &g, step[b->level]);
            of[b->level] += k->shape[i].codes;
        }
        int largest = 2;
        for (int i = 2; i < MV_LEVELS; i++) {
            all += of[i];
            largest = of[i] > of[largest] ? i : largest;
        }
        if (all <= k->budget || step_group(step[largest], false) >= GROUP_MAX)
            return;
        step[largest]++;
    }
}

/* ---- the object */

static bool wants(mv_probe *p, const char *site);
static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value);
static void kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value);

mv_rows_keep *mv_rows_keep_new(const mv_config *config, size_t budget, mv_error *e)
{
    int n = config->depth[2] + config->depth[3], at = 0;
    if (n == 0) {
        mv_fail(e, MV_EINPUT, "rows: found a network without blocks in levels 2 and 3, expected mixers or attention");
        return NULL;
    }
    mv_rows_keep *k = calloc(1, sizeof *k);
    if (!k || !(k->block = calloc((size_t)n, sizeof *k->block)) || !(k->shape = calloc((size_t)n, sizeof *k->shape))) {
        mv_rows_keep_free(k);
        mv_fail_memory(e, "rows");
        return NULL;
    }
    k->probe = (mv_probe){.wants = wants, .sees = sees, .kept = kept};
    k->config = config;
    k->budget = budget;
    k->n = n;
    for (int i = 2; i < MV_LEVELS; i++)
        for (int j = 0; j < config->depth[i]; j++) {
            watched *b = &k->block[at++];
            *b = (watched){.level = i, .block = j, .scan = !mv_config_attends(config->depth[i], j)};
            snprintf(b->site, sizeof b->site, "levels.%d.blocks.%d.mixer.%s", i, j, b->scan ? "hidden_attn" : "attn");
        }
    return k;
}

static void clear(mv_rows_keep *k)
{
    for (int i = 0; i < k->pictures * k->n; i++)
        mv_coded_free(&k->kept[i]);
    free(k->kept);
    k->kept = NULL;
    k->pictures = 0;
}

void mv_rows_keep_free(mv_rows_keep *k)
{
    if (!k)
        return;
    clear(k);
    free(k->block);
    free(k->shape);
    free(k->row);
    free(k->shares);
    free(k);
}

mv_probe *mv_rows_keep_probe(mv_rows_keep *k)
{
    return &k->probe;
}

mv_status mv_rows_keep_take(mv_rows_keep *k, int picture, mv_coded **blocks, int *n, mv_error *e)
{
    *blocks = NULL;
    *n = 0;
    if (picture < 0 || picture >= k->pictures || !k->kept[picture * k->n].code)
        return mv_fail(e, MV_EMISUSE, "rows: picture %d of the batch was not seen, or was taken before", picture);
    mv_coded *out = malloc((size_t)k->n * sizeof *out);
    if (!out)
        return mv_fail_memory(e, "rows");
    mv_coded *from = k->kept + (size_t)picture * (size_t)k->n;
    memcpy(out, from, (size_t)k->n * sizeof *out);
    memset(from, 0, (size_t)k->n * sizeof *from);
    *blocks = out;
    *n = k->n;
    return MV_OK;
}

void mv_rows_keep_drop(mv_coded *blocks, int n)
{
    for (int i = 0; blocks && i < n; i++)
        mv_coded_free(&blocks[i]);
    free(blocks);
}

/* ---- the probe */

static int index_of(const mv_rows_keep *k, const char *site)
{
    for (int i = 0; i < k->n; i++)
        if (strcmp(k->block[i].site, site) == 0)
            return i;
    return -1;
}

static bool wants(mv_probe *p, const char *site)
{
    return index_of((mv_rows_keep *)p, site) >= 0;
}

static bool sees(mv_probe *p, mv_run *r, const mv_site_info *site, mv_view value)
{
    mv_rows_keep *k = (mv_rows_keep *)p;
    plan(k, mv_run_height(r), mv_run_width(r));
    const mv_coded *c = &k->shape[index_of(k, site->name)];
    if (c->heads == c->of) {
        mv_run_keep(r, p, site->name, 0, value);
        return false;
    }
    const int *d = value.dim;
    mv_tensor mean = mv_scratch_new(r, MV_F32, 3, d[0], d[2], d[3]);
    mv_mean_heads(r, mean, mv_tensor_of(value.data, value.type, 4, d[0], d[1], d[2], d[3]));
    mv_run_keep(r, p, site->name, 0, mv_view_of(mean));
    return false;
}

/* What a row says: sums for the figures of its block. */
typedef struct {
    double entropy, reach, lost;
    long rows, spread; /* rows; rows that could be spread over several tokens */
} figures;

/* A row's share on padding, and the sum of its raw values. */
typedef struct {
    double lost, total;
} remains;

/* The row of token t, T shares or unnormalised, as multiples of an even spread in k->shares. */
static remains read_row(const mv_rows_keep *k, const mv_coded *c, const mv_coded_window *w, const float *row, int t,
                        figures *f)
{
    int tokens = c->window * c->window, seen = c->scan ? t + 1 : tokens;
    double total = 0, entropy = 0, reach = 0, lost = 0;
    for (int j = 0; j < tokens; j++)
        total += (double)row[j];
    double share_of = total > 0 || isnan(total) ? 1 / total : 0;
    for (int j = 0; j < tokens; j++) {
        double p = (double)row[j] * share_of;
        int dy = t / c->window - j / c->window, dx = t % c->window - j % c->window;
        if (p > 0) {
            entropy -= p * log(p);
            reach += p * sqrt((double)(dy * dy + dx * dx));
        }
        if (j / c->window >= w->rows || j % c->window >= w->columns)
            lost += p;
        k->shares[j] = (float)(c->scan ? p * seen : (double)row[j] * tokens);
    }
    f->rows++;
    f->reach += reach * c->cell;
    f->lost += lost;
    if (seen > 1) {
        f->spread++;
        f->entropy += entropy / log(seen);
    }
    return (remains){lost, total};
}

/* The query at (qy, qx) of a window: the mean of its cells' rows, coded. rows: (T, T) of the window. */
static void code_query(mv_rows_keep *k, mv_coded *c, const mv_coded_window *w, const float *rows, int qy, int qx,
                       size_t at, uint8_t *code, figures *f)
{
    int tokens = c->window * c->window, cells = w->rows * w->columns, n = 0;
    remains mean = {0, 0};
    memset(k->row, 0, (size_t)cells * sizeof *k->row);
    for (int y = qy * c->group; y < w->rows && y < (qy + 1) * c->group; y++)
        for (int x = qx * c->group; x < w->columns && x < (qx + 1) * c->group; x++, n++) {
            int t = y * c->window + x;
            remains r = read_row(k, c, w, rows + (size_t)t * (size_t)tokens, t, f);
            mean.lost += r.lost;
            mean.total += r.total;
            for (int i = 0; i < cells; i++)
                k->row[i] += k->shares[i / w->columns * c->window + i % w->columns];
        }
    for (int i = 0; n > 1 && i < cells; i++)
        k->row[i] /= (float)n;
    c->most[at] = mv_coded_row(code, k->row, (size_t)cells);
    if (c->most[at] > (float)c->largest)
        c->largest = (double)c->most[at];
    if (c->lost)
        c->lost[at] = (float)(mean.lost / n);
    if (c->total)
        c->total[at] = (float)(mean.total / n);
}

/* rows: (windows, heads, T, T) of one picture. */
static void code_block(mv_rows_keep *k, mv_coded *c, const float *rows)
{
    size_t window = (size_t)c->window * (size_t)c->window, at = 0;
    uint8_t *code = c->code;
    figures f = {0};
    for (int n = 0; n < c->down * c->across; n++) {
        mv_coded_window w = mv_coded_window_at(c, n);
        for (int head = 0; head < c->heads; head++, rows += window * window)
            for (int q = 0; q < w.qrows * w.qcolumns; q++, at++, code += (size_t)w.rows * (size_t)w.columns)
                code_query(k, c, &w, rows, q / w.qcolumns, q % w.qcolumns, at, code, &f);
    }
    c->entropy = f.spread ? f.entropy / (double)f.spread : 0;
    c->reach = f.reach / (double)f.rows;
    c->on_padding = f.lost / (double)f.rows;
}

/* Room for the pictures of a batch. */
static mv_status extend(mv_rows_keep *k, int pictures, mv_error *e)
{
    size_t old = (size_t)k->pictures * (size_t)k->n, all = (size_t)pictures * (size_t)k->n;
    if (pictures > k->pictures) {
        mv_coded *more = realloc(k->kept, all * sizeof *more);
        if (!more)
            return mv_fail_memory(e, "rows");
        memset(more + old, 0, (all - old) * sizeof *more);
        k->kept = more;
        k->pictures = pictures;
    }
    size_t most = 0;
    for (int i = 0; i < k->n; i++) {
        size_t tokens = (size_t)k->shape[i].window * (size_t)k->shape[i].window;
        most = tokens > most ? tokens : most;
    }
    free(k->row);
    free(k->shares);
    k->row = malloc(most * sizeof *k->row);
    k->shares = malloc(most * sizeof *k->shares);
    return k->row && k->shares ? MV_OK : mv_fail_memory(e, "rows");
}

static void kept(mv_probe *p, mv_run *r, const char *site, int part, mv_tensor value)
{
    (void)part;
    mv_rows_keep *k = (mv_rows_keep *)p;
    int i = index_of(k, site), first = mv_run_first(r), pictures = mv_run_pictures(r);
    mv_error e = {0};
    if (first == 0 && i == 0)
        clear(k); /* a new forward */
    mv_status s = extend(k, first + pictures, &e);
    size_t one = mv_tensor_count(value) / (size_t)pictures;
    for (int b = 0; b < pictures && !s; b++) {
        mv_coded *c = &k->kept[(size_t)(first + b) * (size_t)k->n + (size_t)i];
        mv_coded_free(c);
        *c = k->shape[i];
        s = mv_coded_new(c, &e);
        if (!s)
            code_block(k, c, (const float *)value.data + (size_t)b * one);
    }
    if (s)
        mv_run_fail(r, e.code, "%s", e.text);
}
