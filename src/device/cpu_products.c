/* Pictures, convolutions and products on the CPU device: oneDNN computes pieces, and the epilogue runs on each while it
 * is in cache. */
#include <string.h>

#include "src/device/cpu_impl.h"

/* ---- pictures and convolutions */

typedef struct {
    mv_cpu *c;
    mv_tensor out, x, residual;
    const mv_conv *w;
    const float *table;
    mv_act act;
    int bands; /* pieces of one picture */
} picture_job;

static void picture_piece(void *job, int i, int worker)
{
    const picture_job *j = job;
    size_t h = (size_t)j->out.dim[1], w = (size_t)j->out.dim[2];
    char *to = mv_at(j->out, (size_t)i * w * 3);
    float *row = j->out.type == MV_F32 ? (float *)(void *)to : mv_cpu_scratch(j->c, worker, 0, 3 * w);
    if (!row)
        return;
    if (j->x.type == MV_U8) {
        const uint8_t *bytes = (const uint8_t *)j->x.data + (size_t)i * w * 3;
        for (size_t x = 0; x < 3 * w; x += 3)
            for (size_t k = 0; k < 3; k++)
                row[x + k] = j->table[256 * k + bytes[x + k]];
    } else {
        const float *red = (const float *)j->x.data + ((size_t)i / h * 3 * h + (size_t)i % h) * w, *green = red + h * w,
                    *blue = green + h * w;
        for (size_t x = 0; x < w; x++)
            row[3 * x] = red[x], row[3 * x + 1] = green[x], row[3 * x + 2] = blue[x];
    }
    if (j->out.type != MV_F32)
        j->c->k->narrow(to, j->out.type, row, 3 * w);
}

static mv_status cpu_picture(mv_backend *b, mv_tensor out, mv_tensor pixels, mv_vector table, mv_error *e)
{
    picture_job j = {.c = mv_cpu_of(b), .out = out, .x = pixels, .table = table.data};
    return mv_cpu_run(mv_cpu_of(b), picture_piece, &j, out.dim[0] * out.dim[1], e);
}

/* One band of the rows of a picture. A band is computed like a picture: only the outer ones are padded above or below.
 */
static void conv_piece(void *job, int i, int worker)
{
    const picture_job *j = job;
    mv_cpu *c = j->c;
    int h = j->x.dim[1], w = j->x.dim[2], s = j->w->stride, picture = i / j->bands, from, to;
    mv_share(j->out.dim[1], j->bands, i % j->bands, &from, &to);
    if (from == to)
        return;
    int first = from * s - 1, last = (to - 1) * s + 1; /* input rows of the band */
    int right = (j->out.dim[2] - 1) * s + MV_TAPS - w - 1;
    mv_dnnl_shape shape = {
        .pictures = 1,
        .w = w,
        .in = j->w->in,
        .out = j->w->out,
        .kernel = MV_TAPS,
        .stride = s,
        .top = first<0, .bottom = last >= h, .left = 1, .right = right, .act = j->act, .onto = j->residual.nd> 0,
        .from_type = mv_cpu_product_type(c),
        .to_type = mv_cpu_product_type(c)};
    first += shape.top;
    last -= shape.bottom;
    shape.h = last - first + 1;
    size_t begin = ((size_t)picture * (size_t)h + (size_t)first) * (size_t)w * (size_t)j->w->in,
           n = (size_t)shape.h * (size_t)w * (size_t)j->w->in;
    size_t row = (size_t)j->out.dim[2] * (size_t)j->w->out,
           put = ((size_t)picture * (size_t)j->out.dim[1] + (size_t)from) * row;
    size_t m = (size_t)(to - from) * row;
    if (!c->widens) {
        mv_dnnl_conv(c->dnnl, worker, &shape, j->w->w, mv_at(j->x, begin), mv_at(j->out, put), &c->error[worker]);
        return;
    }
    float *in = mv_cpu_scratch(c, worker, 0, n), *out = mv_cpu_scratch(c, worker, 1, m);
    if (!in || !out)
        return;
    c->k->widen(in, mv_at(j->x, begin), j->x.type, n);
    if (shape.onto)
        c->k->widen(out, mv_at(j->residual, put), j->residual.type, m);
    if (!mv_dnnl_conv(c->dnnl, worker, &shape, j->w->w, in, out, &c->error[worker]))
        c->k->narrow(mv_at(j->out, put), j->out.type, out, m);
}

mv_status mv_cpu_conv2d(mv_backend *b, mv_tensor out, mv_tensor x, const mv_conv *w, mv_act act, mv_tensor residual,
                        mv_error *e)
{
    picture_job j = {.c = mv_cpu_of(b), .out = out, .x = x, .residual = residual, .w = w, .act = act, .bands = 1};
    if (residual.nd && residual.data != out.data)
        memcpy(out.data, residual.data, mv_tensor_bytes(out));
    if (x.dim[0] %
        mv_cpu_of(b)
            ->threads) /* pictures are cut if they cannot be shared evenly, so that no worker waits for another */
        j.bands = mv_least(mv_cpu_of(b)->threads, out.dim[1]);
    return mv_cpu_run(mv_cpu_of(b), conv_piece, &j, x.dim[0] * j.bands, e);
}

/* ---- products */

typedef struct {
    mv_cpu *c;
    mv_tensor out, x, residual;
    const mv_dense *w;
    mv_act act;
    mv_vector gamma;
    int rows, pieces;
} rows_job;

static void linear_piece(void *job, int i, int worker)
{
    const rows_job *j = job;
    mv_cpu *c = j->c;
    int from, to;
    mv_share(j->rows, j->pieces, i, &from, &to);
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
                           .from_type = mv_cpu_product_type(c),
                           .to_type = c->widens ? MV_F32 : result};
    const void *x = mv_at(j->x, (size_t)from * k);
    void *out = mv_at(j->out, (size_t)from * n);
    if (j->x.type != mv_cpu_product_type(c)) {
        float *other = mv_cpu_scratch(c, worker, 0, m * k);
        if (!other)
            return;
        if (c->widens)
            c->k->widen(other, x, j->x.type, m * k);
        else
            c->k->narrow(other, c->base.act, x, m * k);
        x = other;
    }
    /* GELU alone can rewrite its block in place; a sum with the residual needs the product in other memory */
    bool apart = j->residual.nd || (j->out.type != MV_F32 && (after || c->widens));
    float *acc = apart ? mv_cpu_scratch(c, worker, 1, m * n) : out;
    if (!acc || mv_dnnl_conv(c->dnnl, worker, &shape, j->w->w, x, acc, &c->error[worker]))
        return;
    if (after)
        c->k->epilogue(out, j->out.type, acc, j->gamma.data,
                       j->residual.nd ? mv_at(j->residual, (size_t)from * n) : NULL, j->residual.type, j->act, m,
                       j->w->out);
    else if (apart)
        c->k->narrow(out, j->out.type, acc, m * n);
}

mv_status mv_cpu_linear(mv_backend *b, mv_tensor out, mv_tensor x, const mv_dense *w, mv_act act, mv_vector gamma,
                        mv_tensor residual, mv_error *e)
{
    rows_job j = {.c = mv_cpu_of(b),
                  .out = out,
                  .x = x,
                  .residual = residual,
                  .w = w,
                  .act = act,
                  .gamma = gamma,
                  .rows = mv_rows_in(x)};
    j.pieces = mv_cpu_pieces(j.c, j.rows, MV_CPU_BLOCK);
    return mv_cpu_run(j.c, linear_piece, &j, j.pieces, e);
}

static void add_piece(void *job, int i, int worker)
{
    (void)worker;
    const rows_job *j = job;
    int from, to, c = j->x.dim[j->x.nd - 1];
    mv_share(j->rows, j->pieces, i, &from, &to);
    size_t first = (size_t)from * (size_t)c, n = (size_t)(to - from) * (size_t)c;
    const float *x = (const float *)(const void *)mv_at(j->x, first);
    if (j->x.type != MV_F32) {
        float *wide = mv_cpu_scratch(j->c, worker, 0, n);
        if (!wide)
            return;
        j->c->k->widen(wide, mv_at(j->x, first), j->x.type, n);
        x = wide;
    }
    j->c->k->epilogue(mv_at(j->out, first), j->out.type, x, j->gamma.data, mv_at(j->residual, first), j->residual.type,
                      MV_ACT_NONE, (size_t)(to - from), c);
}

static mv_status cpu_add(mv_backend *b, mv_tensor out, mv_tensor x, mv_vector gamma, mv_tensor residual, mv_error *e)
{
    rows_job j = {.c = mv_cpu_of(b), .out = out, .x = x, .residual = residual, .gamma = gamma, .rows = mv_rows_in(x)};
    j.pieces = mv_cpu_pieces(j.c, j.rows, MV_CPU_BLOCK);
    return mv_cpu_run(j.c, add_piece, &j, j.pieces, e);
}

void mv_cpu_offer_products(mv_backend *b)
{
    b->picture = cpu_picture;
    b->conv2d = mv_cpu_conv2d;
    b->linear = mv_cpu_linear;
    b->add = cpu_add;
}
