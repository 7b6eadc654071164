/* The backward pass of norms, mixers and attention on the CPU device. The loops are in src/kernel. */
#include <math.h>

#include "src/device/cpu_impl.h"

typedef struct {
    mv_cpu *c;
    mv_tensor x, residual, xz, proj, dt, h;     /* of the forward pass; xz: or qkv */
    mv_tensor dx, dy, dxz, dyz, dproj, ddt, dh; /* dxz: or dqkv, dy: or dout; dh: or drows */
    mv_vector wx, wz, weight;
    const mv_ssm *w;
    float eps;
    float *sums; /* of a scan: [dB | dC] of every group of channels, (N groups T 2S) */
    int pieces, heads;
    bool held;
} back_job;

/* ---- layer norm */

static void layernorm_back_piece(void *job, int i, int worker)
{
    (void)worker;
    const back_job *j = job;
    int from, to, c = j->x.dim[j->x.nd - 1];
    mv_share(mv_rows_in(j->x), j->pieces, i, &from, &to);
    size_t first = (size_t)from * (size_t)c;
    j->c->k->layernorm_back(mv_at(j->dx, first), mv_at(j->dy, first), mv_at(j->x, first), j->weight.data, j->eps,
                            j->held, j->residual.nd ? mv_at(j->residual, first) : NULL, (size_t)(to - from), c,
                            j->x.type);
}

static mv_status cpu_layernorm_back(mv_backend *b, mv_tensor dx, mv_tensor dy, mv_tensor x, mv_vector weight, float eps,
                                    bool held, mv_tensor residual, mv_error *e)
{
    back_job j = {.c = mv_cpu_of(b),
                  .dx = dx,
                  .dy = dy,
                  .x = x,
                  .weight = weight,
                  .eps = eps,
                  .held = held,
                  .residual = residual};
    j.pieces = mv_cpu_pieces(j.c, mv_rows_in(x), MV_CPU_BLOCK);
    return mv_cpu_run(j.c, layernorm_back_piece, &j, j.pieces, e);
}

/* ---- mixer */

static void conv1d_back_piece(void *job, int i, int worker)
{
    (void)worker;
    const back_job *j = job;
    int tokens = j->dx.dim[1], e = j->dx.dim[2], from, to;
    mv_share(tokens, j->pieces, i % j->pieces, &from, &to);
    size_t first = (size_t)(i / j->pieces) * (size_t)tokens * (size_t)e;
    if (from < to)
        j->c->k->conv1d_silu_back(mv_at(j->dxz, 2 * first), mv_at(j->dx, first), mv_at(j->dyz, 2 * first),
                                  mv_at(j->xz, 2 * first), j->wx.data, j->wz.data, j->held, tokens, e, from, to,
                                  j->xz.type);
}

static mv_status cpu_conv1d_silu_back(mv_backend *b, mv_tensor dxz, mv_tensor dx, mv_tensor dyz, mv_tensor xz,
                                      mv_vector wx, mv_vector wz, bool held, mv_error *e)
{
    back_job j = {.c = mv_cpu_of(b), .dxz = dxz, .dx = dx, .dyz = dyz, .xz = xz, .wx = wx, .wz = wz, .held = held};
    j.pieces = mv_cpu_window_pieces(j.c, dx.dim[0], dx.dim[1]);
    return mv_cpu_run(j.c, conv1d_back_piece, &j, dx.dim[0] * j.pieces, e);
}

static void step_back_piece(void *job, int i, int worker)
{
    const back_job *j = job;
    int from, to, e = j->w->channels, width = j->w->rank + 2 * MV_STATES;
    float *scratch = mv_cpu_scratch(j->c, worker, 0, (size_t)e);
    mv_share(mv_rows_in(j->dt), j->pieces, i, &from, &to);
    size_t first = (size_t)from * (size_t)e;
    if (scratch)
        j->c->k->step_back(mv_at(j->dproj, (size_t)from * (size_t)width), (float *)j->ddt.data + first,
                           (float *)j->dt.data + first, j->w->dt_weight.data, (size_t)(to - from), e, j->w->rank,
                           j->dproj.type, scratch);
}

static mv_status cpu_step_back(mv_backend *b, mv_tensor dproj, mv_tensor ddt, mv_tensor dt, const mv_ssm *w,
                               mv_error *e)
{
    back_job j = {.c = mv_cpu_of(b), .dproj = dproj, .ddt = ddt, .dt = dt, .w = w};
    j.pieces = mv_cpu_pieces(j.c, mv_rows_in(dt), MV_CPU_BLOCK);
    return mv_cpu_run(j.c, step_back_piece, &j, j.pieces, e);
}

/* Each piece is a group of channels. */
static int groups_of(const mv_ssm *w)
{
    return (w->channels + MV_SCAN_BACK_CHANNELS - 1) / MV_SCAN_BACK_CHANNELS;
}

static void scan_back_piece(void *job, int i, int worker)
{
    (void)worker;
    const back_job *j = job;
    int tokens = j->x.dim[1], e = j->w->channels, groups = groups_of(j->w), from = i % groups * MV_SCAN_BACK_CHANNELS;
    size_t token = (size_t)(i / groups) * (size_t)tokens, first = token * (size_t)e;
    mv_scan_back_job s = {.tokens = tokens,
                          .channels = e,
                          .rank = j->w->rank,
                          .from = from,
                          .to = mv_least(from + MV_SCAN_BACK_CHANNELS, e),
                          .type = j->x.type,
                          .dyz = mv_at(j->dyz, 2 * first),
                          .x = mv_at(j->x, first),
                          .proj = mv_at(j->proj, token * (size_t)(j->w->rank + 2 * MV_STATES)),
                          .dt = (float *)j->dt.data + first,
                          .h = j->held ? NULL : (float *)j->h.data + first * MV_STATES,
                          .A = j->w->A.data,
                          .D = j->w->D.data,
                          .dx = mv_at(j->dx, first),
                          .ddt = j->held ? NULL : (float *)j->ddt.data + first,
                          .dh = j->dh.nd ? (float *)j->dh.data + first * MV_STATES : NULL,
                          .sums = j->held ? NULL : j->sums + (size_t)i * (size_t)tokens * 2 * MV_STATES};
    j->c->k->scan_back(&s);
}

/* dB and dC of some tokens of all windows: the sums of the groups, in their order */
static void sums_piece(void *job, int i, int worker)
{
    (void)worker;
    const back_job *j = job;
    int from, to, tokens = j->x.dim[1], groups = groups_of(j->w);
    mv_share(mv_rows_in(j->x), j->pieces, i, &from, &to);
    for (int t = from; t < to; t++) {
        float sum[2 * MV_STATES] = {0};
        for (int g = 0; g < groups; g++) {
            const float *part = j->sums + (((size_t)(t / tokens) * (size_t)groups + (size_t)g) * (size_t)tokens +
                                           (size_t)(t % tokens)) *
                                              2 * MV_STATES;
            for (int n = 0; n < 2 * MV_STATES; n++)
                sum[n] += part[n];
        }
        j->c->k->narrow(mv_at(j->dproj, (size_t)t * (size_t)j->dproj.dim[2] + (size_t)j->w->rank), j->dproj.type, sum,
                        2 * MV_STATES);
    }
}

static mv_status cpu_scan_back(mv_backend *b, mv_tensor dx, mv_tensor dproj, mv_tensor ddt, mv_tensor dh, mv_tensor dyz,
                               mv_tensor x, mv_tensor proj, mv_tensor dt, mv_tensor h, const mv_ssm *w, mv_error *e)
{
    mv_cpu *c = mv_cpu_of(b);
    back_job j = {.c = c,
                  .dx = dx,
                  .dproj = dproj,
                  .ddt = ddt,
                  .dh = dh,
                  .dyz = dyz,
                  .x = x,
                  .proj = proj,
                  .dt = dt,
                  .h = h,
                  .w = w,
                  .held = !ddt.nd};
    int pieces = x.dim[0] * groups_of(w);
    if (!j.held) {
        c->error[0].code = MV_OK;
        j.sums = mv_cpu_scratch(c, 0, 1, (size_t)pieces * (size_t)x.dim[1] * 2 * MV_STATES);
        if (!j.sums)
            return mv_fail_memory(e, "cpu");
    }
    mv_status s = mv_cpu_run(c, scan_back_piece, &j, pieces, e);
    if (s || j.held)
        return s;
    j.pieces = mv_cpu_pieces(c, mv_rows_in(x), MV_CPU_BLOCK);
    return mv_cpu_run(c, sums_piece, &j, j.pieces, e);
}

/* ---- attention */

/* One head of one window: dv and dk are sums over all its queries. */
static void attention_back_piece(void *job, int i, int worker)
{
    const back_job *j = job;
    const mv_kernels *k = j->c->k;
    int tokens = j->dy.dim[1], channels = j->dy.dim[2], d = channels / j->heads, head = i % j->heads;
    size_t window = (size_t)(i / j->heads), n = (size_t)channels,
           qkv = window * (size_t)tokens * 3 * n + (size_t)(head * d);
    mv_attention_back_job a = {.tokens = tokens,
                               .d = d,
                               .stride = 3 * channels,
                               .type = j->xz.type,
                               .held = j->held,
                               .q = mv_at(j->xz, qkv),
                               .k = mv_at(j->xz, qkv + n),
                               .v = mv_at(j->xz, qkv + 2 * n),
                               .dout = mv_at(j->dy, window * (size_t)tokens * n + (size_t)(head * d)),
                               .dout_stride = channels,
                               .dq = mv_at(j->dxz, qkv),
                               .dk = mv_at(j->dxz, qkv + n),
                               .dv = mv_at(j->dxz, qkv + 2 * n),
                               .scale = 1 / sqrtf((float)d),
                               .drows =
                                   j->dh.nd ? (float *)j->dh.data + (size_t)i * (size_t)tokens * (size_t)tokens : NULL,
                               .scratch = mv_cpu_scratch(j->c, worker, 0, k->attention_back_scratch(tokens, d))};
    if (a.scratch)
        k->attention_back(&a);
}

static mv_status cpu_attention_back(mv_backend *b, mv_tensor dqkv, mv_tensor drows, mv_tensor dout, mv_tensor qkv,
                                    int heads, bool held, mv_tensor work, mv_error *e)
{
    (void)work;
    back_job j = {.c = mv_cpu_of(b), .dxz = dqkv, .dh = drows, .dy = dout, .xz = qkv, .heads = heads, .held = held};
    return mv_cpu_run(j.c, attention_back_piece, &j, dout.dim[0] * heads, e);
}

void mv_cpu_offer_mixer_back(mv_backend *b)
{
    b->layernorm_back = cpu_layernorm_back;
    b->conv1d_silu_back = cpu_conv1d_silu_back;
    b->step_back = cpu_step_back;
    b->scan_back = cpu_scan_back;
    b->attention_back = cpu_attention_back;
}
