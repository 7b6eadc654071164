/* The backward pass on the CPU device: activations, sums of products, transposes of products and convolutions. The
 * transpose of a product or of a convolution of stride 1 is one, too, and runs as in a forward pass, with other
 * weights. That of a convolution of stride 2 is a product, which makes what each cell of dy adds to each of nine
 * neighbours, and a gathering of these: it takes no more multiplications, and for the three channels of a picture it is
 * much faster than oneDNN's.
 */
#include <string.h>

#include "src/device/cpu_impl.h"

/* ---- element by element, and sums of rows */

typedef struct {
    mv_cpu *c;
    mv_tensor out, x, y;
    mv_act act;
    bool flag; /* held, or positive */
    int rows, pieces;
    mv_vector scale;
} element_job;

/* The elements of a chunk: the i-th of a value. */
static size_t chunk(const element_job *j, int i, int *n)
{
    size_t from = (size_t)i * MV_DNNL_CHUNK, left = mv_tensor_count(j->out) - from;
    *n = left < MV_DNNL_CHUNK ? (int)left : MV_DNNL_CHUNK;
    return from;
}

static mv_status run_chunks(mv_cpu *c, mv_workers_task *task, element_job *j, mv_error *e)
{
    j->c = c;
    return mv_cpu_run(c, task, j, (int)((mv_tensor_count(j->out) + MV_DNNL_CHUNK - 1) / MV_DNNL_CHUNK), e);
}

static mv_status cpu_copy(mv_backend *b, mv_tensor out, mv_tensor x, mv_error *e)
{
    (void)b, (void)e;
    memcpy(out.data, x.data, mv_tensor_bytes(out));
    return MV_OK;
}

static void activate_piece(void *job, int i, int worker)
{
    const element_job *j = job;
    int n;
    size_t from = chunk(j, i, &n);
    const void *x = mv_at(j->x, from);
    void *out = mv_at(j->out, from);
    if (j->act != MV_ACT_GELU_TANH) {
        j->c->k->activate(out, x, j->act, n, j->out.type);
        return;
    }
    float *whole = mv_cpu_scratch(j->c, worker, 0, MV_DNNL_CHUNK);
    if (!whole)
        return;
    j->c->k->widen(whole, x, j->x.type, (size_t)n);
    memset(whole + n, 0, (size_t)(MV_DNNL_CHUNK - n) * sizeof *whole);
    if (!mv_dnnl_gelu_tanh(j->c->dnnl, worker, whole, whole, &j->c->error[worker]))
        j->c->k->narrow(out, j->out.type, whole, (size_t)n);
}

static mv_status cpu_activate(mv_backend *b, mv_tensor out, mv_tensor x, mv_act act, mv_error *e)
{
    element_job j = {.out = out, .x = x, .act = act};
    return run_chunks(mv_cpu_of(b), activate_piece, &j, e);
}

static void activate_back_piece(void *job, int i, int worker)
{
    (void)worker;
    const element_job *j = job;
    int n;
    size_t from = chunk(j, i, &n);
    j->c->k->activate_back(mv_at(j->out, from), mv_at(j->y, from), mv_at(j->x, from), j->act, j->flag, n, j->out.type);
}

static mv_status cpu_activate_back(mv_backend *b, mv_tensor dx, mv_tensor dy, mv_tensor x, mv_act act, bool held,
                                   mv_error *e)
{
    element_job j = {.out = dx, .x = x, .y = dy, .act = act, .flag = held};
    return run_chunks(mv_cpu_of(b), activate_back_piece, &j, e);
}

static void dot_piece(void *job, int i, int worker)
{
    (void)worker;
    const element_job *j = job;
    int from, to;
    mv_share(j->rows, j->pieces, i, &from, &to);
    size_t c = (size_t)j->x.dim[j->x.nd - 1], at = (size_t)from * c;
    bool one_row = !mv_tensor_same_shape(j->x, j->y);
    j->c->k->dot((float *)j->out.data + from, mv_at(j->x, at), mv_at(j->y, one_row ? 0 : at), one_row, j->flag,
                 (size_t)(to - from), c, j->x.type);
}

static mv_status cpu_dot(mv_backend *b, mv_tensor out, mv_tensor x, mv_tensor y, bool positive, mv_error *e)
{
    element_job j = {.c = mv_cpu_of(b), .out = out, .x = x, .y = y, .flag = positive, .rows = mv_rows_in(x)};
    j.pieces = mv_cpu_pieces(j.c, j.rows, MV_CPU_BLOCK);
    return mv_cpu_run(j.c, dot_piece, &j, j.pieces, e);
}

static void mean_back_piece(void *job, int i, int worker)
{
    (void)worker;
    const element_job *j = job;
    size_t cells = (size_t)j->out.dim[1] * (size_t)j->out.dim[2], c = (size_t)j->out.dim[3];
    j->c->k->mean_back(mv_at(j->out, (size_t)i * cells * c), mv_at(j->x, (size_t)i * c), j->scale.data, cells, (int)c,
                       j->out.type);
}

static mv_status cpu_mean_pool_back(mv_backend *b, mv_tensor dx, mv_tensor dy, mv_vector scale, mv_error *e)
{
    element_job j = {.c = mv_cpu_of(b), .out = dx, .x = dy, .scale = scale};
    return mv_cpu_run(j.c, mean_back_piece, &j, dx.dim[0], e);
}

/* ---- products and convolutions */

typedef struct {
    mv_cpu *c;
    mv_dnnl_weights *w, *back;
} weights_job;

static void make_back(void *job, int i, int worker)
{
    (void)i;
    weights_job *j = job;
    j->back = mv_dnnl_weights_back(j->c->dnnl, j->w, &j->c->error[worker]);
}

/* On the workers, so that oneDNN uses one thread */
static mv_status back_of(mv_cpu *c, void *w, void **back, mv_error *e)
{
    weights_job j = {.c = c, .w = w};
    mv_status s = mv_cpu_run(c, make_back, &j, 1, e);
    *back = j.back;
    return s;
}

static mv_status cpu_linear_back(mv_backend *b, mv_tensor dx, mv_tensor dy, const mv_dense *w, mv_tensor residual,
                                 mv_error *e)
{
    mv_dense back = {.in = w->out, .out = w->in};
    mv_status s = back_of(mv_cpu_of(b), w->w, &back.w, e);
    return s ? s : mv_cpu_linear(b, dx, dy, &back, MV_ACT_NONE, (mv_vector){0}, residual, e);
}

typedef struct {
    mv_cpu *c;
    mv_tensor dx, dy, residual;
    int in, out;
    mv_dnnl_weights *back;
    int bands; /* pieces of one picture */
} gather_job;

/* What n rows of dy, from `row` on, add to their neighbours. */
static mv_status columns_of(const gather_job *j, int picture, int row, int n, float *to, int worker)
{
    mv_cpu *c = j->c;
    int across = j->dy.dim[2];
    size_t rows = (size_t)n * (size_t)across;
    const void *from =
        mv_at(j->dy, ((size_t)picture * (size_t)j->dy.dim[1] + (size_t)row) * (size_t)across * (size_t)j->out);
    mv_dnnl_shape shape = {.pictures = 1,
                           .h = (int)rows,
                           .w = 1,
                           .in = j->out,
                           .out = MV_TAPS * MV_TAPS * j->in,
                           .kernel = 1,
                           .stride = 1,
                           .from_type = mv_cpu_product_type(c),
                           .to_type = MV_F32};
    if (c->widens) {
        float *wide = mv_cpu_scratch(c, worker, 0, rows * (size_t)j->out);
        if (!wide)
            return MV_ENOMEM;
        c->k->widen(wide, from, j->dy.type, rows * (size_t)j->out);
        from = wide;
    }
    return mv_dnnl_conv(c->dnnl, worker, &shape, j->back, from, to, &c->error[worker]);
}

static void gather_row(const gather_job *j, int picture, int row, const float *above, const float *below)
{
    int w = j->dx.dim[2];
    size_t at = ((size_t)picture * (size_t)j->dx.dim[1] + (size_t)row) * (size_t)w * (size_t)j->in;
    j->c->k->gather(mv_at(j->dx, at), j->residual.nd ? mv_at(j->residual, at) : NULL, above, below, row % 2, w, j->in,
                    j->dx.type);
}

/* The rows of dx at the rows [from, to) of dy and below them. The last of these needs one row of dy more. The product
 * is made for some rows of dy at a time; the last one of these is kept for the next time. */
static void gather_piece(void *job, int i, int worker)
{
    const gather_job *j = job;
    int picture = i / j->bands, from, to, down = j->dy.dim[1], across = j->dy.dim[2];
    mv_share(down, j->bands, i % j->bands, &from, &to);
    int end = mv_least(to + 1, down), band = MV_CPU_BLOCK / across;
    band = band ? mv_least(band, end - from) : 1;
    size_t row = (size_t)across * MV_TAPS * MV_TAPS * (size_t)j->in;
    float *kept = mv_cpu_scratch(j->c, worker, 1, (size_t)(band + 1) * row);
    if (!kept)
        return;
    for (int first = from, n; first < end; first += n) {
        n = mv_least(band, end - first);
        if (columns_of(j, picture, first, n, kept + row, worker))
            return;
        for (int k = first; k < first + n; k++) {
            const float *here = kept + (size_t)(k - first + 1) * row;
            if (k > from)
                gather_row(j, picture, 2 * k - 1, here - row, here);
            if (k < to)
                gather_row(j, picture, 2 * k, here, NULL);
        }
        memcpy(kept, kept + (size_t)n * row, row * sizeof *kept);
    }
    if (to == down && to > from && 2 * to - 1 < j->dx.dim[1])
        gather_row(j, picture, 2 * to - 1, kept, NULL);
}

static mv_status cpu_conv2d_back(mv_backend *b, mv_tensor dx, mv_tensor dy, const mv_conv *w, mv_tensor residual,
                                 mv_error *e)
{
    mv_cpu *c = mv_cpu_of(b);
    mv_conv back = {.in = w->out, .out = w->in, .stride = 1};
    mv_status s = back_of(c, w->w, &back.w, e);
    if (s)
        return s;
    if (w->stride == 1)
        return mv_cpu_conv2d(b, dx, dy, &back, MV_ACT_NONE, residual, e);
    gather_job j = {.c = c,
                    .dx = dx,
                    .dy = dy,
                    .residual = residual,
                    .in = w->in,
                    .out = w->out,
                    .back = back.w,
                    .bands = dx.dim[0] % c->threads ? mv_least(c->threads, dy.dim[1]) : 1};
    return mv_cpu_run(c, gather_piece, &j, dx.dim[0] * j.bands, e);
}

void mv_cpu_offer_back(mv_backend *b)
{
    b->copy = cpu_copy;
    b->dot = cpu_dot;
    b->activate = cpu_activate;
    b->activate_back = cpu_activate_back;
    b->conv2d_back = cpu_conv2d_back;
    b->linear_back = cpu_linear_back;
    b->mean_pool_back = cpu_mean_pool_back;
}
