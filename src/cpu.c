/* The CPU device: every op is cut into pieces that the pool's workers take; a piece of a convolution is a picture or a
 * band of its rows, of a product a block of rows that stays in cache for its epilogue, of the mixer a window or some of
 * its channels, of attention some rows of a head.
 */
#include "cpu.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu_dnnl.h"
#include "cpu_kernels.h"
#include "cpu_pool.h"

/* A worker's own memory, grown as needed: a product before its epilogue, a head's keys and values. */
typedef struct {
    float *data;
    size_t size; /* floats */
} bench;

typedef struct {
    mv_backend base;
    mv_pool *pool;
    mv_dnnl *dnnl;
    const mv_kernels *k;
    bool widens; /* bf16 without bf16 instructions: products are made in fp32 */
    int threads;
    bench *bench;    /* 2 a worker */
    mv_error *error; /* one a worker, for the job at hand */
} cpu;

static cpu *of(mv_backend *b)
{
    return (cpu *)b;
}

/* ---- jobs */

static float *bench_of(cpu *c, int worker, int which, size_t floats)
{
    bench *b = &c->bench[2 * worker + which];
    if (b->size < floats) {
        free(b->data);
        b->size = 0;
        b->data = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
        if (!b->data) {
            mv_fail_memory(&c->error[worker], "cpu");
            return NULL;
        }
        b->size = floats;
    }
    return b->data;
}

/* Runs the pieces and tells of the first worker that failed. */
static mv_status run(cpu *c, mv_pool_task *task, void *job, int n, mv_error *e)
{
    for (int i = 0; i < c->threads; i++)
        c->error[i].code = MV_OK;
    mv_pool_run(c->pool, task, job, n);
    for (int i = 0; i < c->threads; i++)
        if (c->error[i].code)
            return mv_fail(e, c->error[i].code, "%s", c->error[i].text);
    return MV_OK;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* [*from, *to) of piece i when n things are cut into `pieces` that differ by one at most */
static void share(int n, int pieces, int i, int *from, int *to)
{
    *from = (int)((long)n * i / pieces);
    *to = (int)((long)n * (i + 1) / pieces);
}

static size_t size_of(mv_dtype type)
{
    return type == MV_F32 ? 4 : 2;
}

static char *at(mv_tensor t, size_t element)
{
    return (char *)t.data + element * size_of(t.type);
}

/* ---- memory */

static void *cpu_alloc(mv_backend *b, size_t bytes)
{
    (void)b;
    return bytes > SIZE_MAX - 63 ? NULL : aligned_alloc(64, bytes ? (bytes + 63) / 64 * 64 : 64);
}

static void cpu_release(mv_backend *b, void *p)
{
    (void)b;
    free(p);
}

/* Walks a strided value by its last dimension. */
static void walk(const cpu *c, mv_view v, float *host, const float *given)
{
    size_t n = (size_t)v.dim[v.nd - 1], rows = n ? mv_view_count(v) / n : 0;
    ptrdiff_t step = v.stride[v.nd - 1];
    for (size_t r = 0; r < rows; r++) {
        ptrdiff_t offset = 0;
        size_t left = r;
        for (int d = v.nd - 2; d >= 0; d--) {
            offset += (ptrdiff_t)(left % (size_t)v.dim[d]) * v.stride[d];
            left /= (size_t)v.dim[d];
        }
        char *p = (char *)v.data + offset * (ptrdiff_t)size_of(v.type);
        if (step == 1 && given)
            c->k->narrow(p, v.type, given + r * n, n);
        else if (step == 1)
            c->k->widen(host + r * n, p, v.type, n);
        else
            for (size_t i = 0; i < n; i++, p += step * (ptrdiff_t)size_of(v.type)) {
                if (given)
                    mv_from_f32(p, v.type, &given[r * n + i], 1);
                else
                    mv_to_f32(&host[r * n + i], p, v.type, 1);
            }
    }
}

static mv_status cpu_read(mv_backend *b, float *host, mv_view from, mv_error *e)
{
    (void)e;
    walk(of(b), from, host, NULL);
    return MV_OK;
}

static mv_status cpu_write(mv_backend *b, mv_view to, const float *host, mv_error *e)
{
    (void)e;
    walk(of(b), to, NULL, host);
    return MV_OK;
}

static mv_status cpu_finish(mv_backend *b, mv_error *e)
{
    (void)b, (void)e;
    return MV_OK;
}

/* ---- weights */

typedef struct {
    cpu *c;
    mv_dnnl_shape shape;
    const float *w, *bias;
    mv_dnnl_weights *out;
} weights_job;

static void make_weights(void *job, int i, int worker)
{
    (void)i;
    weights_job *j = job;
    cpu *c = j->c;
    float *rounded = NULL;
    size_t n = (size_t)j->shape.in * (size_t)j->shape.out * (size_t)(j->shape.kernel * j->shape.kernel);
    if (c->widens) { /* the values that bf16 weights would have */
        rounded = malloc(n * sizeof *rounded);
        if (!rounded) {
            mv_fail_memory(&c->error[worker], "cpu");
            return;
        }
        for (size_t k = 0; k < n; k++)
            rounded[k] = mv_bf16_to_f32(mv_f32_to_bf16(j->w[k]));
    }
    j->out = mv_dnnl_weights_new(c->dnnl, &j->shape, rounded ? rounded : j->w, j->bias, &c->error[worker]);
    free(rounded);
}

/* The type that oneDNN is given for activations. */
static mv_dtype product_type(const cpu *c)
{
    return c->widens ? MV_F32 : c->base.act;
}

static mv_status weights_of(cpu *c, mv_dnnl_shape shape, const float *w, const float *bias, void **out, mv_error *e)
{
    shape.from_type = shape.to_type = product_type(c);
    weights_job j = {.c = c, .shape = shape, .w = w, .bias = bias};
    mv_status s = run(c, make_weights, &j, 1, e); /* by way of the pool, so that oneDNN stays on this thread */
    *out = j.out;
    return s;
}

static mv_status cpu_conv_new(mv_backend *b, mv_conv *out, int n_in, int n_out, int stride, const float *w,
                              const float *bias, mv_error *e)
{
    *out = (mv_conv){.in = n_in, .out = n_out, .stride = stride};
    return weights_of(of(b),
                      (mv_dnnl_shape){.pictures = 1,
                                      .h = 28,
                                      .w = 28,
                                      .in = n_in,
                                      .out = n_out,
                                      .kernel = MV_TAPS,
                                      .stride = stride,
                                      .top = 1,
                                      .left = 1,
                                      .bottom = 1,
                                      .right = 1},
                      w, bias, &out->w, e);
}

static mv_status cpu_dense_new(mv_backend *b, mv_dense *out, int n_in, int n_out, const float *w, const float *bias,
                               mv_error *e)
{
    *out = (mv_dense){.in = n_in, .out = n_out};
    return weights_of(
        of(b), (mv_dnnl_shape){.pictures = 1, .h = 98, .w = 1, .in = n_in, .out = n_out, .kernel = 1, .stride = 1}, w,
        bias, &out->w, e);
}

static mv_status cpu_vector_new(mv_backend *b, mv_vector *out, int n, const float *values, mv_error *e)
{
    (void)b;
    *out = (mv_vector){.n = n, .data = malloc((size_t)n * sizeof *values)};
    if (!out->data)
        return mv_fail_memory(e, "cpu");
    memcpy(out->data, values, (size_t)n * sizeof *values);
    return MV_OK;
}

static void cpu_conv_free(mv_backend *b, mv_conv *w)
{
    (void)b;
    mv_dnnl_weights_free(w->w);
    w->w = NULL;
}

static void cpu_dense_free(mv_backend *b, mv_dense *w)
{
    (void)b;
    mv_dnnl_weights_free(w->w);
    w->w = NULL;
}

static void cpu_vector_free(mv_backend *b, mv_vector *v)
{
    (void)b;
    free(v->data);
    v->data = NULL;
}

/* ---- pictures */

typedef struct {
    cpu *c;
    mv_tensor out, x, residual;
    const mv_conv *w;
    const float *planes;
    mv_act act;
    int bands; /* pieces of one picture */
} picture_job;

static void picture_piece(void *job, int i, int worker)
{
    (void)worker;
    const picture_job *j = job;
    int h = j->out.dim[1], w = j->out.dim[2], picture = i / h, y = i % h;
    const float *from = j->planes + ((size_t)picture * 3 * (size_t)h + (size_t)y) * (size_t)w;
    char *to = at(j->out, (size_t)i * (size_t)w * 3);
    for (int x = 0; x < w; x++)
        for (int p = 0; p < 3; p++)
            mv_from_f32(to + (size_t)(3 * x + p) * size_of(j->out.type), j->out.type,
                        from + (size_t)p * (size_t)h * (size_t)w + x, 1);
}

static mv_status cpu_picture(mv_backend *b, mv_tensor out, const float *planes, mv_error *e)
{
    picture_job j = {.c = of(b), .out = out, .planes = planes};
    return run(of(b), picture_piece, &j, out.dim[0] * out.dim[1], e);
}

/* One band of one picture's rows. A band is a picture of its own: only the outer ones are padded above or below. */
static void conv_piece(void *job, int i, int worker)
{
    const picture_job *j = job;
    cpu *c = j->c;
    int h = j->x.dim[1], w = j->x.dim[2], s = j->w->stride, picture = i / j->bands, from, to;
    share(j->out.dim[1], j->bands, i % j->bands, &from, &to);
    if (from == to)
        return;
    int first = from * s - 1, last = (to - 1) * s + 1; /* input rows that the band sees */
    int right = (j->out.dim[2] - 1) * s + MV_TAPS - w - 1;
    mv_dnnl_shape shape = {
        .pictures = 1,
        .w = w,
        .in = j->w->in,
        .out = j->w->out,
        .kernel = MV_TAPS,
        .stride = s,
        .top = first<0, .bottom = last >= h, .left = 1, .right = right, .act = j->act, .onto = j->residual.nd> 0,
        .from_type = product_type(c),
        .to_type = product_type(c)};
    first += shape.top;
    last -= shape.bottom;
    shape.h = last - first + 1;
    size_t begin = ((size_t)picture * (size_t)h + (size_t)first) * (size_t)w * (size_t)j->w->in,
           n = (size_t)shape.h * (size_t)w * (size_t)j->w->in;
    size_t row = (size_t)j->out.dim[2] * (size_t)j->w->out,
           put = ((size_t)picture * (size_t)j->out.dim[1] + (size_t)from) * row;
    size_t m = (size_t)(to - from) * row;
    if (!c->widens) {
        mv_dnnl_conv(c->dnnl, worker, &shape, j->w->w, at(j->x, begin), at(j->out, put), &c->error[worker]);
        return;
    }
    float *in = bench_of(c, worker, 0, n), *out = bench_of(c, worker, 1, m);
    if (!in || !out)
        return;
    c->k->widen(in, at(j->x, begin), j->x.type, n);
    if (shape.onto)
        c->k->widen(out, at(j->residual, put), j->residual.type, m);
    if (!mv_dnnl_conv(c->dnnl, worker, &shape, j->w->w, in, out, &c->error[worker]))
        c->k->narrow(at(j->out, put), j->out.type, out, m);
}

static mv_status cpu_conv2d(mv_backend *b, mv_tensor out, mv_tensor x, const mv_conv *w, mv_act act, mv_tensor residual,
                            mv_error *e)
{
    picture_job j = {.c = of(b), .out = out, .x = x, .residual = residual, .w = w, .act = act, .bands = 1};
    if (residual.nd && residual.data != out.data)
        memcpy(out.data, residual.data, mv_tensor_bytes(out));
    if (x.dim[0] % of(b)->threads) /* pictures that do not come out even are cut, so that no worker waits for another */
        j.bands = least(of(b)->threads, out.dim[1]);
    return run(of(b), conv_piece, &j, x.dim[0] * j.bands, e);
}

/* ---- products */

typedef struct {
    cpu *c;
    mv_tensor out, x, residual;
    const mv_dense *w;
    mv_act act;
    mv_vector gamma, weight, bias;
    float eps;
    int rows, pieces;
} rows_job;

enum { BLOCK = 112 }; /* rows of a product whose result stays in a core's cache for the epilogue */

static void linear_piece(void *job, int i, int worker)
{
    const rows_job *j = job;
    cpu *c = j->c;
    int from, to;
    share(j->rows, j->pieces, i, &from, &to);
    size_t n = (size_t)j->w->out, k = (size_t)j->w->in, m = (size_t)(to - from);
    bool after = j->act != MV_ACT_NONE || j->gamma.data || j->residual.nd;
    mv_dtype result = after ? MV_F32 : j->out.type;
    mv_dnnl_shape shape = {.pictures = 1,
                           .h = to - from,
                           .w = 1,
                           .in = j->w->in,
                           .out = j->w->out,
                           .kernel = 1,
                           .stride = 1,
                           .from_type = product_type(c),
                           .to_type = c->widens ? MV_F32 : result};
    const void *x = at(j->x, (size_t)from * k);
    void *out = at(j->out, (size_t)from * n);
    if (c->widens) {
        float *wide = bench_of(c, worker, 0, m * k);
        if (!wide)
            return;
        c->k->widen(wide, x, j->x.type, m * k);
        x = wide;
    }
    /* GELU alone rewrites its own block; a sum with the residual needs the product apart */
    bool apart = j->residual.nd || (j->out.type != MV_F32 && (after || c->widens));
    float *acc = apart ? bench_of(c, worker, 1, m * n) : out;
    if (!acc || mv_dnnl_conv(c->dnnl, worker, &shape, j->w->w, x, acc, &c->error[worker]))
        return;
    if (after)
        c->k->epilogue(out, j->out.type, acc, j->gamma.data, j->residual.nd ? at(j->residual, (size_t)from * n) : NULL,
                       j->residual.type, j->act, m, j->w->out);
    else if (apart)
        c->k->narrow(out, j->out.type, acc, m * n);
}

static int rows_in(mv_tensor x)
{
    return (int)(mv_tensor_count(x) / (size_t)x.dim[x.nd - 1]);
}

/* As many pieces as give every worker the same number of blocks */
static int pieces_of(const cpu *c, int rows, int block)
{
    int rounds = (rows + block * c->threads - 1) / (block * c->threads);
    return least(rows, rounds * c->threads);
}

static mv_status cpu_linear(mv_backend *b, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act, mv_vector gamma,
                            mv_tensor residual, mv_error *e)
{
    rows_job j = {
        .c = of(b), .out = out, .x = x, .residual = residual, .w = w, .act = act, .gamma = gamma, .rows = rows_in(x)};
    j.pieces = pieces_of(j.c, j.rows, BLOCK);
    return run(j.c, linear_piece, &j, j.pieces, e);
}

static void add_piece(void *job, int i, int worker)
{
    (void)worker;
    const rows_job *j = job;
    int from, to, c = j->x.dim[j->x.nd - 1];
    share(j->rows, j->pieces, i, &from, &to);
    size_t first = (size_t)from * (size_t)c, n = (size_t)(to - from) * (size_t)c;
    const float *x = (const float *)(const void *)at(j->x, first);
    if (j->x.type != MV_F32) {
        float *wide = bench_of(j->c, worker, 0, n);
        if (!wide)
            return;
        j->c->k->widen(wide, at(j->x, first), j->x.type, n);
        x = wide;
    }
    j->c->k->epilogue(at(j->out, first), j->out.type, x, j->gamma.data, at(j->residual, first), j->residual.type,
                      MV_ACT_NONE, (size_t)(to - from), c);
}

static mv_status cpu_add(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector gamma, mv_tensor residual, mv_error *e)
{
    rows_job j = {.c = of(b), .out = out, .x = x, .residual = residual, .gamma = gamma, .rows = rows_in(x)};
    j.pieces = pieces_of(j.c, j.rows, BLOCK);
    return run(j.c, add_piece, &j, j.pieces, e);
}

static void layernorm_piece(void *job, int i, int worker)
{
    (void)worker;
    const rows_job *j = job;
    int from, to, c = j->x.dim[j->x.nd - 1];
    share(j->rows, j->pieces, i, &from, &to);
    size_t first = (size_t)from * (size_t)c;
    j->c->k->layernorm(at(j->out, first), at(j->x, first), j->weight.data, j->bias.data, j->eps, (size_t)(to - from), c,
                       j->x.type);
}

static mv_status cpu_layernorm(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector weight, mv_vector bias, float eps,
                               mv_error *e)
{
    rows_job j = {.c = of(b), .out = out, .x = x, .weight = weight, .bias = bias, .eps = eps, .rows = rows_in(x)};
    j.pieces = pieces_of(j.c, j.rows, BLOCK);
    return run(j.c, layernorm_piece, &j, j.pieces, e);
}

/* ---- mixer */

typedef struct {
    cpu *c;
    mv_tensor x, yz, xz, proj, dt, h, rows, out;
    mv_vector wx, wz;
    const mv_ssm *w;
    int pieces, heads;
    bool given; /* rows are read, not made */
} tokens_job;

static void conv1d_piece(void *job, int i, int worker)
{
    (void)worker;
    const tokens_job *j = job;
    int tokens = j->x.dim[1], e = j->x.dim[2], from, to;
    share(tokens, j->pieces, i % j->pieces, &from, &to);
    size_t first = (size_t)(i / j->pieces) * (size_t)tokens * (size_t)e;
    if (from < to)
        j->c->k->conv1d_silu(at(j->x, first), at(j->yz, 2 * first), at(j->xz, 2 * first), j->wx.data, j->wz.data,
                             tokens, e, from, to, j->x.type);
}

/* Pieces of one window: 1 when there are windows enough to go round */
static int pieces_of_window(const cpu *c, int windows, int most)
{
    return windows % c->threads == 0 || windows > 8 * c->threads ? 1 : least(c->threads, most);
}

static mv_status cpu_conv1d_silu(mv_backend *b, mv_tensor x, mv_tensor yz, mv_tensor xz, mv_vector wx, mv_vector wz,
                                 mv_error *e)
{
    tokens_job j = {.c = of(b), .x = x, .yz = yz, .xz = xz, .wx = wx, .wz = wz};
    j.pieces = pieces_of_window(j.c, x.dim[0], x.dim[1]);
    return run(j.c, conv1d_piece, &j, x.dim[0] * j.pieces, e);
}

static void step_piece(void *job, int i, int worker)
{
    (void)worker;
    const tokens_job *j = job;
    int from, to, e = j->w->channels, width = j->w->rank + 2 * MV_STATES;
    share(rows_in(j->dt), j->pieces, i, &from, &to);
    j->c->k->step((float *)j->dt.data + (size_t)from * (size_t)e, at(j->proj, (size_t)from * (size_t)width),
                  j->w->dt_weight.data, j->w->dt_bias.data, (size_t)(to - from), e, j->w->rank, j->proj.type);
}

static mv_status cpu_step(mv_backend *b, mv_tensor dt, mv_tensor proj, const mv_ssm *w, mv_error *e)
{
    tokens_job j = {.c = of(b), .dt = dt, .proj = proj, .w = w};
    j.pieces = pieces_of(j.c, rows_in(dt), BLOCK);
    return run(j.c, step_piece, &j, j.pieces, e);
}

enum { CHANNELS = 32 }; /* the least that a piece of a scan takes: whole vectors of any instruction set */

static void scan_piece(void *job, int i, int worker)
{
    (void)worker;
    const tokens_job *j = job;
    int tokens = j->x.dim[1], e = j->w->channels, groups = (e + CHANNELS - 1) / CHANNELS, from, to;
    share(groups, j->pieces, i % j->pieces, &from, &to);
    size_t token = (size_t)(i / j->pieces) * (size_t)tokens, first = token * (size_t)e;
    mv_scan_job s = {.tokens = tokens,
                     .channels = e,
                     .rank = j->w->rank,
                     .from = from * CHANNELS,
                     .to = least(to * CHANNELS, e),
                     .type = j->x.type,
                     .x = at(j->x, first),
                     .proj = at(j->proj, token * (size_t)(j->w->rank + 2 * MV_STATES)),
                     .dt = j->dt.nd ? (float *)j->dt.data + first : NULL,
                     .dt_weight = j->w->dt_weight.data,
                     .dt_bias = j->w->dt_bias.data,
                     .A = j->w->A.data,
                     .D = j->w->D.data,
                     .yz = at(j->yz, 2 * first),
                     .h = j->h.nd ? (float *)j->h.data + first * MV_STATES : NULL};
    j->c->k->scan(&s);
}

static mv_status cpu_scan(mv_backend *b, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor dt, const mv_ssm *w,
                          mv_tensor h, mv_error *e)
{
    tokens_job j = {.c = of(b), .x = x, .yz = yz, .proj = proj, .dt = dt, .h = h, .w = w};
    j.pieces = pieces_of_window(j.c, x.dim[0], (w->channels + CHANNELS - 1) / CHANNELS);
    return run(j.c, scan_piece, &j, x.dim[0] * j.pieces, e);
}

static mv_status cpu_readout(mv_backend *b, mv_tensor yz, mv_tensor x, mv_tensor proj, mv_tensor h, const mv_ssm *w,
                             mv_error *e)
{
    (void)e;
    of(b)->k->readout(yz.data, x.data, proj.data, h.data, w->D.data, (size_t)rows_in(x), w->channels, w->rank, x.type);
    return MV_OK;
}

/* ---- attention */

static void attention_piece(void *job, int i, int worker)
{
    const tokens_job *j = job;
    cpu *c = j->c;
    int tokens = j->out.dim[1], channels = j->out.dim[2], d = channels / j->heads, part = i % j->pieces,
        head = i / j->pieces % j->heads;
    size_t window = (size_t)(i / j->pieces / j->heads),
           qkv = window * (size_t)tokens * 3 * (size_t)channels + (size_t)(head * d);
    size_t packed = c->k->packed(tokens, d),
           rows = (window * (size_t)j->heads + (size_t)head) * (size_t)tokens * (size_t)tokens;
    float *memory = bench_of(c, worker, 0, packed + c->k->scores(tokens));
    if (!memory)
        return;
    mv_attention_job a = {.tokens = tokens,
                          .d = d,
                          .stride = 3 * channels,
                          .type = j->xz.type,
                          .q = at(j->xz, qkv),
                          .k = at(j->xz, qkv + (size_t)channels),
                          .v = at(j->xz, qkv + 2 * (size_t)channels),
                          .out = at(j->out, window * (size_t)tokens * (size_t)channels + (size_t)(head * d)),
                          .out_stride = channels,
                          .scale = 1 / sqrtf((float)d),
                          .rows = j->rows.nd ? (float *)j->rows.data + rows : NULL,
                          .packed = memory,
                          .scores = memory + packed};
    share(tokens, j->pieces, part, &a.from, &a.to);
    c->k->pack(&a);
    if (j->given)
        c->k->attend(&a);
    else
        c->k->attention(&a);
}

static mv_status heads_of(cpu *c, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows, bool given, mv_error *e)
{
    tokens_job j = {.c = c, .out = out, .xz = qkv, .rows = rows, .heads = heads, .given = given};
    j.pieces = pieces_of_window(c, out.dim[0] * heads, out.dim[1]);
    return run(c, attention_piece, &j, out.dim[0] * heads * j.pieces, e);
}

static mv_status cpu_attention(mv_backend *b, mv_tensor out, mv_tensor qkv, int heads, mv_tensor rows, mv_error *e)
{
    return heads_of(of(b), out, qkv, heads, rows, false, e);
}

static mv_status cpu_attend(mv_backend *b, mv_tensor out, mv_tensor rows, mv_tensor qkv, mv_error *e)
{
    return heads_of(of(b), out, qkv, rows.dim[1], rows, true, e);
}

/* ---- windows and the head: small, on the calling thread */

/* Copies between a picture's cells and its windows' tokens, a run of cells at a time. */
static void move_windows(mv_tensor tokens, mv_tensor picture, int window, bool merge)
{
    int h = picture.dim[1], w = picture.dim[2], down = (h + window - 1) / window, across = (w + window - 1) / window;
    size_t cell = (size_t)picture.dim[3] * size_of(picture.type);
    for (int i = 0; i < picture.dim[0] * down * window * across; i++) { /* one row of one window */
        int column = i % across, row = i / across % (down * window), b = i / across / (down * window);
        size_t token =
            (((size_t)b * (size_t)down + (size_t)(row / window)) * (size_t)across + (size_t)column) * (size_t)window +
            (size_t)(row % window);
        char *t = (char *)tokens.data + token * (size_t)window * cell;
        int real = row < h ? least(window, w - column * window) : 0;
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
    cpu *c = of(b);
    int n = x.dim[x.nd - 1], rows = rows_in(x);
    c->error[0].code = MV_OK;
    float *row = bench_of(c, 0, 0, (size_t)n);
    if (!row)
        return mv_fail_memory(e, "cpu");
    for (int r = 0; r < rows; r++) {
        c->k->widen(row, at(x, (size_t)r * (size_t)n), x.type, (size_t)n);
        for (int i = 0; i < n; i++)
            row[i] = row[i] * scale.data[i] + shift.data[i];
        c->k->narrow(at(out, (size_t)r * (size_t)n), out.type, row, (size_t)n);
    }
    return MV_OK;
}

static mv_status cpu_pool(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector scale, mv_vector shift, mv_error *e)
{
    cpu *c = of(b);
    size_t n = (size_t)x.dim[3], cells = (size_t)x.dim[1] * (size_t)x.dim[2];
    c->error[0].code = MV_OK;
    float *row = bench_of(c, 0, 0, n), *sum = bench_of(c, 0, 1, n);
    if (!row || !sum)
        return mv_fail_memory(e, "cpu");
    for (size_t p = 0; p < (size_t)x.dim[0]; p++) {
        memset(sum, 0, n * sizeof *sum);
        for (size_t i = 0; i < cells; i++) {
            c->k->widen(row, at(x, (p * cells + i) * n), x.type, n);
            for (size_t k = 0; k < n; k++)
                sum[k] += row[k];
        }
        for (size_t k = 0; k < n; k++) {
            sum[k] /= (float)cells;
            if (scale.data)
                sum[k] = sum[k] * scale.data[k] + shift.data[k];
        }
        c->k->narrow(at(out, p * n), out.type, sum, n);
    }
    return MV_OK;
}

/* ---- the device */

static void cpu_free(mv_backend *b)
{
    cpu *c = of(b);
    mv_pool_free(c->pool);
    mv_dnnl_free(c->dnnl);
    for (int i = 0; c->bench && i < 2 * c->threads; i++)
        free(c->bench[i].data);
    free(c->bench);
    free(c->error);
    free(c);
}

bool mv_cpu_has_bf16(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

const char *mv_cpu_isa(void)
{
    const char *name = mv_kernels_best()->name;
    return strcmp(name, "avx512") == 0 ? "AVX-512" : strcmp(name, "avx2") == 0 ? "AVX2" : "plain";
}

static int cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
    return n > 0 ? n : 1;
}

mv_backend *mv_cpu_new(mv_dtype act, int threads, mv_error *e)
{
    if (act != MV_F32 && act != MV_BF16) {
        mv_fail(e, MV_EDEVICE, "cpu: found precision %s, expected fp32 or bf16",
                act == MV_F16 ? "fp16" : mv_dtype_name(act));
        return NULL;
    }
    if (threads < 0 || threads > 1024) {
        mv_fail(e, MV_EINPUT, "cpu: found %d threads, expected 1 to 1024", threads);
        return NULL;
    }
    cpu *c = calloc(1, sizeof *c);
    if (!c) {
        mv_fail_memory(e, "cpu");
        return NULL;
    }
    c->base = (mv_backend){
        .name = "cpu",
        .act = act,
        .free = cpu_free,
        .alloc = cpu_alloc,
        .release = cpu_release,
        .read = cpu_read,
        .write = cpu_write,
        .finish = cpu_finish,
        .conv_new = cpu_conv_new,
        .dense_new = cpu_dense_new,
        .vector_new = cpu_vector_new,
        .conv_free = cpu_conv_free,
        .dense_free = cpu_dense_free,
        .vector_free = cpu_vector_free,
        .picture = cpu_picture,
        .conv2d = cpu_conv2d,
        .linear = cpu_linear,
        .add = cpu_add,
        .layernorm = cpu_layernorm,
        .conv1d_silu = cpu_conv1d_silu,
        .step = cpu_step,
        .scan = cpu_scan,
        .readout = cpu_readout,
        .attention = cpu_attention,
        .attend = cpu_attend,
        .split = cpu_split,
        .merge = cpu_merge,
        .affine = cpu_affine,
        .pool = cpu_pool,
    };
    c->threads = threads ? threads : least(cores(), 1024);
    c->k = mv_kernels_best();
    c->widens = act == MV_BF16 && !mv_cpu_has_bf16();
    c->bench = calloc(2 * (size_t)c->threads, sizeof *c->bench);
    c->error = calloc((size_t)c->threads, sizeof *c->error);
    if (!c->bench || !c->error)
        mv_fail_memory(e, "cpu");
    else if ((c->pool = mv_pool_new(c->threads, e)))
        c->dnnl = mv_dnnl_new(c->threads, act == MV_BF16 && !c->widens, e);
    if (!c->dnnl) {
        cpu_free(&c->base);
        return NULL;
    }
    char version[48];
    snprintf(c->base.about, sizeof c->base.about, "%s, %d threads, %s%s", mv_cpu_isa(), c->threads,
             mv_dnnl_version(version), c->widens ? ", bf16 widened to fp32" : "");
    return &c->base;
}
