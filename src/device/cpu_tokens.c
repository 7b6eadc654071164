/* Norms, the mixer, attention, windows and the head on the CPU device. The loops are in src/kernel. */
#include <math.h>
#include <string.h>

#include "src/device/cpu_impl.h"

typedef struct {
    mv_cpu *c;
    mv_tensor x, yz, xz, proj, dt, h, rows, out;
    mv_vector wx, wz, weight, bias;
    float eps;
    const mv_ssm *w;
    int pieces, heads, channel; /* channel: of hidden, or -1 */
    bool given;                 /* rows are an input */
    bool with_sign;
} tokens_job;

/* ---- layer norm */

static void layernorm_piece(void *job, int i, int worker)
{
    (void)worker;
    const tokens_job *j = job;
    int from, to, c = j->x.dim[j->x.nd - 1];
    mv_share(mv_rows_in(j->x), j->pieces, i, &from, &to);
    size_t first = (size_t)from * (size_t)c;
    j->c->k->layernorm(mv_at(j->out, first), mv_at(j->x, first), j->weight.data, j->bias.data, j->eps,
                       (size_t)(to - from), c, j->x.type);
}

static mv_status cpu_layernorm(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector weight, mv_vector bias, float eps,
                               mv_error *e)
{
    tokens_job j = {.c = mv_cpu_of(b), .out = out, .x = x, .weight = weight, .bias = bias, .eps = eps};
    j.pieces = mv_cpu_pieces(j.c, mv_rows_in(x), MV_CPU_BLOCK);
    return mv_cpu_run(j.c, layernorm_piece, &j, j.pieces, e);
}

/* ---- mixer */

static void conv1d_piece(void *job, int i, int worker)
{
    (void)worker;
    const tokens_job *j = job;
    int tokens = j->x.dim[1], e = j->x.dim[2], from, to;
    mv_share(tokens, j->pieces, i % j->pieces, &from, &to);
    size_t first = (size_t)(i / j->pieces) * (size_t)tokens * (size_t)e;
    if (from < to)
        j->c->k->conv1d_silu(mv_at(j->x, first), mv_at(j->yz, 2 * first), mv_at(j->xz, 2 * first), j->wx.data,
                             j->wz.data, tokens, e, from, to, j->x.type);
}

static mv_status cpu_conv1d_silu(mv_backend *b, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz,
                                 mv_error *e)
{
    tokens_job j = {.c = mv_cpu_of(b), .x = x, .yz = yz, .xz = xz, .wx = wx, .wz = wz};
    j.pieces = mv_cpu_window_pieces(j.c, x.dim[0], x.dim[1]);
    return mv_cpu_run(j.c, conv1d_piece, &j, x.dim[0] * j.pieces, e);
}

static void step_piece(void *job, int i, int worker)
{
    (void)worker;
    const tokens_job *j = job;
    int from, to, e = j->w->channels, width = j->w->rank + 2 * MV_STATES;
    mv_share(mv_rows_in(j->dt), j->pieces, i, &from, &to);
    j->c->k->step((float *)j->dt.data + (size_t)from * (size_t)e, mv_at(j->proj, (size_t)from * (size_t)width),
                  j->w->dt_weight.data, j->w->dt_bias.data, (size_t)(to - from), e, j->w->rank, j->proj.type);
}

static mv_status cpu_step(mv_backend *b, mv_tensor dt, mv_tensor proj, const mv_ssm *w, mv_error *e)
{
    tokens_job j = {.c = mv_cpu_of(b), .dt = dt, .proj = proj, .w = w};
    j.pieces = mv_cpu_pieces(j.c, mv_rows_in(dt), MV_CPU_BLOCK);
    return mv_cpu_run(j.c, step_piece, &j, j.pieces, e);
}

enum { CHANNELS = 32 }; /* the smallest piece of a scan: whole vectors of any instruction set */

static void scan_piece(void *job, int i, int worker)
{
    (void)worker;
    const tokens_job *j = job;
    int tokens = j->x.dim[1], e = j->w->channels, groups = (e + CHANNELS - 1) / CHANNELS, from, to;
    mv_share(groups, j->pieces, i % j->pieces, &from, &to);
    size_t token = (size_t)(i / j->pieces) * (size_t)tokens, first = token * (size_t)e;
    mv_scan_job s = {.tokens = tokens,
                     .channels = e,
                     .rank = j->w->rank,
                     .from = from * CHANNELS,
                     .to = mv_least(to * CHANNELS, e),
                     .type = j->x.type,
                     .x = mv_at(j->x, first),
                     .proj = mv_at(j->proj, token * (size_t)(j->w->rank + 2 * MV_STATES)),
                     .dt = j->dt.nd ? (float *)j->dt.data + first : NULL,
                     .dt_weight = j->w->dt_weight.data,
                     .dt_bias = j->w->dt_bias.data,
                     .A = j->w->A.data,
                     .D = j->w->D.data,
                     .yz = mv_at(j->yz, 2 * first),
                     .h = j->h.nd ? (float *)j->h.data + first * MV_STATES : NULL};
    j->c->k->scan(&s);
}

static mv_status cpu_scan(mv_backend *b, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                          mv_tensor h, mv_error *e)
{
    tokens_job j = {.c = mv_cpu_of(b), .x = x, .yz = yz, .proj = proj, .dt = dt, .h = h, .w = w};
    j.pieces = mv_cpu_window_pieces(j.c, x.dim[0], (w->channels + CHANNELS - 1) / CHANNELS);
    return mv_cpu_run(j.c, scan_piece, &j, x.dim[0] * j.pieces, e);
}

static mv_status cpu_readout(mv_backend *b, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w,
                             mv_error *e)
{
    (void)e;
    mv_cpu_of(b)->k->readout(yz.data, x.data, proj.data, h.data, w->D.data, (size_t)mv_rows_in(x), w->channels, w->rank,
                             x.type);
    return MV_OK;
}

static void norm_piece(void *job, int i, int worker)
{
    (void)worker;
    const tokens_job *j = job;
    int from, to;
    size_t n = (size_t)j->h.dim[2] * MV_STATES;
    mv_share((int)mv_tensor_count(j->out), j->pieces, i, &from, &to);
    j->c->k->norm((float *)j->out.data + from, (float *)j->h.data + (size_t)from * n, (size_t)(to - from), n);
}

static mv_status cpu_state_norm(mv_backend *b, mv_tensor out, mv_tensor h, mv_error *e)
{
    tokens_job j = {.c = mv_cpu_of(b), .out = out, .h = h};
    j.pieces = mv_cpu_pieces(j.c, (int)mv_tensor_count(out), MV_CPU_BLOCK);
    return mv_cpu_run(j.c, norm_piece, &j, j.pieces, e);
}

static void hidden_piece(void *job, int i, int worker)
{
    const tokens_job *j = job;
    mv_cpu *c = j->c;
    int tokens = j->dt.dim[1], e = j->w->channels;
    size_t token = (size_t)(i / j->pieces) * (size_t)tokens;
    mv_hidden_job h = {.tokens = tokens,
                       .channels = e,
                       .rank = j->w->rank,
                       .first = i % j->pieces,
                       .every = j->pieces,
                       .from = j->channel < 0 ? 0 : j->channel,
                       .to = j->channel < 0 ? e : j->channel + 1,
                       .with_sign = j->with_sign,
                       .type = j->proj.type,
                       .proj = mv_at(j->proj, token * (size_t)(j->w->rank + 2 * MV_STATES)),
                       .dt = (float *)j->dt.data + token * (size_t)e,
                       .A = j->w->A.data,
                       .out = (float *)j->out.data + token * (size_t)tokens,
                       .scratch = mv_cpu_scratch(c, worker, 0, c->k->hidden_scratch(tokens, j->pieces))};
    if (h.scratch)
        c->k->hidden(&h);
}

static mv_status cpu_hidden(mv_backend *b, mv_tensor out, mv_tensor dt, mv_tensor proj, const mv_ssm *w, int channel,
                            bool with_sign, mv_error *e)
{
    tokens_job j = {
        .c = mv_cpu_of(b), .out = out, .dt = dt, .proj = proj, .w = w, .channel = channel, .with_sign = with_sign};
    j.pieces = mv_cpu_window_pieces(j.c, dt.dim[0], j.c->k->hidden_blocks(dt.dim[1]));
    return mv_cpu_run(j.c, hidden_piece, &j, dt.dim[0] * j.pieces, e);
}

/* ---- attention */

static void attention_piece(void *job, int i, int worker)
{
    const tokens_job *j = job;
    mv_cpu *c = j->c;
    int tokens = j->out.dim[1], channels = j->out.dim[2], d = channels / j->heads, part = i % j->pieces,
        head = i / j->pieces % j->heads;
    size_t window = (size_t)(i / j->pieces / j->heads),
           qkv = window * (size_t)tokens * 3 * (size_t)channels + (size_t)(head * d);
    size_t packed = c->k->packed(tokens, d),
           rows = (window * (size_t)j->heads + (size_t)head) * (size_t)tokens * (size_t)tokens;
    float *memory = mv_cpu_scratch(c, worker, 0, packed + c->k->scores(tokens));
    if (!memory)
        return;
    mv_attention_job a = {.tokens = tokens,
                          .d = d,
                          .stride = 3 * channels,
                          .type = j->xz.type,
                          .q = mv_at(j->xz, qkv),
                          .k = mv_at(j->xz, qkv + (size_t)channels),
                          .v = mv_at(j->xz, qkv + 2 * (size_t)channels),
                          .out = mv_at(j->out, window * (size_t)tokens * (size_t)channels + (size_t)(head * d)),
                          .out_stride = channels,
                          .scale = 1 / sqrtf((float)d),
                          .rows = j->rows.nd ? (float *)j->rows.data + rows : NULL,
                          .packed = memory,
                          .scores = memory + packed};
    mv_share((tokens + MV_ATTENTION_ROWS - 1) / MV_ATTENTION_ROWS, j->pieces, part, &a.from, &a.to);
    a.from *= MV_ATTENTION_ROWS;
    a.to = mv_least(a.to * MV_ATTENTION_ROWS, tokens);
    c->k->pack(&a);
    if (j->given)
        c->k->attend(&a);
    else
        c->k->attention(&a);
}

static mv_status heads_of(mv_cpu *c, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows, bool given, mv_error *e)
{
    tokens_job j = {.c = c, .out = out, .xz = qkv, .rows = rows, .heads = heads, .given = given};
    j.pieces = mv_cpu_window_pieces(c, out.dim[0] * heads, out.dim[1]);
    return mv_cpu_run(c, attention_piece, &j, out.dim[0] * heads * j.pieces, e);
}

static mv_status cpu_attention(mv_backend *b, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows, mv_error *e)
{
    return heads_of(mv_cpu_of(b), out, qkv, heads, rows, false, e);
}

static mv_status cpu_attend(mv_backend *b, mv_tensor out, mv_tensor rows, mv_tensor qkv, mv_error *e)
{
    return heads_of(mv_cpu_of(b), out, qkv, rows.dim[1], rows, true, e);
}

/* ---- windows and the head: little work, done by the calling thread */

/* Copies between the cells of pictures and the tokens of their windows, one row of a window at a time. */
static void move_windows(mv_tensor tokens, mv_tensor picture, int window, bool merge)
{
    int h = picture.dim[1], w = picture.dim[2], down = (h + window - 1) / window, across = (w + window - 1) / window;
    size_t cell = (size_t)picture.dim[3] * mv_dtype_size(picture.type);
    for (int i = 0; i < picture.dim[0] * down * window * across; i++) { /* one row of one window */
        int column = i % across, row = i / across % (down * window), b = i / across / (down * window);
        size_t token =
            (((size_t)b * (size_t)down + (size_t)(row / window)) * (size_t)across + (size_t)column) * (size_t)window +
            (size_t)(row % window);
        char *t = (char *)tokens.data + token * (size_t)window * cell;
        int real = row < h ? mv_least(window, w - column * window) : 0;
        char *p = (char *)picture.data +
                  (((size_t)b * (size_t)h + (size_t)row) * (size_t)w + (size_t)(column * window)) * cell;
        if (merge && real > 0)
            memcpy(p, t, (size_t)real * cell);
        else if (!merge) {
            if (real > 0)
                memcpy(t, p, (size_t)real * cell);
            memset(t + (size_t)real * cell, 0, (size_t)(window - real) * cell);
        }
    }
}

static mv_status cpu_split(mv_backend *b, mv_tensor out, mv_tensor x, int window, mv_error *e)
{
    (void)b, (void)e;
    move_windows(out, x, window, false);
    return MV_OK;
}

static mv_status cpu_merge(mv_backend *b, mv_tensor out, mv_tensor x, int window, mv_error *e)
{
    (void)b, (void)e;
    move_windows(x, out, window, true);
    return MV_OK;
}

static mv_status cpu_affine(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *e)
{
    mv_cpu *c = mv_cpu_of(b);
    int n = x.dim[x.nd - 1], rows = mv_rows_in(x);
    c->error[0].code = MV_OK;
    float *row = mv_cpu_scratch(c, 0, 0, (size_t)n);
    if (!row)
        return mv_fail_memory(e, "cpu");
    for (int r = 0; r < rows; r++) {
        c->k->widen(row, mv_at(x, (size_t)r * (size_t)n), x.type, (size_t)n);
        for (int i = 0; i < n; i++)
            row[i] = row[i] * scale.data[i] + (shift.data ? shift.data[i] : 0);
        c->k->narrow(mv_at(out, (size_t)r * (size_t)n), out.type, row, (size_t)n);
    }
    return MV_OK;
}

static mv_status cpu_mean_pool(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *e)
{
    mv_cpu *c = mv_cpu_of(b);
    size_t n = (size_t)x.dim[3], cells = (size_t)x.dim[1] * (size_t)x.dim[2];
    c->error[0].code = MV_OK;
    float *row = mv_cpu_scratch(c, 0, 0, n), *sum = mv_cpu_scratch(c, 0, 1, n);
    if (!row || !sum)
        return mv_fail_memory(e, "cpu");
    for (size_t p = 0; p < (size_t)x.dim[0]; p++) {
        memset(sum, 0, n * sizeof *sum);
        for (size_t i = 0; i < cells; i++) {
            c->k->widen(row, mv_at(x, (p * cells + i) * n), x.type, n);
            for (size_t k = 0; k < n; k++)
                sum[k] += row[k];
        }
        for (size_t k = 0; k < n; k++) {
            sum[k] /= (float)cells;
            if (scale.data)
                sum[k] = sum[k] * scale.data[k] + shift.data[k];
        }
        c->k->narrow(mv_at(out, p * n), out.type, sum, n);
    }
    return MV_OK;
}

void mv_cpu_offer_tokens(mv_backend *b)
{
    b->layernorm = cpu_layernorm;
    b->conv1d_silu = cpu_conv1d_silu;
    b->step = cpu_step;
    b->scan = cpu_scan;
    b->readout = cpu_readout;
    b->state_norm = cpu_state_norm;
    b->hidden = cpu_hidden;
    b->attention = cpu_attention;
    b->attend = cpu_attend;
    b->split = cpu_split;
    b->merge = cpu_merge;
    b->affine = cpu_affine;
    b->mean_pool = cpu_mean_pool;
}
